//! How things stand with the way back: what was found, what is there, whether rows come.

use std::time::Duration;

use tokio::time::Instant;

use super::{EVERY, Forward, Found, NAMED, Reverse, Sides, State};
use crate::{
    base::{Class, Failure},
    kinds::{amiss, postgres_words as words},
    plan::Cx,
    services::postgres::{
        Session,
        replication::{self, Slot, Subscription},
        reverse, sequences,
    },
};

impl Reverse {
    pub(super) async fn forward(&self, target: &Session) -> Result<Vec<Subscription>, Failure> {
        let mut all = replication::subscriptions(target).await?;
        if !self.subscriptions.is_empty() {
            if let Some(name) = self.subscriptions.iter().find(|name| !all.iter().any(|one| one.name == **name)) {
                return Err(Failure::new(Class::Misconfigured, format!("the target has no subscription {name}")));
            }
            all.retain(|one| self.subscriptions.contains(&one.name));
        }
        Ok(all)
    }

    pub(super) async fn found(&self, sides: &Sides) -> Result<Found, Failure> {
        let Sides { source, target } = sides;
        let name = self.name(target);
        let forward = self.forward(target).await?;
        let state = self.state(sides, &name, &[]).await?;
        let (published, subscribed) = (state.publication, state.subscription);
        if published.exists != subscribed.exists && !published.ours && !subscribed.ours {
            let what = if published.exists { "the target publishes" } else { "the source subscribes" };
            return Err(Failure::new(Class::Refused, format!("{what} as {name} already, and not through us"))
                .hint("drop it, or give another `name`"));
        }
        let not_yet = forward.iter().flat_map(|one| &one.tables).filter(|(_, _, state)| state != "r");
        if let Some(named) = words::named(not_yet.map(|(schema, table, _)| format!("{schema}.{table}")), NAMED) {
            return Err(Failure::new(Class::Refused, format!("forward replication is not in step yet: {named}")));
        }
        let mut tables: Vec<(String, String)> = forward
            .iter()
            .flat_map(|one| &one.tables)
            .map(|(schema, table, _)| (schema.clone(), table.clone()))
            .collect();
        let here = replication::tables(target, std::slice::from_ref(&name)).await?;
        if tables.is_empty() {
            let there = replication::tables(source, &[]).await?;
            let both =
                here.iter().filter(|one| !one.unlogged && there.iter().any(|other| other.shown() == one.shown()));
            tables = both.map(|one| (one.schema.clone(), one.name.clone())).collect();
        }
        tables.sort();
        tables.dedup();
        if tables.is_empty() {
            return Err(Failure::new(Class::Misconfigured, "there is no table that both sides have"));
        }
        let keyless = here.iter().filter(|one| !one.identity && one.is_in(&tables));
        if let Some(named) = words::named(keyless.map(replication::Table::shown), NAMED) {
            return Err(Failure::new(
                Class::Refused,
                format!("UPDATE and DELETE would fail at the target once published, for want of a key: {named}"),
            )
            .hint("give them a primary key, or ALTER TABLE … REPLICA IDENTITY FULL, on both sides"));
        }
        let there = published.exists && subscribed.exists && !(published.ours || subscribed.ours);
        if !there {
            self.able(sides).await?;
        }
        let forward = forward.into_iter().map(|one| Forward { name: one.name, enabled: one.enabled }).collect();
        Ok(Found { name, there, forward, tables })
    }

    pub(super) async fn able(&self, sides: &Sides) -> Result<(), Failure> {
        let (source, target) = (reverse::able(&sides.source).await?, reverse::able(&sides.target).await?);
        if target.wal_level != "logical" {
            return Err(Failure::new(
                Class::Misconfigured,
                format!("the target's wal_level is {}, not logical", target.wal_level),
            )
            .hint("set it (RDS: rds.logical_replication = 1) and restart, long before the night"));
        }
        if !source.subscribes {
            return Err(Failure::new(
                Class::Denied,
                format!("role {} may not subscribe at the source", sides.source.server().user),
            )
            .hint(
                "that takes a superuser or, since PostgreSQL 16, pg_create_subscription; Heroku Postgres gives neither",
            ));
        }
        if !target.publishes {
            return Err(Failure::new(
                Class::Denied,
                format!("role {} may not publish at the target", sides.target.server().user),
            )
            .hint("that takes CREATE on the database, and to own the tables"));
        }
        Ok(())
    }

    pub(super) async fn state(&self, sides: &Sides, name: &str, forward: &[Forward]) -> Result<State, Failure> {
        let all = replication::subscriptions(&sides.target).await?;
        let meant = |one: &&Subscription| one.enabled && forward.iter().any(|wanted| wanted.name == one.name);
        Ok(State {
            publication: reverse::publication(&sides.target, name).await?,
            subscription: reverse::subscription(&sides.source, name).await?,
            forward: all.iter().filter(meant).map(|one| one.name.clone()).collect(),
        })
    }

    /// Everything that has to be so for rows to come back, and how long the newest took.
    pub(super) async fn streams(
        &self,
        cx: &Cx,
        sides: &Sides,
        name: &str,
        marker: bool,
        patience: Duration,
    ) -> Result<(Subscription, Slot, Duration), Failure> {
        let Sides { source, target } = sides;
        let mut wrong = Vec::new();
        let all = replication::subscriptions(target).await?;
        let running = all.iter().filter(|one| (one.enabled || one.works) && target.server().version < 160_000);
        wrong.extend(running.map(|one| format!("subscription {} still runs forward: rows would go round", one.name)));
        if !reverse::publication(target, name).await?.exists {
            wrong.push(format!("the target has no publication {name}"));
        }
        let narrowed = replication::narrowed(target, std::slice::from_ref(&name.to_owned())).await?;
        wrong.extend(narrowed.into_iter().map(|one| one.words));
        let back = replication::subscriptions(source).await?.into_iter().find(|one| one.name == name);
        let Some(back) = back else {
            wrong.push(format!("no data: the source has no subscription {name}"));
            amiss("the way back", wrong)?;
            return Err(Failure::new(Class::NotYet, "no data"));
        };
        if !back.enabled {
            wrong.push(format!("subscription {name} is disabled"));
        } else if !back.works {
            wrong.push(format!("the worker of subscription {name} does not run"));
        }
        let late = back
            .tables
            .iter()
            .filter(|(_, _, state)| state != "r")
            .map(|(schema, table, _)| format!("{schema}.{table}"));
        if let Some(named) = words::named(late, NAMED) {
            wrong.push(format!("not in step: {named}"));
        }
        if back.tables.is_empty() {
            wrong.push(format!("subscription {name} has no table"));
        }
        amiss("the way back", wrong)?;
        let position =
            if marker { replication::mark(target, &cx.token).await? } else { replication::position(target).await? };
        let begun = Instant::now();
        loop {
            let now = replication::source(target, Some(&position)).await?;
            let slot = now.slots.into_iter().find(|slot| Some(&slot.name) == back.slot.as_ref());
            let Some(slot) = slot else {
                return Err(Failure::new(
                    Class::NotYet,
                    format!("no data: the target has no slot for subscription {name}"),
                ));
            };
            if slot.reached == Some(true) && slot.active {
                return Ok((back, slot, begun.elapsed()));
            }
            if begun.elapsed() >= patience {
                let told = if slot.active {
                    format!("{} behind", words::bytes(slot.behind))
                } else {
                    "nobody streams from its slot".into()
                };
                return Err(Failure::new(
                    Class::NotYet,
                    format!("the way back: {told}; nothing arrived in {}", words::seconds(begun.elapsed())),
                ));
            }
            cx.pause(EVERY).await?;
        }
    }

    /// How many sequences of the target are further than the source's.
    pub(super) async fn ahead(&self, sides: &Sides) -> Result<usize, Failure> {
        let here = sequences::sequences(&sides.target).await?;
        let there = sequences::sequences(&sides.source).await?;
        let further = |one: &&sequences::Sequence| {
            there.iter().any(|other| {
                other.schema == one.schema && other.name == one.name && one.further(one.used(), other.used())
            })
        };
        Ok(here.iter().filter(further).count())
    }
}
