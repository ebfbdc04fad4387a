//! What the ECS kinds have in common: counts, names of resources, what has to be allowed.

use crate::{
    plan::{Params, Permission},
    services::{Services, aws::short_definition},
};

/// Reads a count of tasks; the mistake points at it.
pub(super) fn count(params: &mut Params<'_>, key: &str, most: i32) -> Option<i32> {
    let count = params.opt_count(key)?;
    let fits = i32::try_from(count).ok().filter(|count| *count <= most);
    if fits.is_none() {
        let span = params.place_of(key);
        params.mistake(span, format!("`{key}` must be at most {most}"), "more than ECS takes", None);
    }
    fits
}

/// Tasks of a service at most ("Amazon ECS service quotas").
pub(super) const MOST_TASKS: i32 = 5000;

/// The last part of a name or ARN.
pub(super) fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// What has to be allowed for one cluster. Resources are those of "Actions, resources, and condition keys for Amazon
/// Elastic Container Service".
pub(super) struct Allow<'a> {
    pub services: &'a Services,
    pub cluster: &'a str,
}

impl Allow<'_> {
    /// An action on a service.
    pub fn service(&self, action: &str, service: &str) -> Permission {
        let name = format!("service/{}/{service}", short(self.cluster));
        let arn = if service.starts_with("arn:") { service.to_owned() } else { self.services.aws.arn("ecs", &name) };
        Permission::new(action, arn)
    }

    /// Listing and describing tasks: the ids are not known beforehand, and `ListTasks` names no resource that a task
    /// of Fargate has.
    pub fn tasks(&self) -> [Permission; 2] {
        let tasks = self.services.aws.arn("ecs", &format!("task/{}/*", short(self.cluster)));
        [Permission::anywhere("ecs:ListTasks"), Permission::new("ecs:DescribeTasks", tasks)]
    }

    /// Running a task definition: of a family, any revision. IAM looks at the name as the request has it, and it is
    /// always sent with its revision.
    pub fn run(&self, definition: &str) -> Permission {
        let name = if definition.starts_with("arn:") {
            definition.to_owned()
        } else {
            self.services.aws.arn("ecs", &format!("task-definition/{definition}"))
        };
        let whole = short_definition(definition).contains(':');
        Permission::new("ecs:RunTask", if whole { name } else { format!("{name}:*") })
    }

    /// Reading the last lines of containers' logs: which groups, only the task definition says.
    pub fn logs(&self) -> Permission {
        Permission::new("logs:GetLogEvents", self.services.aws.arn("logs", "log-group:*:log-stream:*"))
    }

    /// Copying the tags of a task definition when it is registered anew: its family may be known by the service only.
    pub fn tag_definition(&self) -> Permission {
        Permission::new("ecs:TagResource", self.services.aws.arn("ecs", "task-definition/*"))
    }

    /// Passing the roles of a task definition on to ECS: which ones, only the task definition says.
    pub fn pass_role(&self) -> Permission {
        Permission::new("iam:PassRole", self.services.aws.account_arn("iam", "role/*"))
    }

    /// Asking autoscaling what it did; it takes no resource.
    pub fn scaling() -> Permission {
        Permission::anywhere("application-autoscaling:DescribeScalingActivities")
    }
}
