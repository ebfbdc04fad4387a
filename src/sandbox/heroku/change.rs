//! What changes the app: its switch, its quantities, its config vars, restarts. All of a request or nothing of it.

use serde_json::{Value, json};

use super::{Dyno, No, not_found, show};
use crate::sandbox::{
    http::{Asked, Reply},
    world::{Moment, World},
};

/// The highest quantity of a process type.
const QUANTITY: u64 = 100;
/// Config vars kept.
const VARS: usize = 500;

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
