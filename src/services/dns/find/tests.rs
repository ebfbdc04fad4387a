//! A small internet on loopback: one resolver, two zones, servers at addresses of their own on one port.

use std::{collections::BTreeMap, sync::Arc};

use hickory_proto::{
    op::{Message, MessageType, OpCode},
    rr::{
        RData, Record,
        rdata::{A, CNAME, NS},
    },
};

use tokio::net::UdpSocket;

use super::*;
use crate::{
    runbook::{DnsEnv, Env, EnvKind, HttpEnv, SandboxEnv},
    services::dns::name,
};

const ZONE: [(&str, &str, &str); 8] = [
    ("acme.example", "NS", "ns1.acme.example"),
    ("acme.example", "NS", "ns2.acme.example"),
    ("ns1.acme.example", "A", "127.0.0.1"),
    ("ns2.acme.example", "A", "127.0.0.2"),
    ("shop.eu.acme.example", "CNAME", "lb.elb.test"),
    ("elb.test", "NS", "ns.elb.test"),
    ("ns.elb.test", "A", "127.0.0.3"),
    ("lb.elb.test", "A", "203.0.113.9"),
];

/// Serves what `mine` picks of the zone.
async fn serve(socket: UdpSocket, aa: bool, mine: impl Fn(&str) -> bool) {
    let mut buffer = [0; 2048];
    while let Ok((n, peer)) = socket.recv_from(&mut buffer).await {
        let asked = Message::from_vec(&buffer[..n]).unwrap();
        let query = asked.queries[0].clone();
        let mut answer = Message::new(asked.metadata.id, MessageType::Response, OpCode::Query);
        answer.metadata.authoritative = aa;
        answer.add_query(query.clone());
        if !mine(&shown(query.name())) {
            answer.metadata.response_code = ResponseCode::Refused;
        }
        for (owner, kind, value) in ZONE.iter().filter(|(owner, ..)| *owner == shown(query.name()) && mine(owner)) {
            let data = match *kind {
                "NS" => RData::NS(NS(name(value).unwrap())),
                "CNAME" => RData::CNAME(CNAME(name(value).unwrap())),
                _ => RData::A(A(value.parse().unwrap())),
            };
            if *kind == "CNAME" || data.record_type() == query.query_type() {
                answer.add_answer(Record::from_rdata(name(owner).unwrap(), 60, data));
            }
        }
        socket.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
    }
}

async fn world() -> Dns {
    let resolver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let resolvers = vec![resolver.local_addr().unwrap()];
    tokio::spawn(serve(resolver, false, |_| true));
    let first = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = first.local_addr().unwrap().port();
    tokio::spawn(serve(first, true, |name| name.ends_with("acme.example")));
    for (ip, zone) in [("127.0.0.2", "acme.example"), ("127.0.0.3", "elb.test")] {
        let socket = UdpSocket::bind((ip, port)).await.unwrap();
        tokio::spawn(serve(socket, true, move |name| name.ends_with(zone)));
    }
    let env = Env {
        name: "test".parse().unwrap(),
        span: 0..0,
        kind: EnvKind::Rehearsal,
        confirm: "test".into(),
        aws: None,
        heroku: None,
        databases: std::collections::BTreeMap::new(),
        dns: DnsEnv { resolvers, port: Some(port), ..DnsEnv::default() },
        http: HttpEnv::default(),
        sandbox: SandboxEnv::default(),
        vars: BTreeMap::new(),
    };
    Dns { env: Arc::new(env) }
}

#[cfg(target_os = "linux")] // others have only 127.0.0.1
#[tokio::test]
async fn the_zone_is_found_upwards_and_the_chain_across_zones() {
    let dns = world().await;
    let servers = dns.authoritative(&name("shop.eu.acme.example").unwrap()).await.unwrap();
    let names = servers.iter().map(|s| (s.name.as_str(), s.address.ip().to_string())).collect::<Vec<_>>();
    assert_eq!(names, [("ns1.acme.example", "127.0.0.1".into()), ("ns2.acme.example", "127.0.0.2".into())]);
    let failure = dns.authoritative(&name("no.such.zone").unwrap()).await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet);

    let chain = dns.chain(&name("shop.eu.acme.example").unwrap(), RecordType::CNAME).await.unwrap();
    assert!(chain.open.is_none());
    let chain = chain.links;
    let links = chain.iter().map(|link| (shown(&link.name), link.servers.len())).collect::<Vec<_>>();
    assert_eq!(links, [("shop.eu.acme.example".into(), 2), ("lb.elb.test".into(), 1)]);
    assert!(chain.iter().all(|link| link.servers.iter().all(|(_, answer)| answer.as_ref().is_ok_and(|a| a.aa))));
    assert_eq!(chain[1].ttls(RecordType::A).collect::<Vec<_>>(), [60]);
}
