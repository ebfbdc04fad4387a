//! The order of steps: cycles, and needs on steps that do not exist in some environment.
//!
//! A step may need a later one as long as nothing waits in a circle. A step without `needs` waits
//! for the nearest step above it that exists in the same environment.

use std::collections::HashMap;

use crate::{
    base::StepId,
    runbook::{Code, Diagnostic, Diagnostics, Env, Runbook, Step, value::Span},
};

pub(super) fn check(runbook: &Runbook, d: &mut Diagnostics) {
    // Of two steps with one id the first is meant, everywhere.
    let index: HashMap<&StepId, usize> =
        runbook.steps.iter().enumerate().rev().map(|(i, step)| (&step.id, i)).collect();
    removed(runbook, &index, d);
    cycles(runbook, &index, d);
}

fn removed(runbook: &Runbook, index: &HashMap<&StepId, usize>, d: &mut Diagnostics) {
    for step in &runbook.steps {
        for (need, span) in step.needs.iter().flatten() {
            removed_in(
                runbook,
                index,
                |env| step.exists_in(&env.name),
                &format!("step `{}` needs", step.id),
                (need, span),
                d,
            );
        }
    }
    for watch in &runbook.watches {
        let exists = |env: &Env| watch.only.as_ref().is_none_or(|only| only.contains(&env.name));
        let words = [(&watch.from, "starts with"), (&watch.until, "ends with")];
        for ((step, span), verb) in words {
            removed_in(runbook, index, exists, &format!("watch `{}` {verb}", watch.id), (step, span), d);
        }
    }
}

fn removed_in(
    runbook: &Runbook,
    index: &HashMap<&StepId, usize>,
    exists: impl Fn(&Env) -> bool,
    who: &str,
    (need, span): (&StepId, &Span),
    d: &mut Diagnostics,
) {
    let Some(needed) = index.get(need).map(|i| &runbook.steps[*i]) else { return };
    if needed.only.is_none() {
        return;
    }
    let without: Vec<String> = runbook
        .envs
        .iter()
        .filter(|env| exists(env) && !needed.exists_in(&env.name))
        .map(|env| format!("`{}`", env.name))
        .collect();
    if without.is_empty() {
        return;
    }
    let envs = without.join(", ");
    d.push(
        Diagnostic::error(Code::REMOVED_STEP, span.clone(), format!("{who} `{need}`, which does not exist in {envs}"))
            .label(format!("not in {envs}"))
            .related(needed.id_span.clone(), "its `only` leaves it out there")
            .help("give both the same `only`, or name a step that exists everywhere"),
    );
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    Open,
    Done,
}

/// An edge of the waiting graph; the span is that of the `needs` entry, none for "the step above".
type Edge<'r> = (usize, Option<&'r Span>);

/// What each step waits for among those that exist in one environment.
fn graph<'r>(steps: &'r [Step], index: &HashMap<&StepId, usize>, exists: impl Fn(&Step) -> bool) -> Vec<Vec<Edge<'r>>> {
    let mut above = None;
    let mut graph = Vec::with_capacity(steps.len());
    for (i, step) in steps.iter().enumerate() {
        if !exists(step) {
            graph.push(Vec::new());
            continue;
        }
        graph.push(match &step.needs {
            Some(needs) => needs
                .iter()
                .filter_map(|(need, span)| Some((*index.get(need)?, Some(span))))
                .filter(|(need, _)| exists(&steps[*need]))
                .collect(),
            None => above.map(|above| (above, None)).into_iter().collect(),
        });
        above = Some(i);
    }
    graph
}

/// Reports each circle once. Where `only` is used, each environment has its own step above.
fn cycles(runbook: &Runbook, index: &HashMap<&StepId, usize>, d: &mut Diagnostics) {
    let steps = &runbook.steps;
    if steps.iter().all(|step| step.only.is_none()) {
        circles(steps, &graph(steps, index, |_| true), d);
        return;
    }
    for env in &runbook.envs {
        circles(steps, &graph(steps, index, |step| step.exists_in(&env.name)), d);
    }
}

/// Depth first, and iterative: 2,000 steps may wait in one line.
fn circles(steps: &[Step], graph: &[Vec<Edge<'_>>], d: &mut Diagnostics) {
    let mut marks = vec![Mark::New; steps.len()];
    for start in 0..steps.len() {
        if marks[start] != Mark::New || d.full() {
            continue;
        }
        marks[start] = Mark::Open;
        let mut path = vec![(start, 0, None)];
        while let Some((at, next, _)) = path.last_mut() {
            let Some(&(to, span)) = graph[*at].get(*next) else {
                marks[*at] = Mark::Done;
                path.pop();
                continue;
            };
            *next += 1;
            match marks[to] {
                Mark::Done => {}
                Mark::New => {
                    marks[to] = Mark::Open;
                    path.push((to, 0, span));
                }
                Mark::Open => {
                    let from = path.iter().rposition(|(i, ..)| *i == to).unwrap_or(0);
                    let circle: Vec<Edge<'_>> =
                        path[from + 1..].iter().map(|(i, _, span)| (*i, *span)).chain([(to, span)]).collect();
                    d.push(circle_mistake(steps, to, &circle));
                }
            }
        }
    }
}

/// `circle`: from `first` over every step and back to it.
fn circle_mistake(steps: &[Step], first: usize, circle: &[Edge<'_>]) -> Diagnostic {
    const SHOWN: usize = 8;
    let name = |i: usize| steps[i].id.as_str();
    let mut chain = vec![name(first).to_owned()];
    if circle.len() <= SHOWN {
        chain.extend(circle.iter().map(|(i, _)| name(*i).to_owned()));
    } else {
        chain.extend(circle[..SHOWN / 2].iter().map(|(i, _)| name(*i).to_owned()));
        chain.push(format!("… ({} more) …", circle.len() - SHOWN));
        chain.extend(circle[circle.len() - SHOWN / 2..].iter().map(|(i, _)| name(*i).to_owned()));
    }
    let chain = chain.join(" → ");
    // At least one edge is written down: those to the step above alone cannot close a circle.
    let written: Vec<(usize, &Span)> = circle.iter().filter_map(|(i, span)| Some((*i, (*span)?))).collect();
    let Some((to, span)) = written.last() else {
        return Diagnostic::error(
            Code::CYCLE,
            steps[first].id_span.clone(),
            format!("steps wait for each other: {chain}"),
        );
    };
    let message = if circle.len() == 1 {
        format!("step `{}` needs itself", name(first))
    } else {
        format!("steps wait for each other: {chain}")
    };
    let mut mistake =
        Diagnostic::error(Code::CYCLE, (*span).clone(), message).label(format!("waits for `{}`", name(*to)));
    for (to, span) in written.iter().rev().skip(1).take(SHOWN) {
        mistake = mistake.related((*span).clone(), format!("waits for `{}`", name(*to)));
    }
    if circle.len() == 1 {
        mistake.help("take it out")
    } else if written.len() < circle.len() {
        mistake.help("take one of these out; a step without `needs` waits for the step above it")
    } else {
        mistake.help("take one of these out")
    }
}
