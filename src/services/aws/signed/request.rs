//! A request as it goes out, in each of AWS's protocols, before it is signed.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value as Json;

/// What RFC 3986 leaves alone; everything else is escaped, as signatures want it.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The same in a path, whose slashes stand.
const IN_PATH: &AsciiSet = &ESCAPED.remove(b'/');

/// The methods that AWS's protocols use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::services::aws) enum Method {
    Get,
    Head,
    Post,
    Put,
}

impl Method {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

impl From<Method> for reqwest::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::GET,
            Method::Head => Self::HEAD,
            Method::Post => Self::POST,
            Method::Put => Self::PUT,
        }
    }
}

/// A request.
#[derive(Debug, Clone)]
pub(in crate::services::aws) struct Request<'a> {
    /// Its method.
    pub method: Method,
    /// Its path, not yet escaped, from the first slash on.
    pub path: String,
    /// Its parameters in the address, not yet escaped.
    pub search: Vec<(&'a str, String)>,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// Its body; empty where there is none.
    pub body: String,
}

impl<'a> Request<'a> {
    /// The query protocol: everything in a form.
    pub fn query(action: &str, version: &str, params: &[(String, String)]) -> Self {
        let first = [("Action", action), ("Version", version)];
        let pairs = first.into_iter().chain(params.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        Self {
            method: Method::Post,
            path: "/".into(),
            search: Vec::new(),
            headers: vec![("content-type", "application/x-www-form-urlencoded; charset=utf-8".into())],
            body: form(pairs),
        }
    }

    /// The JSON protocols, `1.0` or `1.1`: the operation in a header.
    pub fn json(version: &str, target: &str, body: &Json) -> Self {
        Self {
            method: Method::Post,
            path: "/".into(),
            search: Vec::new(),
            headers: vec![
                ("content-type", format!("application/x-amz-json-{version}")),
                ("x-amz-target", target.to_owned()),
            ],
            body: body.to_string(),
        }
    }

    /// The REST protocols, without a body.
    pub fn rest(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), search: Vec::new(), headers: Vec::new(), body: String::new() }
    }

    /// With a parameter in the address.
    pub fn with(mut self, key: &'a str, value: impl Into<String>) -> Self {
        self.search.push((key, value.into()));
        self
    }

    /// With a JSON body.
    pub fn body(mut self, body: &Json) -> Self {
        self.headers.push(("content-type", "application/json".into()));
        self.body = body.to_string();
        self
    }

    /// Path and parameters, escaped.
    pub fn target(&self) -> String {
        let path = utf8_percent_encode(&self.path, IN_PATH).to_string();
        if self.search.is_empty() {
            return path;
        }
        format!("{path}?{}", form(self.search.iter().map(|(key, value)| (*key, value.as_str()))))
    }
}

fn form<'p>(pairs: impl Iterator<Item = (&'p str, &'p str)>) -> String {
    let mut text = String::new();
    for (key, value) in pairs {
        let joint = if text.is_empty() { "" } else { "&" };
        let (key, value) = (utf8_percent_encode(key, ESCAPED), utf8_percent_encode(value, ESCAPED));
        // Writing into a String cannot fail.
        let _ = write!(text, "{joint}{key}={value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_as_signatures_want_it() {
        let request = Request::query("Get", "v", &[("A.1".into(), "a b+c/ü*".into())]);
        assert_eq!(request.body, "Action=Get&Version=v&A.1=a%20b%2Bc%2F%C3%BC%2A");
        let request = Request::rest(Method::Get, "/a b/ü").with("list-type", "2").with("prefix", "x/y");
        assert_eq!(request.target(), "/a%20b/%C3%BC?list-type=2&prefix=x%2Fy");
    }
}
