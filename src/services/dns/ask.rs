//! One question to one server.
//!
//! A connected UDP socket for every question: the kernel drops what comes from elsewhere and reports
//! a closed port at once (ICMP), and every question has its own source port. An answer must carry
//! the random id and the question; anything else is ignored and counted, and the wait goes on.

use std::{io, net::SocketAddr, time::Duration};

use futures_util::future::join_all;
use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query},
    rr::{Name, RecordType},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::{Instant, timeout_at},
};

use super::{Answer, Dns};
use crate::base::{Class, Failure};

/// How long one UDP question waits. Public resolvers answer within 100 ms, a recursive look-up within 1 s.
const UDP: Duration = Duration::from_millis(1500);
/// UDP loses packets: this often is asked before a server counts as silent.
const TRIES: u32 = 2;
/// How long a TCP question may take with its connection.
const TCP: Duration = Duration::from_secs(3);
/// What fits without fragments (DNS flag day 2020).
const PAYLOAD: u16 = 1232;

/// How a question travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// UDP; TCP where the answer was truncated.
    Udp,
    /// TCP only.
    Tcp,
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
        if transport == Transport::Tcp {
            return over_tcp(server, name, kind, recurse).await;
        }
        let mut ignored = 0;
        for _ in 0..TRIES {
            match over_udp(server, name, kind, recurse, &mut ignored).await {
                Ok(Some(answer)) if answer.metadata.truncation => return over_tcp(server, name, kind, recurse).await,
                Ok(Some(answer)) => return Ok(Answer::new(server, false, &answer)),
                Ok(None) => {}
                Err(e) => return Err(silent(server, &e)),
            }
        }
        let waited = UDP.as_secs_f32() * TRIES as f32;
        let failure = Failure::new(Class::FailedNothingDone, format!("{server} did not answer within {waited:.0} s"));
        Err(if ignored == 0 {
            failure
        } else {
            failure.because(format!("{ignored} packets were ignored: wrong id, wrong question or no DNS message"))
        })
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

fn silent(server: SocketAddr, error: &io::Error) -> Failure {
    let what = match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there (connection refused)".to_owned(),
        io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        _ => error.to_string(),
    };
    Failure::new(Class::FailedNothingDone, format!("{server}: {what}"))
}

fn question(name: &Name, kind: RecordType, recurse: bool) -> io::Result<(Message, Vec<u8>)> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(|e| io::Error::other(e.to_string()))?;
    let mut message = Message::new(u16::from_be_bytes(id), MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = recurse;
    message.add_query(Query::query(name.clone(), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD).set_version(0);
    message.set_edns(edns);
    let bytes = message.to_vec().map_err(|e| io::Error::other(e.to_string()))?;
    Ok((message, bytes))
}

/// Whether a message answers a question: the id, the direction, and name, type and class.
fn answers(bytes: &[u8], asked: &Message) -> Option<Message> {
    let message = Message::from_vec(bytes).ok()?;
    let same = message.metadata.id == asked.metadata.id
        && message.metadata.message_type == MessageType::Response
        && message.metadata.op_code == OpCode::Query
        && message.queries == asked.queries;
    same.then_some(message)
}

/// `None`: nothing fitting came in time.
async fn over_udp(
    server: SocketAddr,
    name: &Name,
    kind: RecordType,
    recurse: bool,
    ignored: &mut u32,
) -> io::Result<Option<Message>> {
    let any: SocketAddr =
        if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { (std::net::Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    let (asked, bytes) = question(name, kind, recurse)?;
    socket.send(&bytes).await?;
    let until = Instant::now() + UDP;
    let mut buffer = [0; 4096];
    loop {
        let Ok(got) = timeout_at(until, socket.recv(&mut buffer)).await else { return Ok(None) };
        match answers(&buffer[..got?], &asked) {
            Some(answer) => return Ok(Some(answer)),
            None => *ignored += 1,
        }
    }
}

async fn over_tcp(server: SocketAddr, name: &Name, kind: RecordType, recurse: bool) -> Result<Answer, Failure> {
    let exchange = async {
        let (asked, bytes) = question(name, kind, recurse)?;
        let mut stream = TcpStream::connect(server).await?;
        let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
        // One write: some servers read the length and the message at once.
        stream.write_all(&[length.to_be_bytes().as_slice(), &bytes].concat()).await?;
        let mut answer = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut answer).await?;
        answers(&answer, &asked)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is to another question"))
    };
    let result = match timeout_at(Instant::now() + TCP, exchange).await {
        Ok(result) => result,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    match result {
        Ok(message) => Ok(Answer::new(server, true, &message)),
        Err(e) => {
            let failure = silent(server, &e);
            Err(Failure { message: format!("{} over TCP", failure.message), ..failure })
        }
    }
}
