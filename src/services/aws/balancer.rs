//! Elastic Load Balancing v2, read: who is behind a target group, and how healthy.

use super::{Aws, Patience, call::Call, session::Service};
use crate::base::{Class, Failure};

const ELB: Service<'_> =
    Service::new("Elastic Load Balancing", "elasticloadbalancing", "Elastic Load Balancing v2", "2015-12-01");
const GROUPS: Call<'_> = Call::reads(ELB.name, "DescribeTargetGroups", "elasticloadbalancing:DescribeTargetGroups");
const HEALTH: Call<'_> = Call::reads(ELB.name, "DescribeTargetHealth", "elasticloadbalancing:DescribeTargetHealth");
/// Pages of target groups that are followed: 400 groups each, and an account has at most 3000 of them.
const PAGES: usize = 20;

/// A target group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetGroup {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
}

/// A target and its health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Instance, address or function, with the port.
    pub id: String,
    /// `initial`, `healthy`, `unhealthy`, `unhealthy.draining`, `unused`, `draining`, `unavailable`.
    pub state: String,
    /// AWS's code of why it is not healthy: `Target.ResponseCodeMismatch`.
    pub reason: String,
    /// The same in words.
    pub words: String,
}

/// The name in a target group's ARN: `…:targetgroup/NAME/0123456789abcdef`.
fn name_in(arn: &str) -> &str {
    arn.split('/').nth(1).unwrap_or(arn)
}

impl Aws {
    /// Target groups by ARN or name, in that order. ARNs are taken as they are.
    ///
    /// # Errors
    /// `Misconfigured` where one of the names is nobody's, `Denied`, `FailedNothingDone`.
    pub async fn target_groups(&self, groups: &[String], patience: &Patience) -> Result<Vec<TargetGroup>, Failure> {
        let names: Vec<&String> = groups.iter().filter(|group| !group.starts_with("arn:")).collect();
        let mut known = Vec::new();
        let mut marker = String::new();
        for _ in 0..PAGES {
            if names.is_empty() {
                break;
            }
            let name = |(n, name): (usize, &&String)| (format!("Names.member.{}", n + 1), (*name).clone());
            let mut params: Vec<_> = names.iter().enumerate().map(name).collect();
            if !marker.is_empty() {
                params.push(("Marker".into(), std::mem::take(&mut marker)));
            }
            let answer = self.query(&ELB, &GROUPS, &params, patience).await?;
            known.extend(answer.members("DescribeTargetGroupsResult/TargetGroups").map(|group| TargetGroup {
                name: group.text("TargetGroupName").to_owned(),
                arn: group.text("TargetGroupArn").to_owned(),
            }));
            answer.text("DescribeTargetGroupsResult/NextMarker").clone_into(&mut marker);
            if marker.is_empty() {
                break;
            }
        }
        if !marker.is_empty() {
            return Err(Failure::new(Class::NotYet, format!("no data: more than {PAGES} pages of target groups")));
        }
        let find = |group: &String| {
            if group.starts_with("arn:") {
                return Ok(TargetGroup { name: name_in(group).to_owned(), arn: group.clone() });
            }
            let found = known.iter().find(|known| known.name == *group).cloned();
            found.ok_or_else(|| Failure::new(Class::Misconfigured, format!("no target group is named {group}")))
        };
        groups.iter().map(find).collect()
    }

    /// Every target of a group, by its ARN. AWS tells them all at once: there are no pages.
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
                reason: one.text("TargetHealth/Reason").to_owned(),
                words: one.text("TargetHealth/Description").to_owned(),
            }
        });
        Ok(targets.collect())
    }
}
