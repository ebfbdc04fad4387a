//! The check itself, bound as a runbook binds it, and a reporter that notes when it is told something.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use gonogo::{
    base::Redactor,
    kinds::{self, Bind},
    plan::{Check, Cx, Params, contract::Reporter},
    runbook::{
        DnsEnv, Env, EnvKind, HttpEnv, SandboxEnv,
        value::{Entry, Kind, Table, Value},
    },
    services::Services,
};
use tokio_util::sync::CancellationToken;

pub struct Ours {
    check: Arc<dyn Check>,
    cx: Cx,
    told: Arc<Told>,
}

#[derive(Default)]
struct Told(Mutex<Vec<Instant>>);

impl Reporter for Told {
    fn line(&self, _text: &str) {
        self.0.lock().expect("a lock").push(Instant::now());
    }
    fn progress(&self, _done: f32, _text: &str) {}
    fn output(&self, _bytes: &[u8]) {}
}

impl Ours {
    /// `more` are further parameters, one a line: texts in quotes, else numbers.
    pub fn new(resolvers: &[SocketAddr], more: &str) -> Self {
        let mut env = Env {
            name: "bench".parse().expect("a name"),
            span: 0..0,
            kind: EnvKind::Rehearsal,
            confirm: "bench".into(),
            aws: None,
            heroku: None,
            databases: BTreeMap::new(),
            dns: DnsEnv::default(),
            http: HttpEnv::default(),
            sandbox: SandboxEnv::default(),
            vars: BTreeMap::new(),
        };
        env.dns.resolvers = resolvers.to_vec();
        let services = Services::new(env, &[], Arc::new(Redactor::default()));
        let text = format!("name = \"{}\"\nvalue = \"{}\"\n{more}", crate::NAME, crate::VALUE);
        let entries = text.lines().map(|line| {
            let (key, value) = line.split_once(" = ").expect("key = value");
            let kind = match value.strip_prefix('"') {
                Some(text) => Kind::Text(text.trim_end_matches('"').into()),
                None => Kind::Int(value.parse().expect("a number")),
            };
            Entry { key_span: 0..0, key: key.into(), value: Value { span: 0..0, kind } }
        });
        let table = Table { span: 0..0, entries: entries.collect() };
        let kind = kinds::find("dns.propagated").expect("the kind");
        let mut params = Params::new(kind.name, 0..0, &table, kind.params);
        let Bind::Check(bind) = kind.bind else { panic!("a check") };
        let check = bind(&mut params, &services);
        assert!(params.ok(), "{:?}", params.finish().0);
        let told = Arc::new(Told::default());
        let cx = Cx {
            step: "bench".parse().expect("an id"),
            attempt: 1,
            nth: 1,
            token: "0".repeat(32),
            again: false,
            deadline: tokio::time::Instant::now() + Duration::from_secs(3600),
            cancel: CancellationToken::new(),
            reporter: told.clone(),
            priors: Arc::default(),
            owner: tokio::sync::watch::channel(None).1,
        };
        Self { check, cx, told }
    }

    /// One look; its line, or the failure's.
    pub async fn look(&self) -> Result<String, String> {
        self.check.check(&self.cx).await.map(|seen| seen.line).map_err(|failure| failure.message)
    }

    /// As a step polls it, until it is so.
    pub async fn poll(&self) -> Result<String, String> {
        let seen = self.cx.poll(self.check.every(), || self.check.check(&self.cx)).await;
        seen.map(|seen| seen.line).map_err(|failure| failure.message)
    }

    /// When each line was told.
    pub fn told(&self) -> Vec<Instant> {
        self.told.0.lock().expect("a lock").clone()
    }
}
