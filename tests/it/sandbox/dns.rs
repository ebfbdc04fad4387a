//! The three DNS servers, asked by raw messages over UDP and TCP.

use std::{net::SocketAddr, time::Duration};

use gonogo::sandbox::Sandbox;
use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RData, RecordType},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::{until, world};

fn query(name: &str, rtype: RecordType) -> Message {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), rtype));
    message
}

async fn udp(server: SocketAddr, message: &[u8]) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server).await.unwrap();
    socket.send(message).await.unwrap();
    let mut buffer = [0; 4096];
    let len = timeout(Duration::from_secs(5), socket.recv(&mut buffer)).await.expect("no answer").unwrap();
    Message::from_vec(&buffer[..len]).unwrap()
}

async fn tcp(server: SocketAddr, message: &[u8]) -> Message {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_u16(u16::try_from(message.len()).unwrap()).await.unwrap();
    stream.write_all(message).await.unwrap();
    let len = stream.read_u16().await.unwrap();
    let mut answer = vec![0; usize::from(len)];
    stream.read_exact(&mut answer).await.unwrap();
    Message::from_vec(&answer).unwrap()
}

async fn ask(server: SocketAddr, name: &str, rtype: RecordType) -> Message {
    udp(server, &query(name, rtype).to_vec().unwrap()).await
}

/// `name type ttl data` of every answer.
fn answers(message: &Message) -> Vec<String> {
    message.answers.iter().map(|it| format!("{} {} {} {}", it.name, it.record_type(), it.ttl, it.data)).collect()
}

fn authority(world: &Sandbox) -> SocketAddr {
    world.endpoints().authoritative[0]
}

/// Moves the host to the new target with a TTL of 2 s, by the API.
async fn switch(world: &Sandbox, ttl: i64) {
    use aws_sdk_route53::types::{Change, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType};
    let client = aws_sdk_route53::Client::new(&super::aws(world.endpoints()).await);
    let value = ResourceRecord::builder().value("acme-web-1.eu-west-1.elb.example").build().unwrap();
    let set =
        ResourceRecordSet::builder().name("shop.acme.example").r#type(RrType::Cname).ttl(ttl).resource_records(value);
    let change =
        Change::builder().action(ChangeAction::Upsert).resource_record_set(set.build().unwrap()).build().unwrap();
    let batch = ChangeBatch::builder().changes(change).build().unwrap();
    client.change_resource_record_sets().hosted_zone_id("Z0SANDBOX").change_batch(batch).send().await.unwrap();
}

#[tokio::test]
async fn the_authority_says_yes_no_and_never() {
    let world = world(&[]).await;
    let at = authority(&world);
    let host = ask(at, "shop.acme.example.", RecordType::A).await;
    assert!(host.metadata.authoritative && !host.metadata.recursion_available);
    assert_eq!(
        answers(&host),
        ["shop.acme.example. CNAME 20 acme-shop.herokudns.example."],
        "the rest is another zone's"
    );
    let cname = ask(at, "SHOP.acme.EXAMPLE.", RecordType::CNAME).await;
    assert_eq!(cname.answers.len(), 1);
    let none = ask(at, "nowhere.acme.example.", RecordType::A).await;
    assert_eq!((none.metadata.response_code, none.answers.len()), (ResponseCode::NXDomain, 0));
    assert!(matches!(&none.authorities[0].data, RData::SOA(soa) if soa.minimum == 5));
    let other = ask(at, "acme.example.", RecordType::AAAA).await;
    assert_eq!(
        (other.metadata.response_code, other.answers.len(), other.authorities.len()),
        (ResponseCode::NoError, 0, 1)
    );
    let refused = ask(at, "example.com.", RecordType::A).await;
    assert_eq!((refused.metadata.response_code, refused.metadata.authoritative), (ResponseCode::Refused, false));
    let servers = ask(at, "acme.example.", RecordType::NS).await;
    assert_eq!(servers.answers.len(), 2);
    assert_eq!(ask(at, "acme.example.", RecordType::SOA).await.answers.len(), 1);
    let alias = ask(at, "assets.acme.example.", RecordType::A).await;
    // Where the new origin has only an IPv6 address, an alias of type A has nothing to say.
    let address = Some(world.endpoints().new_origin.ip()).filter(std::net::IpAddr::is_ipv4);
    let wanted: Vec<_> = address.iter().map(|ip| format!("assets.acme.example. A 60 {ip}")).collect();
    assert_eq!(answers(&alias), wanted);
    let private = ask(at, "db.internal.acme.example.", RecordType::A).await;
    assert_eq!(private.metadata.response_code, ResponseCode::NXDomain, "a private zone is not served");
    let target = ask(at, "acme-shop.herokudns.example.", RecordType::A).await;
    assert_eq!(answers(&target), [format!("acme-shop.herokudns.example. A 5 {}", world.endpoints().old_origin.ip())]);
}

#[tokio::test]
async fn tcp_broken_messages_and_truncation() {
    let world = world(&[]).await;
    let at = authority(&world);
    let question = query("shop.acme.example.", RecordType::CNAME).to_vec().unwrap();
    assert_eq!(answers(&tcp(at, &question).await), answers(&udp(at, &question).await));
    assert_eq!(udp(at, &question[..14]).await.metadata.response_code, ResponseCode::FormErr);
    let mut notify = query("acme.example.", RecordType::SOA);
    notify.metadata.op_code = OpCode::Notify;
    assert_eq!(udp(at, &notify.to_vec().unwrap()).await.metadata.response_code, ResponseCode::NotImp);
    // Twenty long texts do not fit 512 bytes.
    let client = aws_sdk_route53::Client::new(&super::aws(world.endpoints()).await);
    use aws_sdk_route53::types::{Change, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType};
    let values = (0..20).map(|n| ResourceRecord::builder().value(format!("\"{n:0>100}\"")).build().unwrap()).collect();
    let set = ResourceRecordSet::builder()
        .name("long.acme.example")
        .r#type(RrType::Txt)
        .ttl(60)
        .set_resource_records(Some(values));
    let change =
        Change::builder().action(ChangeAction::Create).resource_record_set(set.build().unwrap()).build().unwrap();
    let batch = ChangeBatch::builder().changes(change).build().unwrap();
    client.change_resource_record_sets().hosted_zone_id("Z0SANDBOX").change_batch(batch).send().await.unwrap();
    let served = || ask(at, "long.acme.example.", RecordType::TXT);
    let cut = until("INSYNC", served, |it| it.metadata.response_code == ResponseCode::NoError).await;
    assert!(cut.metadata.truncation && cut.answers.is_empty(), "{cut:?}");
    let mut large = query("long.acme.example.", RecordType::TXT);
    large.set_edns(Edns::new().set_max_payload(4096).clone());
    assert!(udp(at, &large.to_vec().unwrap()).await.metadata.truncation, "2 kB is over 1232 too");
    let whole = tcp(at, &query("long.acme.example.", RecordType::TXT).to_vec().unwrap()).await;
    assert_eq!((whole.answers.len(), whole.metadata.truncation), (20, false));
}

#[tokio::test]
async fn resolvers_follow_count_down_and_keep_what_they_have() {
    let world = world(&[]).await;
    let at = world.endpoints().resolvers[0];
    let first = ask(at, "shop.acme.example.", RecordType::A).await;
    assert!(first.metadata.recursion_available && !first.metadata.authoritative);
    assert_eq!(first.answers.len(), 2);
    assert_eq!(first.answers[1].data.ip_addr(), Some(world.endpoints().old_origin.ip()));
    switch(&world, 2).await;
    let pending = ask(authority(&world), "shop.acme.example.", RecordType::CNAME).await;
    assert!(answers(&pending)[0].ends_with("acme-shop.herokudns.example."), "nothing is served before INSYNC");
    let ttl = || async { ask(at, "shop.acme.example.", RecordType::CNAME).await.answers[0].ttl };
    until("the TTL counts down", ttl, |ttl| *ttl < 18).await;
    let authority = authority(&world);
    let moved = |it: &Message| answers(it)[0].ends_with("acme-web-1.eu-west-1.elb.example.");
    until("INSYNC", || ask(authority, "shop.acme.example.", RecordType::CNAME), moved).await;
    let kept = ask(at, "shop.acme.example.", RecordType::A).await;
    assert_eq!(kept.answers[1].data.ip_addr(), Some(world.endpoints().old_origin.ip()), "the old TTL has not run out");
    // A name that was not there stays away for the 5 s of the SOA.
    assert_eq!(ask(at, "late.acme.example.", RecordType::A).await.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(ask(at, "example.com.", RecordType::A).await.metadata.response_code, ResponseCode::ServFail);
}

#[tokio::test]
async fn resolvers_see_the_new_value_when_the_ttl_has_run_out() {
    let world = world(&["dns.stale:once", "dns.servfail:once"]).await;
    let resolvers = &world.endpoints().resolvers;
    switch(&world, 2).await;
    let authority = authority(&world);
    let moved = |it: &Message| it.answers.first().is_some_and(|it| it.data.to_string().starts_with("acme-web-1"));
    until("INSYNC", || ask(authority, "shop.acme.example.", RecordType::CNAME), moved).await;
    assert_eq!(ask(resolvers[1], "acme.example.", RecordType::A).await.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(ask(resolvers[1], "acme.example.", RecordType::A).await.metadata.response_code, ResponseCode::NoError);
    // Visitors have filled both caches with the old value and its 20 s at some moment; after that the lowered
    // TTL holds at the first one, and the second one makes 30 s of it.
    let ttl = |which: usize| async move {
        let said = ask(resolvers[which], "shop.acme.example.", RecordType::CNAME).await;
        (moved(&said), said.answers[0].ttl)
    };
    let start = std::time::Instant::now();
    loop {
        let (first, second) = (ttl(0).await, ttl(1).await);
        if first.0 && second.0 {
            assert!(first.1 <= 2 && second.1 > 20, "{first:?} {second:?}");
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(25), "{first:?} {second:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn the_zone_above_delegates_and_says_no_more() {
    let world = world(&[]).await;
    let (above, resolver) = (world.endpoints().parents[0], world.endpoints().resolvers[0]);
    for (name, rtype) in [("acme.example.", RecordType::NS), ("shop.acme.example.", RecordType::A)] {
        let referral = ask(above, name, rtype).await;
        assert!(!referral.metadata.authoritative && referral.answers.is_empty(), "{referral:?}");
        let names: Vec<_> = referral.authorities.iter().map(|r| format!("{} {} {}", r.name, r.ttl, r.data)).collect();
        assert_eq!(names, ["acme.example. 172800 ns-1.awsdns.example.", "acme.example. 172800 ns-2.awsdns.example."]);
    }
    let ds = ask(above, "acme.example.", RecordType::DS).await;
    assert!(ds.metadata.authoritative && ds.answers.is_empty() && ds.authorities.len() == 1, "{ds:?}");
    assert_eq!(ask(above, "other.example.", RecordType::A).await.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(ask(above, "acme.test.", RecordType::A).await.metadata.response_code, ResponseCode::Refused);
    // The resolvers know who serves it; the zone's own server does not.
    for server in [above, resolver] {
        assert_eq!(answers(&ask(server, "example.", RecordType::NS).await), ["example. NS 3600 a.nic.example."]);
        assert_eq!(ask(server, "a.nic.example.", RecordType::A).await.answers.len(), 1);
    }
    assert_eq!(ask(authority(&world), "example.", RecordType::NS).await.metadata.response_code, ResponseCode::Refused);
    let forgotten = super::world(&["dns.delegation:always"]).await;
    let referral = ask(forgotten.endpoints().parents[0], "acme.example.", RecordType::NS).await;
    assert!(referral.authorities.iter().all(|r| r.data.to_string().contains("old-provider")), "{referral:?}");
}

#[tokio::test]
async fn every_type_of_the_zone_is_served() {
    let world = world(&[]).await;
    for server in [authority(&world), world.endpoints().resolvers[0]] {
        let all = async |name: &str, rtype| {
            let answer = ask(server, name, rtype).await;
            answer.answers.iter().map(|r| r.data.to_string()).collect::<Vec<_>>()
        };
        let caa = all("acme.example.", RecordType::CAA).await;
        assert_eq!(caa, ["0 issue \"amazon.com\"", "0 iodef \"mailto:security@mail.example\""]);
        assert_eq!(all("acme.example.", RecordType::MX).await, ["10 mail.example."]);
        assert_eq!(all("acme.example.", RecordType::TXT).await.len(), 1);
        assert!(all("assets.acme.example.", RecordType::HTTPS).await[0].contains("alpn"));
        assert_eq!(all("acme.example.", RecordType::NS).await.len(), 2);
        assert_eq!(all("acme.example.", RecordType::DNSKEY).await.len(), 0, "it is not signed");
        let soa = all("acme.example.", RecordType::SOA).await;
        assert!(
            soa[0].starts_with("ns-1.awsdns.example. hostmaster.awsdns.example. ") && soa[0].ends_with(" 5"),
            "{soa:?}"
        );
    }
}
