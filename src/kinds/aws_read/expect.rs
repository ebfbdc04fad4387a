//! A path into an answer and what ought to stand there. What leads nowhere is no data.

use regex_lite::Regex;
use serde_json::Value as Json;

use crate::{
    base::clean_line,
    plan::Params,
    runbook::value::{Kind, Value},
};

/// A path is parsed by recursion: it has an end in length and in depth.
const PATH: usize = 400;
const DEPTH: usize = 16;
/// As much of a value as a person reads in a line.
const SHOWN: usize = 160;
/// Names below which a value is not shown.
const SENSITIVE: &[&str] = &[
    "accesskey",
    "apikey",
    "credential",
    "environment",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "userdata",
];

/// What ought to stand there.
#[derive(Debug)]
enum Condition {
    Is(Json),
    IsNot(Json),
    OneOf(Vec<String>),
    Between(Option<f64>, Option<f64>),
    Matches(Regex),
    Empty(bool),
    Absent,
}

/// The path, the condition, and how a list is judged.
pub(super) struct Expect {
    path: Option<jmespath::Expression<'static>>,
    condition: Condition,
    any: bool,
    hidden: bool,
}

/// What was found.
pub(super) struct Judged {
    pub holds: bool,
    pub line: String,
    pub shown: String,
    pub number: Option<f64>,
}

impl Expect {
    /// Reads it; every mistake points at its place.
    pub fn read(params: &mut Params<'_>) -> Self {
        let text = params.text("path");
        let path = compile(&text);
        if let Err(why) = &path
            && params.has("path")
        {
            let span = params.place_of("path");
            params.mistake(span, "`path` must be a JMESPath expression", why.as_str(), None);
        }
        let path = path.ok();
        let lower = text.to_ascii_lowercase();
        let hidden = SENSITIVE.iter().any(|word| lower.contains(word));
        Self { path, condition: condition(params), any: params.opt_flag("any").unwrap_or(false), hidden }
    }

    pub fn path(&self) -> &str {
        self.path.as_ref().map_or("", |path| path.as_str())
    }

    /// `Status is available`.
    pub fn words(&self) -> String {
        let value = |value: &Json| if self.hidden { "(not shown)".to_owned() } else { show(value) };
        let wanted = match &self.condition {
            Condition::Is(wanted) => format!("is {}", value(wanted)),
            Condition::IsNot(unwanted) => format!("is not {}", value(unwanted)),
            Condition::OneOf(words) => format!("is one of {}", clean_line(&words.join(", "), SHOWN)),
            Condition::Between(Some(min), None) => format!("is at least {min}"),
            Condition::Between(None, Some(max)) => format!("is at most {max}"),
            Condition::Between(min, max) => {
                format!("is {} to {}", min.unwrap_or_default(), max.unwrap_or_default())
            }
            Condition::Matches(regex) => format!("matches {}", clean_line(regex.as_str(), SHOWN)),
            Condition::Empty(true) => "is empty".into(),
            Condition::Empty(false) => "is not empty".into(),
            Condition::Absent => "is absent".into(),
        };
        let any = if self.any { " (any)" } else { "" };
        format!("{} {wanted}{any}", clean_line(self.path(), SHOWN))
    }

    /// Looks the path up and compares.
    pub fn judge(&self, answer: &Json) -> Judged {
        let found = self.path.as_ref().and_then(|path| path.search(answer).ok());
        let Some(found) = found.and_then(|found| serde_json::to_value(&*found).ok()) else {
            let line = format!("no data: {} cannot be worked out on this answer", self.path());
            return Judged { holds: false, line, shown: String::new(), number: None };
        };
        let shown = if self.hidden && !found.is_null() { "(not shown)".to_owned() } else { show(&found) };
        let nothing = match &self.condition {
            Condition::Absent | Condition::Empty(_) => false,
            Condition::Is(Json::Array(_)) => found.is_null(),
            _ => found.is_null() || found.as_array().is_some_and(|items| items.iter().all(Json::is_null)),
        };
        if nothing || (found.is_null() && matches!(self.condition, Condition::Empty(_))) {
            let line = format!("no data: nothing stands at {}, wanted: {}", self.path(), self.words());
            return Judged { holds: false, line, shown, number: None };
        }
        let whole = matches!(self.condition, Condition::Absent | Condition::Empty(_) | Condition::Is(Json::Array(_)));
        let holds = match found.as_array() {
            Some(items) if !whole && self.any => items.iter().any(|item| self.holds(item)),
            Some(items) if !whole => items.iter().all(|item| self.holds(item)),
            _ => self.holds(&found),
        };
        let line = if holds {
            format!("{} is {shown}", self.path())
        } else {
            format!("{} is {shown}, wanted: {}", self.path(), self.words())
        };
        let number = number(&found).filter(|_| !self.hidden);
        Judged { holds, line, shown, number }
    }

    fn holds(&self, found: &Json) -> bool {
        match &self.condition {
            Condition::Is(wanted) => same(found, wanted),
            // Nothing is not "something else": it is no data.
            Condition::IsNot(unwanted) => !found.is_null() && !same(found, unwanted),
            Condition::OneOf(words) => plain(found).is_some_and(|text| words.contains(&text)),
            Condition::Between(min, max) => {
                number(found).is_some_and(|n| min.is_none_or(|min| n >= min) && max.is_none_or(|max| n <= max))
            }
            Condition::Matches(regex) => plain(found).is_some_and(|text| regex.is_match(&text)),
            Condition::Empty(wanted) => is_empty(found) == Some(*wanted),
            Condition::Absent => found.is_null() || found.as_array().is_some_and(Vec::is_empty),
        }
    }
}

fn compile(text: &str) -> Result<jmespath::Expression<'static>, String> {
    let depth = text.bytes().filter(|b| b"([{!".contains(b)).count();
    if text.len() > PATH || depth > DEPTH {
        return Err(format!("longer than {PATH} characters, or more than {DEPTH} brackets"));
    }
    jmespath::compile(text).map_err(|error| clean_line(error.to_string().lines().next().unwrap_or_default(), 120))
}

fn condition(params: &mut Params<'_>) -> Condition {
    let given = ["is", "is_not", "one_of", "min", "max", "matches", "empty", "absent"];
    let given: Vec<&str> = given.into_iter().filter(|key| params.has(key)).collect();
    let limits = given.iter().all(|key| *key == "min" || *key == "max");
    if given.is_empty() || (given.len() > 1 && !limits) {
        let label = if given.is_empty() { "what ought to stand there is missing" } else { "one condition only" };
        let help = "one of `is`, `is_not`, `one_of`, `min`/`max`, `matches`, `empty`, `absent`".to_owned();
        params.mistake(params.place(), "`aws.read` needs one condition", label, Some(help));
        return Condition::Absent;
    }
    match given[0] {
        key @ ("is" | "is_not") => {
            let value = params.raw(key).cloned().map_or(Json::Null, |value| scalar(params, key, &value));
            if key == "is" { Condition::Is(value) } else { Condition::IsNot(value) }
        }
        "one_of" => Condition::OneOf(params.texts("one_of")),
        "matches" => {
            let text = params.text("matches");
            match Regex::new(&text) {
                Ok(regex) => Condition::Matches(regex),
                Err(error) => {
                    let span = params.place_of("matches");
                    let why = clean_line(&error.to_string(), 120);
                    params.mistake(span, "`matches` must be a regular expression", why, None);
                    Condition::Absent
                }
            }
        }
        "empty" => Condition::Empty(params.opt_flag("empty").unwrap_or(true)),
        "absent" => {
            if params.opt_flag("absent") == Some(false) {
                let span = params.place_of("absent");
                let help = "that something stands there is `empty = false`, or `is_not`".to_owned();
                params.mistake(span, "`absent` is true or left out", "nothing to compare", Some(help));
            }
            Condition::Absent
        }
        _ => {
            let (min, max) = (params.opt_number("min"), params.opt_number("max"));
            if min.zip(max).is_some_and(|(min, max)| min > max) {
                let span = params.place_of("max");
                params.mistake(span, "`max` is less than `min`", "nothing lies between", None);
            }
            Condition::Between(min, max)
        }
    }
}

fn scalar(params: &mut Params<'_>, key: &str, value: &Value) -> Json {
    match &value.kind {
        Kind::Text(text) => Json::String(text.clone()),
        Kind::Int(n) => Json::from(*n),
        Kind::Float(n) => Json::from(*n),
        Kind::Bool(flag) => Json::Bool(*flag),
        Kind::List(items) => Json::Array(items.iter().map(|item| scalar(params, key, item)).collect()),
        other => {
            let message =
                format!("`{key}` must be text, a number, true or false, or a list of them, found {}", other.name());
            params.mistake(value.span.clone(), message, "cannot be compared", None);
            Json::Null
        }
    }
}

/// XML has only text, so `6379` and `"6379"` are the same, and so are `true` and `"true"`.
fn same(found: &Json, wanted: &Json) -> bool {
    match (found, wanted) {
        (Json::Array(found), Json::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| same(found, wanted))
        }
        _ => match (number(found), number(wanted)) {
            #[expect(clippy::float_cmp, reason = "both are numbers as they were written")]
            (Some(found), Some(wanted)) => found == wanted,
            _ => plain(found).is_some_and(|found| Some(found) == plain(wanted)),
        },
    }
}

fn plain(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(_) | Json::Bool(_) => Some(value.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

fn number(value: &Json) -> Option<f64> {
    match value {
        Json::Number(n) => n.as_f64(),
        Json::String(text) => text.trim().parse().ok().filter(|n: &f64| n.is_finite()),
        _ => None,
    }
}

fn is_empty(value: &Json) -> Option<bool> {
    match value {
        Json::Null => None,
        Json::String(text) => Some(text.is_empty()),
        Json::Array(items) => Some(items.is_empty()),
        Json::Object(map) => Some(map.is_empty()),
        Json::Bool(_) | Json::Number(_) => Some(false),
    }
}

fn show(value: &Json) -> String {
    clean_line(&plain(value).unwrap_or_else(|| value.to_string()), SHOWN)
}
