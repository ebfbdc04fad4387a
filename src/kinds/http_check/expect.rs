//! What an answer must be.

use std::{ops::RangeInclusive, time::Duration};

use regex_lite::Regex;
use serde_json::Value as Json;

use crate::{
    base::{Class, Failure, bounded, clean, clean_line},
    plan::{Params, TextOrSecret},
    runbook::value::{self, Kind, Value},
    services::http::Reply,
};

/// How much of an unexpected body is shown.
const EXCERPT: usize = 400;

pub(super) struct Expect {
    status: Vec<RangeInclusive<u16>>,
    contains: Vec<String>,
    matches: Option<Regex>,
    json: Vec<(String, Json)>,
    headers: Vec<(String, String)>,
    max_latency: Option<Duration>,
}

impl Expect {
    pub(super) fn read(params: &mut Params<'_>) -> Self {
        let matches = params.opt_text("matches").and_then(|text| {
            Regex::new(&text)
                .map_err(|e| {
                    let span = params.place_of("matches");
                    params.mistake(span, format!("`matches` is no regular expression: {e}"), "does not parse", None);
                })
                .ok()
        });
        let mut headers = Vec::new();
        for (name, value) in params.map("header") {
            match value {
                TextOrSecret::Text(text) => headers.push((name.to_ascii_lowercase(), text)),
                TextOrSecret::Secret(_) => {
                    let span = params.place_of("header");
                    params.mistake(span, "an expected header must not be a secret", "would be told on failure", None);
                }
            }
        }
        Self {
            status: status(params),
            contains: params.texts("contains"),
            matches,
            json: json(params),
            headers,
            max_latency: params.opt_duration("max_latency"),
        }
    }

    /// Passes, or says what is wrong first.
    pub(super) fn judge(&self, reply: &Reply) -> Result<(), Failure> {
        let status = reply.status.as_u16();
        let wrong = |what: String| {
            let failure = Failure::new(Class::NotYet, what);
            let failure = match reply.address {
                Some(address) => failure.because(format!("answered by {address} in {} ms", super::ms(reply.took))),
                None => failure,
            };
            let body = String::from_utf8_lossy(reply.body.get(..EXCERPT).unwrap_or(&reply.body)).into_owned();
            let body = clean(body.trim(), EXCERPT);
            Err(if body.is_empty() { failure } else { failure.because(format!("body: {body}")) })
        };
        if !self.status.iter().any(|range| range.contains(&status)) {
            let location = reply.headers.get("location").and_then(|value| value.to_str().ok());
            let to = location.map(|to| format!(" to {}", bounded(to, 200))).unwrap_or_default();
            return wrong(format!("status {status}{to}, expected {}", statuses(&self.status)));
        }
        for (name, wanted) in &self.headers {
            let found = reply.headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
            let found = found.collect::<Vec<_>>();
            let fits = |value: &String| wanted == "*" || value.trim() == wanted.trim();
            if !found.iter().any(fits) {
                let found = if found.is_empty() { "none".to_owned() } else { bounded(&found.join(", "), 200) };
                return wrong(format!("header {name} is {found}, expected {wanted}"));
            }
        }
        let text = String::from_utf8_lossy(&reply.body);
        let cut = if reply.cut { " in its first 8 MiB" } else { "" };
        if let Some(missing) = self.contains.iter().find(|wanted| !text.contains(wanted.as_str())) {
            return wrong(format!("the body does not contain \"{}\"{cut}", bounded(missing, 120)));
        }
        if let Some(regex) = self.matches.as_ref().filter(|regex| !regex.is_match(&text)) {
            return wrong(format!("the body does not match {}{cut}", bounded(regex.as_str(), 120)));
        }
        if !self.json.is_empty() {
            let Ok(body) = serde_json::from_slice::<Json>(&reply.body) else {
                return wrong("the body is not JSON".into());
            };
            for (path, wanted) in &self.json {
                let found = at(&body, path);
                if !found.is_some_and(|found| equal(found, wanted)) {
                    let found = found.map_or_else(|| "missing".to_owned(), |found| bounded(&found.to_string(), 120));
                    return wrong(format!("{path} is {found}, expected {wanted}"));
                }
            }
        }
        match self.max_latency.filter(|max| reply.took > *max) {
            Some(max) => wrong(format!("it took {} ms, expected at most {} ms", super::ms(reply.took), super::ms(max))),
            None => Ok(()),
        }
    }

    pub(super) fn words(&self) -> String {
        let mut words = vec![statuses(&self.status)];
        words.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        words.extend(self.contains.iter().map(|text| format!("\"{}\"", bounded(text, 60))));
        words.extend(self.matches.iter().map(|regex| format!("/{}/", bounded(regex.as_str(), 60))));
        words.extend(self.json.iter().map(|(path, value)| format!("{path} = {value}")));
        words.extend(self.max_latency.map(|max| format!("within {} ms", super::ms(max))));
        clean_line(&words.join(", "), 300)
    }
}

fn statuses(ranges: &[RangeInclusive<u16>]) -> String {
    let word = |range: &RangeInclusive<u16>| match (range.start(), range.end()) {
        (one, other) if one == other => one.to_string(),
        (one, _) => format!("{}xx", one / 100),
    };
    ranges.iter().map(word).collect::<Vec<_>>().join(" or ")
}

fn status(params: &mut Params<'_>) -> Vec<RangeInclusive<u16>> {
    let Some(raw) = params.raw("status") else { return vec![200..=299] };
    let items = if let Kind::List(list) = &raw.kind { list.as_slice() } else { std::slice::from_ref(raw) };
    let mut found = Vec::new();
    for item in items {
        let range = match &item.kind {
            Kind::Int(n) => u16::try_from(*n).ok().filter(|n| (100..=599).contains(n)).map(|n| n..=n),
            Kind::Text(text) => match text.as_bytes() {
                [class @ b'1'..=b'5', b'x', b'x'] => {
                    let first = u16::from(class - b'0') * 100;
                    Some(first..=first + 99)
                }
                _ => text.parse().ok().filter(|n| (100..=599).contains(n)).map(|n: u16| n..=n),
            },
            _ => None,
        };
        match range {
            Some(range) => found.push(range),
            None => {
                params.mistake(
                    item.span.clone(),
                    "`status` must be 100 to 599 or a class such as \"2xx\"",
                    "no status",
                    None,
                );
            }
        }
    }
    if items.is_empty() {
        params.mistake(raw.span.clone(), "`status` is empty", "expected at least one", None);
    }
    found
}

fn json(params: &mut Params<'_>) -> Vec<(String, Json)> {
    let Some(raw) = params.raw("json") else { return Vec::new() };
    let Kind::Table(table) = &raw.kind else {
        let message = format!("`json` must be a table of paths and values, found {}", raw.kind.name());
        params.mistake(raw.span.clone(), message, "expected { \"status.db\" = \"ok\" }", None);
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in &table.entries {
        match plain(&entry.value) {
            Some(value) => found.push((entry.key.clone(), value)),
            None => {
                let message = format!("`{}` must be text, a number, true or false", clean_line(&entry.key, 60));
                params.mistake(entry.value.span.clone(), message, "cannot be compared", None);
            }
        }
    }
    found
}

fn plain(value: &Value) -> Option<Json> {
    Some(match &value.kind {
        value::Kind::Text(text) => Json::from(text.as_str()),
        value::Kind::Int(n) => Json::from(*n),
        value::Kind::Float(n) => Json::from(*n),
        value::Kind::Bool(flag) => Json::from(*flag),
        _ => return None,
    })
}

/// `1` and `1.0` are the same number.
fn equal(found: &Json, wanted: &Json) -> bool {
    found == wanted || found.as_f64().zip(wanted.as_f64()).is_some_and(|(a, b)| (a - b).abs() < f64::EPSILON)
}

/// The value at a path: `a.b[0].c`, or a JSON pointer where it begins with `/`. A whole key wins over its parts.
fn at<'j>(json: &'j Json, path: &str) -> Option<&'j Json> {
    if path.starts_with('/') {
        return json.pointer(path);
    }
    if let Some(found) = json.get(path) {
        return Some(found);
    }
    let mut here = json;
    for part in path.split('.') {
        let (key, mut rest) = part.split_at(part.find('[').unwrap_or(part.len()));
        if !key.is_empty() {
            here = here.get(key)?;
        }
        while let Some((index, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            here = here.get(index.parse::<usize>().ok()?)?;
            rest = after;
        }
        if !rest.is_empty() {
            return None;
        }
    }
    Some(here)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths() {
        let body = json!({ "a": { "b": [ { "c": 1 }, [2, 3] ] }, "x.y": true });
        for (path, wanted) in [
            ("a.b[0].c", Some(json!(1))),
            ("a.b[1][1]", Some(json!(3))),
            ("/a/b/0/c", Some(json!(1))),
            ("x.y", Some(json!(true))),
            ("a.b[2]", None),
            ("a.b[0", None),
            ("a.z", None),
        ] {
            assert_eq!(at(&body, path), wanted.as_ref(), "{path}");
        }
        assert_eq!(at(&json!([5]), "[0]"), Some(&json!(5)));
        assert!(equal(&json!(1), &json!(1.0)) && !equal(&json!("1"), &json!(1)));
    }
}
