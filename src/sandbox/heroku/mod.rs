//! Heroku's Platform API, version 3, for one app: what the kinds and the real CLI ask of it.

mod model;
mod range;
mod show;

use serde_json::{Value, json};

use super::{
    http::{Asked, Reply},
    keeper::Handle,
    world::{Moment, World, since},
};
pub(super) use model::{Dyno, Formation, Heroku, Release};

/// The one key that the world knows. It opens nothing outside.
pub(super) use crate::base::sandbox::HEROKU_API_KEY as API_KEY;

/// Requests in an hour, and what comes back in a second.
const RATE: f64 = 4500.0;
const REFILL: f64 = RATE / 3600.0;
/// The highest quantity of a process type.
const QUANTITY: u64 = 100;
/// Config vars kept.
const VARS: usize = 500;

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
    let body: Value = match asked.body.as_ref() {
        [] => json!({}),
        body => serde_json::from_slice(body)
            .map_err(|_| (400, "bad_request", "The request body is not JSON.".to_owned()))?,
    };
    let path = percent_encoding::percent_decode_str(&asked.path).decode_utf8_lossy().into_owned();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let list = |field: &str, items: Vec<Value>| Ok(range::page(asked, field, items));
    let one = |value: Value| Ok(Reply::new(200, "application/json", value.to_string()));
    let (names, heroku) = (&world.names, &world.heroku);
    let rest = match parts.as_slice() {
        ["account"] => return one(show::account(heroku)),
        ["account", "features"] => return list("id", Vec::new()),
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
        ("GET", ["config-vars"]) => one(json!(heroku.config)),
        ("GET", ["releases"]) => {
            list("version", heroku.releases.iter().map(|it| show::release(heroku, names, it)).collect())
        }
        ("GET", ["releases", which]) => {
            let found = heroku
                .releases
                .iter()
                .find(|it| it.id == *which || it.version.to_string() == which.trim_start_matches('v'));
            one(show::release(heroku, names, found.ok_or_else(|| not_found("release"))?))
        }
        ("GET", ["addons"]) => list("id", show::addons(heroku, names)),
        ("GET", ["domains"]) => list("hostname", show::domains(heroku, names)),
        ("GET", ["log-drains"]) => list("id", show::drains(heroku)),
        ("GET", ["collaborators"]) => list("id", show::collaborators(heroku, names)),
        ("GET", ["addon-attachments" | "features" | "webhooks" | "sni-endpoints" | "builds"]) => list("id", Vec::new()),
        ("GET", ["pipeline-couplings"]) => Err(not_found("pipeline coupling")),
        ("PATCH" | "DELETE" | "POST", rest) => change(world, asked, rest, &body, request_id, now),
        _ => Err((404, "not_found", "The requested API endpoint was not found.".into())),
    }
}

fn change(
    world: &mut World,
    asked: &Asked,
    rest: &[&str],
    body: &Value,
    request_id: &str,
    now: Moment,
) -> Result<Reply, No> {
    let invalid = |message: &str| (422, "invalid_params", message.to_owned());
    let app = world.names.app.clone();
    let json_reply = |status, value: Value| Ok(Reply::new(status, "application/json", value.to_string()));
    match (asked.method.as_str(), rest) {
        ("PATCH", []) => {
            match &body["maintenance"] {
                Value::Null => {}
                Value::Bool(on) => {
                    (world.heroku.maintenance, world.heroku.updated_at) = (*on, now);
                    world.effect(now, ("heroku", "PATCH /apps/{app}"), app, format!("maintenance {on}"), request_id);
                }
                _ => return Err(invalid("Maintenance must be a boolean.")),
            }
            json_reply(200, show::app(&world.heroku, &world.names))
        }
        ("PATCH", ["formation"]) => {
            let updates = body["updates"].as_array().ok_or_else(|| invalid("Updates must be an array."))?;
            scale(world, updates, request_id, now)
                .map(|all| Reply::new(200, "application/json", Value::from(all).to_string()))
        }
        ("PATCH", ["formation", kind]) => {
            let mut update = body.clone();
            update["type"] = json!(kind);
            let mut all = scale(world, &[update], request_id, now)?;
            json_reply(200, all.pop().unwrap_or_default())
        }
        ("PATCH", ["config-vars"]) => {
            let changes = body.as_object().ok_or_else(|| invalid("Config vars must be an object."))?;
            configure(world, changes, request_id, now)?;
            json_reply(200, json!(world.heroku.config))
        }
        ("DELETE", ["dynos"]) => {
            restart(world, |_| true, "all", request_id, now);
            json_reply(202, json!({}))
        }
        ("DELETE", ["dynos", name]) | ("POST", ["dynos", name, "actions", "stop"]) => {
            let known = |dyno: &Dyno| {
                format!("{}.{}", dyno.kind, dyno.number) == *name || dyno.id == *name || dyno.kind == *name
            };
            if !world.heroku.dynos.iter().any(|dyno| known(dyno) && !dyno.is_gone(now)) {
                return Err(not_found("dyno"));
            }
            restart(world, known, name, request_id, now);
            json_reply(202, json!({}))
        }
        _ => Err((404, "not_found", "The requested API endpoint was not found.".into())),
    }
}

/// A number, or a text that is one: the CLI sends quantities as texts.
fn quantity(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn scale(world: &mut World, updates: &[Value], request_id: &str, now: Moment) -> Result<Vec<Value>, No> {
    let invalid = |message: String| (422, "invalid_params", message);
    let mut wanted = Vec::new();
    for update in updates {
        let kind = update["type"].as_str().or_else(|| update["process"].as_str()).unwrap_or_default();
        let Some(at) = world.heroku.formation.iter().position(|it| it.kind == kind || it.id == kind) else {
            return Err((
                404,
                "not_found",
                format!("Couldn't find that process type ({}).", crate::base::clean_line(kind, 60)),
            ));
        };
        let old = world.heroku.formation[at].quantity;
        let new = match &update["quantity"] {
            Value::Null => old,
            value => match quantity(value) {
                Some(n @ 0..=QUANTITY) => u32::try_from(n).unwrap_or(old),
                Some(_) => return Err(invalid(format!("Cannot scale to more than {QUANTITY} dynos."))),
                None => return Err(invalid("Quantity must be a non-negative integer.".into())),
            },
        };
        let size = match (&update["size"], &update["dyno_size"]["name"]) {
            (Value::String(size), _) | (_, Value::String(size)) => Some(size.clone()),
            _ => None,
        };
        wanted.push((at, new, size));
    }
    let slow = wanted.iter().any(|(at, new, _)| *new < world.heroku.formation[*at].quantity)
        && world.strikes("heroku.slow_dynos");
    let (mut said, mut shown) = (Vec::new(), Vec::new());
    for (at, new, size) in wanted {
        let heroku = &mut world.heroku;
        let it = &mut heroku.formation[at];
        said.push(format!("{} {} -> {new}", it.kind, it.quantity));
        (it.quantity, it.updated_at) = (new, now);
        let resized = size.filter(|size| *size != it.size);
        let kind = it.kind.clone();
        if let Some(size) = resized {
            it.size = size;
            heroku.restart(&mut world.seed, |dyno| dyno.kind == kind, now, slow);
        }
        heroku.fit(&mut world.seed, &kind, now, slow);
        shown.push(show::formation(heroku, &world.names, &heroku.formation[at]));
    }
    let app = world.names.app.clone();
    world.effect(now, ("heroku", "PATCH /apps/{app}/formation"), app, said.join(", "), request_id);
    Ok(shown)
}

fn configure(
    world: &mut World,
    changes: &serde_json::Map<String, Value>,
    request_id: &str,
    now: Moment,
) -> Result<(), No> {
    let (mut set, mut unset) = (Vec::new(), Vec::new());
    for (name, value) in changes {
        match value {
            Value::String(_) => set.push(name.as_str()),
            Value::Null => unset.push(name.as_str()),
            _ => {
                return Err((
                    422,
                    "invalid_params",
                    format!("Config var {} must be a string.", crate::base::clean_line(name, 60)),
                ));
            }
        }
    }
    if world.heroku.config.len() + set.len() > VARS {
        return Err((422, "invalid_params", format!("Cannot have more than {VARS} config vars.")));
    }
    let named = |verb: &str, names: &[&str]| format!("{verb} {} config vars", names.join(", "));
    let said = [("Set", &set), ("Remove", &unset)];
    let said: Vec<String> =
        said.iter().filter(|(_, names)| !names.is_empty()).map(|(verb, names)| named(verb, names)).collect();
    for (name, value) in changes {
        match value.as_str() {
            Some(value) => drop(world.heroku.config.insert(name.clone(), value.to_owned())),
            None => drop(world.heroku.config.remove(name)),
        }
    }
    if !said.is_empty() {
        world.heroku.release(&mut world.seed, said.join(", "), now);
        world.heroku.restart(&mut world.seed, |_| true, now, false);
        let app = world.names.app.clone();
        // Names only: a value may be a secret.
        world.effect(now, ("heroku", "PATCH /apps/{app}/config-vars"), app, said.join(", "), request_id);
    }
    Ok(())
}

fn restart(world: &mut World, which: impl Fn(&Dyno) -> bool, name: &str, request_id: &str, now: Moment) {
    let slow = world.strikes("heroku.slow_dynos");
    world.heroku.restart(&mut world.seed, which, now, slow);
    let target = format!("{} {name}", world.names.app);
    world.effect(now, ("heroku", "DELETE /apps/{app}/dynos"), target, "restart", request_id);
}
