//! A second witness: moto's own enforcement of IAM, which somebody else wrote. It looks at actions only: every
//! resource is `*` to it, and no role is asked about. It checks signatures, and wrongly those of requests without a
//! body (botocore's own of Route 53 are refused), so that ECS and Secrets Manager have to do. It holds for the whole
//! server, so that this test has a process and a moto of its own.

use std::process::Command;

use serde_json::{Value as Json, json};

use super::{gonogo, pairs, policy_of, text};
use crate::moto;

/// Names the process that has a moto to itself.
const ALONE: &str = "GONOGO_TEST_ALONE";

/// What moto asks about in that night. Everything else in the policy is for what goes wrong, or for roles.
const ASKED: &[&str] = &[
    "ecs:DescribeServices",
    "ecs:DescribeTaskDefinition",
    "ecs:DescribeTasks",
    "ecs:ListTasks",
    "ecs:RunTask",
    "ecs:UpdateService",
    "secretsmanager:GetSecretValue",
];

#[test]
fn moto_finds_it_enough_and_nothing_to_spare() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "iam::witness::alone", "--nocapture", "--test-threads", "1"]).env(ALONE, "1");
    let output = command.output().unwrap();
    let said = text(&output.stdout);
    assert!(output.status.success() && said.contains("moto refused:"), "{said}{}", text(&output.stderr));
}

/// From how many requests on moto enforces.
async fn enforced_after(requests: &str) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/moto-api/reset-auth", moto::endpoint());
    assert!(client.post(url).body(requests.to_owned()).send().await.unwrap().status().is_success());
}

/// A user with a policy; the names and values of its credentials.
async fn user(name: &str, policy: &Json) -> [(&'static str, String); 2] {
    moto::query("iam", &format!("Action=CreateUser&Version=2010-05-08&UserName={name}")).await;
    let document: String =
        percent_encoding::utf8_percent_encode(&policy.to_string(), percent_encoding::NON_ALPHANUMERIC).collect();
    let put =
        format!("Action=PutUserPolicy&Version=2010-05-08&UserName={name}&PolicyName=least&PolicyDocument={document}");
    moto::query("iam", &put).await;
    let keys = moto::query("iam", &format!("Action=CreateAccessKey&Version=2010-05-08&UserName={name}")).await;
    let field = |name: &str| moto::between(&keys, &format!("<{name}>"), "<").to_owned();
    [("AWS_ACCESS_KEY_ID", field("AccessKeyId")), ("AWS_SECRET_ACCESS_KEY", field("SecretAccessKey"))]
}

/// moto's runbook without Route 53, and with a secret.
async fn book() -> String {
    let text = moto::runbook().await;
    let before = text.find("[[step]]\nid       = \"lower-ttl\"").unwrap();
    let ecs = text.find("[[step]]\nid       = \"deploy\"").unwrap();
    let after = text.find("# Another name than above").unwrap();
    let name = format!("acme/{}", fastrand::u32(..));
    let secret = json!({ "Name": name, "SecretString": "not-to-be-shown" });
    moto::json("secretsmanager", "secretsmanager.CreateSecret", secret).await;
    let reads = "[[step]]\nid = \"reads\"\ntitle = \"Read a secret\"\nowner = \"mira\"\nplanned = \"5s\"\n\
                 verify = [{ kind = \"command\", argv = [\"/bin/true\"], env = { A = \"${secret.app}\" } }]\n";
    format!("{}{}\n{reads}\n[secrets]\napp = {{ aws_secret = \"{name}\" }}\n", &text[..before], &text[ecs..after])
}

#[tokio::test]
async fn alone() {
    if std::env::var_os(ALONE).is_none() {
        return;
    }
    let first = Night::new().await;
    let printed = gonogo(first.dir.path(), &["iam", "it.toml", "--env", "moto"]);
    assert!(printed.status.success(), "{}", text(&printed.stderr));
    let policy: Json = serde_json::from_slice(&printed.stdout).unwrap();
    // moto refuses a document that is not a policy.
    user("printed", &policy).await;
    let mut actions: Vec<String> = pairs(&policy).into_iter().map(|(action, _)| action).collect();
    actions.sort();
    actions.dedup();
    let all = |actions: &[String]| {
        policy_of(&actions.iter().map(|action| (action.clone(), "*".to_owned())).collect::<Vec<_>>())
    };
    let keys = user("all", &all(&actions)).await;
    let mut lacking = Vec::new();
    for missing in ASKED {
        assert!(actions.iter().any(|action| action == missing), "{missing}: {actions:?}");
        let left: Vec<_> = actions.iter().filter(|action| action != missing).cloned().collect();
        lacking.push((*missing, Night::new().await, user(&missing.replace(':', "-"), &all(&left)).await));
    }
    // All is made; from here on everything is asked about, and the nights are side by side: they mostly wait.
    enforced_after("0").await;
    let whole = tokio::task::spawn_blocking(move || first.rehearse(keys));
    let lacking = lacking
        .into_iter()
        .map(|(missing, night, keys)| (missing, tokio::task::spawn_blocking(move || night.rehearse(keys))));
    let lacking: Vec<_> = lacking.collect();
    let (code, said) = whole.await.unwrap();
    assert!([0, 15].contains(&code), "{said}");
    println!("moto allowed: {}", actions.join(" "));
    for (missing, night) in lacking {
        let (code, said) = night.await.unwrap();
        assert!(![0, 15].contains(&code) && said.contains(missing), "without {missing}: {code}\n{said}");
        println!("moto refused: a night without {missing}, exit {code}");
    }
}

/// A runbook with a world of its own in moto, in a directory of its own.
struct Night {
    dir: tempfile::TempDir,
}

impl Night {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("it.toml"), book().await).unwrap();
        Self { dir }
    }

    /// Exit code, and all that was said.
    fn rehearse(&self, keys: [(&'static str, String); 2]) -> (i32, String) {
        let dir = self.dir.path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gonogo"));
        command.args(["rehearse", "it.toml", "--env", "moto", "--plain", "--auto-go"]).current_dir(dir).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", dir).envs(keys);
        command.env("GONOGO_STATE_DIR", dir.join("state")).env("AWS_ENDPOINT_URL", moto::endpoint());
        let output = command.env("AWS_EC2_METADATA_DISABLED", "true").output().unwrap();
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    }
}
