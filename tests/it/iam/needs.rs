//! What each kind says that it needs, against what its documentation says: in every example, in every environment.

use std::{collections::BTreeSet, sync::Arc};

use gonogo::{
    base::Redactor,
    kinds::{ALL, Bind, Kind, Kinds},
    plan::{self, BoundRollback, Options, Permission, Plan},
    run::Mode,
    runbook::{Runbook, SandboxEnv, parse, sha256_hex},
    services::Services,
};

/// Allowed to everybody, so that no kind asks for it.
const FREE: &str = "sts:GetCallerIdentity";

/// What a kind may need and its own example does not: the kind, the action, with which parameters it does.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("cloudformation.in_sync", "cloudformation:BatchDescribeTypeConfigurations", "detect"),
    ("cloudformation.in_sync", "cloudformation:DescribeStackDriftDetectionStatus", "detect"),
    ("cloudformation.in_sync", "cloudformation:DetectStackDrift", "detect"),
    ("cloudformation.in_sync", "cloudformation:DetectStackResourceDrift", "detect"),
    ("config.parity", "ssm:GetParametersByPath", "parameters"),
    ("ecs.deploy", "ecs:ListTaskDefinitions", "image or images"),
    ("ecs.deploy", "ecs:RegisterTaskDefinition", "image or images"),
    ("ecs.deploy", "ecs:TagResource", "image or images"),
    ("ecs.deploy", "iam:PassRole", "image or images"),
    ("ecs.steady", "ecs:DescribeTasks", "image_digest"),
    ("ecs.steady", "ecs:ListTasks", "image_digest"),
    ("route53.set_ttl", "route53:GetHostedZone", "a private zone, by its VPC"),
    ("route53.set_ttl", "route53:ListHostedZonesByName", "a zone by name"),
    ("route53.switch", "route53:GetHostedZone", "a private zone, by its VPC"),
    ("route53.weights", "route53:GetHostedZone", "a private zone, by its VPC"),
    ("s3.synced", "s3:GetObject", "by = a checksum"),
    ("sqs.depth", "cloudwatch:GetMetricData", "max_oldest"),
];

/// A static entry that is an IAM action, not words.
fn action(text: &str) -> bool {
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    text.split_once(':').is_some_and(|(service, name)| {
        plain(service)
            && service == service.to_ascii_lowercase()
            && plain(name)
            && name.starts_with(|c: char| c.is_ascii_uppercase())
    })
}

fn resource(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    text == "*"
        || matches!(parts.as_slice(), ["arn", partition, service, _, _, resource] if !partition.is_empty() && !service.is_empty() && !resource.is_empty())
}

/// The plans of an example in all of its environments.
fn plans(kind: &Kind) -> Vec<(Runbook, Plan)> {
    let (runbook, _) = parse(kind.example.as_bytes(), kind.name).usable().unwrap_or_else(|_| panic!("{}", kind.name));
    let plan = |env: &gonogo::runbook::Env| {
        let mut env = env.clone();
        env.sandbox = SandboxEnv::default();
        let kinds = Kinds(Services::new(env.clone(), &runbook.secrets, Arc::new(Redactor::default())));
        let source_hash = sha256_hex(kind.example.as_bytes());
        let options = Options { mode: Mode::Rehearse, dry_run: false, from: None, until: None, source_hash };
        let plan = plan::build(&runbook, &env, &kinds, &options).unwrap_or_else(|_| panic!("{}", kind.name));
        (runbook.clone(), plan)
    };
    runbook.envs.iter().map(plan).collect()
}

/// What is asked by the tables of a kind in its own example, with the kind that asks.
fn asked(runbook: &Runbook, plan: &Plan) -> Vec<(String, Vec<Permission>)> {
    let mut asked = Vec::new();
    let steps =
        plan.outline.steps.iter().map(|outline| runbook.steps.iter().find(|step| step.id == outline.id).unwrap());
    for (step, bound) in steps.zip(&plan.steps) {
        let checks = step.precheck.iter().zip(&bound.precheck).chain(step.verify.iter().zip(&bound.verify));
        let criteria = step.stop.iter().flat_map(|stop| &stop.criteria).zip(&bound.criteria);
        for (table, check) in checks.chain(criteria) {
            asked.push((table.kind.clone(), check.needs()));
        }
        for (table, action) in step.action.iter().zip(&bound.action) {
            asked.push((table.kind.clone(), action.needs()));
        }
        if let (Some(gonogo::runbook::Rollback::Action(table)), BoundRollback::Action(action)) =
            (&step.rollback, &bound.rollback)
        {
            asked.push((table.kind.clone(), action.needs()));
        }
    }
    for (outline, bound) in plan.outline.watches.iter().zip(&plan.watches) {
        let watch = runbook.watches.iter().find(|watch| watch.id == outline.id).unwrap();
        asked.push((watch.check.kind.clone(), bound.check.needs()));
    }
    asked
}

#[test]
fn every_need_is_documented_and_well_formed() {
    let mut wrong = Vec::new();
    for kind in ALL {
        for (runbook, plan) in plans(kind) {
            for (name, needs) in asked(&runbook, &plan) {
                // Some need whatever is named to them: a call, a check.
                let documented = gonogo::kinds::find(&name).map(|kind| kind.needs);
                let documented = documented.filter(|needs| !needs.iter().any(|need| need.starts_with("whatever ")));
                for Permission { action: named, resource: on } in needs {
                    let place = format!("{}: {name}: {named} on {on}", kind.name);
                    if !action(&named) || !resource(&on) {
                        wrong.push(format!("{place}: not well formed"));
                    }
                    if documented.is_some_and(|documented| !documented.contains(&named.as_str())) {
                        wrong.push(format!("{place}: not in the kind's `needs`"));
                    }
                    if named == FREE {
                        wrong.push(format!("{place}: everybody may"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn every_documented_need_is_needed() {
    let mut wrong = Vec::new();
    for kind in ALL {
        let examples = plans(kind);
        let own =
            examples.iter().flat_map(|(runbook, plan)| asked(runbook, plan)).filter(|(name, _)| name == kind.name);
        let own: BTreeSet<String> = own.flat_map(|(_, needs)| needs).map(|it| it.action).collect();
        for documented in kind.needs.iter().filter(|text| action(text) && **text != FREE) {
            let elsewhere = ELSEWHERE.iter().any(|(name, action, _)| name == &kind.name && action == documented);
            match (own.contains(*documented), elsewhere) {
                (false, false) => {
                    wrong.push(format!("{}: {documented} is documented, and its example does not need it", kind.name))
                }
                (true, true) => wrong.push(format!("{}: {documented}: its example does need it", kind.name)),
                _ => {}
            }
        }
        let listed = kind.needs.iter().all(|text| action(text) || text.contains(' '));
        if !listed || !kind.needs.is_sorted_by_key(|text| (!action(text), *text)) {
            wrong.push(format!("{}: {:?} are not actions in order, then words", kind.name, kind.needs));
        }
        if matches!(kind.bind, Bind::Format) && !kind.needs.is_empty() {
            wrong.push(format!("{}: part of the format needs nothing", kind.name));
        }
    }
    for (name, action, _) in ELSEWHERE {
        assert!(gonogo::kinds::find(name).is_some_and(|kind| kind.needs.contains(action)), "{name} {action}");
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn forms_are_told_apart() {
    for good in ["ecs:UpdateService", "application-autoscaling:DescribeScalableTargets", "s3:GetObject"] {
        assert!(action(good), "{good}");
    }
    for bad in ["ecs", "ecs:", "ECS:Update", "ecs:update", "UDP and TCP port 53", "a: b"] {
        assert!(!action(bad), "{bad}");
    }
    assert!(resource("*") && resource("arn:aws:s3:::bucket") && resource("arn:aws:ecs:*:*:service/a/b:c"));
    assert!(!resource("service/a/b") && !resource("arn:aws:s3") && !resource("arn:aws:s3:::"));
}
