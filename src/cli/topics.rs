//! `gonogo help`: a topic, or the flags of a verb.

use clap::Command;

use super::{Exit, Outcome, Problem, help, print};
use crate::plan::nearest;

/// Arguments of `help`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// A verb, or a topic.
    topic: Option<String>,
}

pub(super) fn run(args: &Args, mut command: Command) -> Outcome {
    let Some(name) = &args.topic else {
        let verbs = command.render_help().to_string();
        return print(&format!("{verbs}\n{}", help::topics()));
    };
    if let Some(topic) = help::find(name) {
        let more = if topic.name == "faults" { scripted_faults() } else { String::new() };
        return print(&format!("{}{more}", topic.text(&crate::tui::listing())));
    }
    if let Some(verb) = command.find_subcommand_mut(name) {
        return print(&verb.clone().bin_name(format!("gonogo {name}")).render_long_help().to_string());
    }
    let names: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    let known = names.iter().map(String::as_str).chain(help::TOPICS.iter().map(|topic| topic.name));
    let problem =
        Problem::new(Exit::Usage, format!("no verb or topic is called `{}`", crate::base::clean_line(name, 60)));
    Err(match nearest(name, known) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint("`gonogo help` lists them"),
    })
}

/// What the sandbox can be told to do wrong.
fn scripted_faults() -> String {
    #[cfg(feature = "sandbox")]
    {
        let row = |(name, what): &(&str, &str)| format!("  {name:<24}  {what}\n");
        let rows: String = crate::sandbox::FAULTS.iter().map(row).collect();
        format!(
            "\nFaults of the sandbox, --fault OPERATION[:once|:N|:30s|:always], or `faults` of its environment:\n\n{rows}"
        )
    }
    #[cfg(not(feature = "sandbox"))]
    String::new()
}
