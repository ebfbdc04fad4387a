//! One thin signed client for what is only read: the query protocol (STS, ELB, CloudWatch) and
//! JSON 1.1 (Secrets Manager, SSM). A full SDK crate for each would cost minutes of building, and the
//! current one of CloudWatch speaks a protocol that test servers do not.
//!
//! Signature Version 4 is `aws-sigv4`'s, the SDK's own.

use std::sync::Arc;

use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use serde_json::Value as Json;

use super::{
    Aws, Patience,
    call::{ATTEMPT, Again, CONNECT, Call, Trouble},
    errors::{Renew, Said, garbled, lost, said},
    now,
    session::{Service, Session},
    xml::Node,
};
use crate::base::{Class, Failure};

/// No answer read here is near this size; a hostile one is cut off.
const ANSWER: usize = 4 << 20;
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
const JSON: &str = "application/x-amz-json-1.1";

/// An answer, good or bad.
struct Answer {
    status: u16,
    request_id: String,
    error_type: String,
    body: Vec<u8>,
}

impl Aws {
    /// Asks by the query protocol; the root element of the answer.
    pub(super) async fn query(
        &self,
        service: &'static Service,
        call: &Call,
        params: &[(String, String)],
        patience: &Patience,
    ) -> Result<Node, Failure> {
        let mut form = form_field("Action", call.operation);
        for (key, value) in
            std::iter::once(("Version", service.version)).chain(params.iter().map(|(k, v)| (k.as_str(), v.as_str())))
        {
            form.push('&');
            form.push_str(&form_field(key, value));
        }
        self.ask(call, patience, None, |session, renew| {
            let form = form.clone();
            async move {
                let answer = send(&session, service, call, FORM, None, form).await?;
                let text = String::from_utf8_lossy(&answer.body);
                let root = Node::parse(&text);
                if answer.status < 300 {
                    return root.map_err(|e| garbled(call, &e));
                }
                let root = root.unwrap_or_default();
                let id = [root.text("RequestId"), &answer.request_id].into_iter().find(|id| !id.is_empty());
                let (code, message) = (root.text("Error/Code"), root.text("Error/Message"));
                let request_id = id.unwrap_or_default();
                Err(said(call, &Said { status: answer.status, code, message, request_id }, &renew))
            }
        })
        .await
    }

    /// Asks by JSON 1.1; `target` is `Service.Operation`.
    pub(super) async fn json(
        &self,
        service: &'static Service,
        call: &Call,
        target: &'static str,
        body: &Json,
        patience: &Patience,
    ) -> Result<Json, Failure> {
        let body = body.to_string();
        self.ask(call, patience, None, |session, renew| {
            let body = body.clone();
            async move {
                let answer = send(&session, service, call, JSON, Some(target), body).await?;
                judge_json(call, &answer, &renew)
            }
        })
        .await
    }
}

fn judge_json(call: &Call, answer: &Answer, renew: &Renew) -> Result<Json, Trouble> {
    let body = serde_json::from_slice::<Json>(&answer.body);
    if answer.status < 300 {
        // The parser's words may quote the body, which may be a secret.
        return body.map_err(|_| garbled(call, "the body is not JSON"));
    }
    let body = body.unwrap_or_default();
    let text = |key: &str| body.get(key).and_then(Json::as_str).unwrap_or_default();
    let code = if answer.error_type.is_empty() { text("__type") } else { &answer.error_type };
    // `com.amazonaws.x#Code:http://…` in full.
    let code = code.rsplit('#').next().unwrap_or_default();
    let code = code.split(':').next().unwrap_or_default();
    let message = if text("message").is_empty() { text("Message") } else { text("message") };
    Err(said(call, &Said { status: answer.status, code, message, request_id: &answer.request_id }, renew))
}

fn form_field(key: &str, value: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    format!("{}={}", utf8_percent_encode(key, KEPT), utf8_percent_encode(value, KEPT))
}

/// Signs and sends one request and reads its answer whole.
async fn send(
    session: &Arc<Session>,
    service: &Service,
    call: &Call,
    kind: &str,
    target: Option<&str>,
    body: String,
) -> Result<Answer, Trouble> {
    let unfit = |what: &str, cause: &dyn std::fmt::Display| {
        let failure = Failure::new(Class::Misconfigured, format!("{} {}: {what}", call.service, call.operation));
        Trouble { failure: failure.because(cause.to_string()), again: Again::No }
    };
    let mut url = session.endpoint(service);
    if !url.ends_with('/') {
        url.push('/');
    }
    let mut headers = vec![("content-type", kind)];
    headers.extend(target.map(|target| ("x-amz-target", target)));

    let keys = session.keys.get().await.map_err(|e| unfit("no credentials", &e))?.into();
    let params = v4::SigningParams::builder()
        .identity(&keys)
        .region(&session.region)
        .name(service.host)
        .time(now().into())
        .settings(SigningSettings::default())
        .build()
        .map_err(|e| unfit("cannot be signed", &e))?
        .into();
    let signable = SignableRequest::new("POST", &url, headers.iter().copied(), SignableBody::Bytes(body.as_bytes()))
        .map_err(|e| unfit("its endpoint is not an address", &e))?;
    let (instructions, _) = sign(signable, &params).map_err(|e| unfit("cannot be signed", &e))?.into_parts();

    let mut request = session.http.post(&url);
    for (name, value) in headers.iter().copied().chain(instructions.headers()) {
        request = request.header(name, value);
    }
    let answer = request.body(body.clone()).send().await.map_err(|e| broken(call, &e))?;
    read(call, answer).await
}

async fn read(call: &Call, mut answer: reqwest::Response) -> Result<Answer, Trouble> {
    let header = |name: &str| {
        let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let mut read = Answer {
        status: answer.status().as_u16(),
        request_id: header("x-amzn-requestid"),
        error_type: header("x-amzn-errortype"),
        body: Vec::new(),
    };
    while let Some(chunk) = answer.chunk().await.map_err(|e| broken(call, &e))? {
        if read.body.len() + chunk.len() > ANSWER {
            return Err(garbled(call, "the answer is larger than 4 MiB"));
        }
        read.body.extend_from_slice(&chunk);
    }
    Ok(read)
}

fn broken(call: &Call, error: &reqwest::Error) -> Trouble {
    let causes = std::iter::successors(std::error::Error::source(error), |&e| e.source()).map(ToString::to_string);
    let cause = std::iter::once(error.to_string()).chain(causes).collect::<Vec<_>>().join(": ");
    let what = match (error.is_connect(), error.is_timeout()) {
        (true, true) => format!("no connection within {CONNECT:?} (the limit of connecting)"),
        (true, false) => "no connection".into(),
        (false, true) => format!("no answer within {ATTEMPT:?} (the limit of one request)"),
        (false, false) => "the connection broke before the answer was there".into(),
    };
    lost(call, !error.is_connect(), &what, &cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_errors_in_every_spelling() {
        const CALL: Call = Call::reads("Secrets Manager", "GetSecretValue", "secretsmanager:GetSecretValue");
        for (kind, body) in [
            ("", r#"{"__type":"com.amazonaws.secretsmanager#ResourceNotFoundException","Message":"no such"}"#),
            ("ResourceNotFoundException:http://x/", r#"{"message":"no such"}"#),
        ] {
            let answer = Answer {
                status: 400,
                request_id: "id-1".into(),
                error_type: kind.into(),
                body: body.as_bytes().to_vec(),
            };
            let trouble = judge_json(&CALL, &answer, &Renew::new(None)).unwrap_err();
            assert_eq!(trouble.failure.class, Class::Misconfigured);
            assert!(trouble.failure.message.ends_with("ResourceNotFoundException: no such"), "{}", trouble.failure);
        }
    }

    #[test]
    fn forms_are_encoded_as_signatures_want_them() {
        assert_eq!(form_field("A.1", "a b+c/ü*"), "A.1=a%20b%2Bc%2F%C3%BC%2A");
    }
}
