//! What the Heroku kinds share: the app they may name, tables of quantities, and how doubts are settled.

pub(super) mod dynos;
pub(super) mod owner;

use std::{sync::Arc, time::Duration};

use crate::{
    base::{Class, Failure, clean_line},
    plan::{Cx, Finding, Param, Params, Shape},
    runbook::{EnvKind, value},
    services::Services,
};

pub(super) const APP: Param = Param {
    name: "app",
    shape: Shape::Text,
    required: false,
    help: "the app; only the environment's own is allowed, which is the default",
};

/// Between the two looks that call something "not done".
const APART: Duration = Duration::from_secs(3);

/// Refuses another app than the environment's, and an environment without one.
pub(super) fn app(params: &mut Params<'_>, services: &Arc<Services>) {
    let named = params.opt_text("app");
    let env = &services.env;
    // A sandbox brings its own app when it starts.
    if env.heroku.is_none() && env.kind == EnvKind::Sandbox {
        return;
    }
    let Some(own) = env.heroku.as_ref().map(|h| h.app.as_str()).filter(|app| !app.is_empty()) else {
        let message = format!("environment `{}` has no Heroku app", env.name);
        params.mistake(
            params.place(),
            message,
            "needs one",
            Some("add heroku = { app = \"…\" } to the environment".into()),
        );
        return;
    };
    if let Some(named) = named.filter(|named| named != own) {
        let span = params.place_of("app");
        let message = format!("app `{}` is not environment `{}`'s", crate::base::clean_line(&named, 60), env.name);
        params.mistake(span, message, format!("only `{own}` may be touched"), Some("leave `app` out".into()));
    }
}

/// A table of process types and quantities.
pub(super) fn quantities(params: &mut Params<'_>, key: &'static str) -> Option<Vec<(String, u64)>> {
    let raw = params.raw(key)?;
    let mut found = Vec::new();
    let value::Kind::Table(table) = &raw.kind else {
        let message = format!("`{key}` must be a table of quantities, found {}", raw.kind.name());
        params.mistake(raw.span.clone(), message, "expected { web = 2, worker = 0 }", None);
        return Some(found);
    };
    if table.entries.is_empty() {
        params.mistake(raw.span.clone(), format!("`{key}` is empty"), "expected at least one process type", None);
    }
    for entry in &table.entries {
        match entry.value.kind {
            value::Kind::Int(n) if n >= 0 => found.push((entry.key.clone(), n.unsigned_abs())),
            _ => {
                let message = format!("quantity of `{}` must be a whole number, 0 or more", clean_line(&entry.key, 40));
                params.mistake(entry.value.span.clone(), message, "not a quantity", None);
            }
        }
    }
    Some(found)
}

/// A failure after a change was answered: it was sent, so "not yet" is not the whole truth.
pub(super) fn after_sending(failure: Failure, request_id: &str) -> Failure {
    Failure { class: Class::Unknown, ..failure }.because(format!("the change was accepted, request id {request_id}"))
}

pub(super) fn not_captured(what: &str) -> Failure {
    Failure::new(Class::Misconfigured, format!("nothing to put back: no {what} was captured"))
}

/// Looks; where the world is as before, looks again some seconds later before calling it not done: a
/// change that is still under way would be seen then.
pub(super) async fn twice<F, Fut>(cx: &Cx, mut look: F) -> Result<Finding, Failure>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Finding, Failure>>,
{
    let first = look().await?;
    if !matches!(first, Finding::NotDone { .. }) {
        return Ok(first);
    }
    cx.pause(APART).await?;
    let second = look().await?;
    Ok(match (&first, second) {
        (Finding::NotDone { line: before }, Finding::NotDone { line }) if *before != line => {
            Finding::Unclear { line: format!("it is moving: {before}, then {line}") }
        }
        (_, second) => second,
    })
}
