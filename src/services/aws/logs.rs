//! CloudWatch Logs, read: the end of a stream, a search over a group, groups by the beginning of their names.
//!
//! Relied on (CloudWatch Logs API reference): `FilterLogEvents` may answer an empty page with a `nextToken`, and the
//! search is over only where there is none; `GetLogEvents` is at the end where the token is the one that was sent.

use serde_json::{Value as Json, json};

use super::{
    Aws, Patience,
    call::Call,
    session::{Place, Service},
};
use crate::base::{Class, Failure};

const LOGS: Service<'_> = Service::new("CloudWatch Logs", "logs", "CloudWatch Logs", "");
const TAIL: Call<'_> = Call::reads(LOGS.name, "GetLogEvents", "logs:GetLogEvents");
const SEARCH: Call<'_> = Call::reads(LOGS.name, "FilterLogEvents", "logs:FilterLogEvents");
const GROUPS: Call<'_> = Call::reads(LOGS.name, "DescribeLogGroups", "logs:DescribeLogGroups");
/// Pages of a search: each looks through about a megabyte, and has an end all the same.
const PAGES: usize = 200;
/// Pages of the end of a stream: an empty one does not mean that there is nothing before it.
const TAIL_PAGES: usize = 4;

/// Something that was written to a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEvent {
    /// Milliseconds since 1970, by the writer's clock.
    pub at: i64,
    /// When CloudWatch had it, as before; 0 where it does not say.
    pub arrived: i64,
    /// Its text.
    pub message: String,
    /// The stream that it is in; empty where the answer does not say.
    pub stream: String,
}

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFound {
    /// How many.
    pub count: usize,
    /// The newest of them.
    pub newest: Option<LogEvent>,
}

impl Aws {
    /// The last events of a stream, oldest first; `region`: another one than the environment's.
    ///
    /// # Errors
    /// `Misconfigured` where group or stream is not there, `Denied`, `FailedNothingDone`.
    pub async fn log_tail(
        &self,
        (group, stream): (&str, &str),
        region: Option<&str>,
        lines: usize,
        patience: &Patience,
    ) -> Result<Vec<LogEvent>, Failure> {
        let place = region.map_or(Place::Here, Place::Region);
        let service = Service { place, ..LOGS };
        let (mut events, mut token) = (Vec::new(), None::<String>);
        for _ in 0..TAIL_PAGES {
            let mut body =
                json!({ "logGroupName": group, "logStreamName": stream, "limit": lines, "startFromHead": false });
            if let Some(token) = &token {
                body["nextToken"] = json!(token);
            }
            let answer = self.json(&service, &TAIL, "Logs_20140328.GetLogEvents", &body, patience).await?;
            let mut page = events_of(&answer);
            page.append(&mut events);
            events = page;
            let back = answer.get("nextBackwardToken").and_then(Json::as_str).map(ToOwned::to_owned);
            if events.len() >= lines || back.is_none() || back == token {
                break;
            }
            token = back;
        }
        events.sort_by_key(|event| event.at);
        Ok(events.split_off(events.len().saturating_sub(lines)))
    }

    /// Counts the events of a group that match a filter pattern (all of them where it is empty), from a moment on in
    /// milliseconds since 1970; the search ends where `enough` were found.
    ///
    /// # Errors
    /// `Misconfigured` where there is no such group or the pattern is none; `FailedNothingDone` ("no data") where
    /// the search has no end.
    pub async fn log_search(
        &self,
        group: &str,
        pattern: &str,
        from: i64,
        enough: usize,
        patience: &Patience,
    ) -> Result<LogFound, Failure> {
        let mut found = LogFound::default();
        let mut token = None::<String>;
        for _ in 0..PAGES {
            let mut body = json!({ "logGroupName": group, "startTime": from.max(0) });
            if !pattern.is_empty() {
                body["filterPattern"] = json!(pattern);
            }
            if let Some(token) = &token {
                body["nextToken"] = json!(token);
            }
            let answer = self.json(&LOGS, &SEARCH, "Logs_20140328.FilterLogEvents", &body, patience).await?;
            let events = events_of(&answer);
            found.count += events.len();
            let newest = events.into_iter().chain(found.newest.take()).max_by_key(|event| event.at);
            found.newest = newest;
            token = answer.get("nextToken").and_then(Json::as_str).map(ToOwned::to_owned);
            if token.is_none() || found.count >= enough {
                return Ok(found);
            }
        }
        let words = format!("no data: the search in {group} has more than {PAGES} pages");
        Err(Failure::new(Class::FailedNothingDone, words).hint("search a shorter time, or a smaller log group"))
    }

    /// The groups whose names begin so.
    ///
    /// # Errors
    /// `Misconfigured` where there is none.
    pub async fn log_groups(&self, prefix: &str, patience: &Patience) -> Result<Vec<String>, Failure> {
        let (mut names, mut token) = (Vec::new(), None::<String>);
        for _ in 0..PAGES {
            let mut body = json!({ "logGroupNamePrefix": prefix });
            if let Some(token) = &token {
                body["nextToken"] = json!(token);
            }
            let answer = self.json(&LOGS, &GROUPS, "Logs_20140328.DescribeLogGroups", &body, patience).await?;
            let groups = answer.get("logGroups").and_then(Json::as_array).into_iter().flatten();
            names.extend(groups.filter_map(|group| group.get("logGroupName")?.as_str().map(ToOwned::to_owned)));
            token = answer.get("nextToken").and_then(Json::as_str).map(ToOwned::to_owned);
            if token.is_none() {
                let none = || Failure::new(Class::Misconfigured, format!("no log group begins with {prefix}"));
                return if names.is_empty() { Err(none()) } else { Ok(names) };
            }
        }
        Err(Failure::new(Class::FailedNothingDone, format!("no data: more than {PAGES} pages of log groups")))
    }
}

fn events_of(answer: &Json) -> Vec<LogEvent> {
    let events = answer.get("events").and_then(Json::as_array).into_iter().flatten();
    let text = |event: &Json, key: &str| event.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
    let number = |event: &Json, key: &str| event.get(key).and_then(Json::as_i64).unwrap_or_default();
    events
        .map(|event| LogEvent {
            at: number(event, "timestamp"),
            arrived: number(event, "ingestionTime"),
            message: text(event, "message"),
            stream: text(event, "logStreamName"),
        })
        .collect()
}

/// Milliseconds since 1970, as CloudWatch Logs counts.
#[must_use]
pub fn log_clock() -> i64 {
    super::now().timestamp_millis()
}
