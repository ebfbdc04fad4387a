//! Config vars, and the releases that their changes make.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{No, not_found, release::Phase, show};
use crate::sandbox::{
    http::Reply,
    world::{Moment, World},
};

/// Config vars kept.
const VARS: usize = 500;

/// Sets and unsets config vars.
pub(super) fn configure(
    world: &mut World,
    changes: &Map<String, Value>,
    request_id: &str,
    now: Moment,
) -> Result<Reply, No> {
    let invalid = |message: String| (422, "invalid_params", message);
    let (mut set, mut unset) = (Vec::new(), Vec::new());
    for (name, value) in changes {
        let shown = crate::base::clean_line(name, 60);
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(invalid(format!("Config var name {shown} is invalid.")));
        }
        match value {
            Value::String(_) => set.push(name.as_str()),
            Value::Null => unset.push(name.as_str()),
            _ => return Err(invalid(format!("Config var {shown} must be a string."))),
        }
    }
    let taken: Vec<&str> =
        changes.keys().filter(|name| world.heroku.owner_of(name).is_some()).map(String::as_str).collect();
    if !taken.is_empty() {
        return Err(invalid(format!("Cannot overwrite attachment values {}.", taken.join(", "))));
    }
    if world.heroku.config.len() + set.len() > VARS {
        return Err(invalid(format!("Cannot have more than {VARS} config vars.")));
    }
    let named = |verb: &str, names: &[&str]| format!("{verb} {} config vars", names.join(", "));
    let said = [("Set", &set), ("Remove", &unset)];
    let said: Vec<String> =
        said.iter().filter(|(_, names)| !names.is_empty()).map(|(verb, names)| named(verb, names)).collect();
    let pending = world.heroku.releases.iter().rev().find(|release| release.status() == "pending");
    let mut config = pending.map_or(&world.heroku.config, |release| &release.config).clone();
    for (name, value) in changes {
        match value.as_str() {
            Some(value) => drop(config.insert(name.clone(), value.to_owned())),
            None => drop(config.remove(name)),
        }
    }
    if !said.is_empty() {
        let phase = phase(world);
        world.heroku.release(&mut world.seed, said.join(", "), config, phase, now);
        crash(world);
        let app = world.names.app.clone();
        // Names only: a value may be a secret.
        world.effect(now, ("heroku", "PATCH /apps/{app}/config-vars"), app, said.join(", "), request_id);
    }
    // While a release phase runs these are the former ones, as at Heroku.
    Ok(Reply::new(200, "application/json", json!(world.heroku.config).to_string()))
}

/// Goes back to an older release: its code and its config vars, but for what belongs to add-ons.
pub(super) fn roll_back(world: &mut World, body: &Value, request_id: &str, now: Moment) -> Result<Reply, No> {
    let which = body["release"].as_str().unwrap_or_default();
    let found = world.heroku.releases.iter().find(|it| it.id == which || it.version.to_string() == which);
    let found = found.filter(|release| release.status() == "succeeded").cloned().ok_or_else(|| not_found("release"))?;
    let own = |(name, _): &(&String, &String)| world.heroku.owner_of(name).is_none();
    let mut config: BTreeMap<String, String> =
        found.config.iter().filter(own).map(|(name, value)| (name.clone(), value.clone())).collect();
    let kept = world.heroku.config.iter().filter(|(name, _)| world.heroku.owner_of(name).is_some());
    config.extend(kept.map(|(name, value)| (name.clone(), value.clone())));
    let phase = phase(world);
    let description = format!("Rollback to v{}", found.version);
    world.heroku.release(&mut world.seed, description.clone(), config, phase, now);
    crash(world);
    let app = world.names.app.clone();
    world.effect(now, ("heroku", "POST /apps/{app}/releases"), app, description, request_id);
    let heroku = &world.heroku;
    let made = heroku.releases.last().map(|release| show::release(heroku, &world.names, release));
    Ok(Reply::new(201, "application/json", made.unwrap_or_default().to_string()))
}

/// The release phase of the next release: none, unless a fault gives it one.
fn phase(world: &mut World) -> Phase {
    if world.strikes("heroku.release_fails") {
        Phase::Fails
    } else if world.strikes("heroku.release_slow") {
        Phase::Slow
    } else {
        Phase::None
    }
}

/// Under the fault `heroku.crash`, a dyno that was just started crashes.
pub(super) fn crash(world: &mut World) {
    let now = world.live.now;
    let started = world.heroku.dynos.iter().rposition(|dyno| dyno.created_at >= now && dyno.number < 1000);
    if let Some(started) = started
        && world.strikes("heroku.crash")
    {
        world.heroku.dynos[started].crashes = true;
    }
}
