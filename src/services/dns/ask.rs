//! One question to one server.
//!
//! A connected UDP socket for every server that is asked: the kernel drops what comes from elsewhere and
//! reports a closed port at once (ICMP), and every look has its own source port. Lost packets are sent again;
//! a truncated answer is asked for again over TCP. All of it together is over within the time given.

use std::{io, net::SocketAddr, time::Duration};

use futures_util::future::join_all;
use hickory_proto::rr::{Name, RecordType};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::{Instant, timeout_at},
};

use super::{
    Answer, Dns,
    query::{Packet, Query},
};
use crate::base::{Class, Failure};

/// How long a server may take. Public resolvers answer within 100 ms, a recursive look-up within 1 s.
pub const WITHIN: Duration = Duration::from_secs(3);
/// UDP loses packets: a question without an answer is sent again after this.
const AGAIN: Duration = Duration::from_secs(1);
/// More than any answer over UDP that we say we take.
const BUFFER: usize = 4096;

/// How a question travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// UDP; TCP where the answer was truncated.
    Udp,
    /// TCP only.
    Tcp,
}

/// A server and the socket it is asked from.
pub struct Peer {
    server: SocketAddr,
    socket: Option<UdpSocket>,
    within: Duration,
}

/// What came for one of the questions.
enum Heard {
    Nothing,
    Truncated,
    Answer(Box<Answer>),
}

/// Packets that were no answer.
#[derive(Debug, Default)]
struct Ignored {
    foreign: u32,
    garbled: u32,
}

impl Dns {
    /// Asks one server. `recurse` is what a resolver is asked with, and an authoritative server is not.
    ///
    /// # Errors
    /// `FailedNothingDone`: no answer, and why.
    pub async fn ask(
        &self,
        server: SocketAddr,
        name: &Name,
        kind: RecordType,
        transport: Transport,
        recurse: bool,
    ) -> Result<Answer, Failure> {
        let query = Query::new(name, kind, recurse).map_err(|e| failed(server, &e))?;
        self.put(server, &query, transport).await
    }

    /// Puts a question to one server.
    ///
    /// # Errors
    /// As [`Dns::ask`].
    pub async fn put(&self, server: SocketAddr, query: &Query, transport: Transport) -> Result<Answer, Failure> {
        Peer::new(server, WITHIN).ask(query, transport).await
    }

    /// Asks many servers at once; the answers in the order of the servers.
    pub async fn ask_all(
        &self,
        servers: &[SocketAddr],
        name: &Name,
        kind: RecordType,
        transport: Transport,
        recurse: bool,
    ) -> Vec<Result<Answer, Failure>> {
        join_all(servers.iter().map(|&server| self.ask(server, name, kind, transport, recurse))).await
    }
}

impl Peer {
    /// A server that may take so long for each question; nothing is sent yet.
    #[must_use]
    pub fn new(server: SocketAddr, within: Duration) -> Self {
        Self { server, socket: None, within }
    }

    /// Puts a question.
    ///
    /// # Errors
    /// `FailedNothingDone`: no answer within the time, or why there can be none.
    pub async fn ask(&mut self, query: &Query, transport: Transport) -> Result<Answer, Failure> {
        let (mut answers, failure) = self.burst(query, 1, transport).await;
        match (answers.pop(), failure) {
            (Some(answer), _) => Ok(answer),
            (None, Some(failure)) => Err(failure),
            // One question has an answer or a failure.
            (None, None) => Err(Failure::new(Class::FailedNothingDone, format!("{} did not answer", self.server))),
        }
    }

    /// Puts the same question so often, all at once over UDP, and waits for all answers. They come in the order of
    /// the questions, up to the first one without an answer, whose failure is told (`FailedNothingDone`).
    pub async fn burst(&mut self, query: &Query, times: usize, transport: Transport) -> (Vec<Answer>, Option<Failure>) {
        let until = Instant::now() + self.within;
        let mut ignored = Ignored::default();
        let mut heard = Vec::new();
        heard.resize_with(times, || Heard::Nothing);
        let udp = match transport {
            Transport::Udp => self.over_udp(query, &mut heard, until, &mut ignored).await,
            Transport::Tcp => Ok(()),
        };
        let mut answers = Vec::with_capacity(times);
        for one in heard {
            let truncated = matches!(one, Heard::Truncated);
            let error = match one {
                Heard::Answer(answer) => {
                    answers.push(*answer);
                    continue;
                }
                Heard::Nothing if transport == Transport::Udp => match &udp {
                    Err(e) => io::Error::new(e.kind(), e.to_string()),
                    Ok(()) => io::ErrorKind::TimedOut.into(),
                },
                Heard::Nothing | Heard::Truncated => match over_tcp(self.server, query, until).await {
                    Ok(answer) => {
                        answers.push(answer);
                        continue;
                    }
                    Err(e) => e,
                },
            };
            // What was left on the socket belongs to nobody.
            self.socket = None;
            let tcp = transport == Transport::Tcp || truncated;
            let failure = self.failure(query, &error, tcp, truncated, &ignored);
            return (answers, Some(failure));
        }
        (answers, None)
    }

    fn failure(&self, query: &Query, error: &io::Error, tcp: bool, truncated: bool, ignored: &Ignored) -> Failure {
        let server = self.server;
        let mut failure = if error.kind() == io::ErrorKind::TimedOut {
            let waited = format!("{:.1}", self.within.as_secs_f32());
            let waited = waited.trim_end_matches('0').trim_end_matches('.');
            let what = format!("{server} did not answer within {waited} s");
            Failure::new(Class::FailedNothingDone, what).hint(format!(
                "try `{}`: a firewall may drop port {}",
                query.dig(server, tcp),
                server.port()
            ))
        } else {
            failed(server, error)
        };
        if tcp {
            failure.message += " over TCP";
        }
        if truncated {
            failure = failure
                .because("its answer over UDP is truncated, so resolvers need TCP to it (RFC 7766)")
                .hint(format!("open TCP port {} at {}, or make the answer smaller", server.port(), server.ip()));
        }
        if ignored.garbled > 0 {
            let n = ignored.garbled;
            failure =
                failure.because(format!("{n} packets with the right id are no DNS message: the server is broken"));
        }
        if ignored.foreign > 0 {
            let n = ignored.foreign;
            failure = failure.because(format!("{n} packets were ignored: wrong id, wrong question or no DNS message"));
        }
        failure
    }

    /// Sends the question once for every place in `heard`, again where no answer comes, until all have one.
    async fn over_udp(
        &mut self,
        query: &Query,
        heard: &mut [Heard],
        until: Instant,
        ignored: &mut Ignored,
    ) -> io::Result<()> {
        let server = self.server;
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => none.insert(connected(server).await?),
        };
        let mut buffer = [0; BUFFER];
        let mut edns = true;
        let mut ids = ids(heard.len())?;
        let mut open = heard.len();
        while open > 0 {
            for (id, _) in ids.iter().zip(&*heard).filter(|(_, heard)| matches!(heard, Heard::Nothing)) {
                socket.send(&query.bytes(*id, edns, 0)).await?;
            }
            let again = (Instant::now() + AGAIN).min(until);
            while open > 0 {
                let got = match socket.try_recv(&mut buffer) {
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                        let Ok(got) = timeout_at(again, socket.recv(&mut buffer)).await else { break };
                        got?
                    }
                    other => other?,
                };
                let packet = &buffer[..got];
                let id = packet.first_chunk::<2>().map(|id| u16::from_be_bytes(*id));
                let Some(at) = ids.iter().position(|one| Some(*one) == id) else {
                    ignored.foreign += 1;
                    continue;
                };
                match query.read(packet, ids[at], edns) {
                    Packet::Answer(message) if matches!(heard[at], Heard::Nothing) => {
                        heard[at] = if message.metadata.truncation {
                            Heard::Truncated
                        } else {
                            Heard::Answer(Box::new(Answer::new(server, false, &message)))
                        };
                        open -= 1;
                    }
                    // Sent again, and answered twice.
                    Packet::Answer(_) => {}
                    Packet::NoEdns => {
                        (edns, ids) = (false, self::ids(heard.len())?);
                        break;
                    }
                    Packet::Garbled => ignored.garbled += 1,
                    Packet::Foreign => ignored.foreign += 1,
                }
            }
            if open > 0 && Instant::now() >= until {
                break;
            }
        }
        Ok(())
    }
}

/// A UDP socket that hears this server only.
///
/// # Errors
/// No route to it, or no socket.
pub(super) async fn connected(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr =
        if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { (std::net::Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    Ok(socket)
}

/// So many random ids, no two the same.
fn ids(many: usize) -> io::Result<Vec<u16>> {
    let mut ids = Vec::with_capacity(many);
    while ids.len() < many {
        let mut bytes = vec![0; 2 * (many - ids.len())];
        getrandom::fill(&mut bytes).map_err(|e| io::Error::other(e.to_string()))?;
        for id in bytes.chunks_exact(2).map(|id| u16::from_be_bytes([id[0], id[1]])) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
    }
    Ok(ids)
}

fn failed(server: SocketAddr, error: &io::Error) -> Failure {
    let (ip, port) = (server.ip(), server.port());
    let (what, hint) = match error.kind() {
        io::ErrorKind::ConnectionRefused => (
            "nothing listens there (connection refused)".to_owned(),
            Some(format!("is {ip} the right address, and does the name server run on port {port}?")),
        ),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            ("it closed the connection without an answer".to_owned(), None)
        }
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            (error.to_string(), Some(format!("this machine has no route to {ip}")))
        }
        _ => (error.to_string(), None),
    };
    let failure = Failure::new(Class::FailedNothingDone, format!("{server}: {what}"));
    hint.into_iter().fold(failure, Failure::hint)
}

async fn over_tcp(server: SocketAddr, query: &Query, until: Instant) -> io::Result<Answer> {
    let exchange = async {
        let id = ids(1)?.first().copied().unwrap_or_default();
        let mut bytes = query.bytes(id, true, 2);
        let length = u16::try_from(bytes.len() - 2).map_err(io::Error::other)?;
        bytes[..2].copy_from_slice(&length.to_be_bytes());
        let mut stream = TcpStream::connect(server).await?;
        // One write: some servers read the length and the message at once.
        stream.write_all(&bytes).await?;
        let mut answer = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut answer).await?;
        match query.read(&answer, id, false) {
            Packet::Answer(message) => Ok(Answer::new(server, true, &message)),
            Packet::Garbled => Err(io::Error::new(io::ErrorKind::InvalidData, "what it answers is no DNS message")),
            Packet::Foreign | Packet::NoEdns => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is to another question"))
            }
        }
    };
    match timeout_at(until, exchange).await {
        Ok(result) => result,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
