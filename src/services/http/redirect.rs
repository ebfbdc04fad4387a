//! Redirects: where they lead, what may follow them, and what must not travel along.

use std::net::SocketAddr;

use hyper::{
    HeaderMap, Method,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION},
};
use reqwest::Url;

use super::{Request, pool::Answer, reads};
use crate::base::{Class, Failure, clean_line};

/// Where an answer leads, if it is to be followed. What changes something is followed where the answer says "look
/// there" (303, and 301 and 302 as browsers take them), never where it says "send it there again" (307, 308).
pub(super) fn next(follows: bool, method: &Method, url: &Url, answer: &Answer) -> Result<Option<Url>, Failure> {
    let status = answer.status.as_u16();
    let moved = matches!(status, 301 | 302 | 303 | 307 | 308);
    let Some(location) = answer.headers.get(LOCATION).filter(|_| follows && moved) else { return Ok(None) };
    let shown = clean_line(&String::from_utf8_lossy(location.as_bytes()), 300);
    let refused = |why: &str| Failure::new(Class::Refused, format!("{} redirects to {shown}: {why}", place(url)));
    if matches!(status, 307 | 308) && !reads(method) {
        return Err(refused(&format!("{status} asks to send the {method} a second time")));
    }
    let text = std::str::from_utf8(location.as_bytes()).map_err(|_| refused("not an address"))?;
    let next = url.join(text).map_err(|_| refused("not an address"))?;
    match next.scheme() {
        "https" => Ok(Some(next)),
        "http" if url.scheme() == "http" => Ok(Some(next)),
        "http" => Err(refused("from https to http")),
        _ => Err(refused("neither http nor https")),
    }
}

/// The request that follows `asked`, to `next`: what changes something is followed by a GET without its body, and what
/// was meant for the first host only stays there, as does every body.
pub(super) fn onward(asked: &Request, next: Url) -> Request {
    let mut request = Request { url: next, ..asked.clone() };
    let elsewhere = origin(&asked.url) != origin(&request.url) || asked.url.scheme() != request.url.scheme();
    if elsewhere {
        without_secrets(&mut request.headers);
    }
    let changes = !matches!(request.method, Method::GET | Method::HEAD);
    if changes {
        request.method = Method::GET;
    }
    if changes || elsewhere {
        request.body = None;
        for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING] {
            request.headers.remove(name);
        }
    }
    request
}

fn without_secrets(headers: &mut HeaderMap) {
    let secret = |(name, value): (&HeaderName, &HeaderValue)| {
        let known = matches!(name.as_str(), "authorization" | "cookie" | "proxy-authorization" | "host");
        (value.is_sensitive() || known).then(|| name.clone())
    };
    for name in headers.iter().filter_map(secret).collect::<Vec<_>>() {
        headers.remove(name);
    }
}

/// Host and port, for comparison.
pub(super) fn origin(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

/// Host, and port where it is not the scheme's, as `Host` has it.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// `https://shop.acme.example:8443`, without what may be secret in a path or query.
#[must_use]
pub fn place(url: &Url) -> String {
    clean_line(&format!("{}://{}", url.scheme(), authority(url)), 200)
}

/// `203.0.113.9:443`, with what it was spoken in where that is not HTTP/1.1.
#[must_use]
pub fn spoken(address: SocketAddr, version: hyper::Version) -> String {
    if version == hyper::Version::HTTP_2 { format!("{address} by HTTP/2") } else { address.to_string() }
}
