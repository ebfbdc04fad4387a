//! A question on the wire, and what counts as an answer to it.
//!
//! Written once and sent often: only the id differs, and it is new and random for every question. An answer
//! must carry the id and the question; anything else is ignored and counted.

use std::{io, net::SocketAddr};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query as Asked, ResponseCode},
    rr::{Name, RecordType},
};

/// What fits without fragments (DNS flag day 2020).
const PAYLOAD: u16 = 1232;

/// A question that can be put to any server.
#[derive(Debug, Clone)]
pub struct Query {
    asked: Asked,
    /// The message with id 0, with EDNS and without.
    with_edns: Vec<u8>,
    bare: Vec<u8>,
}

/// What a packet is to a question.
pub(super) enum Packet {
    /// The answer.
    Answer(Box<Message>),
    /// The server does not know EDNS: it is asked again without.
    NoEdns,
    /// The id is right and the rest is no DNS message.
    Garbled,
    /// Somebody else's, an old one or a forgery.
    Foreign,
}

impl Query {
    /// A question; `recurse` is what a resolver is asked with, and an authoritative server is not.
    ///
    /// # Errors
    /// Never for a name of [`super::name`]: it fits.
    pub fn new(name: &Name, kind: RecordType, recurse: bool) -> io::Result<Self> {
        Self::build(name, kind, recurse, false)
    }

    /// With signatures (the DO bit, RFC 4035 section 3.2.1), not recursive.
    ///
    /// # Errors
    /// As [`Query::new`].
    pub fn signed(name: &Name, kind: RecordType) -> io::Result<Self> {
        Self::build(name, kind, false, true)
    }

    fn build(name: &Name, kind: RecordType, recurse: bool, signed: bool) -> io::Result<Self> {
        let asked = Asked::query(name.clone(), kind);
        let mut message = Message::new(0, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = recurse;
        message.add_query(asked.clone());
        let bytes = |message: &Message| message.to_vec().map_err(|e| io::Error::other(e.to_string()));
        let bare = bytes(&message)?;
        let mut edns = Edns::new();
        edns.set_max_payload(PAYLOAD).set_version(0).set_dnssec_ok(signed);
        message.set_edns(edns);
        Ok(Self { asked, with_edns: bytes(&message)?, bare })
    }

    /// The message with an id, after `room` bytes for a length.
    pub(super) fn bytes(&self, id: u16, edns: bool, room: usize) -> Vec<u8> {
        let message = if edns { &self.with_edns } else { &self.bare };
        let mut bytes = Vec::with_capacity(room + message.len());
        bytes.resize(room, 0);
        bytes.extend_from_slice(message);
        if let Some(place) = bytes.get_mut(room..room + 2) {
            place.copy_from_slice(&id.to_be_bytes());
        }
        bytes
    }

    /// What a packet is: by its id and direction first, so that junk costs nothing.
    pub(super) fn read(&self, bytes: &[u8], id: u16, edns: bool) -> Packet {
        const RESPONSE: u8 = 0x80;
        let fits = bytes.len() > 2 && bytes[..2] == id.to_be_bytes() && bytes[2] & RESPONSE != 0;
        if !fits {
            return Packet::Foreign;
        }
        let Ok(message) = Message::from_vec(bytes) else { return Packet::Garbled };
        if message.metadata.op_code != OpCode::Query {
            return Packet::Foreign;
        }
        let refused_edns = matches!(message.metadata.response_code, ResponseCode::FormErr | ResponseCode::NotImp);
        match message.queries.as_slice() {
            // Names are equal whatever their case (RFC 4343): servers may answer in their own.
            [one]
                if one.name == self.asked.name
                    && one.query_type == self.asked.query_type
                    && one.query_class == self.asked.query_class => {}
            // Who does not understand the message need not repeat the question.
            [] if refused_edns => {}
            _ => return Packet::Foreign,
        }
        if refused_edns && edns && message.edns.is_none() {
            return Packet::NoEdns;
        }
        Packet::Answer(Box::new(message))
    }

    /// `dig` for the same question, for a person to try.
    #[must_use]
    pub fn dig(&self, server: SocketAddr, tcp: bool) -> String {
        let port = if server.port() == 53 { String::new() } else { format!(" -p {}", server.port()) };
        let tcp = if tcp { " +tcp" } else { "" };
        // The last bit of the third byte is RD: recursion desired.
        let recurse = if self.bare.get(2).is_some_and(|flags| flags & 1 == 1) { "" } else { " +norecurse" };
        format!("dig @{}{port} {} {}{recurse}{tcp}", server.ip(), super::shown(&self.asked.name), self.asked.query_type)
    }
}
