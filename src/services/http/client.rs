//! The client of an API that is asked again and again: its connections are kept, the user's proxy is honoured.

use std::{error::Error, sync::OnceLock};

use reqwest::{Url, redirect::Policy};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::{CONNECT, provider};
use crate::{
    base::{Class, Failure, clean_line},
    runbook::{Env, EnvKind},
};

/// A client of an API at one URL. Its connections are kept for the next request; the user's proxy is honoured outside
/// the sandbox.
pub fn client(env: &Env, url: &Url) -> Result<reqwest::Client, Failure> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("gonogo/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .connect_timeout(CONNECT)
        .retry(reqwest::retry::never())
        .tls_backend_preconfigured(tls(env, url)?);
    if env.kind == EnvKind::Sandbox {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|e| Failure::new(Class::Misconfigured, format!("no HTTP client: {}", cause(&e))))
}

/// The system's certificates, read once and only where TLS is spoken; or the environment's own authority alone.
fn tls(env: &Env, url: &Url) -> Result<ClientConfig, Failure> {
    if let Some(ca) = env.http.ca.as_deref().filter(|_| url.scheme() == "https") {
        return trusting(ca)
            .map_err(|e| Failure::new(Class::Misconfigured, format!("the environment's own authority: {e}")));
    }
    static SYSTEM: OnceLock<Result<ClientConfig, String>> = OnceLock::new();
    static NONE: OnceLock<Result<ClientConfig, String>> = OnceLock::new();
    let config = if url.scheme() == "https" { SYSTEM.get_or_init(system) } else { NONE.get_or_init(none) };
    config
        .clone()
        .map_err(|e| Failure::new(Class::Misconfigured, format!("TLS cannot be set up: {}", clean_line(&e, 200))))
}

fn system() -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|e| e.to_string())?.with_platform_verifier().map_err(|e| e.to_string())?;
    Ok(builder.with_no_client_auth())
}

fn trusting(pem: &str) -> Result<ClientConfig, String> {
    let roots = crate::services::tls::roots(pem.as_bytes())?;
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    Ok(builder.map_err(|e| e.to_string())?.with_root_certificates(roots).with_no_client_auth())
}

/// Trusts nobody; it is never used, because the URL is plain HTTP and redirects get a client of their own.
fn none() -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    Ok(builder.map_err(|e| e.to_string())?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// The innermost reason of an error, which is the one that people know: `connection refused`.
pub fn cause(error: &reqwest::Error) -> String {
    let mut at: &dyn Error = error;
    while let Some(next) = at.source() {
        at = next;
    }
    let text = match at.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(std::io::ErrorKind::ConnectionRefused) => "nothing listens there (connection refused)".to_owned(),
        Some(std::io::ErrorKind::ConnectionReset) => "reset by the other side".to_owned(),
        _ if error.is_timeout() => "no answer in time".to_owned(),
        _ => at.to_string(),
    };
    clean_line(&text, 300)
}
