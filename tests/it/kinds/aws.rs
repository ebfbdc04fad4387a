//! What the tests of the AWS kinds share: binding a kind from a line of TOML, an attempt to run it in,
//! and servers in between that count, swallow or play AWS.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use gonogo::{
    base::{EnvName, Redactor},
    kinds::Bind,
    plan::{Cx, Finding, contract::Reporter},
    runbook::{AwsEnv, DnsEnv, Env, EnvKind, HttpEnv, SandboxEnv},
    services::Services,
};
use serde_json::Value as Json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::contract::bound;
pub use super::contract::{action, check};

/// An environment whose AWS is at one endpoint. Its kind is sandbox, so that nothing of the machine's own
/// configuration is read.
pub fn env(endpoint: &str) -> Env {
    env_of(AwsEnv { endpoint: Some(endpoint.into()), ..AwsEnv::default() })
}

pub fn env_of(aws: AwsEnv) -> Env {
    Env {
        name: "test".parse::<EnvName>().unwrap(),
        span: 0..0,
        kind: EnvKind::Sandbox,
        confirm: "test".into(),
        aws: Some(aws),
        heroku: None,
        databases: std::collections::BTreeMap::new(),
        dns: DnsEnv::default(),
        http: HttpEnv::default(),
        sandbox: SandboxEnv::default(),
        vars: BTreeMap::new(),
    }
}

pub fn services(env: Env) -> Arc<Services> {
    Services::new(env, &[], Arc::new(Redactor::default()))
}

/// The services of an endpoint.
pub fn at(endpoint: &str) -> Arc<Services> {
    services(env(endpoint))
}

/// The mistakes of a bad table, each as the text it points at and its message.
pub fn mistakes(name: &str, text: &str) -> Vec<(String, String)> {
    let services = at("http://127.0.0.1:9");
    let made = bound(name, text, |bind, params| match bind {
        Bind::Action(bind) => drop(bind(params, &services)),
        Bind::Check(bind) => drop(bind(params, &services)),
        Bind::Both(_, bind) => drop(bind(params, &services)),
        Bind::Format => {}
    });
    let mistakes = made.expect_err("nothing was wrong");
    mistakes.into_iter().map(|m| (text[m.span].to_owned(), m.message)).collect()
}

/// Keeps what an attempt says.
#[derive(Default)]
pub struct Heard(Mutex<Vec<String>>);

impl Heard {
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Reporter for Heard {
    fn line(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
    fn progress(&self, _done: f32, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
    fn output(&self, _bytes: &[u8]) {}
}

/// An attempt with so much time.
pub fn cx(time: Duration) -> Cx {
    cx_heard(time, Arc::new(Heard::default()))
}

pub fn cx_heard(time: Duration, heard: Arc<Heard>) -> Cx {
    Cx {
        step: "test-step".parse().unwrap(),
        attempt: 1,
        nth: 1,
        token: format!("{:032x}", fastrand::u128(..)),
        again: false,
        deadline: Instant::now() + time,
        cancel: CancellationToken::new(),
        reporter: heard,
        priors: Arc::default(),
        owner: watch::channel(None).1,
    }
}

/// Long enough for anything that works.
pub const LONG: Duration = Duration::from_secs(60);

pub fn minute() -> Cx {
    cx(LONG)
}

/// What a proxy does with a request that holds its mark.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Spoil {
    /// Passes everything.
    Nothing,
    /// Passes the request on and never gives the answer back.
    LoseAnswer,
    /// Keeps the request for itself and says nothing.
    Swallow,
    /// Keeps the request for itself and closes the connection.
    HangUp,
}

/// A TCP proxy that keeps every byte the client sent.
pub struct Proxy {
    pub endpoint: String,
    /// By connection.
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Proxy {
    /// In front of `endpoint`; `mark` is the text that makes a request spoiled.
    pub async fn new(endpoint: &str, mark: &'static str, spoil: Spoil) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let target: SocketAddr = endpoint.trim_start_matches("http://").parse().unwrap();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let kept = sent.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, target, kept.clone(), mark, spoil));
            }
        });
        Self { endpoint: format!("http://127.0.0.1:{port}"), sent }
    }

    /// How often a text was sent.
    pub fn count(&self, text: &str) -> usize {
        self.sent.lock().unwrap().iter().map(|bytes| String::from_utf8_lossy(bytes).matches(text).count()).sum()
    }

    /// How many requests were sent that change something: every AWS protocol names its operation.
    pub fn changes(&self) -> usize {
        self.operations().iter().filter(|name| !reads(name)).count()
    }

    /// The operations that were sent, by target header, form action, or `METHOD /path`.
    pub fn operations(&self) -> Vec<String> {
        self.sent.lock().unwrap().iter().flat_map(|bytes| operations(&String::from_utf8_lossy(bytes))).collect()
    }
}

/// The operations of the requests of one connection.
fn operations(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let heads = text.match_indices(" HTTP/1.1\r\n");
    for (end, _) in heads {
        let line = text[..end].rsplit('\n').next().unwrap_or_default();
        // A body stands before the next request without a line end of its own.
        let start =
            ["GET /", "HEAD /", "POST /", "PUT /", "PATCH /", "DELETE /"].iter().filter_map(|m| line.rfind(m)).max();
        let Some(line) = start.map(|at| &line[at..]) else { continue };
        let head = &text[end..end + text[end..].find("\r\n\r\n").unwrap_or(text.len() - end)];
        let target = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("x-amz-target").then(|| value.trim().to_owned())
        });
        let body = text[end + head.len()..].trim_start();
        let action = body.strip_prefix("Action=").and_then(|rest| rest.split(['&', ' ']).next());
        let target = target.as_deref().and_then(|target| target.rsplit('.').next());
        found.push(target.or(action).unwrap_or(line).to_owned());
    }
    found
}

/// True of an operation that only reads.
fn reads(operation: &str) -> bool {
    ["BatchGet", "Describe", "Filter", "Get", "GET /", "Head", "HEAD /", "List", "Lookup"]
        .iter()
        .any(|prefix| operation.starts_with(prefix))
}

async fn pass(client: TcpStream, target: SocketAddr, kept: Arc<Mutex<Vec<Vec<u8>>>>, mark: &'static str, spoil: Spoil) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (spoiled, mut is_spoiled) = watch::channel(false);
    let nth = {
        let mut kept = kept.lock().unwrap();
        kept.push(Vec::new());
        kept.len() - 1
    };
    let up = async move {
        let mut buffer = vec![0; 64 << 10];
        let mut seen = Vec::new();
        while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
            kept.lock().unwrap()[nth].extend_from_slice(&buffer[..n]);
            seen.extend_from_slice(&buffer[..n]);
            let hit = spoil != Spoil::Nothing && String::from_utf8_lossy(&seen).contains(mark);
            if hit && spoil == Spoil::HangUp {
                break;
            }
            if hit {
                spoiled.send_replace(true);
            }
            if !(hit && spoil == Spoil::Swallow) && to_server.write_all(&buffer[..n]).await.is_err() {
                break;
            }
        }
    };
    let down = async move {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(n @ 1..) = from_server.read(&mut buffer).await {
            if *is_spoiled.borrow_and_update() {
                continue;
            }
            if to_client.write_all(&buffer[..n]).await.is_err() {
                break;
            }
        }
        // A spoiled connection stays open and silent until the client gives up.
        if *is_spoiled.borrow() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}

/// A request as the played AWS sees it.
pub struct Asked {
    /// `Operation` of the target header, `Action` of the form, or `METHOD path`.
    pub operation: String,
    pub body: String,
    /// Request line and headers.
    pub head: String,
}

/// What it answers.
pub struct Answer {
    pub status: u16,
    pub kind: &'static str,
    pub body: String,
}

impl Answer {
    pub fn json(body: serde_json::Value) -> Self {
        Self { status: 200, kind: "application/x-amz-json-1.1", body: body.to_string() }
    }

    pub fn xml(body: impl Into<String>) -> Self {
        Self { status: 200, kind: "text/xml", body: body.into() }
    }

    pub fn json_error(status: u16, code: &str, message: &str) -> Self {
        Self { status, ..Self::json(serde_json::json!({ "__type": code, "message": message })) }
    }

    pub fn xml_error(status: u16, code: &str, message: &str) -> Self {
        let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
        Self { status, ..Self::xml(format!("<ErrorResponse>{error}<RequestId>req-1</RequestId></ErrorResponse>")) }
    }
}

/// AWS, played by a closure: for what moto cannot show (slow changes, refusals, rollbacks).
pub async fn play<F>(script: F) -> String
where
    F: Fn(&Asked) -> Answer + Send + Sync + 'static,
{
    play_with(move |asked| (script(asked), Vec::new())).await
}

/// Headers of an answer.
pub type Headers = Vec<(&'static str, &'static str)>;

/// As [`play`], with headers beside the answer.
pub async fn play_with<F>(script: F) -> String
where
    F: Fn(&Asked) -> (Answer, Headers) + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = Arc::new(script);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let script = script.clone();
            tokio::spawn(async move { converse(client, &*script).await });
        }
    });
    format!("http://127.0.0.1:{port}")
}

async fn converse<F: Fn(&Asked) -> (Answer, Headers)>(mut client: TcpStream, script: &F) -> Option<()> {
    let mut seen = Vec::new();
    loop {
        let mut buffer = vec![0; 16 << 10];
        let head = loop {
            if let Some(end) = seen.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            let n = client.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
            seen.extend_from_slice(&buffer[..n]);
        };
        let text = String::from_utf8_lossy(&seen[..head]).to_string();
        let header = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
        };
        let length: usize = header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
        while seen.len() < head + length {
            let n = client.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
            seen.extend_from_slice(&buffer[..n]);
        }
        let body = String::from_utf8_lossy(&seen[head..head + length]).to_string();
        seen.drain(..head + length);
        let target = header("x-amz-target").and_then(|target| target.split_once('.').map(|(_, op)| op.to_owned()));
        let action = body.strip_prefix("Action=").and_then(|rest| rest.split('&').next()).map(ToOwned::to_owned);
        let line = text.lines().next().unwrap_or_default().rsplit_once(' ').map_or("", |(line, _)| line).to_owned();
        let operation = target.or(action).unwrap_or(line);
        let (answer, headers) = script(&Asked { operation, body, head: text });
        let Answer { status, kind, body } = answer;
        let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\nx-amzn-requestid: req-1\r\n{more}content-length: {}\r\n\r\n",
            body.len()
        );
        client.write_all(format!("{head}{body}").as_bytes()).await.ok()?;
    }
}

/// `GetCallerIdentity` of an account.
pub fn caller(account: &str) -> Answer {
    Answer::xml(format!(
        "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:sts::{account}:assumed-role/Deploy/mira</Arn>\
         <UserId>X</UserId><Account>{account}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
    ))
}

/// A port on which nobody listens.
pub async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    format!("http://127.0.0.1:{port}")
}

/// The contract of an action that can be put back, at any endpoint: a capture sends no change, twice equals once, the
/// probes see both ends. Gives what is captured before and after, for the caller to compare.
pub async fn there_and_back(endpoint: &str, kind: &str, text: &str) -> (Json, Json) {
    let proxy = Proxy::new(endpoint, "", Spoil::Nothing).await;
    let step = action(kind, text, &at(&proxy.endpoint));
    let first = step.capture(&minute()).await.unwrap();
    assert_eq!(proxy.changes(), 0, "a capture only reads");
    step.apply(&minute(), &first).await.unwrap();
    assert_eq!(proxy.changes(), 1);
    step.apply(&minute(), &first).await.unwrap();
    assert_eq!(proxy.changes(), 1, "twice equals once");
    assert!(matches!(step.probe(&minute(), &first, false).await.unwrap(), Finding::Done(_)));
    step.restore(&minute(), &first).await.unwrap();
    step.restore(&minute(), &first).await.unwrap();
    assert_eq!(proxy.changes(), 2, "back, twice equals once");
    assert!(matches!(step.probe(&minute(), &first, true).await.unwrap(), Finding::Done(_)));
    assert!(matches!(step.probe(&minute(), &first, false).await.unwrap(), Finding::NotDone { .. }));
    (first, step.capture(&minute()).await.unwrap())
}
