//! What the DNS kinds share: the question that they ask and the values that they compare.

use crate::{
    plan::{Param, Params, Shape},
    services::dns::{self, Name, RecordType, Value, canonical},
};

pub(super) const NAME: Param = Param {
    name: "name",
    shape: Shape::Text,
    required: true,
    help: "the record's name, such as \"shop.acme.example\"",
};
pub(super) const TYPE: Param = Param {
    name: "type",
    shape: Shape::Text,
    required: false,
    help: "record type; left out: A or AAAA where the value is an address, CNAME where it is a name, else A",
};
pub(super) const VALUE: Param = Param {
    name: "value",
    shape: Shape::Text,
    required: false,
    help: "the value that is expected: an address, a CNAME's target",
};
pub(super) const VALUES: Param =
    Param { name: "values", shape: Shape::Texts, required: false, help: "as `value`, where the record has several" };
pub(super) const MAX_TTL: Param =
    Param { name: "max_ttl", shape: Shape::Count, required: false, help: "largest TTL that passes, in seconds" };

/// What is asked and expected.
pub(super) struct Question {
    pub name: Name,
    /// The name for people.
    pub shown: String,
    pub kind: RecordType,
    /// In canonical form, sorted; empty: any.
    pub values: Vec<Value>,
    pub max_ttl: Option<u64>,
}

/// The name of a key; the root where it is none (and a mistake is recorded).
pub(super) fn name(params: &mut Params<'_>) -> Name {
    let Some(text) = params.opt_text("name") else { return Name::root() };
    dns::name(&text).unwrap_or_else(|failure| {
        let span = params.place_of("name");
        params.mistake(span, failure.message, "not a DNS name", failure.hint);
        Name::root()
    })
}

/// The record type, if it is given.
pub(super) fn record_type(params: &mut Params<'_>) -> Option<RecordType> {
    const TYPES: [(&str, RecordType); 10] = [
        ("A", RecordType::A),
        ("AAAA", RecordType::AAAA),
        ("CAA", RecordType::CAA),
        ("CNAME", RecordType::CNAME),
        ("HTTPS", RecordType::HTTPS),
        ("MX", RecordType::MX),
        ("NS", RecordType::NS),
        ("SOA", RecordType::SOA),
        ("SRV", RecordType::SRV),
        ("TXT", RecordType::TXT),
    ];
    params.has("type").then(|| params.word("type", &TYPES))
}

impl Question {
    /// Reads `name`, `type`, `value`, `values` and `max_ttl`.
    pub(super) fn read(params: &mut Params<'_>) -> Self {
        let name = name(params);
        let mut written = params.texts("values");
        if let Some(value) = params.opt_text("value") {
            if params.has("values") {
                let span = params.place_of("value");
                params.mistake(span, "`value` and `values` say the same thing twice", "give one of them", None);
            }
            written.push(value);
        }
        let guess = match written.first() {
            None => RecordType::A,
            Some(first) => match first.trim().parse() {
                Ok(std::net::IpAddr::V4(_)) => RecordType::A,
                Ok(std::net::IpAddr::V6(_)) => RecordType::AAAA,
                Err(_) => RecordType::CNAME,
            },
        };
        let kind = record_type(params).unwrap_or(guess);
        let mut values = written.iter().map(|value| canonical(value)).collect::<Vec<_>>();
        values.sort();
        values.dedup();
        if params.has("values") && values.is_empty() {
            let span = params.place_of("values");
            params.mistake(span, "`values` is empty", "expects at least one value", None);
        }
        Self { shown: dns::shown(&name), name, kind, values, max_ttl: params.opt_count("max_ttl") }
    }

    /// `shop.acme.example A`
    pub(super) fn words(&self) -> String {
        format!("{} {}", self.shown, self.kind)
    }

    /// Whether an answer shows the expected values: at the end of the chain, or as the name's CNAME.
    pub(super) fn shows(&self, answer: &dns::Answer) -> bool {
        if self.values.is_empty() {
            return answer.ttl(&self.name, self.kind).is_some();
        }
        answer.values(&self.name, self.kind) == self.values
            || answer.alias(&self.name).is_some_and(|alias| self.values == [alias.value.clone()])
    }

    /// Whether an answer's TTL passes.
    pub(super) fn ttl_passes(&self, answer: &dns::Answer) -> bool {
        let ttl = answer.ttl(&self.name, self.kind);
        self.max_ttl.is_none_or(|max| ttl.is_some_and(|ttl| u64::from(ttl) <= max))
    }
}
