//! Elastic Load Balancing v2, read: who is behind a target group, and how healthy.

use super::{Aws, Patience, call::Call, session::Service};
use crate::base::{Class, Failure};

const ELB: Service<'_> =
    Service::new("Elastic Load Balancing", "elasticloadbalancing", "Elastic Load Balancing v2", "2015-12-01");
const GROUPS: Call<'_> = Call::reads(ELB.name, "DescribeTargetGroups", "elasticloadbalancing:DescribeTargetGroups");
const HEALTH: Call<'_> = Call::reads(ELB.name, "DescribeTargetHealth", "elasticloadbalancing:DescribeTargetHealth");

/// A target and its health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Instance, address or function, with the port.
    pub id: String,
    /// `initial`, `healthy`, `unhealthy`, `unhealthy.draining`, `unused`, `draining`, `unavailable`.
    pub state: String,
    /// Why, where it is not healthy.
    pub reason: String,
}

impl Aws {
    /// The ARN of a target group, by ARN or name.
    ///
    /// # Errors
    /// `Misconfigured` where there is none.
    pub async fn target_group(&self, group: &str, patience: &Patience) -> Result<String, Failure> {
        if group.starts_with("arn:") {
            return Ok(group.to_owned());
        }
        let params = [("Names.member.1".to_owned(), group.to_owned())];
        let answer = self.query(&ELB, &GROUPS, &params, patience).await?;
        let arn = answer
            .members("DescribeTargetGroupsResult/TargetGroups")
            .map(|group| group.text("TargetGroupArn").to_owned())
            .next();
        arn.ok_or_else(|| Failure::new(Class::Misconfigured, format!("no target group is named {group}")))
    }

    /// Every target of a group, by its ARN.
    ///
    /// # Errors
    /// `Misconfigured` where there is no such group, `Denied`, `FailedNothingDone`.
    pub async fn target_health(&self, arn: &str, patience: &Patience) -> Result<Vec<Target>, Failure> {
        let params = [("TargetGroupArn".to_owned(), arn.to_owned())];
        let answer = self.query(&ELB, &HEALTH, &params, patience).await?;
        let targets = answer.members("DescribeTargetHealthResult/TargetHealthDescriptions").map(|one| {
            let port = one.text("Target/Port");
            let id = one.text("Target/Id");
            Target {
                id: if port.is_empty() { id.to_owned() } else { format!("{id}:{port}") },
                state: one.text("TargetHealth/State").to_owned(),
                reason: [one.text("TargetHealth/Reason"), one.text("TargetHealth/Description")]
                    .into_iter()
                    .filter(|text| !text.is_empty())
                    .collect::<Vec<_>>()
                    .join(": "),
            }
        });
        Ok(targets.collect())
    }
}
