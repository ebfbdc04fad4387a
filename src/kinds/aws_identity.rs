//! `aws.identity`: who we are at AWS, and for how long.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::json;

use super::{Bind, Kind};
use crate::{
    base::{Class, Failure, short_duration},
    plan::{Check, Cx, Doubt, Identity, Param, Params, Seen, Shape},
    services::{
        Services,
        aws::{Patience, moment, now},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "aws.identity",
    summary: "the AWS account and role are the right ones, and the credentials last",
    docs: "\
Asks STS who we are. Refused where the account is not `account` (default: the environment's) or the role is not `role`. Not yet where the
credentials end before the run is planned to end (a live run: when its `[window]` closes; else as long from its start as its steps are planned to
take), or in less than `min_left`: renew them, and the check goes green. `until_end = false` leaves the plan out of it.

What ends is what a person has to renew: for a profile that signs in (IAM Identity Center) the sign-in, since the keys it gives are asked for again by
themselves; for a command (`credential_process`) the keys that it gave; a machine's own role never. Keys from variables or a file do not say when they end: then
nothing is compared, and the line says so.

What hurts people: a session that ends in the middle of the window; role chaining ends after one hour, whatever the role allows: a role that the
environment assumes is assumed again by itself, as long as what lies behind it lasts.

Limits: the answer may be a minute old. A sign-in with a refresh token is renewed by itself until the administrator's limit, which nobody says.

API: STS `GetCallerIdentity`, which no policy can deny.",
    params: PARAMS,
    doubt: Doubt::Read,
    needs: &["sts:GetCallerIdentity"],
    example: include_str!("../../runbooks/kinds/aws.identity.toml"),
    bind: Bind::Check(bind),
};

const PARAMS: &[Param] = &[
    Param { name: "account", shape: Shape::Text, required: false, help: "twelve digits; default: the environment's" },
    Param { name: "role", shape: Shape::Text, required: false, help: "name of the role or user, as in role/NAME" },
    Param {
        name: "until_end",
        shape: Shape::Flag,
        required: false,
        help: "the credentials must last to the planned end of the run, where both are known; default: true",
    },
    Param { name: "min_left", shape: Shape::Duration, required: false, help: "how long the credentials must last" },
];

struct WhoAmI {
    services: Arc<Services>,
    account: Option<String>,
    role: Option<String>,
    until_end: bool,
    min_left: Option<Duration>,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Check> {
    let account = params.opt_text("account");
    if account.as_ref().is_some_and(|text| text.len() != 12 || !text.bytes().all(|b| b.is_ascii_digit())) {
        let at = params.place_of("account");
        params.mistake(at, "`account` must be twelve digits", "not an account id", None);
    }
    let of_env = services.env.aws.as_ref().and_then(|aws| aws.account.clone());
    Arc::new(WhoAmI {
        services: services.clone(),
        account: account.or(of_env),
        role: params.opt_text("role"),
        until_end: params.opt_flag("until_end").unwrap_or(true),
        min_left: params.opt_duration("min_left"),
    })
}

impl Check for WhoAmI {
    fn looks(&self) -> String {
        let account = self.account.as_ref().map(|account| format!(" expects account {account}")).unwrap_or_default();
        let role = self.role.as_ref().map(|role| format!(" as {role}")).unwrap_or_default();
        format!("STS GetCallerIdentity{account}{role}")
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        self.services.aws.fence()
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(async move {
            let caller = self.services.aws.caller(&Patience::of(cx)).await?;
            let refused = |wanted: &str, found: &str| {
                Failure::new(Class::Refused, format!("we are {found}, wanted {wanted}"))
                    .because(format!("connected as {}", caller.arn))
                    .hint("use the profile or role that this step wants")
            };
            let role = caller.role();
            let other = match (&self.account, &self.role) {
                (Some(account), _) if *account != caller.account => {
                    Some(refused(&format!("account {account}"), &format!("account {}", caller.account)))
                }
                (_, Some(wanted)) if role != *wanted && role.rsplit('/').next() != Some(wanted) => {
                    Some(refused(wanted, &role))
                }
                _ => None,
            };
            if let Some(failure) = other {
                // Whoever signs in otherwise and tries again shall be seen.
                self.services.aws.forget().await;
                return Err(failure);
            }
            let left = caller.until.map(|until| (until - now()).to_std().unwrap_or_default());
            let until_end = self.services.planned_end.get().filter(|_| self.until_end);
            let until_end = until_end.map(|end| (*end - now()).to_std().unwrap_or_default());
            let short = |what: &str, wanted: Option<Duration>| {
                let (left, wanted) = left.zip(wanted).filter(|(left, wanted)| left < wanted)?;
                let words =
                    format!("the credentials end in {}, {what} {}", short_duration(left), short_duration(wanted));
                Some(
                    Failure::new(Class::NotYet, words)
                        .hint("renew them now: a session that ends mid-window stops the night"),
                )
            };
            let planned = short("and the run is planned to end in", until_end);
            if let Some(failure) = short("wanted", self.min_left).or(planned) {
                // So that the next look sees what was renewed.
                self.services.aws.forget().await;
                return Err(failure);
            }
            let ends = match left {
                Some(left) => format!(", credentials end in {}", short_duration(left)),
                None if caller.by_itself => ", renewed by the machine itself".into(),
                None => ", no end known".into(),
            };
            let chained = if caller.chained { " (an assumed role: an hour at a time)" } else { "" };
            let line = format!("account {} {} {role}{ends}{chained}", caller.account, caller.region);
            let until = caller.until.map(moment);
            Ok(Seen::new(line)
                .with(json!({ "account": caller.account, "arn": caller.arn, "region": caller.region, "until": until })))
        })
    }
}
