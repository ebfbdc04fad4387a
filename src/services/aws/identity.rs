//! Who we are at AWS, and the fence: no other account than the environment's is ever touched.
//!
//! `GetCallerIdentity` needs no permission and cannot be denied by a policy (STS API reference).

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::{
    Aws, Patience,
    call::{Call, persist},
    no_keys,
    session::{Service, Session},
    signed::{self, Request},
};
use crate::{
    base::{Class, Failure},
    plan::Identity,
    runbook::EnvKind,
};

const STS: Service<'_> = Service::new("STS", "sts", "STS", "2011-06-15");
const CALL: Call<'_> = Call::reads(STS.name, "GetCallerIdentity", "sts:GetCallerIdentity");
/// The fence is asked before every action; within this time the same keys are not asked about again.
const FRESH: Duration = Duration::from_secs(60);
/// The fence has no attempt whose deadline it could use.
const FENCE: Duration = Duration::from_secs(40);

/// What AWS says we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Twelve digits.
    pub account: String,
    /// In full.
    pub arn: String,
    /// The region that requests go to.
    pub region: String,
    /// When a person has to renew the credentials, where anything says so: the end of the sign-in, or of the keys.
    pub until: Option<DateTime<Utc>>,
    /// True where nobody has to: the machine's own role.
    pub by_itself: bool,
    /// True where the environment's role is assumed with other credentials.
    pub chained: bool,
}

impl Caller {
    /// `role/Deploy`, `user/mira`, `root`: the part of the ARN that a person knows.
    #[must_use]
    pub fn role(&self) -> String {
        let resource = self.arn.splitn(6, ':').nth(5).unwrap_or(&self.arn);
        match resource.split_once('/') {
            // assumed-role/NAME/SESSION; a role's path is not part of it.
            Some(("assumed-role", rest)) => format!("role/{}", rest.split('/').next().unwrap_or(rest)),
            _ => resource.to_owned(),
        }
    }
}

/// A caller, whose keys it is, and since when.
pub(super) struct Known {
    at: Instant,
    key: String,
    caller: Caller,
}

impl Aws {
    /// Who we are; at most a minute old, and never older than the credentials in use.
    ///
    /// # Errors
    /// `Denied`, `Misconfigured` or `FailedNothingDone`.
    pub async fn caller(&self, patience: &Patience) -> Result<Caller, Failure> {
        let session = tokio::select! {
            session = self.ready() => session?,
            why = patience.over() => return Err(Failure::new(Class::FailedNothingDone, format!("{why} without AWS credentials"))),
        };
        self.who(&session, FRESH, patience).await
    }

    /// Who the keys of a session belong to, at most `age` old.
    async fn who(&self, session: &Arc<Session>, age: Duration, patience: &Patience) -> Result<Caller, Failure> {
        let keys = session.keys.get().await.map_err(|e| no_keys(&e, session).hint(session.renew.hint()))?;
        let key = keys.access_key_id().to_owned();
        if let Some(known) = self.known.lock().await.as_ref()
            && known.key == key
            && known.at.elapsed() < age
        {
            return Ok(known.caller.clone());
        }
        let request = Request::query(CALL.operation, STS.version, &[]);
        let answer = persist(&CALL, patience, None, || signed::once(session, &STS, &CALL, &request)).await;
        if answer.as_ref().is_err_and(|failure| failure.class == Class::Denied) {
            self.forget().await;
        }
        let answer = signed::xml(&CALL, &answer?)?;
        let text = |name: &str| answer.text(&format!("GetCallerIdentityResult/{name}")).to_owned();
        let caller = Caller {
            account: text("Account"),
            arn: text("Arn"),
            region: session.region.clone(),
            until: session.renew.end(keys.expiry().map(DateTime::from)).await,
            by_itself: session.renew.by_itself(),
            chained: session.role.is_some(),
        };
        if caller.account.is_empty() {
            return Err(Failure::new(Class::FailedNothingDone, "STS answered without an account"));
        }
        *self.known.lock().await = Some(Known { at: Instant::now(), key, caller: caller.clone() });
        Ok(caller)
    }

    /// A session that is ready and whose keys belong to the environment's account. A key belongs to one account for
    /// ever, so each is asked about once.
    ///
    /// # Errors
    /// As [`Aws::fence`].
    pub(super) async fn fenced(&self, patience: &Patience) -> Result<Arc<Session>, Failure> {
        let wanted = self.wanted()?;
        let session = self.ready().await?;
        if wanted.is_some() {
            let caller = self.who(&session, Duration::MAX, patience).await?;
            self.compare(&caller).await?;
        }
        Ok(session)
    }

    /// The account that the environment names; only a sandbox may name none.
    fn wanted(&self) -> Result<Option<&str>, Failure> {
        let wanted = self.env.aws.as_ref().and_then(|aws| aws.account.as_deref());
        if wanted.is_none() && self.env.kind != EnvKind::Sandbox {
            let words = format!("environment {} does not say which AWS account it is", self.env.name);
            return Err(Failure::new(Class::Misconfigured, words).hint("give its `aws` an `account`"));
        }
        Ok(wanted)
    }

    /// Refuses another account than the environment's; the next try reads the credentials again.
    async fn compare(&self, caller: &Caller) -> Result<(), Failure> {
        let Some(wanted) = self.wanted()?.filter(|wanted| *wanted != caller.account) else { return Ok(()) };
        self.forget().await;
        let name = &self.env.name;
        let words = format!("environment {name} is account {wanted}, but we are connected to {}", caller.account);
        Err(Failure::new(Class::Refused, words)
            .because(format!("connected as {}", caller.arn))
            .hint("use the profile of the right account, or correct the runbook's environment"))
    }

    /// The fence, as a step asks for it: compares the account with the environment's.
    ///
    /// # Errors
    /// `Refused` where they differ, showing both; `Misconfigured` where a rehearsal or live
    /// environment names none; as [`Aws::caller`].
    pub fn fence(&self) -> BoxFuture<'_, Result<Option<Identity>, Failure>> {
        Box::pin(async {
            self.wanted()?;
            let caller = self.caller(&Patience::within(FENCE)).await?;
            let line = format!("account {} {} {}", caller.account, caller.region, caller.role());
            self.compare(&caller).await?;
            Ok(Some(Identity { system: "aws".into(), line }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_in_short() {
        let role = |arn: &str| {
            Caller {
                account: String::new(),
                arn: arn.into(),
                region: String::new(),
                until: None,
                by_itself: false,
                chained: false,
            }
            .role()
        };
        assert_eq!(role("arn:aws:sts::123456789012:assumed-role/Deploy/mira@acme"), "role/Deploy");
        assert_eq!(role("arn:aws:iam::123456789012:user/ops/mira"), "user/ops/mira");
        assert_eq!(role("arn:aws:iam::123456789012:root"), "root");
    }
}
