//! One call of the API within its deadline.
//!
//! - 429: nothing was done; waited out as `Retry-After` says (60 s at most) while the deadline allows.
//! - 503 and broken connections: a read is repeated with growing waits; a change is not, because it may have happened.
//! - Every failure names the `Request-Id`, which is what Heroku's support asks for.

use std::time::Duration;

use reqwest::{
    Method, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, RANGE, RETRY_AFTER},
};
use serde_json::Value as Json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Connected, Heroku};
use crate::{
    base::{Class, Failure, clean_line},
    services::http,
};

/// Version 3 of the API.
const VERSION: &str = "application/vnd.heroku+json; version=3";
/// How long one request may take.
const ATTEMPT: Duration = Duration::from_secs(15);
/// The longest wait that `Retry-After` can ask for.
const WAIT: Duration = Duration::from_secs(60);
/// The first wait after a 503; it doubles.
const BACKOFF: Duration = Duration::from_millis(500);
/// How often a read is repeated.
const TRIES: u32 = 5;
/// Below this many requests left of the 4,500 an hour, reads slow down so that changes still get through.
const SPARE: u64 = 50;
/// How much of an answer is read.
const BODY: usize = 8 << 20;
/// How many pages a list may have.
const PAGES: usize = 50;

/// How long a call may take, and what ends it early.
pub struct Limits {
    /// When it must be over.
    pub deadline: Instant,
    /// Ends it at once.
    pub cancel: CancellationToken,
}

impl Limits {
    /// For a call outside an attempt: 30 s.
    #[must_use]
    pub fn short() -> Self {
        Self { deadline: Instant::now() + Duration::from_secs(30), cancel: CancellationToken::new() }
    }
}

/// A successful answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The body.
    pub json: Json,
    /// `Request-Id`; empty where there was none.
    pub request_id: String,
    /// `RateLimit-Remaining`.
    pub remaining: Option<u64>,
    /// `Next-Range` of a list that goes on.
    next: Option<String>,
}

impl Reply {
    /// The answer has not the shape that the schema promises.
    #[must_use]
    pub fn strange(&self, what: &str) -> Failure {
        Failure::new(Class::FailedNothingDone, format!("the answer to {what} is not what the API promises"))
            .because(format!("request id {}", self.request_id))
    }
}

impl Heroku {
    /// A list, all of its pages (`Range` and `Next-Range`, answered with 206).
    ///
    /// # Errors
    /// As [`Heroku::get`].
    pub async fn list(&self, path: &str, limits: &Limits) -> Result<Reply, Failure> {
        let mut reply = self.send(Method::GET, path, None, None, limits).await?;
        for _ in 0..PAGES {
            let Some(range) = reply.next.take() else { break };
            let more = self.send(Method::GET, path, None, Some(&range), limits).await?;
            if let (Some(all), Json::Array(more)) = (reply.json.as_array_mut(), more.json) {
                all.extend(more);
            }
            (reply.next, reply.remaining, reply.request_id) = (more.next, more.remaining, more.request_id);
        }
        Ok(reply)
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Json>,
        range: Option<&str>,
        limits: &Limits,
    ) -> Result<Reply, Failure> {
        let app = self.app()?;
        let what = format!("{method} /apps/{app}{path}");
        let connected = self.connected().await?;
        let reads = method == Method::GET;
        let mut wait = BACKOFF;
        for attempt in 1.. {
            if limits.cancel.is_cancelled() {
                return Err(Failure::new(Class::FailedNothingDone, format!("cancelled before {what} was sent")));
            }
            let until = limits.deadline.min(Instant::now() + ATTEMPT);
            let once = connected.once(&method, &what, body, range);
            let outcome = tokio::select! {
                biased;
                () = limits.cancel.cancelled() => Err(interrupted(reads, format!("cancelled while {what} was under way"))),
                done = tokio::time::timeout_at(until, once) => {
                    done.unwrap_or_else(|_| Err(interrupted(reads, format!("no answer to {what} in time"))))
                }
            };
            let trouble = match outcome {
                Ok(reply) => {
                    if reads && reply.remaining.is_some_and(|left| left < SPARE) {
                        pause(Duration::from_secs(1), limits).await;
                    }
                    return Ok(reply);
                }
                Err(trouble) => trouble,
            };
            let next = match trouble.again {
                Again::After(asked) => Some(asked.min(WAIT)),
                Again::Read if reads && attempt < TRIES => {
                    wait *= 2;
                    Some(wait / 2)
                }
                Again::Read | Again::Never => None,
            };
            let Some(next) = next.filter(|next| Instant::now() + *next < limits.deadline) else {
                return Err(trouble.failure);
            };
            if !pause(next, limits).await {
                return Err(trouble.failure);
            }
        }
        Err(Failure::new(Class::FailedNothingDone, "not reached: the loop ends by returning"))
    }
}

/// Whether, and when, a failed call is sent again.
enum Again {
    Never,
    /// Where it only reads.
    Read,
    /// In any case: it was turned away.
    After(Duration),
}

struct Trouble {
    failure: Failure,
    again: Again,
}

fn interrupted(reads: bool, message: String) -> Trouble {
    let class = if reads { Class::FailedNothingDone } else { Class::Unknown };
    Trouble { failure: Failure::new(class, message), again: Again::Read }
}

/// False where it was cut short.
async fn pause(wait: Duration, limits: &Limits) -> bool {
    tokio::select! {
        () = limits.cancel.cancelled() => false,
        () = tokio::time::sleep_until((Instant::now() + wait).min(limits.deadline)) => true,
    }
}

impl Connected {
    async fn once(
        &self,
        method: &Method,
        what: &str,
        body: Option<&Json>,
        range: Option<&str>,
    ) -> Result<Reply, Trouble> {
        let path = what.split_once(' ').map_or(what, |(_, path)| path);
        let never = |failure| Trouble { failure, again: Again::Never };
        let url = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        let mut request =
            self.client.request(method.clone(), url).header(ACCEPT, VERSION).bearer_auth(self.token.expose());
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        if let Some(range) = range {
            request = request.header(RANGE, range);
        }
        let mut response = request.send().await.map_err(|e| broken(&e, what, method))?;
        let status = response.status();
        let header = |headers: &HeaderMap, name: &str| {
            headers.get(name).map(|value| clean_line(&String::from_utf8_lossy(value.as_bytes()), 200))
        };
        let headers = response.headers().clone();
        let request_id = header(&headers, "request-id").unwrap_or_default();
        let remaining = header(&headers, "ratelimit-remaining").and_then(|text| text.parse().ok());
        let bytes = read(&mut response).await.map_err(|e| broken(&e, what, method))?;
        let json = serde_json::from_slice::<Json>(&bytes).unwrap_or_default();
        if status.is_success() {
            if json.is_null() {
                let class = if *method == Method::GET { Class::FailedNothingDone } else { Class::Unknown };
                let failure = Failure::new(class, format!("{what} was answered {status} without JSON"));
                return Err(never(failure.because(format!("request id {request_id}"))));
            }
            let next = header(&headers, "next-range").filter(|_| status == StatusCode::PARTIAL_CONTENT);
            return Ok(Reply { json, request_id, remaining, next });
        }
        let said =
            |key: &str| json.get(key).and_then(Json::as_str).map(|text| clean_line(text, 300)).unwrap_or_default();
        let class = class(status, method);
        let mut failure = Failure::new(class, format!("{what} was answered {status}"));
        if !said("message").is_empty() {
            failure = failure.because(format!("{}: {}", said("id"), said("message")));
        }
        if !request_id.is_empty() {
            failure = failure.because(format!("request id {request_id}"));
        }
        if let Some(hint) = hint(status) {
            failure = failure.hint(hint);
        }
        let again = match status {
            StatusCode::TOO_MANY_REQUESTS => {
                let asked = header(&headers, RETRY_AFTER.as_str()).and_then(|text| text.parse().ok()).unwrap_or(1);
                Again::After(Duration::from_secs(asked))
            }
            _ if status.is_server_error() => Again::Read,
            _ => Again::Never,
        };
        Err(Trouble { failure, again })
    }
}

async fn read(response: &mut Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > BODY {
            break;
        }
    }
    Ok(bytes)
}

fn broken(error: &reqwest::Error, what: &str, method: &Method) -> Trouble {
    let proof = error.is_connect() || error.is_builder() || *method == Method::GET;
    let class = if proof { Class::FailedNothingDone } else { Class::Unknown };
    Trouble { failure: Failure::new(class, format!("{what}: {}", http::cause(error))), again: Again::Read }
}

/// What a status proves. A change that was turned away by a 4xx did nothing; a 5xx may come from a
/// router that gave up waiting for a change that went on.
fn class(status: StatusCode, method: &Method) -> Class {
    match status.as_u16() {
        401 | 403 => Class::Denied,
        404 => Class::Misconfigured,
        408 if method != Method::GET => Class::Unknown,
        408 | 409 | 429 => Class::FailedNothingDone,
        300..=499 => Class::Refused,
        _ if method == Method::GET => Class::FailedNothingDone,
        _ => Class::Unknown,
    }
}

fn hint(status: StatusCode) -> Option<&'static str> {
    match status.as_u16() {
        401 => Some("the token is missing, wrong or expired: `heroku auth:whoami` shows whose it is"),
        403 => Some("this account may not do that to the app: the owner can give `deploy` and `operate`"),
        404 => Some("does the app exist under this name, and may this account see it?"),
        429 => Some("the hourly limit of the account is used up; it comes back at 75 requests a minute"),
        _ => None,
    }
}
