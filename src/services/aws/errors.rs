//! What AWS or the way to it says when something is wrong → a [`Failure`] with AWS's own code,
//! message and request id, the class that is true, and what a person can do.
//!
//! Codes: the "Common errors" page of each API reference, and the throttling codes of
//! `botocore/data/_retry.json`. Route 53 throttles with HTTP 400.

use std::error::Error;

use aws_smithy_runtime_api::{
    client::{orchestrator::HttpResponse, result::SdkError},
    http::Headers,
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

pub(super) use super::renew::Renew;
use super::{
    call::{ATTEMPT, Again, CONNECT, Call, Effect, Trouble},
    signed,
    skew::skew,
};
use crate::base::{Class, Failure, clean_line};

/// A proper answer that says no.
#[derive(Debug, Default)]
pub(super) struct Said<'a> {
    pub status: u16,
    pub code: &'a str,
    pub message: &'a str,
    pub request_id: &'a str,
    /// It has a body and no code of AWS in it: something on the way answered, in AWS's place.
    pub foreign: bool,
}

const THROTTLED: &[&str] = &[
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];
const EXPIRED: &[&str] = &[
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "RequestInTheFuture",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];
const FORBIDDEN: &[&str] =
    &["AccessDenied", "AccessDeniedException", "NotAuthorized", "OptInRequired", "UnauthorizedOperation"];
/// Names something that is not there, or says it in a way that can never work.
const MISNAMED: &[&str] = &[
    "AWS.SimpleQueueService.NonExistentQueue",
    "ClusterNotFoundException",
    "DBClusterNotFoundFault",
    "DBInstanceNotFound",
    "InvalidArnException",
    "InvalidBucketName",
    "InvalidAddress",
    "InvalidDomainName",
    "InvalidParameter",
    "InvalidParameterCombination",
    "InvalidParameterException",
    "InvalidParameterValue",
    "MissingParameter",
    "NoSuchBucket",
    "NoSuchChange",
    "NoSuchHostedZone",
    "ParameterNotFound",
    "ParameterVersionNotFound",
    "RepositoryNotFoundException",
    "QueueDoesNotExist",
    "ResourceNotFoundException",
    "ResourceNotFoundFault",
    "ServiceNotFoundException",
    "TargetGroupNotFound",
    "ValidationError",
    "ValidationException",
];

/// The failure of an answer that says no.
pub(super) fn said(call: &Call<'_>, answer: &Said<'_>, renew: &Renew) -> Trouble {
    let Said { status, code, message, request_id, foreign } = *answer;
    let is = |codes: &[&str]| codes.contains(&code);
    let (class, again, hint) = if is(THROTTLED) || status == 429 {
        let hint = "AWS limits the rate of requests: wait a little and retry".to_owned();
        (Class::FailedNothingDone, Again::Throttled, Some(hint))
    } else if let Some(hint) = skew(code, message) {
        (Class::Denied, Again::No, Some(hint))
    } else if foreign || (300..400).contains(&status) && code.is_empty() {
        let again = if status >= 500 { Again::Transient } else { Again::No };
        (if status >= 500 { call.lost() } else { Class::Refused }, again, Some(ON_THE_WAY.to_owned()))
    } else if is(EXPIRED) || status == 401 {
        (Class::Denied, Again::No, Some(renew.hint().to_owned()))
    } else if is(FORBIDDEN) || status == 403 {
        (Class::Denied, Again::No, Some(permission(call.iam, message)))
    } else if status >= 500 {
        (call.lost(), Again::Transient, None)
    } else if is(MISNAMED) {
        (Class::Misconfigured, Again::No, Some("compare the step's parameters with what the account holds".into()))
    } else {
        (Class::Refused, Again::No, None)
    };
    let did = if status >= 500 { "failed at" } else { "refused" };
    let told = match (code.is_empty(), foreign) {
        (true, true) => format!("HTTP {status}, not in AWS's words"),
        (true, false) if message.is_empty() => format!("HTTP {status}"),
        (true, false) => clean_line(message, 400),
        (false, _) if message.is_empty() => format!("{code}: HTTP {status}"),
        (false, _) => format!("{code}: {}", clean_line(message, 400)),
    };
    let mut failure = Failure::new(class, format!("{} {did} {}: {told}", call.service, call.operation));
    failure = failure.because(format!("HTTP {status}, request id {}", named(request_id)));
    failure.hint = hint;
    Trouble { failure, again }
}

/// What to do about an answer that AWS did not give.
const ON_THE_WAY: &str = "something between here and AWS answered in its place: look at the proxy, a sign-in page of the \
                          network, and the endpoint";

fn named(text: &str) -> &str {
    if text.is_empty() { "none given" } else { text }
}

/// The failure of a request that found no proper answer. `connected`: a connection stood, so that
/// bytes may have been sent.
pub(super) fn lost(call: &Call<'_>, connected: bool, what: &str, cause: &str) -> Trouble {
    let class = if connected { call.lost() } else { Class::FailedNothingDone };
    let failure = Failure::new(class, format!("{} {}: {what}", call.service, call.operation)).because(cause);
    let failure = match call.effect {
        Effect::Changes if connected => failure.hint("look at what AWS has now before it is sent again"),
        _ => failure.hint("is the network up, the region right, and the endpoint reachable from here?"),
    };
    Trouble { failure, again: Again::Transient }
}

/// The failure of an answer that cannot be read: it was carried out, as far as anybody knows.
pub(super) fn garbled(call: &Call<'_>, cause: &str) -> Trouble {
    let failure =
        Failure::new(call.lost(), format!("{} answered {} in words we cannot read", call.service, call.operation));
    let failure = match call.effect {
        Effect::Changes => failure.hint("look at what AWS has now before it is sent again"),
        Effect::Reads => failure.hint(ON_THE_WAY.replace("answered", "may have answered")),
    };
    Trouble { failure: failure.because(cause), again: Again::Transient }
}

/// Why a body cannot be read: a web page is called so, because that says who answered.
pub(super) fn unread(body: &[u8], otherwise: &str) -> String {
    let start = String::from_utf8_lossy(body.get(..64).unwrap_or(body)).trim_start().to_ascii_lowercase();
    if body.is_empty() {
        "the answer is empty".to_owned()
    } else if start.starts_with("<!doctype html") || start.starts_with("<html") {
        "the answer is a web page".to_owned()
    } else {
        otherwise.to_owned()
    }
}

/// What the SDK calls the layer that an error passed through: it says nothing that the causes under it do not.
const LAYERS: &[&str] = &[
    "dispatch failure",
    "io error",
    "other",
    "request has timed out",
    "response error",
    "service error",
    "timeout",
    "unhandled error",
];

/// An error and its causes by their own words, from the outside in, each said once. Never a debug print: the SDK's own
/// chain ends with one of everything, headers included.
pub(super) fn words(error: &(dyn Error + 'static)) -> String {
    let causes: Vec<String> =
        std::iter::successors(Some(error), |&e| e.source()).map(|e| e.to_string().trim().to_owned()).collect();
    let mut said: Vec<&str> = Vec::with_capacity(causes.len());
    for (n, cause) in causes.iter().enumerate() {
        let layer = LAYERS.contains(&cause.as_str()) && n + 1 < causes.len();
        // Some print their causes themselves.
        let twice = said.last().is_some_and(|before| before.ends_with(cause.as_str()));
        if !layer && !twice && !cause.is_empty() {
            said.push(cause);
        }
    }
    said.join(": ")
}

/// The failure of an SDK call.
pub(super) fn sdk<E>(call: &Call<'_>, error: &SdkError<E, HttpResponse>, renew: &Renew) -> Trouble
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let cause = || clean_line(&words(error), 600);
    match error {
        SdkError::ServiceError(service) => {
            let meta = service.err().meta();
            let status = service.raw().status().as_u16();
            let id = request_id(service.raw().headers());
            let (code, message) = (meta.code().unwrap_or_default(), meta.message().unwrap_or_default());
            let body = service.raw().body().bytes().unwrap_or_default();
            // It read an answer that says yes and found an error: the request may well have been carried out.
            if status < 300 {
                return garbled(call, &unread(body, &cause()));
            }
            let foreign = code.is_empty() && !body.is_empty();
            said(call, &Said { status, code, message, request_id: id, foreign }, renew)
        }
        SdkError::DispatchFailure(dispatch) => {
            let connector = dispatch.as_connector_error();
            let never = connector.is_some_and(|e| {
                std::iter::successors(Some(e as &(dyn Error + 'static)), |&e| e.source())
                    .filter_map(|e| e.downcast_ref::<hyper_util::client::legacy::Error>())
                    .any(hyper_util::client::legacy::Error::is_connect)
            });
            let what = match (never, dispatch.is_timeout()) {
                (true, true) => format!("no connection within {CONNECT:?} (the limit of connecting)"),
                (true, false) => "no connection".into(),
                (false, true) => format!("no answer within {ATTEMPT:?} (the limit of one request)"),
                (false, false) => "the connection broke before the answer was there".into(),
            };
            lost(call, !never, &what, &cause())
        }
        SdkError::TimeoutError(_) => {
            lost(call, true, &format!("no answer within {ATTEMPT:?} (the limit of one request)"), &cause())
        }
        SdkError::ConstructionFailure(_) => {
            let failure =
                Failure::new(Class::Misconfigured, format!("{} {} cannot be sent", call.service, call.operation));
            Trouble { failure: failure.because(cause()), again: Again::No }
        }
        // A proxy or a broken server on the way: the status still says no.
        SdkError::ResponseError(answer) if answer.raw().status().as_u16() >= 300 => {
            // The SDK cannot read it in this service's protocol; it may still be AWS's words in another one.
            let status = answer.raw().status().as_u16();
            let body = answer.raw().body().bytes().unwrap_or_default();
            let answer = signed::Answer { status, headers: Vec::new(), body: body.to_vec() };
            let (trouble, foreign) = signed::refused(call, &answer, renew);
            if !foreign {
                return trouble;
            }
            Trouble { failure: trouble.failure.because(unread(body, &cause())), ..trouble }
        }
        SdkError::ResponseError(answer) => {
            garbled(call, &unread(answer.raw().body().bytes().unwrap_or_default(), &cause()))
        }
        _ => garbled(call, &cause()),
    }
}

/// What is missing, in words that can be handed to whoever writes the policies: as AWS says it, which may be
/// another action than the call's own (`iam:PassRole`); else the call's own.
///
/// Wording: "Troubleshoot access denied error messages", IAM user guide.
fn permission(own: &str, message: &str) -> String {
    let word = |after: &str| {
        let rest = message.split_once(after)?.1.trim_start();
        let word = rest.split(char::is_whitespace).next()?.trim_end_matches(['.', ',']);
        (!word.is_empty()).then(|| clean_line(word, 300))
    };
    let action = word("not authorized to perform: ").unwrap_or_else(|| own.to_owned());
    let on = word(" on resource: ").map(|resource| format!(" on {resource}")).unwrap_or_default();
    if message.contains("with an explicit deny") {
        return format!("a policy denies {action}{on} explicitly; allowing it elsewhere does not help");
    }
    format!("the role in use needs the permission {action}{on}")
}

/// AWS's two spellings of the request id's header.
fn request_id(headers: &Headers) -> &str {
    headers.get("x-amzn-requestid").or_else(|| headers.get("x-amz-request-id")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(effect: Effect, status: u16, code: &str) -> (Class, Again) {
        let call = Call { service: "S", operation: "Op", iam: "s:Op", effect };
        let said = said(
            &call,
            &Said { status, code, message: "m", request_id: "r", foreign: false },
            &Renew::unknown(Some("acme")),
        );
        (said.failure.class, said.again)
    }

    #[test]
    fn classes_are_true() {
        use Effect::{Changes, Reads};
        assert_eq!(class(Changes, 400, "Throttling"), (Class::FailedNothingDone, Again::Throttled));
        assert_eq!(class(Changes, 400, "PriorRequestNotComplete"), (Class::FailedNothingDone, Again::Throttled));
        assert_eq!(class(Changes, 400, "ExpiredTokenException"), (Class::Denied, Again::No));
        assert_eq!(class(Changes, 403, "AccessDenied"), (Class::Denied, Again::No));
        assert_eq!(class(Changes, 400, "InvalidChangeBatch"), (Class::Refused, Again::No));
        assert_eq!(class(Changes, 404, "NoSuchHostedZone"), (Class::Misconfigured, Again::No));
        assert_eq!(class(Changes, 500, "InternalFailure"), (Class::Unknown, Again::Transient));
        assert_eq!(class(Reads, 503, ""), (Class::FailedNothingDone, Again::Transient));
    }

    /// A proxy's page must not be taken for AWS's word: no permission is missing, and a change's fate is told truly.
    #[test]
    fn an_answer_that_is_not_awss() {
        let call = Call::changes("ECS", "UpdateService", "ecs:UpdateService");
        let told = |status: u16| {
            said(&call, &Said { status, foreign: true, ..Said::default() }, &Renew::unknown(None)).failure
        };
        for (status, class) in
            [(302, Class::Refused), (403, Class::Refused), (407, Class::Refused), (502, Class::Unknown)]
        {
            let failure = told(status);
            assert_eq!(failure.class, class, "{status}");
            assert!(failure.hint.unwrap().contains("proxy"), "{status}");
            assert!(failure.message.ends_with(&format!("HTTP {status}, not in AWS's words")), "{}", failure.message);
        }
        let garbled = garbled(&call, "x").failure;
        assert_eq!(garbled.class, Class::Unknown);
        for (body, words) in [
            ("", "the answer is empty"),
            ("\n<!DOCTYPE html><html>", "the answer is a web page"),
            ("<HTML>", "the answer is a web page"),
            ("x", "otherwise"),
        ] {
            assert_eq!(unread(body.as_bytes(), "otherwise"), words);
        }
    }

    #[derive(Debug)]
    struct Link(&'static str, Option<Box<Link>>);

    impl std::fmt::Display for Link {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Link {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|e| e as _)
        }
    }

    #[test]
    fn causes_in_words_each_once() {
        let chain = |links: &[&'static str]| {
            let link = links.iter().rev().fold(None, |under, words| Some(Box::new(Link(words, under))));
            words(&*link.unwrap())
        };
        assert_eq!(
            chain(&[
                "dispatch failure",
                "io error",
                "client error (Connect)",
                "tcp connect error",
                "refused (os error 111)"
            ]),
            "client error (Connect): tcp connect error: refused (os error 111)"
        );
        assert_eq!(chain(&["cannot a: b", "b", "", "c"]), "cannot a: b: c");
        assert_eq!(chain(&["dispatch failure", "timeout"]), "timeout", "the last one stays, or nothing is said");
    }

    #[test]
    fn a_person_can_act_on_it() {
        let call = Call::changes("ECS", "UpdateService", "ecs:UpdateService");
        let renew = Renew::unknown(Some("acme-prod"));
        let expired =
            said(&call, &Said { status: 400, code: "ExpiredToken", message: "old", ..Said::default() }, &renew);
        assert_eq!(expired.failure.hint.unwrap(), "renew the credentials: aws sso login --profile acme-prod");
        let denied = said(
            &call,
            &Said { status: 403, code: "AccessDenied", message: "", request_id: "i", foreign: false },
            &renew,
        );
        let needs = |what: &str| format!("the role in use needs the permission {what}");
        assert_eq!(denied.failure.hint.unwrap(), needs("ecs:UpdateService"));
        assert_eq!(denied.failure.message, "ECS refused UpdateService: AccessDenied: HTTP 403");
        assert_eq!(denied.failure.causes, ["HTTP 403, request id i"]);

        let told = |message: &str| {
            let answer = Said { status: 400, code: "AccessDeniedException", message, ..Said::default() };
            said(&call, &answer, &renew).failure.hint.unwrap()
        };
        let role = "User: arn:aws:sts::1:assumed-role/a/b is not authorized to perform: iam:PassRole on resource: \
                    arn:aws:iam::1:role/task because no identity-based policy allows the iam:PassRole action";
        assert_eq!(told(role), needs("iam:PassRole on arn:aws:iam::1:role/task"));
        let never = "User: u is not authorized to perform: ecs:UpdateService on resource: * with an explicit deny in an \
                     identity-based policy";
        assert_eq!(
            told(never),
            "a policy denies ecs:UpdateService on * explicitly; allowing it elsewhere does not help"
        );
        assert_eq!(told("is not authorized to perform: "), needs("ecs:UpdateService"));
    }
}
