//! Credentials that end in the middle of a run: the step holds with the command that renews them, and a typed retry goes
//! on in the same process.

use super::Home;
use crate::kinds::aws::{Answer, caller, play};

const BOOK: &str = r#"
format = 1
[runbook]
id = "renewed"
title = "Credentials end in the middle"
lead = "mira"
[people]
mira = { name = "Mira Okafor" }
[env.staging]
kind = "rehearsal"
confirm = "acme-staging"
aws = { region = "eu-west-1", account = "111122223333", profile = "acme" }
[[step]]
id = "who"
title = "The right account"
owner = "mira"
planned = "1s"
verify = [{ kind = "aws.identity" }]
[[step]]
id = "jobs"
title = "The jobs are on"
owner = "mira"
planned = "5s"
action = { kind = "scheduler.switch", rules = ["clean-carts"], to = "on" }
rollback = "restore"
"#;

fn keys(id: &str) -> String {
    format!(r#"{{"Version":1,"AccessKeyId":"{id}","SecretAccessKey":"canary-secret","SessionToken":"canary-token"}}"#)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_step_holds_and_goes_on_after_renewal() {
    let on = std::sync::atomic::AtomicBool::new(false);
    let endpoint = play(move |asked| {
        use std::sync::atomic::Ordering::SeqCst;
        let fresh = asked.head.contains("Credential=AKIAFRESH/");
        match asked.operation.as_str() {
            "GetCallerIdentity" => caller("111122223333"),
            _ if !fresh => Answer::json_error(400, "ExpiredTokenException", "The security token is expired"),
            "DescribeRule" => {
                let state = if on.load(SeqCst) { "ENABLED" } else { "DISABLED" };
                Answer::json(serde_json::json!({ "Name": "clean-carts", "State": state }))
            }
            "EnableRule" => {
                on.store(true, SeqCst);
                Answer::json(serde_json::json!({}))
            }
            other => panic!("{other}"),
        }
    })
    .await;
    let home = Home::new().with("AWS_ENDPOINT_URL", &endpoint);
    let home = home.with("AWS_CONFIG_FILE", "config").with("AWS_SHARED_CREDENTIALS_FILE", "none");
    home.file("config", "[profile acme]\ncredential_process = cat keys.json\n");
    home.file("keys.json", &keys("AKIAOLD"));
    let book = home.file("book.toml", BOOK).display().to_string();
    let mut run = home.start(["rehearse", &book, "--env", "staging", "--plain"]);
    run.says("see what it wants by running it: cat keys.json");
    assert!(run.out().contains("ExpiredTokenException"), "{}", run.out());
    assert!(run.out().contains("request id req-1"), "{}", run.out());
    home.file("keys.json", &keys("AKIAFRESH"));
    run.types("retry");
    run.types("retry");
    let ended = run.ended();
    assert_eq!(ended.code, 0, "{ended:?}");
    let journal = std::fs::read_to_string(home.folder().join("journal.jsonl")).unwrap();
    assert!(!journal.contains("canary") && !ended.out.contains("canary"), "a key is shown");
}
