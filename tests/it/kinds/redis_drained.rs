//! `redis.drained` against a real Sidekiq 6.4 in a real Redis, and against the layouts of Sidekiq 7, 8 and Pro, which are written here as
//! their source does (there is no other Sidekiq to be had from Debian).

use std::time::{Duration, SystemTime};

use gonogo::{
    base::{Class, Failure},
    plan::{Check, Cx, Seen},
};
use serde_json::{Value as Json, json};

use super::contract::{attempt, attempt_of, check, check_changes_nothing, env, points_at, services};
use crate::redis::{Redis, Sidekiq, api, ruby, until};

const KIND: &str = "redis.drained";

fn drained(redis: &Redis, rest: &str) -> std::sync::Arc<dyn Check> {
    check(KIND, &format!("server = \"{}\"\n{rest}", redis.url()), &services(env()))
}

async fn look(check: &dyn Check) -> Result<Seen, Failure> {
    check.check(&attempt().cx).await
}

/// A minute and a half.
fn patience() -> Cx {
    attempt_of(Duration::from_secs(90), std::collections::BTreeMap::new()).cx
}

async fn green(check: &dyn Check) -> Seen {
    let cx = patience();
    cx.poll(Duration::from_millis(500), || check.check(&cx)).await.unwrap()
}

/// Looks until it says something.
async fn says(check: &dyn Check, words: &str) -> Failure {
    let mut last = String::new();
    for _ in 0..300 {
        match look(check).await {
            Err(failure) if failure.message.contains(words) => return failure,
            other => last = format!("{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("never said `{words}`: {last}");
}

fn now() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64()
}

/// Every number is the one that Sidekiq's own API gives in the same moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_counts_what_sidekiq_counts() {
    let redis = Redis::start();
    let worker = Sidekiq::start(&redis);
    ruby(
        &redis,
        "2.times { HardJob.perform_async('fail', 0) }
         until Sidekiq.redis { |c| c.zcard('retry') } == 2 do sleep 0.1 end
         2.times { HardJob.perform_async('slow', 600) }
         until Sidekiq.redis { |c| c.llen('queue:default') } == 0 do sleep 0.1 end
         5.times { HardJob.perform_async('slow', 600) }
         3.times { MailJob.perform_async(600) }
         HardJob.perform_in(7200, 'slow', 1); MailJob.perform_in(60, 1)
         require 'sidekiq/api'
         Sidekiq::DeadSet.new.kill('{\"class\":\"HardJob\",\"args\":[],\"jid\":\"1\"}')",
    );
    until("it is busy", || (redis.run::<u64>(&format!("HGET {} busy", worker.identity)) == 2).then_some(()));
    worker.quiet();
    until("it is quiet", || (redis.run::<String>(&format!("HGET {} quiet", worker.identity)) == "true").then_some(()));
    let anything = drained(&redis, "max = 99\nmax_scheduled = 99\nmax_retry = 99\nmax_busy = 99\nmax_dead = 99");
    // The API's numbers before and after are the same, and so they are those of the look in between.
    let (seen, api) = {
        let mut tries = 0;
        loop {
            let before = api(&redis);
            let seen = green(&*anything).await;
            if before == api(&redis) {
                break (seen, before);
            }
            tries += 1;
            assert!(tries < 5, "Sidekiq never stands still");
        }
    };
    let queue = |of: &Json, name: &str| {
        of["queues"].as_array().unwrap().iter().find(|one| one["queue"] == name).unwrap()["size"].clone()
    };
    let ours = &seen.evidence;
    assert_eq!(api["queues"], json!({ "default": 5, "mailers": 3 }));
    assert_eq!((queue(ours, "default"), queue(ours, "mailers")), (json!(5), json!(3)));
    for name in ["scheduled", "retry", "dead", "busy", "processed"] {
        assert_eq!(ours[name], api[name], "{name}");
    }
    assert_eq!(
        (&ours["scheduled"], &ours["retry"], &ours["dead"], &ours["busy"]),
        (&json!(2), &json!(2), &json!(1), &json!(2))
    );
    let processes: serde_json::Map<_, _> = ours["processes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["identity"].as_str().unwrap().to_owned(), one["busy"].clone()))
        .collect();
    assert_eq!(Json::Object(processes), api["processes"]);
    assert_eq!(api["quiet"], 1);
    assert_eq!(seen.line, "8 queued in 2 queues, 2 scheduled, 2 to retry, 2 busy in 1 process (1 quiet), 1 dead");
    assert_eq!(seen.value, Some(14.0));
    assert_eq!(ours["redis"]["run_id"], redis.info("server", "run_id"));

    let failure = look(&*drained(&redis, "max_age = \"1h\"")).await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet);
    for words in [
        "queued default 5 (oldest HardJob, 0m",
        "mailers 3 (oldest MailJob, ",
        "; retry 2 (",
        "schedule 2 (next MailJob in ",
        "busy 2 (HardJob of default for ",
        &worker.identity,
        "wanted at most 0 in each queue, 0 scheduled and 0 to retry, 0 busy",
    ] {
        assert!(failure.message.contains(words), "`{words}` is not in {}", failure.message);
    }
    assert!(failure.hint.unwrap().contains("no process takes jobs"));
    let failure = look(&*drained(
        &redis,
        "max = { default = 5, mailers = 2 }\nmax_busy = 2\nmax_retry = 2\nmax_scheduled = 1\ndue_within = \"1h\"",
    ))
    .await
    .unwrap_err();
    assert!(failure.message.starts_with("queued mailers 3 (oldest MailJob, "), "{failure}");
    let failure = look(&*drained(&redis, "max = 9\nmax_busy = 2\nmax_retry = 2\ndue_within = \"1h\"\nmax_dead = 0"))
        .await
        .unwrap_err();
    assert!(failure.message.starts_with("schedule 1 of 2 (next MailJob in "), "{failure}");
    assert!(failure.message.contains("; 1 dead; wanted"), "{failure}");
    let old = look(&*drained(&redis, "max = 9\nmax_busy = 2\nmax_retry = 2\nmax_scheduled = 9\nmax_age = \"1ms\""))
        .await
        .unwrap_err();
    assert!(old.message.starts_with("queued default 5 (oldest HardJob, "), "{old}");
    redis.left_alone();
}

/// The false green: a job was taken, and the next heartbeat is yet to come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_was_taken_a_moment_ago_is_waited_for() {
    let redis = Redis::start();
    let worker = Sidekiq::start(&redis);
    let beat = |redis: &Redis| redis.run::<String>(&format!("HGET {} beat", worker.identity));
    let first = beat(&redis);
    until("a heartbeat", || (beat(&redis) != first).then_some(()));
    ruby(&redis, "HardJob.perform_async('slow', 9)");
    until("the job is taken", || (redis.run::<u64>("LLEN queue:default") == 0).then_some(()));
    let busy = || redis.run::<u64>(&format!("HGET {} busy", worker.identity));
    let check = drained(&redis, "");
    let mut seen = look(&*check).await;
    if busy() == 0 {
        let failure = seen.unwrap_err();
        assert!(
            failure.message.starts_with("nothing is left to be seen, but not every process was heard of since: "),
            "{failure}"
        );
        assert!(failure.message.contains(&worker.identity), "{failure}");
        seen = Err(failure);
    }
    assert!(seen.is_err());
    says(&*check, "busy 1 (HardJob of default for 0m0").await;
    let seen = green(&*check).await;
    assert_eq!(redis.run::<u64>("GET worked"), 1, "green, and the job is not done");
    assert!(
        seen.line.starts_with("0 queued in 1 queue, 0 scheduled, 0 to retry, 0 busy in 1 process, 0 dead"),
        "{}",
        seen.line
    );

    // TERM puts what is not finished back.
    ruby(&redis, "HardJob.perform_async('slow', 600)");
    says(&*check, "busy 1 (HardJob").await;
    worker.term();
    let failure = says(&*check, "queued default 1 (oldest HardJob").await;
    until("it has gone", || (redis.run::<u64>("SCARD processes") == 0).then_some(()));
    let failure = if failure.hint.as_deref().is_some_and(|hint| hint.contains("no process")) {
        failure
    } else {
        look(&*check).await.unwrap_err()
    };
    assert!(failure.hint.unwrap().contains("no process takes jobs"));
    let _: () = redis.run("DEL queue:default");
    let seen = look(&*check).await.unwrap();
    assert!(seen.line.contains("in 0 processes"), "without a process nobody is waited for: {}", seen.line);
}

/// A process that was killed is on the list for a minute, and what it worked on is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_is_named_with_what_it_took_along() {
    let redis = Redis::start();
    let worker = Sidekiq::start(&redis);
    let check = drained(&redis, "");
    ruby(&redis, "HardJob.perform_async('slow', 600)");
    says(&*check, "busy 1 (HardJob of default").await;
    worker.kill();
    let failure = look(&*check).await.unwrap_err();
    assert!(failure.message.starts_with("busy 1 (HardJob"), "it is not known yet: {failure}");
    // The rest of its minute passes.
    let _: () = redis.run(&format!("PEXPIRE {} 39000", worker.identity));
    let failure = look(&*check).await.unwrap_err();
    assert!(failure.hint.unwrap().starts_with(&format!("{} sent no heartbeat for 0m21", worker.identity)));
    let _: () = redis.run(&format!("PEXPIRE {} 1", worker.identity));
    let seen = green(&*check).await;
    let words = format!("; {} was killed and took 1 job along", worker.identity);
    assert!(seen.line.contains(&words), "{}", seen.line);
    assert_eq!(seen.evidence["killed"], json!([{ "identity": worker.identity, "busy": 1 }]));
}

/// LAYOUTS, not the real thing: Sidekiq 7 and 8 (`:work`, milliseconds), ActiveJob, a namespace, Pro's `super_fetch` and pause, lists of
/// other gems.
#[tokio::test]
async fn layouts_of_newer_versions_and_of_pro() {
    let redis = Redis::start();
    let ms = (now() * 1000.0) as u64;
    let wrapped = json!({
        "class": "Sidekiq::ActiveJob::Wrapper", "wrapped": "ReportJob", "queue": "reports", "args": [{ "job_class": "ReportJob" }],
        "jid": "1", "created_at": ms - 700_000, "enqueued_at": ms - 600_000,
    })
    .to_string();
    let send = |words: &[&str]| redis.send::<redis::Value>(words);
    send(&["SADD", "shop:queues", "reports"]);
    send(&["LPUSH", "shop:queue:reports", &wrapped]);
    // Others than ours.
    send(&["LPUSH", "queue:reports", "{}"]);
    send(&["LPUSH", "shoe:queue:reports", "{}"]);
    let check = drained(&redis, "namespace = \"shop\"");
    let failure = look(&*check).await.unwrap_err();
    assert!(failure.message.starts_with("queued reports 1 (oldest ReportJob, 10m0"), "{failure}");
    send(&["SADD", "shop:paused", "reports"]);
    assert!(look(&*check).await.unwrap_err().hint.unwrap().contains("queue reports is paused"));
    let old = drained(&redis, "namespace = \"shop:\"\nmax = 1\nmax_age = \"9m\"");
    assert!(look(&*old).await.unwrap_err().message.starts_with("queued reports 1 (oldest ReportJob, 10m0"));
    look(&*drained(&redis, "namespace = \"shop\"\nmax = { reports = 1 }\nmax_age = \"11m\"")).await.unwrap();
    send(&["DEL", "shop:queue:reports"]);

    // Sidekiq 7 and 8: what is being worked on.
    let identity = "web.1:2:0f9a";
    let work = json!({ "queue": "reports", "payload": wrapped, "run_at": now() as u64 - 65 }).to_string();
    let beat = |busy: &str, n: f64| {
        send(&["SADD", "shop:processes", identity]);
        send(&[
            "HSET",
            &format!("shop:{identity}"),
            "busy",
            busy,
            "beat",
            &n.to_string(),
            "quiet",
            "false",
            "rtt_us",
            "250",
        ]);
        send(&["EXPIRE", &format!("shop:{identity}"), "60"]);
    };
    beat("1", now());
    send(&["HSET", &format!("shop:{identity}:work"), "tid1", &work]);
    let failure = look(&*check).await.unwrap_err();
    assert!(failure.message.starts_with("busy 1 (ReportJob of reports for 1m05 in web.1:2:0f9a)"), "{failure}");
    send(&["DEL", &format!("shop:{identity}:work")]);
    beat("0", now());
    assert!(look(&*check).await.unwrap_err().message.contains("web.1:2:0f9a (0m00 ago)"));
    // Any sooner a heartbeat may have been begun before that look.
    tokio::time::sleep(Duration::from_millis(1600)).await;
    look(&*check).await.unwrap_err();
    look(&*check).await.unwrap_err();
    beat("0", now());
    look(&*check).await.unwrap();

    // Pro: what a process keeps what it works on in, and what one that was killed left behind.
    send(&["SADD", "shop:super_processes", identity, "dead.1:3:bb"]);
    send(&["SADD", &format!("shop:{identity}:super_queues"), &format!("queue:sq|{identity}|reports")]);
    send(&["LPUSH", &format!("shop:queue:sq|{identity}|reports"), &wrapped]);
    let failure = look(&*check).await.unwrap_err();
    assert!(
        failure.message.starts_with(&format!("taken and not finished: 1 in queue:sq|{identity}|reports")),
        "{failure}"
    );
    send(&["DEL", &format!("shop:queue:sq|{identity}|reports")]);
    send(&["SADD", "shop:dead.1:3:bb:super_queues", "queue:sq|dead.1:3:bb|reports"]);
    send(&["LPUSH", "shop:queue:sq|dead.1:3:bb|reports", &wrapped, &wrapped]);
    let failure = look(&*check).await.unwrap_err();
    assert!(
        failure.message.starts_with("2 left behind by processes that were killed (2 in queue:sq|dead.1:3:bb|reports)"),
        "{failure}"
    );
    send(&["DEL", "shop:queue:sq|dead.1:3:bb|reports"]);

    // Lists that no set names: another gem's, and a queue that was taken off the list. They come last.
    look(&*check).await.unwrap_err();
    tokio::time::sleep(Duration::from_millis(1600)).await;
    look(&*check).await.unwrap_err();
    beat("0", now());
    send(&["LPUSH", "shop:working:queue:reports:web.1:2:0f9a", &wrapped]);
    send(&["LPUSH", "shop:queue:forgotten", &wrapped]);
    send(&["SET", "shop:queue:not-a-list", "x"]);
    let failure = look(&*check).await.unwrap_err();
    let words = "in lists that no set names: 1 in queue:forgotten, 1 in working:queue:reports:web.1:2:0f9a";
    assert!(failure.message.starts_with(words), "{failure}");
    send(&["DEL", "shop:working:queue:reports:web.1:2:0f9a", "shop:queue:forgotten"]);

    // A copy of a heartbeat, without an end, is nobody's.
    send(&["PERSIST", &format!("shop:{identity}")]);
    send(&["HSET", &format!("shop:{identity}"), "beat", &(now() - 120.0).to_string()]);
    let seen = look(&*check).await.unwrap();
    assert!(seen.line.contains("in 0 processes") && seen.line.contains("web.1:2:0f9a was killed"), "{}", seen.line);
    redis.left_alone();
}

/// Names are compared as they are, however much of them is shown.
#[tokio::test]
async fn long_names_are_told_apart() {
    let redis = Redis::start();
    let long = "q".repeat(150);
    let (mine, other, stray) = (format!("{long}_mine"), format!("{long}_other"), format!("{long}_stray"));
    let _: () = redis.send(&["SADD", "queues", &mine, &other]);
    let _: () = redis.send(&["LPUSH", &format!("queue:{mine}"), "{}", "{}"]);
    let limited = drained(&redis, &format!("max = {{ {mine} = 2, {other} = 0, {stray} = 1 }}"));
    look(&*limited).await.unwrap();
    let _: () = redis.send(&["LPUSH", &format!("queue:{other}"), "{}"]);
    let failure = look(&*limited).await.unwrap_err();
    assert!(failure.message.starts_with("queued qqq") && failure.message.contains(" 1 (oldest "), "{failure}");
    let _: () = redis.send(&["DEL", &format!("queue:{other}")]);
    let _: () = redis.send(&["LPUSH", &format!("queue:{stray}"), "{}"]);
    look(&*limited).await.unwrap();
    let _: () = redis.send(&["LPUSH", &format!("queue:{stray}"), "{}"]);
    let failure = look(&*limited).await.unwrap_err();
    assert!(failure.message.starts_with("in lists that no set names: 2 in queue:qqq"), "{failure}");
    redis.left_alone();
}

#[tokio::test]
async fn held_means_for_a_while() {
    let redis = Redis::start();
    let _: () = redis.run("SADD queues default");
    let check = drained(&redis, "held = \"600ms\"");
    let failure = look(&*check).await.unwrap_err();
    assert!(failure.message.contains("wanted for 0m00"), "{failure}");
    let seen = green(&*check).await;
    assert!(seen.line.contains(" dead for 0m0"), "{}", seen.line);
    let _: () = redis.run("LPUSH queue:default {}");
    look(&*check).await.unwrap_err();
    let _: () = redis.run("DEL queue:default");
    look(&*check).await.unwrap_err();
}

#[tokio::test]
async fn what_is_no_sidekiq_is_no_data() {
    let redis = Redis::start();
    let check = drained(&redis, "");
    let failure = look(&*check).await.unwrap_err();
    assert!(failure.message.starts_with("no data: no Sidekiq ever ran in redis://127.0.0.1:"), "{failure}");
    let _: () = redis.run("SET stat:processed 7");
    let seen = look(&*check).await.unwrap();
    assert_eq!(seen.evidence["processed"], 7);
    let _: () = redis.run("SET queues x");
    let failure = look(&*check).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured, "{failure:?}");
    assert!(failure.message.contains("holds something else at `queues`"), "{failure}");
    let hostile = "\u{1b}[2J\u{202e}evil";
    let _: () = redis.run("DEL queues");
    let _: () = redis.send(&["SADD", "queues", hostile]);
    let _: () = redis.send(&["LPUSH", &format!("queue:{hostile}"), &json!({ "class": hostile }).to_string()]);
    let failure = look(&*check).await.unwrap_err();
    assert!(
        failure.message.starts_with("queued \\u{1b}[2J\\u{202e}evil 1 (oldest \\u{1b}[2J\\u{202e}evil)"),
        "{failure}"
    );
    let _: () = redis.send(&["LPUSH", &format!("queue:{hostile}"), "no json"]);
}

#[tokio::test]
async fn it_keeps_the_contract() {
    let redis = Redis::start();
    let _: () = redis.run("SADD queues default");
    let _: () = redis.run("LPUSH queue:default {}");
    let services = services(env());
    check_changes_nothing(&*drained(&redis, ""), async || redis.changes()).await;
    check_changes_nothing(&*drained(&redis, "max = 1"), async || redis.changes()).await;
    redis.left_alone();
    let server = "server = \"redis://127.0.0.1\"";
    for (text, marked, message) in [
        ("max_retry = 1", "", "needs `server`"),
        ("server = \"http://x\"", "\"http://x\"", "must begin with redis://"),
        ("server = \"redis://:sesame@x\"", "\"redis://:sesame@x\"", "must not carry a password"),
        ("server = 1", "1", "must be a url or a table"),
        ("server = { url = \"redis://x\", verify = false }", "verify", "does not know `verify`"),
        ("server = { url = \"redis://x\", verify_certificate = false }", "\"redis://x\"", "is not encrypted"),
        ("server = { url = \"rediss://x\", ca = \"c\", verify_certificate = false }", "\"c\"", "`ca` is of no use"),
        (&format!("{server}\nmax = -1"), "-1", "`max` must be a whole number"),
        (&format!("{server}\nmax = {{ default = \"x\" }}"), "\"x\"", "`default` must be a whole number"),
        (&format!("{server}\nmax_age = 5"), "5", "a duration"),
        (&format!("{server}\nnamespace = \"\""), "\"\"", "must not be empty"),
        (&format!("{server}\nmax_buzy = 1"), "max_buzy", "does not know `max_buzy`"),
    ] {
        points_at(KIND, text, &services, marked, message);
    }
    let check = check(KIND, "server = \"${secret.redis}\"\nnamespace = \"shop\"\nmax = { mailers = 3 }", &services);
    assert_eq!(
        check.looks(),
        "Sidekiq in ${secret.redis} below shop: expects at most 0 in each queue (mailers: 3), 0 scheduled and 0 to retry, 0 busy"
    );
}
