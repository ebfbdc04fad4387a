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
Asks STS who we are. Refused where the account is not `account` (default: the environment's) or the role is not `role`; not yet where the
credentials end in less than `min_left`: renew them, and the check goes green. Says the account, the ARN and when the credentials end,
where they say so (long-lived keys do not).

What hurts people: a session that ends in the middle of the window; role chaining ends after one hour, whatever the role allows.

Limits: the answer may be a minute old.

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
    Param { name: "min_left", shape: Shape::Duration, required: false, help: "how long the credentials must last" },
];

struct WhoAmI {
    services: Arc<Services>,
    account: Option<String>,
    role: Option<String>,
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
        Box::pin(async { self.services.aws.fence().await.map(Some) })
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(async move {
            let caller = self.services.aws.caller(&Patience::of(cx)).await?;
            let refused = |wanted: &str, found: &str| {
                Err(Failure::new(Class::Refused, format!("we are {found}, wanted {wanted}"))
                    .because(format!("connected as {}", caller.arn))
                    .hint("use the profile or role that this step wants"))
            };
            if let Some(account) = self.account.as_ref().filter(|account| **account != caller.account) {
                return refused(&format!("account {account}"), &format!("account {}", caller.account));
            }
            let role = caller.role();
            if let Some(wanted) = &self.role
                && role != *wanted
                && role.rsplit('/').next() != Some(wanted)
            {
                return refused(wanted, &role);
            }
            let left = caller.until.map(|until| (until - now()).to_std().unwrap_or_default());
            if let (Some(least), Some(left)) = (self.min_left, left)
                && left < least
            {
                let words =
                    format!("the credentials end in {}, wanted {}", short_duration(left), short_duration(least));
                return Err(Failure::new(Class::NotYet, words)
                    .hint("renew them now: a session that ends mid-window stops the night"));
            }
            let ends =
                left.map_or(", no end known".into(), |left| format!(", credentials end in {}", short_duration(left)));
            let line = format!("account {} {} {role}{ends}", caller.account, caller.region);
            let until = caller.until.map(moment);
            Ok(Seen::new(line)
                .with(json!({ "account": caller.account, "arn": caller.arn, "region": caller.region, "until": until })))
        })
    }
}
