//! The two origins, at their own addresses.

use gonogo::sandbox::Sandbox;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::{aws, http, until, world};

async fn get(world: &Sandbox, new: bool, path: &str) -> Response {
    let at = world.endpoints();
    let origin = if new { at.new_origin } else { at.old_origin };
    http().get(format!("http://{origin}{path}")).header("host", "shop.acme.example").send().await.unwrap()
}

async fn heroku(world: &Sandbox, path: &str, body: Value) {
    let request = http().request(Method::PATCH, format!("{}/apps/acme-shop{path}", world.endpoints().heroku));
    let request = request.header("accept", "application/vnd.heroku+json; version=3").bearer_auth("sandbox-key");
    assert!(request.json(&body).send().await.unwrap().status().is_success());
}

#[tokio::test]
async fn each_side_says_who_it_is_and_keeps_its_orders() {
    let world = world(&[]).await;
    for (new, name, release) in [(false, "heroku", "v142"), (true, "aws", "web:41")] {
        let said = get(&world, new, "/healthz").await;
        assert_eq!((said.status().as_u16(), said.headers()["x-served-by"].to_str().unwrap()), (200, name));
        assert!(said.headers().contains_key("via"));
        assert_eq!(said.json::<Value>().await.unwrap(), json!({ "ok": true, "served_by": name, "release": release }));
        assert!(get(&world, new, "/").await.text().await.unwrap().contains(&format!("served by {name}")));
    }
    let order = http()
        .post(format!("http://{}/orders", world.endpoints().new_origin))
        .body(r#"{"sku":1}"#)
        .send()
        .await
        .unwrap();
    assert_eq!(order.status(), 201);
    let place = order.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(get(&world, true, &place).await.json::<Value>().await.unwrap()["body"], r#"{"sku":1}"#);
    assert_eq!(get(&world, false, &place).await.status(), 404, "the other side does not have it");
    assert_eq!(
        get(&world, true, "/orders").await.json::<Value>().await.unwrap()["orders"].as_array().unwrap().len(),
        1
    );
    assert_eq!(get(&world, true, "/nothing").await.status(), 404);
    assert_eq!(world.effects().await[0].operation, "POST /orders");
    let huge = http().post(format!("http://{}/orders", world.endpoints().new_origin)).body(vec![b'x'; 2 << 20]);
    assert!(huge.send().await.map_or(true, |it| it.status() == 413));
}

#[tokio::test]
async fn the_platforms_in_front_are_obeyed() {
    let world = world(&[]).await;
    heroku(&world, "", json!({ "maintenance": true })).await;
    let closed = get(&world, false, "/").await;
    assert_eq!((closed.status().as_u16(), closed.headers()["x-heroku-error"].to_str().unwrap()), (503, "H80"));
    assert!(closed.text().await.unwrap().contains("Offline for Maintenance"));
    assert_eq!(get(&world, true, "/").await.status(), 200, "maintenance is Heroku's");
    heroku(&world, "", json!({ "maintenance": false })).await;
    assert_eq!(get(&world, false, "/").await.status(), 200);
    heroku(&world, "/formation", json!({ "updates": [{ "type": "web", "quantity": 0 }] })).await;
    assert_eq!(get(&world, false, "/").await.headers()["x-heroku-error"], "H14");
    let ecs = aws_sdk_ecs::Client::new(&aws(world.endpoints()).await);
    ecs.update_service().cluster("acme").service("web").desired_count(0).send().await.unwrap();
    let empty = get(&world, true, "/").await;
    assert_eq!((empty.status().as_u16(), empty.headers()["server"].to_str().unwrap()), (503, "awselb/2.0"));
}

#[tokio::test]
async fn a_burst_of_errors_passes() {
    let world = world(&["web.5xx:once"]).await;
    let status = || async { get(&world, true, "/").await.status().as_u16() };
    for _ in 0..20 {
        assert_eq!(status().await, 200, "it waits for the first visitor");
    }
    let visit = || {
        http().get(format!("http://{}/", world.endpoints().new_origin)).header("user-agent", "sandbox-visitor").send()
    };
    visit().await.unwrap();
    until("500", status, |it| *it == 500).await;
    let start = std::time::Instant::now();
    let mut good = 0;
    // The burst is over when as many answers are good as chance would not give.
    while good < 20 {
        good = if status().await == 200 { good + 1 } else { 0 };
        assert!(start.elapsed() < super::PATIENCE, "the burst does not pass");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
