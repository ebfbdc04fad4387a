//! `kubernetes.rollout`: the real `kubectl` against a played API server.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gonogo::{
    base::{Class, Failure},
    plan::{Action, Finding, Seen},
    runbook::{AwsEnv, EnvKind},
};
use serde_json::{Value as Json, json};

use super::{
    contract::{
        action, acts_and_restores, attempt, attempt_of, check, check_changes_nothing, done, env, points_at, services,
    },
    fake_kube::{FakeKube, digest},
};

const KIND: &str = "kubernetes.rollout";

// No `contract!`: neither the sandbox nor moto has a Kubernetes API (moto's EKS makes clusters without one). The same
// statements are made below, the real kubectl in between, changes counted at the played server.

fn acting(kube: &FakeKube, rest: &str) -> Arc<dyn Action> {
    action(KIND, &kube.text(rest), &services(env()))
}

async fn look(kube: &FakeKube, rest: &str) -> Result<Seen, Failure> {
    check(KIND, &kube.text(rest), &services(env())).check(&attempt().cx).await
}

async fn applied(kube: &FakeKube, rest: &str) -> (Result<gonogo::plan::Done, Failure>, Json) {
    let (acting, attempt) = (acting(kube, rest), attempt());
    let captured = acting.capture(&attempt.cx).await.unwrap();
    (acting.apply(&attempt.cx, &captured).await, captured)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_of_the_action() {
    let kube = FakeKube::start().await;
    let acting = acting(
        &kube,
        "image = 'registry.example/shop:2'\nimages = { migrate = 'registry.example/shop:2' }\nreplicas = 3",
    );
    let identity = acting.fence().await.unwrap().unwrap();
    assert!(
        identity.line.contains(super::fake_kube::CLUSTER) && identity.line.ends_with("namespace shop"),
        "{identity:?}"
    );
    let state = async || kube.world().deployment["spec"].clone();
    acts_and_restores(&*acting, state, async || kube.changes()).await;
    let world = kube.world();
    assert_eq!(world.patches.len(), 2, "one there, one back");
    assert_eq!(
        world.patches[0]["spec"],
        json!({ "replicas": 3, "template": { "spec": {
        "containers": [{ "name": "web", "image": "registry.example/shop:2" }],
        "initContainers": [{ "name": "migrate", "image": "registry.example/shop:2" }] } } })
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_of_the_check() {
    let kube = FakeKube::start().await;
    let text = kube.text(&format!(
        "image = 'registry.example/shop:1'\nreplicas = 2\ndigest = '{}'",
        digest("registry.example/shop:1")
    ));
    let looking = check(KIND, &text, &services(env()));
    check_changes_nothing(&*looking, async || kube.changes()).await;
    let seen = looking.check(&attempt().cx).await.unwrap();
    assert_eq!(
        seen.line,
        "web is rolled out: 2 wanted, 2 of them updated, 2 available, 2 in all, registry.example/shop:1, the digest seen in 2 pods"
    );
    assert_eq!((seen.value, seen.evidence["namespace"].as_str()), (Some(2.0), Some("shop")));
    for (rest, said) in [
        (
            "image = 'registry.example/shop:2'".to_owned(),
            "its template has the image registry.example/shop:1, wanted registry.example/shop:2",
        ),
        ("replicas = 3".to_owned(), "wanted 3"),
        (format!("digest = '{}'", digest("other")), "runs another image: registry.example/shop@sha256:"),
    ] {
        let failure = look(&kube, &rest).await.unwrap_err();
        assert!(failure.class == Class::NotYet && failure.message.contains(said), "{failure:?}");
    }
    // Page by page: no pod is left out.
    kube.world().page = 1;
    let failure = look(&kube, &format!("digest = '{}'", digest("other"))).await.unwrap_err();
    assert!(failure.message.contains("runs another image"), "{failure:?}");
    look(&kube, &format!("digest = '{}'", digest("registry.example/shop:1"))).await.unwrap();
    assert_eq!(kube.changes(), 0);
}

/// Kubernetes gives up: the failure names what the pods wait for, and the way back works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_cannot_be_pulled() {
    let kube = FakeKube::start().await;
    let before = kube.world().deployment["spec"].clone();
    let (end, captured) = applied(&kube, "image = 'registry.example/shop:broken'").await;
    let failure = end.unwrap_err();
    assert_eq!(failure.class, Class::Failed);
    assert!(failure.message.contains("ProgressDeadlineExceeded"), "{failure:?}");
    assert!(failure.causes[0].contains("container web: ImagePullBackOff: Back-off pulling image"), "{failure:?}");
    let checked = look(&kube, "").await.unwrap_err();
    assert!(checked.class == Class::NotYet && checked.causes[0].contains("ImagePullBackOff"), "{checked:?}");
    let acting = acting(&kube, "image = 'registry.example/shop:broken'");
    let found = acting.probe(&attempt().cx, &captured, false).await.unwrap();
    assert!(matches!(&found, Finding::Unclear { line } if line.contains("ImagePullBackOff")), "{found:?}");
    acting.restore(&attempt().cx, &captured).await.unwrap();
    assert_eq!(kube.world().deployment["spec"], before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_and_back() {
    let kube = FakeKube::start().await;
    let before = kube.world().deployment["spec"].clone();
    let acting = acting(&kube, "restart = true");
    let captured = done(&*acting).await;
    let moment =
        kube.world().deployment["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"]
            .clone();
    assert_eq!(moment, captured["after"]["restarted"]);
    acting.apply(&attempt().cx, &captured).await.unwrap();
    assert_eq!(kube.changes(), 1, "twice is not once");
    acting.restore(&attempt().cx, &captured).await.unwrap();
    assert_eq!(kube.world().deployment["spec"], before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_write_too() {
    let kube = FakeKube::start().await;
    // The controller's own writes move the version: read again, sent again.
    kube.world().conflicts = 2;
    let (end, _) = applied(&kube, "replicas = 3").await;
    end.unwrap();
    assert_eq!((kube.changes(), kube.world().deployment["spec"]["replicas"].as_i64()), (3, Some(3)));
    // Somebody's else value is not overwritten.
    let acting = acting(&kube, "replicas = 4");
    let captured = acting.capture(&attempt().cx).await.unwrap();
    kube.world().deployment["spec"]["replicas"] = 7.into();
    let failure = acting.apply(&attempt().cx, &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::Refused, "{failure:?}");
    assert_eq!(failure.causes, ["captured 3 replicas", "found    7 replicas"]);
    let found = acting.probe(&attempt().cx, &captured, false).await.unwrap();
    assert!(matches!(&found, Finding::Unclear { line } if line.contains("7 replicas")), "{found:?}");
    // Another one of the same name.
    kube.world().deployment["metadata"]["uid"] = "u-2".into();
    let failure = acting.apply(&attempt().cx, &captured).await.unwrap_err();
    assert!(failure.class == Class::Refused && failure.message.contains("made anew"), "{failure:?}");
    assert_eq!(kube.changes(), 3);
}

/// The fence: wherever the context leads, only the named cluster is touched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_named_cluster() {
    let kube = FakeKube::start().await;
    let text = kube.text("replicas = 3");
    let acting = action(KIND, &text, &services(env()));
    let captured = acting.capture(&attempt().cx).await.unwrap();
    let other = text.replace("context = 'acme'", "context = 'other'");
    let lost = action(KIND, &other, &services(env()));
    for failure in [
        lost.fence().await.unwrap_err(),
        lost.capture(&attempt().cx).await.unwrap_err(),
        lost.apply(&attempt().cx, &captured).await.unwrap_err(),
        lost.restore(&attempt().cx, &captured).await.unwrap_err(),
        check(KIND, &other, &services(env())).check(&attempt().cx).await.unwrap_err(),
    ] {
        assert_eq!(failure.class, Class::Refused, "{failure:?}");
        assert_eq!(failure.causes, ["found other at http://127.0.0.1:1"]);
    }
    let none = action(KIND, &text.replace("context = 'acme'", "context = 'none'"), &services(env()));
    assert_eq!(none.fence().await.unwrap_err().class, Class::Misconfigured);
    let mut elsewhere = env();
    elsewhere.aws = Some(AwsEnv { account: Some("444455556666".into()), ..AwsEnv::default() });
    let failure = action(KIND, &text, &services(elsewhere)).fence().await.unwrap_err();
    assert!(failure.class == Class::Refused && failure.message.contains("in account 222233334444"), "{failure:?}");
    assert_eq!(kube.changes(), 0);
    // The server's URL names it too.
    let by_url = text.replace(super::fake_kube::CLUSTER, &format!("{}/", kube.http.url()));
    action(KIND, &by_url, &services(env())).fence().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_short_is_unknown() {
    let kube = FakeKube::start().await;
    kube.world().hangs = true;
    let acting = acting(&kube, "replicas = 3");
    let captured = acting.capture(&attempt().cx).await.unwrap();
    let first = attempt();
    let (cx, kept, again) = (first.cx.clone(), captured.clone(), acting.clone());
    let task = tokio::spawn(async move { again.apply(&cx, &kept).await });
    kube.http.until_changes(1).await;
    first.cx.cancel.cancel();
    assert_eq!(task.await.unwrap().unwrap_err().class, Class::Unknown);
    let short = attempt_of(Duration::from_secs(3), BTreeMap::new());
    let failure = acting.apply(&short.cx, &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::Unknown, "{failure:?}");
    assert_eq!(kube.changes(), 2);
    kube.world().hangs = false;
    let found = acting.probe(&attempt().cx, &captured, false).await.unwrap();
    assert!(matches!(found, Finding::NotDone { .. }), "{found:?}");
    // Accepted, and then out of time.
    kube.world().left = 0;
    let short = attempt_of(Duration::from_secs(4), BTreeMap::new());
    let stuck = acting.clone();
    let task = tokio::spawn(async move { stuck.apply(&short.cx, &captured).await });
    kube.http.until_changes(3).await;
    kube.world().left = 1000;
    let failure = task.await.unwrap().unwrap_err();
    assert!(
        failure.class == Class::Unknown && failure.message.contains("timed out while it was rolled out"),
        "{failure:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_moves_is_not_rolled_out() {
    let kube = FakeKube::start().await;
    let spec = |status: Json, paused: bool, replicas: i64| {
        let mut world = kube.world();
        world.deployment["metadata"]["generation"] = 5.into();
        world.deployment["spec"]["paused"] = paused.into();
        world.deployment["spec"]["replicas"] = replicas.into();
        world.deployment["status"] = status;
        // As it stands: the controller does nothing.
        world.left = 1000;
    };
    let counts = |observed: i64, all: i64, updated: i64, available: i64| json!({ "observedGeneration": observed, "replicas": all, "updatedReplicas": updated, "availableReplicas": available });
    for (status, paused, replicas, said) in [
        (counts(4, 2, 2, 2), false, 2, "has not looked at its newest state yet"),
        (counts(5, 2, 1, 2), false, 2, "1 of 2 replicas are updated"),
        (counts(5, 2, 1, 2), true, 2, "it is paused"),
        (counts(5, 3, 2, 2), false, 2, "1 old replicas have not ended yet"),
        (counts(5, 2, 2, 1), false, 2, "1 of 2 updated replicas are available"),
        (counts(5, 0, 0, 0), false, 0, "wanted 1"),
    ] {
        spec(status, paused, replicas);
        let failure = look(&kube, "").await.unwrap_err();
        assert!(failure.class == Class::NotYet && failure.message.contains(said), "{said}: {failure:?}");
    }
    look(&kube, "replicas = 0").await.unwrap();
    // Reasons of every sort.
    spec(counts(5, 2, 2, 0), false, 2);
    kube.world().deployment["status"]["conditions"] =
        json!([{ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods" }]);
    let set = kube.world().sets.last().unwrap()["metadata"]["uid"].clone();
    let pod = |name: &str, status: Json| json!({ "metadata": { "name": name, "ownerReferences": [{ "uid": set }] }, "status": status });
    kube.world().pods = vec![
        pod(
            "a",
            json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: insufficient cpu" }] }),
        ),
        pod(
            "b",
            json!({ "containerStatuses": [{ "name": "web", "ready": false, "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 5m0s" } },
            "lastState": { "terminated": { "exitCode": 1, "reason": "Error" } } }] }),
        ),
        pod("c", json!({ "containerStatuses": [{ "name": "web", "ready": false, "state": { "running": {} } }] })),
        pod(
            "d",
            json!({ "containerStatuses": [{ "name": "web", "ready": false, "state": { "waiting": { "reason": "ContainerCreating" } } }] }),
        ),
    ];
    let failure = look(&kube, "").await.unwrap_err();
    assert_eq!(
        failure.causes,
        [
            "replicas: exceeded quota: pods",
            "a: Unschedulable: 0/3 nodes: insufficient cpu",
            "b: container web: CrashLoopBackOff: back-off 5m0s; before that it ended with 1 (Error)",
            "c: container web runs and is not ready: its readiness probe fails",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn could_not_look() {
    let kube = FakeKube::start().await;
    for (code, reason, message, class) in [
        (403, "Forbidden", "deployments.apps \"web\" is forbidden: User \"me\" cannot get resource", Class::Denied),
        (401, "Unauthorized", "Unauthorized", Class::Denied),
        (404, "NotFound", "deployments.apps \"web\" not found", Class::Misconfigured),
        (500, "InternalError", "etcd is gone", Class::NotYet),
    ] {
        kube.world().refuses = Some((code, reason, message));
        let failure = look(&kube, "").await.unwrap_err();
        assert_eq!(failure.class, class, "{failure:?}");
        if class == Class::NotYet {
            assert!(failure.message.starts_with("no data: "), "{failure:?}");
        }
    }
    kube.world().refuses = None;
    for (rest, said) in [
        ("image = 'x:1'\ncontainer = 'none'", "has no container none; it has web, migrate"),
        ("images = { none = 'x:1' }", "has no container none"),
    ] {
        let failure = acting(&kube, rest).capture(&attempt().cx).await.unwrap_err();
        assert!(failure.class == Class::Misconfigured && failure.message.contains(said), "{failure:?}");
    }
    let more = json!({ "name": "side", "image": "registry.example/side:1" });
    kube.world().deployment["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().push(more);
    let failure = acting(&kube, "image = 'x:1'").capture(&attempt().cx).await.unwrap_err();
    assert!(failure.message.contains("has the containers side, web"), "{failure:?}");
    look(&kube, "image = 'registry.example/side:1'\ncontainer = 'side'").await.unwrap();
    let mut nobody = kube.text("");
    std::fs::write(
        kube.folder.path().join("config"),
        std::fs::read_to_string(kube.folder.path().join("config"))
            .unwrap()
            .replace(&kube.http.url(), "http://127.0.0.1:1"),
    )
    .unwrap();
    let failure = check(KIND, &nobody, &services(env())).check(&attempt().cx).await.unwrap_err();
    assert!(failure.class == Class::NotYet && failure.message.starts_with("no data: "), "{failure:?}");
    nobody += "binary = 'gonogo-no-such-kubectl'";
    let failure = check(KIND, &nobody, &services(env())).check(&attempt().cx).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured);
    let mut sandbox = env();
    sandbox.kind = EnvKind::Sandbox;
    let failure = check(KIND, &kube.text(""), &services(sandbox)).check(&attempt().cx).await.unwrap_err();
    assert_eq!(
        (failure.class, failure.message.as_str()),
        (Class::Misconfigured, "there is no Kubernetes in the sandbox")
    );
}

#[test]
fn bad_parameters() {
    let services = services(env());
    let good = "cluster = 'c'\ndeployment = 'web'\n";
    for (rest, marked, message) in [
        ("", "", "told to change nothing"),
        ("image = 'a b'", "'a b'", "`image` is no image reference"),
        ("image = 'shop:'", "'shop:'", "`image` is no image reference"),
        ("image = ''", "''", "`image` must not be empty"),
        ("images = { web = 'a b' }", "{ web = 'a b' }", "`images`: web has no image reference"),
        ("images = { web = 1 }", "1", "a table of texts"),
        ("replicas = 3\ncontainer = 'web'", "'web'", "there is none"),
        ("replicas = 20000", "20000", "`replicas` must be at most"),
        ("replicas = -1", "-1", "a whole number"),
        ("restart = false", "false", "nothing to change"),
        ("replicas = 3\nnamespace = 'Shop'", "'Shop'", "`namespace` cannot be `Shop`"),
        ("replicas = 3\ncontext = ' '", "' '", "`context` must not be empty"),
        ("replicas = 3\nkubeconfig = '${secret.x}'", "'${secret.x}'", "must not be a secret"),
        ("replicas = 3\nimagen = 'x'", "imagen", "does not know"),
    ] {
        points_at(KIND, &format!("{good}{rest}"), &services, marked, message);
    }
    points_at(
        KIND,
        &format!("{good}replicas = 3\ndigest = '{}'", digest("x")),
        &services,
        &format!("'{}'", digest("x")),
        "as a check",
    );
    points_at(KIND, "deployment = 'web'\nreplicas = 1", &services, "", "needs `cluster`");
    points_at(KIND, "cluster = 'c'\nreplicas = 1", &services, "", "needs `deployment`");
    points_at(
        KIND,
        "cluster = 'c'\ndeployment = '-web'\nreplicas = 1",
        &services,
        "'-web'",
        "`deployment` cannot be `-web`",
    );
    let looking = check(KIND, &format!("{good}namespace = 'shop'\nimage = 'x:1'\nreplicas = 2"), &services);
    assert_eq!(looking.looks(), "kubectl get deployment shop/web on c, expects it rolled out with x:1, 2 replicas");
    let acting = action(KIND, &format!("{good}restart = true"), &services);
    assert_eq!(acting.does()[1], "kubectl patch deployment web on c: new pods");
}
