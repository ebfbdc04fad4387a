//! Route 53 by the official SDK.

use std::time::{Duration, Instant};

use aws_sdk_route53::{
    Client,
    error::ProvideErrorMetadata,
    operation::RequestId,
    types::{AliasTarget, Change, ChangeAction, ChangeBatch, ChangeStatus, ResourceRecord, ResourceRecordSet, RrType},
};
use gonogo::sandbox::Sandbox;

use super::{aws, until, world};

const ZONE: &str = "Z0SANDBOX";
const HOST: &str = "shop.acme.example.";

async fn client(world: &Sandbox) -> Client {
    Client::new(&aws(world.endpoints()).await)
}

fn set(name: &str, rtype: &str, ttl: Option<i64>, values: &[&str]) -> ResourceRecordSet {
    let records = values.iter().map(|value| ResourceRecord::builder().value(*value).build().unwrap()).collect();
    let records = Some(records).filter(|records: &Vec<_>| !records.is_empty());
    ResourceRecordSet::builder()
        .name(name)
        .r#type(RrType::from(rtype))
        .set_ttl(ttl)
        .set_resource_records(records)
        .build()
        .unwrap()
}

fn batch(changes: impl IntoIterator<Item = (ChangeAction, ResourceRecordSet)>) -> ChangeBatch {
    let changes = changes
        .into_iter()
        .map(|(action, set)| Change::builder().action(action).resource_record_set(set).build().unwrap())
        .collect();
    ChangeBatch::builder().set_changes(Some(changes)).build().unwrap()
}

/// The id of an accepted change, or code and message.
async fn submit(client: &Client, batch: ChangeBatch) -> Result<String, (String, String)> {
    match client.change_resource_record_sets().hosted_zone_id(ZONE).change_batch(batch).send().await {
        Ok(done) => {
            assert!(done.request_id().is_some());
            let info = done.change_info().unwrap();
            assert_eq!(info.status(), &ChangeStatus::Pending);
            Ok(info.id().to_owned())
        }
        Err(e) => {
            let e = e.into_service_error();
            assert!(e.meta().request_id().is_some(), "{e:?}");
            Err((e.code().unwrap_or_default().to_owned(), e.message().unwrap_or_default().to_owned()))
        }
    }
}

async fn host(client: &Client) -> ResourceRecordSet {
    let page = client
        .list_resource_record_sets()
        .hosted_zone_id(ZONE)
        .start_record_name(HOST)
        .start_record_type(RrType::Cname)
        .max_items(1)
        .send()
        .await
        .unwrap();
    page.resource_record_sets()[0].clone()
}

#[tokio::test]
async fn a_change_is_pending_then_insync_and_compares_before_it_swaps() {
    let world = world(&[]).await;
    let client = client(&world).await;
    let old = host(&client).await;
    assert_eq!((old.name(), old.ttl()), (HOST, Some(20)));
    assert_eq!(old.resource_records()[0].value(), "acme-shop.herokudns.example");

    let new = set(HOST, "CNAME", Some(5), &["acme-shop.herokudns.example"]);
    let swap = || batch([(ChangeAction::Delete, old.clone()), (ChangeAction::Create, new.clone())]);
    let start = Instant::now();
    let id = submit(&client, swap()).await.unwrap();
    assert!(id.starts_with("/change/C"), "{id}");
    assert_eq!(host(&client).await.ttl(), Some(5), "the API shows a change at once");
    let status = || async { client.get_change().id(&id).send().await.map(|done| done.change_info.unwrap().status) };
    let _ = until("INSYNC", status, |status| matches!(status, Ok(ChangeStatus::Insync))).await;
    assert!(start.elapsed() > Duration::from_millis(1400), "INSYNC after {:?}", start.elapsed());

    tokio::time::sleep(Duration::from_secs(1)).await;
    let (code, message) = submit(&client, swap()).await.unwrap_err();
    assert_eq!(code, "InvalidChangeBatch");
    assert!(
        message.contains("Tried to delete resource record set [name='shop.acme.example.', type='CNAME']"),
        "{message}"
    );
    assert!(message.contains("but the values provided do not match the current values"), "{message}");
    let effects = world.effects().await;
    assert_eq!(effects.len(), 1, "a refused change is no effect: {effects:?}");
    assert_eq!((effects[0].service.as_str(), effects[0].target.as_str()), ("route53", "shop.acme.example. CNAME"));
}

#[tokio::test]
async fn refuses_what_aws_refuses() {
    let cname = |name: &str| set(name, "CNAME", Some(60), &["acme-web-1.eu-west-1.elb.example"]);
    let weighted = |weight, id: Option<&str>| {
        let mut set = set("api.acme.example", "A", Some(60), &["127.0.0.9"]);
        (set.weight, set.set_identifier) = (weight, id.map(str::to_owned));
        set
    };
    let mut alias = set("a.acme.example", "A", Some(60), &[]);
    let target = AliasTarget::builder().hosted_zone_id("Z32O12XQLNTSW2").dns_name("acme-web-1.eu-west-1.elb.example");
    alias.alias_target = Some(target.evaluate_target_health(true).build().unwrap());
    let mut nowhere = alias.clone();
    nowhere.ttl = None;
    nowhere.alias_target = Some(
        AliasTarget::builder()
            .hosted_zone_id("Z1")
            .dns_name("no.example")
            .evaluate_target_health(true)
            .build()
            .unwrap(),
    );
    let a = |value: &str| set("new.acme.example", "A", Some(60), &[value]);
    let (batch_code, input) = ("InvalidChangeBatch", "InvalidInput");
    let create = ChangeAction::Create;
    let cases = [
        (create.clone(), cname(HOST), batch_code, "but it already exists"),
        (create.clone(), cname("acme.example"), batch_code, "is not permitted at apex in zone acme.example."),
        (create.clone(), set(HOST, "A", Some(60), &["127.0.0.9"]), batch_code, "conflicting RRSet of type  CNAME"),
        (create.clone(), cname("api.acme.example"), batch_code, "conflicts with other records with the same DNS name"),
        (create.clone(), cname("shop.other.example"), batch_code, "is not permitted in zone acme.example."),
        (create.clone(), a("not-an-ip"), batch_code, "ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)"),
        (create.clone(), set("t.acme.example", "TXT", Some(60), &["bare"]), batch_code, "enclosed in quotation marks"),
        (create.clone(), set("new.acme.example", "A", None, &["127.0.0.9"]), input, "but found none in Change with"),
        (create.clone(), alias, input, "but found more than one in Change with"),
        (create.clone(), nowhere, batch_code, "but that target was not found"),
        (create.clone(), weighted(Some(300), Some("x")), input, "Member must have value less than or equal to 255"),
        (create.clone(), weighted(Some(10), None), input, "Missing field 'SetIdentifier'"),
        (create.clone(), weighted(None, Some("x")), input, "Expected exactly one of [Weight, Region"),
        (
            create.clone(),
            weighted(None, None),
            batch_code,
            "cannot be created as other RRSets exist with the same name and type",
        ),
        (create, weighted(Some(10), Some("blue")), batch_code, "set-identifier='blue'] but it already exists"),
        (ChangeAction::Delete, a("127.0.0.9"), batch_code, "but it was not found"),
    ];
    // Five requests a second are let through: a few worlds side by side save the waiting.
    for cases in cases.chunks(5) {
        let world = world(&[]).await;
        let client = client(&world).await;
        for (action, set, code, text) in cases {
            let (got, message) = submit(&client, batch([(action.clone(), set.clone())])).await.unwrap_err();
            assert_eq!(got, *code, "{message}");
            assert!(message.contains(text), "{message}\nwanted {text}");
        }
        assert!(world.effects().await.is_empty());
    }
}

#[tokio::test]
async fn a_batch_is_atomic() {
    let world = world(&[]).await;
    let client = client(&world).await;
    let good = (ChangeAction::Create, set("one.acme.example", "A", Some(60), &["127.0.0.9"]));
    let bad = (ChangeAction::Delete, set("two.acme.example", "A", Some(60), &["127.0.0.9"]));
    submit(&client, batch([good, bad])).await.unwrap_err();
    let page =
        client.list_resource_record_sets().hosted_zone_id(ZONE).start_record_name("one.acme.example").max_items(1);
    assert_ne!(page.send().await.unwrap().resource_record_sets()[0].name(), "one.acme.example.");
}

#[tokio::test]
async fn lists_in_pages_that_join_up() {
    let world = world(&[]).await;
    let client = client(&world).await;
    let whole = client.list_resource_record_sets().hosted_zone_id(ZONE).send().await.unwrap();
    let whole = whole.resource_record_sets();
    assert!(whole.len() > 10);
    assert_eq!(whole[0].name(), "acme.example.");
    let second = client
        .list_resource_record_sets()
        .hosted_zone_id(ZONE)
        .start_record_name("api.acme.example")
        .start_record_type(RrType::A)
        .start_record_identifier("green")
        .max_items(2)
        .send()
        .await
        .unwrap();
    let ids: Vec<_> = second.resource_record_sets().iter().map(|set| (set.name(), set.set_identifier())).collect();
    assert_eq!(ids[0], ("api.acme.example.", Some("green")));
    assert!(second.is_truncated());
    let at = whole.iter().position(|set| set.set_identifier() == Some("green")).unwrap();
    assert_eq!(second.next_record_name(), Some(whole[at + 2].name()));
    let zones = client.list_hosted_zones_by_name().dns_name("acme.example").max_items(1).send().await.unwrap();
    assert_eq!(zones.hosted_zones()[0].id(), "/hostedzone/Z0SANDBOX");
    let missing = client.get_hosted_zone().id("Z0NOWHERE").send().await.unwrap_err();
    assert_eq!(missing.raw_response().unwrap().status().as_u16(), 404);
    assert!(missing.into_service_error().is_no_such_hosted_zone());
}

#[tokio::test]
async fn unknown_changes_and_hurried_clients_are_refused() {
    let world = world(&[]).await;
    let client = client(&world).await;
    let e = client.get_change().id("C0INVENTED").send().await.unwrap_err();
    assert!(e.into_service_error().is_no_such_change());
    let mut refused = None;
    for _ in 0..6 {
        refused = client.get_hosted_zone().id(ZONE).send().await.err();
    }
    let refused = refused.expect("the sixth request within a second");
    assert_eq!(refused.raw_response().unwrap().status().as_u16(), 400);
    let e = refused.into_service_error();
    assert_eq!((e.code(), e.message()), (Some("Throttling"), Some("Rate exceeded")));
}

#[tokio::test]
async fn scripted_faults_strike_as_often_as_asked() {
    let world = world(&["route53.throttle:once", "route53.prior_request", "route53.third_party"]).await;
    let client = client(&world).await;
    let lower = |ttl| {
        batch([
            (ChangeAction::Delete, set(HOST, "CNAME", Some(20), &["acme-shop.herokudns.example"])),
            (ChangeAction::Create, set(HOST, "CNAME", Some(ttl), &["acme-shop.herokudns.example"])),
        ])
    };
    assert_eq!(submit(&client, lower(5)).await.unwrap_err().0, "Throttling");
    assert_eq!(submit(&client, lower(5)).await.unwrap_err().0, "PriorRequestNotComplete");
    let (code, message) = submit(&client, lower(5)).await.unwrap_err();
    assert!(code == "InvalidChangeBatch" && message.contains("do not match the current values"), "{code} {message}");
    assert_eq!(host(&client).await.ttl(), Some(299), "somebody else was faster");
}

/// Routing policies, sizes, health checks: each refusal in the service's words.
#[tokio::test]
async fn refuses_what_aws_refuses_of_routed_sets() {
    use aws_sdk_route53::types::{CidrRoutingConfig, GeoLocation, GeoProximityLocation};
    let routed = |name: &str, id: &str| {
        let mut set = set(name, "A", Some(60), &["127.0.0.9"]);
        set.set_identifier = Some(id.into());
        set
    };
    let with = |name: &str, change: fn(&mut ResourceRecordSet)| {
        let mut set = routed(name, "x");
        change(&mut set);
        set
    };
    let primary = with("f.acme.example", |set| set.failover = Some("PRIMARY".into()));
    let checked = with("h.acme.example", |set| {
        set.weight = Some(1);
        set.health_check_id = Some("00000000-0000-4000-8000-000000000000".into());
    });
    let other_ttl = with("api.acme.example", |set| {
        set.weight = Some(1);
        set.ttl = Some(61);
    });
    let latency = with("api.acme.example", |set| set.region = Some("eu-west-1".into()));
    let no_region = with("l.acme.example", |set| set.region = Some("nowhere".into()));
    let no_geo = with("g.acme.example", |set| set.geo_location = Some(GeoLocation::builder().build()));
    let land = with("g.acme.example", |set| {
        set.geo_location = Some(GeoLocation::builder().country_code("DE").subdivision_code("BE").build());
    });
    let cidr = with("c.acme.example", |set| {
        let cidr = CidrRoutingConfig::builder().collection_id("c-1").location_name("berlin").build().unwrap();
        set.cidr_routing_config = Some(cidr);
    });
    let near = with("n.acme.example", |set| {
        let near = GeoProximityLocation::builder().aws_region("eu-west-1").local_zone_group("us-west-2-lax-1");
        set.geo_proximity_location = Some(near.build());
    });
    let bias = with("n.acme.example", |set| {
        set.geo_proximity_location = Some(GeoProximityLocation::builder().aws_region("eu-west-1").bias(100).build());
    });
    let two = with("t.acme.example", |set| {
        set.weight = Some(1);
        set.region = Some("eu-west-1".into());
    });
    let many = with("m.acme.example", |set| {
        set.multi_value_answer = Some(true);
        set.r#type = RrType::Ns;
    });
    let text = |value: String| set("t.acme.example", "TXT", Some(60), &[&value]);
    let long: Vec<String> = (0..80).map(|i| format!("\"{i:03}{0}\" \"{0}\"", "x".repeat(200))).collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    let large = set("t.acme.example", "TXT", Some(60), &long);
    let lots: Vec<String> = (0..1001).map(|i| format!("10.0.{}.{}", i / 250, i % 250)).collect();
    let lots = set("m.acme.example", "A", Some(60), &lots.iter().map(String::as_str).collect::<Vec<_>>());
    let mut outside = set("a.acme.example", "A", None, &[]);
    let target =
        AliasTarget::builder().hosted_zone_id(ZONE).dns_name("www.other.example").evaluate_target_health(false);
    outside.alias_target = Some(target.build().unwrap());
    let (batch_code, input) = ("InvalidChangeBatch", "InvalidInput");
    let cases = [
        (primary, batch_code, "A non-alias primary ResourceRecordSet must have an associated health check"),
        (checked, "NoSuchHealthCheck", "does not exist"),
        (other_ttl, batch_code, "cannot be created as weighted sets must contain the same TTL"),
        (latency, batch_code, "cannot be created as a non-latency set exists with the same name and type"),
        (no_region, input, "'nowhere' is not a Region"),
        (no_geo, input, "GeoLocation must be a continent"),
        (land, input, "a subdivision of US or UA"),
        (cidr, input, "CidrRoutingConfig must have"),
        (near, input, "exactly one of AWSRegion, LocalZoneGroup and Coordinates"),
        (bias, input, "Member must have value less than or equal to 99"),
        (two, input, "but found more than one in Change with"),
        (many, input, "a multivalue answer record cannot be"),
        (text(format!("\"{}\"", "x".repeat(256))), batch_code, "CharacterStringTooLong (Value is too long)"),
        (large, batch_code, "RDATA character limit of 32000 exceeded"),
        (lots, batch_code, "Number of records limit of 1000 exceeded"),
        (outside, batch_code, "does not lie within the target zone"),
        (set("acme.example", "DS", Some(60), &["1 8 2 ab"]), batch_code, "is not permitted at apex"),
        (set("s.acme.example", "SVCB", Some(60), &["0 . port=1"]), batch_code, "AliasMode"),
    ];
    for cases in cases.chunks(5) {
        let world = world(&[]).await;
        let client = client(&world).await;
        for (set, code, text) in cases {
            let (got, message) = submit(&client, batch([(ChangeAction::Create, set.clone())])).await.unwrap_err();
            assert_eq!(got, *code, "{message}");
            assert!(message.contains(text), "{message}\nwanted {text}");
        }
        assert!(world.effects().await.is_empty());
    }
}

#[tokio::test]
async fn zones_are_made_and_paged_by_name() {
    use aws_sdk_route53::types::Vpc;
    let world = world(&[]).await;
    let client = client(&world).await;
    let make = async |reference: &str, vpc: Option<&str>| {
        let vpc = vpc.map(|id| Vpc::builder().vpc_id(id).vpc_region("eu-west-1".into()).build());
        let made =
            client.create_hosted_zone().name("Acme.example").caller_reference(reference).set_vpc(vpc).send().await;
        made.map(|made| made.hosted_zone.unwrap()).map_err(|e| e.into_service_error().meta().code().unwrap().to_owned())
    };
    let one = make("one", Some("vpc-1")).await.unwrap();
    assert_eq!((one.name.as_str(), one.config.unwrap().private_zone), ("acme.example.", true));
    assert_eq!(make("one", Some("vpc-2")).await.unwrap_err(), "HostedZoneAlreadyExists");
    assert_eq!(make("two", Some("vpc-1")).await.unwrap_err(), "ConflictingDomainExists");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let first = client.list_hosted_zones_by_name().dns_name("acme.example").max_items(1).send().await.unwrap();
    assert_eq!((first.is_truncated, first.next_dns_name()), (true, Some("acme.example.")));
    let second = client.list_hosted_zones_by_name().dns_name("acme.example").max_items(1);
    let second = second.set_hosted_zone_id(first.next_hosted_zone_id).send().await.unwrap();
    let ids = [&first.hosted_zones[0].id, &second.hosted_zones[0].id];
    assert!(ids.contains(&&one.id) && ids.contains(&&"/hostedzone/Z0SANDBOX".to_owned()), "{ids:?}");
    let told = client.get_hosted_zone().id(&one.id).send().await.unwrap();
    assert_eq!(told.vpcs()[0].vpc_id(), Some("vpc-1"));
}
