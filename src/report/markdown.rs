//! Markdown for the review after the night: what happened, when, who decided, what was not as planned.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::{
    deviations::words,
    model::{BudgetReport, DecisionReport, Report, StepReport},
};
use crate::board::Face;

/// Longest piece of evidence on the page; the JSON report has all of it.
const EVIDENCE: usize = 600;

pub(super) fn write(report: &Report, face: &Face) -> String {
    let page = Page { report, face };
    let parts = [
        page.head(),
        page.steps(),
        page.decisions(),
        page.deviations(),
        page.holds(),
        page.rollback(),
        page.notes(),
        page.watches(),
        page.evidence(),
        page.proof(),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

struct Page<'r> {
    report: &'r Report,
    face: &'r Face,
}

/// Text from outside, harmless in a table cell, a heading or a list: no row ends, no HTML, no links, no emphasis.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '#' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            _ => out.push(c),
        }
    }
    out
}

/// Text in a code span: only backticks and line ends can end it, and a pipe would end a cell.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'").replace(['\n', '\r'], " ").replace('|', "¦"))
}

/// Writing to a string does not fail.
macro_rules! line {
    ($out:expr, $($part:tt)*) => { let _ok = writeln!($out, $($part)*); };
}

impl Page<'_> {
    fn clock(&self, at: DateTime<Utc>) -> String {
        self.face.clock(self.report.stamp(at))
    }

    fn clocks(&self, at: Option<DateTime<Utc>>) -> String {
        at.map(|at| self.clock(at)).unwrap_or_default()
    }

    fn head(&self) -> String {
        let r = self.report;
        let mut out = String::new();
        let wall = |at: DateTime<Utc>| {
            let stamp = r.stamp(at);
            format!("{} {}", self.face.date(stamp), self.face.wall(stamp))
        };
        line!(out, "# {}\n", escape(&r.title));
        line!(
            out,
            "**{}.** {} in {} ({}), run {}.\n",
            capital(&escape(&r.ending)),
            escape(&r.runbook),
            r.environment,
            r.mode,
            code(&r.run)
        );
        if let Some(partial) = &r.partial {
            line!(out, "**{}.**\n", escape(partial));
        }
        line!(out, "| | |\n|---|---|");
        let mut row = |name: &str, value: String| {
            if !value.is_empty() {
                line!(out, "| {name} | {value} |");
            }
        };
        row("opened", wall(r.opened));
        row("ended", r.ended.map(wall).unwrap_or_default());
        row("planned", words(r.plan.planned_seconds));
        let late = r.plan.late_seconds.map(|seconds| {
            let late = if seconds >= 0.0 { "later" } else { "earlier" };
            format!(", {} {late} than planned", words(seconds))
        });
        let took = if r.ended.is_some() { "took" } else { "took so far" };
        row(took, words(r.plan.actual_seconds) + &late.unwrap_or_default());
        row("waited for people (without stop points, steps by hand, holds)", words(r.plan.waited_seconds));
        row("write freeze", budget(&r.budgets.freeze));
        row("downtime", budget(&r.budgets.downtime));
        row(
            "point of no return",
            r.no_return.as_ref().map_or("none".into(), |at| match at.crossed {
                Some(crossed) => format!(
                    "crossed at {} (step {}, confirmed by {})",
                    self.clock(crossed),
                    at.step,
                    at.by.join(" and ")
                ),
                None => format!("step {}, not crossed", at.step),
            }),
        );
        row("lead", r.lead.clone());
        row("at the keyboard", r.operators.iter().map(|who| escape(who)).collect::<Vec<_>>().join(", then "));
        row("answered by itself", if r.auto_go { "yes (--auto-go)".into() } else { String::new() });
        row("fenced to", escape(&r.fence.join(", ")));
        row("connected as", escape(&r.identities.join(", ")));
        out
    }

    fn steps(&self) -> String {
        let mut out = String::from(
            "## Steps\n\n| # | step | owner | state | began | settled | plan | actual | delta | waited | tries |\n|--:|---|---|---|---|---|--:|--:|--:|--:|--:|\n",
        );
        let mut phase = None;
        for step in &self.report.steps {
            if step.phase.is_some() && step.phase != phase {
                phase.clone_from(&step.phase);
                line!(out, "| | **{}** | | | | | | | | | |", escape(step.phase.as_deref().unwrap_or_default()));
            }
            let tries = step.attempts.iter().filter(|attempt| attempt.what == "do").count();
            let no_return = if step.no_return { " **(no return)**" } else { "" };
            line!(
                out,
                "| {} | {}{no_return} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                step.number,
                escape(&step.title),
                step.owner,
                state(step),
                self.clocks(step.began),
                self.clocks(step.settled),
                words(step.planned_seconds),
                step.actual_seconds.map(words).unwrap_or_default(),
                step.variance_seconds.map(signed).unwrap_or_default(),
                if step.waited_seconds > 0.0 { words(step.waited_seconds) } else { String::new() },
                if tries > 0 { tries.to_string() } else { String::new() },
            );
        }
        out
    }

    fn decisions(&self) -> String {
        if self.report.decisions.is_empty() {
            return String::new();
        }
        let mut out = String::from(
            "## Decisions\n\n| time | step | who | decision | reason | against |\n|---|--:|---|---|---|---|\n",
        );
        for said in &self.report.decisions {
            line!(
                out,
                "| {} | {} | {} | {} | {} | {} |",
                self.clock(said.at),
                said.step.map(|step| step.to_string()).unwrap_or_default(),
                who(said),
                said.decision,
                escape(said.reason.as_deref().unwrap_or_default()),
                escape(&said.against.join("; ")),
            );
        }
        out
    }

    fn deviations(&self) -> String {
        let mut out = String::from("## Deviations\n\n");
        if self.report.deviations.is_empty() {
            out.push_str(match (self.report.ended, self.report.dry_run) {
                (None, _) => "None so far: the run is not over.\n",
                (Some(_), true) => "None: everything was looked at, nothing was done.\n",
                (Some(_), false) => "None: everything went as planned.\n",
            });
        }
        for deviation in &self.report.deviations {
            let step = deviation.step.map(|step| format!(" step {step}:")).unwrap_or_default();
            line!(out, "- **{}**{step} {}", deviation.kind, escape(&deviation.text));
        }
        out
    }

    fn holds(&self) -> String {
        if self.report.holds.is_empty() {
            return String::new();
        }
        let mut out = String::from("## Holds\n\n");
        for hold in &self.report.holds {
            let long = hold.seconds.map_or("not released".into(), words);
            line!(out, "- {} {} ({long})", self.clock(hold.at), escape(&hold.why));
        }
        out
    }

    fn rollback(&self) -> String {
        let Some(rollback) = &self.report.rollback else { return String::new() };
        let mut out = format!(
            "## Rollback\n\nBegan at {}.\n\n| # | step | undo | began | settled | actual |\n|--:|---|---|---|---|--:|\n",
            self.clock(rollback.began)
        );
        for number in &rollback.steps {
            let Some(step) = self.report.steps.get(number - 1) else { continue };
            let Some(undo) = &step.undo else { continue };
            line!(
                out,
                "| {number} | {} | {} | {} | {} | {} |",
                escape(&step.title),
                undo.state,
                self.clocks(undo.began),
                self.clocks(undo.settled),
                words(undo.actual_seconds)
            );
        }
        if !rollback.left.is_empty() {
            out.push('\n');
        }
        for left in &rollback.left {
            line!(out, "- not undone: {}", escape(left));
        }
        out
    }

    fn notes(&self) -> String {
        if self.report.notes.is_empty() {
            return String::new();
        }
        let mut out = String::from("## Notes\n\n");
        for note in &self.report.notes {
            let step = note.step.map(|step| format!(" (step {step})")).unwrap_or_default();
            line!(out, "- {} **{}**{step}: {}", self.clock(note.at), note.who, escape(&note.text));
        }
        out
    }

    fn watches(&self) -> String {
        if self.report.watches.is_empty() {
            return String::new();
        }
        let mut out = String::from("## Watches\n\n| watch | samples | breaches | last |\n|---|--:|--:|---|\n");
        for watch in &self.report.watches {
            line!(
                out,
                "| {} | {} | {} | {} |",
                escape(&watch.title),
                watch.samples,
                watch.breaches,
                escape(&watch.last)
            );
        }
        out
    }

    fn evidence(&self) -> String {
        let mut out = String::from("## Evidence\n\n");
        let mut any = false;
        for step in &self.report.steps {
            let json = if step.evidence.is_null() { String::new() } else { step.evidence.to_string() };
            if step.line.is_empty()
                && json.is_empty()
                && step.checks.is_empty()
                && step.attempts.iter().all(|a| a.sent.is_empty())
            {
                continue;
            }
            any = true;
            line!(out, "- **{} {}**: {}", step.number, escape(&step.title), escape(&step.line));
            for attempt in &step.attempts {
                for sent in &attempt.sent {
                    let verb = if attempt.by_hand { "asked for by hand:" } else { "sent" };
                    line!(out, "  - {} {} {verb} {}", self.clock(attempt.started), attempt.what, code(sent));
                }
                for cause in &attempt.causes {
                    line!(out, "  - attempt {}: {}", attempt.number, escape(cause));
                }
            }
            for check in &step.checks {
                line!(out, "  - check: {}", escape(check));
            }
            if !json.is_empty() {
                line!(out, "  - {}", code(&crate::base::bounded(&json, EVIDENCE)));
            }
        }
        if any { out } else { String::new() }
    }

    fn proof(&self) -> String {
        let r = self.report;
        let mut out = String::from("## Record\n\n");
        line!(out, "- {} events, gonogo {}", r.events, escape(&r.version));
        line!(out, "- runbook SHA-256 {}", code(&r.source_hash));
        for anchor in &r.anchors {
            line!(out, "- anchor {}", code(anchor));
        }
        out
    }
}

fn capital(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

fn who(said: &DecisionReport) -> String {
    if said.who == said.typed_by { said.who.clone() } else { format!("{} (typed by {})", said.who, said.typed_by) }
}

fn state(step: &StepReport) -> String {
    match &step.undo {
        Some(undo) => format!("{}, {}", step.state, undo.state),
        None => step.state.clone(),
    }
}

fn signed(seconds: f64) -> String {
    format!("{}{}", if seconds < 0.0 { '-' } else { '+' }, words(seconds))
}

fn budget(budget: &BudgetReport) -> String {
    if budget.used_seconds == 0.0 && budget.budget_seconds.is_none() {
        return String::new();
    }
    let of = budget.budget_seconds.map(|allowed| format!(" of {}", words(allowed))).unwrap_or_default();
    let over = if budget.over { ", **over**" } else { "" };
    format!("{}{of}{over}", words(budget.used_seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_harmless() {
        assert_eq!(escape("a|b\n<img src=x>`*_[l](u)"), "a\\|b &lt;img src=x&gt;\\`\\*\\_\\[l\\](u)");
        assert_eq!(code("a`b|c\nd"), "`a'b¦c d`");
    }
}
