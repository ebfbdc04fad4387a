//! `kubernetes.rollout`: a deployment on Kubernetes gets another image, other replicas or new pods, or is looked at.

use std::{collections::BTreeMap, ffi::OsString, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};
use zeroize::Zeroizing;

use super::{Bind, Kind, filled, looking, no_data};
use crate::{
    base::{Class, Failure, clean_line},
    plan::{Action, Check, Cx, Done, Doubt, Finding, Identity, Param, Params, Seen, Shape, TextOrSecret},
    runbook::EnvKind,
    services::{
        Services,
        kubectl::{Change, Deployment, Kubectl, Limits, Rollout, Verdict},
    },
};

/// More replicas than any deployment of a cutover has.
const MOST: u64 = 10_000;
/// Between two looks of a polling step; each starts a program, and maybe a login.
const EVERY: Duration = Duration::from_secs(5);

/// The kind.
pub static KIND: Kind = Kind {
    name: "kubernetes.rollout",
    summary: "gives a Kubernetes deployment an image, replicas or new pods and waits; as a check, it is rolled out",
    docs: "\
For those whose target is EKS or another Kubernetes: everything goes through the `kubectl` of this machine, with its kubeconfig, its login and its plugins.

As an action: captures the images, replicas or restart moment that it is about to change, sends one strategic merge patch bound to the version that was read (a conflict is
read again, eight times at most), and waits until the roll-out is complete. Already so: nothing is sent. `restart` does what `kubectl rollout restart` does. Somebody else's change since the
capture is refused, with both states shown. `rollback = \"restore\"` puts back exactly what was captured, and waits for that roll-out too.

As a check: green when the roll-out is complete, at least one replica is wanted (or `replicas = 0` is asked for), and, where given, the images, the replicas and the `digest` of every
pod are the wanted ones.

Complete is what `kubectl rollout status` calls so: the newest state was observed, every replica is updated and available, no old one is left. When
Kubernetes gives up (`ProgressDeadlineExceeded`, 10 minutes unless the deployment says otherwise), it fails, and says what the newest pods wait for: `ImagePullBackOff`,
`CrashLoopBackOff` with the exit code, unschedulable, quota. Kubernetes does not go back by itself.

`cluster` is the fence: the server's URL, or the cluster's name in the kubeconfig (for EKS its ARN). The context is looked up before every request that
changes something and refused if it leads elsewhere; an ARN must also be in the environment's AWS account. kubectl gets the base variables (PATH, HOME, …), ours that begin with `AWS_`,
`KUBECONFIG`, proxy and certificate variables, those of `inherit`, and `AWS_PROFILE` and `AWS_REGION` where the environment names them.

What hurts people: a tag such as `latest` says nothing about what runs, the digest does; a HorizontalPodAutoscaler and GitOps controllers put
their own value back; `kubectl` talks to whatever the current context is: name `context`.

Limits: deployments only. In a sandbox it fails as misconfigured, because there is no Kubernetes in it: give its step `only`. Each call has 30 s, a request to the server 15 s.

API: `GET /apis/apps/v1/namespaces/NS/deployments/NAME`, `…/replicasets`, `GET /api/v1/namespaces/NS/pods`, `PATCH …/deployments/NAME`; \"Deployments\" and
\"kubectl rollout status\" of the Kubernetes documentation.
Evidence: `deployment`, `namespace`, and `before`, `after` (action) or `images`, `replicas`, `cluster` (check).",
    params: &[
        Param {
            name: "cluster",
            shape: Shape::Text,
            required: true,
            help: "the fence: URL of the API server, or the cluster's name in the kubeconfig",
        },
        Param { name: "deployment", shape: Shape::Text, required: true, help: "name of the deployment" },
        Param { name: "context", shape: Shape::Text, required: false, help: "context of the kubeconfig; default: the current one" },
        Param { name: "namespace", shape: Shape::Text, required: false, help: "namespace; default: the context's" },
        Param { name: "kubeconfig", shape: Shape::Text, required: false, help: "file; default: KUBECONFIG, else ~/.kube/config" },
        Param { name: "image", shape: Shape::Text, required: false, help: "image to run (action) or expected (check)" },
        Param {
            name: "container",
            shape: Shape::Text,
            required: false,
            help: "container that `image` is for; default: the only one",
        },
        Param {
            name: "images",
            shape: Shape::Map,
            required: false,
            help: "images by container, init containers too: { web = \"…\", migrate = \"…\" }",
        },
        Param { name: "replicas", shape: Shape::Count, required: false, help: "replicas to run (action) or expected (check)" },
        Param { name: "restart", shape: Shape::Flag, required: false, help: "make new pods (action only); default false" },
        Param { name: "digest", shape: Shape::Text, required: false, help: "sha256:… that every pod must run (check only)" },
        Param { name: "binary", shape: Shape::Text, required: false, help: "path of kubectl; default \"kubectl\"" },
        Param { name: "inherit", shape: Shape::Texts, required: false, help: "names of our own variables that kubectl gets too" },
    ],
    doubt: Doubt::Desired,
    needs: &["in the cluster: get and patch deployments, list replicasets and pods"],
    example: include_str!("../../runbooks/kinds/kubernetes.rollout.toml"),
    bind: Bind::Both(
        |params, services| {
            only_for(params, "restart", "an action");
            Arc::new(Rolling::read(params, services))
        },
        |params, services| {
            only_for(params, "digest", "a check");
            if !["image", "images", "replicas", "restart"].iter().any(|key| params.has(key)) {
                let span = params.place();
                let help = Some("give `image`, `images`, `replicas` or `restart = true`".into());
                params.mistake(span, "`kubernetes.rollout` is told to change nothing", "nothing to change", help);
            }
            Arc::new(Rolling::read(params, services))
        },
    ),
};

fn only_for(params: &mut Params<'_>, key: &'static str, what: &str) {
    if params.has(key) {
        let span = params.place_of(key);
        params.mistake(span, format!("`{key}` is for `kubernetes.rollout` as {what}"), "has no use here", None);
    }
}

struct Rolling {
    services: Arc<Services>,
    kubectl: Kubectl,
    deployment: String,
    change: Change,
    digest: Option<String>,
}

/// A name as Kubernetes takes one (RFC 1123 subdomain).
fn object_name(params: &mut Params<'_>, key: &'static str) -> Option<String> {
    let name = filled(params, key)?;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    let edges = name.starts_with(['-', '.']) || name.ends_with(['-', '.']);
    if !name.trim().is_empty() && (name.len() > 253 || edges || !name.chars().all(fits)) {
        let span = params.place_of(key);
        let shown = clean_line(&name, 60);
        params.mistake(span, format!("`{key}` cannot be `{shown}`"), "lower case letters, digits, `-` and `.`", None);
    }
    Some(name)
}

/// An image reference; a space or an empty tag is a template that was not filled in.
fn image_fits(image: &str) -> bool {
    !image.is_empty()
        && !image.contains(char::is_whitespace)
        && !image.ends_with([':', '@', '/'])
        && image.chars().all(|c| c.is_ascii_graphic())
}

impl Rolling {
    fn read(params: &mut Params<'_>, services: &Arc<Services>) -> Self {
        let image = filled(params, "image");
        if image.as_ref().is_some_and(|image| !image.trim().is_empty() && !image_fits(image)) {
            let span = params.place_of("image");
            params.mistake(span, "`image` is no image reference", "expected registry/name:tag or …@sha256:…", None);
        }
        let mut images = BTreeMap::new();
        for (container, image) in params.map("images") {
            let span = params.place_of("images");
            match image {
                TextOrSecret::Text(image) if image_fits(&image) => drop(images.insert(container, image)),
                _ => {
                    let message = format!("`images`: {} has no image reference", clean_line(&container, 60));
                    params.mistake(span, message, "in this table", None);
                }
            }
        }
        let container = object_name(params, "container");
        if container.is_some() && image.is_none() {
            let span = params.place_of("container");
            params.mistake(
                span,
                "`container` says whose `image` it is, and there is none",
                "nothing to choose for",
                None,
            );
        }
        let replicas = params.opt_count("replicas");
        if replicas.is_some_and(|replicas| replicas > MOST) {
            let span = params.place_of("replicas");
            params.mistake(span, format!("`replicas` must be at most {MOST}"), "out of range", None);
        }
        let restart = params.opt_flag("restart").unwrap_or(false);
        if params.has("restart") && !restart && image.is_none() && images.is_empty() && replicas.is_none() {
            let span = params.place_of("restart");
            params.mistake(span, "with `restart = false` there is nothing to change", "nothing to change", None);
        }
        let digest = filled(params, "digest");
        let hex = |digest: &String| {
            digest
                .strip_prefix("sha256:")
                .is_some_and(|hex| hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit()))
        };
        if digest.as_ref().is_some_and(|digest| !digest.trim().is_empty() && !hex(digest)) {
            let span = params.place_of("digest");
            params.mistake(span, "`digest` must be sha256: and 64 hex digits", "not a digest", None);
        }
        let aws = services.env.aws.as_ref();
        let pairs = [
            ("AWS_PROFILE", aws.and_then(|aws| aws.profile.clone())),
            ("AWS_REGION", aws.and_then(|aws| aws.region.clone())),
        ];
        let env = pairs.into_iter().filter_map(|(name, value)| Some((OsString::from(name), Zeroizing::new(value?))));
        Self {
            services: services.clone(),
            kubectl: Kubectl {
                binary: filled(params, "binary").unwrap_or_else(|| "kubectl".into()),
                kubeconfig: filled(params, "kubeconfig"),
                context: filled(params, "context"),
                namespace: object_name(params, "namespace"),
                cluster: filled(params, "cluster").unwrap_or_default(),
                account: aws.and_then(|aws| aws.account.clone()),
                inherit: params.texts("inherit"),
                env: env.collect(),
            },
            deployment: object_name(params, "deployment").unwrap_or_default(),
            change: Change {
                image: image.map(|image| (container, image)),
                images,
                replicas: replicas.and_then(|replicas| i64::try_from(replicas).ok()),
                restart,
            },
            digest,
        }
    }

    /// The sandbox has no Kubernetes, and nothing outside this machine is contacted from it.
    fn outside(&self) -> Result<(), Failure> {
        if self.services.env.kind == EnvKind::Sandbox {
            return Err(Failure::new(Class::Misconfigured, "there is no Kubernetes in the sandbox")
                .hint("give the step `only = [\"…\"]` with the environments that have one"));
        }
        Ok(())
    }

    async fn identity(&self) -> Result<Option<Identity>, Failure> {
        self.outside()?;
        let place = self.kubectl.place(&Limits::alone()).await?;
        let line = format!("cluster {} at {}, namespace {}", place.cluster, place.server, place.namespace);
        Ok(Some(Identity { system: "kubernetes".into(), line }))
    }

    /// What is wanted, in words.
    fn wanted(&self) -> String {
        let Change { image, images, replicas, restart } = &self.change;
        let mut parts = Vec::new();
        parts.extend(image.iter().map(|(container, image)| match container {
            Some(container) => format!("{container}={image}"),
            None => image.clone(),
        }));
        parts.extend(images.iter().map(|(container, image)| format!("{container}={image}")));
        parts.extend(replicas.map(|n| format!("{n} replicas")));
        parts.extend(restart.then(|| "new pods".to_owned()));
        parts.join(", ")
    }

    fn called(&self) -> String {
        let namespace = self.kubectl.namespace.as_ref().map(|name| format!("{name}/")).unwrap_or_default();
        format!("{namespace}{} on {}", self.deployment, self.kubectl.cluster)
    }

    async fn look(&self, cx: &Cx) -> Result<Seen, Failure> {
        self.outside()?;
        let limits = Limits::of(cx);
        let place = self.kubectl.place(&limits).await?;
        let now = Deployment::read(&self.kubectl, &place, &self.deployment, &limits).await.map_err(no_data)?;
        let not_yet = |words: String| Err(Failure::new(Class::NotYet, format!("{}: {words}", self.deployment)));
        let (own, init) = (now.images(), now.init_images());
        let Change { image, images, replicas, .. } = &self.change;
        let of_one = image.iter().map(|(container, image)| (container.as_ref(), image));
        let of_map = images.iter().map(|(container, image)| (Some(container), image));
        for (container, wanted) in of_one.chain(of_map) {
            let found = match container {
                Some(name) => own.get(name).or_else(|| init.get(name)).cloned(),
                None if own.len() == 1 => own.values().next().cloned(),
                None => own.values().find(|image| *image == wanted).cloned(),
            };
            if found.as_ref() != Some(wanted) {
                let found = found.unwrap_or_else(|| own.values().cloned().collect::<Vec<_>>().join(", "));
                return not_yet(format!("its template has the image {found}, wanted {wanted}"));
            }
        }
        match now.verdict() {
            Verdict::Complete => {}
            Verdict::Moving(words) | Verdict::Stuck(words) => {
                let reasons = now.reasons(&self.kubectl, &place, &limits).await;
                let failure = Failure::new(Class::NotYet, format!("{}: {words}; {}", self.deployment, now.line()));
                return Err(reasons.iter().fold(failure, Failure::because));
            }
        }
        let wanted = replicas.unwrap_or_else(|| now.replicas().max(1));
        if now.replicas() != wanted {
            return not_yet(format!("{}; wanted {wanted}", now.line()));
        }
        let mut seen_in = String::new();
        if let Some(digest) = &self.digest {
            let pods = now.pods(&self.kubectl, &place, &limits).await.map_err(no_data)?;
            if i64::try_from(pods.len()).unwrap_or(i64::MAX) < wanted || pods.is_empty() {
                return not_yet(format!("no data: {} pods are listed of {wanted}", pods.len()));
            }
            for pod in &pods {
                let statuses = pod["status"]["containerStatuses"].as_array().map(Vec::as_slice).unwrap_or_default();
                let ids = statuses.iter().filter_map(|one| one["imageID"].as_str()).collect::<Vec<_>>();
                if !ids.iter().any(|id| id.ends_with(digest.as_str())) {
                    let name = pod["metadata"]["name"].as_str().unwrap_or("a pod");
                    return not_yet(format!("{name} runs another image: {}", clean_line(&ids.join(", "), 300)));
                }
            }
            seen_in = format!(", the digest seen in {} pods", pods.len());
        }
        let evidence = json!({
            "deployment": self.deployment,
            "namespace": place.namespace,
            "cluster": place.cluster,
            "images": own,
            "replicas": now.replicas(),
        });
        #[expect(clippy::cast_precision_loss, reason = "counts of replicas are small")]
        let value = now.replicas() as f64;
        Ok(Seen::new(format!("{} is rolled out: {}{seen_in}", self.deployment, now.line())).value(value).with(evidence))
    }
}

impl Check for Rolling {
    fn looks(&self) -> String {
        let wanted = self.wanted();
        let wanted = if wanted.is_empty() { String::new() } else { format!(" with {wanted}") };
        let digest = self.digest.as_ref().map(|digest| format!(", every pod {digest}")).unwrap_or_default();
        clean_line(&format!("kubectl get deployment {}, expects it rolled out{wanted}{digest}", self.called()), 400)
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(looking(cx, self.look(cx)))
    }

    fn every(&self) -> Duration {
        EVERY
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        Box::pin(self.identity())
    }
}

impl Action for Rolling {
    fn does(&self) -> Vec<String> {
        vec![
            clean_line(&format!("kubectl get deployment {}: capture what is there", self.called()), 300),
            clean_line(&format!("kubectl patch deployment {}: {}", self.called(), self.wanted()), 300),
            "kubectl get until it is rolled out".to_owned(),
        ]
    }

    fn doubt(&self) -> Doubt {
        Doubt::Desired
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        Box::pin(self.identity())
    }

    fn capture<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async move {
            self.outside()?;
            let rollout = Rollout::capture(&self.kubectl, &self.deployment, &self.change, &Limits::of(cx)).await?;
            Ok(rollout.to_captured())
        })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move { Rollout::from_captured(captured)?.run(&self.kubectl, cx).await })
    }

    fn restore<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move { Rollout::from_captured(captured)?.back().run(&self.kubectl, cx).await })
    }

    fn probe<'a>(&'a self, cx: &'a Cx, captured: &'a Json, back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            let rollout = Rollout::from_captured(captured)?;
            let rollout = if back { rollout.back() } else { rollout };
            rollout.probe(&self.kubectl, cx).await
        })
    }
}
