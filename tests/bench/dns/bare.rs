//! The floor: everything sent at once, every answer decoded, nothing looked at but the id.

use std::{collections::HashSet, net::SocketAddr};

use futures_util::future::join_all;
use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{Name, RecordType},
};
use tokio::net::UdpSocket;

/// How many answers came.
pub async fn run(servers: &[SocketAddr], each: usize) -> usize {
    let name = crate::knot::name(crate::NAME);
    join_all(servers.iter().map(|server| ask(*server, &name, each))).await.into_iter().sum()
}

async fn ask(server: SocketAddr, name: &Name, each: usize) -> usize {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    socket.connect(server).await.expect("connected");
    let mut ids = HashSet::new();
    while ids.len() < each {
        let id = fastrand::u16(..);
        if ids.insert(id) {
            let mut message = Message::new(id, MessageType::Query, OpCode::Query);
            message.metadata.recursion_desired = true;
            message.add_query(Query::query(name.clone(), RecordType::A));
            socket.send(&message.to_vec().expect("encoded")).await.expect("sent");
        }
    }
    let mut buffer = [0; 1500];
    let mut answers = 0;
    while !ids.is_empty() {
        let got = socket.recv(&mut buffer).await.expect("received");
        let answer = Message::from_vec(&buffer[..got]).expect("decoded");
        answers += usize::from(ids.remove(&answer.metadata.id) && !answer.answers.is_empty());
    }
    answers
}
