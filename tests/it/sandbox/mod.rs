//! The built-in world, asked by the real clients: the official SDK, raw DNS, reqwest, the real CLIs.

mod cli;
mod data;
mod dns;
mod ecs;
mod faults;
mod garbage;
mod heroku;
mod logs;
mod query;
mod reads;
mod restart;
mod route53;
mod watch;
mod web;

use std::{
    future::Future,
    sync::Once,
    time::{Duration, Instant},
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use gonogo::sandbox::{Config, Endpoints, Sandbox};

/// Longest wait for anything here.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A world with faults.
pub async fn world(faults: &[&str]) -> Sandbox {
    let faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
    Sandbox::start(Config { seed: 7, faults: Some(faults), ..Config::default() }).await.unwrap()
}

/// A client of everything but AWS.
pub fn http() -> reqwest::Client {
    static TLS: Once = Once::new();
    TLS.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// The SDK's configuration; retries are off, so that every refusal is seen.
pub async fn aws(at: &Endpoints) -> SdkConfig {
    aws_with(at, at.access_key_id, at.secret_access_key).await
}

pub async fn aws_with(at: &Endpoints, id: &str, secret: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .credentials_provider(Credentials::new(id, secret, None, None, "test"))
        .region(Region::new(at.region.clone()))
        .endpoint_url(&at.aws)
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .load()
        .await
}

/// Asks until the answer is the wanted one, and returns it.
pub async fn until<T, F: Future<Output = T>>(what: &str, mut ask: impl FnMut() -> F, good: impl Fn(&T) -> bool) -> T {
    let start = Instant::now();
    loop {
        let got = ask().await;
        if good(&got) {
            return got;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: did not come in {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
