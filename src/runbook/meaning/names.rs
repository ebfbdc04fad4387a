//! Names that are there twice or not at all, confirm words that two environments share, and the
//! one point of no return.

use std::collections::{BTreeMap, HashMap};

use crate::{
    base::{StepId, clean_line},
    runbook::{Code, Diagnostic, Diagnostics, Env, Runbook, Step, mistakes::nearest, value::Span},
};

pub(super) fn check(runbook: &Runbook, d: &mut Diagnostics) {
    let steps = runbook.steps.iter().map(|step| (step.id.as_str(), &step.id_span));
    let watches = runbook.watches.iter().map(|watch| (watch.id.as_str(), &watch.id_span));
    twice("step", steps, d);
    twice("watch", watches, d);
    let index: HashMap<&StepId, usize> =
        runbook.steps.iter().enumerate().rev().map(|(i, step)| (&step.id, i)).collect();
    for step in &runbook.steps {
        for (need, span) in step.needs.iter().flatten() {
            exists(runbook, &index, need, span, d);
        }
    }
    for watch in &runbook.watches {
        let (from, until) = (&watch.from, &watch.until);
        let from_index = exists(runbook, &index, &from.0, &from.1, d);
        let until_index = exists(runbook, &index, &until.0, &until.1, d);
        if let (Some(first), Some(last)) = (from_index, until_index)
            && last < first
        {
            d.push(
                Diagnostic::error(
                    Code::WATCH_ORDER,
                    until.1.clone(),
                    format!("watch `{}` ends before it starts", watch.id),
                )
                .label(format!("`{}` stands above `{}`", until.0, from.0))
                .related(from.1.clone(), "starts here")
                .help("swap the two"),
            );
        }
    }
    confirm_words(runbook, d);
    no_return(runbook, d);
}

fn twice<'a>(what: &str, names: impl Iterator<Item = (&'a str, &'a Span)>, d: &mut Diagnostics) {
    let mut first: HashMap<&str, &Span> = HashMap::new();
    for (name, span) in names {
        if let Some(earlier) = first.get(name) {
            d.push(
                Diagnostic::error(
                    Code::DUPLICATE_ID,
                    span.clone(),
                    format!("two {what}es have the id `{name}`").replace("stepes", "steps"),
                )
                .label("the second")
                .related((*earlier).clone(), "the first")
                .help("rename one of the two"),
            );
        } else {
            first.insert(name, span);
        }
    }
}

fn exists(
    runbook: &Runbook,
    index: &HashMap<&StepId, usize>,
    step: &StepId,
    span: &Span,
    d: &mut Diagnostics,
) -> Option<usize> {
    let found = index.get(step).copied();
    if found.is_none() {
        let near = if d.full() { None } else { nearest(step.as_str(), runbook.steps.iter().map(|s| s.id.as_str())) };
        d.push(
            Diagnostic::error(Code::UNKNOWN_STEP, span.clone(), format!("there is no step `{step}`"))
                .label("no step has this id")
                .near(near),
        );
    }
    found
}

fn confirm_words(runbook: &Runbook, d: &mut Diagnostics) {
    let mut first: BTreeMap<&str, &Env> = BTreeMap::new();
    for env in runbook.envs.iter().filter(|env| !env.confirm.is_empty()) {
        if let Some(earlier) = first.get(env.confirm.as_str()) {
            let word = clean_line(&env.confirm, 64);
            let message = format!("environments `{}` and `{}` share the confirm word `{word}`", earlier.name, env.name);
            d.push(
                Diagnostic::error(Code::SAME_CONFIRM, env.span.clone(), message)
                    .label("the same word")
                    .related(earlier.span.clone(), "as here")
                    .help("give each its own: typing the word of one must never confirm in the other"),
            );
        } else {
            first.insert(&env.confirm, env);
        }
    }
}

/// At most one in each environment: two with `only` may be variants of each other.
fn no_return(runbook: &Runbook, d: &mut Diagnostics) {
    let marked: Vec<&Step> = runbook.steps.iter().filter(|step| step.no_return).collect();
    for (i, step) in marked.iter().enumerate() {
        let earlier = marked[..i]
            .iter()
            .find(|earlier| runbook.envs.iter().any(|env| earlier.exists_in(&env.name) && step.exists_in(&env.name)));
        if let Some(earlier) = earlier {
            d.push(
                Diagnostic::error(
                    Code::SEVERAL_NO_RETURN,
                    step.id_span.clone(),
                    "there is more than one point of no return",
                )
                .label("the second")
                .related(earlier.id_span.clone(), "the first")
                .help("mark the first step after which going back loses data; what follows it needs no mark"),
            );
            return;
        }
    }
}
