//! `http.send` at a real nginx and at servers that hang, reset and refuse.

use std::{sync::Arc, time::Duration};

use gonogo::{
    base::{Class, Redactor},
    plan::{Action, Doubt, Finding},
    runbook::{SecretRef, SecretSource},
    services::Services,
};
use serde_json::Value as Json;

use super::{
    contract::{action, attempt, attempt_of, cut_short_is_unknown, env, points_at, services, services_with},
    fake_http::{FakeHttp, Say, ok},
};
use crate::nginx::{Nginx, free_port};

fn secret(name: &str, value: &str) -> SecretRef {
    let source = SecretSource::Command(vec!["printf".into(), value.into()]);
    SecretRef { name: name.into(), span: 0..0, source }
}

fn sends(services: &Arc<Services>, params: &str) -> Arc<dyn Action> {
    action("http.send", params, services)
}

#[tokio::test]
async fn sends_once_with_a_token_and_is_probed() {
    let server = FakeHttp::start(|asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", "/hook") => Say::Answer(202, vec![("x-request-id", "req-7".into())], b"{\"ok\": true}".to_vec()),
        ("GET", "/done") => ok("{\"state\": \"done\"}"),
        ("GET", "/open") => ok("{\"state\": \"open\"}"),
        ("GET", "/hang") => Say::Hang,
        ("GET", "/gone") => Say::Answer(404, Vec::new(), Vec::new()),
        ("GET", "/html") => ok("<h1>Maintenance</h1>"),
        ("GET", path) if path.len() == 4 => Say::Answer(path[1..].parse().unwrap(), Vec::new(), Vec::new()),
        _ => Say::Answer(404, Vec::new(), Vec::new()),
    })
    .await;
    let secrets = [secret("key", "canary-value"), secret("hook", &format!("{}/hook", server.url()))];
    let redactor = Arc::new(Redactor::default());
    let services = services_with(env(), &secrets, redactor.clone());
    let params = |probe: &str| {
        format!(
            "url = \"${{secret.hook}}\"\nheaders = {{ X-Key = \"${{secret.key}}\" }}\nbody_json = {{ key = \"${{secret.key}}\", who = \"{{{{step}}}}\", \
             id = \"{{{{token}}}}\" }}\nstatus = 202\njson = {{ ok = true }}\n\
             probe = {{ kind = \"http.check\", url = \"{}/{probe}\", json = {{ state = \"done\" }}, timeout = \"500ms\" }}",
            server.url()
        )
    };
    let send = sends(&services, &params("done"));
    let does = send.does().join("\n");
    assert!(does.contains("POST ${secret.hook} expects 202") && does.contains("token as idempotency-key"), "{does}");
    assert_eq!((send.doubt(), send.restorable(), send.changes()), (Doubt::Opaque, false, true));
    let attempt = attempt();
    assert_eq!(send.capture(&attempt.cx).await.unwrap(), Json::Null);
    assert_eq!(server.count(), 0, "capture sends nothing");
    let done = send.apply(&attempt.cx, &Json::Null).await.unwrap();
    assert!(done.line.contains("POST ${secret.hook}: 202 in ") && done.evidence["request_id"] == "req-7", "{done:?}");
    let first = server.asked.lock().unwrap()[0].clone();
    assert_eq!(
        (first.header("x-key"), first.header("idempotency-key")),
        (Some("canary-value"), Some(&*attempt.cx.token))
    );
    let body: Json = serde_json::from_str(&first.body).unwrap();
    assert_eq!(
        (&body["key"], &body["who"], &body["id"]),
        (&"canary-value".into(), &"step".into(), &(&*attempt.cx.token).into())
    );
    // A retry of an attempt whose end nobody saw says the same.
    send.apply(&attempt.cx, &Json::Null).await.unwrap();
    assert_eq!(server.asked.lock().unwrap()[1].header("idempotency-key"), Some(&*attempt.cx.token));
    assert!(matches!(send.probe(&attempt.cx, &Json::Null, false).await.unwrap(), Finding::Done(_)));
    let open = sends(&services, &params("open"));
    assert!(matches!(open.probe(&attempt.cx, &Json::Null, false).await.unwrap(), Finding::NotDone { .. }));
    let gone = sends(&services, &params("gone"));
    assert!(matches!(gone.probe(&attempt.cx, &Json::Null, false).await.unwrap(), Finding::NotDone { .. }));
    // Whoever answers like that has not looked.
    for turned_away in ["302", "401", "403", "407", "408", "425", "429", "500", "503", "html"] {
        let send = sends(&services, &params(turned_away));
        let found = send.probe(&attempt.cx, &Json::Null, false).await.unwrap();
        assert!(matches!(found, Finding::Unclear { .. }), "{turned_away}: {found:?}");
    }
    // Nor has one of another type, or a visit that did not come as far as the look.
    let probe = |rest: &str| {
        format!("url = \"{0}/hook\"\nprobe = {{ kind = \"http.check\", url = \"{0}\", {rest} }}", server.url())
    };
    for lost in [
        "steps = [{ url = \"/open\", type = \"application/json\", json = { state = \"done\" } }]",
        "steps = [{ url = \"/gone\" }, { url = \"/open\", json = { state = \"done\" } }]",
        "steps = [{ url = \"/open\", capture = { id = \"$.id\" } }, { url = \"/open\", json = { state = \"done\" } }]",
    ] {
        let found = sends(&services, &probe(lost)).probe(&attempt.cx, &Json::Null, false).await.unwrap();
        assert!(matches!(found, Finding::Unclear { .. }), "{lost}: {found:?}");
    }
    let looked = "steps = [{ url = \"/done\" }, { url = \"/open\", json = { state = \"done\" } }]";
    let found = sends(&services, &probe(looked)).probe(&attempt.cx, &Json::Null, false).await.unwrap();
    assert!(matches!(found, Finding::NotDone { .. }), "{found:?}");
    let late = params("done").replace("timeout = \"500ms\"", "max_latency = \"0ms\"");
    let found = sends(&services, &late).probe(&attempt.cx, &Json::Null, false).await.unwrap();
    assert!(matches!(found, Finding::Unclear { .. }), "{found:?}");
    let hang = sends(&services, &params("hang"));
    assert!(matches!(hang.probe(&attempt.cx, &Json::Null, false).await.unwrap(), Finding::Unclear { .. }));
    assert!(matches!(send.probe(&attempt.cx, &Json::Null, true).await.unwrap(), Finding::Unclear { .. }));
    assert_eq!(server.changes(), 2, "a probe only reads");
    assert_eq!(send.restore(&attempt.cx, &Json::Null).await.unwrap_err().class, Class::Misconfigured);
    assert!(!redactor.redact(&format!("{}/hook", server.url())).contains("hook"), "the address is a secret");
}

/// Nothing to send is said, where a body is usual: some servers answer 411 otherwise.
#[tokio::test]
async fn a_post_without_a_body_says_its_length() {
    let server = FakeHttp::start(|_| ok("")).await;
    let services = services(env());
    for (method, told) in [("POST", Some("0")), ("PUT", Some("0")), ("DELETE", None)] {
        let send = sends(&services, &format!("url = \"{}/\"\nmethod = \"{method}\"", server.url()));
        send.apply(&attempt().cx, &Json::Null).await.unwrap();
        assert_eq!(server.asked.lock().unwrap().last().unwrap().header("content-length"), told, "{method}");
    }
}

/// What an answer proves.
#[tokio::test]
async fn classes_say_what_is_known() {
    let nginx = Nginx::start(
        "server { listen 127.0.0.1:{0}; location ~ ^/(?<code>[0-9]+)$ { set $c $code;
            if ($c = 401) { return 401; } if ($c = 403) { return 403; } if ($c = 404) { return 404; } if ($c = 409) { return 409; }
            if ($c = 429) { return 429; } if ($c = 500) { return 500; } if ($c = 501) { return 501; }
            if ($c = 503) { return 503; } if ($c = 301) { return 301 /x; } if ($c = 303) { return 303 /x; } return 200 \"{}\"; } }",
    );
    let services = services(env());
    let told = async |path: &str, rest: &str| {
        let send = sends(&services, &format!("url = \"{}{path}\"\nbody = \"x\"\n{rest}", nginx.url(0)));
        send.apply(&attempt().cx, &Json::Null).await.map(|done| done.line)
    };
    told("/200", "").await.unwrap();
    for (code, class) in [
        (401, Class::Denied),
        (403, Class::Denied),
        (404, Class::Refused),
        (409, Class::Refused),
        (429, Class::FailedNothingDone),
        (500, Class::Unknown),
        (501, Class::Refused),
        (503, Class::Unknown),
        (301, Class::Refused),
        (303, Class::Unknown),
    ] {
        let failure = told(&format!("/{code}"), "").await.unwrap_err();
        assert_eq!(failure.class, class, "{code}: {failure:?}");
        assert!(failure.message.contains(&format!("status {code}")), "{failure:?}");
    }
    // Sent again: the first one is there, or still being worked on.
    let mut again = attempt();
    again.cx.again = true;
    let send = sends(&services, &format!("url = \"{}/409\"", nginx.url(0)));
    let failure = send.apply(&again.cx, &Json::Null).await.unwrap_err();
    assert_eq!(failure.class, Class::Unknown, "{failure:?}");
    // It was taken, and something is wrong with what it says.
    let failure = told("/200", "json = { ok = true }").await.unwrap_err();
    assert_eq!(failure.class, Class::Failed, "{failure:?}");
    told("/500", "status = 500").await.unwrap();
    // No connection: no byte was sent.
    let closed = sends(&services, &format!("url = \"http://127.0.0.1:{}/\"", free_port()));
    let failure = closed.apply(&attempt().cx, &Json::Null).await.unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone, "{failure:?}");
    nginx.until_alone().await;
    // Accepted by the kernel, and nobody there to read it.
    nginx.signal("-STOP");
    let frozen = sends(&services, &format!("url = \"{}/200\"\ntimeout = \"300ms\"", nginx.url(0)));
    let failure = frozen.apply(&attempt().cx, &Json::Null).await.unwrap_err();
    assert_eq!(failure.class, Class::Unknown, "{failure:?}");
    nginx.signal("-CONT");
    nginx.until_alone().await;
}

#[tokio::test]
async fn a_server_that_asks_to_wait_is_heard() {
    let server = FakeHttp::start(|asked| {
        let after = if asked.path == "/long" { "99999999999999999999" } else { "7" };
        Say::Answer(429, vec![("retry-after", after.into())], Vec::new())
    })
    .await;
    let services = services(env());
    for (path, after) in [("/", 7), ("/long", u64::MAX)] {
        let send = sends(&services, &format!("url = \"{}{path}\"", server.url()));
        let failure = send.apply(&attempt().cx, &Json::Null).await.unwrap_err();
        assert_eq!((failure.class, failure.after), (Class::FailedNothingDone, Some(Duration::from_secs(after))));
    }
}

#[tokio::test]
async fn no_answer_is_unknown_whatever_the_method() {
    let server = FakeHttp::start(|asked| if asked.path == "/reset" { Say::Reset } else { Say::Hang }).await;
    let services = services(env());
    for method in ["POST", "GET", "DELETE"] {
        let send = sends(&services, &format!("url = \"{}/reset\"\nmethod = \"{method}\"", server.url()));
        let failure = send.apply(&attempt().cx, &Json::Null).await.unwrap_err();
        assert_eq!(failure.class, Class::Unknown, "{method}: {failure:?}");
    }
    let before = server.changes();
    let hang = sends(&services, &format!("url = \"{}/hang\"\nbody = \"x\"", server.url()));
    cut_short_is_unknown(hang.clone(), Json::Null, async || server.until_changes(before + 1).await).await;
    // Cancelled before it began.
    let cut = attempt_of(Duration::from_secs(30), Default::default());
    cut.cx.cancel.cancel();
    let failure = hang.apply(&cut.cx, &Json::Null).await.unwrap_err();
    assert!(failure.class.nothing_done(), "{failure:?}");
}

#[tokio::test]
async fn bad_parameters() {
    let services = services(env());
    let url = "url = \"http://a.b\"\n";
    for (text, marked, message) in [
        (String::new(), "", "needs `url`"),
        (format!("{url}follow = true"), "follow", "does not know"),
        (format!("{url}idempotency_key = \"a b\""), "\"a b\"", "name of a header"),
        (format!("{url}probe = {{ kind = \"http.send\" }}"), "\"http.send\"", "needs the kind of a check"),
        (format!("{url}probe = \"x\""), "\"x\"", "must be a check"),
        (format!("{url}body = \"{{{{tokn}}}}\""), "\"{{tokn}}\"", "nothing fills in"),
        (format!("{url}body_json = {{ a = \"{{{{id}}}}\" }}"), "{ a = \"{{id}}\" }", "nothing fills in"),
        (format!("{url}timeout = \"0s\""), "\"0s\"", "longer than nothing"),
    ] {
        points_at("http.send", &text, &services, marked, message);
    }
}
