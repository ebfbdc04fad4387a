//! `elb.healthy`: enough healthy targets behind a load balancer, for long enough.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use serde_json::json;

use super::{Bind, Kind};
use crate::{
    base::{Class, Failure, short_duration},
    plan::{Check, Cx, Doubt, Identity, Param, Params, Permission, Seen, Shape},
    services::{Services, aws::Patience},
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "elb.healthy",
    summary: "a target group has at least n healthy targets",
    docs: "\
Green when at least `min` targets of the group are `healthy`; with `for`, when every look since that long ago said so.
`initial`, `draining`, `unused` and `unavailable` are not healthy.

What hurts people: a redirect to HTTPS fails a health check that expects 200; a new target is `initial` until it passed
its first checks; a target in a zone that the load balancer does not serve stays `unused`.

Limits: `for` counts from this check's own looks; what was before the first one is not known.

API: ELBv2 `DescribeTargetGroups` (where a name is given), `DescribeTargetHealth`.",
    params: PARAMS,
    doubt: Doubt::Read,
    needs: &[
        "elasticloadbalancing:DescribeTargetGroups",
        "elasticloadbalancing:DescribeTargetHealth",
        "sts:GetCallerIdentity",
    ],
    example: include_str!("../../runbooks/kinds/elb.healthy.toml"),
    bind: Bind::Check(bind),
};

const PARAMS: &[Param] = &[
    Param { name: "target_group", shape: Shape::Text, required: true, help: "ARN or name of the target group" },
    Param { name: "min", shape: Shape::Count, required: true, help: "healthy targets that are enough, at least 1" },
    Param { name: "for", shape: Shape::Duration, required: false, help: "how long it must have been so; default: now" },
];

/// Targets that are named where too few are healthy.
const NAMED: usize = 8;

struct Healthy {
    services: Arc<Services>,
    target_group: String,
    min: u64,
    hold: Duration,
    /// Milliseconds from `born` to the first of the unbroken good looks, plus one; 0: none.
    since: AtomicU64,
    born: Instant,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Check> {
    let min = params.opt_count("min");
    if min == Some(0) {
        let at = params.place_of("min");
        params.mistake(at, "`min` must be at least 1", "green without any target", None);
    }
    Arc::new(Healthy {
        services: services.clone(),
        target_group: params.text("target_group"),
        min: min.unwrap_or(1),
        hold: params.opt_duration("for").unwrap_or_default(),
        since: AtomicU64::new(0),
        born: Instant::now(),
    })
}

impl Healthy {
    /// How long it has been good, this look included; a bad look starts anew.
    fn held(&self, good: bool) -> Duration {
        if !good {
            self.since.store(0, Ordering::Relaxed);
            return Duration::ZERO;
        }
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1;
        let first = self.since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        Duration::from_millis(now.saturating_sub(first.err().unwrap_or(now)))
    }
}

impl Check for Healthy {
    fn looks(&self) -> String {
        let hold = if self.hold.is_zero() { String::new() } else { format!(" for {}", short_duration(self.hold)) };
        format!("ELB DescribeTargetHealth {} expects {} healthy{hold}", self.target_group, self.min)
    }

    fn needs(&self) -> Vec<Permission> {
        let groups = (!self.target_group.starts_with("arn:"))
            .then(|| Permission::anywhere("elasticloadbalancing:DescribeTargetGroups"));
        groups.into_iter().chain([Permission::anywhere("elasticloadbalancing:DescribeTargetHealth")]).collect()
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        Box::pin(async { self.services.aws.fence().await.map(Some) })
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(async move {
            let patience = Patience::of(cx);
            let aws = &self.services.aws;
            let looked = async {
                let arn = aws.target_group(&self.target_group, &patience).await?;
                aws.target_health(&arn, &patience).await
            };
            let targets = looked.await.inspect_err(|_| {
                self.held(false);
            })?;
            let healthy = targets.iter().filter(|target| target.state == "healthy").count();
            let good = u64::try_from(healthy).is_ok_and(|healthy| healthy >= self.min);
            let held = self.held(good);
            let line = format!("{healthy} of {} targets healthy", targets.len());
            if targets.is_empty() {
                return Err(Failure::new(Class::NotYet, format!("no target is registered in {}", self.target_group)));
            }
            if !good {
                let failure = Failure::new(Class::NotYet, format!("{line}, wanted {}", self.min));
                let bad = targets.iter().filter(|target| target.state != "healthy").take(NAMED);
                return Err(bad.fold(failure, |failure, target| {
                    failure.because(format!("{} is {} {}", target.id, target.state, target.reason).trim_end())
                }));
            }
            if held < self.hold {
                let words = format!("{line} for {}, wanted {}", short_duration(held), short_duration(self.hold));
                return Err(Failure::new(Class::NotYet, words));
            }
            let line = if self.hold.is_zero() { line } else { format!("{line} for {}", short_duration(held)) };
            let states: Vec<_> =
                targets.iter().map(|target| json!({ "id": target.id, "state": target.state })).collect();
            #[expect(clippy::cast_precision_loss, reason = "a target group has at most a thousand targets")]
            let value = healthy as f64;
            Ok(Seen::new(line).value(value).with(json!({ "targets": states })))
        })
    }
}
