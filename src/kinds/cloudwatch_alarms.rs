//! `cloudwatch.alarms`: named alarms are OK, and have been for long enough.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::json;

use super::{Bind, Kind};
use crate::{
    base::{Class, Failure, short_duration},
    plan::{Check, Cx, Doubt, Identity, Param, Params, Permission, Seen, Shape},
    services::{
        Services,
        aws::{Alarm, Patience, WhichAlarms, now},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "cloudwatch.alarms",
    summary: "CloudWatch alarms are OK",
    docs: "\
Green when every one of `alarms`, or every alarm whose name begins with `prefix`, metric alarm or composite, is `OK`; with `states_held`,
when each has been so for at least that long, by CloudWatch's own clock. An alarm in `INSUFFICIENT_DATA` has nothing to say: it
is \"not yet: no data\", unless `insufficient_ok` is true. An alarm that is named and does not exist, and a prefix that nothing begins
with, are mistakes of the runbook.

What hurts people: an alarm is OK until its evaluation periods are over: one over 5 minutes says nothing about the last four,
so give `states_held` where it matters; one that treats missing data as `notBreaching` is OK without any data at all; one whose
actions are off is told in the line, it pages nobody. Alarms on Route 53 and CloudFront metrics are in us-east-1: `region`.

Limits: alarms are read as they are, without their history: one that went to ALARM and back between two looks shows only
by its age.

API: CloudWatch `DescribeAlarms`.",
    params: PARAMS,
    doubt: Doubt::Read,
    needs: &["cloudwatch:DescribeAlarms", "sts:GetCallerIdentity"],
    example: include_str!("../../runbooks/kinds/cloudwatch.alarms.toml"),
    bind: Bind::Check(bind),
};

const PARAMS: &[Param] = &[
    Param { name: "alarms", shape: Shape::Texts, required: false, help: "names or ARNs" },
    Param { name: "prefix", shape: Shape::Text, required: false, help: "all alarms whose names begin so" },
    Param {
        name: "states_held",
        shape: Shape::Duration,
        required: false,
        help: "how long each has to be OK already; default: now",
    },
    Param {
        name: "insufficient_ok",
        shape: Shape::Flag,
        required: false,
        help: "INSUFFICIENT_DATA is as good as OK; default: false",
    },
    Param {
        name: "region",
        shape: Shape::Text,
        required: false,
        help: "where the alarms are; default: the environment's region",
    },
];

/// Alarms that are told of by name.
const NAMED: usize = 8;

struct Alarms {
    services: Arc<Services>,
    which: WhichAlarms,
    held: Duration,
    insufficient_ok: bool,
    region: Option<String>,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Check> {
    let mut names = params.texts("alarms");
    // `arn:aws:cloudwatch:eu-west-1:123456789012:alarm:NAME`; a name may hold colons itself.
    for name in names.iter_mut().filter(|name| name.starts_with("arn:")) {
        if let Some((_, short)) = name.split_once(":alarm:") {
            *name = short.to_owned();
        }
    }
    names.sort();
    names.dedup();
    let prefix = params.opt_text("prefix");
    if params.has("alarms") == params.has("prefix") {
        let at = if params.has("prefix") { params.place_of("prefix") } else { params.place() };
        let label = if params.has("prefix") { "give one or the other" } else { "neither is here" };
        params.mistake(at, "`cloudwatch.alarms` needs `alarms` or a `prefix`", label, None);
    }
    let nothing = |text: &String| text.trim().is_empty();
    for key in ["alarms", "prefix"].into_iter().filter(|key| params.has(key)).collect::<Vec<_>>() {
        let empty = if key == "prefix" { prefix.as_ref().is_some_and(nothing) } else { names.is_empty() };
        if empty || names.iter().any(nothing) {
            let at = params.place_of(key);
            params.mistake(at, format!("`{key}` is empty"), "names no alarm", None);
        }
    }
    Arc::new(Alarms {
        services: services.clone(),
        which: prefix.map_or(WhichAlarms::Named(names), WhichAlarms::Prefix),
        held: params.opt_duration("states_held").unwrap_or_default(),
        insufficient_ok: params.opt_flag("insufficient_ok").unwrap_or(false),
        region: params.opt_text("region"),
    })
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.len().checked_sub(NAMED) {
        Some(more @ 1..) => format!("{} and {more} more", names[..NAMED].join(", ")),
        _ => names.join(", "),
    }
}

fn age(alarm: &Alarm, at: DateTime<Utc>) -> Option<Duration> {
    alarm.since.map(|since| (at - since).to_std().unwrap_or_default())
}

impl Alarms {
    fn name(&self) -> String {
        match &self.which {
            WhichAlarms::Named(names) => list(names.iter().map(String::as_str)),
            WhichAlarms::Prefix(prefix) => format!("{prefix}*"),
        }
    }

    fn is_good(&self, alarm: &Alarm) -> bool {
        alarm.state == "OK" || (self.insufficient_ok && alarm.state == "INSUFFICIENT_DATA")
    }

    /// Everything that is asked for has to be there.
    fn all_there(&self, alarms: &[Alarm]) -> Result<(), Failure> {
        let words = match &self.which {
            WhichAlarms::Named(names) => {
                let missing: Vec<&str> = names
                    .iter()
                    .map(String::as_str)
                    .filter(|name| !alarms.iter().any(|alarm| alarm.name == *name))
                    .collect();
                match missing.len() {
                    0 => return Ok(()),
                    1 => format!("there is no alarm {}", missing[0]),
                    n => format!("{n} alarms are not there: {}", list(missing.into_iter())),
                }
            }
            WhichAlarms::Prefix(_) if !alarms.is_empty() => return Ok(()),
            WhichAlarms::Prefix(prefix) => format!("no alarm's name begins with {prefix}"),
        };
        let hint = "compare the names with the console; alarms live in one region, and in the account of the metrics";
        Err(Failure::new(Class::Misconfigured, words).hint(hint))
    }

    fn judge(&self, alarms: &[Alarm], at: DateTime<Utc>) -> Result<Seen, Failure> {
        self.all_there(alarms)?;
        let bad: Vec<&Alarm> = alarms.iter().filter(|alarm| !self.is_good(alarm)).collect();
        if !bad.is_empty() {
            return Err(self.not_ok(alarms.len(), &bad, at));
        }
        let young = alarms.iter().filter(|alarm| age(alarm, at).is_none_or(|age| age < self.held));
        if let Some(young) = young.min_by_key(|alarm| age(alarm, at)).filter(|_| !self.held.is_zero()) {
            let so_far = age(young, at).map_or("nobody knows how long".into(), short_duration);
            let words = format!("{} is {} for {so_far}, wanted {}", young.name, young.state, short_duration(self.held));
            return Err(Failure::new(Class::NotYet, words).because(young.reason.as_str()));
        }
        let youngest = alarms.iter().filter_map(|alarm| age(alarm, at)).min();
        let mut line = match alarms {
            [one] => format!("{} is {}", one.name, one.state),
            _ => format!("{} alarms are OK", alarms.len()),
        };
        let silent = alarms.iter().filter(|alarm| alarm.state != "OK").map(|alarm| alarm.name.as_str());
        let silent = list(silent);
        if alarms.len() > 1 && !silent.is_empty() {
            line += &format!(", INSUFFICIENT_DATA taken as OK: {silent}");
        }
        if let Some(youngest) = youngest {
            line +=
                &format!(", {} {}", if alarms.len() == 1 { "for" } else { "last change" }, short_duration(youngest));
            line += if alarms.len() == 1 { "" } else { " ago" };
        }
        let off = list(alarms.iter().filter(|alarm| !alarm.actions).map(|alarm| alarm.name.as_str()));
        if !off.is_empty() {
            line += &format!("; actions are off, nobody is paged: {off}");
        }
        let told = |alarm: &Alarm| {
            let age = age(alarm, at).map(|age| age.as_secs());
            json!({ "name": alarm.name, "state": alarm.state, "age_s": age, "composite": alarm.composite, "actions": alarm.actions })
        };
        #[expect(clippy::cast_precision_loss, reason = "a few thousand alarms at most")]
        let value = alarms.len() as f64;
        Ok(Seen::new(line).value(value).with(json!({ "alarms": alarms.iter().map(told).collect::<Vec<_>>() })))
    }

    fn not_ok(&self, all: usize, bad: &[&Alarm], at: DateTime<Utc>) -> Failure {
        let silent = bad.iter().all(|alarm| alarm.state == "INSUFFICIENT_DATA");
        let names = list(bad.iter().map(|alarm| alarm.name.as_str()));
        let is = if bad.len() == 1 { "is" } else { "are" };
        let words = match silent {
            true => format!("no data: {} of {all} alarms {is} INSUFFICIENT_DATA: {names}", bad.len()),
            false => format!("{} of {all} alarms {is} not OK: {names}", bad.len()),
        };
        let failure = bad.iter().take(NAMED).fold(Failure::new(Class::NotYet, words), |failure, alarm| {
            let age = age(alarm, at).map(|age| format!(" for {}", short_duration(age))).unwrap_or_default();
            failure.because(format!("{} is {}{age}: {}", alarm.name, alarm.state, alarm.reason))
        });
        if silent {
            return failure.hint("is the metric written at all? `insufficient_ok = true` where it is only written when something happens");
        }
        failure
    }
}

impl Check for Alarms {
    fn looks(&self) -> String {
        let held = if self.held.is_zero() { String::new() } else { format!(" for {}", short_duration(self.held)) };
        let insufficient = if self.insufficient_ok { " or INSUFFICIENT_DATA" } else { "" };
        format!("CloudWatch DescribeAlarms {} expects OK{insufficient}{held}", self.name())
    }

    fn needs(&self) -> Vec<Permission> {
        // Composite alarms are told only to those who may see all alarms ("DescribeAlarms", CloudWatch API reference).
        vec![Permission::anywhere("cloudwatch:DescribeAlarms")]
    }

    fn every(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        self.services.aws.fence()
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(async move {
            let alarms = self.services.aws.alarms(&self.which, self.region.as_deref(), &Patience::of(cx)).await?;
            self.judge(&alarms, now())
        })
    }
}
