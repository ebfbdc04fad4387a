//! What no client sends: the world refuses it and goes on.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
};

use super::{aws, http, world};

#[tokio::test]
async fn garbage_ends_nothing() {
    let world = world(&[]).await;
    let at = world.endpoints();
    let mut noise = fastrand::Rng::with_seed(1);
    let mut bytes = |len: usize| (0..len).map(|_| noise.u8(..)).collect::<Vec<u8>>();
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = |url: &str| url.strip_prefix("http://").unwrap().parse::<SocketAddr>().unwrap();
    let streams = [port(&at.aws), port(&at.heroku), at.old_origin, at.authoritative[0], at.resolvers[0]];
    for len in [0, 1, 2, 11, 12, 13, 40, 300, 3000] {
        for server in at.authoritative.iter().chain(&at.resolvers) {
            udp.send_to(&bytes(len), server).await.unwrap();
        }
        for server in streams {
            let mut stream = TcpStream::connect(server).await.unwrap();
            let _ = stream.write_all(&bytes(len)).await;
            drop(stream);
        }
    }
    // Connections that say nothing do not keep others out.
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(at.authoritative[0]).await.unwrap());
    }
    let deep_json = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for body in ["[]", "[1]", "7", "\"x\"", "null", "{", &deep_json, "{\"updates\":[1,[],{}]}", "\u{0}"] {
        for path in [
            "/apps/acme-shop",
            "/apps/acme-shop/formation",
            "/apps/acme-shop/formation/web",
            "/apps/acme-shop/config-vars",
            "/%ff/%00",
        ] {
            let asked =
                http().patch(format!("{}{path}", at.heroku)).header("accept", "application/vnd.heroku+json; version=3");
            let said = asked.bearer_auth("sandbox-key").body(body.to_owned()).send().await.unwrap();
            assert!(
                !said.status().is_success() && said.status() != 500 || body == "{\"updates\":[1,[],{}]}",
                "{path} {body}: {}",
                said.status()
            );
        }
    }
    for authorization in [
        "",
        "Bearer x",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=x",
        "\t,=,",
    ] {
        let asked = http().post(&at.aws).header("authorization", authorization).body("<a>");
        assert_eq!(asked.send().await.unwrap().status(), 403, "{authorization}");
    }
    let mut half = TcpStream::connect(port(&at.aws)).await.unwrap();
    half.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n").await.unwrap();
    half.write_all(&vec![b'x'; 2 << 20]).await.ok();
    let mut said = vec![0; 12];
    let _ = tokio::time::timeout(Duration::from_secs(5), half.read_exact(&mut said)).await;
    assert_eq!(said, *b"HTTP/1.1 413");

    let ecs = aws_sdk_ecs::Client::new(&aws(at).await);
    let services = ecs.describe_services().cluster("acme").services("web").send().await.unwrap();
    assert_eq!(services.services()[0].running_count(), 1);
    let question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04shop\x04acme\x07example\x00\x00\x01\x00\x01";
    for server in at.authoritative.iter().chain(&at.resolvers) {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        udp.send_to(question, server).await.unwrap();
        let mut answer = [0; 512];
        let len = tokio::time::timeout(Duration::from_secs(5), udp.recv(&mut answer)).await.unwrap().unwrap();
        assert!(len > question.len() && answer[..2] == [0x12, 0x34] && answer[3] & 15 == 0);
    }
    // A scaling that names no quantity is legal, and changes nothing.
    let effects = world.effects().await;
    assert!(effects.iter().all(|it| it.detail == "web 2 -> 2"), "{effects:?}");
}
