//! One connection: TCP to the first address that answers, then TLS, then HTTP's own beginning.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{CONNECT, Dial, Speaks, io_reason, reason, upload::Upload};

/// Wait before the next address is tried beside the one before (RFC 8305, section 5).
const NEXT: Duration = Duration::from_millis(250);
/// How long one who is awake looks for an answer before sleeping: about what it costs to wake an idle processor twice.
const AWAKE: Duration = Duration::from_micros(100);
/// Headers of one answer; some proxies and CSPs need more than the hundred that hyper allows by itself.
pub(super) const HEADERS: usize = 256;

/// Who is asked over a connection.
pub(super) enum Sender {
    One(http1::SendRequest<Upload>),
    Two(http2::SendRequest<Upload>),
}

/// A connection. Dropping it closes the socket.
pub(super) struct Connection {
    pub sender: Sender,
    pub carrier: Carrier,
    pub address: SocketAddr,
    /// The other side has not taken all that was written.
    pub behind: Arc<AtomicBool>,
}

/// Who moves a connection's bytes.
pub(super) enum Carrier {
    /// HTTP/1.1: whoever waits for the answer, since nothing comes unasked. A task of its own would cost as much as the
    /// request. Nobody, once the connection has ended.
    Waiting { connection: Option<Box<http1::Connection<TokioIo<Stream>, Upload>>>, awake: bool },
    /// HTTP/2: a task, since the server speaks when it likes.
    Task(tokio::task::JoinHandle<()>),
}

impl Carrier {
    /// Waits for something that the connection brings.
    pub async fn bring<T>(&mut self, awaited: impl Future<Output = T>) -> T {
        let Self::Waiting { connection, awake } = self else { return awaited.await };
        let mut awaited = std::pin::pin!(awaited);
        let mut bring = |cx: &mut Context<'_>| {
            if let Poll::Ready(brought) = awaited.as_mut().poll(cx) {
                return Poll::Ready(brought);
            }
            if let Some(open) = connection
                && Pin::new(&mut **open).poll(cx).is_ready()
            {
                *connection = None;
            }
            awaited.as_mut().poll(cx)
        };
        let begun = Instant::now();
        while *awake && begun.elapsed() < AWAKE {
            if let Poll::Ready(brought) = std::future::poll_fn(|cx| Poll::Ready(bring(cx))).await {
                return brought;
            }
            tokio::task::yield_now().await;
        }
        std::future::poll_fn(bring).await
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        if let Self::Task(task) = self {
            task.abort();
        }
    }
}

/// Connects, within [`CONNECT`] in all. No byte of a request is sent.
pub(super) async fn connect(
    addresses: &[SocketAddr],
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    dial: &Dial,
) -> Result<Connection, String> {
    let speaks = dial.speaks;
    let whole = async {
        let (stream, address) = first(addresses).await?;
        let _best_effort = stream.set_nodelay(true);
        let stream = match tls {
            Some((config, name)) => {
                let shaken =
                    TlsConnector::from(config).connect(name, stream).await.map_err(|e| handshake(&e, speaks))?;
                Way::Tls(Box::new(shaken))
            }
            None => Way::Plain(stream),
        };
        let two = match &stream {
            Way::Tls(tls) => match (tls.get_ref().1.alpn_protocol() == Some(b"h2"), speaks) {
                (false, Speaks::Two) => return Err("the server does not speak HTTP/2".to_owned()),
                (two, _) => two,
            },
            Way::Plain(_) => speaks == Speaks::Two,
        };
        begin(stream, address, two, dial.awake).await
    };
    tokio::time::timeout(CONNECT, whole)
        .await
        .unwrap_or_else(|_| Err(format!("no connection within {} s", CONNECT.as_secs())))
}

async fn begin(way: Way, address: SocketAddr, two: bool, awake: bool) -> Result<Connection, String> {
    let behind = Arc::new(AtomicBool::new(false));
    let io = TokioIo::new(Stream { way, behind: behind.clone() });
    let (sender, carrier) = if two {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        let (sender, connection) = builder.timer(TokioTimer::new()).handshake(io).await.map_err(|e| reason(&e))?;
        (Sender::Two(sender), Carrier::Task(tokio::spawn(async { drop(connection.await) })))
    } else {
        let (sender, connection) =
            http1::Builder::new().max_headers(HEADERS).handshake(io).await.map_err(|e| reason(&e))?;
        (Sender::One(sender), Carrier::Waiting { connection: Some(Box::new(connection)), awake })
    };
    Ok(Connection { sender, carrier, address, behind })
}

/// The first address that answers; the others are given up. One that is slow does not hold up the next.
async fn first(addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), String> {
    if let [only] = *addresses {
        return Ok((TcpStream::connect(only).await.map_err(|e| io_reason(&e))?, only));
    }
    let mut waiting = addresses.iter().copied();
    let mut under_way = FuturesUnordered::new();
    let mut refused = Vec::new();
    let one = |address: SocketAddr| async move { (TcpStream::connect(address).await, address) };
    under_way.extend(waiting.next().map(one));
    loop {
        let more = waiting.len() > 0;
        tokio::select! {
            ended = under_way.next() => match ended {
                Some((Ok(stream), address)) => return Ok((stream, address)),
                Some((Err(e), address)) => {
                    refused.push((address, io_reason(&e)));
                    under_way.extend(waiting.next().map(one));
                }
                None => break,
            },
            () = tokio::time::sleep(NEXT), if more => under_way.extend(waiting.next().map(one)),
        }
    }
    Err(match refused.as_slice() {
        [] => "there is no address".to_owned(),
        all => all.iter().map(|(address, why)| format!("{address}: {why}")).collect::<Vec<_>>().join("; "),
    })
}

fn handshake(error: &std::io::Error, speaks: Speaks) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol)) => {
            let version = if speaks == Speaks::Two { "HTTP/2" } else { "HTTP/1.1" };
            format!("the server does not speak {version}")
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            format!("the server refused the handshake: {}", alert.as_str().unwrap_or("an unknown alert"))
        }
        Some(other) => other.to_string(),
        None => format!("no TLS handshake: {}", io_reason(error)),
    }
}

/// With or without TLS.
enum Way {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A way that knows whether the other side takes what is written.
pub(super) struct Stream {
    way: Way,
    behind: Arc<AtomicBool>,
}

macro_rules! each {
    ($self:ident, $stream:ident => $call:expr) => {
        match &mut $self.way {
            Way::Plain(plain) => {
                let $stream = Pin::new(plain);
                $call
            }
            Way::Tls(tls) => {
                let $stream = Pin::new(&mut **tls);
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        each!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let written = each!(self, stream => stream.poll_write(cx, buf));
        if !matches!(written, Poll::Ready(Ok(_))) {
            self.behind.store(true, Ordering::Relaxed);
        }
        written
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let flushed = each!(self, stream => stream.poll_flush(cx));
        // Asked for once everything was written.
        self.behind.store(flushed.is_pending(), Ordering::Relaxed);
        flushed
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        each!(self, stream => stream.poll_shutdown(cx))
    }
}
