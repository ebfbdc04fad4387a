//! The table: for every operation that the sandbox has, the IAM action that allows it and the resource
//! that IAM looks at. A service is one entry; an operation that is not in it is refused while a policy is in force.
//!
//! Source: "Actions, resources, and condition keys for AWS services", Service Authorization Reference.

use super::{Params, interim, request::Request};
use crate::sandbox::{
    aws::protocol::{Form, form},
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
    #[expect(dead_code, reason = "for the services whose resources are read from the form")]
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
    Service::new("ecs", Asks::Json(interim::ecs), ECS),
    Service::new("elasticloadbalancing", Asks::Json(interim::nothing), ELB),
    Service { prefix: "cloudwatch", ..Service::new("monitoring", Asks::Json(interim::cloudwatch), CLOUDWATCH) },
    Service::new("route53", Asks::Rest(ROUTE53_ROUTES, interim::route53), ROUTE53),
    Service::new("secretsmanager", Asks::Json(interim::secrets_manager), &["DescribeSecret", "GetSecretValue"]),
    Service::new("ssm", Asks::Json(interim::parameters), &["GetParameter", "GetParameters"]),
    Service::new("sts", Asks::Json(interim::nothing), &["GetCallerIdentity"]),
];

const ECS: &[&str] = &[
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

const CLOUDWATCH: &[&str] = &["DescribeAlarms", "GetMetricData", "ListMetrics", "PutMetricData"];

const ROUTE53: &[&str] = &[
    "ChangeResourceRecordSets",
    "GetChange",
    "GetHostedZone",
    "GetHostedZoneCount",
    "ListHostedZones",
    "ListHostedZonesByName",
    "ListResourceRecordSets",
];

const ROUTE53_ROUTES: &[Route] = &[
    route("POST", "2013-04-01/hostedzone/{Id}/rrset", "ChangeResourceRecordSets"),
    route("GET", "2013-04-01/change/{Id}", "GetChange"),
    route("GET", "2013-04-01/hostedzone/{Id}", "GetHostedZone"),
    route("GET", "2013-04-01/hostedzonecount", "GetHostedZoneCount"),
    route("GET", "2013-04-01/hostedzone", "ListHostedZones"),
    route("GET", "2013-04-01/hostedzonesbyname", "ListHostedZonesByName"),
    route("GET", "2013-04-01/hostedzone/{Id}/rrset", "ListResourceRecordSets"),
];
