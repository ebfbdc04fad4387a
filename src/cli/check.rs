//! `gonogo check`: everything that is wrong with a runbook, in every environment at once.

use std::{path::PathBuf, sync::Arc};

use super::{Exit, Outcome, colour, print, say, setup};
use crate::{
    base::Redactor,
    board::partial_words,
    kinds::Kinds,
    plan::{self, Options},
    run::Mode,
    runbook::{EnvKind, Severity, parse},
    services::Services,
};

/// Arguments of `check`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The runbook.
    #[arg(required = true)]
    runbooks: Vec<PathBuf>,
    /// Warnings count as errors.
    #[arg(long)]
    strict: bool,
    /// Print the mistakes as JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let mut worst = Exit::Done;
    let mut all = Vec::new();
    let mut partial = Vec::new();
    for path in &args.runbooks {
        let bytes = setup::read(path)?;
        let hash = crate::runbook::sha256_hex(&bytes);
        let shown = path.display().to_string();
        let parsed = parse(&bytes, &shown);
        let mut diagnostics = parsed.diagnostics;
        let runbook = parsed.runbook.filter(|_| !diagnostics.has_errors());
        for env in runbook.iter().flat_map(|runbook| &runbook.envs) {
            let Some(runbook) = &runbook else { continue };
            #[cfg(feature = "sandbox")]
            let env = super::world::with_lacks(env.clone(), runbook);
            #[cfg(not(feature = "sandbox"))]
            let env = env.clone();
            let mode = if env.kind == EnvKind::Live { Mode::Run } else { Mode::Rehearse };
            let options = Options { mode, dry_run: false, from: None, until: None, source_hash: hash.clone() };
            let secrets = setup::secrets(runbook, &env);
            let kinds = Kinds(Services::new(env.clone(), &secrets, Arc::new(Redactor::default())));
            match plan::build(runbook, &env, &kinds, &options) {
                Ok(plan) => partial.extend(
                    partial_words(&plan.outline)
                        .map(|words| format!("{shown}: in {} on this machine: {words}", env.name)),
                ),
                Err(mistakes) => diagnostics.extend(mistakes),
            }
        }
        let errors = diagnostics.count(Severity::Error);
        let warnings = diagnostics.count(Severity::Warning);
        if args.json {
            all.push(diagnostics.to_json());
        } else if !diagnostics.is_empty() {
            say(&diagnostics.render(colour(), None));
        }
        if errors > 0 || (args.strict && warnings > 0) {
            worst = Exit::Runbook;
        }
        let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        let what = match &runbook {
            Some(runbook) => {
                format!("{}, {}", plural(runbook.steps.len(), "step"), plural(runbook.envs.len(), "environment"))
            }
            None => "not usable".into(),
        };
        let found = format!("{}, {}", plural(errors, "error"), plural(warnings, "warning"));
        say(&format!("{shown}: {what}: {found}"));
        // No mistake of the file: another machine runs the whole of it.
        partial.drain(..).for_each(|words| say(&words));
    }
    if args.json {
        let json = if let [one] = all.as_slice() { one.clone() } else { serde_json::Value::from(all) };
        print(&format!("{json:#}\n"))?;
    }
    Ok(worst)
}
