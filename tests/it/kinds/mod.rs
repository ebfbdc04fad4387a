//! Every kind against the contract and against servers that lie, one file per kind.

pub mod aws;
mod aws_identity;
mod cloudwatch_metric;
mod command;
mod contract;
mod dns_authoritative;
mod dns_propagated;
mod dns_wait_ttl;
mod ecs_deploy;
mod ecs_run_task;
mod ecs_steady;
mod elb_healthy;
pub mod ends;
mod fake_dns;
mod fake_http;
mod four_places;
mod heroku_maintenance;
mod heroku_scale;
mod heroku_state;
mod http_check;
mod manual;
mod route53_set_ttl;
mod route53_switch;
mod route53_weights;
mod secrets;
mod stop;
mod wait;
