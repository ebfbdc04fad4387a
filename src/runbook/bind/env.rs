//! `[env.NAME]`: what an environment is, how it is reached, and the fence around it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use super::{
    Code, Diagnostic, Diagnostics, Entry, Fields, Kind, Known, as_table, databases, entries,
    fields::{self, bad_value},
    head,
};
use crate::{
    base::{EnvName, clean_line},
    runbook::{AwsEnv, DnsEnv, Env, EnvKind, HerokuEnv, HttpEnv, SandboxEnv},
};

const KINDS: [(&str, EnvKind); 3] =
    [("sandbox", EnvKind::Sandbox), ("rehearsal", EnvKind::Rehearsal), ("live", EnvKind::Live)];
const KEYS: &[&str] = &["kind", "confirm", "aws", "heroku", "databases", "dns", "http", "sandbox", "faults", "vars"];

pub(super) fn envs(top: &Fields<'_>, known: &Known<'_>, d: &mut Diagnostics) -> Vec<Env> {
    let list = entries(top, "env", d);
    if list.is_empty() && !top.value("env").is_some_and(|v| !matches!(v.kind, Kind::Table(_))) {
        let place = top.value("env").map_or(0..0, |v| v.span.clone());
        d.push(
            Diagnostic::error(Code::MISSING, place, "the runbook has no environment")
                .label("[env.…] is missing")
                .help("[env.sandbox]\nkind = \"sandbox\""),
        );
    }
    list.iter().filter_map(|entry| env(entry, known, d)).collect()
}

fn env(entry: &Entry, known: &Known<'_>, d: &mut Diagnostics) -> Option<Env> {
    let name = fields::id::<EnvName>(&entry.key, &entry.key_span, d);
    let table = as_table(&entry.key, &entry.value, d)?;
    let fields = Fields::new(table, format!("environment `{}`", entry.key), entry.key_span.clone(), KEYS, d);
    fields.required("kind", "kind = \"sandbox\", \"rehearsal\" or \"live\"", d);
    let kind = fields.word("kind", &KINDS, d);
    let confirm = confirm(&fields, kind, d);
    let aws = aws(&fields, d);
    let heroku = heroku(&fields, known, d);
    let databases = databases::databases(&fields, known, d);
    let dns = dns(&fields, d);
    let http = http(&fields, d);
    let sandbox = sandbox(&fields, d);
    if kind == Some(EnvKind::Sandbox) {
        for key in ["aws", "heroku", "dns"] {
            if let Some(entry) = fields.entry(key) {
                d.push(
                    Diagnostic::error(
                        Code::SANDBOX_OUTSIDE,
                        entry.key_span.clone(),
                        format!("a sandbox takes no `{key}`"),
                    )
                    .label("the sandbox reaches nothing outside")
                    .help("leave it out, or make the environment `kind = \"rehearsal\"`"),
                );
            }
        }
    } else if kind.is_some() {
        for key in ["sandbox", "faults"] {
            if let Some(entry) = fields.entry(key) {
                let message = format!("`{key}` belongs to an environment of kind \"sandbox\"");
                d.push(
                    Diagnostic::error(Code::CONFLICT, entry.key_span.clone(), message)
                        .label("this one is real")
                        .related(fields.place_of("kind"), "its kind"),
                );
            }
        }
    }
    let vars = head::vars(fields.table("vars", d), d);
    let span = entry.key_span.clone();
    Some(Env { name: name?, span, kind: kind?, confirm, aws, heroku, databases, dns, http, sandbox, vars })
}

fn confirm(fields: &Fields<'_>, kind: Option<EnvKind>, d: &mut Diagnostics) -> String {
    let Some(value) = fields.value("confirm") else {
        if kind.is_some_and(|kind| kind != EnvKind::Sandbox) {
            fields.missing("confirm", "confirm = \"acme-prod\": the word that is typed at dangerous points", d);
        }
        return "sandbox".into();
    };
    let Some(word) = fields::plain("confirm", value, d) else { return String::new() };
    let typable = word.chars().all(|c| c.is_ascii_graphic()) && (1..=64).contains(&word.len());
    if !typable && !word.trim().is_empty() {
        d.push(
            bad_value(value, "`confirm` must be one word that can be typed", "1 to 64 letters, digits or signs")
                .help("no spaces: the word is typed exactly as it stands here"),
        );
    }
    word.to_owned()
}

fn aws(env: &Fields<'_>, d: &mut Diagnostics) -> Option<AwsEnv> {
    let table = env.table("aws", d)?;
    let known = ["region", "profile", "account", "role", "external_id", "role_session_name", "endpoint", "endpoints"];
    let place = env.entry("aws").map_or(0..0, |entry| entry.key_span.clone());
    let fields = Fields::new(table, "`aws`", place, &known, d);
    fields_region(&fields, d);
    if fields.value("account").is_none() {
        d.push(
            Diagnostic::error(
                Code::NO_FENCE,
                fields.place.clone(),
                format!("{} does not say which AWS account it is", env.what),
            )
            .label("`account` is missing")
            .help("account = \"444455556666\": a run refuses to touch any other"),
        );
    }
    if let Some(value) = fields.value("account") {
        match &value.kind {
            Kind::Text(text) if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) => {}
            Kind::Text(text) if text.contains("${") => {}
            Kind::Text(_) => d.push(bad_value(value, "an AWS account is 12 digits", "not 12 digits")),
            Kind::Int(number) => d.push(
                bad_value(value, "`account` must be text in quotes", "a number would lose its leading zeros")
                    .help(format!("account = \"{number:012}\"")),
            ),
            _ => {}
        }
    }
    let role = fields.plain("role", d);
    if let (Some(value), Some(role)) = (fields.value("role"), &role)
        && !role.starts_with("arn:")
    {
        d.push(bad_value(value, "`role` must be the ARN of a role", "an ARN starts with `arn:`"));
    }
    let external_id = of_role("external_id", EXTERNAL_ID, &fields, d);
    let role_session_name = of_role("role_session_name", SESSION_NAME, &fields, d);
    let account = match fields.value("account") {
        Some(value) if !matches!(value.kind, Kind::Int(_)) => fields.plain("account", d),
        _ => None,
    };
    let mut endpoints = BTreeMap::new();
    if let Some(table) = fields.table("endpoints", d) {
        for entry in &table.entries {
            endpoints.extend(url(&entry.key, &entry.value, d).map(|url| (entry.key.clone(), url)));
        }
    }
    let endpoint = fields.value("endpoint").and_then(|value| url("endpoint", value, d));
    Some(AwsEnv {
        region: fields.plain("region", d),
        profile: fields.plain("profile", d),
        account,
        role,
        external_id,
        role_session_name,
        endpoint,
        endpoints,
    })
}

/// Longest, and the signs beside letters and digits, as `AssumeRole` takes them (STS API reference).
const EXTERNAL_ID: (usize, &str) = (1224, "_+=,.@:/-");
const SESSION_NAME: (usize, &str) = (64, "_+=,.@-");

/// A word that goes with `role`.
fn of_role(key: &str, (most, signs): (usize, &str), fields: &Fields<'_>, d: &mut Diagnostics) -> Option<String> {
    let word = fields.plain(key, d)?;
    if let Some(entry) = fields.entry(key).filter(|_| fields.value("role").is_none()) {
        d.push(
            Diagnostic::error(Code::CONFLICT, entry.key_span.clone(), format!("`{key}` belongs to a `role`"))
                .label("there is no role to assume")
                .help("give `aws` the `role`, or leave this out: a profile's own role takes its settings from the profile"),
        );
    }
    let fits = (2..=most).contains(&word.len()) && word.chars().all(|c| c.is_ascii_alphanumeric() || signs.contains(c));
    let written = !word.trim().is_empty() && !word.contains("${");
    if let Some(value) = fields.value(key).filter(|_| written && !fits) {
        let label = format!("2 to {most} letters, digits or {signs}");
        d.push(bad_value(value, format!("AWS takes no such `{key}`"), &label));
    }
    Some(word)
}

fn fields_region(fields: &Fields<'_>, d: &mut Diagnostics) {
    let Some(value) = fields.value("region") else { return };
    if let Kind::Text(text) = &value.kind
        && !text.contains("${")
        && !(text.contains('-') && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'))
    {
        d.push(bad_value(value, "`region` must be the code of a region", "such as \"eu-west-1\""));
    }
}

fn heroku(env: &Fields<'_>, known: &Known<'_>, d: &mut Diagnostics) -> Option<HerokuEnv> {
    let table = env.table("heroku", d)?;
    let place = env.entry("heroku").map_or(0..0, |entry| entry.key_span.clone());
    let fields = Fields::new(table, "`heroku`", place, &["app", "endpoint", "token"], d);
    if fields.value("app").is_none() {
        d.push(
            Diagnostic::error(
                Code::NO_FENCE,
                fields.place.clone(),
                format!("{} does not say which Heroku app it is", env.what),
            )
            .label("`app` is missing")
            .help("app = \"acme-shop\": a run refuses to touch any other"),
        );
    }
    let endpoint = fields.value("endpoint").and_then(|value| url("endpoint", value, d));
    let token = fields.plain("token", d);
    if let (Some(token), Some(value)) = (&token, fields.value("token")) {
        token_is_a_name(token, value, known, d);
    }
    Some(HerokuEnv { app: fields.plain("app", d).unwrap_or_default(), endpoint, token })
}

/// `token = "heroku_token"` names an entry of `[secrets]`. Anything longer may be the token itself.
fn token_is_a_name(token: &str, value: &super::Value, known: &Known<'_>, d: &mut Diagnostics) {
    if token.contains("${") {
        return;
    }
    if head::is_name(token) && token.len() < 32 {
        known.secret(token, &value.span, d);
        return;
    }
    d.mask(value.span.clone());
    d.push(
        Diagnostic::error(
            Code::LITERAL_SECRET,
            value.span.clone(),
            "`token` must be the name of a secret of [secrets]",
        )
        .label("not a name")
        .help("token = \"heroku_token\", and in [secrets] heroku_token = { env = \"HEROKU_API_KEY\" }"),
    );
}

fn url(key: &str, value: &super::Value, d: &mut Diagnostics) -> Option<String> {
    let text = fields::plain(key, value, d)?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.contains(['@', ' ', '?', '#'])) && !text.contains("${") {
        d.push(
            bad_value(value, format!("`{key}` must be a URL"), "not a URL of a server")
                .help("such as \"https://api.example.com\" or \"http://127.0.0.1:5000\", without a user or password"),
        );
        return None;
    }
    Some(text.to_owned())
}

fn dns(env: &Fields<'_>, d: &mut Diagnostics) -> DnsEnv {
    let Some(table) = env.table("dns", d) else { return DnsEnv::default() };
    let keys = &["resolvers", "authoritative", "parents", "port"];
    let fields = Fields::new(table, "`dns`", table.span.clone(), keys, d);
    DnsEnv {
        resolvers: addresses(&fields, "resolvers", d),
        authoritative: addresses(&fields, "authoritative", d),
        parents: addresses(&fields, "parents", d),
        port: fields.number("port", 1, 65535, d).and_then(|port| u16::try_from(port).ok()),
    }
}

fn addresses(fields: &Fields<'_>, key: &str, d: &mut Diagnostics) -> Vec<SocketAddr> {
    const DNS: u16 = 53;
    let list = fields.list(key, "a list of addresses, such as [\"1.1.1.1\"]", d).unwrap_or_default();
    let mut found = Vec::with_capacity(list.len());
    for item in list {
        let Some(text) = fields::text(key, item, d) else { continue };
        match text.parse().or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS))) {
            Ok(address) => found.push(address),
            Err(_) => d.push(
                bad_value(item, format!("`{}` is not an address", clean_line(text, 60)), "not an IP address")
                    .help("such as \"1.1.1.1\", \"127.0.0.1:5353\" or \"[2606:4700::1111]:53\""),
            ),
        }
    }
    found
}

fn http(env: &Fields<'_>, d: &mut Diagnostics) -> HttpEnv {
    let Some(table) = env.table("http", d) else { return HttpEnv::default() };
    let fields = Fields::new(table, "`http`", table.span.clone(), &["default_port"], d);
    let default_port = fields.number("default_port", 1, 65535, d).and_then(|port| u16::try_from(port).ok());
    HttpEnv { default_port, ..HttpEnv::default() }
}

fn sandbox(env: &Fields<'_>, d: &mut Diagnostics) -> SandboxEnv {
    let mut sandbox = SandboxEnv { faults: faults(env, d), ..SandboxEnv::default() };
    let Some(table) = env.table("sandbox", d) else { return sandbox };
    let fields = Fields::new(table, "`sandbox`", table.span.clone(), &["faults", "policy", "seed", "world"], d);
    if let (Some(here), Some(there)) = (fields.entry("faults"), env.entry("faults")) {
        d.push(
            Diagnostic::error(Code::CONFLICT, here.key_span.clone(), "`faults` is given twice")
                .label("and here")
                .related(there.key_span.clone(), "here"),
        );
    }
    sandbox.faults.extend(faults(&fields, d));
    sandbox.policy = fields.plain("policy", d);
    sandbox.seed = fields.number("seed", 0, i64::MAX.unsigned_abs(), d);
    for entry in fields.table("world", d).map(|t| t.entries.as_slice()).unwrap_or_default() {
        let text = fields::plain(&entry.key, &entry.value, d).map(str::to_owned);
        sandbox.world.extend(text.map(|text| (entry.key.clone(), text)));
    }
    sandbox
}

fn faults(fields: &Fields<'_>, d: &mut Diagnostics) -> Vec<String> {
    let list = fields.list("faults", "a list of faults, such as [\"ecs.deploy:once\"]", d).unwrap_or_default();
    let mut faults = Vec::with_capacity(list.len());
    for item in list {
        let Some(text) = fields::text("faults", item, d) else { continue };
        let (operation, times) = text.split_once(':').unwrap_or((text, "once"));
        let named = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let counted = ["once", "always"].contains(&times) || times.parse::<u32>().is_ok_and(|n| n > 0);
        if operation.is_empty() || !operation.chars().all(named) || !counted {
            d.push(
                bad_value(item, format!("`{}` is not a fault", clean_line(text, 60)), "not a fault")
                    .help("OPERATION, OPERATION:once, OPERATION:3, OPERATION:30s or OPERATION:always, such as \"ecs.deploy:once\""),
            );
        }
        faults.push(text.to_owned());
    }
    faults
}
