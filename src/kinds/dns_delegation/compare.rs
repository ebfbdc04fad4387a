//! What is compared: the parent's servers with each other, the delegation with the zone, glue with addresses.

use std::{collections::BTreeSet, net::IpAddr};

use crate::{
    base::{Class, Failure},
    services::dns::{Answer, Delegation, Name, RecordType, ResponseCode, Server, shown},
};

/// Everything that is wrong, in the order in which it was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    wrong: Vec<String>,
    hint: Option<String>,
}

/// The SOA and NS answers of a server, with signatures.
pub(super) type Both = (Result<Answer, Failure>, Result<Answer, Failure>);

/// A server that answers for the zone.
pub(super) struct Good<'a> {
    pub server: &'a Server,
    pub soa: &'a Answer,
    names: BTreeSet<Name>,
}

impl Found {
    pub fn bad(&mut self, what: impl Into<String>) {
        self.wrong.push(what.into());
    }

    /// What to do about it; the first one counts.
    pub fn advise(&mut self, hint: impl Into<String>) {
        self.hint.get_or_insert_with(|| hint.into());
    }

    pub fn any(&self) -> bool {
        !self.wrong.is_empty()
    }

    pub fn failure(self, zone: &Name) -> Failure {
        let first = self.wrong.first().map(String::as_str).unwrap_or_default();
        let more = if self.wrong.len() > 1 { format!(" and {} more", self.wrong.len() - 1) } else { String::new() };
        let failure = Failure::new(Class::NotYet, format!("delegation of {}: {first}{more}", shown(zone)));
        let failure = self.wrong.iter().skip(1).fold(failure, Failure::because);
        self.hint.iter().fold(failure, Failure::hint)
    }
}

/// The delegation, if any of the parent's servers tells one.
pub(super) fn parents(
    zone: &Name,
    parent: &Name,
    servers: &[Server],
    said: &[Result<Delegation, Failure>],
    expect: &BTreeSet<Name>,
    found: &mut Found,
) -> Option<Delegation> {
    for failure in said.iter().filter_map(|said| said.as_ref().err()) {
        found.bad(format!("in the parent zone {}, {}", shown(parent), failure.message));
        if let Some(hint) = &failure.hint {
            found.advise(hint);
        }
    }
    let first = said.iter().find_map(|said| said.as_ref().ok());
    let Some(first) = first else {
        let names = if expect.is_empty() { "the zone's NS records".to_owned() } else { list(expect) };
        found.advise(format!("enter {names} as the name servers of {} at its registrar", shown(zone)));
        return None;
    };
    let wanted = if expect.is_empty() { &first.names } else { expect };
    for (server, said) in servers.iter().zip(said) {
        if let Ok(said) = said
            && said.names != *wanted
        {
            let how = difference(&said.names, wanted);
            let against = if expect.is_empty() { "than the others" } else { "than expected" };
            found.bad(format!("the parent's {server} delegates to other servers {against}: {how}"));
            found.advise(format!("enter {} as the name servers of {} at its registrar", list(wanted), shown(zone)));
        }
    }
    Some(first.clone())
}

/// Those of the zone's servers that answer for it; the others are named.
pub(super) fn servers<'a>(zone: &Name, answers: &'a [(&'a Server, Both)], found: &mut Found) -> Vec<Good<'a>> {
    let mut good = Vec::new();
    for (server, (soa, ns)) in answers {
        let why = match soa {
            Ok(soa) if soa.aa && soa.at(zone, RecordType::SOA).next().is_some() => {
                match ns {
                    Ok(ns) => good.push(Good { server, soa, names: names(zone, ns) }),
                    Err(failure) => found.bad(format!("{server} does not tell the zone's NS set: {failure}")),
                }
                continue;
            }
            Ok(soa) if soa.rcode != ResponseCode::NoError => soa.code().to_owned(),
            Ok(soa) if !soa.aa => format!("{} without authority", soa.says(zone, RecordType::SOA)),
            Ok(_) => "that it has no SOA".to_owned(),
            Err(failure) => {
                found.bad(format!("{server} does not answer for the zone: {}", failure.message));
                if let Some(hint) = &failure.hint {
                    found.advise(hint);
                }
                continue;
            }
        };
        found.bad(format!("{server} is lame: asked for the zone it answers {why}"));
        found.advise(format!("load the zone {} at that server, or take the server out of the delegation", shown(zone)));
    }
    good
}

/// The zone's own NS set, at each of its servers, against the parent's.
pub(super) fn own_set(zone: &Name, delegation: &Delegation, good: &[Good<'_>], found: &mut Found) {
    for one in good.iter().filter(|one| one.names != delegation.names) {
        let how = difference(&one.names, &delegation.names);
        found.bad(format!("{} has another NS set than the parent: {how}", one.server));
        let parent = list(&delegation.names);
        found.advise(format!(
            "make both the same: either {parent} in the zone, or {} as the name servers of {} at its registrar",
            list(&one.names),
            shown(zone)
        ));
    }
}

/// A name server's addresses against the parent's glue. Only inside the zone must there be glue (RFC 9471).
pub(super) fn glue(zone: &Name, name: &Name, own: &BTreeSet<IpAddr>, glue: &BTreeSet<IpAddr>, found: &mut Found) {
    let ips = |set: &BTreeSet<IpAddr>| set.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if own.is_empty() && glue.is_empty() {
        found.bad(format!("the name server {} has no address", shown(name)));
        found.advise(format!("give {} an address record, or take it out of the delegation", shown(name)));
    } else if zone.zone_of(name) && glue.is_empty() {
        found.bad(format!("{} is inside the zone and has no glue at the parent: nobody can find it", shown(name)));
        found.advise(format!("enter {} as its address at the registrar (glue)", ips(own)));
    } else if !glue.is_empty() && !own.is_empty() && !glue.is_subset(own) {
        found.bad(format!("glue of {} is {}, its own zone says {}", shown(name), ips(glue), ips(own)));
        found.advise(format!("correct the address of {} at the registrar (glue)", shown(name)));
    }
}

fn names(zone: &Name, answer: &Answer) -> BTreeSet<Name> {
    answer.at(zone, RecordType::NS).filter_map(|r| r.target.as_ref()).map(Name::to_lowercase).collect()
}

fn list(names: &BTreeSet<Name>) -> String {
    names.iter().map(shown).collect::<Vec<_>>().join(", ")
}

/// `ns3.acme.example is missing, ns9.acme.example is too many`
fn difference(there: &BTreeSet<Name>, wanted: &BTreeSet<Name>) -> String {
    let missing = wanted.difference(there).map(|name| format!("{} is missing", shown(name)));
    let more = there.difference(wanted).map(|name| format!("{} is too many", shown(name)));
    let all = missing.chain(more).collect::<Vec<_>>();
    if there.is_empty() { "it is empty".into() } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::dns::name;

    fn ips(list: &[&str]) -> BTreeSet<IpAddr> {
        list.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn glue_is_compared_where_it_counts() {
        let zone = name("acme.example").unwrap();
        let inside = name("ns1.acme.example").unwrap();
        let outside = name("ns.awsdns.example").unwrap();
        let wrong = |name: &Name, own: &[&str], parent: &[&str]| {
            let mut found = Found::default();
            glue(&zone, name, &ips(own), &ips(parent), &mut found);
            assert_eq!(found.wrong.is_empty(), found.hint.is_none());
            found.wrong.join("; ")
        };
        assert_eq!(wrong(&inside, &["192.0.2.1", "2001:db8::1"], &["192.0.2.1"]), "");
        assert_eq!(wrong(&outside, &["192.0.2.1"], &[]), "");
        assert!(wrong(&inside, &["192.0.2.1"], &[]).contains("no glue"));
        assert!(wrong(&outside, &[], &[]).contains("no address"));
        assert!(wrong(&inside, &["192.0.2.1"], &["192.0.2.9"]).contains("glue of ns1.acme.example is 192.0.2.9"));
        assert_eq!(wrong(&inside, &[], &["192.0.2.9"]), "", "whether it answers is another question");
    }

    #[test]
    fn differences_in_words() {
        let set = |list: &[&str]| list.iter().map(|n| name(n).unwrap()).collect::<BTreeSet<_>>();
        let how = difference(&set(&["a.ns", "c.ns"]), &set(&["a.ns", "b.ns"]));
        assert_eq!(how, "b.ns is missing, c.ns is too many");
        assert_eq!(difference(&set(&[]), &set(&["a.ns"])), "it is empty");
    }
}
