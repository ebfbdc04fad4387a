//! The built-in world: attached to a run in a sandbox environment, or alone (`gonogo sandbox`).

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{Exit, Outcome, Problem, night::Reach, print, say};
use crate::{
    plan::Plan,
    runbook::{AwsEnv, Env, EnvKind, HerokuEnv, Lack, Runbook, SecretRef, SecretSource},
    sandbox::{self, Config, Fault, Policy, Programs, Sandbox, Server, Wanted, WorldNames},
};

/// The seed where nobody names one: every rehearsal of the shipped runbook is the same.
const SEED: u64 = 20_261_206;

/// Arguments of `sandbox`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// What goes wrong on purpose: `OPERATION[:once|:N|:30s|:always]`; see `gonogo help faults`. A kept world has its
    /// own where nothing is said; `none` for none.
    #[arg(long, value_name = "FAULT")]
    fault: Vec<String>,
    /// Everything random comes from it.
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// Keep the world and its log of effects here, so that it goes on after a restart.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Allow at AWS only what this IAM policy allows (`gonogo iam` prints one).
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Print the variables as JSON.
    #[arg(long)]
    json: bool,
}

fn faults(texts: &[String]) -> Result<Vec<Fault>, Problem> {
    let read =
        |text: &String| text.parse().map_err(|e: crate::sandbox::BadFault| Problem::new(Exit::Usage, e.to_string()));
    texts.iter().filter(|text| *text != "none").map(read).collect()
}

/// The policy of a file.
fn policy(path: &Path) -> Result<Policy, Problem> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|e| Problem::new(Exit::Usage, format!("the policy {shown} cannot be read: {e}")))?;
    text.parse().map_err(|e: crate::sandbox::BadPolicy| {
        Problem::new(Exit::Usage, format!("the policy {shown} cannot be used: {e}"))
    })
}

/// The policy of a sandbox environment, where it has one.
pub(super) fn policy_of(env: &Env) -> Result<Option<Policy>, Problem> {
    env.sandbox.policy.as_deref().map(|path| policy(Path::new(path))).transpose()
}

fn not_started(error: crate::sandbox::StartError) -> Problem {
    Problem::new(Exit::Preflight, format!("the sandbox cannot be started: {error}"))
}

/// What a sandbox environment will be called, before it is up: the plan names its account and app.
pub(super) fn named(mut env: Env) -> Result<Env, Problem> {
    if env.kind == EnvKind::Sandbox {
        let world = WorldNames::with(&env.sandbox.world).map_err(|e| Problem::new(Exit::Usage, e.to_string()))?;
        faults(&env.sandbox.faults)?;
        env.aws = Some(AwsEnv { region: Some(world.region), account: Some(world.account), ..AwsEnv::default() });
        env.heroku = Some(HerokuEnv { app: world.app, ..HerokuEnv::default() });
    }
    Ok(env)
}

/// The server of the sandbox that a secret leads to.
fn server_of(secret: &SecretRef) -> Option<Server> {
    match &secret.source {
        SecretSource::HerokuConfig(name) => Server::of_heroku_config(name),
        SecretSource::AwsSecret(id) => Server::of_aws_secret(id),
        SecretSource::AwsParameter(name) => Server::of_aws_parameter(name),
        SecretSource::Env(_) | SecretSource::File(_) | SecretSource::Command(_) => None,
    }
}

/// A sandbox environment with what it has not got on this machine, of what the runbook's secrets lead to; other
/// environments stay as they are.
pub(super) fn with_lacks(mut env: Env, runbook: &Runbook) -> Env {
    if env.kind != EnvKind::Sandbox {
        return env;
    }
    let secrets: Vec<(String, Server)> = super::setup::secrets(runbook, &env)
        .into_iter()
        .filter_map(|secret| Some((secret.name.clone(), server_of(&secret)?)))
        .collect();
    if secrets.is_empty() {
        return env;
    }
    let mut missing = Programs::find().missing();
    missing.retain(|(server, _)| secrets.iter().any(|(_, of)| of == server));
    let install = sandbox::install(&missing.iter().map(|(server, _)| *server).collect::<BTreeSet<_>>());
    let lack = |(server, why): (Server, String)| Lack {
        what: server.name().to_owned(),
        why,
        install: install.clone(),
        secrets: secrets.iter().filter(|(_, of)| *of == server).map(|(name, _)| name.clone()).collect(),
    };
    env.sandbox.lacks = missing.into_iter().map(lack).collect();
    env
}

/// True where what a plan is given leads to the sandbox's databases or Redis.
pub(super) fn reaches_data(runbook: &Runbook, env: &Env, plan: &Plan) -> bool {
    let secrets = super::setup::secrets(runbook, env);
    env.kind == EnvKind::Sandbox
        && secrets.iter().any(|secret| plan.secrets.contains(&secret.name) && server_of(secret).is_some())
}

/// The servers for a run; `None` where there is none of their programs.
fn wanted(env: &Env, when_asked: bool) -> Result<Option<Wanted>, Problem> {
    let mut programs = Programs::find();
    // What the run was begun without it goes on without.
    let lacks = |server: Server| env.sandbox.lacks.iter().any(|lack| lack.what == server.name());
    programs.postgres = programs.postgres.filter(|_| !lacks(Server::Postgres));
    programs.redis = programs.redis.filter(|_| !lacks(Server::Redis));
    let any = programs.postgres.is_some() || programs.redis.is_some();
    Ok(if any { Some(Wanted { programs, guard: guard()?, when_asked }) } else { None })
}

/// Our own program. By way of the running one where that can be: the file may have been replaced meanwhile.
fn guard() -> Result<PathBuf, Problem> {
    let running = Path::new("/proc/self/exe");
    if running.exists() {
        return Ok(running.to_owned());
    }
    std::env::current_exe().map_err(|e| Problem::new(Exit::Internal, format!("our own program: {e}")))
}

/// The process that is the parent of the sandbox's servers.
pub(super) fn be_guard() -> Outcome {
    #[cfg(all(feature = "postgres", feature = "redis"))]
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let ended = runtime.and_then(|runtime| runtime.block_on(sandbox::guard()));
        ended.map_err(|e| Problem::new(Exit::Internal, e.to_string()))?;
    }
    Ok(Exit::Done)
}

/// Brings the world of a sandbox environment up and points the environment at it; other environments
/// stay as they are. The world lives in the run's folder, so that it survives a kill as a real one would.
pub(super) async fn attach(mut env: Env, reach: &Reach<'_>) -> Result<(Env, Option<Sandbox>), Problem> {
    if env.kind != EnvKind::Sandbox {
        return Ok((env, None));
    }
    env = named(env)?;
    let world = WorldNames::with(&env.sandbox.world).map_err(|e| Problem::new(Exit::Usage, e.to_string()))?;
    let config = Config {
        seed: env.sandbox.seed.unwrap_or(SEED),
        // A run that goes on has them in its world, also those that `--fault` put in place of the runbook's.
        faults: if reach.fresh { Some(faults(&env.sandbox.faults)?) } else { None },
        policy: policy_of(&env)?,
        world,
        state_dir: Some(reach.dir.join("world")),
        data: if reach.data { wanted(&env, false)? } else { None },
    };
    let sandbox = Sandbox::start(config).await.map_err(not_started)?;
    let at = sandbox.endpoints();
    if let (Some(aws), Some(heroku)) = (&mut env.aws, &mut env.heroku) {
        aws.endpoint = Some(at.aws.clone());
        heroku.endpoint = Some(at.heroku.clone());
    }
    env.dns.authoritative.clone_from(&at.authoritative);
    env.dns.resolvers.clone_from(&at.resolvers);
    env.dns.parents.clone_from(&at.parents);
    env.http.resolve_only_by_dns = true;
    env.http.default_port = Some(at.web_port);
    env.http.default_tls_port = Some(at.tls_port);
    env.http.ca = Some(at.ca.clone());
    Ok((env, Some(sandbox)))
}

/// Runs the world until it is interrupted.
pub(super) fn run(args: &Args) -> Outcome {
    let faults = if args.fault.is_empty() { None } else { Some(faults(&args.fault)?) };
    let policy = args.policy.as_deref().map(policy).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| Problem::new(Exit::Internal, e.to_string()))?;
    let programs = Programs::find();
    let missing: BTreeSet<Server> = programs.missing().into_iter().map(|(server, _)| server).collect();
    let data = if missing.len() < 2 { Some(Wanted { programs, guard: guard()?, when_asked: true }) } else { None };
    runtime.block_on(async {
        let config = Config {
            seed: args.seed,
            faults,
            policy,
            world: WorldNames::default(),
            state_dir: args.keep.clone(),
            data,
        };
        let sandbox = Sandbox::start(config).await.map_err(not_started)?;
        let exports = sandbox.exports();
        let text = if args.json {
            let pairs: serde_json::Map<_, _> = exports.into_iter().map(|(k, v)| (k, v.into())).collect();
            format!("{:#}\n", serde_json::Value::Object(pairs))
        } else {
            exports.iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect()
        };
        print(&text)?;
        for server in &missing {
            say(&format!("no {} on this machine: {}", server.name(), sandbox::install(&missing)));
        }
        say("the sandbox runs until it is interrupted; everything in it is made up, and nothing outside is contacted");
        ended().await;
        if args.keep.is_some() {
            sandbox.stop().await
        } else {
            sandbox.finish().await
        }
        Ok(Exit::Done)
    })
}

/// Waits for an interrupt or a termination.
async fn ended() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()))
    else {
        return;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
