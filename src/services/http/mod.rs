//! Web servers: one request, its redirects, its answer.
//!
//! Names are resolved here, once a request, and the connection is made to what was found: what a
//! check reports as the address it talked to is the address it talked to. Every request has its own
//! connection, so that nothing is learned from a server that DNS has already left.

mod client;
mod resolve;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::{
    Method, Response, StatusCode, Url,
    header::{HOST, HeaderMap, HeaderValue, LOCATION},
};

use crate::{
    base::{Class, Failure, clean_line},
    runbook::Env,
};
pub(super) use client::{Client, cause, client, provider};

/// How long a connection may take, TLS included.
pub const CONNECT: Duration = Duration::from_secs(5);
/// How much of a body is read.
pub const BODY: usize = 8 << 20;
/// How many redirects are followed, as browsers and curl allow at least.
const REDIRECTS: usize = 10;

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
    pub body: Option<Vec<u8>>,
    /// Follow redirects; ignored for everything but GET and HEAD.
    pub follow: bool,
    /// Connect there instead of where the name points; the name stays in `Host` and SNI. A redirect to
    /// another host is connected to as its own name says.
    pub connect_to: Option<SocketAddr>,
    /// How long all of it may take.
    pub timeout: Duration,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status of the last answer.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, at most 8 MiB.
    pub body: Vec<u8>,
    /// True where the body was longer.
    pub cut: bool,
    /// Who answered.
    pub address: Option<SocketAddr>,
    /// From the first byte sent to the last one read, redirects included.
    pub took: Duration,
    /// The addresses that were gone through, the last one included.
    pub urls: Vec<Url>,
}

/// Web servers as one environment reaches them.
pub struct Http {
    env: Arc<Env>,
    dns: super::dns::Dns,
}

impl Http {
    /// A client that has not asked anything yet.
    #[must_use]
    pub fn new(env: Arc<Env>) -> Self {
        Self { dns: super::dns::Dns::new(env.clone()), env }
    }

    /// Sends a request and reads its answer to the end.
    ///
    /// # Errors
    /// `FailedNothingDone`: no connection was made, or the method only reads; `Unknown`: the request may have arrived;
    /// `Refused`: a redirect that must not be followed; `Misconfigured`: it cannot be sent at all.
    pub async fn send(&self, request: &Request) -> Result<Reply, Failure> {
        let started = Instant::now();
        let deadline = tokio::time::Instant::now() + request.timeout;
        let mut urls = vec![request.url.clone()];
        let mut headers = request.headers.clone();
        let reads = matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let whole = async {
            loop {
                let url = urls.last().unwrap_or(&request.url).clone();
                let there = request.connect_to.filter(|_| url.host_str() == request.url.host_str());
                let mut response = self.once(request, &url, &headers, there, reads).await?;
                let next = match self.next(request, &url, &response)? {
                    Some(next) => next,
                    None => {
                        let (body, cut) = body(&mut response, &url, reads).await?;
                        let (status, address) = (response.status(), response.remote_addr());
                        let headers = response.headers().clone();
                        let urls = urls.clone();
                        return Ok(Reply { status, headers, body, cut, address, took: started.elapsed(), urls });
                    }
                };
                if urls.len() > REDIRECTS {
                    return Err(Failure::new(Class::FailedNothingDone, format!("more than {REDIRECTS} redirects"))
                        .because(urls.iter().map(Url::as_str).collect::<Vec<_>>().join(" → ")));
                }
                if origin(&next) != origin(&url) {
                    // Credentials were meant for the first host only.
                    let secret = |(name, value): (&reqwest::header::HeaderName, &HeaderValue)| {
                        let known =
                            matches!(name.as_str(), "authorization" | "cookie" | "proxy-authorization" | "host");
                        (value.is_sensitive() || known).then(|| name.clone())
                    };
                    for name in headers.iter().filter_map(secret).collect::<Vec<_>>() {
                        headers.remove(name);
                    }
                }
                urls.push(next);
            }
        };
        let result = tokio::time::timeout_at(deadline, whole).await;
        result.unwrap_or_else(|_| {
            let class = if reads { Class::FailedNothingDone } else { Class::Unknown };
            let seconds = request.timeout.as_secs_f32();
            Err(Failure::new(class, format!("no whole answer from {} within {seconds:.1} s", place(&request.url))))
        })
    }

    async fn once(
        &self,
        request: &Request,
        url: &Url,
        headers: &HeaderMap,
        there: Option<SocketAddr>,
        reads: bool,
    ) -> Result<Response, Failure> {
        let (mut url, mut headers) = (url.clone(), headers.clone());
        let client = match there {
            Some(address) => {
                self.stays_inside(address)?;
                aim(&mut url, &mut headers, address)?;
                client(&self.env, &url, &[address], Client::Fresh)?
            }
            None => {
                let addresses = self.addresses(&url).await?;
                if let (None, [address]) = (url.domain(), addresses.as_slice()) {
                    aim(&mut url, &mut headers, *address)?;
                }
                client(&self.env, &url, &addresses, Client::Fresh)?
            }
        };
        let mut builder = client.request(request.method.clone(), url.clone()).headers(headers);
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        builder.send().await.map_err(|e| broken(&e, &url, reads))
    }

    /// Where a redirect leads, if it is to be followed.
    fn next(&self, request: &Request, url: &Url, response: &Response) -> Result<Option<Url>, Failure> {
        let follows = request.follow && matches!(request.method, Method::GET | Method::HEAD);
        let moved = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
        let Some(location) = response.headers().get(LOCATION).filter(|_| follows && moved) else { return Ok(None) };
        let shown = clean_line(&String::from_utf8_lossy(location.as_bytes()), 300);
        let refused = |why: &str| Failure::new(Class::Refused, format!("{} redirects to {shown}: {why}", place(url)));
        let text = location.to_str().map_err(|_| refused("not an address"))?;
        let next = url.join(text).map_err(|_| refused("not an address"))?;
        match next.scheme() {
            "https" => Ok(Some(next)),
            "http" if url.scheme() == "http" => Ok(Some(next)),
            "http" => Err(refused("from https to http")),
            _ => Err(refused("neither http nor https")),
        }
    }
}

/// Host and port, for people and for comparison.
fn origin(url: &Url) -> (Option<&str>, Option<u16>) {
    (url.host_str(), url.port_or_known_default())
}

/// `https://shop.acme.example:8443`, without what may be secret in a path or query.
#[must_use]
pub fn place(url: &Url) -> String {
    let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
    clean_line(&format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default()), 200)
}

/// Points a request at an address. The client library takes a name's address from us but a port from the URL,
/// so the port goes into the URL and the original into `Host`.
fn aim(url: &mut Url, headers: &mut HeaderMap, address: SocketAddr) -> Result<(), Failure> {
    let host = url.host_str().unwrap_or_default().to_owned();
    let authority = url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
    if url.domain().is_none() {
        if url.scheme() == "https" {
            return Err(Failure::new(
                Class::Misconfigured,
                "connect_to needs a name in an https url: a certificate is for a name",
            ));
        }
        let _ = url.set_ip_host(address.ip());
    }
    if !headers.contains_key(HOST) {
        let value = HeaderValue::from_str(&authority)
            .map_err(|_| Failure::new(Class::Misconfigured, "the url's host cannot stand in a header"))?;
        headers.insert(HOST, value);
    }
    let _ = url.set_port(Some(address.port()));
    Ok(())
}

async fn body(response: &mut Response, url: &Url, reads: bool) -> Result<(Vec<u8>, bool), Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| broken(&e, url, reads))? {
        let room = BODY - body.len();
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if chunk.len() > room {
            return Ok((body, true));
        }
    }
    Ok((body, false))
}

/// A request that failed, and what that proves.
fn broken(error: &reqwest::Error, url: &Url, reads: bool) -> Failure {
    let place = place(url);
    let why = cause(error);
    if error.is_builder() {
        return Failure::new(Class::Misconfigured, format!("the request to {place} cannot be built: {why}"));
    }
    if error.is_connect() {
        // Without a connection no byte of the request was sent.
        return Failure::new(Class::FailedNothingDone, format!("no connection to {place}: {why}"));
    }
    let class = if reads { Class::FailedNothingDone } else { Class::Unknown };
    Failure::new(class, format!("the connection to {place} broke: {why}"))
}
