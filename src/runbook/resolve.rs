//! Filling in an environment's variables. What comes out holds no `${…}` any more; a secret stays a
//! reference ([`Kind::Secret`]) that only an adapter opens.

use super::{
    Code, Diagnostic, Env, KindTable, Runbook, Scalar, SecretRef, SecretSource,
    mistakes::nearest,
    template::{self, Piece, Places},
    value::{Entry, Kind, Span, Table, Value},
};

/// Resolves texts and values of one runbook for one environment. Cheap to make.
///
/// A value that could not be resolved comes back with its `${…}` still in it, together with the
/// mistakes; whoever asked must not go on to use it.
#[derive(Debug, Clone, Copy)]
pub struct Resolver<'a> {
    runbook: &'a Runbook,
    env: &'a Env,
}

/// So many mistakes of one text are reported: each costs a look through the whole text for its place.
const MOST: usize = 20;

/// Where secrets may not be: everything that is shown.
pub(super) const SHOWN: &str = "a secret cannot be shown";
/// Why a secret may not be part of a longer value.
pub(super) const NOT_ALONE: &str = "a secret must stand alone as a value";

impl<'a> Resolver<'a> {
    /// A resolver for `env` of `runbook`.
    #[must_use]
    pub fn new(runbook: &'a Runbook, env: &'a Env) -> Self {
        Self { runbook, env }
    }

    /// The value of a variable: the environment's `vars`, then `[vars]`; `env` is the environment's name.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<Scalar> {
        if name == "env" {
            return Some(Scalar::Text(self.env.name.as_str().to_owned()));
        }
        self.env.vars.get(name).or_else(|| self.runbook.vars.get(name)).cloned()
    }

    /// A value with everything in it filled in. Text that is exactly `${name}` takes the
    /// variable's own type; text that is exactly `${secret.name}` becomes [`Kind::Secret`].
    #[must_use]
    pub fn value(&self, value: &Value) -> (Value, Vec<Diagnostic>) {
        let mut found = Vec::new();
        let value = self.fill(value, &mut found);
        (value, found)
    }

    /// As [`Resolver::value`], for the parameters of a kind.
    #[must_use]
    pub fn table(&self, table: &Table) -> (Table, Vec<Diagnostic>) {
        let mut found = Vec::new();
        let table = self.fill_table(table, &mut found);
        (table, found)
    }

    /// As [`Resolver::value`], for a check or an action.
    #[must_use]
    pub fn kind_table(&self, table: &KindTable) -> (KindTable, Vec<Diagnostic>) {
        let (params, found) = self.table(&table.params);
        (KindTable { kind: table.kind.clone(), kind_span: table.kind_span.clone(), params }, found)
    }

    /// Text that is shown (titles, questions, reasons): variables only, never a secret.
    #[must_use]
    pub fn text(&self, value: &Value) -> (String, Vec<Diagnostic>) {
        let mut found = Vec::new();
        let Kind::Text(text) = &value.kind else { return (String::new(), found) };
        let filled = self.fill_text(value, text, SHOWN, &mut found);
        (filled, found)
    }

    /// Where a secret's value is in this environment: `{ aws_secret = "acme/${env}/url" }` is filled in.
    #[must_use]
    pub fn secret(&self, secret: &SecretRef) -> (SecretSource, Vec<Diagnostic>) {
        let mut found = Vec::new();
        let mut fill = |text: &String| {
            let value = Value { span: secret.span.clone(), kind: Kind::Text(text.clone()) };
            self.fill_text(&value, text, "a secret cannot lead to another", &mut found)
        };
        let source = match &secret.source {
            SecretSource::Env(text) => SecretSource::Env(fill(text)),
            SecretSource::File(text) => SecretSource::File(fill(text)),
            SecretSource::Command(words) => SecretSource::Command(words.iter().map(fill).collect()),
            SecretSource::HerokuConfig(text) => SecretSource::HerokuConfig(fill(text)),
            SecretSource::AwsSecret(text) => SecretSource::AwsSecret(fill(text)),
            SecretSource::AwsParameter(text) => SecretSource::AwsParameter(fill(text)),
        };
        (source, found)
    }

    fn fill(&self, value: &Value, found: &mut Vec<Diagnostic>) -> Value {
        let kind = match &value.kind {
            Kind::Text(text) if text.contains("${") => self.fill_alone(value, text, found),
            Kind::List(list) => Kind::List(list.iter().map(|item| self.fill(item, found)).collect()),
            Kind::Table(table) => Kind::Table(self.fill_table(table, found)),
            other => other.clone(),
        };
        Value { span: value.span.clone(), kind }
    }

    fn fill_table(&self, table: &Table, found: &mut Vec<Diagnostic>) -> Table {
        let entry = |entry: &Entry, found: &mut Vec<Diagnostic>| Entry {
            key_span: entry.key_span.clone(),
            key: entry.key.clone(),
            value: self.fill(&entry.value, found),
        };
        Table { span: table.span.clone(), entries: table.entries.iter().map(|e| entry(e, found)).collect() }
    }

    fn fill_alone(&self, value: &Value, text: &str, found: &mut Vec<Diagnostic>) -> Kind {
        let pieces = template::pieces(text);
        match pieces.as_slice() {
            [(Piece::Variable(name), _)] => match self.variable(name) {
                Some(Scalar::Bool(flag)) => return Kind::Bool(flag),
                Some(Scalar::Int(number)) => return Kind::Int(number),
                Some(Scalar::Float(number)) => return Kind::Float(number),
                Some(Scalar::Text(text)) => return Kind::Text(text),
                None => {}
            },
            [(Piece::Secret(name), _)] if self.runbook.secrets.iter().any(|s| s.name == *name) => {
                return Kind::Secret((*name).to_owned());
            }
            _ => {}
        }
        let alone = pieces.len() == 1;
        let why = if alone { "" } else { NOT_ALONE };
        Kind::Text(self.fill_text(value, text, why, found))
    }

    /// `no_secret`: why a secret cannot stand here; empty where only its name is wrong.
    fn fill_text(&self, value: &Value, text: &str, no_secret: &str, found: &mut Vec<Diagnostic>) -> String {
        if !text.contains("${") {
            return text.to_owned();
        }
        let mut filled = String::with_capacity(text.len());
        let places = Places::new(&self.runbook.source, value, text);
        let enough = found.len() + MOST;
        for (piece, number) in template::pieces(text) {
            let span = || places.of(number);
            match piece {
                Piece::Plain(plain) => filled.push_str(plain),
                Piece::Escaped => filled.push_str("${"),
                Piece::Variable(name) => match self.variable(name) {
                    Some(Scalar::Text(text)) => filled.push_str(&text),
                    Some(Scalar::Bool(flag)) => filled.push_str(&flag.to_string()),
                    Some(Scalar::Int(number)) => filled.push_str(&number.to_string()),
                    Some(Scalar::Float(number)) => filled.push_str(&number.to_string()),
                    None => {
                        if found.len() < enough {
                            found.push(undefined(self.runbook, name, span(), &[self.env]));
                        }
                        filled.push_str(&format!("${{{name}}}"));
                    }
                },
                Piece::Secret(name) => {
                    if found.len() < enough {
                        found.push(secret_mistake(self.runbook, name, span(), no_secret));
                    }
                    filled.push_str(&format!("${{secret.{name}}}"));
                }
                Piece::Malformed(why) => {
                    if found.len() < enough {
                        found.push(malformed(span(), why));
                    }
                    filled.push_str("${");
                }
            }
        }
        filled
    }
}

/// A `${name}` that `lacking` do not define.
pub(super) fn undefined(runbook: &Runbook, name: &str, span: Span, lacking: &[&Env]) -> Diagnostic {
    let elsewhere = runbook.envs.iter().find_map(|env| env.vars.get_key_value(name).map(|_| env));
    if let Some(env) = elsewhere {
        let names = lacking.iter().map(|env| format!("`{}`", env.name)).collect::<Vec<_>>().join(", ");
        let plural = if lacking.len() > 1 { "environments" } else { "environment" };
        return Diagnostic::error(
            Code::PARTIAL_VARIABLE,
            span,
            format!("variable `{name}` is not defined in {plural} {names}"),
        )
        .label(format!("not in {names}"))
        .related(env.span.clone(), "defined in `vars` of this one")
        .help("define it in `vars` of each environment, or once in [vars]");
    }
    let in_use =
        lacking.first().map(|env| &env.vars).into_iter().flatten().chain(&runbook.vars).map(|(k, _)| k.as_str());
    let mistake = Diagnostic::error(Code::UNKNOWN_VARIABLE, span, format!("variable `{name}` is not defined"))
        .label("unknown variable");
    let known: Vec<&str> = in_use.chain(["env"]).collect();
    let near = nearest(name, known.iter().copied());
    match near {
        Some(near) => mistake.help(format!("did you mean `${{{near}}}`?")),
        None if runbook.secrets.iter().any(|s| s.name == name) => {
            mistake.help(format!("`{name}` is a secret: write `${{secret.{name}}}`"))
        }
        None => {
            mistake.help("define it in [vars] or in `vars` of each environment; a `${` that is meant is written `$${`")
        }
    }
}

/// A `${secret.name}` at a place that takes none, or with a name that does not exist.
pub(super) fn secret_mistake(runbook: &Runbook, name: &str, span: Span, no_secret: &str) -> Diagnostic {
    if runbook.secrets.iter().any(|s| s.name == name) || !no_secret.is_empty() {
        return Diagnostic::error(
            Code::SECRET_IN_TEXT,
            span,
            format!("`${{secret.{name}}}` cannot stand here: {no_secret}"),
        )
        .label("inside a text")
        .help("a secret is given as a whole value to a key that takes one: key = \"${secret.…}\"");
    }
    let mistake = Diagnostic::error(Code::UNKNOWN_SECRET, span, format!("secret `{name}` is not in [secrets]"))
        .label("unknown secret");
    match nearest(name, runbook.secrets.iter().map(|s| s.name.as_str())) {
        Some(near) => mistake.help(format!("did you mean `${{secret.{near}}}`?")),
        None => mistake.help(format!("[secrets]\n{name} = {{ env = \"…\" }}")),
    }
}

pub(super) fn malformed(span: Span, why: &str) -> Diagnostic {
    Diagnostic::error(Code::BAD_TEMPLATE, span, format!("malformed `${{…}}`: {why}"))
        .label("not a variable")
        .help("write `${name}` or `${secret.name}`; a `${` that is meant is written `$${`")
}
