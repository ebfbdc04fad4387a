//! `postgres.sequences`: the target's sequences are further than anything in use.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{Bind, Kind, amiss, postgres_words as words};
use crate::{
    base::{Class, Failure, wild},
    plan::{Action, Check, Cx, Done, Doubt, Finding, Identity, Param, Params, Seen, Shape, TextOrSecret},
    services::{
        Services,
        postgres::{
            Limits, Session,
            sequences::{self, Sequence, Stand},
        },
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "postgres.sequences",
    summary: "sets the target's sequences beyond the source's, or says which are behind",
    docs: "\
Every sequence of `target` has to be at least `margin` steps beyond where `source` stands, and not before the furthest number in a column
that draws from it (serial, identity, or by a default). As an action it sets those that are behind, never one back; as a check it
names them. Nothing is set beyond what was found before the action, so that it can be put back: where the source moves on meanwhile by
more than the margin, the action fails and says so.

Steps and direction count: one that counts down needs the least value, one that steps by 2 stays odd or even. One that cycles is set to
where the source stands, without margin. Near its end the margin gives way. A sequence of the source that the target has not is
refused by name (`except` leaves some out); one that only the target has is compared with its rows.

What hurts people: logical replication does not carry sequences, in either direction, so that the first insert at the new side fails with
a duplicate key. `max(column)` without an index reads the whole table; a role from which row security hides some rows is
refused, since a number among them would be drawn again. Set them after the writes are frozen: a source that goes
on moves on (the margin is for that, and for values that sessions keep in reserve, `CACHE`).

Restore sets back what it set, where nobody has drawn a value since; else it refuses before it touches any: a value that was drawn
may be in a row, and would be drawn again. `setval` is not in a transaction: killed in the middle, some are set; doing it again does the rest.

Needs: to read the sequences on both sides, and `UPDATE` on the target's and `SELECT` on the columns that draw from them.

<https://www.postgresql.org/docs/current/functions-sequence.html>,
<https://www.postgresql.org/docs/current/logical-replication-restrictions.html>",
    params: PARAMS,
    doubt: Doubt::Desired,
    needs: &["SELECT on the sequences of both sides, UPDATE on the target's"],
    example: include_str!("../../runbooks/kinds/postgres.sequences.toml"),
    bind: Bind::Both(|params, services| bind(params, services), |params, services| bind(params, services)),
};

const PARAMS: &[Param] = &[
    Param {
        name: "source",
        shape: Shape::TextOrSecret,
        required: true,
        help: "the database that numbers were drawn from",
    },
    Param { name: "target", shape: Shape::TextOrSecret, required: true, help: "the database that will draw them" },
    Param { name: "margin", shape: Shape::Count, required: false, help: "steps beyond the source's; default: 1000" },
    Param {
        name: "except",
        shape: Shape::Texts,
        required: false,
        help: "sequences (schema.name, * for any text) to leave alone",
    },
];

const MARGIN: u64 = 1000;
const NAMED: usize = 5;
/// Between the two looks that call something "not done".
const APART: Duration = Duration::from_secs(2);

struct Sequences {
    services: Arc<Services>,
    source: TextOrSecret,
    target: TextOrSecret,
    margin: u64,
    except: Vec<String>,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<Sequences> {
    Arc::new(Sequences {
        services: services.clone(),
        source: words::database(params, "source"),
        target: words::database(params, "target"),
        margin: params.opt_count("margin").unwrap_or(MARGIN).min(1 << 62),
        except: params.texts("except"),
    })
}

/// One that is to be set, as captured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Change {
    schema: String,
    name: String,
    before: Stand,
    after: i64,
}

impl Change {
    fn shown(&self) -> String {
        format!("{}.{} {} → {}", self.schema, self.name, self.before.0, self.after)
    }
}

/// What one look at both sides found.
struct Look {
    count: usize,
    behind: Vec<Change>,
    wrong: Vec<String>,
}

impl Sequences {
    async fn sessions(&self, cx: &Cx, writes: bool) -> Result<(Session, Session), Failure> {
        let limits = Limits::from(cx);
        let postgres = &self.services.postgres;
        let source = postgres.connect_to_read(&self.source, &limits).await?;
        let target = if writes {
            let target = postgres.connect(&self.target, &limits).await?;
            words::changeable(&target)?;
            target
        } else {
            postgres.connect_to_read(&self.target, &limits).await?
        };
        Ok((source, target))
    }

    fn excepted(&self, one: &Sequence) -> bool {
        self.except.iter().any(|pattern| wild::matches(pattern, &one.shown()))
    }

    async fn look(&self, source: &Session, target: &Session, margin: u64) -> Result<Look, Failure> {
        let mut here = sequences::sequences(source).await?;
        let mut there = sequences::sequences(target).await?;
        here.retain(|one| !self.excepted(one));
        there.retain(|one| !self.excepted(one));
        let same = |a: &Sequence, b: &Sequence| a.schema == b.schema && a.name == b.name;
        let missing = here.iter().filter(|one| !there.iter().any(|other| same(one, other))).map(Sequence::shown);
        let mut look = Look { count: there.len(), behind: Vec::new(), wrong: Vec::new() };
        if let Some(named) = words::named(missing, NAMED) {
            look.wrong.push(format!("the target has no {named}"));
        }
        for one in &there {
            let from = here.iter().find(|other| same(one, other));
            if let Some(from) = from.filter(|from| from.increment != one.increment) {
                look.wrong.push(format!(
                    "{} steps by {} at the source and by {} at the target",
                    one.shown(),
                    from.increment,
                    one.increment
                ));
                continue;
            }
            let furthest = sequences::furthest(target, one).await?;
            match one.needed(from, furthest, margin) {
                Err(why) => look.wrong.push(why),
                Ok(Some(need)) if one.further(i128::from(need), one.used()) => look.behind.push(Change {
                    schema: one.schema.clone(),
                    name: one.name.clone(),
                    before: (one.last, one.called),
                    after: need,
                }),
                Ok(_) => {}
            }
        }
        Ok(look)
    }

    /// Where each stands now that was to be set.
    async fn stands(&self, target: &Session, changes: &[Change]) -> Result<Vec<Option<Stand>>, Failure> {
        let mut stands = Vec::with_capacity(changes.len());
        for one in changes {
            stands.push(sequences::stand(target, &one.schema, &one.name).await?);
        }
        Ok(stands)
    }

    async fn set(&self, target: &Session, changes: &[Change]) -> Result<usize, Failure> {
        let mut set = 0;
        for one in changes {
            // Some may be set already: what comes next is not "nothing done" any more.
            let done = sequences::set(target, &one.schema, &one.name, one.before, (one.after, true)).await;
            set += usize::from(done.map_err(|failure| partly(failure, set))?);
        }
        Ok(set)
    }
}

/// A failure after some were set.
fn partly(failure: Failure, set: usize) -> Failure {
    if set == 0 || failure.class == Class::Unknown {
        return failure;
    }
    let class = Class::Failed;
    Failure { class, ..failure }
        .because(format!("{set} sequences were set before"))
        .hint("do it again: it sets the rest")
}

fn nothing(count: usize, both: &str) -> Result<(), Failure> {
    if count > 0 {
        return Ok(());
    }
    Err(Failure::new(Class::NotYet, format!("no data: {both} has no sequence")).hint("is it the right database?"))
}

impl Check for Sequences {
    fn looks(&self) -> String {
        format!(
            "every sequence of the target against the source's + {} steps and the rows' greatest numbers",
            self.margin
        )
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        words::fences(&self.services, [Some(&self.source), Some(&self.target)])
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(super::looking(cx, async move {
            let (source, target) = self.sessions(cx, false).await?;
            let Look { count, behind, mut wrong } = self.look(&source, &target, self.margin).await?;
            let n = behind.len();
            if let Some(named) = words::named(behind.iter().map(Change::shown), NAMED) {
                wrong.push(format!("{n} of {count} are behind: {named}"));
            }
            amiss("sequences", wrong)?;
            nothing(count, "the target")?;
            let line = format!("{count} sequences are {} steps beyond the source's, and beyond every row", self.margin);
            Ok(Seen::new(line).value(0.0).with(json!({ "sequences": count })))
        }))
    }
}

impl Action for Sequences {
    fn does(&self) -> Vec<String> {
        vec![format!(
            "setval for every sequence of the target that is not {} steps beyond the source's, or behind a row",
            self.margin
        )]
    }

    fn doubt(&self) -> Doubt {
        Doubt::Desired
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        words::fences(&self.services, [Some(&self.source), Some(&self.target)])
    }

    fn capture<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async move {
            let (source, target) = self.sessions(cx, false).await?;
            let Look { count, behind, wrong } = self.look(&source, &target, self.margin).await?;
            amiss("sequences", wrong).map_err(|failure| Failure { class: Class::Refused, ..failure })?;
            nothing(count, "the target").map_err(|failure| Failure { class: Class::Misconfigured, ..failure })?;
            Ok(json!(behind))
        })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move {
            let changes: Vec<Change> = words::captured(captured)?;
            let (source, target) = self.sessions(cx, true).await?;
            let set = self.set(&target, &changes).await?;
            // Beyond what was captured nothing is set, so that it can be put back: a source that moves on meanwhile is
            // what the margin is for.
            let look = self.look(&source, &target, 0).await.map_err(|failure| partly(failure, set))?;
            if let Some(named) = words::named(look.behind.iter().map(Change::shown), NAMED) {
                let failure = Failure::new(
                    Class::FailedNothingDone,
                    format!("the source moved on by more than the margin meanwhile: {named}"),
                );
                return Err(partly(failure, set)
                    .hint("freeze the source's writes first, or give a larger `margin`; then do it again"));
            }
            let named = words::named(changes.iter().map(Change::shown), NAMED).filter(|_| set > 0);
            let named = named.map_or_else(String::new, |named| format!(": {named}"));
            let line = format!("{set} of {} sequences were behind and are set{named}", look.count);
            Ok(Done::new(line).with(json!({ "set": set, "sequences": look.count })))
        })
    }

    fn restore<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move {
            let changes: Vec<Change> = words::captured(captured)?;
            let target = self.services.postgres.connect(&self.target, &Limits::from(cx)).await?;
            words::changeable(&target)?;
            let stands = self.stands(&target, &changes).await?;
            let moved = changes
                .iter()
                .zip(&stands)
                .filter(|(one, now)| **now != Some((one.after, true)) && **now != Some(one.before));
            let moved = moved.map(|(one, now)| match now {
                Some((last, _)) => format!("{}.{} is at {last}, not at {}", one.schema, one.name, one.after),
                None => format!("{}.{} is gone", one.schema, one.name),
            });
            if let Some(named) = words::named(moved, NAMED) {
                return Err(Failure::new(Class::Refused, format!("moved on since: {named}"))
                    .hint("a value that was drawn may be in a row: setting the sequence back would draw it again"));
            }
            let mut back = 0;
            for one in &changes {
                let done = sequences::set(&target, &one.schema, &one.name, (one.after, true), one.before).await;
                back += usize::from(done.map_err(|failure| partly(failure, back))?);
            }
            let now = self.stands(&target, &changes).await.map_err(|failure| partly(failure, back))?;
            if let Some((one, _)) = changes.iter().zip(now).find(|(one, now)| *now != Some(one.before)) {
                return Err(Failure::new(
                    Class::Failed,
                    format!("{}.{} moved on while it was set back", one.schema, one.name),
                ));
            }
            Ok(Done::new(format!("{} sequences stand where they stood", changes.len())))
        })
    }

    fn probe<'a>(&'a self, cx: &'a Cx, captured: &'a Json, back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            let changes: Vec<Change> = words::captured(captured)?;
            let target = self.services.postgres.connect_to_read(&self.target, &Limits::from(cx)).await?;
            for last in [false, true] {
                let stands = self.stands(&target, &changes).await?;
                let before = changes.iter().zip(&stands).filter(|(one, now)| **now == Some(one.before)).count();
                let (done, undone) =
                    if back { (before, changes.len() - before) } else { (changes.len() - before, before) };
                let line = format!("{done} of {} sequences are as wanted", changes.len());
                match (done, undone) {
                    (_, 0) => return Ok(Finding::Done(Done::new(line))),
                    (0, _) if last => return Ok(Finding::NotDone { line }),
                    (0, _) => cx.pause(APART).await?,
                    _ => return Ok(Finding::Unclear { line: format!("{line}: doing it again does the rest") }),
                }
            }
            Err(Failure::new(Class::NotYet, "nothing was seen"))
        })
    }
}
