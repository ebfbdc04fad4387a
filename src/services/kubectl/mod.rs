//! A Kubernetes cluster, by the `kubectl` that its people use: their kubeconfig, their login, their plugins.
//! (The client crates cost more to compile than everything else here together.)
//!
//! ```text
//! config view ── which cluster the context means; compared with the one that is named ── refused
//! get --raw   ── one GET of a path: no discovery, nothing written, not even a cache
//! patch       ── one PATCH, bound to the version that was read (a conflict changes nothing)
//! ```

mod deployment;
mod rollout;

use std::{ffi::OsString, sync::Arc, time::Duration};

use serde_json::Value as Json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::tool::{self, Ended, Tool};
use crate::{
    base::{Class, Failure, clean_line},
    plan::{Cx, contract::Reporter},
};
pub use deployment::{Deployment, Verdict};
pub use rollout::{Change, Rollout, State};

/// How long one call may take, a login by a plugin included.
const CALL: Duration = Duration::from_secs(30);
/// How long the server may take for one request, as `kubectl --request-timeout` counts it.
const REQUEST: &str = "--request-timeout=15s";
/// How many objects a list is asked for at a time, and how many times; more is no data.
const PAGE: usize = 500;
const PAGES: usize = 20;
/// Variables that a login needs (`aws eks get-token`, proxies); `KUBECONFIG` where no file is named.
const NAMES: [&str; 10] = [
    "KUBECONFIG",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "https_proxy",
    "http_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "XDG_CONFIG_HOME",
];

/// Until when, and whether at all.
#[derive(Clone)]
pub struct Limits {
    deadline: Instant,
    cancel: CancellationToken,
    reporter: Option<Arc<dyn Reporter>>,
}

impl Limits {
    /// Those of an attempt.
    #[must_use]
    pub fn of(cx: &Cx) -> Self {
        Self { deadline: cx.deadline, cancel: cx.cancel.clone(), reporter: Some(cx.reporter.clone()) }
    }

    /// For a look outside an attempt.
    #[must_use]
    pub fn alone() -> Self {
        Self { deadline: Instant::now() + CALL, cancel: CancellationToken::new(), reporter: None }
    }
}

/// How a cluster is reached, and which one it has to be.
pub struct Kubectl {
    /// The program.
    pub binary: String,
    /// Its file; `None`: `KUBECONFIG`, else `~/.kube/config`.
    pub kubeconfig: Option<String>,
    /// The context; `None`: the current one.
    pub context: Option<String>,
    /// The namespace; `None`: the context's.
    pub namespace: Option<String>,
    /// The fence: the server's URL or the cluster's name in the kubeconfig.
    pub cluster: String,
    /// The account that an EKS cluster's ARN has to be in.
    pub account: Option<String>,
    /// Names of our own variables that it gets too.
    pub inherit: Vec<String>,
    /// Variables on top.
    pub env: Vec<(OsString, Zeroizing<String>)>,
}

/// Where a context leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The cluster's name in the kubeconfig; for EKS usually its ARN.
    pub cluster: String,
    /// The server's URL.
    pub server: String,
    /// The namespace that is used.
    pub namespace: String,
}

/// Why a patch was not taken.
pub(super) enum Refused {
    /// Somebody else changed it since it was read. Nothing was done.
    Conflict,
    /// Anything else.
    Failed(Failure),
}

impl Kubectl {
    fn argv(&self, args: &[&str]) -> Vec<String> {
        let mut argv = vec![self.binary.clone()];
        argv.extend(args.iter().map(|arg| (*arg).to_owned()));
        argv.extend(self.kubeconfig.iter().map(|file| format!("--kubeconfig={file}")));
        argv.extend(self.context.iter().map(|context| format!("--context={context}")));
        argv
    }

    async fn run(&self, what: &str, argv: Vec<String>, limits: &Limits, changes: bool) -> Result<Ended, Failure> {
        let inherit = self.inherit.iter().map(String::as_str).chain(NAMES).collect::<Vec<_>>();
        let mut env = tool::inherited(&inherit, &["AWS_"]);
        env.extend(self.env.iter().cloned());
        let mark = match &limits.reporter {
            Some(reporter) if changes => reporter.mark()?,
            _ => None,
        };
        let (deadline, cancel) = (limits.deadline, &limits.cancel);
        let tool = Tool { argv, cwd: None, env, stdin: None, mark, limit: CALL, deadline, cancel };
        let ended = tool::run(tool, |_| ()).await;
        ended.map_err(|broken| if changes { broken.changing(what) } else { broken.reading(what) })
    }

    /// Where the context leads, compared with where it has to lead. Asks no server.
    ///
    /// # Errors
    /// `Refused`: another cluster; `Misconfigured`: no such context, no program.
    pub async fn place(&self, limits: &Limits) -> Result<Place, Failure> {
        let what = format!("{} config view", self.binary);
        let argv = self.argv(&["config", "view", "--minify", "-o", "json"]);
        let ended = self.run(&what, argv, limits, false).await?;
        let broken = |why: &str| {
            let context = self.context.as_deref().unwrap_or("(the current one)");
            let words = format!("the kubeconfig does not say where context {context} leads{why}");
            ended.err.iter().fold(Failure::new(Class::Misconfigured, words), Failure::because)
        };
        if ended.code != Some(0) {
            return Err(broken(""));
        }
        let view: Json = serde_json::from_slice(&ended.out).map_err(|_| broken(": no JSON"))?;
        let text = |pointer: &str| view.pointer(pointer).and_then(Json::as_str).map(|text| clean_line(text, 300));
        let (Some(cluster), Some(server)) = (text("/clusters/0/name"), text("/clusters/0/cluster/server")) else {
            return Err(broken(": no cluster"));
        };
        let namespace = self.namespace.clone().or_else(|| text("/contexts/0/context/namespace"));
        let place = Place { cluster, server, namespace: namespace.unwrap_or_else(|| "default".into()) };
        let bare = |url: &str| url.trim_end_matches('/').to_owned();
        if self.cluster != place.cluster && bare(&self.cluster) != bare(&place.server) {
            let words = format!("the context leads to another cluster than {}", self.cluster);
            return Err(Failure::new(Class::Refused, words)
                .because(format!("found {} at {}", place.cluster, place.server))
                .hint("name the right `context`, or the cluster that is meant"));
        }
        let account = place.cluster.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(3));
        if let (Some(wanted), Some(found)) = (&self.account, account)
            && wanted != found
        {
            let words = format!("the cluster is in account {found}, the environment is for {wanted}");
            return Err(Failure::new(Class::Refused, words).because(place.cluster));
        }
        Ok(place)
    }

    /// One GET of a path.
    ///
    /// # Errors
    /// `Misconfigured`: it is not there; `Denied`; `FailedNothingDone`: the server was not reached or did not answer.
    pub async fn get(&self, path: &str, limits: &Limits) -> Result<Json, Failure> {
        let what = format!("{} get {path}", self.binary);
        let ended = self.run(&what, self.argv(&["get", "--raw", path, REQUEST]), limits, false).await?;
        if ended.code != Some(0) {
            return Err(told(&what, &ended.err, Class::FailedNothingDone));
        }
        serde_json::from_slice(&ended.out)
            .map_err(|_| Failure::new(Class::FailedNothingDone, format!("no data: {what} did not answer JSON")))
    }

    /// Every object of a list, page by page.
    ///
    /// # Errors
    /// As [`Kubectl::get`]; also where there are more than are read.
    pub async fn list(&self, path: &str, selector: &str, limits: &Limits) -> Result<Vec<Json>, Failure> {
        let encode =
            |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let mut all = Vec::new();
        let mut next = String::new();
        for _ in 0..PAGES {
            let more = if next.is_empty() { String::new() } else { format!("&continue={}", encode(&next)) };
            let page = format!("{path}?labelSelector={}&limit={PAGE}{more}", encode(selector));
            let mut answer = self.get(&page, limits).await?;
            match answer["items"].take() {
                Json::Array(items) => all.extend(items),
                _ => {
                    let words = format!("no data: {path} is no list");
                    return Err(Failure::new(Class::FailedNothingDone, words));
                }
            }
            next = answer.pointer("/metadata/continue").and_then(Json::as_str).unwrap_or_default().to_owned();
            if next.is_empty() {
                return Ok(all);
            }
        }
        let words = format!("no data: {path} has more than {} objects", PAGE * PAGES);
        Err(Failure::new(Class::FailedNothingDone, words))
    }

    /// One strategic merge patch of a deployment; it names the version that it is for.
    pub(super) async fn patch(&self, place: &Place, name: &str, patch: &Json, limits: &Limits) -> Result<(), Refused> {
        let what = format!("{} patch deployment {name}", self.binary);
        let (namespace, body) = (format!("--namespace={}", place.namespace), format!("--patch={patch}"));
        let args = ["patch", "deployment", name, "--type=strategic", &body, &namespace, "--output=name", REQUEST];
        let ended = self.run(&what, self.argv(&args), limits, true).await.map_err(Refused::Failed)?;
        if ended.code == Some(0) {
            return Ok(());
        }
        if ended.err.iter().any(|line| line.contains("(Conflict)")) {
            return Err(Refused::Conflict);
        }
        Err(Refused::Failed(told(&what, &ended.err, Class::Unknown)))
    }
}

/// What `kubectl` says, classed by its own words; `else_` where they prove nothing.
fn told(what: &str, err: &[String], else_: Class) -> Failure {
    let words = err.join("\n");
    let has = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
    let (class, hint) = if has(&[
        "(Forbidden)",
        "(Unauthorized)",
        "must be logged in",
        "ExpiredToken",
        "credentials",
        "getting credentials",
    ]) {
        (Class::Denied, Some("log in to the cluster again, or compare the role's rights there"))
    } else if has(&[
        "(NotFound)",
        "could not find the requested resource",
        "(Invalid)",
        "(BadRequest)",
        "(UnsupportedMediaType)",
    ]) {
        (Class::Misconfigured, Some("compare deployment, namespace and context with the cluster"))
    } else if has(&["denied the request", "(AlreadyExists)"]) {
        (Class::Refused, None)
    } else if has(&[
        "connection refused",
        "no such host",
        "was refused - did you specify",
        "(TooManyRequests)",
        "dial tcp",
    ]) {
        (Class::FailedNothingDone, None)
    } else {
        (else_, None)
    };
    let last = err.last().map(|line| format!(": {line}")).unwrap_or_default();
    let failure = err.iter().take(8).fold(Failure::new(class, format!("{what}{last}")), Failure::because);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
