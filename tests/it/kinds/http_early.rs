//! Answers that come before the request was sent whole: nobody may take them for more than they are.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use gonogo::base::Class;
use serde_json::Value as Json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    contract::{action, attempt, check, env, services},
    fake_tls::{Served, serve},
};

/// More than the buffers of both ends take.
const LARGE: usize = 40 << 20;

/// Answers `POST` with a status as soon as it has the head, and does not read on; anything else with 200. Counts its
/// connections.
async fn hasty(status: u16) -> (Served, Arc<AtomicUsize>) {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    let server = serve("127.0.0.1:0", move |mut stream| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            while let Some(head) = head(&mut stream).await {
                let posted = head.starts_with("POST");
                let status = if posted { status } else { 200 };
                let answer = format!("HTTP/1.1 {status} Text\r\ncontent-length: 2\r\n\r\nok");
                stream.write_all(answer.as_bytes()).await.unwrap();
                if posted {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
            }
        }
    })
    .await;
    (server, connections)
}

async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

fn large() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(LARGE as u64).unwrap();
    file
}

#[tokio::test]
async fn a_success_before_the_whole_request_is_none() {
    let (server, _) = hasty(200).await;
    let (services, file) = (services(env()), large());
    let text =
        format!("url = \"http://{}/\"\nbody_file = '{}'\ntimeout = \"20s\"", server.address, file.path().display());
    let failure = action("http.send", &text, &services).apply(&attempt().cx, &Json::Null).await.unwrap_err();
    assert_eq!(failure.class, Class::Unknown, "{failure:?}");
    assert!(failure.message.contains("answered before the request was sent whole"), "{failure:?}");
    let text = format!("{text}\nmethod = \"POST\"");
    let failure = check("http.check", &text, &services).check(&attempt().cx).await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet, "{failure:?}");
    assert!(failure.message.contains("answered before the request was sent whole"), "{failure:?}");
    // What is small was on its way whole.
    let text = format!("url = \"http://{}/\"\nbody = \"x\"", server.address);
    action("http.send", &text, &services).apply(&attempt().cx, &Json::Null).await.unwrap();
}

#[tokio::test]
async fn a_refusal_before_the_whole_request_is_one_and_nothing_waits_behind_it() {
    let (server, connections) = hasty(413).await;
    let (services, file) = (services(env()), large());
    let steps = format!(
        "url = \"http://{}/\"\ntimeout = \"20s\"\nsteps = [{{ url = \"/\", method = \"POST\", body_file = '{}', status = 413 }}, {{ url = \"/\" }}]",
        server.address,
        file.path().display()
    );
    let begun = Instant::now();
    check("http.check", &steps, &services).check(&attempt().cx).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(15), "the second waited for the first");
    assert_eq!(connections.load(Ordering::SeqCst), 2, "the first one's connection is not free");
}

/// Where a server takes it all, what was sent in pieces arrives whole, and the connection is kept.
#[tokio::test]
async fn a_large_request_arrives_whole() {
    let arrived = Arc::new(AtomicUsize::new(0));
    let count = arrived.clone();
    let server = serve("127.0.0.1:0", move |mut stream| {
        let count = count.clone();
        async move {
            while let Some(head) = head(&mut stream).await {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
                let mut left = length.unwrap_or(0);
                let mut piece = vec![0; 1 << 16];
                while left > 0 {
                    let most = left.min(piece.len());
                    let n = stream.read(&mut piece[..most]).await.unwrap();
                    left -= n;
                    count.fetch_add(n, Ordering::SeqCst);
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            }
        }
    })
    .await;
    let file = large();
    let text =
        format!("url = \"http://{}/\"\nbody_file = '{}'\ntimeout = \"25s\"", server.address, file.path().display());
    action("http.send", &text, &services(env())).apply(&attempt().cx, &Json::Null).await.unwrap();
    assert_eq!(arrived.load(Ordering::SeqCst), LARGE);
}
