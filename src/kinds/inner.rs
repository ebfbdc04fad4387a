//! A check inside another kind's parameters (`until = { kind = "http.check", … }`), bound as any other.

use std::sync::Arc;

use super::{ALL, Bind, Kind};
use crate::{
    plan::{Check, Params, nearest},
    runbook::value::{Kind as Shape, Span, Table, Value},
    services::Services,
};

/// Binds the check of a table under `key`; mistakes go to `params` at their own places.
pub(super) fn check(
    params: &mut Params<'_>,
    key: &str,
    table: &Table,
    span: Span,
    services: &Arc<Services>,
) -> Option<Arc<dyn Check>> {
    let named = table.get("kind").map(|entry| &entry.value);
    let (name, place) = match named {
        Some(Value { kind: Shape::Text(name), span }) => (name.as_str(), span.clone()),
        _ => ("", span),
    };
    let Some(Kind { params: spec, bind: Bind::Check(bind) | Bind::Both(bind, _), .. }) = super::find(name) else {
        let checks = ALL.iter().filter(|kind| matches!(kind.bind, Bind::Check(_) | Bind::Both(..)));
        let help = nearest(name, checks.map(|kind| kind.name)).map(|near| format!("did you mean `{near}`?"));
        params.mistake(place, format!("`{key}` needs the kind of a check"), "not a check", help);
        return None;
    };
    let mut inner = Params::new(name, place, table, spec);
    let check = bind(&mut inner, services);
    params.absorb(inner);
    Some(check)
}
