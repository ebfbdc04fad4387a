//! `scheduler.switch`: `EventBridge` schedules and rules on or off.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::{Bind, Kind};
use crate::{
    base::{Class, Failure},
    plan::{Action, Cx, Done, Doubt, Finding, Identity, Param, Params, Permission, Shape},
    services::{
        Services,
        aws::{Aws, Patience},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "scheduler.switch",
    summary: "switches EventBridge schedules and rules on or off",
    docs: "\
Captures every named schedule (`GetSchedule`) and rule (`DescribeRule`) whole. Those that are not `to` yet are switched: a schedule by
`UpdateSchedule`, which **replaces everything** and therefore gets back every field as it was read, known here or not, with another
`State`; a rule by `EnableRule` or `DisableRule`. Then reads them until they say so.

Neither API has a conditional update. Each one is read again just before it is written, and where its configuration (anything but the
state) is no longer what was captured, nothing is sent and the difference is shown; a change within that last moment would be lost.

`rollback = \"restore\"` gives each one the state that it had, in the same way.

What hurts people: a job that runs twice or not at all, because Heroku Scheduler and EventBridge were both on, or both off; Heroku Scheduler
is an add-on with no API: switching it off is a `manual` step or scaling its dynos, and its jobs go on in maintenance mode. A schedule that is
switched on after its time has passed does not run until the next one; a one-time schedule in the past never does.

Limits: a rule that AWS manages, and one that takes all CloudTrail management events, cannot be switched here. A schedule encrypted with a key
of yours needs the permission for that key too. A schedule whose `StartDate` has passed goes back with that `StartDate`, as everything does,
and AWS does not take one that is more than 5 minutes ago (`ValidationException`, nothing is done): give such a schedule none, or a new one,
before the night. Leaving it out here would change the schedule, which a restore could not put back either.

API: EventBridge Scheduler `GetSchedule`, `UpdateSchedule` (with a client token; it hands the target's role on, so `iam:PassRole` is needed);
EventBridge `DescribeRule`, `EnableRule`, `DisableRule`.
Evidence: `switched`, each with its request id; `already`.",
    params: PARAMS,
    doubt: Doubt::Desired,
    needs: &[
        "events:DescribeRule",
        "events:DisableRule",
        "events:EnableRule",
        "iam:PassRole",
        "scheduler:GetSchedule",
        "scheduler:UpdateSchedule",
        "sts:GetCallerIdentity",
    ],
    example: include_str!("../../runbooks/kinds/scheduler.switch.toml"),
    bind: Bind::Action(bind),
};

const PARAMS: &[Param] = &[
    Param { name: "to", shape: Shape::Text, required: true, help: "on or off" },
    Param { name: "schedules", shape: Shape::Texts, required: false, help: "names of EventBridge Scheduler schedules" },
    Param { name: "group", shape: Shape::Text, required: false, help: "the schedules' group; default: default" },
    Param { name: "rules", shape: Shape::Texts, required: false, help: "names of EventBridge rules" },
    Param { name: "bus", shape: Shape::Text, required: false, help: "the rules' event bus, by name; default: default" },
];

/// Between two looks that wait for a change to show, and between two that call it not done.
const LOOK: Duration = Duration::from_millis(500);
const APART: Duration = Duration::from_secs(3);
const ENABLED: &str = "ENABLED";
const DISABLED: &str = "DISABLED";
/// What changes by itself when something is written.
const MOVES: &[&str] = &["LastModificationDate", "State"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Schedule,
    Rule,
}

/// One that is switched.
#[derive(Debug, Clone)]
struct Item {
    what: What,
    name: String,
}

impl Item {
    fn line(&self) -> String {
        let what = if self.what == What::Schedule { "schedule" } else { "rule" };
        format!("{what} {}", self.name)
    }
}

struct Switch {
    services: Arc<Services>,
    items: Vec<Item>,
    group: String,
    bus: String,
    on: bool,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Action> {
    let mut items = Vec::new();
    for (key, what, most) in [("schedules", What::Schedule, 64), ("rules", What::Rule, 64)] {
        for name in params.texts(key) {
            plain(params, key, &name, most);
            items.push(Item { what, name });
        }
    }
    if items.is_empty() && params.ok() {
        params.mistake(params.place(), "`scheduler.switch` needs `schedules` or `rules`", "nothing to switch", None);
    }
    let mut word = |key: &str| {
        let word = params.opt_text(key).unwrap_or_else(|| "default".into());
        plain(params, key, &word, 256);
        word
    };
    let (group, bus) = (word("group"), word("bus"));
    let on = params.word("to", &[("on", true), ("off", false)]);
    Arc::new(Switch { services: services.clone(), items, group, bus, on })
}

/// A name goes into a path: only what AWS takes (`^[0-9a-zA-Z-_.]+$`).
fn plain(params: &mut Params<'_>, key: &str, name: &str, most: usize) {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if name.is_empty() || name.len() > most || !name.bytes().all(good) || name.starts_with('.') {
        let span = params.place_of(key);
        let message = format!("`{key}`: a name is 1 to {most} letters, digits, - _ and .");
        params.mistake(span, message, "not a name that EventBridge takes", None);
    }
}

impl Switch {
    fn aws(&self) -> &Aws {
        &self.services.aws
    }

    async fn read(&self, item: &Item, patience: &Patience) -> Result<Json, Failure> {
        match item.what {
            What::Schedule => self.aws().schedule(&self.group, &item.name, patience).await,
            What::Rule => self.aws().rule(&self.bus, &item.name, patience).await,
        }
    }

    async fn read_all(&self, cx: &Cx) -> Result<Vec<Json>, Failure> {
        let mut all = Vec::with_capacity(self.items.len());
        for item in &self.items {
            all.push(self.read(item, &Patience::of(cx)).await?);
        }
        Ok(all)
    }

    /// Gives each one its state; everything else has to be as it was captured.
    async fn switch(&self, cx: &Cx, captured: &Json, back: bool) -> Result<Done, Failure> {
        let before = captured_items(captured, self.items.len())?;
        let wanted = |before: &Json| if back { is_on(before) } else { self.on };
        for (item, before) in self.items.iter().zip(before) {
            // All of them are looked at before the first is changed.
            unchanged(item, before, &self.read(item, &Patience::of(cx)).await?)?;
        }
        let (mut switched, mut already) = (Vec::new(), Vec::new());
        for (n, (item, before)) in self.items.iter().zip(before).enumerate() {
            let on = wanted(before);
            let one = self.one(cx, n, item, before, on, back).await;
            match one.map_err(|failure| after(failure, &switched))? {
                Some(request_id) => switched.push(json!({ "name": item.line(), "request_id": request_id })),
                None => already.push(item.line()),
            }
        }
        let word = |on: bool| if on { "on" } else { "off" };
        let states =
            self.items.iter().zip(before).map(|(item, before)| format!("{} is {}", item.line(), word(wanted(before))));
        let line = states.collect::<Vec<_>>().join(", ");
        let line = if switched.is_empty() { format!("{line} already") } else { line };
        Ok(Done::new(line).with(json!({ "switched": switched, "already": already })))
    }

    /// Switches one; the request id, or `None` where it was so already.
    async fn one(
        &self,
        cx: &Cx,
        n: usize,
        item: &Item,
        before: &Json,
        on: bool,
        back: bool,
    ) -> Result<Option<String>, Failure> {
        let patience = Patience::of(cx);
        let now = self.read(item, &patience).await?;
        unchanged(item, before, &now)?;
        if is_on(&now) == on {
            return Ok(None);
        }
        switchable(item, &now)?;
        let state = if on { ENABLED } else { DISABLED };
        let request_id = match item.what {
            What::Schedule => {
                // A token stands for one request: this item, this direction. What is sent after a look that found it
                // otherwise is another one, which must not be answered as the one before; twice is as good as once.
                let again = if cx.again { format!("-{}", cx.attempt) } else { String::new() };
                let token = format!("{}{again}-{n}-{}", cx.token, if back { "back" } else { "to" });
                self.aws().put_schedule(&now, state, &token, &patience).await?
            }
            What::Rule => self.aws().switch_rule(&self.bus, &item.name, on, &patience).await?,
        };
        cx.line(format!("{} is being switched {}", item.line(), if on { "on" } else { "off" }));
        let seen = cx.poll(LOOK, || async {
            let now = self.read(item, &patience).await?;
            unchanged(item, before, &now)?;
            if is_on(&now) == on {
                Ok(())
            } else {
                Err(Failure::new(Class::NotYet, format!("{} still says otherwise", item.line())))
            }
        });
        seen.await.map_err(|failure| {
            Failure { class: Class::Unknown, ..failure }
                .because(format!("the change was accepted, request id {request_id}"))
        })?;
        Ok(Some(request_id))
    }

    async fn found(&self, cx: &Cx, captured: &Json, back: bool) -> Result<Finding, Failure> {
        let before = captured_items(captured, self.items.len())?;
        let now = self.read_all(cx).await?;
        let mut lines = Vec::new();
        let mut wrong = 0;
        for ((item, before), now) in self.items.iter().zip(before).zip(&now) {
            let wanted = if back { is_on(before) } else { self.on };
            wrong += usize::from(is_on(now) != wanted);
            lines.push(format!("{} is {}", item.line(), if is_on(now) { "on" } else { "off" }));
        }
        let line = lines.join(", ");
        Ok(if wrong == 0 { Finding::Done(Done::new(line)) } else { Finding::NotDone { line } })
    }
}

/// A rule may be on in two ways.
fn is_on(found: &Json) -> bool {
    found["State"].as_str().is_some_and(|state| state.starts_with(ENABLED))
}

fn captured_items(captured: &Json, wanted: usize) -> Result<&Vec<Json>, Failure> {
    captured["items"].as_array().filter(|items| items.len() == wanted).ok_or_else(|| {
        Failure::new(Class::Misconfigured, "what was captured does not fit the step: there is nothing to compare with")
    })
}

/// Refuses where somebody else changed anything but the state.
fn unchanged(item: &Item, before: &Json, now: &Json) -> Result<(), Failure> {
    let (Some(old), Some(new)) = (before.as_object(), now.as_object()) else { return Ok(()) };
    let keys = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
    let differ: Vec<&String> =
        keys.filter(|key| !MOVES.contains(&key.as_str()) && old.get(*key) != new.get(*key)).collect();
    if differ.is_empty() {
        return Ok(());
    }
    let show = |map: &serde_json::Map<String, Json>, key: &str| map.get(key).map_or("nothing".into(), Json::to_string);
    let words = format!("somebody else changed {} since it was captured", item.line());
    let failure = differ.iter().fold(Failure::new(Class::Refused, words), |failure, key| {
        failure.because(format!("{key}: was {}, is {}", show(old, key), show(new, key)))
    });
    Err(failure.hint("find out who and why; a retry captures it as it is now"))
}

fn switchable(item: &Item, now: &Json) -> Result<(), Failure> {
    if let Some(owner) = now["ManagedBy"].as_str() {
        let words = format!("{} is managed by {owner} and cannot be switched by hand", item.line());
        return Err(Failure::new(Class::Misconfigured, words).hint("switch it where it was made"));
    }
    if now["State"].as_str().is_some_and(|state| state.starts_with(ENABLED) && state != ENABLED) {
        let words = format!("{} takes all CloudTrail management events, which could not be put back", item.line());
        return Err(Failure::new(Class::Misconfigured, words).hint("switch it by hand, with PutRule"));
    }
    Ok(())
}

/// A failure behind others that were switched: "nothing was done" is no longer true of the step.
fn after(failure: Failure, switched: &[Json]) -> Failure {
    if switched.is_empty() || !failure.class.nothing_done() {
        return failure;
    }
    let names: Vec<&str> = switched.iter().filter_map(|one| one["name"].as_str()).collect();
    Failure { class: Class::Failed, ..failure }.because(format!("switched before that: {}", names.join(", ")))
}

impl Action for Switch {
    fn does(&self) -> Vec<String> {
        let (state, rule) = if self.on { (ENABLED, "EnableRule") } else { (DISABLED, "DisableRule") };
        let lines = self.items.iter().map(|item| match item.what {
            What::Schedule => {
                format!("Scheduler UpdateSchedule {}/{}: as it is, with State {state}", self.group, item.name)
            }
            What::Rule => format!("EventBridge {rule} {} of bus {}", item.name, self.bus),
        });
        lines.collect()
    }

    fn needs(&self) -> Vec<Permission> {
        let aws = self.aws();
        let mut needs = Vec::new();
        for item in &self.items {
            match item.what {
                What::Schedule => {
                    let arn = aws.arn("scheduler", &format!("schedule/{}/{}", self.group, item.name));
                    needs.push(Permission::new("scheduler:GetSchedule", &arn));
                    needs.push(Permission::new("scheduler:UpdateSchedule", arn));
                    let role = Permission::new("iam:PassRole", aws.account_arn("iam", "role/*"));
                    if !needs.contains(&role) {
                        needs.push(role);
                    }
                }
                What::Rule => {
                    let bus = if self.bus == "default" { String::new() } else { format!("{}/", self.bus) };
                    let arn = aws.arn("events", &format!("rule/{bus}{}", item.name));
                    for action in ["events:DescribeRule", "events:DisableRule", "events:EnableRule"] {
                        needs.push(Permission::new(action, &arn));
                    }
                }
            }
        }
        needs
    }

    fn doubt(&self) -> Doubt {
        Doubt::Desired
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        self.services.aws.fence()
    }

    fn capture<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async move {
            let items = self.read_all(cx).await?;
            for (item, now) in self.items.iter().zip(&items).filter(|(_, now)| is_on(now) != self.on) {
                switchable(item, now)?;
            }
            // What the last writing says of itself is no part of what is kept.
            let kept = items.into_iter().map(|mut item| {
                if let Some(map) = item.as_object_mut() {
                    map.remove("LastModificationDate");
                }
                item
            });
            Ok(json!({ "items": kept.collect::<Vec<_>>() }))
        })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(self.switch(cx, captured, false))
    }

    fn restore<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(self.switch(cx, captured, true))
    }

    fn probe<'a>(&'a self, cx: &'a Cx, captured: &'a Json, back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            let first = self.found(cx, captured, back).await?;
            let Finding::NotDone { line: before } = first else { return Ok(first) };
            cx.pause(APART).await?;
            Ok(match self.found(cx, captured, back).await? {
                Finding::NotDone { line } if line != before => {
                    Finding::Unclear { line: format!("it is moving: {before}, then {line}") }
                }
                second => second,
            })
        })
    }
}
