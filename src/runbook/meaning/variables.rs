//! Every `${…}` of the file against every environment in which its place exists, so that one message
//! names all environments that lack a variable.

use std::collections::HashMap;

use crate::{
    base::EnvName,
    runbook::{
        Diagnostics, Env, KindTable, Rollback, Runbook, SecretSource, resolve,
        template::{self, Piece, Places},
        value::{Kind, Table, Value},
    },
};

struct Look<'r, 'd> {
    runbook: &'r Runbook,
    d: &'d mut Diagnostics,
    /// Per variable, the environments (by index) that define it.
    defined: HashMap<&'r str, Vec<bool>>,
}

pub(super) fn check(runbook: &Runbook, d: &mut Diagnostics) {
    let mut defined: HashMap<&str, Vec<bool>> = HashMap::new();
    for name in runbook.vars.keys().map(String::as_str).chain(["env"]) {
        defined.insert(name, vec![true; runbook.envs.len()]);
    }
    for (i, env) in runbook.envs.iter().enumerate() {
        for name in env.vars.keys() {
            defined.entry(name).or_insert_with(|| vec![false; runbook.envs.len()])[i] = true;
        }
    }
    let mut look = Look { runbook, d, defined };
    for secret in &runbook.secrets {
        let texts = match &secret.source {
            SecretSource::Command(words) => words.as_slice(),
            SecretSource::Env(text)
            | SecretSource::File(text)
            | SecretSource::HerokuConfig(text)
            | SecretSource::AwsSecret(text)
            | SecretSource::AwsParameter(text) => std::slice::from_ref(text),
        };
        for text in texts {
            let value = Value { span: secret.span.clone(), kind: Kind::Text(text.clone()) };
            look.text(&value, text, None, Some("a secret cannot lead to another"));
        }
    }
    for step in &runbook.steps {
        let only = step.only.as_deref();
        let stop = step.stop.iter();
        let texts = [Some(&step.title), step.why.as_ref(), step.after_no_return.as_ref()].into_iter().flatten();
        let asked = stop.clone().flat_map(|s| [Some(&s.question), s.if_go.as_ref(), s.if_no_go.as_ref()]).flatten();
        let reason =
            step.rollback.iter().filter_map(|r| if let Rollback::None(reason) = r { Some(reason) } else { None });
        texts.chain(asked).chain(reason).for_each(|value| look.shown(value, only));
        let back =
            step.rollback.iter().filter_map(|r| if let Rollback::Action(action) = r { Some(action) } else { None });
        let checks = step.precheck.iter().chain(&step.verify).chain(stop.flat_map(|s| &s.criteria));
        checks.chain(&step.action).chain(back).for_each(|table| look.kind(table, only));
    }
    for watch in &runbook.watches {
        look.shown(&watch.title, watch.only.as_deref());
        look.kind(&watch.check, watch.only.as_deref());
    }
}

impl Look<'_, '_> {
    fn shown(&mut self, value: &Value, only: Option<&[EnvName]>) {
        if let Kind::Text(text) = &value.kind {
            self.text(value, text, only, Some(resolve::SHOWN));
        }
    }

    fn kind(&mut self, table: &KindTable, only: Option<&[EnvName]>) {
        self.table(&table.params, only);
    }

    fn table(&mut self, table: &Table, only: Option<&[EnvName]>) {
        table.entries.iter().for_each(|entry| self.value(&entry.value, only));
    }

    fn value(&mut self, value: &Value, only: Option<&[EnvName]>) {
        match &value.kind {
            Kind::Text(text) => self.text(value, text, only, None),
            Kind::List(list) => list.iter().for_each(|item| self.value(item, only)),
            Kind::Table(table) => self.table(table, only),
            Kind::Secret(_) | Kind::Int(_) | Kind::Float(_) | Kind::Bool(_) | Kind::Time(_) => {}
        }
    }

    /// `no_secret`: why none may be here; `None`: one may stand alone.
    fn text(&mut self, value: &Value, text: &str, only: Option<&[EnvName]>, no_secret: Option<&str>) {
        if !text.contains("${") {
            return;
        }
        let pieces = template::pieces(text);
        let alone = pieces.len() == 1;
        let places = Places::new(&self.runbook.source, value, text);
        for (piece, number) in &pieces {
            if self.d.full() {
                return;
            }
            let span = || places.of(*number);
            match piece {
                Piece::Plain(_) | Piece::Escaped => {}
                Piece::Malformed(why) => self.d.push(resolve::malformed(span(), why)),
                Piece::Variable(name) => {
                    let defined = self.defined.get(name);
                    let envs = self.runbook.envs.iter().enumerate();
                    let lacking: Vec<&Env> = envs
                        .filter(|(_, env)| only.is_none_or(|only| only.contains(&env.name)))
                        .filter(|(i, _)| defined.is_none_or(|defined| !defined[*i]))
                        .map(|(_, env)| env)
                        .collect();
                    if !lacking.is_empty() {
                        self.d.push(resolve::undefined(self.runbook, name, span(), &lacking));
                    }
                }
                Piece::Secret(name) => {
                    let why = no_secret.or((!alone).then_some(resolve::NOT_ALONE)).unwrap_or_default();
                    if !why.is_empty() || !self.runbook.secrets.iter().any(|s| s.name == *name) {
                        self.d.push(resolve::secret_mistake(self.runbook, name, span(), why));
                    }
                }
            }
        }
    }
}
