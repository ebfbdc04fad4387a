//! What changes the app: its switch, its quantities, its dynos. All of a request or nothing of it.

use serde_json::{Value, json};

use super::{Dyno, No, config, dyno::ONE_OFF, not_found, show};
use crate::sandbox::{
    http::{Asked, Reply},
    world::{Moment, World},
};

/// The highest quantity of a process type.
const QUANTITY: u64 = 100;
/// Milliseconds that a one-off dyno lives unless it says how long: a day.
const DAY: i64 = 86_400_000;

pub(super) fn change(
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
            config::configure(world, changes, request_id, now)
        }
        ("POST", ["releases"]) => config::roll_back(world, body, request_id, now),
        ("POST", ["dynos"]) => {
            let one_off = run(world, body, request_id, now)?;
            json_reply(201, one_off)
        }
        ("DELETE", ["dynos"]) => {
            restart(world, |_| true, "all", request_id, now);
            json_reply(202, json!({}))
        }
        ("DELETE", ["dynos", name]) | ("POST", ["dynos", name, "actions", "stop"]) => {
            let known = |dyno: &Dyno| dyno.name() == *name || dyno.id == *name || dyno.kind == *name;
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
    config::crash(world);
    let app = world.names.app.clone();
    world.effect(now, ("heroku", "PATCH /apps/{app}/formation"), app, said.join(", "), request_id);
    Ok(shown)
}

/// Starts a one-off dyno.
fn run(world: &mut World, body: &Value, request_id: &str, now: Moment) -> Result<Value, No> {
    let invalid = |message: &str| (422, "invalid_params", message.to_owned());
    let command = body["command"].as_str().ok_or_else(|| invalid("Command must be a string."))?;
    let kind = body["type"].as_str().unwrap_or("run");
    if kind.is_empty() || kind.len() > 40 || !kind.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) {
        return Err(invalid("Type is not a process type."));
    }
    if world.heroku.dynos.iter().filter(|dyno| dyno.number >= 1000).count() >= ONE_OFF {
        return Err((422, "cannot_run_more_than", format!("Cannot run more than {ONE_OFF} one-off dynos.")));
    }
    let lasts = body["time_to_live"].as_i64().map_or(DAY, |seconds| seconds.clamp(1, 86_400) * 1000);
    let dyno = world.heroku.one_off(&mut world.seed, kind, &crate::base::bounded(command, 1000), lasts, now).clone();
    let target = format!("{} {}", world.names.app, dyno.name());
    // The command alone may hold anything.
    world.effect(now, ("heroku", "POST /apps/{app}/dynos"), target, "one-off dyno", request_id);
    Ok(show::dyno(&world.heroku, &world.names, &dyno, now))
}

fn restart(world: &mut World, which: impl Fn(&Dyno) -> bool, name: &str, request_id: &str, now: Moment) {
    let slow = world.strikes("heroku.slow_dynos");
    world.heroku.restart(&mut world.seed, &which, now, slow);
    world.heroku.end(|dyno| dyno.number >= 1000 && name != "all" && which(dyno), now);
    config::crash(world);
    let target = format!("{} {name}", world.names.app);
    world.effect(now, ("heroku", "DELETE /apps/{app}/dynos"), target, "restart", request_id);
}
