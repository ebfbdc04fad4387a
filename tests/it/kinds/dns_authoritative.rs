//! `dns.authoritative`, against servers that are stale, lame, silent, truncated or forged.

use std::{net::SocketAddr, sync::Arc};

use gonogo::{base::Class, runbook::DnsEnv, services::Services};
use hickory_proto::op::{Message, ResponseCode};

use super::{
    contract::{attempt, check, check_changes_nothing, env, points_at, services},
    fake_dns::{FakeDns, Say, zone},
};

const NEW: &[&str] = &["www.acme.example 60 A 203.0.113.9"];
const OLD: &[&str] = &["www.acme.example 60 A 192.0.2.1"];

fn at(authoritative: Vec<SocketAddr>) -> Arc<Services> {
    let mut env = env();
    env.dns = DnsEnv { authoritative, resolvers: Vec::new() };
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
    assert_eq!((one.asked(), two.asked()), (2, 2));
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
    assert!(said.starts_with("1 of 4 authoritative servers disagree"), "{said}");
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
    assert_eq!(server.asked(), 3);
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
