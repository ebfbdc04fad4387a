//! Opening `${secret.x}`: every source, once, and never a value in an error.

use std::sync::Arc;

use gonogo::{
    base::{Class, Redactor},
    runbook::{HerokuEnv, SecretRef, SecretSource},
    services::Services,
};
use serde_json::json;

use super::{
    contract::{env, services_with},
    fake_http::FakeHttp,
    heroku_world::answer,
};

const CANARY: &str = "s3cr3t/\"canary\"+ü'x$y";

fn one(source: SecretSource) -> (Arc<Services>, Arc<Redactor>) {
    let redactor = Arc::new(Redactor::default());
    let refs = [SecretRef { name: "x".into(), span: 0..0, source }];
    (services_with(env(), &refs, redactor.clone()), redactor)
}

fn sh(script: &str) -> SecretSource {
    SecretSource::Command(vec!["sh".into(), "-c".into(), script.into()])
}

#[tokio::test]
async fn from_a_file_and_a_command() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, format!("{CANARY}\r\n")).unwrap();
    let count = folder.path().join("count");
    let script = format!("echo x >> '{}'; cat '{}'", count.display(), file.display());
    for source in [SecretSource::File(file.to_str().unwrap().into()), sh(&script)] {
        let (services, redactor) = one(source);
        let (first, second) = tokio::join!(services.secrets.open("x"), services.secrets.open("x"));
        assert_eq!(first.unwrap().expose(), CANARY);
        assert_eq!(second.unwrap().expose(), CANARY);
        assert_eq!(redactor.redact(&format!("a {CANARY} b")), "a *** b");
    }
    assert_eq!(std::fs::read_to_string(count).unwrap(), "x\n", "the command ran once");
}

#[tokio::test]
async fn from_heroku_config() {
    let url = "postgres://shop:correct-horse@db.example/shop";
    let api =
        FakeHttp::start(move |_| answer(200, &json!({ "DATABASE_URL": url, "OTHER": "other-canary-value" }))).await;
    let mut env = env();
    env.kind = gonogo::runbook::EnvKind::Sandbox;
    env.heroku = Some(HerokuEnv { app: "acme-shop".into(), endpoint: Some(api.url()), token: None });
    let secret = |name: &str| SecretRef {
        name: name.to_lowercase(),
        span: 0..0,
        source: SecretSource::HerokuConfig(name.into()),
    };
    let redactor = Arc::new(Redactor::default());
    let services = services_with(env, &[secret("DATABASE_URL"), secret("MISSING")], redactor.clone());
    assert_eq!(services.secrets.open("database_url").await.unwrap().expose(), url);
    assert_eq!(redactor.redact("password correct-horse"), "password ***");
    let failure = services.secrets.open("missing").await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured);
    assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
    assert_eq!(api.asked.lock().unwrap()[0].path, "/apps/acme-shop/config-vars");
}

#[tokio::test]
async fn failures_name_the_secret_and_not_its_value() {
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("binary");
    std::fs::write(&binary, [0xff, 0xfe, b'c', b'a', b'n', b'a', b'r', b'y']).unwrap();
    let huge = folder.path().join("huge");
    std::fs::write(&huge, vec![b'c'; 300 << 10]).unwrap();
    let path = |name: &str| SecretSource::File(folder.path().join(name).to_str().unwrap().into());
    for (source, class, said) in [
        (SecretSource::Env("GONOGO_TEST_NOT_SET".into()), Class::Misconfigured, "`GONOGO_TEST_NOT_SET` is not set"),
        (path("none"), Class::Misconfigured, "No such file"),
        (path("binary"), Class::Misconfigured, "is not UTF-8"),
        (path("huge"), Class::Misconfigured, "more than 256 KiB"),
        (path("."), Class::Misconfigured, "directory"),
        (sh("exit 0"), Class::Misconfigured, "is empty"),
        (sh("printf abc"), Class::Misconfigured, "shorter than 4"),
        (sh("yes canary-value"), Class::Misconfigured, "more than 256 KiB"),
        (sh("echo canary-value-1; echo 'bad token canary-value-1' >&2; exit 3"), Class::Denied, "exit status: 3"),
        (SecretSource::Command(vec!["gonogo-no-such-program".into()]), Class::Misconfigured, "was not found in PATH"),
    ] {
        let (services, _) = one(source);
        let failure = services.secrets.open("x").await.unwrap_err();
        let all = format!("{failure:?}");
        assert_eq!(failure.class, class, "{all}");
        assert!(failure.message.starts_with("secret `x`") && failure.message.contains(said), "{all}");
        assert!(!all.contains("canary-value") && !all.contains("cccc"), "{all}");
    }
    let (services, _) = one(sh("true"));
    let failure = services.secrets.open("y").await.unwrap_err();
    assert!(failure.message.contains("there is no secret `y`"), "{failure:?}");
}

/// A failure is not remembered: a person who logs in and tries again must get through.
#[tokio::test]
async fn a_failure_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let (services, _) = one(SecretSource::File(file.to_str().unwrap().into()));
    assert!(services.secrets.open("x").await.is_err());
    std::fs::write(&file, CANARY).unwrap();
    assert_eq!(services.secrets.open("x").await.unwrap().expose(), CANARY);
}
