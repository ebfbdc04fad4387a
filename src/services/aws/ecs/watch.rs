//! Waiting for a deployment: one look a second, everything that is news told as it happens, and an end with its
//! causes.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Rollout, Service,
    model::tasks,
    short_definition,
    verdict::{Since, is_trouble},
    why::Why,
};
use crate::{
    base::{Class, Failure},
    plan::Cx,
    services::aws::{Aws, Patience, swap::APART},
};

/// Between two looks; ECS moves by seconds.
pub(super) const LOOK: Duration = Duration::from_secs(1);
/// `DescribeServices` may lag behind `UpdateService`: so long "as before" is not taken for a rollback,
/// unless the new deployment was seen.
const LAG: Duration = Duration::from_secs(10);
/// The reasons are still asked for where the attempt's own time is over.
const LAST_WORDS: Duration = Duration::from_secs(6);

/// Tells how far a service is.
pub(super) fn report(cx: &Cx, now: &Service) {
    #[expect(clippy::cast_precision_loss, reason = "counts of tasks are small")]
    let part = now.primary().map_or(0.0, |one| one.running as f32 / one.desired.max(1) as f32);
    // The last part is kept for the end: counts agree before the rollout is complete.
    cx.progress(part * 0.95, now.line());
}

/// The failure of a look at something that was started: it goes on, and we do not see it. Credentials that ended
/// meanwhile come with the command that renews them.
#[must_use]
pub fn blind(failure: Failure, what: &str, last: &str) -> Failure {
    let message = format!("{what} was started and goes on, but cannot be watched: {}", failure.message);
    let next = "then retry: it looks first and sends nothing twice";
    let hint = failure.hint.as_ref().map_or_else(|| next.to_owned(), |hint| format!("{hint}; {next}"));
    let told = Failure::new(Class::Unknown, message).because(format!("last seen: {last}")).hint(hint);
    failure.causes.iter().fold(told, Failure::because)
}

/// What the looks so far have shown.
struct Seen {
    begun: Instant,
    since: Since,
    /// The new deployment was seen.
    moved: bool,
    /// The old task definition has been steady again since.
    back: Option<Instant>,
    /// The count has been another one since.
    fought: Option<Instant>,
    /// ECS said itself that it rolls back.
    by_ecs: bool,
    /// In words.
    last: String,
    /// The failure of the newest look, where it failed.
    trouble: Option<Failure>,
    /// Failed tasks that were told.
    failed: i32,
    /// Events that were told.
    told: Vec<String>,
    count_sent: bool,
}

impl Rollout {
    /// Waits until the asked task definition runs steadily. `moved`: the deployment was on its way already.
    pub(super) async fn settle(&self, aws: &Aws, cx: &Cx, since: Since, moved: bool) -> Result<Service, Failure> {
        let mut seen = Seen {
            begun: Instant::now(),
            failed: since.failed,
            since,
            moved,
            back: None,
            fought: None,
            by_ecs: false,
            last: "nothing seen yet".into(),
            trouble: None,
            told: Vec::new(),
            count_sent: false,
        };
        let patience = Patience::of(cx);
        loop {
            match aws.service(&self.cluster, &self.service, &patience).await {
                Ok(now) if self.as_wanted(&now) => return Ok(now),
                Ok(now) => {
                    seen.trouble = None;
                    self.tell(aws, cx, &mut seen, &now).await;
                    self.judge(aws, cx, &mut seen, &now).await?;
                }
                // It was accepted; a look that fails now is only a look.
                Err(failure) if failure.class == Class::FailedNothingDone => {
                    cx.line(format!("cannot look: {}", failure.message));
                    seen.trouble = Some(failure);
                }
                Err(failure) => return Err(blind(failure, "the deployment", &seen.last)),
            }
            if let Err(end) = cx.pause(LOOK).await {
                return Err(self.unseen(aws, cx, &end.message, seen).await);
            }
        }
    }

    /// What is news, as lines.
    async fn tell(&self, aws: &Aws, cx: &Cx, seen: &mut Seen, now: &Service) {
        seen.moved |= self.on_its_way(now);
        seen.last = now.line();
        report(cx, now);
        let wanted = short_definition(&self.after.task_definition);
        let ours = now.primary().filter(|one| short_definition(&one.task_definition) == wanted);
        if let Some(one) = ours.filter(|_| !self.unforced(now)) {
            match &seen.since.deployment {
                None => seen.since.deployment = Some(one.id.clone()),
                Some(known) if *known != one.id => {
                    cx.line(format!("somebody deployed {wanted} once more ({}); waiting for that one", one.id));
                    seen.since.deployment = Some(one.id.clone());
                }
                Some(_) => {}
            }
        }
        seen.by_ecs |= now.deployments.iter().any(|one| {
            (one.rollout == "FAILED" || one.reason.contains("rolling back")) && one.reason.contains("circuit breaker")
        });
        for event in seen.since.news(now).collect::<Vec<_>>().into_iter().rev() {
            seen.by_ecs |= event.contains("rolling back to");
            if is_trouble(event) && !seen.told.iter().any(|told| told == event) {
                cx.line(format!("ECS: {event}"));
                seen.told.push(event.to_owned());
            }
        }
        // The first failure says why; the others repeat it.
        let failed = ours.map_or(0, |one| one.failed);
        if failed > seen.failed && seen.failed == seen.since.failed {
            for line in self.why(&seen.since).tasks(aws, &Patience::of(cx)).await.lines {
                cx.line(line);
            }
        }
        seen.failed = seen.failed.max(failed);
    }

    /// Ends the waiting where there is nothing to wait for any more.
    async fn judge(&self, aws: &Aws, cx: &Cx, seen: &mut Seen, now: &Service) -> Result<(), Failure> {
        if let Some(lost) = self.lost(now, &seen.since) {
            let failure = Failure::new(lost.class, lost.message).hint(lost.hint);
            return Err(self.because(aws, cx, failure, seen, now).await);
        }
        let for_long = |since: &mut Option<Instant>, holds: bool| {
            *since = if holds { since.or(Some(Instant::now())) } else { None };
            since.is_some_and(|since| since.elapsed() >= APART)
        };
        let fought = self.fought(now);
        if let (true, Some((asked, found))) = (for_long(&mut seen.fought, fought.is_some()), fought) {
            let wanted = short_definition(&self.after.task_definition);
            let words = format!(
                "{wanted} runs, but with {} instead of {asked}: the count was changed by somebody else while we waited",
                tasks(found)
            );
            return Err(aws.fought(&self.cluster, &self.service, words, &Patience::of(cx)).await);
        }
        let back = self.rolled_back(now) && (seen.moved || seen.begun.elapsed() > LAG);
        if !for_long(&mut seen.back, back) {
            return Ok(());
        }
        let who =
            if seen.by_ecs || now.rolls_back { "ECS's circuit breaker rolled it back" } else { "somebody put it back" };
        if self.as_before(now) {
            let failure = Failure::new(Class::FailedNothingDone, format!("{who}; the service is as it was"));
            return Err(self.because(aws, cx, failure, seen, now).await);
        }
        if seen.count_sent {
            let failure = Failure::new(Class::Failed, format!("{who}, but the count is not as it was: {}", seen.last));
            return Err(self.because(aws, cx, failure, seen, now).await);
        }
        seen.count_sent = true;
        seen.back = None;
        self.put_count_back(aws, cx, who).await
    }

    /// Puts the count back that this deployment set, so that "nothing done" is true.
    async fn put_count_back(&self, aws: &Aws, cx: &Cx, who: &str) -> Result<(), Failure> {
        let words = self.before.desired.map_or(String::new(), |n| n.to_string());
        cx.line(format!("{who}; putting the count back to {words}"));
        let place = (self.cluster.as_str(), self.service.as_str());
        let sent = aws.update_service(place, None, self.before.desired, false, &Patience::of(cx)).await;
        sent.map(drop).map_err(|failure| {
            let class = if failure.class == Class::Unknown { Class::Unknown } else { Class::Failed };
            let message = format!("{who}, and the count could not be put back: {}", failure.message);
            Failure { class, message, ..failure }
        })
    }

    /// The failure of a deployment whose end was not seen.
    async fn unseen(&self, aws: &Aws, cx: &Cx, end: &str, seen: Seen) -> Failure {
        let words = format!("{end} while the deployment was under way: {}", seen.last);
        let mut failure = Failure::new(Class::Unknown, words).hint("it goes on without us; a probe looks how it ended");
        if let Some(trouble) = &seen.trouble {
            failure = failure.because(&trouble.message);
        }
        if cx.cancel.is_cancelled() {
            return failure;
        }
        let patience = Patience::within(LAST_WORDS);
        match aws.service(&self.cluster, &self.service, &patience).await {
            Ok(now) => self.why(&seen.since).all(aws, &patience, &now).await.of(failure),
            Err(_) => failure,
        }
    }

    fn why<'a>(&'a self, since: &'a Since) -> Why<'a> {
        Why { rollout: self, since }
    }

    async fn because(&self, aws: &Aws, cx: &Cx, failure: Failure, seen: &Seen, now: &Service) -> Failure {
        let told = self.why(&seen.since).all(aws, &Patience::of(cx), now).await.named(failure);
        if told.hint.is_some() {
            return told;
        }
        let wanted = short_definition(&self.after.task_definition);
        told.hint(format!(
            "look why tasks of {wanted} fail: image, secrets, roles and health check are the usual causes"
        ))
    }
}
