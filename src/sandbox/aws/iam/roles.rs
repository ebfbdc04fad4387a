//! Roles that a request hands over to a service, which `iam:PassRole` has to allow: those of a task
//! definition, also where it is only run, and a schedule's own.
//!
//! Source: "Grant a user permissions to pass a role to an AWS service", IAM user guide; "Task IAM role" and "Task
//! execution IAM role", Amazon ECS developer guide.

use super::{Params, request::Request, services::Service};
use crate::sandbox::world::World;

const TASKS: &str = "ecs-tasks.amazonaws.com";
const SCHEDULER: &str = "scheduler.amazonaws.com";

/// Role ARNs, and to which service they go.
pub(super) fn passed(world: &World, service: &Service, request: &Request) -> Vec<(String, &'static str)> {
    let params = &request.params;
    let (roles, to) = match (service.prefix, request.operation.as_str()) {
        ("ecs", "RegisterTaskDefinition") => (of(params), TASKS),
        ("ecs", "RunTask") => {
            // What is said for this task goes before what its definition says.
            let said = &params["overrides"];
            let defined = defined(world, params);
            let role = |name: &str| said[name].as_str().or_else(|| defined.and_then(|it| it[name].as_str()));
            (ROLES.iter().filter_map(|name| role(name)).map(ToOwned::to_owned).collect(), TASKS)
        }
        ("scheduler", "CreateSchedule" | "UpdateSchedule") => {
            (params["Target"]["RoleArn"].as_str().map(ToOwned::to_owned).into_iter().collect(), SCHEDULER)
        }
        _ => (Vec::new(), TASKS),
    };
    roles.into_iter().map(|role| (role, to)).collect()
}

const ROLES: [&str; 2] = ["executionRoleArn", "taskRoleArn"];

fn of(definition: &Params) -> Vec<String> {
    ROLES.iter().filter_map(|name| definition[*name].as_str()).map(ToOwned::to_owned).collect()
}

/// The task definition that a request names: a family means its newest active revision.
fn defined<'a>(world: &'a World, params: &Params) -> Option<&'a Params> {
    let name = params["taskDefinition"].as_str()?;
    let name = name.rsplit_once("task-definition/").map_or(name, |(_, name)| name);
    let (family, revision) = match name.rsplit_once(':') {
        Some((family, revision)) => (family, Some(revision.parse::<u32>().ok()?)),
        None => (name, None),
    };
    let all = world.ecs.definitions.iter().filter(|it| it.family == family);
    all.filter(|it| revision.map_or(it.active, |n| it.revision == n)).max_by_key(|it| it.revision).map(|it| &it.body)
}
