//! ECR: `acme/web` for two platforms and with tags that cannot move, `acme/worker` for one. Read only.

use std::fmt::Write as _;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::No;
use crate::sandbox::{
    names::WorldNames,
    world::{Moment, World},
};

/// What there is since the world began.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Ecr {
    since: Moment,
}

impl Ecr {
    pub fn new(_names: &WorldNames, now: Moment) -> Self {
        Self { since: now }
    }
}

const WEB: &str = "acme/web";
const WORKER: &str = "acme/worker";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// An image of the story.
#[derive(Clone)]
struct Image {
    digest: String,
    tags: Vec<&'static str>,
    kind: &'static str,
    manifest: String,
    /// Days before the world began.
    age: i64,
    /// Critical and high findings; `None`: there is nothing to scan.
    findings: Option<(u64, u64)>,
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().fold("sha256:".to_owned(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn single(tags: &[&'static str], what: &str, age: i64, findings: (u64, u64)) -> Image {
    let layer = |n: usize, kind: &str| json!({ "mediaType": format!("application/vnd.oci.image.{kind}"), "size": 1000 + n, "digest": sha256(&format!("{what} {n}")) });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": layer(0, "config.v1+json"),
        "layers": [layer(1, "layer.v1.tar+gzip"), layer(2, "layer.v1.tar+gzip")],
    });
    let manifest = manifest.to_string();
    let digest = sha256(&manifest);
    Image { digest, tags: tags.to_vec(), kind: MANIFEST, manifest, age, findings: Some(findings) }
}

/// An index of two platforms, and the images in it.
fn double(tag: &'static str, age: i64, findings: (u64, u64)) -> Vec<Image> {
    let mut images: Vec<_> =
        ["amd64", "arm64"].iter().map(|arch| single(&[], &format!("web {tag} {arch}"), age, findings)).collect();
    let list = images.iter().zip(["amd64", "arm64"]).map(|(image, arch)| {
        let platform = json!({ "os": "linux", "architecture": arch });
        json!({ "mediaType": MANIFEST, "digest": image.digest, "size": image.manifest.len(), "platform": platform })
    });
    let manifest = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": list.collect::<Vec<_>>() }).to_string();
    images.push(Image { digest: sha256(&manifest), tags: vec![tag], kind: INDEX, manifest, age, findings: None });
    images
}

fn images(repository: &str) -> Vec<Image> {
    match repository {
        WEB => [double("2026-11-30", 5, (1, 4)), double("2026-12-05", 0, (0, 2))].concat(),
        _ => vec![single(&["2026-12-05", "latest"], "worker", 0, (0, 0))],
    }
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// What IAM looks at.
pub(super) fn resource(world: &World, operation: &str, params: &Value) -> String {
    let WorldNames { region, account, .. } = &world.names;
    let registry = params["registryId"].as_str().unwrap_or(account);
    let name = match operation {
        "DescribeRepositories" => params["repositoryNames"][0].as_str().unwrap_or("*"),
        _ => params["repositoryName"].as_str().unwrap_or("*"),
    };
    format!("arn:aws:ecr:{region}:{registry}:repository/{name}")
}

pub(super) fn answer(world: &mut World, region: &str, operation: &str, params: &Value) -> Result<Value, No> {
    let registry = params["registryId"].as_str().unwrap_or(&world.names.account).to_owned();
    let here = region == world.names.region && registry == world.names.account;
    let missing = |name: &str| {
        let message = format!("The repository with name '{name}' does not exist in the registry with id '{registry}'");
        (400, "RepositoryNotFoundException", message)
    };
    if operation == "DescribeRepositories" {
        let asked = params["repositoryNames"].as_array();
        let names: Vec<&str> = match asked {
            Some(list) => list.iter().filter_map(Value::as_str).collect(),
            None if here => vec![WEB, WORKER],
            None => Vec::new(),
        };
        let mut found = Vec::new();
        for name in names {
            found.push(repository(world, name).filter(|_| here).ok_or_else(|| missing(name))?);
        }
        return Ok(json!({ "repositories": found }));
    }
    let name = text(params, "repositoryName");
    if name.is_empty() {
        let message = "1 validation error detected: Value null at 'repositoryName' failed to satisfy constraint";
        return Err((400, "InvalidParameterException", message.into()));
    }
    if !here || ![WEB, WORKER].contains(&name) {
        return Err(missing(name));
    }
    match operation {
        "DescribeImages" => describe(world, name, &registry, params),
        "ListImages" => Ok(json!({ "imageIds": images(name).iter().flat_map(ids).collect::<Vec<_>>() })),
        "BatchGetImage" => batch(name, &registry, params),
        "DescribeImageScanFindings" => scanned(world, name, &registry, params),
        other => Err((400, "UnknownOperationException", format!("{other} is not part of the sandbox"))),
    }
}

fn repository(world: &World, name: &str) -> Option<Value> {
    let WorldNames { region, account, .. } = &world.names;
    [WEB, WORKER].contains(&name).then(|| {
        json!({
            "repositoryArn": format!("arn:aws:ecr:{region}:{account}:repository/{name}"), "registryId": account,
            "repositoryName": name, "repositoryUri": format!("{account}.dkr.ecr.{region}.amazonaws.com/{name}"),
            "createdAt": (world.ecr.since - TimeDelta::days(90)).timestamp(),
            "imageTagMutability": if name == WEB { "IMMUTABLE" } else { "MUTABLE" },
            "imageScanningConfiguration": { "scanOnPush": true }, "encryptionConfiguration": { "encryptionType": "AES256" },
        })
    })
}

fn ids(image: &Image) -> Vec<Value> {
    match image.tags.as_slice() {
        [] => vec![json!({ "imageDigest": image.digest })],
        tags => tags.iter().map(|tag| json!({ "imageDigest": image.digest, "imageTag": tag })).collect(),
    }
}

/// The image of an id; where both are given they must agree.
fn find(name: &str, id: &Value) -> Option<Image> {
    let (tag, digest) = (text(id, "imageTag"), text(id, "imageDigest"));
    let named = !tag.is_empty() || !digest.is_empty();
    let fits =
        |image: &Image| (tag.is_empty() || image.tags.contains(&tag)) && (digest.is_empty() || image.digest == digest);
    images(name).into_iter().find(|image| named && fits(image))
}

fn absent(name: &str, registry: &str, id: &Value) -> No {
    let message = format!(
        "The image with imageId {{imageDigest:'{}', imageTag:'{}'}} does not exist within the repository with name '{name}' in the registry with id '{registry}'",
        id["imageDigest"].as_str().unwrap_or("null"),
        id["imageTag"].as_str().unwrap_or("null")
    );
    (400, "ImageNotFoundException", message)
}

fn describe(world: &mut World, name: &str, registry: &str, params: &Value) -> Result<Value, No> {
    let asked = params["imageIds"].as_array();
    if asked.is_some() && (params["maxResults"].is_u64() || params["nextToken"].is_string()) {
        let message = "Invalid parameter at 'maxResults' failed to satisfy constraint: 'cannot be used with imageIds'";
        return Err((400, "InvalidParameterException", message.into()));
    }
    let mut found = match asked {
        None => images(name),
        Some(list) => {
            let mut found = Vec::new();
            for id in list {
                let there = find(name, id).filter(|_| !world.strikes("ecr.missing"));
                found.push(there.ok_or_else(|| absent(name, registry, id))?);
            }
            found
        }
    };
    match text(&params["filter"], "tagStatus") {
        "TAGGED" => found.retain(|image| !image.tags.is_empty()),
        "UNTAGGED" => found.retain(|image| image.tags.is_empty()),
        _ => {}
    }
    let most = params["maxResults"].as_u64().unwrap_or(100);
    let most = usize::try_from(most).ok().filter(|n| (1..=1000).contains(n)).ok_or_else(|| {
        (400, "InvalidParameterException", "Invalid parameter at 'maxResults' failed to satisfy constraint".to_owned())
    })?;
    let from = params["nextToken"].as_str().map_or(Ok(0), str::parse::<usize>).map_err(|_| {
        (400, "InvalidParameterException", "Invalid parameter at 'nextToken' failed to satisfy constraint".to_owned())
    })?;
    let details = found.iter().skip(from).take(most).map(|image| {
        let pushed = (world.ecr.since - TimeDelta::days(image.age) - TimeDelta::hours(2)).timestamp();
        let mut said = json!({
            "registryId": registry, "repositoryName": name, "imageDigest": image.digest, "imageSizeInBytes": 48_000_000,
            "imagePushedAt": pushed, "imageManifestMediaType": image.kind,
        });
        if !image.tags.is_empty() {
            said["imageTags"] = json!(image.tags);
        }
        said
    });
    let mut said = json!({ "imageDetails": details.collect::<Vec<_>>() });
    if from + most < found.len() {
        said["nextToken"] = json!((from + most).to_string());
    }
    Ok(said)
}

fn batch(name: &str, registry: &str, params: &Value) -> Result<Value, No> {
    let Some(asked) = params["imageIds"].as_array().filter(|list| !list.is_empty()) else {
        return Err((
            400,
            "InvalidParameterException",
            "Invalid parameter at 'imageIds' failed to satisfy constraint".into(),
        ));
    };
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for id in asked {
        match find(name, id) {
            Some(image) => found.push(json!({
                "registryId": registry, "repositoryName": name, "imageManifest": image.manifest, "imageManifestMediaType": image.kind,
                "imageId": { "imageDigest": image.digest, "imageTag": id["imageTag"] },
            })),
            None => failures.push(json!({
                "imageId": id, "failureCode": "ImageNotFound", "failureReason": "Requested image not found",
            })),
        }
    }
    Ok(json!({ "images": found, "failures": failures }))
}

fn scanned(world: &mut World, name: &str, registry: &str, params: &Value) -> Result<Value, No> {
    let id = &params["imageId"];
    let image = find(name, id).ok_or_else(|| absent(name, registry, id))?;
    let Some((mut critical, high)) = image.findings else {
        let message = format!(
            "Image scan does not exist for the image with '{{imageDigest:'{}'}}' in the repository with name '{name}' in the registry with id '{registry}'",
            image.digest
        );
        return Err((400, "ScanNotFoundException", message));
    };
    if world.strikes("ecr.critical") {
        critical += 2;
    }
    let finding = |severity: &str, n: u64| json!({ "name": format!("CVE-2026-{n:05}"), "severity": severity, "uri": "https://cve.example/", "attributes": [] });
    let findings =
        (0..critical).map(|n| finding("CRITICAL", 100 + n)).chain((0..high).map(|n| finding("HIGH", 200 + n)));
    let mut counts = json!({ "MEDIUM": 5 });
    for (severity, n) in [("CRITICAL", critical), ("HIGH", high)] {
        // A severity without findings is left out.
        if n > 0 {
            counts[severity] = json!(n);
        }
    }
    let at = (world.ecr.since - TimeDelta::days(image.age) - TimeDelta::hours(1)).timestamp();
    Ok(json!({
        "registryId": registry, "repositoryName": name, "imageId": { "imageDigest": image.digest },
        "imageScanStatus": { "status": "COMPLETE", "description": "The scan was completed successfully." },
        "imageScanFindings": {
            "imageScanCompletedAt": at, "vulnerabilitySourceUpdatedAt": at,
            "findings": findings.collect::<Vec<_>>(), "findingSeverityCounts": counts,
        },
    }))
}
