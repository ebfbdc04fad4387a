//! A record that is asked for, and what it shall be.

use serde_json::{Value as Json, json};

use super::{name, record_type};
use crate::{
    plan::Params,
    services::dns::{self, Answer, Name, RecordType, Value, read_value},
};

/// What is asked and expected.
pub(in crate::kinds) struct Question {
    pub name: Name,
    /// The name for people.
    pub shown: String,
    pub kind: RecordType,
    /// In canonical form, sorted; empty: any.
    pub values: Vec<Value>,
    pub max_ttl: Option<u64>,
}

/// An answer as two of them are compared, and as evidence holds it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::kinds) struct Said {
    pub values: Vec<Value>,
    pub cname: Option<Value>,
    pub ttl: Option<u32>,
}

impl Question {
    /// Reads `name`, `type`, `value`, `values` and `max_ttl`.
    pub fn read(params: &mut Params<'_>) -> Self {
        let name = name(params, "name");
        let mut written = params.texts("values");
        let key = if params.has("values") { "values" } else { "value" };
        if let Some(value) = params.opt_text("value") {
            if params.has("values") {
                let span = params.place_of("value");
                params.mistake(span, "`value` and `values` say the same thing twice", "give one of them", None);
            }
            written.push(value);
        }
        let kind = record_type(params).unwrap_or_else(|| guess(written.first().map(String::as_str)));
        let mut values = Vec::with_capacity(written.len());
        for text in &written {
            match read_value(kind, text) {
                Ok(value) => values.push(value),
                Err(why) => {
                    let (span, message) =
                        (params.place_of(key), format!("`{}` {why}", crate::base::clean_line(text, 80)));
                    let help = (!params.has("type")).then(|| format!("without `type`, {kind} is asked for"));
                    params.mistake(span, message, format!("not a value of type {kind}"), help);
                }
            }
        }
        values.sort();
        values.dedup();
        if params.has("values") && written.is_empty() {
            let span = params.place_of("values");
            params.mistake(span, "`values` is empty", "expects at least one value", None);
        }
        Self { shown: dns::shown(&name), name, kind, values, max_ttl: params.opt_count("max_ttl") }
    }

    /// `shop.acme.example A`
    pub fn words(&self) -> String {
        format!("{} {}", self.shown, self.kind)
    }

    /// The expected values for people.
    pub fn wanted(&self) -> String {
        let values = self.values.iter().map(|value| crate::base::clean_line(value, 120));
        values.collect::<Vec<_>>().join(", ")
    }

    /// `, expect 203.0.113.9, TTL at most 60 s`; empty where nothing particular is expected.
    pub fn expects(&self) -> String {
        let mut line = String::new();
        if !self.values.is_empty() {
            line += &format!(", expect {}", self.wanted());
        }
        if let Some(max) = self.max_ttl {
            line += &format!(", TTL at most {max} s");
        }
        line
    }

    /// Whether an answer shows the expected values: at the end of the chain, or as the name's CNAME.
    pub fn shows(&self, answer: &Answer) -> bool {
        if self.values.is_empty() {
            return answer.ttl(&self.name, self.kind).is_some();
        }
        answer.values(&self.name, self.kind) == self.values
            || answer.alias(&self.name).is_some_and(|alias| self.values == [alias.value.clone()])
    }

    /// Whether an answer's TTL passes.
    pub fn ttl_passes(&self, answer: &Answer) -> bool {
        let ttl = answer.ttl(&self.name, self.kind);
        self.max_ttl.is_none_or(|max| ttl.is_some_and(|ttl| u64::from(ttl) <= max))
    }

    /// An answer's words with its TTL.
    pub fn of(&self, answer: &Answer) -> String {
        answer.words(&self.name, self.kind)
    }

    /// What of an answer must be the same everywhere.
    pub fn said(&self, answer: &Answer) -> Said {
        Said {
            values: answer.values(&self.name, self.kind),
            cname: answer.alias(&self.name).map(|alias| alias.value.clone()),
            ttl: answer.ttl(&self.name, self.kind),
        }
    }
}

impl Said {
    pub fn evidence(&self) -> Json {
        json!({ "values": self.values, "cname": self.cname, "ttl": self.ttl })
    }
}

/// What is written like an address is one, also where it is mistyped: taken for a CNAME's target, `192.0.2.300` would
/// be waited for all night.
fn guess(first: Option<&str>) -> RecordType {
    let Some(text) = first.map(str::trim) else { return RecordType::A };
    let only = |fits: fn(char) -> bool| text.chars().all(fits);
    match text.parse() {
        Ok(std::net::IpAddr::V4(_)) => RecordType::A,
        Ok(std::net::IpAddr::V6(_)) => RecordType::AAAA,
        Err(_) if !text.is_empty() && only(|c| c.is_ascii_digit() || c == '.') => RecordType::A,
        Err(_) if text.contains(':') && only(|c| c.is_ascii_hexdigit() || c == ':') => RecordType::AAAA,
        Err(_) => RecordType::CNAME,
    }
}
