//! `cloudformation.in_sync`: a stack is complete, says what it ought to say, and nothing was changed behind its back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::sync::Mutex;

use super::{Bind, Kind};
use crate::{
    base::{Class, Failure, short_duration},
    plan::{Check, Cx, Doubt, Identity, Param, Params, Permission, Seen, Shape, TextOrSecret},
    services::{
        Services,
        aws::{Drifted, Patience, Stack, moment, now},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "cloudformation.in_sync",
    summary: "a CloudFormation stack is complete, has its outputs, and has not drifted",
    docs: "\
Green when the stack is `CREATE_COMPLETE`, `UPDATE_COMPLETE` or `IMPORT_COMPLETE` (a rolled back one is not, unless `allow_rolled_back`), every one
of `outputs` has its value, and the last drift detection, at most `max_age` old, said `IN_SYNC`. Resources that drifted are named with the paths of
the properties that differ; their values stay at AWS, because they may be secrets. `drift = \"ignore\"` looks at status and outputs only.

With `detect = true` a detection is started where the last one is older than `max_age` or never was, and waited for. `DetectStackDrift` changes
no resource and IAM counts it as a read; it does start a job of some minutes, replaces what the stack says of its drift, and reads **every
resource with the caller's own permissions**, which have to be there as well as those named here. That is why it is not the default.

What hurts people: `UPDATE_ROLLBACK_COMPLETE` looks fine in green letters and is the old stack; a drift detection of last month says nothing; what
somebody changed in the console is put back by the next deployment, in the middle of the night.

Limits: CloudFormation detects drift of properties that the template sets, of resource types that support it; nested stacks are detected on their own.

API: CloudFormation `DescribeStacks`; for a drift `DescribeStackResourceDrifts`; with `detect` `DetectStackDrift`, `DescribeStackDriftDetectionStatus`.",
    params: PARAMS,
    doubt: Doubt::Read,
    needs: &[
        "cloudformation:BatchDescribeTypeConfigurations",
        "cloudformation:DescribeStackDriftDetectionStatus",
        "cloudformation:DescribeStackResourceDrifts",
        "cloudformation:DescribeStacks",
        "cloudformation:DetectStackDrift",
        "cloudformation:DetectStackResourceDrift",
        "sts:GetCallerIdentity",
    ],
    example: include_str!("../../runbooks/kinds/cloudformation.in_sync.toml"),
    bind: Bind::Check(bind),
};

const PARAMS: &[Param] = &[
    Param { name: "stack", shape: Shape::Text, required: true, help: "name or ARN of the stack" },
    Param { name: "outputs", shape: Shape::Map, required: false, help: "outputs that it must have, with their values" },
    Param { name: "drift", shape: Shape::Text, required: false, help: "in_sync or ignore; default: in_sync" },
    Param {
        name: "max_age",
        shape: Shape::Duration,
        required: false,
        help: "how old the last drift detection may be; default: 24h",
    },
    Param { name: "detect", shape: Shape::Flag, required: false, help: "start a detection where it is older" },
    Param { name: "allow_rolled_back", shape: Shape::Flag, required: false, help: "UPDATE_ROLLBACK_COMPLETE will do" },
];

/// A detection that is older says nothing of tonight.
const AGE: Duration = Duration::from_secs(24 * 3600);
/// Between two looks at a detection under way: it takes minutes, and CloudFormation throttles early.
const PAUSE: Duration = Duration::from_secs(2);
/// CloudFormation keeps a detection for a while only; one that is older is started anew.
const FORGOTTEN: Duration = Duration::from_secs(30 * 60);
/// Resources and paths that are named.
const NAMED: usize = 10;

struct InSync {
    services: Arc<Services>,
    stack: String,
    outputs: Vec<(String, String)>,
    drift: bool,
    max_age: Duration,
    detect: bool,
    rolled_back: bool,
    /// The detection under way, and since when: a look that was cut short is taken up by the next one.
    under_way: Mutex<Option<(String, Instant)>>,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Check> {
    let drift = params.word("drift", &[("in_sync", true), ("ignore", false)]);
    for key in ["detect", "max_age"] {
        if !drift && params.has(key) {
            let at = params.place_of(key);
            let words = format!("`{key}` does not go with `drift = \"ignore\"`");
            params.mistake(at, words, "nothing is looked at that it could apply to", None);
        }
    }
    let mut outputs = Vec::new();
    for (name, value) in params.map("outputs") {
        match value {
            TextOrSecret::Text(value) => outputs.push((name, value)),
            TextOrSecret::Secret(_) => {
                let at = params.place_of("outputs");
                params.mistake(at, "an output must not be a secret", "would be shown in the clear", None);
            }
        }
    }
    Arc::new(InSync {
        services: services.clone(),
        stack: params.text("stack"),
        outputs,
        drift,
        max_age: params.opt_duration("max_age").unwrap_or(AGE),
        detect: params.opt_flag("detect").unwrap_or(false),
        rolled_back: params.opt_flag("allow_rolled_back").unwrap_or(false),
        under_way: Mutex::new(None),
    })
}

impl InSync {
    fn not_yet(&self, words: impl std::fmt::Display) -> Failure {
        Failure::new(Class::NotYet, format!("stack {}: {words}", self.name()))
    }

    /// The name, also where an ARN is given.
    fn name(&self) -> &str {
        self.stack.split('/').nth(1).filter(|_| self.stack.starts_with("arn:")).unwrap_or(&self.stack)
    }

    /// Status and outputs.
    fn whole(&self, stack: &Stack) -> Result<(), Failure> {
        let good = ["CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"].contains(&stack.status.as_str());
        let undone = self.rolled_back && stack.status == "UPDATE_ROLLBACK_COMPLETE";
        if !good && !undone {
            let failure = self.not_yet(format!("it is {}", stack.status));
            let failure = if stack.reason.is_empty() { failure } else { failure.because(&stack.reason) };
            return Err(match stack.status.contains("ROLLBACK") {
                true => failure.hint("an update failed and was undone: read the stack's events"),
                false => failure,
            });
        }
        for (name, wanted) in &self.outputs {
            match stack.outputs.iter().find(|(key, _)| key == name) {
                Some((_, value)) if value == wanted => {}
                Some((_, value)) => return Err(self.not_yet(format!("output {name} is {value}, wanted {wanted}"))),
                None => return Err(self.not_yet(format!("there is no output {name}, wanted {wanted}"))),
            }
        }
        Ok(())
    }

    /// How old what the stack says of its drift is; `None`: nothing is known.
    fn age(stack: &Stack, now: DateTime<Utc>) -> Option<Duration> {
        let known = matches!(stack.drift.as_str(), "IN_SYNC" | "DRIFTED");
        stack.checked.filter(|_| known).map(|at| (now - at).to_std().unwrap_or_default())
    }

    /// Has CloudFormation look, and waits until it has.
    async fn look(&self, cx: &Cx, patience: &Patience) -> Result<(), Failure> {
        let aws = &self.services.aws;
        let mut under_way = self.under_way.lock().await;
        let id = match under_way.take().filter(|(_, since)| since.elapsed() < FORGOTTEN) {
            Some((id, since)) => under_way.insert((id, since)).0.clone(),
            None => {
                let Some(id) = aws.detect_drift(&self.stack, patience).await? else {
                    return Err(self.not_yet("somebody else's drift detection is under way"));
                };
                cx.line(format!("drift detection of {} started", self.name()));
                under_way.insert((id, Instant::now())).0.clone()
            }
        };
        loop {
            let found = aws.drift_detection(&id, patience).await?;
            match found.status.as_str() {
                "DETECTION_COMPLETE" => {
                    *under_way = None;
                    return Ok(());
                }
                "DETECTION_FAILED" => {
                    *under_way = None;
                    let failure = self.not_yet("no data: the drift detection failed");
                    return Err(failure.because(found.reason).hint("the caller needs to read every resource itself"));
                }
                _ => {}
            }
            let failure = || self.not_yet("no data: the drift detection is under way");
            cx.pause(PAUSE).await.map_err(|end| failure().because(end.message))?;
        }
    }

    fn drifted(&self, found: &[Drifted], age: &str) -> Failure {
        let failure = self.not_yet(format!("{} resources have drifted, found {age} ago", found.len()));
        let failure = found.iter().take(NAMED).fold(failure, |failure, one| {
            let paths = one.paths.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
            let at = if paths.is_empty() { String::new() } else { format!(" at {paths}") };
            failure.because(format!("{} ({}) {}{at}", one.name, one.kind, one.status))
        });
        failure.hint("put it into the template, or the next deployment will undo it")
    }
}

impl Check for InSync {
    fn looks(&self) -> String {
        let what = match (self.drift, self.detect) {
            (false, _) => String::new(),
            (true, false) => ", no drift".into(),
            (true, true) => format!(", no drift (DetectStackDrift where older than {})", short_duration(self.max_age)),
        };
        let outputs = if self.outputs.is_empty() { "" } else { " with its outputs" };
        format!("CloudFormation DescribeStacks {} expects complete{outputs}{what}", self.name())
    }

    fn needs(&self) -> Vec<Permission> {
        // A stack's ARN ends in an id that only its making gave it.
        let arn = self.services.aws.arn("cloudformation", &self.stack);
        let arn = if self.stack.starts_with("arn:") {
            arn
        } else {
            self.services.aws.arn("cloudformation", &format!("stack/{}/*", self.stack))
        };
        let on = |action: &str| Permission::new(format!("cloudformation:{action}"), arn.clone());
        let mut needs = vec![on("DescribeStacks")];
        if self.drift {
            needs.push(on("DescribeStackResourceDrifts"));
        }
        if self.detect {
            needs.push(Permission::anywhere("cloudformation:BatchDescribeTypeConfigurations"));
            needs.push(Permission::anywhere("cloudformation:DescribeStackDriftDetectionStatus"));
            needs.push(on("DetectStackDrift"));
            needs.push(on("DetectStackResourceDrift"));
        }
        needs.sort();
        needs
    }

    fn every(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        self.services.aws.fence()
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(async move {
            let patience = Patience::of(cx);
            let aws = &self.services.aws;
            let mut stack = aws.stack(&self.stack, &patience).await?;
            self.whole(&stack)?;
            if self.drift && self.detect && Self::age(&stack, now()).is_none_or(|age| age > self.max_age) {
                self.look(cx, &patience).await?;
                stack = aws.stack(&self.stack, &patience).await?;
                self.whole(&stack)?;
            }
            let now = now();
            let mut line = format!("stack {} is {}", self.name(), stack.status);
            if let Some(at) = stack.updated {
                let since = short_duration((now - at).to_std().unwrap_or_default());
                line.push_str(&format!(", last changed {since} ago"));
            }
            if self.drift {
                let Some(age) = Self::age(&stack, now) else {
                    let word = if stack.drift.is_empty() { "unknown" } else { &stack.drift };
                    let failure = self.not_yet(format!("no data: its drift is {word}"));
                    return Err(failure.hint("`detect = true` lets this check start a detection"));
                };
                if age > self.max_age {
                    let (age, most) = (short_duration(age), short_duration(self.max_age));
                    let failure = self.not_yet(format!("no data: its drift was detected {age} ago, wanted {most}"));
                    return Err(failure.hint("`detect = true` lets this check start a detection"));
                }
                let age = short_duration(age);
                if stack.drift != "IN_SYNC" {
                    let found = aws.drifted(&self.stack, &patience).await?;
                    return Err(self.drifted(&found, &age));
                }
                line.push_str(&format!(", in sync as of {age} ago"));
            }
            if !self.outputs.is_empty() {
                line.push_str(&format!(", {} outputs as expected", self.outputs.len()));
            }
            let evidence = json!({
                "id": stack.id, "status": stack.status, "updated": stack.updated.map(moment),
                "drift": stack.drift, "drift_checked": stack.checked.map(moment),
            });
            Ok(Seen::new(line).with(evidence))
        })
    }
}
