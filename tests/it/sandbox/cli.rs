//! The real command lines: `aws` (PyPI awscli) and `heroku` (npm heroku), told where the world is by
//! the variables that `gonogo sandbox` prints, and by nothing else.

use std::{path::PathBuf, process::Output, time::Duration};

use gonogo::sandbox::Sandbox;
use serde_json::Value;
use tokio::process::Command;

use super::world;

/// A CLI call takes about 2 s of one processor; tests share two.
const PATIENCE: Duration = Duration::from_secs(120);

/// The path of a CLI: by its variable, else where `tests/run` puts it.
fn tool(variable: &str, installed: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return path.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"))).unwrap();
    let path = cache.join("gonogo/tools").join(installed);
    assert!(path.exists(), "{} is missing: run tests/run, which installs it, or set {variable}", path.display());
    path
}

/// A CLI in an environment that has nothing but the world's variables.
pub struct Cli<'a> {
    path: PathBuf,
    world: &'a Sandbox,
    home: tempfile::TempDir,
}

impl Cli<'_> {
    async fn run(&self, args: &str) -> Output {
        let mut command = Command::new(&self.path);
        command.args(args.split(' ')).env_clear().envs(self.world.exports()).env("HOME", self.home.path());
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("AWS_MAX_ATTEMPTS", "1").env("AWS_PAGER", "");
        command.env("CI", "true").kill_on_drop(true);
        tokio::time::timeout(PATIENCE, command.output()).await.expect("the CLI hangs").unwrap()
    }

    /// Standard output of a call that must succeed.
    pub async fn ok(&self, args: &str) -> String {
        let output = self.run(args).await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{args}\n{}\n{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    pub async fn json(&self, args: &str) -> Value {
        let text = self.ok(args).await;
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args}: {e}\n{text}"))
    }

    /// Standard error of a call that must fail.
    pub async fn refused(&self, args: &str) -> String {
        let output = self.run(args).await;
        assert!(!output.status.success(), "{args} succeeded");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

fn cli<'a>(world: &'a Sandbox, variable: &str, installed: &str) -> Cli<'a> {
    Cli { path: tool(variable, installed), world, home: tempfile::tempdir().unwrap() }
}

pub fn aws(world: &Sandbox) -> Cli<'_> {
    cli(world, "GONOGO_AWS_CLI", "venv/bin/aws")
}

fn heroku(world: &Sandbox) -> Cli<'_> {
    cli(world, "GONOGO_HEROKU_CLI", "node_modules/.bin/heroku")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_aws_cli_changes_dns_and_waits_for_insync() {
    let world = world(&[]).await;
    let aws = aws(&world);
    assert_eq!(aws.json("sts get-caller-identity").await["Account"], "111122223333");
    let zones = aws.json("route53 list-hosted-zones").await;
    assert_eq!(zones["HostedZones"][0]["Id"], "/hostedzone/Z0SANDBOX");
    let sets = aws.json("route53 list-resource-record-sets --hosted-zone-id Z0SANDBOX --page-size 6").await;
    assert!(sets["ResourceRecordSets"].as_array().unwrap().len() > 10, "the pages join up");
    let change = |from: &str, to: &str| {
        let set = |action, to| {
            format!(
                r#"{{"Action":"{action}","ResourceRecordSet":{{"Name":"shop.acme.example","Type":"CNAME","TTL":20,"ResourceRecords":[{{"Value":"{to}"}}]}}}}"#
            )
        };
        let batch = format!(r#"{{"Changes":[{},{}]}}"#, set("DELETE", from), set("CREATE", to));
        format!("route53 change-resource-record-sets --hosted-zone-id Z0SANDBOX --change-batch {batch}")
    };
    let (old, new) = ("acme-shop.herokudns.example", "acme-web-1.eu-west-1.elb.example");
    let done = aws.json(&change(old, new)).await;
    assert_eq!(done["ChangeInfo"]["Status"], "PENDING");
    let id = done["ChangeInfo"]["Id"].as_str().unwrap();
    aws.ok(&format!("route53 wait resource-record-sets-changed --id {id}")).await;
    let refused = aws.refused(&change(old, new)).await;
    assert!(refused.contains("(InvalidChangeBatch) when calling the ChangeResourceRecordSets operation"), "{refused}");
    assert!(refused.contains("do not match the current values"), "{refused}");
    let missing = aws.refused("route53 get-hosted-zone --id Z0NOWHERE").await;
    assert!(missing.contains("(NoSuchHostedZone)"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_aws_cli_deploys_and_looks_around() {
    let world = world(&[]).await;
    let aws = aws(&world);
    let said =
        aws.json("ecs update-service --cluster acme --service web --task-definition web:42 --desired-count 2").await;
    assert_eq!(said["service"]["deployments"][0]["rolloutState"], "IN_PROGRESS");
    aws.ok("ecs wait services-stable --cluster acme --services web").await;
    let service = aws.json("ecs describe-services --cluster acme --services web").await["services"][0].clone();
    assert!(service["taskDefinition"].as_str().unwrap().ends_with("web:42"), "{service}");
    let group = aws.json("elbv2 describe-target-groups --names acme-web").await;
    let arn = group["TargetGroups"][0]["TargetGroupArn"].as_str().unwrap().to_owned();
    let health = aws.json(&format!("elbv2 describe-target-health --target-group-arn {arn}")).await;
    let states: Vec<_> =
        health["TargetHealthDescriptions"].as_array().unwrap().iter().map(|it| &it["TargetHealth"]["State"]).collect();
    assert_eq!(states, ["healthy", "healthy"]);
    assert_eq!(aws.json("elbv2 describe-load-balancers").await["LoadBalancers"][0]["State"]["Code"], "active");
    let run = aws.json("ecs run-task --cluster acme --task-definition migrate --client-token one").await;
    let task = run["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
    aws.ok(&format!("ecs wait tasks-stopped --cluster acme --tasks {task}")).await;
    let task = aws.json(&format!("ecs describe-tasks --cluster acme --tasks {task}")).await["tasks"][0].clone();
    assert_eq!((&task["lastStatus"], &task["containers"][0]["exitCode"]), (&"STOPPED".into(), &0.into()));
    let tasks = aws.json("ecs list-tasks --cluster acme --service-name web").await;
    assert_eq!(tasks["taskArns"].as_array().unwrap().len(), 2);
    assert_eq!(aws.json("ecs describe-clusters --clusters acme").await["clusters"][0]["status"], "ACTIVE");
    let definitions = aws.json("ecs list-task-definitions --family-prefix web --sort DESC").await;
    assert!(definitions["taskDefinitionArns"][0].as_str().unwrap().ends_with("web:42"));
    assert_eq!(aws.json("ecs describe-task-definition --task-definition web").await["taskDefinition"]["revision"], 42);
    let refused = aws.refused("ecs update-service --cluster acme --service nope --desired-count 1").await;
    assert!(refused.contains("(ServiceNotFoundException)"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_aws_cli_reads_metrics_and_secrets() {
    let world = world(&[]).await;
    let aws = aws(&world);
    aws.ok("cloudwatch put-metric-data --namespace Mine --metric-name m --value 3.5 --dimensions Host=a").await;
    aws.ok("cloudwatch put-metric-data --namespace Mine --metric-name m --value 4.5 --dimensions Host=a").await;
    let listed = aws.json("cloudwatch list-metrics --namespace Mine").await;
    assert_eq!(listed["Metrics"][0]["Dimensions"][0]["Value"], "a");
    let query = r#"[{"Id":"q","MetricStat":{"Metric":{"Namespace":"Mine","MetricName":"m","Dimensions":[{"Name":"Host","Value":"a"}]},"Period":86400,"Stat":"Average"}}]"#;
    let data = aws.json(&format!("cloudwatch get-metric-data --start-time 2020-01-01T00:00:00Z --end-time 2100-01-01T00:00:00Z --metric-data-queries {query}")).await;
    let values = &data["MetricDataResults"][0]["Values"];
    let total: f64 = values.as_array().unwrap_or_else(|| panic!("{data}")).iter().map(|it| it.as_f64().unwrap()).sum();
    assert!(total == 4.0 || total == 8.0, "{data}: one day, or midnight in between");
    // The CLI prints a time as it came over the wire: in CBOR, as a number.
    let day = data["MetricDataResults"][0]["Timestamps"][0].as_f64().unwrap_or_else(|| panic!("{data}"));
    assert!(day > 1.7e9 && day % 86400.0 == 0.0, "{data}: a period begins at a multiple of its length");
    let alarms = aws.json("cloudwatch describe-alarms --alarm-types MetricAlarm CompositeAlarm --page-size 1").await;
    assert_eq!(alarms["MetricAlarms"][1]["AlarmName"], "acme-latency");
    assert_eq!(alarms["CompositeAlarms"][0]["StateValue"], "OK", "the pages join up");
    // Version 1 of the CLI has an address of its own for SQS, which only this option takes from it.
    let at = format!("--endpoint-url {}", world.endpoints().aws);
    let url = aws.json(&format!("sqs get-queue-url --queue-name acme-jobs {at}")).await["QueueUrl"]
        .as_str()
        .unwrap()
        .to_owned();
    aws.ok(&format!("sqs send-message --queue-url {url} --message-body hello --delay-seconds 900 {at}")).await;
    let depth = aws.json(&format!("sqs get-queue-attributes --queue-url {url} --attribute-names All {at}")).await;
    assert_eq!(depth["Attributes"]["ApproximateNumberOfMessagesDelayed"], "1");
    let secret = aws.json("secretsmanager get-secret-value --secret-id acme/prod/database-url").await;
    assert!(secret["SecretString"].as_str().unwrap().starts_with("postgres://"));
    let missing = aws.refused("secretsmanager get-secret-value --secret-id nope").await;
    assert!(missing.contains("(ResourceNotFoundException)"), "{missing}");
    let parameter = aws.json("ssm get-parameter --name /acme/prod/REDIS_URL --with-decryption").await;
    assert!(parameter["Parameter"]["Value"].as_str().unwrap().starts_with("redis://"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_heroku_cli_switches_scales_and_configures() {
    let world = world(&[]).await;
    let heroku = heroku(&world);
    heroku.ok("maintenance:on -a acme-shop").await;
    assert_eq!(heroku.ok("maintenance -a acme-shop").await.trim(), "on");
    heroku.ok("ps:scale web=0 worker=1 -a acme-shop").await;
    let ps = heroku.ok("ps -a acme-shop").await;
    assert!(ps.contains("worker.1: up") && !ps.contains("web.1: up"), "{ps}");
    heroku.ok("config:set NEW=value -a acme-shop").await;
    assert_eq!(heroku.ok("config:get NEW -a acme-shop").await.trim(), "value");
    assert!(heroku.ok("releases -a acme-shop").await.contains("Set NEW config vars"));
    heroku.ok("config:unset LOG_LEVEL -a acme-shop").await;
    let info = heroku.ok("releases:info v144 -a acme-shop").await;
    assert!(info.contains("Remove LOG_LEVEL config vars"), "{info}");
    let taken = heroku.refused("config:set DATABASE_URL=postgres://x -a acme-shop").await;
    assert!(taken.contains("Cannot overwrite attachment values DATABASE_URL"), "{taken}");
    heroku.ok("releases:rollback v142 -a acme-shop").await;
    let config = heroku.ok("config -a acme-shop --json").await;
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!((&config["LOG_LEVEL"], config.get("NEW")), (&"info".into(), None), "as v142 had it");
    let effects: Vec<String> = world.effects().await.into_iter().map(|it| it.detail).collect();
    assert_eq!(
        effects,
        [
            "maintenance true",
            "web 2 -> 0, worker 2 -> 1",
            "Set NEW config vars",
            "Remove LOG_LEVEL config vars",
            "Rollback to v142"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_heroku_cli_looks_around_and_is_refused() {
    let world = world(&[]).await;
    let heroku = heroku(&world);
    let info = heroku.ok("apps:info -a acme-shop").await;
    assert!(info.contains("acme-shop") && info.contains("heroku-postgresql"), "{info}");
    assert!(heroku.ok("domains -a acme-shop").await.contains("shop.acme.example"));
    let addons = heroku.ok("addons -a acme-shop").await;
    assert!(addons.contains("heroku-redis") && addons.contains("as DATABASE"), "{addons}");
    let detached = heroku.ok("run:detached -a acme-shop sleep 60").await;
    let ps = heroku.ok("ps -a acme-shop").await;
    assert!(ps.contains("run.") && ps.contains("sleep 60"), "{detached}\n{ps}");
    let missing = heroku.refused("ps -a nobody").await;
    assert!(missing.contains("Couldn't find that app"), "{missing}");
}
