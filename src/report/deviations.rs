//! What was not as planned: the list that a review begins with.

use super::model::{Deviation, Report};
use crate::board::spoken;

/// Later than planned by less is no deviation…
const LATE_SECONDS: f64 = 30.0;
/// …nor by less than this share of the plan.
const LATE_SHARE: f64 = 0.1;

/// All deviations, step by step, then what is about the whole run. `events` are kind, step and words
/// of what happened once.
pub(super) fn of(report: &Report, events: &[(&'static str, Option<usize>, String)]) -> Vec<Deviation> {
    let mut all = Vec::new();
    for step in &report.steps {
        let mut add = |kind: &'static str, text: String| all.push(Deviation { kind, step: Some(step.number), text });
        let tries = step.attempts.iter().filter(|attempt| attempt.what == "do").count();
        for attempt in &step.attempts {
            if !matches!(attempt.outcome.as_str(), "done" | "at work" | "lost") {
                add("failure", format!("attempt {} ({}): {}", attempt.number, attempt.outcome, attempt.message));
            }
        }
        if tries > 1 {
            add("retry", format!("{tries} tries"));
        }
        match step.state.as_str() {
            "skipped" => add("skip", step.line.clone()),
            "left out" => add("left out", step.line.clone()),
            "done by hand" => add("by hand", step.line.clone()),
            "failed, went on" => add("failure", format!("went on: {}", step.line)),
            _ => {}
        }
        for criterion in &step.left_out_criteria {
            add("left out", format!("criterion {criterion}"));
        }
        match step.undo.as_ref().map(|undo| undo.state.as_str()) {
            None | Some("undone" | "found done") => {}
            Some("done by hand") => add("by hand", "its undo: done by hand".into()),
            // Of a run that is not over the others have their turn yet.
            Some(state) if state == "skipped" || report.ended.is_some() => add("skip", format!("its undo: {state}")),
            Some(_) => {}
        }
        if let Some(late) = step.variance_seconds
            && late > LATE_SECONDS.max(step.planned_seconds * LATE_SHARE)
        {
            add("late", format!("{} over its plan", words(late)));
        }
        for (kind, _, text) in events.iter().filter(|(_, at, _)| *at == Some(step.number)) {
            add(kind, text.clone());
        }
    }
    for said in &report.decisions {
        let text = || {
            format!(
                "{} by {}{}",
                said.decision,
                said.who,
                said.reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default()
            )
        };
        if !said.against.is_empty() {
            let text = format!("{}, against {}", text(), said.against.join("; "));
            all.push(Deviation { kind: "override", step: said.step, text });
        } else {
            let kind = match said.decision.as_str() {
                "no-go" => "no-go",
                "roll back" => "rollback",
                "abort" => "abort",
                _ => continue,
            };
            all.push(Deviation { kind, step: said.step, text: text() });
        }
    }
    for (kind, _, text) in events.iter().filter(|(_, at, _)| at.is_none()) {
        all.push(Deviation { kind, step: None, text: text.clone() });
    }
    for (name, budget) in [("write freeze", &report.budgets.freeze), ("downtime", &report.budgets.downtime)] {
        if let (true, Some(allowed)) = (budget.over, budget.budget_seconds) {
            let text = format!("{name} {} of {}", words(budget.used_seconds), words(allowed));
            all.push(Deviation { kind: "budget", step: None, text });
        }
    }
    all
}

/// Seconds as people say them.
pub(super) fn words(seconds: f64) -> String {
    spoken(std::time::Duration::try_from_secs_f64(seconds.abs()).unwrap_or_default())
}
