//! `dns.wait_ttl`: from when it counts, and how long.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{TimeDelta, Utc};
use gonogo::{
    base::Class,
    plan::{Finding, contract::Prior},
    runbook::DnsEnv,
    services::Services,
};
use serde_json::{Value as Json, json};

use super::{
    contract::{action, attempt, attempt_of, env, points_at, services},
    dns_world::World,
    ends::{Case, End, aws, contract},
    fake_dns::{FakeDns, Say, zone},
};
use crate::knot::{Knot, Unbound, Zone, anew, free_port, ip};

const LOWERED: &[&str] = &["www.acme.example 1 A 203.0.113.9"];

fn at(authoritative: Vec<SocketAddr>) -> Arc<Services> {
    let mut env = env();
    env.dns = DnsEnv { authoritative, ..DnsEnv::default() };
    services(env)
}

/// What `lower-ttl` left behind, INSYNC so many milliseconds ago.
fn prior(old_ttl: u64, ago: i64) -> BTreeMap<&'static str, Prior> {
    let insync = Utc::now() - TimeDelta::milliseconds(ago);
    let evidence = json!({ "old_ttl": old_ttl, "new_ttl": 1, "insync_at": insync.to_rfc3339() });
    let captured = json!({ "name": "www.acme.example.", "type": "A" });
    BTreeMap::from([("lower-ttl", Prior { captured, evidence, by_hand: None })])
}

const AFTER: &str = "after = \"lower-ttl\"";

#[tokio::test]
async fn waits_for_the_old_ttl_from_insync() {
    let server = zone(LOWERED).await;
    let wait = action("dns.wait_ttl", AFTER, &at(vec![server.address]));
    assert!(!wait.changes() && !wait.restorable());
    let attempt = attempt_of(Duration::from_secs(20), prior(3, 1000));
    let started = Instant::now();
    let done = wait.apply(&attempt.cx, &Json::Null).await.unwrap();
    let took = started.elapsed().as_secs_f32();
    assert!((1.8..8.0).contains(&took), "{took}");
    assert!(done.line.starts_with("the old TTL of 3 s of www.acme.example ran out at "), "{}", done.line);
    let lines = attempt.seen.lines.lock().unwrap().clone();
    assert!(lines[0].starts_with("safe to switch at "), "{lines:?}");
    assert!(!attempt.seen.progress.lock().unwrap().is_empty());
    // A new attempt counts from the same moment: nothing is left to wait for.
    let started = Instant::now();
    wait.apply(&attempt_of(Duration::from_secs(20), prior(3, 9000)).cx, &Json::Null).await.unwrap();
    assert!(started.elapsed().as_millis() < 500);
}

/// INSYNC, but one server still serves the old TTL: caches can pick it up until it is gone.
#[tokio::test]
async fn a_stale_server_begins_the_count_anew() {
    const STALE: &[&str] = &["www.acme.example 2 A 203.0.113.9"];
    let good = zone(LOWERED).await;
    let fixed = Arc::new(AtomicBool::new(false));
    let told = fixed.clone();
    let stale = FakeDns::start(move |asked| {
        Say::Answer(asked.in_zone(if told.load(Ordering::SeqCst) { LOWERED } else { STALE }))
    })
    .await;
    let wait = action("dns.wait_ttl", AFTER, &at(vec![good.address, stale.address]));
    let attempt = attempt_of(Duration::from_secs(20), prior(2, 60_000));
    let started = Instant::now();
    let (cx, seen) = (attempt.cx.clone(), attempt.seen.clone());
    let task = tokio::spawn(async move { wait.apply(&cx, &Json::Null).await });
    while !seen.lines.lock().unwrap().iter().any(|line| line.contains("begins anew")) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    fixed.store(true, Ordering::SeqCst);
    task.await.unwrap().unwrap();
    let took = started.elapsed().as_secs_f32();
    assert!((1.9..9.0).contains(&took), "{took}");
}

#[tokio::test]
async fn the_largest_ttl_of_the_chain_counts() {
    const CHAIN: &[&str] = &["shop.acme.example 1 CNAME lb.elb.example", "lb.elb.example 3 A 203.0.113.9"];
    let server = zone(CHAIN).await;
    let wait = action("dns.wait_ttl", "name = \"shop.acme.example\"\nttl = 1", &at(vec![server.address]));
    let attempt = attempt();
    let captured = wait.capture(&attempt.cx).await.unwrap();
    let started = Instant::now();
    let done = wait.apply(&attempt.cx, &captured).await.unwrap();
    let took = started.elapsed().as_secs_f32();
    assert!((2.8..9.0).contains(&took), "{took}");
    assert_eq!(done.evidence["old_ttl"], 3);
    // A second attempt, with a capture of its own, counts from where the first did.
    let captured = wait.capture(&attempt.cx).await.unwrap();
    let started = Instant::now();
    wait.apply(&attempt.cx, &captured).await.unwrap();
    assert!(started.elapsed().as_millis() < 500);
}

#[tokio::test]
async fn loops_and_endless_chains_are_refused() {
    const LOOP: &[&str] = &["a.acme.example 1 CNAME b.acme.example", "b.acme.example 1 CNAME a.acme.example"];
    let server = zone(LOOP).await;
    let wait = action("dns.wait_ttl", "name = \"a.acme.example\"", &at(vec![server.address]));
    let failure = wait.apply(&attempt().cx, &Json::Null).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured);
    assert!(failure.message.contains("is a loop"), "{failure:?}");
    let endless = FakeDns::start(|asked| {
        let next = format!("x{}", asked.name);
        Say::Answer(asked.in_zone(&[&format!("{} 1 CNAME {next}", asked.name)]))
    })
    .await;
    let wait = action("dns.wait_ttl", "name = \"x.example\"", &at(vec![endless.address]));
    let failure = wait.apply(&attempt().cx, &Json::Null).await.unwrap_err();
    assert!(failure.message.contains("longer than 16"), "{failure:?}");
    assert!(endless.asked() <= 17, "{}", endless.asked());
}

/// A name that does not exist yet: caches keep "there is none" for the SOA's minimum.
#[tokio::test]
async fn negative_caching_counts() {
    let server = zone(LOWERED).await;
    let wait = action("dns.wait_ttl", "name = \"new.acme.example\"", &at(vec![server.address]));
    let short = attempt_of(Duration::from_secs(5), BTreeMap::new());
    let failure = wait.apply(&short.cx, &Json::Null).await.unwrap_err();
    assert!(failure.message.contains("TTL of 30 s"), "{failure:?}");
}

#[tokio::test]
async fn what_cannot_be_waited_for() {
    let server = zone(LOWERED).await;
    let services = at(vec![server.address]);
    let wait = action("dns.wait_ttl", AFTER, &services);
    // Longer than the attempt: told at once.
    let started = Instant::now();
    let failure = wait.apply(&attempt_of(Duration::from_secs(5), prior(3600, 0)).cx, &Json::Null).await.unwrap_err();
    assert!(failure.message.contains("this attempt ends before that"), "{failure:?}");
    assert!(started.elapsed().as_secs() < 1);
    // The step left nothing behind.
    let failure = wait.apply(&attempt().cx, &Json::Null).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured);
    assert!(failure.message.contains("`lower-ttl` left no"), "{failure:?}");
    // Nobody answers: never green.
    server.stop().await;
    let failure = wait.apply(&attempt_of(Duration::from_secs(2), prior(1, 9000)).cx, &Json::Null).await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet);
    assert!(failure.message.contains("no server tells the TTL"), "{failure:?}");
    // Cancelled.
    let attempt = attempt_of(Duration::from_secs(20), prior(10, 0));
    attempt.cx.cancel.cancel();
    assert_eq!(wait.apply(&attempt.cx, &Json::Null).await.unwrap_err().class, Class::NotYet);
    assert!(matches!(wait.probe(&attempt.cx, &Json::Null, false).await, Ok(Finding::NotDone { .. })));
    points_at("dns.wait_ttl", "ttl = 5", &services, "", "needs `after` or `name`");
    points_at("dns.wait_ttl", "after = \"No Step\"", &services, "\"No Step\"", "step");
}

async fn case(end: End) -> Case {
    let bad = ("name = \"a..b\"", "\"a..b\"");
    match end {
        // The negative TTL of a name that is not there: 5 s.
        End::Sandbox => Case::aws(&aws(end).await, "name = \"new.acme.example\"", bad),
        End::Knot => {
            let world = World::start();
            world.child.set("acme.example", "www.acme.example", 2, "A", &["192.0.2.1"]);
            world.child.set("acme.example", "shop.acme.example", 1, "CNAME", &["www.acme.example."]);
            let text = "name = \"shop.acme.example\"\ntype = \"CNAME\"\nttl = 1".into();
            Case { env: world.env(), text, not_so: None, mark: None, bad, keep: Box::new(world) }
        }
        End::Moto => panic!("moto answers no DNS"),
    }
}
contract!("dns.wait_ttl", case; sandbox: Sandbox, knot: Knot);

/// Each name of the chain with its own TTL at its own servers, found by asking.
#[tokio::test]
async fn the_chain_is_walked_across_zones() {
    let world = World::start();
    let lines = "@ NS ns1.acme.example.\nlb 2 A 203.0.113.9";
    let zones = [Zone { name: "elb.test", lines, signed: false }];
    // The second is called as one of the first zone's name servers, whose address is 127.0.0.2.
    let ips = ["127.0.0.1", "127.0.0.2"].map(ip);
    let (other, lb) = anew(|| {
        let port = free_port(&ips);
        Some((Knot::start_at(&ips[..1], port, &zones)?, Knot::start_at(&ips[1..], port, &zones)?))
    });
    world.child.set("acme.example", "shop.acme.example", 1, "CNAME", &["lb.elb.test."]);
    let resolver =
        Unbound::start(&[ip("127.0.0.1")], &[("acme.example", world.child.address), ("elb.test", other.address)], "");
    // The environment names the zone's servers: the next name is theirs to refuse, and is looked up.
    let mut env = world.env();
    env.dns.authoritative = world.child.addresses[..2].to_vec();
    let alone = Arc::new(env.clone());
    env.dns.resolvers = vec![resolver.address];
    env.dns.port = Some(other.address.port());
    let wait = action("dns.wait_ttl", "name = \"shop.acme.example\"\nttl = 1", &services(env));
    let attempt = attempt();
    let captured = wait.capture(&attempt.cx).await.unwrap();
    let done = wait.apply(&attempt.cx, &captured).await.unwrap();
    assert_eq!(done.evidence["old_ttl"], 2, "{done:?}");
    let links = done.evidence["chain"].as_array().unwrap();
    assert_eq!(links.len(), 2, "{links:?}");
    assert_eq!((&links[0]["name"], &links[0]["servers"][0]["ttl"]), (&json!("shop.acme.example"), &json!(1)));
    assert_eq!((&links[1]["name"], &links[1]["servers"][0]["ttl"]), (&json!("lb.elb.test"), &json!(2)));
    let lines = attempt.seen.lines.lock().unwrap().clone();
    assert!(lines.iter().any(|l| l == "the chain: shop.acme.example 1 s, then lb.elb.test 2 s"), "{lines:?}");
    drop(lb);
    // Without resolvers the chain ends where the servers named end, and a line says so.
    let mut env = Arc::unwrap_or_clone(alone);
    env.dns.resolvers = Vec::new();
    let wait = action("dns.wait_ttl", "name = \"shop.acme.example\"\nttl = 1", &services(env));
    let attempt = self::attempt();
    let done = wait.apply(&attempt.cx, &Json::Null).await.unwrap();
    assert_eq!(done.evidence["old_ttl"], 1);
    let lines = attempt.seen.lines.lock().unwrap().clone();
    assert!(lines.iter().any(|l| l.starts_with("the chain goes on at lb.elb.test")), "{lines:?}");
}

/// The lesser of the SOA record's TTL and its minimum (RFC 2308), whichever it is.
#[tokio::test]
async fn a_no_is_kept_for_the_lesser_of_two() {
    use hickory_proto::rr::{RData, Record, rdata::SOA};
    for (ttl, minimum) in [(70, 900), (900, 70)] {
        let server = FakeDns::start(move |asked| {
            let mut answer = asked.in_zone(&[]);
            answer.authorities.clear();
            let at = super::fake_dns::name;
            let soa = SOA::new(at("ns.invalid"), at("host.invalid"), 1, 60, 60, 3600, minimum);
            answer.add_authority(Record::from_rdata(at("acme.example"), ttl, RData::SOA(soa)));
            Say::Answer(answer)
        })
        .await;
        let wait = action("dns.wait_ttl", "name = \"new.acme.example\"", &at(vec![server.address]));
        let short = attempt_of(Duration::from_secs(5), BTreeMap::new());
        let failure = wait.apply(&short.cx, &Json::Null).await.unwrap_err();
        assert!(failure.message.contains("TTL of 70 s"), "{failure:?}");
    }
}

/// A resume finds out from what is left behind whether the time is over.
#[tokio::test]
async fn a_probe_tells_over_from_not_over() {
    let server = zone(LOWERED).await;
    let wait = action("dns.wait_ttl", AFTER, &at(vec![server.address]));
    let probe =
        async |prior| wait.probe(&attempt_of(Duration::from_secs(5), prior).cx, &Json::Null, false).await.unwrap();
    assert!(matches!(probe(prior(60, 10_000)).await, Finding::NotDone { .. }));
    assert!(matches!(probe(prior(60, 61_000)).await, Finding::Done(_)));
    // The clock of INSYNC may be ahead of ours.
    assert!(matches!(probe(prior(1, -3000)).await, Finding::NotDone { .. }));
}
