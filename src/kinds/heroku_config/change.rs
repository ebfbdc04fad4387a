//! Makes a change of config vars, waits until it runs, and finds out what was. Values are compared in memory and never
//! leave it but in the request that sets them.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value as Json, json};

use super::{
    super::heroku::{
        after_sending,
        dynos::{named, one_off, unsettled},
        not_captured,
    },
    wanted::{Values, Wanted},
};
use crate::{
    base::{Class, Failure},
    plan::{Cx, Done, Finding},
    services::{
        Services,
        heroku::{ConfigVars, Dyno, Heroku, Limits, Process, Release, owned},
    },
};

/// Between two looks at releases and dynos.
const EVERY: Duration = Duration::from_secs(2);
const SET: &str = "set";
const UNSET: &str = "unset";

/// What can be put back later, without a value: the running release, and which names are set.
pub(super) async fn capture(services: &Arc<Services>, wanted: &Wanted, cx: &Cx) -> Result<Json, Failure> {
    let (heroku, limits) = (&services.heroku, Limits::from(cx));
    not_owned(heroku, wanted.names(), &limits).await?;
    // What cannot be opened is told before anything is done.
    wanted.open(services).await?;
    let releases = cx.poll(EVERY, || none_pending(heroku, &limits)).await?;
    let running = running(&releases).map(|release| release.version);
    let now = heroku.config_vars(&limits).await?;
    let (mut vars, mut to_hold) = (Map::new(), Vec::new());
    for name in wanted.names() {
        let value = value_of(&now, name);
        vars.insert(name.clone(), json!(if value.is_some() { SET } else { UNSET }));
        match (value, wanted.former(services, name).await?) {
            (None, _) => {}
            (Some(_), None) => to_hold.push(name),
            (Some(value), Some(former)) if value == former.expose() => {}
            (Some(_), Some(_)) => {
                let message = format!("`former` gives {name} another value than it has");
                return Err(Failure::new(Class::Refused, message).hint("put the present value there, or leave it out"));
            }
        }
    }
    if !to_hold.is_empty() {
        let held = match running {
            Some(version) => heroku.config_vars_of(version, &limits).await?.unwrap_or_default(),
            None => ConfigVars::new(),
        };
        if let Some(name) = to_hold.into_iter().find(|name| value_of(&held, name) != value_of(&now, name)) {
            let release = running.map_or("no release".to_owned(), |version| format!("release v{version} does not"));
            let message = format!("{name} could not be put back: {release} hold its present value");
            let hint = format!("give it: former = {{ {name} = \"${{secret.…}}\" }}");
            return Err(Failure::new(Class::Refused, message).hint(hint));
        }
    }
    Ok(json!({ "release": running, "vars": vars }))
}

/// The values that were there: what the author gives, what Heroku's release of then holds, or nothing.
pub(super) async fn former(
    services: &Arc<Services>,
    wanted: &Wanted,
    cx: &Cx,
    captured: &Json,
) -> Result<Values, Failure> {
    let vars = captured["vars"].as_object().ok_or_else(|| not_captured("config var"))?;
    let (mut values, mut held) = (Values::new(), None);
    for (name, state) in vars {
        if state == UNSET {
            values.push((name.clone(), None));
            continue;
        }
        if let Some(value) = wanted.former(services, name).await? {
            values.push((name.clone(), Some(value)));
            continue;
        }
        if held.is_none() {
            let version = captured["release"].as_u64().ok_or_else(|| not_captured("release"))?;
            held = Some(services.heroku.config_vars_of(version, &Limits::from(cx)).await?.unwrap_or_default());
        }
        let value = held.as_ref().and_then(|held| value_of(held, name)).ok_or_else(|| {
            let message = format!("the former value of {name} is nowhere: Heroku does not hold that release any more");
            Failure::new(Class::Misconfigured, message).hint("set it by hand, or give it as `former`")
        })?;
        let value = crate::base::Secret::new(value.to_owned());
        // Heroku repeats what it refuses.
        services.secrets.learn(&value);
        values.push((name.clone(), Some(value)));
    }
    Ok(values)
}

/// Gives the names their values and waits until every dyno runs with them.
pub(super) async fn make(services: &Arc<Services>, cx: &Cx, target: &Values) -> Result<Done, Failure> {
    let (heroku, limits) = (&services.heroku, Limits::from(cx));
    let app = heroku.app()?;
    let open = differing(&heroku.config_vars(&limits).await?, target);
    let mut request_id = String::new();
    let mut before = None;
    if !open.is_empty() {
        not_owned(heroku, open.iter().map(|(name, _)| *name), &limits).await?;
        before = Some(heroku.release(&limits).await?.map_or(0, |release| release.version));
        let body = open.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
        let reply = heroku.patch("/config-vars", &Json::Object(body.collect()), &limits).await;
        // The answer holds every value of the app: only its id is kept.
        request_id = reply.map_err(explained)?.request_id;
        cx.line(format!("accepted, request id {request_id}; waiting for the release"));
    }
    let sent = |failure: Failure| if before.is_some() { after_sending(failure, &request_id) } else { failure };
    let releases = cx.poll(EVERY, || async {
        let releases = none_pending(heroku, &limits).await?;
        let came = before.is_none_or(|before| releases.first().is_some_and(|newest| newest.version > before));
        if came { Ok(releases) } else { Err(Failure::new(Class::NotYet, "the change has made no release yet")) }
    });
    let releases = releases.await.map_err(sent)?;
    let left = names(&differing(&heroku.config_vars(&limits).await.map_err(sent)?, target));
    if !left.is_empty() {
        let failure =
            Failure::new(Class::Failed, format!("not as asked: {left}")).hint("`heroku releases:output` says why");
        let newer = releases.iter().filter(|release| before.is_some_and(|before| release.version > before));
        return Err(newer.fold(failure, |failure, release| {
            failure.because(format!("release {} {}", release.words(), release.status))
        }));
    }
    let version = running(&releases).map_or(0, |release| release.version);
    let begun = tokio::time::Instant::now();
    let up = cx.poll(EVERY, || async {
        let (formation, dynos) = (heroku.formation(&limits).await?, heroku.dynos(&limits).await?);
        let open = behind(&formation, &dynos, version);
        if open.is_empty() {
            let others = one_off(&dynos, &formation);
            return Ok((named(&others), others.iter().map(|dyno| dyno.name.clone()).collect::<Vec<_>>()));
        }
        let line = open.join("; ");
        let waited = begun.elapsed();
        cx.progress(waited.as_secs_f32() / (waited + cx.left()).as_secs_f32().max(1.0), format!("v{version}: {line}"));
        Err(Failure::new(Class::NotYet, line))
    });
    let (shown, one_off) = up.await.map_err(|failure| match failure.class {
        Class::NotYet if before.is_some() => Failure { class: Class::Failed, ..failure }
            .because(format!("the values are as asked, in release v{version}; request id {request_id}")),
        _ => sent(failure),
    })?;
    let side =
        |set: bool| target.iter().filter(move |(_, value)| value.is_some() == set).map(|(name, _)| name.as_str());
    let (set, unset): (Vec<&str>, Vec<&str>) = (side(true).collect(), side(false).collect());
    let said = [("set", &set), ("not there", &unset)].into_iter().filter(|(_, names)| !names.is_empty());
    let said = said.map(|(word, names)| format!("{} {word}", names.join(", "))).collect::<Vec<_>>().join(", ");
    let already = if before.is_none() { " already" } else { "" };
    let others = if shown.is_empty() { String::new() } else { format!("; one-off dynos keep the old values: {shown}") };
    let line = format!("{app}: {said}{already}; every dyno runs v{version}{others}");
    // The release is what `heroku.lock_deploys` is told to expect, and only a release of our own is.
    let release = before.and_then(|before| ours(&releases, before, target));
    Ok(Done::new(line).with(json!({ "set": set, "unset": unset, "release": release, "request_id": request_id,
        "one_off": one_off, "rate_limit_remaining": heroku.remaining() })))
}

/// Whether the values are as asked, as before, or neither; and whether dynos run with them.
pub(super) async fn found(
    services: &Arc<Services>,
    cx: &Cx,
    target: &Values,
    other: &Values,
) -> Result<Finding, Failure> {
    let (heroku, limits) = (&services.heroku, Limits::from(cx));
    let releases = heroku.releases(&limits).await?;
    if let Some(pending) = pending(&releases) {
        let line = format!("release {} is pending: its release phase decides", pending.words());
        return Ok(Finding::Unclear { line });
    }
    let now = heroku.config_vars(&limits).await?;
    let (left, missing) = (differing(&now, target), differing(&now, other));
    if !left.is_empty() {
        let line = names(&left);
        return Ok(if missing.is_empty() {
            Finding::NotDone { line }
        } else {
            Finding::Unclear { line: format!("neither as asked nor as before: {line}") }
        });
    }
    let (formation, dynos) = (heroku.formation(&limits).await?, heroku.dynos(&limits).await?);
    let open = behind(&formation, &dynos, running(&releases).map_or(0, |release| release.version));
    let line = format!("{} as asked", target.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "));
    Ok(if open.is_empty() {
        Finding::Done(Done::new(line))
    } else {
        Finding::Unclear { line: format!("{line}, but {}", open.join("; ")) }
    })
}

/// What keeps the formation from running a release: process types that are not settled, dynos of an older one.
fn behind(formation: &[Process], dynos: &[Dyno], version: u64) -> Vec<String> {
    let of_formation = |kind: &str| formation.iter().any(|process| process.kind == kind);
    let old = dynos.iter().filter(|dyno| of_formation(&dyno.kind) && dyno.release.is_some_and(|it| it < version));
    let old = old.map(|dyno| format!("{} still runs v{}", dyno.name, dyno.release.unwrap_or_default()));
    formation.iter().filter_map(|process| unsettled(process, dynos)).chain(old).collect()
}

fn value_of<'v>(vars: &'v ConfigVars, name: &str) -> Option<&'v str> {
    vars.iter().find(|(var, _)| var == name).map(|(_, value)| value.as_str())
}

/// The names that are not as asked, with the values asked for.
fn differing<'t>(now: &ConfigVars, target: &'t Values) -> Vec<(&'t str, Option<&'t str>)> {
    let wanted = target.iter().map(|(name, value)| (name.as_str(), value.as_ref().map(crate::base::Secret::expose)));
    wanted.filter(|(name, value)| value_of(now, name) != *value).collect()
}

/// `A has another value, B is there`.
fn names(differing: &[(&str, Option<&str>)]) -> String {
    let one = |(name, wanted): &(&str, Option<&str>)| match wanted {
        Some(_) => format!("{name} is not set to the value asked for"),
        None => format!("{name} is set"),
    };
    differing.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The release that runs: the one that Heroku calls current, else the newest that succeeded.
fn running(releases: &[Release]) -> Option<&Release> {
    let current = releases.iter().find(|release| release.current);
    current.or_else(|| releases.iter().find(|release| release.status == "succeeded"))
}

/// The release whose phase is still running and may yet change the config vars.
fn pending(releases: &[Release]) -> Option<&Release> {
    let running = running(releases).map_or(0, |release| release.version);
    releases.iter().find(|release| release.status == "pending" && release.version > running)
}

/// The releases, newest first, once none of them is pending.
async fn none_pending(heroku: &Heroku, limits: &Limits) -> Result<Vec<Release>, Failure> {
    let releases = heroku.releases(limits).await?;
    match pending(&releases) {
        None => Ok(releases),
        Some(pending) => {
            Err(Failure::new(Class::NotYet, format!("the release phase of {} is still running", pending.words())))
        }
    }
}

/// The release that the change made: of those that came, the first that names one of the vars, else the first.
fn ours(releases: &[Release], before: u64, target: &Values) -> Option<u64> {
    let names = |release: &&Release| target.iter().any(|(name, _)| release.description.contains(name.as_str()));
    let came = || releases.iter().rev().filter(|release| release.version > before);
    came().find(names).or_else(|| came().next()).map(|release| release.version)
}

/// Refuses names that belong to an add-on.
async fn not_owned(
    heroku: &Heroku,
    names: impl Iterator<Item = impl AsRef<str>>,
    limits: &Limits,
) -> Result<(), Failure> {
    let owned = owned(&heroku.addons(limits).await?, &heroku.attachments(limits).await?);
    let belongs = |name: &str| owned.iter().find(|(var, _)| var == name).map(|(_, addon)| addon.clone());
    let taken =
        names.filter_map(|name| Some(format!("{} belongs to add-on {}", name.as_ref(), belongs(name.as_ref())?)));
    let taken = taken.collect::<Vec<_>>();
    if taken.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Class::Refused, taken.join(", "))
        .hint("attach another add-on under that name: `heroku addons:attach`, for a database `heroku pg:promote`"))
}

/// What Heroku itself says where a name belongs to an add-on that is not listed.
fn explained(failure: Failure) -> Failure {
    if failure.class == Class::Refused && failure.causes.iter().any(|cause| cause.contains("attachment values")) {
        return failure.hint("these names belong to add-ons: change them by `heroku addons:attach`");
    }
    failure
}
