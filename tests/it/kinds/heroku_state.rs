//! `heroku.state`.

use gonogo::base::Class;
use serde_json::json;

use super::{
    contract::{attempt, check, check_changes_nothing, points_at},
    fake_http::FakeHttp,
    heroku_maintenance::{answer, app, at, changes, world},
};

#[tokio::test]
async fn in_the_built_in_world() {
    let (sandbox, services) = world().await;
    let state =
        check("heroku.state", "maintenance = false\nformation = { worker = 0 }\ndynos = { run = 0 }", &services);
    check_changes_nothing(state.as_ref(), async || changes(&sandbox).await).await;
    let failure = state.check(&attempt().cx).await.unwrap_err();
    assert!(failure.message.contains("worker is scaled to"), "{failure:?}");
    let seen = check("heroku.state", "", &services).check(&attempt().cx).await.unwrap();
    assert_eq!(seen.line, "acme-shop: maintenance off");
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
