//! Heroku's Platform API, version 3, for one app: what the kinds and the real CLI ask of it.

mod change;
mod config;
mod dyno;
mod model;
mod range;
mod release;
mod show;

use serde_json::{Value, json};

use super::{
    http::{Asked, Reply},
    keeper::Handle,
    world::{Moment, World, since},
};
pub(super) use dyno::Dyno;
pub(super) use model::{AddOn, Formation, Heroku};
pub(super) use release::{Build, Release};

/// The one key that the world knows. It opens nothing outside.
pub(super) use crate::base::sandbox::HEROKU_API_KEY as API_KEY;

/// Requests in an hour, and what comes back in a second.
const RATE: f64 = 4500.0;
const REFILL: f64 = RATE / 3600.0;

/// Milliseconds that a job of Heroku Scheduler lives, and a forgotten console.
const JOB: i64 = 6000;
const CONSOLE: i64 = 600_000;

/// A refusal: HTTP status, id, message.
type No = (u16, &'static str, String);

/// Requests left, as of a moment.
#[derive(Debug, Clone)]
pub(super) struct Rate {
    left: f64,
    at: Option<Moment>,
}

impl Default for Rate {
    fn default() -> Self {
        Self { left: RATE, at: None }
    }
}

/// Answers one request.
pub(super) async fn answer(world: Handle, asked: Asked) -> Reply {
    let answered = world.with(move |world, now| {
        let request_id = world.live.ids.uuid();
        let rate = &mut world.live.heroku;
        rate.left = (rate.left + rate.at.map_or(0.0, |at| since(now, at).as_secs_f64()) * REFILL).min(RATE);
        rate.at = Some(now);
        let spent = rate.left < 1.0;
        if !spent {
            rate.left -= 1.0;
        }
        let left = rate.left.floor().max(0.0);
        if world.strikes("heroku.html") {
            let page = "<!DOCTYPE html>\n<html><head><title>Application Error</title></head><body></body></html>\n";
            return Reply::new(502, "text/html; charset=utf-8", page);
        }
        let answer = if spent || world.strikes("heroku.rate_limit") {
            Err(too_many())
        } else {
            route(world, &asked, &request_id, now)
        };
        let reply = answer.unwrap_or_else(|(status, id, message)| {
            let mut body = json!({ "id": id, "message": message });
            if status == 404 && message.starts_with("Couldn't find that app") {
                body["resource"] = json!("app");
            }
            Reply::new(status, "application/json", body.to_string())
        });
        reply.with("request-id", &request_id).with("ratelimit-remaining", left).with("ratelimit-multiplier", 1)
    });
    let lost = || {
        Reply::new(
            500,
            "application/json",
            json!({ "id": "internal_server_error", "message": "the world could not be saved" }).to_string(),
        )
    };
    answered.await.unwrap_or_else(|_| lost())
}

fn too_many() -> No {
    (
        429,
        "rate_limit",
        "Your account reached the API rate limit\nPlease wait a few minutes before making new requests".into(),
    )
}

fn not_found(what: &str) -> No {
    (404, "not_found", format!("Couldn't find that {what}."))
}

fn admitted(asked: &Asked) -> bool {
    use base64::Engine as _;
    let given = asked.header("authorization");
    // The CLI's predecessors and curl's netrc send the key as a password.
    let password = |basic: &str| {
        let bytes = base64::engine::general_purpose::STANDARD.decode(basic).ok()?;
        String::from_utf8(bytes).ok()?.split_once(':').map(|(_, password)| password.to_owned())
    };
    given.strip_prefix("Bearer ") == Some(API_KEY)
        || given.strip_prefix("Basic ").and_then(password).is_some_and(|password| password == API_KEY)
}

fn route(world: &mut World, asked: &Asked, request_id: &str, now: Moment) -> Result<Reply, No> {
    if world.strikes("heroku.503") {
        return Err((503, "service_unavailable", "The service is temporarily unavailable. Please retry.".into()));
    }
    let accept = asked.header("accept");
    if !(accept.contains("application/vnd.heroku+json") && accept.contains("version=3")) {
        let message = "The requested API endpoint was not found. Are you using the right HTTP verb (i.e. `GET` vs. `POST`), \
                       and did you specify your intended version with the `Accept` header?";
        return Err((404, "not_found", message.into()));
    }
    if !admitted(asked) {
        return Err((401, "unauthorized", "Invalid credentials provided.".into()));
    }
    if world.strikes("heroku.two_factor") {
        let message = "A second authentication factor or pre-authorization is required for this request. Your account has \
                       either two-factor or a Yubikey registered.";
        return Err((403, "two_factor", message.into()));
    }
    let body: Value = match asked.body.as_ref() {
        [] => json!({}),
        body => {
            let object = serde_json::from_slice(body).ok().filter(Value::is_object);
            object.ok_or_else(|| (400, "bad_request", "The request body is not a JSON object.".to_owned()))?
        }
    };
    let path = percent_encoding::percent_decode_str(&asked.path).decode_utf8_lossy().into_owned();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let list = |field: &str, items: Vec<Value>| Ok(range::page(asked, field, items));
    let one = |value: Value| Ok(Reply::new(200, "application/json", value.to_string()));
    meanwhile(world, asked.method.as_str(), &parts, now);
    let (names, heroku) = (&world.names, &world.heroku);
    let rest = match parts.as_slice() {
        ["account"] => return one(show::account(heroku)),
        ["account", "rate-limits"] => {
            return one(json!({ "remaining": world.live.heroku.left.floor().max(0.0) as u64 }));
        }
        ["account", "features"] => return list("id", Vec::new()),
        ["addon-attachments"] => return list("id", show::attachments(heroku, names)),
        ["addons"] => return list("id", show::addons(heroku, names)),
        ["addons", which] => return one(show::addon_named(heroku, names, which).ok_or_else(|| not_found("add-on"))?),
        ["apps"] => return list("name", vec![show::app(heroku, names)]),
        ["apps", app, rest @ ..] if *app == names.app || *app == heroku.id => rest,
        ["apps", ..] => return Err(not_found("app")),
        _ => return Err((404, "not_found", "The requested API endpoint was not found.".into())),
    };
    match (asked.method.as_str(), rest) {
        ("GET", []) => one(show::app(heroku, names)),
        ("GET", ["formation"]) => {
            list("id", heroku.formation.iter().map(|it| show::formation(heroku, names, it)).collect())
        }
        ("GET", ["formation", kind]) => {
            let found = heroku.formation.iter().find(|it| it.kind == *kind || it.id == *kind);
            one(show::formation(heroku, names, found.ok_or_else(|| not_found("process type"))?))
        }
        ("GET", ["dynos"]) => {
            let alive = heroku.dynos.iter().filter(|dyno| !dyno.is_gone(now));
            list("id", alive.map(|it| show::dyno(heroku, names, it, now)).collect())
        }
        ("GET", ["dynos", which]) => {
            let found = heroku.dynos.iter().find(|it| !it.is_gone(now) && (it.name() == *which || it.id == *which));
            one(show::dyno(heroku, names, found.ok_or_else(|| not_found("dyno"))?, now))
        }
        ("GET", ["config-vars"]) => one(json!(heroku.config)),
        ("GET", ["releases"]) => {
            list("version", heroku.releases.iter().map(|it| show::release(heroku, names, it)).collect())
        }
        ("GET", ["releases", which]) => one(show::release(heroku, names, release_named(heroku, which)?)),
        ("GET", ["releases", which, "config-vars"]) => one(json!(release_named(heroku, which)?.config)),
        ("GET", ["builds"]) => {
            list("started_at", heroku.builds.iter().map(|it| show::build(heroku, it, now)).collect())
        }
        ("GET", ["addons"]) => list("id", show::addons(heroku, names)),
        ("GET", ["addons", which]) => one(show::addon_named(heroku, names, which).ok_or_else(|| not_found("add-on"))?),
        ("GET", ["addon-attachments"]) => list("id", show::attachments(heroku, names)),
        ("GET", ["domains"]) => list("hostname", show::domains(heroku, names)),
        ("GET", ["log-drains"]) => list("id", show::drains(heroku, names)),
        ("GET", ["collaborators"]) => list("id", show::collaborators(heroku, names)),
        ("GET", ["features" | "webhooks" | "sni-endpoints"]) => list("id", Vec::new()),
        ("GET", ["pipeline-couplings"]) => one(show::coupling(heroku, names)),
        ("PATCH" | "DELETE" | "POST", rest) => change::change(world, asked, rest, &body, request_id, now),
        _ => Err((404, "not_found", "The requested API endpoint was not found.".into())),
    }
}

/// What others do while somebody looks, where a fault says so.
fn meanwhile(world: &mut World, method: &str, parts: &[&str], now: Moment) {
    let ["apps", app, what] = parts else { return };
    if method != "GET" || (*app != world.names.app && *app != world.heroku.id) {
        return;
    }
    let alive = |world: &World, kind: &str| world.heroku.dynos.iter().any(|it| it.kind == kind && !it.is_gone(now));
    match *what {
        "dynos" if !alive(world, "scheduler") && world.strikes("heroku.job") => {
            world.heroku.one_off(&mut world.seed, "scheduler", "bundle exec rake nightly", JOB, now);
            world.dirty = true;
        }
        "dynos" if !alive(world, "run") && world.strikes("heroku.one_off") => {
            world.heroku.one_off(&mut world.seed, "run", "bundle exec rails console", CONSOLE, now);
            world.dirty = true;
        }
        "releases" | "builds" if world.strikes("heroku.deploy") => {
            world.heroku.build(&mut world.seed, now);
            world.dirty = true;
        }
        _ => {}
    }
}

/// A release by id, version, or version as the CLI writes it.
fn release_named<'h>(heroku: &'h Heroku, which: &str) -> Result<&'h Release, No> {
    let number = which.trim_start_matches('v');
    let found = heroku.releases.iter().find(|it| it.id == which || it.version.to_string() == number);
    found.ok_or_else(|| not_found("release"))
}
