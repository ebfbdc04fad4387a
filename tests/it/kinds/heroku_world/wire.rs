//! Sits between a client and Heroku's API, passes everything on, and holds every request and every answer against the
//! schema. What it found is told when it is dropped, so that no test can forget to ask.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use serde_json::Value as Json;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};

use super::schema::{Exchange, schema};
use crate::kinds::fake_http::request;

#[derive(Default)]
struct Seen {
    exchanges: Vec<Exchange>,
    endpoints: BTreeSet<String>,
    wrong: Vec<String>,
}

/// The proxy.
pub struct Wire {
    pub endpoint: String,
    seen: Arc<Mutex<Seen>>,
    task: tokio::task::JoinHandle<()>,
}

impl Wire {
    pub async fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (kept, target) = (seen.clone(), target.to_owned());
        let task = tokio::spawn(async move {
            let client = crate::sandbox::http();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass(stream, client.clone(), target.clone(), kept.clone()));
            }
        });
        Self { endpoint, seen, task }
    }

    /// The endpoints that were used: `GET /apps/{}/dynos`.
    pub fn endpoints(&self) -> BTreeSet<String> {
        self.seen.lock().unwrap().endpoints.clone()
    }

    /// What was said.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.seen.lock().unwrap().exchanges.clone()
    }

    /// How many requests were no reads.
    pub fn changes(&self) -> usize {
        self.exchanges().iter().filter(|exchange| exchange.method != "GET").count()
    }

    /// What did not fit the schema, taken away.
    pub fn wrong(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap().wrong)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
        if !std::thread::panicking() {
            let wrong = self.wrong();
            assert!(wrong.is_empty(), "against {}:\n{}", schema().source, wrong.join("\n"));
        }
    }
}

async fn pass(mut stream: TcpStream, client: reqwest::Client, target: String, seen: Arc<Mutex<Seen>>) -> Option<()> {
    while let Some(asked) = request(&mut stream).await {
        let mut sent = client.request(asked.method.parse().unwrap(), format!("{target}{}", asked.path));
        for name in ["accept", "authorization", "content-type", "range"] {
            if let Some(value) = asked.header(name) {
                sent = sent.header(name, value);
            }
        }
        let answer = sent.body(asked.body.clone()).send().await.ok()?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await.ok()?;
        let exchange = Exchange {
            method: asked.method.clone(),
            path: asked.path.clone(),
            range: asked.header("range").map(str::to_owned),
            body: serde_json::from_str(&asked.body).unwrap_or_default(),
            status,
            answer: serde_json::from_slice(&body).unwrap_or_default(),
        };
        {
            let (endpoint, wrong) = schema().check(&exchange);
            let mut seen = seen.lock().unwrap();
            seen.endpoints.extend(endpoint);
            seen.wrong.extend(wrong);
            seen.exchanges.push(exchange);
        }
        let mut head = format!("HTTP/1.1 {status} Text\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in &headers {
            if !matches!(name.as_str(), "content-length" | "transfer-encoding" | "connection") {
                head += &format!("{name}: {}\r\n", value.to_str().unwrap_or_default());
            }
        }
        stream.write_all((head + "\r\n").as_bytes()).await.ok()?;
        stream.write_all(&body).await.ok()?;
    }
    Some(())
}

/// What an endpoint answers without the proxy, for tests of the validator itself.
pub fn exchange(method: &str, path: &str, body: Json, status: u16, answer: Json) -> Exchange {
    Exchange { method: method.into(), path: path.into(), range: None, body, status, answer }
}
