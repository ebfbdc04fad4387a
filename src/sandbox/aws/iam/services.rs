//! The table: for every operation that the sandbox has, the IAM action that allows it and the resource
//! that IAM looks at. A service is one entry; an operation that is not in it is refused while a policy is in force.
//!
//! Source: "Actions, resources, and condition keys for AWS services", Service Authorization Reference.

use super::{Params, request::Request};
use crate::sandbox::{
    aws::{
        acm, cloudformation, cloudwatch, ecr, ecs, elb, events, logs,
        protocol::{Form, form},
        rds, route53, s3, scheduler, secrets, sqs,
    },
    http::Asked,
    world::World,
};

/// The ARN that IAM looks at for an operation with these parameters; `*` where it takes none. Several are
/// separated by a space, which no ARN has, and each of them has to be allowed.
type Resource = fn(&World, &str, &Params) -> String;

/// How a service is asked.
pub(super) enum Asks {
    /// The awsJson protocols, and CloudWatch in all of its protocols: parameters by their names.
    Json(Resource),
    /// The awsQuery protocol, with the parameters as the form has them.
    Form(fn(&World, &str, &Form) -> String),
    /// Method and path: parameters are the path's labels, the query and the JSON body's members.
    Rest(&'static [Route], Resource),
}

/// One operation of a REST service.
pub(super) struct Route {
    pub method: &'static str,
    /// Segments; `{Name}` is a label, `{Name+}` the rest of the path, `?name` a parameter that must be there.
    pub path: &'static str,
    pub operation: &'static str,
}

const fn route(method: &'static str, path: &'static str, operation: &'static str) -> Route {
    Route { method, path, operation }
}

/// A service.
pub(super) struct Service {
    /// Its name in signatures.
    pub signs: &'static str,
    /// Its prefix in IAM.
    pub prefix: &'static str,
    pub asks: Asks,
    /// Every operation that the sandbox has.
    pub operations: &'static [&'static str],
    /// Operations whose action has another name.
    pub called: &'static [(&'static str, &'static str)],
}

impl Service {
    const fn new(signs: &'static str, asks: Asks, operations: &'static [&'static str]) -> Self {
        Self { signs, prefix: signs, asks, operations, called: &[] }
    }

    /// The action that allows an operation; `None` where the sandbox does not have it.
    pub fn action(&self, operation: &str) -> Option<String> {
        self.operations.contains(&operation).then(|| {
            let other = self.called.iter().find(|(name, _)| *name == operation);
            format!("{}:{}", self.prefix, other.map_or(operation, |(_, action)| action))
        })
    }

    /// What is looked at.
    pub fn resource(&self, world: &World, asked: &Asked, request: &Request) -> String {
        match self.asks {
            Asks::Json(of) | Asks::Rest(_, of) => of(world, &request.operation, &request.params),
            Asks::Form(of) => of(world, &request.operation, &form(asked)),
        }
    }

    /// Status and code of a refusal: the JSON services name it with the suffix.
    pub fn denied(&self, asked: &Asked) -> (u16, &'static str) {
        match self.asks {
            Asks::Json(_) if self.signs != "monitoring" => (400, "AccessDeniedException"),
            Asks::Rest(..) if asked.header("content-type").contains("json") => (403, "AccessDeniedException"),
            Asks::Json(_) | Asks::Form(_) | Asks::Rest(..) => (403, "AccessDenied"),
        }
    }
}

/// The service of a name in signatures.
pub(super) fn find(signs: &str) -> Option<&'static Service> {
    SERVICES.iter().find(|service| service.signs == signs)
}

/// Every service of the sandbox, by name.
pub(super) static SERVICES: &[Service] = &[
    Service::new("acm", Asks::Json(|_, operation, params| acm::resource(operation, params)), ACM),
    Service::new("application-autoscaling", Asks::Json(nothing), &["DescribeScalingActivities"]),
    Service::new("cloudformation", Asks::Form(cloudformation::resource), CLOUDFORMATION),
    Service::new("ecr", Asks::Json(ecr::resource), ECR),
    Service::new("ecs", Asks::Json(ecs::resource), ECS),
    Service::new("elasticloadbalancing", Asks::Form(elb::resource), ELB),
    Service::new("events", Asks::Json(events::resource), EVENTS),
    Service::new("logs", Asks::Json(logs::resource), LOGS),
    Service { prefix: "cloudwatch", ..Service::new("monitoring", Asks::Json(cloudwatch::resource), CLOUDWATCH) },
    Service::new("rds", Asks::Form(rds::resource), RDS),
    Service::new("route53", Asks::Rest(ROUTE53_ROUTES, route53::resource), ROUTE53),
    Service { called: S3_CALLED, ..Service::new("s3", Asks::Rest(S3_ROUTES, s3::resource), S3) },
    Service::new("scheduler", Asks::Rest(SCHEDULER_ROUTES, scheduler::resource), SCHEDULER),
    Service::new("secretsmanager", Asks::Json(|world, _, params| secrets::secret_resource(world, params)), SECRETS),
    Service::new("sqs", Asks::Json(sqs::resource), SQS),
    Service::new("ssm", Asks::Json(secrets::parameter_resources), PARAMETERS),
    Service::new("sts", Asks::Json(nothing), &["GetCallerIdentity"]),
];

/// Of a service none of whose actions takes a resource.
fn nothing(_: &World, _: &str, _: &Params) -> String {
    "*".into()
}

const ACM: &[&str] = &["DescribeCertificate", "ListCertificates"];

const CLOUDFORMATION: &[&str] =
    &["DescribeStackDriftDetectionStatus", "DescribeStackResourceDrifts", "DescribeStacks", "DetectStackDrift"];

const CLOUDWATCH: &[&str] = &[
    "DeleteAlarms",
    "DescribeAlarms",
    "DisableAlarmActions",
    "EnableAlarmActions",
    "GetMetricData",
    "ListMetrics",
    "PutCompositeAlarm",
    "PutMetricAlarm",
    "PutMetricData",
    "SetAlarmState",
];

const ECR: &[&str] =
    &["BatchGetImage", "DescribeImageScanFindings", "DescribeImages", "DescribeRepositories", "ListImages"];

const ECS: &[&str] = &[
    "DeregisterTaskDefinition",
    "DescribeClusters",
    "DescribeServices",
    "DescribeTaskDefinition",
    "DescribeTasks",
    "ListClusters",
    "ListServices",
    "ListTaskDefinitions",
    "ListTasks",
    "RegisterTaskDefinition",
    "RunTask",
    "StopTask",
    "UpdateService",
];

const ELB: &[&str] = &["DescribeLoadBalancers", "DescribeTargetGroups", "DescribeTargetHealth"];

const EVENTS: &[&str] = &["DescribeRule", "DisableRule", "EnableRule", "ListRules"];

const LOGS: &[&str] = &["DescribeLogGroups", "DescribeLogStreams", "FilterLogEvents", "GetLogEvents"];

const PARAMETERS: &[&str] = &["GetParameter", "GetParameters", "GetParametersByPath"];

const RDS: &[&str] = &["DescribeDBClusters", "DescribeDBInstances", "DescribePendingMaintenanceActions"];

const ROUTE53: &[&str] = &[
    "ChangeResourceRecordSets",
    "CreateHealthCheck",
    "CreateHostedZone",
    "DeleteHealthCheck",
    "GetChange",
    "GetHealthCheck",
    "GetHealthCheckStatus",
    "GetHostedZone",
    "GetHostedZoneCount",
    "ListHealthChecks",
    "ListHostedZones",
    "ListHostedZonesByName",
    "ListResourceRecordSets",
];

const ROUTE53_ROUTES: &[Route] = &[
    route("POST", "2013-04-01/hostedzone/{Id}/rrset", "ChangeResourceRecordSets"),
    route("POST", "2013-04-01/healthcheck", "CreateHealthCheck"),
    route("POST", "2013-04-01/hostedzone", "CreateHostedZone"),
    route("DELETE", "2013-04-01/healthcheck/{Id}", "DeleteHealthCheck"),
    route("GET", "2013-04-01/change/{Id}", "GetChange"),
    route("GET", "2013-04-01/healthcheck/{Id}", "GetHealthCheck"),
    route("GET", "2013-04-01/healthcheck/{Id}/status", "GetHealthCheckStatus"),
    route("GET", "2013-04-01/hostedzone/{Id}", "GetHostedZone"),
    route("GET", "2013-04-01/hostedzonecount", "GetHostedZoneCount"),
    route("GET", "2013-04-01/healthcheck", "ListHealthChecks"),
    route("GET", "2013-04-01/hostedzone", "ListHostedZones"),
    route("GET", "2013-04-01/hostedzonesbyname", "ListHostedZonesByName"),
    route("GET", "2013-04-01/hostedzone/{Id}/rrset", "ListResourceRecordSets"),
];

const S3: &[&str] = &["GetBucketLocation", "GetObject", "HeadBucket", "HeadObject", "ListObjectsV2"];

/// As "Required permissions for Amazon S3 API operations" names them.
const S3_CALLED: &[(&str, &str)] =
    &[("HeadBucket", "ListBucket"), ("HeadObject", "GetObject"), ("ListObjectsV2", "ListBucket")];

const S3_ROUTES: &[Route] = &[
    route("GET", "{Bucket}?location", "GetBucketLocation"),
    route("GET", "{Bucket}?list-type", "ListObjectsV2"),
    route("HEAD", "{Bucket}/{Key+}", "HeadObject"),
    route("HEAD", "{Bucket}", "HeadBucket"),
    route("GET", "{Bucket}/{Key+}", "GetObject"),
];

const SCHEDULER: &[&str] = &["GetSchedule", "ListSchedules", "UpdateSchedule"];

const SCHEDULER_ROUTES: &[Route] = &[
    route("GET", "schedules/{Name}", "GetSchedule"),
    route("GET", "schedules", "ListSchedules"),
    route("PUT", "schedules/{Name}", "UpdateSchedule"),
];

const SECRETS: &[&str] = &["DescribeSecret", "GetSecretValue"];

const SQS: &[&str] = &[
    "CreateQueue",
    "DeleteMessage",
    "DeleteQueue",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListQueues",
    "PurgeQueue",
    "ReceiveMessage",
    "SendMessage",
];
