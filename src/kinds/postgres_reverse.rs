//! `postgres.reverse`: the way back streams, and is proved to, before writes open.

mod look;
mod turn;

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use super::{Bind, Kind, postgres_words as words};
use crate::{
    base::{Class, Failure},
    plan::{Action, Check, Cx, Done, Doubt, Finding, Identity, Param, Params, Seen, Shape, TextOrSecret},
    services::{
        Services,
        postgres::{Limits, Session, replication, reverse::There},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "postgres.reverse",
    summary: "turns replication around, so that going back loses nothing, or proves that it streams",
    docs: "\
Turns replication from `source` to `target` around, once the source is frozen and before the target takes writes:

1. waits until the forward subscription (all of the target's database, or `subscriptions`) has everything (it writes a marker into the
   source's WAL, which flushes what was committed asynchronously), then disables it and waits until its worker is gone: the two never run at once, or each row would come back as a conflict (before 16 there is no `origin = none`).
   A change of the source that then waits in its slot is refused: it is not frozen, or the subscription was behind;
2. publishes at the target, under `name`, the tables that the forward subscription has (without one: all that both sides have);
3. subscribes at the source, without a copy; since 16 with `origin = none`;
4. writes a marker into the target's WAL and waits until the source has confirmed it. Only then it is done.

If a later part fails, what was made is removed and the forward subscription runs again. As a check it proves the same of what is
there: both enabled, every table in step, the slot alive, the newest position confirmed within `max_age` (with `marker`, a marker). It also
says how many sequences are ahead: they do not travel; set them (`postgres.sequences`, sides swapped) before going back.

Restore removes the way back and enables the forward subscription as it was found. It stops the way back first and refuses, letting it
run again, where changes of the target have not come back (it looks into its slot), and where rows that came back this way would be sent
forward again (into the forward slot): then the target has been written to, and the forward subscription has to be made anew.

What hurts people: it is skipped under pressure. A published table without a key takes no more `UPDATE` at the *target*, nor does
one whose key is `DEFERRABLE`, nor a partition without one: such tables are refused. The disabled forward slot keeps WAL on the source's disk: drop it when nobody goes back any more. Hosted Heroku
Postgres lets nobody subscribe.

The connection string by which the source's server finds the target is `connection`, or made from `target`; files of certificates stay
here: with `sslmode=verify-full` that server has to have roots of its own, or `connection` has to name them. The server keeps it, with its
password, in `pg_subscription`, for superusers to read. The statement is kept out of the server's log and activity view where our
role may say so (a superuser's); elsewhere have `log_statement` be `none`, or leave the password out and give the server a password file.

Needs: at the source a superuser or, since 16, `pg_create_subscription`; at the target ownership of the tables and of the forward
subscription, `wal_level = logical`, and a role in `connection` that may replicate; on both sides to look into slots (a superuser or `REPLICATION`).

<https://www.postgresql.org/docs/current/sql-createsubscription.html>,
<https://www.postgresql.org/docs/current/logical-replication-restrictions.html>",
    params: PARAMS,
    doubt: Doubt::Desired,
    needs: &[
        "ownership of tables and subscription at the target",
        "superuser or REPLICATION on both sides",
        "superuser or pg_create_subscription at the source",
    ],
    example: include_str!("../../runbooks/kinds/postgres.reverse.toml"),
    bind: Bind::Both(|params, services| bind(params, services), |params, services| bind(params, services)),
};

const PARAMS: &[Param] = &[
    Param { name: "source", shape: Shape::TextOrSecret, required: true, help: "the old side, which will subscribe" },
    Param { name: "target", shape: Shape::TextOrSecret, required: true, help: "the new side, which will publish" },
    Param {
        name: "connection",
        shape: Shape::TextOrSecret,
        required: false,
        help: "how the source's server finds the target; default: as `target` says",
    },
    Param {
        name: "name",
        shape: Shape::Text,
        required: false,
        help: "of publication, subscription and slot; default: gonogo_back_ and the database's name",
    },
    Param {
        name: "subscriptions",
        shape: Shape::Texts,
        required: false,
        help: "the forward ones at the target; default: all of its database",
    },
    Param {
        name: "max_age",
        shape: Shape::Duration,
        required: false,
        help: "as a check: how old the newest confirmed change may be; default: 10s",
    },
    Param {
        name: "marker",
        shape: Shape::Flag,
        required: false,
        help: "as a check: write a message into the target's WAL and wait for it; default: false",
    },
];

const MAX_AGE: Duration = Duration::from_secs(10);
const EVERY: Duration = Duration::from_millis(100);
/// Between the two looks that call something "not done".
const APART: Duration = Duration::from_secs(2);
const NAMED: usize = 5;
/// Longest name of anything at a server.
const LONGEST: usize = 63;

struct Reverse {
    services: Arc<Services>,
    source: TextOrSecret,
    target: TextOrSecret,
    connection: Option<TextOrSecret>,
    name: Option<String>,
    subscriptions: Vec<String>,
    max_age: Duration,
    marker: bool,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<Reverse> {
    let name = params.opt_text("name");
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.as_ref().is_some_and(|name| name.is_empty() || name.len() > LONGEST || !name.chars().all(good)) {
        let at = params.place_of("name");
        params.mistake(at, "`name` must be up to 63 small letters, digits and _", "no name for a slot", None);
    }
    Arc::new(Reverse {
        services: services.clone(),
        source: words::database(params, "source"),
        target: words::database(params, "target"),
        connection: params.opt_secret("connection"),
        name,
        subscriptions: params.texts("subscriptions"),
        max_age: params.opt_duration("max_age").unwrap_or(MAX_AGE),
        marker: params.opt_flag("marker").unwrap_or(false),
    })
}

/// What was found before anything was turned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Found {
    name: String,
    /// The way back was there already, and not ours to remove.
    there: bool,
    forward: Vec<Forward>,
    tables: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Forward {
    name: String,
    enabled: bool,
}

/// Both sides, open.
struct Sides {
    source: Session,
    target: Session,
}

/// How things stand with the way back.
#[derive(Debug, PartialEq, Eq)]
struct State {
    publication: There,
    subscription: There,
    /// Forward subscriptions that are enabled.
    forward: Vec<String>,
}

impl Reverse {
    async fn sides(&self, cx: &Cx) -> Result<Sides, Failure> {
        let limits = Limits::from(cx);
        let source = self.services.postgres.connect(&self.source, &limits).await?;
        let target = self.services.postgres.connect(&self.target, &limits).await?;
        for side in [&source, &target] {
            words::changeable(side)?;
        }
        let (a, b) = (source.server(), target.server());
        let same_cluster = match (&a.system_identifier, &b.system_identifier) {
            (Some(a), Some(b)) => a == b,
            _ => a.place == b.place,
        };
        if same_cluster && a.database == b.database {
            return Err(Failure::new(Class::Misconfigured, "`source` and `target` are the same database"));
        }
        Ok(Sides { source, target })
    }

    fn name(&self, target: &Session) -> String {
        self.name.clone().unwrap_or_else(|| {
            let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
            let name: String = target.server().database.chars().map(plain).collect();
            format!("gonogo_back_{name}").chars().take(LONGEST).collect()
        })
    }

    async fn look(&self, cx: &Cx) -> Result<Seen, Failure> {
        let sides = self.sides(cx).await?;
        let name = self.name(&sides.target);
        let (back, slot, after) = self.streams(cx, &sides, &name, self.marker, self.max_age).await?;
        let left_out = replication::tables(&sides.target, std::slice::from_ref(&name)).await?;
        let left_out = words::named(left_out.iter().filter(|one| !one.published).map(replication::Table::shown), NAMED);
        let ahead = self.ahead(&sides).await?;
        let mut line = format!(
            "{} tables stream back, the newest position was confirmed in {}",
            back.tables.len(),
            words::seconds(after)
        );
        if let Some(named) = left_out {
            line += &format!("; not coming back: {named}");
        }
        if ahead > 0 {
            line += &format!("; {ahead} sequences are ahead here (they do not travel)");
        }
        let evidence =
            json!({ "name": name, "tables": back.tables.len(), "behind": slot.behind, "retained": slot.retained });
        #[expect(clippy::cast_precision_loss, reason = "bytes of WAL behind are far below 2^52")]
        Ok(Seen::new(line).value(slot.behind.unwrap_or(0) as f64).with(evidence))
    }
}

impl Check for Reverse {
    fn looks(&self) -> String {
        let marker = if self.marker { "; writes a marker into the target's WAL" } else { "" };
        format!(
            "the subscription at the source and its slot at the target: confirmed within {}{marker}",
            words::seconds(self.max_age)
        )
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        words::fences(&self.services, [Some(&self.source), Some(&self.target)])
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(super::looking(cx, self.look(cx)))
    }
}

impl Action for Reverse {
    fn does(&self) -> Vec<String> {
        let name = self.name.as_deref().unwrap_or("gonogo_back_…");
        vec![
            "ALTER SUBSCRIPTION … DISABLE at the target, once it has everything".into(),
            format!("CREATE PUBLICATION {name} at the target"),
            format!("CREATE SUBSCRIPTION {name} at the source, copy_data = false"),
            "pg_logical_emit_message at the target, until the source has confirmed it".into(),
        ]
    }

    fn doubt(&self) -> Doubt {
        Doubt::Desired
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        words::fences(&self.services, [Some(&self.source), Some(&self.target)])
    }

    fn capture<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async move {
            let sides = self.sides(cx).await?;
            Ok(json!(self.found(&sides).await?))
        })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move {
            let found: Found = words::captured(captured)?;
            // A third of the time is kept for undoing it.
            let work = Cx { deadline: Instant::now() + cx.left() * 2 / 3, ..cx.clone() };
            let sides = self.sides(&work).await?;
            self.caught_up(&work, &sides, &found).await?;
            match self.turned(&work, &sides, &found).await {
                Ok(after) => {
                    let line = format!(
                        "{} tables stream back as {}: a marker arrived in {}",
                        found.tables.len(),
                        found.name,
                        words::seconds(after)
                    );
                    let stopped: Vec<&str> = found.forward.iter().map(|one| one.name.as_str()).collect();
                    let forward =
                        if stopped.is_empty() { String::new() } else { format!("; disabled: {}", stopped.join(", ")) };
                    Ok(Done::new(format!("{line}{forward}")).with(json!({ "name": found.name, "forward": stopped })))
                }
                Err(failure) => {
                    drop(sides);
                    Err(self.undone(cx, &found, failure).await)
                }
            }
        })
    }

    fn restore<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move {
            let found: Found = words::captured(captured)?;
            let sides = self.sides(cx).await?;
            self.emptied(cx, &sides, &found).await?;
            self.undo(cx, &sides, &found).await.map_err(|failure| Failure {
                class: if failure.class == Class::NotYet { Class::Failed } else { failure.class },
                ..failure
            })?;
            let running: Vec<&str> =
                found.forward.iter().filter(|one| one.enabled).map(|one| one.name.as_str()).collect();
            let forward =
                if running.is_empty() { String::new() } else { format!("; enabled again: {}", running.join(", ")) };
            Ok(Done::new(format!("{} is gone from both sides{forward}", found.name)))
        })
    }

    fn probe<'a>(&'a self, cx: &'a Cx, captured: &'a Json, back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            let found: Found = words::captured(captured)?;
            let sides = self.sides(cx).await?;
            let running = found.forward.iter().filter(|one| one.enabled).count();
            for last in [false, true] {
                let State { publication, subscription, forward } =
                    self.state(&sides, &found.name, &found.forward).await?;
                let there = |is: bool| if is { "there" } else { "not there" };
                let line = format!(
                    "publication {} is {}, the subscription {}, {} of {running} forward subscriptions run",
                    found.name,
                    there(publication.exists),
                    there(subscription.exists),
                    forward.len()
                );
                let all = publication.exists && subscription.exists && forward.is_empty();
                let none =
                    publication.exists == found.there && subscription.exists == found.there && forward.len() == running;
                let (done, undone) = if back { (none, all) } else { (all, none) };
                if done && !back {
                    let streams = self.streams(cx, &sides, &found.name, false, MAX_AGE).await;
                    return Ok(match streams {
                        Ok(_) => Finding::Done(Done::new(line)),
                        Err(failure) => Finding::Unclear { line: format!("{line}; {}", failure.message) },
                    });
                }
                match (done, undone) {
                    (true, _) => return Ok(Finding::Done(Done::new(line))),
                    (false, true) if last => return Ok(Finding::NotDone { line }),
                    (false, true) => cx.pause(APART).await?,
                    _ => return Ok(Finding::Unclear { line: format!("{line}: trying again does the rest") }),
                }
            }
            Err(Failure::new(Class::NotYet, "nothing was seen"))
        })
    }
}
