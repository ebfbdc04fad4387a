//! AWS on one endpoint: requests are told apart by the service in the credential scope of their
//! signature, as the real front doors do; each service answers in its own protocol.

pub(super) mod acm;
pub(super) mod alarms;
mod cbor;
pub(super) mod cloudformation;
mod cloudwatch;
pub(super) mod ecr;
pub(super) mod ecs;
mod elb;
pub(super) mod events;
pub(super) mod iam;
pub(super) mod logs;
mod md5;
pub(super) mod metrics;
mod protocol;
pub(super) mod rds;
pub(super) mod route53;
pub(super) mod s3;
pub(super) mod scheduler;
pub(super) mod secrets;
mod sigv4;
pub(super) mod sqs;
mod sts;

use std::time::Duration;

use super::{
    http::{Asked, Reply},
    keeper::Handle,
    world::{Moment, World, since},
};
use protocol::{Form, No, error, field, json_service, members, query_service, text};
pub(super) use sigv4::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};

/// Route 53 refuses the sixth request within a second, for the whole account.
const ROUTE53_PER_SECOND: usize = 5;

/// Who asks, and what.
pub(super) struct Caller<'a> {
    pub asked: &'a Asked,
    pub request_id: String,
}

/// Answers one request.
pub(super) async fn answer(world: Handle, asked: Asked) -> Reply {
    let lost = error(&asked, &service_of(&asked), 500, "InternalFailure", "the world could not be saved", "");
    let answered = world.with(move |world, now| {
        let request_id = world.live.ids.uuid();
        let caller = Caller { asked: &asked, request_id };
        let reply = admit(world, &caller, now);
        reply.with("x-amzn-requestid", caller.request_id)
    });
    answered.await.unwrap_or(lost)
}

/// The front door: signature and throttling come before the service.
fn admit(world: &mut World, caller: &Caller<'_>, now: Moment) -> Reply {
    let service = service_of(caller.asked);
    let no =
        |status, code: &str, message: &str| error(caller.asked, &service, status, code, message, &caller.request_id);
    if let Err((status, code, message)) = sigv4::verify(caller.asked) {
        // The JSON services name these errors with the suffix, the XML ones without it.
        let json = !caller.asked.header("x-amz-target").is_empty();
        return no(status, if json { code } else { code.trim_end_matches("Exception") }, &message);
    }
    if service == "route53" && route53_is_throttled(world, now) {
        return no(400, "Throttling", "Rate exceeded");
    }
    dispatch(world, caller, &service, now)
}

/// Counts a request; true where there were too many within the last second.
fn route53_is_throttled(world: &mut World, now: Moment) -> bool {
    let recent = &mut world.live.route53;
    recent.retain(|at| since(now, *at) < Duration::from_secs(1));
    let full = recent.len() >= ROUTE53_PER_SECOND;
    if !full {
        recent.push_back(now);
    }
    full
}

/// The service by the signature's scope, else by target, path and host.
fn service_of(asked: &Asked) -> String {
    if let Some(scope) = sigv4::scope(asked) {
        return scope.service;
    }
    let target = asked.header("x-amz-target");
    let by_target = [
        ("AmazonEC2ContainerRegistry", "ecr"),
        ("AmazonEC2ContainerService", "ecs"),
        ("CertificateManager", "acm"),
        ("AnyScaleFrontendService", "application-autoscaling"),
        ("Logs_20140328", "logs"),
        ("GraniteService", "monitoring"),
        ("secretsmanager", "secretsmanager"),
        ("AmazonSQS", "sqs"),
        ("AmazonSSM", "ssm"),
        ("AWSEvents", "events"),
    ];
    if let Some((_, service)) = by_target.iter().find(|(prefix, _)| target.starts_with(prefix)) {
        return (*service).to_owned();
    }
    if asked.path.starts_with("/2013-04-01/") {
        return "route53".into();
    }
    if asked.path.starts_with("/schedules") {
        return "scheduler".into();
    }
    asked.header("host").split('.').next().unwrap_or_default().to_owned()
}

/// What goes wrong at every service comes first, then IAM.
fn dispatch(world: &mut World, caller: &Caller<'_>, service: &str, now: Moment) -> Reply {
    let no = |(status, code, message): No| error(caller.asked, service, status, code, &message, &caller.request_id);
    if world.strikes("sts.expired") || (ecs::was_updated(world) && world.strikes("sts.expired-midway")) {
        return no((403, "ExpiredToken", "The security token included in the request is expired".into()));
    }
    iam::authorize(world, caller, service).and_then(|()| serve(world, caller, service, now)).unwrap_or_else(no)
}

/// The services, by the names that signatures have for them.
fn serve(world: &mut World, caller: &Caller<'_>, service: &str, now: Moment) -> Result<Reply, No> {
    let region = sigv4::scope(caller.asked).map(|scope| scope.region).unwrap_or_default();
    match service {
        "acm" => json_service(caller, |operation, params| acm::answer(world, &region, operation, params)),
        "application-autoscaling" => {
            json_service(caller, |operation, params| ecs::autoscaler::answer(world, operation, params))
        }
        "cloudformation" => {
            query_service(caller, "http://cloudformation.amazonaws.com/doc/2010-05-15/", |action, form| {
                cloudformation::answer(world, &region, action, form, now)
            })
        }
        "ecr" => json_service(caller, |operation, params| ecr::answer(world, &region, operation, params)),
        "ecs" if world.strikes("ecs.throttle") => Err((400, "ThrottlingException", "Rate exceeded".into())),
        "ecs" => json_service(caller, |operation, params| ecs::answer(world, caller, operation, params, now)),
        "elasticloadbalancing" => {
            query_service(caller, "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/", |action, form| {
                elb::answer(world, action, form, now)
            })
        }
        "events" => json_service(caller, |operation, params| events::answer(world, caller, operation, params, now)),
        "logs" => json_service(caller, |operation, params| logs::answer(world, operation, params, now)),
        "monitoring" => cloudwatch::answer(world, caller, now),
        "rds" => query_service(caller, "http://rds.amazonaws.com/doc/2014-10-31/", |action, form| {
            rds::answer(world, &region, action, form, now)
        }),
        "route53" if world.strikes("route53.throttle") => Err((400, "Throttling", "Rate exceeded".into())),
        "route53" => route53::answer(world, caller, now),
        "s3" => s3::answer(world, &region, caller),
        "scheduler" => scheduler::answer(world, caller, now),
        "secretsmanager" => {
            json_service(caller, |operation, params| secrets::secrets_manager(world, operation, params, now))
        }
        "sqs" => json_service(caller, |operation, params| sqs::answer(world, caller, operation, params, now)),
        "ssm" => json_service(caller, |operation, params| secrets::parameters(world, operation, params, now)),
        "sts" => {
            query_service(caller, "https://sts.amazonaws.com/doc/2011-06-15/", |action, _| sts::answer(world, action))
        }
        other => Err((404, "UnknownOperationException", format!("service `{other}` is not part of the sandbox"))),
    }
}
