//! The bytes between us and a server: a socket, perhaps TLS over it, and what the server said while it let us in.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// How much of the greeting is kept: it is a handful of short messages.
const GREETING: usize = 16 << 10;

/// Anything that bytes go through.
pub(super) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// A connection as the protocol's library is given it: TLS was spoken already where it is spoken at all.
pub(super) struct Wire {
    pub bytes: Box<dyn Bytes>,
    /// The hash that SCRAM binds to (`tls-server-end-point`, RFC 5929).
    pub binding: Option<Vec<u8>>,
    pub greeting: Greeting,
}

/// The first bytes that the server sent. The library keeps the number of the process to itself, and it tells a
/// pooler from a server.
#[derive(Clone, Default)]
pub(super) struct Greeting(Arc<Mutex<Option<Vec<u8>>>>);

impl Greeting {
    /// Begins to keep what comes.
    pub fn begun() -> Self {
        Self(Arc::new(Mutex::new(Some(Vec::new()))))
    }

    fn note(&self, fresh: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.as_mut() {
            let room = GREETING.saturating_sub(kept.len()).min(fresh.len());
            kept.extend_from_slice(&fresh[..room]);
        }
    }

    /// The process that the server named for cancelling (`BackendKeyData`); nothing is kept from here on.
    pub fn process(&self) -> Option<i32> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let mut rest = kept.as_slice();
        loop {
            let (tag, length) = (*rest.first()?, rest.get(1..5)?);
            let length = usize::try_from(u32::from_be_bytes(length.try_into().ok()?)).ok()?;
            let body = rest.get(5..length.checked_add(1)?)?;
            if tag == b'K' {
                return Some(i32::from_be_bytes(body.get(..4)?.try_into().ok()?));
            }
            rest = &rest[length + 1..];
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.bytes).poll_read(cx, buf);
        this.greeting.note(buf.filled().get(before..).unwrap_or_default());
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().bytes).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().bytes).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().bytes).poll_shutdown(cx)
    }
}

impl TlsStream for Wire {
    fn channel_binding(&self) -> ChannelBinding {
        self.binding.clone().map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

/// Hands the library the wire as it is.
pub(super) struct AsItIs;

impl TlsConnect<Wire> for AsItIs {
    type Stream = Wire;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Wire, Self::Error>>;

    fn connect(self, stream: Wire) -> Self::Future {
        std::future::ready(Ok(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_read_from_the_greeting() {
        let greeting = Greeting::begun();
        greeting.note(b"R\0\0\0\x08\0\0\0\0S\0\0\0\x06a\0");
        greeting.note(b"K\0\0\0\x0c\0\0\x30\x39\0\0\0\x01Z\0\0\0\x05I");
        assert_eq!(greeting.process(), Some(12345));
        assert_eq!(greeting.process(), None, "it is kept no longer");
        let broken = Greeting::begun();
        broken.note(b"K\xff\xff\xff\xff\0");
        assert_eq!(broken.process(), None);
    }
}
