//! Floor 4: one file per kind of step or check, and the registry that finds them by name. Knows
//! neither the conductor nor the views.
//!
//! A new kind touches four places: `src/kinds/<name>.rs`, one word in [`ALL`],
//! `tests/it/kinds/<name>.rs`, `runbooks/kinds/<name>.toml` (a runnable example). A test fails if one is missing.

#[cfg(feature = "aws")]
mod acm_issued;
#[cfg(feature = "aws")]
mod aws_identity;
#[cfg(feature = "aws")]
mod aws_read;
#[cfg(feature = "aws")]
mod cloudformation_in_sync;
#[cfg(feature = "aws")]
mod cloudwatch_alarms;
#[cfg(feature = "aws")]
mod cloudwatch_metric;
mod command;
#[cfg(all(feature = "aws", feature = "heroku"))]
mod config_parity;
mod dns;
mod dns_authoritative;
mod dns_delegation;
mod dns_propagated;
mod dns_wait_ttl;
#[cfg(feature = "aws")]
mod ecr_image;
#[cfg(feature = "aws")]
mod ecs;
#[cfg(feature = "aws")]
mod ecs_deploy;
#[cfg(feature = "aws")]
mod ecs_run_task;
#[cfg(feature = "aws")]
mod ecs_scale;
#[cfg(feature = "aws")]
mod ecs_steady;
#[cfg(feature = "aws")]
mod elb_healthy;
#[cfg(any(feature = "aws", feature = "heroku", feature = "redis"))]
mod held;
#[cfg(feature = "heroku")]
mod heroku;
#[cfg(feature = "heroku")]
mod heroku_config;
#[cfg(feature = "heroku")]
mod heroku_lock_deploys;
#[cfg(feature = "heroku")]
mod heroku_maintenance;
#[cfg(feature = "heroku")]
mod heroku_scale;
#[cfg(feature = "heroku")]
mod heroku_scheduler;
#[cfg(feature = "heroku")]
mod heroku_state;
mod http_check;
mod http_send;
mod inner;
mod kubernetes_rollout;
#[cfg(feature = "aws")]
mod logs_arrive;
mod manual;
mod notify;
#[cfg(feature = "postgres")]
mod postgres_analyze;
#[cfg(feature = "postgres")]
mod postgres_compare;
#[cfg(feature = "postgres")]
mod postgres_end;
#[cfg(feature = "postgres")]
mod postgres_freeze;
#[cfg(feature = "postgres")]
mod postgres_frozen;
#[cfg(feature = "postgres")]
mod postgres_headroom;
#[cfg(feature = "postgres")]
mod postgres_proof;
#[cfg(feature = "postgres")]
mod postgres_query;
#[cfg(feature = "postgres")]
mod postgres_replication_lag;
#[cfg(feature = "postgres")]
mod postgres_reverse;
#[cfg(feature = "postgres")]
mod postgres_sequences;
#[cfg(feature = "postgres")]
mod postgres_unfreeze;
#[cfg(feature = "postgres")]
mod postgres_words;
#[cfg(feature = "aws")]
mod rds_status;
mod reading;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
mod redis_drained;
#[cfg(feature = "redis")]
mod redis_key_counts;
#[cfg(feature = "aws")]
mod route53;
#[cfg(feature = "aws")]
mod route53_set_ttl;
#[cfg(feature = "aws")]
mod route53_switch;
#[cfg(feature = "aws")]
mod route53_weights;
#[cfg(feature = "aws")]
mod s3_synced;
#[cfg(feature = "aws")]
mod scheduler_switch;
#[cfg(feature = "aws")]
mod secret_present;
#[cfg(feature = "aws")]
mod sqs_depth;
mod stop;
mod terraform_clean;
mod tls_certificate;
mod wait;
mod web;

use std::sync::Arc;

use crate::{
    plan::{Action, Check, Doubt, KindInfo, Param, Params, Registry},
    services::Services,
};
#[cfg(any(feature = "aws", feature = "postgres", feature = "redis"))]
use reading::amiss;
use reading::{filled, limit, looking, no_data, nothing_to_restore, only_waits};

/// What the registry knows of a kind.
pub struct Kind {
    /// `system.verb`.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// What it sends, what it waits for, what hurts people there, its limits, the API pages it rests on. Markdown.
    pub docs: &'static str,
    /// Its parameters.
    pub params: &'static [Param],
    /// What a resume may do with an attempt whose outcome nobody saw.
    pub doubt: Doubt,
    /// What it needs to be allowed: IAM actions, or the Heroku scope in words.
    pub needs: &'static [&'static str],
    /// `runbooks/kinds/<name>.toml`.
    pub example: &'static str,
    /// How it is bound.
    pub bind: Bind,
}

type BindCheck = fn(&mut Params<'_>, &Arc<Services>) -> Arc<dyn Check>;
type BindAction = fn(&mut Params<'_>, &Arc<Services>) -> Arc<dyn Action>;

/// How a kind is bound to its parameters. Binding reads nothing and connects nowhere; mistakes go to [`Params`].
pub enum Bind {
    /// It reads.
    Check(BindCheck),
    /// It changes the world, or waits.
    Action(BindAction),
    /// It can be used as either.
    Both(BindCheck, BindAction),
    /// Part of the format itself (`stop`): the runbook reader knows it.
    Format,
}

/// Every kind, by name.
pub static ALL: &[&Kind] = &[
    #[cfg(feature = "aws")]
    &acm_issued::KIND,
    #[cfg(feature = "aws")]
    &aws_identity::KIND,
    #[cfg(feature = "aws")]
    &aws_read::KIND,
    #[cfg(feature = "aws")]
    &cloudformation_in_sync::KIND,
    #[cfg(feature = "aws")]
    &cloudwatch_alarms::KIND,
    #[cfg(feature = "aws")]
    &cloudwatch_metric::KIND,
    &command::KIND,
    #[cfg(all(feature = "aws", feature = "heroku"))]
    &config_parity::KIND,
    &dns_authoritative::KIND,
    &dns_delegation::KIND,
    &dns_propagated::KIND,
    &dns_wait_ttl::KIND,
    #[cfg(feature = "aws")]
    &ecr_image::KIND,
    #[cfg(feature = "aws")]
    &ecs_deploy::KIND,
    #[cfg(feature = "aws")]
    &ecs_run_task::KIND,
    #[cfg(feature = "aws")]
    &ecs_scale::KIND,
    #[cfg(feature = "aws")]
    &ecs_steady::KIND,
    #[cfg(feature = "aws")]
    &elb_healthy::KIND,
    #[cfg(feature = "heroku")]
    &heroku_config::KIND,
    #[cfg(feature = "heroku")]
    &heroku_lock_deploys::KIND,
    #[cfg(feature = "heroku")]
    &heroku_maintenance::KIND,
    #[cfg(feature = "heroku")]
    &heroku_scale::KIND,
    #[cfg(feature = "heroku")]
    &heroku_scheduler::KIND,
    #[cfg(feature = "heroku")]
    &heroku_state::KIND,
    &http_check::KIND,
    &http_send::KIND,
    &kubernetes_rollout::KIND,
    #[cfg(feature = "aws")]
    &logs_arrive::KIND,
    &manual::KIND,
    &notify::KIND,
    #[cfg(feature = "postgres")]
    &postgres_analyze::KIND,
    #[cfg(feature = "postgres")]
    &postgres_compare::KIND,
    #[cfg(feature = "postgres")]
    &postgres_freeze::KIND,
    #[cfg(feature = "postgres")]
    &postgres_frozen::KIND,
    #[cfg(feature = "postgres")]
    &postgres_headroom::KIND,
    #[cfg(feature = "postgres")]
    &postgres_query::KIND,
    #[cfg(feature = "postgres")]
    &postgres_replication_lag::KIND,
    #[cfg(feature = "postgres")]
    &postgres_reverse::KIND,
    #[cfg(feature = "postgres")]
    &postgres_sequences::KIND,
    #[cfg(feature = "postgres")]
    &postgres_unfreeze::KIND,
    #[cfg(feature = "aws")]
    &rds_status::KIND,
    #[cfg(feature = "redis")]
    &redis_drained::KIND,
    #[cfg(feature = "redis")]
    &redis_key_counts::KIND,
    #[cfg(feature = "aws")]
    &route53_set_ttl::KIND,
    #[cfg(feature = "aws")]
    &route53_switch::KIND,
    #[cfg(feature = "aws")]
    &route53_weights::KIND,
    #[cfg(feature = "aws")]
    &s3_synced::KIND,
    #[cfg(feature = "aws")]
    &scheduler_switch::KIND,
    #[cfg(feature = "aws")]
    &secret_present::KIND,
    #[cfg(feature = "aws")]
    &sqs_depth::KIND,
    &stop::KIND,
    &terraform_clean::KIND,
    &tls_certificate::KIND,
    &wait::KIND,
];

/// The kind of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Kind> {
    ALL.iter().copied().find(|kind| kind.name == name)
}

/// The registry over the clients of one environment.
pub struct Kinds(pub Arc<Services>);

impl Registry for Kinds {
    fn names(&self) -> Vec<&'static str> {
        ALL.iter().map(|kind| kind.name).collect()
    }

    fn find(&self, kind: &str) -> Option<KindInfo> {
        let kind = find(kind)?;
        let (checks, acts) = match kind.bind {
            Bind::Check(_) => (true, false),
            Bind::Action(_) => (false, true),
            Bind::Both(..) => (true, true),
            Bind::Format => (false, false),
        };
        Some(KindInfo { params: kind.params, checks, acts })
    }

    fn check(&self, kind: &str, params: &mut Params<'_>) -> Option<Arc<dyn Check>> {
        match find(kind)?.bind {
            Bind::Check(bind) | Bind::Both(bind, _) => Some(bind(params, &self.0)),
            Bind::Action(_) | Bind::Format => None,
        }
    }

    fn action(&self, kind: &str, params: &mut Params<'_>) -> Option<Arc<dyn Action>> {
        match find(kind)?.bind {
            Bind::Action(bind) | Bind::Both(_, bind) => Some(bind(params, &self.0)),
            Bind::Check(_) | Bind::Format => None,
        }
    }
}
