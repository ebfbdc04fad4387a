//! `terraform.clean`: an apply would change nothing now, so that nobody's apply undoes the night.

use std::{ffi::OsString, path::PathBuf, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};
use zeroize::Zeroizing;

use super::{Bind, Kind, filled, limit, no_data};
use crate::{
    base::{Class, Failure, clean_line},
    plan::{Check, Cx, Doubt, Param, Params, Seen, Shape, TextOrSecret},
    runbook::EnvKind,
    services::{
        Services,
        terraform::{Ask, Change, Plan},
    },
};

/// How long a plan may take unless the runbook says otherwise.
const TIMEOUT: Duration = Duration::from_mins(5);
/// A plan reads everything that it manages; more often would be rude to the provider's limits.
const EVERY: Duration = Duration::from_secs(30);
/// The most changes that a failure lists.
const LISTED: usize = 20;

/// The kind.
pub static KIND: Kind = Kind {
    name: "terraform.clean",
    summary: "Terraform or OpenTofu would change nothing, so that no apply undoes the cutover",
    docs: "\
Runs `terraform plan -detailed-exitcode -lock=false -input=false -no-color -json` (or `tofu`) in `dir` and is green at exit code 0 together with a summary that counts
no change. Otherwise it says what an apply would do, by resource address, Route 53 records first: an apply of the morning after that puts the old TTL or the
old target back is the classic way to undo a cutover. What was changed behind Terraform's back is told too.

It never applies, never initialises, takes no lock and asks nobody. The folder has to be initialised (`terraform init`) by whoever runs the
runbook. A `workspace` is looked up before it is used, because a plan in one that does not exist would create it. At the timeout or on an abort the whole
process group is ended.

Which program: `binary`, else the one that `.terraform.lock.hcl` was written by, else `terraform`, else `tofu`. It gets the base variables (PATH, HOME, …), ours that begin
with `AWS_`, `TF_VAR_` or `TF_TOKEN_`, `TF_DATA_DIR`, `TF_CLI_CONFIG_FILE`, `TF_PLUGIN_CACHE_DIR`, the proxy and certificate variables, those of `inherit`, those of `env`, and where the environment
names an AWS profile or region, `AWS_PROFILE` and `AWS_REGION`. `TF_CLI_ARGS` and `TF_WORKSPACE` are not passed on.

What hurts people: lower the TTL by `route53.set_ttl`, and Terraform wants 3600 back. Use this check as a criterion before the switch (is the configuration
already the new one?) and at the end (will tomorrow's apply leave it alone?). With `targets`, only these are known to be clean.

Limits: in a sandbox it fails as misconfigured, because there is no Terraform in it: give its step `only`. A plan sees what the state and the
credentials of this machine see. The values that would change are not shown: plans hold secrets.

Relies on Terraform's documentation: \"Command: plan\" (exit codes), \"Machine-Readable UI\" (messages), \"Environment Variables\"; OpenTofu has the same.
Evidence: `binary`, `version`, `workspace`, `changes`, `drift`, `outputs`, `add`, `change`, `import`, `remove`. The value is the number of changes.",
    params: &[
        Param { name: "dir", shape: Shape::Text, required: true, help: "folder of the configuration, initialised" },
        Param {
            name: "binary",
            shape: Shape::Text,
            required: false,
            help: "\"terraform\", \"tofu\" or a path; default: what the folder was initialised with",
        },
        Param { name: "workspace", shape: Shape::Text, required: false, help: "workspace; default: the selected one" },
        Param { name: "var_file", shape: Shape::Texts, required: false, help: "files of variables, seen from `dir`" },
        Param {
            name: "targets",
            shape: Shape::Texts,
            required: false,
            help: "resource addresses to which the plan is limited",
        },
        Param { name: "env", shape: Shape::Map, required: false, help: "variables: texts, or secrets standing alone" },
        Param { name: "inherit", shape: Shape::Texts, required: false, help: "names of our own variables that it gets too" },
        Param { name: "timeout", shape: Shape::Duration, required: false, help: "limit of one plan; default \"5m\"" },
    ],
    doubt: Doubt::Read,
    needs: &["to read the state and everything that the configuration manages"],
    example: include_str!("../../runbooks/kinds/terraform.clean.toml"),
    bind: Bind::Check(|params, services| Arc::new(Clean::read(params, services))),
};

struct Clean {
    services: Arc<Services>,
    binary: Option<String>,
    dir: String,
    workspace: Option<String>,
    var_files: Vec<String>,
    targets: Vec<String>,
    env: Vec<(String, TextOrSecret)>,
    inherit: Vec<String>,
    timeout: Duration,
}

impl Clean {
    fn read(params: &mut Params<'_>, services: &Arc<Services>) -> Self {
        let (var_files, targets, env) = (params.texts("var_file"), params.texts("targets"), params.map("env"));
        for (key, texts) in [("var_file", &var_files), ("targets", &targets)] {
            if texts.iter().any(|text| text.trim().is_empty() || text.contains('\0')) {
                let span = params.place_of(key);
                params.mistake(span, format!("`{key}` holds an empty text"), "nothing here", None);
            }
        }
        let span = params.place_of("env");
        for (name, _) in &env {
            let shown = clean_line(name, 40);
            if name.is_empty() || name.contains(['=', '\0']) {
                params.mistake(span.clone(), format!("`{shown}` is no name of a variable"), "in this table", None);
            } else if name == "TF_WORKSPACE" {
                let help = Some("give it by `workspace`, which looks it up first".into());
                params.mistake(span.clone(), "TF_WORKSPACE would create a workspace", "in this table", help);
            } else if name.starts_with("TF_CLI_ARGS") {
                let help = Some("give files by `var_file` and addresses by `targets`".into());
                params.mistake(span.clone(), format!("{shown} could add any argument"), "in this table", help);
            }
        }
        Self {
            services: services.clone(),
            binary: filled(params, "binary"),
            dir: filled(params, "dir").unwrap_or_default(),
            workspace: filled(params, "workspace"),
            var_files,
            targets,
            env,
            inherit: params.texts("inherit"),
            timeout: limit(params, TIMEOUT),
        }
    }

    async fn ask(&self) -> Result<Ask, Failure> {
        let mut env = Vec::new();
        if let Some(aws) = &self.services.env.aws {
            let pairs = [("AWS_PROFILE", &aws.profile), ("AWS_REGION", &aws.region)];
            let given = pairs.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
            env.extend(given.map(|(name, value)| (OsString::from(name), Zeroizing::new(value))));
        }
        for (name, value) in &self.env {
            let value = self.services.secrets.text(value).await?;
            if value.expose().contains('\0') {
                return Err(Failure::new(
                    Class::Misconfigured,
                    format!("variable `{}` holds a NUL", clean_line(name, 60)),
                ));
            }
            env.push((name.into(), Zeroizing::new(value.expose().to_owned())));
        }
        Ok(Ask {
            binary: self.binary.clone(),
            dir: PathBuf::from(&self.dir),
            workspace: self.workspace.clone(),
            var_files: self.var_files.clone(),
            targets: self.targets.clone(),
            inherit: self.inherit.clone(),
            env,
            timeout: self.timeout,
        })
    }

    async fn look(&self, cx: &Cx) -> Result<Seen, Failure> {
        if self.services.env.kind == EnvKind::Sandbox {
            return Err(Failure::new(Class::Misconfigured, "there is no Terraform in the sandbox")
                .hint("give the step `only = [\"…\"]` with the environments that have one"));
        }
        let plan = self.ask().await?.plan(cx).await.map_err(no_data)?;
        if plan.clean { Ok(self.seen(&plan)) } else { Err(dirty(&plan)) }
    }

    fn seen(&self, plan: &Plan) -> Seen {
        let only = if self.targets.is_empty() { String::new() } else { format!(", of {}", self.targets.join(", ")) };
        let Plan { binary, version, workspace, .. } = plan;
        let program = binary.rsplit('/').next().unwrap_or_default();
        Seen::new(format!("{program} {version} would change nothing in {}{only}, workspace {workspace}", self.dir))
            .value(0.0)
            .with(evidence(plan))
    }
}

fn evidence(plan: &Plan) -> Json {
    let list = |changes: &[Change]| {
        let one = |change: &Change| json!({ "action": change.action, "address": change.address, "type": change.kind });
        changes.iter().map(one).collect::<Vec<_>>()
    };
    let [add, change, import, remove] = plan.summary.unwrap_or_default();
    json!({
        "binary": plan.binary,
        "version": plan.version,
        "workspace": plan.workspace,
        "changes": list(&plan.changes),
        "drift": list(&plan.drift),
        "outputs": plan.outputs,
        "add": add,
        "change": change,
        "import": import,
        "remove": remove,
    })
}

/// What an apply would do, DNS first.
fn dirty(plan: &Plan) -> Failure {
    let words = |change: &Change| format!("{} {}", change.action, change.address);
    let dns = |change: &&Change| change.kind.starts_with("aws_route53_");
    let (dns, rest): (Vec<_>, Vec<_>) = plan.changes.iter().partition(dns);
    let mut all = dns.iter().chain(&rest).map(|change| words(change)).collect::<Vec<_>>();
    all.extend(plan.outputs.iter().map(|name| format!("change output {name}")));
    let place = format!("{}, workspace {}", plan.binary, plan.workspace);
    let message = match (dns.first(), all.as_slice()) {
        (Some(first), _) => format!(
            "an apply would change {} of Route 53 and {} other things ({place}); first: {}",
            dns.len(),
            all.len() - dns.len(),
            words(first)
        ),
        (None, [first, ..]) => format!("an apply would change {} things ({place}); first: {first}", all.len()),
        (None, []) => format!("it says that an apply would change something, and not what ({place})"),
    };
    let mut failure = Failure::new(Class::NotYet, message);
    if all.len() > LISTED {
        let more = format!("and {} more", all.len() - LISTED);
        all.truncate(LISTED);
        all.push(more);
    }
    failure = all.iter().fold(failure, Failure::because);
    if !plan.drift.is_empty() {
        let drift = plan.drift.iter().take(LISTED).map(|change| change.address.as_str()).collect::<Vec<_>>().join(", ");
        failure = failure.because(format!("changed outside of it: {drift}"));
    }
    failure.hint(if dns.is_empty() {
        "bring configuration and world together before somebody applies"
    } else {
        "an apply would put DNS back: change the configuration to what the cutover set, or stop every apply tonight"
    })
}

impl Check for Clean {
    fn looks(&self) -> String {
        let program = self.binary.as_deref().unwrap_or("terraform");
        let more = |flag: &str, list: &[String]| list.iter().map(|one| format!(" -{flag}={one}")).collect::<String>();
        let workspace = self.workspace.as_ref().map(|name| format!(", workspace {name}")).unwrap_or_default();
        let rest = more("var-file", &self.var_files) + &more("target", &self.targets);
        let line = format!(
            "run {program} plan -detailed-exitcode -lock=false{rest} in {}{workspace}, expects no change",
            self.dir
        );
        clean_line(&line, 400)
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(super::looking(cx, self.look(cx)))
    }

    fn every(&self) -> Duration {
        EVERY
    }
}
