//! A deployment as the API shows it, and where its roll-out is. The rules are those of `kubectl rollout status`
//! (Kubernetes documentation, "Deployments", "Deployment status").

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{Kubectl, Limits, Place};
use crate::base::{Class, Failure, clean_line};

/// The annotation that `kubectl rollout restart` sets on the pod template.
pub(super) const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";
/// The most reasons of pods that are told; they are usually all the same.
const REASONS: usize = 12;

/// A deployment.
#[derive(Debug, Clone)]
pub struct Deployment {
    json: Json,
}

/// Where a roll-out is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that is wanted runs, and nothing else.
    Complete,
    /// Something still has to happen.
    Moving(String),
    /// Kubernetes has given up, or was told to stop.
    Stuck(String),
}

impl Deployment {
    /// Reads one.
    ///
    /// # Errors
    /// As [`Kubectl::get`].
    pub async fn read(kubectl: &Kubectl, place: &Place, name: &str, limits: &Limits) -> Result<Self, Failure> {
        let path = format!("/apis/apps/v1/namespaces/{}/deployments/{name}", place.namespace);
        let json = kubectl.get(&path, limits).await?;
        if json.pointer("/spec/template/spec/containers").is_none_or(|containers| !containers.is_array()) {
            return Err(Failure::new(Class::FailedNothingDone, format!("no data: {path} is no deployment")));
        }
        Ok(Self { json })
    }

    fn count(&self, pointer: &str) -> i64 {
        self.json.pointer(pointer).and_then(Json::as_i64).unwrap_or_default()
    }

    fn text(&self, pointer: &str) -> &str {
        self.json.pointer(pointer).and_then(Json::as_str).unwrap_or_default()
    }

    /// Its identity: another one after a delete.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.text("/metadata/uid")
    }

    /// The version that was read.
    #[must_use]
    pub fn version(&self) -> &str {
        self.text("/metadata/resourceVersion")
    }

    /// Replicas that are wanted; Kubernetes's default is 1.
    #[must_use]
    pub fn replicas(&self) -> i64 {
        self.json.pointer("/spec/replicas").and_then(Json::as_i64).unwrap_or(1)
    }

    /// Image by container.
    #[must_use]
    pub fn images(&self) -> BTreeMap<String, String> {
        self.images_of("containers")
    }

    /// Image by init container.
    #[must_use]
    pub fn init_images(&self) -> BTreeMap<String, String> {
        self.images_of("initContainers")
    }

    fn images_of(&self, list: &str) -> BTreeMap<String, String> {
        let all = self.json.pointer(&format!("/spec/template/spec/{list}")).and_then(Json::as_array);
        let pair = |one: &Json| Some((one["name"].as_str()?.to_owned(), one["image"].as_str()?.to_owned()));
        all.into_iter().flatten().filter_map(pair).collect()
    }

    /// When its pods were last told to restart.
    #[must_use]
    pub fn restarted(&self) -> Option<&str> {
        self.json.pointer("/spec/template/metadata/annotations")?.get(RESTARTED)?.as_str()
    }

    /// Counts, for people.
    #[must_use]
    pub fn line(&self) -> String {
        let status = |name: &str| self.count(&format!("/status/{name}"));
        let images = self.images().into_values().collect::<Vec<_>>().join(", ");
        let words = format!(
            "{} wanted, {} of them updated, {} available, {} in all, {images}",
            self.replicas(),
            status("updatedReplicas"),
            status("availableReplicas"),
            status("replicas"),
        );
        clean_line(&words, 400)
    }

    /// The share of updated and available replicas.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of replicas are small")]
    pub fn part(&self) -> f32 {
        let least = self.count("/status/updatedReplicas").min(self.count("/status/availableReplicas"));
        least as f32 / self.replicas().max(1) as f32
    }

    fn condition(&self, kind: &str) -> Option<&Json> {
        self.json.pointer("/status/conditions")?.as_array()?.iter().find(|one| one["type"] == kind)
    }

    /// Where its roll-out is.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let moving = |words: String| Verdict::Moving(words);
        let (wanted, updated) = (self.replicas(), self.count("/status/updatedReplicas"));
        let (all, available) = (self.count("/status/replicas"), self.count("/status/availableReplicas"));
        if self.count("/status/observedGeneration") < self.count("/metadata/generation") {
            return moving("Kubernetes has not looked at its newest state yet".into());
        }
        let progressing = self.condition("Progressing");
        if let Some(late) = progressing.filter(|one| one["reason"] == "ProgressDeadlineExceeded") {
            let said = clean_line(late["message"].as_str().unwrap_or_default(), 300);
            return Verdict::Stuck(format!("its roll-out made no progress in time (ProgressDeadlineExceeded): {said}"));
        }
        if updated < wanted {
            let words = format!("{updated} of {wanted} replicas are updated");
            // A paused deployment never rolls out by itself.
            let paused = self.json.pointer("/spec/paused") == Some(&Json::Bool(true));
            return if paused { Verdict::Stuck(format!("it is paused: {words}")) } else { moving(words) };
        }
        if all > updated {
            return moving(format!("{} old replicas have not ended yet", all - updated));
        }
        if available < updated {
            return moving(format!("{available} of {updated} updated replicas are available"));
        }
        Verdict::Complete
    }

    /// The pods of its newest replica set.
    ///
    /// # Errors
    /// As [`Kubectl::list`].
    pub async fn pods(&self, kubectl: &Kubectl, place: &Place, limits: &Limits) -> Result<Vec<Json>, Failure> {
        let selector = self.selector();
        let sets = format!("/apis/apps/v1/namespaces/{}/replicasets", place.namespace);
        let revision = |one: &Json| one["metadata"]["annotations"]["deployment.kubernetes.io/revision"].clone();
        let own = |one: &&Json| {
            let owners = one["metadata"]["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default();
            owners.iter().any(|owner| owner["uid"] == self.uid()) && revision(one) == revision(&self.json)
        };
        let sets = kubectl.list(&sets, &selector, limits).await?;
        let Some(newest) = sets.iter().find(own) else { return Ok(Vec::new()) };
        let uid = &newest["metadata"]["uid"];
        let pods = kubectl.list(&format!("/api/v1/namespaces/{}/pods", place.namespace), &selector, limits).await?;
        let of_it = |pod: &Json| {
            let owners = pod["metadata"]["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default();
            owners.iter().any(|owner| owner["uid"] == *uid)
        };
        Ok(pods.into_iter().filter(of_it).collect())
    }

    /// Its selector as a query takes it.
    fn selector(&self) -> String {
        let spec = self.json.pointer("/spec/selector").cloned().unwrap_or_default();
        let labels = spec["matchLabels"].as_object().into_iter().flatten();
        let mut parts =
            labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect::<Vec<_>>();
        for one in spec["matchExpressions"].as_array().into_iter().flatten() {
            let key = one["key"].as_str().unwrap_or_default();
            let values = one["values"].as_array().into_iter().flatten().filter_map(Json::as_str).collect::<Vec<_>>();
            parts.push(match one["operator"].as_str().unwrap_or_default() {
                "In" => format!("{key} in ({})", values.join(",")),
                "NotIn" => format!("{key} notin ({})", values.join(",")),
                "DoesNotExist" => format!("!{key}"),
                _ => key.to_owned(),
            });
        }
        parts.join(",")
    }

    /// Why it does not get on: what its controller and the newest pods say. Never fails: it explains a failure.
    pub async fn reasons(&self, kubectl: &Kubectl, place: &Place, limits: &Limits) -> Vec<String> {
        let mut reasons = Vec::new();
        if let Some(failure) = self.condition("ReplicaFailure").filter(|one| one["status"] == "True") {
            reasons.push(clean_line(&format!("replicas: {}", failure["message"].as_str().unwrap_or_default()), 300));
        }
        match self.pods(kubectl, place, limits).await {
            Ok(pods) => reasons.extend(pods.iter().flat_map(pod_reasons).take(REASONS)),
            Err(failure) => reasons.push(format!("its pods could not be read: {}", failure.message)),
        }
        reasons
    }
}

/// Why a pod is not ready.
fn pod_reasons(pod: &Json) -> Vec<String> {
    let name = pod["metadata"]["name"].as_str().unwrap_or("a pod");
    let mut reasons = Vec::new();
    let mut say = |words: String| reasons.push(clean_line(&format!("{name}: {words}"), 400));
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    for one in conditions.filter(|one| one["type"] == "PodScheduled" && one["status"] == "False") {
        say(format!("{}: {}", one["reason"].as_str().unwrap_or_default(), one["message"].as_str().unwrap_or_default()));
    }
    for list in ["initContainerStatuses", "containerStatuses"] {
        for one in pod["status"][list].as_array().into_iter().flatten() {
            let container = one["name"].as_str().unwrap_or_default();
            let ended = |state: &Json| {
                let ended = state.get("terminated").filter(|ended| ended["exitCode"] != 0)?;
                let message = ended["message"].as_str().map(|text| format!(": {text}")).unwrap_or_default();
                Some(format!(
                    "ended with {} ({}){message}",
                    ended["exitCode"],
                    ended["reason"].as_str().unwrap_or("Error")
                ))
            };
            let waiting = one["state"].get("waiting").map(|waiting| {
                let message = waiting["message"].as_str().map(|text| format!(": {text}")).unwrap_or_default();
                format!("{}{message}", waiting["reason"].as_str().unwrap_or("waiting"))
            });
            // "ContainerCreating" and "PodInitializing" are the ordinary way up.
            let ordinary = |words: &String| words == "ContainerCreating" || words == "PodInitializing";
            let waiting = waiting.filter(|words| !ordinary(words));
            let before = ended(&one["lastState"]).or_else(|| ended(&one["state"]));
            let words = [waiting, before].into_iter().flatten().collect::<Vec<_>>();
            if !words.is_empty() {
                say(format!("container {container}: {}", words.join("; before that it ")));
            } else if one["ready"] == false && one["state"].get("running").is_some() && list == "containerStatuses" {
                say(format!("container {container} runs and is not ready: its readiness probe fails"));
            }
        }
    }
    reasons
}
