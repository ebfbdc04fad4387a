//! A change of a deployment from one state to another, and back: asked for once, bound to the version that was
//! read, and watched until Kubernetes has rolled it out.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{Deployment, Kubectl, Limits, Place, Refused, Verdict, deployment::RESTARTED};
use crate::{
    base::{Class, Failure},
    plan::{Cx, Done, Finding},
};

/// Between two looks at a roll-out.
const LOOK: Duration = Duration::from_secs(2);
/// Between two looks that together prove that nothing was done.
const APART: Duration = Duration::from_secs(3);
/// How often a conflict is met by reading again; the controller's own writes are the usual cause.
const CONFLICTS: u32 = 8;

/// What a change touches, and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Image by container, init containers among them.
    #[serde(default)]
    pub images: BTreeMap<String, String>,
    /// Replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i64>,
    /// When its pods were last told to restart; empty: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted: Option<String>,
}

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// An image for the container of that name; `None`: for the only one.
    pub image: Option<(Option<String>, String)>,
    /// Images by container.
    pub images: BTreeMap<String, String>,
    /// Replicas.
    pub replicas: Option<i64>,
    /// New pods, whatever else.
    pub restart: bool,
}

/// A deployment on its way from one state to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub deployment: String,
    /// Its identity.
    pub uid: String,
    /// As it was.
    pub before: State,
    /// As it shall be.
    pub after: State,
}

impl State {
    /// The same fields of a deployment as it is.
    fn found(&self, now: &Deployment) -> Self {
        let mut images = now.images();
        images.extend(now.init_images());
        images.retain(|name, _| self.images.contains_key(name));
        Self {
            images,
            replicas: self.replicas.map(|_| now.replicas()),
            restarted: self.restarted.as_ref().map(|_| now.restarted().unwrap_or_default().to_owned()),
        }
    }

    fn words(&self) -> String {
        let mut parts = self.images.iter().map(|(name, image)| format!("{name}={image}")).collect::<Vec<_>>();
        parts.extend(self.replicas.map(|n| format!("{n} replicas")));
        parts.extend(self.restarted.as_ref().map(|at| match at.as_str() {
            "" => "never restarted".to_owned(),
            at => format!("restarted at {at}"),
        }));
        parts.join(", ")
    }

    /// The strategic merge patch that makes it so, for one version of a deployment.
    fn patch(&self, now: &Deployment) -> Json {
        let init = now.init_images();
        let named = |own: bool| {
            let images = self.images.iter().filter(|(name, _)| init.contains_key(*name) != own);
            images.map(|(name, image)| json!({ "name": name, "image": image })).collect::<Vec<_>>()
        };
        let mut template = json!({});
        for (list, images) in [("containers", named(true)), ("initContainers", named(false))] {
            if !images.is_empty() {
                template["spec"][list] = images.into();
            }
        }
        if let Some(at) = &self.restarted {
            let value = if at.is_empty() { Json::Null } else { at.clone().into() };
            template["metadata"]["annotations"][RESTARTED] = value;
        }
        let mut spec = json!({});
        if template != json!({}) {
            spec["template"] = template;
        }
        if let Some(replicas) = self.replicas {
            spec["replicas"] = replicas.into();
        }
        json!({ "metadata": { "resourceVersion": now.version() }, "spec": spec })
    }
}

impl Rollout {
    /// What is, and what shall be.
    ///
    /// # Errors
    /// As [`Deployment::read`]; `Misconfigured`: a container that it does not have, or one of several.
    pub async fn capture(kubectl: &Kubectl, name: &str, change: &Change, limits: &Limits) -> Result<Self, Failure> {
        let place = kubectl.place(limits).await?;
        let now = Deployment::read(kubectl, &place, name, limits).await?;
        let (own, init) = (now.images(), now.init_images());
        let mut images = change.images.clone();
        if let Some((container, image)) = &change.image {
            let container = match (container, own.keys().next()) {
                (Some(container), _) => container.clone(),
                (None, Some(only)) if own.len() == 1 => only.clone(),
                _ => {
                    let names = own.keys().cloned().collect::<Vec<_>>().join(", ");
                    let words =
                        format!("deployment {name} has the containers {names}: say by `container` which is meant");
                    return Err(Failure::new(Class::Misconfigured, words));
                }
            };
            images.insert(container, image.clone());
        }
        if let Some(missing) = images.keys().find(|name| !own.contains_key(*name) && !init.contains_key(*name)) {
            let names = own.keys().chain(init.keys()).cloned().collect::<Vec<_>>().join(", ");
            let words = format!("deployment {name} has no container {missing}; it has {names}");
            return Err(Failure::new(Class::Misconfigured, words));
        }
        // The moment is chosen once, so that sending it again asks for the same restart.
        let restarted = change.restart.then(|| chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
        let after = State { images, replicas: change.replicas, restarted };
        let before = after.found(&now);
        Ok(Self { namespace: place.namespace, deployment: name.to_owned(), uid: now.uid().to_owned(), before, after })
    }

    /// Reads a captured one.
    ///
    /// # Errors
    /// `Misconfigured`: the journal holds something else.
    pub fn from_captured(captured: &Json) -> Result<Self, Failure> {
        Self::deserialize(captured).map_err(|e| {
            Failure::new(Class::Misconfigured, "what was captured is not a deployment").because(e.to_string())
        })
    }

    /// As captured.
    #[must_use]
    pub fn to_captured(&self) -> Json {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The way back.
    #[must_use]
    pub fn back(self) -> Self {
        Self { before: self.after, after: self.before, ..self }
    }

    async fn read(&self, kubectl: &Kubectl, limits: &Limits) -> Result<(Place, Deployment), Failure> {
        let place = Place { namespace: self.namespace.clone(), ..kubectl.place(limits).await? };
        let now = Deployment::read(kubectl, &place, &self.deployment, limits).await?;
        if now.uid() != self.uid {
            let words = format!("deployment {} was deleted and made anew since it was captured", self.deployment);
            return Err(Failure::new(Class::Refused, words));
        }
        Ok((place, now))
    }

    /// Changes it and waits until it is rolled out. Nothing is sent where it is so already.
    ///
    /// # Errors
    /// `Refused`: another cluster, or somebody else changed it since the capture; `Failed`: Kubernetes gave up;
    /// `Unknown`: its end was not seen.
    pub async fn run(&self, kubectl: &Kubectl, cx: &Cx) -> Result<Done, Failure> {
        let limits = Limits::of(cx);
        let mut how = "nothing sent, it was so already";
        for tries in 0.. {
            let (place, now) = self.read(kubectl, &limits).await?;
            let found = self.after.found(&now);
            if found == self.after {
                break;
            }
            if found != self.before {
                let words = format!("somebody else changed deployment {} since it was captured", self.deployment);
                return Err(Failure::new(Class::Refused, words)
                    .because(format!("captured {}", self.before.words()))
                    .because(format!("found    {}", found.words()))
                    .hint("look at who changed it; a retry captures it anew"));
            }
            match kubectl.patch(&place, &self.deployment, &self.after.patch(&now), &limits).await {
                Ok(()) => {
                    how = "rolled out";
                    cx.line(format!("{} takes {}", self.deployment, self.after.words()));
                    break;
                }
                Err(Refused::Conflict) if tries < CONFLICTS => cx.line("it was changed meanwhile, reading it again"),
                Err(Refused::Conflict) => {
                    let words = format!("deployment {} changes faster than it can be written", self.deployment);
                    return Err(Failure::new(Class::FailedNothingDone, words));
                }
                Err(Refused::Failed(failure)) => return Err(failure),
            }
        }
        let now = self.settle(kubectl, cx).await?;
        Ok(self.done(how, &now))
    }

    fn done(&self, how: &str, now: &Deployment) -> Done {
        Done::new(format!("{how}: {}: {}", self.deployment, now.line())).with(json!({
            "deployment": self.deployment,
            "namespace": self.namespace,
            "before": self.before,
            "after": self.after,
        }))
    }

    async fn settle(&self, kubectl: &Kubectl, cx: &Cx) -> Result<Deployment, Failure> {
        let limits = Limits::of(cx);
        let mut last = String::from("nothing seen yet");
        loop {
            match self.read(kubectl, &limits).await {
                Ok((place, now)) => {
                    let found = self.after.found(&now);
                    if found != self.after {
                        let words = format!("somebody else changed it while it rolled out: {}", found.words());
                        return Err(Failure::new(Class::Failed, words).hint("look at who changed it"));
                    }
                    match now.verdict() {
                        Verdict::Complete => return Ok(now),
                        Verdict::Moving(words) => {
                            last = words;
                            cx.progress(now.part() * 0.95, format!("{last}; {}", now.line()));
                        }
                        Verdict::Stuck(words) => {
                            let failure = Failure::new(Class::Failed, format!("{}: {words}", self.deployment));
                            let reasons = now.reasons(kubectl, &place, &limits).await;
                            return Err(reasons.iter().fold(failure, Failure::because).hint(
                                "Kubernetes leaves it half rolled out; the step's rollback puts back what was captured",
                            ));
                        }
                    }
                }
                // It was accepted; a look that fails now is only a look.
                Err(failure) if failure.class == Class::FailedNothingDone => cx.line(&failure.message),
                Err(failure) => {
                    return Err(Failure { class: Class::Unknown, ..failure }.because(format!("last seen: {last}")));
                }
            }
            if let Err(end) = cx.pause(LOOK).await {
                let words = format!("{} while it was rolled out: {last}", end.message);
                return Err(Failure::new(Class::Unknown, words).hint("a probe looks how it ended"));
            }
        }
    }

    /// Looks how it ended, and waits for one that is still rolling.
    ///
    /// # Errors
    /// Could not look.
    pub async fn probe(&self, kubectl: &Kubectl, cx: &Cx) -> Result<Finding, Failure> {
        let limits = Limits::of(cx);
        let mut before_since = None::<Instant>;
        loop {
            let (place, now) = self.read(kubectl, &limits).await?;
            let found = self.after.found(&now);
            if found == self.after {
                match now.verdict() {
                    Verdict::Complete => return Ok(Finding::Done(self.done("found as wanted", &now))),
                    Verdict::Stuck(words) => {
                        let reasons = now.reasons(kubectl, &place, &limits).await.join("; ");
                        return Ok(Finding::Unclear { line: format!("it was asked for, but {words}; {reasons}") });
                    }
                    Verdict::Moving(words) => cx.progress(now.part() * 0.95, words),
                }
            } else if found == self.before {
                let since = *before_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= APART {
                    let line = format!("as before, twice {} s apart: {}", APART.as_secs(), now.line());
                    return Ok(Finding::NotDone { line });
                }
            } else {
                let line = format!("neither as before nor as wanted: {}", found.words());
                return Ok(Finding::Unclear { line });
            }
            if cx.pause(LOOK).await.is_err() {
                return Ok(Finding::Unclear { line: format!("still rolling: {}", now.line()) });
            }
        }
    }
}
