//! `aws.read`.

use std::sync::{Arc, Mutex};

use gonogo::{base::Class, base::Failure, plan::Seen};
use serde_json::json;

use super::{
    aws::{Answer, Proxy, Spoil, at, check, minute, mistakes, play},
    contract::points_at,
    ends::{Case, End, aws, contract},
};
use crate::moto;

const KIND: &str = "aws.read";

async fn case(end: End) -> Case {
    let there = aws(end).await;
    let mut cluster = "acme".to_owned();
    if end == End::Moto {
        let n = fastrand::u32(..);
        cluster = format!("read-{n}");
        moto::cluster(&cluster, &format!("web-{n}")).await;
    }
    let call = format!(
        "service = \"ecs\"\naction = \"DescribeServices\"\nparams = {{ cluster = \"{cluster}\", services = [\"web\"] }}\n"
    );
    let bad = ("service = 'ecs'\naction = 'UpdateService'\npath = 'x'\nis = 1", "'UpdateService'");
    Case::aws(&there, format!("{call}path = \"services[].status\"\nis = \"ACTIVE\""), bad)
        .not_so(format!("{call}path = \"services[0].nosuch\"\nis_not = \"ACTIVE\""))
}

contract!(KIND, case; sandbox: Sandbox, moto: Moto);

async fn look(endpoint: &str, text: &str) -> Result<Seen, Failure> {
    check(KIND, text, &at(endpoint)).check(&minute()).await
}

/// Every protocol, each service in its own place, at somebody else's AWS. That one is shared with tests that run
/// meanwhile and make things in it, so only a list's shape is asked for, never that it is empty.
#[tokio::test]
async fn many_services_answer() {
    let proxy = Proxy::new(moto::endpoint(), "", Spoil::Nothing).await;
    let n = fastrand::u32(..);
    moto::json("sqs", "AmazonSQS.CreateQueue", json!({ "QueueName": format!("q-{n}") })).await;
    let queue = format!("params = {{ QueueUrl = 'http://x/123456789012/q-{n}', AttributeNames = ['All'] }}");
    for (service, action, rest) in [
        ("acm", "ListCertificates", "path = 'length(CertificateSummaryList)'\nmin = 0"),
        ("apigatewayv2", "GetApis", "uri = '/v2/apis'\npath = 'length(items)'\nmin = 0"),
        (
            "application-autoscaling",
            "DescribeScalableTargets",
            "params = { ServiceNamespace = 'ecs' }\npath = 'length(ScalableTargets)'\nmin = 0",
        ),
        ("autoscaling", "DescribeAutoScalingGroups", "path = 'length(AutoScalingGroups)'\nmin = 0"),
        ("backup", "ListBackupVaults", "uri = '/backup-vaults/'\npath = 'length(BackupVaultList)'\nmin = 0"),
        ("cloudformation", "ListStacks", "path = 'length(StackSummaries)'\nmin = 0"),
        ("cloudfront", "ListDistributions", "uri = '/2020-05-31/distribution'\npath = 'Quantity'\nis = 0"),
        ("cloudwatch", "DescribeAlarms", "path = 'keys(@)'\nempty = false"),
        ("dynamodb", "ListTables", "path = 'length(TableNames)'\nmin = 0"),
        ("ec2", "DescribeVpcs", "path = 'vpcSet[].state'\nis = 'available'"),
        (
            "ec2",
            "DescribeVpcs",
            "params = { Filter = [{ Name = 'isDefault', Value = ['true'] }] }\npath = 'length(vpcSet)'\nis = 1",
        ),
        ("ecr", "DescribeRepositories", "path = 'length(repositories)'\nmin = 0"),
        ("efs", "DescribeFileSystems", "uri = '/2015-02-01/file-systems'\npath = 'length(FileSystems)'\nmin = 0"),
        ("elasticache", "DescribeReplicationGroups", "path = 'length(ReplicationGroups)'\nmin = 0"),
        ("elbv2", "DescribeLoadBalancers", "path = 'length(LoadBalancers)'\nmin = 0"),
        ("events", "ListEventBuses", "path = \"EventBuses[?Name=='default'].Name\"\nis = 'default'"),
        ("firehose", "ListDeliveryStreams", "path = 'HasMoreDeliveryStreams'\nis = false"),
        ("iam", "ListRoles", "path = 'length(Roles)'\nmin = 0"),
        ("kafka", "ListClustersV2", "uri = '/api/v2/clusters'\npath = 'length(clusterInfoList)'\nmin = 0"),
        ("kinesis", "ListStreams", "path = 'length(StreamNames)'\nmin = 0"),
        ("kms", "ListKeys", "path = 'length(Keys)'\nmin = 0"),
        ("lambda", "ListFunctions", "uri = '/2015-03-31/functions'\npath = 'length(Functions)'\nmin = 0"),
        ("logs", "DescribeLogGroups", "path = 'length(logGroups)'\nmin = 0"),
        ("opensearch", "ListDomainNames", "uri = '/2021-01-01/domain'\npath = 'length(DomainNames)'\nmin = 0"),
        ("rds", "DescribeDBInstances", "path = 'length(DBInstances)'\nmin = 0"),
        ("redshift", "DescribeClusters", "path = 'length(Clusters)'\nmin = 0"),
        ("route53", "GetHostedZoneCount", "uri = '/2013-04-01/hostedzonecount'\npath = 'HostedZoneCount'\nmin = 0"),
        ("s3", "ListBuckets", "uri = '/'\npath = 'Owner.ID'\nmatches = '^[0-9a-z]+$'"),
        ("scheduler", "ListSchedules", "uri = '/schedules'\npath = 'length(Schedules)'\nmin = 0"),
        ("secretsmanager", "ListSecrets", "path = 'length(SecretList)'\nmin = 0"),
        ("servicediscovery", "ListNamespaces", "path = 'length(Namespaces)'\nmin = 0"),
        ("sns", "ListTopics", "path = 'length(Topics)'\nmin = 0"),
        ("sqs", "GetQueueAttributes", &format!("{queue}\npath = 'Attributes.ApproximateNumberOfMessages'\nis = 0")),
        ("ssm", "DescribeParameters", "path = 'length(Parameters)'\nmin = 0"),
        ("stepfunctions", "ListStateMachines", "path = 'length(stateMachines)'\nmin = 0"),
        ("sts", "GetCallerIdentity", "path = 'Account'\nis = '123456789012'"),
        (
            "wafv2",
            "ListWebACLs",
            "params = { Scope = 'CLOUDFRONT' }\nregion = 'us-east-1'\npath = 'length(WebACLs)'\nmin = 0",
        ),
    ] {
        let seen = look(&proxy.endpoint, &format!("service = '{service}'\naction = '{action}'\n{rest}")).await;
        seen.unwrap_or_else(|failure| panic!("{service} {action}: {failure:?}"));
    }
    assert_eq!(proxy.changes(), 0);
}

#[tokio::test]
async fn conditions() {
    let endpoint = play(|_| {
        Answer::json(json!({ "a": { "n": 3, "text": "ready", "none": null, "list": [], "flags": [true, true] },
            "items": [{ "s": "ok" }, { "s": "ok" }, { "s": "bad" }], "password": "hunter2" }))
    })
    .await;
    let one = async |path: &str, condition: &str| {
        let text = format!("service = 'logs'\naction = 'DescribeX'\npath = \"{path}\"\n{condition}");
        look(&endpoint, &text).await
    };
    for (path, condition) in [
        ("a.n", "is = 3"),
        ("a.n", "is = '3'"),
        ("a.n", "is_not = 4"),
        ("a.n", "min = 3\nmax = 3"),
        ("a.text", "one_of = ['x', 'ready']"),
        ("a.text", "matches = '^rea'"),
        ("a.text", "empty = false"),
        ("a.list", "empty = true"),
        ("a.none", "absent = true"),
        ("b.c.d", "absent = true"),
        ("a.flags", "is = true"),
        ("a.flags", "is = [true, true]"),
        ("items[].s", "is = 'ok'\nany = true"),
        ("items[?s=='ok'].s", "is = 'ok'"),
        ("length(items)", "is = 3"),
        ("password", "is = 'hunter2'"),
    ] {
        let seen = one(path, condition).await.unwrap_or_else(|failure| panic!("{path} {condition}: {failure:?}"));
        assert!(!format!("{seen:?}").contains("hunter2"), "{seen:?}");
    }
    for (path, condition, said) in [
        ("a.n", "is = 4", "a.n is 3, wanted: a.n is 4"),
        ("a.n", "min = 4", "wanted: a.n is at least 4"),
        ("a.text", "max = 4", "wanted: a.text is at most 4"),
        ("items[].s", "is = 'ok'", "wanted"),
        ("a.list", "empty = false", "wanted"),
        ("a.text", "absent = true", "wanted"),
        ("password", "is = 'other'", "is (not shown)"),
        // No data is never green.
        ("b.c", "is_not = 4", "no data: nothing stands at b.c"),
        ("a.none", "is_not = 4", "no data"),
        ("b", "empty = true", "no data"),
        ("a.list", "is = 4", "no data"),
        ("b[].s", "is_not = 4", "no data"),
        ("items[].nosuch", "is_not = 4", "no data"),
        ("length(a.none)", "is = 0", "no data: length(a.none) cannot be worked out"),
    ] {
        let failure = one(path, condition).await.expect_err(path);
        assert_eq!(failure.class, Class::NotYet, "{path}: {failure:?}");
        assert!(failure.message.contains(said), "{path} {condition}: {failure}");
        assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
    }
}

#[tokio::test]
async fn pages_are_followed_and_never_taken_for_the_whole() {
    let endless = Arc::new(Mutex::new(0));
    let count = endless.clone();
    let endpoint = play(move |asked| {
        let token = serde_json::from_str::<serde_json::Value>(&asked.body).unwrap()["nextToken"].clone();
        match (asked.operation.as_str(), token.as_str()) {
            ("ListTwo", None) => Answer::json(json!({ "items": [1, 2], "nextToken": "b" })),
            ("ListTwo", Some("b")) => Answer::json(json!({ "items": [3] })),
            ("ListMore", _) => Answer::json(json!({ "items": [1], "HasMoreStreams": true })),
            _ => {
                *count.lock().unwrap() += 1;
                Answer::json(json!({ "items": [1], "nextToken": format!("t{}", count.lock().unwrap()) }))
            }
        }
    })
    .await;
    let one = async |action: &str| {
        look(&endpoint, &format!("service = 'ecs'\naction = '{action}'\npath = 'length(items)'\nmin = 1")).await
    };
    assert_eq!(one("ListTwo").await.unwrap().value, Some(3.0));
    let first = one("ListMore").await.unwrap_err();
    assert!(first.class == Class::NotYet && first.message.contains("gave the first page only"), "{first:?}");
    let many = one("ListEndless").await.unwrap_err();
    assert!(many.message.contains("no data: more than 20 pages"), "{many:?}");
    assert_eq!(*endless.lock().unwrap(), 20);
}

#[tokio::test]
async fn a_described_service_and_a_rest_path() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    let endpoint = play(move |asked| {
        kept.lock().unwrap().push((asked.operation.clone(), asked.head.clone()));
        Answer::json(json!({ "State": "Active" }))
    })
    .await;
    let other = "service = 'newthing'\nhost = 'new-thing'\nsigns = 'newthing'\nprotocol = 'json-1.0'\ntarget = 'NewThing_2026'\n\
        action = 'DescribeThing'\npath = 'State'\nis = 'Active'";
    look(&endpoint, other).await.unwrap();
    let rest = "service = 'lambda'\naction = 'GetFunctionConfiguration'\npath = 'State'\nis = 'Active'\n\
        uri = '/2015-03-31/functions/{FunctionName}/configuration?x=y'\nparams = { FunctionName = 'a b', Qualifier = '1' }";
    look(&endpoint, rest).await.unwrap();
    let head = "service = 's3'\naction = 'HeadBucket'\npath = '\"x-amzn-requestid\"'\nis = 'req-1'\nuri = '/{Bucket}'\n\
        params = { Bucket = 'shop' }";
    look(&endpoint, head).await.unwrap();
    let climbing = rest.replace("a b", "a/b");
    let failure = look(&endpoint, &climbing).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured, "{failure:?}");
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0].0, "DescribeThing");
    assert!(seen[0].1.contains("/eu-west-1/newthing/aws4_request"), "{}", seen[0].1);
    assert_eq!(seen[1].0, "GET /2015-03-31/functions/a%20b/configuration?x=y&Qualifier=1");
    assert_eq!(seen[2].0, "HEAD /shop");
}

#[tokio::test]
async fn what_changes_or_gives_away_is_refused_when_it_is_read() {
    let services = at("http://127.0.0.1:9");
    let points = |text: &str, marked: &str, message: &str| points_at(KIND, text, &services, marked, message);
    let rest = "path = 'x'\nis = 1";
    for action in
        ["DeleteQueue", "ReceiveMessage", "GetSecretValue", "GetAuthorizationToken", "AssumeRole", "Describe x"]
    {
        points(&format!("service = 'sqs'\naction = '{action}'\n{rest}"), &format!("'{action}'"), "does not send");
    }
    let decrypted =
        format!("service = 'ssm'\naction = 'GetParameter'\nparams = {{ Name = 'x', WithDecryption = true }}\n{rest}");
    points(&decrypted, "WithDecryption", "would give away secrets");
    points(
        &format!("service = 'elasticash'\naction = 'DescribeX'\n{rest}"),
        "'elasticash'",
        "not a service known by name",
    );
    points(&format!("service = 'x'\nprotocol = 'query'\naction = 'DescribeX'\n{rest}"), "'query'", "needs `version`");
    points(&format!("service = 'lambda'\naction = 'GetX'\n{rest}"), "", "needs `uri`");
    points("service = 'ecs'\naction = 'ListX'\npath = 'a[['\nis = 1", "'a[['", "JMESPath");
    points("service = 'ecs'\naction = 'ListX'\npath = 'a'", "", "one condition");
    points("service = 'ecs'\naction = 'ListX'\npath = 'a'\nis = 1\nmin = 2", "", "one condition");
    points("service = 'ecs'\naction = 'ListX'\npath = 'a'\nmatches = '('", "'('", "regular expression");
    points("service = 'ecs'\naction = 'ListX'\npath = 'a'\nmin = 3\nmax = 2", "2", "`max` is less");
    let deep = format!("service = 'ecs'\naction = 'ListX'\npath = '{}'\nis = 1", "(".repeat(5000));
    assert_eq!(mistakes(KIND, &deep).len(), 1);
}

#[tokio::test]
async fn a_missing_resource_is_said_in_aws_words() {
    let text = "service = 'elasticache'\naction = 'DescribeReplicationGroups'\nparams = { ReplicationGroupId = 'nosuch' }\n\
        path = 'ReplicationGroups[0].Status'\nis = 'available'";
    let failure = look(moto::endpoint(), text).await.unwrap_err();
    assert!(failure.message.contains("ReplicationGroupNotFound"), "{failure:?}");
    assert!(failure.causes[0].contains("request id"), "{failure:?}");
}
