//! ECR, read: an image by tag or digest, what a scan found in it, the platforms of a manifest list.

use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};

use super::{
    Aws, Patience,
    acm::seconds,
    call::Call,
    errors::garbled,
    session::Service,
    signed::{Answer, Request, json},
};
use crate::base::{Class, Failure};

const ECR: Service<'_> = Service { signs: "ecr", ..Service::new("ECR", "api.ecr", "ECR", "") };
const IMAGES: Call<'_> = Call::reads(ECR.name, "DescribeImages", "ecr:DescribeImages");
const MANIFEST: Call<'_> = Call::reads(ECR.name, "BatchGetImage", "ecr:BatchGetImage");
const REPOSITORIES: Call<'_> = Call::reads(ECR.name, "DescribeRepositories", "ecr:DescribeRepositories");
const FINDINGS: Call<'_> = Call::reads(ECR.name, "DescribeImageScanFindings", "ecr:DescribeImageScanFindings");
/// Lists of manifests and single ones, Docker's and OCI's; ECR would convert what is not accepted.
const ACCEPTED: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// A repository and where it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repository {
    /// `acme/web`.
    pub name: String,
    /// The account that owns the registry; the caller's where it is not given.
    pub registry: Option<String>,
    /// The region; the environment's where it is not given.
    pub region: Option<String>,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `sha256:…`.
    pub digest: String,
    /// Every tag that points to it.
    pub tags: Vec<String>,
    /// When it was pushed.
    pub pushed: Option<DateTime<Utc>>,
    /// Compressed size.
    pub bytes: Option<u64>,
}

/// What a scan found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// `COMPLETE`, `ACTIVE` (continuous), `IN_PROGRESS`, `PENDING`, `FAILED`, `UNSUPPORTED_IMAGE`, ….
    pub status: String,
    /// Its reason.
    pub words: String,
    /// Findings by severity.
    pub counts: Vec<(String, u64)>,
    /// Names of findings that are critical, as far as the first page holds them.
    pub critical: Vec<String>,
    /// When it was done.
    pub at: Option<DateTime<Utc>>,
}

impl Scan {
    /// Findings of a severity.
    #[must_use]
    pub fn count(&self, severity: &str) -> u64 {
        self.counts.iter().find(|(name, _)| name == severity).map_or(0, |(_, n)| *n)
    }
}

/// One platform of a manifest list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// `linux/arm64`, with the variant where there is one.
    pub name: String,
    /// The digest of its own manifest.
    pub digest: String,
}

impl Aws {
    /// An image by `tag` or, where there is none, by digest; `None` where the repository holds none such.
    ///
    /// # Errors
    /// `Misconfigured` where there is no such repository, `Denied`, `FailedNothingDone`.
    pub async fn image(
        &self,
        repository: &Repository,
        id: (Option<&str>, Option<&str>),
        patience: &Patience,
    ) -> Result<Option<Image>, Failure> {
        let body = repository.body(json!({ "imageIds": [image_id(id)] }));
        let Some(answer) = self.ecr(repository, &IMAGES, &body, "ImageNotFoundException", patience).await? else {
            return Ok(None);
        };
        let Some(one) = answer["imageDetails"].as_array().and_then(|list| list.first()) else {
            return Err(garbled(&IMAGES, "the answer has no image").failure);
        };
        let Some(digest) = one["imageDigest"].as_str() else {
            return Err(garbled(&IMAGES, "the answer has no digest").failure);
        };
        let tags = one["imageTags"].as_array().into_iter().flatten().filter_map(Json::as_str);
        Ok(Some(Image {
            digest: digest.to_owned(),
            tags: tags.map(ToOwned::to_owned).collect(),
            pushed: seconds(&one["imagePushedAt"]),
            bytes: one["imageSizeInBytes"].as_u64(),
        }))
    }

    /// What the last scan of an image found; `None` where it was never scanned.
    ///
    /// # Errors
    /// As [`Aws::image`].
    pub async fn scan(
        &self,
        repository: &Repository,
        digest: &str,
        patience: &Patience,
    ) -> Result<Option<Scan>, Failure> {
        let body = repository.body(json!({ "imageId": { "imageDigest": digest } }));
        let Some(answer) = self.ecr(repository, &FINDINGS, &body, "ScanNotFoundException", patience).await? else {
            return Ok(None);
        };
        let Some(status) = answer["imageScanStatus"]["status"].as_str() else {
            return Err(garbled(&FINDINGS, "the answer has no scan status").failure);
        };
        let found = &answer["imageScanFindings"];
        let counts = found["findingSeverityCounts"].as_object().into_iter().flatten();
        let listed = [&found["findings"], &found["enhancedFindings"]].into_iter().filter_map(Json::as_array).flatten();
        let critical = listed.filter(|one| one["severity"] == "CRITICAL");
        let name = |one: &Json| {
            let names = [&one["name"], &one["packageVulnerabilityDetails"]["vulnerabilityId"], &one["title"]];
            names.into_iter().find_map(Json::as_str).unwrap_or("unnamed").to_owned()
        };
        Ok(Some(Scan {
            status: status.to_owned(),
            words: answer["imageScanStatus"]["description"].as_str().unwrap_or_default().to_owned(),
            counts: counts.filter_map(|(name, n)| Some((name.clone(), n.as_u64()?))).collect(),
            critical: critical.map(name).collect(),
            at: seconds(&found["imageScanCompletedAt"]),
        }))
    }

    /// The platforms of a manifest list; `None` where the image is a single one, whose manifest names no platform.
    ///
    /// # Errors
    /// As [`Aws::image`].
    pub async fn platforms(
        &self,
        repository: &Repository,
        digest: &str,
        patience: &Patience,
    ) -> Result<Option<Vec<Platform>>, Failure> {
        let id = image_id((None, Some(digest)));
        let body = repository.body(json!({ "imageIds": [id], "acceptedMediaTypes": ACCEPTED }));
        let answer = self.ecr(repository, &MANIFEST, &body, "", patience).await?.unwrap_or_default();
        if let Some(failure) = answer["failures"].as_array().and_then(|list| list.first()) {
            let text = |key: &str| failure[key].as_str().unwrap_or("no reason given");
            let words = format!("ECR BatchGetImage: {}: {}", text("failureCode"), text("failureReason"));
            return Err(Failure::new(Class::NotYet, words));
        }
        let text = answer["images"][0]["imageManifest"].as_str();
        let manifest = text.and_then(|text| serde_json::from_str::<Json>(text).ok());
        let Some(manifest) = manifest else {
            return Err(garbled(&MANIFEST, "the answer has no manifest").failure);
        };
        let Some(list) = manifest["manifests"].as_array() else { return Ok(None) };
        Ok(Some(list.iter().filter_map(platform).collect()))
    }

    /// How tags of a repository may move: `MUTABLE`, `IMMUTABLE`, `IMMUTABLE_WITH_EXCLUSION`, ….
    ///
    /// # Errors
    /// As [`Aws::image`].
    pub async fn tag_mutability(&self, repository: &Repository, patience: &Patience) -> Result<String, Failure> {
        let mut body = repository.body(json!({ "repositoryNames": [repository.name] }));
        if let Some(body) = body.as_object_mut() {
            body.remove("repositoryName");
        }
        let answer = self.ecr(repository, &REPOSITORIES, &body, "", patience).await?.unwrap_or_default();
        let word = answer["repositories"][0]["imageTagMutability"].as_str();
        word.map(ToOwned::to_owned)
            .ok_or_else(|| garbled(&REPOSITORIES, "the answer has no imageTagMutability").failure)
    }

    /// Asks; `None` where ECR says `absent`.
    async fn ecr(
        &self,
        repository: &Repository,
        call: &Call<'_>,
        body: &Json,
        absent: &str,
        patience: &Patience,
    ) -> Result<Option<Json>, Failure> {
        let target = format!("AmazonEC2ContainerRegistry_V20150921.{}", call.operation);
        let request = Request::json("1.1", &target, body);
        let says_absent = |answer: &Answer| {
            let body = || serde_json::from_slice::<Json>(&answer.body).unwrap_or_default();
            let code = |body: Json| body["__type"].as_str().is_some_and(|code| code.ends_with(absent));
            !absent.is_empty()
                && answer.status == 400
                && (answer.header("x-amzn-errortype").starts_with(absent) || code(body()))
        };
        let service = ECR.at(repository.region.as_deref());
        let answer = self.send_or(&service, call, &request, patience, says_absent).await?;
        if answer.status >= 300 {
            return Ok(None);
        }
        json(call, &answer).map(Some)
    }
}

impl Repository {
    /// The resource in its ARN.
    #[must_use]
    pub fn resource(&self) -> String {
        format!("repository/{}", self.name)
    }

    fn body(&self, mut body: Json) -> Json {
        body["repositoryName"] = json!(self.name);
        if let Some(registry) = &self.registry {
            body["registryId"] = json!(registry);
        }
        body
    }
}

fn image_id((tag, digest): (Option<&str>, Option<&str>)) -> Json {
    match tag {
        Some(tag) => json!({ "imageTag": tag }),
        None => json!({ "imageDigest": digest }),
    }
}

fn platform(one: &Json) -> Option<Platform> {
    let part = |key: &str| one["platform"][key].as_str();
    let (os, architecture) = (part("os")?, part("architecture")?);
    // Build attestations stand beside the images (`unknown/unknown`); nothing runs on them.
    if os == "unknown" {
        return None;
    }
    let variant = part("variant").map(|variant| format!("/{variant}")).unwrap_or_default();
    Some(Platform { name: format!("{os}/{architecture}{variant}"), digest: one["digest"].as_str()?.to_owned() })
}
