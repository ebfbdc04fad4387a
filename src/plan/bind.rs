//! Binding one table with a `kind`: variables filled in, parameters read, the kind found in the
//! registry. Every mistake is recorded at its place; what could not be bound is left out.

use std::{collections::BTreeSet, sync::Arc};

use super::{Action, Check, KindInfo, Params, Registry, StepRef, nearest};
use crate::runbook::{
    Code, Diagnostic, KindTable, Resolver, canonical,
    value::{Kind, Value},
};

/// Binds the kinds of one environment.
pub(super) struct Binder<'a> {
    registry: &'a dyn Registry,
    resolver: Resolver<'a>,
    /// Every mistake so far.
    pub(super) mistakes: Vec<Diagnostic>,
    /// The steps that the kinds of the current step build on.
    pub(super) refs: Vec<StepRef>,
    /// The current step as resolved, for its hash.
    pub(super) canonical: String,
    /// Every secret that a kind was given so far.
    pub(super) secrets: BTreeSet<String>,
    /// Those that were given since somebody last took them.
    pub(super) given: BTreeSet<String>,
}

impl<'a> Binder<'a> {
    pub(super) fn new(registry: &'a dyn Registry, resolver: Resolver<'a>) -> Self {
        Self {
            registry,
            resolver,
            mistakes: Vec::new(),
            refs: Vec::new(),
            canonical: String::new(),
            secrets: BTreeSet::new(),
            given: BTreeSet::new(),
        }
    }

    /// A text that is shown.
    pub(super) fn text(&mut self, value: &Value) -> String {
        let (text, found) = self.resolver.text(value);
        self.mistakes.extend(found);
        crate::base::clean_line(&text, 400)
    }

    pub(super) fn checks(&mut self, tables: &[KindTable]) -> Vec<Arc<dyn Check>> {
        tables.iter().filter_map(|table| self.check(table)).collect()
    }

    pub(super) fn check(&mut self, table: &KindTable) -> Option<Arc<dyn Check>> {
        let info = self.find(table)?;
        if !info.checks {
            let help = format!("`{}` is an action: put it under `action`", table.kind);
            return self.wrong_place(table, "is not a check", &help);
        }
        self.read(table, info, |registry, params| registry.check(&table.kind, params))
    }

    pub(super) fn action(&mut self, table: &KindTable) -> Option<Arc<dyn Action>> {
        let info = self.find(table)?;
        if !info.acts {
            let help = format!("`{}` only reads: put it under `verify` (or `precheck`)", table.kind);
            return self.wrong_place(table, "is not an action", &help);
        }
        self.read(table, info, |registry, params| registry.action(&table.kind, params))
    }

    fn find(&mut self, table: &KindTable) -> Option<KindInfo> {
        let found = self.registry.find(&table.kind);
        if found.is_none() {
            let mistake =
                Diagnostic::error(Code::KIND, table.kind_span.clone(), format!("there is no kind `{}`", table.kind))
                    .label("unknown kind");
            self.mistakes.push(match nearest(&table.kind, self.registry.names()) {
                Some(near) => mistake.help(format!("did you mean `{near}`?")),
                None => mistake.help("`gonogo kinds` lists them"),
            });
        }
        found
    }

    fn wrong_place<T>(&mut self, table: &KindTable, what: &str, help: &str) -> Option<T> {
        let mistake = Diagnostic::error(Code::KIND, table.kind_span.clone(), format!("`{}` {what}", table.kind));
        self.mistakes.push(mistake.label(what).help(help));
        None
    }

    fn read<T>(
        &mut self,
        table: &KindTable,
        info: KindInfo,
        bind: impl FnOnce(&dyn Registry, &mut Params<'_>) -> Option<T>,
    ) -> Option<T> {
        let (resolved, found) = self.resolver.kind_table(table);
        self.canonical.push_str(&table.kind);
        self.canonical.push_str(&canonical(&resolved.params));
        resolved.params.entries.iter().for_each(|entry| name_secrets(&entry.value, &mut self.given));
        self.secrets.extend(self.given.iter().cloned());
        if !found.is_empty() {
            self.mistakes.extend(found);
            return None;
        }
        let mut params = Params::new(&table.kind, table.kind_span.clone(), &resolved.params, info.params);
        let bound = bind(self.registry, &mut params);
        let (mistakes, refs) = params.finish();
        self.refs.extend(refs);
        let clean = mistakes.is_empty();
        self.mistakes.extend(
            mistakes.iter().map(|m| Diagnostic::from_mistake(m.span.clone(), &m.message, &m.label, m.help.as_deref())),
        );
        bound.filter(|_| clean)
    }
}

/// The names of the secrets in a resolved value.
fn name_secrets(value: &Value, names: &mut BTreeSet<String>) {
    match &value.kind {
        Kind::Secret(name) => drop(names.insert(name.clone())),
        Kind::List(list) => list.iter().for_each(|value| name_secrets(value, names)),
        Kind::Table(table) => table.entries.iter().for_each(|entry| name_secrets(&entry.value, names)),
        Kind::Text(_) | Kind::Int(_) | Kind::Float(_) | Kind::Bool(_) | Kind::Time(_) => {}
    }
}
