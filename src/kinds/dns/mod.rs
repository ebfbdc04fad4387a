//! What the DNS kinds share: the question that they ask, the values that they compare, the parameters by
//! which both are written, and the arithmetic of waiting for a TTL.

mod countdown;
mod question;
mod track;

use crate::{
    plan::{Param, Params, Shape},
    services::dns::{self, Name, RecordType},
};
pub(super) use countdown::{Countdown, Heard, clock};
pub(super) use question::Question;
pub(super) use track::Track;

pub(super) const TYPE: Param = Param {
    name: "type",
    shape: Shape::Text,
    required: false,
    help: "record type (A, AAAA, CAA, CNAME, HTTPS, MX, NS, SOA, SRV, TXT); left out: A or AAAA where the value is an \
           address, CNAME where it is a name, else A",
};

/// The parameters that every kind has which asks for a record and expects a value.
const QUESTION: [Param; 5] = [
    Param {
        name: "name",
        shape: Shape::Text,
        required: true,
        help: "the record's name, such as \"shop.acme.example\"",
    },
    TYPE,
    Param {
        name: "value",
        shape: Shape::Text,
        required: false,
        help: "the value that is expected, as `dig +short` prints it: an address, a CNAME's target, a TXT's text, \
               \"10 mail.acme.example\", \"0 issue \\\"amazon.com\\\"\"",
    },
    Param { name: "values", shape: Shape::Texts, required: false, help: "as `value`, where the record has several" },
    Param { name: "max_ttl", shape: Shape::Count, required: false, help: "largest TTL that passes, in seconds" },
];

/// The parameters of a question and a kind's own; `ALL` is the sum of both.
pub(super) const fn with_question<const OWN: usize, const ALL: usize>(own: [Param; OWN]) -> [Param; ALL] {
    assert!(OWN + QUESTION.len() == ALL, "ALL is how many there are together");
    let mut all = [QUESTION[0]; ALL];
    let mut at = 0;
    while at < ALL {
        all[at] = if at < QUESTION.len() { QUESTION[at] } else { own[at - QUESTION.len()] };
        at += 1;
    }
    all
}

/// The name of a key; the root where it is none (and a mistake is recorded).
pub(super) fn name(params: &mut Params<'_>, key: &str) -> Name {
    let Some(text) = params.opt_text(key) else { return Name::root() };
    dns::name(&text).unwrap_or_else(|failure| {
        let span = params.place_of(key);
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
