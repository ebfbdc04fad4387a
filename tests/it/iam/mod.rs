//! What has to be allowed: the policy that `gonogo iam` prints, the sandbox that enforces one, and the proof
//! that the one is enough for the other and has nothing to spare.

mod enforced;
mod needs;
mod night;
mod proof;
mod verb;
mod witness;

use std::{
    path::Path,
    process::{Command, Output},
};

use gonogo::base::wild;
use serde_json::{Value as Json, json};

/// The real program, with nothing of this machine's configuration.
fn gonogo(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gonogo"));
    command.args(args).env_clear().env("HOME", dir).env("GONOGO_STATE_DIR", dir.join("state")).current_dir(dir);
    command.env("AWS_EC2_METADATA_DISABLED", "true").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What the verb prints for a runbook's text: the policy, `null` where nothing of AWS is needed.
fn printed(runbook: &str, env: &str) -> Json {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("it.toml"), runbook).unwrap();
    let output = gonogo(dir.path(), &["iam", "it.toml", "--env", env]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    if output.stdout.is_empty() {
        return Json::Null;
    }
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Every action on every resource that a policy allows.
fn pairs(policy: &Json) -> Vec<(String, String)> {
    let texts =
        |value: &Json| value.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let statements = policy["Statement"].as_array().into_iter().flatten();
    statements
        .flat_map(|statement| {
            assert_eq!(statement["Effect"], "Allow");
            let resources = texts(&statement["Resource"]);
            texts(&statement["Action"])
                .into_iter()
                .flat_map(move |action| resources.clone().into_iter().map(move |resource| (action.clone(), resource)))
        })
        .collect()
}

/// A policy of such pairs, one statement each.
fn policy_of(pairs: &[(String, String)]) -> Json {
    let statement =
        |(action, resource): &(String, String)| json!({ "Effect": "Allow", "Action": action, "Resource": resource });
    json!({ "Version": "2012-10-17", "Statement": pairs.iter().map(statement).collect::<Vec<_>>() })
}

/// True where a pair allows it.
fn allows((action, pattern): &(String, String), asked: (&str, &str)) -> bool {
    action == asked.0 && wild::matches(pattern, asked.1)
}
