//! What is taken out of an answer for the requests after it.

use regex_lite::Regex;
use serde_json::Value as Json;

use crate::{
    base::clean_line,
    kinds::web::{Wrong, answer::Answer, json::Path, template::is_name},
    plan::Params,
    runbook::value::{Entry, Kind, Table},
};

/// The largest value that is taken.
const LARGEST: usize = 16 << 10;
/// A new text for every visit, there without being captured.
pub(super) const UNIQUE: &str = "unique";

/// One value.
pub(super) struct Capture {
    pub name: String,
    from: From,
    /// True where it opens something: it is masked in everything that is told.
    pub secret: bool,
}

enum From {
    Json(Path, String),
    Header(String),
    Cookie(String),
    Match(Regex),
}

/// `capture = { id = "$.id", token = { header = "x-token", secret = true } }`.
pub(super) fn read(params: &mut Params<'_>, taken: &[String]) -> Vec<Capture> {
    let Some(raw) = params.raw("capture") else { return Vec::new() };
    let Kind::Table(table) = &raw.kind else {
        params.mistake(raw.span.clone(), "`capture` must be a table of names", "expected { id = \"$.id\" }", None);
        return Vec::new();
    };
    let mut found: Vec<Capture> = Vec::new();
    for entry in &table.entries {
        match one(entry, taken) {
            Ok(capture) => found.push(capture),
            Err(wrong) => wrong.tell(params),
        }
    }
    found
}

fn one(entry: &Entry, taken: &[String]) -> Result<Capture, Wrong> {
    let name = entry.key.clone();
    let place = || entry.key_span.clone();
    let shown = clean_line(&name, 60);
    if !is_name(&name) {
        return Err(Wrong::new(place(), format!("`{shown}` is no name: letters, digits and `_`"), "not a name"));
    }
    if taken.contains(&name) {
        return Err(Wrong::new(place(), format!("`{shown}` is there already"), "the second of this name"));
    }
    match &entry.value.kind {
        Kind::Text(path) => Ok(Capture { name, from: json(path, entry)?, secret: false }),
        Kind::Table(table) => {
            let (from, secret) = source(table, entry)?;
            Ok(Capture { name, from, secret })
        }
        _ => Err(nowhere(entry)),
    }
}

fn nowhere(entry: &Entry) -> Wrong {
    let message = format!("`{}` must say where it is taken from", clean_line(&entry.key, 60));
    Wrong {
        help: Some("a JSON path, or one of { json = … }, { header = … }, { cookie = … }, { matches = … }".into()),
        ..Wrong::new(entry.value.span.clone(), message, "from where?")
    }
}

fn source(table: &Table, entry: &Entry) -> Result<(From, bool), Wrong> {
    let (mut from, mut secret) = (None, false);
    for part in &table.entries {
        let found = match (part.key.as_str(), &part.value.kind) {
            ("secret", Kind::Bool(flag)) => {
                secret = *flag;
                continue;
            }
            ("json", Kind::Text(path)) => json(path, part)?,
            ("header", Kind::Text(name)) => From::Header(name.to_lowercase()),
            ("cookie", Kind::Text(name)) => From::Cookie(name.clone()),
            ("matches", Kind::Text(text)) => From::Match(Regex::new(text).map_err(|e| {
                Wrong::new(
                    part.value.span.clone(),
                    format!("`matches` is no regular expression: {e}"),
                    "does not parse",
                )
            })?),
            _ => {
                return Err(Wrong { span: part.key_span.clone(), ..nowhere(entry) });
            }
        };
        if from.replace(found).is_some() {
            return Err(nowhere(entry));
        }
    }
    from.map(|from| (from, secret)).ok_or_else(|| nowhere(entry))
}

fn json(path: &str, entry: &Entry) -> Result<From, Wrong> {
    let read = Path::new(path).map_err(|why| {
        Wrong::new(
            entry.value.span.clone(),
            format!("`{}` is no JSON path: {why}", clean_line(path, 60)),
            "does not parse",
        )
    })?;
    Ok(From::Json(read, path.to_owned()))
}

impl Capture {
    pub fn wants_body(&self) -> bool {
        matches!(self.from, From::Json(..) | From::Match(_))
    }

    /// The value.
    ///
    /// # Errors
    /// It is not there, not once, or too large.
    pub fn take(&self, answer: &Answer<'_>) -> Result<Json, String> {
        let lacks = |what: String| Err(format!("`{}` cannot be captured: {what}", self.name));
        let value = match &self.from {
            From::Json(path, written) => {
                let Some(json) = answer.json() else { return lacks("the body is not JSON".into()) };
                match path.find(json).as_slice() {
                    [one] => (*one).clone(),
                    [] => return lacks(format!("nothing is at {written}")),
                    many => return lacks(format!("{} values are at {written}", many.len())),
                }
            }
            From::Header(name) => match answer.reply.headers.get(name) {
                Some(value) => Json::from(String::from_utf8_lossy(value.as_bytes()).trim()),
                None => return lacks(format!("there is no header {name}")),
            },
            From::Cookie(name) => match answer.cookies().into_iter().find(|(found, _)| found == name) {
                Some((_, value)) => Json::from(value),
                None => return lacks(format!("cookie {name} is not set")),
            },
            From::Match(regex) => {
                let text = String::from_utf8_lossy(&answer.reply.body);
                let found = regex.captures(&text).and_then(|found| found.get(1).or(found.get(0)));
                match found {
                    Some(part) => Json::from(part.as_str()),
                    None => return lacks(format!("the body does not match {}", regex.as_str())),
                }
            }
        };
        if value.to_string().len() > LARGEST {
            return lacks("it is larger than 16 KiB".into());
        }
        Ok(value)
    }
}
