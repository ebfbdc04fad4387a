//! `gonogo kinds`: what steps and checks can do, from the registry.

use super::{Exit, Outcome, Problem, print};
use crate::{
    kinds::{ALL, Bind, Kind, find},
    plan::{Shape, nearest},
};

/// Allowed to everybody, whatever a policy says (STS API reference).
const FREE: &str = "sts:GetCallerIdentity";

/// Arguments of `kinds`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// One kind, explained, with a runnable example.
    kind: Option<String>,
    /// Print only its example, a whole runbook.
    #[arg(long, requires = "kind")]
    example: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let Some(name) = &args.kind else {
        let width = ALL.iter().map(|kind| kind.name.len()).max().unwrap_or(0);
        let row = |kind: &&Kind| format!("{:width$}  {:<12}  {}\n", kind.name, role(kind), kind.summary);
        return print(&ALL.iter().map(row).collect::<String>());
    };
    let Some(kind) = find(name) else {
        let problem = Problem::new(Exit::Usage, format!("there is no kind `{}`", crate::base::clean_line(name, 60)));
        return Err(match nearest(name, ALL.iter().map(|kind| kind.name)) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint("`gonogo kinds` lists them"),
        });
    };
    if args.example {
        return print(kind.example);
    }
    let mut text = format!("{} ({})\n{}\n\n{}\n", kind.name, role(kind), kind.summary, kind.docs.trim());
    if !kind.params.is_empty() {
        text.push_str("\nKeys\n");
        let width = kind.params.iter().map(|param| param.name.len()).max().unwrap_or(0);
        for param in kind.params {
            let required = if param.required { "required" } else { "" };
            text.push_str(&format!(
                "  {:width$}  {:<15} {required:<8}  {}\n",
                param.name,
                shape(param.shape),
                param.help
            ));
        }
    }
    if !kind.needs.is_empty() {
        text.push_str("\nHas to be allowed (`gonogo iam` says on which resources)\n");
        for need in kind.needs {
            let free = if *need == FREE { "  everybody may" } else { "" };
            text.push_str(&format!("  {need}{free}\n"));
        }
    }
    text.push_str(&format!(
        "\nClass of doubt {}: what a resume may do when nobody saw the outcome.\n",
        kind.doubt.letter()
    ));
    text.push_str(&format!("\nExample (gonogo kinds {} --example)\n\n{}", kind.name, kind.example));
    print(&text)
}

/// What it can be in a runbook.
pub(super) fn role(kind: &Kind) -> &'static str {
    match kind.bind {
        Bind::Check(_) => "check",
        Bind::Action(_) => "action",
        Bind::Both(..) => "action, check",
        Bind::Format => "format",
    }
}

fn shape(shape: Shape) -> &'static str {
    match shape {
        Shape::Text => "text",
        Shape::TextOrSecret => "text or secret",
        Shape::Count => "whole number",
        Shape::Number => "number",
        Shape::Flag => "true or false",
        Shape::Duration => "duration",
        Shape::Time => "time",
        Shape::Texts => "texts",
        Shape::Map => "table",
        Shape::Any => "see above",
    }
}
