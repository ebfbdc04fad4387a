//! Looking without acting: the rounds of a stop point's criteria, and the watches.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{Sight, reporter::Message};
use crate::{
    base::{Class, Failure, StepId, WatchId},
    plan::{
        Check, Cx,
        contract::{Prior, Reporter},
    },
    run::Sample,
};

/// One look may take this long; a criterion or sample without an answer by then has no data.
const LOOK: Duration = Duration::from_secs(20);

/// Criteria and watches have no log of their own.
struct Silent;

impl Reporter for Silent {
    fn line(&self, _text: &str) {}
    fn progress(&self, _done: f32, _text: &str) {}
    fn output(&self, _bytes: &[u8]) {}
}

fn cx(step: StepId, priors: Arc<BTreeMap<StepId, Prior>>) -> Cx {
    let (_, owner) = watch::channel(None);
    Cx {
        step,
        attempt: 0,
        nth: 0,
        token: String::new(),
        again: false,
        deadline: Instant::now() + LOOK,
        cancel: CancellationToken::new(),
        reporter: Arc::new(Silent),
        priors,
        owner,
    }
}

async fn look(check: &dyn Check, step: StepId, priors: Arc<BTreeMap<StepId, Prior>>) -> Sight {
    let cx = cx(step, priors);
    match tokio::time::timeout_at(cx.deadline, check.check(&cx)).await {
        Ok(sight) => sight,
        Err(_) => Err(Failure::new(Class::FailedNothingDone, format!("no answer within {} s", LOOK.as_secs()))),
    }
}

/// One round: every criterion at once, each reported as it answers.
pub(super) async fn round(
    step: StepId,
    round: u32,
    criteria: Vec<Arc<dyn Check>>,
    priors: Arc<BTreeMap<StepId, Prior>>,
    start: Instant,
    to: mpsc::Sender<Message>,
) {
    tokio::time::sleep_until(start).await;
    let looks = criteria.iter().enumerate().map(|(index, check)| {
        let (step, priors, to) = (step.clone(), priors.clone(), to.clone());
        async move {
            let result = look(check.as_ref(), step.clone(), priors).await;
            let _conductor_gone = to.send(Message::Criterion { step, round, index, result }).await;
        }
    });
    futures_util::future::join_all(looks).await;
}

/// Samples until it is aborted. A slow sample delays the next one and is never overtaken.
pub(super) async fn watch(
    watch: WatchId,
    step: StepId,
    every: Duration,
    check: Arc<dyn Check>,
    priors: Arc<BTreeMap<StepId, Prior>>,
    to: mpsc::Sender<Message>,
) {
    let mut beat = tokio::time::interval(every.max(Duration::from_millis(100)));
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let sample = sample(look(check.as_ref(), step.clone(), priors.clone()).await);
        if to.send(Message::Watch { watch: watch.clone(), sample }).await.is_err() {
            return;
        }
    }
}

/// A check that looked and found it otherwise is bad; one that could not look has no data.
fn sample(sight: Sight) -> Sample {
    match sight {
        Ok(seen) => Sample { ok: Some(true), value: seen.value, line: seen.line },
        Err(failure) => {
            let looked = failure.class == Class::NotYet && !failure.message.starts_with("no data");
            Sample { ok: looked.then_some(false), value: None, line: failure.message }
        }
    }
}
