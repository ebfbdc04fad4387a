//! `redis.key_counts` between two real servers, and against one.

use std::time::Duration;

use gonogo::{
    base::{Class, Failure},
    plan::Seen,
};

use super::contract::{attempt, check, check_changes_nothing, env, points_at, services};
use crate::redis::{Redis, until};

const KIND: &str = "redis.key_counts";

async fn look(text: &str) -> Result<Seen, Failure> {
    check(KIND, text, &services(env())).check(&attempt().cx).await
}

fn fill(redis: &Redis, db: u32, prefix: &str, n: u32) {
    let mut pipe = redis::pipe();
    pipe.cmd("SELECT").arg(db);
    for i in 0..n {
        pipe.cmd("SET").arg(format!("{prefix}{i}")).arg(i);
    }
    pipe.exec(&mut redis.open()).unwrap();
}

fn both(source: &Redis, target: &Redis, rest: &str) -> String {
    format!("source = \"{}\"\ntarget = \"{}\"\n{rest}", source.url(), target.url())
}

#[tokio::test]
async fn both_sides_are_counted_by_pattern() {
    let (source, target) = (Redis::start(), Redis::start());
    for (redis, sessions) in [(&source, 2500), (&target, 2490)] {
        fill(redis, 0, "session:", sessions);
        fill(redis, 0, "cart:", 40);
        fill(redis, 1, "other:", 7);
    }
    let _: () = source.run("EXPIRE session:1 9999");
    let patterns = "patterns = [\"session:*\", \"cart:?\", \"*\"]";
    let failure = look(&both(&source, &target, patterns)).await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet);
    let place = format!("redis://127.0.0.1:{}/0", target.port);
    assert_eq!(failure.message, format!("{place}: session:*: source 2500, target 2490 (10 fewer) (and 1 more)"));
    assert_eq!(failure.causes, ["*: source 2540, target 2530 (10 fewer)"]);
    let seen = look(&both(&source, &target, &format!("{patterns}\ntolerance = 10"))).await.unwrap();
    assert_eq!(seen.line, "session:* 2500 and 2490, cart:? 10, * 2540 and 2530 on both sides; noeviction");
    assert_eq!(seen.value, Some(20.0));
    let evidence = &seen.evidence;
    assert_eq!(evidence["source"]["counts"]["session:*"], 2500);
    assert_eq!((&evidence["source"]["expiring"], &evidence["target"]["expiring"]), (&1.into(), &0.into()));
    assert_eq!(evidence["target"]["keys"], 2530);
    assert_eq!(evidence["source"]["redis"]["run_id"], source.info("server", "run_id"));
    look(&both(&source, &target, &format!("{patterns}\ntolerance = \"0.4%\""))).await.unwrap();
    look(&both(&source, &target, &format!("{patterns}\ntolerance = \"0.3%\""))).await.unwrap_err();
    // One pattern is matched by the server itself.
    let alone = look(&both(&source, &target, "patterns = [\"cart:*\"]")).await.unwrap();
    assert_eq!(alone.line, "cart:* 40 on both sides; noeviction");
    fill(&target, 0, "session:", 2501);
    let more = look(&both(&source, &target, "")).await.unwrap_err();
    assert!(more.message.ends_with("*: source 2540, target 2541 (1 more)"), "{more}");
    // Other databases than 0.
    let other =
        both(&source, &target, "min = { \"other:*\" = 7 }\nmax = { \"session:*\" = 0 }").replace("/0\"", "/1\"");
    let seen = look(&other).await.unwrap();
    assert_eq!(seen.line, "* 7, other:* 7, session:* 0 on both sides; noeviction");
    source.left_alone();
    target.left_alone();
}

#[tokio::test]
async fn a_database_is_not_compared_with_itself_nor_nothing_with_nothing() {
    let (source, target) = (Redis::start(), Redis::start());
    let failure = look(&both(&source, &target, "")).await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet, "{failure:?}");
    assert!(failure.message.contains("no data: the source holds no key of any pattern"), "{failure:?}");
    look(&both(&source, &target, "max = { \"*\" = 0 }")).await.unwrap();
    fill(&source, 0, "a", 3);
    fill(&source, 1, "a", 3);
    let itself =
        |db: u32| format!("source = \"{}\"\ntarget = \"redis://localhost:{}/{db}\"", source.url(), source.port);
    let failure = look(&itself(0)).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured, "{failure:?}");
    assert!(failure.message.contains("both sides are the same database"), "{failure:?}");
    look(&itself(1)).await.unwrap();
}

/// What a replica shows that its primary does not reach is of yesterday.
#[tokio::test]
async fn a_replica_without_its_primary_is_no_data() {
    let (source, mut primary) = (Redis::start(), Redis::start());
    let replica = Redis::with(&[format!("replicaof 127.0.0.1 {}", primary.port)]);
    let link = |wanted: &str| {
        until("the link", || (replica.info("replication", "master_link_status") == wanted).then_some(()));
    };
    link("up");
    fill(&source, 0, "a", 3);
    fill(&primary, 0, "a", 3);
    until("it has them", || (replica.run::<u64>("DBSIZE") == 3).then_some(()));
    let seen = look(&both(&source, &replica, "")).await.unwrap();
    assert!(seen.line.ends_with("is a replica"), "{}", seen.line);
    primary.stop();
    link("down");
    for text in [both(&source, &replica, ""), format!("server = \"{}\"\nmin = {{ \"*\" = 1 }}", replica.url())] {
        let failure = look(&text).await.unwrap_err();
        assert_eq!(failure.class, Class::NotYet, "{failure:?}");
        assert!(failure.message.starts_with("no data: "), "{failure:?}");
        assert!(failure.message.contains(" is a replica whose link to its primary at 127.0.0.1:"), "{failure:?}");
    }
    replica.left_alone();
}

#[tokio::test]
async fn one_side_has_bounds_a_policy_and_room() {
    let redis = Redis::start();
    fill(&redis, 0, "session:", 12);
    let one = |rest: &str| format!("server = \"{}\"\n{rest}", redis.url());
    let seen = look(&one("min = { \"session:*\" = 12 }\nmax = { \"cache:*\" = 0 }")).await.unwrap();
    assert_eq!((seen.line.as_str(), seen.value), ("session:* 12, cache:* 0; noeviction", Some(12.0)));
    let failure = look(&one("min = { \"session:*\" = 13 }\nmax = { \"session:?\" = 9 }")).await.unwrap_err();
    assert!(failure.message.contains("session:*: 12, at least 13 wanted (and 1 more)"), "{failure}");
    assert_eq!(failure.causes, ["session:?: 10, at most 9 wanted"]);
    let wanted = one("eviction = \"noeviction\"\nheadroom = 50");
    look(&wanted).await.unwrap_err_or_ok();
    let used: u64 = redis.info("memory", "used_memory").parse().unwrap();
    let _: () = redis.run(&format!("CONFIG SET maxmemory {}", used * 4));
    look(&wanted).await.unwrap();
    let _: () = redis.run("CONFIG SET maxmemory-policy volatile-lru");
    let failure = look(&wanted).await.unwrap_err();
    assert!(failure.message.ends_with("eviction policy is volatile-lru, noeviction wanted"), "{failure}");
    let failure = look(&one("headroom = 90")).await.unwrap_err();
    assert!(failure.message.contains("% of maxmemory free, 90% wanted"), "{failure}");
    redis.left_alone();
}

trait EitherWay {
    fn unwrap_err_or_ok(self);
}

impl EitherWay for Result<Seen, Failure> {
    /// Without a limit it is the machine's memory, whatever that is now: only the words are wrong or right.
    fn unwrap_err_or_ok(self) {
        if let Err(failure) = self {
            assert!(failure.message.contains("the machine's memory"), "{failure}");
        }
    }
}

/// What several patterns are told apart by here is what the server itself does.
#[tokio::test]
async fn patterns_mean_what_they_mean_to_redis() {
    let redis = Redis::start();
    let mut random = fastrand::Rng::with_seed(7);
    let mut word = |letters: &[u8], most: usize| -> String {
        (0..random.usize(1..most)).map(|_| char::from(letters[random.usize(..letters.len())])).collect()
    };
    let mut pipe = redis::pipe();
    for _ in 0..1500 {
        pipe.cmd("SET").arg(word(b"abc:-]", 6)).arg(1);
    }
    pipe.exec(&mut redis.open()).unwrap();
    let patterns: Vec<String> = (0..200).map(|_| word(b"aabbc:*?[]^-\\", 7)).collect();
    for some in patterns.chunks(40) {
        let mut some: Vec<&String> = some.iter().collect();
        some.sort();
        some.dedup();
        let quoted: Vec<String> = some.iter().map(|pattern| format!("{pattern:?}")).collect();
        let text = format!("server = \"{}\"\npatterns = [{}]\nmax = {{ zzz = 0 }}", redis.url(), quoted.join(", "));
        let seen = look(&text).await.unwrap();
        for pattern in some {
            let keys: Vec<String> = redis.send(&["KEYS", pattern]);
            assert_eq!(seen.evidence["target"]["counts"][pattern], keys.len(), "{pattern}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_to_is_approximate_and_progress_is_told() {
    let redis = Redis::start();
    let _: () = redis.run("DEBUG POPULATE 60000 key");
    let attempt = attempt();
    let text = format!("server = \"{}\"\nmin = {{ \"key:*\" = 1, \"a*\" = 0 }}", redis.url());
    let check = check(KIND, &text, &services(env()));
    let (begun, stop) = (redis.url(), std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let over = stop.clone();
    let writer = std::thread::spawn(move || {
        let mut connection = redis::Client::open(begun).unwrap().get_connection().unwrap();
        while !over.load(std::sync::atomic::Ordering::Relaxed) {
            redis::cmd("INCR").arg("written").exec(&mut connection).unwrap();
        }
    });
    crate::redis::until("it writes", || redis.run::<Option<u64>>("GET written"));
    let seen = check.check(&attempt.cx).await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
    let line = seen.unwrap().line;
    assert!(line.contains("; approximate: server written to meanwhile"), "{line}");
    let told = attempt.seen.progress.lock().unwrap().clone();
    assert!(told.len() >= 2 && told.iter().all(|(done, _)| (0.0..=1.0).contains(done)), "{told:?}");
    assert!(told[0].1.ends_with("keys looked at"), "{told:?}");
    let quiet = check.check(&super::contract::attempt().cx).await.unwrap();
    assert!(!quiet.line.contains("approximate"), "{}", quiet.line);
}

#[tokio::test]
async fn it_keeps_the_contract() {
    let redis = Redis::start();
    fill(&redis, 0, "a", 3);
    let services = services(env());
    let text = both(&redis, &redis, "headroom = 0\neviction = \"noeviction\"");
    check_changes_nothing(&*check(KIND, &text, &services), async || redis.changes()).await;
    tokio::time::timeout(Duration::from_secs(10), async { redis.left_alone() }).await.unwrap();
    let one = "server = \"redis://x\"\nmax = { a = 0 }";
    let two = "source = \"redis://x\"\ntarget = \"redis://y\"";
    for (text, marked, message) in [
        ("patterns = [\"a\"]", "", "needs `source` and `target`, or `server` alone"),
        ("source = \"redis://x\"", "", "needs `source` and `target`"),
        (&format!("{one}\ntarget = \"redis://y\""), "", "needs `source` and `target`"),
        ("server = \"redis://x\"", "\"redis://x\"", "nothing is expected"),
        (&format!("{two}\npatterns = []"), "[]", "must not be empty"),
        (&format!("{two}\ntolerance = \"much\""), "\"much\"", "a number of keys or a percentage"),
        (&format!("{two}\ntolerance = \"101%\""), "\"101%\"", "a number of keys or a percentage"),
        (&format!("{one}\ntolerance = 1"), "1", "between two sides"),
        (&format!("{two}\nmin = 3"), "3", "a table of counts"),
        (&format!("{two}\nmin = {{ a = -1 }}"), "-1", "a whole number"),
        (&format!("{two}\neviction = \"noevict\""), "\"noevict\"", "no policy of Redis"),
        (&format!("{two}\nheadroom = 101"), "101", "0 to 100"),
        ("source = \"redis://:pw@x\"\ntarget = \"redis://y\"", "\"redis://:pw@x\"", "must not carry a password"),
    ] {
        points_at(KIND, text, &services, marked, message);
    }
    let check =
        check(KIND, &format!("{two}\npatterns = [\"a*\"]\ntolerance = \"1%\"\neviction = \"noeviction\""), &services);
    assert_eq!(
        check.looks(),
        "Redis SCAN redis://x:6379/0 and redis://y:6379/0 expects as many keys of a* (±1%), eviction policy noeviction"
    );
}
