//! Since when no release may have come, and what has.

use chrono::{DateTime, Utc};

use crate::{
    base::{Class, Failure, StepId},
    plan::{Cx, Params},
    runbook::value,
    services::heroku::{Build, Heroku, Limits, Release},
};

/// What the check counts from.
pub(super) struct Since {
    from: From,
    allow: Vec<StepId>,
}

enum From {
    Nothing,
    Step(StepId),
    Moment(DateTime<Utc>),
    Release(u64),
}

/// What the check counts from, with what earlier steps left behind.
pub(super) struct Base {
    version: Option<u64>,
    moment: Option<DateTime<Utc>>,
    pub allowed: Vec<u64>,
}

impl Since {
    pub fn read(params: &mut Params<'_>) -> Self {
        let (step, release) = (params.step_ref("after"), params.opt_count("release"));
        let moment = moment(params);
        let given = ["after", "since", "release"].into_iter().filter(|key| params.has(key)).collect::<Vec<_>>();
        if let [_, second, ..] = given.as_slice() {
            let span = params.place_of(second);
            params.mistake(span, "`after`, `since` and `release` exclude each other", "give one of them", None);
        }
        let allow = params.step_refs("allow");
        if given.is_empty() && params.has("allow") {
            let span = params.place_of("allow");
            params.mistake(span, "`allow` goes with `after`, `since` or `release`", "nothing else is looked for", None);
        }
        let from = match (step, moment, release) {
            (Some(step), ..) => From::Step(step),
            (_, Some(moment), _) => From::Moment(moment),
            (.., Some(release)) => From::Release(release),
            _ => From::Nothing,
        };
        Self { from, allow }
    }

    /// ` and no release since …`.
    pub fn words(&self) -> String {
        match &self.from {
            From::Nothing => String::new(),
            From::Step(step) => format!(" and no release since step {step}"),
            From::Moment(moment) => format!(" and no release since {}", moment.format("%Y-%m-%d %H:%M:%S UTC")),
            From::Release(version) => format!(" and no release after v{version}"),
        }
    }

    /// # Errors
    /// `NotYet`: the step has not written down a release: there is nothing to count from.
    pub fn base(&self, cx: &Cx) -> Result<Base, Failure> {
        let left = |step: &StepId| {
            let prior = cx.priors.get(step)?;
            // A step that made a release names it in its evidence; before that, what was captured counts.
            prior.evidence["release"].as_u64().or_else(|| prior.captured["release"].as_u64())
        };
        let none = |step: &StepId| Failure::new(Class::NotYet, format!("no data: step {step} wrote down no release"));
        let made = |step: &StepId| cx.priors.get(step).and_then(|prior| prior.evidence["release"].as_u64());
        let (version, moment) = match &self.from {
            From::Nothing => (None, None),
            From::Step(step) => (Some(left(step).ok_or_else(|| none(step))?), None),
            From::Moment(moment) => (None, Some(*moment)),
            From::Release(version) => (Some(*version), None),
        };
        // A step that changed nothing, or was left out, made none.
        Ok(Base { version, moment, allowed: self.allow.iter().filter_map(made).collect() })
    }
}

impl Base {
    /// The releases that came and are not expected, oldest first.
    pub fn came(&self, releases: &[Release]) -> Vec<String> {
        let newer = |release: &&Release| {
            self.version.is_some_and(|version| release.version > version)
                || self.moment.is_some_and(|moment| release.created_at.is_none_or(|at| at >= moment))
        };
        let came = releases.iter().rev().filter(newer).filter(|release| !self.allowed.contains(&release.version));
        let mut came = came.map(|release| format!("release {} came{}", release.words(), at(release.created_at)));
        let newest = releases.iter().map(|release| release.version).max().unwrap_or_default();
        match self.version.filter(|version| newest < *version) {
            // Another app, or a list that is not what it says.
            Some(version) => vec![format!("the newest release is v{newest}, and v{version} was expected to be there")],
            None => came.by_ref().collect(),
        }
    }
}

/// The builds and then the releases: a build that ends in between has made its release by then, and is not missed.
pub(super) async fn read(heroku: &Heroku, limits: &Limits) -> Result<(Vec<Release>, Vec<Build>), Failure> {
    let builds = heroku.builds(limits).await?;
    Ok((heroku.releases(limits).await?, builds))
}

/// What may still make a release or change the app.
pub(super) fn under_way(releases: &[Release], builds: &[Build]) -> Vec<String> {
    let current = releases.iter().find(|release| release.current).map_or(0, |release| release.version);
    let pending = releases.iter().filter(|release| release.status == "pending" && release.version > current);
    let pending = pending.map(|release| format!("the release phase of {} is running", release.words()));
    let building = builds.iter().filter(|build| build.status == "pending");
    pending.chain(building.map(|build| format!("{} is running{}", build.words(), at(build.created_at)))).collect()
}

fn at(moment: Option<DateTime<Utc>>) -> String {
    moment.map(|moment| format!(" at {}", moment.format("%H:%M:%S UTC"))).unwrap_or_default()
}

fn moment(params: &mut Params<'_>) -> Option<DateTime<Utc>> {
    let raw = params.raw("since")?;
    let moment = match &raw.kind {
        value::Kind::Time(moment) => Some(moment.to_utc()),
        value::Kind::Text(text) => DateTime::parse_from_rfc3339(text.trim()).ok().map(|moment| moment.to_utc()),
        _ => None,
    };
    if moment.is_none() {
        let message = format!("`since` must be a moment with its offset, found {}", raw.kind.name());
        params.mistake(raw.span.clone(), message, "expected 2026-12-06T01:30:00+01:00", None);
    }
    moment
}

/// Refuses keys that belong to the other use of the kind.
pub(super) fn only_for(params: &mut Params<'_>, keys: &[&str], whose: &str, label: &str) {
    for key in keys {
        if params.has(key) {
            let span = params.place_of(key);
            params.mistake(span, format!("`{key}` is for {whose}"), label, None);
        }
    }
}
