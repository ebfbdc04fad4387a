//! `postgres.replication_lag`: the target has what the source has, and nothing is left out.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::time::Instant;

use super::{Bind, Kind, amiss, postgres_words as words};
use crate::{
    base::{Class, Failure},
    plan::{Check, Cx, Doubt, Identity, Param, Params, Seen, Shape, TextOrSecret},
    services::{
        Services,
        postgres::{
            Limits, Session,
            replication::{self, Slot, Source, Subscription, Table},
        },
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "postgres.replication_lag",
    summary: "logical replication streams, is close behind, and leaves no table out",
    docs: "\
Green when every subscription of `target` (or those named by `subscriptions`) is enabled and its worker runs, every table of it streams
(`srsubstate = 'r'`), its slot at `source` is active and has lost nothing, every table of the source that holds rows is published to it,
with all its rows, columns and operations, and it is at most `max` behind.

`max` compares bytes of WAL that the source has written with what the target has confirmed as flushed. With `max_age` the position that
the source had written when the look began must be confirmed within that time, which is the lag in seconds. `max = \"0 B\"` is stricter:
all that was committed before the look has arrived, also what is not written yet (`synchronous_commit = off`: the source's WAL writer
may take its time; `marker` does not wait for it). It is the barrier after a freeze. Equality of positions is never asked for: an
idle source writes WAL too (checkpoints).

`marker = true` puts a message of a few bytes into the source's WAL (`pg_logical_emit_message`) and waits until the position behind it
is confirmed. No table changes and no subscriber applies anything; but it is a write, it flushes what was committed asynchronously, and
it needs a source that is not a standby: that is why it has to be asked for.

What hurts people: a slot that nobody reads keeps WAL until the source's disk is full (told: what it keeps, and what is left before it
is lost). `UPDATE` and `DELETE` on a published table without a key fail on the *source*: such tables are named, those with
a `DEFERRABLE` key, too. A table made after the
publication is in none. A table added to the publication is not subscribed before `ALTER SUBSCRIPTION … REFRESH PUBLICATION`.
Sequences, large objects and DDL are not replicated at all.

Without `target` only the slots of the source (all logical ones of its database, or `slots`) can be looked at, and the line says so.

Needs: to connect, nothing more; `pg_monitor` shows who streams, and the server's own measure of the lag.

<https://www.postgresql.org/docs/current/logical-replication-monitoring.html>,
<https://www.postgresql.org/docs/current/view-pg-replication-slots.html>",
    params: PARAMS,
    doubt: Doubt::Read,
    needs: &["CONNECT at both databases"],
    example: include_str!("../../runbooks/kinds/postgres.replication_lag.toml"),
    bind: Bind::Check(bind),
};

const PARAMS: &[Param] = &[
    Param { name: "source", shape: Shape::TextOrSecret, required: true, help: "the database that is written to" },
    Param { name: "target", shape: Shape::TextOrSecret, required: false, help: "the database that subscribes" },
    Param {
        name: "subscriptions",
        shape: Shape::Texts,
        required: false,
        help: "names at the target; default: all of its database",
    },
    Param {
        name: "slots",
        shape: Shape::Texts,
        required: false,
        help: "names at the source, where there is no `target`; default: all logical slots of its database",
    },
    Param { name: "max", shape: Shape::Text, required: false, help: "bytes it may be behind; default: \"1 MiB\"" },
    Param {
        name: "max_age",
        shape: Shape::Duration,
        required: false,
        help: "how old the newest confirmed change may be; default: nobody asks",
    },
    Param {
        name: "marker",
        shape: Shape::Flag,
        required: false,
        help: "write a message into the source's WAL and wait for it; default: false",
    },
    Param {
        name: "except",
        shape: Shape::Texts,
        required: false,
        help: "tables (schema.name, * for any text) that need not be replicated, publications that need not send everything",
    },
];

const MAX: u64 = 1 << 20;
/// How long one look waits for a position, where `max_age` says nothing.
const PATIENCE: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_millis(100);
/// Tables named in one line; more say the same.
const NAMED: usize = 5;

struct Lag {
    services: Arc<Services>,
    source: TextOrSecret,
    target: Option<TextOrSecret>,
    subscriptions: Vec<String>,
    slots: Vec<String>,
    max: u64,
    max_age: Option<Duration>,
    marker: bool,
    except: Vec<String>,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Check> {
    let target = params.opt_secret("target");
    if target.is_none() && params.has("subscriptions") {
        let at = params.place_of("subscriptions");
        params.mistake(at, "`subscriptions` needs `target`", "they are the target's", None);
    }
    if target.is_some() && params.has("slots") {
        let at = params.place_of("slots");
        let help = Some("with `target`, name its `subscriptions`".into());
        params.mistake(at, "`slots` and `target` exclude each other", "the subscriptions name their slots", help);
    }
    Arc::new(Lag {
        services: services.clone(),
        source: words::database(params, "source"),
        target,
        subscriptions: params.texts("subscriptions"),
        slots: params.texts("slots"),
        max: words::size(params, "max").unwrap_or(MAX),
        max_age: params.opt_duration("max_age"),
        marker: params.opt_flag("marker").unwrap_or(false),
        except: params.texts("except"),
    })
}

/// How far one look saw the slots come.
struct Arrival {
    source: Source,
    slots: Vec<Slot>,
    /// Since the position was read.
    after: Duration,
}

impl Lag {
    /// What is wrong with the subscriptions as the target tells them.
    fn at_target(&self, found: &[Subscription]) -> Result<Vec<String>, Failure> {
        let mut wrong = Vec::new();
        for name in &self.subscriptions {
            if !found.iter().any(|one| one.name == *name) {
                wrong.push(format!("no data: the target has no subscription {name}"));
            }
        }
        if found.is_empty() && wrong.is_empty() {
            return Err(Failure::new(Class::NotYet, "no data: the target's database has no subscription"));
        }
        for one in found {
            let name = &one.name;
            let not_yet: Vec<_> = one.tables.iter().filter(|(_, _, state)| state != "r").collect();
            if !one.enabled {
                wrong.push(format!("subscription {name} is disabled"));
            } else if one.slot.is_none() {
                wrong.push(format!("subscription {name} has no slot"));
            } else if !one.works {
                let errors = match (one.apply_errors, one.sync_errors) {
                    (Some(apply), Some(sync)) if apply + sync > 0 => {
                        format!(" ({apply} errors applying, {sync} copying: see the target's log)")
                    }
                    _ => String::new(),
                };
                wrong.push(format!("the worker of subscription {name} does not run{errors}"));
            }
            if one.tables.is_empty() {
                wrong.push(format!("subscription {name} has no table"));
            }
            if let Some((schema, table, state)) = not_yet.first() {
                let words = replication::state_words(state);
                wrong.push(format!(
                    "{} of {} tables do not stream: {schema}.{table} {words}",
                    not_yet.len(),
                    one.tables.len()
                ));
            }
        }
        Ok(wrong)
    }

    /// What is left out between the two, and tables that cannot be changed.
    async fn coverage(&self, source: &Session, found: &[Subscription]) -> Result<(Vec<String>, Vec<Table>), Failure> {
        let publications: Vec<String> = found.iter().flat_map(|one| one.publications.clone()).collect();
        let published = replication::published(source, &publications).await?;
        let tables = replication::tables(source, &publications).await?;
        let mut wrong = Vec::new();
        let known = |schema: &str, name: &str| {
            found.iter().any(|one| one.tables.iter().any(|(s, n, _)| s == schema && n == name))
        };
        let new = published.iter().filter(|(s, n)| !known(s, n)).map(|(s, n)| format!("{s}.{n}"));
        if let Some(named) = words::named(new, NAMED) {
            wrong.push(format!("published and not subscribed (ALTER SUBSCRIPTION … REFRESH PUBLICATION): {named}"));
        }
        let out = tables.iter().filter(|t| !t.published || t.unlogged).filter(|t| !self.excepted(&t.shown()));
        let out = out.map(|t| if t.unlogged { format!("{} (unlogged)", t.shown()) } else { t.shown() });
        if let Some(named) = words::named(out, NAMED) {
            wrong.push(format!("in no publication: {named}; name them in `except` where that is meant"));
        }
        let narrowed = replication::narrowed(source, &publications).await?;
        wrong.extend(narrowed.into_iter().filter(|one| !self.excepted(&one.of)).map(|one| one.words));
        Ok((wrong, tables))
    }

    fn excepted(&self, table: &str) -> bool {
        self.except.iter().any(|pattern| crate::base::wild::matches(pattern, table))
    }

    /// The slots that were asked for, and what is wrong with them as such.
    fn slots(&self, source: &Source, found: &[Subscription]) -> (Vec<Slot>, Vec<String>) {
        let wanted: Option<Vec<&str>> = match (&self.target, self.slots.as_slice()) {
            (Some(_), _) => Some(found.iter().filter_map(|one| one.slot.as_deref()).collect()),
            (None, []) => None,
            (None, names) => Some(names.iter().map(String::as_str).collect()),
        };
        let mut wrong = Vec::new();
        let slots: Vec<Slot> = match &wanted {
            None => source.slots.clone(),
            Some(names) => source.slots.iter().filter(|slot| names.contains(&slot.name.as_str())).cloned().collect(),
        };
        for name in wanted.iter().flatten().filter(|name| !slots.iter().any(|slot| slot.name == **name)) {
            wrong.push(format!("no data: the source's database has no slot {name}"));
        }
        for slot in &slots {
            let name = &slot.name;
            match (slot.invalid.as_deref(), slot.wal_status.as_deref()) {
                (Some(why), _) => wrong.push(format!("slot {name} is invalid: {why}; what it missed is gone")),
                (None, Some("lost")) => {
                    wrong.push(format!("slot {name} has lost WAL: the tables have to be copied again"))
                }
                (None, Some("unreserved")) => wrong.push(format!("slot {name} is about to lose WAL")),
                _ if !slot.active => wrong.push(format!(
                    "nobody streams from slot {name}; it keeps {} on the source's disk",
                    words::bytes(slot.retained)
                )),
                _ => {}
            }
        }
        (slots, wrong)
    }

    /// Waits until the slots are as near as asked, or the look's patience ends.
    async fn arrive(&self, cx: &Cx, session: &Session, names: &[String], position: &str) -> Result<Arrival, Failure> {
        let begun = Instant::now();
        let until = (begun + self.max_age.unwrap_or(PATIENCE)).min(cx.deadline);
        loop {
            let source = replication::source(session, Some(position)).await?;
            let slots: Vec<Slot> = source.slots.iter().filter(|slot| names.contains(&slot.name)).cloned().collect();
            let after = begun.elapsed();
            if slots.iter().all(|slot| self.near(slot)) || Instant::now() >= until {
                return Ok(Arrival { source, slots, after });
            }
            cx.pause(EVERY).await?;
        }
    }

    /// The whole position has to be confirmed, not only most of it.
    fn whole(&self) -> bool {
        self.marker || self.max == 0 || self.max_age.is_some()
    }

    fn near(&self, slot: &Slot) -> bool {
        let close = self.max == 0 || slot.behind.is_some_and(|behind| u64::try_from(behind).unwrap_or(0) <= self.max);
        close && (!self.whole() || slot.reached == Some(true))
    }

    async fn look(&self, cx: &Cx) -> Result<Seen, Failure> {
        let limits = Limits::from(cx);
        let postgres = &self.services.postgres;
        let source = postgres.connect(&self.source, &limits).await?;
        let mut found = Vec::new();
        let mut wrong = Vec::new();
        let mut tables = Vec::new();
        if let Some(target) = &self.target {
            let target = postgres.connect(target, &limits).await?;
            found = replication::subscriptions(&target).await?;
            if !self.subscriptions.is_empty() {
                found.retain(|one| self.subscriptions.contains(&one.name));
            }
            wrong = self.at_target(&found)?;
            let (left_out, all) = self.coverage(&source, &found).await?;
            wrong.extend(left_out);
            tables = all;
        }
        let first = replication::source(&source, None).await?;
        if first.standby {
            return Err(Failure::new(
                Class::Misconfigured,
                "the source is a standby: it has no slots of its own to look at",
            )
            .hint("give the primary's address as `source`"));
        }
        let (slots, amiss_there) = self.slots(&first, &found);
        wrong.extend(amiss_there);
        if slots.is_empty() && wrong.is_empty() {
            return Err(Failure::new(Class::NotYet, "no data: the source's database has no logical replication slot"));
        }
        amiss("replication", wrong)?;
        let position = match self.marker {
            true => replication::mark(&source, &cx.token).await?,
            false if self.max == 0 => replication::end(&source).await?,
            false => replication::position(&source).await?,
        };
        let names: Vec<String> = slots.iter().map(|slot| slot.name.clone()).collect();
        let arrival = self.arrive(cx, &source, &names, &position).await?;
        self.verdict(&arrival, &position, &found, &tables)
    }

    fn verdict(
        &self,
        arrival: &Arrival,
        position: &str,
        found: &[Subscription],
        tables: &[Table],
    ) -> Result<Seen, Failure> {
        let Arrival { source, slots, after } = arrival;
        let far: Vec<String> = slots
            .iter()
            .filter(|slot| !self.near(slot))
            .map(|slot| {
                let missed = if self.whole() && slot.reached != Some(true) {
                    let what = if self.marker { "the marker" } else { "what was written before" };
                    format!(", and {what} did not arrive in {}", words::seconds(*after))
                } else {
                    String::new()
                };
                format!("slot {} is {} behind{missed}; wanted {}", slot.name, words::bytes(slot.behind), self.wanted())
            })
            .collect();
        if slots.is_empty() {
            return Err(Failure::new(Class::NotYet, "no data: the slots are gone"));
        }
        amiss("replication", far)?;
        let worst = slots.iter().filter_map(|slot| slot.behind).max().unwrap_or(0);
        let mut line = format!("{} behind", words::bytes(Some(worst)));
        if self.whole() {
            let what = if self.marker { "a marker" } else { "all that was written" };
            line += &format!(", {what} arrived in {}", words::seconds(*after));
        }
        match found.iter().map(|one| one.tables.len()).sum::<usize>() {
            0 => line += &format!(", {} slots; tables were not looked at: no `target`", slots.len()),
            n => line += &format!(", {n} tables stream"),
        }
        let keyless = tables.iter().filter(|t| t.published && !t.identity).map(Table::shown);
        if let Some(named) = words::named(keyless, NAMED) {
            line += &format!("; UPDATE and DELETE fail at the source for want of a key: {named}");
        }
        let errors: i64 = found.iter().filter_map(|one| Some(one.apply_errors? + one.sync_errors?)).sum();
        if errors > 0 {
            line += &format!("; {errors} errors counted earlier");
        }
        let evidence = json!({
            "position": position,
            "now": source.now,
            "after_ms": u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
            "slots": slots.iter().map(|slot| json!({
                "slot": slot.name, "behind": slot.behind, "confirmed": slot.confirmed, "retained": slot.retained,
                "until_lost": slot.safe, "client": slot.client, "replay_lag_s": slot.replay_lag,
            })).collect::<Vec<_>>(),
            "subscriptions": found.iter().map(|one| json!({
                "subscription": one.name, "tables": one.tables.len(), "silent_s": one.silent,
                "apply_errors": one.apply_errors, "sync_errors": one.sync_errors,
            })).collect::<Vec<_>>(),
        });
        #[expect(clippy::cast_precision_loss, reason = "bytes of WAL behind are far below 2^52")]
        Ok(Seen::new(line).value(worst as f64).with(evidence))
    }

    fn wanted(&self) -> String {
        let max = words::bytes(i64::try_from(self.max).ok());
        match self.max_age {
            Some(age) => format!("at most {max} and {}", words::seconds(age)),
            None => format!("at most {max}"),
        }
    }
}

impl Check for Lag {
    fn looks(&self) -> String {
        let marker = if self.marker { "; writes a marker into the source's WAL" } else { "" };
        format!("pg_replication_slots at the source, pg_subscription at the target: {}{marker}", self.wanted())
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        words::fences(&self.services, [Some(&self.source), self.target.as_ref()])
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(super::looking(cx, self.look(cx)))
    }
}
