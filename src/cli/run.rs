//! `gonogo rehearse` and `gonogo run`: the same engine and flags; each refuses the other's environments.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Exit, Outcome, Problem, history,
    night::{self, First, Night, Show},
    setup, state_dir,
};
use crate::{
    base::{PersonId, Redactor, RunId, StepId},
    journal::{Room, RunDir, RunDirError},
    plan::Options,
    run::{Input, Mode, Opened, RunState},
    runbook::{Env, EnvKind, Runbook},
};

/// Arguments of `rehearse` and `run`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The runbook.
    runbook: PathBuf,
    /// The environment to run in.
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// Do every read for real and no action.
    #[arg(long)]
    dry_run: bool,
    /// Leave out the steps before this one.
    #[arg(long, value_name = "STEP")]
    from: Option<String>,
    /// Leave out the steps after this one.
    #[arg(long, value_name = "STEP")]
    until: Option<String>,
    /// Faults of the sandbox, `OPERATION[:once|:N|:30s|:always]`, in place of the runbook's own; `none` for none.
    #[arg(long, value_name = "FAULT")]
    fault: Vec<String>,
    #[command(flatten)]
    show: Show,
}

pub(super) fn run(args: Args, mode: Mode, state: Option<&Path>) -> Outcome {
    let state = state_dir(state)?;
    let bytes = setup::read(&args.runbook)?;
    let book = setup::book(bytes, &args.runbook.display().to_string())?;
    let env = setup::env(&book.runbook, args.env.as_deref())?;
    fits(mode, &env)?;
    args.show.fits(env.kind)?;
    let operator = operator(&book.runbook, args.show.operator.as_deref(), env.kind)?;
    let from = named_step(&book.runbook, "--from", args.from.as_deref())?;
    let until = named_step(&book.runbook, "--until", args.until.as_deref())?;
    in_order(&book.runbook, from.as_ref(), until.as_ref())?;
    let options =
        Options { mode, dry_run: args.dry_run, from, until, source_hash: crate::runbook::sha256_hex(&book.bytes) };
    let env = with_faults(env, args.fault)?;
    #[cfg(feature = "sandbox")]
    super::world::policy_of(&env)?;
    // Every mistake is told before anything is started.
    let redactor = Arc::new(Redactor::default());
    let plan = setup::plan(&book, &env, redactor.clone(), &options)?;
    let data = setup::reaches_data(&book, &env, &plan);
    let outline = plan.outline;
    args.show.answers(&book.runbook, &outline)?;
    let auto_go = args.show.auto_go;
    let (source, at_keyboard) = (book.bytes.clone(), operator.clone());
    let shown = Arc::new(outline.clone());
    let folder = move || {
        let mut outline = outline;
        history::mark(&mut outline, &state);
        let run = new_run_id();
        let plan = serde_json::to_vec_pretty(&outline).map_err(|e| Problem::new(Exit::Internal, e.to_string()))?;
        let room = Room { shared: std::env::var_os("GONOGO_SHARED_STATE").is_some(), ..Room::default() };
        let journal = RunDir::create(&state, &run, &source, &plan, room).map_err(refused)?;
        let opened = move |identities| Opened {
            run,
            version: env!("CARGO_PKG_VERSION").into(),
            operator: at_keyboard,
            from: night::user_at_host(),
            auto_go,
            identities,
            outline,
        };
        let first: First = Box::new(move |identities| vec![Input::Open(Box::new(opened(identities)))]);
        Ok((journal, first))
    };
    night::live(Night {
        book,
        env,
        options,
        redactor,
        operator,
        outline: shown,
        data,
        state: RunState::default(),
        seq: 0,
        past: Vec::new(),
        folder: Box::new(folder),
        show: args.show,
    })
}

/// A run folder that cannot be made or opened, in words and with its exit code.
pub(super) fn refused(error: RunDirError) -> Problem {
    let exit = match &error {
        RunDirError::Held { .. } => Exit::Busy,
        RunDirError::Damaged(_) | RunDirError::Copied { .. } => Exit::Damaged,
        _ => Exit::Preflight,
    };
    Problem::new(exit, error.to_string())
}

fn fits(mode: Mode, env: &Env) -> Result<(), Problem> {
    match (mode, env.kind) {
        (Mode::Rehearse, EnvKind::Live) => Err(Problem::new(
            Exit::Usage,
            format!("`{}` is a live environment; a rehearsal does not touch it", env.name),
        )
        .hint("`gonogo run` executes there; `--env` names a sandbox or rehearsal environment")),
        (Mode::Run, EnvKind::Sandbox | EnvKind::Rehearsal) => {
            Err(Problem::new(Exit::Usage, format!("`{}` is not a live environment", env.name))
                .hint("`gonogo rehearse` runs there"))
        }
        _ => Ok(()),
    }
}

/// Who is at the keyboard: the flag, else in a rehearsal the user's own name where it is in [people], else the lead.
pub(super) fn operator(runbook: &Runbook, flag: Option<&str>, kind: EnvKind) -> Result<PersonId, Problem> {
    let known = |name: &str| runbook.people.iter().find(|person| person.id.as_str() == name).map(|p| p.id.clone());
    let names = || runbook.people.iter().map(|p| p.id.as_str()).collect::<Vec<_>>().join(", ");
    match flag {
        Some(name) => known(name).ok_or_else(|| {
            Problem::new(Exit::Usage, format!("`{}` is not in [people]", crate::base::clean_line(name, 60)))
                .hint(format!("the runbook has {}", names()))
        }),
        None if kind == EnvKind::Live => {
            Err(Problem::new(Exit::Usage, "a live run names who is at the keyboard: --operator NAME")
                .hint(format!("the runbook has {}", names())))
        }
        None => Ok(std::env::var("USER").ok().and_then(|user| known(&user)).unwrap_or_else(|| runbook.lead.clone())),
    }
}

pub(super) fn named_step(runbook: &Runbook, flag: &str, name: Option<&str>) -> Result<Option<StepId>, Problem> {
    let Some(name) = name else { return Ok(None) };
    let found = runbook.steps.iter().find(|step| step.id.as_str() == name).map(|step| step.id.clone());
    found.map(Some).ok_or_else(|| {
        let problem =
            Problem::new(Exit::Usage, format!("{flag}: there is no step `{}`", crate::base::clean_line(name, 60)));
        match crate::plan::nearest(name, runbook.steps.iter().map(|step| step.id.as_str())) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem,
        }
    })
}

/// A part that ends before it begins has no steps.
fn in_order(runbook: &Runbook, from: Option<&StepId>, until: Option<&StepId>) -> Result<(), Problem> {
    let place = |id: &StepId| runbook.steps.iter().position(|step| &step.id == id);
    match (from, until) {
        (Some(from), Some(until)) if place(until) < place(from) => {
            let words = format!("--until {until} comes before --from {from}: no step is left between them");
            Err(Problem::new(Exit::Usage, words).hint("give the earlier step to --from"))
        }
        _ => Ok(()),
    }
}

fn with_faults(mut env: Env, faults: Vec<String>) -> Result<Env, Problem> {
    if faults.is_empty() {
        return Ok(env);
    }
    if env.kind != EnvKind::Sandbox {
        return Err(Problem::new(Exit::Usage, "--fault is for the sandbox: real systems have faults of their own"));
    }
    env.sandbox.faults = faults.into_iter().filter(|fault| fault != "none").collect();
    #[cfg(feature = "sandbox")]
    let env = super::world::named(env)?;
    Ok(env)
}

fn new_run_id() -> RunId {
    loop {
        let id = format!("{}-{:06x}", chrono::Utc::now().format("%Y%m%d-%H%M%S"), fastrand::u32(0..1 << 24));
        if let Ok(id) = id.parse() {
            return id;
        }
    }
}
