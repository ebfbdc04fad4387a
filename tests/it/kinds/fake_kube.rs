//! A Kubernetes API of the test's own, as much of it as the real `kubectl` needs to read and patch a deployment:
//! discovery, one deployment with its replica sets and pods, a controller that follows step by step.

use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value as Json, json};

use super::fake_http::{FakeHttp, Say};

pub const CLUSTER: &str = "arn:aws:eks:eu-west-1:222233334444:cluster/acme";

/// What the API holds.
pub struct World {
    pub deployment: Json,
    pub sets: Vec<Json>,
    pub pods: Vec<Json>,
    /// True while the controller has something to do.
    pub rolling: bool,
    /// Looks until the roll-out is complete.
    pub left: u32,
    /// This many patches meet a version that has moved on.
    pub conflicts: u32,
    /// Patches get no answer, and do nothing.
    pub hangs: bool,
    /// Answers every request so instead.
    pub refuses: Option<(u16, &'static str, &'static str)>,
    /// Objects that a list gives at a time.
    pub page: usize,
    pub patches: Vec<Json>,
}

pub struct FakeKube {
    pub http: FakeHttp,
    pub folder: tempfile::TempDir,
    world: Arc<Mutex<World>>,
}

fn image_id(image: &str) -> String {
    let name = image.split(':').next().unwrap();
    format!("{name}@{}", digest(image))
}

/// The digest that the pods of an image run.
pub fn digest(image: &str) -> String {
    format!("sha256:{}", gonogo::runbook::sha256_hex(image.as_bytes()))
}

impl World {
    fn new() -> Self {
        let container = |name: &str, image: &str| json!({ "name": name, "image": image });
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web", "namespace": "shop", "uid": "u-1", "resourceVersion": "100", "generation": 1,
                "annotations": { "deployment.kubernetes.io/revision": "0" } },
            "spec": { "replicas": 2, "selector": { "matchLabels": { "app": "web" }, "matchExpressions": [{ "key": "tier", "operator": "In", "values": ["a", "b"] }] },
                "template": { "metadata": { "labels": { "app": "web", "tier": "a" } }, "spec": {
                    "initContainers": [container("migrate", "registry.example/shop:1")],
                    "containers": [container("web", "registry.example/shop:1")] } } },
            "status": {},
        });
        let mut world = Self {
            deployment,
            sets: Vec::new(),
            pods: Vec::new(),
            rolling: true,
            left: 0,
            conflicts: 0,
            hangs: false,
            refuses: None,
            page: usize::MAX,
            patches: Vec::new(),
        };
        world.roll();
        world.follow();
        world
    }

    pub fn image(&self) -> &str {
        self.deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap()
    }

    /// A new replica set for the template as it is now.
    fn roll(&mut self) {
        let revision =
            self.deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"].as_str().unwrap();
        let revision = (revision.parse::<u32>().unwrap() + 1).to_string();
        self.deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = revision.clone().into();
        self.sets.push(json!({ "metadata": { "name": format!("web-{revision}"), "uid": format!("rs-{revision}"),
            "annotations": { "deployment.kubernetes.io/revision": revision }, "ownerReferences": [{ "uid": self.deployment["metadata"]["uid"] }] } }));
    }

    /// One more step of the controller.
    pub fn follow(&mut self) {
        let wanted = self.deployment["spec"]["replicas"].as_i64().unwrap();
        let generation = self.deployment["metadata"]["generation"].clone();
        let broken = self.image().ends_with(":broken");
        let before = self.deployment["status"].clone();
        self.deployment["status"] = match (self.left, broken) {
            (2.., _) => before.clone(),
            (1, _) => {
                json!({ "observedGeneration": generation, "replicas": wanted + 1, "updatedReplicas": 1, "availableReplicas": wanted })
            }
            (0, false) => {
                json!({ "observedGeneration": generation, "replicas": wanted, "updatedReplicas": wanted, "availableReplicas": wanted,
                "conditions": [{ "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable" }] })
            }
            (0, true) => {
                json!({ "observedGeneration": generation, "replicas": wanted + 1, "updatedReplicas": 1, "availableReplicas": wanted,
                "conditions": [{ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "ReplicaSet \"web-2\" has timed out progressing." }] })
            }
        };
        self.rolling = self.left > 0;
        self.left = self.left.saturating_sub(1);
        let set = self.sets.last().unwrap()["metadata"]["uid"].clone();
        let image = self.image().to_owned();
        let status = if broken {
            json!({ "name": "web", "ready": false, "image": image, "state": { "waiting": { "reason": "ImagePullBackOff", "message": format!("Back-off pulling image \"{image}\"") } } })
        } else {
            json!({ "name": "web", "ready": true, "image": image, "imageID": image_id(&image), "state": { "running": {} } })
        };
        self.pods.retain(|pod| pod["metadata"]["ownerReferences"][0]["uid"] != set);
        for n in 0..wanted {
            self.pods.push(json!({ "metadata": { "name": format!("web-{}-{n}", set.as_str().unwrap()), "ownerReferences": [{ "uid": set }] },
                "status": { "containerStatuses": [status] } }));
        }
        if before != self.deployment["status"] {
            self.touch();
        }
    }

    /// Somebody else writes.
    pub fn touch(&mut self) {
        let version = self.deployment["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap() + 1;
        self.deployment["metadata"]["resourceVersion"] = version.to_string().into();
    }

    fn patch(&mut self, patch: &Json) -> Say {
        self.patches.push(patch.clone());
        if self.conflicts > 0 {
            self.conflicts -= 1;
            self.touch();
        }
        if patch["metadata"]["resourceVersion"] != self.deployment["metadata"]["resourceVersion"] {
            let words = "Operation cannot be fulfilled on deployments.apps \"web\": the object has been modified; please apply your changes to the latest version and try again";
            return status(409, "Conflict", words);
        }
        let before = self.deployment["spec"].clone();
        if let Some(replicas) = patch["spec"].get("replicas") {
            self.deployment["spec"]["replicas"] = replicas.clone();
        }
        let template = &patch["spec"]["template"];
        for list in ["containers", "initContainers"] {
            for one in template["spec"][list].as_array().into_iter().flatten() {
                let own = self.deployment["spec"]["template"]["spec"][list].as_array_mut().unwrap();
                let own = own.iter_mut().find(|own| own["name"] == one["name"]).expect("a patch made a container");
                own["image"] = one["image"].clone();
            }
        }
        for (key, value) in template["metadata"]["annotations"].as_object().into_iter().flatten() {
            let metadata = self.deployment["spec"]["template"]["metadata"].as_object_mut().unwrap();
            let own = metadata.entry("annotations").or_insert(json!({})).as_object_mut().unwrap();
            if value.is_null() {
                drop(own.remove(key))
            } else {
                drop(own.insert(key.clone(), value.clone()))
            }
            if own.is_empty() {
                metadata.remove("annotations");
            }
        }
        if before != self.deployment["spec"] {
            if before["template"] != self.deployment["spec"]["template"] {
                self.roll();
            }
            let generation = self.deployment["metadata"]["generation"].as_i64().unwrap() + 1;
            self.deployment["metadata"]["generation"] = generation.into();
            (self.left, self.rolling) = (2, true);
            self.touch();
        }
        answer(&self.deployment)
    }
}

fn answer(body: &Json) -> Say {
    Say::Answer(200, vec![("content-type", "application/json".into())], body.to_string().into_bytes())
}

fn status(code: u16, reason: &str, message: &str) -> Say {
    let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code });
    Say::Answer(code, vec![("content-type", "application/json".into())], body.to_string().into_bytes())
}

impl FakeKube {
    pub async fn start() -> Self {
        let world = Arc::new(Mutex::new(World::new()));
        let held = world.clone();
        let http = FakeHttp::start(move |asked| {
            let mut world = held.lock().unwrap_or_else(|broken| broken.into_inner());
            let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
            if let Some((code, reason, message)) = world.refuses {
                return status(code, reason, message);
            }
            let resource = |name: &str, kind: &str| json!({ "name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": ["get", "list", "patch"] });
            match (asked.method.as_str(), path) {
                // Asked by the kubectl of cloud SDKs, which is a choice of several versions.
                ("GET", "/version") => answer(&json!({ "major": "1", "minor": "32", "gitVersion": "v1.32.4" })),
                ("GET", "/api") => answer(&json!({ "kind": "APIVersions", "versions": ["v1"] })),
                ("GET", "/apis") => answer(&json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [{ "name": "apps",
                    "versions": [{ "groupVersion": "apps/v1", "version": "v1" }], "preferredVersion": { "groupVersion": "apps/v1", "version": "v1" } }] })),
                ("GET", "/api/v1") => answer(&json!({ "kind": "APIResourceList", "groupVersion": "v1", "resources": [resource("pods", "Pod")] })),
                ("GET", "/apis/apps/v1") => answer(&json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "apps/v1",
                    "resources": [resource("deployments", "Deployment"), resource("replicasets", "ReplicaSet")] })),
                ("GET", "/apis/apps/v1/namespaces/shop/deployments/web") => {
                    let now = world.deployment.clone();
                    if world.rolling {
                        world.follow();
                    }
                    answer(&now)
                }
                ("PATCH", "/apis/apps/v1/namespaces/shop/deployments/web") => {
                    assert_eq!(asked.header("content-type"), Some("application/strategic-merge-patch+json"));
                    if world.hangs {
                        return Say::Hang;
                    }
                    world.patch(&serde_json::from_str(&asked.body).unwrap())
                }
                ("GET", "/apis/apps/v1/namespaces/shop/replicasets") => listed(&world.sets, world.page, query),
                ("GET", "/api/v1/namespaces/shop/pods") => listed(&world.pods, world.page, query),
                ("GET", path) if path.contains("/deployments/") => status(404, "NotFound", "deployments.apps \"other\" not found"),
                (method, path) => panic!("kubectl asks for {method} {path}"),
            }
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "acme",
            "clusters": [{ "name": CLUSTER, "cluster": { "server": http.url() } }, { "name": "other", "cluster": { "server": "http://127.0.0.1:1" } }],
            "users": [{ "name": "me", "user": {} }],
            "contexts": [
                { "name": "acme", "context": { "cluster": CLUSTER, "user": "me", "namespace": "shop" } },
                { "name": "other", "context": { "cluster": "other", "user": "me" } },
            ],
        });
        std::fs::write(folder.path().join("config"), config.to_string()).unwrap();
        Self { http, folder, world }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Parameters that lead here.
    pub fn text(&self, rest: &str) -> String {
        let config = self.folder.path().join("config");
        format!(
            "cluster = '{CLUSTER}'\ncontext = 'acme'\nkubeconfig = '{}'\ndeployment = 'web'\n{rest}",
            config.display()
        )
    }

    /// PATCH requests that came.
    pub fn changes(&self) -> usize {
        self.http.changes()
    }
}

/// A page of a list; the selector must have come.
fn listed(all: &[Json], page: usize, query: &str) -> Say {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let pairs = pairs.map(|(key, value)| {
        (key, percent_encoding::percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned())
    });
    let pairs = pairs.collect::<std::collections::HashMap<_, _>>();
    assert_eq!(pairs.get("labelSelector").map(String::as_str), Some("app=web,tier in (a,b)"));
    let from = pairs.get("continue").and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
    let to = from.saturating_add(page).min(all.len());
    let next = if to < all.len() { to.to_string() } else { String::new() };
    answer(&json!({ "kind": "List", "metadata": { "continue": next }, "items": all[from..to] }))
}
