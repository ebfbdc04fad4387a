//! Lists in pages, as ECS tells them: `maxResults` names, and a token for the rest.

use serde_json::{Value, json};

use super::{super::No, invalid};

/// One page of a list under its key; `most` is the page where nothing is said, and 100 the largest.
pub(super) fn listed(key: &str, all: Vec<String>, params: &Value, most: usize) -> Result<Value, No> {
    let size = match &params["maxResults"] {
        Value::Null => most,
        n => match n.as_u64().and_then(|n| usize::try_from(n).ok()) {
            Some(n @ 1..=100) => n,
            _ => return Err(invalid("maxResults must be from 1 to 100.")),
        },
    };
    // A token names what the last page ended with, so that a list that grew meanwhile is not read twice.
    let from = match params["nextToken"].as_str().filter(|token| !token.is_empty()) {
        None => 0,
        Some(token) => {
            let last = all.iter().position(|one| one.rsplit('/').next() == Some(token));
            last.map(|at| at + 1).ok_or_else(|| invalid("Invalid token."))?
        }
    };
    let page: Vec<&String> = all.iter().skip(from).take(size).collect();
    let more = all.len() > from + page.len();
    let token = page.last().filter(|_| more).and_then(|one| one.rsplit('/').next());
    let mut body = json!({ key: page });
    if let Some(token) = token {
        body["nextToken"] = json!(token);
    }
    Ok(body)
}
