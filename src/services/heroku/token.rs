//! Where the API token comes from. In a sandbox nothing of the user's is read: a real token must
//! never be sent to something that only looks like Heroku.

use std::path::PathBuf;

use reqwest::Url;

use super::netrc;
use crate::{
    base::{Class, Failure, Secret},
    runbook::{HerokuEnv, SecretSource},
    services::Secrets,
};

/// The sandbox's token; it opens nothing else.
use crate::base::sandbox::HEROKU_API_KEY as SANDBOX;

pub(super) async fn find(env: &HerokuEnv, sandbox: bool, base: &Url, secrets: &Secrets) -> Result<Secret, Failure> {
    if sandbox {
        return Ok(Secret::new(SANDBOX.into()));
    }
    if let Some(name) = &env.token {
        if let Some(SecretSource::HerokuConfig(_)) = secrets.source(name) {
            return Err(Failure::new(
                Class::Misconfigured,
                format!("secret `{name}` needs the Heroku token, and is it"),
            ));
        }
        return sendable(secrets.open(name).await?);
    }
    let token = match std::env::var("HEROKU_API_KEY") {
        Ok(key) if !key.trim().is_empty() => Some(key.trim().to_owned()),
        _ => from_netrc(base),
    };
    let Some(token) = token else {
        return Err(Failure::new(Class::Denied, "no Heroku token")
            .hint("set HEROKU_API_KEY, run `heroku login`, or name a secret: heroku = { token = \"…\" }"));
    };
    let secret = Secret::new(token);
    secrets.learn(&secret);
    sendable(secret)
}

/// A token goes into a header; one that cannot is told here, because the client's own words would show it.
fn sendable(token: Secret) -> Result<Secret, Failure> {
    if token.expose().bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(token);
    }
    Err(Failure::new(Class::Denied, "the Heroku token holds blanks or characters that no header takes")
        .hint("is it the token alone, on one line?"))
}

fn from_netrc(base: &Url) -> Option<String> {
    let file = std::env::var_os("NETRC").map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".netrc")))?;
    let text = zeroize::Zeroizing::new(std::fs::read_to_string(file).ok()?);
    let host = base.host_str()?;
    // The Heroku CLI looks for the port too where there is one.
    let with_port = base.port().map(|port| format!("{host}:{port}"));
    let machines: Vec<&str> = with_port.iter().map(String::as_str).chain([host]).collect();
    netrc::password(&text, &machines)
}
