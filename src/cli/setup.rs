//! From a path and a name to everything a run needs: the runbook, its environment, the clients, the
//! plan. Says every mistake of the file before anything is started.

use std::{io::ErrorKind, path::Path, sync::Arc};

use super::{Exit, Problem, colour, say};
use crate::{
    base::Redactor,
    kinds::Kinds,
    plan::{self, Options, Plan, nearest},
    runbook::{Diagnostics, Env, Runbook, SecretRef, parse},
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
    let env = super::world::named(env)?;
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
    plan::build(&book.runbook, env, &kinds, options).map_err(|mistakes| {
        let mut diagnostics = book.diagnostics.clone();
        diagnostics.extend(mistakes);
        wrong(&diagnostics)
    })
}

/// The secrets' references, as this environment fills them in.
pub(super) fn secrets(runbook: &Runbook, env: &Env) -> Vec<SecretRef> {
    let resolver = crate::runbook::Resolver::new(runbook, env);
    // Mistakes in them were told when the file was parsed.
    let fill = |secret: &SecretRef| SecretRef { source: resolver.secret(secret).0, ..secret.clone() };
    runbook.secrets.iter().map(fill).collect()
}
