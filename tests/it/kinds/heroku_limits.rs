//! Heroku's API at its limits: throttled, out of order, lying, slow, cut off. Every Heroku kind uses the same client.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use gonogo::{
    base::Class,
    runbook::{EnvKind, HerokuEnv},
    services::heroku::Limits,
};
use serde_json::json;

use super::{
    contract::{action, attempt, attempt_of, check, env},
    fake_http::{Asked, FakeHttp, Say},
    heroku_world::{app, at, world_with},
};

const ON: &str = "on = true";

fn turned_away(retry_after: &str) -> Say {
    let body = json!({ "id": "rate_limit", "message": "Your account reached the API rate limit" }).to_string();
    Say::Answer(429, vec![("retry-after", retry_after.into())], body.into_bytes())
}

/// Whatever `Retry-After` says: neither a loop nor an endless wait, and nothing was done.
#[tokio::test]
async fn retry_after_in_every_form() {
    for (asked, least, most) in [("0", 0.9, 8.0), ("garbage", 0.9, 8.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.9, 8.0)] {
        let api = FakeHttp::start(move |it| if it.count == 0 { turned_away(asked) } else { app(true) }).await;
        let started = Instant::now();
        at(&api.url()).heroku.read_app(&Limits::short()).await.unwrap();
        let took = started.elapsed().as_secs_f32();
        assert!((least..most).contains(&took), "{asked}: {took}");
        assert_eq!(api.count(), 2, "{asked}");
    }
    // Always turned away: the waits grow, and the deadline ends them.
    let api = FakeHttp::start(|_| turned_away("0")).await;
    let short = attempt_of(Duration::from_secs(5), BTreeMap::new());
    let failure = action("heroku.maintenance", ON, &at(&api.url())).capture(&short.cx).await.unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone);
    assert!(failure.hint.as_deref().unwrap().contains("75 requests a minute"), "{failure:?}");
    assert!(api.count() <= 6, "{} requests in 5 s", api.count());
    // A wait beyond the deadline, or beyond a minute, is not begun.
    for asked in ["1000000000", "31"] {
        let api = FakeHttp::start(move |_| turned_away(asked)).await;
        let started = Instant::now();
        let failure = action("heroku.maintenance", ON, &at(&api.url())).capture(&attempt().cx).await.unwrap_err();
        assert_eq!((failure.class, api.count()), (Class::FailedNothingDone, 1), "{asked}");
        assert!(started.elapsed().as_secs() < 5, "{asked}");
    }
}

/// Where little of the hour's limit is left, reads slow down, so that it grows again; changes do not.
#[tokio::test]
async fn the_hourly_limit_is_spared() {
    let left = |n: &'static str| {
        FakeHttp::start(move |asked: &Asked| {
            let body = json!({ "name": "acme-shop", "maintenance": asked.count > 1 }).to_string();
            Say::Answer(200, vec![("ratelimit-remaining", n.into())], body.into_bytes())
        })
    };
    for (n, least, most) in [("499", 1.9, 9.0), ("500", 0.0, 1.9)] {
        let api = left(n).await;
        let services = at(&api.url());
        services.heroku.read_app(&Limits::short()).await.unwrap();
        assert_eq!(services.heroku.remaining(), Some(n.parse().unwrap()));
        let started = Instant::now();
        services.heroku.read_app(&Limits::short()).await.unwrap();
        let took = started.elapsed().as_secs_f32();
        assert!((least..most).contains(&took), "{n}: {took}");
        let started = Instant::now();
        services.heroku.patch("", &json!({ "maintenance": true }), &Limits::short()).await.unwrap();
        assert!(started.elapsed().as_secs_f32() < 1.5, "{n}: a change does not wait");
    }
    let api = left("12").await;
    let state = check("heroku.state", "maintenance = false", &at(&api.url()));
    let seen = state.check(&attempt().cx).await.unwrap();
    assert!(seen.line.ends_with("only 12 requests left of the account's hourly limit"), "{}", seen.line);
    // Without the time to wait, it asks.
    let short = attempt_of(Duration::from_secs(3), BTreeMap::new());
    let _either_way = state.check(&short.cx).await;
    assert_eq!(api.count(), 2);
}

/// Heroku's own words for a refusal lead to what a person can do.
#[tokio::test]
async fn refusals_and_their_hints() {
    for (status, id, class, hint) in [
        (401, "unauthorized", Class::Denied, "heroku auth:whoami"),
        (402, "delinquent", Class::Denied, "unpaid bill"),
        (403, "two_factor", Class::Denied, "second factor"),
        (403, "sso_required", Class::Denied, "heroku login --sso"),
        (403, "suspended", Class::Denied, "suspended"),
        (403, "forbidden", Class::Denied, "the owner can give"),
        (422, "verification_needed", Class::Refused, "verified in the dashboard"),
        (429, "rate_limit", Class::FailedNothingDone, "75 requests"),
        (503, "service_unavailable", Class::Unknown, "look before it is sent again; Heroku asks for 40 s"),
    ] {
        let api = FakeHttp::start(move |asked: &Asked| match asked.method.as_str() {
            "GET" => app(false),
            _ => {
                let body = json!({ "id": id, "message": "Words." }).to_string();
                Say::Answer(status, vec![("retry-after", "40".into())], body.into_bytes())
            }
        })
        .await;
        let failure = action("heroku.maintenance", ON, &at(&api.url())).apply(&attempt().cx, &json!(null)).await;
        let failure = failure.unwrap_err();
        assert_eq!(failure.class, class, "{id}: {failure:?}");
        assert!(failure.hint.as_deref().unwrap_or_default().contains(hint), "{id}: {failure:?}");
        assert!(failure.causes.contains(&format!("{id}: Words.")), "{failure:?}");
        assert_eq!(api.changes(), 1, "{id}");
    }
}

/// Pages of HTML, redirects, endless and broken answers: never taken for an answer, and never followed.
#[tokio::test]
async fn what_is_no_answer() {
    let page = || b"<html><body>Application error</body></html>".to_vec();
    let html = FakeHttp::start(move |_| Say::Answer(200, vec![("content-type", "text/html".into())], page())).await;
    let failure = at(&html.url()).heroku.read_app(&Limits::short()).await.unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone);
    assert!(failure.message.ends_with("with no JSON (text/html)"), "{failure:?}");

    let portal = FakeHttp::start(move |asked: &Asked| match asked.method.as_str() {
        "GET" => app(false),
        _ => Say::Answer(200, vec![("content-type", "text/html".into())], page()),
    })
    .await;
    let failure = action("heroku.maintenance", ON, &at(&portal.url())).apply(&attempt().cx, &json!(null)).await;
    assert_eq!(failure.unwrap_err().class, Class::Unknown, "what a portal swallowed may have got through");

    let other = FakeHttp::start(|_| app(false)).await;
    let to = format!("http://user:canary@{}/apps", other.address);
    let moved = FakeHttp::start(move |_| Say::Answer(307, vec![("location", to.clone())], Vec::new())).await;
    let failure = at(&moved.url()).heroku.read_app(&Limits::short()).await.unwrap_err();
    assert_eq!((failure.class, other.count()), (Class::Refused, 0), "{failure:?}");
    assert_eq!(failure.causes, ["it points to 127.0.0.1; redirects are not followed"]);

    let endless = FakeHttp::start(|_| Say::Answer(200, Vec::new(), vec![b'['; 9 << 20])).await;
    let failure = at(&endless.url()).heroku.read_app(&Limits::short()).await.unwrap_err();
    assert!(failure.message.ends_with("with more than 8 MiB"), "{failure:?}");

    // A list whose pages never end is no list.
    let paged = FakeHttp::start(|_| Say::Answer(206, vec![("next-range", "id ]x..".into())], b"[]".to_vec())).await;
    let failure = at(&paged.url()).heroku.dynos(&Limits::short()).await.unwrap_err();
    assert!(failure.message.contains("more than 50 pages"), "{failure:?}");
    // Nor is one whose second page is none.
    let half = FakeHttp::start(|asked| match asked.header("range") {
        None => Say::Answer(206, vec![("next-range", "id ]x..".into())], b"[]".to_vec()),
        Some(_) => Say::Answer(200, Vec::new(), b"{\"oops\": 1}".to_vec()),
    })
    .await;
    let failure = at(&half.url()).heroku.dynos(&Limits::short()).await.unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone, "{failure:?}");
    assert!(failure.message.ends_with("is not what the API promises"), "{failure:?}");
}

/// Every kind at an API that drips, resets and stops: over in time, and nothing is green.
#[tokio::test]
async fn slow_and_cut_off() {
    let kinds = [
        ("heroku.maintenance", "on = true", true),
        ("heroku.scale", "to = 0", true),
        ("heroku.config", "unset = ['A']", true),
        ("heroku.state", "", false),
        ("heroku.lock_deploys", "", false),
        ("heroku.scheduler", "", false),
    ];
    for (name, text, acts) in kinds {
        for (way, api) in
            [("drip", FakeHttp::start(|_| Say::Drip).await), ("reset", FakeHttp::start(|_| Say::Reset).await)]
        {
            let short = attempt_of(Duration::from_millis(900), BTreeMap::new());
            let started = Instant::now();
            let failure = if acts {
                action(name, text, &at(&api.url())).capture(&short.cx).await.map(drop).unwrap_err()
            } else {
                check(name, text, &at(&api.url())).check(&short.cx).await.map(drop).unwrap_err()
            };
            assert!(failure.class.nothing_done(), "{name} {way}: {failure:?}");
            assert!(started.elapsed() < Duration::from_secs(5), "{name} {way}: {:?}", started.elapsed());
            assert!(api.count() > 0, "{name} {way}: it was not asked");
        }
    }
}

/// The same faults in the built-in world, as a rehearsal orders them.
#[tokio::test]
async fn a_rehearsal_meets_them() {
    for (fault, class, said) in [
        ("heroku.two_factor:once", Class::Denied, "second factor"),
        ("heroku.html:always", Class::NotYet, ""),
        ("heroku.503:always", Class::NotYet, "status.heroku.com"),
    ] {
        let world = world_with(&[fault]).await;
        let short = attempt_of(Duration::from_secs(6), BTreeMap::new());
        let failure = check("heroku.state", "", &world.services).check(&short.cx).await.unwrap_err();
        assert_eq!(failure.class, class, "{fault}: {failure:?}");
        assert!(failure.hint.as_deref().unwrap_or_default().contains(said), "{fault}: {failure:?}");
        // A page of HTML is no answer of the API's.
        let wrong = world.wire.wrong();
        assert_eq!(wrong.is_empty(), fault != "heroku.html:always", "{wrong:?}");
    }
    let world = world_with(&["heroku.503:once", "heroku.rate_limit:once", "heroku.html:once"]).await;
    check("heroku.state", "", &world.services).check(&attempt().cx).await.unwrap();
    world.wire.wrong();
}

/// A token that no header takes is told without being shown.
#[tokio::test]
async fn a_token_of_several_lines() {
    use gonogo::runbook::{SecretRef, SecretSource};
    let api = FakeHttp::start(|_| app(false)).await;
    let mut env = env();
    env.kind = EnvKind::Rehearsal;
    env.heroku = Some(HerokuEnv { app: "acme-shop".into(), endpoint: Some(api.url()), token: Some("token".into()) });
    let source = SecretSource::Command(vec!["printf".into(), "HRKU-canary\\nsecond".into()]);
    let secrets = [SecretRef { name: "token".into(), span: 0..0, source }];
    let services = super::contract::services_with(env, &secrets, std::sync::Arc::default());
    let failure = services.heroku.identity().await.unwrap_err();
    assert_eq!((failure.class, api.count()), (Class::Denied, 0));
    assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
}
