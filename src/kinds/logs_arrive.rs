//! `logs.arrive`: what the app writes arrives in CloudWatch Logs, proved by a marker that was sent through it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use reqwest::{Method, Url};
use serde_json::json;
use std::net::SocketAddr;

use super::{Bind, Kind, looking};
use crate::{
    base::{Class, Failure, clean_line, short_duration},
    plan::{Check, Cx, Doubt, Identity, Param, Params, Permission, Seen, Shape},
    services::{
        Services,
        aws::{LogFound, Patience, log_clock},
        http::Request,
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "logs.arrive",
    summary: "a marker sent through the app is found in CloudWatch Logs within a time",
    docs: "\
With `url`, a `GET` of it is sent with `{marker}` replaced by a new word (`gonogo-…`, from the attempt's token), once; then the groups are
searched with `FilterLogEvents` from the moment of sending on until the word is found. Green when at least `min` events hold it, in all groups
together, and the first look that finds them comes within `within` of the sending. Found later, or not at all: not green, and the next
look sends a new marker. The app has to write the query into its log; most write the request line.

With `marker` (a fixed text) or `pattern` (a filter pattern as CloudWatch Logs takes it) nothing is sent: green when at least `min` events of the last
`within` match.

`group` is one name or several; `prefix` is the beginning of the names of all groups that are searched. What is seen says the age of the newest
event and its stream. No event is never green, and neither is a search that has no end.

What hurts people: logs that go on arriving at the old side after the switch; a task definition without `logConfiguration`, or a role that may
not write (`logs:PutLogEvents`): the app runs and nobody hears it; a load balancer that answers from elsewhere.

Limits: `GET` only, so that a look changes nothing; redirects are not followed, and the status of the answer does not count (it is told). A marker is
searched as a quoted term, which finds it in text and in JSON. Log groups of the infrequent-access class cannot be filtered.

API: CloudWatch Logs `FilterLogEvents`, and for `prefix` `DescribeLogGroups`. Evidence: `marker`, `events`, `age_seconds`, `stream`.",
    params: PARAMS,
    doubt: Doubt::Read,
    needs: &["logs:DescribeLogGroups", "logs:FilterLogEvents", "sts:GetCallerIdentity"],
    example: include_str!("../../runbooks/kinds/logs.arrive.toml"),
    bind: Bind::Check(bind),
};

const PARAMS: &[Param] = &[
    Param { name: "group", shape: Shape::Texts, required: false, help: "log group, or several" },
    Param { name: "prefix", shape: Shape::Text, required: false, help: "or the beginning of the names of log groups" },
    Param {
        name: "url",
        shape: Shape::Text,
        required: false,
        help: "address that is asked for with a new marker in the place of {marker}",
    },
    Param {
        name: "connect_to",
        shape: Shape::Text,
        required: false,
        help: "ip or ip:port to send it to, instead of where the name points",
    },
    Param { name: "marker", shape: Shape::Text, required: false, help: "or a fixed text; nothing is sent" },
    Param { name: "pattern", shape: Shape::Text, required: false, help: "or a filter pattern; nothing is sent" },
    Param { name: "within", shape: Shape::Duration, required: false, help: "how late it may arrive; default: 60s" },
    Param { name: "min", shape: Shape::Count, required: false, help: "events that must be found; default: 1" },
];

const WITHIN: Duration = Duration::from_secs(60);
/// A request that carries a marker has to be answered within this.
const SEND: Duration = Duration::from_secs(15);
/// The clocks of who writes, who stores and who searches differ by seconds.
const SKEW: i64 = 10_000;
/// Where the marker goes.
const PLACE: &str = "{marker}";

/// What is looked for.
enum What {
    /// A new word at every sending.
    Sent { url: String, connect_to: Option<SocketAddr>, way: Mutex<Option<Sent>> },
    /// Always the same.
    Pattern(String),
}

/// A marker on its way.
#[derive(Clone)]
struct Sent {
    marker: String,
    /// As [`log_clock`].
    at: i64,
    status: u16,
}

struct Arrive {
    services: Arc<Services>,
    groups: Vec<String>,
    prefix: Option<String>,
    what: What,
    within: Duration,
    min: usize,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Check> {
    let groups = params.texts("group");
    let prefix = params.opt_text("prefix");
    if params.has("group") == params.has("prefix") {
        let place = if prefix.is_some() { params.place_of("prefix") } else { params.place() };
        params.mistake(place, "`logs.arrive` needs either `group` or `prefix`", "which logs are searched?", None);
    } else if params.has("group") && groups.iter().all(String::is_empty) {
        let place = params.place_of("group");
        params.mistake(place, "`group` names no log group", "empty", None);
    }
    let min = params.opt_count("min").unwrap_or(1);
    if min == 0 {
        let place = params.place_of("min");
        params.mistake(place, "`min` must be at least 1", "no event is never green", None);
    }
    Arc::new(Arrive {
        services: services.clone(),
        groups,
        prefix,
        what: what(params, services),
        within: params.opt_duration("within").unwrap_or(WITHIN),
        min: usize::try_from(min).unwrap_or(usize::MAX),
    })
}

fn what(params: &mut Params<'_>, services: &Arc<Services>) -> What {
    let (url, marker, pattern) = (params.opt_text("url"), params.opt_text("marker"), params.opt_text("pattern"));
    let given = [url.is_some(), marker.is_some(), pattern.is_some()].iter().filter(|given| **given).count();
    if given != 1 {
        let place = params.place();
        let message = "`logs.arrive` needs one of `url`, `marker` and `pattern`";
        params.mistake(place, message, "what is looked for?", None);
    }
    if params.has("connect_to") && url.is_none() {
        let place = params.place_of("connect_to");
        params.mistake(place, "`connect_to` needs `url`", "nothing is sent", None);
    }
    match (url, marker, pattern) {
        (Some(url), ..) => {
            let parsed = Url::parse(&url.replace(PLACE, "x")).ok().filter(|url| url.has_host());
            let web = parsed.filter(|url| matches!(url.scheme(), "http" | "https"));
            if web.is_none() || url.matches(PLACE).count() != 1 {
                let place = params.place_of("url");
                let message = format!("`url` must be a web address with one {PLACE}");
                params.mistake(place, message, "such as https://shop.example/healthz?m={marker}", None);
            }
            let port = web.as_ref().map_or(443, |url| services.http.port(url));
            let connect_to = params.addresses("connect_to", port).first().copied();
            What::Sent { url, connect_to, way: Mutex::new(None) }
        }
        (None, Some(marker), _) => {
            if marker.trim().is_empty() {
                let place = params.place_of("marker");
                params.mistake(place, "`marker` is empty", "every event would match", None);
            }
            What::Pattern(quoted(&marker))
        }
        (None, None, pattern) => What::Pattern(pattern.unwrap_or_default()),
    }
}

/// As a term that is found whole: anything but letters, digits and underscores has to be quoted ("Filter pattern
/// syntax").
fn quoted(marker: &str) -> String {
    format!("\"{}\"", marker.replace('\\', "\\\\").replace('"', "\\\""))
}

impl Arrive {
    /// The marker that is on its way; a new one is sent where there is none.
    async fn sent(
        &self,
        cx: &Cx,
        url: &str,
        to: Option<SocketAddr>,
        way: &Mutex<Option<Sent>>,
    ) -> Result<Sent, Failure> {
        let known = way.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(sent) = known {
            return Ok(sent);
        }
        let at = log_clock();
        // Criteria and watches have no token; the moment makes it new.
        let marker =
            format!("gonogo-{}{at:x}", cx.token.get(..12).map(|token| format!("{token}-")).unwrap_or_default());
        let address = url.replace(PLACE, &marker);
        let url = Url::parse(&address)
            .map_err(|e| Failure::new(Class::Misconfigured, "`url` is no address").because(e.to_string()))?;
        let timeout = SEND.min(cx.left().max(Duration::from_secs(1)));
        let request = Request::new(Method::GET, url, timeout);
        let reply = self.services.http.send(&request, to).await.map_err(|failure| {
            let message = clean_line(&format!("no marker could be sent: GET {address}: {}", failure.message), 600);
            Failure { class: Class::NotYet, message, ..failure }
        })?;
        let sent = Sent { marker, at, status: reply.status.as_u16() };
        cx.line(format!("sent {address}: {}", sent.status));
        *way.lock().unwrap_or_else(PoisonError::into_inner) = Some(sent.clone());
        Ok(sent)
    }

    async fn search(&self, cx: &Cx, pattern: &str, from: i64) -> Result<(usize, LogFound), Failure> {
        let patience = Patience::of(cx);
        let aws = &self.services.aws;
        let groups = match &self.prefix {
            Some(prefix) => aws.log_groups(prefix, &patience).await?,
            None => self.groups.clone(),
        };
        let mut all = LogFound::default();
        for group in &groups {
            let enough = self.min.saturating_sub(all.count).max(1);
            let found = aws.log_search(group, pattern, from, enough, &patience).await?;
            all.count += found.count;
            all.newest = all.newest.into_iter().chain(found.newest).max_by_key(|event| event.at);
            if all.count >= self.min {
                break;
            }
        }
        Ok((groups.len(), all))
    }

    async fn look(&self, cx: &Cx) -> Result<Seen, Failure> {
        match &self.what {
            What::Pattern(pattern) => {
                let from = log_clock() - millis(self.within);
                let (groups, found) = self.search(cx, pattern, from).await?;
                let what = if pattern.is_empty() { "any event" } else { pattern };
                self.judge(what, groups, found).map_err(|words| {
                    Failure::new(Class::NotYet, format!("{words} of the last {}", short_duration(self.within)))
                })
            }
            What::Sent { url, connect_to, way } => {
                let sent = self.sent(cx, url, *connect_to, way).await?;
                let (groups, found) = self.search(cx, &quoted(&sent.marker), sent.at - SKEW).await?;
                let took = Duration::from_millis(u64::try_from(log_clock() - sent.at).unwrap_or_default());
                let late = took > self.within;
                let judged = self.judge(&sent.marker, groups, found);
                if late || judged.is_ok() {
                    *way.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
                let (took, within) = (short_duration(took), short_duration(self.within));
                match judged {
                    Ok(seen) if !late => Ok(Seen { line: format!("{}, {took} after it was sent", seen.line), ..seen }),
                    Ok(_) => Err(Failure::new(
                        Class::NotYet,
                        format!("{} arrived, but {took} after it was sent; {within} are allowed", sent.marker),
                    )),
                    Err(words) => {
                        let words = format!("{words}, {took} after it was sent ({within} are allowed)");
                        let failure = Failure::new(Class::NotYet, words);
                        Err(failure.because(format!("the app answered {} to the request that carried it", sent.status)))
                    }
                }
            }
        }
    }

    /// What was found, or in words what is missing.
    fn judge(&self, what: &str, groups: usize, found: LogFound) -> Result<Seen, String> {
        let place = match (&self.prefix, self.groups.as_slice()) {
            (Some(prefix), _) => format!("{groups} groups {prefix}…"),
            (None, [only]) => only.clone(),
            (None, _) => format!("{groups} groups"),
        };
        let Some(newest) = found.newest.filter(|_| found.count >= self.min) else {
            let n = if found.count == 0 {
                "no event".to_owned()
            } else {
                format!("{} of {} events", found.count, self.min)
            };
            return Err(format!("{n} with {what} in {place}"));
        };
        let age = (log_clock() - newest.at).max(0) / 1000;
        let many = if found.count == 1 { "1 event".to_owned() } else { format!("{} events", found.count) };
        let line = format!("{many} with {what} in {place}, the newest {age} s old, in {}", newest.stream);
        let evidence = json!({ "marker": what, "events": found.count, "age_seconds": age, "stream": newest.stream });
        #[expect(clippy::cast_precision_loss, reason = "counts of events are small")]
        Ok(Seen::new(line).value(found.count as f64).with(evidence))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Check for Arrive {
    fn looks(&self) -> String {
        let place = self.prefix.as_ref().map_or_else(|| self.groups.join(", "), |prefix| format!("{prefix}…"));
        let within = short_duration(self.within);
        match &self.what {
            What::Sent { url, .. } => {
                format!("GET {url}, then CloudWatch Logs FilterLogEvents {place} expects the marker within {within}")
            }
            What::Pattern(pattern) => {
                format!("CloudWatch Logs FilterLogEvents {place} expects {pattern} in the last {within}")
            }
        }
    }

    fn needs(&self) -> Vec<Permission> {
        let aws = &self.services.aws;
        let search =
            |name: &str| Permission::new("logs:FilterLogEvents", aws.arn("logs", &format!("log-group:{name}:*")));
        match &self.prefix {
            Some(prefix) => vec![
                Permission::new("logs:DescribeLogGroups", aws.arn("logs", "log-group:*")),
                search(&format!("{prefix}*")),
            ],
            None => self.groups.iter().map(|group| search(group)).collect(),
        }
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        self.services.aws.fence()
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(looking(cx, self.look(cx)))
    }
}
