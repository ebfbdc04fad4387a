//! What an answer must be.

use std::time::Duration;

use regex_lite::Regex;

use super::{
    Wrong,
    answer::{Answer, excerpt},
    json::Claim,
    ms,
    status::Statuses,
    template::{Template, Values},
};
use crate::{
    base::{Class, Failure, bounded, clean_line},
    plan::{Param, Params, Shape, TextOrSecret},
    runbook::value::Kind,
    services::http::{Reply, spoken},
};

/// What can be said of one answer.
pub(in crate::kinds) const PARAMS: &[Param] = &[
    Param {
        name: "status",
        shape: Shape::Any,
        required: false,
        help: "expected status: 200, [200, 204] or \"2xx\"; default \"2xx\"",
    },
    Param { name: "contains", shape: Shape::Texts, required: false, help: "texts that the body must contain" },
    Param { name: "not_contains", shape: Shape::Texts, required: false, help: "texts that the body must not contain" },
    Param { name: "matches", shape: Shape::Text, required: false, help: "regular expression that the body must match" },
    Param {
        name: "json",
        shape: Shape::Any,
        required: false,
        help: "values by path: { \"status.db\" = \"ok\", \"$.items[*].id\" = { type = \"integer\", min = 1 } }",
    },
    Param {
        name: "header",
        shape: Shape::Map,
        required: false,
        help: "expected headers of the answer; \"*\": any value",
    },
    Param {
        name: "cookie",
        shape: Shape::Map,
        required: false,
        help: "cookies that the answer must set; \"*\": any value",
    },
    Param { name: "type", shape: Shape::Text, required: false, help: "media type of the body: \"application/json\"" },
    Param {
        name: "size",
        shape: Shape::Any,
        required: false,
        help: "bytes of the body: 1024, or { min = 1, max = 4096 }",
    },
    Param {
        name: "max_latency",
        shape: Shape::Duration,
        required: false,
        help: "longest time that passes, such as \"800ms\"",
    },
];

/// What an answer must be.
pub(in crate::kinds) struct Expect {
    status: Statuses,
    contains: Vec<Template>,
    lacks: Vec<Template>,
    matches: Option<Regex>,
    json: Vec<Claim>,
    headers: Vec<(String, Template)>,
    cookies: Vec<(String, Template)>,
    media: Option<String>,
    size: Option<(u64, u64)>,
    redirects: Option<Vec<String>>,
    max_latency: Option<Duration>,
}

impl Expect {
    pub fn read(params: &mut Params<'_>) -> Self {
        Self {
            status: Statuses::read(params, "status"),
            contains: params.texts("contains").iter().map(|text| Template::new(text)).collect(),
            lacks: params.texts("not_contains").iter().map(|text| Template::new(text)).collect(),
            matches: regex(params, "matches"),
            json: json(params),
            headers: told(params, "header", "an expected header")
                .map(|(name, text)| (name.to_lowercase(), text))
                .collect(),
            cookies: told(params, "cookie", "an expected cookie").collect(),
            media: params.opt_text("type").map(|text| text.trim().to_lowercase()),
            size: size(params),
            redirects: (params.takes("redirects") && params.has("redirects")).then(|| params.texts("redirects")),
            max_latency: params.opt_duration("max_latency"),
        }
    }

    /// Names of the values that it is filled with, and the key that uses them.
    pub fn names(&self) -> Vec<(&'static str, String)> {
        let of = |key, templates: &[Template]| {
            templates.iter().flat_map(Template::names).map(|name| (key, name.to_owned())).collect::<Vec<_>>()
        };
        let mut names = of("contains", &self.contains);
        names.extend(of("not_contains", &self.lacks));
        names.extend(self.headers.iter().flat_map(|(_, one)| one.names().map(|name| ("header", name.to_owned()))));
        names.extend(self.cookies.iter().flat_map(|(_, one)| one.names().map(|name| ("cookie", name.to_owned()))));
        names.extend(self.json.iter().flat_map(Claim::names).map(|name| ("json", name)));
        names
    }

    /// True where it has to see the body.
    pub fn wants_body(&self) -> bool {
        !(self.contains.is_empty() && self.lacks.is_empty() && self.json.is_empty()) || self.matches.is_some()
    }

    /// Passes, or says what is wrong first.
    pub fn judge(&self, answer: &Answer<'_>, values: &Values) -> Result<(), Failure> {
        let reply = answer.reply;
        let head = self.head(answer, values).map(|wrong| (wrong, self.turned_away(answer)));
        let wrong = head.or_else(|| Some((self.body(answer, values)?, self.unread(answer)))).or_else(|| {
            let max = self.max_latency.filter(|max| reply.took > *max)?;
            Some((format!("it took {} ms, expected at most {} ms", ms(reply.took), ms(max)), true))
        });
        let Some((wrong, blind)) = wrong else { return Ok(()) };
        let by = spoken(reply.address, reply.version);
        let failure = Failure { blind, ..Failure::new(Class::NotYet, wrong) };
        let failure = failure.because(format!("answered by {by} in {} ms", ms(reply.took)));
        let body = excerpt(reply);
        Err(if body.is_empty() { failure } else { failure.because(format!("body: {body}")) })
    }

    /// True where the answer says nothing of what was asked for: a login, a limit, a server in trouble.
    fn turned_away(&self, answer: &Answer<'_>) -> bool {
        let reply = answer.reply;
        let status = reply.status.as_u16();
        if !reply.whole || self.chain(reply).is_some() || self.another_type(reply).is_some() {
            return true;
        }
        let silent = matches!(status, 300..=399 | 401 | 403 | 407 | 408 | 425 | 429 | 500..=599);
        silent && !self.status.fit(status)
    }

    /// True where the body could not be read for what it should say.
    fn unread(&self, answer: &Answer<'_>) -> bool {
        let coded = answer.reply.headers.get("content-encoding").is_some_and(|coding| coding != "identity");
        let other = !self.json.is_empty() && answer.json().is_none();
        self.wants_body() && (coded || answer.reply.cut() || other)
    }

    fn head(&self, answer: &Answer<'_>, values: &Values) -> Option<String> {
        let reply = answer.reply;
        let status = reply.status.as_u16();
        if let Some(wrong) = self.chain(reply) {
            return Some(wrong);
        }
        if !self.status.fit(status) {
            let location = reply.headers.get("location").and_then(|value| value.to_str().ok());
            let to = location.map(|to| format!(" to {}", bounded(to, 200))).unwrap_or_default();
            return Some(format!("status {status}{to}, expected {}", self.status.words()));
        }
        // A refusal needs no more; what says "taken" before it was there does.
        if !reply.whole && !matches!(status, 400..=599) {
            return Some(format!("status {status}, answered before the request was sent whole"));
        }
        for (name, wanted) in &self.headers {
            let found = reply.headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
            let found = found.collect::<Vec<_>>();
            let wanted = wanted.text(values);
            if !found.iter().any(|value| wanted == "*" || value.trim() == wanted.trim()) {
                // What a cookie holds opens a session.
                let hides = name == "set-cookie";
                let found = match found.as_slice() {
                    [] => "none".to_owned(),
                    _ if hides => "another one".to_owned(),
                    all => bounded(&all.join(", "), 200),
                };
                return Some(format!("header {name} is {found}, expected {wanted}"));
            }
        }
        let cookies = if self.cookies.is_empty() { Vec::new() } else { answer.cookies() };
        for (name, wanted) in &self.cookies {
            let wanted = wanted.text(values);
            match cookies.iter().find(|(found, _)| found == name) {
                None => return Some(format!("cookie {name} is not set")),
                Some(_) if wanted == "*" && answer.takes_away(name) => {
                    return Some(format!("cookie {name} is taken away"));
                }
                Some((_, value)) if wanted != "*" && *value != wanted => {
                    return Some(format!("cookie {name} has another value than expected"));
                }
                Some(_) => {}
            }
        }
        self.another_type(reply)
    }

    fn another_type(&self, reply: &Reply) -> Option<String> {
        let wanted = self.media.as_ref()?;
        let media = reply.headers.get("content-type").map(|v| String::from_utf8_lossy(v.as_bytes()).to_lowercase());
        let media = media.as_deref().map(|text| text.split(';').next().unwrap_or_default().trim());
        (media != Some(wanted))
            .then(|| format!("the type is {}, expected {wanted}", bounded(media.unwrap_or("none"), 100)))
    }

    fn chain(&self, reply: &Reply) -> Option<String> {
        let wanted = self.redirects.as_ref()?;
        let gone = reply.hops.iter().skip(1).map(|(url, _)| url).chain(reply.hops.last().map(|_| &reply.url));
        let gone = gone.map(|url| url.as_str()).collect::<Vec<_>>();
        let fits = |(wanted, url): (&String, &&str)| match wanted.strip_suffix('*') {
            Some(start) => url.starts_with(start),
            None => *url == wanted || reqwest::Url::parse(wanted).is_ok_and(|wanted| wanted.as_str() == *url),
        };
        if wanted.len() == gone.len() && wanted.iter().zip(&gone).all(fits) {
            return None;
        }
        let words = |all: Vec<&str>| if all.is_empty() { "nowhere".to_owned() } else { all.join(" → ") };
        let (gone, wanted) = (words(gone), words(wanted.iter().map(String::as_str).collect()));
        Some(format!("the redirects lead to {}, expected {}", bounded(&gone, 200), bounded(&wanted, 200)))
    }

    fn body(&self, answer: &Answer<'_>, values: &Values) -> Option<String> {
        let reply = answer.reply;
        if let Some((least, most)) = self.size {
            let size = u64::try_from(reply.size).unwrap_or(u64::MAX);
            if !(least..=most).contains(&size) || !reply.ended && most != u64::MAX {
                let more = if reply.ended { "" } else { "more than " };
                return Some(format!("the body is {more}{size} bytes, expected {}", bytes(least, most)));
            }
        }
        if !self.wants_body() {
            return None;
        }
        let coding = reply.headers.get("content-encoding").map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
        if let Some(coding) = coding.filter(|coding| !coding.trim().eq_ignore_ascii_case("identity")) {
            return Some(format!("the body is encoded ({}), though it was asked for as it is", bounded(&coding, 40)));
        }
        let cut = if reply.cut() { format!(" in its first {} KiB", reply.body.len() >> 10) } else { String::new() };
        let holds = |text: &str| holds(&reply.body, text.as_bytes());
        let missing = self.contains.iter().map(|wanted| wanted.text(values)).find(|wanted| !holds(wanted));
        if let Some(missing) = missing {
            return Some(format!("the body does not contain \"{}\"{cut}", bounded(&missing, 120)));
        }
        let there = self.lacks.iter().map(|wanted| wanted.text(values)).find(|wanted| holds(wanted));
        if let Some(there) = there {
            return Some(format!("the body contains \"{}\"", bounded(&there, 120)));
        }
        if !self.lacks.is_empty() && reply.cut() {
            return Some(format!("the body is too long to tell what it does not contain: looked{cut}"));
        }
        if let Some(regex) = &self.matches {
            if !regex.is_match(&String::from_utf8_lossy(&reply.body)) {
                return Some(format!("the body does not match {}{cut}", bounded(regex.as_str(), 120)));
            }
            // What is not there might be what it must not be: `^a+$` fits the beginning.
            if reply.cut() {
                return Some(format!("the body is too long to tell whether all of it matches: looked{cut}"));
            }
        }
        if self.json.is_empty() {
            return None;
        }
        match answer.json() {
            None if reply.cut() => Some(format!("the body is too long to be read as JSON: looked{cut}")),
            None => Some("the body is not JSON".into()),
            Some(json) => self.json.iter().find_map(|claim| claim.judge(json, values)),
        }
    }

    pub fn words(&self) -> String {
        let mut words = vec![self.status.words()];
        let pairs = |(name, value): &(String, Template)| format!("{name}: {}", value.written());
        words.extend(self.headers.iter().map(pairs));
        words.extend(self.cookies.iter().map(|(name, _)| format!("cookie {name}")));
        words.extend(self.media.clone());
        words.extend(self.contains.iter().map(|text| format!("\"{}\"", bounded(&text.written(), 60))));
        words.extend(self.lacks.iter().map(|text| format!("no \"{}\"", bounded(&text.written(), 60))));
        words.extend(self.matches.iter().map(|regex| format!("/{}/", bounded(regex.as_str(), 60))));
        words.extend(self.json.iter().map(Claim::words));
        words.extend(self.size.map(|(least, most)| bytes(least, most)));
        words.extend(self.redirects.iter().map(|all| match all.len() {
            0 => "no redirect".to_owned(),
            n => format!("{n} redirects"),
        }));
        words.extend(self.max_latency.map(|max| format!("within {} ms", ms(max))));
        clean_line(&words.join(", "), 300)
    }
}

/// True where the bytes hold a text; what is no UTF-8 around it does not matter.
fn holds(body: &[u8], text: &[u8]) -> bool {
    let Some((first, _)) = text.split_first() else { return true };
    let mut rest = body;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = &rest[at..];
        if rest.starts_with(text) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

fn bytes(least: u64, most: u64) -> String {
    match (least, most) {
        (least, most) if least == most => format!("{least} bytes"),
        (least, u64::MAX) => format!("at least {least} bytes"),
        (0, most) => format!("at most {most} bytes"),
        (least, most) => format!("{least} to {most} bytes"),
    }
}

/// A regular expression.
pub(in crate::kinds) fn regex(params: &mut Params<'_>, key: &'static str) -> Option<Regex> {
    let text = params.opt_text(key)?;
    let made = Regex::new(&text);
    made.map_err(|e| {
        let span = params.place_of(key);
        params.mistake(span, format!("`{key}` is no regular expression: {e}"), "does not parse", None);
    })
    .ok()
}

/// Texts that are told when they are not met: no secrets.
fn told(params: &mut Params<'_>, key: &'static str, what: &str) -> impl Iterator<Item = (String, Template)> + use<> {
    let mut all = Vec::new();
    for (name, value) in params.map(key) {
        match value {
            TextOrSecret::Text(text) => all.push((name, Template::new(&text))),
            TextOrSecret::Secret(_) => {
                let span = params.place_of(key);
                params.mistake(span, format!("{what} must not be a secret"), "would be told on failure", None);
            }
        }
    }
    all.into_iter()
}

fn json(params: &mut Params<'_>) -> Vec<Claim> {
    let Some(raw) = params.raw("json") else { return Vec::new() };
    let Kind::Table(table) = &raw.kind else {
        let message = format!("`json` must be a table of paths and values, found {}", raw.kind.name());
        params.mistake(raw.span.clone(), message, "expected { \"status.db\" = \"ok\" }", None);
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in &table.entries {
        match Claim::read(entry) {
            Ok(claim) => found.push(claim),
            Err(wrong) => wrong.tell(params),
        }
    }
    found
}

fn size(params: &mut Params<'_>) -> Option<(u64, u64)> {
    let raw = params.raw("size")?;
    let wrong = |span| Wrong::new(span, "`size` must be a number of bytes, or { min = …, max = … }", "no size");
    let number = |kind: &Kind| if let Kind::Int(n) = kind { u64::try_from(*n).ok() } else { None };
    let read = || match &raw.kind {
        Kind::Table(table) if !table.entries.is_empty() => {
            let (mut least, mut most) = (0, u64::MAX);
            for entry in &table.entries {
                let n = number(&entry.value.kind).ok_or_else(|| wrong(entry.value.span.clone()))?;
                match entry.key.as_str() {
                    "min" => least = n,
                    "max" => most = n,
                    _ => return Err(wrong(entry.key_span.clone())),
                }
            }
            if least > most { Err(wrong(raw.span.clone())) } else { Ok((least, most)) }
        }
        kind => number(kind).map(|n| (n, n)).ok_or_else(|| wrong(raw.span.clone())),
    };
    read().map_err(|wrong| wrong.tell(params)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_between_other_bytes() {
        assert!(holds(b"\xff\xfeaab\xff", b"ab") && holds(b"x", b"") && holds(b"aaab", b"aab"));
        assert!(!holds(b"aa", b"ab") && !holds(b"", b"a"));
    }
}
