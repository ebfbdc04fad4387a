//! The contract of `src/plan/contract.rs`, as tests that every kind can be put through, and what they need: an
//! environment on loopback, a kind bound from a line of TOML, an attempt to run it in.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use gonogo::{
    base::{Class, EnvName, Redactor},
    kinds::{self, Bind},
    plan::{
        Action, Check, Cx, Finding, Mistake, Params,
        contract::{OwnerDone, Prior, Reporter},
    },
    runbook::{
        DnsEnv, Env, EnvKind, HttpEnv, SandboxEnv, SecretRef,
        value::{Entry, Kind as Shape, Table, Value},
    },
    services::Services,
};
use serde_json::Value as Json;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// A rehearsal environment that reaches nothing yet.
pub fn env() -> Env {
    Env {
        name: "test".parse::<EnvName>().unwrap(),
        span: 0..0,
        kind: EnvKind::Rehearsal,
        confirm: "test".into(),
        aws: None,
        heroku: None,
        databases: std::collections::BTreeMap::new(),
        dns: DnsEnv::default(),
        http: HttpEnv::default(),
        sandbox: SandboxEnv::default(),
        vars: BTreeMap::new(),
    }
}

pub fn services(env: Env) -> Arc<Services> {
    services_with(env, &[], Arc::new(Redactor::default()))
}

pub fn services_with(env: Env, secrets: &[SecretRef], redactor: Arc<Redactor>) -> Arc<Services> {
    Services::new(env, secrets, redactor)
}

/// A kind's parameters as a runbook has them, spans included; `kind` is left out, `"${secret.x}"` is a secret.
pub fn table(text: &str) -> Table {
    use toml::de::{DeTable, DeValue as De};
    fn value(item: &toml::Spanned<De<'_>>) -> Value {
        let kind = match item.get_ref() {
            De::String(text) => match text.strip_prefix("${secret.").and_then(|rest| rest.strip_suffix('}')) {
                Some(name) => Shape::Secret(name.to_owned()),
                None => Shape::Text(text.to_string()),
            },
            De::Integer(n) => Shape::Int(n.as_str().parse().unwrap()),
            De::Float(n) => Shape::Float(n.as_str().parse().unwrap()),
            De::Boolean(flag) => Shape::Bool(*flag),
            De::Datetime(moment) => Shape::Time(moment.to_string().parse().unwrap()),
            De::Array(list) => Shape::List(list.iter().map(value).collect()),
            De::Table(inner) => Shape::Table(entries(inner)),
        };
        Value { span: item.span(), kind }
    }
    fn entries(table: &DeTable<'_>) -> Table {
        let mut entries = table
            .iter()
            .map(|(key, item)| Entry { key_span: key.span(), key: key.get_ref().to_string(), value: value(item) })
            .collect::<Vec<_>>();
        entries.sort_by_key(|entry| entry.key_span.start);
        Table { span: 0..0, entries }
    }
    entries(DeTable::parse(text).unwrap().get_ref())
}

/// A kind bound from a line of TOML by `bind`, or the mistakes.
pub fn bound<T>(name: &str, text: &str, bind: impl FnOnce(&Bind, &mut Params<'_>) -> T) -> Result<T, Vec<Mistake>> {
    let kind = kinds::find(name).unwrap_or_else(|| panic!("there is no kind {name}"));
    let table = table(text);
    let mut params = Params::new(kind.name, 0..0, &table, kind.params);
    let made = bind(&kind.bind, &mut params);
    let (mistakes, _) = params.finish();
    if mistakes.is_empty() { Ok(made) } else { Err(mistakes) }
}

pub fn action(name: &str, text: &str, services: &Arc<Services>) -> Arc<dyn Action> {
    let made = bound(name, text, |bind, params| match bind {
        Bind::Action(bind) | Bind::Both(_, bind) => bind(params, services),
        _ => panic!("{name} does not act"),
    });
    made.unwrap_or_else(|mistakes| panic!("{text}: {mistakes:?}"))
}

pub fn check(name: &str, text: &str, services: &Arc<Services>) -> Arc<dyn Check> {
    let made = bound(name, text, |bind, params| match bind {
        Bind::Check(bind) | Bind::Both(bind, _) => bind(params, services),
        _ => panic!("{name} does not check"),
    });
    made.unwrap_or_else(|mistakes| panic!("{text}: {mistakes:?}"))
}

/// A bad parameter points at its span: binding `text` must leave exactly one mistake, marked at `marked`
/// (empty: at the kind's own name) and saying `message`.
pub fn points_at(name: &str, text: &str, services: &Arc<Services>, marked: &str, message: &str) {
    let made = bound(name, text, |bind, params| match bind {
        Bind::Action(bind) | Bind::Both(_, bind) => drop(bind(params, services)),
        Bind::Check(bind) => drop(bind(params, services)),
        Bind::Format => {}
    });
    let mistakes = made.expect_err(text);
    let [mistake] = mistakes.as_slice() else { panic!("{text}: {mistakes:?}") };
    assert_eq!(&text[mistake.span.clone()], marked, "{text}");
    assert!(mistake.message.contains(message), "{text}: {}", mistake.message);
    assert!(!mistake.label.is_empty(), "{text}");
}

/// What a kind reported.
#[derive(Default)]
pub struct Recorder {
    pub lines: Mutex<Vec<String>>,
    pub progress: Mutex<Vec<(f32, String)>>,
    pub output: Mutex<Vec<u8>>,
}

impl Reporter for Recorder {
    fn line(&self, text: &str) {
        self.lines.lock().unwrap().push(text.to_owned());
    }
    fn progress(&self, done: f32, text: &str) {
        self.progress.lock().unwrap().push((done, text.to_owned()));
    }
    fn output(&self, bytes: &[u8]) {
        self.output.lock().unwrap().extend_from_slice(bytes);
    }
}

/// An attempt: its context and what can be done to it from outside.
pub struct Attempt {
    pub cx: Cx,
    pub seen: Arc<Recorder>,
    pub owner: watch::Sender<Option<OwnerDone>>,
}

/// An attempt of 30 s.
pub fn attempt() -> Attempt {
    attempt_of(Duration::from_secs(30), BTreeMap::new())
}

pub fn attempt_of(limit: Duration, priors: BTreeMap<&str, Prior>) -> Attempt {
    let seen = Arc::new(Recorder::default());
    let (owner, owner_said) = watch::channel(None);
    let cx = Cx {
        step: "step".parse().unwrap(),
        attempt: 1,
        nth: 1,
        token: "0123456789abcdef0123456789abcdef".into(),
        again: false,
        deadline: Instant::now() + limit,
        cancel: CancellationToken::new(),
        reporter: seen.clone(),
        priors: Arc::new(priors.into_iter().map(|(step, prior)| (step.parse().unwrap(), prior)).collect()),
        owner: owner_said,
    };
    Attempt { cx, seen, owner }
}

/// A check sends nothing that changes anything, whatever it finds; `changes` counts at the other end.
pub async fn check_changes_nothing(check: &dyn Check, changes: impl AsyncFn() -> usize) {
    let before = changes().await;
    for _ in 0..2 {
        let _either_way = check.check(&attempt().cx).await;
        let _identity = check.fence().await;
    }
    assert!(!check.looks().is_empty());
    assert_eq!(changes().await, before, "a check changed something");
}

/// Captures and applies.
pub async fn done(action: &dyn Action) -> Json {
    let attempt = attempt();
    let captured = action.capture(&attempt.cx).await.expect("capture");
    action.apply(&attempt.cx, &captured).await.expect("apply");
    captured
}

/// `apply` twice equals once, `capture` and `probe` change nothing, `probe` tells done from not done, and
/// `restore` leaves the target as it was. `state` reads the target, `changes` counts changes there.
pub async fn acts_and_restores<S: PartialEq + std::fmt::Debug>(
    action: &dyn Action,
    state: impl AsyncFn() -> S,
    changes: impl AsyncFn() -> usize,
) {
    let (before, none) = (state().await, changes().await);
    let first = format!("{before:?}");
    let attempt = attempt();
    let captured = action.capture(&attempt.cx).await.expect("capture");
    let found = action.probe(&attempt.cx, &captured, false).await.expect("probe");
    assert!(matches!(found, Finding::NotDone { .. }), "{found:?}");
    assert!(!action.does().is_empty());
    assert_eq!((state().await, changes().await), (before, none), "capture or probe changed something");

    action.apply(&attempt.cx, &captured).await.expect("apply");
    let (after, once) = (state().await, changes().await);
    assert!(once > none, "nothing was changed");
    action.apply(&attempt.cx, &captured).await.expect("apply twice");
    assert_eq!((state().await, changes().await), (after, once), "twice is not once");
    let found = action.probe(&attempt.cx, &captured, false).await.expect("probe");
    assert!(matches!(found, Finding::Done(_)), "{found:?}");
    let found = action.probe(&attempt.cx, &captured, true).await.expect("probe back");
    assert!(matches!(found, Finding::NotDone { .. }), "{found:?}");

    assert!(action.restorable());
    // Restored as a run that was resumed would: from what the journal holds.
    let captured: Json = serde_json::from_str(&captured.to_string()).unwrap();
    let again = self::attempt();
    action.restore(&again.cx, &captured).await.expect("restore");
    assert_eq!(format!("{:?}", state().await), first, "not as it was");
    let found = action.probe(&again.cx, &captured, true).await.expect("probe back");
    assert!(matches!(found, Finding::Done(_)), "{found:?}");
}

/// An attempt that is cancelled, or times out, while its request is under way does not know what happened.
/// `stuck` resolves once the other end has the request and will not answer it.
pub async fn cut_short_is_unknown(action: Arc<dyn Action>, captured: Json, stuck: impl AsyncFn()) {
    let attempt = attempt();
    let (cx, cancel) = (attempt.cx.clone(), attempt.cx.cancel.clone());
    let (acting, kept) = (action.clone(), captured.clone());
    let task = tokio::spawn(async move { acting.apply(&cx, &kept).await });
    stuck().await;
    cancel.cancel();
    let failure = task.await.unwrap().expect_err("cancelled");
    assert_eq!(failure.class, Class::Unknown, "cancelled: {failure:?}");

    let short = attempt_of(Duration::from_millis(400), BTreeMap::new());
    let failure = action.apply(&short.cx, &captured).await.expect_err("timed out");
    assert_eq!(failure.class, Class::Unknown, "timed out: {failure:?}");
}
