//! A whole night in this process: the engine, the kinds, the sandbox with a policy in force; there, and back again
//! where a last step fails on purpose.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gonogo::{
    base::Redactor,
    conductor::{Clock, Conductor, End, Parts},
    journal::{JournalThread, Room, RunDir},
    kinds::Kinds,
    log::{EventLog, InputSender, Said},
    plan::{self, Options, Plan},
    run::{Ending, Input, Intent, Leg, Mode, Opened, RunState, StepState, Why, auto_answer},
    runbook::{AwsEnv, HerokuEnv, Resolver, SecretRef, parse, sha256_hex},
    sandbox::{Authorization, Config, Programs, Sandbox, Wanted, WorldNames},
    services::Services,
};
use serde_json::Value as Json;

use crate::kinds::aws::minute;

/// The longest that a night may take on a noisy machine.
const LONGEST: Duration = Duration::from_secs(300);

/// The step that fails, so that everything before it is taken back.
const FAILS: &str = "\n[[step]]\nid = \"no-further\"\ntitle = \"It fails\"\nowner = \"OWNER\"\nplanned = \"1s\"\n\
                     action = { kind = \"command\", argv = [\"/bin/false\"], probe = [\"/bin/false\"] }\n\
                     rollback = { none = \"it did nothing\" }\n";

/// What happened.
pub struct Night {
    pub authorizations: Vec<Authorization>,
    pub ending: Ending,
    /// Failures that somebody was asked about, in words.
    pub failures: Vec<String>,
}

/// A runbook and what is wrong in its world.
pub struct Book<'a> {
    pub text: &'a str,
    /// Instead of its own.
    pub faults: Option<&'a [&'a str]>,
    /// Before which step of the file it fails and turns back; `Some("")`: after the last one.
    pub back_before: Option<&'a str>,
    /// No step takes longer.
    pub at_most: Option<Duration>,
}

impl<'a> Book<'a> {
    /// As the runbook has it.
    pub fn new(text: &'a str, back_before: Option<&'a str>) -> Self {
        Self { text, faults: None, back_before, at_most: None }
    }

    /// The text with the step that fails.
    fn whole(&self, lead: &str) -> String {
        let fails = FAILS.replace("OWNER", lead);
        match self.back_before {
            None => self.text.to_owned(),
            Some("") => format!("{}\n{fails}", self.text),
            Some(step) => {
                let mark = self.text.find(&format!("\"{step}\"")).unwrap();
                let at = self.text[..mark].rfind("[[step]]").unwrap();
                format!("{}{fails}\n{}", &self.text[..at], &self.text[at..])
            }
        }
    }
}

/// Lives through it with the policy in force. Then every action is probed, as a resume would.
pub async fn live(book: Book<'_>, policy: &Json) -> Night {
    let lead = parse(book.text.as_bytes(), "it.toml").runbook.unwrap().lead;
    let source = book.whole(lead.as_str());
    let (runbook, _) =
        parse(source.as_bytes(), "it.toml").usable().unwrap_or_else(|wrong| panic!("{}", wrong.render(false, None)));
    let mut env = runbook.env("sandbox").unwrap().clone();
    let faults = book.faults.map(|faults| faults.iter().map(|fault| (*fault).to_owned()).collect());
    let faults = faults.unwrap_or_else(|| env.sandbox.faults.clone());
    let plain: String = source.split_whitespace().collect();
    let config = Config {
        seed: 7,
        faults: Some(faults.iter().map(|fault| fault.parse().unwrap()).collect()),
        policy: (!policy.is_null()).then(|| policy.to_string().parse().unwrap()),
        world: WorldNames::with(&env.sandbox.world).unwrap(),
        state_dir: None,
        data: ["kind=\"postgres.", "kind=\"redis."].iter().any(|kind| plain.contains(kind)).then(|| Wanted {
            programs: Programs::find(),
            guard: env!("CARGO_BIN_EXE_gonogo").into(),
            when_asked: false,
        }),
    };
    let sandbox = Sandbox::start(config).await.unwrap();
    let at = sandbox.endpoints();
    env.aws = Some(AwsEnv {
        region: Some(at.region.clone()),
        account: Some(at.account.clone()),
        endpoint: Some(at.aws.clone()),
        ..AwsEnv::default()
    });
    env.heroku =
        Some(HerokuEnv { app: at.heroku_app.clone(), endpoint: Some(at.heroku.clone()), ..HerokuEnv::default() });
    env.dns.authoritative.clone_from(&at.authoritative);
    env.dns.resolvers.clone_from(&at.resolvers);
    env.dns.parents.clone_from(&at.parents);
    env.http.resolve_only_by_dns = true;
    env.http.default_port = Some(at.web_port);
    env.http.default_tls_port = Some(at.tls_port);
    env.http.ca = Some(at.ca.clone());

    let resolver = Resolver::new(&runbook, &env);
    let fill = |secret: &SecretRef| SecretRef { source: resolver.secret(secret).0, ..secret.clone() };
    let secrets: Vec<_> = runbook.secrets.iter().map(fill).collect();
    let options = Options {
        mode: Mode::Rehearse,
        dry_run: false,
        from: None,
        until: None,
        source_hash: sha256_hex(source.as_bytes()),
    };
    let redactor = Arc::new(Redactor::default());
    let plan = || {
        let kinds = Kinds(Services::new(env.clone(), &secrets, redactor.clone()));
        let mut plan = plan::build(&runbook, &env, &kinds, &options).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        for step in &mut plan.outline.steps {
            step.timeout = book.at_most.map_or(step.timeout, |most| step.timeout.min(most));
        }
        plan
    };
    let (end, failures) = conduct(plan(), source.as_bytes(), redactor.clone()).await;
    assert_eq!(end.journal_failed, None);
    let steps = plan().steps;
    let actions = steps.iter().flat_map(|step| &step.action).filter(|action| !action.needs().is_empty());
    let probes = actions.map(async |action| {
        // What cannot be captured in the world as it is now cannot be probed.
        let Ok(captured) = action.capture(&minute()).await else { return };
        for back in [false, true] {
            let _either_way = action.probe(&minute(), &captured, back).await;
        }
    });
    futures_util::future::join_all(probes).await;
    let ending = end.state.ended.unwrap_or_else(|| panic!("it did not end: {failures:?}"));
    Night { authorizations: sandbox.authorizations().await, ending, failures }
}

/// The engine, answering go by itself; where somebody is asked all the same, everything is taken back.
async fn conduct(plan: Plan, source: &[u8], redactor: Arc<Redactor>) -> (End, Vec<String>) {
    let home = tempfile::tempdir().unwrap();
    let run = format!("20261120-000000-{:06x}", fastrand::u32(0..1 << 24)).parse().unwrap();
    let written = serde_json::to_vec(&plan.outline).unwrap();
    let journal = RunDir::create(home.path(), &run, source, &written, Room { free: 0, ..Room::default() }).unwrap();
    let dir = journal.dir().clone();
    let (sender, inputs) = InputSender::channel();
    let log = EventLog::default();
    let lead = plan.outline.lead.clone();
    let opened = Opened {
        run,
        version: "test".into(),
        operator: lead.clone(),
        from: "test@test".into(),
        auto_go: true,
        identities: Vec::new(),
        outline: plan.outline.clone(),
    };
    let conductor = Conductor::new(Parts {
        plan: Arc::new(plan),
        state: RunState::default(),
        seq: 0,
        journal: JournalThread::spawn(journal).unwrap(),
        dir,
        log: log.clone(),
        clock: Clock::start(),
        redactor,
        inputs,
    });
    let conducting = tokio::spawn(conductor.run(vec![Input::Open(Box::new(opened))]));
    let begun = Instant::now();
    let (mut state, mut cursor, mut failures) = (RunState::default(), 0, Vec::new());
    let say = async |intent| sender.ask(Said::Intent { who: lead.clone(), typed_by: lead.clone(), intent }).await;
    while !conducting.is_finished() {
        if begun.elapsed() >= LONGEST {
            let outline = state.outline.as_ref().unwrap();
            let open: Vec<_> = state.steps.iter().filter(|step| step.attempts.iter().any(|one| one.alive())).collect();
            panic!("{} does not end: hold {:?}, failures {failures:?}, open {open:?}", outline.title, state.hold);
        }
        let seen = log.len();
        for envelope in log.read(cursor, seen) {
            state.evolve(&envelope.event, envelope.stamp());
        }
        cursor = seen;
        if let Some((i, leg)) = state.asking().filter(|_| auto_answer(&state).is_none())
            && let Some(StepState::NeedsDecision(why)) = state.steps[i].leg(leg).map(|run| &run.state)
        {
            let id = state.outline.as_ref().unwrap().steps[i].id.as_str().to_owned();
            if let Why::Failed(failure) = why {
                let told = format!("{id}: {} {:?} {:?}", failure.message, failure.causes, failure.hint);
                if failures.last() != Some(&told) {
                    failures.push(told);
                }
            }
            let reason = Some("the test turns back".to_owned());
            let back = Intent::RollBack { typed: "rollback".into(), reason: reason.clone() };
            if leg == Leg::Back || say(back).await.is_err() {
                let _refused = say(Intent::Abort { typed: "abort".into(), reason }).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (conducting.await.unwrap(), failures)
}
