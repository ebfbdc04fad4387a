//! `stop`: a go / no-go. Part of the runbook's format; here are its words for `gonogo kinds stop`.

use super::{Bind, Kind};
use crate::plan::{Doubt, Param, Shape};

/// The kind.
pub static KIND: Kind = Kind {
    name: "stop",
    summary: "a go / no-go: criteria, votes, what each answer means",
    docs: "\
A stop point is not an action: it is written as `[step.stop]` of a step. The run waits there until the person who decides
says go or no-go. Criteria are checks, shown live beside the question; they inform, they do not answer. Votes are asked
of `voters` and recorded with their names; whoever decides may go against them, and the record says so. A voter votes at the
run's own terminal or from their own (`gonogo vote`, `gonogo help votes`).

A step with a stop point may have an action too: it runs after the go. No-go holds the run, from where it can be rolled
back, tried again or ended.

What hurts people: a question that nobody can answer from what is on the screen. Give criteria, and say in `if_go` and
`if_no_go` what users will see.",
    params: &[
        Param { name: "question", shape: Shape::Text, required: true, help: "what is asked" },
        Param { name: "if_go", shape: Shape::Text, required: false, help: "what happens after go" },
        Param { name: "if_no_go", shape: Shape::Text, required: false, help: "what happens after no-go" },
        Param { name: "voters", shape: Shape::Texts, required: false, help: "people whose votes are wanted; default none" },
        Param { name: "decides", shape: Shape::Text, required: false, help: "who decides; default the runbook's lead" },
        Param { name: "criteria", shape: Shape::Any, required: false, help: "checks that ought to be green" },
    ],
    doubt: Doubt::Read,
    needs: &[],
    example: include_str!("../../runbooks/kinds/stop.toml"),
    bind: Bind::Format,
};
