//! `sqs.depth`: queues are empty, or shallow enough, and stay so.

use std::{sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, try_join_all};
use serde_json::json;

use super::{Bind, Kind, held::Held};
use crate::{
    base::{Class, Failure, short_duration},
    plan::{Check, Cx, Doubt, Identity, Param, Params, Permission, Seen, Shape},
    services::{
        Services,
        aws::{Depth, Patience, QueueRef},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "sqs.depth",
    summary: "SQS queues are drained, or shallow enough",
    docs: "\
Green when each of `queues` has at most `max_visible` messages waiting, `max_in_flight` received and not yet deleted, and `max_delayed`
whose delay is not over (all 0 where nothing is said), in every look since `held` ago. With `max_dead_letters` the queue for what could
not be worked off is counted too (what waits, is in flight or delayed there); with `max_oldest` the age of the oldest message, from
CloudWatch, has to be at most that.

What hurts people: SQS's counts are approximate and agree only a minute after the last message was sent, so that one look at an
empty queue proves nothing: that is why `held` is a minute. A worker that is killed gives its messages back when their visibility
timeout ends: in flight counts, too. Messages that were tried too often are not worked off, they lie in the dead-letter queue.
Stop whoever sends first.

Limits: `held` counts from this check's own looks; what was before the first one, or in five minutes without one, is not known.
`ApproximateAgeOfOldestMessage` comes minutes late and is not written for a queue that nobody has used for six hours, which is no data.

API: SQS `GetQueueUrl` (where a name or an ARN is given), `GetQueueAttributes`; CloudWatch `GetMetricData` for `max_oldest`.",
    params: PARAMS,
    doubt: Doubt::Read,
    needs: &["cloudwatch:GetMetricData", "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sts:GetCallerIdentity"],
    example: include_str!("../../runbooks/kinds/sqs.depth.toml"),
    bind: Bind::Check(bind),
};

const PARAMS: &[Param] = &[
    Param { name: "queues", shape: Shape::Texts, required: true, help: "names, ARNs or URLs" },
    Param { name: "max_visible", shape: Shape::Count, required: false, help: "messages that may wait; default: 0" },
    Param {
        name: "max_in_flight",
        shape: Shape::Count,
        required: false,
        help: "messages that may be received and not deleted; default: 0",
    },
    Param {
        name: "max_delayed",
        shape: Shape::Count,
        required: false,
        help: "messages whose delay may still run; default: 0",
    },
    Param {
        name: "held",
        shape: Shape::Duration,
        required: false,
        help: "how long it must have been so; default: 60s, because the counts are approximate",
    },
    Param {
        name: "max_dead_letters",
        shape: Shape::Count,
        required: false,
        help: "messages that the dead-letter queue may hold; default: nobody looks",
    },
    Param {
        name: "max_oldest",
        shape: Shape::Duration,
        required: false,
        help: "age that the oldest message may have, by CloudWatch; default: nobody looks",
    },
];

/// "ApproximateNumberOfMessages… may not achieve consistency until at least 1 minute" (`GetQueueAttributes`).
const HELD: Duration = Duration::from_secs(60);

struct Drained {
    services: Arc<Services>,
    queues: Vec<QueueRef>,
    max_visible: u64,
    max_in_flight: u64,
    max_delayed: u64,
    max_dead_letters: Option<u64>,
    max_oldest: Option<Duration>,
    held: Held,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Check> {
    let names = params.texts("queues");
    if names.is_empty() && params.has("queues") {
        let at = params.place_of("queues");
        params.mistake(at, "`queues` is empty", "green without any queue", None);
    }
    let mut queues = Vec::with_capacity(names.len());
    for name in names {
        match name.parse() {
            Ok(queue) => queues.push(queue),
            Err(no) => {
                let at = params.place_of("queues");
                let name = crate::base::clean_line(&name, 80);
                let help = Some("a name has up to 80 letters, digits, - and _, and may end in .fifo".into());
                params.mistake(at, format!("`{name}` is {no}"), "in this list", help);
            }
        }
    }
    Arc::new(Drained {
        services: services.clone(),
        queues,
        max_visible: params.opt_count("max_visible").unwrap_or(0),
        max_in_flight: params.opt_count("max_in_flight").unwrap_or(0),
        max_delayed: params.opt_count("max_delayed").unwrap_or(0),
        max_dead_letters: params.opt_count("max_dead_letters"),
        max_oldest: params.opt_duration("max_oldest"),
        held: Held::new(params.opt_duration("held").unwrap_or(HELD)),
    })
}

/// One queue as one look found it.
struct Look<'a> {
    queue: &'a QueueRef,
    depth: Depth,
    /// Name of the dead-letter queue and what is in it.
    dead: Option<(String, u64)>,
    oldest: Option<Duration>,
}

impl Look<'_> {
    /// `jobs: 3 visible, 1 in flight, 0 delayed`.
    fn told(&self) -> String {
        let Depth { visible, in_flight, delayed, .. } = self.depth;
        let mut told = format!("{}: {visible} visible, {in_flight} in flight, {delayed} delayed", self.queue.name());
        if let Some((name, n)) = &self.dead {
            told += &format!(", {n} dead in {name}");
        }
        if let Some(oldest) = self.oldest {
            told += &format!(", oldest {}", short_duration(oldest));
        }
        told
    }
}

impl Drained {
    async fn look(&self, patience: &Patience) -> Result<Vec<Look<'_>>, Failure> {
        try_join_all(self.queues.iter().map(|queue| self.look_at(queue, patience))).await
    }

    async fn look_at<'a>(&self, queue: &'a QueueRef, patience: &Patience) -> Result<Look<'a>, Failure> {
        let aws = &self.services.aws;
        let depth = aws.queue_depth(queue, patience).await?;
        let mut dead = None;
        if self.max_dead_letters.is_some() {
            let Some(arn) = &depth.dead_letters else {
                let words = format!("queue {} has no dead-letter queue", queue.name());
                return Err(Failure::new(Class::Misconfigured, words)
                    .hint("leave `max_dead_letters` out, or give the queue a redrive policy"));
            };
            let other: QueueRef = arn.parse().map_err(|no| {
                Failure::new(Class::Misconfigured, format!("the redrive policy of {}: {arn} is {no}", queue.name()))
            })?;
            let Depth { visible, in_flight, delayed, .. } = aws.queue_depth(&other, patience).await?;
            dead = Some((other.name().to_owned(), visible + in_flight + delayed));
        }
        let mut oldest = None;
        if self.max_oldest.is_some() {
            oldest = aws.oldest_message(queue, patience).await?;
            if oldest.is_none() {
                let words = format!("no data: CloudWatch has no age of the oldest message of {}", queue.name());
                return Err(Failure::new(Class::NotYet, words)
                    .hint("nothing is written for a queue that nobody has used for six hours"));
            }
        }
        Ok(Look { queue, depth, dead, oldest })
    }

    fn is_good(&self, look: &Look<'_>) -> bool {
        let Depth { visible, in_flight, delayed, .. } = look.depth;
        let dead = look.dead.as_ref().map_or(0, |(_, n)| *n);
        visible <= self.max_visible
            && in_flight <= self.max_in_flight
            && delayed <= self.max_delayed
            && dead <= self.max_dead_letters.unwrap_or(u64::MAX)
            && look.oldest.unwrap_or_default() <= self.max_oldest.unwrap_or(Duration::MAX)
    }

    /// `at most 0 visible, 0 in flight, 0 delayed`.
    fn wanted(&self) -> String {
        let Self { max_visible, max_in_flight, max_delayed, .. } = self;
        let mut wanted = format!("at most {max_visible} visible, {max_in_flight} in flight, {max_delayed} delayed");
        if let Some(n) = self.max_dead_letters {
            wanted += &format!(", {n} dead");
        }
        if let Some(oldest) = self.max_oldest {
            wanted += &format!(", oldest {}", short_duration(oldest));
        }
        wanted
    }

    fn too_deep(&self, looks: &[Look<'_>]) -> Failure {
        let bad: Vec<&Look<'_>> = looks.iter().filter(|look| !self.is_good(look)).collect();
        let told: Vec<String> = bad.iter().map(|look| look.told()).collect();
        let failure = Failure::new(Class::NotYet, format!("{}; wanted {}", told.join("; "), self.wanted()));
        let over = |n: u64, most: u64| n > most;
        if bad.iter().any(|look| look.dead.as_ref().is_some_and(|(_, n)| over(*n, self.max_dead_letters.unwrap_or(0))))
        {
            return failure.hint(
                "messages in the dead-letter queue were tried too often: look at one, then redrive or drop them",
            );
        }
        let stuck = bad.iter().all(|look| !over(look.depth.visible, self.max_visible));
        if stuck && bad.iter().any(|look| over(look.depth.in_flight, self.max_in_flight)) {
            return failure.hint("what is in flight was received and not deleted: a worker still works on it, or it ended and the visibility timeout runs");
        }
        failure
    }
}

impl Check for Drained {
    fn looks(&self) -> String {
        let names: Vec<&str> = self.queues.iter().map(QueueRef::name).collect();
        format!("SQS GetQueueAttributes {} expects {}{}", names.join(", "), self.wanted(), self.held.words())
    }

    fn needs(&self) -> Vec<Permission> {
        let aws = &self.services.aws;
        let mut needs = Vec::new();
        for queue in &self.queues {
            let arn = queue.arn(aws);
            if queue.is_looked_up() {
                needs.push(Permission::new("sqs:GetQueueUrl", arn.clone()));
            }
            needs.push(Permission::new("sqs:GetQueueAttributes", arn));
        }
        if self.max_dead_letters.is_some() {
            // Which queue that is, only the redrive policy says.
            let any = aws.arn("sqs", "*");
            needs.push(Permission::new("sqs:GetQueueUrl", any.clone()));
            needs.push(Permission::new("sqs:GetQueueAttributes", any));
        }
        if self.max_oldest.is_some() {
            needs.push(Permission::anywhere("cloudwatch:GetMetricData"));
        }
        needs
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        self.services.aws.fence()
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(async move {
            let looks = self.look(&Patience::of(cx)).await.inspect_err(|_| {
                self.held.look(false);
            })?;
            let good = looks.iter().all(|look| self.is_good(look));
            let held = self.held.look(good);
            if !good {
                return Err(self.too_deep(&looks));
            }
            let told: Vec<String> = looks.iter().map(Look::told).collect();
            let line = format!("{}{}", told.join("; "), self.held.so_far(held));
            if held < self.held.wanted {
                let words = format!("{line}, wanted{}: SQS's counts are approximate", self.held.words());
                return Err(Failure::new(Class::NotYet, words));
            }
            let queues: Vec<_> = looks
                .iter()
                .map(|look| {
                    json!({
                        "queue": look.queue.name(),
                        "visible": look.depth.visible,
                        "in_flight": look.depth.in_flight,
                        "delayed": look.depth.delayed,
                        "dead_letters": look.dead.as_ref().map(|(_, n)| n),
                        "oldest_s": look.oldest.map(|age| age.as_secs()),
                    })
                })
                .collect();
            let all = looks.iter().map(|look| look.depth.visible + look.depth.in_flight + look.depth.delayed);
            #[expect(clippy::cast_precision_loss, reason = "SQS holds at most some 10^8 messages")]
            let value = all.sum::<u64>() as f64;
            Ok(Seen::new(line).value(value).with(json!({ "queues": queues })))
        })
    }
}
