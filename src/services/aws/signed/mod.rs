//! One thin signed client for what is only read, and for the few changes that need no SDK crate: a
//! full crate for each service would cost minutes of building, and the current one of CloudWatch speaks
//! a protocol that test servers do not.
//!
//! ```text
//! query (form → XML) ─┐
//! json (target, JSON) ├─▶ Request ─▶ sign (aws-sigv4, the SDK's own) ─▶ send ─▶ Answer ─▶ body │ refusal
//! rest (path, query)  ─┘
//! ```

mod refusal;
mod request;

use std::sync::Arc;

use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use serde_json::Value as Json;

pub(super) use self::{
    refusal::refused,
    request::{Method, Request},
};
use super::{
    Aws, Patience,
    call::{ATTEMPT, Again, CONNECT, Call, Trouble},
    errors::{garbled, lost, unread, words},
    now,
    session::{Service, Session},
    xml::Node,
};
use crate::base::{Class, Failure};

/// No answer read here is near this size; a hostile one is cut off.
const ANSWER: usize = 4 << 20;

/// An answer, good or bad.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Whole.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value, by its name in lower case; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The body as text.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

impl Aws {
    /// Sends a request; the answer, which is a good one.
    ///
    /// # Errors
    /// `Denied`, `Refused`, `Misconfigured`, `FailedNothingDone`, and for a change `Unknown`, with AWS's own
    /// code, message and request id.
    pub(super) async fn send(
        &self,
        service: &Service<'_>,
        call: &Call<'_>,
        request: &Request<'_>,
        patience: &Patience,
    ) -> Result<Answer, Failure> {
        self.send_or(service, call, request, patience, |_| false).await
    }

    /// As [`Aws::send`]; of the answers that say no, those that `means` knows are answers too (a bucket that is in
    /// another region, an image that is not there).
    ///
    /// # Errors
    /// As [`Aws::send`].
    pub(super) async fn send_or(
        &self,
        service: &Service<'_>,
        call: &Call<'_>,
        request: &Request<'_>,
        patience: &Patience,
        means: impl Fn(&Answer) -> bool,
    ) -> Result<Answer, Failure> {
        let means = &means;
        self.ask(call, patience, None, |session, _| async move {
            let answer = send(&session, service, call, request).await?;
            let good = answer.status < 300 || means(&answer);
            if good { Ok(answer) } else { Err(refusal::read(call, &answer, &session.renew)) }
        })
        .await
    }

    /// Asks by the query protocol; the root element of the answer.
    ///
    /// # Errors
    /// As [`Aws::send`].
    pub(super) async fn query(
        &self,
        service: &Service<'_>,
        call: &Call<'_>,
        params: &[(String, String)],
        patience: &Patience,
    ) -> Result<Node, Failure> {
        let request = Request::query(call.operation, service.version, params);
        let answer = self.send(service, call, &request, patience).await?;
        xml(call, &answer)
    }

    /// Asks by JSON 1.1; `target` is `Service.Operation`.
    ///
    /// # Errors
    /// As [`Aws::send`].
    pub(super) async fn json(
        &self,
        service: &Service<'_>,
        call: &Call<'_>,
        target: &str,
        body: &Json,
        patience: &Patience,
    ) -> Result<Json, Failure> {
        let answer = self.send(service, call, &Request::json("1.1", target, body), patience).await?;
        json(call, &answer)
    }
}

/// Sends a request once; a good answer.
pub(super) async fn once(
    session: &Arc<Session>,
    service: &Service<'_>,
    call: &Call<'_>,
    request: &Request<'_>,
) -> Result<Answer, Trouble> {
    let answer = send(session, service, call, request).await?;
    if answer.status < 300 { Ok(answer) } else { Err(refusal::read(call, &answer, &session.renew)) }
}

/// An answer's body as XML; its root.
///
/// # Errors
/// The class of an answer that cannot be read.
pub(super) fn xml(call: &Call<'_>, answer: &Answer) -> Result<Node, Failure> {
    Node::parse(&answer.text()).map_err(|e| garbled(call, &unread(&answer.body, &e)).failure)
}

/// An answer's body as JSON; an empty one is an empty object.
///
/// # Errors
/// The class of an answer that cannot be read.
pub(super) fn json(call: &Call<'_>, answer: &Answer) -> Result<Json, Failure> {
    if answer.body.is_empty() {
        return Ok(Json::Object(serde_json::Map::new()));
    }
    // The parser's words may quote the body, which may be a secret.
    serde_json::from_slice(&answer.body)
        .map_err(|_| garbled(call, &unread(&answer.body, "the body is not JSON")).failure)
}

/// S3 signs a path as it is sent and wants the hash of the body in a header ("Signature Calculations for the
/// Authorization Header", S3 API reference).
fn settings(service: &Service<'_>) -> SigningSettings {
    let mut settings = SigningSettings::default();
    if service.signs == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    settings
}

/// Signs and sends one request and reads its answer whole.
async fn send(
    session: &Arc<Session>,
    service: &Service<'_>,
    call: &Call<'_>,
    request: &Request<'_>,
) -> Result<Answer, Trouble> {
    let unfit = |what: &str, cause: &dyn std::fmt::Display| {
        let failure = Failure::new(Class::Misconfigured, format!("{} {}: {what}", call.service, call.operation));
        Trouble { failure: failure.because(cause.to_string()), again: Again::No }
    };
    let url = format!("{}{}", session.endpoint(service).trim_end_matches('/'), request.target());
    let keys = session.keys.get().await.map_err(|e| unfit("no credentials", &e))?.into();
    let params = v4::SigningParams::builder()
        .identity(&keys)
        .region(session.region_of(service))
        .name(service.signs)
        .time(now().into())
        .settings(settings(service))
        .build()
        .map_err(|e| unfit("cannot be signed", &e))?
        .into();
    let headers = || request.headers.iter().map(|(name, value)| (*name, value.as_str()));
    let signable =
        SignableRequest::new(request.method.as_str(), &url, headers(), SignableBody::Bytes(request.body.as_bytes()))
            .map_err(|e| unfit("its endpoint is not an address", &e))?;
    let (instructions, _) = sign(signable, &params).map_err(|e| unfit("cannot be signed", &e))?.into_parts();

    let mut sent = session.http.request(request.method.into(), &url);
    for (name, value) in headers().chain(instructions.headers()) {
        sent = sent.header(name, value);
    }
    let answer = sent.body(request.body.clone()).send().await.map_err(|e| broken(call, &e))?;
    read(call, answer).await
}

async fn read(call: &Call<'_>, mut answer: reqwest::Response) -> Result<Answer, Trouble> {
    let headers = answer.headers().iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    });
    let mut read = Answer { status: answer.status().as_u16(), headers: headers.collect(), body: Vec::new() };
    while let Some(chunk) = answer.chunk().await.map_err(|e| broken(call, &e))? {
        if read.body.len() + chunk.len() > ANSWER {
            return Err(garbled(call, "the answer is larger than 4 MiB"));
        }
        read.body.extend_from_slice(&chunk);
    }
    Ok(read)
}

fn broken(call: &Call<'_>, error: &reqwest::Error) -> Trouble {
    let what = match (error.is_connect(), error.is_timeout()) {
        (true, true) => format!("no connection within {CONNECT:?} (the limit of connecting)"),
        (true, false) => "no connection".into(),
        (false, true) => format!("no answer within {ATTEMPT:?} (the limit of one request)"),
        (false, false) => "the connection broke before the answer was there".into(),
    };
    lost(call, !error.is_connect(), &what, &words(error))
}
