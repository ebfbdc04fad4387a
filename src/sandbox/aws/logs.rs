//! CloudWatch Logs, awsJson 1.1: what the tasks' containers wrote, read off their lives, and what the new origin
//! was asked. Read only. Pages as AWS's are: a search may answer an empty one with a token.

use std::collections::{BTreeSet, VecDeque};

use serde_json::{Value, json};

use super::{
    No,
    ecs::{Definition, Task},
    text,
};
use crate::sandbox::world::{Moment, World, after};

/// From writing a line to finding it, in milliseconds.
const DELIVERY: i64 = 800;
/// Lines that one page of a search looks at: few, so that a search has empty pages.
const SCAN: usize = 40;
/// Most of everything that is asked for at once.
const MOST: u64 = 10_000;
/// Groups and streams on a page at most.
const NAMES: u64 = 50;
/// Lines of the new origin that are kept.
const ACCESS: usize = 1000;

/// What the new origin was asked: when, by which task it was answered, the line. It ends with the process.
pub(in crate::sandbox) type Access = VecDeque<(Moment, String, String)>;

/// The new origin writes the requests that it answers into its log, as most apps do.
pub(in crate::sandbox) fn access(world: &mut World, line: String, now: Moment) {
    let group = format!("service:{}", world.names.web);
    let task = world.ecs.tasks.iter().find(|task| task.group == group && task.is_healthy(now));
    let Some(task) = task.map(|task| task.id.clone()) else { return };
    if world.live.access.len() == ACCESS {
        world.live.access.pop_front();
    }
    world.live.access.push_back((now, task, line));
}

/// A line of a log.
struct Line {
    group: String,
    stream: String,
    at: Moment,
    text: String,
}

/// Group and stream of a task's first container, where its definition has some.
fn place(definition: &Definition, task: &Task) -> Option<(String, String)> {
    let container = &definition.body["containerDefinitions"][0];
    let config = &container["logConfiguration"];
    if text(config, "logDriver") != "awslogs" {
        return None;
    }
    let option = |name: &str| config["options"][name].as_str();
    let stream = format!("{}/{}/{}", option("awslogs-stream-prefix")?, text(container, "name"), task.id);
    Some((option("awslogs-group")?.to_owned(), stream))
}

/// What a task's container wrote, by what became of it.
fn written(definition: &Definition, task: &Task) -> Vec<(Moment, String)> {
    let Some(running) = task.running_at else { return Vec::new() };
    let (_, image) = definition.container();
    let mut lines = vec![(running, format!("=> booting {image}"))];
    let mut say = |at: Moment, text: &str| lines.push((at, text.to_owned()));
    let serves = task.healthy_at.is_some();
    if serves {
        let port = definition.body["containerDefinitions"][0]["portMappings"][0]["containerPort"].as_u64();
        match port {
            Some(port) => say(after(running, 150), &format!("listening on http://0.0.0.0:{port}")),
            None => say(after(running, 150), "worker ready, 5 threads"),
        }
    }
    let Some(end) = &task.end else { return lines };
    match (end.exit, &end.container) {
        (Some(0), _) if !serves => {
            say(after(running, 100), "== 20261205093000 AddShippedAtToOrders: migrating");
            say(after(end.from, -100), "== 20261205093000 AddShippedAtToOrders: migrated (0.4210s)");
        }
        (Some(code), Some(_)) => {
            say(after(running, 100), "bin/boot:14:in 'fetch': key not found: \"REDIS_TLS_URL\" (KeyError)");
            say(after(running, 110), "  config/initializers/redis.rb:3:in '<top (required)>'");
            say(end.from, &format!("=> exiting with {code}"));
        }
        (Some(143), _) => say(end.from, "SIGTERM received, draining"),
        (Some(code), None) => {
            say(after(running, 100), "rails aborted!");
            say(after(running, 110), "PG::LockNotAvailable: ERROR:  canceling statement due to lock timeout");
            say(end.from, &format!("=> exiting with {code}"));
        }
        _ => {}
    }
    lines
}

/// Every line that has been delivered by `now`, oldest first.
fn lines(world: &World, now: Moment) -> Vec<Line> {
    let mut lines = Vec::new();
    for task in &world.ecs.tasks {
        let own = |it: &&Definition| it.family == task.family && it.revision == task.revision;
        let Some(definition) = world.ecs.definitions.iter().find(own) else { continue };
        let Some((group, stream)) = place(definition, task) else { continue };
        let asked = world.live.access.iter().filter(|(_, id, _)| *id == task.id);
        let asked = asked.map(|(at, _, line)| (*at, line.clone()));
        for (at, text) in written(definition, task).into_iter().chain(asked) {
            lines.push(Line { group: group.clone(), stream: stream.clone(), at, text });
        }
    }
    lines.retain(|line| after(line.at, DELIVERY) <= now);
    lines.sort_by(|a, b| (a.at, &a.stream).cmp(&(b.at, &b.stream)));
    lines
}

/// The groups that there are: every one that a task definition names.
fn groups(world: &World) -> BTreeSet<String> {
    let options = |it: &Definition| {
        it.body["containerDefinitions"][0]["logConfiguration"]["options"]["awslogs-group"].as_str().map(str::to_owned)
    };
    world.ecs.definitions.iter().filter_map(options).collect()
}

fn group_arn(world: &World, group: &str) -> String {
    world.names.arn("logs", &format!("log-group:{group}"))
}

/// The resource that IAM checks, as "Actions, resources, and condition keys for Amazon CloudWatch Logs" names it.
pub(super) fn resource(world: &World, operation: &str, params: &Value) -> String {
    let group = name_of_group(params);
    match operation {
        "GetLogEvents" => format!("{}:log-stream:{}", group_arn(world, &group), text(params, "logStreamName")),
        "DescribeLogGroups" => group_arn(world, ":log-stream:"),
        _ => format!("{}:*", group_arn(world, &group)),
    }
}

/// By name, or by the identifier that may be an ARN.
fn name_of_group(params: &Value) -> String {
    let name = [text(params, "logGroupName"), text(params, "logGroupIdentifier")];
    let name = name.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    let name = name.rsplit_once(":log-group:").map_or(name, |(_, name)| name);
    name.trim_end_matches(":*").to_owned()
}

fn invalid(message: &str) -> No {
    (400, "InvalidParameterException", message.to_owned())
}

fn missing(what: &str) -> No {
    (400, "ResourceNotFoundException", format!("The specified log {what} does not exist."))
}

/// `limit`, within what AWS takes.
fn limit(params: &Value, most: u64) -> Result<usize, No> {
    match &params["limit"] {
        Value::Null => Ok(usize::try_from(most).unwrap_or(usize::MAX)),
        n => match n.as_u64() {
            Some(n) if (1..=most).contains(&n) => Ok(usize::try_from(n).unwrap_or(usize::MAX)),
            _ => Err(invalid(&format!("1 validation error detected: Value at 'limit' must be from 1 to {most}"))),
        },
    }
}

/// The place that a token means: `kind/number`.
fn token(params: &Value, kinds: &[&str]) -> Result<Option<(String, usize)>, No> {
    let Some(token) = params["nextToken"].as_str() else { return Ok(None) };
    let parts = token.split_once('/').filter(|(kind, _)| kinds.contains(kind));
    let parsed = parts.and_then(|(kind, at)| Some((kind.to_owned(), at.parse().ok()?)));
    parsed.map(Some).ok_or_else(|| invalid("The specified nextToken is invalid."))
}

pub(super) fn answer(world: &World, operation: &str, params: &Value, now: Moment) -> Result<Value, No> {
    match operation {
        "DescribeLogGroups" => describe_groups(world, params),
        "DescribeLogStreams" => describe_streams(world, params, now),
        "GetLogEvents" => get(world, params, now),
        "FilterLogEvents" => filter(world, params, now),
        other => Err((400, "UnknownOperationException", format!("{other} is not part of the sandbox"))),
    }
}

/// One page of names that were found.
fn page<T>(found: Vec<T>, params: &Value) -> Result<(Vec<T>, Option<String>), No> {
    let (limit, from) = (limit(params, NAMES)?, token(params, &["n"])?.map_or(0, |(_, at)| at));
    let more = (found.len() > from + limit).then(|| format!("n/{}", from + limit));
    Ok((found.into_iter().skip(from).take(limit).collect(), more))
}

fn with_token(mut body: Value, token: Option<String>) -> Value {
    if let Some(token) = token {
        body["nextToken"] = json!(token);
    }
    body
}

fn describe_groups(world: &World, params: &Value) -> Result<Value, No> {
    let (prefix, pattern) = (text(params, "logGroupNamePrefix"), text(params, "logGroupNamePattern"));
    if !prefix.is_empty() && !pattern.is_empty() {
        return Err(invalid("logGroupNamePrefix and logGroupNamePattern are mutually exclusive"));
    }
    let found = groups(world).into_iter().filter(|name| name.starts_with(prefix) && name.contains(pattern));
    let (found, token) = page(found.collect(), params)?;
    let told = found.iter().map(|name| {
        json!({ "logGroupName": name, "arn": format!("{}:*", group_arn(world, name)),
            "logGroupArn": group_arn(world, name), "creationTime": 0, "metricFilterCount": 0, "storedBytes": 0,
            "logGroupClass": "STANDARD" })
    });
    Ok(with_token(json!({ "logGroups": told.collect::<Vec<_>>() }), token))
}

/// The lines of a group that must be there.
fn of_group(world: &World, params: &Value, now: Moment) -> Result<Vec<Line>, No> {
    let group = name_of_group(params);
    if !groups(world).contains(&group) {
        return Err(missing("group"));
    }
    Ok(lines(world, now).into_iter().filter(|line| line.group == group).collect())
}

fn describe_streams(world: &World, params: &Value, now: Moment) -> Result<Value, No> {
    let group = name_of_group(params);
    let prefix = text(params, "logStreamNamePrefix");
    let lines = of_group(world, params, now)?;
    let names: BTreeSet<&str> = lines.iter().map(|line| line.stream.as_str()).collect();
    let of = |name: &str| {
        let times = lines.iter().filter(|line| line.stream == name).map(|line| line.at.timestamp_millis());
        (times.clone().min(), times.max())
    };
    let mut found: Vec<&str> = names.into_iter().filter(|name| name.starts_with(prefix)).collect();
    if text(params, "orderBy") == "LastEventTime" {
        if !prefix.is_empty() {
            return Err(invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
        }
        found.sort_by_key(|name| of(name).1);
    }
    if params["descending"].as_bool().unwrap_or(false) {
        found.reverse();
    }
    let (found, token) = page(found, params)?;
    let told = found.iter().map(|name| {
        let (first, last) = of(name);
        json!({ "logStreamName": name, "arn": format!("{}:log-stream:{name}", group_arn(world, &group)),
            "creationTime": first, "firstEventTimestamp": first, "lastEventTimestamp": last,
            "lastIngestionTime": last.map(|at| at + DELIVERY), "uploadSequenceToken": "1", "storedBytes": 0 })
    });
    Ok(with_token(json!({ "logStreams": told.collect::<Vec<_>>() }), token))
}

/// Whether a line lies in the asked time.
fn in_time(line: &Line, params: &Value) -> bool {
    let at = line.at.timestamp_millis();
    let (start, end) = (params["startTime"].as_i64(), params["endTime"].as_i64());
    start.is_none_or(|start| at >= start) && end.is_none_or(|end| at < end)
}

fn get(world: &World, params: &Value, now: Moment) -> Result<Value, No> {
    let stream = text(params, "logStreamName");
    let mut found: Vec<Line> = of_group(world, params, now)?.into_iter().filter(|line| line.stream == stream).collect();
    if found.is_empty() {
        return Err(missing("stream"));
    }
    found.retain(|line| in_time(line, params));
    let limit = limit(params, MOST)?;
    let head = params["startFromHead"].as_bool().unwrap_or(false);
    let start = if head { ("f".to_owned(), 0) } else { ("b".to_owned(), found.len()) };
    let (kind, at) = token(params, &["f", "b"])?.unwrap_or(start);
    let at = at.min(found.len());
    let (from, to) = if kind == "f" { (at, (at + limit).min(found.len())) } else { (at.saturating_sub(limit), at) };
    let events = found[from..to].iter().map(|line| {
        let at = line.at.timestamp_millis();
        json!({ "timestamp": at, "message": line.text, "ingestionTime": at + DELIVERY })
    });
    Ok(json!({ "events": events.collect::<Vec<_>>(), "nextForwardToken": format!("f/{to}"),
        "nextBackwardToken": format!("b/{from}") }))
}

fn filter(world: &World, params: &Value, now: Moment) -> Result<Value, No> {
    let names: Vec<&str> =
        params["logStreamNames"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let prefix = text(params, "logStreamNamePrefix");
    if !names.is_empty() && !prefix.is_empty() {
        return Err(invalid("logStreamNamePrefix and logStreamNames cannot both be specified."));
    }
    let terms = terms(text(params, "filterPattern"))?;
    let mut found: Vec<Line> = of_group(world, params, now)?;
    found.retain(|line| {
        in_time(line, params)
            && (names.is_empty() || names.contains(&line.stream.as_str()))
            && line.stream.starts_with(prefix)
    });
    let (limit, from) = (limit(params, MOST)?, token(params, &["n"])?.map_or(0, |(_, at)| at));
    let (mut events, mut to) = (Vec::new(), from);
    for line in found.iter().skip(from).take(SCAN) {
        if events.len() == limit {
            break;
        }
        to += 1;
        if terms.iter().all(|term| term.holds(&line.text)) {
            let at = line.at.timestamp_millis();
            events.push(json!({ "logStreamName": line.stream, "timestamp": at, "message": line.text,
                "ingestionTime": at + DELIVERY, "eventId": format!("{at:020}{to:016}") }));
        }
    }
    let token = (to < found.len()).then(|| format!("n/{to}"));
    Ok(with_token(json!({ "events": events, "searchedLogStreams": [] }), token))
}

/// A part of a filter pattern.
enum Term {
    Has(String),
    HasNot(String),
    HasAny(Vec<String>),
}

impl Term {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Has(term) => text.contains(term),
            Self::HasNot(term) => !text.contains(term),
            Self::HasAny(terms) => terms.iter().any(|term| text.contains(term)),
        }
    }
}

/// The terms of an unstructured pattern ("Filter pattern syntax for metric filters, subscription filters, filter log
/// events, and Live Tail"): all of them; `-` not; `?` any of them. The sandbox reads no JSON and no columns.
fn terms(pattern: &str) -> Result<Vec<Term>, No> {
    if pattern.starts_with(['{', '[', '%']) {
        return Err(invalid("the sandbox reads filter patterns of terms only"));
    }
    let (mut terms, mut any, mut rest) = (Vec::new(), Vec::new(), pattern.trim());
    while !rest.is_empty() {
        let sign = rest.chars().next().filter(|c| matches!(c, '-' | '?'));
        let word = sign.map_or(rest, |_| &rest[1..]);
        let (term, left) = if let Some(word) = word.strip_prefix('"') {
            unquoted(word).ok_or_else(|| invalid("Invalid filter pattern"))?
        } else {
            let (term, left) = word.split_once(char::is_whitespace).unwrap_or((word, ""));
            if term.is_empty() || !term.chars().all(|c| c.is_alphanumeric() || c == '_') {
                return Err(invalid("Invalid filter pattern"));
            }
            (term.to_owned(), left)
        };
        match sign {
            Some('-') => terms.push(Term::HasNot(term)),
            Some(_) => any.push(term),
            None => terms.push(Term::Has(term)),
        }
        rest = left.trim_start();
    }
    if !any.is_empty() {
        terms.push(Term::HasAny(any));
    }
    Ok(terms)
}

/// A quoted term up to its closing quote, and what follows it.
fn unquoted(word: &str) -> Option<(String, &str)> {
    let (mut term, mut escaped) = (String::new(), false);
    for (at, c) in word.char_indices() {
        match c {
            _ if escaped => {
                term.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Some((term, &word[at + 1..])),
            c => term.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_terms() {
        let holds = |pattern: &str, text: &str| terms(pattern).unwrap().iter().all(|term| term.holds(text));
        assert!(holds("", "anything"));
        assert!(holds("GET 200", "GET /healthz 200"));
        assert!(!holds("GET 500", "GET /healthz 200"));
        assert!(holds(r#""m=gonogo-1" -500"#, "GET /healthz?m=gonogo-1 200"));
        assert!(holds("?GET ?POST", "POST /orders 201"));
        assert!(holds(r#""say \"hi\"""#, r#"say "hi""#));
        for bad in ["m=1", r#""open"#, "{ $.a = 1 }"] {
            assert!(terms(bad).is_err(), "{bad}");
        }
    }
}
