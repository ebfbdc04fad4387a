//! `dns.authoritative`: every authoritative server says the same, over UDP and over TCP.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::json;

use super::{
    Bind, Kind,
    dns::{MAX_TTL, NAME, Question, TYPE, VALUE, VALUES},
};
use crate::{
    base::{Class, Failure},
    plan::{Check, Cx, Doubt, Param, Seen, Shape},
    services::{
        Services,
        dns::{Answer, Server, Transport},
    },
};

/// The kind.
pub static KIND: Kind = Kind {
    name: "dns.authoritative",
    summary: "every authoritative server agrees on value and TTL, over UDP and TCP",
    docs: "\
Asks every authoritative server of the name's zone directly, without recursion, first over UDP, then over TCP, and
passes when each of them answers with authority (AA), all say the same, and that is what was expected.

The servers are those of the environment's `dns.authoritative`; without them, the zone's NS set is looked up through the
environment's resolvers and each name server is asked at each address that this machine has a route to.

What hurts people: one stale server of four serves the old value to a quarter of the resolvers; a firewall that lets no
TCP through breaks large answers only; a name server that is listed and does not know the zone (lame) is slow for
everybody. All three fail this check and are named.

Where the name is a CNAME, a `value` may name its target, whatever `type` says.

Relies on RFC 1034, 1035, 7766 (TCP), 6891 (EDNS). Limits: every address of an anycast server is one server; the parent's
NS set is not compared with the zone's.",
    params: &[
        NAME,
        TYPE,
        VALUE,
        VALUES,
        MAX_TTL,
        Param {
            name: "min_servers",
            shape: Shape::Count,
            required: false,
            help: "how many servers there must be at least; default 1",
        },
    ],
    doubt: Doubt::Read,
    needs: &["UDP and TCP port 53 to the zone's name servers"],
    example: include_str!("../../runbooks/kinds/dns.authoritative.toml"),
    bind: Bind::Check(|params, services| {
        let question = Question::read(params);
        let min_servers = params.opt_count("min_servers").unwrap_or(1);
        Arc::new(Authoritative { services: services.clone(), question, min_servers })
    }),
};

struct Authoritative {
    services: Arc<Services>,
    question: Question,
    min_servers: u64,
}

impl Authoritative {
    async fn look(&self) -> Result<Seen, Failure> {
        let (question, dns) = (&self.question, &self.services.dns);
        let servers = dns.authoritative(&question.name).await.map_err(super::no_data)?;
        if (servers.len() as u64) < self.min_servers {
            let what =
                format!("{} has {} authoritative servers, not {}", question.shown, servers.len(), self.min_servers);
            return Err(Failure::new(Class::NotYet, what).because(list(&servers)));
        }
        let addresses = servers.iter().map(|s| s.address).collect::<Vec<_>>();
        let mut answers = Vec::new();
        for transport in [Transport::Udp, Transport::Tcp] {
            let said = dns.ask_all(&addresses, &question.name, question.kind, transport, false).await;
            answers.extend(servers.iter().zip(said));
        }
        let first = answers.iter().find_map(|(_, answer)| answer.as_ref().ok());
        let wrong = answers.iter().filter_map(|(server, answer)| self.wrong(server, answer, first)).collect::<Vec<_>>();
        if let Some(one) = wrong.first() {
            let mut servers = wrong.iter().map(|(server, _)| *server).collect::<Vec<_>>();
            servers.dedup();
            servers.sort_by_key(|server| server.address);
            servers.dedup();
            let of = addresses.len();
            let what =
                format!("{} of {of} authoritative servers disagree on {}: {}", servers.len(), question.words(), one.1);
            let failure = Failure::new(Class::NotYet, what);
            return Err(wrong.iter().skip(1).fold(failure, |failure, (_, why)| failure.because(why)));
        }
        let words = first.map(|a| a.words(&question.name, question.kind)).unwrap_or_default();
        let evidence = json!({
            "servers": servers.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "ttl": first.and_then(|a| a.ttl(&question.name, question.kind)),
            "values": first.map(|a| a.values(&question.name, question.kind)),
            "cname": first.and_then(|a| a.alias(&question.name)).map(|alias| alias.value.clone()),
        });
        let line = format!("all {} authoritative servers, UDP and TCP: {} is {words}", addresses.len(), question.shown);
        Ok(Seen::new(line).with(evidence))
    }

    /// What is wrong with one answer, if anything.
    fn wrong<'s>(
        &self,
        server: &'s Server,
        answer: &Result<Answer, Failure>,
        first: Option<&Answer>,
    ) -> Option<(&'s Server, String)> {
        let question = &self.question;
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => return Some((server, format!("{server}: {failure}"))),
        };
        let over = if answer.tcp { " over TCP" } else { "" };
        let words = answer.words(&question.name, question.kind);
        let values =
            |a: &Answer| (a.values(&question.name, question.kind), a.alias(&question.name).map(|r| r.value.clone()));
        let why = if !answer.aa {
            format!("says {words} without authority")
        } else if !question.shows(answer) {
            match question.values.as_slice() {
                [] => format!("says {words}"),
                wanted => format!("says {words}, expected {}", wanted.join(", ")),
            }
        } else if !question.ttl_passes(answer) {
            format!("says {words}, expected at most {} s", question.max_ttl.unwrap_or_default())
        } else if first.is_some_and(|first| {
            values(first) != values(answer)
                || first.ttl(&question.name, question.kind) != answer.ttl(&question.name, question.kind)
        }) {
            format!(
                "says {words}, another says {}",
                first.map(|a| a.words(&question.name, question.kind)).unwrap_or_default()
            )
        } else {
            return None;
        };
        Some((server, format!("{server} {why}{over}")))
    }
}

fn list(servers: &[Server]) -> String {
    servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Check for Authoritative {
    fn looks(&self) -> String {
        let question = &self.question;
        let mut line = format!("ask every authoritative server for {} over UDP and TCP", question.words());
        if !question.values.is_empty() {
            line += &format!(", expect {}", question.values.join(", "));
        }
        if let Some(max) = question.max_ttl {
            line += &format!(", TTL at most {max} s");
        }
        line
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(super::looking(cx, self.look()))
    }
}
