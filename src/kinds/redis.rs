//! What the Redis kinds have in common: how a runbook names a server, and what they say of it.

use super::filled;
use crate::{
    plan::{Param, Params, Shape, TextOrSecret},
    runbook::value::Kind as Value,
    services::redis::{About, Server},
};

/// The keys of a server that is a table.
const KEYS: &[Param] = &[
    Param { name: "url", shape: Shape::TextOrSecret, required: true, help: "redis://, rediss:// (TLS) or unix://" },
    Param {
        name: "ca",
        shape: Shape::Text,
        required: false,
        help: "file of certificates (PEM) to trust instead of the platform's",
    },
    Param {
        name: "verify_certificate",
        shape: Shape::Flag,
        required: false,
        help: "false: encrypt, and believe whoever answers; default true",
    },
];

/// What a parameter that names a server takes; `what` is which one.
macro_rules! server_help {
    ($what:literal) => {
        concat!(
            $what,
            ": a url, a secret that holds one, or a table { url, ca, verify_certificate = false for a self-signed one }"
        )
    };
}
pub(super) use server_help;

/// The server that a key names; `None` where it is left out or wrong.
pub(super) fn server(params: &mut Params<'_>, key: &'static str) -> Option<Server> {
    let value = params.raw(key)?;
    let plain = |url| Server { url, ca: None, verify_certificate: true };
    let (server, place) = match &value.kind {
        Value::Text(text) => (plain(TextOrSecret::Text(text.clone())), value.span.clone()),
        Value::Secret(name) => (plain(TextOrSecret::Secret(name.clone())), value.span.clone()),
        Value::Table(table) => {
            let mut inner = Params::new(key, value.span.clone(), table, KEYS);
            let (url, ca) = (inner.opt_secret("url"), filled(&mut inner, "ca"));
            let verify_certificate = inner.opt_flag("verify_certificate").unwrap_or(true);
            if ca.is_some() && !verify_certificate {
                let at = inner.place_of("ca");
                inner.mistake(at, "`ca` is of no use where nothing is verified", "leave one of the two out", None);
            }
            let place = inner.place_of("url");
            params.absorb(inner);
            (Server { url: url?, ca, verify_certificate }, place)
        }
        _ => {
            let help = Some("such as \"${secret.redis_url}\" or \"redis://127.0.0.1:6379/0\"".into());
            params.mistake(value.span.clone(), format!("`{key}` must be a url or a table"), "names no server", help);
            return None;
        }
    };
    if let Err(why) = server.judge() {
        params.mistake(place, format!("`{key}` {why}"), "not a server's url", None);
        return None;
    }
    Some(server)
}

/// ` (certificate not verified)` where that is so.
pub(super) fn unverified(about: &About) -> &'static str {
    if about.unverified.is_some() { " (certificate not verified)" } else { "" }
}
