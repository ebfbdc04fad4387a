//! Answers in pages: followed where the way on is the usual one, refused where an answer says that there is more and
//! not how to get it. A first page is never taken for the whole.

use serde_json::{Map, Value as Json};

/// The usual ways on: the field of an answer, and the parameter of the next request.
const WAYS: &[(&str, &str)] = &[
    ("NextToken", "NextToken"),
    ("nextToken", "nextToken"),
    ("NextContinuationToken", "continuation-token"),
    ("NextMarker", "Marker"),
    ("Marker", "Marker"),
    ("LastEvaluatedTableName", "ExclusiveStartTableName"),
];

/// What follows a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    Nothing,
    /// The same request with this parameter.
    With(&'static str, Json),
    /// More, and nobody knows how.
    Unknown,
}

/// What follows this page of a request with these parameters.
pub(super) fn next(page: &Json, asked: &Map<String, Json>) -> Next {
    let Json::Object(map) = page else { return Next::Nothing };
    let is = |value: Option<&Json>, wanted: bool| match value {
        Some(Json::Bool(flag)) => *flag == wanted,
        Some(Json::String(text)) => text.eq_ignore_ascii_case(if wanted { "true" } else { "false" }),
        _ => false,
    };
    const MORE: [&str; 6] =
        ["IsTruncated", "HasMoreResults", "HasMoreStreams", "HasMoreDeliveryStreams", "HasMoreShards", "Truncated"];
    if is(map.get("IsTruncated"), false) {
        return Next::Nothing;
    }
    for (from, to) in WAYS {
        let token = map.get(*from).filter(|token| matches!(token, Json::String(text) if !text.is_empty()));
        // Some answers repeat the marker that they were asked with.
        if let Some(token) = token.filter(|token| asked.get(*to) != Some(token)) {
            return Next::With(to, token.clone());
        }
    }
    let nested = || map.values().filter_map(Json::as_object);
    let more = MORE.iter().any(|key| is(map.get(*key), true) || nested().any(|inner| is(inner.get(*key), true)));
    let left = map.get("LastEvaluatedKey").is_some_and(|key| !key.is_null());
    if more || left { Next::Unknown } else { Next::Nothing }
}

/// Adds a page to what there is: lists grow, everything else is the newest.
pub(super) fn add(whole: &mut Json, page: Json) {
    match (whole, page) {
        (Json::Object(whole), Json::Object(page)) => {
            for (key, value) in page {
                match (whole.get_mut(&key), value) {
                    (Some(Json::Array(items)), Json::Array(more)) => items.extend(more),
                    (_, value) => {
                        whole.insert(key, value);
                    }
                }
            }
        }
        (whole, page) => *whole = page,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_way_on() {
        let none = Map::new();
        assert_eq!(next(&json!({ "A": [] }), &none), Next::Nothing);
        assert_eq!(next(&json!({ "NextToken": null }), &none), Next::Nothing);
        assert_eq!(next(&json!({ "nextToken": "t" }), &none), Next::With("nextToken", json!("t")));
        assert_eq!(next(&json!({ "Marker": "m", "IsTruncated": "false" }), &none), Next::Nothing);
        assert_eq!(next(&json!({ "Marker": "m", "IsTruncated": "true" }), &none), Next::With("Marker", json!("m")));
        assert_eq!(next(&json!({ "DistributionList": { "IsTruncated": "true" } }), &none), Next::Unknown);
        assert_eq!(next(&json!({ "LastEvaluatedKey": { "id": { "S": "x" } } }), &none), Next::Unknown);
        let Json::Object(asked) = json!({ "Marker": "m" }) else { unreachable!() };
        assert_eq!(next(&json!({ "Marker": "m" }), &asked), Next::Nothing);
        let mut whole = json!({ "A": [1], "NextToken": "t" });
        add(&mut whole, json!({ "A": [2], "B": 3 }));
        assert_eq!(whole, json!({ "A": [1, 2], "B": 3, "NextToken": "t" }));
    }
}
