//! What an answer that is no success proves, and what a person can do about it.

use reqwest::{
    Method, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap, LOCATION},
};
use serde_json::Value as Json;

use crate::{
    base::{Class, Failure, clean_line},
    services::http::retry_after,
};

/// The failure that an answer means. `json` is null where the body is none.
pub(super) fn failure(what: &str, method: &Method, status: StatusCode, headers: &HeaderMap, json: &Json) -> Failure {
    let said = |key: &str| json.get(key).and_then(Json::as_str).map(|text| clean_line(text, 300)).unwrap_or_default();
    let mut failure = Failure::new(class(status, method), format!("{what} was answered {status}"));
    if !said("message").is_empty() {
        failure = failure.because(format!("{}: {}", said("id"), said("message")));
    }
    if status.is_redirection() {
        failure = failure.because(format!("it points to {}; redirects are not followed", host(headers)));
    } else if json.is_null() {
        failure = failure.because(format!("the answer is {}: a proxy's, or an error page", kind(headers)));
    }
    let request_id = text(headers, "request-id");
    if !request_id.is_empty() {
        failure = failure.because(format!("request id {request_id}"));
    }
    if status.is_server_error() && *method != Method::GET {
        let wait = retry_after(headers).map(|wait| format!("; Heroku asks for {} s", wait.as_secs()));
        return failure.hint(format!(
            "it may have been done all the same: look before it is sent again{}; https://status.heroku.com",
            wait.unwrap_or_default()
        ));
    }
    match hint(status, &said("id")) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// What a status proves. A change that was turned away by a 4xx did nothing; a 5xx may come from a
/// router that gave up waiting for a change that went on.
fn class(status: StatusCode, method: &Method) -> Class {
    match status.as_u16() {
        401..=403 => Class::Denied,
        404 => Class::Misconfigured,
        408 if method != Method::GET => Class::Unknown,
        408 | 409 | 429 => Class::FailedNothingDone,
        300..=499 => Class::Refused,
        _ if method == Method::GET => Class::FailedNothingDone,
        _ => Class::Unknown,
    }
}

/// By Heroku's own word for the error, else by status (Platform API reference, "Errors").
fn hint(status: StatusCode, id: &str) -> Option<&'static str> {
    Some(match (status.as_u16(), id) {
        (_, "two_factor") => {
            "this account has to give its second factor for that; a token made by `heroku authorizations:create` \
             needs none"
        }
        (_, "sso_required" | "saml_required") => {
            "the team asks for single sign-on: log in by `heroku login --sso` and give the new token"
        }
        (402, _) | (_, "delinquent") => {
            "the account has an unpaid bill, or no confirmed way to pay: its owner can settle it"
        }
        (_, "suspended") => "the account or the app is suspended: ask Heroku's support before the night",
        (_, "verification_needed" | "verification_required") => "the account has to be verified in the dashboard first",
        (401, _) => "the token is missing, wrong or expired: `heroku auth:whoami` shows whose it is",
        (403, _) => "this account may not do that to the app: the owner can give `deploy` and `operate`",
        (404, _) => "does the app exist under this name, and may this account see it?",
        (429, _) => "the hourly limit of the account is used up; it comes back at 75 requests a minute",
        (503, _) => "Heroku is not available: https://status.heroku.com",
        _ => return None,
    })
}

/// A header's text, cleaned; empty where it is missing.
pub(super) fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).map(|value| clean_line(&String::from_utf8_lossy(value.as_bytes()), 200)).unwrap_or_default()
}

/// What kind of answer it is, for one that should be JSON.
pub(super) fn kind(headers: &HeaderMap) -> String {
    let kind = text(headers, CONTENT_TYPE.as_str());
    if kind.is_empty() { "no JSON".to_owned() } else { format!("no JSON ({kind})") }
}

/// The host alone: an address may carry a key.
fn host(headers: &HeaderMap) -> String {
    let to = text(headers, LOCATION.as_str());
    let host = Url::parse(&to).ok().and_then(|url| url.host_str().map(|host| clean_line(host, 100)));
    host.unwrap_or_else(|| "another path".to_owned())
}
