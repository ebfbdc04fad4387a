//! How AWS's services are spoken to: awsJson, awsQuery, and the shape of their errors.

use serde_json::{Map, Value, json};

use super::{Caller, cbor, route53, s3};
use crate::sandbox::{
    http::{Asked, Reply, pairs},
    xml::Node,
};

/// A refusal: HTTP status, code, message.
pub(super) type No = (u16, &'static str, String);

/// The awsJson protocols: the operation is in `X-Amz-Target`, parameters and answer are JSON.
pub(super) fn json_service(
    caller: &Caller<'_>,
    answer: impl FnOnce(&str, &Value) -> Result<Value, No>,
) -> Result<Reply, No> {
    let target = caller.asked.header("x-amz-target");
    let operation = target.rsplit('.').next().unwrap_or_default();
    let broken = || (400, "SerializationException", "the body is not a JSON object".to_owned());
    let params: Value = match caller.asked.body.as_ref() {
        [] => json!({}),
        body => serde_json::from_slice(body).ok().filter(Value::is_object).ok_or_else(broken)?,
    };
    let content_type = json_type(caller.asked);
    answer(operation, &params).map(|body| Reply::new(200, content_type, body.to_string()))
}

/// A text among the parameters; empty where there is none.
pub(super) fn text<'a>(params: &'a Value, name: &str) -> &'a str {
    params[name].as_str().unwrap_or_default()
}

pub(super) fn json_type(asked: &Asked) -> &'static str {
    if asked.header("content-type").contains("json-1.0") {
        "application/x-amz-json-1.0"
    } else {
        "application/x-amz-json-1.1"
    }
}

/// Parameters of a query request: `Action`, and `A.member.1.B`.
pub(super) type Form = Vec<(String, String)>;

/// The awsQuery protocol: a form in, XML out.
pub(super) fn query_service(
    caller: &Caller<'_>,
    xmlns: &str,
    answer: impl FnOnce(&str, &Form) -> Result<Vec<Node>, No>,
) -> Result<Reply, No> {
    let form = form(caller.asked);
    let action = field(&form, "Action").unwrap_or_default().to_owned();
    let result = answer(&action, &form)?;
    let metadata = Node::of("ResponseMetadata", [Node::leaf("RequestId", &caller.request_id)]);
    let children = [Node::of(&format!("{action}Result"), result), metadata];
    let root = Node::of(&format!("{action}Response xmlns=\"{xmlns}\""), children);
    Ok(Reply::new(200, "text/xml", root.document()))
}

/// The form of a query request.
pub(super) fn form(asked: &Asked) -> Form {
    let mut form = pairs(&String::from_utf8_lossy(&asked.body));
    form.extend(asked.query_pairs());
    form
}

/// A form in the shape of the same parameters as JSON: `A.member.1.B=x` is `{"A": [{"B": "x"}]}`.
pub(super) fn tree(form: &Form) -> Value {
    let mut params = json!({});
    for (key, value) in form {
        plant(&mut params, key, value);
    }
    straighten(params)
}

/// Puts `A.member.1.B = x` into `{"A": {"member": {"1": {"B": "x"}}}}`.
fn plant(root: &mut Value, key: &str, text: &str) {
    let mut at = root;
    for part in key.split('.').take(16) {
        if !at.is_object() {
            *at = json!({});
        }
        let Some(map) = at.as_object_mut() else { return };
        at = map.entry(part).or_insert(Value::Null);
    }
    *at = Value::String(text.to_owned());
}

/// Makes lists of the `member` maps.
fn straighten(value: Value) -> Value {
    let Value::Object(mut map) = value else { return value };
    match map.remove("member") {
        Some(Value::Object(members)) if map.is_empty() => {
            let mut members: Vec<_> = members.into_iter().map(|(n, v)| (n.parse::<u32>().unwrap_or(0), v)).collect();
            members.sort_by_key(|(n, _)| *n);
            members.into_iter().map(|(_, value)| straighten(value)).collect()
        }
        _ => map.into_iter().map(|(key, value)| (key, straighten(value))).collect::<Map<_, _>>().into(),
    }
}

/// One parameter of a form.
pub(super) fn field<'a>(form: &'a Form, name: &str) -> Option<&'a str> {
    form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// The members of a list of a form, in order: `NAME.member.1`, `NAME.member.2`, ….
pub(super) fn members<'a>(form: &'a Form, name: &str) -> Vec<&'a str> {
    (1..).map_while(|i| field(form, &format!("{name}.member.{i}"))).collect()
}

/// An error in the protocol that the request was sent in.
pub(super) fn error(asked: &Asked, service: &str, status: u16, code: &str, message: &str, request_id: &str) -> Reply {
    if service == "route53" {
        return route53::wire::error(status, code, message, request_id);
    }
    if service == "s3" {
        return s3::error(status, code, message, &asked.path, request_id);
    }
    if asked.header("smithy-protocol") == "rpc-v2-cbor" {
        let body = json!({ "__type": format!("com.amazonaws.cloudwatch#{code}"), "message": message });
        return Reply::new(status, "application/cbor", cbor::encode(&body)).with("smithy-protocol", "rpc-v2-cbor");
    }
    if !asked.header("x-amz-target").is_empty() {
        let body = json!({ "__type": code, "message": message }).to_string();
        return Reply::new(status, json_type(asked), body).with("x-amzn-errortype", code);
    }
    if service == "scheduler" {
        let body = json!({ "Message": message }).to_string();
        return Reply::new(status, "application/json", body).with("x-amzn-errortype", code);
    }
    let error = [Node::leaf("Type", "Sender"), Node::leaf("Code", code), Node::leaf("Message", message)];
    let root = Node::of("ErrorResponse", [Node::of("Error", error), Node::leaf("RequestId", request_id)]);
    Reply::new(status, "text/xml", root.document())
}
