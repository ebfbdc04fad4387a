//! An identity policy: read strictly, so that nothing in it is silently ignored, and asked whether an
//! action is allowed on a resource.
//!
//! Source: "IAM JSON policy reference" (elements, grammar, evaluation), AWS Identity and Access Management user guide.

use std::{collections::HashSet, fmt, str::FromStr};

use serde_json::{Map, Value};

use super::condition::Condition;
use crate::base::{clean_line, wild};

/// An identity policy in force. Read from its JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    statements: Vec<Statement>,
}

/// What a policy says to one action on one resource, and the statement that says so: its `Sid`, else `#` and
/// its number from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A statement allows it, and none denies it.
    Allowed(String),
    /// No statement allows it.
    NotAllowed,
    /// A statement denies it.
    Denied(String),
}

/// A policy that cannot be used. Completes "failed to read the policy: …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {why}")]
pub struct BadPolicy {
    /// `Statement[2].Action`.
    place: String,
    why: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Statement {
    name: String,
    allows: bool,
    actions: Patterns,
    resources: Patterns,
    conditions: Vec<Condition>,
}

/// Patterns, or all but these (`NotAction`, `NotResource`).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Patterns {
    not: bool,
    patterns: Vec<String>,
}

impl Patterns {
    fn take(&self, matches: impl Fn(&str) -> bool) -> bool {
        self.patterns.iter().any(|pattern| matches(pattern)) != self.not
    }
}

impl Policy {
    /// An explicit deny wins over every allow; without an allow it is not allowed.
    pub(super) fn decide(&self, action: &str, resource: &str, context: &[(&str, String)]) -> Verdict {
        let mut allowed = Verdict::NotAllowed;
        for statement in self.statements.iter().filter(|it| it.speaks_of(action, resource, context)) {
            if !statement.allows {
                return Verdict::Denied(statement.name.clone());
            }
            if allowed == Verdict::NotAllowed {
                allowed = Verdict::Allowed(statement.name.clone());
            }
        }
        allowed
    }
}

impl Statement {
    fn speaks_of(&self, action: &str, resource: &str, context: &[(&str, String)]) -> bool {
        let action = action.to_ascii_lowercase();
        self.actions.take(|pattern| wild::matches(&pattern.to_ascii_lowercase(), &action))
            && self.resources.take(|pattern| wild::matches(pattern, resource))
            && self.conditions.iter().all(|condition| condition.holds(context))
    }
}

impl FromStr for Policy {
    type Err = BadPolicy;

    fn from_str(text: &str) -> Result<Self, BadPolicy> {
        let json: Value = serde_json::from_str(text).map_err(|e| bad("the document", format!("is not JSON: {e}")))?;
        let Value::Object(document) = &json else { return Err(bad("the document", "must be an object")) };
        known(document, "the document", &["Version", "Id", "Statement"])?;
        match document.get("Version").and_then(Value::as_str) {
            Some("2012-10-17" | "2008-10-17") => {}
            _ => return Err(bad("Version", "must be \"2012-10-17\"")),
        }
        let statements = match document.get("Statement") {
            Some(Value::Array(list)) if !list.is_empty() => list.iter().collect(),
            Some(one @ Value::Object(_)) => vec![one],
            _ => return Err(bad("Statement", "must be a statement or a list of them, not empty")),
        };
        let mut names = HashSet::new();
        let mut read = Vec::with_capacity(statements.len());
        for (i, value) in statements.into_iter().enumerate() {
            let statement = statement(value, i)?;
            if !names.insert(statement.name.clone()) {
                return Err(bad(format!("Statement[{i}].Sid"), "stands twice in the policy"));
            }
            read.push(statement);
        }
        Ok(Self { statements: read })
    }
}

pub(super) fn bad(place: impl fmt::Display, why: impl fmt::Display) -> BadPolicy {
    BadPolicy { place: place.to_string(), why: clean_line(&why.to_string(), 200) }
}

/// Refuses keys that nobody here would look at.
fn known(map: &Map<String, Value>, place: &str, keys: &[&str]) -> Result<(), BadPolicy> {
    match map.keys().find(|key| !keys.contains(&key.as_str())) {
        Some(key) => Err(bad(place, format!("`{}` is not supported here", clean_line(key, 60)))),
        None => Ok(()),
    }
}

fn statement(value: &Value, i: usize) -> Result<Statement, BadPolicy> {
    const KEYS: &[&str] = &["Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"];
    let place = format!("Statement[{i}]");
    let Value::Object(map) = value else { return Err(bad(place, "must be an object")) };
    known(map, &place, KEYS)?;
    let name = match map.get("Sid") {
        None => format!("#{}", i + 1),
        Some(Value::String(sid)) if !sid.is_empty() && sid.bytes().all(|b| b.is_ascii_alphanumeric()) => sid.clone(),
        Some(_) => return Err(bad(format!("{place}.Sid"), "must be letters and digits")),
    };
    let allows = match map.get("Effect").and_then(Value::as_str) {
        Some("Allow") => true,
        Some("Deny") => false,
        _ => return Err(bad(format!("{place}.Effect"), "must be \"Allow\" or \"Deny\"")),
    };
    let actions = patterns(map, &place, ["Action", "NotAction"], |text| {
        let (service, name) = text.split_once(':').unwrap_or(("", ""));
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let fits = !service.is_empty() && service.chars().all(plain) && !name.is_empty();
        (text == "*" || fits).then_some(()).ok_or("must be `*` or `service:Action`")
    })?;
    let resources = patterns(map, &place, ["Resource", "NotResource"], |text| {
        let fits = text.starts_with("arn:") && text.split(':').count() >= 6 && !text.contains(char::is_whitespace);
        (text == "*" || fits).then_some(()).ok_or("must be `*` or an ARN")
    })?;
    let conditions = match map.get("Condition") {
        None => Vec::new(),
        Some(value) => Condition::read(value, &format!("{place}.Condition"))?,
    };
    Ok(Statement { name, allows, actions, resources, conditions })
}

/// One of two keys: what is meant, or what is not.
fn patterns(
    map: &Map<String, Value>,
    place: &str,
    keys: [&str; 2],
    fits: impl Fn(&str) -> Result<(), &'static str>,
) -> Result<Patterns, BadPolicy> {
    let [yes, no] = keys;
    let (key, value, not) = match (map.get(yes), map.get(no)) {
        (Some(value), None) => (yes, value, false),
        (None, Some(value)) => (no, value, true),
        _ => return Err(bad(place, format!("needs either `{yes}` or `{no}`"))),
    };
    let patterns = texts(value, &format!("{place}.{key}"))?;
    for text in &patterns {
        fits(text).map_err(|why| bad(format!("{place}.{key}"), format!("`{}` {why}", clean_line(text, 120))))?;
    }
    Ok(Patterns { not, patterns })
}

/// A text, or a list of them. `${…}` would be filled in by IAM, and is not here.
pub(super) fn texts(value: &Value, place: &str) -> Result<Vec<String>, BadPolicy> {
    let list = match value {
        Value::Array(list) if !list.is_empty() => list.iter().collect(),
        Value::String(_) => vec![value],
        _ => return Err(bad(place, "must be a text or a list of texts, not empty")),
    };
    list.into_iter()
        .map(|item| match item.as_str() {
            Some(text) if text.contains("${") => Err(bad(place, "policy variables are not supported")),
            Some(text) => Ok(text.to_owned()),
            None => Err(bad(place, "must hold texts")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(statements: &str) -> Result<Policy, BadPolicy> {
        format!(r#"{{ "Version": "2012-10-17", "Statement": [{statements}] }}"#).parse()
    }

    const WEB: &str = "arn:aws:ecs:eu-west-1:111122223333:service/acme/web";

    fn decide(statements: &str, action: &str, resource: &str) -> Verdict {
        policy(statements).unwrap().decide(action, resource, &[("ecs:cluster", "arn:c/acme".into())])
    }

    #[test]
    fn decides_as_iam_does() {
        let allow = r#"{ "Effect": "Allow", "Action": "ecs:update*", "Resource": "arn:aws:ecs:*:*:service/acme/*" }"#;
        assert_eq!(decide(allow, "ecs:UpdateService", WEB), Verdict::Allowed("#1".into()));
        assert_eq!(decide(allow, "ecs:UpdateService", "*"), Verdict::NotAllowed, "no resource is no resource of mine");
        assert_eq!(decide(allow, "ecs:DescribeServices", WEB), Verdict::NotAllowed);
        let deny = r#"{ "Sid": "Never", "Effect": "Deny", "Action": ["ecs:UpdateService"], "Resource": "*" }"#;
        assert_eq!(decide(&format!("{allow}, {deny}"), "ecs:UpdateService", WEB), Verdict::Denied("Never".into()));
        assert_eq!(decide(&format!("{deny}, {allow}"), "ecs:UpdateService", WEB), Verdict::Denied("Never".into()));
        let all_but = r#"{ "Effect": "Allow", "NotAction": "ecs:*", "NotResource": "arn:aws:s3:::secret/*" }"#;
        assert_eq!(decide(all_but, "ecs:UpdateService", WEB), Verdict::NotAllowed);
        assert_eq!(decide(all_but, "s3:GetObject", "arn:aws:s3:::open/x"), Verdict::Allowed("#1".into()));
        assert_eq!(decide(all_but, "s3:GetObject", "arn:aws:s3:::secret/x"), Verdict::NotAllowed);
    }

    #[test]
    fn conditions_hold_or_do_not() {
        let on = |cluster: &str| {
            format!(
                r#"{{ "Effect": "Allow", "Action": "ecs:*", "Resource": "*", "Condition": {{ "StringLike": {{ "ecs:Cluster": ["{cluster}"] }} }} }}"#
            )
        };
        assert_eq!(decide(&on("arn:c/ac*"), "ecs:ListTasks", "*"), Verdict::Allowed("#1".into()));
        assert_eq!(decide(&on("arn:c/other"), "ecs:ListTasks", "*"), Verdict::NotAllowed);
        // A key that the request does not have.
        let role = r#"{ "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": { "StringEquals": { "iam:PassedToService": "x" } } }"#;
        assert_eq!(decide(role, "ecs:ListTasks", "*"), Verdict::NotAllowed);
    }

    #[test]
    fn nothing_is_silently_ignored() {
        let allow = |more: &str| format!(r#"{{ "Effect": "Allow", "Action": "ecs:*", "Resource": "*"{more} }}"#);
        for (statements, why) in [
            (allow(r#", "Principal": "*""#), "Statement[0]: `Principal` is not supported here"),
            (allow(r#", "NotAction": "a:b""#), "Statement[0]: needs either `Action` or `NotAction`"),
            (allow(r#", "Sid": "two words""#), "Statement[0].Sid: must be letters and digits"),
            (format!("{0}, {0}", allow(r#", "Sid": "One""#)), "Statement[1].Sid: stands twice in the policy"),
            (
                allow(r#", "Condition": { "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } }"#),
                "Statement[0].Condition: `IpAddress` is not supported: StringEquals and StringLike are",
            ),
            (
                allow(r#", "Condition": { "StringEquals": { "aws:RequestedRegion": "eu-west-1" } }"#),
                "Statement[0].Condition: key `aws:RequestedRegion` is not supported: ecs:cluster and iam:PassedToService are",
            ),
            (
                r#"{ "Effect": "Allow", "Action": "ecs", "Resource": "*" }"#.into(),
                "Statement[0].Action: `ecs` must be `*` or `service:Action`",
            ),
            (
                r#"{ "Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::${aws:username}" }"#.into(),
                "Statement[0].Resource: policy variables are not supported",
            ),
            (
                r#"{ "Effect": "Allow", "Action": "s3:*", "Resource": "bucket" }"#.into(),
                "Statement[0].Resource: `bucket` must be `*` or an ARN",
            ),
            (String::new(), "Statement: must be a statement or a list of them, not empty"),
        ] {
            assert_eq!(policy(&statements).unwrap_err().to_string(), why);
        }
        assert!("{".parse::<Policy>().unwrap_err().to_string().starts_with("the document: is not JSON"));
        let old = r#"{ "Statement": [] }"#.parse::<Policy>().unwrap_err().to_string();
        assert_eq!(old, "Version: must be \"2012-10-17\"");
    }
}
