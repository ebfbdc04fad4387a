//! One suite against every other end there is: moto, the sandbox, a real name server. A kind says what stands
//! there and what it shall do; the contract of `src/plan/contract.rs` is the same everywhere.

use std::{any::Any, sync::Arc, time::Duration};

use gonogo::{
    base::Class,
    kinds::{self, Bind},
    plan::{Action, Check, Cx, Doubt, Finding},
    runbook::{AwsEnv, DnsEnv, Env},
    sandbox::{Config, Sandbox},
};
use serde_json::Value as Json;

use super::{
    aws::{Proxy, Spoil, cx, env_of, mistakes, services},
    contract::{action, check},
};
use crate::moto;

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The built-in world.
    Sandbox,
    /// moto, which plays AWS.
    Moto,
    /// A real name server.
    Knot,
}

/// A kind and what it is used on.
pub struct Case {
    /// Reaches the other end.
    pub env: Env,
    /// The kind's parameters: for an action what is not so yet, for a check what is so.
    pub text: String,
    /// For a check: parameters by which it is not so.
    pub not_so: Option<String>,
    /// For an action: a text in the request that changes something, and in no other.
    pub mark: Option<&'static str>,
    /// Parameters that are wrong, and the place in them that has to be shown.
    pub bad: (&'static str, &'static str),
    /// Whatever has to live as long.
    pub keep: Box<dyn Any + Send>,
}

impl Case {
    /// At an AWS endpoint.
    pub fn aws(end: &Aws, text: impl Into<String>, bad: (&'static str, &'static str)) -> Self {
        Self {
            env: end.env.clone(),
            text: text.into(),
            not_so: None,
            mark: None,
            bad,
            keep: Box::new(end.sandbox.clone()),
        }
    }

    pub fn not_so(self, text: impl Into<String>) -> Self {
        Self { not_so: Some(text.into()), ..self }
    }

    pub fn mark(self, mark: &'static str) -> Self {
        Self { mark: Some(mark), ..self }
    }
}

/// AWS as the sandbox or moto play it.
#[derive(Clone)]
pub struct Aws {
    /// Its endpoint.
    pub endpoint: String,
    /// Reaches it; in the sandbox also its DNS.
    pub env: Env,
    /// The world, where it is the sandbox.
    pub sandbox: Option<Arc<Sandbox>>,
}

/// AWS at an end.
pub async fn aws(end: End) -> Aws {
    match end {
        End::Sandbox => aws_with(&[]).await,
        End::Moto => Aws { endpoint: moto::endpoint().into(), env: super::aws::env(moto::endpoint()), sandbox: None },
        End::Knot => panic!("knot is no AWS"),
    }
}

/// The sandbox, with faults.
pub async fn aws_with(faults: &[&str]) -> Aws {
    let faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
    let sandbox = Sandbox::start(Config { seed: 7, faults: Some(faults), ..Config::default() }).await.unwrap();
    let at = sandbox.endpoints();
    let mut env = env_of(AwsEnv {
        endpoint: Some(at.aws.clone()),
        region: Some(at.region.clone()),
        account: Some(at.account.clone()),
        ..AwsEnv::default()
    });
    env.dns = DnsEnv {
        authoritative: at.authoritative.clone(),
        resolvers: at.resolvers.clone(),
        parents: at.parents.clone(),
        ..DnsEnv::default()
    };
    Aws { endpoint: at.aws.clone(), env, sandbox: Some(Arc::new(sandbox)) }
}

/// `contract!(KIND, case; sandbox: Sandbox, moto: Moto)`: the contract of a kind at each end, as tests of their own.
macro_rules! contract {
    ($kind:expr, $case:ident; $($name:ident: $end:ident),+) => {
        mod contract {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let end = $crate::kinds::ends::End::$end;
                    use super::*;
                    $crate::kinds::ends::holds($kind, $case(end).await).await;
                }
            )+
        }
    };
}
pub(crate) use contract;

/// The whole contract.
pub async fn holds(kind: &str, case: Case) {
    let (wrong, marked) = case.bad;
    assert!(mistakes(kind, wrong).iter().any(|(place, _)| place == marked), "{:?}", mistakes(kind, wrong));
    let proxy = match &case.env.aws {
        Some(AwsEnv { endpoint: Some(endpoint), .. }) => Some(Proxy::new(endpoint, "", Spoil::Nothing).await),
        _ => None,
    };
    let env = through(&case.env, proxy.as_ref());
    let changes = || proxy.as_ref().map_or(0, Proxy::changes);
    match kinds::find(kind).unwrap().bind {
        Bind::Check(_) => looks(&*check(kind, &case.text, &services(env.clone())), changes).await,
        Bind::Action(_) => acts(&*action(kind, &case.text, &services(env.clone())), changes).await,
        Bind::Both(..) => {
            acts(&*action(kind, &case.text, &services(env.clone())), changes).await;
        }
        Bind::Format => panic!("{kind} is part of the format"),
    }
    if let Some(not_so) = &case.not_so {
        let before = changes();
        let failure = check(kind, not_so, &services(env)).check(&patience()).await.unwrap_err();
        assert_eq!(failure.class, Class::NotYet, "{failure:?}");
        assert_eq!(changes(), before, "a check changed something");
    }
    if let Some(mark) = case.mark {
        cut_short(kind, &case, mark).await;
    }
    drop(case.keep);
}

/// Long enough for the slowest thing in the sandbox.
fn patience() -> Cx {
    cx(Duration::from_secs(90))
}

fn through(env: &Env, proxy: Option<&Proxy>) -> Env {
    let mut env = env.clone();
    if let (Some(aws), Some(proxy)) = (&mut env.aws, proxy) {
        aws.endpoint = Some(proxy.endpoint.clone());
    }
    env
}

/// A check says what it will ask, finds it so twice, changes nothing, and stops when it is told to.
async fn looks(check: &dyn Check, changes: impl Fn() -> usize) {
    assert!(!check.looks().is_empty());
    for _ in 0..2 {
        let cx = patience();
        let seen = cx.poll(check.every().min(Duration::from_millis(500)), || check.check(&cx)).await.unwrap();
        assert!(!seen.line.is_empty());
    }
    assert_eq!(changes(), 0, "a check changed something");
    let stopped = patience();
    stopped.cancel.cancel();
    let begun = std::time::Instant::now();
    let _either_way = check.check(&stopped).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "it goes on after it was told to stop");
}

/// An action captures and probes without a change; twice is once; it puts back what it found.
async fn acts(action: &dyn Action, changes: impl Fn() -> usize) {
    assert!(!action.does().is_empty());
    let first = kept(action.capture(&patience()).await.unwrap());
    let found = action.probe(&patience(), &first, false).await.unwrap();
    // What a token makes safe to send again may be all that a list cannot prove.
    let unclear = action.doubt() == Doubt::Token && matches!(found, Finding::Unclear { .. });
    assert!(matches!(found, Finding::NotDone { .. }) || unclear, "{found:?}");
    assert_eq!(changes(), 0, "capture or probe changed something");
    let attempt = patience();
    action.apply(&attempt, &first).await.unwrap();
    let once = changes();
    assert!(once > 0 || !action.changes(), "nothing was changed");
    action.apply(&attempt, &first).await.unwrap();
    assert_eq!(changes(), once, "twice is not once");
    let found = action.probe(&attempt, &first, false).await.unwrap();
    assert!(matches!(found, Finding::Done(_)), "{found:?}");
    if !action.restorable() {
        return;
    }
    assert!(matches!(action.probe(&patience(), &first, true).await.unwrap(), Finding::NotDone { .. }));
    action.restore(&patience(), &first).await.unwrap();
    let back = changes();
    action.restore(&patience(), &first).await.unwrap();
    assert_eq!(changes(), back, "back twice is not back once");
    assert!(matches!(action.probe(&patience(), &first, true).await.unwrap(), Finding::Done(_)));
    assert_eq!(kept(action.capture(&patience()).await.unwrap()), first, "not as it was");
}

/// As a resumed run has it: from what the journal holds.
fn kept(captured: Json) -> Json {
    serde_json::from_str(&captured.to_string()).unwrap()
}

/// Cancelled while the request is under way, nobody knows.
async fn cut_short(kind: &str, case: &Case, mark: &'static str) {
    let endpoint = case.env.aws.as_ref().and_then(|aws| aws.endpoint.clone()).unwrap();
    let proxy = Proxy::new(&endpoint, mark, Spoil::Swallow).await;
    let acting = action(kind, &case.text, &services(through(&case.env, Some(&proxy))));
    let attempt = patience();
    let captured = acting.capture(&attempt).await.unwrap();
    let cancel = attempt.cancel.clone();
    let task = tokio::spawn(async move { acting.apply(&attempt, &captured).await });
    while proxy.count(mark) == 0 && !task.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cancel.cancel();
    let failure = task.await.unwrap().unwrap_err();
    assert_eq!(failure.class, Class::Unknown, "{failure:?}");
}
