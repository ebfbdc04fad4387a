//! Parameters → a request of any protocol, and an answer of any protocol → JSON.
//!
//! XML has neither lists nor types. An element is a list where its children are `member`s or `item`s, where a name
//! stands twice, or where the name of its only child is the singular of its own (`<CacheClusters><CacheCluster>`);
//! a value is text.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value as Json};

use super::{
    super::{
        call::Call,
        signed::{self, Answer, Method, Request},
        xml::Node,
    },
    Reading,
    services::Protocol,
};
use crate::base::{Class, Failure};

/// The request of a reading with these parameters.
pub(super) fn request<'r>(reading: &'r Reading, params: &'r Map<String, Json>) -> Result<Request<'r>, Failure> {
    let body = || Json::Object(params.clone());
    let target = || format!("{}.{}", reading.dialect, reading.action);
    Ok(match reading.protocol {
        Protocol::Query => Request::query(&reading.action, &reading.dialect, &flat(params, ".member")),
        Protocol::Ec2 => Request::query(&reading.action, &reading.dialect, &flat(params, "")),
        Protocol::Json10 => Request::json("1.0", &target(), &body()),
        Protocol::Json11 => Request::json("1.1", &target(), &body()),
        Protocol::RestJson | Protocol::RestXml => rest(reading, params)?,
    })
}

/// Lists and tables written out: `A.member.1.B`.
fn flat(params: &Map<String, Json>, list: &str) -> Vec<(String, String)> {
    fn into(out: &mut Vec<(String, String)>, key: String, value: &Json, list: &str) {
        match value {
            Json::Array(items) => {
                items.iter().enumerate().for_each(|(i, item)| into(out, format!("{key}{list}.{}", i + 1), item, list));
            }
            Json::Object(map) => map.iter().for_each(|(name, item)| into(out, format!("{key}.{name}"), item, list)),
            value => out.push((key, plain(value))),
        }
    }
    let mut out = Vec::new();
    params.iter().for_each(|(key, value)| into(&mut out, key.clone(), value, list));
    out
}

/// A value that stands for itself.
pub(super) fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        value => value.to_string(),
    }
}

/// `/2015-03-31/functions/{FunctionName}/configuration`: what the path does not take goes into the address.
fn rest<'r>(reading: &'r Reading, params: &'r Map<String, Json>) -> Result<Request<'r>, Failure> {
    let (mut left, fixed) = reading.uri.split_once('?').unwrap_or((&reading.uri, ""));
    let mut path = String::new();
    let mut used = Vec::new();
    while let Some((before, rest)) = left.split_once('{') {
        let (name, after) = rest.split_once('}').unwrap_or((rest, ""));
        let (name, greedy) = name.strip_suffix('+').map_or((name, false), |name| (name, true));
        let unfit = |words: &str, hint: &str| {
            Failure::new(Class::Misconfigured, format!("`uri` wants {{{name}}}, and {words}")).hint(hint)
        };
        let value = params.get(name).map(plain).unwrap_or_default();
        if value.is_empty() {
            return Err(unfit("`params` has none", "give it in `params`"));
        }
        // A slash in a name would lead to another resource.
        if value.contains('/') && !greedy {
            return Err(unfit("its value has a slash", "where that is meant, write {NAME+}"));
        }
        path.push_str(before);
        path.push_str(&value);
        used.push(name);
        left = after;
    }
    path.push_str(left);
    let method = if reading.action.starts_with("Head") { Method::Head } else { Method::Get };
    let mut request = Request::rest(method, path);
    for part in fixed.split('&').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        request = request.with(key, value);
    }
    for (key, value) in params.iter().filter(|(key, _)| !used.contains(&key.as_str())) {
        request = match value {
            Json::Array(items) => items.iter().fold(request, |request, item| request.with(key, plain(item))),
            value => request.with(key, plain(value)),
        };
    }
    Ok(request)
}

/// An answer as JSON.
pub(super) fn answer(reading: &Reading, call: &Call<'_>, answer: &Answer) -> Result<Json, Failure> {
    if reading.action.starts_with("Head") {
        let headers = answer.headers.iter().map(|(name, value)| (name.clone(), Json::String(value.clone())));
        return Ok(Json::Object(headers.collect()));
    }
    match reading.protocol {
        Protocol::Json10 | Protocol::Json11 | Protocol::RestJson => signed::json(call, answer),
        Protocol::RestXml => Ok(tree(&signed::xml(call, answer)?)),
        Protocol::Query | Protocol::Ec2 => {
            let root = signed::xml(call, answer)?;
            Ok(tree(root.at(&format!("{}Result", reading.action)).unwrap_or(&root)))
        }
    }
}

/// An element's inside.
fn tree(node: &Node) -> Json {
    if node.children.is_empty() {
        let text = node.text.trim();
        return if text.is_empty() && plural(&node.name) { Json::Array(Vec::new()) } else { Json::String(text.into()) };
    }
    if is_list(node) {
        return Json::Array(node.children.iter().map(tree).collect());
    }
    let mut map = Map::new();
    for child in &node.children {
        let value = tree(child);
        match map.get_mut(&child.name) {
            Some(Json::Array(items)) if repeated(node, &child.name) => items.push(value),
            _ if repeated(node, &child.name) => {
                map.insert(child.name.clone(), Json::Array(vec![value]));
            }
            _ => {
                map.insert(child.name.clone(), value);
            }
        }
    }
    Json::Object(map)
}

fn repeated(node: &Node, name: &str) -> bool {
    node.children.iter().filter(|child| child.name == name).count() > 1
}

fn is_list(node: &Node) -> bool {
    let [first, rest @ ..] = node.children.as_slice() else { return false };
    if rest.iter().any(|child| child.name != first.name) {
        return false;
    }
    let stem = stem(&node.name);
    let related = stem.is_some_and(|stem| first.name.starts_with(&stem) || stem.ends_with(&first.name));
    first.name == "member"
        || first.name == "item"
        || node.name == "Items"
        || related
        || (!rest.is_empty() && plural(&node.name))
}

/// `CacheClusters` → `CacheCluster`, `Policies` → `Policy`, `Addresses` → `Address`, `TagList` → `Tag`.
fn stem(name: &str) -> Option<String> {
    if let Some(stem) = name.strip_suffix("List").or_else(|| name.strip_suffix("Set")) {
        return Some(stem.to_owned());
    }
    if let Some(stem) = name.strip_suffix("ies") {
        return Some(format!("{stem}y"));
    }
    if let Some(stem) = name.strip_suffix("sses") {
        return Some(format!("{stem}ss"));
    }
    plural(name).then(|| name[..name.len() - 1].to_owned())
}

fn plural(name: &str) -> bool {
    let singular = ["ss", "us", "is"].iter().any(|end| name.ends_with(end));
    (name.ends_with('s') && !singular) || name.ends_with("List") || (name.ends_with("Set") && name.len() > 3)
}

/// A reading's address in words.
pub(super) fn shown(uri: &str, params: &Map<String, Json>) -> String {
    params.iter().fold(uri.to_owned(), |uri, (name, value)| {
        let value = utf8_percent_encode(&plain(value), NON_ALPHANUMERIC).to_string();
        uri.replace(&format!("{{{name}}}"), &value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parameters_written_out() {
        let Json::Object(params) =
            json!({ "Names": ["a", "b"], "Filter": [{ "Name": "x", "Value": ["y"] }], "Max": 5 })
        else {
            unreachable!()
        };
        let mut query = flat(&params, ".member");
        query.sort();
        let pairs = |list: &[(String, String)]| {
            list.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&")
        };
        assert_eq!(
            pairs(&query),
            "Filter.member.1.Name=x&Filter.member.1.Value.member.1=y&Max=5&Names.member.1=a&Names.member.2=b"
        );
        let mut ec2 = flat(&params, "");
        ec2.sort();
        assert_eq!(pairs(&ec2), "Filter.1.Name=x&Filter.1.Value.1=y&Max=5&Names.1=a&Names.2=b");
    }

    #[test]
    fn xml_becomes_json() {
        for (xml, wanted) in [
            ("<R><A>1</A><B/></R>", json!({ "A": "1", "B": "" })),
            ("<R><Names><member>a</member></Names></R>", json!({ "Names": ["a"] })),
            ("<R><instancesSet><item><id>i</id></item></instancesSet></R>", json!({ "instancesSet": [{ "id": "i" }] })),
            (
                "<R><CacheClusters><CacheCluster><Id>a</Id></CacheCluster></CacheClusters></R>",
                json!({ "CacheClusters": [{ "Id": "a" }] }),
            ),
            (
                "<R><VpcSecurityGroups><VpcSecurityGroupMembership><Id>a</Id></VpcSecurityGroupMembership></VpcSecurityGroups></R>",
                json!({ "VpcSecurityGroups": [{ "Id": "a" }] }),
            ),
            ("<R><Policies><Policy>p</Policy></Policies></R>", json!({ "Policies": ["p"] })),
            ("<R><Status><Code>16</Code></Status></R>", json!({ "Status": { "Code": "16" } })),
            ("<R><Endpoint><Address>a</Address></Endpoint></R>", json!({ "Endpoint": { "Address": "a" } })),
            (
                "<R><Contents><Key>a</Key></Contents><Contents><Key>b</Key></Contents></R>",
                json!({ "Contents": [{ "Key": "a" }, { "Key": "b" }] }),
            ),
            ("<R><CacheClusters/><Status/></R>", json!({ "CacheClusters": [], "Status": "" })),
        ] {
            assert_eq!(tree(&Node::parse(xml).unwrap()), wanted, "{xml}");
        }
    }
}
