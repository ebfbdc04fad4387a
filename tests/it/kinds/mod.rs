//! Every kind against the contract and against real servers, one file per kind.

mod aws;
mod aws_identity;
mod cloudwatch_metric;
mod ecs_deploy;
mod ecs_run_task;
mod ecs_steady;
mod elb_healthy;
mod route53_set_ttl;
mod route53_switch;
