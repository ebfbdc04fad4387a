//! `dns.delegation`, against a parent and a child at real name servers, signed and unsigned.

use std::sync::Arc;

use gonogo::{
    base::Class,
    runbook::DnsEnv,
    services::{
        Services,
        dns::{Answer, Dnssec, Record, RecordType, Server},
    },
};
use hickory_proto::{op::ResponseCode, rr::RData};

use super::{
    contract::{attempt, check, env, points_at, services},
    dns_world::World,
    ends::{Case, End, aws, contract},
    fake_dns::{FakeDns, Say},
};
use crate::knot::{Knot, Zone, ip, name};

const ZONE: &str = "zone = \"acme.example\"\n";

async fn case(end: End) -> Case {
    let text = format!("{ZONE}dnssec = \"unsigned\"\n");
    let not_so = format!("{ZONE}expect = [\"ns1.elsewhere.example\"]");
    let bad = ("zone = \"a..b\"", "\"a..b\"");
    match end {
        End::Sandbox => {
            let text = format!(
                "{text}expect = [\"ns-2.awsdns.example\", \"ns-1.awsdns.example\"]\ncaa_allows = \"amazon.com\""
            );
            Case::aws(&aws(end).await, text, bad).not_so(not_so)
        }
        End::Knot => {
            let world = World::start();
            Case { env: world.env(), text, not_so: Some(not_so), mark: None, bad, keep: Box::new(world) }
        }
        End::Moto => panic!("moto answers no DNS"),
    }
}
contract!("dns.delegation", case; sandbox: Sandbox, knot: Knot);

async fn looks(services: &Arc<Services>, params: &str) -> Result<String, String> {
    let seen = check("dns.delegation", params, services).check(&attempt().cx).await;
    seen.map(|seen| seen.line).map_err(|failure| {
        assert_eq!(failure.class, Class::NotYet, "{failure:?}");
        let hint = failure.hint.map(|hint| format!("hint: {hint}"));
        [vec![failure.message], failure.causes, hint.into_iter().collect()].concat().join("\n")
    })
}

#[tokio::test]
async fn parent_and_zone_agree_or_are_named() {
    let world = World::start();
    let at = services(world.env());
    let line = looks(&at, &format!("{ZONE}expect = [\"NS1.acme.example.\", \"ns2.acme.example\"]")).await.unwrap();
    let begin = "example delegates acme.example to ns1.acme.example, ns2.acme.example (NS 600 s), all ";
    assert!(line.starts_with(begin) && line.ends_with(" servers answer with authority; unsigned"), "{line}");

    // A server more at the parent, at which nothing runs, then one that does not know the zone.
    let ns = ["ns1.acme.example.", "ns2.acme.example.", "ns3.acme.example."];
    world.parent.set("example", "acme.example", 600, "NS", &ns);
    world.parent.set("example", "ns3.acme.example", 300, "A", &["127.0.0.4"]);
    let said = looks(&at, ZONE).await.unwrap_err();
    assert!(
        said.contains(&format!("ns3.acme.example (127.0.0.4:{}) does not answer for the zone", world.port)),
        "{said}"
    );
    assert!(said.contains("has another NS set than the parent: ns3.acme.example is missing"), "{said}");
    let lame = Knot::start_at(
        &[ip("127.0.0.4")],
        world.port,
        &[Zone { name: "other.test", lines: "@ NS ns1", signed: false }],
    )
    .expect("the port is free at 127.0.0.4 too");
    let said = looks(&at, ZONE).await.unwrap_err();
    assert!(said.contains("is lame: asked for the zone it answers REFUSED"), "{said}");
    drop(lame);

    // Glue that is wrong, and none at all.
    world.parent.set("example", "acme.example", 600, "NS", &ns[..2]);
    world.parent.set("example", "ns3.acme.example", 300, "A", &[]);
    world.parent.set("example", "ns1.acme.example", 300, "A", &["127.0.0.4"]);
    let said = looks(&at, ZONE).await.unwrap_err();
    assert!(said.contains("glue of ns1.acme.example is 127.0.0.4, its own zone says 127.0.0.2"), "{said}");
    world.parent.set("example", "ns1.acme.example", 300, "A", &[]);
    let said = looks(&at, ZONE).await.unwrap_err();
    assert!(said.contains("ns1.acme.example is inside the zone and has no glue"), "{said}");
    assert!(said.contains("hint: enter 127.0.0.2 as its address at the registrar"), "{said}");

    // Edited, not delegated.
    world.parent.set("example", "acme.example", 600, "NS", &[]);
    world.parent.set("example", "ns2.acme.example", 600, "A", &[]);
    let said = looks(&at, &format!("{ZONE}expect = [\"ns1.acme.example\"]")).await.unwrap_err();
    assert!(said.contains("knows no delegation of acme.example (NXDOMAIN)"), "{said}");
    assert!(
        said.contains("hint: enter ns1.acme.example as the name servers of acme.example at its registrar"),
        "{said}"
    );
}

#[tokio::test]
async fn caa_is_climbed() {
    let world = World::start();
    let at = services(world.env());
    let ask = |name: &str, issuer: &str| format!("{ZONE}name = \"{name}\"\ncaa_allows = {issuer}");
    let line = looks(&at, &ask("sub.deep.acme.example", "\"amazon.com\"")).await.unwrap();
    assert!(line.ends_with("no CAA: every authority may issue"), "{line}");
    // At the parent, above the zone cut.
    world.parent.set("example", "example", 60, "CAA", &["0 issue \"ca.example\""]);
    let said = looks(&at, &ask("sub.deep.acme.example", "\"amazon.com\"")).await.unwrap_err();
    assert!(
        said.contains("CAA at example does not allow amazon.com for sub.deep.acme.example: it allows ca.example"),
        "{said}"
    );
    // The zone's own set counts before it, whatever stands above.
    world.child.set("acme.example", "acme.example", 60, "CAA", &["0 issue \"letsencrypt.org\"", "0 issuewild \";\""]);
    let said = looks(&at, &ask("sub.deep.acme.example", "[\"amazon.com\", \"amazontrust.com\"]")).await.unwrap_err();
    assert!(said.contains("CAA at acme.example does not allow amazon.com or amazontrust.com"), "{said}");
    assert!(said.contains("hint: add `0 issue \"amazon.com\"` to the CAA records of acme.example"), "{said}");
    looks(&at, &ask("sub.deep.acme.example", "[\"amazon.com\", \"letsencrypt.org\"]")).await.unwrap();
    let said = looks(&at, &ask("*.acme.example", "\"letsencrypt.org\"")).await.unwrap_err();
    assert!(said.contains("it allows nobody"), "{said}");
    // Through a CNAME (RFC 8659 section 3), and a critical property that nobody knows.
    world.child.set(
        "acme.example",
        "www.acme.example",
        60,
        "CAA",
        &["0 issue \"amazon.com; validationmethods=dns-01\""],
    );
    let line = looks(&at, &ask("shop.acme.example", "\"amazon.com\"")).await.unwrap();
    assert!(line.ends_with("CAA at shop.acme.example allows amazon.com"), "{line}");
    world.child.set("acme.example", "www.acme.example", 60, "CAA", &["0 issue \"amazon.com\"", "128 tbs \"x\""]);
    let said = looks(&at, &ask("www.acme.example", "\"amazon.com\"")).await.unwrap_err();
    assert!(said.contains("critical property `tbs`"), "{said}");
}

#[tokio::test]
async fn dnssec_unsigned_island_signed_broken() {
    let world = World::signed();
    let at = services(world.env());
    let line = looks(&at, ZONE).await.unwrap();
    assert!(line.ends_with("; signed, without a DS at the parent"), "{line}");
    assert!(looks(&at, &format!("{ZONE}dnssec = \"unsigned\"")).await.unwrap_err().contains("expected unsigned"));
    let said = looks(&at, &format!("{ZONE}dnssec = \"signed\"")).await.unwrap_err();
    assert!(said.contains("DNSSEC is signed, without a DS at the parent, expected signed"), "{said}");

    let ds = world.child.ds("acme.example");
    let texts = ds.iter().map(String::as_str).collect::<Vec<_>>();
    world.parent.set("example", "acme.example", 300, "DS", &texts);
    let line = looks(&at, &format!("{ZONE}dnssec = \"signed\"")).await.unwrap();
    let tag = ds[0].split_whitespace().next().unwrap();
    assert!(line.contains("(NS 600 s, DS 300 s)") && line.ends_with(&format!("; signed (key {tag})")), "{line}");

    // Time passes and nobody signs anew; a record is changed under its signature.
    let (zone, dns) = (name("acme.example"), &at.dns);
    let server = |address| Server { name: "ns".into(), address };
    let (parent, child) = (server(world.parent.address), server(world.child.address));
    let trusted = dns.ds(&zone, &parent).await.unwrap();
    let keys = dns.keys(&zone, &child).await.unwrap();
    let soa = dns.signed(&zone, RecordType::SOA, &child).await.unwrap();
    let now = u32::try_from(dns.now().timestamp()).unwrap();
    let state = |ds: &[Record], keys: &Answer, soa: &Answer, now| Dnssec::of(&zone, ds, keys, soa, now).to_string();
    assert!(matches!(Dnssec::of(&zone, &trusted, &keys, &soa, now), Dnssec::Signed { until, .. } if until > now));
    let later = state(&trusted, &keys, &soa, now + 60 * 86_400);
    assert!(later.starts_with("broken: the DNSKEY set's signature by key") && later.contains("days ago"), "{later}");
    let early = state(&trusted, &keys, &soa, now - 60 * 86_400);
    assert!(early.contains("is not valid yet"), "{early}");
    let mut forged = soa.clone();
    for record in &mut forged.records {
        if let RData::SOA(soa) = &mut record.raw.data {
            soa.serial += 1;
        }
    }
    let state_of_forged = state(&trusted, &keys, &forged, now);
    assert!(state_of_forged.starts_with("broken: the SOA record's signature by key"), "{state_of_forged}");
    let mut bare = soa.clone();
    bare.records.retain(|r| r.kind != RecordType::RRSIG);
    assert!(state(&trusted, &keys, &bare, now).contains("is missing"));

    // The old DS of another provider's key.
    let other = texts[0].replacen(tag, if tag == "1" { "2" } else { "1" }, 1);
    world.parent.set("example", "acme.example", 300, "DS", &[&other]);
    let said = looks(&at, ZONE).await.unwrap_err();
    assert!(said.contains("DNSSEC is broken at") && said.contains("fits a DNSKEY of the zone"), "{said}");
    assert!(said.contains("hint: resolvers that check signatures answer SERVFAIL"), "{said}");
    // The right tag and a wrong digest.
    let mut wrong = texts[0].to_owned();
    let last = wrong.pop().unwrap();
    wrong.push(if last == '0' { '1' } else { '0' });
    world.parent.set("example", "acme.example", 300, "DS", &[&wrong]);
    assert!(looks(&at, ZONE).await.unwrap_err().contains("fits a DNSKEY of the zone"));
    // A digest that nobody can check counts as unsigned for resolvers; it is not called signed here.
    let unknown = format!("{tag} 13 200 {}", "00".repeat(32));
    world.parent.set("example", "acme.example", 300, "DS", &[&unknown]);
    let line = looks(&at, ZONE).await.unwrap();
    assert!(line.contains("; unknown: algorithm"), "{line}");
    assert!(looks(&at, &format!("{ZONE}dnssec = \"signed\"")).await.is_err());
}

#[tokio::test]
async fn a_ds_without_a_key_is_broken() {
    let world = World::start();
    let digest = format!("4711 13 2 {}", "ab".repeat(32));
    world.parent.set("example", "acme.example", 300, "DS", &[&digest]);
    let said = looks(&services(world.env()), ZONE).await.unwrap_err();
    assert!(said.contains("the parent has a DS (key 4711), the zone has no DNSKEY"), "{said}");
}

/// Parents that lie: lame, silent, of two minds, serving the zone themselves.
#[tokio::test]
async fn parents_that_disagree() {
    let lame = FakeDns::start(|asked| Say::Answer(asked.code(ResponseCode::Refused))).await;
    let world = World::start();
    let with = |parents: Vec<std::net::SocketAddr>| {
        let mut env = world.env();
        env.dns.parents = parents;
        services(env)
    };
    let said = looks(&with(vec![world.parent.address, lame.address]), ZONE).await.unwrap_err();
    assert!(said.contains("answers REFUSED: it does not serve the parent zone"), "{said}");
    const OTHER: &str = "@ NS ns1\nns1 A 127.0.0.1\nacme NS ns1.acme\nns1.acme A 127.0.0.2";
    let other = Knot::start(&[Zone { name: "example", lines: OTHER, signed: false }]);
    let said = looks(&with(vec![world.parent.address, other.address]), ZONE).await.unwrap_err();
    let wanted = format!(
        "the parent's {} delegates to other servers than the others: ns2.acme.example is missing",
        other.address
    );
    assert!(said.contains(&wanted), "{said}");
    let line = looks(&with(vec![world.child.address]), ZONE).await.unwrap();
    assert!(line.ends_with("its delegation itself cannot be seen"), "{line}");
    let gone = lame.stop().await;
    let said = looks(&with(vec![gone]), ZONE).await.unwrap_err();
    assert!(said.contains("connection refused"), "{said}");
}

/// The registrar was forgotten, in the built-in world.
#[tokio::test]
async fn the_sandboxes_registrar_may_be_forgotten() {
    let end = super::ends::aws_with(&["dns.delegation:always"]).await;
    let said =
        looks(&services(end.env.clone()), &format!("{ZONE}expect = [\"ns-1.awsdns.example\"]")).await.unwrap_err();
    assert!(said.contains("ns1.old-provider.example is too many"), "{said}");
}

#[test]
fn bad_parameters_are_pointed_at() {
    let mut env = env();
    env.dns = DnsEnv::default();
    let at = services(env);
    let kind = "dns.delegation";
    points_at(kind, "dnssec = \"any\"", &at, "", "needs `zone`");
    points_at(kind, "zone = \".\"", &at, "\".\"", "the root zone has no parent");
    points_at(kind, "zone = \"a.b\"\nexpect = [\"x..y\"]", &at, "[\"x..y\"]", "is no DNS name");
    points_at(kind, "zone = \"a.b\"\nname = \"c.d\"\ncaa_allows = \"x\"", &at, "\"c.d\"", "is not in the zone a.b");
    points_at(kind, "zone = \"a.b\"\nname = \"c.a.b\"", &at, "\"c.a.b\"", "is for `caa_allows`");
    points_at(kind, "zone = \"a.b\"\ncaa_allows = []", &at, "[]", "`caa_allows` is empty");
    points_at(kind, "zone = \"a.b\"\ndnssec = \"yes\"", &at, "\"yes\"", "`dnssec` must be one of");
}
