//! Credentials of another account are refused, whatever asks: every kind that needs AWS, each way of asking it, and
//! the secrets. Nothing but the question who we are leaves us.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use gonogo::{
    base::{Class, Failure, Redactor},
    kinds::{ALL, Kind, Kinds},
    plan::{self, BoundRollback, Options, Plan},
    run::Mode,
    runbook::{AwsEnv, EnvKind, HerokuEnv, SecretSource, parse, sha256_hex},
    services::Services,
};
use serde_json::{Value as Json, json};

use super::{
    aws::{Answer, caller, env_of, minute, play, services},
    fake_http::FakeHttp,
    heroku_world::answer,
};

const OURS: &str = "111122223333";
const THEIRS: &str = "999988887777";

fn at_aws(kind: &Kind) -> bool {
    kind.needs.iter().any(|need| need.contains(':') && !need.contains(' '))
}

/// The example of a kind, planned where AWS is at `endpoint`.
fn planned(kind: &Kind, endpoint: &str, heroku: &str) -> Plan {
    let (runbook, _) = parse(kind.example.as_bytes(), kind.name).usable().unwrap_or_else(|_| panic!("{}", kind.name));
    let mut env = runbook.envs.iter().find(|env| env.kind == EnvKind::Sandbox).unwrap().clone();
    env.aws = Some(AwsEnv { endpoint: Some(endpoint.into()), account: Some(OURS.into()), ..AwsEnv::default() });
    env.heroku = Some(HerokuEnv { app: "acme-shop".into(), endpoint: Some(heroku.into()), token: None });
    let kinds = Kinds(Services::new(env.clone(), &runbook.secrets, Arc::new(Redactor::default())));
    let source_hash = sha256_hex(kind.example.as_bytes());
    let options = Options { mode: Mode::Rehearse, dry_run: false, from: None, until: None, source_hash };
    plan::build(&runbook, &env, &kinds, &options).unwrap_or_else(|mistakes| panic!("{}: {mistakes:?}", kind.name))
}

/// Fences and first reads of everything in a plan.
async fn asked(plan: &Plan) -> Vec<Result<(), Failure>> {
    let mut all = Vec::new();
    for step in &plan.steps {
        let back = if let BoundRollback::Action(action) = &step.rollback { Some(action) } else { None };
        for action in step.action.iter().chain(back) {
            if let Some(fenced) = action.fence().await.transpose() {
                all.push(fenced.map(drop));
                all.push(action.capture(&minute()).await.map(drop));
                all.push(action.apply(&minute(), &Json::Null).await.map(drop));
            }
        }
        for check in step.precheck.iter().chain(&step.verify).chain(&step.criteria) {
            if let Some(fenced) = check.fence().await.transpose() {
                all.push(fenced.map(drop));
                all.push(check.check(&minute()).await.map(drop));
            }
        }
    }
    all
}

#[tokio::test]
async fn every_kind_refuses_another_account() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    let endpoint = play(move |asked| {
        kept.lock().unwrap().push(asked.operation.clone());
        caller(THEIRS)
    })
    .await;
    let app = json!({ "id": "a", "name": "acme-shop", "maintenance": false, "owner": { "email": "ops@acme.example" } });
    let heroku = FakeHttp::start(move |_| answer(200, &app)).await;
    let mut kinds = 0;
    for kind in ALL.iter().filter(|kind| at_aws(kind)) {
        kinds += 1;
        let answers = asked(&planned(kind, &endpoint, &heroku.url())).await;
        let refused = answers.iter().filter_map(|answer| answer.as_ref().err()).filter(|failure| {
            failure.class == Class::Refused && failure.message.contains(&format!("connected to {THEIRS}"))
        });
        assert!(refused.count() >= 1, "{}: {answers:?}", kind.name);
        for answer in &answers {
            // Only what a kind finds wrong before it asks, or a neighbour of another system, may differ.
            let class = answer.as_ref().err().map(|failure| failure.class);
            assert!(class.is_some(), "{}: somebody else's account was read", kind.name);
        }
    }
    assert!(kinds > 5, "{kinds}");
    let others: Vec<String> = seen.lock().unwrap().iter().filter(|op| *op != "GetCallerIdentity").cloned().collect();
    assert_eq!(others, Vec::<String>::new(), "sent to somebody else's account");
}

#[tokio::test]
async fn secrets_are_behind_the_fence_too() {
    let endpoint = play(|_| caller(THEIRS)).await;
    let env = env_of(AwsEnv { endpoint: Some(endpoint), account: Some(OURS.into()), ..AwsEnv::default() });
    let secret = |name: &str, source| gonogo::runbook::SecretRef { name: name.into(), span: 0..0, source };
    let refs =
        [secret("a", SecretSource::AwsSecret("acme".into())), secret("b", SecretSource::AwsParameter("/acme".into()))];
    let services = Services::new(env, &refs, Arc::new(Redactor::default()));
    for name in ["a", "b"] {
        let failure = services.secrets.open(name).await.unwrap_err();
        assert!(failure.class == Class::Refused && failure.message.contains(THEIRS), "{failure:?}");
    }
}

/// The person signs in to the right account and tries again: nothing has to be started anew. And the other way
/// round: keys that change in the middle of the night are asked about before they are used.
#[tokio::test]
async fn the_right_account_afterwards() {
    let right = Arc::new(AtomicBool::new(false));
    let is_right = right.clone();
    let endpoint = play(move |asked| match asked.operation.as_str() {
        "GetCallerIdentity" => caller(if is_right.load(Ordering::SeqCst) { OURS } else { THEIRS }),
        _ => Answer::json(serde_json::json!({ "SecretString": "value" })),
    })
    .await;
    let env = env_of(AwsEnv { endpoint: Some(endpoint), account: Some(OURS.into()), ..AwsEnv::default() });
    let services = services(env);
    assert_eq!(services.aws.secret_value("acme").await.unwrap_err().class, Class::Refused);
    right.store(true, Ordering::SeqCst);
    assert_eq!(services.aws.secret_value("acme").await.unwrap(), "value");
}
