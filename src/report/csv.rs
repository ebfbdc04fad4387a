//! CSV (RFC 4180): a row for each step and attempt, ISO times, seconds. For spreadsheets, so a cell
//! that a spreadsheet would take for a formula gets an apostrophe in front.

use chrono::{DateTime, SecondsFormat, Utc};

use super::model::{AttemptReport, Report, StepReport};

const HEADING: [&str; 20] = [
    "run",
    "environment",
    "number",
    "step",
    "title",
    "phase",
    "owner",
    "kind",
    "state",
    "planned_seconds",
    "actual_seconds",
    "waited_seconds",
    "variance_seconds",
    "began",
    "settled",
    "attempt",
    "what",
    "started",
    "ended",
    "outcome",
];

pub(super) fn write(report: &Report) -> Result<String, std::io::Error> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(HEADING)?;
    for step in &report.steps {
        if step.attempts.is_empty() {
            out.write_record(row(report, step, None))?;
        }
        for attempt in &step.attempts {
            out.write_record(row(report, step, Some(attempt)))?;
        }
    }
    let bytes = out.into_inner().map_err(|error| error.into_error())?;
    String::from_utf8(bytes).map_err(std::io::Error::other)
}

fn row(report: &Report, step: &StepReport, attempt: Option<&AttemptReport>) -> [String; 20] {
    let iso =
        |at: Option<DateTime<Utc>>| at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true)).unwrap_or_default();
    let seconds = |seconds: Option<f64>| seconds.map(|seconds| format!("{seconds:.3}")).unwrap_or_default();
    [
        report.run.clone(),
        report.environment.clone(),
        step.number.to_string(),
        step.id.clone(),
        text(&step.title),
        text(step.phase.as_deref().unwrap_or_default()),
        step.owner.clone(),
        step.kind.clone(),
        step.state.clone(),
        seconds(Some(step.planned_seconds)),
        seconds(step.actual_seconds),
        seconds(Some(step.waited_seconds)),
        seconds(step.variance_seconds),
        iso(step.began),
        iso(step.settled),
        attempt.map(|attempt| attempt.number.to_string()).unwrap_or_default(),
        attempt.map(|attempt| attempt.what.to_owned()).unwrap_or_default(),
        iso(attempt.map(|attempt| attempt.started)),
        iso(attempt.and_then(|attempt| attempt.ended)),
        attempt.map(|attempt| attempt.outcome.clone()).unwrap_or_default(),
    ]
}

/// Text from the runbook's author. Ours and ids need no care.
fn text(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    #[test]
    fn formulas_are_text() {
        assert_eq!(super::text("=1+1"), "'=1+1");
        assert_eq!(super::text("Deploy"), "Deploy");
    }
}
