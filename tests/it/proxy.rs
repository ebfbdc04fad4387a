//! A TCP proxy on loopback that a test makes slow, deaf or dead while connections go through it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// What it does with what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Hands it on.
    Pass,
    /// Hands each piece on so much later.
    Slow(Duration),
    /// Takes it and hands nothing on, in either direction, new connections too.
    Swallow,
    /// Takes it and hands nothing back: the server hears, and nobody hears the server.
    Deaf,
    /// Closes every connection, and each new one at once.
    Cut,
}

/// A running proxy; it ends with its value.
pub struct Proxy {
    pub address: SocketAddr,
    way: watch::Sender<Way>,
    taken: Arc<AtomicUsize>,
    bytes: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// One in front of a port of this machine.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (way, seen) = watch::channel(Way::Pass);
        let (taken, bytes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (count, sum) = (taken.clone(), bytes.clone());
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(through(client, port, seen.clone(), sum.clone()));
            }
        });
        Self { address, way, taken, bytes, task }
    }

    /// From now on.
    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// Connections taken so far.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Bytes that came from clients so far.
    pub fn heard(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn through(client: TcpStream, port: u16, mut way: watch::Receiver<Way>, bytes: Arc<AtomicUsize>) {
    let (mut cut, end) = (way.clone(), way.clone());
    let whole = async {
        // Nothing is connected to while nothing is handed on.
        let passes = |way: &Way| !matches!(way, Way::Swallow);
        way.wait_for(passes).await.ok()?;
        let server = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            () = pump(from_client, to_server, way.clone(), true, bytes) => {}
            () = pump(from_server, to_client, way.clone(), false, Arc::default()) => {}
        }
        Some(())
    };
    tokio::select! {
        _ = whole => {}
        _ = cut.wait_for(|way| *way == Way::Cut) => {}
        // The proxy is gone.
        () = closed(end) => {}
    }
}

async fn closed(mut way: watch::Receiver<Way>) {
    while way.changed().await.is_ok() {}
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut way: watch::Receiver<Way>,
    up: bool,
    bytes: Arc<AtomicUsize>,
) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(got @ 1..) = from.read(&mut buffer).await {
        bytes.fetch_add(got, Ordering::Relaxed);
        let slow = match *way.borrow() {
            Way::Slow(wait) => Some(wait),
            _ => None,
        };
        if let Some(wait) = slow {
            tokio::time::sleep(wait).await;
        }
        let stuck = |way: &Way| matches!((way, up), (Way::Swallow, _) | (Way::Deaf, false));
        if way.wait_for(|way| !stuck(way)).await.is_err() || to.write_all(&buffer[..got]).await.is_err() {
            return;
        }
    }
}
