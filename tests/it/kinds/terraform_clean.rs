//! `terraform.clean`, against the real program (named by `GONOGO_TERRAFORM`; without one that test counts as ignored,
//! `tests/run` runs it where it finds one), with a configuration that needs no provider, and against a stand-in that
//! speaks the documented exit codes and messages: the real one cannot be made to show Route 53 records, credentials
//! or hanging.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use gonogo::{
    base::{Class, Failure},
    plan::Seen,
    runbook::{AwsEnv, EnvKind},
};

use super::contract::{attempt, attempt_of, check, env, points_at, services};

const KIND: &str = "terraform.clean";

// No `contract!`: neither the sandbox nor moto nor knot has a Terraform. The contract's statements about a check are
// made below against the real program: it looks twice, writes nothing, stops when it is told to.

const CONFIGURATION: &str = r#"
variable "size" {
  type    = number
  default = 1
}
resource "terraform_data" "web" {
  count = 2
  input = "v${var.size}"
}
output "size" { value = var.size }
"#;

fn terraform(program: &str, folder: &Path, args: &[&str]) {
    let out = Command::new(program)
        .args(args)
        .current_dir(folder)
        .env("CHECKPOINT_DISABLE", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{args:?}: {}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
}

/// An initialised and applied folder.
fn applied(program: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("main.tf"), CONFIGURATION).unwrap();
    fs::write(folder.path().join("two.tfvars"), "size = 2\n").unwrap();
    terraform(program, folder.path(), &["init", "-input=false"]);
    terraform(program, folder.path(), &["apply", "-input=false", "-auto-approve"]);
    folder
}

/// Every file of a folder with its content.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path())
            }
            found.push((entry.path(), fs::read(entry.path()).unwrap_or_default()));
        }
    }
    found.sort();
    found
}

async fn look(text: &str) -> Result<Seen, Failure> {
    check(KIND, text, &services(env())).check(&attempt().cx).await
}

fn at(folder: &Path, program: &str, rest: &str) -> String {
    format!("dir = '{}'\nbinary = '{program}'\n{rest}", folder.display())
}

#[tokio::test]
#[ignore = "needs terraform or tofu, named by GONOGO_TERRAFORM"]
async fn the_real_one() {
    let program = std::env::var("GONOGO_TERRAFORM").expect("GONOGO_TERRAFORM names terraform or tofu");
    let folder = applied(&program);
    let text = at(folder.path(), &program, "");
    let before = files(folder.path());
    for _ in 0..2 {
        let seen = look(&text).await.unwrap();
        assert!(
            seen.line.contains("would change nothing in ") && seen.line.ends_with("workspace default"),
            "{}",
            seen.line
        );
        assert_eq!((seen.value, seen.evidence["change"].as_u64()), (Some(0.0), Some(0)));
        assert!(!seen.evidence["version"].as_str().unwrap().is_empty(), "{:?}", seen.evidence);
    }
    let failure = look(&at(folder.path(), &program, "var_file = 'two.tfvars'")).await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet);
    assert!(failure.message.contains("an apply would change 3 things"), "{failure:?}");
    assert_eq!(failure.causes, ["update terraform_data.web[0]", "update terraform_data.web[1]", "change output size"]);
    let failure = look(&at(folder.path(), &program, "var_file = 'two.tfvars'\ntargets = ['terraform_data.web[0]']"))
        .await
        .unwrap_err();
    assert!(failure.causes.contains(&"update terraform_data.web[0]".to_owned()), "{failure:?}");
    assert!(!failure.causes.iter().any(|cause| cause.contains("web[1]")), "{failure:?}");
    let failure = look(&at(folder.path(), &program, "env = { TF_VAR_size = '2' }")).await.unwrap_err();
    assert!(failure.message.contains("change 3 things"), "{failure:?}");
    assert_eq!(files(folder.path()), before, "a check wrote something");

    // Changed behind its back: the state says v0, the configuration v1.
    let state = folder.path().join("terraform.tfstate");
    let text_of = fs::read_to_string(&state).unwrap();
    fs::write(&state, text_of.replace("\"v1\"", "\"v0\"")).unwrap();
    let failure = look(&text).await.unwrap_err();
    assert!(failure.message.contains("change 2 things"), "{failure:?}");
    fs::write(&state, text_of).unwrap();

    // A workspace that is not there must not be made by looking.
    let before = files(folder.path());
    let failure = look(&at(folder.path(), &program, "workspace = 'staging'")).await.unwrap_err();
    assert_eq!((failure.class, failure.message.as_str()), (Class::Misconfigured, "there is no workspace `staging`"));
    assert_eq!(files(folder.path()), before, "a check made a workspace");
    terraform(&program, folder.path(), &["workspace", "new", "staging"]);
    terraform(&program, folder.path(), &["workspace", "select", "default"]);
    let failure = look(&at(folder.path(), &program, "workspace = 'staging'")).await.unwrap_err();
    assert!(failure.message.contains("workspace staging") && failure.causes[0].starts_with("create "), "{failure:?}");
    look(&text).await.unwrap();

    for (rest, class, said) in [
        ("var_file = 'none.tfvars'", Class::NotYet, "no data: "),
        ("targets = ['a..']", Class::NotYet, "Invalid target"),
    ] {
        let failure = look(&at(folder.path(), &program, rest)).await.unwrap_err();
        assert_eq!(failure.class, class, "{failure:?}");
        assert!(failure.message.contains(said) && failure.message.contains("exit code 1"), "{failure:?}");
    }
    fs::write(folder.path().join("module.tf"), "module \"x\" { source = \"./x\" }\n").unwrap();
    let failure = look(&text).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured, "{failure:?}");
    assert!(failure.hint.as_ref().unwrap().contains("run `init`"), "{failure:?}");
    let empty = tempfile::tempdir().unwrap();
    let failure = look(&at(empty.path(), &program, "")).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured, "{failure:?}");
}

/// A program that says what it is told to, whatever it is asked.
fn stand_in(script: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("stand-in");
    let text = format!("#!/bin/sh\nif [ \"$1\" = workspace ]; then echo default; exit 0; fi\n{script}\n");
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

async fn played(script: &str, rest: &str) -> Result<Seen, Failure> {
    let folder = stand_in(script);
    look(&at(folder.path(), "./stand-in", rest)).await
}

fn planned(kind: &str, action: &str, address: &str, of: &str) -> String {
    format!(
        "echo '{{\"type\":\"{of}\",\"change\":{{\"resource\":{{\"addr\":\"{address}\",\"resource_type\":\"{kind}\"}},\"action\":\"{action}\"}}}}'\n"
    )
}

fn summary(change: u32) -> String {
    format!(
        "echo '{{\"type\":\"change_summary\",\"changes\":{{\"add\":0,\"change\":{change},\"import\":0,\"remove\":0}}}}'\n"
    )
}

#[tokio::test]
async fn route_53_first() {
    let script = [
        planned("aws_security_group", "update", "aws_security_group.web", "planned_change"),
        planned("aws_route53_record", "update", "module.dns.aws_route53_record.shop", "planned_change"),
        planned("aws_route53_record", "update", "module.dns.aws_route53_record.shop", "resource_drift"),
        summary(2),
        "exit 2".into(),
    ]
    .concat();
    let failure = played(&script, "").await.unwrap_err();
    assert!(failure.message.starts_with("an apply would change 1 of Route 53 and 1 other things"), "{failure:?}");
    assert!(failure.message.ends_with("first: update module.dns.aws_route53_record.shop"), "{failure:?}");
    assert_eq!(
        failure.causes,
        [
            "update module.dns.aws_route53_record.shop",
            "update aws_security_group.web",
            "changed outside of it: module.dns.aws_route53_record.shop"
        ]
    );
    assert!(failure.hint.unwrap().contains("put DNS back"));
}

#[tokio::test]
async fn an_exit_code_alone_is_not_believed() {
    played(&summary(0), "").await.unwrap();
    for (script, said) in [
        ("exit 0".to_owned(), "ended with 0 and without a summary"),
        (summary(3), "its summary counts changes"),
        ("exit 2".to_owned(), "and not what"),
        ("kill -9 $$".to_owned(), "by a signal"),
        ("echo not json; exit 1".to_owned(), "exit code 1"),
    ] {
        let failure = played(&script, "").await.unwrap_err();
        assert_eq!(failure.class, Class::NotYet, "{failure:?}");
        assert!(failure.message.contains(said), "{failure:?}");
    }
    let expired = r#"echo '{"type":"diagnostic","diagnostic":{"severity":"error","summary":"reading Route 53","detail":"ExpiredToken: The security token included in the request is expired"}}'; exit 1"#;
    let failure = played(expired, "").await.unwrap_err();
    assert_eq!(failure.class, Class::Denied, "{failure:?}");
}

#[tokio::test]
async fn what_it_is_given() {
    let script =
        "printf '%s\\n' \"$@\" > args; env > env; test -t 0 && echo tty > tty; cat > in; ".to_owned() + &summary(0);
    let folder = stand_in(&script);
    let mut env = env();
    env.aws =
        Some(AwsEnv { profile: Some("acme-staging".into()), region: Some("eu-west-1".into()), ..AwsEnv::default() });
    let rest = "workspace = 'default'\nvar_file = ['a.tfvars', '-x']\ntargets = 'a.b'\nenv = { EXTRA = 'a b' }";
    check(KIND, &at(folder.path(), "./stand-in", rest), &services(env)).check(&attempt().cx).await.unwrap();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(
        read("args").lines().collect::<Vec<_>>(),
        [
            "plan",
            "-detailed-exitcode",
            "-lock=false",
            "-input=false",
            "-no-color",
            "-json",
            "-var-file=a.tfvars",
            "-var-file=-x",
            "-target=a.b"
        ]
    );
    let given = read("env");
    for wanted in [
        "AWS_PROFILE=acme-staging",
        "AWS_REGION=eu-west-1",
        "TF_WORKSPACE=default",
        "TF_IN_AUTOMATION=1",
        "TF_INPUT=0",
        "CHECKPOINT_DISABLE=1",
        "EXTRA=a b",
    ] {
        assert!(given.lines().any(|line| line == wanted), "{wanted}: {given}");
    }
    assert!(!given.contains("CARGO_"), "{given}");
    assert!(!folder.path().join("tty").exists());
    assert_eq!(read("in"), "");
}

#[tokio::test]
async fn cut_short_ends_the_group() {
    let script = "sleep 300 & echo $! > child; wait";
    let folder = stand_in(script);
    let begun = Instant::now();
    let failure = look(&at(folder.path(), "./stand-in", "timeout = '500ms'")).await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet);
    assert!(failure.message.contains("no data: ./stand-in plan took longer than 0.5 s"), "{failure:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    gone(folder.path()).await;
    fs::remove_file(folder.path().join("child")).unwrap();
    let short = attempt_of(Duration::from_secs(30), std::collections::BTreeMap::new());
    let (cx, looking) = (short.cx.clone(), check(KIND, &at(folder.path(), "./stand-in", ""), &services(env())));
    let task = tokio::spawn(async move { looking.check(&cx).await });
    while !fs::read_to_string(folder.path().join("child")).is_ok_and(|pid| pid.ends_with('\n')) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    short.cx.cancel.cancel();
    assert_eq!(task.await.unwrap().unwrap_err().class, Class::NotYet);
    gone(folder.path()).await;
}

/// Waits until the child that the stand-in left is gone.
async fn gone(folder: &Path) {
    let pid = fs::read_to_string(folder.join("child")).unwrap();
    let stat = PathBuf::from(format!("/proc/{}/stat", pid.trim()));
    let begun = Instant::now();
    while fs::read_to_string(&stat).is_ok_and(|text| !text.rsplit(')').next().unwrap().trim_start().starts_with('Z')) {
        assert!(begun.elapsed() < Duration::from_secs(10), "it still runs");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_cannot_be_looked_at() {
    for (text, said) in [
        ("dir = '/gonogo/none'\nbinary = 'true'", "`dir` /gonogo/none is no folder"),
        ("dir = '/tmp'\nbinary = 'gonogo-no-such-program'", "was not found in PATH"),
    ] {
        let failure = look(text).await.unwrap_err();
        assert_eq!(failure.class, Class::Misconfigured);
        assert!(failure.message.contains(said), "{failure:?}");
    }
    let mut sandbox = env();
    sandbox.kind = EnvKind::Sandbox;
    let failure = check(KIND, "dir = '/tmp'", &services(sandbox)).check(&attempt().cx).await.unwrap_err();
    assert_eq!(
        (failure.class, failure.message.as_str()),
        (Class::Misconfigured, "there is no Terraform in the sandbox")
    );
}

#[test]
fn bad_parameters() {
    let services = services(env());
    for (text, marked, message) in [
        ("", "", "needs `dir`"),
        ("dir = ' '", "' '", "`dir` must not be empty"),
        ("dir = 'x'\nbinary = ''", "''", "`binary` must not be empty"),
        ("dir = 'x'\nworkspace = 1", "1", "`workspace` must be text"),
        ("dir = 'x'\nworkspace = '${secret.x}'", "'${secret.x}'", "must not be a secret"),
        ("dir = 'x'\nvar_file = ['a', '']", "['a', '']", "`var_file` holds an empty text"),
        ("dir = 'x'\ntargets = ['a', 2]", "2", "a list of texts"),
        ("dir = 'x'\nenv = { TF_WORKSPACE = 'a' }", "{ TF_WORKSPACE = 'a' }", "would create a workspace"),
        ("dir = 'x'\nenv = { TF_CLI_ARGS_plan = 'a' }", "{ TF_CLI_ARGS_plan = 'a' }", "could add any argument"),
        ("dir = 'x'\nenv = { 'A=B' = 'a' }", "{ 'A=B' = 'a' }", "no name of a variable"),
        ("dir = 'x'\ntimeout = '0s'", "'0s'", "`timeout` must be longer"),
        ("dir = 'x'\napply = true", "apply", "does not know"),
    ] {
        points_at(KIND, text, &services, marked, message);
    }
    let looking = check(KIND, "dir = 'infra'\nbinary = 'tofu'\nworkspace = 'p'\ntargets = 'a.b'", &services);
    assert_eq!(
        looking.looks(),
        "run tofu plan -detailed-exitcode -lock=false -target=a.b in infra, workspace p, expects no change"
    );
    assert_eq!(looking.every(), Duration::from_secs(30));
}
