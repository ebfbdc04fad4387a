//! TLS servers as a client meets them: who shows which certificate at which address, and what is wrong
//! with it. A handshake is made to its end and nothing is sent in it.
//!
//! ```text
//! look ── addresses (every A and AAAA, or where to connect) ─┬─ connect ─ handshake ─ verdict
//!                                                            ├─ connect ─ handshake ─ verdict
//!                                                            └─ …
//! ```
//!
//! The handshake goes on with a certificate that is not trusted, so that everything that is wrong can be
//! said at once; the verdict is rustls's own, asked afterwards with what was recorded.

mod certificate;
#[cfg(feature = "redis")]
mod client;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod judge;
mod refusal;
mod trust;
mod verdict;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, stream};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{net::TcpStream, time::Instant};
use tokio_rustls::TlsConnector;

use crate::{
    base::{Class, Failure},
    runbook::Env,
};
pub use certificate::Certificate;
#[cfg(feature = "redis")]
pub(super) use client::{Trust, secured};
#[cfg(feature = "postgres")]
pub(super) use judge::{Judge, Judged};
use refusal::{connecting, shaking_hands};
pub(super) use trust::roots;
use trust::{Head, Recorder};
pub use verdict::Fault;
use verdict::Shown;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Addresses that are asked at once.
const AT_ONCE: usize = 16;
/// The most addresses that a name may have; DNS answers of more are somebody's mistake.
const ADDRESSES: usize = 256;

/// Where to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An address.
    Address(SocketAddr),
    /// Every address of a name, and a port.
    Name(String, u16),
}

/// Which addresses of a name count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// All.
    All,
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The name that is sent (SNI) and has to match; or an address, which is only matched.
    pub host: String,
    /// Further names that the certificate has to cover.
    pub names: Vec<String>,
    /// Where to connect.
    pub at: Vec<Target>,
    /// Which addresses of names.
    pub family: Family,
    /// Protocols offered by ALPN.
    pub alpn: Vec<String>,
    /// A file of certificates (PEM) to trust instead of the platform's.
    pub ca: Option<String>,
    /// How long all of it may take.
    pub timeout: Duration,
}

/// What was seen at one address.
#[derive(Debug, Clone)]
pub struct Sight {
    /// Where.
    pub address: SocketAddr,
    /// The leaf, where it could be read.
    pub certificate: Option<Certificate>,
    /// Whole days that the leaf is still valid; negative where it has expired.
    pub days_left: Option<i64>,
    /// Certificates sent, the leaf included.
    pub chain: usize,
    /// `TLS 1.3`.
    pub protocol: Option<&'static str>,
    /// Cipher suite.
    pub cipher: Option<String>,
    /// The protocol chosen by ALPN.
    pub alpn: Option<String>,
    /// What is wrong; empty where nothing is.
    pub faults: Vec<Fault>,
}

/// TLS servers as one environment reaches them.
pub struct Tls {
    env: Arc<Env>,
    http: super::http::Http,
}

impl Tls {
    /// A client that has not asked anything yet.
    #[must_use]
    pub fn new(env: Arc<Env>) -> Self {
        Self { http: super::http::Http::new(env.clone()), env }
    }

    /// The port of HTTPS here.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.env.http.default_tls_port.unwrap_or(443)
    }

    /// Makes a handshake with every address. Never empty.
    ///
    /// # Errors
    /// `Misconfigured`: no name, no roots; `FailedNothingDone`: a name does not resolve, or not in time;
    /// `Refused`: an address outside a sandbox. What is wrong at an address is no error.
    pub async fn look(&self, ask: &Ask) -> Result<Vec<Sight>, Failure> {
        let deadline = Instant::now() + ask.timeout;
        let verifier = trust::verifier(ask.ca.as_deref(), self.env.http.ca.as_deref()).await?;
        let host = ServerName::try_from(ask.host.clone())
            .map_err(|_| Failure::new(Class::Misconfigured, format!("`{}` is no server's name", ask.host)))?;
        let addresses = tokio::time::timeout_at(deadline, self.addresses(ask)).await.map_err(|_| {
            let words = format!("{} did not resolve within {:.1} s", ask.host, ask.timeout.as_secs_f32());
            Failure::new(Class::FailedNothingDone, words)
        })??;
        let one = |address| {
            let recorder = Recorder::new(verifier.clone());
            let host = host.clone();
            async move { meet(ask, host, address, recorder, deadline).await }
        };
        Ok(stream::iter(addresses).map(one).buffered(AT_ONCE).collect().await)
    }

    /// Every address, each once, in the order in which they were named.
    async fn addresses(&self, ask: &Ask) -> Result<Vec<SocketAddr>, Failure> {
        let mut found = Vec::new();
        for target in &ask.at {
            match target {
                Target::Address(address) => {
                    self.http.stays_inside(*address)?;
                    found.push(*address);
                }
                Target::Name(name, port) => {
                    let family = |address: &SocketAddr| match ask.family {
                        Family::All => true,
                        Family::V4 => address.is_ipv4(),
                        Family::V6 => address.is_ipv6(),
                    };
                    let all = self.http.addresses_of(name, *port).await?;
                    let before = found.len();
                    found.extend(all.into_iter().filter(family));
                    if found.len() == before {
                        let words = format!("{name} has no address of the family asked for");
                        return Err(Failure::new(Class::FailedNothingDone, words));
                    }
                }
            }
        }
        let mut seen = std::collections::HashSet::new();
        found.retain(|address| seen.insert(*address));
        if found.len() > ADDRESSES {
            let words = format!("no data: {} has more than {ADDRESSES} addresses", ask.host);
            return Err(Failure::new(Class::FailedNothingDone, words));
        }
        Ok(found)
    }
}

/// The shorter of a limit of ours and what is left of the whole, and how it is called.
fn limit(own: Duration, deadline: Instant, timeout: Duration) -> (Instant, String) {
    let until = Instant::now() + own;
    if until < deadline {
        (until, format!("within {:.1} s", own.as_secs_f32()))
    } else {
        (deadline, format!("before the whole look's {:.1} s were over (`timeout`)", timeout.as_secs_f32()))
    }
}

/// One address, from the connection to the verdict.
async fn meet(
    ask: &Ask,
    host: ServerName<'static>,
    address: SocketAddr,
    recorder: Recorder,
    deadline: Instant,
) -> Sight {
    let mut sight = Sight {
        address,
        certificate: None,
        days_left: None,
        chain: 0,
        protocol: None,
        cipher: None,
        alpn: None,
        faults: Vec::new(),
    };
    let (until, words) = limit(CONNECT, deadline, ask.timeout);
    let stream = match tokio::time::timeout_at(until, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            sight.faults.push(connecting(&error));
            return sight;
        }
        Err(_) => {
            sight.faults.push(Fault::new(format!("no connection {words}")));
            return sight;
        }
    };
    let recorder = Arc::new(recorder);
    let config = match config(&recorder, &ask.alpn) {
        Ok(config) => config,
        Err(error) => {
            sight.faults.push(Fault::new(format!("TLS cannot be set up: {error}")));
            return sight;
        }
    };
    let mut stream = Head::new(stream);
    let (until, words) = limit(HANDSHAKE, deadline, ask.timeout);
    let shaking = TlsConnector::from(Arc::new(config)).connect(host.clone(), &mut stream);
    let shaken = tokio::time::timeout_at(until, shaking).await;
    let mut broken = None;
    match shaken {
        Ok(Ok(tls)) => {
            let (_, session) = tls.get_ref();
            sight.protocol = session.protocol_version().map(|version| match version {
                rustls::ProtocolVersion::TLSv1_2 => "TLS 1.2",
                rustls::ProtocolVersion::TLSv1_3 => "TLS 1.3",
                _ => "another TLS",
            });
            sight.cipher =
                session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).map(str::to_owned);
            sight.alpn = session.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
        }
        Ok(Err(error)) => broken = Some(error),
        Err(_) => sight.faults.push(Fault::new(format!("connected, but no TLS handshake {words}"))),
    }
    if let Some(error) = broken {
        sight.faults.push(shaking_hands(&error, stream.head(), &ask.host, &ask.alpn));
    }
    judge(&mut sight, ask, &host, &recorder, Utc::now());
    sight
}

/// Adds what is wrong with the certificates that were shown.
fn judge(sight: &mut Sight, ask: &Ask, host: &ServerName<'static>, recorder: &Recorder, now: DateTime<Utc>) {
    let Some(chain) = recorder.chain() else { return };
    sight.chain = chain.len();
    let mut read = Vec::with_capacity(chain.len());
    for one in chain {
        match Certificate::read(one) {
            Ok(one) => read.push(one),
            Err(error) if read.is_empty() => {
                sight.faults.push(Fault::new(format!("its certificate cannot be read: {error}")));
                break;
            }
            // A certificate further up that cannot be read is left to the verification.
            Err(_) => {}
        }
    }
    let names = std::iter::once(&ask.host).chain(&ask.names).cloned().collect::<Vec<_>>();
    let forged = recorder.forged();
    let shown =
        Shown { verifier: recorder.verifier(), chain, read: &read, host, names: &names, forged: forged.as_ref() };
    sight.faults.extend(shown.faults(now));
    sight.certificate = read.into_iter().next();
    let left = |leaf: &Certificate| (leaf.not_after - now).num_seconds().div_euclid(24 * 60 * 60);
    sight.days_left = sight.certificate.as_ref().map(left);
}

fn config(recorder: &Arc<Recorder>, alpn: &[String]) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(super::http::provider()).with_safe_default_protocol_versions()?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(recorder.clone()).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    // Every look is a first meeting: a resumed session shows no certificate.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}
