//! `heroku.state`.

use gonogo::base::Class;
use serde_json::json;

use super::{
    contract::{attempt, check, check_changes_nothing, points_at},
    fake_http::FakeHttp,
    heroku_world::{answer, app, at, world},
};

#[tokio::test]
async fn in_the_built_in_world() {
    let world = world().await;
    let services = &world.services;
    let state = check("heroku.state", "maintenance = false\nformation = { worker = 0 }\ndynos = { run = 0 }", services);
    check_changes_nothing(state.as_ref(), async || world.changes().await).await;
    let failure = state.check(&attempt().cx).await.unwrap_err();
    assert!(failure.message.contains("worker is scaled to"), "{failure:?}");
    let slip = check("heroku.state", "dynos = { wroker = 0 }", services).check(&attempt().cx).await.unwrap();
    assert!(slip.line.contains("no process type wroker"), "{}", slip.line);
    let seen = check("heroku.state", "", services).check(&attempt().cx).await.unwrap();
    for part in [
        "acme-shop: maintenance off",
        "clock=1 web=2 worker=2",
        "no one-off dyno",
        "5 dynos (clock 1 up, web 2 up, worker 2 up)",
        "release v142 succeeded (Deploy 9be01d7)",
        "add-ons: heroku-postgresql:standard-0, heroku-redis:premium-0, scheduler:standard",
        "domains: shop.acme.example, www.acme.example",
        "drains: syslog+tls://logs.example:6514",
    ] {
        assert!(seen.line.contains(part), "{part}: {}", seen.line);
    }
    assert_eq!(seen.evidence["domains"][1]["cname"], "acme-shop.herokudns.example");
    assert!(seen.evidence["rate_limit_remaining"].as_u64().unwrap() > 4000, "{}", seen.evidence);
    let all = "maintenance = false\nformation = { web = 2 }\ndynos = { web = 2, run = 0 }\none_off = false\nrelease = 142\n\
               addons = { heroku-redis = 'provisioned', 'heroku-postgresql:standard-0' = 'provisioned', \
               postgresql-curved-12345 = 'heroku-postgresql:standard-0', papertrail = 'absent' }\n\
               domains = { 'SHOP.acme.example' = 'acme-shop.herokudns.example.' }\ndrains = ['logs.example']\n\
               stack = 'heroku-24'";
    check("heroku.state", all, services).check(&attempt().cx).await.unwrap();
}

/// What stands around the app is expected as well, and what is not so is named.
#[tokio::test]
async fn what_stands_around_it() {
    let world = world().await;
    world.send("POST", "/dynos", json!({ "command": "rake import", "type": "run" })).await;
    for (bad, said) in [
        ("one_off = false", "one-off dynos run: run."),
        (
            "addons = { heroku-redis = 'absent' }",
            "add-on redis-round-54321 (heroku-redis:premium-0) provisioned is there",
        ),
        ("addons = { papertrail = 'provisioned' }", "there is no add-on papertrail"),
        ("addons = { heroku-redis = 'heroku-redis:mini' }", "expected heroku-redis:mini"),
        ("domains = ['shop.acme.example', 'new.acme.example']", "the app has no domain new.acme.example"),
        ("domains = { 'shop.acme.example' = 'other.example' }", "has DNS target acme-shop.herokudns.example, expected"),
        ("drains = ['elsewhere.example']", "no drain to elsewhere.example"),
        ("stack = 'heroku-22'", "the stack is heroku-24, not heroku-22"),
        ("maintenance = true\nrelease = 9", "maintenance is on (and 1 more)"),
    ] {
        let failure = check("heroku.state", bad, &world.services).check(&attempt().cx).await.unwrap_err();
        assert_eq!(failure.class, Class::NotYet);
        let said = said.replace("maintenance is on", "maintenance is off");
        assert!(failure.message.contains(&said), "{bad}: {failure:?}");
    }
    assert_eq!(world.wire.changes(), 0);
    let services = &world.services;
    points_at("heroku.state", "addons = { a = '' }", services, "{ a = '' }", "needs a plain text");
    points_at("heroku.state", "domains = 3", services, "3", "a list of texts");
    points_at("heroku.state", "stack = ' '", services, "' '", "must not be empty");
}

/// A drain's address holds keys; nothing that is seen does.
#[tokio::test]
async fn keys_of_drains_are_not_shown() {
    let api = FakeHttp::start(|asked| match asked.path.as_str() {
        "/apps/acme-shop" => app(false),
        _ => answer(200, &json!([{ "url": "https://user:canary-1@logs.example:8443/in?key=canary-2" }])),
    })
    .await;
    let services = at(&api.url());
    for good in ["logs.example", "logs.example:8443", "https://logs.example:8443"] {
        let drains = check("heroku.state", &format!("drains = ['{good}']"), &services);
        let seen = drains.check(&attempt().cx).await.unwrap();
        assert!(!format!("{seen:?}").contains("canary"), "{seen:?}");
    }
}

#[tokio::test]
async fn everything_that_is_named_must_be_so() {
    let api = FakeHttp::start(|asked| match asked.path.as_str() {
        "/apps/acme-shop" => app(true),
        "/apps/acme-shop/formation" => answer(200, &json!([{ "type": "web", "quantity": 2 }])),
        "/apps/acme-shop/dynos" => answer(
            200,
            &json!([
                { "name": "web.1", "type": "web", "state": "up" },
                { "name": "web.2", "type": "web", "state": "crashed" },
                { "name": "run.9", "type": "run", "state": "up" },
            ]),
        ),
        _ => answer(
            206,
            &json!([{ "version": 41, "status": "succeeded", "description": "Deploy 1a2b" }, { "version": 40 }]),
        ),
    })
    .await;
    let services = at(&api.url());
    for good in ["maintenance = true", "formation = { web = 2 }", "dynos = { worker = 0, run = 1 }", "release = 41"] {
        check("heroku.state", good, &services).check(&attempt().cx).await.unwrap();
    }
    for (bad, said) in [
        ("maintenance = false", "maintenance is on"),
        ("formation = { web = 1 }", "web is scaled to 2, not 1"),
        ("formation = { worker = 0 }", "there is no process type worker"),
        ("dynos = { web = 2 }", "expected 2 dynos of web, found web.1 up, web.2 crashed"),
        ("dynos = { run = 0 }", "expected 0 dynos of run, found run.9 up"),
        ("release = 42", "newest release is v41 succeeded (Deploy 1a2b), expected v42"),
    ] {
        let failure = check("heroku.state", bad, &services).check(&attempt().cx).await.unwrap_err();
        assert_eq!(failure.class, Class::NotYet);
        assert!(failure.message.contains(said), "{bad}: {failure:?}");
    }
    assert_eq!(api.changes(), 0);
    points_at("heroku.state", "maintenance = 1", &services, "1", "true or false");
    points_at("heroku.state", "dynos = { web = \"2\" }", &services, "\"2\"", "quantity of `web`");
}

/// An API that cannot be reached tells nothing about the app: polling goes on, a watch has no data.
#[tokio::test]
async fn no_data_is_neither_good_nor_bad() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let state = check("heroku.state", "maintenance = false", &at(&format!("http://{closed}")));
    let attempt = super::contract::attempt_of(std::time::Duration::from_secs(2), Default::default());
    let failure = state.check(&attempt.cx).await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet);
    assert!(failure.message.starts_with("no data: "), "{failure:?}");
}
