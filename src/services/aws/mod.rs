//! AWS: one lazily loaded configuration, the official clients of what acts (Route 53, ECS), one thin
//! signed client for what is only read. SDK types stop in this folder.
//!
//! ```text
//! kind ─▶ Aws::method(patience) ─▶ ask ─▶ persist: pace · send · back off ─▶ SDK client │ signed client
//!                                   │                        └──── errors: code → class, hint
//!                                   └─ session: region, credentials, endpoints (loaded once, forgotten when denied)
//! ```

mod acm;
mod alarms;
mod arn;
mod balancer;
mod call;
mod cloudformation;
mod described;
mod ecr;
mod ecs;
mod errors;
mod identity;
mod logs;
mod metrics;
mod queues;
mod rds;
mod read;
mod records;
mod renew;
mod route53;
mod s3;
mod schedules;
mod session;
mod signed;
mod skew;
mod stored;
mod swap;
mod weekly;
mod xml;

use std::{sync::Arc, time::Duration};

use aws_credential_types::provider::error::CredentialsError;
use chrono::{DateTime, Utc};
use tokio::sync::Mutex;

use self::{
    call::{Call, Pace, Trouble, persist},
    errors::{Renew, words},
    identity::Known,
    session::Session,
};
use crate::{
    base::{Class, Failure, clean_line},
    runbook::Env,
};
pub use acm::{Certificate, Validation, covers};
pub use alarms::{Alarm, WhichAlarms};
pub use balancer::{Target, TargetGroup};
pub use call::Patience;
pub use cloudformation::{Detection, Drifted, Stack};
pub use described::{DescribedParameter, DescribedSecret};
pub use ecr::{Image, Platform, Repository, Scan};
pub use ecs::{
    Container, Deployment, Event, Images, LogPlace, LogTail, Network, NewTask, Resize, Rollout, Service, Started,
    State, Task, TaskDefinition, blind, short_definition,
};
pub use identity::Caller;
pub use logs::{LogEvent, LogFound, log_clock};
pub use metrics::{MetricData, MetricQuery, Sample, Series, Source};
pub use queues::{Depth, NoQueue, QueueRef};
pub use rds::{Database, Maintenance, WhichDatabase};
pub use read::{KNOWN, PROTOCOLS, Protocol, Reading, iam_action, known_service, opens, refused};
pub use records::{Alias, Cidr, Geo, GeoProximity, RecordSet, agree, difference};
pub(crate) use records::{plain_value, told_values};
pub use route53::{ZoneRef, lies_in, normal_name, shown_name};
pub use s3::{Bucket, Checksum, Listing, Object};
pub use stored::{ContainerVars, Origin, Values, keys};
pub use swap::{APART, Place, Swap, look};
pub use weekly::Weekly;

/// Credentials from a command or a browser sign-in may take this long; then something is stuck.
const SIGN_IN: Duration = Duration::from_secs(30);

/// AWS as one environment reaches it.
pub struct Aws {
    env: Arc<Env>,
    session: Mutex<Option<Arc<Session>>>,
    known: Mutex<Option<Known>>,
    /// Route 53 takes five requests a second for a whole account, and Terraform is there as well.
    route53_pace: Pace,
}

impl Aws {
    /// A client that has not read anything yet.
    #[must_use]
    pub fn new(env: Arc<Env>) -> Self {
        let route53_pace = Pace::new(2, Duration::from_secs(1));
        Self { env, session: Mutex::new(None), known: Mutex::new(None), route53_pace }
    }

    /// The configuration, loaded at the first call.
    async fn session(&self) -> Result<Arc<Session>, Failure> {
        let mut session = self.session.lock().await;
        if let Some(session) = session.as_ref() {
            return Ok(session.clone());
        }
        let fresh = Arc::new(Session::load(&self.env).await?);
        *session = Some(fresh.clone());
        Ok(fresh)
    }

    /// Makes the next call read configuration and credentials again: somebody may have renewed them.
    pub async fn forget(&self) {
        *self.session.lock().await = None;
        *self.known.lock().await = None;
    }

    /// A session whose credentials are there, so that a failure to get them is never taken for a
    /// failure of the request.
    async fn ready(&self) -> Result<Arc<Session>, Failure> {
        let session = self.session().await?;
        let keys = tokio::time::timeout(SIGN_IN, session.keys.get()).await;
        let failure = match keys {
            Ok(Ok(_)) => return Ok(session),
            Ok(Err(error)) => no_keys(&error, &session),
            Err(_) => Failure::new(Class::Denied, format!("no AWS credentials within {SIGN_IN:?}")),
        };
        let failure = if failure.hint.is_none() { failure.hint(session.renew.hint()) } else { failure };
        self.forget().await;
        Err(failure)
    }

    /// Sends one request through [`persist`], with a session that is ready and of the environment's account: whatever
    /// it is that asks, nothing of another account is read or changed.
    async fn ask<T, F, Fut>(
        &self,
        call: &Call<'_>,
        patience: &Patience,
        pace: Option<&Pace>,
        send: F,
    ) -> Result<T, Failure>
    where
        F: Fn(Arc<Session>, Renew) -> Fut,
        Fut: Future<Output = Result<T, Trouble>>,
    {
        let session = tokio::select! {
            biased;
            session = self.fenced(patience) => session?,
            why = patience.over() => {
                let words = format!("{why} before {} was sent", call.operation);
                return Err(Failure::new(Class::FailedNothingDone, words));
            }
        };
        let answer = persist(call, patience, pace, || send(session.clone(), session.renew.clone())).await;
        if answer.as_ref().is_err_and(|failure| failure.class == Class::Denied) {
            self.forget().await;
        }
        answer
    }
}

fn no_keys(error: &CredentialsError, session: &Session) -> Failure {
    let cause = clean_line(&words(error), 600);
    if let Some(role) = session.role.as_ref().filter(|_| cause.contains("not authorized to perform: sts:AssumeRole")) {
        return Failure::new(Class::Denied, format!("the role {role} may not be assumed")).because(cause).hint(
            "the keys in use need the permission sts:AssumeRole on it, and the role's trust policy has to name them; where \
             it asks for an external id, `aws` needs `external_id`",
        );
    }
    match error {
        CredentialsError::InvalidConfiguration(_) => {
            Failure::new(Class::Misconfigured, "the AWS configuration cannot give credentials").because(cause)
        }
        _ => Failure::new(Class::Denied, "no AWS credentials").because(cause),
    }
}

/// The wall clock, for signatures, ages of samples and the moment of a change.
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}

/// A moment as evidence carries it.
pub(crate) fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
