//! `aws.identity`, the fence, secrets by reference, and the user's own AWS configuration (in a child process: the
//! environment of this one is shared by all tests).

use std::process::Command;

use gonogo::{base::Class, runbook::AwsEnv, runbook::EnvKind};
use serde_json::json;

use super::{
    aws::{Answer, at, caller, check, env_of, minute, mistakes, nobody, play, services},
    ends::{Case, End, aws, contract},
};
use crate::moto;

const KIND: &str = "aws.identity";

/// Somebody else is no "not yet": who is refused is below.
async fn case(end: End) -> Case {
    Case::aws(&aws(end).await, "", ("account = \"12\"", "\"12\""))
}

contract!(KIND, case; sandbox: Sandbox, moto: Moto);

#[tokio::test]
async fn it_says_who_we_are() {
    let seen = check(KIND, "", &at(moto::endpoint())).check(&minute()).await.unwrap();
    assert_eq!(seen.line, "account 123456789012 eu-west-1 user/moto, no end known");
    assert_eq!(seen.evidence["arn"], "arn:aws:sts::123456789012:user/moto");
}

#[tokio::test]
async fn another_account_or_role_is_refused() {
    let endpoint = play(|_| caller("111122223333")).await;
    let look = async |text: &str| check(KIND, text, &at(&endpoint)).check(&minute()).await;
    look("account = \"111122223333\"\nrole = \"Deploy\"").await.unwrap();
    look("role = \"role/Deploy\"\nmin_left = \"3h\"").await.unwrap();
    let account = look("account = \"444455556666\"").await.unwrap_err();
    assert_eq!(
        (account.class, account.message.as_str()),
        (Class::Refused, "we are account 111122223333, wanted account 444455556666")
    );
    let role = look("role = \"Admin\"").await.unwrap_err();
    assert_eq!((role.class, role.message.as_str()), (Class::Refused, "we are role/Deploy, wanted Admin"));
    assert_eq!(mistakes(KIND, "account = \"12\"")[0].0, "\"12\"");
}

#[tokio::test]
async fn expired_keys_are_denied_and_read_again() {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let endpoint = play(move |_| match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => Answer::xml_error(403, "ExpiredToken", "The security token included in the request is expired"),
        _ => caller("111122223333"),
    })
    .await;
    let mut env = env_of(AwsEnv { endpoint: Some(endpoint), profile: Some("acme".into()), ..AwsEnv::default() });
    env.kind = EnvKind::Sandbox;
    let services = services(env);
    let failure = check(KIND, "", &services).check(&minute()).await.unwrap_err();
    assert_eq!(
        (failure.class, failure.hint.as_deref()),
        (Class::Denied, Some("renew the credentials: aws sso login --profile acme"))
    );
    check(KIND, "", &services).check(&minute()).await.unwrap();
}

#[tokio::test]
async fn the_identity_is_kept_for_a_while() {
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = asked.clone();
    let endpoint = play(move |_| {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        caller("111122223333")
    })
    .await;
    let services = at(&endpoint);
    for _ in 0..3 {
        services.aws.fence().await.unwrap();
    }
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_sandbox_without_an_endpoint_reaches_nobody() {
    let failure = services(env_of(AwsEnv::default())).aws.fence().await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured);
    let failure = at("https://sts.amazonaws.com").aws.fence().await.unwrap_err();
    assert!(failure.class == Class::Misconfigured && failure.message.contains("must not reach"), "{failure}");
}

#[tokio::test]
async fn a_live_environment_needs_its_fence() {
    let mut env = env_of(AwsEnv { endpoint: Some(nobody().await), ..AwsEnv::default() });
    env.kind = EnvKind::Live;
    let failure = services(env).aws.fence().await.unwrap_err();
    assert_eq!((failure.class, failure.hint.as_deref()), (Class::Misconfigured, Some("give its `aws` an `account`")));
}

#[tokio::test]
async fn secrets_by_reference() {
    let aws = &at(moto::endpoint()).aws;
    let name = format!("acme/{}", fastrand::u32(..));
    let value = json!({ "url": "postgres://u:pw@h/db", "port": 5432 }).to_string();
    moto::json("secretsmanager", "secretsmanager.CreateSecret", json!({ "Name": name, "SecretString": value })).await;
    moto::json(
        "ssm",
        "AmazonSSM.PutParameter",
        json!({ "Name": format!("/{name}"), "Value": "s3cret", "Type": "SecureString" }),
    )
    .await;
    assert_eq!(aws.secret_value(&name).await.unwrap(), value);
    assert_eq!(aws.secret_value(&format!("{name}#url")).await.unwrap(), "postgres://u:pw@h/db");
    assert_eq!(aws.secret_value(&format!("{name}#port")).await.unwrap(), "5432");
    assert_eq!(aws.parameter_value(&format!("/{name}")).await.unwrap(), "s3cret", "decrypted");
    for failure in [
        aws.secret_value(&format!("{name}#none")).await.unwrap_err(),
        aws.secret_value("nosuch").await.unwrap_err(),
        aws.parameter_value("/nosuch").await.unwrap_err(),
    ] {
        assert_eq!(failure.class, Class::Misconfigured, "{failure:?}");
        assert!(!format!("{failure:?}").contains("pw@h"), "a message never quotes a value");
    }
}

/// Runs in a child with an environment of its own; does nothing otherwise.
#[tokio::test]
async fn child_with_its_own_configuration() {
    let Ok(profile) = std::env::var("GONOGO_TEST_PROFILE") else { return };
    let mut env = env_of(AwsEnv {
        profile: (!profile.is_empty()).then_some(profile),
        account: Some(moto::ACCOUNT.into()),
        role: std::env::var("GONOGO_TEST_ROLE").ok(),
        ..AwsEnv::default()
    });
    env.kind = EnvKind::Rehearsal;
    match services(env).aws.fence().await {
        Ok(identity) => println!("CHILD ok {}", identity.unwrap().line),
        Err(failure) => {
            println!("CHILD {:?} {} | {}", failure.class, failure.message, failure.hint.unwrap_or_default())
        }
    }
}

fn child(profile: &str, config: &str, vars: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    std::fs::write(&file, config).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "kinds::aws_identity::child_with_its_own_configuration", "--nocapture"]);
    child.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", folder.path());
    child.env("AWS_CONFIG_FILE", &file).env("AWS_SHARED_CREDENTIALS_FILE", folder.path().join("none"));
    child.env("AWS_EC2_METADATA_DISABLED", "true").env("GONOGO_TEST_PROFILE", profile);
    let output = child.envs(vars.iter().copied()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).to_string();
    moto::between(&format!("{text}\nCHILD none\n"), "CHILD ", "\n").to_owned()
}

#[test]
fn the_users_own_configuration_is_used() {
    let endpoint = moto::endpoint();
    let process = r#"credential_process = printf '{"Version":1,"AccessKeyId":"AKIAPROC","SecretAccessKey":"x"}'"#;
    let config = format!("[profile acme]\nregion = eu-central-1\nendpoint_url = {endpoint}\n{process}\n");
    assert_eq!(child("acme", &config, &[]), "ok account 123456789012 eu-central-1 user/moto");

    let keys = [("AWS_ACCESS_KEY_ID", "AKIAENV"), ("AWS_SECRET_ACCESS_KEY", "x"), ("AWS_REGION", "eu-west-3")];
    let mut all = keys.to_vec();
    all.push(("AWS_ENDPOINT_URL", endpoint));
    assert_eq!(child("", "", &all), "ok account 123456789012 eu-west-3 user/moto");
    all[3].0 = "AWS_ENDPOINT_URL_STS";
    assert_eq!(child("", "", &all), "ok account 123456789012 eu-west-3 user/moto");
    all.push(("GONOGO_TEST_ROLE", "arn:aws:iam::123456789012:role/Deploy"));
    assert_eq!(child("", "", &all), "ok account 123456789012 eu-west-3 role/Deploy");

    let none = child("", "", &[("AWS_REGION", "eu-west-1"), ("AWS_ENDPOINT_URL", endpoint)]);
    assert!(none.starts_with("Denied no AWS credentials | renew the credentials: aws sso login"), "{none}");
    let region = child("", "", &keys[..2]);
    assert!(region.starts_with("Misconfigured no AWS region is known"), "{region}");
    let sso = "[profile sso]\nregion = eu-west-1\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n[sso-session s]\nsso_region = eu-west-1\nsso_start_url = http://127.0.0.1:9/\n";
    let expired = child("sso", sso, &[("AWS_ENDPOINT_URL", endpoint)]);
    assert!(expired.starts_with("Denied") && expired.ends_with("aws sso login --profile sso"), "{expired}");
    let missing = child("nosuch", sso, &[("AWS_REGION", "eu-west-1"), ("AWS_ENDPOINT_URL", endpoint)]);
    assert!(missing.starts_with("Denied") || missing.starts_with("Misconfigured"), "{missing}");
}
