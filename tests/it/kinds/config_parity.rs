//! `config.parity`.

use std::sync::Arc;

use gonogo::{
    base::{Class, Failure},
    plan::Seen,
    runbook::{Env, HerokuEnv},
};
use serde_json::{Value as Json, json};

use super::{
    aws::{Answer, check, env, minute, mistakes, play, services},
    ends::{Case, End, aws, contract},
    fake_http::FakeHttp,
    heroku_world::answer,
};
use crate::moto;

const KIND: &str = "config.parity";

fn with_heroku(mut env: Env, endpoint: String) -> Env {
    env.heroku = Some(HerokuEnv { app: "acme-shop".into(), endpoint: Some(endpoint), token: None });
    env
}

async fn heroku(vars: Json) -> FakeHttp {
    FakeHttp::start(move |_| answer(200, &vars)).await
}

/// A task definition at moto with every way to give a variable: its name, and what Heroku has.
async fn made() -> (String, Json) {
    let n = fastrand::u32(..);
    let create = |name: String, value: String| async move {
        let body = json!({ "Name": name, "SecretString": value });
        let made = moto::json("secretsmanager", "secretsmanager.CreateSecret", body).await;
        made["ARN"].as_str().unwrap().to_owned()
    };
    let whole = create(format!("url-{n}"), "postgres://new-canary".into()).await;
    let keys = create(format!("app-{n}"), json!({ "KEY_BASE": "canary-base", "PORT": 8080 }).to_string()).await;
    let parameter = format!("/par-{n}/REDIS_URL");
    let put = json!({ "Name": parameter, "Value": "redis://canary", "Type": "SecureString" });
    moto::json("ssm", "AmazonSSM.PutParameter", put).await;
    let secret = |name: &str, from: String| json!({ "name": name, "valueFrom": from });
    let container = json!({ "name": "app", "image": "web:1", "memory": 128,
        "environment": [{ "name": "LOG_LEVEL", "value": "info" }],
        "secrets": [secret("DATABASE_URL", whole), secret("KEY_BASE", format!("{keys}:KEY_BASE::")),
            secret("PORT_", format!("{keys}:PORT:AWSCURRENT:")), secret("REDIS_URL", parameter)] });
    let family = format!("web-{n}");
    moto::ecs("RegisterTaskDefinition", json!({ "family": family, "containerDefinitions": [container] })).await;
    let vars = json!({ "LOG_LEVEL": "info", "DATABASE_URL": "postgres://old-canary", "KEY_BASE": "canary-base",
        "PORT_": "8080", "REDIS_URL": "redis://canary" });
    (family, vars)
}

async fn case(end: End) -> Case {
    let there = aws(end).await;
    let bad = ("secrets = ['a']\nexpected = { A = 'other' }", "{ A = 'other' }");
    if end == End::Sandbox {
        let heroku = there.sandbox.as_ref().unwrap().endpoints().heroku.clone();
        let expected = "DATABASE_URL = 'differs', REDIS_URL = 'differs'";
        let text = format!("task_definition = 'web'\nexpected = {{ {expected}, SESSION_SALT = 'only target' }}");
        let case = Case::aws(&there, text, bad).not_so(format!("task_definition = 'web'\nexpected = {{ {expected} }}"));
        return Case { env: with_heroku(case.env.clone(), heroku), ..case };
    }
    let (family, vars) = made().await;
    let heroku = heroku(vars).await;
    let text = format!("task_definition = '{family}'\ncontainer = 'app'");
    let case = Case::aws(&there, format!("{text}\nexpected = {{ DATABASE_URL = 'differs' }}"), bad).not_so(text);
    Case { env: with_heroku(case.env.clone(), heroku.url()), keep: Box::new(heroku), ..case }
}

contract!(KIND, case; sandbox: Sandbox, moto: Moto);

async fn look(aws: &str, vars: Json, text: &str) -> Result<Seen, Failure> {
    let heroku = heroku(vars).await;
    check(KIND, text, &services(with_heroku(env(aws), heroku.url()))).check(&minute()).await
}

#[tokio::test]
async fn every_difference_is_named_and_no_value_shown() {
    let (family, mut vars) = made().await;
    let at = moto::endpoint();
    let text = format!("task_definition = '{family}:1'\nexpected = {{ DATABASE_URL = 'differs' }}");
    let seen = look(at, vars.clone(), &text).await.unwrap();
    assert_eq!(seen.line, "4 of 5 names agree, 1 differ as expected");
    vars["REDIS_URL"] = json!("redis://canary\n");
    vars["OLD"] = json!("old-canary");
    vars.as_object_mut().unwrap().remove("LOG_LEVEL");
    let expected = "expected = { DATABASE_URL = 'only source', KEY_BASE = 'differs' }";
    let failure = look(at, vars, &format!("task_definition = '{family}'\n{expected}")).await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet);
    assert_eq!(
        failure.causes,
        [
            "OLD is missing on the new side",
            "LOG_LEVEL is only on the new side",
            "DATABASE_URL has another value",
            "REDIS_URL has another value",
            "KEY_BASE was expected to differ: its value is the same again",
        ]
    );
    assert!(!format!("{failure:?}{seen:?}").contains("canary"), "{failure:?}");
}

#[tokio::test]
async fn keys_and_paths_stand_for_names() {
    let n = fastrand::u32(..);
    let value = json!({ "A": "canary-1", "B": "canary-2" }).to_string();
    let body = json!({ "Name": format!("app-{n}"), "SecretString": value });
    moto::json("secretsmanager", "secretsmanager.CreateSecret", body).await;
    let mut vars = json!({ "A": "canary-1", "B": "canary-2" });
    // More than a page.
    for i in 0..23 {
        let put = json!({ "Name": format!("/deep-{n}/P{i}"), "Value": format!("canary-{i}"), "Type": "SecureString" });
        moto::json("ssm", "AmazonSSM.PutParameter", put).await;
        vars[format!("P{i}")] = json!(format!("canary-{i}"));
    }
    let text = format!("secrets = ['app-{n}']\nparameters = ['/deep-{n}/']");
    let seen = look(moto::endpoint(), vars.clone(), &text).await.unwrap();
    assert_eq!(seen.line, "25 of 25 names agree");
    vars["P22"] = json!("canary-other");
    let failure = look(moto::endpoint(), vars, &text).await.unwrap_err();
    assert_eq!(failure.causes, ["P22 has another value"]);
}

#[tokio::test]
async fn what_cannot_be_read_is_no_agreement() {
    let (family, vars) = made().await;
    let at = moto::endpoint();
    let nothing = look(at, json!({}), &format!("task_definition = '{family}'")).await.unwrap_err();
    assert!(nothing.class == Class::NotYet && nothing.message.starts_with("no data"), "{nothing:?}");
    let empty = look(at, vars.clone(), &format!("parameters = ['/none-{family}']")).await.unwrap_err();
    assert!(empty.class == Class::NotYet && empty.message.starts_with("no data"), "{empty:?}");
    let container =
        look(at, vars.clone(), &format!("task_definition = '{family}'\ncontainer = 'db'")).await.unwrap_err();
    assert!(container.class == Class::Misconfigured && container.message.contains("it has app"), "{container:?}");

    let endpoint = play(|asked| match asked.operation.as_str() {
        "DescribeTaskDefinition" => Answer::json(json!({ "taskDefinition": { "containerDefinitions": [{ "name": "app",
            "environmentFiles": [{ "type": "s3", "value": "arn:aws:s3:::b/f.env" }],
            "secrets": [{ "name": "KEY", "valueFrom": "arn:aws:secretsmanager:eu-central-1:1:secret:app-AbCdEf:NONE::" }] }] } })),
        _ => {
            assert!(asked.head.contains("/eu-central-1/secretsmanager/aws4_request"), "{}", asked.head);
            Answer::json(json!({ "SecretString": "{\"KEY\":\"canary\"}" }))
        }
    })
    .await;
    let failure = look(&endpoint, vars, "task_definition = 'web'").await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured);
    assert!(failure.message.contains("KEY cannot be read: secret arn:aws:secretsmanager:"), "{failure:?}");
    assert!(failure.message.ends_with("has no key NONE") && !format!("{failure:?}").contains("canary"), "{failure:?}");
}

#[tokio::test]
async fn files_that_are_not_read_are_told() {
    let endpoint = play(|_| {
        Answer::json(json!({ "taskDefinition": { "containerDefinitions": [{ "name": "app",
            "environment": [{ "name": "A", "value": "1" }], "environmentFiles": [{ "type": "s3", "value": "x" }] }] } }))
    })
    .await;
    let seen = look(&endpoint, json!({ "A": "1" }), "task_definition = 'web'").await.unwrap();
    assert!(seen.line.ends_with("container app also reads environmentFiles, which are not compared"), "{}", seen.line);
}

#[test]
fn parameters_point_at_their_place() {
    for (text, place) in [
        ("", ""),
        ("container = 'app'\nsecrets = ['a']", "'app'"),
        ("parameters = ['acme']", "['acme']"),
        ("secrets = ['a']\napp = 'other'", "'other'"),
    ] {
        let services: Arc<_> = services(with_heroku(env("http://127.0.0.1:9"), "http://127.0.0.1:9".into()));
        if place == "'other'" {
            super::contract::points_at(KIND, text, &services, place, "is not environment");
        } else {
            assert_eq!(mistakes(KIND, text)[0].0, place, "{text}");
        }
    }
}
