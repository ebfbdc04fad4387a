//! `dns.delegation`: the parent zone leads to the servers that were edited, and nothing on the way forbids
//! the certificate or breaks the signatures.

mod compare;

use std::{collections::BTreeSet, sync::Arc};

use futures_util::future::{BoxFuture, join, join_all, try_join_all};
use serde_json::{Value as Json, json};

use super::{Bind, Kind, dns};
use crate::{
    base::Failure,
    plan::{Check, Cx, Doubt, Param, Seen, Shape},
    services::{
        Services,
        dns::{Dnssec, Name, RecordType, Server, name, shown},
    },
};
use compare::{Found, Good, own_set, parents, servers};

/// The kind.
pub static KIND: Kind = Kind {
    name: "dns.delegation",
    summary: "the parent delegates to the zone's servers; CAA allows the issuer; DNSSEC is not broken",
    docs: "\
Route 53 edited, zone not delegated: the record is right and nobody in the world sees it. This check asks the servers of the
*parent* zone, each of them, and compares:

- All of them delegate the zone, and to the same name servers; with `expect`, to those.
- The zone's own NS set, at each of its servers, is the parent's. A server on one side only is named.
- Every delegated server, at each of its addresses, answers with authority for the zone. One that does not is lame.
- Glue: a name server inside the zone has an address at the parent, and it is the one that the zone itself says.
- `caa_allows`: the CAA record set that counts for `name` (its own, else that of the nearest name above, RFC 8659) allows
  one of the issuers. ACM takes any of amazon.com, amazontrust.com, awstrust.com and amazonaws.com.
- DNSSEC: the DS at the parent stands for a DNSKEY of the zone (digest and key tag computed here), and the signatures over
  the keys and over the SOA are right and have not run out. A zone that was moved to other servers while its old DS stays at
  the registrar is *broken*: every resolver that checks signatures answers SERVFAIL. `dnssec` says what is expected.

The parent's NS TTL (often 48 h) and DS TTL (often 24 h) are in the line: that long resolvers go on asking the old servers
after a change of delegation, and the old servers must serve until then.

The parent's servers are found through the environment's resolvers, or given by `dns.parents`; the zone's are those that the
parent names, or those of `dns.authoritative`. Relies on RFC 1034, 1035, 4034, 4035, 4509, 8659, 9471 (glue) and Route 53's
documentation on name servers and DNSSEC signing. Limits: signatures above the DS are not followed to the root; where the
parent's servers serve the zone too, they answer from it and its delegation cannot be seen (the line says so).",
    params: &[
        Param {
            name: "zone",
            shape: Shape::Text,
            required: true,
            help: "the zone that must be delegated, such as \"acme.example\"",
        },
        Param {
            name: "expect",
            shape: Shape::Texts,
            required: false,
            help: "names of the name servers that the parent must name, no others; default: those of the zone itself",
        },
        Param {
            name: "name",
            shape: Shape::Text,
            required: false,
            help: "the certificate's name, for `caa_allows`; may begin with \"*.\"; default: the zone",
        },
        Param {
            name: "caa_allows",
            shape: Shape::Texts,
            required: false,
            help: "the certificate's issuer by its CAA domain: \"amazon.com\", \"letsencrypt.org\"; of several, one must be allowed",
        },
        Param {
            name: "dnssec",
            shape: Shape::Text,
            required: false,
            help: "\"any\" (default: unsigned or signed, not broken), \"signed\" or \"unsigned\"",
        },
    ],
    doubt: Doubt::Read,
    needs: &["UDP and TCP port 53 to the name servers of the zone and of its parent"],
    example: include_str!("../../runbooks/kinds/dns.delegation.toml"),
    bind: Bind::Check(|params, services| {
        const WANTED: [(&str, Wanted); 3] =
            [("any", Wanted::Any), ("signed", Wanted::Signed), ("unsigned", Wanted::Unsigned)];
        let zone = dns::name(params, "zone");
        if zone.is_root() && params.ok() {
            let span = params.place_of("zone");
            params.mistake(span, "the root zone has no parent", "not a zone that is delegated", None);
        }
        let mut expect = BTreeSet::new();
        for text in params.texts("expect") {
            match name(&text) {
                Ok(name) => drop(expect.insert(name.to_lowercase())),
                Err(failure) => {
                    let span = params.place_of("expect");
                    params.mistake(span, failure.message, "not a name server's name", failure.hint);
                }
            }
        }
        let certificate = if params.has("name") { dns::name(params, "name") } else { zone.clone() };
        if params.ok() && !zone.zone_of(&certificate) {
            let span = params.place_of("name");
            let message = format!("`{}` is not in the zone {}", shown(&certificate), shown(&zone));
            params.mistake(span, message, "another zone's name", None);
        }
        let issuers = params.texts("caa_allows");
        if params.has("caa_allows") && issuers.is_empty() {
            let span = params.place_of("caa_allows");
            params.mistake(span, "`caa_allows` is empty", "expects an issuer, such as \"amazon.com\"", None);
        }
        if params.has("name") && !params.has("caa_allows") {
            let span = params.place_of("name");
            let help = Some("caa_allows = \"amazon.com\"".into());
            params.mistake(span, "`name` is for `caa_allows`, which is missing", "nothing is asked of it", help);
        }
        let wanted = params.word("dnssec", &WANTED);
        Arc::new(Delegated { services: services.clone(), zone, expect, certificate, issuers, wanted })
    }),
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Any,
    Signed,
    Unsigned,
}

struct Delegated {
    services: Arc<Services>,
    zone: Name,
    expect: BTreeSet<Name>,
    certificate: Name,
    issuers: Vec<String>,
    wanted: Wanted,
}

impl Delegated {
    async fn look(&self) -> Result<Seen, Failure> {
        let (dns, zone) = (&self.services.dns, &self.zone);
        let (parent, above) = dns.parent(zone).await.map_err(super::no_data)?;
        let said = dns.delegations(zone, &above).await;
        let mut found = Found::default();
        let Some(delegation) = parents(zone, &parent, &above, &said, &self.expect, &mut found) else {
            return Err(found.failure(zone));
        };
        let below = self.below(&delegation.names, &delegation.glue, &mut found).await;
        if below.is_empty() {
            found.bad("none of the delegated servers has an address that this machine can reach");
            return Err(found.failure(zone));
        }
        let asked = below.iter().map(|server| {
            let both = join(dns.signed(zone, RecordType::SOA, server), dns.signed(zone, RecordType::NS, server));
            async move { (server, both.await) }
        });
        let answers = join_all(asked).await;
        let good = servers(zone, &answers, &mut found);
        own_set(zone, &delegation, &good, &mut found);
        let state = self.dnssec(&above, &good, &mut found).await;
        let caa = self.caa(&mut found).await;
        if found.any() {
            return Err(found.failure(zone));
        }
        let list = delegation.names.iter().map(shown).collect::<Vec<_>>();
        let mut line = format!("{} delegates {} to {}", shown(&parent), shown(zone), list.join(", "));
        line += &format!(" (NS {} s", delegation.ttl);
        if let Some((_, Some(ttl))) = &state {
            line += &format!(", DS {ttl} s");
        }
        line += &match below.len() {
            1 => "), its server answers with authority".to_owned(),
            n => format!("), all {n} servers answer with authority"),
        };
        if let Some((state, _)) = &state {
            line += &format!("; {state}");
        }
        if let Some(caa) = &caa {
            line += &format!("; {caa}");
        }
        if delegation.from_below {
            line += "; the parent's servers serve the zone too, its delegation itself cannot be seen";
        }
        let dnssec = state.as_ref().map_or(Json::Null, |(state, _)| evidence(state));
        let evidence = json!({
            "parent": shown(&parent),
            "ns": list,
            "ns_ttl": delegation.ttl,
            "servers": below.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "dnssec": dnssec,
            "ds_ttl": state.as_ref().and_then(|(_, ttl)| *ttl),
            "caa": caa,
        });
        Ok(Seen::new(line).with(evidence))
    }

    /// The delegated servers at their addresses: those that the zone says, and the parent's glue.
    async fn below(
        &self,
        names: &BTreeSet<Name>,
        glue: &BTreeSet<(Name, std::net::IpAddr)>,
        found: &mut Found,
    ) -> Vec<Server> {
        let (dns, given) = (&self.services.dns, &self.services.env.dns.authoritative);
        if !given.is_empty() {
            return dns.authoritative(&self.zone).await.unwrap_or_default();
        }
        let addresses = join_all(names.iter().map(|name| async move { (name, dns.addresses_of(name).await) })).await;
        let mut servers = Vec::new();
        for (name, own) in addresses {
            let glued = glue.iter().filter(|(at, _)| at == name).map(|(_, ip)| *ip).collect::<BTreeSet<_>>();
            compare::glue(&self.zone, name, &own, &glued, found);
            servers.extend(dns.at(name, &own.union(&glued).copied().collect()).await);
        }
        servers
    }

    /// The state at every server that is not lame, and the DS records' TTL; `None` where none could be asked.
    async fn dnssec(&self, above: &[Server], good: &[Good<'_>], found: &mut Found) -> Option<(Dnssec, Option<u32>)> {
        let (dns, zone) = (&self.services.dns, &self.zone);
        let ds = join_all(above.iter().map(|server| dns.ds(zone, server))).await;
        let mut sets = Vec::new();
        for (server, ds) in above.iter().zip(ds) {
            match ds {
                Ok(ds) => sets.push((server, ds)),
                Err(failure) => found.bad(format!("the parent's {server} does not tell the DS: {failure}")),
            }
        }
        let values =
            |set: &[crate::services::dns::Record]| set.iter().map(|r| r.value.clone()).collect::<BTreeSet<_>>();
        let (_, first) = sets.first()?;
        if let Some((server, _)) = sets.iter().find(|(_, set)| values(set) != values(first)) {
            found.bad(format!("the parent's {server} has another DS set than the others"));
        }
        let ttl = first.iter().map(|r| r.ttl).max();
        let asked = good.iter().map(|one| async move {
            let keys = dns.keys(zone, one.server).await?;
            #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "wraps as RFC 4034 3.1.5 says")]
            let now = dns.now().timestamp() as u32;
            Ok::<_, Failure>((one.server, Dnssec::of(zone, first, &keys, one.soa, now)))
        });
        let states = match try_join_all(asked).await {
            Ok(states) => states,
            Err(failure) => {
                found.bad(format!("the zone's keys cannot be read: {failure}"));
                return None;
            }
        };
        let (_, state) = states.first()?;
        for (server, state) in &states {
            if let Dnssec::Broken(why) = state {
                found.bad(format!("DNSSEC is broken at {server}: {why}"));
                found.advise(
                    "resolvers that check signatures answer SERVFAIL: take the old DS out at the registrar, or put the \
                     right one in",
                );
            }
        }
        let broken = matches!(state, Dnssec::Broken(_));
        let as_wanted = match self.wanted {
            Wanted::Any => true,
            Wanted::Signed => matches!(state, Dnssec::Signed { .. }),
            Wanted::Unsigned => matches!(state, Dnssec::Unsigned),
        };
        if !as_wanted && !broken {
            let wanted = if self.wanted == Wanted::Signed { "signed" } else { "unsigned" };
            found.bad(format!("DNSSEC is {state}, expected {wanted}"));
        }
        Some((state.clone(), ttl))
    }

    /// What the CAA set says, where it was asked for.
    async fn caa(&self, found: &mut Found) -> Option<String> {
        if self.issuers.is_empty() {
            return None;
        }
        let name = shown(&self.certificate);
        let caa = match self.services.dns.caa(&self.certificate).await {
            Ok(caa) => caa,
            Err(failure) => {
                found.bad(format!("CAA of {name} cannot be read, so no authority may issue: {}", failure.message));
                return None;
            }
        };
        let Some(at) = &caa.at else { return Some("no CAA: every authority may issue".into()) };
        let wildcard = self.certificate.is_wildcard();
        let mut refused = None;
        for issuer in &self.issuers {
            match caa.allows(issuer, wildcard) {
                Ok(()) => return Some(format!("CAA at {} allows {issuer}", shown(at))),
                Err(why) => refused = refused.or(Some(why)),
            }
        }
        let (issuers, why) = (self.issuers.join(" or "), refused.unwrap_or_default());
        found.bad(format!("CAA at {} does not allow {issuers} for {name}: it {why}", shown(at)));
        found.advise(format!("add `0 issue \"{}\"` to the CAA records of {}", self.issuers[0], shown(at)));
        None
    }
}

fn evidence(state: &Dnssec) -> Json {
    match state {
        Dnssec::Signed { tags, until } => json!({ "state": "signed", "keys": tags, "until": until }),
        other => json!({ "state": other.to_string() }),
    }
}

impl Check for Delegated {
    fn looks(&self) -> String {
        let mut line = format!("ask the servers of the zone above {} where they delegate it", shown(&self.zone));
        if !self.expect.is_empty() {
            line += &format!(", expect {}", self.expect.iter().map(shown).collect::<Vec<_>>().join(", "));
        }
        line += "; ask each of those for its NS set, keys and signatures";
        if !self.issuers.is_empty() {
            let (name, issuers) = (shown(&self.certificate), self.issuers.join(" or "));
            line += &format!("; ask for CAA of {name} upwards, expect {issuers} to be allowed");
        }
        line
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(super::looking(cx, self.look()))
    }
}
