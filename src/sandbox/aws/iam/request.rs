//! Operation and parameters of a request, in whichever protocol it was sent.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::services::{Asks, Route, Service};
use crate::sandbox::{
    aws::{
        cbor,
        protocol::{field, form, tree},
    },
    http::Asked,
};

/// What is asked.
pub(super) struct Request {
    pub operation: String,
    pub params: Value,
}

/// Reads it; `None` where it is no operation of the service. What cannot be read has no parameters: the service
/// will say so.
pub(super) fn read(asked: &Asked, service: &Service) -> Option<Request> {
    if let Asks::Rest(routes, _) = &service.asks {
        return routes.iter().find_map(|route| route.read(asked));
    }
    if asked.header("smithy-protocol") == "rpc-v2-cbor" {
        let operation = asked.path.rsplit('/').next()?.to_owned();
        return Some(Request { operation, params: cbor::decode(&asked.body).unwrap_or_else(|| json!({})) });
    }
    let target = asked.header("x-amz-target");
    if !target.is_empty() {
        let operation = target.rsplit('.').next()?.to_owned();
        return Some(Request { operation, params: body(asked) });
    }
    let form = form(asked);
    Some(Request { operation: field(&form, "Action")?.to_owned(), params: tree(&form) })
}

fn body(asked: &Asked) -> Value {
    serde_json::from_slice(&asked.body).ok().filter(Value::is_object).unwrap_or_else(|| json!({}))
}

impl Route {
    /// The labels of the path, the query and the members of a JSON body, by name.
    fn read(&self, asked: &Asked) -> Option<Request> {
        if asked.method != self.method {
            return None;
        }
        let (path, wants) = self.path.split_once('?').map_or((self.path, None), |(path, query)| (path, Some(query)));
        let query = asked.query_pairs();
        if wants.is_some_and(|wants| !query.iter().any(|(key, _)| key == wants)) {
            return None;
        }
        let mut params = Map::new();
        let mut parts = asked.path.trim_matches('/').split('/');
        for wanted in path.split('/') {
            let label = wanted.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
            let found: Cow<'_, str> = match label.and_then(|label| label.strip_suffix('+')) {
                Some(_) => parts.by_ref().collect::<Vec<_>>().join("/").into(),
                None => parts.next()?.into(),
            };
            let found = percent_decode_str(&found).decode_utf8_lossy().into_owned();
            match label {
                _ if found.is_empty() => return None,
                Some(label) => drop(params.insert(label.trim_end_matches('+').to_owned(), found.into())),
                None if found == wanted => {}
                None => return None,
            }
        }
        if parts.next().is_some() {
            return None;
        }
        params.extend(query.into_iter().map(|(key, value)| (key, Value::from(value))));
        if let Value::Object(members) = body(asked) {
            params.extend(members);
        }
        Some(Request { operation: self.operation.to_owned(), params: params.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, path: &str, query: &str) -> Asked {
        let (headers, body) = (hyper::HeaderMap::new(), hyper::body::Bytes::new());
        Asked { method: method.into(), path: path.into(), query: query.into(), headers, body }
    }

    #[test]
    fn routes_are_told_apart() {
        let routes = [
            Route { method: "GET", path: "{Bucket}?list-type", operation: "ListObjectsV2" },
            Route { method: "HEAD", path: "{Bucket}/{Key+}", operation: "HeadObject" },
            Route { method: "GET", path: "v1/zone/{Id}", operation: "GetZone" },
        ];
        let read = |method: &str, path: &str, query: &str| {
            let request = routes.iter().find_map(|route| route.read(&asked(method, path, query)))?;
            Some((request.operation, request.params.to_string()))
        };
        let is = |operation: &str, params: &str| Some((operation.to_owned(), params.to_owned()));
        assert_eq!(read("GET", "/acme", "list-type=2"), is("ListObjectsV2", r#"{"Bucket":"acme","list-type":"2"}"#));
        assert_eq!(read("HEAD", "/acme/a/b%20c", ""), is("HeadObject", r#"{"Bucket":"acme","Key":"a/b c"}"#));
        assert_eq!(read("GET", "/v1/zone/Z1/", ""), is("GetZone", r#"{"Id":"Z1"}"#));
        for (method, path) in
            [("GET", "/acme"), ("HEAD", "/acme"), ("GET", "/v1/zone/Z1/more"), ("POST", "/v1/zone/Z1")]
        {
            assert_eq!(read(method, path, ""), None, "{method} {path}");
        }
    }
}
