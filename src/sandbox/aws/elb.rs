//! ELBv2: one load balancer, one target group whose targets are the tasks of the web service.

use super::{Form, No, ecs::Health, field, members};
use crate::sandbox::{
    world::{Moment, World, iso},
    xml::Node,
};

fn arn(world: &World, rest: &str) -> String {
    world.names.arn("elasticloadbalancing", rest)
}

/// ARN of the target group; ECS's events name it too.
pub(super) fn target_group_arn(world: &World) -> String {
    arn(world, &format!("targetgroup/{}/73e2d6bc24d8a067", world.names.target_group))
}

/// The load balancer's own name: the first label, less the number that AWS appends.
fn balancer(world: &World) -> (String, String) {
    let label = world.names.new_target.split('.').next().unwrap_or_default();
    let name = label.rsplit_once('-').map_or(label, |(name, _)| name).to_owned();
    let arn = arn(world, &format!("loadbalancer/app/{name}/50dc6c495c0c9188"));
    (name, arn)
}

/// The ARN that IAM checks: what is described takes none.
pub(super) fn resource(_world: &World, _action: &str, _form: &Form) -> String {
    "*".into()
}

/// A list has one page here; what asks for another one holds a marker of nobody.
fn one_page(form: &Form) -> Result<(), No> {
    let size = field(form, "PageSize").map(|size| size.parse::<u32>().unwrap_or(0));
    if size.is_some_and(|size| !(1..=400).contains(&size)) {
        return Err((400, "ValidationError", "Member must have value between 1 and 400: pageSize".into()));
    }
    if field(form, "Marker").is_some_and(|marker| !marker.is_empty()) {
        return Err((400, "ValidationError", "The marker is not valid".into()));
    }
    Ok(())
}

pub(super) fn answer(world: &mut World, action: &str, form: &Form, now: Moment) -> Result<Vec<Node>, No> {
    match action {
        "DescribeTargetGroups" | "DescribeLoadBalancers" => one_page(form)?,
        _ => {}
    }
    match action {
        "DescribeTargetHealth" => {
            let unhealthy = world.strikes("elb.unhealthy");
            let group = field(form, "TargetGroupArn").unwrap_or_default();
            if group != target_group_arn(world) {
                return Err((400, "TargetGroupNotFound", "One or more target groups not found".into()));
            }
            let mut targets: Vec<_> =
                world.ecs.targets(&world.names.web, now).into_iter().map(|(ip, it)| (ip, Some(it))).collect();
            let asked: Vec<&str> = (1..).map_while(|i| field(form, &format!("Targets.member.{i}.Id"))).collect();
            if !asked.is_empty() {
                targets.retain(|(ip, _)| asked.contains(&ip.as_str()));
                let missing = asked
                    .iter()
                    .filter(|ip| !targets.iter().any(|(it, _)| it == *ip))
                    .map(|ip| ((*ip).to_owned(), None));
                let missing: Vec<_> = missing.collect();
                targets.extend(missing);
            }
            let described = targets.into_iter().map(|(ip, health)| {
                let target = [
                    Node::leaf("Id", ip),
                    Node::leaf("Port", 8080),
                    Node::leaf("AvailabilityZone", format!("{}a", world.names.region)),
                ];
                Node::of(
                    "member",
                    [
                        Node::of("Target", target),
                        Node::leaf("HealthCheckPort", 8080),
                        Node::of(
                            "TargetHealth",
                            state(health.filter(|_| !unhealthy).ok_or(unhealthy && health.is_some())),
                        ),
                    ],
                )
            });
            Ok(vec![Node::of("TargetHealthDescriptions", described)])
        }
        "DescribeTargetGroups" => {
            let (names, arns) = (members(form, "Names"), members(form, "TargetGroupArns"));
            let (name, group) = (world.names.target_group.as_str(), target_group_arn(world));
            let asked = names.iter().map(|it| *it == name).chain(arns.iter().map(|it| *it == group));
            let others: Vec<bool> = asked.collect();
            if others.contains(&false) {
                return Err((400, "TargetGroupNotFound", "One or more target groups not found".into()));
            }
            Ok(vec![Node::of(
                "TargetGroups",
                [Node::of(
                    "member",
                    [
                        Node::leaf("TargetGroupArn", group),
                        Node::leaf("TargetGroupName", name),
                        Node::leaf("Protocol", "HTTP"),
                        Node::leaf("Port", 8080),
                        Node::leaf("VpcId", "vpc-0a5a9db0c5a9db0c5"),
                        Node::leaf("HealthCheckProtocol", "HTTP"),
                        Node::leaf("HealthCheckPort", "traffic-port"),
                        Node::leaf("HealthCheckEnabled", true),
                        Node::leaf("HealthCheckIntervalSeconds", 5),
                        Node::leaf("HealthCheckTimeoutSeconds", 2),
                        Node::leaf("HealthyThresholdCount", 2),
                        Node::leaf("UnhealthyThresholdCount", 2),
                        Node::leaf("HealthCheckPath", "/healthz"),
                        Node::of("LoadBalancerArns", [Node::leaf("member", balancer(world).1)]),
                        Node::leaf("TargetType", "ip"),
                        Node::leaf("IpAddressType", "ipv4"),
                    ],
                )],
            )])
        }
        "DescribeLoadBalancers" => {
            let (name, arn) = balancer(world);
            let (names, arns) = (members(form, "Names"), members(form, "LoadBalancerArns"));
            if names.iter().any(|it| *it != name) || arns.iter().any(|it| *it != arn) {
                return Err((400, "LoadBalancerNotFound", "One or more load balancers not found".into()));
            }
            Ok(vec![Node::of(
                "LoadBalancers",
                [Node::of(
                    "member",
                    [
                        Node::leaf("LoadBalancerArn", arn),
                        Node::leaf("DNSName", &world.names.new_target),
                        Node::leaf("CanonicalHostedZoneId", "Z32O12XQLNTSW2"),
                        Node::leaf("CreatedTime", iso(now - chrono::TimeDelta::days(30))),
                        Node::leaf("LoadBalancerName", name),
                        Node::leaf("Scheme", "internet-facing"),
                        Node::leaf("VpcId", "vpc-0a5a9db0c5a9db0c5"),
                        Node::of("State", [Node::leaf("Code", "active")]),
                        Node::leaf("Type", "application"),
                        Node::leaf("IpAddressType", "ipv4"),
                    ],
                )],
            )])
        }
        other => Err((400, "InvalidAction", format!("Could not find operation {other} for version 2015-12-01"))),
    }
}

/// A target's health; `Err(true)`: its health check fails, `Err(false)`: it is not registered.
fn state(health: Result<Health, bool>) -> Vec<Node> {
    let with = |state, reason, description| {
        vec![Node::leaf("State", state), Node::leaf("Reason", reason), Node::leaf("Description", description)]
    };
    match health {
        Ok(Health::Initial) => with("initial", "Elb.RegistrationInProgress", "Target registration is in progress"),
        Ok(Health::Healthy) => vec![Node::leaf("State", "healthy")],
        Ok(Health::Draining) => {
            with("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
        }
        Err(true) => with("unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [301]"),
        Err(false) => with("unused", "Target.NotRegistered", "Target is not registered to the target group"),
    }
}
