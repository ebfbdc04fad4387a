//! `dns.authoritative`: every authoritative server says the same, over UDP and over TCP.

use std::sync::Arc;

use futures_util::future::{BoxFuture, join, join_all};
use serde_json::json;

use super::{
    Bind, Kind,
    dns::{Question, with_question},
};
use crate::{
    base::{Class, Failure},
    plan::{Check, Cx, Doubt, Param, Seen, Shape},
    services::{
        Services,
        dns::{Answer, Name, RecordType, Server, Transport, shown},
    },
};

/// The kind.
pub static KIND: Kind = Kind {
    name: "dns.authoritative",
    summary: "every authoritative server agrees on value and TTL, over UDP and TCP",
    docs: "\
Asks every authoritative server of the name's zone directly, without recursion, over UDP and over TCP, and passes when
each of them answers with authority (AA), all say the same, and that is what was expected.

The servers are those of the environment's `dns.authoritative`; without them, the zone's NS set is looked up through the
environment's resolvers and each name server is asked at each address, IPv4 and IPv6, that this machine has a route to.
A name server without an address, or whose address nobody tells, is no data: the check fails and names it.

Where the zone's serial (SOA) differs between servers that agree on the record, the line says so: a secondary has not
taken over the newest zone. With `same_serial` that fails. Route 53 never changes its serial, and two providers that
serve one zone each count for themselves.

What hurts people: one stale server of four serves the old value to a quarter of the resolvers; a firewall that lets no
TCP through breaks large answers only; a name server that is listed and does not know the zone (lame) is slow for
everybody. All three fail this check and are named.

Where the name is a CNAME, a `value` may name its target, whatever `type` says. Values are compared as `dig +short`
prints them, without regard to case and last dots of names, to quotes of texts and to the order of several.

Relies on RFC 1034, 1035, 1982 (serials), 7766 (TCP), 6891 (EDNS). Limits: every address of an anycast server is one
server, wherever it stands; whether the parent delegates to these servers is `dns.delegation`.",
    params: &with_question::<2, 7>([
        Param {
            name: "min_servers",
            shape: Shape::Count,
            required: false,
            help: "how many servers there must be at least; default 1",
        },
        Param {
            name: "same_serial",
            shape: Shape::Flag,
            required: false,
            help: "true: all must have the same serial of the zone; default false, a difference is only told",
        },
    ]),
    doubt: Doubt::Read,
    needs: &["UDP and TCP port 53 to the zone's name servers"],
    example: include_str!("../../runbooks/kinds/dns.authoritative.toml"),
    bind: Bind::Check(|params, services| {
        let question = Question::read(params);
        let min_servers = params.opt_count("min_servers").unwrap_or(1);
        let same_serial = params.opt_flag("same_serial").unwrap_or(false);
        Arc::new(Authoritative { services: services.clone(), question, min_servers, same_serial })
    }),
};

struct Authoritative {
    services: Arc<Services>,
    question: Question,
    min_servers: u64,
    same_serial: bool,
}

/// What one server said.
struct View {
    server: Server,
    udp: Result<Answer, Failure>,
    tcp: Result<Answer, Failure>,
    serial: Option<u32>,
}

impl Authoritative {
    async fn look(&self) -> Result<Seen, Failure> {
        let (question, dns) = (&self.question, &self.services.dns);
        let (servers, lost) = dns.authoritative_or_lost(&question.name).await.map_err(super::no_data)?;
        if let [first, others @ ..] = lost.as_slice() {
            let (n, of) = (lost.len(), servers.len() + lost.len());
            let what = format!("no data: {n} of the name servers of {} cannot be asked: {first}", question.shown);
            let failure = Failure::new(Class::NotYet, what).because(format!(
                "of {of} servers and names, {} can be asked: {}",
                servers.len(),
                list(&servers)
            ));
            return Err(others.iter().fold(failure, Failure::because));
        }
        if (servers.len() as u64) < self.min_servers {
            let what =
                format!("{} has {} authoritative servers, not {}", question.shown, servers.len(), self.min_servers);
            return Err(Failure::new(Class::NotYet, what).because(list(&servers)));
        }
        let views = join_all(servers.iter().map(|server| self.ask(server))).await;
        let answers = || views.iter().flat_map(|view| [(&view.server, &view.udp), (&view.server, &view.tcp)]);
        let first = answers().find_map(|(_, answer)| answer.as_ref().ok());
        let wrong = views.iter().filter_map(|view| {
            let mut why = [&view.udp, &view.tcp].into_iter().filter_map(|answer| self.wrong(answer, first));
            // A server that is wrong in the same way over both is told once.
            why.next().map(|(why, hint)| (format!("{} {why}", view.server), hint))
        });
        let wrong = wrong.collect::<Vec<_>>();
        if let [(one, hint), others @ ..] = wrong.as_slice() {
            let (n, of) = (wrong.len(), views.len());
            let verb = if n == 1 { "disagrees" } else { "disagree" };
            let what = format!("{n} of {of} authoritative servers {verb} on {}: {one}", question.words());
            let failure = hint.iter().fold(Failure::new(Class::NotYet, what), Failure::hint);
            return Err(others.iter().fold(failure, |failure, (why, _)| failure.because(why)));
        }
        let serials = views.iter().filter_map(|view| Some((&view.server, view.serial?))).collect::<Vec<_>>();
        let differ = serials.iter().any(|(_, serial)| *serial != serials[0].1);
        let told = serials.iter().map(|(server, serial)| format!("{server} {serial}")).collect::<Vec<_>>().join(", ");
        if self.same_serial && (differ || serials.len() < views.len()) {
            let what = if differ { "have different serials" } else { "do not all tell their serial" };
            return Err(Failure::new(Class::NotYet, format!("the servers of {} {what}: {told}", question.shown))
                .hint("a secondary has not taken over the newest zone: is NOTIFY or the transfer blocked?"));
        }
        let words = first.map(|a| question.of(a)).unwrap_or_default();
        let tail = if differ { format!("; serials differ: {told}") } else { String::new() };
        let all = match views.len() {
            1 => "the only authoritative server".to_owned(),
            n => format!("all {n} authoritative servers"),
        };
        let line = format!("{all}, UDP and TCP: {} is {words}{tail}", question.shown);
        let mut evidence = first.map(|a| question.said(a).evidence()).unwrap_or_default();
        evidence["servers"] = json!(servers.iter().map(ToString::to_string).collect::<Vec<_>>());
        evidence["serials"] = json!(serials.iter().map(|(_, serial)| serial).collect::<Vec<_>>());
        Ok(Seen::new(line).with(evidence))
    }

    async fn ask(&self, server: &Server) -> View {
        let (question, dns) = (&self.question, &self.services.dns);
        let over = |transport| dns.ask(server.address, &question.name, question.kind, transport, false);
        // At once: a silent server takes its time once, and does not use up the whole look.
        let udp = async {
            let udp = over(Transport::Udp).await;
            let serial = match &udp {
                Ok(answer) => self.serial(server, answer).await,
                Err(_) => None,
            };
            (udp, serial)
        };
        let ((udp, serial), tcp) = join(udp, over(Transport::Tcp)).await;
        View { server: server.clone(), udp, tcp, serial }
    }

    /// The serial of the zone that the name is in: beside a "no", at the apex, or in the "no" of a name below it.
    async fn serial(&self, server: &Server, answer: &Answer) -> Option<u32> {
        let of = |name: &Name, answer: &Answer| {
            answer.serial.as_ref().filter(|(zone, _)| zone.zone_of(name)).map(|(_, serial)| *serial)
        };
        let name = &self.question.name;
        // Where the name is a CNAME, its SOA would be that of the target; its parent's is in the same zone, or above.
        let at = if answer.alias(name).is_some() { name.base_name() } else { name.clone() };
        match of(name, answer).filter(|_| answer.alias(name).is_none()) {
            Some(serial) => Some(serial),
            None => {
                let soa =
                    self.services.dns.ask(server.address, &at, RecordType::SOA, Transport::Udp, false).await.ok()?;
                of(&at, &soa)
            }
        }
    }

    /// What is wrong with one answer, if anything, and what to do about it.
    fn wrong(&self, answer: &Result<Answer, Failure>, first: Option<&Answer>) -> Option<(String, Option<String>)> {
        let question = &self.question;
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => return Some((format!("gave no answer: {failure}"), failure.hint.clone())),
        };
        let over = if answer.tcp { " over TCP" } else { "" };
        let words = question.of(answer);
        let (why, hint) = if !answer.aa {
            let zone = shown(&question.name);
            (
                format!("says {words} without authority"),
                Some(format!(
                    "it does not serve the zone of {zone} (lame): take it out of the NS set or load the zone"
                )),
            )
        } else if !question.shows(answer) {
            match question.values.as_slice() {
                [] => (format!("says {words}"), None),
                _ => (format!("says {words}, expected {}", question.wanted()), None),
            }
        } else if !question.ttl_passes(answer) {
            (format!("says {words}, expected at most {} s", question.max_ttl.unwrap_or_default()), None)
        } else if first.is_some_and(|first| question.said(first) != question.said(answer)) {
            (format!("says {words}, another says {}", first.map(|a| question.of(a)).unwrap_or_default()), None)
        } else {
            return None;
        };
        Some((format!("{why}{over}"), hint))
    }
}

fn list(servers: &[Server]) -> String {
    servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Check for Authoritative {
    fn looks(&self) -> String {
        let question = &self.question;
        let serial = if self.same_serial { ", all with one serial" } else { "" };
        let (words, expects) = (question.words(), question.expects());
        format!("ask every authoritative server for {words} over UDP and TCP{expects}{serial}")
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(super::looking(cx, self.look()))
    }
}
