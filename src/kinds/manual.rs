//! `manual`: a person does it and says so.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Number, Value as Json, json};

use super::{Bind, Kind};
use crate::{
    base::{Class, Failure},
    plan::{Action, Cx, Done, Doubt, Finding, Param, Params, Shape, contract::ValueRule},
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

Each thing of `checklist` is ticked off by its number (`2`, and `-2` where it was not done after all), and each tick is recorded
with its name and time; a resume keeps them. `done` over something that is not ticked needs a reason, and the record says
which it was. `pattern` (the whole value matches it), `min`, `max` or `choices` say what the value has to look like. What looks
like a key or a token is not taken: everybody reads the record.

Nobody can know whether a person has done something: an attempt that is cut short is unknown, and a resume asks. It cannot be
put back by itself: give the step a `rollback` of its own, such as another `manual`.",
    params: &[
        Param { name: "instructions", shape: Shape::Text, required: true, help: "what to do, in a few sentences" },
        Param { name: "checklist", shape: Shape::Texts, required: false, help: "the single things to tick off" },
        Param { name: "value", shape: Shape::Text, required: false, help: "what to write down, such as \"ticket number\"" },
        Param { name: "pattern", shape: Shape::Text, required: false, help: "regular expression that the value matches" },
        Param { name: "min", shape: Shape::Number, required: false, help: "the value is a number, at least this" },
        Param { name: "max", shape: Shape::Number, required: false, help: "the value is a number, at most this" },
        Param { name: "choices", shape: Shape::Texts, required: false, help: "the value is one of these" },
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
        if checklist.iter().any(|item| item.trim().is_empty()) {
            let span = params.place_of("checklist");
            params.mistake(span, "`checklist` has an empty line", "nothing to tick off", None);
        }
        let value = params.opt_text("value");
        let rule = rule(params, value.is_some());
        Arc::new(Manual { instructions, checklist, value, rule })
    }),
};

/// What the value has to look like, where the file says so.
fn rule(params: &mut Params<'_>, asks: bool) -> Option<ValueRule> {
    let given: Vec<&str> = ["pattern", "min", "max", "choices"].into_iter().filter(|key| params.has(key)).collect();
    let first = *given.first()?;
    let place = params.place_of(first);
    if !asks {
        params.mistake(place, format!("`{first}` without `value`"), "nothing is written down", None);
        return None;
    }
    let number = |params: &mut Params<'_>, key| params.opt_number(key).and_then(whole);
    let rule = ValueRule {
        pattern: params.opt_text("pattern"),
        min: number(params, "min"),
        max: number(params, "max"),
        choices: params.texts("choices"),
    };
    if let Some(Err(error)) = rule.pattern.as_deref().map(ValueRule::regex) {
        let span = params.place_of("pattern");
        params.mistake(span, format!("`pattern` is no regular expression: {error}"), "cannot be read", None);
    }
    let bounds = rule.min.as_ref().zip(rule.max.as_ref());
    if bounds.is_some_and(|(min, max)| min.as_f64() > max.as_f64()) {
        params.mistake(params.place_of("min"), "`min` is more than `max`", "no number fits", None);
    }
    if params.has("choices") && (rule.choices.is_empty() || given.len() > 1) {
        let span = params.place_of("choices");
        let help = "either `choices`, or `pattern`, `min` and `max`".to_owned();
        params.mistake(span, "`choices` names the values, alone", "cannot stand so", Some(help));
    }
    Some(rule)
}

/// `5` rather than `5.0`, as it was written.
fn whole(number: f64) -> Option<Number> {
    #[expect(clippy::cast_possible_truncation, reason = "only where nothing is lost")]
    let integer = number as i64;
    #[expect(clippy::cast_precision_loss, reason = "compared with what it came from")]
    let same = integer as f64 == number;
    if same { Some(integer.into()) } else { Number::from_f64(number) }
}

struct Manual {
    instructions: String,
    checklist: Vec<String>,
    value: Option<String>,
    rule: Option<ValueRule>,
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
        let mut line = match (&self.value, &said.value) {
            (_, Some(value)) => format!("done by {}: {value}", said.who),
            (Some(asked), None) => format!("done by {}; {asked} was not written down", said.who),
            (None, None) => format!("done by {}", said.who),
        };
        if !said.unticked.is_empty() {
            line += &format!("; not ticked off: {}", said.unticked.join("; "));
        }
        let mut evidence = json!({ "who": said.who, "value": said.value });
        if !said.unticked.is_empty() {
            evidence["unticked"] = json!(said.unticked);
        }
        Ok(Done::new(line).with(evidence))
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

    fn value_rule(&self) -> Option<ValueRule> {
        self.rule.clone()
    }

    fn checklist(&self) -> Vec<String> {
        self.checklist.clone()
    }
}
