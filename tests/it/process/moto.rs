//! The second runbook through the whole program against moto, somebody else's AWS: done to its end, and taken back.

use serde_json::json;

use super::Home;
use crate::moto::{ecs, endpoint, listing, runbook};

/// A home whose AWS is moto, and the runbook that was filled for it.
async fn home() -> (Home, String, Moto) {
    let text = runbook().await;
    let file: toml::Table = text.parse().unwrap();
    let var = |name: &str| file["env"]["moto"]["vars"][name].as_str().unwrap().to_owned();
    let moto = Moto { zone: var("zone"), cluster: var("cluster") };
    let home = Home::new()
        .with("AWS_ENDPOINT_URL", endpoint())
        .with("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .with("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    let path = home.file("moto.toml", &text).display().to_string();
    (home, path, moto)
}

struct Moto {
    zone: String,
    cluster: String,
}

impl Moto {
    /// The zone byte for byte, the service's revision and count.
    async fn now(&self) -> (String, String) {
        let answer = ecs("DescribeServices", json!({ "cluster": self.cluster, "services": ["web"] })).await;
        let service = &answer["services"][0];
        let definition = service["taskDefinition"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        (listing(&self.zone).await, format!("{definition} x {}", service["desiredCount"]))
    }
}

#[tokio::test]
async fn a_rehearsal_to_its_end() {
    let (home, path, moto) = home().await;
    let ended = home.run(["rehearse", &path, "--env", "moto", "--plain", "--auto-go"]);
    assert!([0, 15].contains(&ended.code), "{ended:?}");
    assert!(ended.out.contains("account 123456789012"), "{ended:?}");
    let (zone, service) = moto.now().await;
    assert!(zone.contains("<TTL>60</TTL>") && zone.contains("acme-web-1.eu-west-1.elb.example"), "{zone}");
    assert!(service.ends_with(":2 x 3"), "{service}");
    let folder = std::fs::read_to_string(home.folder().join("journal.jsonl")).unwrap();
    assert!(!folder.contains("wJalrXUtnFEMI"), "the secret key is in the journal");
    assert!(!home.folder().join("world").exists(), "nothing of the built-in world is here");
}

#[tokio::test]
async fn a_rehearsal_taken_back_by_typed_words() {
    let (home, path, moto) = home().await;
    let before = moto.now().await;
    // Up to the step whose work stays: what is done until then can all be taken back.
    let mut run = home.start(["rehearse", &path, "--env", "moto", "--plain"]);
    run.says("step 3 sends");
    run.types("hold");
    run.says("step 3 DONE");
    run.says("Type go to go on");
    assert_ne!(moto.now().await, before);
    run.types("rollback");
    run.says("Type rollback");
    run.types("rollback because the partner is not ready");
    for step in [3, 2] {
        run.says(&format!("UNDO {step}:"));
        run.types("undo");
    }
    let ended = run.ended();
    assert_eq!(ended.code, 13, "{ended:?}");
    assert_eq!(moto.now().await, before);
}

#[tokio::test]
async fn the_whole_of_it_taken_back_as_far_as_it_can() {
    let (home, path, moto) = home().await;
    let before = moto.now().await;
    let mut run = home.start(["rehearse", &path, "--env", "moto", "--plain"]);
    run.says("step 5 sends");
    run.types("hold");
    run.says("step 5 DONE");
    run.says("Type go to go on");
    run.types("rollback");
    run.says("Type rollback");
    run.types("rollback because the partner is not ready");
    for step in [5, 3, 2] {
        run.says(&format!("UNDO {step}:"));
        run.types("undo");
    }
    let ended = run.ended();
    assert_eq!(ended.code, 14, "the migration stays: {ended:?}");
    assert_eq!(moto.now().await, before);
}
