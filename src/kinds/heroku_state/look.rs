//! One look at the app: what is read, what is seen, what is not as expected.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{
    super::heroku::dynos::{named, one_off},
    Expected,
};
use crate::{
    base::{Class, Failure},
    plan::{Cx, Seen},
    services::heroku::{AddOn, Domain, Drain, Dyno, Heroku, Limits, Process, Release},
};

/// Below this many requests left, the number is shown.
const FEW: u64 = 500;

/// What is seen, and what of it is wrong.
#[derive(Default)]
struct Found {
    seen: Vec<String>,
    wrong: Vec<String>,
    evidence: serde_json::Map<String, Json>,
}

pub(super) async fn look(heroku: &Heroku, expected: &Expected, cx: &Cx) -> Result<Seen, Failure> {
    let limits = Limits::from(cx);
    let all = expected.is_empty();
    let app = heroku.read_app(&limits).await?;
    let mut found = Found::default();
    found.app(expected, &app);
    let of_dynos = expected.one_off.is_some() || !expected.dynos.is_empty();
    if all || !expected.formation.is_empty() || of_dynos {
        let formation = heroku.formation(&limits).await?;
        if all || !expected.formation.is_empty() {
            found.formation(expected, &formation);
        }
        if all || expected.one_off.is_some() {
            found.beside(expected, &heroku.dynos(&limits).await?, &formation);
        }
        if all || !expected.dynos.is_empty() {
            found.dynos(expected, &heroku.dynos(&limits).await?, &formation);
        }
    }
    if all || expected.release.is_some() {
        found.release(expected, heroku.release(&limits).await?.as_ref());
    }
    if all || !expected.addons.is_empty() {
        found.addons(expected, &heroku.addons(&limits).await?);
    }
    if all || !expected.domains.is_empty() {
        found.domains(expected, &heroku.domains(&limits).await?);
    }
    if all || !expected.drains.is_empty() {
        found.drains(expected, &heroku.drains(&limits).await?);
    }
    if let Some(left) = heroku.remaining() {
        found.evidence.insert("rate_limit_remaining".into(), json!(left));
        if left < FEW {
            found.seen.push(format!("only {left} requests left of the account's hourly limit"));
        }
    }
    match found.wrong.split_first() {
        None => Ok(Seen::new(format!("{}: {}", app.name, found.seen.join(", "))).with(Json::Object(found.evidence))),
        Some((first, more)) => {
            let count = if more.is_empty() { String::new() } else { format!(" (and {} more)", more.len()) };
            let failure = Failure::new(Class::NotYet, format!("{}: {first}{count}", app.name));
            Err(more.iter().fold(failure, Failure::because))
        }
    }
}

impl Found {
    fn keep(&mut self, key: &str, value: Json) {
        self.evidence.insert(key.to_owned(), value);
    }

    fn app(&mut self, expected: &Expected, app: &crate::services::heroku::App) {
        let on = if app.maintenance { "on" } else { "off" };
        self.seen.push(format!("maintenance {on}"));
        if expected.maintenance.is_some_and(|wanted| wanted != app.maintenance) {
            self.wrong.push(format!("maintenance is {on}"));
        }
        self.keep("maintenance", json!(app.maintenance));
        if let Some(wanted) = &expected.stack {
            if *wanted == app.stack {
                self.seen.push(format!("stack {wanted}"));
            } else {
                self.wrong.push(format!("the stack is {}, not {wanted}", app.stack));
            }
        }
    }

    fn formation(&mut self, expected: &Expected, now: &[Process]) {
        for (kind, wanted) in &expected.formation {
            match now.iter().find(|p| &p.kind == kind) {
                Some(p) if p.quantity == *wanted => {}
                Some(p) => self.wrong.push(format!("{kind} is scaled to {}, not {wanted}", p.quantity)),
                None => self.wrong.push(format!("there is no process type {kind}")),
            }
        }
        self.seen.push(now.iter().map(|p| format!("{}={}", p.kind, p.quantity)).collect::<Vec<_>>().join(" "));
        self.keep("formation", now.iter().map(Process::json).collect());
    }

    fn beside(&mut self, expected: &Expected, now: &[Dyno], formation: &[Process]) {
        let others = one_off(now, formation);
        match expected.one_off {
            Some(false) if !others.is_empty() => self.wrong.push(format!("one-off dynos run: {}", named(&others))),
            Some(true) if others.is_empty() => self.wrong.push("no one-off dyno runs".into()),
            _ if others.is_empty() => self.seen.push("no one-off dyno".into()),
            _ => self.seen.push(format!("one-off dynos: {}", named(&others))),
        }
        self.keep("one_off", others.iter().map(|d| json!({ "name": d.name, "state": d.state })).collect());
    }

    fn dynos(&mut self, expected: &Expected, now: &[Dyno], formation: &[Process]) {
        for (kind, wanted) in &expected.dynos {
            let mine = now.iter().filter(|d| &d.kind == kind).collect::<Vec<_>>();
            let counted = mine.iter().filter(|d| *wanted == 0 || d.state == "up").count() as u64;
            if counted != *wanted || (*wanted > 0 && mine.len() as u64 != *wanted) {
                let list = if mine.is_empty() { "none".to_owned() } else { named(&mine) };
                self.wrong.push(format!("expected {wanted} dynos of {kind}, found {list}"));
            }
        }
        // None of a type that is not there may be a slip of the pen: it is said, for it may be gone as well.
        let known = |kind: &String| {
            formation.iter().any(|process| &process.kind == kind) || ["run", "scheduler", "release"].contains(&&**kind)
        };
        for (kind, _) in expected.dynos.iter().filter(|(kind, wanted)| *wanted == 0 && !known(kind)) {
            self.seen.push(format!("no process type {kind}"));
        }
        // By type and state: `web 2 up, worker 1 starting`.
        let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for dyno in now {
            *counts.entry((&dyno.kind, &dyno.state)).or_default() += 1;
        }
        let counts = counts.into_iter().map(|((kind, state), n)| format!("{kind} {n} {state}")).collect::<Vec<_>>();
        let counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
        self.seen.push(format!("{} dynos ({counts})", now.len()));
        self.keep("dynos", now.iter().map(|d| json!({ "name": d.name, "state": d.state })).collect());
    }

    fn release(&mut self, expected: &Expected, newest: Option<&Release>) {
        let said = |r: &Release| format!("v{} {} ({})", r.version, r.status, r.description);
        match (expected.release, newest) {
            (Some(wanted), Some(r)) if r.version == wanted && r.status == "succeeded" => {
                self.seen.push(format!("release v{wanted}"));
            }
            (Some(wanted), Some(r)) => self.wrong.push(format!("newest release is {}, expected v{wanted}", said(r))),
            (Some(wanted), None) => self.wrong.push(format!("there is no release, expected v{wanted}")),
            (None, Some(r)) => self.seen.push(format!("release {}", said(r))),
            (None, None) => self.seen.push("no release".into()),
        }
        if let Some(r) = newest {
            self.keep("release", json!({ "version": r.version, "status": r.status, "description": r.description }));
        }
    }

    fn addons(&mut self, expected: &Expected, now: &[AddOn]) {
        for (name, wanted) in &expected.addons {
            let is = |addon: &&AddOn| [addon.service(), &addon.plan, &addon.name].contains(&name.as_str());
            let mine = now.iter().filter(is).collect::<Vec<_>>();
            let said = mine.iter().map(|it| format!("{} ({}) {}", it.name, it.plan, it.state)).collect::<Vec<_>>();
            let said = said.join(", ");
            let good =
                |addon: &&AddOn| addon.state == *wanted || (addon.plan == *wanted && addon.state == "provisioned");
            match (wanted.as_str(), mine.is_empty()) {
                ("absent", true) => {}
                ("absent", false) => self.wrong.push(format!("add-on {said} is there")),
                (_, true) => self.wrong.push(format!("there is no add-on {name}")),
                (wanted, false) if !mine.iter().all(good) => {
                    self.wrong.push(format!("add-on {said}, expected {wanted}"));
                }
                _ => {}
            }
        }
        // What is as it should be is short: a line has little room, and the evidence holds all of it.
        let short = |it: &AddOn| match it.state.as_str() {
            "provisioned" => it.plan.clone(),
            state => format!("{} {state}", it.plan),
        };
        let mut list = now.iter().map(short).collect::<Vec<_>>();
        list.sort();
        let list = list.join(", ");
        self.seen.push(format!("add-ons: {}", if list.is_empty() { "none" } else { &list }));
        let kept = now.iter().map(|it| json!({ "name": it.name, "plan": it.plan, "state": it.state }));
        self.keep("addons", kept.collect());
    }

    fn domains(&mut self, expected: &Expected, now: &[Domain]) {
        let same = |a: &str, b: &str| a.trim_end_matches('.').eq_ignore_ascii_case(b.trim_end_matches('.'));
        for (host, cname) in &expected.domains {
            let Some(domain) = now.iter().find(|it| same(&it.hostname, host)) else {
                self.wrong.push(format!("the app has no domain {host}"));
                continue;
            };
            let at = domain.cname.as_deref().unwrap_or_default();
            if matches!(domain.status.as_str(), "pending" | "failed" | "failing") {
                self.wrong.push(format!("domain {host} is {}", domain.status));
            } else if cname.as_deref().is_some_and(|wanted| !same(at, wanted)) {
                let at = if at.is_empty() { "none" } else { at };
                self.wrong.push(format!(
                    "domain {host} has DNS target {at}, expected {}",
                    cname.as_deref().unwrap_or_default()
                ));
            }
        }
        // The app's own name under herokuapp.com has no DNS target.
        let custom = now.iter().filter(|it| it.cname.is_some());
        let short = |it: &Domain| match it.status.as_str() {
            "succeeded" => it.hostname.clone(),
            status => format!("{} {status}", it.hostname),
        };
        let list = custom.map(short).collect::<Vec<_>>().join(", ");
        self.seen.push(format!("domains: {}", if list.is_empty() { "none" } else { &list }));
        let kept = now.iter().map(|it| json!({ "hostname": it.hostname, "status": it.status, "cname": it.cname }));
        self.keep("domains", kept.collect());
    }

    fn drains(&mut self, expected: &Expected, now: &[Drain]) {
        for wanted in &expected.drains {
            let host = |to: &str| to.split_once("://").map_or(to, |(_, rest)| rest).to_owned();
            let bare = |to: &str| host(to).split(':').next().unwrap_or_default().to_owned();
            let is = |it: &Drain| [it.to.clone(), host(&it.to), bare(&it.to)].contains(wanted);
            if !now.iter().any(is) {
                self.wrong.push(format!("no drain to {wanted}"));
            }
        }
        let list = now.iter().map(|it| it.to.as_str()).collect::<Vec<_>>().join(", ");
        self.seen.push(format!("drains: {}", if list.is_empty() { "none" } else { &list }));
        self.keep("drains", now.iter().map(|it| json!(it.to)).collect());
    }
}
