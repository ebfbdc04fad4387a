//! The doors to the servers: ports that are open from the world's first moment on and stay the same over restarts. Whoever
//! comes before the server is up waits at the door; where it could not be brought up, its own protocol says why.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::JoinSet,
    time::timeout,
};

use super::Server;

/// Connections at once: clients here have a handful each.
const CONNECTIONS: usize = 256;
/// A server that is not up by then will not be.
const PATIENCE: Duration = Duration::from_secs(120);
/// A client that is told why says something first; it has this long.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// PostgreSQL's code by which a client asks for TLS (its protocol, "SSLRequest").
const SSL_REQUEST: [u8; 4] = [0x04, 0xd2, 0x16, 0x2f];

/// How far a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// Being brought up.
    Coming,
    /// It answers here.
    Up(SocketAddr),
    /// It could not be brought up, or it ended.
    Down(String),
}

/// Opens a door, at the port of before where that is free.
pub(super) async fn open(before: Option<u16>) -> io::Result<TcpListener> {
    if let Some(port) = before
        && let Ok(door) = TcpListener::bind(("127.0.0.1", port)).await
    {
        return Ok(door);
    }
    TcpListener::bind("127.0.0.1:0").await
}

/// Serves until dropped, and its connections with it. Whoever comes is told by `knock`, too.
pub(super) async fn serve(door: TcpListener, server: Server, stage: watch::Receiver<Stage>, knock: Arc<Notify>) {
    let mut inside = JoinSet::new();
    loop {
        while inside.try_join_next().is_some() {}
        if inside.len() >= CONNECTIONS {
            inside.join_next().await;
        }
        match door.accept().await {
            Ok((client, _)) => {
                knock.notify_one();
                inside.spawn(pass(client, server, stage.clone()));
            }
            // Out of descriptors: those inside will give some back.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn pass(mut client: TcpStream, server: Server, mut stage: watch::Receiver<Stage>) {
    let known = async { stage.wait_for(|stage| *stage != Stage::Coming).await.map(|stage| stage.clone()) };
    let known = match timeout(PATIENCE, known).await {
        Ok(Ok(stage)) => stage,
        Ok(Err(_)) => return,
        Err(_) => Stage::Down("it was not up after two minutes".into()),
    };
    let why = match known {
        Stage::Up(address) => match TcpStream::connect(address).await {
            Ok(mut inner) => {
                let _small_answers = (client.set_nodelay(true), inner.set_nodelay(true));
                let _end = copy_bidirectional(&mut client, &mut inner).await;
                return;
            }
            Err(e) => e.to_string(),
        },
        Stage::Down(why) => why,
        Stage::Coming => return,
    };
    let why = format!("the sandbox's {} is not there: {why}", server.name());
    let _gone = timeout(FIRST_WORD, refuse(&mut client, server, &why)).await;
}

/// Says why in the server's own protocol.
async fn refuse(client: &mut TcpStream, server: Server, why: &str) -> io::Result<()> {
    let mut first = [0_u8; 8];
    client.read_exact(&mut first).await?;
    match server {
        Server::Postgres => {
            let mut length = first;
            if first[4..] == SSL_REQUEST {
                client.write_all(b"N").await?;
                client.read_exact(&mut length).await?;
            }
            let mut fields = Vec::new();
            for (code, text) in [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', "57P03"), (b'M', why)] {
                fields.push(code);
                fields.extend(text.bytes().filter(|byte| *byte != 0));
                fields.push(0);
            }
            fields.push(0);
            let size = u32::try_from(fields.len() + 4).unwrap_or(4);
            client.write_all(&[&b"E"[..], &size.to_be_bytes(), &fields].concat()).await?;
        }
        Server::Redis => client.write_all(format!("-ERR {}\r\n", why.replace(['\r', '\n'], " ")).as_bytes()).await?,
    }
    client.shutdown().await
}
