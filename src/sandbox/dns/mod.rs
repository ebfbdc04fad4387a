//! DNS on loopback sockets, UDP and TCP: one authoritative server, one of the zone above, and two caching resolvers, on
//! `hickory-proto` alone.

mod authority;
mod parent;
mod resolver;

use std::{io, net::SocketAddr, time::Duration};

use hickory_proto::{
    op::{Edns, Message, OpCode, ResponseCode},
    rr::{Name, RData, RecordType},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
    time::timeout,
};

use super::{
    keeper::Handle,
    world::{Moment, World},
};
pub(super) use authority::Origins;
use authority::{Step, same_zone, step};
use parent::Said;
pub(super) use resolver::Cache;
use resolver::{Answer, resolve};

/// The largest UDP answer to a client that does not say what it takes (RFC 1035).
const PLAIN_UDP: u16 = 512;
/// The largest one to a client that says it takes more.
const LARGE_UDP: u16 = 1232;
/// A TCP client that is silent for so long has gone.
const TCP_IDLE: Duration = Duration::from_secs(5);
/// TCP connections at once.
const CONNECTIONS: usize = 64;
/// Ports tried until one is free for both UDP and TCP.
const PORTS: usize = 32;
/// CNAMEs followed within a zone.
const CHAIN: usize = 8;

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The zone's own server.
    Authority,
    /// The server of the zone above, which delegates.
    Parent,
    /// One of the two resolvers: 0 or 1.
    Resolver(usize),
}

/// A UDP and a TCP socket on one port.
pub(super) async fn bind() -> io::Result<(SocketAddr, UdpSocket, TcpListener)> {
    let mut last = io::Error::other("no port was tried");
    for _ in 0..PORTS {
        let tcp = TcpListener::bind("127.0.0.1:0").await?;
        let address = tcp.local_addr()?;
        match UdpSocket::bind(address).await {
            Ok(udp) => return Ok((address, udp, tcp)),
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// Serves UDP until dropped.
pub(super) async fn serve_udp(world: Handle, socket: UdpSocket, role: Role, origins: Origins) {
    let mut buffer = vec![0; 4096];
    loop {
        let Ok((len, peer)) = socket.recv_from(&mut buffer).await else {
            // An ICMP error of an earlier answer: that client has gone.
            continue;
        };
        if let Some(answer) = answer(&world, &buffer[..len], role, origins, true).await {
            let _ = socket.send_to(&answer, peer).await;
        }
    }
}

/// Serves TCP until dropped.
pub(super) async fn serve_tcp(world: Handle, listener: TcpListener, role: Role, origins: Origins) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => drop(connections.spawn(converse(world.clone(), stream, role, origins))),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn converse(world: Handle, mut stream: TcpStream, role: Role, origins: Origins) -> Option<()> {
    loop {
        let len = timeout(TCP_IDLE, stream.read_u16()).await.ok()?.ok()?;
        let mut query = vec![0; usize::from(len)];
        timeout(TCP_IDLE, stream.read_exact(&mut query)).await.ok()?.ok()?;
        let reply = answer(&world, &query, role, origins, false).await?;
        let mut framed = u16::try_from(reply.len()).ok()?.to_be_bytes().to_vec();
        framed.extend(reply);
        stream.write_all(&framed).await.ok()?;
    }
}

/// The answer to one message; `None` where there is nothing to answer to.
async fn answer(world: &Handle, query: &[u8], role: Role, origins: Origins, udp: bool) -> Option<Vec<u8>> {
    let Ok(asked) = Message::from_vec(query) else {
        let id = u16::from_be_bytes(query.get(..2)?.try_into().ok()?);
        return Message::error_msg(id, OpCode::Query, ResponseCode::FormErr).to_vec().ok();
    };
    if asked.metadata.message_type == hickory_proto::op::MessageType::Response {
        return None;
    }
    let mut reply = Message::response(asked.metadata.id, asked.metadata.op_code);
    reply.metadata.recursion_desired = asked.metadata.recursion_desired;
    reply.metadata.recursion_available = matches!(role, Role::Resolver(_));
    reply.add_queries(asked.queries.iter().cloned());
    let limit = asked.edns.as_ref().map_or(PLAIN_UDP, |edns| edns.max_payload().clamp(PLAIN_UDP, LARGE_UDP));
    if asked.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(LARGE_UDP);
        reply.set_edns(edns);
    }
    match (asked.metadata.op_code, asked.queries.as_slice()) {
        (OpCode::Query, [question]) => {
            let (name, rtype) = (question.name().clone(), question.query_type());
            let found = world.with(move |world, now| ask(world, role, origins, &name, rtype, now)).await.ok()?;
            reply.metadata.response_code = found.code;
            // A referral has no authority: it says who has.
            let refers = found.authority.iter().any(|record| record.record_type() == RecordType::NS);
            let own = !matches!(role, Role::Resolver(_)) && !refers;
            reply.metadata.authoritative = own && found.code != ResponseCode::Refused;
            reply.add_answers(found.answers);
            reply.add_authorities(found.authority);
            reply.add_additionals(found.additional);
        }
        (OpCode::Query, _) => reply.metadata.response_code = ResponseCode::FormErr,
        _ => reply.metadata.response_code = ResponseCode::NotImp,
    }
    let bytes = reply.to_vec().ok()?;
    if udp && bytes.len() > usize::from(limit) { reply.truncate().to_vec().ok() } else { Some(bytes) }
}

fn ask(world: &mut World, role: Role, origins: Origins, name: &Name, rtype: RecordType, now: Moment) -> Answer {
    match role {
        Role::Authority => authoritative(world, name, |world, at| step(world, origins, at, rtype)),
        Role::Parent => match parent::answer(world, name, rtype) {
            Said::Referral(authority, additional) => {
                Answer { authority, additional, ..Answer::new(ResponseCode::NoError) }
            }
            Said::Own(own) => authoritative(world, name, |_, _| Step::clone(&own)),
        },
        Role::Resolver(1) if world.strikes("dns.servfail") => Answer::new(ResponseCode::ServFail),
        Role::Resolver(which) => resolve(world, which, origins, name, rtype, now),
    }
}

fn authoritative(world: &mut World, name: &Name, step: impl Fn(&mut World, &Name) -> Step) -> Answer {
    let mut answer = Answer::new(ResponseCode::NoError);
    let mut at = name.clone();
    for _ in 0..CHAIN {
        match step(world, &at) {
            Step::Found(records) => answer.answers.extend(records),
            Step::Alias(record, to) => {
                answer.answers.push(record);
                // What another zone says of the name is for the resolver to ask, as with Route 53.
                if same_zone(world, &at, &to) {
                    at = to;
                    continue;
                }
            }
            Step::NoData(soa) => answer.authority.push(soa),
            Step::NoName(soa) => {
                answer.code = ResponseCode::NXDomain;
                answer.authority.push(soa);
            }
            Step::NotOurs if answer.answers.is_empty() => answer.code = ResponseCode::Refused,
            Step::NotOurs => {}
        }
        break;
    }
    answer
}

/// The address that a visitor gets from one of the resolvers, without using up a fault.
pub(super) fn visit(world: &mut World, which: usize, origins: Origins, now: Moment) -> Option<std::net::IpAddr> {
    let name = Name::from_ascii(format!("{}.", world.names.host)).ok()?;
    [RecordType::A, RecordType::AAAA].into_iter().find_map(|rtype| {
        let found = resolve(world, which, origins, &name, rtype, now).answers;
        found.into_iter().find_map(|record| match record.data {
            RData::A(address) => Some(address.0.into()),
            RData::AAAA(address) => Some(address.0.into()),
            _ => None,
        })
    })
}
