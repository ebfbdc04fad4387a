//! `value`, `values`, `alias`, `remove`: where a record shall point.

use crate::{
    plan::{Param, Params, Shape},
    runbook::value,
    services::aws::{Alias, RecordSet, told_values},
};

/// `value`.
pub(in crate::kinds) const VALUE: Param =
    Param { name: "value", shape: Shape::Text, required: false, help: "the new value" };
/// `values`.
pub(in crate::kinds) const VALUES: Param =
    Param { name: "values", shape: Shape::Texts, required: false, help: "the new values" };
/// `alias`.
pub(in crate::kinds) const ALIAS: Param = Param {
    name: "alias",
    shape: Shape::Any,
    required: false,
    help: "{ zone = \"Z…\", dns_name = \"…\", evaluate_health = false }",
};
/// `remove`.
pub(in crate::kinds) const REMOVE: Param =
    Param { name: "remove", shape: Shape::Flag, required: false, help: "true: the record is deleted" };

const WITHIN_ALIAS: &[Param] = &[
    Param {
        name: "zone",
        shape: Shape::Text,
        required: true,
        help: "hosted zone id of the target, such as the load balancer's",
    },
    Param { name: "dns_name", shape: Shape::Text, required: true, help: "DNS name of the target" },
    Param { name: "evaluate_health", shape: Shape::Flag, required: false, help: "default: false" },
];

/// Where a record shall point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kinds) enum Target {
    /// Where it points.
    Keep,
    /// At these.
    Values(Vec<String>),
    /// At an AWS resource or another record.
    Alias(Alias),
    /// Nowhere: it is deleted.
    Remove,
}

impl Target {
    /// In words: `value new.example.net`; empty where it stays.
    pub(in crate::kinds) fn words(&self) -> String {
        match self {
            Self::Keep => String::new(),
            Self::Values(values) if values.len() == 1 => format!("value {}", told_values(values)),
            Self::Values(values) => format!("values {}", told_values(values)),
            Self::Alias(alias) => format!("alias {} ({})", alias.dns_name, alias.zone),
            Self::Remove => "nothing in its place".into(),
        }
    }

    /// Points a record set there.
    pub(in crate::kinds) fn point(&self, set: &mut RecordSet) {
        match self {
            Self::Keep | Self::Remove => {}
            Self::Values(values) => {
                set.values.clone_from(values);
                set.alias = None;
            }
            Self::Alias(alias) => {
                set.values.clear();
                set.ttl = None;
                set.alias = Some(alias.clone());
            }
        }
    }
}

/// Reads the target; `others` are further keys that are change enough where there is none.
pub(in crate::kinds) fn read(params: &mut Params<'_>, others: &[&str]) -> Target {
    let remove = params.opt_flag("remove") == Some(true);
    let mut given: Vec<_> = ["value", "values", "alias"].into_iter().filter(|key| params.has(key)).collect();
    if remove {
        given.push("remove");
    }
    match given.as_slice() {
        [] if others.iter().any(|key| params.has(key)) => Target::Keep,
        [] => {
            let help = format!("give `value`, `values`, `alias`, `{}` or `remove`", others.join("`, `"));
            params.mistake(params.place(), "the step is told nothing to change", "no new target", Some(help));
            Target::Keep
        }
        ["value"] => Target::Values(vec![params.text("value")]),
        ["values"] => {
            let values = params.texts("values");
            if values.is_empty() && params.ok() {
                params.mistake(params.place_of("values"), "`values` must not be empty", "no value", None);
            }
            Target::Values(values)
        }
        ["alias"] => alias(params),
        ["remove"] => {
            for key in others.iter().filter(|key| params.has(key)).copied().collect::<Vec<_>>() {
                let words = format!("a record that is deleted takes no `{key}`");
                params.mistake(params.place_of(key), words, "not with `remove`", None);
            }
            Target::Remove
        }
        [_, second, ..] => {
            let words = format!("only one of {} can be given", given.join(", "));
            params.mistake(params.place_of(second), words, "one too many", None);
            Target::Keep
        }
        [_] => Target::Keep,
    }
}

fn alias(params: &mut Params<'_>) -> Target {
    let span = params.place_of("alias");
    if params.has("ttl") {
        let help = Some("leave `ttl` out: an alias answers with its target's".into());
        params.mistake(params.place_of("ttl"), "an alias has no TTL of its own", "not with `alias`", help);
    }
    let Some(value::Kind::Table(table)) = params.raw("alias").map(|value| &value.kind) else {
        params.mistake(span, "`alias` must be a table", "expected { zone = …, dns_name = … }", None);
        return Target::Keep;
    };
    let mut inner = Params::new("alias", span, table, WITHIN_ALIAS);
    let alias = Alias {
        zone: inner.text("zone"),
        dns_name: inner.text("dns_name"),
        evaluate_health: inner.opt_flag("evaluate_health").unwrap_or(false),
    };
    params.absorb(inner);
    Target::Alias(alias)
}
