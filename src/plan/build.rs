//! From a runbook and one of its environments to a [`Plan`], or to every mistake that only shows
//! when kinds meet their parameters.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{
    Action, Bound, BoundRollback, BoundWatch, Check, Plan, Registry,
    bind::Binder,
    contract::{ValueRule, harmless},
    lacking::{Lacking, leave_out},
};
use crate::{
    base::{StepId, clean_line},
    run::{
        Doubt, EnvOutline, Hands, LeftOut, Mode, Outline, StepOutline, StopOutline, Treatment, Undo, WatchOutline,
        WindowOutline,
    },
    runbook::{
        Clocks, Code, Diagnostic, Env, EnvKind, OnFail, Resolver, Rollback, Runbook, Step, Watch, canonical, sha256_hex,
    },
};

/// The hard limit of an attempt where the file says none: this many times its plan…
const TIMEOUT_TIMES: u32 = 3;
/// …and at least this.
const TIMEOUT_LEAST: Duration = Duration::from_secs(30);

/// How the run was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What it is for.
    pub mode: Mode,
    /// All reads real, no action.
    pub dry_run: bool,
    /// Steps before this one are left out.
    pub from: Option<StepId>,
    /// Steps after this one are left out.
    pub until: Option<StepId>,
    /// SHA-256 of the file, hex.
    pub source_hash: String,
}

/// Builds the plan of `env`.
///
/// # Errors
/// Every mistake, with its place in the file.
pub fn build(
    runbook: &Runbook,
    env: &Env,
    registry: &dyn Registry,
    options: &Options,
) -> Result<Plan, Vec<Diagnostic>> {
    let mut binder = Binder::new(registry, Resolver::new(runbook, env));
    let here = |only: &Option<Vec<_>>| only.as_ref().is_none_or(|only| only.contains(&env.name));
    let steps: Vec<&Step> = runbook.steps.iter().filter(|step| here(&step.only)).collect();
    let position: HashMap<&StepId, usize> = steps.iter().enumerate().map(|(i, step)| (&step.id, i)).collect();
    let treatments = treatments(&steps, &position, options);
    let mut outlines = Vec::with_capacity(steps.len());
    let mut bound = Vec::with_capacity(steps.len());
    let mut lacking = Lacking::of(env);
    for (i, step) in steps.iter().enumerate() {
        let (outline, parts) = one(&mut binder, runbook, &steps, i, treatments[i].clone(), &lacking);
        lacking.note(&outline);
        refer(&mut binder, step, i, &position);
        outlines.push(outline);
        bound.push(Arc::new(parts));
    }
    let mut watch_outlines = Vec::new();
    let mut watches = Vec::new();
    let mut watches_left_out = Vec::new();
    for watch in runbook.watches.iter().filter(|watch| here(&watch.only)) {
        binder.given.clear();
        let Some((outline, parts)) = watch_of(&mut binder, watch) else { continue };
        match lacking.reason(&binder.given, parts.refs.iter()) {
            Some(why) => {
                watches_left_out.push(LeftOut { looks: format!("{}: {}", outline.title, outline.looks), why });
            }
            None => {
                watch_outlines.push(outline);
                watches.push(parts);
            }
        }
    }
    if !binder.mistakes.is_empty() {
        return Err(binder.mistakes);
    }
    let outline = Outline {
        runbook: runbook.id.clone(),
        title: runbook.title.clone(),
        source_hash: options.source_hash.clone(),
        lead: runbook.lead.clone(),
        env: env_of(env),
        mode: options.mode,
        dry_run: options.dry_run,
        window: WindowOutline {
            // A rehearsal does not happen at the night's hour; its T+0 is its own start.
            start: runbook.window.start.filter(|_| env.kind == EnvKind::Live),
            end: runbook.window.end.filter(|_| env.kind == EnvKind::Live),
            freeze_budget: runbook.window.freeze_budget,
            downtime_budget: runbook.window.downtime_budget,
        },
        people: runbook.people.clone(),
        steps: outlines,
        watches: watch_outlines,
        lacks: lacking.all(),
        watches_left_out,
    };
    Ok(Plan { outline, steps: bound, watches, secrets: binder.secrets })
}

fn env_of(env: &Env) -> EnvOutline {
    let mut fence = Vec::new();
    if let Some(aws) = &env.aws {
        fence.extend(aws.account.iter().map(|account| format!("account {account}")));
        fence.extend(aws.region.clone());
    }
    fence.extend(env.heroku.iter().map(|heroku| format!("app {}", heroku.app)));
    fence.extend(env.databases.iter().map(|(secret, wanted)| {
        let name = wanted.name.as_deref().unwrap_or("any");
        format!("database {name} by {secret}")
    }));
    EnvOutline { name: env.name.clone(), kind: env.kind, confirm: env.confirm.clone(), fence }
}

fn treatments(steps: &[&Step], position: &HashMap<&StepId, usize>, options: &Options) -> Vec<Treatment> {
    let from = options.from.as_ref().and_then(|id| position.get(id).copied());
    let until = options.until.as_ref().and_then(|id| position.get(id).copied());
    let treat = |i: usize| match (from, until) {
        (Some(from), _) if i < from => Treatment::Leave(format!("before --from {}", steps[from].id)),
        (_, Some(until)) if i > until => Treatment::Leave(format!("after --until {}", steps[until].id)),
        _ if options.dry_run => Treatment::ReadOnly,
        _ => Treatment::Do,
    };
    (0..steps.len()).map(treat).collect()
}

/// What a step waits for: what it names, else the step above it in this environment.
#[must_use]
pub fn needs_of(steps: &[&Step], i: usize) -> Vec<StepId> {
    match &steps[i].needs {
        Some(needs) => needs.iter().map(|(id, _)| id.clone()).collect(),
        None => i.checked_sub(1).map(|above| steps[above].id.clone()).into_iter().collect(),
    }
}

fn one(
    binder: &mut Binder<'_>,
    runbook: &Runbook,
    steps: &[&Step],
    i: usize,
    treatment: Treatment,
    lacking: &Lacking<'_>,
) -> (StepOutline, Bound) {
    let step = steps[i];
    binder.refs.clear();
    binder.given.clear();
    binder.canonical = format!("{}\n{:?}\n", step.id, step.planned);
    let title = binder.text(&step.title);
    let why = step.why.as_ref().map(|why| binder.text(why));
    let after_no_return = step.after_no_return.as_ref().map(|text| binder.text(text));
    let precheck = binder.checks(&step.precheck);
    let action = step.action.as_ref().and_then(|table| binder.action(table));
    let verify = binder.checks(&step.verify);
    let (undo, rollback) = rollback_of(binder, step, action.as_ref());
    let left_out = lacking.reason(&binder.given, binder.refs.iter().map(|r| &r.step));
    let (stop, criteria) = match &step.stop {
        None => (None, Vec::new()),
        Some(stop) => {
            let (mut criteria, mut left_out) = (Vec::new(), Vec::new());
            for table in &stop.criteria {
                binder.given.clear();
                let before = binder.refs.len();
                let Some(check) = binder.check(table) else { continue };
                // The question is asked without it.
                match lacking.reason(&binder.given, binder.refs[before..].iter().map(|r| &r.step)) {
                    Some(why) => left_out.push(LeftOut { looks: looks(&check), why }),
                    None => criteria.push(check),
                }
            }
            let outline = StopOutline {
                question: binder.text(&stop.question),
                if_go: stop.if_go.as_ref().map(|text| binder.text(text)),
                if_no_go: stop.if_no_go.as_ref().map(|text| binder.text(text)),
                voters: stop.voters.clone(),
                decides: stop.decides.clone().unwrap_or_else(|| runbook.lead.clone()),
                criteria: criteria.iter().map(looks).collect(),
                left_out,
            };
            (Some(outline), criteria)
        }
    };
    let kind = step.action.as_ref().or(step.verify.first()).or(step.precheck.first()).map(|table| table.kind.clone());
    let by_hand = action.as_ref().map(hands).unwrap_or_default();
    let mut outline = StepOutline {
        id: step.id.clone(),
        phase: step.phase.clone(),
        title,
        why,
        owner: step.owner.clone(),
        planned: step.planned,
        timeout: step.timeout.unwrap_or_else(|| (step.planned * TIMEOUT_TIMES).max(TIMEOUT_LEAST)),
        needs: needs_of(steps, i),
        kind: kind.unwrap_or_else(|| "stop".into()),
        changes: action.as_ref().is_some_and(|action| action.changes()),
        manual: action.as_ref().is_some_and(|action| action.manual()),
        asks_value: by_hand.value,
        checklist: by_hand.checklist,
        value_rule: by_hand.rule,
        undo_hands: match &rollback {
            BoundRollback::Action(action) if action.manual() => Some(hands(action)),
            _ => None,
        },
        works: step.action.is_some()
            || !step.verify.is_empty()
            || !step.precheck.is_empty()
            || (treatment == Treatment::ReadOnly && !criteria.is_empty()),
        does: action.as_ref().map(|action| harmless(action.does())).unwrap_or_default(),
        verifies: verify.iter().map(looks).collect(),
        doubt: action.as_ref().map_or(Doubt::Read, |action| action.doubt()),
        undo,
        undo_tested: false,
        retry: step.retry,
        stop,
        no_return: step.no_return,
        after_no_return,
        people: step.people,
        go_on_after_failure: match &step.on_fail {
            OnFail::Hold => None,
            OnFail::Continue(reason) => Some(reason.clone()),
        },
        clocks: step.clocks.unwrap_or_else(|| action.as_ref().map_or_else(Clocks::default, |action| action.clocks())),
        treatment,
        hash: sha256_hex(binder.canonical.as_bytes()),
        written_hash: written_hash(step),
        rehearsed: false,
    };
    if let Some(why) = left_out {
        leave_out(&mut outline, why);
    }
    let refs: HashSet<StepId> = binder.refs.iter().map(|r| r.step.clone()).collect();
    let bound = Bound { precheck, action, verify, rollback, criteria, refs: refs.into_iter().collect() };
    (outline, bound)
}

fn looks(check: &Arc<dyn Check>) -> String {
    clean_line(&check.looks(), usize::MAX)
}

/// What an action asks of a person, as they may be shown it.
fn hands(action: &Arc<dyn Action>) -> Hands {
    let rule = action.value_rule();
    Hands {
        checklist: harmless(action.checklist()),
        value: action.asks_value().map(|value| clean_line(&value, usize::MAX)),
        rule: rule.map(|rule| ValueRule { choices: harmless(rule.choices), ..rule }),
    }
}

/// The step as its author wrote it: what it does, checks and undoes, variables not filled in.
fn written_hash(step: &Step) -> String {
    let back = step.rollback.iter().filter_map(|r| if let Rollback::Action(table) = r { Some(table) } else { None });
    let criteria = step.stop.iter().flat_map(|stop| &stop.criteria);
    let tables = step.precheck.iter().chain(&step.action).chain(&step.verify).chain(back).chain(criteria);
    let text: String = tables.map(|table| format!("{}{}\n", table.kind, canonical(&table.params))).collect();
    sha256_hex(format!("{}\n{}\n{text}", step.id, step.no_return).as_bytes())
}

fn rollback_of(binder: &mut Binder<'_>, step: &Step, action: Option<&Arc<dyn Action>>) -> (Undo, BoundRollback) {
    let changes = action.is_some_and(|action| action.changes());
    match &step.rollback {
        None if changes => {
            let mistake = Diagnostic::error(
                Code::MISSING,
                step.id_span.clone(),
                format!("step `{}` changes the world but says nothing about `rollback`", step.id),
            );
            let restorable = action.is_some_and(|action| action.restorable());
            binder.mistakes.push(mistake.label("`rollback` is missing in this step").help(if restorable {
                "rollback = \"restore\" puts back what was captured before the action; or an action of its own, or { none = \"reason\" }"
            } else {
                "rollback = { kind = \"…\", … } for an action that takes it back, or { none = \"reason\" }"
            }));
            (Undo::Nothing, BoundRollback::None)
        }
        None => (Undo::Nothing, BoundRollback::None),
        Some(Rollback::Restore) => match action {
            Some(action) if action.changes() && action.restorable() => (Undo::Restore, BoundRollback::Restore),
            Some(action) if !action.changes() => (Undo::Nothing, BoundRollback::None),
            _ => {
                if step.action.is_none() || action.is_some() {
                    let kind = step.action.as_ref().map_or("a step without an action", |table| table.kind.as_str());
                    let mistake = Diagnostic::error(
                        Code::BAD_VALUE,
                        step.id_span.clone(),
                        format!("step `{}` cannot be restored: `{kind}` captures nothing to put back", step.id),
                    );
                    binder.mistakes.push(
                        mistake
                            .label("rollback = \"restore\" in this step")
                            .help("name an action that takes it back, or { none = \"reason\" }"),
                    );
                }
                (Undo::Nothing, BoundRollback::None)
            }
        },
        Some(Rollback::Action(table)) => match binder.action(table) {
            Some(action) => (Undo::Action(harmless(action.does())), BoundRollback::Action(action)),
            None => (Undo::Nothing, BoundRollback::None),
        },
        Some(Rollback::None(reason)) => {
            let reason = binder.text(reason);
            (if changes { Undo::None(reason) } else { Undo::Nothing }, BoundRollback::None)
        }
    }
}

/// A step that a kind builds on exists here and comes before.
fn refer(binder: &mut Binder<'_>, step: &Step, i: usize, position: &HashMap<&StepId, usize>) {
    for reference in std::mem::take(&mut binder.refs) {
        let mistake = |message: String| Diagnostic::error(Code::UNKNOWN_STEP, reference.span.clone(), message);
        match position.get(&reference.step) {
            Some(&at) if at < i => {}
            Some(_) => binder.mistakes.push(
                mistake(format!("step `{}` does not come before `{}`", reference.step, step.id))
                    .label("must be an earlier step")
                    .related(step.id_span.clone(), "this step builds on it"),
            ),
            None => {
                let names = position.keys().map(|id| id.as_str());
                let near = super::nearest(reference.step.as_str(), names);
                binder.mistakes.push(
                    mistake(format!("there is no step `{}` in this environment", reference.step))
                        .label("unknown step")
                        .near(near),
                );
            }
        }
    }
}

fn watch_of(binder: &mut Binder<'_>, watch: &Watch) -> Option<(WatchOutline, BoundWatch)> {
    binder.refs.clear();
    let title = binder.text(&watch.title);
    let check = binder.check(&watch.check)?;
    let outline = WatchOutline {
        id: watch.id.clone(),
        title,
        from: watch.from.0.clone(),
        until: watch.until.0.clone(),
        every: watch.every,
        looks: looks(&check),
        breach_after: watch.breach_after,
        no_data_is_bad: watch.no_data_is_bad,
        hold: watch.hold,
    };
    let refs = binder.refs.drain(..).map(|r| r.step).collect();
    Some((outline, BoundWatch { check, refs }))
}
