//! Bursts of `http.check` at a real nginx: counts, shares, connections, and what they weigh in the journal.

use std::time::Duration;

use gonogo::base::Class;

use super::contract::{attempt, attempt_of, check, env, services};
use crate::nginx::Nginx;

/// Every tenth answer is a 503; `/page` says so much.
fn flaky() -> Nginx {
    Nginx::start(
        "split_clients \"$request_id\" $odd { 20% 1; * 0; }
        server { listen 127.0.0.1:{0};
            location = /status { stub_status; }
            location / { return 200 \"fine\"; }
            location = /connection { default_type text/plain; return 200 \"asked to: [$http_connection]\"; }
            location = /flaky { if ($odd) { return 503 \"sorry\"; } return 200 \"fine\"; }
        }",
    )
}

#[tokio::test]
async fn counts_shares_and_odd_answers() {
    let nginx = flaky();
    let services = services(env());
    let at = |path: &str, rest: &str| format!("url = \"{}{path}\"\ntimes = 200\nat_once = 8\n{rest}", nginx.url(0));
    let attempt = attempt();
    let seen = check("http.check", &at("/", "latency = { p50 = \"20s\", p99 = \"30s\" }"), &services)
        .check(&attempt.cx)
        .await
        .unwrap();
    assert!(seen.line.contains(" as expected, 200 × 200 (p50 "), "{}", seen.line);
    let evidence = seen.evidence;
    assert_eq!((&evidence["visits"], &evidence["not_as_expected"]), (&200.into(), &0.into()));
    assert_eq!(evidence["statuses"]["200"]["count"], 200);
    let failure = check("http.check", &at("/flaky", ""), &services).check(&attempt.cx).await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet);
    assert!(
        failure.message.contains(" of 200 requests were not as expected: ") && failure.message.contains("status 503"),
        "{failure:?}"
    );
    let told = failure.causes.join("\n");
    assert!(told.contains("200 × ") && told.contains("503 × ") && told.contains("body: sorry"), "{told}");
    // An answer that is expected to be odd is fine.
    check("http.check", &at("/flaky", "status = [200, 503]"), &services).check(&attempt.cx).await.unwrap();
    let slow =
        check("http.check", &at("/", "latency = { p95 = \"0ms\" }"), &services).check(&attempt.cx).await.unwrap_err();
    assert!(
        slow.class == Class::NotYet && slow.message.contains("p95 is ") && slow.message.contains("at most 0 ms"),
        "{slow:?}"
    );
    nginx.until_alone().await;
}

#[tokio::test]
async fn connections_as_the_author_wants_them() {
    let nginx = flaky();
    let services = services(env());
    let once = async |rest: &str| {
        let before = nginx.accepted();
        let params = format!("{rest}\ntimes = 12\nat_once = 3");
        check("http.check", &params, &services).check(&attempt().cx).await.unwrap();
        nginx.until_alone().await;
        // Ours only: the question before counts as one.
        nginx.accepted() - before - 1
    };
    let url = nginx.url(0);
    let single = format!("url = \"{url}/\"");
    let scenario = format!("url = \"{url}\"\nsteps = [{{ url = \"/a\" }}, {{ url = \"/b\" }}, {{ url = \"/c\" }}]");
    assert_eq!(once(&single).await, 12, "visitors come by themselves");
    assert_eq!(once(&format!("{single}\nconnection = \"kept\"")).await, 3);
    assert_eq!(once(&scenario).await, 12, "a visitor keeps a connection");
    assert_eq!(once(&format!("{scenario}\nconnection = \"fresh\"")).await, 36);
    assert_eq!(once(&format!("{scenario}\nconnection = \"kept\"")).await, 3);
}

/// The server need not wait for a second request that never comes; what has a body may be answered early.
#[tokio::test]
async fn who_asks_once_says_so() {
    let nginx = flaky();
    let services = services(env());
    let told = async |wanted: &str, rest: &str| {
        let params = format!("url = \"{}/connection\"\ncontains = [\"[{wanted}]\"]\n{rest}", nginx.url(0));
        check("http.check", &params, &services).check(&attempt().cx).await.unwrap();
    };
    told("close", "").await;
    told("close", "times = 4\nat_once = 2").await;
    told("", "times = 4\nat_once = 2\nconnection = \"kept\"").await;
    told("", "method = \"POST\"\nbody = \"all of it\"").await;
    nginx.until_alone().await;
}

/// A burst that the attempt's end cuts short says how far it came.
#[tokio::test]
async fn what_is_not_over_in_time() {
    let nginx = flaky();
    let services = services(env());
    let params = format!("url = \"{}/\"\ntimes = 10000", nginx.url(0));
    let burst = check("http.check", &params, &services);
    let failure = burst.check(&attempt_of(Duration::from_millis(300), Default::default()).cx).await.unwrap_err();
    assert!(failure.class == Class::NotYet && failure.message.contains("timed out with "), "{failure:?}");
    assert!(failure.message.contains(" of 10000 over"), "{failure:?}");
    nginx.until_alone().await;
    // Cancelled, it ends at once and leaves nothing.
    let cut = attempt();
    let cancel = cut.cx.cancel.clone();
    let task = tokio::spawn({
        let (burst, cx) = (burst.clone(), cut.cx.clone());
        async move { burst.check(&cx).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    cancel.cancel();
    assert_eq!(task.await.unwrap().unwrap_err().class, Class::NotYet);
    nginx.until_alone().await;
}
