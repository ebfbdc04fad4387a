//! Heroku's way of paging: `Range: version ..; order=desc, max=10` and `Next-Range`.
//!
//! Source: Platform API reference, "Ranges".

use serde_json::Value;

use crate::sandbox::http::{Asked, Reply};

/// A page's size where nothing is said, and its limit.
const DEFAULT: usize = 200;
const LIMIT: usize = 1000;

/// One page of a list; `field` orders it where the request does not say.
pub(super) fn page(asked: &Asked, field: &str, mut items: Vec<Value>) -> Reply {
    let (range, options) = asked.header("range").split_once(';').unwrap_or((asked.header("range"), ""));
    let (by, bounds) = range.trim().split_once(' ').unwrap_or((range.trim(), ".."));
    let by = if by.is_empty() { field } else { by };
    // What the API calls the start of a build is not among a build's fields.
    let by = if by == "started_at" { "created_at" } else { by };
    let mut size = DEFAULT;
    let mut descending = false;
    for option in options.split(',').map(str::trim) {
        match option.split_once('=') {
            Some(("max", n)) => size = n.parse().unwrap_or(DEFAULT).clamp(1, LIMIT),
            Some(("order", order)) => descending = order == "desc",
            _ => {}
        }
    }
    let number = |item: &Value| item[by].as_u64();
    items.sort_by(|a, b| number(a).cmp(&number(b)).then_with(|| key(a, by).cmp(&key(b, by))));
    if descending {
        items.reverse();
    }
    let start = bounds.split("..").next().unwrap_or_default();
    let (start, exclusive) = start.strip_prefix(']').map_or((start, false), |start| (start, true));
    if !start.is_empty() {
        let at = items.iter().position(|item| key(item, by) == start).map_or(0, |at| at + usize::from(exclusive));
        items.drain(..at);
    }
    let more = items.len() > size;
    items.truncate(size);
    let bound = |item: Option<&Value>| item.map(|item| key(item, by)).unwrap_or_default();
    let content = format!("{by} {}..{}", bound(items.first()), bound(items.last()));
    let last = bound(items.last());
    let status = if more { 206 } else { 200 };
    let reply = Reply::new(status, "application/json", Value::from(items).to_string());
    let reply = reply.with("accept-ranges", format!("id, {field}")).with("content-range", content);
    let order = if descending { ", order=desc" } else { "" };
    if more { reply.with("next-range", format!("{by} ]{last}..; max={size}{order}")) } else { reply }
}

fn key(item: &Value, by: &str) -> String {
    match &item[by] {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}
