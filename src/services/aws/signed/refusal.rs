//! Answers that say no, in each protocol's spelling: code, message and request id.

use serde_json::Value as Json;

use super::{
    super::{
        call::{Call, Trouble},
        errors::{Renew, Said, said},
        xml::Node,
    },
    Answer,
};

/// The trouble that an answer with a bad status is.
pub(super) fn read(call: &Call<'_>, answer: &Answer, renew: &Renew) -> Trouble {
    refused(call, answer, renew).0
}

/// As [`read`], and whether the answer was not AWS's.
pub(in super::super) fn refused(call: &Call<'_>, answer: &Answer, renew: &Renew) -> (Trouble, bool) {
    let id = [answer.header("x-amzn-requestid"), answer.header("x-amz-request-id")];
    let mut request_id = id.into_iter().find(|id| !id.is_empty()).unwrap_or_default().to_owned();
    let text = answer.text();
    let (code, message) = if text.trim_start().starts_with('<') {
        let root = Node::parse(&text).unwrap_or_default();
        // `ErrorResponse/Error` (query, REST), `Response/Errors/Error` (EC2), `Error` (S3).
        let error = root.at("Error").or_else(|| root.at("Errors/Error")).unwrap_or(&root);
        for told in [root.text("RequestId"), root.text("RequestID"), error.text("RequestId")] {
            if !told.is_empty() {
                told.clone_into(&mut request_id);
                break;
            }
        }
        (error.text("Code").to_owned(), error.text("Message").to_owned())
    } else {
        json(answer)
    };
    let foreign = code.is_empty() && !answer.body.is_empty();
    let said = said(
        call,
        &Said { status: answer.status, code: &code, message: &message, request_id: &request_id, foreign },
        renew,
    );
    (said, foreign)
}

fn json(answer: &Answer) -> (String, String) {
    let body = serde_json::from_slice::<Json>(&answer.body).unwrap_or_default();
    let text = |key: &str| body.get(key).and_then(Json::as_str).unwrap_or_default();
    let kind = answer.header("x-amzn-errortype");
    let code = [kind, text("__type"), text("code")].into_iter().find(|code| !code.is_empty()).unwrap_or_default();
    // `com.amazonaws.x#Code:http://…` in full.
    let code = code.rsplit('#').next().unwrap_or_default();
    let code = code.split(':').next().unwrap_or_default();
    let message = if text("message").is_empty() { text("Message") } else { text("message") };
    (code.to_owned(), message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Class;

    fn trouble(kind: &str, body: &str) -> Trouble {
        const CALL: Call<'_> = Call::reads("S", "Get", "s:Get");
        let headers = [("x-amzn-errortype", kind), ("x-amzn-requestid", "id-1")];
        let headers = headers.into_iter().filter(|(_, value)| !value.is_empty());
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        read(&CALL, &Answer { status: 400, headers, body: body.as_bytes().to_vec() }, &Renew::unknown(None))
    }

    #[test]
    fn errors_in_every_spelling() {
        for (kind, body) in [
            ("", r#"{"__type":"com.amazonaws.secretsmanager#ResourceNotFoundException","Message":"no such"}"#),
            ("ResourceNotFoundException:http://x/", r#"{"message":"no such"}"#),
            (
                "",
                "<ErrorResponse><Error><Code>ResourceNotFoundException</Code><Message>no such</Message></Error></ErrorResponse>",
            ),
            (
                "",
                "<Response><Errors><Error><Code>ResourceNotFoundException</Code><Message>no such</Message></Error></Errors></Response>",
            ),
            ("", "<Error><Code>ResourceNotFoundException</Code><Message>no such</Message></Error>"),
        ] {
            let trouble = trouble(kind, body);
            assert_eq!(trouble.failure.class, Class::Misconfigured, "{body}");
            assert!(trouble.failure.message.ends_with("ResourceNotFoundException: no such"), "{}", trouble.failure);
            assert!(trouble.failure.causes[0].ends_with("request id id-1"), "{:?}", trouble.failure);
        }
    }
}
