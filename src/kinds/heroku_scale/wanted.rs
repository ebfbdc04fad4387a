//! What `heroku.scale` is asked for: types named one by one, or all of them, or all but some.

use crate::{
    base::{Class, Failure, clean_line},
    plan::Params,
    runbook::value,
    services::heroku::Process,
};

/// What is asked of one type.
pub(super) struct Asked {
    kind: String,
    quantity: u64,
    size: Option<String>,
}

/// What is asked for.
pub(super) enum Wanted {
    Formation(Vec<Asked>),
    To { quantity: u64, types: Vec<String>, except: Vec<String> },
}

/// The words that stand for several types.
const ALL: &str = "all";
const ALL_BUT_WEB: &str = "all-but-web";

impl Wanted {
    pub fn read(params: &mut Params<'_>) -> Self {
        let (to, types, except) = (params.opt_count("to"), params.texts("types"), params.texts("except"));
        let word = match params.raw("formation").map(|raw| &raw.kind) {
            Some(value::Kind::Text(word)) => Some(word.clone()),
            _ => None,
        };
        let formation = if word.is_some() { None } else { formation(params) };
        if word.is_none() && formation.is_some() == params.has("to") && params.ok() {
            let message = "`heroku.scale` needs either `formation` or `to`";
            params.mistake(params.place(), message, "what to scale is missing or said twice", None);
        }
        for key in ["types", "except"] {
            if params.has(key) && (!params.has("to") || word.is_some()) {
                let span = params.place_of(key);
                let label =
                    if word.is_some() { "`formation` says which types" } else { "without `to` it means nothing" };
                params.mistake(span, format!("`{key}` goes with `to`, without `formation`"), label, None);
            }
        }
        if params.has("types") && params.has("except") {
            let span = params.place_of("except");
            params.mistake(span, "`types` and `except` exclude each other", "give one of them", None);
        }
        let quantity = to.unwrap_or(0);
        match (formation, word.as_deref()) {
            (Some(formation), _) => Self::Formation(formation),
            (None, None) => Self::To { quantity, types, except },
            (None, Some(ALL)) => Self::To { quantity, types, except: Vec::new() },
            (None, Some(ALL_BUT_WEB)) => Self::To { quantity, types, except: vec!["web".into()] },
            (None, Some(_)) => {
                let span = params.place_of("formation");
                let message = format!("`formation` must be a table of quantities, \"{ALL}\" or \"{ALL_BUT_WEB}\"");
                params.mistake(span, message, "none of these", Some("{ web = 2, worker = 0 }".into()));
                Self::To { quantity, types, except }
            }
        }
    }

    /// The types that change, as they shall be.
    ///
    /// # Errors
    /// `Misconfigured`: the app has no such type; all of them are named.
    pub fn target(&self, now: &[Process]) -> Result<Vec<Process>, Failure> {
        let named: Vec<&String> = match self {
            Self::Formation(list) => list.iter().map(|asked| &asked.kind).collect(),
            // An app without `web` has all but it all the same.
            Self::To { types, except, .. } => types.iter().chain(except.iter().filter(|kind| *kind != "web")).collect(),
        };
        let missing: Vec<String> = named
            .into_iter()
            .filter(|kind| !now.iter().any(|p| p.kind == **kind))
            .map(|kind| format!("`{}`", clean_line(kind, 40)))
            .collect();
        if !missing.is_empty() {
            let known = now.iter().map(|p| p.kind.as_str()).collect::<Vec<_>>().join(", ");
            let message = format!("the app has no process type {}", missing.join(", "));
            return Err(Failure::new(Class::Misconfigured, message).hint(format!("it has: {known}")));
        }
        let chosen = |p: &&Process| match self {
            Self::Formation(list) => list.iter().any(|asked| asked.kind == p.kind),
            Self::To { types, except, .. } if types.is_empty() => !except.contains(&p.kind),
            Self::To { types, .. } => types.contains(&p.kind),
        };
        Ok(self.of(now.iter().filter(chosen)))
    }

    /// Types as they shall be. One that is not asked for is left out.
    pub fn of<'p>(&self, before: impl IntoIterator<Item = &'p Process>) -> Vec<Process> {
        let wanted = |p: &Process| match self {
            Self::Formation(list) => {
                let asked = list.iter().find(|asked| asked.kind == p.kind)?;
                Some(Process {
                    kind: p.kind.clone(),
                    quantity: asked.quantity,
                    size: asked.size.clone().or(p.size.clone()),
                })
            }
            Self::To { quantity, .. } => Some(Process { quantity: *quantity, ..p.clone() }),
        };
        before.into_iter().filter_map(wanted).collect()
    }

    pub fn words(&self) -> String {
        match self {
            Self::Formation(list) => {
                let one = |asked: &Asked| {
                    let size = asked.size.as_ref().map(|size| format!(":{size}")).unwrap_or_default();
                    format!("{}={}{size}", asked.kind, asked.quantity)
                };
                list.iter().map(one).collect::<Vec<_>>().join(" ")
            }
            Self::To { quantity, types, except } => match (types.as_slice(), except.as_slice()) {
                ([], []) => format!("every process type={quantity}"),
                ([], except) => format!("every process type but {}={quantity}", except.join(", ")),
                (types, _) => types.iter().map(|kind| format!("{kind}={quantity}")).collect::<Vec<_>>().join(" "),
            },
        }
    }
}

/// `{ web = 2, worker = { quantity = 1, size = "Standard-2X" } }`.
fn formation(params: &mut Params<'_>) -> Option<Vec<Asked>> {
    let raw = params.raw("formation")?;
    let value::Kind::Table(table) = &raw.kind else {
        let message = format!("`formation` must be a table of quantities, found {}", raw.kind.name());
        params.mistake(raw.span.clone(), message, "expected { web = 2, worker = 0 }", None);
        return Some(Vec::new());
    };
    if table.entries.is_empty() {
        params.mistake(raw.span.clone(), "`formation` is empty", "expected at least one process type", None);
    }
    let mut all = Vec::new();
    for entry in &table.entries {
        let kind = entry.key.clone();
        let quantity = |value: &value::Value| match value.kind {
            value::Kind::Int(n) if n >= 0 => Some(n.unsigned_abs()),
            _ => None,
        };
        let asked = match &entry.value.kind {
            value::Kind::Table(inner) => {
                let size = match inner.get("size").map(|entry| &entry.value.kind) {
                    Some(value::Kind::Text(size)) if !size.trim().is_empty() => Some(size.clone()),
                    _ => None,
                };
                let known = inner.entries.iter().all(|entry| matches!(entry.key.as_str(), "quantity" | "size"));
                let count = inner.get("quantity").and_then(|entry| quantity(&entry.value));
                count.filter(|_| known && size.is_some()).map(|quantity| Asked { kind, quantity, size })
            }
            _ => quantity(&entry.value).map(|quantity| Asked { kind, quantity, size: None }),
        };
        match asked {
            Some(asked) => all.push(asked),
            None => {
                let name = clean_line(&entry.key, 40);
                let message = format!("quantity of `{name}` must be a whole number, 0 or more");
                let help = "with a size: { quantity = 2, size = \"Standard-2X\" }".to_owned();
                params.mistake(entry.value.span.clone(), message, "not a quantity", Some(help));
            }
        }
    }
    Some(all)
}
