//! `dns.propagated`, against resolvers that lag, flap, clamp and fail.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use gonogo::{base::Class, runbook::DnsEnv, services::Services};
use hickory_proto::op::ResponseCode;

use super::{
    contract::{Attempt, attempt, attempt_of, check, check_changes_nothing, env, points_at, services},
    dns_world::World,
    ends::{Case, End, aws, contract},
    fake_dns::{FakeDns, Say, zone},
};
use crate::knot::{Knot, Unbound, Zone, has_ipv6, ip};

const NEW: &[&str] = &["www.acme.example 60 A 203.0.113.9"];
const OLD: &[&str] = &["www.acme.example 41 A 192.0.2.1"];
const WWW: &str = "name = \"www.acme.example\"\nvalue = \"203.0.113.9\"\n";

fn at(resolvers: &[&FakeDns]) -> Arc<Services> {
    let mut env = env();
    env.dns = DnsEnv { resolvers: resolvers.iter().map(|r| r.address).collect(), ..DnsEnv::default() };
    services(env)
}

async fn looks(resolvers: &[&FakeDns], params: &str) -> Result<String, String> {
    let seen = check("dns.propagated", params, &at(resolvers)).check(&attempt().cx).await;
    seen.map(|seen| seen.line).map_err(|failure| {
        assert_eq!(failure.class, Class::NotYet, "{failure:?}");
        [vec![failure.message], failure.causes].concat().join("\n")
    })
}

#[tokio::test]
async fn quorum_and_who_is_stuck() {
    let (one, two, stuck) = (zone(NEW).await, zone(NEW).await, zone(OLD).await);
    let line = looks(&[&one, &two], WWW).await.unwrap();
    assert_eq!(line, "2 of 2 resolvers see www.acme.example as 203.0.113.9 in 2 samples each");
    assert_eq!(one.asked(), 2);
    let all = [&one, &two, &stuck];
    let said = looks(&all, WWW).await.unwrap_err();
    let expected =
        format!("2 of 3 resolvers see www.acme.example as 203.0.113.9; {} still says A 192.0.2.1, 41 s", stuck.address);
    assert_eq!(said, expected);
    for (quorum, passes) in [("2", true), ("\"66%\"", true), ("\"67%\"", false), ("3", false), ("\"2\"", true)] {
        let seen = looks(&all, &format!("{WWW}quorum = {quorum}")).await;
        assert_eq!(seen.is_ok(), passes, "{quorum}: {seen:?}");
        if let Ok(line) = seen {
            assert!(line.contains("not yet: "), "who is stuck is told even then: {line}");
        }
    }
}

/// Thirty lines do not fit on a screen: who says the same is told together, and the few that are dead do not hide when
/// the many will have forgotten.
#[tokio::test]
async fn many_that_are_stuck_are_told_by_what_they_say() {
    let mut old = Vec::new();
    for _ in 0..6 {
        old.push(zone(OLD).await);
    }
    let (new, dead) = (zone(NEW).await, zone(NEW).await);
    let mut all = old.iter().collect::<Vec<_>>();
    all.extend([&new, &dead]);
    let services = at(&all);
    let (gone, addresses) = (dead.address, old.iter().map(|one| one.address.to_string()).collect::<Vec<_>>());
    dead.stop().await;
    let failure = check("dns.propagated", WWW, &services).check(&attempt().cx).await.unwrap_err();
    assert_eq!(
        failure.message,
        "1 of 8 resolvers see www.acme.example as 203.0.113.9; 6 say A 192.0.2.1, 1 gave no answer"
    );
    let said = [format!("1 gave no answer: {gone}"), format!("6 say A 192.0.2.1: {}", addresses.join(", "))];
    assert_eq!(failure.causes, said);
    let hint = failure.hint.unwrap();
    assert!(hint.starts_with("the last of these copies runs out in 41 s, at "), "{hint}");
    let seen = check("dns.propagated", &format!("{WWW}quorum = 1"), &services).check(&attempt().cx).await.unwrap();
    assert!(seen.line.ends_with("; not yet: 6 say A 192.0.2.1, 1 gave no answer"), "{}", seen.line);
}

#[tokio::test]
async fn flapping_and_failing_resolvers_do_not_count() {
    let flaps = FakeDns::start(|asked| Say::Answer(asked.in_zone(if asked.count % 2 == 0 { NEW } else { OLD }))).await;
    let said = looks(&[&flaps], WWW).await.unwrap_err();
    assert!(said.contains("still says A 192.0.2.1, 41 s in sample 2"), "{said}");
    let servfail = FakeDns::start(|asked| {
        Say::Answer(if asked.count == 2 { asked.code(ResponseCode::ServFail) } else { asked.in_zone(NEW) })
    })
    .await;
    let said = looks(&[&servfail], &format!("{WWW}samples = 4")).await.unwrap_err();
    assert!(said.contains("says SERVFAIL in sample 3"), "{said}");
    let closed = zone(NEW).await;
    let services = at(&[&closed]);
    closed.stop().await;
    let failure = check("dns.propagated", WWW, &services).check(&attempt().cx).await.unwrap_err();
    assert!(failure.message.contains("gave no answer") && failure.message.contains("refused"), "{failure:?}");
}

#[tokio::test]
async fn ttl_negative_and_chains() {
    let server = zone(NEW).await;
    let said = looks(&[&server], &format!("{WWW}max_ttl = 30")).await.unwrap_err();
    assert!(said.contains("A 203.0.113.9, 60 s, more than 30 s"), "{said}");
    let said = looks(&[&server], "name = \"no.acme.example\"\nvalue = \"203.0.113.9\"").await.unwrap_err();
    assert!(said.contains("NXDOMAIN for up to 30 s"), "{said}");

    const CHAIN: &[&str] = &["shop.acme.example 60 CNAME lb.elb.example", "lb.elb.example 30 A 203.0.113.9"];
    let server = zone(CHAIN).await;
    for value in ["lb.elb.example", "203.0.113.9"] {
        looks(&[&server], &format!("name = \"shop.acme.example\"\nvalue = \"{value}\"")).await.unwrap();
    }
    let said = looks(&[&server], "name = \"shop.acme.example\"\nvalue = \"old.elb.example\"").await.unwrap_err();
    assert!(said.contains("still says CNAME lb.elb.example, 60 s"), "{said}");
    // Every value, not some of them.
    let said = looks(&[&server], "name = \"shop.acme.example\"\nvalues = [\"203.0.113.9\", \"203.0.113.10\"]").await;
    assert!(said.is_err(), "{said:?}");
}

#[tokio::test]
async fn resolvers_of_its_own_and_bad_parameters() {
    let server = zone(NEW).await;
    let services = at(&[]);
    let params = format!("{WWW}resolvers = [\"{}\"]", server.address);
    let check = check("dns.propagated", &params, &services);
    check_changes_nothing(check.as_ref(), async || 0).await;
    assert_eq!(server.asked(), 4);
    let kind = "dns.propagated";
    points_at(kind, "name = \"a.b\"", &services, "", "needs `value`");
    points_at(
        kind,
        "name = \"a.b\"\nvalue = \"c.d\"\nresolvers = [\"1.1.1.1\", \"dns\"]",
        &services,
        "\"dns\"",
        "an address",
    );
    points_at(kind, "name = \"a.b\"\nvalue = \"c.d\"\nquorum = \"120%\"", &services, "\"120%\"", "`quorum`");
    points_at(kind, "name = \"a.b\"\nvalue = \"c.d\"\nquorum = 0", &services, "0", "`quorum`");
    points_at(kind, "name = \"a.b\"\nvalue = \"c.d\"\nsamples = 0", &services, "0", "`samples`");
    points_at(kind, "name = \"a.b\"\nvalue = \"c.d\"\nsample = 1", &services, "sample", "does not know");
}

async fn case(end: End) -> Case {
    let bad = ("name = \"a.b\"\nvalue = \"192.0.2.1\"\nquorum = 0", "0");
    match end {
        End::Sandbox => {
            let text = "name = \"shop.acme.example\"\nvalue = \"acme-shop.herokudns.example\"";
            Case::aws(&aws(end).await, text, bad).not_so("name = \"shop.acme.example\"\nvalue = \"elsewhere.example\"")
        }
        End::Knot => {
            let world = World::start();
            let text = "name = \"shop.acme.example\"\nvalue = \"192.0.2.1\"".into();
            let not_so = Some("name = \"www.acme.example\"\nvalue = \"192.0.2.2\"".into());
            Case { env: world.env(), text, not_so, mark: None, bad, keep: Box::new(world) }
        }
        End::Moto => panic!("moto answers no DNS"),
    }
}
contract!("dns.propagated", case; sandbox: Sandbox, knot: Knot);

fn at_addresses(resolvers: &[SocketAddr]) -> Arc<Services> {
    let mut env = env();
    env.dns = DnsEnv { resolvers: resolvers.to_vec(), ..DnsEnv::default() };
    services(env)
}

const ACME: &str = "@ NS ns1\nns1 A 127.0.0.1\nwww 3 A 192.0.2.1";

fn acme() -> Knot {
    Knot::start(&[Zone { name: "acme.example", lines: ACME, signed: false }])
}

fn lines(attempt: &Attempt) -> Vec<String> {
    attempt.seen.lines.lock().unwrap().clone()
}

/// A real cache keeps the old value for its TTL, over IPv4 and IPv6, and then has the new one.
#[tokio::test]
async fn a_real_cache_forgets_in_time() {
    let knot = acme();
    let ips = if has_ipv6() { vec![ip("127.0.0.1"), ip("::1")] } else { vec![ip("127.0.0.1")] };
    let unbound = Unbound::start(&ips, &[("acme.example", knot.address)], "");
    let services = at_addresses(&unbound.addresses);
    let old = check("dns.propagated", "name = \"www.acme.example\"\nvalue = \"192.0.2.1\"\nsamples = 1", &services);
    old.check(&attempt().cx).await.unwrap();
    knot.set("acme.example", "www.acme.example", 3, "A", &["203.0.113.9"]);
    let changed = Instant::now();
    let new = check("dns.propagated", WWW, &services);
    let attempt = attempt();
    let failure = new.check(&attempt.cx).await.unwrap_err();
    assert!(failure.message.contains("still says A 192.0.2.1, "), "{failure:?}");
    assert!(failure.hint.as_ref().unwrap().starts_with("the last of these copies runs out in "), "{failure:?}");
    attempt.cx.poll(new.every(), || new.check(&attempt.cx)).await.unwrap();
    let took = changed.elapsed().as_secs_f32();
    assert!((1.5..6.0).contains(&took), "{took}");
    let told = lines(&attempt);
    assert_eq!(told.len(), 2 * ips.len(), "each change once: {told:?}");
    assert!(told.iter().all(|line| line.contains("still says A 192.0.2.1") || line.contains("sees A 203.0.113.9")));
}

/// Served stale while the authoritative server is gone (RFC 8767), and said so (RFC 8914).
#[tokio::test]
async fn stale_answers_are_not_the_new_value() {
    let knot = Knot::start(&[Zone {
        name: "acme.example",
        lines: "@ NS ns1\nns1 A 127.0.0.1\nwww 1 A 192.0.2.1",
        signed: false,
    }]);
    let options = "  serve-expired: yes\n  serve-expired-reply-ttl: 7\n  ede-serve-expired: yes\n  serve-expired-client-timeout: 0";
    let unbound = Unbound::start(&[ip("127.0.0.1")], &[("acme.example", knot.address)], options);
    let services = at_addresses(&[unbound.address]);
    let look = async || {
        let check =
            check("dns.propagated", "name = \"www.acme.example\"\nvalue = \"192.0.2.1\"\nsamples = 1", &services);
        check.check(&attempt().cx).await
    };
    look().await.unwrap();
    drop(knot);
    let begun = Instant::now();
    let failure = loop {
        match look().await {
            Err(failure) => break failure,
            Ok(_) => assert!(begun.elapsed() < Duration::from_secs(20), "never stale"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(
        failure.message.contains("192.0.2.1, 7 s (stale answer") && failure.message.contains("this is stale"),
        "{failure:?}"
    );
}

/// A resolver that raises TTLs, and one that can reach nobody.
#[tokio::test]
async fn raised_ttls_and_servfail_of_a_real_cache() {
    let knot = acme();
    let zones = [("acme.example", knot.address)];
    let raises = Unbound::start(&[ip("127.0.0.1")], &zones, "  cache-min-ttl: 90");
    let params = "name = \"www.acme.example\"\nvalue = \"192.0.2.1\"\nsamples = 1\nmax_ttl = 3";
    let check_at = |address| check("dns.propagated", params, &at_addresses(&[address]));
    let failure = check_at(raises.address).check(&attempt().cx).await.unwrap_err();
    assert!(failure.message.contains("192.0.2.1, 90 s, more than 3 s"), "{failure:?}");
    let lost = Unbound::start(&[ip("127.0.0.1")], &zones, "");
    drop(knot);
    let check = check("dns.propagated", &format!("{params}\nanswer_within = \"20s\""), &at_addresses(&[lost.address]));
    let failure = check.check(&attempt().cx).await.unwrap_err();
    assert!(failure.message.contains("says SERVFAIL"), "{failure:?}");
    assert!(failure.hint.unwrap().contains("check with dns.delegation"));
}

/// The change at the last of four real servers is seen within two seconds, polled as a step polls.
#[tokio::test]
async fn a_change_is_seen_within_one_interval() {
    let knots = [0; 4].map(|_| acme());
    let addresses = knots.each_ref().map(|knot| knot.address);
    let new = check("dns.propagated", WWW, &at_addresses(&addresses));
    for knot in &knots[..3] {
        knot.set("acme.example", "www.acme.example", 3, "A", &["203.0.113.9"]);
    }
    let attempt = attempt();
    let cx = attempt.cx.clone();
    let polling = tokio::spawn(async move { cx.poll(new.every(), || new.check(&cx)).await.map(|_| Instant::now()) });
    let begun = Instant::now();
    while lines(&attempt).len() < 4 {
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", lines(&attempt));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    knots[3].set("acme.example", "www.acme.example", 3, "A", &["203.0.113.9"]);
    let changed = Instant::now();
    let seen = polling.await.unwrap().unwrap().duration_since(changed);
    assert!(seen < Duration::from_secs(2), "{seen:?}");
}

/// The last look before a step's deadline is cut short: what the one before it saw is what the step fails with.
#[tokio::test]
async fn a_look_that_is_cut_short_hides_nothing() {
    let server =
        FakeDns::start(|asked| if asked.count == 0 { Say::Answer(asked.in_zone(OLD)) } else { Say::Nothing }).await;
    let looking = check("dns.propagated", WWW, &at(&[&server]));
    let attempt = attempt_of(Duration::from_millis(1500), std::collections::BTreeMap::new());
    let cx = &attempt.cx;
    let failure = cx.poll(Duration::from_millis(50), || looking.check(cx)).await.unwrap_err();
    assert!(failure.message.starts_with("timed out: 0 of 1 resolvers see www.acme.example"), "{failure:?}");
    assert!(failure.message.ends_with("still says A 192.0.2.1, 41 s"), "{failure:?}");
    let attempt = attempt_of(Duration::from_millis(200), std::collections::BTreeMap::new());
    let cx = &attempt.cx;
    let failure = cx.poll(Duration::from_millis(50), || looking.check(cx)).await.unwrap_err();
    assert_eq!(failure.message, "timed out: no data: the first look was not over");
}

/// One silent resolver costs its own time, and the others are told before it is over.
#[tokio::test]
async fn a_silent_resolver_delays_nobody() {
    let (one, two) = (zone(NEW).await, zone(NEW).await);
    let silent = FakeDns::start(|_| Say::Nothing).await;
    let params = format!("{WWW}answer_within = \"1s\"");
    let check_of = |more: &str| check("dns.propagated", &format!("{params}{more}"), &at(&[&silent, &one, &two]));
    let (attempt, begun) = (attempt(), Instant::now());
    let (all, cx) = (check_of(""), attempt.cx.clone());
    let looking = tokio::spawn(async move { all.check(&cx).await });
    while lines(&attempt).len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "the view of the others took {:?}", begun.elapsed());
    assert!(attempt.seen.progress.lock().unwrap().iter().any(|(_, text)| text.starts_with("2 of 3 resolvers see")));
    let failure = looking.await.unwrap().unwrap_err();
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_millis(1900), "{took:?}");
    assert!(failure.message.contains("2 of 3 resolvers see"), "{failure:?}");
    assert!(failure.message.contains("gave no answer") && failure.message.contains("within 1 s"), "{failure:?}");
    assert!(failure.hint.unwrap().starts_with("try `dig @127.0.0.1 -p "));
    // The quorum does not need it; nor can the quorum be reached without it.
    let begun = Instant::now();
    let seen = check_of("\nquorum = 2").check(&attempt.cx).await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(600), "{:?}", begun.elapsed());
    assert!(seen.line.contains("had not answered when the others were done"), "{}", seen.line);
    let stuck = zone(OLD).await;
    let check = check("dns.propagated", &params, &at(&[&silent, &one, &stuck]));
    let begun = Instant::now();
    let failure = check.check(&attempt.cx).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_millis(600), "{:?}", begun.elapsed());
    assert!(failure.message.starts_with("1 of 3 resolvers see"), "{failure:?}");
}

/// Truncated, and nobody listens on TCP; an answer from an address that was not asked.
#[tokio::test]
async fn no_tcp_and_foreign_answers() {
    let udp = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = udp.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((n, peer)) = udp.recv_from(&mut buffer).await {
            // The question as an answer that is truncated.
            buffer[2] |= 0x82;
            udp.send_to(&buffer[..n], peer).await.unwrap();
        }
    });
    let look = async |address, more: &str| {
        let failure =
            check("dns.propagated", &format!("{WWW}{more}"), &at_addresses(&[address])).check(&attempt().cx).await;
        failure.unwrap_err()
    };
    let failure = look(address, "").await;
    assert!(failure.message.contains("connection refused) over TCP"), "{failure:?}");
    assert!(failure.hint.unwrap().contains("open TCP port"));

    let heard = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let other = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = heard.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((n, peer)) = heard.recv_from(&mut buffer).await {
            buffer[2] |= 0x80;
            let _ = other.send_to(&buffer[..n], peer).await;
        }
    });
    let failure = look(address, "answer_within = \"300ms\"").await;
    assert!(failure.message.contains("did not answer within 0.3 s"), "{failure:?}");
}

/// What several looks together show: a value that outlives its TTL, though it counts down each time.
#[tokio::test]
async fn growing_ttls_are_told() {
    let grows = FakeDns::start(|asked| {
        let ttl = if asked.count == 0 { 2 } else { 60 };
        Say::Answer(asked.in_zone(&[&format!("www.acme.example {ttl} A 192.0.2.1")]))
    })
    .await;
    let check = check("dns.propagated", WWW, &at(&[&grows]));
    let attempt = attempt_of(Duration::from_secs(20), BTreeMap::new());
    let first = check.check(&attempt.cx).await.unwrap_err();
    assert!(!first.message.contains("several caches"), "{first:?}");
    let second = check.check(&attempt.cx).await.unwrap_err();
    assert!(second.message.contains("its TTL should be ") && second.message.contains("several caches"), "{second:?}");
}
