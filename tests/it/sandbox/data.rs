//! The sandbox's databases and its Redis: real servers that come up beside the world, are written to by a shop that
//! follows it, outlive a kill as data does, and leave neither a process nor a folder behind.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use gonogo::sandbox::{Config, Programs, Sandbox, Wanted};
use tokio_postgres::{Client, NoTls, error::SqlState};

use super::http;

/// Three servers come up on two cores that many tests share.
const LONG: Duration = Duration::from_secs(120);

fn wanted() -> Wanted {
    let programs = Programs::find();
    assert_eq!(programs.missing(), [], "run tests/run, which installs what is missing");
    Wanted { programs, guard: env!("CARGO_BIN_EXE_gonogo").into(), when_asked: false }
}

async fn start(dir: Option<&Path>) -> Sandbox {
    let state_dir = dir.map(Path::to_owned);
    Sandbox::start(Config { seed: 5, state_dir, data: Some(wanted()), ..Config::default() }).await.unwrap()
}

async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn count(client: &Client, what: &str) -> i64 {
    client.query_one(&format!("SELECT count(*) FROM {what}"), &[]).await.unwrap().get(0)
}

async fn until<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < LONG, "never: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The processes that have to do with a folder.
fn at_work(dir: &Path) -> Vec<String> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = all.filter_map(|one| std::fs::read(one.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(&*dir.to_string_lossy())).collect()
}

/// The folder of the servers' files, as a server names it.
async fn folder(admin: &str) -> PathBuf {
    let client = connect(admin).await.unwrap();
    let row = client.query_one("SELECT pg_catalog.current_setting('data_directory')", &[]).await.unwrap();
    PathBuf::from(row.get::<_, String>(0)).parent().unwrap().to_owned()
}

async fn gone(dir: &Path) {
    until("its folder and its processes are gone", || async { !dir.exists() && at_work(dir).is_empty() }).await;
}

async fn heroku(sandbox: &Sandbox, path: &str, body: &str) {
    let at = sandbox.endpoints();
    let request = http()
        .patch(format!("{}/apps/{}{path}", at.heroku, at.heroku_app))
        .header("accept", "application/vnd.heroku+json; version=3")
        .header("content-type", "application/json")
        .bearer_auth(at.heroku_api_key)
        .body(body.to_owned());
    assert!(request.send().await.unwrap().status().is_success());
}

async fn post_order(origin: std::net::SocketAddr) -> (u16, String) {
    let reply = http().post(format!("http://{origin}/orders")).body("an anvil").send().await.unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}

async fn told(sandbox: &Sandbox, words: &str) -> bool {
    let effects = sandbox.effects().await;
    effects.iter().any(|it| format!("{} {}: {}", it.operation, it.target, it.detail).contains(words))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_writes_until_it_is_refused() {
    let sandbox = start(None).await;
    let at = sandbox.endpoints().clone();
    // The world is up at once; whoever comes for the data waits at the door.
    let [old_url, new_url] = at.databases.clone().unwrap();
    let old = connect(&old_url).await.unwrap();
    let (orders, items) = (count(&old, "orders").await, count(&old, "order_items").await);
    assert!(orders >= 5000 && items >= 10_000, "{orders} {items}");
    let config = http()
        .get(format!("{}/apps/{}/config-vars", at.heroku, at.heroku_app))
        .header("accept", "application/vnd.heroku+json; version=3")
        .bearer_auth(at.heroku_api_key);
    let config: serde_json::Value = config.send().await.unwrap().json().await.unwrap();
    let redis_url = at.redis.clone().unwrap()[0].clone();
    assert_eq!((config["DATABASE_URL"].as_str(), config["REDIS_URL"].as_str()), (Some(&*old_url), Some(&*redis_url)));

    // What is ordered is seen on the other side, which takes no writes yet.
    let new = connect(&new_url).await.unwrap();
    until("orders come and are replicated", || async { count(&new, "orders").await > orders + 2 }).await;
    let early = new.execute("INSERT INTO report_runs (orders) VALUES (0)", &[]).await.unwrap_err();
    assert_eq!(early.code(), Some(&SqlState::READ_ONLY_SQL_TRANSACTION));
    // Nobody serves visitors there either; the old side does, from its database.
    assert_eq!(post_order(at.old_origin).await.0, 201);
    assert_eq!(count(&old, "orders WHERE note = 'an anvil'").await, 1);
    let (status, said) = post_order(at.new_origin).await;
    assert!(status == 503 && said.contains("read-only"), "{status} {said}");

    // Jobs are worked off by processes that are heard of.
    let mut jobs = redis::Client::open(&*redis_url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let processes: Vec<String> = redis::cmd("SMEMBERS").arg("processes").query_async(&mut jobs).await.unwrap();
    assert_eq!(processes.len(), 2, "{processes:?}");
    let first: f64 = redis::cmd("HGET").arg(&processes[0]).arg("beat").query_async(&mut jobs).await.unwrap();
    let paid = count(&old, "orders WHERE state = 'paid'").await;
    until("orders are paid", || async { count(&old, "orders WHERE state = 'paid'").await > paid }).await;

    // The maintenance page stops visitors, no dynos stop the workers; a box that nobody thought of writes on.
    heroku(&sandbox, "", r#"{"maintenance":true}"#).await;
    heroku(&sandbox, "/formation", r#"{"updates":[{"type":"worker","quantity":0},{"type":"clock","quantity":0}]}"#)
        .await;
    let listed = async || -> Vec<String> {
        redis::cmd("SMEMBERS").arg("processes").query_async(&mut jobs.clone()).await.unwrap()
    };
    until("the workers are gone", || async { listed().await.is_empty() }).await;
    let beat: Option<f64> = redis::cmd("HGET").arg(&processes[0]).arg("beat").query_async(&mut jobs).await.unwrap();
    assert!(beat.is_none() && first > 0.0);
    let (orders, reports) = (count(&old, "orders").await, count(&old, "report_runs").await);
    until("reports go on", || async { count(&old, "report_runs").await > reports + 1 }).await;
    assert_eq!(count(&old, "orders").await, orders);
    // As the shop's own role, which is no superuser.
    old.batch_execute("ALTER ROLE reporting SET default_transaction_read_only = on").await.unwrap();
    let end =
        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE usename = 'reporting'";
    old.query(end, &[]).await.unwrap();
    until("it is refused and says so", || told(&sandbox, "stops writing reporting on the old side: refused: cannot"))
        .await;
    let frozen = count(&old, "report_runs").await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(count(&old, "report_runs").await, frozen);
    // Thawed again, as by a rollback, it goes on.
    old.batch_execute("ALTER ROLE reporting RESET default_transaction_read_only").await.unwrap();
    until("it writes again", || told(&sandbox, "writes again reporting on the old side")).await;

    let dir = folder(&at.administrators.unwrap()[0]).await;
    assert!(!at_work(&dir).is_empty());
    sandbox.stop().await;
    gone(&dir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_them_outlives_their_process() {
    let state = tempfile::tempdir().unwrap();
    let sandbox = start(Some(state.path())).await;
    let at = sandbox.endpoints().clone();
    let [old_url, new_url] = at.databases.clone().unwrap();
    let admin = at.administrators.clone().unwrap()[0].clone();
    let old = connect(&old_url).await.unwrap();
    old.batch_execute("INSERT INTO report_runs (orders) VALUES (4242)").await.unwrap();
    let mut jobs =
        redis::Client::open(at.redis.unwrap()[0].as_str()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let () = redis::cmd("SET").arg("mark").arg("here").query_async(&mut jobs).await.unwrap();
    let dir = folder(&admin).await;
    // Dropped, as when its process is killed.
    drop((sandbox, old, jobs));

    let sandbox = start(Some(state.path())).await;
    let at = sandbox.endpoints().clone();
    assert_eq!(at.databases, Some([old_url.clone(), new_url.clone()]), "the doors are where they were");
    let (old, new) = (connect(&old_url).await.unwrap(), connect(&new_url).await.unwrap());
    assert_eq!(count(&old, "report_runs WHERE orders = 4242").await, 1);
    let mut jobs =
        redis::Client::open(at.redis.unwrap()[0].as_str()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let mark: String = redis::cmd("GET").arg("mark").query_async(&mut jobs).await.unwrap();
    assert_eq!(mark, "here");
    // The replication goes on, though the servers behind the doors have other ports.
    old.batch_execute("INSERT INTO report_runs (orders) VALUES (4343)").await.unwrap();
    until("it streams again", || async { count(&new, "report_runs WHERE orders = 4343").await == 1 }).await;

    // For good: nobody will go on with it.
    sandbox.finish().await;
    gone(&dir).await;
    let said =
        Sandbox::start(Config { state_dir: Some(state.path().to_owned()), data: Some(wanted()), ..Config::default() });
    let said = said.await.err().unwrap().to_string();
    assert!(said.contains("and are gone"), "{said}");
}

/// `gonogo sandbox` in a process group of its own.
fn alone(only: Option<&Path>) -> (Child, Vec<(String, String)>) {
    use std::io::{BufRead as _, BufReader};
    let mut command = Command::new(env!("CARGO_BIN_EXE_gonogo"));
    command.arg("sandbox").stdout(Stdio::piped()).stderr(Stdio::null());
    if let Some(only) = only {
        command.env("GONOGO_SANDBOX_PROGRAMS", only);
    }
    let mut child = command.spawn().unwrap();
    let mut exports = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let (name, value) = line.strip_prefix("export ").unwrap().split_once('=').unwrap();
        exports.push((name.to_owned(), value.trim_matches('\'').to_owned()));
        if name == "GONOGO_SANDBOX_REDIS_NEW" || name == "GONOGO_SANDBOX_ADMIN_NEW" && only.is_some() {
            break;
        }
    }
    (child, exports)
}

fn of<'e>(exports: &'e [(String, String)], name: &str) -> &'e str {
    exports.iter().find(|(known, _)| known == name).map_or_else(|| panic!("{name} is not printed"), |(_, value)| value)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outlives_a_kill() {
    let (mut child, exports) = alone(None);
    let dir = folder(of(&exports, "GONOGO_SANDBOX_ADMIN_OLD")).await;
    assert!(at_work(&dir).len() >= 2, "{:?}", at_work(&dir));
    child.kill().unwrap();
    child.wait().unwrap();
    gone(&dir).await;

    // The servers' parent is killed, too: what is in the folder has nobody left who could remove it, but nothing runs.
    let (mut child, exports) = alone(None);
    let dir = folder(of(&exports, "GONOGO_SANDBOX_ADMIN_OLD")).await;
    let children = Command::new("pgrep").args(["-P", &child.id().to_string()]).output().unwrap();
    let parent = String::from_utf8(children.stdout).unwrap();
    assert!(Command::new("kill").args(["-9", parent.trim()]).status().unwrap().success());
    until("the servers have ended with their parent", || async { at_work(&dir).is_empty() }).await;
    let said = connect(of(&exports, "DATABASE_URL")).await.err().unwrap();
    let said = said.as_db_error().unwrap().message().to_owned();
    assert!(said.contains("the sandbox's PostgreSQL is not there: their parent process ended"), "{said}");
    child.kill().unwrap();
    child.wait().unwrap();
    // The next one clears up after it.
    let other = start(None).await;
    until("the folder is swept away", || async { !dir.exists() }).await;
    other.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn why_a_server_is_not_there_is_said_in_its_own_protocol() {
    use std::os::unix::fs::PermissionsExt as _;
    let only = tempfile::tempdir().unwrap();
    std::fs::set_permissions(only.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for (name, text) in [("initdb", "#!/bin/sh\necho 'initdb: no room on the moon' >&2\nexit 3\n"), ("postgres", "")] {
        std::fs::write(only.path().join(name), text).unwrap();
        std::fs::set_permissions(only.path().join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let (mut child, exports) = alone(Some(only.path()));
    let said = connect(of(&exports, "DATABASE_URL")).await.err().unwrap();
    let said = said.as_db_error().unwrap();
    assert!(said.message().contains("no room on the moon"), "{said}");
    assert_eq!(said.code(), &SqlState::CANNOT_CONNECT_NOW);
    assert!(!exports.iter().any(|(name, _)| name == "REDIS_URL"), "there is no Redis");
    child.kill().unwrap();
    child.wait().unwrap();
}
