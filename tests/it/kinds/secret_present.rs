//! `secret.present`.

use std::sync::{Arc, Mutex};

use gonogo::{
    base::{Class, Failure},
    plan::Seen,
};
use serde_json::json;

use super::{
    aws::{Answer, at, check, minute, mistakes, play, services},
    ends::{Case, End, aws, aws_with, contract},
};
use crate::moto;

const KIND: &str = "secret.present";
const VALUE: &str = "hunter2-and-more";

async fn case(end: End) -> Case {
    let there = aws(end).await;
    let (mut secret, mut parameter) = ("acme/prod/app".to_owned(), "/acme/prod/REDIS_URL".to_owned());
    if end == End::Moto {
        (secret, parameter) = made().await;
    }
    let text = format!("secrets = ['{secret}']\nparameters = ['{parameter}']");
    let bad = ("secrets = ['a']\ntype = 'String'", "'String'");
    Case::aws(&there, &text, bad).not_so(format!("{text}\nmin_version = 9"))
}

contract!(KIND, case; sandbox: Sandbox, moto: Moto);

/// A secret and a parameter at moto.
async fn made() -> (String, String) {
    let (secret, parameter) = (format!("s-{}", fastrand::u32(..)), format!("/p/{}", fastrand::u32(..)));
    moto::json("secretsmanager", "secretsmanager.CreateSecret", json!({ "Name": secret, "SecretString": VALUE })).await;
    let put = json!({ "Name": parameter, "Value": VALUE, "Type": "SecureString" });
    moto::json("ssm", "AmazonSSM.PutParameter", put).await;
    (secret, parameter)
}

async fn look(endpoint: &str, text: &str) -> Result<Seen, Failure> {
    check(KIND, text, &at(endpoint)).check(&minute()).await
}

#[tokio::test]
async fn what_moto_has_and_has_not() {
    let (secret, parameter) = made().await;
    let at = moto::endpoint();
    let seen = look(at, &format!("secrets = ['{secret}']\nchanged_within = '1h'")).await.unwrap();
    assert!(seen.line.starts_with("it is there, with a current value, the oldest changed 0m"), "{}", seen.line);
    assert!(!format!("{seen:?}").contains(VALUE));
    let plain = format!("/p/{}", fastrand::u32(..));
    moto::json("ssm", "AmazonSSM.PutParameter", json!({ "Name": plain, "Value": VALUE, "Type": "String" })).await;
    look(at, &format!("parameters = ['{plain}']\ntype = 'String'")).await.unwrap();
    let gone = format!("s-{}", fastrand::u32(..));
    moto::json("secretsmanager", "secretsmanager.CreateSecret", json!({ "Name": gone, "SecretString": VALUE })).await;
    moto::json("secretsmanager", "secretsmanager.DeleteSecret", json!({ "SecretId": gone })).await;
    let empty = format!("s-{}", fastrand::u32(..));
    moto::json("secretsmanager", "secretsmanager.CreateSecret", json!({ "Name": empty })).await;
    for (text, said) in [
        ("secrets = ['nosuch']".to_owned(), "secret nosuch is not there"),
        ("parameters = ['/nosuch']".into(), "parameter /nosuch is not there"),
        (format!("parameters = ['{plain}']"), "is a String, wanted SecureString"),
        (format!("parameters = ['{parameter}']\nmin_version = 2"), "is at version 1, wanted 2"),
        (format!("secrets = ['{secret}']\nrotated_within = '1d'"), "was never rotated"),
        (format!("secrets = ['{secret}']\nchanged_within = '0s'"), "wanted within 0m00"),
        (format!("secrets = ['{gone}']"), "is scheduled for deletion since"),
        (format!("secrets = ['{empty}']"), "has no value: no version is AWSCURRENT"),
        (format!("secrets = ['nosuch', '{gone}', '{secret}']"), "is not there, and 1 more"),
    ] {
        let failure = look(at, &text).await.expect_err(&text);
        assert_eq!(failure.class, Class::NotYet, "{failure:?}");
        assert!(failure.message.contains(said), "{text}: {failure}");
        assert!(!format!("{failure:?}").contains(VALUE));
    }
}

#[tokio::test]
async fn a_value_is_never_asked_for() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = asked.clone();
    let endpoint = play(move |asked| {
        kept.lock().unwrap().push((asked.operation.clone(), asked.body.clone()));
        match asked.operation.as_str() {
            "DescribeSecret" => Answer::json(json!({ "ARN": "a", "VersionIdsToStages": { "v": ["AWSCURRENT"] } })),
            _ => {
                let names = serde_json::from_str::<serde_json::Value>(&asked.body).unwrap()["Names"].clone();
                let one = |name: &serde_json::Value| json!({ "Name": name, "Type": "SecureString", "Version": 1, "Value": VALUE });
                Answer::json(json!({ "Parameters": names.as_array().unwrap().iter().map(one).collect::<Vec<_>>() }))
            }
        }
    })
    .await;
    let names: Vec<String> = (0..23).map(|n| format!("'/p/{n}'")).collect();
    let seen = look(&endpoint, &format!("secrets = ['a']\nparameters = [{}]", names.join(", "))).await.unwrap();
    assert!(!format!("{seen:?}").contains(VALUE), "{seen:?}");
    let asked = asked.lock().unwrap();
    let operations: Vec<&str> = asked.iter().map(|(operation, _)| operation.as_str()).collect();
    assert_eq!(operations, ["DescribeSecret", "GetParameters", "GetParameters", "GetParameters"]);
    assert!(asked[1..].iter().all(|(_, body)| body.contains("\"WithDecryption\":false")), "{asked:?}");
}

#[tokio::test]
async fn a_secret_on_its_way_out_is_seen_in_the_sandbox() {
    let there = aws_with(&["secretsmanager.deleted"]).await;
    let looking = check(KIND, "secrets = ['acme/prod/app']", &services(there.env));
    let failure = looking.check(&minute()).await.unwrap_err();
    assert!(failure.message.contains("scheduled for deletion"), "{failure}");
    looking.check(&minute()).await.unwrap();
}

#[test]
fn parameters_are_read_and_needs_are_exact() {
    assert_eq!(mistakes(KIND, "")[0].0, "");
    assert_eq!(mistakes(KIND, "parameters = ['']")[0].0, "['']");
    assert_eq!(mistakes(KIND, "parameters = ['a']\ntype = 'Secure'")[0].0, "'Secure'");
    let arn = "arn:aws:secretsmanager:eu-west-1:1:secret:x-AbCdEf";
    let text = format!("secrets = ['acme/app', '{arn}']\nparameters = ['/acme/X:3']");
    let needs = check(KIND, &text, &at("http://127.0.0.1:9")).needs();
    let lines: Vec<String> = needs.iter().map(|need| format!("{} {}", need.action, need.resource)).collect();
    assert_eq!(
        lines,
        [
            "secretsmanager:DescribeSecret arn:aws:secretsmanager:*:*:secret:acme/app-??????".to_owned(),
            format!("secretsmanager:DescribeSecret {arn}"),
            "ssm:GetParameters arn:aws:ssm:*:*:parameter/acme/X".to_owned(),
        ]
    );
}
