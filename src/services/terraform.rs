//! Terraform and OpenTofu, asked for a plan by their own program: what an apply would change now. A plan
//! takes no lock, asks nobody and writes nothing; nothing is ever applied.
//!
//! What is relied on: exit codes of `plan -detailed-exitcode` (0 nothing, 1 error, 2 changes) and the
//! messages of `-json` (`planned_change`, `resource_drift`, `change_summary`, `outputs`, `diagnostic`), as in
//! Terraform's "Command: plan" and "Machine-Readable UI".

use std::{ffi::OsString, path::PathBuf, time::Duration};

use serde_json::Value as Json;
use zeroize::Zeroizing;

use super::tool::{self, Broken, Tool};
use crate::{
    base::{Class, Failure, clean_line},
    plan::Cx,
};

/// How long the look at workspaces may take; it reads a list.
const LIST: Duration = Duration::from_secs(60);
/// The most changes that are kept by name; all are counted.
const CHANGES: usize = 1000;
/// Variables that a plan needs to reach a provider, a registry or a backend.
const NAMES: [&str; 13] = [
    "TF_DATA_DIR",
    "TF_CLI_CONFIG_FILE",
    "TF_PLUGIN_CACHE_DIR",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "https_proxy",
    "http_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "XDG_CONFIG_HOME",
    "SSH_AUTH_SOCK",
];
/// As [`NAMES`], by their beginnings. `TF_CLI_ARGS*` is not among them: it could add any argument.
const PREFIXES: [&str; 3] = ["AWS_", "TF_VAR_", "TF_TOKEN_"];

/// What is planned.
pub struct Ask {
    /// `terraform`, `tofu`, a path; `None`: what fits the folder and is installed.
    pub binary: Option<String>,
    /// The folder of the configuration, initialised.
    pub dir: PathBuf,
    /// The workspace; `None`: the selected one.
    pub workspace: Option<String>,
    /// Files of variables, seen from the folder.
    pub var_files: Vec<String>,
    /// Addresses to which the plan is limited.
    pub targets: Vec<String>,
    /// Names of our own variables that it gets too.
    pub inherit: Vec<String>,
    /// Variables on top.
    pub env: Vec<(OsString, Zeroizing<String>)>,
    /// How long the plan may take.
    pub timeout: Duration,
}

/// One thing that an apply would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `update`, `create`, `replace`, `delete`, ….
    pub action: String,
    /// `module.dns.aws_route53_record.shop["a"]`.
    pub address: String,
    /// `aws_route53_record`.
    pub kind: String,
}

/// What a plan says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The program.
    pub binary: String,
    /// Its version.
    pub version: String,
    /// The workspace that was planned.
    pub workspace: String,
    /// True where it says itself that there is nothing to do (exit code 0).
    pub clean: bool,
    /// What it would do, by address.
    pub changes: Vec<Change>,
    /// What was changed behind its back.
    pub drift: Vec<Change>,
    /// Outputs that would change.
    pub outputs: Vec<String>,
    /// Add, change, import, remove.
    pub summary: Option<[u64; 4]>,
    /// Errors and warnings.
    pub said: Vec<String>,
}

impl Ask {
    /// The program that is used.
    ///
    /// # Errors
    /// `Misconfigured`: there is none.
    pub fn program(&self) -> Result<String, Failure> {
        if let Some(binary) = &self.binary {
            return Ok(binary.clone());
        }
        // Both may be there; the lock file says which one the folder was initialised with.
        let lock = std::fs::read_to_string(self.dir.join(".terraform.lock.hcl")).unwrap_or_default();
        let order = if lock.contains("registry.opentofu.org") { ["tofu", "terraform"] } else { ["terraform", "tofu"] };
        let found = order.into_iter().find(|name| tool::installed(name));
        found.map(ToOwned::to_owned).ok_or_else(|| {
            Failure::new(Class::Misconfigured, "neither terraform nor tofu was found in PATH")
                .hint("install one of them, or give its path by `binary`")
        })
    }

    fn tool<'a>(&self, argv: Vec<String>, workspace: Option<&str>, limit: Duration, cx: &'a Cx) -> Tool<'a> {
        let inherit = self.inherit.iter().map(String::as_str).chain(NAMES).collect::<Vec<_>>();
        let mut env = tool::inherited(&inherit, &PREFIXES);
        let fixed = [("TF_IN_AUTOMATION", "1"), ("TF_INPUT", "0"), ("CHECKPOINT_DISABLE", "1")];
        let workspace = workspace.map(|name| ("TF_WORKSPACE", name));
        let set = |(name, value): (&str, &str)| (OsString::from(name), Zeroizing::new(value.to_owned()));
        env.extend(fixed.into_iter().chain(workspace).map(set));
        env.extend(self.env.iter().cloned());
        let cwd = Some(self.dir.clone());
        Tool { argv, cwd, env, stdin: None, mark: None, limit, deadline: cx.deadline, cancel: &cx.cancel }
    }

    /// The command line of the plan.
    #[must_use]
    pub fn argv(&self, program: &str) -> Vec<String> {
        let fixed = ["plan", "-detailed-exitcode", "-lock=false", "-input=false", "-no-color", "-json"];
        let mut argv = std::iter::once(program).chain(fixed).map(ToOwned::to_owned).collect::<Vec<_>>();
        argv.extend(self.var_files.iter().map(|file| format!("-var-file={file}")));
        argv.extend(self.targets.iter().map(|target| format!("-target={target}")));
        argv
    }

    /// Plans.
    ///
    /// # Errors
    /// `Misconfigured`: no program, no folder, not initialised, no such workspace; `Denied`: credentials;
    /// `FailedNothingDone`: it failed, took too long or did not say what it has to say.
    pub async fn plan(&self, cx: &Cx) -> Result<Plan, Failure> {
        let program = self.program()?;
        if !self.dir.is_dir() {
            let shown = clean_line(&self.dir.display().to_string(), 200);
            return Err(Failure::new(Class::Misconfigured, format!("`dir` {shown} is no folder")));
        }
        let workspace = self.workspace(&program, cx).await?;
        let what = format!("{program} plan");
        let mut lines = Lines::default();
        let tool = self.tool(self.argv(&program), self.workspace.as_deref(), self.timeout, cx);
        let ended = tool::run(tool, |piece| lines.take(piece, cx)).await.map_err(|broken| broken.reading(&what))?;
        lines.end(cx);
        let mut plan = Plan { binary: program, workspace, ..lines.plan };
        // It tells them as its parallel walk comes by.
        plan.changes.sort_by(|one, other| one.address.cmp(&other.address));
        plan.drift.sort_by(|one, other| one.address.cmp(&other.address));
        match ended.code {
            Some(0) => {
                plan.clean = true;
                // An exit code alone could come from anything that is called terraform.
                match plan.summary {
                    Some([0, 0, 0, 0]) => Ok(plan),
                    Some(_) => Err(failed(format!("no data: {what} ended with 0, but its summary counts changes"))),
                    None => Err(failed(format!("no data: {what} ended with 0 and without a summary"))),
                }
            }
            Some(2) => Ok(plan),
            code => {
                let code = code.map_or("by a signal".into(), |code| format!("with exit code {code}"));
                Err(refused(&format!("{what} ended {code}"), &plan.said, &ended.err))
            }
        }
    }

    /// The workspace that is planned. A name in `TF_WORKSPACE` that does not exist would be created by the
    /// plan itself, so it is looked up first.
    async fn workspace(&self, program: &str, cx: &Cx) -> Result<String, Failure> {
        let verb = if self.workspace.is_some() { "list" } else { "show" };
        let argv = [program, "workspace", verb].map(ToOwned::to_owned).to_vec();
        let what = format!("{program} workspace {verb}");
        let ended = tool::run(self.tool(argv, None, LIST, cx), |_| ()).await;
        let ended = ended.map_err(|broken: Broken| broken.reading(&what))?;
        if ended.code != Some(0) {
            return Err(refused(&format!("{what} failed"), &[], &ended.err));
        }
        let text = String::from_utf8_lossy(&ended.out);
        let names = text.lines().map(|line| clean_line(line.trim_start_matches('*').trim(), 100));
        let names = names.filter(|name| !name.is_empty()).collect::<Vec<_>>();
        match &self.workspace {
            None => Ok(names.into_iter().next().unwrap_or_default()),
            Some(wanted) if names.contains(wanted) => Ok(wanted.clone()),
            Some(wanted) => Err(Failure::new(Class::Misconfigured, format!("there is no workspace `{wanted}`"))
                .because(format!("there are: {}", names.join(", ")))),
        }
    }
}

fn failed(what: String) -> Failure {
    Failure::new(Class::FailedNothingDone, what)
}

/// A failure in the program's own words, classed by them.
fn refused(what: &str, said: &[String], err: &[String]) -> Failure {
    let words = said.iter().chain(err).map(|line| line.to_lowercase()).collect::<Vec<_>>().join("\n");
    let has = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
    let first = said.iter().find(|line| line.starts_with("error")).or_else(|| err.first());
    let first = first.map(|line| format!(": {line}")).unwrap_or_default();
    let (class, hint) = if has(&["terraform init", "tofu init", "initialization required", "required plugins are not"])
    {
        (Class::Misconfigured, Some("run `init` in that folder first; a check does not"))
    } else if has(&["no configuration files"]) {
        (Class::Misconfigured, Some("compare `dir`: there is no configuration in it"))
    } else if has(&[
        "expiredtoken",
        "no valid credential",
        "accessdenied",
        "unauthorized",
        "token has expired",
        "forbidden",
    ]) {
        (Class::Denied, Some("renew the credentials that the providers and the backend use"))
    } else {
        (Class::FailedNothingDone, None)
    };
    let failure = Failure::new(class, format!("{what}{first}"));
    let failure = said.iter().chain(err).take(12).fold(failure, Failure::because);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The stream of messages, one JSON object a line.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
    plan: Plan,
}

impl Lines {
    fn take(&mut self, piece: &[u8], cx: &Cx) {
        for byte in piece {
            match byte {
                b'\n' => self.end(cx),
                byte => self.line.push(*byte),
            }
        }
    }

    fn end(&mut self, cx: &Cx) {
        let line = std::mem::take(&mut self.line);
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let Ok(message) = serde_json::from_slice::<Json>(&line) else {
            self.plan.said.push(clean_line(&String::from_utf8_lossy(&line), 400));
            return;
        };
        let text = |pointer: &str| message.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
        let change = |pointer: &str| Change {
            action: clean_line(text(&format!("{pointer}/action")), 40),
            address: clean_line(text(&format!("{pointer}/resource/addr")), 300),
            kind: clean_line(text(&format!("{pointer}/resource/resource_type")), 100),
        };
        match text("/type") {
            "version" => {
                let version = ["/terraform", "/tofu"].into_iter().map(text).find(|version| !version.is_empty());
                self.plan.version = clean_line(version.unwrap_or_default(), 40);
            }
            "planned_change" => {
                let change = change("/change");
                cx.line(format!("plans to {} {}", change.action, change.address));
                keep(&mut self.plan.changes, change);
            }
            "resource_drift" => {
                let change = change("/change");
                cx.line(format!("changed outside: {}", change.address));
                keep(&mut self.plan.drift, change);
            }
            "outputs" => {
                let outputs = message.get("outputs").and_then(Json::as_object);
                let moved = |output: &Json| !matches!(output["action"].as_str(), Some("noop") | None);
                let names = outputs.into_iter().flatten().filter(|(_, output)| moved(output));
                self.plan.outputs = names.map(|(name, _)| clean_line(name, 100)).take(CHANGES).collect();
            }
            "change_summary" => {
                let count = |name: &str| message["changes"][name].as_u64().unwrap_or_default();
                self.plan.summary = Some(["add", "change", "import", "remove"].map(count));
            }
            "diagnostic" => {
                let severity = text("/diagnostic/severity");
                let detail = text("/diagnostic/detail");
                let place = text("/diagnostic/range/filename");
                let place = if place.is_empty() { String::new() } else { format!(" ({place})") };
                let line = clean_line(&format!("{severity}: {}{place}. {detail}", text("/diagnostic/summary")), 800);
                cx.line(&line);
                self.plan.said.push(line);
            }
            _ => {}
        }
    }
}

fn keep(list: &mut Vec<Change>, change: Change) {
    if list.len() < CHANGES {
        list.push(change);
    }
}
