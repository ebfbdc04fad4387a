//! The way to a server: its addresses, one socket, TLS.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    time::{Instant, timeout_at},
};

use super::{
    Server,
    address::{Address, At},
};
use crate::{
    base::{Class, Failure},
    runbook::{Env, EnvKind},
    services::{http::Http, tls},
};

/// How long all of a server's addresses together may take to let us in.
const CONNECT: Duration = Duration::from_secs(5);

/// Whatever bytes travel through.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Whom a stream leads to.
#[derive(Default)]
pub(super) struct Met {
    pub address: Option<SocketAddr>,
    pub encrypted: bool,
    /// SHA-256 of a certificate that nobody verified.
    pub unverified: Option<String>,
}

/// Connects, and shakes hands where the URL says so.
pub(super) async fn open(
    env: &Env,
    http: &Http,
    address: &Address,
    server: &Server,
) -> Result<(Box<dyn Wire>, Met), Failure> {
    let place = address.shown();
    let until = Instant::now() + CONNECT;
    let (host, port, tls) = match &address.at {
        At::Tcp { host, port, tls } => (host, *port, *tls),
        At::Unix(path) => {
            let stream = timeout_at(until, UnixStream::connect(path)).await.map_err(|_| late(&place))?;
            let stream = stream.map_err(|error| unreachable(&place, &error))?;
            return Ok((Box::new(stream), Met::default()));
        }
    };
    let addresses = timeout_at(until, addresses(env, http, host, port)).await.map_err(|_| late(&place))??;
    let (stream, met) = timeout_at(until, first(&place, &addresses)).await.map_err(|_| late(&place))??;
    // Small requests that each wait for their answer.
    let _slower_without = stream.set_nodelay(true);
    if !tls {
        return Ok((Box::new(stream), Met { address: Some(met), ..Met::default() }));
    }
    let trust = tls::Trust { ca: server.ca.as_deref(), own: env.http.ca.as_deref(), verify: server.verify_certificate };
    let secured = timeout_at(Instant::now() + CONNECT, tls::secured(stream, host, &trust)).await;
    let silent = || {
        let words = format!("connected to {place}, but no TLS handshake within {} s", CONNECT.as_secs());
        // A Redis that does not speak it waits for the end of what it takes for a line.
        Failure::new(Class::FailedNothingDone, words).hint("where TLS is not spoken the url begins with redis://")
    };
    let (stream, unverified) = secured.map_err(|_| silent())?.map_err(|failure| {
        let message = format!("{place}: {}", failure.message);
        Failure { message, ..failure }
    })?;
    Ok((Box::new(stream), Met { address: Some(met), encrypted: true, unverified }))
}

/// Every address of a host; in a sandbox only those of this machine.
async fn addresses(env: &Env, http: &Http, host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    let found = if host.eq_ignore_ascii_case("localhost") {
        // RFC 6761 section 6.3: it need not be asked for.
        vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port)), SocketAddr::from((Ipv6Addr::LOCALHOST, port))]
    } else {
        http.addresses_of(host, port).await?
    };
    if env.kind == EnvKind::Sandbox
        && let Some(outside) = found.iter().find(|address| !address.ip().is_loopback())
    {
        return Err(Failure::new(Class::Refused, format!("{host} is at {}, outside this machine", outside.ip()))
            .hint("this environment stays on loopback"));
    }
    Ok(found)
}

/// The first address that lets us in.
async fn first(place: &str, addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), Failure> {
    let mut last = Failure::new(Class::FailedNothingDone, format!("{place} has no address"));
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok((stream, *address)),
            Err(error) => last = unreachable(place, &error).because(address.to_string()),
        }
    }
    Err(last)
}

fn late(place: &str) -> Failure {
    Failure::new(Class::FailedNothingDone, format!("no connection to {place} within {} s", CONNECT.as_secs()))
}

fn unreachable(place: &str, error: &io::Error) -> Failure {
    let (class, why) = match error.kind() {
        io::ErrorKind::ConnectionRefused => (Class::FailedNothingDone, "nothing listens there".to_owned()),
        io::ErrorKind::NotFound => (Class::FailedNothingDone, "there is no such socket".to_owned()),
        io::ErrorKind::PermissionDenied => (Class::Denied, "the socket may not be used".to_owned()),
        _ => (Class::FailedNothingDone, error.to_string()),
    };
    Failure::new(class, format!("no connection to {place}: {why}"))
}

/// What a connection still may bring, and whether it has ended.
#[derive(Default)]
pub(super) struct Meter {
    left: AtomicUsize,
    ended: AtomicBool,
}

impl Meter {
    /// So many bytes may come from now on.
    pub fn allow(&self, bytes: usize) {
        self.left.store(bytes, Ordering::Relaxed);
    }

    /// True where the other side has closed it, perhaps in the middle of an answer.
    pub fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

/// Ends a connection that sends more than was asked for.
pub(super) struct Metered {
    wire: Box<dyn Wire>,
    meter: Arc<Meter>,
}

impl Metered {
    /// Counts what comes by a meter that whoever asks fills up again.
    pub fn new(wire: Box<dyn Wire>, meter: Arc<Meter>) -> Self {
        Self { wire, meter }
    }
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.wire).poll_read(cx, buf);
        let came = buf.filled().len() - before;
        if came == 0 && buf.remaining() > 0 && polled.is_ready() {
            self.meter.ended.store(true, Ordering::Relaxed);
        }
        let left = self.meter.left.load(Ordering::Relaxed);
        if came > left {
            return Poll::Ready(Err(io::Error::other("the answer is longer than 64 MiB")));
        }
        self.meter.left.store(left - came, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}
