//! CloudWatch's expressions, pages and alarms, and SQS, as their clients ask for them over the wire.

use chrono::{TimeDelta, Utc};
use gonogo::sandbox::Sandbox;
use serde_json::{Value, json};

use super::{
    query::{all, post, signed, text},
    until, world,
};

/// JSON protocol: an operation's answer, or status and error.
async fn ask(world: &Sandbox, service: &str, target: &str, body: Value) -> Result<Value, (u16, String)> {
    let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", target)];
    let said = signed(world, service, &headers, &body.to_string()).await;
    let status = said.status().as_u16();
    let body: Value = said.json().await.unwrap();
    if status == 200 { Ok(body) } else { Err((status, body["__type"].as_str().unwrap_or_default().to_owned())) }
}

async fn sqs(world: &Sandbox, operation: &str, body: Value) -> Result<Value, (u16, String)> {
    ask(world, "sqs", &format!("AmazonSQS.{operation}"), body).await
}

async fn monitoring(world: &Sandbox, operation: &str, body: Value) -> Result<Value, (u16, String)> {
    ask(world, "monitoring", &format!("GraniteServiceVersion20100801.{operation}"), body).await
}

/// Ten values `a`, one a minute, and `b` at every second of them.
async fn numbers(world: &Sandbox) -> (i64, i64) {
    let end = Utc::now().timestamp() / 60 * 60;
    let datum = |name: &str, n: i64| json!({ "MetricName": name, "Timestamp": end - n * 60, "Value": n });
    let data: Vec<Value> =
        (1..=10).flat_map(|n| [Some(datum("a", n)), (n % 2 == 0).then(|| datum("b", n))]).flatten().collect();
    monitoring(world, "PutMetricData", json!({ "Namespace": "Mine", "MetricData": data })).await.unwrap();
    (end - 600, end)
}

fn stat(id: &str, name: &str, returned: bool) -> Value {
    json!({ "Id": id, "ReturnData": returned,
        "MetricStat": { "Metric": { "Namespace": "Mine", "MetricName": name }, "Period": 60, "Stat": "Sum" } })
}

#[tokio::test]
async fn expressions_and_pages() {
    let world = world(&[]).await;
    let (from, to) = numbers(&world).await;
    let get = async |queries: Value, more: Value| {
        let mut body = json!({ "StartTime": from, "EndTime": to, "MetricDataQueries": queries });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        monitoring(&world, "GetMetricData", body).await
    };
    let share = json!({ "Id": "share", "Expression": "100 * FILL(b, 0) / a", "Label": "share" });
    let said = get(json!([stat("a", "a", false), stat("b", "b", false), share]), json!({})).await.unwrap();
    let results = &said["MetricDataResults"];
    assert_eq!((results.as_array().unwrap().len(), &results[0]["Label"]), (1, &json!("share")));
    assert_eq!(results[0]["Values"], json!([0.0, 100.0, 0.0, 100.0, 0.0, 100.0, 0.0, 100.0, 0.0, 100.0]));
    // Pages of seven: the rest of the first series and the second are told by the next ones.
    let (mut token, mut pages, mut values) = (None, 0, vec![0; 2]);
    loop {
        let more = token
            .take()
            .map_or(json!({ "MaxDatapoints": 7 }), |token: Value| json!({ "MaxDatapoints": 7, "NextToken": token }));
        let said = get(json!([stat("a", "a", true), stat("b", "b", true)]), more).await.unwrap();
        for result in said["MetricDataResults"].as_array().unwrap() {
            let which = usize::from(result["Id"] == "b");
            values[which] += result["Values"].as_array().unwrap().len();
            let whole = [10, 5][which] == values[which];
            assert_eq!(result["StatusCode"], if whole { "Complete" } else { "PartialData" });
        }
        pages += 1;
        match said.get("NextToken") {
            Some(next) => token = Some(next.clone()),
            None => break,
        }
    }
    assert_eq!((pages, values), (3, vec![10, 5]));
    for (queries, more) in [
        (json!([]), json!({})),
        (json!([stat("A", "a", true)]), json!({})),
        (json!([stat("a", "a", true), stat("a", "b", true)]), json!({})),
        (json!([stat("a", "a", false)]), json!({})),
        (json!([{ "Id": "e", "Expression": "x + 1" }]), json!({})),
        (json!([{ "Id": "e", "Expression": "e + 1" }]), json!({})),
        (json!([stat("a", "a", false), { "Id": "e", "Expression": "SUM(a)" }]), json!({})),
        (json!([stat("a", "a", true)]), json!({ "MaxDatapoints": 0 })),
    ] {
        assert_eq!(get(queries.clone(), more).await.unwrap_err(), (400, "ValidationError".into()), "{queries}");
    }
    let token = get(json!([stat("a", "a", true)]), json!({ "NextToken": "x" })).await.unwrap_err();
    assert_eq!(token.1, "InvalidNextToken");
}

#[tokio::test]
async fn an_alarm_is_evaluated_from_the_numbers() {
    let world = world(&[]).await;
    // Alarms of ten seconds are evaluated at every tenth one; none of them shall pass before the first look.
    let second = || async { Utc::now().timestamp() % 10 };
    until("the beginning of ten seconds", second, |it| *it < 7).await;
    let put = "Action=PutMetricAlarm&Version=2010-08-01&AlarmName=mine&Namespace=Mine&MetricName=errors&Statistic=Sum&Period=10\
        &EvaluationPeriods=1&Threshold=5&ComparisonOperator=GreaterThanThreshold&TreatMissingData=notBreaching&AlarmActions.member.1=arn:x";
    text(&world, "monitoring", put).await;
    let both = "Action=PutCompositeAlarm&Version=2010-08-01&AlarmName=whole&AlarmRule=ALARM(mine)%20AND%20NOT%20ALARM(acme-5xx)";
    text(&world, "monitoring", both).await;
    let describe = "Action=DescribeAlarms&Version=2010-08-01&AlarmNames.member.1=mine&AlarmNames.member.2=whole\
        &AlarmTypes.member.1=MetricAlarm&AlarmTypes.member.2=CompositeAlarm";
    let states = || async {
        let said = text(&world, "monitoring", describe).await;
        all(&said, "StateValue").into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    // The composite one stands first in the answer, and is not in alarm.
    assert_eq!(states().await, ["OK", "INSUFFICIENT_DATA"], "as every new alarm");
    until("nothing is fine", states, |it| it == &["OK", "OK"]).await;
    let now = Utc::now().timestamp();
    let data = json!([{ "MetricName": "errors", "Value": 9, "Timestamp": now }, { "MetricName": "errors", "Value": 9, "Timestamp": now - 10 }]);
    monitoring(&world, "PutMetricData", json!({ "Namespace": "Mine", "MetricData": data })).await.unwrap();
    until("nine are too many", states, |it| it == &["ALARM", "ALARM"]).await;
    let told = monitoring(&world, "DescribeAlarms", json!({ "AlarmNames": ["mine"] })).await.unwrap();
    let told = &told["MetricAlarms"][0];
    assert!(told["StateReason"].as_str().unwrap().contains("[9.0]"), "{told}");
    assert_eq!((&told["Period"], &told["Threshold"], &told["ActionsEnabled"]), (&json!(10), &json!(5.0), &json!(true)));
    assert!(
        Utc::now() - TimeDelta::seconds(30)
            < chrono::DateTime::from_timestamp(told["StateTransitionedTimestamp"].as_i64().unwrap(), 0).unwrap()
    );
    let set = "Action=SetAlarmState&Version=2010-08-01&AlarmName=mine&StateValue=OK&StateReason=test";
    text(&world, "monitoring", set).await;
    assert_eq!(states().await, ["OK", "OK"]);
    let page = monitoring(&world, "DescribeAlarms", json!({ "MaxRecords": 2 })).await.unwrap();
    assert_eq!(page["MetricAlarms"].as_array().unwrap().len(), 2);
    let rest =
        monitoring(&world, "DescribeAlarms", json!({ "MaxRecords": 2, "NextToken": page["NextToken"] })).await.unwrap();
    assert_eq!(rest["MetricAlarms"][0]["AlarmName"], "mine");
    for (operation, body) in [
        ("PutMetricAlarm", json!({ "AlarmName": "x" })),
        ("PutCompositeAlarm", json!({ "AlarmName": "x", "AlarmRule": "ALARM(nobody)" })),
        ("SetAlarmState", json!({ "AlarmName": "nobody", "StateValue": "OK", "StateReason": "r" })),
        ("DescribeAlarms", json!({ "AlarmNames": ["a"], "AlarmNamePrefix": "b" })),
    ] {
        assert!(monitoring(&world, operation, body).await.is_err(), "{operation}");
    }
    let effects: Vec<String> = world.effects().await.into_iter().map(|it| it.operation).collect();
    assert_eq!(effects, ["PutMetricAlarm", "PutCompositeAlarm", "PutMetricData", "SetAlarmState"]);
}

#[tokio::test]
async fn a_queue_from_end_to_end() {
    let world = world(&[]).await;
    let made = sqs(&world, "CreateQueue", json!({ "QueueName": "mine", "Attributes": { "VisibilityTimeout": "1" } }))
        .await
        .unwrap();
    let url = made["QueueUrl"].as_str().unwrap().to_owned();
    assert!(url.ends_with("/111122223333/mine"), "{url}");
    let with = |more: Value| {
        let mut body = json!({ "QueueUrl": url });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let counts = async || {
        let said = sqs(&world, "GetQueueAttributes", with(json!({ "AttributeNames": ["All"] }))).await.unwrap();
        ["", "NotVisible", "Delayed"]
            .map(|rest| said["Attributes"][format!("ApproximateNumberOfMessages{rest}")].as_str().unwrap().to_owned())
    };
    let sent = sqs(&world, "SendMessage", with(json!({ "MessageBody": "abc" }))).await.unwrap();
    assert_eq!(sent["MD5OfMessageBody"], "900150983cd24fb0d6963f7d28e17f72");
    sqs(&world, "SendMessage", with(json!({ "MessageBody": "later", "DelaySeconds": 900 }))).await.unwrap();
    assert_eq!(counts().await, ["1", "0", "1"]);
    let got = sqs(&world, "ReceiveMessage", with(json!({ "MaxNumberOfMessages": 10 }))).await.unwrap();
    assert_eq!((got["Messages"].as_array().unwrap().len(), &got["Messages"][0]["Body"]), (1, &json!("abc")));
    assert_eq!(counts().await, ["0", "1", "1"]);
    assert_eq!(sqs(&world, "ReceiveMessage", with(json!({}))).await.unwrap(), json!({}), "nobody else gets it");
    until("the visibility timeout", counts, |it| it == &["1", "0", "1"]).await;
    let again = sqs(&world, "ReceiveMessage", with(json!({}))).await.unwrap();
    assert_eq!(again["Messages"][0]["Attributes"]["ApproximateReceiveCount"], "2");
    let receipt = &again["Messages"][0]["ReceiptHandle"];
    sqs(&world, "DeleteMessage", with(json!({ "ReceiptHandle": receipt }))).await.unwrap();
    assert_eq!(counts().await, ["0", "0", "1"]);
    let listed = sqs(&world, "ListQueues", json!({ "MaxResults": 3 })).await.unwrap();
    assert_eq!(listed["QueueUrls"].as_array().unwrap().len(), 3);
    let rest = sqs(&world, "ListQueues", json!({ "MaxResults": 3, "NextToken": listed["NextToken"] })).await.unwrap();
    assert_eq!(rest["QueueUrls"], json!([url]));
    for (operation, body, code) in [
        ("GetQueueUrl", json!({ "QueueName": "nobody" }), "QueueDoesNotExist"),
        ("GetQueueUrl", json!({ "QueueName": "mine", "QueueOwnerAWSAccountId": "999988887777" }), "QueueDoesNotExist"),
        ("CreateQueue", json!({ "QueueName": "a b" }), "InvalidParameterValue"),
        ("CreateQueue", json!({ "QueueName": "mine" }), "QueueNameExists"),
        (
            "CreateQueue",
            json!({ "QueueName": "x", "Attributes": { "VisibilityTimeout": "x" } }),
            "InvalidAttributeValue",
        ),
        ("GetQueueAttributes", with(json!({ "AttributeNames": ["Depth"] })), "InvalidAttributeName"),
        ("DeleteMessage", with(json!({ "ReceiptHandle": "x" })), "ReceiptHandleIsInvalid"),
        ("ReceiveMessage", with(json!({ "MaxNumberOfMessages": 11 })), "InvalidParameterValue"),
        ("TagQueue", with(json!({})), "UnknownOperationException"),
    ] {
        assert_eq!(
            sqs(&world, operation, body.clone()).await.unwrap_err(),
            (400, code.to_owned()),
            "{operation} {body}"
        );
    }
}

#[tokio::test]
async fn target_groups_have_one_page() {
    let world = world(&[]).await;
    for (more, good) in [("PageSize=1", true), ("PageSize=0", false), ("Marker=x", false)] {
        let said = post(&world, "elasticloadbalancing", &format!("Action=DescribeTargetGroups&{more}")).await;
        assert_eq!(said.status().is_success(), good, "{more}");
    }
}
