//! `dns.propagated`, against resolvers that lag, flap, clamp and fail.

use std::sync::Arc;

use gonogo::{base::Class, runbook::DnsEnv, services::Services};
use hickory_proto::op::ResponseCode;

use super::{
    contract::{attempt, check, check_changes_nothing, env, points_at, services},
    fake_dns::{FakeDns, Say, zone},
};

const NEW: &[&str] = &["www.acme.example 60 A 203.0.113.9"];
const OLD: &[&str] = &["www.acme.example 41 A 192.0.2.1"];
const WWW: &str = "name = \"www.acme.example\"\nvalue = \"203.0.113.9\"\n";

fn at(resolvers: &[&FakeDns]) -> Arc<Services> {
    let mut env = env();
    env.dns = DnsEnv { resolvers: resolvers.iter().map(|r| r.address).collect(), authoritative: Vec::new() };
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
