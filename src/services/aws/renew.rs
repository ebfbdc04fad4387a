//! How credentials are renewed here: the profile or the variables that they come from are followed to
//! their source, and the source says which command helps. Reads configuration, and never a key.
//!
//! Order and keys: "Configuration and credential file settings" and "Standardized credential providers" of the
//! AWS SDKs and Tools Reference Guide.

use std::{borrow::Cow, collections::BTreeSet};

use aws_config::profile::{Profile, ProfileSet};
use aws_types::os_shim_internal::{Env as Vars, Fs};
use chrono::{DateTime, Utc};
use serde::Deserialize as _;

use crate::{base::clean_line, plan::nearest, runbook::AwsEnv};

/// How credentials are renewed, in words that can be typed, and what says when they end.
#[derive(Debug, Clone)]
pub(super) struct Renew {
    hint: String,
    ends: Ends,
}

/// What says when a person has to renew credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ends {
    /// The keys themselves.
    Keys,
    /// Nobody has to: the machine's own role.
    Never,
    /// The sign-in at this start page; the keys that it gives are asked for again by themselves.
    SignIn(String),
    /// Keys that lie behind an assumed role, whose end nobody says.
    Behind,
}

/// Longer than any command that a person would type.
const COMMAND: usize = 240;

impl Renew {
    /// Where nothing of the user's configuration was read.
    pub fn unknown(profile: Option<&str>) -> Self {
        let hint = match profile {
            Some(profile) => sso(profile),
            None => "renew the credentials: aws sso login, or set AWS_PROFILE or the environment's `profile`".into(),
        };
        Self { hint, ends: Ends::Keys }
    }

    /// Follows the user's configuration as the SDK does.
    pub async fn find(aws: &AwsEnv) -> Self {
        let (vars, given) = (Vars::real(), aws.profile.clone().map(Cow::Owned));
        let profiles = aws_config::profile::load(&Fs::real(), &vars, &usual_files(), given).await;
        match profiles {
            Ok(profiles) => {
                let given = aws.profile.as_deref();
                let ends = match ends(&profiles, given, &vars) {
                    Ends::Keys if aws.role.is_some() => Ends::Behind,
                    ends => ends,
                };
                Self { hint: follow(&profiles, given, &vars), ends }
            }
            Err(broken) => {
                let hint = format!("correct the AWS configuration: {}", clean_line(&broken.to_string(), COMMAND));
                Self { hint, ends: Ends::Keys }
            }
        }
    }

    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// When a person has to renew them, given when the keys end; `None` where nobody says.
    pub async fn end(&self, keys: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        match &self.ends {
            Ends::Keys => keys,
            Ends::Never | Ends::Behind => None,
            Ends::SignIn(start) => sign_in_end(start).await,
        }
    }

    /// True where nobody has to renew them.
    pub fn by_itself(&self) -> bool {
        self.ends == Ends::Never
    }
}

/// When the sign-in at a start page ends: the AWS CLI keeps its token in `~/.aws/sso/cache`. One that has a refresh token
/// is renewed by itself, for as long as the administrator allows, which nobody says.
async fn sign_in_end(start: &str) -> Option<DateTime<Utc>> {
    let folder = std::env::home_dir()?.join(".aws/sso/cache");
    let mut files = tokio::fs::read_dir(folder).await.ok()?;
    let mut end = None;
    while let Ok(Some(file)) = files.next_entry().await {
        let Ok(text) = tokio::fs::read(file.path()).await.map(zeroize::Zeroizing::new) else { continue };
        let Ok(token) = serde_json::from_slice::<Token>(&text) else { continue };
        if token.start_url == start && !token.refreshed {
            end = end.max(Some(token.expires_at));
        } else if token.start_url == start {
            return None;
        }
    }
    end
}

/// The part of a cached token that is no secret.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Token {
    start_url: String,
    expires_at: DateTime<Utc>,
    #[serde(default, rename = "refreshToken", deserialize_with = "is_there")]
    refreshed: bool,
}

fn is_there<'de, D: serde::Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(value).map(|_| true)
}

/// Follows the configuration as [`follow`] does, to what says when it ends.
fn ends(profiles: &ProfileSet, given: Option<&str>, vars: &Vars) -> Ends {
    let set = |name: &str| vars.get(name).is_ok_and(|value| !value.is_empty());
    if given.is_none() && set("AWS_ACCESS_KEY_ID") && set("AWS_SECRET_ACCESS_KEY") {
        return Ends::Keys;
    }
    let mut name = given.unwrap_or_else(|| profiles.selected_profile());
    let (mut behind, mut steps) = (Ends::Keys, 0);
    while let Some(profile) = profiles.get_profile(name) {
        let get = |key: &str| profile.get(key).filter(|value| !value.is_empty());
        steps += 1;
        if get("web_identity_token_file").is_some() || get("credential_source").is_some_and(|s| s != "Environment") {
            return Ends::Never;
        }
        match get("source_profile").filter(|next| get("role_arn").is_some() && *next != name && steps < 16) {
            Some(next) => (name, behind) = (next, Ends::Behind),
            None => {
                let session = get("sso_session").and_then(|name| profiles.sso_session(name));
                let start = session.and_then(|session| session.get("sso_start_url")).or_else(|| get("sso_start_url"));
                return start.map_or(behind, |start| Ends::SignIn(start.to_owned()));
            }
        }
    }
    if machine(&set).is_some() { Ends::Never } else { Ends::Keys }
}

#[expect(deprecated, reason = "the new name is in a crate below, which would be a dependency for this name alone")]
fn usual_files() -> aws_config::profile::profile_file::ProfileFiles {
    aws_config::profile::profile_file::ProfileFiles::default()
}

fn sso(profile: &str) -> String {
    format!("renew the credentials: aws sso login --profile {}", clean_line(profile, 80))
}

/// What the SDK would take: a profile that the runbook names, else variables, else the profile in force, else
/// what the machine has.
fn follow(profiles: &ProfileSet, given: Option<&str>, vars: &Vars) -> String {
    let set = |name: &str| vars.get(name).is_ok_and(|value| !value.is_empty());
    let name = given.unwrap_or_else(|| profiles.selected_profile());
    if given.is_none() && set("AWS_ACCESS_KEY_ID") && set("AWS_SECRET_ACCESS_KEY") {
        let what = if set("AWS_SESSION_TOKEN") {
            "export fresh ones"
        } else {
            "they have no session token, so they do not expire: export ones that are valid"
        };
        return format!(
            "the keys are environment variables (AWS_ACCESS_KEY_ID, …), and a running program keeps the ones it was \
             started with: {what}, then `gonogo resume last`; or give the environment's `aws` a `profile`"
        );
    }
    if profiles.get_profile(name).is_some() {
        return source(profiles, name, vars);
    }
    if given.is_some() || set("AWS_PROFILE") {
        let near = nearest(name, profiles.profiles()).map(|near| format!("; did you mean `{near}`?"));
        let (name, near) = (clean_line(name, 80), near.unwrap_or_default());
        return format!("there is no profile `{name}` in {}{near}", files(vars));
    }
    machine(&set).unwrap_or_else(|| Renew::unknown(None).hint)
}

fn files(vars: &Vars) -> String {
    let file = |name: &str, usual: &str| clean_line(&vars.get(name).unwrap_or_else(|_| usual.to_owned()), COMMAND);
    format!("{} or {}", file("AWS_CONFIG_FILE", "~/.aws/config"), credentials_file(vars))
}

fn credentials_file(vars: &Vars) -> String {
    clean_line(&vars.get("AWS_SHARED_CREDENTIALS_FILE").unwrap_or_else(|_| "~/.aws/credentials".into()), COMMAND)
}

/// Roles that renew themselves: what is wrong with them is not in our hands.
fn machine(set: &impl Fn(&str) -> bool) -> Option<String> {
    let words = if set("AWS_WEB_IDENTITY_TOKEN_FILE") {
        "AWS_WEB_IDENTITY_TOKEN_FILE is kept fresh by whoever runs this container or job: look there"
    } else if set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") || set("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
        "the keys are the container's role and renew themselves: is the role still there, and its agent reachable?"
    } else {
        return None;
    };
    Some(words.into())
}

/// Follows a profile to where its keys come from.
fn source(profiles: &ProfileSet, start: &str, vars: &Vars) -> String {
    let mut name = start.to_owned();
    let mut seen = BTreeSet::new();
    loop {
        let shown = clean_line(&name, 80);
        let Some(profile) = profiles.get_profile(&name) else {
            return format!("there is no profile `{shown}` in {}, which profile {start} builds on", files(vars));
        };
        if !seen.insert(name.clone()) {
            return format!("profile {start} builds on itself: correct `source_profile` in {}", files(vars));
        }
        let get = |key: &str| profile.get(key).filter(|value| !value.is_empty());
        if get("role_arn").is_some() && get("web_identity_token_file").is_none() {
            if get("mfa_serial").is_some() {
                return format!(
                    "profile {shown} wants a code (`mfa_serial`), which only the AWS CLI can ask for: eval \"$(aws configure \
                     export-credentials --profile {shown} --format env)\", take `profile` out of the environment's `aws`, \
                     then gonogo resume last"
                );
            }
            match get("source_profile") {
                Some(next) if next != name => {
                    next.clone_into(&mut name);
                    continue;
                }
                None => return named_source(get("credential_source"), &shown, vars),
                Some(_) => {}
            }
        }
        match base(profile, &shown, vars) {
            Base::Words(words) => return words,
            Base::Profile(next) => name = next,
        }
    }
}

enum Base {
    Words(String),
    Profile(String),
}

/// A profile that needs no other one.
fn base(profile: &Profile, shown: &str, vars: &Vars) -> Base {
    let get = |key: &str| profile.get(key).filter(|value| !value.is_empty());
    if let Some(file) = get("web_identity_token_file") {
        let file = clean_line(file, COMMAND);
        return Base::Words(format!("profile {shown} exchanges the token in {file}: is it there and fresh?"));
    }
    if get("sso_session").is_some() || get("sso_start_url").is_some() {
        return Base::Words(sso(shown));
    }
    if get("login_session").is_some() {
        return Base::Words(format!(
            "renew the credentials: aws login --profile {shown}; this build reads them through another profile with \
             credential_process = aws configure export-credentials --profile {shown}"
        ));
    }
    if let Some(command) = get("credential_process") {
        return match exported(command) {
            Some(next) if next != shown => Base::Profile(next),
            _ => Base::Words(format!(
                "profile {shown} gets its keys from a command; see what it wants by running it: {}",
                harmless(command)
            )),
        };
    }
    let file = credentials_file(vars);
    Base::Words(if get("aws_session_token").is_some() {
        format!(
            "the keys of profile {shown} have expired: write fresh ones to {file} (as your sign-in tool does); they are \
             read again at the next try"
        )
    } else if get("aws_access_key_id").is_some() {
        format!(
            "the keys of profile {shown} do not expire, so they were changed or deactivated: correct them in {file}"
        )
    } else {
        format!("profile {shown} gives no credentials: aws configure sso --profile {shown}")
    })
}

fn named_source(source: Option<&str>, shown: &str, vars: &Vars) -> String {
    let set = |name: &str| vars.get(name).is_ok();
    match source {
        Some("Environment") => format!(
            "profile {shown} starts from environment variables, and a running program keeps the ones it was started \
             with: export fresh ones, then gonogo resume last"
        ),
        Some(source) => machine(&set).unwrap_or_else(|| {
            let source = clean_line(source, 60);
            format!(
                "profile {shown} starts from the machine's own role ({source}), which renews itself: is it still there?"
            )
        }),
        None => format!("profile {shown} has a `role_arn` and neither `source_profile` nor `credential_source`"),
    }
}

/// The profile behind `aws configure export-credentials --profile NAME`.
fn exported(command: &str) -> Option<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let program = words.first()?.rsplit('/').next()?;
    if program != "aws" || !words.contains(&"export-credentials") {
        return None;
    }
    let at = words.iter().position(|word| *word == "--profile")?;
    words.get(at + 1).map(|name| name.trim_matches(['"', '\'']).to_owned())
}

/// A command as it can be shown: one that may carry a secret is cut after its program.
fn harmless(command: &str) -> String {
    let lower = command.to_ascii_lowercase();
    let carries =
        ["secret", "password", "passwd", "token", "accesskey", "access-key"].iter().any(|w| lower.contains(w));
    let program = command.split_whitespace().next().unwrap_or_default();
    clean_line(if carries { program } else { command }, COMMAND)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(config: &str, given: Option<&str>, vars: &[(&str, &str)]) -> String {
        let all = [("HOME", "/home/mira"), ("AWS_CONFIG_FILE", "/c"), ("AWS_SHARED_CREDENTIALS_FILE", "/k")];
        let vars = Vars::from_slice(&[&all, vars].concat());
        let fs = Fs::from_map(std::collections::HashMap::from([("/c".to_owned(), config.as_bytes().to_vec())]));
        let given_too = given.map(|name| Cow::Owned(name.to_owned()));
        let profiles = aws_config::profile::load(&fs, &vars, &usual_files(), given_too).await.unwrap();
        follow(&profiles, given, &vars)
    }

    const CONFIG: &str = "
[default]
region = eu-west-1
[sso-session acme]
sso_region = eu-west-1
sso_start_url = https://acme.example/start
[profile sso]
sso_session = acme
[profile old-sso]
sso_start_url = https://acme.example/start
[profile deploy]
role_arn = arn:aws:iam::111122223333:role/Deploy
source_profile = sso
[profile deploy-twice]
role_arn = arn:aws:iam::111122223333:role/Deploy2
source_profile = deploy
[profile mfa]
role_arn = arn:aws:iam::111122223333:role/Deploy
mfa_serial = arn:aws:iam::111122223333:mfa/mira
source_profile = sso
[profile through-cli]
credential_process = /usr/bin/aws configure export-credentials --profile sso
[profile vault]
credential_process = aws-vault exec acme --json
[profile leaky]
credential_process = fetch --password hunter2
[profile session]
aws_access_key_id = A
aws_secret_access_key = b
aws_session_token = c
[profile static]
aws_access_key_id = A
aws_secret_access_key = b
[profile knot]
role_arn = r
source_profile = knot2
[profile knot2]
role_arn = r
source_profile = knot
[profile web]
role_arn = r
web_identity_token_file = /token
[profile machine]
role_arn = r
credential_source = Ec2InstanceMetadata
[profile login]
login_session = arn:aws:iam::111122223333:user/mira
";

    #[tokio::test]
    async fn every_source_has_its_command() {
        let sso = "renew the credentials: aws sso login --profile sso";
        let ends_of = async |profile: &str| {
            let (vars, given) = (Vars::from_slice(&[("AWS_CONFIG_FILE", "/c")]), Some(Cow::Owned(profile.to_owned())));
            let fs = Fs::from_map(std::collections::HashMap::from([("/c".to_owned(), CONFIG.as_bytes().to_vec())]));
            let profiles = aws_config::profile::load(&fs, &vars, &usual_files(), given).await.unwrap();
            ends(&profiles, Some(profile), &vars)
        };
        let start = Ends::SignIn("https://acme.example/start".into());
        for (profile, wanted) in [
            ("sso", start.clone()),
            ("old-sso", start.clone()),
            ("deploy-twice", start),
            ("vault", Ends::Keys),
            ("static", Ends::Keys),
            ("web", Ends::Never),
            ("machine", Ends::Never),
            ("knot", Ends::Behind),
        ] {
            assert_eq!(ends_of(profile).await, wanted, "{profile}");
        }
        for (profile, wanted) in [
            ("sso", sso),
            ("old-sso", "renew the credentials: aws sso login --profile old-sso"),
            ("deploy", sso),
            ("deploy-twice", sso),
            ("through-cli", sso),
            ("mfa", "export-credentials --profile mfa --format env"),
            ("vault", "running it: aws-vault exec acme --json"),
            ("leaky", "running it: fetch"),
            ("session", "the keys of profile session have expired: write fresh ones to /k"),
            ("static", "do not expire"),
            ("default", "aws configure sso --profile default"),
            ("knot", "profile knot builds on itself"),
            ("web", "exchanges the token in /token"),
            ("machine", "the machine's own role (Ec2InstanceMetadata)"),
            ("login", "aws login --profile login"),
            ("deplyo", "there is no profile `deplyo` in /c or /k; did you mean `deploy`?"),
        ] {
            let told = told(CONFIG, Some(profile), &[]).await;
            assert!(told.contains(wanted), "{profile}: {told}");
            assert!(!told.contains("hunter2"));
        }
    }

    #[tokio::test]
    async fn variables_come_before_the_profile_in_force_and_after_a_given_one() {
        let keys = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "b"), ("AWS_SESSION_TOKEN", "c")];
        let exported = told(CONFIG, None, &keys).await;
        assert!(exported.contains("export fresh ones, then `gonogo resume last`"), "{exported}");
        assert!(told(CONFIG, Some("sso"), &keys).await.ends_with("aws sso login --profile sso"));
        assert!(told(CONFIG, None, &[("AWS_PROFILE", "deploy")]).await.ends_with("aws sso login --profile sso"));
        let container = told("", None, &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://x")]).await;
        assert!(container.contains("the container's role"), "{container}");
        assert!(told("", None, &[]).await.contains("aws sso login"));
    }
}
