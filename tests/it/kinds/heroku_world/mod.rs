//! What the tests of the Heroku kinds share: the built-in world behind a proxy that holds every request and answer
//! against Heroku's schema, and an API that lies.

mod draft4;
pub mod schema;
mod types;
pub mod wire;

use std::sync::Arc;

use gonogo::{
    runbook::{DnsEnv, EnvKind, HerokuEnv, HttpEnv},
    sandbox::{Config, Sandbox},
    services::Services,
};
use serde_json::json;

use super::{
    contract::{env, services},
    fake_http::Say,
};
use wire::Wire;

/// The services of an API at an endpoint, whose app is `acme-shop`.
pub fn at(endpoint: &str) -> Arc<Services> {
    let mut env = env();
    env.kind = EnvKind::Sandbox;
    env.heroku = Some(HerokuEnv { app: "acme-shop".into(), endpoint: Some(endpoint.into()), token: None });
    services(env)
}

/// The built-in world, reached through the proxy.
pub struct World {
    pub services: Arc<Services>,
    pub wire: Wire,
    pub sandbox: Sandbox,
}

pub async fn world() -> World {
    world_with(&[]).await
}

/// With faults.
pub async fn world_with(faults: &[&str]) -> World {
    let faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
    let sandbox = Sandbox::start(Config { seed: 7, faults: Some(faults), ..Config::default() }).await.unwrap();
    let wire = Wire::to(&sandbox.endpoints().heroku).await;
    World { services: at(&wire.endpoint), wire, sandbox }
}

impl World {
    /// How often the world's Heroku side was changed.
    pub async fn changes(&self) -> usize {
        self.sandbox.effects().await.iter().filter(|effect| effect.service == "heroku").count()
    }

    /// Somebody else asks something of the app, behind the client's back.
    pub async fn send(&self, method: &str, path: &str, body: serde_json::Value) -> serde_json::Value {
        let url = format!("{}/apps/acme-shop{path}", self.sandbox.endpoints().heroku);
        let request = crate::sandbox::http().request(method.parse().unwrap(), url);
        let request = request.header("accept", "application/vnd.heroku+json; version=3").bearer_auth("sandbox-key");
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap()
    }
}

/// An answer with a request id.
pub fn answer(status: u16, body: &serde_json::Value) -> Say {
    Say::Answer(status, vec![("request-id", "req-4711".into())], body.to_string().into_bytes())
}

pub fn app(maintenance: bool) -> Say {
    answer(200, &json!({ "name": "acme-shop", "maintenance": maintenance }))
}

/// The built-in world seen through DNS and HTTP, as a rehearsal sees it.
pub fn inside(sandbox: &Sandbox) -> Arc<Services> {
    let at = sandbox.endpoints();
    let mut env = env();
    env.kind = EnvKind::Sandbox;
    env.heroku = Some(HerokuEnv { app: at.heroku_app.clone(), endpoint: Some(at.heroku.clone()), token: None });
    env.dns = DnsEnv { resolvers: at.resolvers.clone(), authoritative: at.authoritative.clone(), ..DnsEnv::default() };
    env.http = HttpEnv { resolve_only_by_dns: true, default_port: Some(at.web_port), ..HttpEnv::default() };
    services(env)
}
