//! Where the API token comes from. In a sandbox nothing of the user's is read: a real token must
//! never be sent to something that only looks like Heroku.

use std::path::PathBuf;

use reqwest::Url;

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
        return secrets.open(name).await;
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
    Ok(secret)
}

fn from_netrc(base: &Url) -> Option<String> {
    let file = std::env::var_os("NETRC").map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".netrc")))?;
    let text = zeroize::Zeroizing::new(std::fs::read_to_string(file).ok()?);
    let host = base.host_str()?;
    // The Heroku CLI looks for the port too where there is one.
    let with_port = base.port().map(|port| format!("{host}:{port}"));
    with_port.and_then(|machine| password(&text, &machine)).or_else(|| password(&text, host))
}

/// The password of a machine in a netrc file (netrc(5)): words between blanks; a comment after `#`, a macro to
/// the next empty line.
fn password(text: &str, machine: &str) -> Option<String> {
    let mut here = false;
    let mut in_macro = false;
    let mut key: Option<&str> = None;
    for line in text.lines() {
        if in_macro {
            in_macro = !line.trim().is_empty();
            continue;
        }
        for word in line.split_whitespace() {
            match key.take() {
                Some("machine") => here = word == machine,
                Some("password") if here => return Some(word.trim_matches('"').to_owned()),
                Some(_) => {}
                None => match word {
                    "machine" | "login" | "password" | "account" => key = Some(word),
                    "default" => here = true,
                    "macdef" => {
                        in_macro = true;
                        break;
                    }
                    _ if word.starts_with('#') => break,
                    _ => {}
                },
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netrc() {
        let text = "# mine\nmachine git.heroku.com login a password no\nmachine api.heroku.com\n  login a@b.c\n  password HRKU-1\n\
                    macdef init\nmachine x password trap\n\nmachine 127.0.0.1:5000 password local\n";
        assert_eq!(password(text, "api.heroku.com").as_deref(), Some("HRKU-1"));
        assert_eq!(password(text, "127.0.0.1:5000").as_deref(), Some("local"));
        assert_eq!(password(text, "x"), None);
        assert_eq!(
            password("machine login password password machine machine api.heroku.com", "login"),
            Some("password".into())
        );
    }
}
