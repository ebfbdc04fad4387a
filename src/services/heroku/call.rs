//! One call of the API within its deadline.
//!
//! - 429: nothing was done; waited out as `Retry-After` says, for a minute at most, while the deadline allows. Then it
//!   is told, and a person decides.
//! - 503 and broken connections: a read is repeated with growing waits; a change is not, because it may have happened.
//! - The account's hourly limit belongs to everybody who uses it: where little is left, reads slow down so that it
//!   grows again and changes still get through.
//! - Every failure names the `Request-Id`, which is what Heroku's support asks for.

use std::{sync::atomic::Ordering, time::Duration};

use reqwest::{
    Method, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, RANGE},
};
use serde_json::Value as Json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Connected, Heroku, refused};
use crate::{
    base::{Class, Failure},
    services::http,
};

/// Version 3 of the API.
const VERSION: &str = "application/vnd.heroku+json; version=3";
/// How long one request may take.
const ATTEMPT: Duration = Duration::from_secs(15);
/// The longest time that one call waits because it was turned away, whatever `Retry-After` asks for.
const WAIT: Duration = Duration::from_secs(60);
/// The shortest: `Retry-After: 0` must not become a loop.
const WAIT_LEAST: Duration = Duration::from_secs(1);
/// The first wait after a 503; it doubles.
const BACKOFF: Duration = Duration::from_millis(500);
/// How often a read is repeated.
const TRIES: u32 = 5;
/// Requests left of the 4,500 an hour, and how long every read waits below that. 75 come back in a minute: at 30 a
/// minute the number grows again, at 6 nearly everything is left to changes.
const SPARE: [(u64, Duration); 2] = [(50, Duration::from_secs(10)), (500, Duration::from_secs(2))];
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
            let Some(range) = reply.next.take() else { return Ok(reply) };
            let more = self.send(Method::GET, path, None, Some(&range), limits).await?;
            let (Json::Array(all), Json::Array(page)) = (&mut reply.json, &more.json) else {
                return Err(more.strange(&format!("GET /apps/{{app}}{path}")));
            };
            all.extend_from_slice(page);
            (reply.next, reply.remaining, reply.request_id) = (more.next, more.remaining, more.request_id);
        }
        // Half a list must not pass for the whole.
        Err(Failure::new(Class::FailedNothingDone, format!("the list {path} has more than {PAGES} pages")))
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Json>,
        range: Option<&str>,
        limits: &Limits,
    ) -> Result<Reply, Failure> {
        self.sent(method, path, body, range, limits).await.map_err(|trouble| trouble.failure)
    }

    /// A read of something that need not be there; `None` on 404.
    pub(super) async fn find(&self, path: &str, limits: &Limits) -> Result<Option<Reply>, Failure> {
        match self.sent(Method::GET, path, None, None, limits).await {
            Ok(reply) => Ok(Some(reply)),
            Err(trouble) if trouble.again == Again::NotFound => Ok(None),
            Err(trouble) => Err(trouble.failure),
        }
    }

    async fn sent(
        &self,
        method: Method,
        path: &str,
        body: Option<&Json>,
        range: Option<&str>,
        limits: &Limits,
    ) -> Result<Reply, Trouble> {
        let never = |failure| Trouble { failure, again: Again::Never };
        let app = self.app().map_err(never)?;
        let what = format!("{method} /apps/{app}{path}");
        let connected = self.connected().await.map_err(never)?;
        let reads = method == Method::GET;
        let (mut wait, mut turned_away) = (BACKOFF, Duration::ZERO);
        if reads {
            connected.spare(limits).await;
        }
        for attempt in 1.. {
            if limits.cancel.is_cancelled() {
                let message = format!("cancelled before {what} was sent");
                return Err(never(Failure::new(Class::FailedNothingDone, message)));
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
                Ok(reply) => return Ok(reply),
                Err(trouble) => trouble,
            };
            let backoff = wait;
            wait *= 2;
            let next = match trouble.again {
                Again::After(asked) => {
                    let pause = asked.unwrap_or(backoff).clamp(WAIT_LEAST, WAIT);
                    turned_away += pause;
                    (turned_away <= WAIT).then_some(pause)
                }
                Again::Read(asked) if reads && attempt < TRIES => Some(asked.unwrap_or_default().clamp(backoff, WAIT)),
                Again::Read(_) | Again::Never | Again::NotFound => None,
            };
            let next = next.filter(|next| Instant::now() + *next < limits.deadline);
            let Some(next) = next else { return Err(trouble) };
            if !pause(next, limits).await {
                return Err(trouble);
            }
        }
        Err(never(Failure::new(Class::FailedNothingDone, "not reached: the loop ends by returning")))
    }
}

/// Whether, and when, a failed call is sent again.
#[derive(Debug, PartialEq, Eq)]
enum Again {
    Never,
    /// Never: it is not there.
    NotFound,
    /// Where it only reads, and when the other side asks for it.
    Read(Option<Duration>),
    /// In any case: it was turned away.
    After(Option<Duration>),
}

struct Trouble {
    failure: Failure,
    again: Again,
}

fn interrupted(reads: bool, message: String) -> Trouble {
    let class = if reads { Class::FailedNothingDone } else { Class::Unknown };
    Trouble { failure: Failure::new(class, message), again: Again::Read(None) }
}

/// False where it was cut short.
async fn pause(wait: Duration, limits: &Limits) -> bool {
    tokio::select! {
        () = limits.cancel.cancelled() => false,
        () = tokio::time::sleep_until((Instant::now() + wait).min(limits.deadline)) => true,
    }
}

impl Connected {
    /// Waits before a read where little of the hourly limit is left, unless there is no time for that.
    async fn spare(&self, limits: &Limits) {
        let left = self.remaining.load(Ordering::Relaxed);
        let wait = SPARE.iter().find(|(below, _)| left < *below).map(|(_, wait)| *wait);
        if let Some(wait) = wait.filter(|wait| Instant::now() + *wait + ATTEMPT < limits.deadline) {
            pause(wait, limits).await;
        }
    }

    async fn once(
        &self,
        method: &Method,
        what: &str,
        body: Option<&Json>,
        range: Option<&str>,
    ) -> Result<Reply, Trouble> {
        let path = what.split_once(' ').map_or(what, |(_, path)| path);
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
        let headers = response.headers().clone();
        let request_id = refused::text(&headers, "request-id");
        let remaining = refused::text(&headers, "ratelimit-remaining").parse().ok();
        if let Some(left) = remaining {
            self.remaining.store(left, Ordering::Relaxed);
        }
        let bytes = read(&mut response).await.map_err(|e| broken(&e, what, method))?;
        let json = serde_json::from_slice::<Json>(&bytes).unwrap_or_default();
        if status.is_success() {
            if json.is_null() {
                let class = if *method == Method::GET { Class::FailedNothingDone } else { Class::Unknown };
                let kind = refused::kind(&headers);
                let why = if bytes.len() > BODY { "more than 8 MiB" } else { &kind };
                let failure = Failure::new(class, format!("{what} was answered {status} with {why}"));
                let failure = failure.because(format!("request id {request_id}"));
                return Err(Trouble { failure, again: Again::Never });
            }
            let next = Some(refused::text(&headers, "next-range"));
            let next = next.filter(|next| status == StatusCode::PARTIAL_CONTENT && !next.is_empty());
            return Ok(Reply { json, request_id, remaining, next });
        }
        let failure = refused::failure(what, method, status, &headers, &json);
        let again = match status {
            StatusCode::TOO_MANY_REQUESTS => Again::After(http::retry_after(&headers)),
            StatusCode::NOT_FOUND => Again::NotFound,
            _ if status.is_server_error() => Again::Read(http::retry_after(&headers)),
            _ => Again::Never,
        };
        Err(Trouble { failure, again })
    }
}

async fn read(response: &mut Response) -> Result<zeroize::Zeroizing<Vec<u8>>, reqwest::Error> {
    // Config vars are among the answers.
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
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
    Trouble { failure: Failure::new(class, format!("{what}: {}", http::cause(error))), again: Again::Read(None) }
}
