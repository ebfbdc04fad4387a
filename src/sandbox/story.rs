//! The world's first moment: the Acme shop on Heroku, and on AWS what is to take it over.

use chrono::TimeDelta;

use super::{
    aws::{
        ecs::{Definition, Deployment, Ecs, Fate, Rollout, Service, Task},
        route53::{Alias, RecordSet, Zone, normal_name},
    },
    heroku::{AddOn, Build, Formation, Heroku, Release},
    names::WorldNames,
    seed::Seed,
    world::Moment,
};

/// TTL of the host's record before anybody lowers it, in seconds.
const HOST_TTL: u32 = 20;
/// The value of the zone's SOA record; a "no" is kept for 5 s.
const SOA: &str = "ns-1.awsdns.example. hostmaster.awsdns.example. 1 7200 900 1209600 5";

/// The network that the private zone belongs to.
const VPC: &str = "vpc-0acdef0123456789a";

pub(super) fn zones(names: &WorldNames, _now: Moment) -> Vec<Zone> {
    let domain = normal_name(&names.domain);
    let at = |label: &str| format!("{label}.{domain}");
    let simple = RecordSet::simple;
    let weighted = |id: &str, weight, value: &str| RecordSet {
        set_identifier: Some(id.into()),
        weight: Some(weight),
        ..simple(&at("api"), "A", 60, &[value])
    };
    let balancer = Alias { zone: "Z32O12XQLNTSW2".into(), name: normal_name(&names.new_target), evaluate: true };
    let alias = RecordSet { name: at("assets"), rtype: "A".into(), alias: Some(balancer), ..RecordSet::default() };
    let sets = vec![
        simple(&domain, "SOA", 900, &[SOA]),
        simple(&domain, "NS", 3600, &["ns-1.awsdns.example.", "ns-2.awsdns.example."]),
        simple(&domain, "A", 300, &["127.0.0.2"]),
        simple(&domain, "MX", 3600, &["10 mail.example."]),
        simple(&domain, "CAA", 3600, &["0 issue \"amazon.com\"", "0 iodef \"mailto:security@mail.example\""]),
        simple(&domain, "TXT", 3600, &["\"v=spf1 include:mail.example -all\""]),
        simple(&at("www"), "CNAME", 300, &[&names.old_target]),
        simple(&at("assets"), "HTTPS", 300, &["1 . alpn=\"h2,h3\""]),
        simple(&at("status"), "CNAME", 300, &["status.example"]),
        simple(&normal_name(&names.host), "CNAME", HOST_TTL, &[&names.old_target]),
        weighted("blue", 90, "127.0.0.2"),
        weighted("green", 10, "127.0.0.3"),
        alias,
    ];
    // A host that is called as one of the others replaces it.
    let host = normal_name(&names.host);
    let sets = sets.into_iter().filter(|set| set.name != host || set.values == [names.old_target.clone()]).collect();
    let internal = format!("internal.{domain}");
    let private = vec![
        simple(&internal, "SOA", 900, &[SOA]),
        simple(&internal, "NS", 3600, &["ns-1.awsdns.example."]),
        simple(&format!("db.{internal}"), "A", 60, &["10.0.1.5"]),
    ];
    let private = Zone::new(&format!("{}PRIVATE", names.zone), &internal, "names inside the network", private);
    let private = private.private(&names.region, VPC);
    vec![Zone::new(&names.zone, &domain, "the shop's public zone", sets), private]
}

pub(super) fn ecs(names: &WorldNames, seed: &mut Seed, now: Moment) -> Ecs {
    let registry = format!("{}.dkr.ecr.{}.amazonaws.com/shop", names.account, names.region);
    let define = |family: &str, revision, tag: &str, port| {
        // The families that fail write to the log of the one that they stand for.
        let group = family.trim_end_matches("-broken").trim_end_matches("-missing");
        let image = format!("{registry}:{tag}");
        let mut definition =
            Definition::new(names, family, revision, (&image, group), port).since(now - TimeDelta::days(3));
        for (role, name) in [("executionRoleArn", "acme-task-execution"), ("taskRoleArn", "acme-task")] {
            definition.body[role] = format!("arn:aws:iam::{}:role/{name}", names.account).into();
        }
        definition
    };
    let mut new = define(&names.web, 42, "2026-12-05", Some(8080));
    let secret = |name: &str, key: &str| super::aws::secrets::secret_arn(names, name) + key;
    new.body["containerDefinitions"][0]["environment"] = serde_json::json!([{ "name": "LOG_LEVEL", "value": "info" }]);
    new.body["containerDefinitions"][0]["secrets"] = serde_json::json!([
        { "name": "DATABASE_URL", "valueFrom": secret("acme/prod/database-url", "") },
        { "name": "REDIS_URL", "valueFrom": "/acme/prod/REDIS_URL" },
        { "name": "SECRET_KEY_BASE", "valueFrom": secret("acme/prod/app", ":SECRET_KEY_BASE::") },
        { "name": "SESSION_SALT", "valueFrom": secret("acme/prod/app", ":SESSION_SALT::") },
    ]);
    let definitions = vec![
        define(&names.web, 41, "2026-11-30", Some(8080)),
        new,
        define(&format!("{}-broken", names.web), 1, "broken", Some(8080)),
        define(&format!("{}-missing", names.web), 1, "missing", Some(8080)),
        define(&names.worker, 7, "2026-11-30", None),
        define(&names.worker, 8, "2026-12-05", None),
        define(&names.migrate, 3, "2026-12-05", None),
    ];
    let mut tasks = Vec::new();
    let mut service = |name: &str, revision, desired, behind_balancer| {
        let (id, long_ago) = (format!("ecs-svc/{}", seed.digits(19)), now - TimeDelta::days(2));
        for _ in 0..desired {
            let mut task = Task {
                id: seed.hex(32),
                family: name.into(),
                revision,
                group: format!("service:{name}"),
                started_by: Some(id.clone()),
                ip: format!("10.0.1.{}", 10 + seed.below(200)),
                overrides: serde_json::json!({ "containerOverrides": [] }),
                created_at: long_ago,
                running_at: None,
                healthy_at: None,
                end: None,
                counted: false,
            };
            task.live(&Fate::Serves, behind_balancer);
            tasks.push(task);
        }
        let deployment = Deployment {
            reason: format!("ECS deployment {id} completed."),
            id,
            family: name.into(),
            revision,
            fate: Fate::Serves,
            rollout: Rollout::Completed,
            failed: 0,
            created_at: long_ago,
            updated_at: long_ago,
            not_before: long_ago,
            proven: true,
        };
        let mut service = Service {
            name: name.into(),
            desired,
            breaker: true,
            rollback: true,
            behind_balancer,
            percents: (100, 200),
            scales: None,
            scaled: Vec::new(),
            created_at: now - TimeDelta::days(30),
            deployments: vec![deployment],
            events: Vec::new(),
            seen: now,
            retry_at: None,
            steady: true,
        };
        service.say(seed, long_ago, "has reached a steady state.");
        service
    };
    let services = vec![service(&names.web, 41, 1, true), service(&names.worker, 7, 0, false)];
    Ecs { definitions, services, tasks, tokens: Vec::new() }
}

pub(super) fn heroku(names: &WorldNames, seed: &mut Seed, now: Moment) -> Heroku {
    let long_ago = now - TimeDelta::days(2);
    let mut formation = |kind: &str, quantity, command: &str| Formation {
        id: seed.uuid(),
        kind: kind.into(),
        quantity,
        size: "Standard-1X".into(),
        command: command.into(),
        updated_at: long_ago,
    };
    let formation = vec![
        formation("clock", 1, "bundle exec clockwork clock.rb"),
        formation("web", 2, "bundle exec puma -C config/puma.rb"),
        formation("worker", 2, "bundle exec sidekiq"),
    ];
    let data = super::data::HEROKU.map(|(name, _, url)| (name, url));
    let vars = [("LOG_LEVEL", "info"), ("SECRET_KEY_BASE", "sandbox-secret-key-base")].into_iter().chain(data);
    let mut heroku = Heroku {
        id: seed.uuid(),
        owner: seed.uuid(),
        created_at: now - TimeDelta::days(2000),
        updated_at: long_ago,
        formation,
        config: vars.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        domains: vec![(seed.uuid(), names.host.clone()), (seed.uuid(), format!("www.{}", names.domain))],
        drains: vec![(seed.uuid(), "syslog+tls://logs.example:6514".into())],
        coupling: (seed.uuid(), seed.uuid()),
        ..Heroku::default()
    };
    for (name, plan, attached, vars) in [
        ("postgresql-curved-12345", "heroku-postgresql:standard-0", "DATABASE", vec!["URL".to_owned()]),
        ("redis-round-54321", "heroku-redis:premium-0", "REDIS", vec!["URL".to_owned()]),
        ("scheduler-sunny-67890", "scheduler:standard", "SCHEDULER", Vec::new()),
    ] {
        let attached = vec![(attached.to_owned(), seed.uuid())];
        heroku.addons.push(AddOn { id: seed.uuid(), name: name.into(), plan: plan.into(), attached, vars });
    }
    for (version, description) in [(140, "Deploy 3f2a91c"), (141, "Set LOG_LEVEL config vars"), (142, "Deploy 9be01d7")]
    {
        let created_at = long_ago - TimeDelta::days(142 - i64::from(version));
        let mut config = heroku.config.clone();
        if version == 140 {
            config.insert("LOG_LEVEL".into(), "debug".into());
        }
        heroku.releases.push(Release {
            id: seed.uuid(),
            version: usize::try_from(version).unwrap_or(1),
            description: description.into(),
            created_at,
            config,
            settled_at: created_at,
            fails: false,
            settled: true,
        });
        if let Some(commit) = description.strip_prefix("Deploy ") {
            heroku.builds.push(Build {
                id: seed.uuid(),
                commit: format!("{commit}{}", seed.hex(33)),
                created_at: created_at - TimeDelta::minutes(2),
                ends_at: created_at,
                release: usize::try_from(version).ok(),
            });
        }
    }
    for kind in ["clock", "web", "worker"] {
        heroku.fit(seed, kind, long_ago, false);
    }
    heroku
}
