//! The sandbox with a policy in force, asked by the real clients: refusals in each protocol and in AWS's words.

use aws_sdk_ecs::types::TargetType;
use gonogo::{
    base::{Class, Failure},
    runbook::AwsEnv,
    sandbox::{Config, Sandbox, Verdict},
    services::{Services, aws::Patience},
};
use serde_json::{Value as Json, json};
use std::{sync::Arc, time::Duration};

use crate::{kinds::aws, sandbox};

const WHO: &str = "User: arn:aws:sts::111122223333:assumed-role/cutover/sandbox is not authorized to perform: ";
const ECS: &str = "arn:aws:ecs:eu-west-1:111122223333";

/// A world with these statements in force.
async fn world(statements: Json) -> Sandbox {
    let policy = json!({ "Version": "2012-10-17", "Statement": statements }).to_string().parse().unwrap();
    Sandbox::start(Config { seed: 7, policy: Some(policy), ..Config::default() }).await.unwrap()
}

fn services(world: &Sandbox) -> Arc<Services> {
    let at = world.endpoints();
    aws::services(aws::env_of(AwsEnv {
        endpoint: Some(at.aws.clone()),
        region: Some(at.region.clone()),
        account: Some(at.account.clone()),
        ..AwsEnv::default()
    }))
}

fn soon() -> Patience {
    Patience::within(Duration::from_secs(20))
}

fn allow(action: &str, resource: &str) -> Json {
    json!({ "Effect": "Allow", "Action": action, "Resource": resource })
}

fn is_refused(failure: &Failure, action: &str, resource: &str) {
    assert_eq!(failure.class, Class::Denied, "{failure:?}");
    let words =
        format!("{WHO}{action} on resource: {resource} because no identity-based policy allows the {action} action");
    assert!(failure.message.contains(&words), "{failure:?}");
    let hint = failure.hint.clone().unwrap();
    assert_eq!(hint, format!("the role in use needs the permission {action} on {resource}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_in_every_protocol() {
    let world = world(json!([{ "Effect": "Deny", "Action": "sts:*", "Resource": "*" }, allow("s3:*", "*")])).await;
    let services = services(&world);
    let aws = &services.aws;
    // Everybody may ask who they are, whatever a policy says.
    aws.fence().await.unwrap();
    let json = aws.service("acme", "web", &soon()).await.unwrap_err();
    is_refused(&json, "ecs:DescribeServices", &format!("{ECS}:service/acme/web"));
    assert!(json.message.contains("AccessDeniedException"), "{json:?}");
    let rest = aws.record_sets("Z0SANDBOX", &["shop.acme.example"], &soon()).await.unwrap_err();
    is_refused(&rest, "route53:ListResourceRecordSets", "arn:aws:route53:::hostedzone/Z0SANDBOX");
    let query = aws.target_groups(&["acme-web".to_owned()], &soon()).await.unwrap_err();
    is_refused(&query, "elasticloadbalancing:DescribeTargetGroups", "*");
    let signed = aws.secret_value("acme/prod/app").await.unwrap_err();
    let secret = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:acme/prod/app-Sandbx";
    is_refused(&signed, "secretsmanager:GetSecretValue", secret);
    let parameter = aws.parameter_value("/acme/prod/LOG_LEVEL").await.unwrap_err();
    is_refused(&parameter, "ssm:GetParameter", "arn:aws:ssm:eu-west-1:111122223333:parameter/acme/prod/LOG_LEVEL");
    let all = world.authorizations().await;
    assert!(all.iter().all(|it| it.verdict == Verdict::NotAllowed && it.times == 1), "{all:?}");
    assert_eq!(all.len(), 5, "{all:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn allowed_only_what_is_allowed() {
    let secret = "arn:aws:secretsmanager:*:111122223333:secret:acme/prod/app-??????";
    let never = json!({ "Sid": "Never", "Effect": "Deny", "Action": "ECS:describetasks", "Resource": "*" });
    let world = world(json!([
        allow("ecs:Describe*", &format!("{ECS}:service/acme/web")),
        allow("ecs:DescribeTasks", "*"),
        allow("secretsmanager:GetSecretValue", secret),
        never
    ]))
    .await;
    let services = services(&world);
    let aws = &services.aws;
    aws.service("acme", "web", &soon()).await.unwrap();
    aws.service("acme", "web", &soon()).await.unwrap();
    is_refused(
        &aws.service("acme", "worker", &soon()).await.unwrap_err(),
        "ecs:DescribeServices",
        &format!("{ECS}:service/acme/worker"),
    );
    aws.secret_value("acme/prod/app").await.unwrap();
    is_refused(
        &aws.secret_value("acme/prod/database-url").await.unwrap_err(),
        "secretsmanager:GetSecretValue",
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:acme/prod/database-url-Sandbx",
    );
    let denied = aws.tasks("acme", &["0123".into()], &soon()).await.unwrap_err();
    assert!(denied.message.contains("with an explicit deny in an identity-based policy"), "{denied:?}");
    assert!(denied.hint.clone().unwrap().starts_with("a policy denies ecs:DescribeTasks on "), "{denied:?}");
    let all = world.authorizations().await;
    let of = |action: &str, resource: &str| {
        let found = all.iter().find(|it| it.action == action && it.resource.ends_with(resource)).unwrap();
        (found.verdict.clone(), found.times)
    };
    assert_eq!(of("ecs:DescribeServices", "service/acme/web"), (Verdict::Allowed("#1".into()), 2));
    assert_eq!(of("ecs:DescribeServices", "service/acme/worker"), (Verdict::NotAllowed, 1));
    assert_eq!(of("ecs:DescribeTasks", "task/acme/0123"), (Verdict::Denied("Never".into()), 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_has_to_be_allowed_to_be_passed() {
    let role = "arn:aws:iam::111122223333:role/acme-task";
    let register = async |statements: Json| {
        let world = world(statements).await;
        let ecs = aws_sdk_ecs::Client::new(&sandbox::aws(world.endpoints()).await);
        let container = aws_sdk_ecs::types::ContainerDefinition::builder().name("app").image("shop:1").build();
        let asked = ecs.register_task_definition().family("new").container_definitions(container).task_role_arn(role);
        let answer = asked.send().await.map_err(|e| format!("{:?}", e.into_service_error()));
        (answer.is_ok(), answer.err().unwrap_or_default(), world.authorizations().await)
    };
    let pass = |service: &str| {
        json!({ "Effect": "Allow", "Action": "iam:PassRole", "Resource": role,
            "Condition": { "StringEquals": { "iam:PassedToService": service } } })
    };
    let (done, said, _) = register(json!([allow("ecs:RegisterTaskDefinition", "*")])).await;
    assert!(!done && said.contains(&format!("{WHO}iam:PassRole on resource: {role}")), "{said}");
    let (done, said, _) = register(json!([allow("ecs:*", "*"), pass("scheduler.amazonaws.com")])).await;
    assert!(!done && said.contains("iam:PassRole"), "{said}");
    let (done, said, all) = register(json!([allow("ecs:*", "*"), pass("ecs-tasks.amazonaws.com")])).await;
    assert!(done, "{said}");
    assert!(all.iter().any(|it| it.action == "iam:PassRole" && it.resource == role), "{all:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_on_the_cluster() {
    let on = |cluster: &str| {
        json!([{ "Effect": "Allow", "Action": "ecs:ListTasks", "Resource": "*",
            "Condition": { "StringEquals": { "ecs:cluster": format!("{ECS}:cluster/{cluster}") } } }])
    };
    for (cluster, fits) in [("acme", true), ("other", false)] {
        let world = world(on(cluster)).await;
        let ecs = aws_sdk_ecs::Client::new(&sandbox::aws(world.endpoints()).await);
        let answer = ecs.list_tasks().cluster("acme").service_name("web").send().await;
        assert_eq!(answer.is_ok(), fits, "{cluster}: {answer:?}");
    }
}

/// A gap of the table must be seen as such, and only while a policy is in force.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_that_nobody_mapped_is_refused_loudly() {
    let guarded = world(json!([allow("*", "*")])).await;
    let open = sandbox::world(&[]).await;
    for (world, wanted) in [(&guarded, "src/sandbox/aws/iam/services.rs"), (&open, "is not part of the sandbox")] {
        let ecs = aws_sdk_ecs::Client::new(&sandbox::aws(world.endpoints()).await);
        let said = format!(
            "{:?}",
            ecs.list_attributes().cluster("acme").target_type(TargetType::ContainerInstance).send().await.unwrap_err()
        );
        assert!(said.contains(wanted), "{said}");
    }
    assert_eq!(open.authorizations().await, []);
    assert_eq!(guarded.authorizations().await[0].action, "ecs:ListAttributes");
}

/// IAM looks at the task definition as the request names it: a family alone is not one of its revisions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_definition_is_the_one_that_is_named() {
    let definition = |name: &str| format!("{ECS}:task-definition/{name}");
    let world = world(json!([allow("ecs:RunTask", &definition("migrate:*")), allow("iam:PassRole", "*")])).await;
    let ecs = aws_sdk_ecs::Client::new(&sandbox::aws(world.endpoints()).await);
    for (name, looked_at, fits) in [
        ("migrate", "migrate", false),
        ("migrate:3", "migrate:3", true),
        (&definition("migrate:3"), "migrate:3", true),
        (&definition("migrate"), "migrate", false),
        ("web:3", "web:3", false),
    ] {
        let answer = ecs.run_task().cluster("acme").task_definition(name).send().await;
        let refused = answer.as_ref().is_err_and(|error| format!("{error:?}").contains("is not authorized to perform"));
        assert_eq!(refused, !fits, "{name}: {answer:?}");
        let all = world.authorizations().await;
        assert!(all.iter().any(|it| it.action == "ecs:RunTask" && it.resource == definition(looked_at)), "{all:?}");
    }
}
