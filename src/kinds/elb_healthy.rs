//! `elb.healthy`: enough healthy targets behind a load balancer, for long enough.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::{BoxFuture, try_join_all};
use serde_json::json;

use super::{Bind, Kind, held::Held};
use crate::{
    base::{Class, Failure, short_duration},
    plan::{Check, Cx, Doubt, Identity, Param, Params, Permission, Seen, Shape},
    services::{
        Services,
        aws::{Patience, Target, TargetGroup},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "elb.healthy",
    summary: "target groups have enough healthy targets",
    docs: "\
Green when every group named by `target_group` has at least `min` targets that are `healthy`; with `all`, when no target is anything
else (those that are `draining` leave and do not count); with `for`, when every look since that long ago said so.
`initial`, `unhealthy`, `unhealthy.draining`, `unused` and `unavailable` are not healthy. A group without any target never is.

What hurts people: an application that redirects to HTTPS answers 301 to a health check that expects 200
(`Target.ResponseCodeMismatch`); a new target is `initial` until it passed its first checks; a target in a zone that the load balancer
does not serve, or in a group that no listener forwards to, stays `unused`; when *all* targets are unhealthy the load balancer sends
requests to all of them, so that a page that loads proves nothing.

Limits: `for` counts from this check's own looks; what was before the first one, or in five minutes without one, is not known.

API: ELBv2 `DescribeTargetGroups` (where a name is given), `DescribeTargetHealth`; reasons: \"Health checks for your target groups\".",
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
    Param {
        name: "target_group",
        shape: Shape::Texts,
        required: true,
        help: "ARN or name of the target group, or a list of them",
    },
    Param {
        name: "min",
        shape: Shape::Count,
        required: false,
        help: "healthy targets of each group that are enough; default: 1 with `all`, else it has to be said",
    },
    Param { name: "all", shape: Shape::Flag, required: false, help: "every target must be healthy; default: false" },
    Param { name: "for", shape: Shape::Duration, required: false, help: "how long it must have been so; default: now" },
];

/// Targets that are named where too few are healthy.
const NAMED: usize = 8;

struct Healthy {
    services: Arc<Services>,
    groups: Vec<String>,
    min: u64,
    all: bool,
    held: Held,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Check> {
    let all = params.opt_flag("all").unwrap_or(false);
    let min = params.opt_count("min");
    if min == Some(0) {
        let at = params.place_of("min");
        params.mistake(at, "`min` must be at least 1", "green without any target", None);
    }
    if !params.has("min") && !all {
        let help = Some("say how many healthy targets are enough, or `all = true`".into());
        let at = params.place();
        params.mistake(at, "`elb.healthy` needs `min`, or `all`", "`min` is missing here", help);
    }
    let groups = params.texts("target_group");
    if groups.is_empty() && params.has("target_group") {
        let at = params.place_of("target_group");
        params.mistake(at, "`target_group` is empty", "green without any target", None);
    }
    let held = Held::new(params.opt_duration("for").unwrap_or_default());
    Arc::new(Healthy { services: services.clone(), groups, min: min.unwrap_or(1), all, held })
}

/// A group as one look found it.
struct Look {
    group: TargetGroup,
    targets: Vec<Target>,
}

impl Look {
    fn healthy(&self) -> usize {
        self.targets.iter().filter(|target| target.state == "healthy").count()
    }

    /// Targets that are not healthy, those that leave among them.
    fn others(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().filter(|target| target.state != "healthy")
    }

    /// `1 of 3 targets healthy (1 draining, 1 initial)`.
    fn told(&self) -> String {
        let mut states: BTreeMap<&str, usize> = BTreeMap::new();
        self.others().for_each(|target| *states.entry(&target.state).or_default() += 1);
        let states: Vec<String> = states.into_iter().map(|(state, n)| format!("{n} {state}")).collect();
        let rest = if states.is_empty() { String::new() } else { format!(" ({})", states.join(", ")) };
        format!("{} of {} targets healthy{rest}", self.healthy(), self.targets.len())
    }
}

/// What helps against the reason that the load balancer gives.
fn advice(target: &Target) -> Option<&'static str> {
    let redirected = ["[301]", "[302]", "[307]", "[308]"].iter().any(|code| target.words.contains(code));
    Some(match target.reason.as_str() {
        "Target.ResponseCodeMismatch" if redirected => {
            "the application redirects the health check: exempt its path from forced HTTPS, or let the target group's matcher take the code"
        }
        "Target.ResponseCodeMismatch" => {
            "the health check's path answers another status than the matcher wants: ask for it from inside the network"
        }
        "Target.Timeout" => {
            "nothing answers the health check in time: look at the security group, the port, and how long the start takes"
        }
        "Target.FailedHealthChecks" => {
            "the connection to the target fails: look at the port, the protocol, and whether the application listens yet"
        }
        "Target.NotInUse" => {
            "no listener forwards to the target group, or the load balancer does not serve the target's zone"
        }
        "Target.IpUnusable" => "the address is the load balancer's own: the target has to be another one",
        "Target.InvalidState" => "the instance is stopped or terminated",
        "Target.HealthCheckDisabled" => "the target group has its health checks off: nobody can say who is healthy",
        _ => return None,
    })
}

impl Healthy {
    async fn look(&self, patience: &Patience) -> Result<Vec<Look>, Failure> {
        let aws = &self.services.aws;
        let groups = aws.target_groups(&self.groups, patience).await?;
        let looks = groups.into_iter().map(|group| async move {
            let targets = aws.target_health(&group.arn, patience).await?;
            Ok(Look { group, targets })
        });
        try_join_all(looks).await
    }

    fn is_good(&self, look: &Look) -> bool {
        let enough = u64::try_from(look.healthy()).is_ok_and(|healthy| healthy >= self.min);
        enough && !(self.all && look.others().any(|target| target.state != "draining"))
    }

    fn wanted(&self) -> String {
        match (self.all, self.min) {
            (false, min) => min.to_string(),
            (true, 1) => "all".into(),
            (true, min) => format!("all, at least {min}"),
        }
    }

    /// The groups in words, each by its name where there are several.
    fn told<'a>(&self, looks: impl Iterator<Item = &'a Look>) -> String {
        let one = self.groups.len() == 1;
        let told = |look: &Look| if one { look.told() } else { format!("{}: {}", look.group.name, look.told()) };
        looks.map(told).collect::<Vec<_>>().join("; ")
    }

    fn too_few(&self, looks: &[Look]) -> Failure {
        let bad: Vec<&Look> = looks.iter().filter(|look| !self.is_good(look)).collect();
        let empty = bad.iter().find(|look| look.targets.is_empty());
        let words = match empty {
            Some(look) => format!("no target is registered in {}", look.group.name),
            None => format!("{}, wanted {}", self.told(bad.iter().copied()), self.wanted()),
        };
        let failure = Failure::new(Class::NotYet, words);
        let others = || bad.iter().flat_map(|look| look.others());
        let failure = others().take(NAMED).fold(failure, |failure, target| {
            let why = [target.reason.as_str(), target.words.as_str()];
            let why: Vec<&str> = why.into_iter().filter(|text| !text.is_empty()).collect();
            failure.because(format!("{} is {} {}", target.id, target.state, why.join(": ")).trim_end())
        });
        // What comes and goes by itself has no advice.
        match others().find_map(advice) {
            Some(advice) => failure.hint(advice),
            None => failure,
        }
    }
}

impl Check for Healthy {
    fn looks(&self) -> String {
        let groups = self.groups.join(", ");
        format!("ELB DescribeTargetHealth {groups} expects {} healthy{}", self.wanted(), self.held.words())
    }

    fn needs(&self) -> Vec<Permission> {
        // Neither takes a resource ("Actions, resources, and condition keys for Elastic Load Balancing V2").
        let by_name = self.groups.iter().any(|group| !group.starts_with("arn:"));
        let names = by_name.then(|| Permission::anywhere("elasticloadbalancing:DescribeTargetGroups"));
        names.into_iter().chain([Permission::anywhere("elasticloadbalancing:DescribeTargetHealth")]).collect()
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
                return Err(self.too_few(&looks));
            }
            let line = self.told(looks.iter());
            if held < self.held.wanted {
                let words = format!("{line} for {}, wanted{}", short_duration(held), self.held.words());
                return Err(Failure::new(Class::NotYet, words));
            }
            let states = |look: &Look| {
                let targets = look.targets.iter().map(|target| json!({ "id": target.id, "state": target.state }));
                json!({ "target_group": look.group.name, "targets": targets.collect::<Vec<_>>() })
            };
            let groups: Vec<_> = looks.iter().map(states).collect();
            #[expect(clippy::cast_precision_loss, reason = "a target group has at most a thousand targets")]
            let value = looks.iter().map(Look::healthy).sum::<usize>() as f64;
            let line = format!("{line}{}", self.held.so_far(held));
            Ok(Seen::new(line).value(value).with(json!({ "groups": groups })))
        })
    }
}
