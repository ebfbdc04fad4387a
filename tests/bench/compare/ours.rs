//! The check itself, bound as a runbook binds it, in a process of its own.

use std::{
    collections::BTreeMap,
    process::{Command, ExitCode},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

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

/// One look in a process of its own.
pub struct Run {
    pub seconds: f64,
    pub memory_mib: f64,
    pub is_equal: bool,
    pub lines: Vec<String>,
}

impl Run {
    pub fn start(source: &str, target: &str, connections: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        let output = command.args(["--child", source, target, &connections.to_string()]).output().expect("a child");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut run = Self { seconds: 0.0, memory_mib: 0.0, is_equal: false, lines: Vec::new() };
        for line in text.lines() {
            match line.split_once('\t') {
                Some(("seconds", rest)) => run.seconds = rest.parse().expect("seconds"),
                Some(("memory", rest)) => run.memory_mib = rest.parse().expect("MiB"),
                Some(("equal", rest)) => run.is_equal = rest == "true",
                Some(("line", rest)) => run.lines.push(rest.to_owned()),
                _ => {}
            }
        }
        assert!(run.seconds > 0.0, "{text}{}", String::from_utf8_lossy(&output.stderr));
        run
    }
}

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Reporter for Told {
    fn line(&self, text: &str) {
        self.0.lock().expect("a lock").push(text.to_owned());
    }
    fn progress(&self, _done: f32, _text: &str) {}
    fn output(&self, _bytes: &[u8]) {}
}

/// The child: looks once and says what it found, how long it took and how much memory it had.
pub fn child(source: &str, target: &str, connections: &str) -> ExitCode {
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
    let entry = |key: &str, kind| Entry { key_span: 0..0, key: key.into(), value: Value { span: 0..0, kind } };
    let entries = vec![
        entry("source", Kind::Text(source.into())),
        entry("target", Kind::Text(target.into())),
        entry("connections", Kind::Int(connections.parse().expect("a number"))),
    ];
    let table = Table { span: 0..0, entries };
    let kind = kinds::find("postgres.compare").expect("the kind");
    let mut params = Params::new(kind.name, 0..0, &table, kind.params);
    let Bind::Check(bind) = kind.bind else { panic!("a check") };
    let check = bind(&mut params, &services);
    assert!(params.ok(), "{:?}", params.finish().0);
    let told = Arc::new(Told::default());
    // As gonogo conducts: on one thread.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (took, result) = runtime.block_on(async {
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
        let begun = Instant::now();
        let result = check.check(&cx).await;
        (begun.elapsed(), result)
    });
    println!("seconds\t{}\nmemory\t{}\nequal\t{}", took.as_secs_f64(), memory_mib(), result.is_ok());
    for line in told.0.lock().expect("a lock").iter() {
        println!("line\t{line}");
    }
    match result {
        Ok(seen) => println!("line\t{}", seen.line),
        Err(failure) => println!("line\t{}", failure.message),
    }
    ExitCode::SUCCESS
}

/// The most that this process ever had in memory.
fn memory_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.expect("VmHWM of /proc/self/status") / 1024.0
}
