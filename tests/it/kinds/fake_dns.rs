//! A DNS server of the test's own: any answer, any lie, over UDP and TCP on one port.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, NS, SOA},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UdpSocket},
};

/// A question as the server sees it.
pub struct Asked {
    pub name: String,
    pub kind: RecordType,
    pub tcp: bool,
    /// From 0, over both transports.
    pub count: usize,
    pub message: Message,
}

/// What it says.
pub enum Say {
    Answer(Message),
    /// Each its own packet.
    Raw(Vec<Vec<u8>>),
    Nothing,
}

pub struct FakeDns {
    pub address: SocketAddr,
    asked: Arc<AtomicUsize>,
    tasks: tokio::task::JoinSet<()>,
}

impl FakeDns {
    pub async fn start(answer: impl Fn(&Asked) -> Say + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), answer).await
    }

    pub async fn start_at(address: SocketAddr, answer: impl Fn(&Asked) -> Say + Send + Sync + 'static) -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind(address).await.unwrap();
            // The TCP port of the same number may be taken by somebody else.
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let (answer, asked) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
        let mut tasks = tokio::task::JoinSet::new();
        let (say, count) = (answer.clone(), asked.clone());
        tasks.spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((n, peer)) = udp.recv_from(&mut buffer).await {
                for packet in react(&*say, &count, &buffer[..n], false) {
                    let _ = udp.send_to(&packet, peer).await;
                }
            }
        });
        let count = asked.clone();
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let (say, count) = (answer.clone(), count.clone());
                tokio::spawn(async move {
                    let mut question = vec![0; usize::from(stream.read_u16().await.unwrap_or(0))];
                    let _ = stream.read_exact(&mut question).await;
                    let packets = react(&*say, &count, &question, true);
                    if packets.is_empty() {
                        let _ = stream.read_u8().await;
                    }
                    for packet in packets {
                        let _ = stream.write_u16(u16::try_from(packet.len()).unwrap()).await;
                        let _ = stream.write_all(&packet).await;
                    }
                });
            }
        });
        Self { address, asked, tasks }
    }

    /// How many questions came.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Ends it; its port refuses from now on.
    pub async fn stop(mut self) -> SocketAddr {
        self.tasks.shutdown().await;
        self.address
    }
}

fn react(say: &(dyn Fn(&Asked) -> Say + Send + Sync), count: &AtomicUsize, bytes: &[u8], tcp: bool) -> Vec<Vec<u8>> {
    let Ok(message) = Message::from_vec(bytes) else { return Vec::new() };
    let Some(query) = message.queries.first() else { return Vec::new() };
    let name = query.name().to_lowercase().to_ascii().trim_end_matches('.').to_owned();
    let kind = query.query_type();
    let count = count.fetch_add(1, Ordering::SeqCst);
    match say(&Asked { name, kind, tcp, count, message }) {
        Say::Answer(answer) => vec![answer.to_vec().unwrap()],
        Say::Raw(packets) => packets,
        Say::Nothing => Vec::new(),
    }
}

impl Asked {
    /// An answer from these zone lines: `NAME TTL TYPE VALUE`, of which those at the name are picked, CNAMEs followed.
    /// A name that is nowhere is NXDOMAIN with an SOA of the last two labels, TTL 30.
    pub fn in_zone(&self, zone: &[&str]) -> Message {
        let mut answer = self.reply();
        answer.metadata.authoritative = true;
        let mut at = self.name.clone();
        let mut known = false;
        for _ in 0..20 {
            let here = zone.iter().map(|line| record(line)).filter(|r| plain(&r.name) == at).collect::<Vec<_>>();
            known |= !here.is_empty();
            answer.add_answers(here.iter().filter(|r| r.record_type() == self.kind).cloned());
            let alias = here.iter().find(|r| r.record_type() == RecordType::CNAME && self.kind != RecordType::CNAME);
            let Some(alias) = alias else { break };
            answer.add_answer(alias.clone());
            let RData::CNAME(target) = &alias.data else { unreachable!() };
            at = plain(&target.0);
        }
        if answer.answers.is_empty() {
            let labels = self.name.split('.').collect::<Vec<_>>();
            let apex = name(&labels[labels.len().saturating_sub(2)..].join("."));
            let soa = SOA::new(name("ns.invalid"), name("host.invalid"), 1, 60, 60, 3600, 30);
            answer.add_authority(Record::from_rdata(apex, 3600, RData::SOA(soa)));
            if !known {
                answer.metadata.response_code = ResponseCode::NXDomain;
            }
        }
        answer
    }

    /// An empty answer to the question.
    pub fn reply(&self) -> Message {
        let mut reply = Message::new(self.message.metadata.id, MessageType::Response, OpCode::Query);
        reply.metadata.recursion_desired = self.message.metadata.recursion_desired;
        reply.add_query(Query::query(self.message.queries[0].name().clone(), self.kind));
        reply
    }

    pub fn code(&self, code: ResponseCode) -> Message {
        let mut reply = self.reply();
        reply.metadata.response_code = code;
        reply
    }
}

pub fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

fn plain(name: &Name) -> String {
    name.to_lowercase().to_ascii().trim_end_matches('.').to_owned()
}

fn record(line: &str) -> Record {
    let words = line.split_whitespace().collect::<Vec<_>>();
    let [owner, ttl, kind, value] = words[..] else { panic!("{line}") };
    let data = match kind {
        "A" => RData::A(A(value.parse().unwrap())),
        "AAAA" => RData::AAAA(AAAA(value.parse().unwrap())),
        "CNAME" => RData::CNAME(CNAME(name(value))),
        "NS" => RData::NS(NS(name(value))),
        _ => panic!("{line}"),
    };
    Record::from_rdata(name(owner), ttl.parse().unwrap(), data)
}

/// A server that serves a zone, with authority.
pub async fn zone(lines: &'static [&'static str]) -> FakeDns {
    FakeDns::start(move |asked| Say::Answer(asked.in_zone(lines))).await
}
