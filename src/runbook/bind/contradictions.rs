//! Keys of a step that are right one by one and wrong together.

use super::{Code, Diagnostic, Diagnostics, Fields, Kind, Span};
use crate::runbook::{OnFail, Step};

/// Reports them.
pub(super) fn find(fields: &Fields<'_>, step: &Step, d: &mut Diagnostics) {
    let at = |key: &str| fields.entry(key).map(|entry| entry.key_span.clone());
    let conflict =
        |span: Span, message: String, label: &str| Diagnostic::error(Code::CONFLICT, span, message).label(label);
    if step.stop.is_some() {
        let question = at("stop").or_else(|| at("action")).unwrap_or_else(|| fields.place.clone());
        let action = step.action.as_ref().and_then(|_| at("action"));
        let others = ["rollback", "retry", "no_return", "on_fail"].into_iter().filter_map(|key| Some((key, at(key)?)));
        for (key, span) in action.map(|span| ("action", span)).into_iter().chain(others) {
            d.push(
                conflict(span, format!("{} is a stop point and takes no `{key}`", fields.what), "not at a stop point")
                    .related(question.clone(), "the stop point")
                    .help("a stop point only asks: put this into a step of its own below it"),
            );
        }
    } else if step.action.is_none() {
        let broken = fields.value("action").is_some() || fields.value("stop").is_some();
        let no_checks = |key: &str| match fields.value(key).map(|value| &value.kind) {
            Some(Kind::List(list)) => list.is_empty(),
            given => given.is_none(),
        };
        if no_checks("verify") && no_checks("precheck") && !broken {
            d.push(
                Diagnostic::error(Code::EMPTY_STEP, fields.place.clone(), format!("{} does nothing", fields.what))
                    .label("no action, no check, no question")
                    .help("action = { kind = \"manual\", … } for something that a person does"),
            );
        }
        for key in ["rollback", "no_return"] {
            if let Some(span) = at(key).filter(|_| !broken) {
                d.push(
                    conflict(
                        span,
                        format!("{} has no action, so `{key}` means nothing", fields.what),
                        "without an action",
                    )
                    .help(format!("leave `{key}` out, or add the action")),
                );
            }
        }
    }
    if let Some(span) = at("after_no_return").filter(|_| !step.no_return) {
        d.push(
            conflict(span, format!("{} is not the point of no return", fields.what), "never shown")
                .help("add `no_return = true`, or leave this out"),
        );
    }
    if let (true, OnFail::Continue(_), Some(span)) = (step.no_return, &step.on_fail, at("on_fail")) {
        let message = "the run cannot go on by itself after a failed point of no return".to_owned();
        d.push(conflict(span, message, "must hold").related(fields.place_of("no_return"), "the point of no return"));
    }
    if let Some(timeout) = step.timeout
        && timeout < step.planned
    {
        d.push(
            Diagnostic::warning(
                Code::TIMEOUT_SHORT,
                fields.place_of("timeout"),
                "the timeout is shorter than the planned duration",
            )
            .label("every attempt would be cut off")
            .related(fields.place_of("planned"), "planned"),
        );
    }
}
