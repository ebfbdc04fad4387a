//! Amazon SQS, awsJson 1.0: queues with visibility timeouts, delays and dead letters, and the workers of the story,
//! who drain two of them.

mod api;
mod queue;

use chrono::{DurationRound as _, TimeDelta};
use serde::{Deserialize, Serialize};
use serde_json::json;

pub(in crate::sandbox::aws) use self::api::{answer, resource};
use self::queue::{Message, Place, Queue, Work};
use super::metrics::Metric;
use crate::sandbox::{
    names::WorldNames,
    seed::Seed,
    world::{Live, Moment, after},
};

/// A worker of the story takes a message this often, in milliseconds, and works on it for so long.
const TAKES: i64 = 400;
const WORKS: i64 = 900;
/// Minutes of numbers that a new process finds written.
const TOLD: i64 = 5;

/// All queues.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Queues {
    list: Vec<Queue>,
}

impl Queues {
    /// The story's queues: jobs, which workers drain within some seconds, their dead letters, and mail.
    pub fn new(names: &WorldNames, seed: &mut Seed, now: Moment) -> Self {
        let long_ago = now - TimeDelta::days(30);
        let mut queue = |name: &str, messages: i64| {
            let mut queue = Queue::new(name, long_ago);
            for n in 0..messages {
                let taken = after(now, 500 + n * TAKES);
                let mut message = Message::new(seed.uuid(), format!("{name} {n}"), now - TimeDelta::seconds(30 - n), 0);
                message.work = Work::Done { taken, over: after(taken, WORKS) };
                queue.messages.push(message);
            }
            queue
        };
        let mut list = vec![queue("acme-jobs", 12), queue("acme-jobs-dead", 0), queue("acme-mail", 4)];
        let dead = names.arn("sqs", "acme-jobs-dead");
        let redrive = json!({ "deadLetterTargetArn": dead, "maxReceiveCount": 3 }).to_string();
        for queue in list.iter_mut().filter(|queue| queue.name != "acme-jobs-dead") {
            queue.attributes.insert("RedrivePolicy".into(), redrive.clone());
        }
        Self { list }
    }

    /// Lets the workers go on up to `now`: what is worked off goes, what nobody can work off goes to the dead letters.
    pub fn advance(&mut self, now: Moment) {
        let mut dead = Vec::new();
        for queue in &mut self.list {
            let target = queue.dead_letters();
            queue.messages.retain_mut(|message| {
                if message.is_gone(now) {
                    return false;
                }
                let Some((name, most)) = &target else { return true };
                let dead_now = message.received(now) >= *most && message.place(now) == Place::Visible;
                if dead_now {
                    dead.push((name.clone(), message.clone()));
                }
                !dead_now
            });
        }
        for (name, mut message) in dead {
            if let Some(queue) = self.list.iter_mut().find(|queue| queue.name == name) {
                message.rest();
                queue.messages.push(message);
            }
        }
    }

    /// Writes the queues' numbers, once a minute, as SQS does (`AWS/SQS`).
    pub fn publish(&self, live: &mut Live, now: Moment) {
        let Ok(minute) = now.duration_trunc(TimeDelta::minutes(1)) else { return };
        let told = live.queues_told.unwrap_or(minute - TimeDelta::minutes(TOLD));
        if told >= minute {
            return;
        }
        live.queues_told = Some(minute);
        for queue in &self.list {
            let dimensions = [("QueueName".to_owned(), queue.name.clone())].into();
            let metric =
                Metric { namespace: "AWS/SQS".into(), name: "ApproximateAgeOfOldestMessage".into(), dimensions };
            let minutes = (1..=TOLD).rev().map(|n| minute - TimeDelta::minutes(n)).filter(|at| *at >= told);
            for at in minutes.collect::<Vec<_>>() {
                let oldest = queue.messages.iter().map(|message| message.sent).min();
                #[expect(clippy::cast_precision_loss, reason = "ages in seconds")]
                let age = oldest.map_or(0.0, |sent| (at - sent).num_seconds().max(0) as f64);
                live.metrics.put(metric.clone(), at, vec![age]);
            }
        }
    }
}
