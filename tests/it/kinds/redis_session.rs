//! The connection to Redis itself, by `redis.key_counts` and `redis.drained`: passwords, users, TLS, sockets, refusals, and servers that
//! are slow, gone, cut off, something else, or full of themselves. A real server wherever one can be brought to it.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use gonogo::{
    base::{Class, Failure, Redactor},
    plan::Seen,
    runbook::{EnvKind, SecretRef, SecretSource},
    services::Services,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    contract::{Attempt, attempt, attempt_of, check, env, services, services_with},
    fake_tls::{Authority, key, pem, pem_key, says, serve, server},
};
use crate::{
    proxy::{Proxy, Way},
    redis::Redis,
};

const COUNTS: &str = "redis.key_counts";
const DRAINED: &str = "redis.drained";

/// One look at a server's keys.
async fn look(server: &str) -> Result<Seen, Failure> {
    look_with(server, &services(env()), attempt()).await
}

async fn look_with(server: &str, services: &Arc<Services>, attempt: Attempt) -> Result<Seen, Failure> {
    let text = format!("server = {server}\nmax = {{ nobody = 0 }}");
    check(COUNTS, &text, services).check(&attempt.cx).await
}

/// A secret that holds a URL, and what must not be seen of it.
struct Hidden {
    services: Arc<Services>,
    redactor: Arc<Redactor>,
    _folder: tempfile::TempDir,
}

fn hidden(url: &str) -> Hidden {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    std::fs::write(&file, format!("{url}\n")).unwrap();
    let source = SecretSource::File(file.to_str().unwrap().into());
    let redactor = Arc::new(Redactor::default());
    let services = services_with(env(), &[SecretRef { name: "url".into(), span: 0..0, source }], redactor.clone());
    Hidden { services, redactor, _folder: folder }
}

impl Hidden {
    async fn look(&self) -> Result<Seen, Failure> {
        look_with("\"${secret.url}\"", &self.services, attempt()).await
    }
}

#[tokio::test]
async fn passwords_and_users_are_used_and_never_shown() {
    let redis = Redis::start();
    let at = |who: &str, db: u32| format!("redis://{who}127.0.0.1:{}/{db}", redis.port);
    let given = hidden(&at(":sesame-open@", 0)).look().await.unwrap_err();
    assert_eq!(given.class, Class::Misconfigured, "{given:?}");
    assert!(given.message.contains("does not accept") || given.message.contains("has no password"), "{given:?}");
    let _: () = redis.run("SET nobody 1");
    let mut connection = redis.open();
    let mut run = |words: &str| -> redis::Value {
        let mut cmd = redis::Cmd::new();
        cmd.arg(words.split(' ').collect::<Vec<_>>());
        cmd.query(&mut connection).unwrap()
    };
    run("ACL SETUSER default resetpass >sesame-open");
    run("ACL SETUSER reader on >read-me-aloud +@read +@connection +info +time +dbsize ~*");
    run("ACL SETUSER blind on >read-me-aloud +@read +@connection +dbsize ~*");
    run("ACL SETUSER idle on >read-me-aloud +ping");
    run("SELECT 3");
    run("SET other 1");

    let none = look(&format!("\"{}\"", redis.url())).await.unwrap_err();
    assert_eq!(none.class, Class::Denied, "{none:?}");
    assert!(none.message.contains("wants a password"), "{none:?}");
    for (who, class, words) in [
        (":sesame-shut@", Class::Denied, "does not accept the user or the password"),
        ("reader:sesame-open@", Class::Denied, "does not accept the user or the password"),
        ("idle:read-me-aloud@", Class::Denied, "does not allow"),
        // Whether it sees all of the keys is not known.
        ("blind:read-me-aloud@", Class::Denied, "a replica or a part of a cluster cannot be ruled out"),
    ] {
        let hidden = hidden(&at(who, 0));
        let failure = hidden.look().await.unwrap_err();
        assert_eq!(failure.class, class, "{who}: {failure:?}");
        assert!(failure.message.contains(words), "{who}: {failure:?}");
        let told = format!("{failure:?}");
        assert!(!told.contains("sesame") && !told.contains("aloud"), "{told}");
        let password = who.trim_end_matches('@').rsplit(':').next().unwrap();
        assert_eq!(hidden.redactor.redact(&format!("it is {password}.")), "it is ***.", "{who}");
    }
    // The user that Heroku writes where there are no users means none.
    for who in [":sesame-open@", "h:sesame-open@", "default:sesame-open@", "reader:read-me-aloud@"] {
        let failure = hidden(&at(who, 0)).look().await.unwrap_err();
        assert!(failure.message.ends_with("nobody: 1, at most 0 wanted"), "{who}: {failure:?}");
        let seen = hidden(&at(who, 3)).look().await.unwrap();
        let told = format!("{seen:?}");
        assert!(!told.contains("sesame") && !told.contains("aloud"), "{told}");
        assert_eq!(seen.evidence["target"]["redis"]["db"], 3);
        let known = seen.evidence["target"]["redis"]["run_id"].as_str().map(str::len);
        assert_eq!(known, Some(40), "{who}: {seen:?}");
    }
    let failure = hidden(&at(":sesame-open@", 99)).look().await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured, "{failure:?}");
    assert!(failure.message.contains("no such database"), "{failure:?}");
    let failure = hidden("redis://:sesame#open@127.0.0.1").look().await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured);
    assert!(!format!("{failure:?}").contains("sesame"), "{failure:?}");
}

#[tokio::test]
async fn by_socket_and_by_name() {
    let redis = Redis::start();
    let socket = redis.socket.display();
    look(&format!("\"unix://{socket}?db=2\"")).await.unwrap();
    look(&format!("\"redis://localhost:{}\"", redis.port)).await.unwrap();
    let gone = look(&format!("\"unix://{socket}x\"")).await.unwrap_err();
    assert_eq!(gone.class, Class::NotYet);
    assert!(gone.message.starts_with("no data: ") && gone.message.contains("no such socket"), "{gone:?}");
    redis.left_alone();
}

#[tokio::test]
async fn certificates_are_verified_unless_somebody_says_otherwise() {
    let authority = Authority::new();
    let made = authority.leaf(&server(&["localhost"]));
    let chain: String = made.chain.iter().map(|one| pem(one)).collect();
    let redis = Redis::with_tls(&chain, &pem_key(&made.key));
    let (at, ca) = (format!("rediss://localhost:{}/0", redis.tls_port), authority.ca());
    let seen = look(&format!("{{ url = \"{at}\", ca = \"{}\" }}", ca.display())).await.unwrap();
    assert_eq!(seen.evidence["target"]["redis"]["certificate_not_verified"], serde_json::Value::Null);
    let mut own = env();
    own.http.ca = Some(std::fs::read_to_string(&ca).unwrap());
    look_with(&format!("\"{at}\""), &services(own), attempt()).await.unwrap();

    let failure = look(&format!("\"{at}\"")).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured, "{failure:?}");
    assert!(failure.message.contains("nobody known vouches for it"), "{failure:?}");
    let by_address = at.replace("localhost", "127.0.0.1");
    let failure = look(&format!("{{ url = \"{by_address}\", ca = \"{}\" }}", ca.display())).await.unwrap_err();
    assert!(failure.message.contains("is not for 127.0.0.1"), "{failure:?}");

    // As Heroku shows one: signed by itself, for another name.
    let (params, key) = (server(&["heroku.example"]), key());
    let alone = params.self_signed(&key).unwrap();
    let heroku = Redis::with_tls(&pem(alone.der()), &pem_key(&key));
    let at = format!("rediss://127.0.0.1:{}/0", heroku.tls_port);
    assert_eq!(look(&format!("\"{at}\"")).await.unwrap_err().class, Class::Misconfigured);
    let unverified = format!("{{ url = \"{at}\", verify_certificate = false }}");
    let seen = look(&unverified).await.unwrap();
    assert!(seen.line.contains("(certificate not verified)"), "{}", seen.line);
    let sha256 = seen.evidence["target"]["redis"]["certificate_not_verified"].as_str().unwrap().to_owned();
    assert_eq!(sha256.replace(':', "").len(), 64, "{sha256}");
    let text = format!("server = {unverified}\nmax = {{ nobody = 0 }}");
    assert!(check(COUNTS, &text, &services(env())).looks().contains("(certificate not verified)"));

    // Plain where TLS is spoken, and TLS where it is not.
    let plain = look(&format!("\"redis://127.0.0.1:{}\"", heroku.tls_port)).await.unwrap_err();
    assert!(plain.hint.as_ref().unwrap().contains("rediss://"), "{plain:?}");
    let tls = look(&format!("\"rediss://127.0.0.1:{}\"", heroku.port)).await.unwrap_err();
    assert!(tls.message.contains("no TLS handshake within 5 s"), "{tls:?}");
    assert!(tls.hint.as_ref().unwrap().contains("redis://"), "{tls:?}");
    heroku.left_alone();
}

#[tokio::test]
async fn a_sandbox_is_not_left() {
    let mut env = env();
    env.kind = EnvKind::Sandbox;
    let failure = look_with("\"redis://192.0.2.1:6379\"", &services(env.clone()), attempt()).await.unwrap_err();
    assert_eq!(failure.class, Class::Refused, "{failure:?}");
    let redis = Redis::start();
    look_with(&format!("\"{}\"", redis.url()), &services(env), attempt()).await.unwrap();
}

/// Every command that the two kinds send, seen by the server itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_that_blocks_or_changes() {
    const ALLOWED: [&str; 17] = [
        "AUTH", "CLIENT", "DBSIZE", "GET", "HMGET", "HSCAN", "INFO", "LINDEX", "LLEN", "PTTL", "SCAN", "SELECT",
        "SSCAN", "TIME", "ZCARD", "ZCOUNT", "ZRANGE",
    ];
    let redis = Redis::start();
    for i in 0..3000 {
        let _: () = redis.send(&["LPUSH", "queue:default", "{\"class\":\"HardJob\",\"enqueued_at\":1.5}"]);
        if i < 1200 {
            let _: () = redis.send(&["SADD", "queues", &format!("queue-{i}")]);
        }
    }
    let _: () = redis.run("SADD processes host:1:ab");
    let _: () = redis.run("HSET host:1:ab busy 1 beat 1700000000.5 quiet false rtt_us 100");
    let _: () = redis.run("PEXPIRE host:1:ab 50000");
    let _: () =
        redis.send(&["HSET", "host:1:ab:work", "t1", "{\"queue\":\"default\",\"payload\":\"{}\",\"run_at\":1}"]);
    let _: () = redis.run("SADD super_processes host:1:ab");
    let _: () = redis.run("SADD host:1:ab:super_queues queue:sq|host:1:ab|default");
    let _: () = redis.send(&["ZADD", "schedule", "9999999999", "{}"]);
    let services = services(env());
    let texts = [
        (DRAINED, format!("server = \"{}\"", redis.url())),
        (
            DRAINED,
            format!("server = \"{}\"\nmax = 9999\nmax_scheduled = 9\nmax_busy = 9\ndue_within = \"1h\"", redis.url()),
        ),
        (
            COUNTS,
            format!(
                "server = \"{}\"\nmin = {{ \"queue:*\" = 9 }}\nheadroom = 1\neviction = \"noeviction\"",
                redis.url()
            ),
        ),
        (COUNTS, format!("source = \"{0}\"\ntarget = \"{0}\"\npatterns = [\"a*\", \"b*\"]", redis.url())),
    ];
    let changes = redis.changes();
    let sent = redis
        .monitored(async || {
            for (kind, text) in &texts {
                let check = check(kind, text, &services);
                for _ in 0..2 {
                    let _either_way = check.check(&attempt().cx).await;
                }
            }
        })
        .await;
    assert_eq!(redis.changes(), changes);
    let names: BTreeSet<String> = sent.iter().map(|words| words[0].to_uppercase()).collect();
    let strange: Vec<_> = names.iter().filter(|name| !ALLOWED.contains(&name.as_str())).collect();
    assert!(strange.is_empty(), "{strange:?}");
    for needed in ["SCAN", "SSCAN", "HSCAN", "LLEN", "ZCOUNT", "INFO"] {
        assert!(names.contains(needed), "{needed} was not seen: {names:?}");
    }
    for words in &sent {
        let upper: Vec<String> = words.iter().map(|word| word.to_uppercase()).collect();
        match upper[0].as_str() {
            "SCAN" | "SSCAN" | "HSCAN" => assert_eq!(upper[upper.len() - 2..], ["COUNT", "1000"], "{words:?}"),
            "ZRANGE" => assert_eq!(words[2..4], ["0", "0"], "{words:?}"),
            "LINDEX" => assert_eq!(words[2], "-1", "{words:?}"),
            "CLIENT" => assert_eq!(upper[1..], ["SETNAME", "GONOGO"], "{words:?}"),
            _ => {}
        }
    }
    redis.left_alone();
}

/// Both kinds, wherever a server is in trouble: no data, in time, and no connection is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_are_gone_slow_or_cut_off() {
    let mut redis = Redis::start();
    let _: () = redis.run("SADD queues default");
    let services = services(env());
    let proxy = Proxy::to(redis.port).await;
    let texts = |port: u16| {
        let at = format!("redis://127.0.0.1:{port}/0");
        let other = format!("redis://127.0.0.1:{port}/1");
        let both = format!("source = \"{at}\"\ntarget = \"{other}\"\ntolerance = 1\nmax = {{ \"*\" = 9 }}");
        [(DRAINED, format!("server = \"{at}\"")), (COUNTS, both)]
    };
    let go = async |port: u16, limit: Duration| {
        let mut all = Vec::new();
        for (kind, text) in texts(port) {
            let begun = Instant::now();
            let attempt = attempt_of(limit, std::collections::BTreeMap::new());
            let seen = check(kind, &text, &services).check(&attempt.cx).await;
            all.push((seen, begun.elapsed()));
        }
        all
    };
    let bad = |all: Vec<(Result<Seen, Failure>, Duration)>, words: &str, most: Duration| {
        for (seen, took) in all {
            let failure = seen.unwrap_err();
            assert_eq!(failure.class, Class::NotYet, "{failure:?}");
            assert!(failure.message.contains(words), "{failure:?}");
            assert!(took < most, "{took:?} for {failure:?}");
        }
    };
    let (short, long) = (Duration::from_secs(1), Duration::from_secs(30));
    for (seen, _) in go(proxy.address.port(), long).await {
        seen.unwrap();
    }
    // It takes a while, and is waited for.
    let mut asleep = redis.open();
    let sleeping = std::thread::spawn(move || redis::cmd("DEBUG").arg("SLEEP").arg(1.5).exec(&mut asleep));
    crate::redis::until("it sleeps", || (go_on(&redis) > Duration::from_millis(100)).then_some(()));
    for (seen, _) in go(proxy.address.port(), long).await {
        seen.unwrap();
    }
    sleeping.join().unwrap().unwrap();

    // It answers nothing: the attempt's own end comes first.
    let frozen = redis.freeze();
    bad(go(redis.port, short).await, "timed out while looking", Duration::from_secs(5));
    drop(frozen);
    redis.left_alone();
    // The way there swallows everything.
    proxy.set(Way::Deaf);
    bad(go(proxy.address.port(), short).await, "timed out while looking", Duration::from_secs(5));
    proxy.set(Way::Pass);
    redis.left_alone();

    // Cut off in the middle: while it answers.
    for i in 0..30_000 {
        if i % 1000 == 0 {
            let _: () = redis.send(&["DEBUG", "POPULATE", "1000", &format!("key{i}")]);
        }
    }
    proxy.set(Way::Slow(Duration::from_millis(30)));
    let heard = proxy.heard();
    let (port, cut) = (proxy.address.port(), async {
        while proxy.heard() < heard + 600 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        proxy.set(Way::Cut);
    });
    let (all, ()) = tokio::join!(go(port, long), cut);
    bad(all, "no data: ", Duration::from_secs(20));
    redis.left_alone();

    redis.stop();
    bad(go(redis.port, long).await, "nothing listens there", Duration::from_secs(5));
    redis.again();
    let all = go(redis.port, long).await;
    let (drained, counts) = (&all[0].0, &all[1].0);
    let words = &drained.as_ref().unwrap_err().message;
    assert!(words.contains("no Sidekiq ever ran"), "{words}");
    counts.as_ref().unwrap();
    redis.left_alone();
}

/// How long it takes to answer.
fn go_on(redis: &Redis) -> Duration {
    let begun = Instant::now();
    let mut connection = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    let _ = connection.set_read_timeout(Some(Duration::from_millis(200)));
    let _ = redis::cmd("PING").query::<String>(&mut connection);
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_never_answers_is_not_waited_for_for_ever() {
    let redis = Redis::start();
    let frozen = redis.freeze();
    let begun = Instant::now();
    let failure = look(&format!("\"{}\"", redis.url())).await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet, "{failure:?}");
    assert!(failure.message.contains("did not answer CLIENT SETNAME within 10 s"), "{failure:?}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    drop(frozen);
    redis.left_alone();
    // Cancelled in the middle.
    let frozen = redis.freeze();
    let attempt = attempt();
    let (cancel, begun) = (attempt.cx.cancel.clone(), Instant::now());
    let services = services(env());
    let at = format!("\"{}\"", redis.url());
    let (failure, ()) = tokio::join!(look_with(&at, &services, attempt), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        cancel.cancel();
    });
    assert_eq!(failure.unwrap_err().message, "cancelled");
    assert!(begun.elapsed() < Duration::from_secs(5));
    drop(frozen);
    redis.left_alone();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_replicas_and_clusters() {
    let redis = Redis::start();
    let _: () = redis.run("SADD queues default");
    let _: () = redis.run("CONFIG SET busy-reply-threshold 50");
    let mut busy = redis.open();
    let script = std::thread::spawn(move || redis::cmd("EVAL").arg("while true do end").arg(0).exec(&mut busy));
    let at = format!("\"{}\"", redis.url());
    let failure = loop {
        if let Err(failure) = look(&at).await {
            break failure;
        }
    };
    assert_eq!(failure.class, Class::NotYet);
    assert!(failure.message.starts_with("no data: ") && failure.message.contains("busy with a script"), "{failure:?}");
    let _: () = redis.run("SCRIPT KILL");
    let _killed = script.join().unwrap();

    let replica = Redis::with(&[format!("replicaof 127.0.0.1 {}", redis.port)]);
    crate::redis::until("it replicates", || (replica.info("replication", "master_link_status") == "up").then_some(()));
    let text = format!("server = \"{}\"", replica.url());
    let failure = check(DRAINED, &text, &services(env())).check(&attempt().cx).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured, "{failure:?}");
    assert!(failure.message.contains(&format!("is a replica of 127.0.0.1:{}", redis.port)), "{failure:?}");
    let seen = look(&format!("\"{}\"", replica.url())).await.unwrap();
    assert!(seen.line.contains("is a replica"), "{}", seen.line);

    let cluster = Redis::with(&["cluster-enabled yes".into()]);
    let text = format!("server = \"{}\"", cluster.url());
    let failure = check(DRAINED, &text, &services(env())).check(&attempt().cx).await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet);
    assert!(failure.message.contains("a cluster that is not ready"), "{failure:?}");
    let _: () = cluster.run("CLUSTER ADDSLOTSRANGE 0 16383");
    crate::redis::until("the cluster is up", || {
        cluster.run::<String>("CLUSTER INFO").contains("cluster_state:ok").then_some(())
    });
    look(&format!("\"{}\"", cluster.url())).await.unwrap();
    cluster.left_alone();
}

/// What no real server can be brought to say at will.
#[tokio::test]
async fn what_a_server_says_is_understood() {
    for (says, class, words) in [
        (&b"-LOADING Redis is loading the dataset in memory\r\n"[..], Class::NotYet, "still loading"),
        (b"-MASTERDOWN Link with MASTER is down\r\n", Class::NotYet, "lost its primary"),
        (b"-ERR max number of clients reached\r\n", Class::NotYet, "takes no more connections"),
        (b"-DENIED Redis is running in protected mode\r\n", Class::Denied, "protected mode"),
        (b"-MOVED 866 10.0.0.1:6379\r\n", Class::Misconfigured, "one node of a cluster"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Class::Misconfigured, "does not speak Redis's protocol"),
        (b"$99999999999\r\nabc", Class::NotYet, "no data: "),
        (b"*3\r\n+OK\r\n", Class::NotYet, "no data: "),
    ] {
        let server = says_on(says).await;
        let attempt = attempt_of(Duration::from_secs(12), std::collections::BTreeMap::new());
        let at = format!("\"redis://{}/0\"", server.address);
        let failure = look_with(&at, &services(env()), attempt).await.unwrap_err();
        assert_eq!(failure.class, class, "{failure:?}");
        assert!(failure.message.contains(words), "{failure:?}");
    }
    // One that never ends is ended.
    let endless = serve("127.0.0.1:0", |mut stream| async move {
        let _ = stream.read(&mut [0; 64]).await;
        let _ = stream.write_all(b"$9999999999\r\n").await;
        while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
    })
    .await;
    let failure = look(&format!("\"redis://{}/0\"", endless.address)).await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet, "{failure:?}");
    assert!(format!("{failure:?}").contains("longer than 64 MiB"), "{failure:?}");
}

/// Answers the first bytes with the same thing for every command, then hangs up.
async fn says_on(words: &'static [u8]) -> super::fake_tls::Served {
    serve("127.0.0.1:0", move |mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        for _ in 0..4 {
            let _ = stream.write_all(words).await;
        }
        let _ = stream.shutdown().await;
        let _ = stream.read_u8().await;
    })
    .await
}

#[tokio::test]
async fn something_else_at_the_port() {
    let ssh = says(b"SSH-2.0-OpenSSH_9.2\r\n").await;
    let failure = look(&format!("\"redis://{}/0\"", ssh.address)).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured, "{failure:?}");
}
