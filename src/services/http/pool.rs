//! Which connection a request goes over, and the request itself: one try, and a second one only where
//! the first is known not to have been sent.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use http_body_util::BodyExt as _;
use hyper::{
    HeaderMap, Method, Response, StatusCode, Uri, Version,
    body::{Body as _, Bytes, Incoming},
    header::{ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderName, HeaderValue, USER_AGENT},
};
use reqwest::Url;
use rustls::{ClientConfig, pki_types::ServerName};

use super::{
    BODY, Family, Line, Request,
    connect::{self, Connection, HEADERS, Sender},
    reads, reason,
    redirect::{authority, origin},
    tls,
    upload::Upload,
};
use crate::base::{Class, Failure};

/// What hyper says of a head that it does not read to its end.
const TOO_LARGE: &str = "message head is too large";
/// What is sent unless the author says otherwise.
const DEFAULTS: [(HeaderName, &str); 3] = [
    (USER_AGENT, concat!("gonogo/", env!("CARGO_PKG_VERSION"))),
    (ACCEPT, "*/*"),
    // What is compared are the bytes of the answer; without this header any coding would be allowed.
    (ACCEPT_ENCODING, "identity"),
];

/// Connections that wait for the next request, by origin.
#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<HashMap<String, Vec<Connection>>>,
}

/// Why there is no answer.
pub(super) enum Trouble {
    /// Told already.
    Told(Failure),
    /// No byte of the request was sent.
    NotSent(String),
    /// It may have arrived.
    Broke(String),
}

/// One answer.
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub size: usize,
    pub ended: bool,
    /// False where it came before the request was sent to its end.
    pub whole: bool,
    /// When the last of it was read.
    pub at: Instant,
    pub address: SocketAddr,
    pub version: Version,
}

/// A request as it stands after the redirects so far.
pub(super) struct Wants<'a> {
    pub asked: &'a Request,
    /// What the jar sends along.
    pub cookies: Option<HeaderValue>,
    /// Connect there.
    pub aimed: Option<SocketAddr>,
}

impl Line<'_> {
    /// Sends it over a connection that is kept, or over a new one.
    pub(super) async fn ask(&self, wants: &Wants<'_>, sent: &AtomicBool) -> Result<Answer, Trouble> {
        // Somebody else's connection to the same name at another address is not ours.
        let url = &wants.asked.url;
        let key = self.dial.keep.then(|| format!("{}:{}{:?}", url.scheme(), origin(url), wants.aimed));
        let mut kept = key.as_ref().and_then(|key| self.pool.take(key));
        loop {
            let fresh = kept.is_none();
            let mut connection = match kept.take() {
                Some(kept) => kept,
                None => self.open(wants).await?,
            };
            sent.store(true, Ordering::Relaxed);
            match over(&mut connection, wants, self.dial.keep).await {
                Ok((response, taken)) => {
                    let mut answer = read(response, &mut connection, wants.asked.most).await?;
                    answer.whole = taken.is_none_or(|taken| taken.load(Ordering::Relaxed))
                        && !connection.behind.load(Ordering::Relaxed);
                    // What follows would have to wait for the rest of this request.
                    if let Some(key) = key
                        && answer.ended
                        && answer.whole
                    {
                        self.pool.put(key, connection).await;
                    }
                    return Ok(answer);
                }
                // A kept connection that the server has closed meanwhile: nothing was sent over it.
                Err(Trouble::NotSent(_)) if !fresh => sent.store(false, Ordering::Relaxed),
                // It was closed while the request was on its way: what only reads may be asked again (RFC 9110, 9.2.2).
                Err(Trouble::Broke(_)) if !fresh && reads(&wants.asked.method) => {}
                Err(trouble) => return Err(trouble),
            }
        }
    }

    async fn open(&self, wants: &Wants<'_>) -> Result<Connection, Trouble> {
        let url = &wants.asked.url;
        let addresses = match wants.aimed {
            Some(address) => {
                self.http.stays_inside(address).map_err(Trouble::Told)?;
                vec![address]
            }
            None => self.http.addresses(url).await.map_err(Trouble::Told)?,
        };
        let fits = |address: &SocketAddr| match self.dial.family {
            Family::Any => true,
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        };
        let fitting = addresses.iter().copied().filter(fits).collect::<Vec<_>>();
        if fitting.is_empty() {
            let family = if self.dial.family == Family::V4 { "IPv4" } else { "IPv6" };
            let host = url.host_str().unwrap_or_default();
            return Err(Trouble::Told(Failure::new(
                Class::FailedNothingDone,
                format!("{host} has no {family} address"),
            )));
        }
        let tls = if url.scheme() == "https" { Some(self.tls(url).map_err(Trouble::Told)?) } else { None };
        connect::connect(&fitting, tls, &self.dial).await.map_err(Trouble::NotSent)
    }

    fn tls(&self, url: &Url) -> Result<(Arc<ClientConfig>, ServerName<'static>), Failure> {
        let config = match self.dial.made.get() {
            Some(config) => config.clone(),
            None => {
                let made = Arc::new(tls::config(&self.http.env, &self.dial)?);
                self.dial.made.get_or_init(|| made).clone()
            }
        };
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            Failure::new(Class::Misconfigured, format!("{host} is no name that a certificate can be for"))
        })?;
        Ok((config, name))
    }
}

impl Pool {
    fn take(&self, key: &str) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = idle.get_mut(key)?;
        while let Some(connection) = waiting.pop() {
            let alive = match &connection.sender {
                Sender::One(sender) => sender.is_ready(),
                Sender::Two(sender) => !sender.is_closed(),
            };
            if alive {
                return Some(connection);
            }
        }
        None
    }

    async fn put(&self, key: String, mut connection: Connection) {
        // HTTP/1.1: the answer was read to its end, so the connection is about to be free, or is closing.
        if let Sender::One(sender) = &mut connection.sender
            && connection.carrier.bring(sender.ready()).await.is_err()
        {
            return;
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().push(connection);
    }
}

/// Becomes true once the whole body was taken; nothing where there is none.
type Taken = Option<Arc<AtomicBool>>;

/// Sends it, and waits for the head of the answer. `keep`: another request is to follow over the same connection.
async fn over(
    connection: &mut Connection,
    wants: &Wants<'_>,
    keep: bool,
) -> Result<(Response<Incoming>, Taken), Trouble> {
    let (request, taken) = request(&connection.sender, wants, keep)?;
    let Connection { sender, carrier, .. } = connection;
    let answer = match sender {
        Sender::One(sender) => carrier.bring(sender.try_send_request(request)).await,
        Sender::Two(sender) => carrier.bring(sender.try_send_request(request)).await,
    };
    answer.map(|response| (response, taken)).map_err(|mut e| {
        let sent = e.take_message().is_none();
        let why = match reason(e.error()) {
            // hyper says so of too many headers too.
            why if why == TOO_LARGE => format!("{why}, or it has more than {HEADERS} headers"),
            why => why,
        };
        if sent { Trouble::Broke(why) } else { Trouble::NotSent(why) }
    })
}

fn request(sender: &Sender, wants: &Wants<'_>, keep: bool) -> Result<(hyper::Request<Upload>, Taken), Trouble> {
    let bad = |what: String| Trouble::Told(Failure::new(Class::Misconfigured, what));
    let Wants { asked: Request { url, body, .. }, cookies, .. } = wants;
    let mut headers = wants.asked.headers.clone();
    if let Some(cookies) = cookies {
        headers.insert(COOKIE, cookies.clone());
    }
    // Said even of nothing where a body is usual (RFC 9110, section 8.6): some servers insist.
    if body.is_none() && matches!(wants.asked.method, Method::POST | Method::PUT | Method::PATCH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    for (name, value) in DEFAULTS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let path = format!("{}{query}", url.path());
    let target = match sender {
        Sender::One(_) => {
            if !headers.contains_key(HOST) {
                let host = HeaderValue::from_str(&authority(url));
                headers.insert(HOST, host.map_err(|_| bad("the url's host cannot stand in a header".into()))?);
            }
            // Whoever will not ask again says so (RFC 9112, section 9.6), and the server need not wait for it. Not with
            // a body: a server that answers early and then closes may take its answer back with it.
            if !keep && body.is_none() {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            path
        }
        // HTTP/2 has `:authority` instead; both would contradict each other.
        Sender::Two(_) => {
            let host = headers.remove(HOST).and_then(|host| host.to_str().map(str::to_owned).ok());
            for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
                headers.remove(name);
            }
            format!("{}://{}{path}", url.scheme(), host.unwrap_or_else(|| authority(url)))
        }
    };
    let target = target.parse::<Uri>().map_err(|e| bad(format!("the url cannot be sent: {e}")))?;
    let (body, taken) = Upload::new(body.clone());
    let mut request = hyper::Request::new(body);
    (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (wants.asked.method.clone(), target, headers);
    Ok((request, taken))
}

/// Reads an answer up to [`BODY`], and keeps the first part of it.
async fn read(response: Response<Incoming>, connection: &mut Connection, most: usize) -> Result<Answer, Trouble> {
    let (parts, mut incoming) = response.into_parts();
    let (mut body, mut size, mut ended) = (Vec::new(), 0, true);
    // Most answers come in one piece, which need not be copied.
    let mut only = Bytes::new();
    while let Some(frame) = connection.carrier.bring(incoming.frame()).await {
        let frame = frame.map_err(|e| Trouble::Broke(reason(&e)))?;
        let Ok(piece) = frame.into_data() else { continue };
        if size == 0 && piece.len() <= most {
            size = piece.len();
            only = piece;
            continue;
        }
        if body.is_empty() {
            body.extend_from_slice(&std::mem::take(&mut only));
        }
        let room = most.saturating_sub(body.len());
        body.extend_from_slice(piece.get(..room).unwrap_or(&piece));
        size += piece.len();
        if size > BODY {
            (size, ended) = (BODY, false);
            break;
        }
    }
    // HTTP/2 may end a stream by a reset that blames nobody; the answer is whole only where it says so itself.
    if ended && parts.version == Version::HTTP_2 && !incoming.is_end_stream() {
        return Err(Trouble::Broke("the stream was reset before the answer was whole".into()));
    }
    let body = if body.is_empty() { only } else { body.into() };
    let address = connection.address;
    let (status, headers, version) = (parts.status, parts.headers, parts.version);
    Ok(Answer { status, headers, body, size, ended, whole: true, at: Instant::now(), address, version })
}
