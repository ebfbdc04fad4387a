//! One process of a run: brings the world up, wires conductor, views and signals together, and waits
//! for the end. `rehearse`, `run` and `resume` differ only in how they begin.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};

use super::{
    Exit, Outcome, Problem, exit_of, say,
    setup::{self, Book},
    view::View,
};
use crate::{
    attach::{self, Server},
    base::{Class, PersonId, Redactor},
    board::partial_words,
    conductor::{Clock, Conductor, End, Parts},
    journal::{Journal, JournalThread, RunDir},
    log::{EventLog, InputSender, Playhead, Said},
    plain,
    plan::{BoundRollback, Options, Plan},
    run::{Envelope, HoldWhy, Identity, Input, Intent, Outline, RunState},
    runbook::{Env, EnvKind, Runbook},
};

/// How a run is shown and answered.
#[derive(clap::Args, Clone)]
pub(super) struct Show {
    /// Who is at the keyboard, a name of [people].
    #[arg(long, value_name = "NAME")]
    pub(super) operator: Option<String>,
    /// One event, one line, decisions by typed words; what is used where there is no terminal.
    #[arg(long)]
    pub(super) plain: bool,
    /// Print the journal's envelopes as they become durable, one a line.
    #[arg(long)]
    pub(super) json: bool,
    /// Ask nobody: hold and leave where somebody would be asked.
    #[arg(long)]
    pub(super) no_input: bool,
    /// The word for a step's confirmation, given beforehand.
    #[arg(long, value_name = "STEP=WORD")]
    pub(super) confirm: Vec<String>,
    /// Answer go everywhere, and retry once a step where nothing was done. Rehearsals only.
    #[arg(long)]
    pub(super) auto_go: bool,
    /// Only ASCII on the screen.
    #[arg(long)]
    pub(super) ascii: bool,
}

impl Show {
    /// Refuses what an environment forbids.
    pub(super) fn fits(&self, kind: EnvKind) -> Result<(), Problem> {
        if self.auto_go && kind == EnvKind::Live {
            return Err(Problem::new(Exit::Usage, "--auto-go is refused in a live environment: people decide there"));
        }
        self.confirmations().map(drop)
    }

    /// Refuses a word given beforehand that no question of its step takes: in the night it would only come out where
    /// somebody is asked, and nobody is there.
    pub(super) fn answers(&self, runbook: &Runbook, outline: &Outline) -> Result<(), Problem> {
        for (id, word) in self.confirmations()? {
            super::run::named_step(runbook, "--confirm", Some(&id))?;
            // One that this environment leaves out is not asked about.
            let Some(step) = outline.steps.iter().find(|step| step.id.as_str() == id) else { continue };
            plain::answers(outline, step, &word).map_err(|takes| {
                let word = crate::base::clean_line(&word, 60);
                let problem = |text: String| Problem::new(Exit::Usage, format!("--confirm {id}: {text}"));
                match takes {
                    Some(takes) => problem(format!("`{word}` is no answer there")).hint(format!("it takes: {takes}")),
                    None => problem("nobody is asked for a word there".into()),
                }
            })?;
        }
        Ok(())
    }

    /// The words given beforehand, by step.
    pub(super) fn confirmations(&self) -> Result<Vec<(String, String)>, Problem> {
        let split = |text: &String| {
            let (step, word) = text.split_once('=')?;
            Some((step.to_owned(), word.to_owned()))
        };
        self.confirm
            .iter()
            .map(|text| split(text).ok_or_else(|| Problem::new(Exit::Usage, "--confirm takes STEP=WORD")))
            .collect()
    }
}

/// A run as it begins in this process.
pub(super) struct Night {
    pub(super) book: Book,
    pub(super) env: Env,
    pub(super) options: Options,
    pub(super) redactor: Arc<Redactor>,
    /// Who is at the keyboard.
    pub(super) operator: PersonId,
    /// What will be done.
    pub(super) outline: Arc<Outline>,
    /// It reaches for the sandbox's databases or Redis.
    pub(super) data: bool,
    pub(super) state: RunState,
    pub(super) seq: u64,
    /// What happened before, for the views.
    pub(super) past: Vec<Envelope>,
    /// Makes or opens the run's folder. Called when the first picture stands: disks take their time.
    pub(super) folder: Box<dyn FnOnce() -> Result<(Journal, First), Problem> + Send>,
    pub(super) show: Show,
}

/// The first inputs, once it is known who we are.
pub(super) type First = Box<dyn FnOnce(Vec<Identity>) -> Vec<Input> + Send>;

/// What has not answered by then in a sandbox is not up yet.
const COMING_UP: Duration = Duration::from_secs(3);

/// Interrupts are asked for twice: the first one holds.
const INTERRUPTS: usize = 2;

/// The view of a run that is happening.
pub(super) struct Live(pub(super) Clock);

impl Playhead for Live {
    fn visible(&self, log: &EventLog) -> usize {
        log.len()
    }

    fn now(&self) -> crate::base::Stamp {
        self.0.now()
    }
}

/// `user@host`, for the record.
pub(super) fn user_at_host() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "unknown".into());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    crate::base::clean_line(&format!("{user}@{host}"), 120)
}

/// Lives through it.
pub(super) fn live(night: Night) -> Outcome {
    // One thread: a step is a few waits, and handing it from thread to thread costs more than it does. The
    // journal, the screen and the writers of lines have threads of their own, so that none of them can stop it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Problem::new(Exit::Internal, format!("the runtime cannot be made: {e}")))?;
    let outcome = runtime.block_on(on_runtime(night));
    // A kind that blocks in a system call must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(2));
    outcome
}

async fn on_runtime(night: Night) -> Outcome {
    // Without it a full file-size limit would kill the process where a failed write is told.
    let _no_such_signal = crate::journal::outlive_file_size_limit();
    let clock = match night.state.last {
        Some(last) => Clock::go_on(last),
        None => Clock::start(),
    };
    let log = EventLog::default();
    log.publish(night.past);
    let (sender, inputs) = InputSender::channel();
    let signals = tokio::spawn(signals(sender.clone(), night.operator.clone()));
    // The first picture comes before anything is connected.
    let mut view = View::live(&night.show, &log, &sender, clock, &night.operator, night.outline)?;
    let begun = async {
        let (journal, first) = (night.folder)()?;
        let dir = journal.dir().clone();
        let reach = Reach { dir: dir.path(), data: night.data, fresh: night.seq == 0 };
        let begun = begin(&night.book, night.env, night.redactor.clone(), &night.options, reach).await?;
        let journal = JournalThread::spawn(journal)
            .map_err(|e| Problem::new(Exit::Internal, format!("the journal's thread cannot be made: {e}")))?;
        Ok((journal, dir, first, begun))
    };
    // The world lives as long as the run does.
    let (journal, dir, first, (plan, identities, world)) = match begun.await {
        Ok(begun) => begun,
        Err(problem) => {
            log.close();
            view.close().await;
            return Err(problem);
        }
    };
    let server = listen(&night.show, &dir, &log, clock, &sender).await;
    let conductor = Conductor::new(Parts {
        plan: Arc::new(plan),
        state: night.state,
        seq: night.seq,
        journal,
        dir: dir.clone(),
        log: log.clone(),
        clock,
        redactor: night.redactor,
        inputs,
    });
    let conducting = tokio::spawn(conductor.run(first(identities)));
    if let Some(why) = view.ended().await {
        // The view ended first: whatever is in flight is finished and recorded, then the run holds.
        let _over_already = sender.ask(Said::Leave(why)).await;
    }
    drop(sender);
    let end = conducting.await;
    hang_up(server).await;
    let end = end.map_err(|e| Problem::new(Exit::Internal, format!("the conductor failed: {e}")))?;
    signals.abort();
    close(world, end.state.ended.is_some()).await;
    Ok(farewell(&end, dir.run().as_str()))
}

/// Lets other terminals in. The run does not need them: where they cannot come in, that is said, and it goes on.
async fn listen(
    show: &Show,
    dir: &Arc<RunDir>,
    log: &EventLog,
    clock: Clock,
    sender: &InputSender,
) -> Result<Server, Option<String>> {
    let parts = attach::Parts {
        run: dir.run().clone(),
        log: log.clone(),
        playhead: Arc::new(Live(clock)),
        inputs: sender.clone(),
    };
    Server::start(dir.clone(), parts).await.map_err(|error| {
        let words = format!("other terminals cannot vote: {error}");
        // Not into the middle of a screen: there it is said at the end.
        let later = super::view::wants_screen(show);
        if !later {
            say(&words);
        }
        later.then_some(words)
    })
}

/// The end of what [`listen`] began.
async fn hang_up(server: Result<Server, Option<String>>) {
    match server {
        Ok(server) => {
            if let Err(error) = server.stop().await {
                say(&format!("the run's socket is left behind: {error}"));
            }
        }
        Err(words) => words.iter().for_each(|words| say(words)),
    }
}

/// What is said at the end, and the exit code.
fn farewell(end: &End, run: &str) -> Exit {
    for envelope in &end.unwritten {
        if let Ok(json) = envelope.encode() {
            say(&format!("not on disk: {}", String::from_utf8_lossy(&json)));
        }
    }
    let exit = exit_of(&end.state);
    match &end.journal_failed {
        Some(why) => {
            say(&format!("the journal could not be written: {why}\nlook at the world before `gonogo resume {run}`"))
        }
        None if end.state.ended.is_some() => {
            say(&format!("recorded as {run}: gonogo replay {run}, gonogo report {run}"))
        }
        None => say(&format!("held and recorded: gonogo resume {run}")),
    }
    if let Some(words) = end.state.outline.as_ref().and_then(|outline| partial_words(outline)) {
        say(&words);
    }
    exit
}

/// What lives as long as the run does.
#[cfg(feature = "sandbox")]
type World = Option<crate::sandbox::Sandbox>;
#[cfg(not(feature = "sandbox"))]
type World = ();

/// What a world is brought up for.
pub(super) struct Reach<'n> {
    /// The run's folder.
    pub(super) dir: &'n std::path::Path,
    /// Steps reach for its databases or its Redis.
    pub(super) data: bool,
    /// The run has not begun yet.
    pub(super) fresh: bool,
}

/// Ends the world. For good where nobody will go on with it: then nothing of its databases is kept.
async fn close(world: World, for_good: bool) {
    #[cfg(feature = "sandbox")]
    match (world, for_good) {
        (Some(world), true) => world.finish().await,
        (Some(world), false) => world.stop().await,
        (None, _) => {}
    }
    #[cfg(not(feature = "sandbox"))]
    std::future::ready((world, for_good)).await;
}

/// Brings the world up, binds the plan to it, and asks who we are there.
async fn begin(
    book: &Book,
    env: Env,
    redactor: Arc<Redactor>,
    options: &Options,
    reach: Reach<'_>,
) -> Result<(Plan, Vec<Identity>, World), Problem> {
    #[cfg(feature = "sandbox")]
    let (env, world) = super::world::attach(env, &reach).await?;
    #[cfg(not(feature = "sandbox"))]
    let (env, world) = {
        let _unused = (reach.dir, reach.data);
        if env.kind == EnvKind::Sandbox {
            return Err(Problem::new(Exit::Usage, "this build has no sandbox (feature `sandbox`)"));
        }
        (env, ())
    };
    let bound = async {
        let plan = setup::plan(book, &env, redactor.clone(), options)?;
        let identities = preflight(&plan, &redactor).await?;
        Ok((plan, identities))
    };
    match bound.await {
        Ok((plan, identities)) => Ok((plan, identities, world)),
        Err(problem) => {
            close(world, reach.fresh).await;
            Err(problem)
        }
    }
}

/// Compares every account and app of the plan with the environment's, before the first step.
async fn preflight(plan: &Plan, redactor: &Redactor) -> Result<Vec<Identity>, Problem> {
    let mut fences = Vec::new();
    for (outline, step) in plan.outline.steps.iter().zip(&plan.steps) {
        // What is left out is asked nothing.
        if outline.left_out().is_some() {
            continue;
        }
        let back = if let BoundRollback::Action(action) = &step.rollback { Some(action) } else { None };
        let actions = step.action.iter().chain(back);
        let checks = step.precheck.iter().chain(&step.verify).chain(&step.criteria);
        fences.extend(actions.map(|action| action.fence()).chain(checks.map(|check| check.fence())));
    }
    let answers = if plan.outline.env.kind == EnvKind::Sandbox {
        // Its databases may still be coming up; an action is fenced once more before it acts.
        let within = |fence| async move { timeout(COMING_UP, fence).await.unwrap_or(Ok(None)) };
        join_all(fences.into_iter().map(within)).await
    } else {
        let mut answers = Vec::new();
        for fence in fences {
            let answer = fence.await;
            let refused = answer.is_err();
            answers.push(answer);
            if refused {
                break;
            }
        }
        answers
    };
    let mut identities: Vec<Identity> = Vec::new();
    for answer in answers {
        match answer {
            Ok(Some(identity)) if !identities.contains(&identity) => identities.push(identity),
            Ok(_) => {}
            Err(failure) => {
                let exit = match failure.class {
                    Class::Denied | Class::Refused => Exit::Identity,
                    _ => Exit::Preflight,
                };
                let told = |text: &str| redactor.redact(text).into_owned();
                let mut problem = Problem::new(exit, told(&failure.message));
                for cause in &failure.causes {
                    problem.message.push_str(&format!("\n        {}", told(cause)));
                }
                problem.hint = failure.hint.as_deref().map(told);
                return Err(problem);
            }
        }
    }
    Ok(identities)
}

/// The first interrupt holds, the second leaves; a hang-up and a termination leave.
async fn signals(sender: InputSender, operator: PersonId) {
    let streams = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()));
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = streams else { return };
    let mut interrupts = 0;
    loop {
        let said = tokio::select! {
            _ = interrupt.recv() => {
                interrupts += 1;
                if interrupts < INTERRUPTS {
                    Said::Intent { who: operator.clone(), typed_by: operator.clone(), intent: Intent::Hold }
                } else {
                    Said::Leave(HoldWhy::Signal("interrupted twice".into()))
                }
            }
            _ = terminate.recv() => Said::Leave(HoldWhy::Signal("terminated".into())),
            _ = hangup.recv() => Said::Leave(HoldWhy::TerminalLost),
        };
        let _refused = sender.ask(said).await;
    }
}
