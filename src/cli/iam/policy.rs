//! From needs to a policy document: nothing twice, nothing that something broader allows already, one
//! statement for each set of resources of a service. The same needs give the same document.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::{base::wild::covers, plan::Need};

/// Steps that a `Sid` names before it counts the others.
const NAMED: usize = 3;

/// Handing roles over, which a policy limits to the services that may get them.
const PASS: &str = "iam:PassRole";
/// Services whose steps hand roles over, and to whom ("Actions, resources, and condition keys", `iam:PassedToService`).
const PASSED_TO: &[(&str, &str)] = &[("ecs", "ecs-tasks.amazonaws.com"), ("scheduler", "scheduler.amazonaws.com")];

/// A policy document; its order is AWS's own.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Policy {
    version: &'static str,
    statement: Vec<Statement>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: String,
    effect: &'static str,
    action: Vec<String>,
    resource: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Json>,
}

impl Policy {
    pub(super) fn is_empty(&self) -> bool {
        self.statement.is_empty()
    }

    /// Every resource that it names, once.
    pub(super) fn resources(&self) -> BTreeSet<&str> {
        self.statement.iter().flat_map(|statement| &statement.resource).map(String::as_str).collect()
    }

    /// True where it allows an action on something.
    pub(super) fn names(&self, action: &str) -> bool {
        self.statement.iter().any(|statement| statement.action.iter().any(|it| it == action))
    }

    pub(super) fn json(&self) -> Json {
        json!(self)
    }

    /// As printed.
    pub(super) fn text(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// Characters as IAM counts them: without white space.
    pub(super) fn size(&self) -> usize {
        self.json().to_string().chars().filter(|c| !c.is_whitespace()).count()
    }
}

/// What each permission is for, in the order of the permissions.
pub(super) fn uses(needs: &[Need]) -> Vec<Json> {
    let mut uses: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
    for need in needs {
        uses.entry((&need.permission.action, &need.permission.resource)).or_default().insert(&need.of);
    }
    uses.iter().map(|((action, resource), of)| json!({ "action": action, "resource": resource, "for": of })).collect()
}

/// Actions of one service on the same resources, and what they are for.
#[derive(Default)]
struct Group<'a> {
    actions: Vec<&'a str>,
    of: BTreeSet<&'a str>,
}

/// The least policy that allows all of them.
pub(super) fn least(needs: &[Need]) -> Policy {
    // What a broader resource allows is allowed for the same steps.
    let mut actions: BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for need in needs {
        let resources = actions.entry(&need.permission.action).or_default();
        resources.entry(&need.permission.resource).or_default().insert(&need.of);
    }
    let mut groups: BTreeMap<(&str, Vec<&str>), Group<'_>> = BTreeMap::new();
    for (action, resources) in &actions {
        let names: Vec<&str> = resources.keys().copied().collect();
        // Of two that cover each other the first one stays.
        let swallowed = |(i, name): (usize, &str)| {
            let by = |(j, other): (usize, &&str)| j != i && covers(other, name) && !(covers(name, other) && j > i);
            names.iter().enumerate().any(by)
        };
        let left: Vec<&str> =
            names.iter().enumerate().filter(|(i, name)| !swallowed((*i, name))).map(|(_, n)| *n).collect();
        let service = if *action == PASS { PASS } else { service_of(action) };
        let group = groups.entry((service, left)).or_default();
        group.actions.push(action);
        group.of.extend(resources.values().flatten());
    }
    let order = |id: &str| needs.iter().position(|need| need.of == id).unwrap_or(usize::MAX);
    let mut sids = BTreeSet::new();
    let statement = groups.into_iter().map(|((service, resources), group)| {
        let mut of: Vec<&str> = group.of.into_iter().collect();
        of.sort_by_key(|id| order(id));
        Statement {
            sid: sid(service, &of, &mut sids),
            effect: "Allow",
            action: group.actions.into_iter().map(ToOwned::to_owned).collect(),
            resource: resources.into_iter().map(ToOwned::to_owned).collect(),
            condition: (service == PASS).then(|| passed_to(needs, &of)).flatten(),
        }
    });
    Policy { version: "2012-10-17", statement: statement.collect() }
}

fn service_of(action: &str) -> &str {
    action.split_once(':').map_or(action, |(service, _)| service)
}

/// To whom these steps hand roles over, by what else they do.
fn passed_to(needs: &[Need], of: &[&str]) -> Option<Json> {
    let does = |service: &str| {
        needs.iter().any(|need| service_of(&need.permission.action) == service && of.contains(&need.of.as_str()))
    };
    let to: Vec<&str> = PASSED_TO.iter().filter(|(service, _)| does(service)).map(|(_, to)| *to).collect();
    (!to.is_empty()).then(|| json!({ "StringEquals": { "iam:PassedToService": to } }))
}

/// Letters and digits, once in the policy: the service and the steps.
fn sid(service: &str, of: &[&str], taken: &mut BTreeSet<String>) -> String {
    let mut sid = format!("{}For", camel(service));
    sid.extend(of.iter().take(NAMED).map(|id| camel(id)));
    if of.len() > NAMED {
        sid.push_str(&format!("And{}More", of.len() - NAMED));
    }
    let mut free = sid.clone();
    let mut n = 1;
    while !taken.insert(free.clone()) {
        n += 1;
        free = format!("{sid}No{n}");
    }
    free
}

/// `deploy-web` → `DeployWeb`.
fn camel(id: &str) -> String {
    let words = id.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Permission;

    fn need(action: &str, resource: &str, of: &str) -> Need {
        Need { permission: Permission::new(action, resource), of: of.into() }
    }

    #[test]
    fn the_least_that_is_enough() {
        let web = "arn:aws:ecs:eu-west-1:1:service/acme/web";
        let needs = [
            need("ecs:UpdateService", web, "deploy-web"),
            need("ecs:DescribeServices", web, "steady"),
            need("ecs:DescribeServices", web, "deploy-web"),
            need("ecs:ListTasks", "*", "deploy-web"),
            need("route53:GetChange", "arn:aws:route53:::change/*", "switch"),
            need("route53:GetChange", "arn:aws:route53:::change/C1", "switch"),
            need("ecs:DescribeTasks", "arn:aws:ecs:eu-west-1:1:task/acme/*", "a"),
            need("ecs:DescribeTasks", "arn:aws:ecs:eu-west-1:1:task/other/*", "a"),
        ];
        let policy = least(&needs);
        let one = |sid: &str, actions: &[&str], resources: &[&str]| json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources });
        assert_eq!(
            policy.json(),
            json!({ "Version": "2012-10-17", "Statement": [
                one("EcsForDeployWeb", &["ecs:ListTasks"], &["*"]),
                one("EcsForDeployWebSteady", &["ecs:DescribeServices", "ecs:UpdateService"], &[web]),
                one("EcsForA", &["ecs:DescribeTasks"], &["arn:aws:ecs:eu-west-1:1:task/acme/*", "arn:aws:ecs:eu-west-1:1:task/other/*"]),
                one("Route53ForSwitch", &["route53:GetChange"], &["arn:aws:route53:::change/*"]),
            ] })
        );
        let mut turned = needs.to_vec();
        turned.reverse();
        turned.sort();
        assert_eq!(least(&turned).statement.len(), 4);
        assert_eq!(policy.size(), policy.json().to_string().len());
        assert!(
            policy
                .text()
                .unwrap()
                .starts_with("{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [\n    {\n      \"Sid\"")
        );
        assert!(least(&[]).is_empty());
    }

    #[test]
    fn a_role_goes_only_where_the_step_needs_it() {
        let role = "arn:aws:iam::1:role/*";
        let needs =
            [need("iam:PassRole", role, "deploy"), need("ecs:UpdateService", "*", "deploy"), need("s3:X", "*", "a")];
        let statements = least(&needs).json()["Statement"].clone();
        let with = |i: usize| (statements[i]["Sid"].clone(), statements[i]["Condition"].clone());
        let only = json!({ "StringEquals": { "iam:PassedToService": ["ecs-tasks.amazonaws.com"] } });
        assert_eq!(with(0), (json!("EcsForDeploy"), Json::Null));
        assert_eq!(with(1), (json!("IamPassRoleForDeploy"), only));
        assert_eq!(least(&needs[..1]).statement[0].condition, None, "nobody knows to whom");
    }

    #[test]
    fn names_stand_once() {
        let mut needs: Vec<_> =
            ["b-1", "a", "c_x", "d", "e"].iter().map(|of| need("s3:GetObject", "arn:aws:s3:::x/*", of)).collect();
        assert_eq!(least(&needs).statement[0].sid, "S3ForB1ACXAnd2More");
        needs.extend(["b-1", "a", "c_x", "d", "e"].iter().map(|of| need("s3:ListBucket", "arn:aws:s3:::x", of)));
        let sids: Vec<_> = least(&needs).statement.into_iter().map(|it| it.sid).collect();
        assert_eq!(sids, ["S3ForB1ACXAnd2More", "S3ForB1ACXAnd2MoreNo2"]);
    }
}
