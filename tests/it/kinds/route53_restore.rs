//! 200 generated record sets of all shapes, changed and put back: what the AWS CLI prints of each is the same, byte for
//! byte. Through moto, which is somebody else's, and through the sandbox, which refuses what AWS refuses.
//!
//! moto keeps no `CidrRoutingConfig` and no `GeoProximityLocation`, so that only the sandbox can lose them. A DELETE with an
//! identifier takes every set of that identifier away, whatever its name; identifiers are therefore used once.

use std::{collections::BTreeMap, path::PathBuf};

use aws_sdk_route53::{
    Client,
    types::{
        AliasTarget, Change, ChangeAction, ChangeBatch, CidrRoutingConfig, Coordinates, GeoLocation,
        GeoProximityLocation, HealthCheckConfig, HealthCheckType, ResourceRecord, ResourceRecordSet, RrType,
    },
};
use fastrand::Rng;
use gonogo::plan::Action;
use serde::Deserialize;
use serde_json::{Value as Json, json, value::RawValue};

use super::{
    aws::{action, cx, services},
    ends::{Aws, End, aws},
};

/// Record sets in all.
const SETS: usize = 200;
/// Groups (one name and type each) in one transaction.
const TOGETHER: usize = 25;
const HEALTH: &str = "HEALTH";
const COLLECTION: &str = "c8c02a84-aaaa-bbbb-e0d2-d833a2f80106";

/// A name and type: its record sets, and the records of a step that changes every one of them.
struct Group {
    sets: Vec<ResourceRecordSet>,
    /// `None`: the TTL of all is changed.
    switches: Option<Vec<String>>,
}

struct Generator {
    rng: Rng,
    seed: u64,
    n: usize,
    zone: String,
}

impl Generator {
    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.rng.usize(..of.len())]
    }

    fn text(&mut self, most: usize) -> String {
        let parts = ["a", "Z", "9", " ", ";", "=", "+/", "\\\"", "\\\\", "\\303\\244", "v=DKIM1; p=", "<&>'"];
        let mut text = String::new();
        for _ in 0..self.rng.usize(1..=most / 12) {
            text.push_str(parts[self.rng.usize(..parts.len())]);
        }
        text
    }

    /// So many different values of a type.
    fn values(&mut self, rtype: &str, many: usize) -> Vec<String> {
        let mut values = Vec::new();
        while values.len() < many {
            let n = self.rng.u16(1..=9999);
            let value = match rtype {
                "A" => format!("192.0.2.{}", self.rng.u8(..)),
                "AAAA" => format!("2001:db8::{n:x}"),
                "CAA" => {
                    format!("0 {} \"ca{n}.example.net; account={n}\"", self.pick(&["issue", "issuewild", "iodef"]))
                }
                "DS" => format!("{n} 8 2 {:064x}", self.rng.u128(..)),
                "HTTPS" | "SVCB" => match self.rng.u8(..3) {
                    0 => format!("{n} . alpn=\"h2,h3\" ipv4hint=192.0.2.{}", n % 200),
                    1 => format!("{n} svc{n}.example.net port={n}"),
                    _ => format!("0 svc{n}.example.net"),
                },
                "MX" => format!("{} mail{n}.example.net", n % 100),
                "NAPTR" => {
                    format!(
                        "{n} 50 \"u\" \"E2U+sip\" \"!^(\\\\+44{n})$!sip:\\\\1@example.net!\" {}",
                        self.pick(&[".", "sip.example.net."])
                    )
                }
                "SRV" => format!("10 {} {n} host{n}.example.net.", n % 50),
                "SSHFP" => format!("4 2 {:064X}", self.rng.u128(..)),
                "TLSA" => format!("3 1 1 {:064x}", self.rng.u128(..)),
                "TXT" | "SPF" => match self.rng.u8(..4) {
                    0 => format!("\"{}\" \"{}\"", "x".repeat(255), self.text(200)),
                    1 => format!("\"\" \"{n}\""),
                    _ => format!("\"{n} {}\"", self.text(100)),
                },
                _ => format!("{}{n}.example.net{}", self.pick(&["a-", "Mixed.Case", "_x"]), self.pick(&["", "."])),
            };
            if !values.contains(&value) {
                values.push(value);
            }
        }
        values
    }

    fn many(&mut self, rtype: &str) -> usize {
        if rtype == "CNAME" { 1 } else { self.rng.usize(1..=3) }
    }

    fn ttl(&mut self) -> i64 {
        [0, 1, 60, 300, 3600, 86_400, 2_147_483_647][self.rng.usize(..7)]
    }

    /// Where aliases of a type point to: records that are there before and are not changed.
    fn target(&mut self, rtype: &str) -> AliasTarget {
        let name = format!("target{}-{}.acme.example", self.rng.u8(1..=2), rtype.to_lowercase());
        let balancer = ["A", "AAAA"].contains(&rtype) && self.rng.bool();
        let (zone, name) = if balancer {
            ("Z32O12XQLNTSW2".to_owned(), "acme-web-1.eu-west-1.elb.example".to_owned())
        } else {
            (self.zone.clone(), name)
        };
        let target = AliasTarget::builder().hosted_zone_id(zone).dns_name(format!("{name}."));
        target.evaluate_target_health(self.rng.bool()).build().unwrap()
    }

    /// What may stand behind an alias: every type with a target.
    const ALIASED: &'static [&'static str] = &["A", "AAAA", "CNAME", "HTTPS", "MX", "TXT"];

    const ROUTED: &'static [&'static str] = &["weighted", "latency", "failover", "geo", "multivalue", "cidr", "near"];

    const SIMPLE: &'static [&'static str] = &[
        "A", "AAAA", "CAA", "CNAME", "DS", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SPF", "SRV", "SSHFP", "SVCB", "TLSA",
        "TXT", "TXT",
    ];

    fn group(&mut self, room: usize) -> Group {
        self.n += 1;
        let n = self.n;
        // Each type and each policy at least once, then as it comes.
        let policy = match n {
            ..=17 => "simple",
            18..=32 => Self::ROUTED[n % Self::ROUTED.len()],
            _ => self.pick(&[&["simple"; 4], Self::ROUTED].concat()),
        };
        let alias = n > 25 && policy != "multivalue" && self.rng.u8(..3) == 0;
        let types: &[&str] = match (alias, policy) {
            (true, _) => Self::ALIASED,
            (false, "multivalue") => &["A", "AAAA", "MX", "TXT", "SRV", "CAA", "HTTPS"],
            (false, "simple") => Self::SIMPLE,
            _ => &["A", "AAAA", "CAA", "CNAME", "HTTPS", "MX", "PTR", "SPF", "SRV", "TXT"],
        };
        let rtype = if n <= 17 { Self::SIMPLE[n - 1] } else { self.pick(types) };
        let name = match self.rng.u8(..6) {
            0 => format!("*.r{n}.acme.example"),
            1 => format!("_dmarc.r{n}-x.acme.example"),
            2 => format!("_443._tcp.r{n}.acme.example"),
            _ => format!("r{n}.acme.example"),
        };
        let many = if policy == "simple" { 1 } else { self.rng.usize(1..=if policy == "failover" { 2 } else { 3 }) };
        let ttl = self.ttl();
        let mut sets = Vec::new();
        for i in 0..many.min(room) {
            let id = format!("{} {n}/{i}", self.pick(&["blue", "Grün", "a b <&>", "eu"]));
            let mut set = ResourceRecordSet::builder().name(&name).r#type(RrType::from(rtype));
            let mut health = policy != "simple" && self.rng.bool();
            if policy != "simple" {
                set = set.set_identifier(id);
            }
            set = match policy {
                "weighted" => set.weight(self.rng.i64(0..=255)),
                "latency" => set.region(["eu-west-1", "us-east-1", "ap-southeast-2"][i].into()),
                "failover" => {
                    health |= i == 0;
                    set.failover(["PRIMARY", "SECONDARY"][i].into())
                }
                "multivalue" => set.multi_value_answer(true),
                "geo" => {
                    let geo = GeoLocation::builder();
                    set.geo_location(match i {
                        0 => geo.continent_code("EU").build(),
                        1 => geo.country_code("*").build(),
                        _ => geo.country_code("US").subdivision_code("WA").build(),
                    })
                }
                "cidr" => {
                    let location = ["*", "berlin", "lagos"][i];
                    let cidr = CidrRoutingConfig::builder().collection_id(COLLECTION).location_name(location);
                    set.cidr_routing_config(cidr.build().unwrap())
                }
                "near" => {
                    let near = GeoProximityLocation::builder().bias(self.rng.i32(-99..=99));
                    let at = Coordinates::builder().latitude("49.22").longitude("-74.01").build().unwrap();
                    set.geo_proximity_location(match i {
                        0 => near.aws_region("eu-west-1").build(),
                        1 => near.coordinates(at).build(),
                        _ => near.local_zone_group("us-west-2-lax-1").build(),
                    })
                }
                _ => set,
            };
            if health {
                set = set.health_check_id(HEALTH);
            }
            set = if alias {
                set.alias_target(self.target(rtype))
            } else {
                let own = if policy == "weighted" { ttl } else { self.ttl() };
                let many = self.many(rtype);
                let values = self.values(rtype, many);
                let records = values.iter().map(|value| ResourceRecord::builder().value(value).build().unwrap());
                set.ttl(own).set_resource_records(Some(records.collect()))
            };
            sets.push(set.build().unwrap());
        }
        let switches = (alias || self.rng.bool()).then(|| sets.iter().map(|set| self.switch(set)).collect());
        Group { sets, switches }
    }

    /// A record of `route53.switch` that changes this set.
    fn switch(&mut self, set: &ResourceRecordSet) -> String {
        let rtype = set.r#type.as_str().to_owned();
        let mut keys = vec![format!("name = {}", quoted(&set.name)), format!("type = \"{rtype}\"")];
        keys.extend(set.set_identifier().map(|id| format!("set_identifier = {}", quoted(id))));
        let simple = set.set_identifier.is_none();
        let health = set.failover.as_ref().is_none_or(|failover| failover.as_str() != "PRIMARY");
        match self.rng.u8(..4) {
            0 if set.weight.is_some() => keys.push(format!("weight = {}", (set.weight.unwrap() + 1) % 256)),
            1 if set.health_check_id.is_some() && health => keys.push("health_check = \"\"".into()),
            2 if simple && set.alias_target.is_some() => {
                keys.push(format!("value = {}\nttl = 77", quoted(&self.values(&rtype, 1)[0])));
            }
            3 if simple && set.alias_target.is_none() && Self::ALIASED.contains(&rtype.as_str()) => {
                let target = self.target(&rtype);
                keys.push(format!("alias = {}", alias(&target)));
            }
            _ => match &set.alias_target {
                Some(old) => {
                    let mut new = old.clone();
                    new.evaluate_target_health = !old.evaluate_target_health;
                    keys.push(format!("alias = {}", alias(&new)));
                }
                None => {
                    let old: Vec<&str> = set.resource_records().iter().map(|record| record.value.as_str()).collect();
                    let many = self.many(&rtype);
                    let new: Vec<String> = loop {
                        let new = self.values(&rtype, many);
                        if new.iter().any(|value| !old.contains(&value.as_str())) {
                            break new;
                        }
                    };
                    keys.push(format!(
                        "values = [{}]",
                        new.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(", ")
                    ));
                }
            },
        }
        format!("{{ {} }}", keys.join(", ").replace('\n', ", "))
    }

    /// The targets of the aliases.
    fn targets(&mut self) -> Vec<ResourceRecordSet> {
        let mut sets = Vec::new();
        for rtype in Self::ALIASED {
            for i in 1..=2 {
                let values = self.values(rtype, 1);
                let record = ResourceRecord::builder().value(&values[0]).build().unwrap();
                let name = format!("target{i}-{}.acme.example", rtype.to_lowercase());
                let set = ResourceRecordSet::builder().name(name).r#type(RrType::from(*rtype)).ttl(60);
                sets.push(set.resource_records(record).build().unwrap());
            }
        }
        sets
    }
}

/// A TOML text: JSON's escapes are TOML's.
fn quoted(text: &str) -> String {
    Json::from(text).to_string()
}

fn alias(target: &AliasTarget) -> String {
    format!(
        "{{ zone = \"{}\", dns_name = \"{}\", evaluate_health = {} }}",
        target.hosted_zone_id, target.dns_name, target.evaluate_target_health
    )
}

/// The official SDK's client, with its own retries: the sandbox takes five requests a second.
pub async fn client(endpoint: &str) -> Client {
    let keys = aws_credential_types::Credentials::new(
        gonogo::base::sandbox::ACCESS_KEY_ID,
        gonogo::base::sandbox::SECRET_ACCESS_KEY,
        None,
        None,
        "test",
    );
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .credentials_provider(keys)
        .region(aws_config::Region::new("eu-west-1"))
        .endpoint_url(endpoint)
        .retry_config(aws_config::retry::RetryConfig::standard().with_max_attempts(8))
        .load()
        .await;
    Client::new(&config)
}

/// One batch of one action.
pub async fn write(client: &Client, zone: &str, action: ChangeAction, sets: &[ResourceRecordSet]) {
    let change = |set: &ResourceRecordSet| {
        Change::builder().action(action.clone()).resource_record_set(set.clone()).build().unwrap()
    };
    let batch = ChangeBatch::builder().set_changes(Some(sets.iter().map(change).collect())).build().unwrap();
    let sent = client.change_resource_record_sets().hosted_zone_id(zone).change_batch(batch).send().await;
    sent.unwrap_or_else(|e| panic!("{e:?}"));
}

/// A new public zone `acme.example`, or a private one of a VPC.
pub async fn make_zone(client: &Client, vpc: Option<&str>) -> String {
    let vpc = vpc.map(|id| aws_sdk_route53::types::Vpc::builder().vpc_id(id).vpc_region("eu-west-1".into()).build());
    let config =
        aws_sdk_route53::types::HostedZoneConfig::builder().private_zone(vpc.is_some()).comment("made").build();
    let made = client.create_hosted_zone().name("acme.example").caller_reference(format!("{}", fastrand::u64(..)));
    let made = made.hosted_zone_config(config).set_vpc(vpc).send().await.unwrap();
    made.hosted_zone.unwrap().id.trim_start_matches("/hostedzone/").to_owned()
}

#[derive(Deserialize)]
struct Listing {
    #[serde(rename = "ResourceRecordSets")]
    sets: Vec<Box<RawValue>>,
}

/// Every record set as the AWS CLI prints it, by name, type and identifier.
async fn printed(endpoint: &str, zone: &str) -> BTreeMap<(String, String, String), String> {
    let cli = std::env::var_os("GONOGO_AWS_CLI")
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/gonogo/tools/venv/bin/aws"));
    let home = tempfile::tempdir().unwrap();
    let output = tokio::process::Command::new(cli)
        .args(["route53", "list-resource-record-sets", "--output", "json", "--hosted-zone-id", zone])
        .env_clear()
        .env("HOME", home.path())
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_DEFAULT_REGION", "eu-west-1")
        .env("AWS_ACCESS_KEY_ID", gonogo::base::sandbox::ACCESS_KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", gonogo::base::sandbox::SECRET_ACCESS_KEY)
        .env("AWS_PAGER", "")
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listing: Listing = serde_json::from_slice(&output.stdout).unwrap();
    let key = |raw: &RawValue| {
        let set: Json = serde_json::from_str(raw.get()).unwrap();
        let text = |name: &str| set[name].as_str().unwrap_or_default().to_owned();
        (text("Name"), text("Type"), text("SetIdentifier"))
    };
    listing.sets.iter().map(|raw| (key(raw), raw.get().to_owned())).collect()
}

/// Changes 200 record sets and puts them back.
async fn there_and_back(end: End) {
    let seed = std::env::var("GONOGO_SEED").ok().map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("GONOGO_SEED={seed}");
    let there: Aws = aws(end).await;
    let client = client(&there.endpoint).await;
    let zone = make_zone(&client, None).await;
    let config = HealthCheckConfig::builder().r#type(HealthCheckType::Tcp).ip_address("192.0.2.1").port(80);
    let check = client.create_health_check().caller_reference(format!("{seed}"));
    let check = check.health_check_config(config.build().unwrap()).send().await.unwrap().health_check.unwrap().id;

    let mut make = Generator { rng: Rng::with_seed(seed), seed, n: 0, zone: zone.clone() };
    let targets = make.targets();
    let (mut groups, mut total) = (Vec::new(), 0);
    while total < SETS {
        let mut group = make.group(SETS - total);
        for set in &mut group.sets {
            set.health_check_id = set.health_check_id.take().map(|_| check.clone());
        }
        total += group.sets.len();
        groups.push(group);
    }
    write(&client, &zone, ChangeAction::Upsert, &targets).await;
    for some in groups.chunks(TOGETHER) {
        let sets: Vec<_> = some.iter().flat_map(|group| group.sets.clone()).collect();
        write(&client, &zone, ChangeAction::Upsert, &sets).await;
    }
    let before = printed(&there.endpoint, &zone).await;
    assert_eq!(before.len(), SETS + targets.len() + 2, "seed {}", make.seed);

    let services = services(there.env.clone());
    let mut done: Vec<(std::sync::Arc<dyn Action>, Json)> = Vec::new();
    let (switched, lowered): (Vec<&Group>, Vec<&Group>) = groups.iter().partition(|group| group.switches.is_some());
    let mut steps = Vec::new();
    for some in switched.chunks(TOGETHER) {
        let records: Vec<String> = some.iter().flat_map(|group| group.switches.clone().unwrap()).collect();
        steps.push(("route53.switch", format!("zone = \"{zone}\"\nrecords = [{}]", records.join(",\n"))));
    }
    for some in lowered.chunks(TOGETHER) {
        let record = |group: &&Group| {
            let set = &group.sets[0];
            format!("{{ name = {}, type = \"{}\" }}", quoted(&set.name), set.r#type.as_str())
        };
        let records: Vec<String> = some.iter().map(record).collect();
        steps.push(("route53.set_ttl", format!("zone = \"{zone}\"\nttl = 42\nrecords = [{}]", records.join(",\n"))));
    }
    let attempt = || cx(std::time::Duration::from_secs(120));
    for (kind, text) in &steps {
        let step = action(kind, text, &services);
        let captured = step.capture(&attempt()).await.unwrap_or_else(|e| panic!("seed {seed}: {kind}: {e:?}\n{text}"));
        step.apply(&attempt(), &captured).await.unwrap_or_else(|e| panic!("seed {seed}: {kind}: {e:?}\n{text}"));
        done.push((step, serde_json::from_str(&captured.to_string()).unwrap()));
    }
    let between = printed(&there.endpoint, &zone).await;
    let changed = before.iter().filter(|(key, text)| between.get(*key) != Some(*text)).count();
    assert_eq!(changed, SETS, "seed {seed}: not every set was changed");

    for (step, captured) in done.iter().rev() {
        step.restore(&attempt(), captured).await.unwrap_or_else(|failure| panic!("seed {seed}: {failure:?}"));
    }
    let after = printed(&there.endpoint, &zone).await;
    let lost: Vec<_> = before.iter().filter(|(key, text)| after.get(*key) != Some(*text)).collect();
    assert!(lost.is_empty(), "seed {seed}: {} of {SETS} did not come back: {lost:#?}", lost.len());
    assert_eq!(after, before, "seed {seed}");
    let shapes: std::collections::BTreeSet<_> =
        groups.iter().flat_map(|group| &group.sets).map(|set| set.r#type.as_str()).collect();
    println!("{SETS} of {SETS} came back; {} steps, types {shapes:?}", steps.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_moto() {
    there_and_back(End::Moto).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_the_sandbox() {
    there_and_back(End::Sandbox).await;
}

/// A listing of more than one page, names on both sides of its end, and a set that only the second page has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_of_several_pages_is_read_to_its_end() {
    let there = aws(End::Sandbox).await;
    let client = client(&there.endpoint).await;
    let zone = make_zone(&client, None).await;
    let set = |name: String, id: Option<String>| {
        let value = ResourceRecord::builder().value("192.0.2.1").build().unwrap();
        let set = ResourceRecordSet::builder().name(name).r#type(RrType::A).ttl(60).resource_records(value);
        let weight = id.as_ref().map(|_| 1);
        set.set_set_identifier(id).set_weight(weight).build().unwrap()
    };
    let weighted = (0..100).map(|i| set("m.acme.example".into(), Some(format!("w{i:03}"))));
    let mut all: Vec<_> = (0..250).map(|i| set(format!("a{i:03}.acme.example"), None)).chain(weighted).collect();
    all.extend((0..60).map(|i| set(format!("z{i:03}.acme.example"), None)));
    for some in all.chunks(200) {
        write(&client, &zone, ChangeAction::Upsert, some).await;
    }
    let records =
        ["a000", "m", "z059", "a249"].map(|name| format!("{{ name = \"{name}.acme.example\", type = \"A\" }}"));
    let text = format!("zone = \"{zone}\"\nttl = 7\nrecords = [{}]", records.join(", "));
    let step = action("route53.set_ttl", &text, &services(there.env.clone()));
    let captured = step.capture(&cx(std::time::Duration::from_secs(60))).await.unwrap();
    let names: Vec<_> = captured["before"].as_array().unwrap().iter().map(|set| set["name"].clone()).collect();
    assert_eq!(names.len(), 103, "the weighted ones lie on both pages");
    assert_eq!(
        (&names[0], &names[1], &names[102]),
        (&json!("a000.acme.example."), &json!("a249.acme.example."), &json!("z059.acme.example."))
    );
}
