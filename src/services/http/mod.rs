//! Web servers: requests, their redirects, their answers, over connections of our own.
//!
//! Names are resolved here and the connection is made to what was found: what a check reports as the
//! address it talked to is the address it talked to. A line knows whether a byte of a request was
//! sent, so a failure can say what is known of the world. A line that is dropped closes its sockets.

mod body;
#[cfg(feature = "heroku")]
mod client;
mod connect;
mod jar;
mod pool;
mod redirect;
mod resolve;
mod tls;
mod upload;
mod wait;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use hyper::{
    HeaderMap, Method, StatusCode, Version,
    body::Bytes,
    header::{HeaderName, HeaderValue},
};
use reqwest::Url;

use crate::{
    base::{Class, Failure, clean_line},
    runbook::Env,
};
pub use body::{Part, multipart};
#[cfg(feature = "heroku")]
pub(super) use client::{cause, client};
pub use jar::Jar;
pub use redirect::{place, spoken};
pub use tls::Identity;
pub(super) use tls::provider;
pub use wait::retry_after;

use pool::{Pool, Trouble, Wants};

/// How long a connection may take, TLS included.
pub const CONNECT: Duration = Duration::from_secs(5);
/// How much of a body is read.
pub const BODY: usize = 8 << 20;
/// How many redirects are followed unless the caller says otherwise, as browsers and curl allow at least.
pub const REDIRECTS: usize = 10;

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `POST`, ….
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Headers; mark secret values sensitive: they do not travel to another host.
    pub headers: HeaderMap,
    /// The body.
    pub body: Option<Bytes>,
    /// How many redirects are followed. A GET or HEAD follows all; what changes something follows 301, 302 and 303, by
    /// a GET, and is never sent a second time.
    pub follow: usize,
    /// How long all of it may take.
    pub timeout: Duration,
    /// How much of the body is kept; it is read up to [`BODY`] all the same.
    pub most: usize,
}

impl Request {
    /// A request without headers and body, that follows no redirect.
    #[must_use]
    pub fn new(method: Method, url: Url, timeout: Duration) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: None, follow: 0, timeout, most: BODY }
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status of the last answer.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as much as was wanted.
    pub body: Bytes,
    /// How many bytes of the body were read, at most [`BODY`].
    pub size: usize,
    /// False where the body went on after that.
    pub ended: bool,
    /// False where an answer came before its request was sent to its end: the rest of it was not sent.
    pub whole: bool,
    /// Who answered.
    pub address: SocketAddr,
    /// What it was spoken in.
    pub version: Version,
    /// From before the connection to the last byte read, redirects included.
    pub took: Duration,
    /// The redirects that were followed: what was asked and its status. The last one's target is `url`.
    pub hops: Vec<(Url, StatusCode)>,
    /// Who was asked last.
    pub url: Url,
}

/// Which addresses of a name are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Family {
    /// All of them.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// Which version of HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Speaks {
    /// What the server takes of both over TLS, HTTP/1.1 without.
    #[default]
    Any,
    /// HTTP/1.1 only.
    One,
    /// HTTP/2 only: over TLS by ALPN, without TLS by prior knowledge.
    Two,
}

/// How a server is reached.
#[derive(Debug, Clone, Default)]
pub struct Dial {
    /// Connect there instead of where the name points; the name stays in `Host` and SNI. For one host only: another one is
    /// connected to as its own name says.
    pub connect_to: Option<SocketAddr>,
    /// Whose address that is; nothing where it is the host of whatever is asked first.
    pub connect_for: Option<String>,
    /// Which addresses.
    pub family: Family,
    /// Which version.
    pub speaks: Speaks,
    /// Certificates (PEM) that are trusted instead of the environment's and the platform's.
    pub ca: Option<String>,
    /// Who we are, where the server asks.
    pub identity: Option<Arc<Identity>>,
    /// Connections are kept for the next request of the same line. Names are resolved for new connections only.
    pub keep: bool,
    /// For many requests, one after another: whoever waits does not sleep for the first tenth of a millisecond, because
    /// the time that an idle processor needs to wake would be told as the server's.
    pub awake: bool,
    /// What TLS needs, made once for all lines of this dial.
    made: Arc<std::sync::OnceLock<Arc<rustls::ClientConfig>>>,
}

/// Web servers as one environment reaches them.
pub struct Http {
    env: Arc<Env>,
    dns: super::dns::Dns,
}

impl Dial {
    /// Directly to an address, where there is one; everything else as it comes.
    #[must_use]
    pub fn to(connect_to: Option<SocketAddr>) -> Self {
        Self { connect_to, ..Self::default() }
    }
}

/// A way to web servers, with the connections that it keeps. Dropping it closes them.
pub struct Line<'h> {
    http: &'h Http,
    dial: Dial,
    pool: Pool,
}

impl Http {
    /// A client that has not asked anything yet.
    #[must_use]
    pub fn new(env: Arc<Env>) -> Self {
        Self { dns: super::dns::Dns::new(env.clone()), env }
    }

    /// A way to servers; nothing is connected yet.
    #[must_use]
    pub fn line(&self, dial: Dial) -> Line<'_> {
        Line { http: self, dial, pool: Pool::default() }
    }

    /// Sends one request over a connection of its own.
    ///
    /// # Errors
    /// As [`Line::send`].
    pub async fn send(&self, request: &Request, connect_to: Option<SocketAddr>) -> Result<Reply, Failure> {
        self.line(Dial::to(connect_to)).send(request, None).await
    }
}

impl Reply {
    /// True where the body is longer than what was kept of it.
    #[must_use]
    pub fn cut(&self) -> bool {
        !self.ended || self.body.len() < self.size
    }
}

impl Line<'_> {
    /// Sends a request and reads its answer to the end. Cookies of `jar` are sent and kept.
    ///
    /// # Errors
    /// `FailedNothingDone`: no byte was sent, or the method only reads; `Unknown`: the request may have arrived;
    /// `Refused`: a redirect that must not be followed; `Misconfigured`: it cannot be sent at all.
    pub async fn send(&self, request: &Request, jar: Option<&Jar>) -> Result<Reply, Failure> {
        self.send_marking(request, jar, &AtomicBool::new(false)).await
    }

    /// As [`Line::send`]; `sent` becomes true once a byte may have been sent, for whoever gives up in between.
    ///
    /// # Errors
    /// As [`Line::send`].
    pub async fn send_marking(
        &self,
        request: &Request,
        jar: Option<&Jar>,
        sent: &AtomicBool,
    ) -> Result<Reply, Failure> {
        let started = Instant::now();
        let deadline = tokio::time::Instant::now() + request.timeout;
        let result = tokio::time::timeout_at(deadline, self.through(request, jar, started, sent)).await;
        result.unwrap_or_else(|_| {
            let nothing = reads(&request.method) || !sent.load(Ordering::Relaxed);
            let class = if nothing { Class::FailedNothingDone } else { Class::Unknown };
            let (place, seconds) = (place(&request.url), request.timeout.as_secs_f32());
            Err(Failure::new(class, format!("no whole answer from {place} within {seconds:.1} s")))
        })
    }

    /// The request and its redirects.
    async fn through(
        &self,
        request: &Request,
        jar: Option<&Jar>,
        started: Instant,
        sent: &AtomicBool,
    ) -> Result<Reply, Failure> {
        // What is asked instead, once an answer leads elsewhere.
        let mut onward: Option<Request> = None;
        let (mut hops, mut whole) = (Vec::new(), true);
        loop {
            let asked = onward.as_ref().unwrap_or(request);
            let whose = self.dial.connect_for.as_deref().or(request.url.host_str());
            let aimed = self.dial.connect_to.filter(|_| asked.url.host_str() == whose);
            // The address is the host's; the port is that of the first request, not of one that was redirected to https.
            let (first, port) = (self.http.port(&request.url), self.http.port(&asked.url));
            let aimed = aimed.map(|at| if port == first { at } else { SocketAddr::new(at.ip(), port) });
            let cookies = jar.and_then(|jar| jar.header(&asked.url, asked.headers.get(hyper::header::COOKIE)));
            let wants = Wants { asked, cookies, aimed };
            let answer = self.ask(&wants, sent).await.map_err(|trouble| told(trouble, asked))?;
            whole &= answer.whole;
            if let Some(jar) = jar {
                jar.keep(&answer.headers, &asked.url);
            }
            let next = redirect::next(request.follow > 0, &asked.method, &asked.url, &answer)?;
            let Some(next) = next else {
                let pool::Answer { status, headers, body, size, ended, at, address, version, .. } = answer;
                let took = at.duration_since(started);
                let url = asked.url.clone();
                return Ok(Reply { status, headers, body, size, ended, whole, address, version, took, hops, url });
            };
            hops.push((asked.url.clone(), answer.status));
            if hops.len() > request.follow {
                let chain = hops.iter().map(|(url, _)| url.as_str()).chain([next.as_str()]);
                return Err(Failure::new(Class::FailedNothingDone, format!("more than {} redirects", request.follow))
                    .because(chain.collect::<Vec<_>>().join(" → ")));
            }
            onward = Some(redirect::onward(asked, next));
        }
    }
}

/// What it means for the world that there is no answer.
fn told(trouble: Trouble, asked: &Request) -> Failure {
    match trouble {
        Trouble::Told(failure) => failure,
        Trouble::NotSent(why) => {
            Failure::new(Class::FailedNothingDone, format!("no connection to {}: {why}", place(&asked.url)))
        }
        Trouble::Broke(why) => {
            let class = if reads(&asked.method) { Class::FailedNothingDone } else { Class::Unknown };
            Failure::new(class, format!("the connection to {} broke: {why}", place(&asked.url)))
        }
    }
}

/// True for methods that ask for nothing to be changed (RFC 9110, section 9.2.1).
#[must_use]
pub fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// A header's value from text that may come from outside: no control character, so no second line.
///
/// # Errors
/// It cannot stand in a header.
pub fn header_value(text: &str) -> Result<HeaderValue, String> {
    // Visible characters, spaces and tabs; UTF-8 passes as it is.
    HeaderValue::from_bytes(text.as_bytes()).map_err(|_| "it holds a line end or another control character".to_owned())
}

/// A header's name.
#[must_use]
pub fn header_name(text: &str) -> Option<HeaderName> {
    HeaderName::from_bytes(text.as_bytes()).ok()
}

/// The innermost reason of an error, which is the one that people know: `connection refused`.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut at = error;
    while let Some(next) = at.source() {
        at = next;
    }
    let text = match at.downcast_ref::<std::io::Error>() {
        Some(io) => io_reason(io),
        None => at.to_string(),
    };
    clean_line(&text, 300)
}

fn io_reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "nothing listens there (connection refused)".to_owned(),
        std::io::ErrorKind::ConnectionReset => "reset by the other side".to_owned(),
        std::io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        std::io::ErrorKind::UnexpectedEof => "closed by the other side".to_owned(),
        _ => error.to_string(),
    }
}
