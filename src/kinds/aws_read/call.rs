//! The call: its service, which is known or described, and parameters that only read.

use serde_json::{Map, Value as Json};

use crate::{
    base::clean_line,
    plan::{Params, nearest},
    runbook::value::{Kind, Span, Table, Value},
    services::aws::{KNOWN, PROTOCOLS, Protocol, Reading, iam_action, known_service, opens, refused},
};

/// Reads the call; every mistake points at its place.
pub(super) fn read(params: &mut Params<'_>) -> Reading {
    let (service, action) = (params.text("service"), params.text("action"));
    if !action.is_empty()
        && let Some(why) = refused(&action)
    {
        let span = params.place_of("action");
        params.mistake(
            span,
            format!("`aws.read` does not send {}: {why}", clean_line(&action, 60)),
            "not a read",
            None,
        );
    }
    let mut reading = match (known_service(&service), params.has("protocol")) {
        (Some(known), false) => Reading::of(known, action),
        (_, described) => other(params, &service, action, described),
    };
    for (key, field) in [("host", &mut reading.host), ("signs", &mut reading.signs)] {
        if let Some(text) = params.opt_text(key) {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
            if text.is_empty() || !text.bytes().all(plain) {
                let span = params.place_of(key);
                params.mistake(span, format!("`{key}` must be letters, digits, - and ."), "part of a host name", None);
            }
            *field = text;
        }
    }
    if params.has("host") && !params.has("signs") {
        reading.signs.clone_from(&reading.host);
    }
    dialect(params, &mut reading);
    reading.region = params.opt_text("region");
    uri(params, &mut reading);
    if let Some(value) = params.raw("params") {
        if let Kind::Table(table) = &value.kind {
            reading.params = table_of(params, table);
        } else {
            let message = format!("`params` must be a table, found {}", value.kind.name());
            params.mistake(value.span.clone(), message, "expected { Name = value }", None);
        }
    }
    if let Some(iam) = params.opt_text("iam") {
        if !iam.split_once(':').is_some_and(|(prefix, action)| !prefix.is_empty() && !action.is_empty()) {
            let span = params.place_of("iam");
            params.mistake(span, "`iam` must be an IAM action", "expected service:Action", None);
        }
        reading.iam = iam;
    }
    reading
}

/// A service that the runbook describes.
fn other(params: &mut Params<'_>, service: &str, action: String, described: bool) -> Reading {
    if !described && !service.is_empty() {
        let span = params.place_of("service");
        let near = nearest(service, KNOWN.iter().map(|known| known.name));
        let near = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
        let help = format!("{near}any other service needs `protocol`, and `version` or `target`");
        params.mistake(
            span,
            format!("`{}` is not a service known by name", clean_line(service, 60)),
            "unknown",
            Some(help),
        );
    }
    let protocol = params.word("protocol", PROTOCOLS);
    let mut reading = Reading::other(service, protocol, action);
    if let Some(known) = known_service(service) {
        reading.host = known.host.into();
        reading.signs = known.signs.into();
        reading.iam = iam_action(known.iam, &reading.action);
        reading.known = Some(known);
        if known.protocol == protocol {
            reading.dialect = known.dialect.into();
        }
    }
    reading
}

/// The version or target prefix that the protocol wants.
fn dialect(params: &mut Params<'_>, reading: &mut Reading) {
    let (wanted, unwanted) = match reading.protocol {
        Protocol::Query | Protocol::Ec2 => ("version", "target"),
        Protocol::Json10 | Protocol::Json11 => ("target", "version"),
        Protocol::RestJson | Protocol::RestXml => ("", "target"),
    };
    if params.has(unwanted) {
        let span = params.place_of(unwanted);
        params.mistake(span, format!("this protocol has no `{unwanted}`"), "not of this protocol", None);
    }
    let (version, target) = (params.opt_text("version"), params.opt_text("target"));
    if let Some(text) = version.or(target).filter(|_| !wanted.is_empty()) {
        reading.dialect = text;
    } else if !wanted.is_empty() && reading.dialect.is_empty() && params.has("protocol") {
        let span = params.place_of("protocol");
        params.mistake(span, format!("this protocol needs `{wanted}`"), format!("`{wanted}` is missing"), None);
    }
}

fn uri(params: &mut Params<'_>, reading: &mut Reading) {
    let uri = params.opt_text("uri");
    match (reading.rest(), uri) {
        (true, Some(uri)) => {
            if !uri.starts_with('/') || uri.split('/').any(|part| part == "..") {
                let span = params.place_of("uri");
                params.mistake(span, "`uri` must begin with a slash and must not climb", "not a path", None);
            }
            reading.uri = uri;
        }
        (false, Some(_)) => {
            let span = params.place_of("uri");
            params.mistake(span, "only REST services have a `uri`", "not of this protocol", None);
        }
        (true, None) if !reading.action.is_empty() => {
            let help = "the path as in the call's Request Syntax: \"/2015-03-31/functions/{FunctionName}\"".to_owned();
            params.mistake(params.place(), "a REST service needs `uri`", "`uri` is missing", Some(help));
        }
        _ => {}
    }
}

fn table_of(params: &mut Params<'_>, table: &Table) -> Map<String, Json> {
    let mut map = Map::new();
    for entry in &table.entries {
        let value = json_of(params, &entry.value);
        if opens(&entry.key) && value != Json::Bool(false) {
            let message = format!("`{}` would give away secrets, and this check shows what it reads", entry.key);
            params.mistake(entry.key_span.clone(), message, "leave it out", None);
        }
        map.insert(entry.key.clone(), value);
    }
    map
}

fn json_of(params: &mut Params<'_>, value: &Value) -> Json {
    match &value.kind {
        Kind::Text(text) => Json::String(text.clone()),
        Kind::Int(n) => Json::from(*n),
        Kind::Float(n) => Json::from(*n),
        Kind::Bool(flag) => Json::Bool(*flag),
        Kind::Time(at) => Json::String(at.to_rfc3339()),
        Kind::List(items) => Json::Array(items.iter().map(|item| json_of(params, item)).collect()),
        Kind::Table(table) => Json::Object(table_of(params, table)),
        Kind::Secret(name) => {
            let span: Span = value.span.clone();
            params.mistake(
                span,
                "`params` must not hold a secret",
                format!("`${{secret.{name}}}` would be sent"),
                None,
            );
            Json::Null
        }
    }
}
