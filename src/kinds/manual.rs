//! `manual`: a person does it and says so.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::{Bind, Kind};
use crate::{
    base::{Class, Failure},
    plan::{Action, Cx, Done, Doubt, Finding, Param, Shape},
};

/// The kind.
pub static KIND: Kind = Kind {
    name: "manual",
    summary: "instructions for a person, a checklist, a value to write down",
    docs: "\
Shows the instructions to the step's owner and waits until they say that it is done; who said so and the value that they
wrote down are recorded. The step is theirs alone while it runs, and takes as long as they take: `timeout` limits the
checks behind it. Give it a `verify` wherever a check can prove the result:
people press keys at 2 a.m.

Nobody can know whether a person has done something: an attempt that is cut short is unknown, and a resume asks. It cannot be
put back by itself: give the step a `rollback` of its own, such as another `manual`.",
    params: &[
        Param { name: "instructions", shape: Shape::Text, required: true, help: "what to do, in a few sentences" },
        Param { name: "checklist", shape: Shape::Texts, required: false, help: "the single things to tick off" },
        Param { name: "value", shape: Shape::Text, required: false, help: "what to write down, such as \"ticket number\"" },
    ],
    doubt: Doubt::Manual,
    needs: &[],
    example: include_str!("../../runbooks/kinds/manual.toml"),
    bind: Bind::Action(|params, _| {
        let (instructions, checklist) = (params.text("instructions"), params.texts("checklist"));
        if params.has("instructions") && instructions.trim().is_empty() && params.ok() {
            let span = params.place_of("instructions");
            params.mistake(span, "`instructions` is empty", "says nothing", None);
        }
        Arc::new(Manual { instructions, checklist, value: params.opt_text("value") })
    }),
};

struct Manual {
    instructions: String,
    checklist: Vec<String>,
    value: Option<String>,
}

impl Manual {
    async fn wait(&self, cx: &Cx) -> Result<Done, Failure> {
        let mut owner = cx.owner.clone();
        let unknown = |what: &str| {
            Failure::new(Class::Unknown, format!("{what} before its owner said that it is done"))
                .hint("ask the owner what has been done")
        };
        let said = tokio::select! {
            biased;
            said = owner.wait_for(Option::is_some) => said.ok().and_then(|said| said.clone()),
            () = cx.cancel.cancelled() => return Err(unknown("cancelled")),
        };
        let Some(said) = said else { return Err(unknown("the run ended")) };
        let line = match (&self.value, &said.value) {
            (_, Some(value)) => format!("done by {}: {value}", said.who),
            (Some(asked), None) => format!("done by {}; {asked} was not written down", said.who),
            (None, None) => format!("done by {}", said.who),
        };
        Ok(Done::new(line).with(json!({ "who": said.who, "value": said.value })))
    }
}

impl Action for Manual {
    fn does(&self) -> Vec<String> {
        let mut lines = self.instructions.lines().map(str::to_owned).collect::<Vec<_>>();
        lines.extend(self.checklist.iter().map(|item| format!("[ ] {item}")));
        lines.extend(self.value.iter().map(|value| format!("write down: {value}")));
        lines
    }

    fn doubt(&self) -> Doubt {
        Doubt::Manual
    }

    fn restorable(&self) -> bool {
        false
    }

    fn capture<'a>(&'a self, _cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async { Ok(Json::Null) })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, _captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(self.wait(cx))
    }

    fn restore<'a>(&'a self, _cx: &'a Cx, _captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async {
            Err(Failure::new(Class::Misconfigured, "what a person did cannot be put back by itself")
                .hint("give the step a rollback of its own"))
        })
    }

    fn probe<'a>(&'a self, _cx: &'a Cx, _captured: &'a Json, _back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async { Ok(Finding::Unclear { line: "only its owner knows whether it was done".into() }) })
    }

    fn manual(&self) -> bool {
        true
    }

    fn asks_value(&self) -> Option<String> {
        self.value.clone()
    }
}
