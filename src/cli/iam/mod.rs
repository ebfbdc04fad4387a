//! `gonogo iam`: the least IAM policy with which a runbook can be executed in an environment. Asks nobody.

mod policy;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use serde_json::json;

use super::{Exit, Outcome, Problem, print, say, setup};
use crate::{
    base::Redactor,
    kinds::Kinds,
    plan::{self, Need, Options, Plan},
    run::Mode,
    runbook::{Env, EnvKind, SecretSource},
    services::Services,
};

/// What a managed policy may hold, white space not counted ("IAM and AWS STS quotas", IAM user guide).
const MANAGED: usize = 6144;

/// Resources that only AWS or the reader can name, by how their ARNs end, and what can be put in their place.
const WIDE: &[(&str, &str)] = &[
    (":certificate/*", "the certificate, or name it by its ARN in the runbook"),
    (":db:*", "the cluster's instances"),
    (":hostedzone/*", "the zone, or name it by its id in the runbook"),
    (":log-group:*:log-stream:*", "the log groups of the task definitions"),
    (":parameter/*", "the parameters that the task definition names"),
    (":role/*", "the roles that the task definitions or schedules name"),
    (":secret:*", "the secrets that the task definition names"),
];

/// Arguments of `iam`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The runbook.
    runbook: PathBuf,
    /// The environment to run in.
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// Print an object: the policy, the notes, and what each permission is for.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let bytes = setup::read(&args.runbook)?;
    let book = setup::book(bytes, &args.runbook.display().to_string())?;
    let mut env = setup::env(&book.runbook, args.env.as_deref())?;
    // A policy is for the whole runbook, whatever this machine can play.
    env.sandbox.lacks.clear();
    let options = Options {
        mode: if env.kind == EnvKind::Live { Mode::Run } else { Mode::Rehearse },
        dry_run: false,
        from: None,
        until: None,
        source_hash: crate::runbook::sha256_hex(&book.bytes),
    };
    let services = Services::new(env.clone(), &setup::secrets(&book.runbook, &env), Arc::new(Redactor::default()));
    let plan = plan::build(&book.runbook, &env, &Kinds(services.clone()), &options).map_err(|mistakes| {
        let mut diagnostics = book.diagnostics.clone();
        diagnostics.extend(mistakes);
        setup::wrong(&diagnostics)
    })?;
    let (secrets, kept) = secrets(&plan, &env, &services);
    let mut needs = plan.needs();
    needs.extend(secrets);
    let policy = policy::least(&needs);
    let mut notes = notes(&env, &policy, kept);
    if policy.is_empty() {
        notes.insert(0, format!("in {} the runbook needs nothing of AWS", env.name));
    }
    if args.json {
        let policy = (!policy.is_empty()).then(|| policy.json());
        let whole = json!({ "policy": policy, "needs": policy::uses(&needs), "notes": notes });
        return print(&format!("{whole:#}\n"));
    }
    for note in notes {
        say(&format!("note: {note}"));
    }
    if policy.is_empty() { Ok(Exit::Done) } else { print(&policy.text().map_err(internal)?) }
}

fn internal(error: serde_json::Error) -> Problem {
    Problem::new(Exit::Internal, format!("the policy cannot be written: {error}"))
}

/// What is kept at AWS among the secrets that the plan uses.
#[derive(Default)]
struct Kept {
    secrets: bool,
    parameters: bool,
}

/// What the secrets in use need. The Heroku token counts as used where the environment names one.
fn secrets(plan: &Plan, env: &Env, services: &Services) -> (Vec<Need>, Kept) {
    let mut names: BTreeSet<&str> = plan.secrets.iter().map(String::as_str).collect();
    names.extend(env.heroku.as_ref().and_then(|heroku| heroku.token.as_deref()));
    let mut kept = Kept::default();
    let mut needs = Vec::new();
    for name in names {
        match services.secrets.source(name) {
            Some(SecretSource::AwsSecret(_)) => kept.secrets = true,
            Some(SecretSource::AwsParameter(_)) => kept.parameters = true,
            _ => {}
        }
        needs.extend(services.secrets.needs(name).map(|permission| Need { permission, of: format!("secret-{name}") }));
    }
    (needs, kept)
}

/// What a policy cannot say.
fn notes(env: &Env, policy: &policy::Policy, kept: Kept) -> Vec<String> {
    let mut notes = Vec::new();
    let aws = env.aws.as_ref();
    if !policy.is_empty() {
        notes.push("STS GetCallerIdentity, by which the account is compared, needs no permission".to_owned());
    }
    for resource in policy.resources() {
        if let Some((_, place)) = WIDE.iter().find(|(end, _)| resource.ends_with(end)) {
            notes.push(format!("{resource} is wide, the runbook does not say more; it can be narrowed to {place}"));
        }
    }
    if policy.names("cloudformation:DetectStackDrift") {
        notes.push(
            "a drift detection reads every resource of the stack, which needs the permission to read them".into(),
        );
    }
    if let Some(role) = aws.and_then(|aws| aws.role.as_ref()) {
        let profile = aws.and_then(|aws| aws.profile.as_ref());
        let who = profile.map_or("the credentials".to_owned(), |profile| format!("profile {profile}"));
        notes.push(format!("the policy is for {role}; {who} needs sts:AssumeRole on it, and it has to trust them"));
    }
    if kept.secrets {
        notes.push("a secret encrypted with a key of your own needs kms:Decrypt on that key as well".into());
    }
    if kept.parameters {
        notes.push("a SecureString encrypted with a key of your own needs kms:Decrypt on that key as well".into());
    }
    if !policy.is_empty() && aws.is_none_or(|aws| aws.region.is_none() || aws.account.is_none()) {
        notes.push("the environment's `aws` says no region or account: `*` stands in its place".into());
    }
    let size = policy.size();
    if size > MANAGED {
        let many = "divide its statements among several policies";
        notes.push(format!("{size} characters are more than the {MANAGED} of a managed policy: {many}"));
    }
    notes
}
