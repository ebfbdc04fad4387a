//! The operations on queues.

use serde_json::{Value, json};

use super::{
    super::{Caller, No, md5, text},
    queue::{Message, Place, Queue, Work},
};
use crate::sandbox::world::{Moment, World, after};

/// Messages of one queue; AWS takes any number.
const MESSAGES: usize = 1000;
/// Bytes of a body.
const BODY: usize = 256 * 1024;
/// Queues of one page.
const PAGE: usize = 1000;

/// Attributes that may be set, their range and default.
const NUMBERS: [(&str, i64, i64, i64); 5] = [
    ("DelaySeconds", 0, 900, 0),
    ("MaximumMessageSize", 1024, 1_048_576, 1_048_576),
    ("MessageRetentionPeriod", 60, 1_209_600, 345_600),
    ("ReceiveMessageWaitTimeSeconds", 0, 20, 0),
    ("VisibilityTimeout", 0, 43_200, 30),
];

/// The queue that a request names, by URL or name.
fn name(params: &Value) -> &str {
    match text(params, "QueueUrl") {
        "" => text(params, "QueueName"),
        url => url.rsplit('/').next().unwrap_or_default(),
    }
}

fn arn(world: &World, name: &str) -> String {
    world.names.arn("sqs", name)
}

/// The ARN that IAM checks; a list takes all queues.
pub(in crate::sandbox::aws) fn resource(world: &World, operation: &str, params: &Value) -> String {
    if operation == "ListQueues" { "*".into() } else { arn(world, name(params)) }
}

fn no_queue() -> No {
    (400, "QueueDoesNotExist", "The specified queue does not exist.".into())
}

fn invalid(message: impl Into<String>) -> No {
    (400, "InvalidParameterValue", message.into())
}

pub(in crate::sandbox::aws) fn answer(
    world: &mut World,
    caller: &Caller<'_>,
    operation: &str,
    params: &Value,
    now: Moment,
) -> Result<Value, No> {
    let url = |name: &str| format!("http://{}/{}/{name}", caller.asked.header("host"), world.names.account);
    let position = world.queues.list.iter().position(|queue| queue.name == name(params));
    match operation {
        "GetQueueUrl" => {
            let account = text(params, "QueueOwnerAWSAccountId");
            let own = account.is_empty() || account == world.names.account;
            position.filter(|_| own).ok_or_else(no_queue)?;
            return Ok(json!({ "QueueUrl": url(name(params)) }));
        }
        "ListQueues" => return list(world, params, url),
        "GetQueueAttributes" => {
            let position = position.ok_or_else(no_queue)?;
            if world.queues.list[position].dead_letters().is_some() && world.strikes("sqs.stuck") {
                stuck(world, position, now);
            }
            return attributes(world, &world.queues.list[position], params, now);
        }
        _ => {}
    }
    let queue_url = url(name(params));
    let ids = [world.live.ids.uuid(), world.live.ids.hex(64)];
    let (answer, detail) = match operation {
        "CreateQueue" => {
            create(world, position, params, now)?;
            (json!({ "QueueUrl": queue_url }), params["Attributes"].to_string())
        }
        "SendMessage" => send(queue(world, position)?, params, ids, now)?,
        "ReceiveMessage" => receive(queue(world, position)?, params, &ids[1], now)?,
        "DeleteMessage" => {
            let queue = queue(world, position)?;
            let receipt = text(params, "ReceiptHandle");
            // A receipt of a message that is gone is no error, one of nobody's is.
            if receipt.len() < 64 {
                return Err((400, "ReceiptHandleIsInvalid", "The input receipt handle is invalid.".into()));
            }
            queue.messages.retain(|message| message.receipt.as_deref() != Some(receipt));
            (json!({}), String::new())
        }
        "PurgeQueue" => {
            queue(world, position)?.messages.clear();
            (json!({}), String::new())
        }
        "DeleteQueue" => {
            world.queues.list.remove(position.ok_or_else(no_queue)?);
            (json!({}), String::new())
        }
        other => return Err((400, "UnknownOperationException", format!("{other} is not part of the sandbox"))),
    };
    let target = resource(world, operation, params);
    world.effect(now, ("sqs", operation), target, detail, &caller.request_id);
    Ok(answer)
}

fn queue(world: &mut World, position: Option<usize>) -> Result<&mut Queue, No> {
    position.and_then(|at| world.queues.list.get_mut(at)).ok_or_else(no_queue)
}

/// A message that kills its workers, as an invisible sender left it.
fn stuck(world: &mut World, position: usize, now: Moment) {
    let mut message = Message::new(world.live.ids.uuid(), "poison".into(), now, 0);
    message.work = Work::Stuck { from: now };
    world.queues.list[position].messages.push(message);
    world.dirty = true;
}

fn create(world: &mut World, position: Option<usize>, params: &Value, now: Moment) -> Result<(), No> {
    let name = text(params, "QueueName");
    let plain = name.strip_suffix(".fifo").unwrap_or(name);
    let letters = plain.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if plain.is_empty() || name.len() > 80 || !letters {
        return Err(invalid("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"));
    }
    let mut made = Queue::new(name, now);
    for (key, value) in params["Attributes"].as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        let range = NUMBERS.iter().find(|(known, ..)| known == key);
        let good = match range {
            Some((_, least, most, _)) => value.parse::<i64>().is_ok_and(|n| (*least..=*most).contains(&n)),
            None => ["FifoQueue", "ContentBasedDeduplication", "RedrivePolicy", "SqsManagedSseEnabled"]
                .contains(&key.as_str()),
        };
        if !good {
            return Err((400, "InvalidAttributeValue", format!("Invalid value for the parameter {key}.")));
        }
        made.attributes.insert(key.clone(), value.to_owned());
    }
    if made.attributes.contains_key("RedrivePolicy")
        && made.dead_letters().is_none_or(|(name, _)| !world.queues.list.iter().any(|queue| queue.name == name))
    {
        return Err(invalid(
            "Value for parameter RedrivePolicy is invalid. Reason: Dead letter target does not exist.",
        ));
    }
    match position {
        // The same queue again is no error; another one of this name is.
        Some(at) if world.queues.list[at].attributes == made.attributes => Ok(()),
        Some(_) => {
            Err((400, "QueueNameExists", "A queue already exists with the same name and a different value".into()))
        }
        None => {
            world.queues.list.push(made);
            world.queues.list.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(())
        }
    }
}

fn send(queue: &mut Queue, params: &Value, [id, _]: [String; 2], now: Moment) -> Result<(Value, String), No> {
    let body = text(params, "MessageBody");
    if body.is_empty() || body.len() > BODY {
        return Err(invalid(format!("The message body must have 1 to {BODY} bytes.")));
    }
    if queue.messages.len() >= MESSAGES {
        return Err((403, "OverLimit", format!("a queue of the sandbox holds {MESSAGES} messages")));
    }
    let delay = params["DelaySeconds"].as_i64().unwrap_or_else(|| queue.number("DelaySeconds", 0));
    if !(0..=900).contains(&delay) {
        return Err(invalid("Value for parameter DelaySeconds is invalid. Reason: must be from 0 to 900."));
    }
    queue.messages.push(Message::new(id.clone(), body.to_owned(), now, delay));
    Ok((json!({ "MessageId": id, "MD5OfMessageBody": md5::hex(body.as_bytes()) }), id))
}

/// Hands messages out, at once: nobody waits here, whatever `WaitTimeSeconds` says.
fn receive(queue: &mut Queue, params: &Value, receipt: &str, now: Moment) -> Result<(Value, String), No> {
    let most = params["MaxNumberOfMessages"].as_u64().unwrap_or(1);
    if !(1..=10).contains(&most) {
        return Err(invalid("Value for parameter MaxNumberOfMessages is invalid. Reason: must be from 1 to 10."));
    }
    let timeout = params["VisibilityTimeout"].as_i64().unwrap_or_else(|| queue.number("VisibilityTimeout", 30));
    let mut messages = Vec::new();
    let ready = queue.messages.iter_mut().filter(|it| it.work == Work::Nobody && it.place(now) == Place::Visible);
    for (n, message) in ready.take(usize::try_from(most).unwrap_or(1)).enumerate() {
        let receipt = format!("{receipt}-{n}");
        message.receptions += 1;
        message.first_received.get_or_insert(now);
        message.receipt = Some(receipt.clone());
        message.visible_at = after(now, timeout * 1000);
        let told = [
            ("ApproximateReceiveCount", message.receptions.to_string()),
            ("SentTimestamp", message.sent.timestamp_millis().to_string()),
        ];
        messages.push(json!({
            "MessageId": message.id, "ReceiptHandle": receipt, "Body": message.body,
            "MD5OfBody": md5::hex(message.body.as_bytes()),
            "Attributes": told.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        }));
    }
    let detail = format!("{} messages", messages.len());
    Ok((if messages.is_empty() { json!({}) } else { json!({ "Messages": messages }) }, detail))
}

fn attributes(world: &World, queue: &Queue, params: &Value, now: Moment) -> Result<Value, No> {
    let mut all = queue.attributes.clone();
    for (name, _, _, default) in NUMBERS {
        all.entry(name.to_owned()).or_insert_with(|| default.to_string());
    }
    let count = |place| queue.count(place, now).to_string();
    all.extend([
        ("ApproximateNumberOfMessages".to_owned(), count(Place::Visible)),
        ("ApproximateNumberOfMessagesNotVisible".to_owned(), count(Place::InFlight)),
        ("ApproximateNumberOfMessagesDelayed".to_owned(), count(Place::Delayed)),
        ("CreatedTimestamp".to_owned(), queue.created.timestamp().to_string()),
        ("LastModifiedTimestamp".to_owned(), queue.created.timestamp().to_string()),
        ("QueueArn".to_owned(), arn(world, &queue.name)),
    ]);
    let asked: Vec<&str> =
        params["AttributeNames"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    const MORE: [&str; 5] = ["All", "RedrivePolicy", "FifoQueue", "ContentBasedDeduplication", "SqsManagedSseEnabled"];
    if let Some(name) = asked.iter().find(|name| !all.contains_key(**name) && !MORE.contains(name)) {
        return Err((400, "InvalidAttributeName", format!("Unknown Attribute {name}.")));
    }
    if !asked.contains(&"All") {
        all.retain(|name, _| asked.contains(&name.as_str()));
    }
    Ok(if all.is_empty() { json!({}) } else { json!({ "Attributes": all }) })
}

fn list(world: &World, params: &Value, url: impl Fn(&str) -> String) -> Result<Value, No> {
    let prefix = text(params, "QueueNamePrefix");
    let most = params["MaxResults"].as_u64();
    if most.is_some_and(|most| !(1..=1000).contains(&most)) {
        return Err(invalid("Value for parameter MaxResults is invalid. Reason: must be from 1 to 1000."));
    }
    let skip = match text(params, "NextToken") {
        "" => 0,
        token => token
            .strip_prefix("queues-")
            .and_then(|n| n.parse::<usize>().ok())
            .ok_or_else(|| invalid("Invalid NextToken value"))?,
    };
    let size = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(PAGE);
    let found: Vec<&Queue> = world.queues.list.iter().filter(|queue| queue.name.starts_with(prefix)).collect();
    let urls: Vec<String> = found.iter().skip(skip).take(size).map(|queue| url(&queue.name)).collect();
    let mut answer = if urls.is_empty() { json!({}) } else { json!({ "QueueUrls": urls }) };
    // Without MaxResults SQS gives a thousand and no token.
    if most.is_some() && skip + size < found.len() {
        answer["NextToken"] = format!("queues-{}", skip + size).into();
    }
    Ok(answer)
}
