//! What can happen to a deployment in a night, each against the sandbox: the outcome is the right one, and its
//! message names the cause.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex},
    time::{Duration, Instant},
};

use gonogo::{
    base::{Class, Failure},
    plan::{Action, Finding},
    services::Services,
};
use serde_json::Value as Json;
use tokio::task::JoinHandle;

use super::{
    aws::{Heard, Proxy, Spoil, action, check, cx, cx_heard, minute, services},
    ends::{Aws, aws_with},
};

const KIND: &str = "ecs.deploy";
const WEB: &str = "cluster = 'acme'\nservice = 'web'\ntask_definition = 'web'\ndesired = 2";

/// A sandbox with faults, behind a proxy that counts.
struct Night {
    there: Aws,
    proxy: Proxy,
    services: Arc<Services>,
}

async fn night(faults: &[&str]) -> Night {
    night_of(faults, "", Spoil::Nothing).await
}

async fn night_of(faults: &[&str], mark: &'static str, spoil: Spoil) -> Night {
    let there = aws_with(faults).await;
    let proxy = Proxy::new(&there.endpoint, mark, spoil).await;
    let mut env = there.env.clone();
    env.aws.as_mut().unwrap().endpoint = Some(proxy.endpoint.clone());
    Night { there, proxy, services: services(env) }
}

impl Night {
    fn step(&self, text: &str) -> Arc<dyn Action> {
        action(KIND, text, &self.services)
    }

    fn updates(&self) -> usize {
        self.proxy.count(".UpdateService")
    }

    /// The deployment as the night lets it end, and what was told meanwhile.
    async fn deployed(&self, text: &str) -> (Json, Result<gonogo::plan::Done, Failure>, Vec<String>) {
        let step = self.step(text);
        let heard = Arc::new(Heard::default());
        let cx = cx_heard(Duration::from_secs(90), heard.clone());
        let captured = step.capture(&cx).await.unwrap();
        let end = step.apply(&cx, &captured).await;
        (captured, end, heard.lines())
    }

    /// What the service stands on, once it stands.
    async fn stands(&self, rest: &str) {
        let look = check("ecs.steady", &format!("cluster = 'acme'\nservice = 'web'\n{rest}"), &self.services);
        let cx = minute();
        cx.poll(Duration::from_millis(200), || look.check(&cx)).await.unwrap();
    }
}

/// Every night of [`nights`] as a test of its own. They wait most of their time and a machine runs few tests at once,
/// so the first to be asked for begins all of them.
macro_rules! nights {
    ($($name:ident),+ $(,)?) => {
        static ALL: LazyLock<Mutex<BTreeMap<&'static str, JoinHandle<()>>>> = LazyLock::new(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            let all = BTreeMap::from([$((stringify!($name), runtime.spawn(nights::$name()))),+]);
            // It ends with the process, as what runs in it does.
            std::mem::forget(runtime);
            Mutex::new(all)
        });
        $(
            #[tokio::test]
            async fn $name() {
                let night = ALL.lock().unwrap().remove(stringify!($name)).unwrap();
                night.await.unwrap();
            }
        )+
    };
}

nights!(
    success,
    tasks_that_fail_without_a_circuit_breaker,
    the_circuit_breaker_rolls_back,
    an_image_that_cannot_be_pulled,
    a_second_failure_has_a_cause_of_its_own,
    an_autoscaler_fights_the_count,
    throttled_for_30_s,
    credentials_end_in_the_middle,
    percents_that_leave_no_room,
    somebody_else_deploys_over_ours,
    another_image_makes_one_revision_that_keeps_everything,
    a_lost_registration_leaves_no_doubt,
    a_deregistered_definition_is_named_before_anything_is_sent,
);

mod nights {
    use super::*;

    pub async fn success() {
        let night = night(&[]).await;
        let (captured, end, heard) = night.deployed(WEB).await;
        let done = end.unwrap();
        assert_eq!(done.line, "deployed: running 2 of 2 on web:42, completed");
        assert_eq!(night.updates(), 1);
        assert!(heard.iter().any(|line| line == "ECS accepted web:42 for service web"), "{heard:?}");
        night.step(WEB).restore(&minute(), &captured).await.unwrap();
        night.stands("task_definition = 'web:41'\ndesired = 1").await;
    }

    pub async fn tasks_that_fail_without_a_circuit_breaker() {
        let night = night(&["ecs.deploy", "ecs.no-breaker"]).await;
        let (captured, end, heard) = night.deployed(WEB).await;
        let failure = end.unwrap_err();
        assert_eq!(failure.class, Class::Failed, "{failure:?}");
        assert!(failure.message.contains("tasks of web:42 failed; the service has no circuit breaker"), "{failure}");
        let causes = failure.causes.join("\n");
        assert!(causes.contains("Essential container in task exited"), "{causes}");
        assert!(causes.contains("exit code 1") && causes.contains("/acme/prod/REDIS_TLS_URL"), "{causes}");
        assert!(causes.contains("last log lines of /ecs/web web/app/"), "{causes}");
        assert!(causes.contains("| bin/boot:14:in 'fetch': key not found: \"REDIS_TLS_URL\" (KeyError)"), "{causes}");
        assert!(failure.hint.unwrap().contains("a restore puts the captured revision back"));
        // It was told while it happened, not only at the end.
        assert!(heard.iter().any(|line| line.contains("exit code 1")), "{heard:?}");
        assert!(heard.iter().any(|line| line.contains("unable to consistently start tasks")), "{heard:?}");
        night.step(WEB).restore(&minute(), &captured).await.unwrap();
        night.stands("task_definition = 'web:41'\ndesired = 1").await;
    }

    pub async fn the_circuit_breaker_rolls_back() {
        let night = night(&["ecs.deploy"]).await;
        let (captured, end, _) = night.deployed(WEB).await;
        let failure = end.unwrap_err();
        assert_eq!(failure.class, Class::FailedNothingDone, "{failure:?}");
        let cause =
            "ECS's circuit breaker rolled it back; the service is as it was; app ended with exit code 1, ResourceInit";
        assert!(failure.message.starts_with(cause), "{failure}");
        let causes = failure.causes.join("\n");
        assert!(causes.contains("exit code 1") && causes.contains("| => exiting with 1"), "{causes}");
        // "As it was" is true: ECS puts back the definition, the step the count.
        assert_eq!(night.updates(), 2);
        night.stands("task_definition = 'web:41'\ndesired = 1").await;
        assert!(matches!(night.step(WEB).probe(&minute(), &captured, false).await.unwrap(), Finding::NotDone { .. }));
    }

    pub async fn an_image_that_cannot_be_pulled() {
        let night = night(&["ecs.deploy-pull"]).await;
        let (_, end, _) = night.deployed(WEB).await;
        let failure = end.unwrap_err();
        assert_eq!(failure.class, Class::FailedNothingDone, "{failure:?}");
        assert!(failure.message.contains("the service is as it was; CannotPullContainerError: "), "{failure}");
        let causes = failure.causes.join("\n");
        assert!(causes.contains("CannotPullContainerError"), "{causes}");
        assert!(causes.contains("shop:2026-12-05: not found"), "the image is named: {causes}");
        assert!(!causes.contains("log"), "what never ran wrote nothing: {causes}");
    }

    pub async fn a_second_failure_has_a_cause_of_its_own() {
        let night = night(&["ecs.deploy", "ecs.deploy-pull"]).await;
        let (_, first, _) = night.deployed(WEB).await;
        assert!(first.unwrap_err().message.contains("ended with exit code 1"));
        let (_, second, _) = night.deployed(WEB).await;
        let failure = second.unwrap_err();
        let told = format!("{failure} {}", failure.causes.join(" "));
        assert!(told.contains("CannotPullContainerError"), "{told}");
        assert!(!told.contains("exit code 1"), "the first one's tasks are still listed: {told}");
    }

    pub async fn an_autoscaler_fights_the_count() {
        let night = night(&["ecs.autoscaler"]).await;
        let (_, end, _) = night.deployed(WEB).await;
        let failure = end.unwrap_err();
        assert_eq!(failure.class, Class::Failed, "{failure:?}");
        assert_eq!(
            failure.message,
            "web:42 runs, but with 1 task instead of 2: the count was changed by somebody else while we waited; it was autoscaling"
        );
        assert!(failure.causes[0].contains("Setting desired count to 1"), "{failure:?}");
        assert!(failure.hint.unwrap().contains("--suspended-state"));
        night.stands("task_definition = 'web:42'\ndesired = 1").await;
    }

    pub async fn throttled_for_30_s() {
        let night = night(&["ecs.throttle:30s"]).await;
        // Too little time: nothing was done, and the cause is named.
        let failure = night.step(WEB).capture(&cx(Duration::from_secs(2))).await.unwrap_err();
        assert_eq!(failure.class, Class::FailedNothingDone, "{failure:?}");
        assert!(failure.message.contains("ThrottlingException: Rate exceeded"), "{failure}");
        assert!(failure.hint.unwrap().contains("limits the rate of requests"));
        let begun = Instant::now();
        let (_, end, _) = night.deployed(WEB).await;
        assert_eq!(end.unwrap().line, "deployed: running 2 of 2 on web:42, completed");
        assert!(begun.elapsed() > Duration::from_secs(26), "{:?}", begun.elapsed());
        let asked = night.proxy.operations().len();
        assert!(asked < 60, "{asked} requests: it does not hammer");
        assert_eq!(night.updates(), 1);
    }

    pub async fn credentials_end_in_the_middle() {
        let night = night(&["sts.expired-midway:5s"]).await;
        let (captured, end, _) = night.deployed(WEB).await;
        let failure = end.unwrap_err();
        assert_eq!(failure.class, Class::Unknown, "it was started: {failure:?}");
        assert!(
            failure.message.starts_with(
                "the deployment was started and goes on, but cannot be watched: ECS refused DescribeServices: ExpiredToken"
            ),
            "{failure}"
        );
        let hint = failure.hint.unwrap();
        assert!(hint.starts_with("renew the credentials: ") && hint.contains("sends nothing twice"), "{hint}");
        // Somebody renews them, as far as a sandbox can tell: they are taken again.
        let begun = Instant::now();
        while night.services.aws.fence().await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let again = night.step(WEB);
        let anew = again.capture(&minute()).await.unwrap();
        let done = again.apply(&minute(), &anew).await.unwrap();
        assert_eq!(night.updates(), 1, "{done:?}");
        night.stands("task_definition = 'web:42'\ndesired = 2").await;
        // What was there before the run is still known, and put back.
        again.restore(&minute(), &captured).await.unwrap();
        night.stands("task_definition = 'web:41'\ndesired = 1").await;
    }

    pub async fn percents_that_leave_no_room() {
        let night = night(&["ecs.stuck"]).await;
        let (captured, end, _) = night.deployed("cluster = 'acme'\nservice = 'web'\ntask_definition = 'web:42'").await;
        let failure = end.unwrap_err();
        assert_eq!(failure.class, Class::Failed, "{failure:?}");
        assert!(
            failure.message.starts_with("the deployment of web:42 cannot begin: with minimumHealthyPercent 100"),
            "{failure}"
        );
        night.step(WEB).restore(&minute(), &captured).await.unwrap();
        night.stands("task_definition = 'web:41'").await;
    }

    pub async fn somebody_else_deploys_over_ours() {
        let night = night(&[]).await;
        let step = night.step(WEB);
        let captured = step.capture(&minute()).await.unwrap();
        let other = action(
            KIND,
            "cluster = 'acme'\nservice = 'web'\ntask_definition = 'web-broken:1'",
            &services(night.there.env.clone()),
        );
        let theirs = other.capture(&minute()).await.unwrap();
        let ours = tokio::spawn(async move { step.apply(&minute(), &captured).await });
        let begun = Instant::now();
        while night.updates() == 0 && begun.elapsed() < Duration::from_secs(10) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Theirs was captured before ours began, so that it is refused unless it sends at once: it is forced past that.
        let at = night.there.sandbox.as_ref().unwrap().endpoints().clone();
        let client = aws_sdk_ecs::Client::new(&crate::sandbox::aws(&at).await);
        client.update_service().cluster("acme").service("web").task_definition("web-broken:1").send().await.unwrap();
        let failure = ours.await.unwrap().unwrap_err();
        assert_eq!(failure.class, Class::Failed, "{failure:?}");
        assert!(
            failure.message.starts_with("somebody else deployed web-broken:1 over web:42 while we waited"),
            "{failure}"
        );
        let refused = other.apply(&cx(Duration::from_secs(5)), &theirs).await;
        assert!(refused.is_err());
    }

    pub async fn another_image_makes_one_revision_that_keeps_everything() {
        let night = night(&[]).await;
        let text = "cluster = 'acme'\nservice = 'web'\nimage = 'registry.example/shop:2026-12-06'";
        let (captured, end, heard) = night.deployed(text).await;
        assert_eq!(end.unwrap().line, "deployed: running 1 of 1 on web:43, completed");
        assert!(
            heard.iter().any(|line| line.starts_with("registered web:43 (web:41 with another image)")),
            "{heard:?}"
        );
        let client =
            aws_sdk_ecs::Client::new(&crate::sandbox::aws(night.there.sandbox.as_ref().unwrap().endpoints()).await);
        let told = async |name: &str| {
            let tags = aws_sdk_ecs::types::TaskDefinitionField::Tags;
            let said = client.describe_task_definition().task_definition(name).include(tags).send().await.unwrap();
            (said.task_definition().unwrap().clone(), said.tags().to_vec())
        };
        let ((old, old_tags), (new, new_tags)) = (told("web:41").await, told("web:43").await);
        assert_eq!(old_tags, new_tags);
        let (before, after) = (&old.container_definitions()[0], &new.container_definitions()[0]);
        assert_eq!(after.image(), Some("registry.example/shop:2026-12-06"));
        assert_eq!(before.secrets(), after.secrets());
        assert_eq!(before.log_configuration(), after.log_configuration());
        assert_eq!(before.mount_points(), after.mount_points());
        assert_eq!((old.volumes(), old.runtime_platform()), (new.volumes(), new.runtime_platform()));
        assert_eq!((old.task_role_arn(), old.ephemeral_storage()), (new.task_role_arn(), new.ephemeral_storage()));
        let step = night.step(text);
        step.apply(&minute(), &captured).await.unwrap();
        assert_eq!((night.proxy.count(".RegisterTaskDefinition"), night.updates()), (1, 1), "twice equals once");
        assert!(matches!(step.probe(&minute(), &captured, false).await.unwrap(), Finding::Done(_)));
        step.restore(&minute(), &captured).await.unwrap();
        night.stands("task_definition = 'web:41'").await;
        assert_eq!(step.capture(&minute()).await.unwrap(), captured, "as it was");
        step.apply(&minute(), &captured).await.unwrap();
        assert_eq!(night.proxy.count(".RegisterTaskDefinition"), 1, "the revision is found again");
        let failure = night.step(&format!("{text}\ncontainer = 'sidecar'")).capture(&minute()).await.unwrap_err();
        assert_eq!((failure.class, failure.causes[0].as_str()), (Class::Misconfigured, "its containers: app"));
    }

    pub async fn a_lost_registration_leaves_no_doubt() {
        let text = "cluster = 'acme'\nservice = 'web'\nimage = 'registry.example/shop:2026-12-06'";
        // The answer is lost, and the revision is there: it is found and used. The request is lost: nothing was done.
        let (lost, gone) = tokio::join!(
            night_of(&[], ".RegisterTaskDefinition", Spoil::LoseAnswer),
            night_of(&[], ".RegisterTaskDefinition", Spoil::HangUp)
        );
        let (found, none) = tokio::join!(lost.deployed(text), gone.deployed(text));
        assert_eq!(found.1.unwrap().line, "deployed: running 1 of 1 on web:43, completed");
        assert_eq!(lost.proxy.count(".RegisterTaskDefinition"), 1);
        let failure = none.1.unwrap_err();
        assert_eq!(failure.class, Class::FailedNothingDone, "{failure:?}");
        assert!(failure.message.starts_with("no new revision was registered: "), "{failure}");
        assert_eq!(gone.updates(), 0);
        assert!(matches!(gone.step(text).probe(&minute(), &none.0, false).await.unwrap(), Finding::NotDone { .. }));
    }

    pub async fn a_deregistered_definition_is_named_before_anything_is_sent() {
        let night = night(&[]).await;
        let client =
            aws_sdk_ecs::Client::new(&crate::sandbox::aws(night.there.sandbox.as_ref().unwrap().endpoints()).await);
        client.deregister_task_definition().task_definition("web:42").send().await.unwrap();
        let failure =
            night.step(&WEB.replace("'web'\ndesired", "'web:42'\ndesired")).capture(&minute()).await.unwrap_err();
        assert_eq!(failure.class, Class::Misconfigured, "{failure:?}");
        assert!(failure.message.contains("was deregistered (INACTIVE)"), "{failure}");
        let captured = night.step(WEB).capture(&minute()).await.unwrap();
        assert!(
            captured["after"]["task_definition"].as_str().unwrap().ends_with("web:41"),
            "the newest active: {captured}"
        );
    }
}
