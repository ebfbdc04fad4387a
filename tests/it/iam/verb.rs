//! `gonogo iam` as it is used: a document on standard output and nothing else, notes beside it, exit codes; and a
//! rehearsal with a policy that lacks something.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::{gonogo, pairs, policy_of, text};

const SHIPPED: &str = include_str!("../../../runbooks/heroku-to-aws.toml");

const HEAD: &str = r#"
format = 1

[runbook]
id    = "it"
title = "It"
lead  = "mira"

[people]
mira = { name = "Mira Okafor" }

[env.sandbox]
kind = "sandbox"

[env.staging]
kind    = "rehearsal"
confirm = "acme-staging"
aws     = { region = "eu-central-1", profile = "acme", account = "555566667777", role = "arn:aws:iam::555566667777:role/cutover" }
heroku  = { app = "acme-staging" }
"#;

/// Output, talk and code for a runbook's text.
fn iam(runbook: &str, args: &[&str]) -> (String, String, i32) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("it.toml"), runbook).unwrap();
    let all: Vec<&str> = ["iam", "it.toml"].into_iter().chain(args.iter().copied()).collect();
    let output = gonogo(dir.path(), &all);
    (text(&output.stdout), text(&output.stderr), output.status.code().unwrap())
}

#[test]
fn the_shipped_runbook_in_each_environment() {
    for (env, account, zone) in [
        ("sandbox", "111122223333", "hostedzone/Z0SANDBOX"),
        ("staging", "555566667777", "hostedzone/*"),
        ("production", "444455556666", "hostedzone/*"),
    ] {
        let (out, err, code) = iam(SHIPPED, &["--env", env]);
        assert_eq!(code, 0, "{err}");
        assert_eq!(iam(SHIPPED, &["--env", env]).0, out, "the same each time");
        let policy: Json = serde_json::from_str(&out).unwrap();
        assert_eq!(policy["Version"], "2012-10-17");
        assert!(out.starts_with("{\n  \"Version\"") && out.ends_with("}\n"), "{out}");
        let all = pairs(&policy);
        let has = |action: &str, resource: &str| all.contains(&(action.into(), resource.into()));
        assert!(has("route53:ChangeResourceRecordSets", &format!("arn:aws:route53:::{zone}")), "{out}");
        assert!(has("cloudwatch:GetMetricData", "*"), "{out}");
        let cluster = if env == "staging" { "acme-staging" } else { "acme" };
        assert!(has("ecs:UpdateService", &format!("arn:aws:ecs:eu-west-1:{account}:service/{cluster}/web")), "{out}");
        assert_eq!(has("route53:ListHostedZonesByName", "*"), env != "sandbox", "{out}");
        assert!(!out.contains("sts:"), "{out}");
        assert!(
            err.starts_with("note: STS GetCallerIdentity, by which the account is compared, needs no permission\n"),
            "{err}"
        );
        let wide = |what: &str| err.contains(&format!("note: arn:aws:{what} is wide, the runbook does not say more; "));
        assert!(wide(&format!("iam::{account}:role/*")), "{err}");
        assert_eq!(wide("route53:::hostedzone/*"), env != "sandbox", "{err}");
        let unique: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(unique.len(), all.len(), "{out}");
        // What is printed is a policy that the sandbox's strict reader takes.
        out.parse::<gonogo::sandbox::Policy>().unwrap();
    }
}

#[test]
fn secrets_that_are_used_and_the_role() {
    let runbook = format!(
        "{HEAD}\n[secrets]\ndb = {{ aws_secret = \"acme/${{env}}/app#URL\" }}\nlevel = {{ aws_parameter = \"/acme/LEVEL:3\" }}\n\
         idle = {{ aws_secret = \"acme/idle\" }}\nwhole = {{ aws_secret = \"arn:aws:secretsmanager:eu-central-1:555566667777:secret:x-AbCdEf\" }}\n\n\
         [[step]]\nid = \"look\"\ntitle = \"Look\"\nowner = \"mira\"\nplanned = \"1s\"\n\
         verify = [{{ kind = \"command\", argv = [\"/bin/true\"], env = {{ A = \"${{secret.db}}\", B = \"${{secret.level}}\", C = \"${{secret.whole}}\" }} }}]\n"
    );
    let (out, err, code) = iam(&runbook, &["--env", "staging"]);
    assert_eq!(code, 0, "{err}");
    let own = "eu-central-1:555566667777";
    let pair = |action: &str, resource: &str| (action.to_owned(), resource.to_owned());
    assert_eq!(
        pairs(&serde_json::from_str(&out).unwrap()),
        [
            pair(
                "secretsmanager:GetSecretValue",
                &format!("arn:aws:secretsmanager:{own}:secret:acme/staging/app-??????")
            ),
            pair("secretsmanager:GetSecretValue", &format!("arn:aws:secretsmanager:{own}:secret:x-AbCdEf")),
            pair("ssm:GetParameter", &format!("arn:aws:ssm:{own}:parameter/acme/LEVEL")),
        ]
    );
    for words in [
        "the policy is for arn:aws:iam::555566667777:role/cutover; profile acme needs sts:AssumeRole on it",
        "a secret encrypted with a key of your own needs kms:Decrypt",
        "a SecureString encrypted with a key of your own needs kms:Decrypt",
    ] {
        assert!(err.contains(words), "{err}");
    }
    let (out, _, _) = iam(&runbook, &["--env", "staging", "--json"]);
    let whole: Json = serde_json::from_str(&out).unwrap();
    assert_eq!(whole["policy"]["Version"], "2012-10-17");
    assert_eq!(whole["needs"][0]["for"], json!(["secret-db"]));
    assert_eq!(whole["notes"].as_array().unwrap().len(), 4, "{whole:#}");
}

const LOOK: &str = "\n[[step]]\nid = \"look\"\ntitle = \"Look\"\nowner = \"mira\"\nplanned = \"1s\"\nverify = [";

#[test]
fn nothing_of_aws_and_what_is_wrong() {
    let runbook = format!("{HEAD}{LOOK}{{ kind = \"command\", argv = [\"/bin/true\"] }}]\n");
    let (out, err, code) = iam(&runbook, &["--env", "sandbox"]);
    assert_eq!((out.as_str(), code), ("", 0), "{err}");
    assert_eq!(err, "note: in sandbox the runbook needs nothing of AWS\n");
    let (out, ..) = iam(&runbook, &["--env", "sandbox", "--json"]);
    assert_eq!(serde_json::from_str::<Json>(&out).unwrap()["policy"], Json::Null);

    let (out, err, code) = iam(&runbook, &["--env", "stagin"]);
    assert_eq!((out.as_str(), code), ("", 2), "{err}");
    assert!(err.contains("did you mean `staging`?"), "{err}");
    let (_, err, code) = iam(&runbook, &[]);
    assert_eq!(code, 2);
    assert!(err.contains("say where: --env NAME"), "{err}");
    let broken = format!("{HEAD}{LOOK}{{ kind = \"ecs.steady\", cluster = 1, service = \"web\" }}]\n");
    let (out, err, code) = iam(&broken, &["--env", "sandbox"]);
    assert_eq!((out.as_str(), code), ("", 3), "{err}");
    assert!(err.contains("`cluster`"), "{err}");
}

#[test]
fn a_policy_that_is_too_long_is_said_to_be() {
    let checks: Vec<_> = (0..150)
        .map(|i| {
            format!("{{ kind = \"ecs.steady\", cluster = \"acme\", service = \"a-service-with-a-long-name-{i}\" }}")
        })
        .collect();
    let runbook = format!("{HEAD}{LOOK}{}]\n", checks.join(", "));
    let (out, err, code) = iam(&runbook, &["--env", "sandbox"]);
    assert_eq!(code, 0, "{err}");
    let size = out.chars().filter(|c| !c.is_whitespace()).count();
    assert!(err.contains(&format!("{size} characters are more than the 6144 of a managed policy")), "{size}: {err}");
}

/// A rehearsal of an example with a policy file in force.
fn rehearse(dir: &Path, policy: &str) -> (String, String, i32) {
    let example = gonogo::kinds::find("ecs.deploy").unwrap().example;
    let env = "kind = \"sandbox\"\nsandbox = { policy = \"policy.json\" }\n";
    std::fs::write(dir.join("it.toml"), example.replacen("kind = \"sandbox\"\n", env, 1)).unwrap();
    std::fs::write(dir.join("policy.json"), policy).unwrap();
    let output = gonogo(dir, &["rehearse", "it.toml", "--env", "sandbox", "--plain", "--auto-go"]);
    (text(&output.stdout), text(&output.stderr), output.status.code().unwrap())
}

#[test]
fn a_rehearsal_with_too_little_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let (out, err, code) = rehearse(dir.path(), "{}");
    assert_eq!(code, 2, "{out}{err}");
    assert!(err.contains("the policy policy.json cannot be used: Version: must be \"2012-10-17\""), "{err}");
    assert!(!dir.path().join("state").exists(), "nothing was begun");

    // The verb does not mind what is in the file: it is about to be replaced.
    let printed = gonogo(dir.path(), &["iam", "it.toml", "--env", "sandbox"]);
    assert!(printed.status.success(), "{}", text(&printed.stderr));
    let all = text(&printed.stdout);
    let (out, err, code) = rehearse(dir.path(), &all);
    assert_eq!(code, 0, "{out}{err}");

    let left: Vec<_> = pairs(&serde_json::from_str(&all).unwrap())
        .into_iter()
        .filter(|(action, _)| action != "ecs:UpdateService")
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let (out, err, code) = rehearse(dir.path(), &policy_of(&left).to_string());
    assert_eq!(code, 12, "{out}{err}");
    let web = "arn:aws:ecs:eu-west-1:111122223333:service/acme/web";
    let said = format!(
        "ECS refused UpdateService: AccessDeniedException: User: arn:aws:sts::111122223333:assumed-role/cutover/sandbox is not \
         authorized to perform: ecs:UpdateService on resource: {web} because no identity-based policy allows the \
         ecs:UpdateService action"
    );
    assert!(out.contains(&said), "{out}");
    let hint = format!("Hint: the role in use needs the permission ecs:UpdateService on {web}\n");
    assert!(out.contains(&hint), "{out}");
    assert!(out.contains("nothing done"), "{out}");
}

#[test]
fn the_topic_and_the_verb_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let help = text(&gonogo(dir.path(), &["help", "permissions"]).stdout);
    assert!(help.contains("gonogo iam RUNBOOK --env ENV"), "{help}");
    let help = text(&gonogo(dir.path(), &["help", "iam"]).stdout);
    assert!(help.contains("least IAM policy"), "{help}");
    let script = text(&gonogo(dir.path(), &["completions", "bash"]).stdout);
    assert!(script.contains("gonogo__subcmd__iam") || script.contains("gonogo__iam"), "the verb is completed");
}
