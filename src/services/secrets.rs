//! Opens `${secret.x}`: reads the value where the reference points, once, and registers it with the
//! redactor before anybody sees it. No error carries the value or a part of it.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{sync::OnceCell, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Services, process};
use crate::{
    base::{Class, Failure, Redactor, Secret, clean_line},
    runbook::{SecretRef, SecretSource},
};

/// How long a secret's command may take: a password store asks a server, not a person.
const COMMAND: Duration = Duration::from_secs(30);
/// How much a command or a file may hold: far more than any key.
const LIMIT: usize = 256 << 10;

/// The runbook's secrets, opened on demand.
pub struct Secrets {
    refs: Vec<(SecretRef, OnceCell<Secret>)>,
    redactor: Arc<Redactor>,
    services: Weak<Services>,
}

impl Secrets {
    /// Closed secrets.
    #[must_use]
    pub fn new(refs: Vec<SecretRef>, redactor: Arc<Redactor>, services: Weak<Services>) -> Self {
        Self { refs: refs.into_iter().map(|one| (one, OnceCell::new())).collect(), redactor, services }
    }

    /// The value of a secret; read once, then remembered. A failure is not remembered.
    ///
    /// # Errors
    /// `Misconfigured` where it is not there, `Denied` where it may not be read, `FailedNothingDone`
    /// where the other side did not answer.
    // Boxed: Heroku's own token may be a secret, so the two call each other.
    pub fn open<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Secret, Failure>> {
        Box::pin(self.opened(name))
    }

    async fn opened(&self, name: &str) -> Result<Secret, Failure> {
        let Some((one, cell)) = self.refs.iter().find(|(one, _)| one.name == name) else {
            return Err(Failure::new(Class::Misconfigured, format!("there is no secret `{}`", clean_line(name, 60))));
        };
        let value = cell.get_or_try_init(|| async {
            let value = self.read(&one.source).await.map_err(|failure| named(name, failure))?;
            let secret = Secret::new(value);
            if secret.expose().len() < Redactor::MIN {
                let what = if secret.expose().is_empty() { "is empty" } else { "is shorter than 4 characters" };
                return Err(Failure::new(Class::Misconfigured, format!("secret `{name}` {what}"))
                    .hint("such a value cannot be kept out of the record; use a longer one"));
            }
            self.redactor.register(&secret);
            Ok(secret)
        });
        value.await.cloned()
    }

    /// Where a secret's value is.
    #[must_use]
    pub fn source(&self, name: &str) -> Option<&SecretSource> {
        self.refs.iter().find(|(one, _)| one.name == name).map(|(one, _)| &one.source)
    }

    /// What has to be allowed at AWS to open a secret; `None` where it is not kept there.
    #[must_use]
    pub fn needs(&self, name: &str) -> Option<crate::plan::Permission> {
        match self.source(name)? {
            #[cfg(feature = "aws")]
            SecretSource::AwsSecret(id) => Some(self.services.upgrade()?.aws.secret_needs(id)),
            #[cfg(feature = "aws")]
            SecretSource::AwsParameter(name) => Some(self.services.upgrade()?.aws.parameter_needs(name)),
            _ => None,
        }
    }

    /// Registers a secret that was not named by the runbook (a token from netrc).
    pub fn learn(&self, secret: &Secret) {
        self.redactor.register(secret);
    }

    /// Text, or the value of a secret.
    ///
    /// # Errors
    /// As [`Secrets::open`].
    pub async fn text(&self, value: &crate::plan::TextOrSecret) -> Result<Secret, Failure> {
        match value {
            crate::plan::TextOrSecret::Text(text) => Ok(Secret::new(text.clone())),
            crate::plan::TextOrSecret::Secret(name) => self.open(name).await,
        }
    }

    async fn read(&self, source: &SecretSource) -> Result<String, Failure> {
        let gone = || Failure::new(Class::FailedNothingDone, "the run is over");
        match source {
            SecretSource::Env(name) => env(name),
            SecretSource::File(path) => file(path).await,
            SecretSource::Command(argv) => self.command(argv).await,
            #[cfg(feature = "heroku")]
            SecretSource::HerokuConfig(name) => self.services.upgrade().ok_or_else(gone)?.heroku.config_var(name).await,
            #[cfg(feature = "aws")]
            SecretSource::AwsSecret(id) => self.services.upgrade().ok_or_else(gone)?.aws.secret_value(id).await,
            #[cfg(feature = "aws")]
            SecretSource::AwsParameter(name) => {
                self.services.upgrade().ok_or_else(gone)?.aws.parameter_value(name).await
            }
            #[cfg(not(all(feature = "aws", feature = "heroku")))]
            _ => {
                let _ = (gone, &self.services);
                Err(Failure::new(Class::Misconfigured, "this build has no client for where the secret is"))
            }
        }
    }

    /// Standard output of a command. It gets our whole environment: password stores keep sessions there.
    async fn command(&self, argv: &[String]) -> Result<String, Failure> {
        let program = clean_line(argv.first().map(String::as_str).unwrap_or_default(), 120);
        let spec = process::Spec {
            argv: argv.to_vec(),
            inherit: true,
            env: Vec::new(),
            cwd: None,
            stdin: None,
            apart: true,
            mark: None,
        };
        let (mut out, mut err) = (zeroize::Zeroizing::new(Vec::new()), Vec::new());
        let too_much = CancellationToken::new();
        let sink = |from, piece: &[u8]| {
            let kept: &mut Vec<u8> = if from == process::From::Out { &mut out } else { &mut err };
            kept.extend_from_slice(piece);
            if kept.len() > LIMIT {
                too_much.cancel();
            }
        };
        let status = match process::run(spec, Instant::now() + COMMAND, &too_much, sink).await? {
            process::End::Exited(status) if !too_much.is_cancelled() => status,
            process::End::TimedOut => {
                return Err(Failure::new(Class::FailedNothingDone, format!("`{program}` did not answer within 30 s")));
            }
            _ => return Err(Failure::new(Class::Misconfigured, format!("`{program}` printed more than 256 KiB"))),
        };
        if !status.success() {
            // What it printed may hold the value: it is masked in the words that explain the failure.
            let part = Secret::new(String::from_utf8_lossy(&out).into_owned());
            self.redactor.register(&part);
            let said = String::from_utf8_lossy(&err).into_owned();
            let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
            let failure = Failure::new(Class::Denied, format!("`{program}` ended with {status}"));
            return Err(if last.is_empty() { failure } else { failure.because(self.redactor.redact(last)) });
        }
        String::from_utf8(out.to_vec())
            .map(without_line_end)
            .map_err(|_| Failure::new(Class::Misconfigured, format!("`{program}` did not print UTF-8 text")))
    }
}

fn named(name: &str, failure: Failure) -> Failure {
    let message = clean_line(&format!("secret `{name}`: {}", failure.message), 600);
    Failure { message, ..failure }
}

fn env(name: &str) -> Result<String, Failure> {
    std::env::var(name).map_err(|e| {
        let what = match e {
            std::env::VarError::NotPresent => "is not set",
            std::env::VarError::NotUnicode(_) => "is not UTF-8 text",
        };
        Failure::new(Class::Misconfigured, format!("environment variable `{}` {what}", clean_line(name, 80)))
    })
}

async fn file(path: &str) -> Result<String, Failure> {
    let shown = clean_line(path, 200);
    let path = match path.strip_prefix("~/").zip(std::env::home_dir()) {
        Some((rest, home)) => home.join(rest),
        None => path.into(),
    };
    let bytes = async {
        use tokio::io::AsyncReadExt as _;
        let mut bytes = Vec::new();
        let most = u64::try_from(LIMIT).unwrap_or(u64::MAX);
        tokio::fs::File::open(path).await?.take(most + 1).read_to_end(&mut bytes).await?;
        std::io::Result::Ok(bytes)
    };
    let bytes = bytes.await.map_err(|e| {
        let class = match e.kind() {
            std::io::ErrorKind::PermissionDenied => Class::Denied,
            _ => Class::Misconfigured,
        };
        Failure::new(class, format!("file {shown}: {e}"))
    })?;
    if bytes.len() > LIMIT {
        return Err(Failure::new(Class::Misconfigured, format!("file {shown} holds more than 256 KiB")));
    }
    String::from_utf8(bytes)
        .map(without_line_end)
        .map_err(|_| Failure::new(Class::Misconfigured, format!("file {shown} is not UTF-8 text")))
}

/// Without its last line end: editors and `echo` add one that is no part of a password.
fn without_line_end(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}
