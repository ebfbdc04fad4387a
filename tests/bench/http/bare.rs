//! The floor: hyper's own connection, a request, the body to its end. Nothing is looked at.

use std::net::SocketAddr;

use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request,
    body::Bytes,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};

use crate::Policy;

async fn connect(address: SocketAddr) -> SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(address).await.expect("connected");
    stream.set_nodelay(true).expect("set");
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("shaken");
    tokio::spawn(connection);
    sender
}

async fn get(sender: &mut SendRequest<Empty<Bytes>>, host: &str) {
    let request = Request::get("/").header("host", host).body(Empty::new()).expect("a request");
    sender.ready().await.expect("ready");
    let mut body = sender.send_request(request).await.expect("an answer").into_body();
    while let Some(frame) = body.frame().await {
        frame.expect("a frame");
    }
}

async fn worker(address: SocketAddr, requests: usize, policy: Policy) {
    let host = address.to_string();
    let mut kept = None;
    for _ in 0..requests {
        let mut sender = match kept.take() {
            Some(sender) => sender,
            None => connect(address).await,
        };
        get(&mut sender, &host).await;
        kept = (policy == Policy::Kept).then_some(sender);
    }
}

/// So many requests by so many workers.
pub async fn run(address: SocketAddr, requests: usize, at_once: usize, policy: Policy) {
    let mut workers = JoinSet::new();
    for number in 0..at_once {
        let share = requests / at_once + usize::from(number < requests % at_once);
        workers.spawn(worker(address, share, policy));
    }
    while let Some(ended) = workers.join_next().await {
        ended.expect("a worker");
    }
}
