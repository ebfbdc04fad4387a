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
