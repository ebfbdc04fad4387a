//! Typed reading of a kind's parameters. Every mistake is recorded with its place and reading goes
//! on with a harmless value, so that all mistakes of a table are found at once; whoever binds the
//! kind throws the result away where anything was recorded.

use std::{net::SocketAddr, time::Duration};

use crate::{
    base::StepId,
    runbook::value::{Entry, Kind, Span, Table, Value},
};

/// One parameter of a kind, for the reader, `gonogo kinds` and the suggestion at an unknown key.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// The key.
    pub name: &'static str,
    /// What it takes.
    pub shape: Shape,
    /// True where leaving it out is a mistake.
    pub required: bool,
    /// What it means, one line, with the default.
    pub help: &'static str,
}

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Text.
    Text,
    /// Text, or a secret that stands alone.
    TextOrSecret,
    /// A whole number, 0 or more.
    Count,
    /// A number.
    Number,
    /// `true` or `false`.
    Flag,
    /// `90s`, `15m`, `1h30m`.
    Duration,
    /// A moment with its offset.
    Time,
    /// A list of texts.
    Texts,
    /// A table of texts (and secrets where the kind says so).
    Map,
    /// Anything; the kind reads it itself.
    Any,
}

/// A step that a parameter names, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRef {
    /// The step.
    pub step: StepId,
    /// Where it is named.
    pub span: Span,
}

/// A mistake in a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub span: Span,
    /// What is wrong: "`ttl` must be a whole number, found text".
    pub message: String,
    /// What stands under the marked place.
    pub label: String,
    /// How to mend it.
    pub help: Option<String>,
}

/// Text that may be a secret: `${secret.x}` standing alone, opened only by the adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextOrSecret {
    /// Plain text.
    Text(String),
    /// The secret's name.
    Secret(String),
}

/// The reader over one table. Values are resolved: no `${…}` is left.
pub struct Params<'a> {
    kind: &'a str,
    kind_span: Span,
    table: &'a Table,
    spec: &'static [Param],
    mistakes: Vec<Mistake>,
    refs: Vec<StepRef>,
}

impl<'a> Params<'a> {
    /// A reader over the parameters of `kind`; unknown and missing keys are recorded at once.
    #[must_use]
    pub fn new(kind: &'a str, kind_span: Span, table: &'a Table, spec: &'static [Param]) -> Self {
        let mut params = Self { kind, kind_span, table, spec, mistakes: Vec::new(), refs: Vec::new() };
        for entry in &table.entries {
            if entry.key != "kind" && !spec.iter().any(|p| p.name == entry.key) {
                params.unknown(entry);
            }
        }
        for param in spec.iter().filter(|p| p.required && table.get(p.name).is_none()) {
            params.mistakes.push(Mistake {
                span: params.kind_span.clone(),
                message: format!("`{kind}` needs `{}`", param.name),
                label: format!("`{}` is missing here", param.name),
                help: Some(format!("{}: {}", param.name, param.help)),
            });
        }
        params
    }

    fn unknown(&mut self, entry: &Entry) {
        let near = nearest(&entry.key, self.spec.iter().map(|p| p.name));
        let known = self.spec.iter().map(|p| p.name).collect::<Vec<_>>().join(", ");
        self.mistakes.push(Mistake {
            span: entry.key_span.clone(),
            message: format!("`{}` does not know `{}`", self.kind, crate::base::clean_line(&entry.key, 60)),
            label: "unknown key".into(),
            help: Some(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None if known.is_empty() => format!("`{}` takes no keys", self.kind),
                None => format!("known keys: {known}"),
            }),
        });
    }

    /// Everything that was wrong, and the steps that were named.
    #[must_use]
    pub fn finish(self) -> (Vec<Mistake>, Vec<StepRef>) {
        (self.mistakes, self.refs)
    }

    /// Takes over what the reader of a table within this one found.
    pub fn absorb(&mut self, inner: Params<'_>) {
        let (mistakes, refs) = inner.finish();
        self.mistakes.extend(mistakes);
        self.refs.extend(refs);
    }

    /// True while nothing was wrong.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// Where the kind's name stands, for mistakes that concern several keys.
    #[must_use]
    pub fn place(&self) -> Span {
        self.kind_span.clone()
    }

    /// Where a key's value stands, or the kind's name.
    #[must_use]
    pub fn place_of(&self, key: &str) -> Span {
        self.table.get(key).map_or_else(|| self.kind_span.clone(), |e| e.value.span.clone())
    }

    /// Records a mistake of the kind's own.
    pub fn mistake(&mut self, span: Span, message: impl Into<String>, label: impl Into<String>, help: Option<String>) {
        self.mistakes.push(Mistake { span, message: message.into(), label: label.into(), help });
    }

    /// True where the key is there.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    /// True where the kind declares the key: for readers that several kinds share.
    #[must_use]
    pub fn takes(&self, key: &str) -> bool {
        self.spec.iter().any(|param| param.name == key)
    }

    /// The raw value of a key.
    #[must_use]
    pub fn raw(&self, key: &str) -> Option<&'a Value> {
        debug_assert!(self.spec.iter().any(|p| p.name == key), "`{}` reads undeclared `{key}`", self.kind);
        self.table.get(key).map(|e| &e.value)
    }

    fn wrong(&mut self, key: &str, value: &Value, wanted: &str) {
        self.mistakes.push(Mistake {
            span: value.span.clone(),
            message: format!("`{key}` must be {wanted}, found {}", value.kind.name()),
            label: format!("expected {wanted}"),
            help: None,
        });
    }

    /// Text; empty where it is missing or wrong.
    pub fn text(&mut self, key: &str) -> String {
        self.opt_text(key).unwrap_or_default()
    }

    /// Text that may be left out.
    pub fn opt_text(&mut self, key: &str) -> Option<String> {
        let value = self.raw(key)?;
        match &value.kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Secret(name) => {
                let name = name.clone();
                self.mistakes.push(Mistake {
                    span: value.span.clone(),
                    message: format!("`{key}` must not be a secret"),
                    label: format!("`${{secret.{name}}}` would be shown or sent in the clear"),
                    help: Some("give a secret only to keys that take one".into()),
                });
                None
            }
            _ => {
                self.wrong(key, value, "text");
                None
            }
        }
    }

    /// Text or a secret that may be left out.
    pub fn opt_secret(&mut self, key: &str) -> Option<TextOrSecret> {
        let value = self.raw(key)?;
        match &value.kind {
            Kind::Text(text) => Some(TextOrSecret::Text(text.clone())),
            Kind::Secret(name) => Some(TextOrSecret::Secret(name.clone())),
            _ => {
                self.wrong(key, value, "text or a secret");
                None
            }
        }
    }

    /// A whole number, 0 or more, that may be left out.
    pub fn opt_count(&mut self, key: &str) -> Option<u64> {
        let value = self.raw(key)?;
        match value.kind {
            Kind::Int(n) if n >= 0 => u64::try_from(n).ok(),
            _ => {
                self.wrong(key, value, "a whole number, 0 or more");
                None
            }
        }
    }

    /// A number that may be left out.
    pub fn opt_number(&mut self, key: &str) -> Option<f64> {
        let value = self.raw(key)?;
        match value.kind {
            #[expect(clippy::cast_precision_loss, reason = "limits of metrics are far below 2^52")]
            Kind::Int(n) => Some(n as f64),
            Kind::Float(n) => Some(n),
            _ => {
                self.wrong(key, value, "a number");
                None
            }
        }
    }

    /// A flag that may be left out.
    pub fn opt_flag(&mut self, key: &str) -> Option<bool> {
        let value = self.raw(key)?;
        if let Kind::Bool(flag) = value.kind {
            return Some(flag);
        }
        self.wrong(key, value, "true or false");
        None
    }

    /// A duration that may be left out.
    pub fn opt_duration(&mut self, key: &str) -> Option<Duration> {
        let value = self.raw(key)?;
        if let Kind::Text(text) = &value.kind
            && let Ok(duration) = humantime::parse_duration(text)
        {
            return Some(duration);
        }
        self.wrong(key, value, "a duration such as \"90s\" or \"1h30m\"");
        None
    }

    /// A list of texts; empty where it is left out. A single text stands for a list of one.
    pub fn texts(&mut self, key: &str) -> Vec<String> {
        let Some(value) = self.raw(key) else { return Vec::new() };
        match &value.kind {
            Kind::Text(text) => vec![text.clone()],
            Kind::List(list) => {
                let mut texts = Vec::with_capacity(list.len());
                for item in list {
                    if let Kind::Text(text) = &item.kind {
                        texts.push(text.clone());
                    } else {
                        self.wrong(key, item, "a list of texts");
                    }
                }
                texts
            }
            _ => {
                self.wrong(key, value, "a list of texts");
                Vec::new()
            }
        }
    }

    /// A table of texts and secrets; empty where it is left out.
    pub fn map(&mut self, key: &str) -> Vec<(String, TextOrSecret)> {
        let Some(value) = self.raw(key) else { return Vec::new() };
        let Kind::Table(table) = &value.kind else {
            self.wrong(key, value, "a table of texts");
            return Vec::new();
        };
        let mut map = Vec::with_capacity(table.entries.len());
        for entry in &table.entries {
            match &entry.value.kind {
                Kind::Text(text) => map.push((entry.key.clone(), TextOrSecret::Text(text.clone()))),
                Kind::Secret(name) => map.push((entry.key.clone(), TextOrSecret::Secret(name.clone()))),
                _ => self.wrong(key, &entry.value, "a table of texts"),
            }
        }
        map
    }

    /// Addresses `ip` or `ip:port`, with a default port.
    pub fn addresses(&mut self, key: &str, port: u16) -> Vec<SocketAddr> {
        let Some(value) = self.raw(key) else { return Vec::new() };
        let items = match &value.kind {
            Kind::List(list) => list.iter().collect::<Vec<_>>(),
            _ => vec![value],
        };
        let mut found = Vec::with_capacity(items.len());
        for item in items {
            let text = if let Kind::Text(text) = &item.kind { text.as_str() } else { "" };
            let address = text.parse().or_else(|_| text.parse().map(|ip| SocketAddr::new(ip, port)));
            match address {
                Ok(address) => found.push(address),
                Err(_) => self.wrong(key, item, "an address such as \"1.1.1.1\" or \"127.0.0.1:5353\""),
            }
        }
        found
    }

    /// A step of the runbook that this one builds on; the plan checks that it exists and comes before.
    pub fn step_ref(&mut self, key: &str) -> Option<StepId> {
        let span = self.raw(key)?.span.clone();
        let text = self.opt_text(key)?;
        match text.parse::<StepId>() {
            Ok(step) => {
                self.refs.push(StepRef { step: step.clone(), span });
                Some(step)
            }
            Err(bad) => {
                self.mistake(span, bad.to_string(), "not a step's id", None);
                None
            }
        }
    }

    /// Steps of the runbook that this one builds on, a list; empty where it is left out.
    pub fn step_refs(&mut self, key: &str) -> Vec<StepId> {
        let Some(value) = self.raw(key) else { return Vec::new() };
        let items = match &value.kind {
            Kind::List(list) => list.iter().collect::<Vec<_>>(),
            _ => vec![value],
        };
        let mut steps = Vec::with_capacity(items.len());
        for item in items {
            let text = if let Kind::Text(text) = &item.kind { text.as_str() } else { "" };
            match text.parse::<StepId>() {
                Ok(step) => {
                    self.refs.push(StepRef { step: step.clone(), span: item.span.clone() });
                    steps.push(step);
                }
                Err(_) => self.wrong(key, item, "a list of steps' ids"),
            }
        }
        steps
    }

    /// One of a few words; the first is the default where it is left out.
    pub fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> T {
        let default = words[0].1;
        let Some(text) = self.opt_text(key) else { return default };
        if let Some((_, word)) = words.iter().find(|(word, _)| *word == text) {
            return *word;
        }
        let span = self.place_of(key);
        let list = words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        let help = nearest(&text, words.iter().map(|(word, _)| *word)).map(|near| format!("did you mean \"{near}\"?"));
        self.mistake(span, format!("`{key}` must be one of {list}"), "not one of them", help);
        default
    }
}

/// The known word nearest to a misspelt one, near enough to be meant.
#[must_use]
pub fn nearest<'w>(text: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(text, word), word))
        .filter(|(distance, word)| *distance <= 1 + word.len().max(text.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}
