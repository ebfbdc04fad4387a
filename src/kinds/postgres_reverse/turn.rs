//! Turning it around, and undoing that.

use std::time::Duration;

use tokio::time::Instant;

use super::{EVERY, Found, Reverse, Sides};
use crate::{
    base::{Class, Failure},
    kinds::postgres_words as words,
    plan::Cx,
    services::postgres::{
        Session,
        replication::{self, Slot},
        reverse,
    },
};

/// How long the way back may take to confirm what it has applied.
const CONFIRMS: Duration = Duration::from_secs(3);

impl Reverse {
    /// Waits until the forward subscriptions have all that the source has written.
    pub(super) async fn caught_up(&self, cx: &Cx, sides: &Sides, found: &Found) -> Result<(), Failure> {
        let all = replication::subscriptions(&sides.target).await?;
        let enabled =
            all.iter().filter(|one| one.enabled && found.forward.iter().any(|wanted| wanted.name == one.name));
        let slots: Vec<String> = enabled.filter_map(|one| one.slot.clone()).collect();
        if slots.is_empty() {
            return Ok(());
        }
        let position = replication::mark(&sides.source, &cx.token).await?;
        let look = || async {
            let now = replication::source(&sides.source, Some(&position)).await?;
            let behind = |slot: &&Slot| slots.contains(&slot.name) && slot.reached != Some(true);
            match now.slots.iter().find(behind) {
                _ if now.slots.iter().filter(|slot| slots.contains(&slot.name)).count() < slots.len() => {
                    Err(Failure::new(Class::Refused, "a slot of the forward subscription is not at this source"))
                }
                Some(slot) => {
                    Err(Failure::new(Class::NotYet, format!("the target is {} behind", words::bytes(slot.behind))))
                }
                None => Ok(()),
            }
        };
        // Half of the time is for what comes after.
        let half = Cx { deadline: Instant::now() + cx.left() / 2, ..cx.clone() };
        half.poll(EVERY, look).await.map_err(before)
    }

    /// Refuses where the stopped forward subscriptions have not everything; `back`: rows may have come back already, and
    /// wait in the forward slots, too.
    async fn arrived(&self, cx: &Cx, sides: &Sides, found: &Found, back: bool) -> Result<(), Failure> {
        let all = replication::subscriptions(&sides.target).await?;
        for one in all.iter().filter(|one| found.forward.iter().any(|wanted| wanted.name == one.name)) {
            let look = || async {
                if back {
                    reverse::unsent(&sides.source, one).await
                } else {
                    reverse::pending(&sides.source, one).await
                }
            };
            let behind = cx.poll(EVERY, look).await?;
            if behind > 0 {
                let words = format!(
                    "{behind} changes of the source have not arrived by {}: it is not frozen, or the subscription was behind",
                    one.name
                );
                return Err(Failure::new(Class::Refused, words)
                    .hint("freeze the source, let the subscription run until it has everything, then try again"));
            }
        }
        Ok(())
    }

    /// Stops the way back, and refuses where going back to forward replication would lose rows or send them twice: then it
    /// runs on.
    pub(super) async fn emptied(&self, cx: &Cx, sides: &Sides, found: &Found) -> Result<(), Failure> {
        let Sides { source, target } = sides;
        let all = replication::subscriptions(source).await?;
        let Some(back) = all.iter().find(|one| one.name == found.name && !found.there) else {
            return self.no_echoes(cx, sides, found).await.map_err(before);
        };
        // The rest of the time is for letting it run again.
        let half = Cx { deadline: Instant::now() + cx.left() / 2, ..cx.clone() };
        if back.enabled {
            // What it has applied it confirms a moment later.
            let _late = self.streams(&half, sides, &found.name, false, CONFIRMS).await;
            reverse::enable(source, &back.name, false).await?;
        }
        let looked = async {
            self.stopped(&half, source, &back.name).await?;
            let left = half.poll(EVERY, || reverse::pending(target, back)).await?;
            if left > 0 {
                let words = format!("{left} changes written at the target have not come back");
                return Err(Failure::new(Class::Refused, words).hint(
                    "let the way back run until it has everything (postgres.reverse as a check), then try again",
                ));
            }
            self.no_echoes(&half, sides, found).await
        };
        let looked = looked.await.map_err(before);
        if let (Err(failure), true) = (&looked, back.enabled) {
            reverse::enable(source, &back.name, true).await.map_err(|also| {
                Failure { class: Class::Failed, ..failure.clone() }
                    .because(format!("the way back could not be enabled again: {}", also.message))
            })?;
        }
        looked
    }

    async fn no_echoes(&self, cx: &Cx, sides: &Sides, found: &Found) -> Result<(), Failure> {
        let forward = replication::subscriptions(&sides.target).await?;
        for one in forward
            .iter()
            .filter(|one| !one.enabled && found.forward.iter().any(|was| was.name == one.name && was.enabled))
        {
            let echoes = cx.poll(EVERY, || reverse::echoes(&sides.source, one)).await?;
            if echoes > 0 {
                return Err(Failure::new(Class::Refused, format!("{echoes} changes came back this way and would be sent forward again by {}", one.name))
                    .hint("the target has been written to: to replicate forward again, drop the subscription and make it anew"));
            }
        }
        Ok(())
    }

    pub(super) async fn stopped(&self, cx: &Cx, session: &Session, name: &str) -> Result<(), Failure> {
        let look = || async {
            let all = replication::subscriptions(session).await?;
            match all.iter().find(|one| one.name == name).filter(|one| one.works) {
                Some(_) => Err(Failure::new(Class::NotYet, format!("the worker of subscription {name} still runs"))),
                None => Ok(()),
            }
        };
        cx.poll(EVERY, look).await
    }

    /// Turns it around; whoever calls undoes it where it fails.
    pub(super) async fn turn(&self, cx: &Cx, sides: &Sides, found: &Found) -> Result<(), Failure> {
        let state = self.state(sides, &found.name, &found.forward).await?;
        for name in &state.forward {
            reverse::enable(&sides.target, name, false).await?;
        }
        for one in &found.forward {
            self.stopped(cx, &sides.target, &one.name).await?;
        }
        self.arrived(cx, sides, found, state.subscription.exists).await?;
        if !state.publication.exists {
            reverse::publish(&sides.target, &found.name, &found.tables).await?;
        }
        if !state.subscription.exists {
            // A slot of an attempt that died before it subscribed would be in the way.
            if !reverse::drop_slot(&sides.target, &found.name).await? {
                return Err(Failure::new(
                    Class::Refused,
                    format!("slot {} of the target is in use by somebody else", found.name),
                ));
            }
            let connection = match &self.connection {
                Some(given) => self.services.secrets.text(given).await?,
                None => self.services.postgres.connection_string(&self.target).await?,
            };
            reverse::subscribe(&sides.source, &found.name, &connection).await?;
        } else {
            reverse::enable(&sides.source, &found.name, true).await?;
        }
        Ok(())
    }

    /// Removes what was made, and lets the forward subscription run as it was found.
    pub(super) async fn undo(&self, cx: &Cx, sides: &Sides, found: &Found) -> Result<(), Failure> {
        let Sides { source, target } = sides;
        if !found.there {
            if reverse::subscription(source, &found.name).await?.exists {
                reverse::enable(source, &found.name, false).await?;
                self.stopped(cx, source, &found.name).await?;
                reverse::unsubscribe(source, &found.name).await?;
            }
            let free = || async {
                let free = reverse::drop_slot(target, &found.name).await?;
                if free {
                    Ok(())
                } else {
                    Err(Failure::new(Class::NotYet, format!("slot {} is still in use", found.name)))
                }
            };
            cx.poll(EVERY, free).await?;
            if reverse::publication(target, &found.name).await?.exists {
                reverse::unpublish(target, &found.name).await?;
            }
        }
        let now = replication::subscriptions(target).await?;
        for one in
            now.iter().filter(|one| found.forward.iter().any(|was| was.name == one.name && was.enabled != one.enabled))
        {
            reverse::enable(target, &one.name, !one.enabled).await?;
        }
        Ok(())
    }

    pub(super) async fn turned(&self, cx: &Cx, sides: &Sides, found: &Found) -> Result<Duration, Failure> {
        self.turn(cx, sides, found).await?;
        let whole = cx.left();
        let look = || async { self.streams(cx, sides, &found.name, true, whole).await.map(|(_, _, after)| after) };
        cx.poll(EVERY, look).await
    }

    /// Undoes what failed, in the time that was kept for it.
    pub(super) async fn undone(&self, cx: &Cx, found: &Found, failure: Failure) -> Failure {
        if cx.cancel.is_cancelled() || failure.class == Class::Unknown {
            return Failure { class: Class::Unknown, ..failure };
        }
        let undone = async {
            let sides = self.sides(cx).await?;
            self.emptied(cx, &sides, found).await?;
            self.undo(cx, &sides, found).await
        };
        match undone.await {
            Ok(()) => Failure { class: failure_before(failure.class), ..failure }
                .because("what was made was removed, and replication runs forward as before"),
            Err(also) => Failure { class: Class::Failed, ..failure }
                .because(format!("it could not be undone: {}", also.message))
                .hint("look at both sides: pg_subscription, pg_publication, pg_replication_slots"),
        }
    }
}

fn before(failure: Failure) -> Failure {
    Failure { class: failure_before(failure.class), ..failure }
}

/// A failure before anything was done, or after all of it was undone.
fn failure_before(class: Class) -> Class {
    match class {
        Class::NotYet | Class::Unknown | Class::Failed => Class::FailedNothingDone,
        class => class,
    }
}
