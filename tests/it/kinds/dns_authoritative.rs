//! `dns.authoritative`, against servers that are stale, lame, silent, truncated or forged.

use std::{net::SocketAddr, sync::Arc};

use gonogo::{base::Class, runbook::DnsEnv, services::Services};
use hickory_proto::op::{Message, ResponseCode};

use super::{
    contract::{attempt, check, check_changes_nothing, env, points_at, services},
    dns_world::World,
    ends::{Case, End, aws, contract},
    fake_dns::{FakeDns, Say, zone},
};
use crate::knot::{Knot, Zone, has_ipv6};

const NEW: &[&str] = &["www.acme.example 60 A 203.0.113.9"];
const OLD: &[&str] = &["www.acme.example 60 A 192.0.2.1"];

fn at(authoritative: Vec<SocketAddr>) -> Arc<Services> {
    let mut env = env();
    env.dns = DnsEnv { authoritative, ..DnsEnv::default() };
    services(env)
}

async fn fails(servers: Vec<SocketAddr>, params: &str) -> String {
    let check = check("dns.authoritative", params, &at(servers));
    let failure = check.check(&attempt().cx).await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet, "{failure:?}");
    [vec![failure.message], failure.causes].concat().join("\n")
}

async fn passes(servers: Vec<SocketAddr>, params: &str) -> String {
    check("dns.authoritative", params, &at(servers)).check(&attempt().cx).await.unwrap().line
}

const WWW: &str = "name = \"www.acme.example\"\n";

#[tokio::test]
async fn all_agree_over_udp_and_tcp() {
    let (one, two) = (zone(NEW).await, zone(NEW).await);
    let params = format!("{WWW}value = \"203.0.113.9\"\nmax_ttl = 60\nmin_servers = 2");
    let line = passes(vec![one.address, two.address], &params).await;
    assert_eq!(line, "all 2 authoritative servers, UDP and TCP: www.acme.example is A 203.0.113.9, 60 s");
    // UDP, TCP, and UDP for the serial.
    assert_eq!((one.asked(), two.asked()), (3, 3));
    let line = passes(vec![one.address], "name = \"WWW.acme.example.\"").await;
    assert!(line.contains("203.0.113.9"), "{line}");
}

#[tokio::test]
async fn one_stale_server_of_four_is_named() {
    let mut servers = Vec::new();
    for lines in [NEW, NEW, OLD, NEW] {
        servers.push(zone(lines).await);
    }
    let addresses = servers.iter().map(|s| s.address).collect::<Vec<_>>();
    let said = fails(addresses.clone(), &format!("{WWW}value = \"203.0.113.9\"")).await;
    assert!(said.starts_with("1 of 4 authoritative servers disagrees"), "{said}");
    assert!(said.contains(&format!("{} says A 192.0.2.1", addresses[2])), "{said}");
    // Also without a value: they must agree with each other.
    let said = fails(addresses, WWW).await;
    assert!(said.contains("another says A 203.0.113.9"), "{said}");
}

#[tokio::test]
async fn ttl_lame_silent_missing() {
    let (good, lame) = (
        zone(NEW).await,
        FakeDns::start(|asked| {
            let mut answer = asked.in_zone(NEW);
            answer.metadata.authoritative = false;
            Say::Answer(answer)
        })
        .await,
    );
    assert!(fails(vec![good.address], &format!("{WWW}max_ttl = 59")).await.contains("expected at most 59 s"));
    assert!(fails(vec![good.address, lame.address], WWW).await.contains("without authority"));
    assert!(fails(vec![good.address], "name = \"none.acme.example\"").await.contains("says NXDOMAIN"));
    assert!(fails(vec![good.address], &format!("{WWW}type = \"AAAA\"")).await.contains("no AAAA record"));
    assert!(
        fails(vec![good.address], &format!("{WWW}min_servers = 2"))
            .await
            .contains("has 1 authoritative servers, not 2")
    );
    let closed = lame.stop().await;
    let started = std::time::Instant::now();
    let said = fails(vec![good.address, closed], WWW).await;
    assert!(said.contains("connection refused"), "{said}");
    assert!(started.elapsed().as_secs() < 1, "a closed port is seen at once");
    let broken = FakeDns::start(|asked| Say::Answer(asked.code(ResponseCode::ServFail))).await;
    assert!(fails(vec![good.address, broken.address], WWW).await.contains("SERVFAIL"));
}

#[tokio::test]
async fn no_tcp_is_found() {
    let deaf = FakeDns::start(|asked| if asked.tcp { Say::Nothing } else { Say::Answer(asked.in_zone(NEW)) }).await;
    let said = fails(vec![deaf.address], WWW).await;
    assert!(said.contains("over TCP"), "{said}");
}

#[tokio::test]
async fn truncation_asks_again_over_tcp() {
    let server = FakeDns::start(|asked| {
        let mut answer = asked.in_zone(NEW);
        if !asked.tcp {
            answer.answers.clear();
            answer.metadata.truncation = true;
        }
        Say::Answer(answer)
    })
    .await;
    passes(vec![server.address], &format!("{WWW}value = \"203.0.113.9\"")).await;
    // The record and the serial over UDP, each again over TCP, and the record over TCP.
    assert_eq!(server.asked(), 5);
}

/// Forged answers before the true one: a wrong id, a wrong question, a question instead of an answer, junk.
#[tokio::test]
async fn forged_answers_are_ignored() {
    let server = FakeDns::start(|asked| {
        let truth = asked.in_zone(NEW);
        if asked.tcp {
            return Say::Answer(truth);
        }
        let lie = asked.in_zone(OLD);
        let mut wrong_id = lie.clone();
        wrong_id.metadata.id = truth.metadata.id.wrapping_add(1);
        let mut wrong_name = lie.clone();
        wrong_name.queries[0].set_name(super::fake_dns::name("other.acme.example"));
        let mut no_question = lie.clone();
        no_question.queries.clear();
        let mut question = lie;
        question.metadata.message_type = hickory_proto::op::MessageType::Query;
        let bytes = |m: Message| m.to_vec().unwrap();
        let packets = [wrong_id, wrong_name, no_question, question].map(bytes).into_iter();
        Say::Raw(packets.chain([vec![0; 3], Vec::new(), bytes(truth)]).collect())
    })
    .await;
    passes(vec![server.address], &format!("{WWW}value = \"203.0.113.9\"")).await;
}

#[tokio::test]
async fn a_cname_may_be_named_by_its_target() {
    const LINES: &[&str] = &["shop.acme.example 60 CNAME Web.ELB.example", "web.elb.example 30 A 203.0.113.9"];
    let server = zone(LINES).await;
    for value in ["web.elb.example", "WEB.elb.example.", "203.0.113.9"] {
        for kind in ["A", "CNAME"] {
            let params = format!("name = \"shop.acme.example\"\ntype = \"{kind}\"\nvalue = \"{value}\"\nmax_ttl = 60");
            if kind == "CNAME" && value.starts_with('2') {
                fails(vec![server.address], &params).await;
            } else {
                passes(vec![server.address], &params).await;
            }
        }
    }
}

#[tokio::test]
async fn bad_parameters_and_no_changes() {
    let services = at(vec!["127.0.0.1:9".parse().unwrap()]);
    let kind = "dns.authoritative";
    points_at(kind, "name = \"a..b\"", &services, "\"a..b\"", "is no DNS name");
    points_at(kind, "max_ttl = 1", &services, "", "needs `name`");
    points_at(kind, "name = \"a.b\"\ntype = \"CNAM\"", &services, "\"CNAM\"", "`type` must be one of");
    points_at(kind, "name = \"a.b\"\nvalue = \"1.2.3.4\"\nvalues = [\"1.2.3.4\"]", &services, "\"1.2.3.4\"", "twice");
    // A mistyped address is no CNAME's target.
    for value in ["192.0.2.300", "2001:db8:::1"] {
        let (text, marked) = (format!("name = \"a.b\"\nvalue = \"{value}\""), format!("\"{value}\""));
        points_at(kind, &text, &services, &marked, &format!("`{value}` is n"));
    }
    points_at(kind, "name = \"a.b\"\nmax_ttl = \"60\"", &services, "\"60\"", "a whole number");
    // A message without an answer section and opcode QUERY is all that is ever sent.
    let server = FakeDns::start(|asked| {
        let sent = &asked.message;
        assert!(sent.answers.is_empty() && sent.authorities.is_empty());
        assert_eq!(sent.metadata.op_code, hickory_proto::op::OpCode::Query);
        assert!(!sent.metadata.recursion_desired, "an authoritative server is not asked to recurse");
        Say::Answer(asked.in_zone(NEW))
    })
    .await;
    let check = check(kind, WWW, &at(vec![server.address]));
    check_changes_nothing(check.as_ref(), async || 0).await;
    check.check(&attempt().cx).await.unwrap();
}

async fn case(end: End) -> Case {
    let bad = ("name = \"a..b\"", "\"a..b\"");
    match end {
        End::Sandbox => {
            let text = "name = \"shop.acme.example\"\nvalue = \"acme-shop.herokudns.example\"\nmax_ttl = 20";
            Case::aws(&aws(end).await, text, bad).not_so("name = \"shop.acme.example\"\nvalue = \"elsewhere.example\"")
        }
        End::Knot => {
            let world = World::start();
            let text = "name = \"www.acme.example\"\nvalue = \"192.0.2.1\"\nmax_ttl = 60\nmin_servers = 2";
            let not_so = Some("name = \"www.acme.example\"\nvalue = \"192.0.2.2\"".into());
            Case { env: world.env(), text: text.into(), not_so, mark: None, bad, keep: Box::new(world) }
        }
        End::Moto => panic!("moto answers no DNS"),
    }
}
contract!("dns.authoritative", case; sandbox: Sandbox, knot: Knot);

/// Every address of every name server that is found, IPv4 and IPv6, of a real server.
#[tokio::test]
async fn servers_are_found_at_all_their_addresses() {
    let world = World::start();
    let at = services(world.env());
    let seen = check("dns.authoritative", "name = \"shop.acme.example\"\nvalue = \"192.0.2.1\"", &at);
    let seen = seen.check(&attempt().cx).await.unwrap();
    let servers = seen.evidence["servers"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect::<Vec<_>>();
    let named = |text: &str| servers.iter().any(|server| server.contains(text));
    assert!(named("ns1.acme.example (127.0.0.2:") && named("ns2.acme.example (127.0.0.3:"), "{servers:?}");
    assert_eq!(named("ns2.acme.example ([::1]:"), has_ipv6(), "{servers:?}");
    assert_eq!(servers.len(), 2 + usize::from(has_ipv6()));
    assert_eq!(seen.evidence["serials"].as_array().unwrap().len(), servers.len(), "through the CNAME too");

    // A name server that is listed and that nobody can ask is one of "every".
    let ns = ["ns1.acme.example.", "ns2.acme.example.", "gone.acme.example."];
    world.child.set("acme.example", "acme.example", 1, "NS", &ns);
    let looking = check("dns.authoritative", "name = \"www.acme.example\"\nvalue = \"192.0.2.1\"", &at);
    let begun = std::time::Instant::now();
    // The resolver keeps the old NS set for a second.
    let failure = loop {
        match looking.check(&attempt().cx).await {
            Err(failure) => break failure,
            Ok(seen) => assert!(begun.elapsed().as_secs() < 30, "{seen:?}"),
        }
    };
    assert_eq!(failure.class, Class::NotYet);
    let said = "no data: 1 of the name servers of www.acme.example cannot be asked: gone.acme.example has no address";
    assert_eq!(failure.message, said, "{failure:?}");
}

/// Three servers of one zone, of which one has not got the newest; every type that people switch.
#[tokio::test]
async fn every_type_at_real_servers_and_a_serial_behind() {
    const LINES: &str = "@ NS ns1\n@ NS ns2\nns1 A 127.0.0.1\nns2 A 127.0.0.1\n@ MX 10 Mail\n\
        @ CAA 0 issue \"amazon.com\"\n@ TXT \"v=spf1 \" \"-all\"\nwww A 192.0.2.1\nwww A 192.0.2.2\nwww AAAA 2001:db8::1\n\
        www HTTPS 1 . alpn=h2,h3 ipv4hint=192.0.2.1\nshop CNAME www\n_sip._tcp SRV 10 5 443 www";
    let servers = [0; 3].map(|_| Knot::start(&[Zone { name: "acme.example", lines: LINES, signed: false }]));
    let addresses = servers.iter().map(|s| s.address).collect::<Vec<_>>();
    for (name, kind, values) in [
        ("www.acme.example", "A", r#"["192.0.2.2", "192.0.2.1"]"#),
        ("shop.acme.example", "A", r#"["192.0.2.2", "192.0.2.1"]"#),
        ("shop.acme.example", "CNAME", r#"["WWW.acme.example."]"#),
        ("www.acme.example", "AAAA", r#"["2001:0DB8::1"]"#),
        ("acme.example", "MX", r#"["10 mail.acme.example"]"#),
        ("acme.example", "NS", r#"["ns2.acme.example", "ns1.acme.example."]"#),
        ("acme.example", "TXT", r#"["v=spf1 -all"]"#),
        ("acme.example", "TXT", r#"["\"v=spf1 -all\""]"#),
        ("acme.example", "CAA", r#"["0 issue amazon.com"]"#),
        ("www.acme.example", "HTTPS", r#"["1 . ipv4hint=192.0.2.1 alpn=h2,h3"]"#),
        ("_sip._tcp.acme.example", "SRV", r#"["10 5 443 www.acme.example"]"#),
    ] {
        passes(addresses.clone(), &format!("name = \"{name}\"\ntype = \"{kind}\"\nvalues = {values}\nmax_ttl = 300"))
            .await;
    }
    for (name, kind, value) in [
        ("www.acme.example", "A", "192.0.2.1"),
        ("acme.example", "MX", "20 mail.acme.example"),
        ("acme.example", "TXT", "v=spf1 -ALL"),
        ("acme.example", "CAA", "128 issue amazon.com"),
        ("www.acme.example", "HTTPS", "1 . alpn=h2"),
    ] {
        fails(addresses.clone(), &format!("name = \"{name}\"\ntype = \"{kind}\"\nvalue = '{value}'")).await;
    }
    // Another record changes at one of them: the record agrees, the zone does not.
    servers[1].set("acme.example", "new.acme.example", 60, "A", &["192.0.2.9"]);
    let line = passes(addresses.clone(), "name = \"www.acme.example\"").await;
    assert!(
        line.contains(&format!("; serials differ: {} 1, {} 2, {} 1", addresses[0], addresses[1], addresses[2])),
        "{line}"
    );
    let said = fails(addresses.clone(), "name = \"www.acme.example\"\nsame_serial = true").await;
    assert!(said.contains("have different serials"), "{said}");
    // The record itself changes: one stale server of three is named.
    for server in &servers[..2] {
        server.set("acme.example", "www.acme.example", 60, "A", &["192.0.2.7"]);
    }
    let said = fails(addresses.clone(), "name = \"www.acme.example\"\nvalue = \"192.0.2.7\"").await;
    assert!(said.starts_with("1 of 3 authoritative servers disagrees"), "{said}");
    assert!(
        said.contains(&format!("{} says A 192.0.2.1, 192.0.2.2, 300 s, expected 192.0.2.7", addresses[2])),
        "{said}"
    );
}

/// Who answers what nobody can read, or in its own case, or without EDNS.
#[tokio::test]
async fn broken_and_old_servers() {
    // A name that points at itself, under the right id.
    let looping = FakeDns::start(|asked| {
        let mut bytes = asked.in_zone(NEW).to_vec().unwrap();
        let at = bytes.len() - 16;
        bytes[at..at + 2].copy_from_slice(&(0xc000 | u16::try_from(at).unwrap()).to_be_bytes());
        Say::Raw(vec![bytes])
    })
    .await;
    let said = fails(vec![looping.address], WWW).await;
    assert!(said.contains("did not answer within 3 s"), "{said}");
    // Cut in the middle, over TCP too.
    let cut = FakeDns::start(|asked| {
        let answer = asked.in_zone(NEW);
        if asked.tcp { Say::Raw(vec![answer.to_vec().unwrap()[..20].to_vec()]) } else { Say::Answer(answer) }
    })
    .await;
    let said = fails(vec![cut.address], WWW).await;
    assert!(said.contains("what it answers is no DNS message over TCP"), "{said}");
    let shouting = FakeDns::start(|asked| {
        let mut answer =
            asked.in_zone(&["WWW.Acme.Example 60 CNAME Web.ELB.Example", "web.elb.example 60 A 203.0.113.9"]);
        answer.queries[0].set_name(super::fake_dns::name("wWw.aCmE.eXaMpLe"));
        Say::Answer(answer)
    })
    .await;
    passes(vec![shouting.address], &format!("{WWW}value = \"web.elb.example\"")).await;
    let old = FakeDns::start(|asked| {
        if asked.message.edns.is_none() || asked.tcp {
            return Say::Answer(asked.in_zone(NEW));
        }
        let mut refusal = asked.code(ResponseCode::FormErr);
        refusal.queries.clear();
        Say::Answer(refusal)
    })
    .await;
    passes(vec![old.address], &format!("{WWW}value = \"203.0.113.9\"")).await;
}

/// A text of 60 kB travels by TCP and is compared to its last letter.
#[tokio::test]
async fn huge_texts_are_compared_whole() {
    fn huge(last: char) -> String {
        format!("{}{last}", "x".repeat(60_000))
    }
    let server = FakeDns::start(|asked| {
        let mut answer = asked.in_zone(&[]);
        answer.metadata.response_code = ResponseCode::NoError;
        if asked.tcp {
            let text = huge('a').into_bytes().chunks(250).map(|part| part.to_vec()).collect::<Vec<_>>();
            let text = text.iter().map(Vec::as_slice).collect::<Vec<_>>();
            let txt = hickory_proto::rr::rdata::TXT::from_bytes(text);
            let owner = super::fake_dns::name(&asked.name);
            answer.authorities.clear();
            answer.add_answer(hickory_proto::rr::Record::from_rdata(owner, 60, hickory_proto::rr::RData::TXT(txt)));
        } else {
            answer.metadata.truncation = true;
        }
        Say::Answer(answer)
    })
    .await;
    let text = |last| format!("{WWW}type = \"TXT\"\nvalue = \"{}\"", huge(last));
    let line = passes(vec![server.address], &text('a')).await;
    assert!(line.len() < 500, "{}", line.len());
    fails(vec![server.address], &text('b')).await;
}
