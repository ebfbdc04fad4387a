//! `ecr.image`: an image is in its repository, is the right one, and may run.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::json;

use super::{Bind, Kind, amiss};
use crate::{
    base::{Class, Failure, short_duration},
    plan::{Check, Cx, Doubt, Identity, Param, Params, Permission, Seen, Shape},
    services::{
        Services,
        aws::{Image, Patience, Platform, Repository, Scan, moment, now},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "ecr.image",
    summary: "an image is in its ECR repository, with the right digest, platform and scan",
    docs: "\
Green when the repository holds the image `tag` (or `digest`), and whatever else is given holds: with both, the tag points to that digest; it was
pushed at most `max_age` ago; its manifest list has `platform`; its last scan is done and found at most `max_critical` and `max_high`;
tags of the repository cannot move (`immutable = true`). With a platform the scan is that of the platform's own image. *No scan is never green*
where a limit is given.

What hurts people: a tag that moved between the rehearsal and the night: name the digest. An image built on an ARM laptop does not start on
X86_64 Fargate (`exec format error`). The registry of another account needs its own permission (`registry_id`). A replicated image arrives
in the second region later (`region`).

Limits: a single image's manifest does not name its platform, so `platform` needs a manifest list. Critical findings are named from the first page
of the scan; their number is that of the whole scan.

API: ECR `DescribeImages`; for a platform `BatchGetImage`; for scans `DescribeImageScanFindings`; for `immutable` `DescribeRepositories`.",
    params: PARAMS,
    doubt: Doubt::Read,
    needs: &[
        "ecr:BatchGetImage",
        "ecr:DescribeImageScanFindings",
        "ecr:DescribeImages",
        "ecr:DescribeRepositories",
        "sts:GetCallerIdentity",
    ],
    example: include_str!("../../runbooks/kinds/ecr.image.toml"),
    bind: Bind::Check(bind),
};

const PARAMS: &[Param] = &[
    Param { name: "repository", shape: Shape::Text, required: true, help: "its name, without the registry's host" },
    Param { name: "tag", shape: Shape::Text, required: false, help: "the image's tag" },
    Param { name: "digest", shape: Shape::Text, required: false, help: "sha256:… that it must be" },
    Param { name: "registry_id", shape: Shape::Text, required: false, help: "account of the registry; default: ours" },
    Param { name: "region", shape: Shape::Text, required: false, help: "default: the environment's" },
    Param { name: "platform", shape: Shape::Text, required: false, help: "such as linux/arm64" },
    Param { name: "max_age", shape: Shape::Duration, required: false, help: "how long ago it was pushed, at most" },
    Param {
        name: "max_critical",
        shape: Shape::Count,
        required: false,
        help: "critical findings of its scan, at most",
    },
    Param { name: "max_high", shape: Shape::Count, required: false, help: "high findings of its scan, at most" },
    Param { name: "immutable", shape: Shape::Flag, required: false, help: "true: tags must not be able to move" },
];

/// Findings that are named.
const NAMED: usize = 8;

struct There {
    services: Arc<Services>,
    repository: Repository,
    tag: Option<String>,
    digest: Option<String>,
    platform: Option<String>,
    max_age: Option<Duration>,
    max_critical: Option<u64>,
    max_high: Option<u64>,
    immutable: bool,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Check> {
    let (tag, digest) = (params.opt_text("tag"), params.opt_text("digest"));
    if !params.has("tag") && !params.has("digest") {
        let at = params.place();
        params.mistake(at, "`ecr.image` needs `tag` or `digest`", "neither is given here", None);
    }
    let hex = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if digest.as_ref().is_some_and(|digest| !digest.strip_prefix("sha256:").is_some_and(hex)) {
        let at = params.place_of("digest");
        params.mistake(at, "`digest` must be sha256: and 64 hex digits", "not a digest", None);
    }
    let platform = params.opt_text("platform");
    if platform.as_ref().is_some_and(|text| !(2..=3).contains(&text.split('/').filter(|p| !p.is_empty()).count())) {
        let at = params.place_of("platform");
        params.mistake(at, "`platform` must be such as linux/arm64", "not a platform", None);
    }
    let registry = params.opt_text("registry_id");
    if registry.as_ref().is_some_and(|id| id.len() != 12 || !id.bytes().all(|b| b.is_ascii_digit())) {
        let at = params.place_of("registry_id");
        params.mistake(at, "`registry_id` must be twelve digits", "not an account id", None);
    }
    let name = params.text("repository");
    if name.contains(".dkr.ecr.") || name.contains(':') {
        let at = params.place_of("repository");
        let help = Some("acme/web, with `registry_id`, `region` and `tag` of their own".into());
        params.mistake(at, "`repository` must be the name alone", "an image's address", help);
    }
    Arc::new(There {
        services: services.clone(),
        repository: Repository { name, registry, region: params.opt_text("region") },
        tag,
        digest,
        platform,
        max_age: params.opt_duration("max_age"),
        max_critical: params.opt_count("max_critical"),
        max_high: params.opt_count("max_high"),
        immutable: params.opt_flag("immutable").unwrap_or(false),
    })
}

/// `sha256:0123456789ab`: enough of a digest for a line.
fn short(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}

impl There {
    /// `acme/web:2026-12-05`, `acme/web@sha256:…`.
    fn name(&self) -> String {
        let name = &self.repository.name;
        match (&self.tag, &self.digest) {
            (Some(tag), _) => format!("{name}:{tag}"),
            (None, digest) => format!("{name}@{}", short(digest.as_deref().unwrap_or_default())),
        }
    }

    fn scans(&self) -> bool {
        self.max_critical.is_some() || self.max_high.is_some()
    }

    /// Finds the platform's own image; the platforms there are, where it is not among them.
    fn of_platform<'l>(&self, wanted: &str, list: Option<&'l [Platform]>) -> Result<&'l Platform, Failure> {
        let name = self.name();
        let Some(list) = list else {
            let words = format!("no data: {name} is a single image, whose manifest names no platform");
            let failure = Failure::new(Class::NotYet, words);
            return Err(
                failure.hint("push a manifest list (docker buildx build --platform …), or leave `platform` out")
            );
        };
        let variant = |one: &&Platform| one.name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('/'));
        let found = list.iter().find(|one| one.name == wanted).or_else(|| list.iter().find(variant));
        found.ok_or_else(|| {
            let there = list.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ");
            Failure::new(Class::NotYet, format!("{name} is not built for {wanted}: it has {there}"))
        })
    }

    /// What is wrong with a scan.
    fn findings(&self, scan: Option<&Scan>) -> Vec<String> {
        let Some(scan) = scan else { return vec!["no data: it was never scanned".into()] };
        // ACTIVE: Inspector scans it again and again; its findings are those of now.
        if !matches!(scan.status.as_str(), "COMPLETE" | "ACTIVE") {
            let words = if scan.words.is_empty() { String::new() } else { format!(": {}", scan.words) };
            return vec![format!("no data: its scan is {}{words}", scan.status)];
        }
        let mut wrong = Vec::new();
        for (severity, most) in [("CRITICAL", self.max_critical), ("HIGH", self.max_high)] {
            let n = scan.count(severity);
            if let Some(most) = most.filter(|most| n > *most) {
                wrong.push(format!("{n} {severity} findings, wanted at most {most}"));
                if severity == "CRITICAL" && !scan.critical.is_empty() {
                    let names = scan.critical.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>();
                    wrong.push(format!("critical: {}", names.join(", ")));
                }
            }
        }
        wrong
    }

    fn judge(&self, now: DateTime<Utc>, image: &Image) -> Vec<String> {
        let mut wrong = Vec::new();
        if let Some(wanted) = self.digest.as_ref().filter(|wanted| **wanted != image.digest) {
            wrong.push(format!("the tag points to {}, wanted {wanted}", image.digest));
        }
        if let Some(most) = self.max_age {
            match image.pushed.map(|at| (now - at).to_std().unwrap_or_default()) {
                Some(age) if age <= most => {}
                Some(age) => {
                    wrong.push(format!("pushed {} ago, wanted at most {}", short_duration(age), short_duration(most)));
                }
                None => wrong.push("no data: ECR does not say when it was pushed".into()),
            }
        }
        wrong
    }
}

impl Check for There {
    fn looks(&self) -> String {
        let digest = self.tag.as_ref().and(self.digest.as_deref()).map(|digest| format!(" to be {}", short(digest)));
        let platform = self.platform.as_ref().map(|platform| format!(" with {platform}")).unwrap_or_default();
        let scan = if self.scans() { " and its scan" } else { "" };
        format!("ECR DescribeImages {} expects it{}{platform}{scan}", self.name(), digest.unwrap_or_default())
    }

    fn needs(&self) -> Vec<Permission> {
        let Repository { registry, region, .. } = &self.repository;
        let resource = self.repository.resource();
        let arn = self.services.aws.arn_at(region.as_deref(), registry.as_deref(), "ecr", &resource);
        let actions = [
            ("ecr:BatchGetImage", self.platform.is_some()),
            ("ecr:DescribeImageScanFindings", self.scans()),
            ("ecr:DescribeImages", true),
            ("ecr:DescribeRepositories", self.immutable),
        ];
        actions.into_iter().filter(|(_, used)| *used).map(|(action, _)| Permission::new(action, arn.clone())).collect()
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
            let (aws, name) = (&self.services.aws, self.name());
            let id = (self.tag.as_deref(), self.digest.as_deref());
            let Some(image) = aws.image(&self.repository, id, &patience).await? else {
                let failure = Failure::new(Class::NotYet, format!("{name} is not in the repository"));
                return Err(failure.hint("was it pushed, to this registry and this region, under this tag?"));
            };
            let now = now();
            amiss(&name, self.judge(now, &image))?;
            let mut words = vec![short(&image.digest).to_owned()];
            if let Some(at) = image.pushed {
                words.push(format!("pushed {} ago", short_duration((now - at).to_std().unwrap_or_default())));
            }
            let mut scanned = image.digest.clone();
            if let Some(wanted) = &self.platform {
                let list = aws.platforms(&self.repository, &image.digest, &patience).await?;
                let platform = self.of_platform(wanted, list.as_deref())?;
                scanned.clone_from(&platform.digest);
                words.push(format!("with {}", platform.name));
            }
            let mut counts = serde_json::Value::Null;
            if self.scans() {
                let scan = aws.scan(&self.repository, &scanned, &patience).await?;
                amiss(&name, self.findings(scan.as_ref()))?;
                if let Some(scan) = scan {
                    let (critical, high) = (scan.count("CRITICAL"), scan.count("HIGH"));
                    let age = scan.at.map(|at| short_duration((now - at).to_std().unwrap_or_default()));
                    let age = age.map(|age| format!(" in a scan {age} old")).unwrap_or_default();
                    words.push(format!("{critical} critical and {high} high findings{age}"));
                    counts = json!(scan.counts);
                }
            }
            if self.immutable {
                let how = aws.tag_mutability(&self.repository, &patience).await?;
                if how != "IMMUTABLE" {
                    amiss(&name, vec![format!("tags of the repository are {how}, wanted IMMUTABLE")])?;
                }
                words.push("tags cannot move".into());
            }
            let evidence = json!({
                "digest": image.digest, "tags": image.tags, "pushed": image.pushed.map(moment), "bytes": image.bytes,
                "platform": self.platform, "platform_digest": scanned, "findings": counts,
            });
            Ok(Seen::new(format!("{name} is {}", words.join(", "))).with(evidence))
        })
    }
}
