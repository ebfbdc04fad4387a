//! `http.check` at a real nginx that is stopped, started again, frozen, slow, cut off in the middle, or wrong.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gonogo::{base::Class, services::Services};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    contract::{attempt, check, env, services},
    fake_tls::serve,
};
use crate::nginx::Nginx;

async fn looks(services: &Arc<Services>, params: &str) -> Result<String, String> {
    let begun = Instant::now();
    let seen = check("http.check", params, services).check(&attempt().cx).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "it hangs");
    seen.map(|seen| seen.line).map_err(|failure| {
        assert_eq!(failure.class, Class::NotYet, "{failure:?}");
        [vec![failure.message], failure.causes].concat().join("\n")
    })
}

#[tokio::test]
async fn stopped_started_frozen_and_slow() {
    let mut nginx = Nginx::start(
        "server { listen 127.0.0.1:{0};
            location / { return 200 \"fine\"; }
            location = /big { limit_rate 1k; }
        }",
    );
    nginx.page("big", vec![b'x'; 4 << 20]);
    let services = services(env());
    let url = nginx.url(0);
    let get = |path: &str| format!("url = \"{url}{path}\"\ntimeout = \"600ms\"");
    looks(&services, &get("/")).await.unwrap();
    nginx.signal("-STOP");
    let said = looks(&services, &get("/")).await.unwrap_err();
    assert!(said.contains("no data: no whole answer from ") && said.contains("within 0.6 s"), "{said}");
    nginx.signal("-CONT");
    looks(&services, &get("/")).await.unwrap();
    let said = looks(&services, &get("/big")).await.unwrap_err();
    assert!(said.contains("no whole answer"), "{said}");
    nginx.until_alone().await;
    nginx.stop();
    let said = looks(&services, &get("/")).await.unwrap_err();
    assert!(said.contains("no data: no connection to ") && said.contains("connection refused"), "{said}");
    assert!(nginx.run());
    looks(&services, &get("/")).await.unwrap();
    // A connection that was kept over a restart is replaced: the next visit does not trip over it.
    let mut kept = gonogo::services::http::Dial::to(None);
    kept.keep = true;
    let line = services.http.line(kept);
    let request = gonogo::services::http::Request::new(
        hyper::Method::GET,
        format!("{url}/").parse().unwrap(),
        Duration::from_secs(10),
    );
    line.send(&request, None).await.unwrap();
    nginx.stop();
    assert!(nginx.run());
    line.send(&request, None).await.unwrap();
    drop(line);
    nginx.until_alone().await;
}

/// In front of nginx: passes so many bytes of its answer, and then is gone.
async fn cut_after(nginx: &Nginx, bytes: usize) -> super::fake_tls::Served {
    let target = nginx.address(0);
    serve("127.0.0.1:0", move |mut client| async move {
        let mut server = TcpStream::connect(target).await.unwrap();
        let mut asked = vec![0; 4096];
        let n = client.read(&mut asked).await.unwrap_or(0);
        let _ = server.write_all(&asked[..n]).await;
        let mut answer = vec![0; bytes];
        let mut passed = 0;
        while passed < bytes {
            match server.read(&mut answer[passed..]).await {
                Ok(0) | Err(_) => break,
                Ok(n) => passed += n,
            }
        }
        let _ = client.write_all(&answer[..passed]).await;
        let _ = client.set_zero_linger();
    })
    .await
}

#[tokio::test]
async fn cut_off_in_the_middle() {
    let nginx = Nginx::start("server { listen 127.0.0.1:{0}; }");
    nginx.page("page", vec![b'x'; 100_000]);
    let services = services(env());
    for bytes in [0, 10, 200, 50_000] {
        let proxy = cut_after(&nginx, bytes).await;
        let said =
            looks(&services, &format!("url = \"http://{}/page\"\nsize = 100000", proxy.address)).await.unwrap_err();
        assert!(said.contains("no data: the connection to ") && said.contains(" broke: "), "{bytes}: {said}");
    }
    nginx.until_alone().await;
}

/// Servers that do not keep to the protocol, byte by byte.
#[tokio::test]
async fn wrong_answers() {
    let services = services(env());
    let say = async |words: &'static [u8]| {
        serve("127.0.0.1:0", move |mut stream| async move {
            let mut some = [0; 1024];
            let _ = stream.read(&mut some).await;
            let _ = stream.write_all(words).await;
            let _ = stream.shutdown().await;
            let _ = stream.read(&mut some).await;
        })
        .await
    };
    for (words, said) in [
        (&b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nshort"[..], "broke"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", "broke"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "broke"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", "broke"),
        (b"220 mail.example ESMTP\r\n", "broke"),
        (b"", "broke"),
    ] {
        let server = say(words).await;
        let failure = looks(&services, &format!("url = \"http://{}/\"", server.address)).await.unwrap_err();
        assert!(
            failure.contains("no data: ") && failure.contains(said),
            "{}: {failure}",
            String::from_utf8_lossy(words)
        );
    }
    // More than was announced is not part of the answer.
    let server = say(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 500 evil\r\n\r\n").await;
    let line =
        looks(&services, &format!("url = \"http://{}/\"\nsize = 2\ncontains = \"ok\"", server.address)).await.unwrap();
    assert!(line.contains("200, 2 bytes"), "{line}");
    // A head that never ends, and one that comes byte by byte.
    let endless = serve("127.0.0.1:0", |mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream.write_all(b"x-more: and more and more and more and more and more and more\r\n").await.is_ok() {}
    })
    .await;
    let said = looks(&services, &format!("url = \"http://{}/\"", endless.address)).await.unwrap_err();
    assert!(said.contains("broke"), "{said}");
    let drip = serve("127.0.0.1:0", |mut stream| async move {
        for byte in b"HTTP/1.1 200 OK\r\nx-slow: yes\r\n".iter().cycle() {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let said = looks(&services, &format!("url = \"http://{}/\"\ntimeout = \"500ms\"", drip.address)).await.unwrap_err();
    assert!(said.contains("within 0.5 s"), "{said}");
    // A body without end is read to its limit, and what it does not hold cannot be told.
    let endless = serve("127.0.0.1:0", |mut stream| async move {
        let mut some = [0; 1024];
        let _ = stream.read(&mut some).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        let piece = vec![b'.'; 1 << 16];
        while stream.write_all(&piece).await.is_ok() {}
    })
    .await;
    let url = format!("url = \"http://{}/\"", endless.address);
    let line = looks(&services, &url).await.unwrap();
    assert!(line.contains(&format!("{} bytes", 8 << 20)), "{line}");
    let said = looks(&services, &format!("{url}\nnot_contains = \"x\"")).await.unwrap_err();
    assert!(said.contains("too long to tell"), "{said}");
    let said = looks(&services, &format!("{url}\nsize = {{ max = 8388608 }}")).await.unwrap_err();
    assert!(said.contains("more than"), "{said}");
}
