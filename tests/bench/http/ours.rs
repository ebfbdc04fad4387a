//! The check as a run calls it: bound from its parameters, asked once for all requests.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gonogo::{
    base::Redactor,
    kinds::{self, Bind},
    plan::{Cx, Params, contract::Reporter},
    runbook::{
        DnsEnv, Env, EnvKind, HttpEnv, SandboxEnv,
        value::{Entry, Kind, Table, Value},
    },
    services::Services,
};
use tokio_util::sync::CancellationToken;

use crate::Policy;

struct Silent;

impl Reporter for Silent {
    fn line(&self, _text: &str) {}
    fn progress(&self, _done: f32, _text: &str) {}
    fn output(&self, _bytes: &[u8]) {}
}

fn table(entries: Vec<(&str, Kind)>) -> Table {
    let entry =
        |(key, kind): (&str, Kind)| Entry { key_span: 0..0, key: key.into(), value: Value { span: 0..0, kind } };
    Table { span: 0..0, entries: entries.into_iter().map(entry).collect() }
}

fn text(text: &str) -> Kind {
    Kind::Text(text.into())
}

/// So many requests, three assertions each; panics where one is not as expected.
pub async fn run(url: &str, requests: usize, at_once: usize, policy: Policy) {
    let env = Env {
        name: "bench".parse().expect("a name"),
        span: 0..0,
        kind: EnvKind::Rehearsal,
        confirm: "bench".into(),
        aws: None,
        heroku: None,
        dns: DnsEnv::default(),
        databases: BTreeMap::new(),
        http: HttpEnv::default(),
        sandbox: SandboxEnv::default(),
        vars: BTreeMap::new(),
    };
    let services = Services::new(env, &[], Arc::new(Redactor::default()));
    let count = |n: usize| Kind::Int(i64::try_from(n).expect("a count"));
    let table = table(vec![
        ("url", text(&format!("{url}/"))),
        ("status", Kind::Int(200)),
        ("header", Kind::Table(table(vec![("x-served-by", text("aws"))]))),
        ("json", Kind::Table(table(vec![("$.status", text("ok"))]))),
        ("times", count(requests)),
        ("at_once", count(at_once)),
        ("connection", text(if policy == Policy::Kept { "kept" } else { "fresh" })),
    ]);
    let kind = kinds::find("http.check").expect("the kind");
    let mut params = Params::new(kind.name, 0..0, &table, kind.params);
    let Bind::Check(bind) = kind.bind else { panic!("http.check is a check") };
    let check = bind(&mut params, &services);
    assert!(params.ok());
    let (_owner, owner) = tokio::sync::watch::channel(None);
    let cx = Cx {
        step: "bench".parse().expect("an id"),
        attempt: 1,
        nth: 1,
        token: String::new(),
        again: false,
        deadline: tokio::time::Instant::now() + Duration::from_secs(600),
        cancel: CancellationToken::new(),
        reporter: Arc::new(Silent),
        priors: Arc::default(),
        owner,
    };
    let seen = check.check(&cx).await.unwrap_or_else(|failure| panic!("{failure:?}"));
    let told = if requests == 1 { &seen.evidence["status"] } else { &seen.evidence["statuses"]["200"]["count"] };
    assert!(requests == 1 || *told == requests, "{told}");
}
