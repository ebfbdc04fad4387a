//! From a path and a name to everything a run needs: the runbook, its environment, the clients, the
//! plan. Says every mistake of the file before anything is started.

use std::{collections::HashMap, io::ErrorKind, path::Path, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};

use super::{Exit, Problem, colour, say};
use crate::{
    base::{Redactor, StepId},
    kinds::Kinds,
    plan::{self, Options, Plan, nearest},
    runbook::{Diagnostics, Env, EnvKind, Runbook, SecretRef, Step, parse},
    services::Services,
};

/// A runbook that can be used, with its bytes.
pub(super) struct Book {
    pub(super) runbook: Runbook,
    pub(super) diagnostics: Diagnostics,
    pub(super) bytes: Vec<u8>,
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let shown = path.display();
    if path.is_dir() {
        return Err(Problem::new(Exit::Usage, format!("{shown} is a folder; name the runbook in it")));
    }
    // One byte more than a runbook may have is enough to know that it is none.
    let limit = crate::runbook::MAX_BYTES as u64 + 1;
    let bytes = std::fs::File::open(path).and_then(|file| {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::Read::take(file, limit), &mut bytes)?;
        Ok(bytes)
    });
    bytes.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Problem::new(Exit::Usage, format!("there is no file {shown}")),
        ErrorKind::PermissionDenied => Problem::new(Exit::Usage, format!("{shown} may not be read")),
        _ => Problem::new(Exit::Usage, format!("{shown} cannot be read: {error}")),
    })
}

/// Parses a runbook and says what is wrong with it.
pub(super) fn book(bytes: Vec<u8>, path: &str) -> Result<Book, Problem> {
    let parsed = parse(&bytes, path);
    match parsed.usable() {
        Ok((runbook, diagnostics)) => Ok(Book { runbook, diagnostics, bytes }),
        Err(diagnostics) => Err(wrong(&diagnostics)),
    }
}

/// Says every mistake, and how many there are.
pub(super) fn wrong(diagnostics: &Diagnostics) -> Problem {
    say(&diagnostics.render(colour(), None));
    let n = diagnostics.count(crate::runbook::Severity::Error);
    let s = if n == 1 { "" } else { "s" };
    Problem::new(Exit::Runbook, format!("the runbook has {n} error{s}; nothing was executed"))
}

/// The environment of a name; a sandbox with the names of its world filled in.
pub(super) fn env(runbook: &Runbook, name: Option<&str>) -> Result<Env, Problem> {
    let env = find(runbook, name)?.clone();
    #[cfg(feature = "sandbox")]
    let env = super::world::with_lacks(super::world::named(env)?, runbook);
    Ok(env)
}

fn find<'r>(runbook: &'r Runbook, name: Option<&str>) -> Result<&'r Env, Problem> {
    let names = || runbook.envs.iter().map(|env| env.name.as_str());
    let list = || names().collect::<Vec<_>>().join(", ");
    let Some(name) = name else {
        return Err(Problem::new(Exit::Usage, "say where: --env NAME").hint(format!("the runbook has {}", list())));
    };
    runbook.env(name).ok_or_else(|| {
        let problem = Problem::new(
            Exit::Usage,
            format!("the runbook has no environment `{}`", crate::base::clean_line(name, 60)),
        );
        match nearest(name, names()) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint(format!("it has {}", list())),
        }
    })
}

/// The clients and the plan of an environment.
pub(super) fn plan(book: &Book, env: &Env, redactor: Arc<Redactor>, options: &Options) -> Result<Plan, Problem> {
    let secrets = secrets(&book.runbook, env);
    let kinds = Kinds(Services::new(env.clone(), &secrets, redactor));
    if let Some(end) = planned_end(&book.runbook, env) {
        let _first = kinds.0.planned_end.set(end);
    }
    plan::build(&book.runbook, env, &kinds, options).map_err(|mistakes| {
        let mut diagnostics = book.diagnostics.clone();
        diagnostics.extend(mistakes);
        wrong(&diagnostics)
    })
}

/// When the run is planned to end: where it is live, when the window closes; else as long from now as its longest chain
/// of steps is planned to take. A resumed run is given the whole of it: some of it may be done again.
fn planned_end(runbook: &Runbook, env: &Env) -> Option<DateTime<Utc>> {
    if let Some(end) = runbook.window.end.filter(|_| env.kind == EnvKind::Live) {
        return Some(end.to_utc());
    }
    let here = |step: &&Step| step.only.as_ref().is_none_or(|only| only.contains(&env.name));
    let steps: Vec<&Step> = runbook.steps.iter().filter(here).collect();
    let mut ends: HashMap<StepId, Duration> = HashMap::new();
    for (i, step) in steps.iter().enumerate() {
        let needs = plan::needs_of(&steps, i);
        let begins = needs.iter().filter_map(|id| ends.get(id)).max().copied().unwrap_or_default();
        ends.insert(step.id.clone(), begins.saturating_add(step.planned));
    }
    let whole = chrono::TimeDelta::from_std(*ends.values().max()?).ok()?;
    Utc::now().checked_add_signed(whole)
}

/// True where what a plan is given leads to the databases or the Redis of a sandbox.
pub(super) fn reaches_data(book: &Book, env: &Env, plan: &Plan) -> bool {
    #[cfg(feature = "sandbox")]
    return super::world::reaches_data(&book.runbook, env, plan);
    #[cfg(not(feature = "sandbox"))]
    {
        let _no_sandbox = (book, env, plan);
        false
    }
}

/// The secrets' references, as this environment fills them in.
pub(super) fn secrets(runbook: &Runbook, env: &Env) -> Vec<SecretRef> {
    let resolver = crate::runbook::Resolver::new(runbook, env);
    // Mistakes in them were told when the file was parsed.
    let fill = |secret: &SecretRef| SecretRef { source: resolver.secret(secret).0, ..secret.clone() };
    runbook.secrets.iter().map(fill).collect()
}
