//! `postgres.frozen` against real writers of every sort: before, during and after a freeze.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gonogo::{
    base::Class,
    plan::{Check, Finding, contract::Prior},
    services::Services,
};
use serde_json::Value as Json;

use super::{
    contract::{action, attempt, attempt_of, check, check_changes_nothing, env, points_at, services},
    postgres_freeze::{Shop, refused},
    postgres_replication_lag::{count, green, not_yet, replicating},
};
use crate::{
    pgbouncer::PgBouncer,
    postgres::{Cluster, client, database},
    proxy::{Proxy, Way},
};

const KIND: &str = "postgres.frozen";
const WRITE: &str = "INSERT INTO t (note) VALUES ('x')";

fn frozen(services: &Arc<Services>, url: &str, more: &str) -> Arc<dyn Check> {
    check(KIND, &format!("database = '{url}'\nheld = '1s'\n{more}"), services)
}

/// Polls until it is green, after a freeze that left `evidence`.
async fn green_after(check: &dyn Check, evidence: &Json) -> String {
    let prior = Prior { captured: Json::Null, evidence: evidence.clone(), by_hand: None };
    let attempt = attempt_of(Duration::from_secs(30), BTreeMap::from([("freeze", prior)]));
    let seen = attempt.cx.poll(Duration::from_millis(100), || check.check(&attempt.cx)).await;
    seen.unwrap_or_else(|failure| panic!("{failure:?}")).line
}

/// The measure: five kinds of writers, each really writing, and every one that still can is named: 5 of 5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_kinds_of_writers_five_of_five() {
    let services = services(env());
    let database = database("five").await;
    let url = database.url();
    let owner = database.role("owner", "").await;
    let other = database.role("other", "").await;
    let root = database.role("root", "SUPERUSER").await;
    let open = database.role("open", "").await;
    let pooled = database.role("pooled", "").await;
    let all = [&owner, &other, &root, &open, &pooled];
    let sql = format!(
        "ALTER DATABASE \"{}\" OWNER TO {o}; SET ROLE {o}; CREATE SCHEMA s AUTHORIZATION {o};
         CREATE TABLE s.t (id bigserial PRIMARY KEY, note text);
         GRANT USAGE ON SCHEMA s TO PUBLIC; GRANT INSERT ON s.t TO {}, {}, {}; GRANT USAGE ON s.t_id_seq TO {1}, {2}, {3};",
        database.name, other.name, open.name, pooled.name, o = owner.name
    );
    database.sql(&sql).await;
    let write = WRITE.replace("INTO t", "INTO s.t");
    let pooler = PgBouncer::start(database.cluster.port, &all);
    // A client of each kind. Those of the first three connect anew for each write.
    let session = client(&format!("{}?application_name=old_worker", database.url_of(&open))).await;
    let through = client(&pooler.url(&pooled, &database.name)).await;
    let anew = async |role| client(&database.url_of(role)).await.batch_execute(&write).await;
    for role in [&owner, &other, &root] {
        anew(role).await.unwrap();
    }
    session.batch_execute(&write).await.unwrap();
    through.batch_execute(&write).await.unwrap();

    // Before: every role is named, and both sessions.
    let plain = frozen(&services, &url, "except = ['postgres']");
    let said = not_yet(plain.as_ref()).await;
    for role in all {
        assert!(said.contains(&format!("role {}", role.name)), "{} is not named: {said}", role.name);
    }
    assert!(said.contains("old_worker 127.0.0.1"), "{said}");
    let rows = async || count(&database, "SELECT count(*) FROM s.t").await;
    check_changes_nothing(plain.as_ref(), rows).await;

    // A freeze that is none: two roles' new sessions begin read-only, and nobody's session was ended.
    for role in [&open, &pooled] {
        let alter = format!(
            "ALTER ROLE {} IN DATABASE \"{}\" SET default_transaction_read_only = on",
            role.name, database.name
        );
        database.sql(&alter).await;
    }
    let said = not_yet(plain.as_ref()).await;
    for role in [&owner, &other, &root] {
        anew(role).await.unwrap();
        assert!(said.contains(&format!("role {}", role.name)), "{} writes and is not named: {said}", role.name);
    }
    for (client, role) in [(&session, &open), (&through, &pooled)] {
        client.batch_execute(&write).await.unwrap();
        assert!(
            said.contains(&format!(" {} (", role.name)) && said.contains("session pid "),
            "{}'s session writes and is not named: {said}",
            role.name
        );
        assert!(
            !said.contains(&format!("role {}", role.name)),
            "new sessions of {} begin read-only: {said}",
            role.name
        );
        assert_eq!(refused(&client_of(&database.url_of(role)).await, &write).await, "25006");
    }
    assert!(said.contains("5 can still write") || said.contains("6 can still write"), "{said}");

    // The freeze, while all of them go on.
    let freeze = action("postgres.freeze", &format!("database = '{url}'"), &services);
    let try_it = attempt();
    let captured = freeze.capture(&try_it.cx).await.unwrap();
    let told = freeze.apply(&try_it.cx, &captured).await.unwrap();
    let ended = told.evidence["ended"]["sessions"].to_string();
    assert!(ended.contains(&open.name) && ended.contains(&pooled.name), "{ended}");
    for role in all {
        assert_eq!(refused(&client_of(&database.url_of(role)).await, &write).await, "25006", "{}", role.name);
    }
    assert!(session.batch_execute(&write).await.is_err());
    // The pooler comes back at once, and what comes back is frozen.
    let again = client_of(&pooler.url(&pooled, &database.name)).await;
    assert_eq!(refused(&again, &write).await, "25006");
    again.batch_execute("ROLLBACK; SELECT 1").await.unwrap();
    let line =
        green_after(frozen(&services, &url, "except = ['postgres']\nafter = 'freeze'").as_ref(), &told.evidence).await;
    assert!(line.contains("if they ask, these can") && line.contains("no row written in"), "{line}");
    // Without the moment of the freeze nobody can know which sessions are older.
    let said = not_yet(plain.as_ref()).await;
    assert!(said.contains("1 can still write") && said.contains(&pooled.name), "{said}");
    // Asked for more than such a freeze can do, it is not green, and that is true.
    let strict = frozen(&services, &url, "except = ['postgres']\nstrength = 'revoke'");
    let said = not_yet(strict.as_ref()).await;
    for role in all {
        assert!(said.contains(&format!("role {}", role.name)), "{said}");
        client_of(&database.url_of(role))
            .await
            .batch_execute(&format!("BEGIN READ WRITE; {write}; ROLLBACK"))
            .await
            .unwrap();
    }
    // A real login says the same.
    let logins = format!(
        "except = ['postgres']\nroles = ['{}']\nlogins = {{ {0} = '{}' }}",
        other.name,
        database.url_of(&other)
    );
    assert!(green(frozen(&services, &url, &logins).as_ref()).await.contains("1 roles cannot write"));

    // Back: they write again, and are named again.
    freeze.restore(&try_it.cx, &captured).await.unwrap();
    for role in [&owner, &other, &root] {
        anew(role).await.unwrap();
    }
    let said = not_yet(plain.as_ref()).await;
    assert!(said.contains(&format!("role {}", owner.name)) && said.contains(&format!("role {}", root.name)), "{said}");
    database.cluster.nothing_left(&database.name).await;
}

async fn client_of(url: &str) -> tokio_postgres::Client {
    client(url).await
}

/// After a revoking freeze everybody but a superuser is refused even if they ask, whatever is connected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_is_refused_even_when_asked() {
    let services = services(env());
    let shop = Shop::new("frozen_r").await;
    let url = shop.database.url();
    let roles =
        format!("roles = ['{}', '{}', '{}', '{}']", shop.owner.name, shop.app.name, shop.member.name, shop.reader.name);
    let strict = frozen(&services, &url, &format!("strength = 'revoke'\n{roles}"));
    let said = not_yet(strict.as_ref()).await;
    // A role that is in a group without inheriting writes as the group, and is found.
    assert!(said.contains(&format!("role {}", shop.member.name)) && said.contains(&shop.owner.name), "{said}");
    let freeze = shop.freeze(&services, "strength = 'revoke'");
    let captured = freeze.capture(&attempt().cx).await.unwrap();
    freeze.apply(&attempt().cx, &captured).await.unwrap();
    let idle = shop.client(&shop.app).await;
    let line = green(strict.as_ref()).await;
    assert!(line.contains("4 roles cannot write") && !line.contains("catalog only"), "{line}");
    // A superuser is not excepted by himself.
    let said = not_yet(frozen(&services, &url, "strength = 'revoke'\nroles = ['postgres']").as_ref()).await;
    assert!(said.contains("role postgres (superuser"), "{said}");
    // An owner may not become the others: the catalog speaks, and the line says so.
    let by_owner = frozen(&services, &shop.database.url_of(&shop.owner), &format!("strength = 'revoke'\n{roles}"));
    let line = green(by_owner.as_ref()).await;
    assert!(line.contains("3 by the catalog only"), "{line}");
    drop(idle);
    freeze.restore(&attempt().cx, &captured).await.unwrap();
    let said = not_yet(strict.as_ref()).await;
    assert!(said.contains(&format!("role {} (INSERT", shop.app.name)), "{said}");
}

/// Who cannot log in and has no session cannot write; with one, the session is the writer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_login_only_the_session_writes() {
    let services = services(env());
    let shop = Shop::new("frozen_n").await;
    let url = shop.database.url();
    let check = frozen(&services, &url, &format!("strength = 'nologin'\nroles = ['{}']", shop.app.name));
    let session = shop.client(&shop.app).await;
    shop.database.sql(&format!("ALTER ROLE {} NOLOGIN", shop.app.name)).await;
    let said = not_yet(check.as_ref()).await;
    assert!(said.contains("1 can still write: session pid") && said.contains(&shop.app.name), "{said}");
    session.batch_execute("INSERT INTO s.orders (note) VALUES ('x')").await.unwrap();
    drop(session);
    let line = green(check.as_ref()).await;
    assert!(line.contains("1 of them cannot log in"), "{line}");
    let logins = format!("roles = ['{}']\nlogins = {{ {0} = '{}' }}", shop.app.name, shop.database.url_of(&shop.app));
    assert!(green(frozen(&services, &url, &logins).as_ref()).await.contains("1 of them cannot log in"));
}

/// What is in no session of a role: a prepared transaction, a subscription, rows that are counted late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_writes_without_a_session_is_named() {
    let services = services(env());
    let shop = Shop::new("frozen_p").await;
    let url = shop.database.url();
    shop.database
        .sql(&format!("ALTER DATABASE \"{}\" SET default_transaction_read_only = on", shop.database.name))
        .await;
    let only = format!("roles = ['{}']", shop.owner.name);
    green(frozen(&services, &url, &only).as_ref()).await;
    let gid = shop.database.name.clone();
    let owner = shop.client(&shop.owner).await;
    let prepare = format!("BEGIN READ WRITE; INSERT INTO s.orders (note) VALUES ('x'); PREPARE TRANSACTION '{gid}'");
    owner.batch_execute(&prepare).await.unwrap();
    drop(owner);
    let said = not_yet(frozen(&services, &url, &only).as_ref()).await;
    assert!(said.contains(&format!("prepared transaction {gid} of {}", shop.owner.name)), "{said}");
    let admin = client(&format!("{url}?options=-cdefault_transaction_read_only%3Doff")).await;
    admin.batch_execute(&format!("ROLLBACK PREPARED '{gid}'")).await.unwrap();
    // A superuser who asks, and is excepted: the counters see him.
    let writes = tokio::spawn(async move {
        loop {
            if admin.batch_execute("INSERT INTO s.orders (note) VALUES ('x')").await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let counted = check(KIND, &format!("database = '{url}'\nheld = '3s'\n{only}"), &services);
    let said = not_yet(counted.as_ref()).await;
    assert!(said.contains("s.orders: ") && said.contains("rows written in"), "{said}");
    writes.abort();
    let _ = writes.await;
    green(counted.as_ref()).await;
    let (_source, target) = replicating("frozen_s").await;
    let said = not_yet(frozen(&services, &target.url(), "roles = ['postgres']").as_ref()).await;
    assert!(said.contains("subscription cut_frozen_s"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_silent_or_gone_is_no_proof() {
    let services = services(env());
    let shop = Shop::new("frozen_c").await;
    let proxy = Proxy::to(shop.database.cluster.port).await;
    let url = format!("postgres://postgres@{}/{}", proxy.address, shop.database.name);
    let through = frozen(&services, &url, &format!("roles = ['{}']", shop.reader.name));
    // The shop lets everybody delete.
    let said = not_yet(through.as_ref()).await;
    assert!(said.contains("DELETE on s.cols"), "{said}");
    for way in [Way::Swallow, Way::Deaf, Way::Cut] {
        let short = attempt_of(Duration::from_millis(1500), BTreeMap::new());
        let (cx, acting) = (short.cx.clone(), through.clone());
        let begun = std::time::Instant::now();
        let task = tokio::spawn(async move { acting.check(&cx).await });
        tokio::time::sleep(Duration::from_millis(50)).await;
        proxy.set(way);
        assert_eq!(task.await.unwrap().unwrap_err().class, Class::NotYet, "{way:?}");
        assert!(begun.elapsed() < Duration::from_secs(8), "{way:?}");
        proxy.set(Way::Pass);
    }
    shop.database.cluster.nothing_left(&shop.database.name).await;
    // Through a pooler nothing is proved.
    let pooler = PgBouncer::start(shop.database.cluster.port, &[&shop.app]);
    let pooled = pooler.url(&shop.app, &shop.database.name);
    let failure = frozen(&services, &pooled, "").check(&attempt().cx).await.unwrap_err();
    assert_eq!(failure.class, Class::Refused, "{failure:?}");
    let freeze = action("postgres.freeze", &format!("database = '{pooled}'"), &services);
    assert_eq!(freeze.capture(&attempt().cx).await.unwrap_err().class, Class::Refused);
    let nobody = freeze.probe(&attempt().cx, &Json::Null, false).await;
    assert!(!matches!(nobody, Ok(Finding::Done(_))), "{nobody:?}");
}

/// Who has no privilege but to call a function that writes as its owner is a writer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_writes_as_its_owner_makes_writers() {
    let services = services(env());
    let database = database("definer").await;
    let url = database.url();
    let owner = database.role("owner", "").await;
    let api = database.role("api", "").await;
    let name = &database.name;
    database
        .sql(&format!(
            "ALTER ROLE {o} NOLOGIN; CREATE SCHEMA s; GRANT USAGE ON SCHEMA s TO {o}, {a}; CREATE TABLE s.log (t text);
             ALTER TABLE s.log OWNER TO {o};
             CREATE FUNCTION s.add_log(text) RETURNS void LANGUAGE sql SECURITY DEFINER AS 'INSERT INTO s.log VALUES ($1)';
             ALTER FUNCTION s.add_log OWNER TO {o};
             CREATE FUNCTION s.size() RETURNS bigint STABLE LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM s.log';
             ALTER FUNCTION s.size OWNER TO {o};
             ALTER ROLE {a} SET default_transaction_read_only = off",
            o = owner.name,
            a = api.name
        ))
        .await;
    // A function in front of the function, whose owner has nothing but the right to call it.
    let front = database.role("front", "").await;
    let far = database.role("far", "").await;
    database
        .sql(&format!(
            "ALTER ROLE {f} NOLOGIN; GRANT USAGE ON SCHEMA s TO {f}; CREATE SCHEMA open; GRANT USAGE ON SCHEMA open TO {f}, {r};
             REVOKE ALL ON FUNCTION s.add_log FROM PUBLIC; GRANT EXECUTE ON FUNCTION s.add_log TO {f}, {a};
             CREATE FUNCTION open.note(text) RETURNS void LANGUAGE sql SECURITY DEFINER AS 'SELECT s.add_log($1)';
             ALTER FUNCTION open.note OWNER TO {f}",
            f = front.name,
            r = far.name,
            a = api.name
        ))
        .await;
    let said = not_yet(frozen(&services, &url, &format!("roles = ['{}']", far.name)).as_ref()).await;
    assert!(said.contains(&format!("role {} (through open.note, by the catalog) writes", far.name)), "{said}");
    client(&database.url_of(&far)).await.batch_execute("SELECT open.note('x')").await.unwrap();

    let call = "SELECT s.add_log('x')";
    let only = format!("roles = ['{}']", api.name);
    let said = not_yet(frozen(&services, &url, &only).as_ref()).await;
    assert!(said.contains(&format!("role {} (through s.add_log, by the catalog) writes", api.name)), "{said}");

    // Everybody's new sessions begin read-only, its own setting notwithstanding, and those from before are ended.
    let old = client(&database.url_of(&api)).await;
    old.batch_execute(call).await.unwrap();
    let freeze = action("postgres.freeze", &format!("database = '{url}'"), &services);
    let try_it = attempt();
    let captured = freeze.capture(&try_it.cx).await.unwrap();
    let told = freeze.apply(&try_it.cx, &captured).await.unwrap();
    assert!(told.evidence["ended"].to_string().contains(&api.name), "{told:?}");
    assert!(old.batch_execute(call).await.is_err(), "it writes on");
    assert_eq!(refused(&client(&database.url_of(&api)).await, call).await, "25006");
    let line =
        green_after(frozen(&services, &url, &format!("{only}\nafter = 'freeze'")).as_ref(), &told.evidence).await;
    assert!(line.contains(&format!("if they ask, these can: {}", api.name)), "{line}");
    freeze.restore(&try_it.cx, &captured).await.unwrap();

    // What its owner may do is not revoked with what it may do itself.
    let freeze = action("postgres.freeze", &format!("database = '{url}'\nstrength = 'revoke'\n{only}"), &services);
    let captured = freeze.capture(&try_it.cx).await.unwrap();
    let told = freeze.apply(&try_it.cx, &captured).await.unwrap();
    let left = format!("can still write: {} (through s.add_log, which writes as {})", api.name, owner.name);
    assert!(told.line.contains(&left), "{}", told.line);
    let strict = frozen(&services, &url, &format!("strength = 'revoke'\n{only}"));
    let said = not_yet(strict.as_ref()).await;
    assert!(said.contains(&format!("role {} (through s.add_log, by the catalog) writes", api.name)), "{said}");
    client(&database.url_of(&api)).await.batch_execute(call).await.unwrap();
    let logins = format!("strength = 'revoke'\n{only}\nlogins = {{ {} = '{}' }}", api.name, database.url_of(&api));
    assert!(not_yet(frozen(&services, &url, &logins).as_ref()).await.contains("through s.add_log"));
    freeze.restore(&try_it.cx, &captured).await.unwrap();

    // Opened again, a session that began read-only is ended, too.
    database
        .sql(&format!("ALTER ROLE {} RESET default_transaction_read_only; ALTER DATABASE \"{name}\" SET default_transaction_read_only = on", api.name))
        .await;
    let guarded = client(&database.url_of(&api)).await;
    let opens = action("postgres.unfreeze", &format!("database = '{url}'"), &services);
    let captured = opens.capture(&try_it.cx).await.unwrap();
    let told = opens.apply(&try_it.cx, &captured).await.unwrap();
    assert!(told.evidence["ended"].to_string().contains(&api.name), "{told:?}");
    assert!(guarded.batch_execute("SELECT 1").await.is_err(), "it stays read-only");
    client(&database.url_of(&api)).await.batch_execute(call).await.unwrap();
    // With the function of nobody who can write it is none.
    database.sql(&format!("ALTER TABLE s.log OWNER TO postgres; GRANT SELECT ON s.log TO {}", owner.name)).await;
    green(frozen(&services, &url, &format!("strength = 'revoke'\n{only}")).as_ref()).await;
}

/// A view that a trigger writes for is written to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_with_a_trigger_is_written_to() {
    let services = services(env());
    let database = database("instead").await;
    let app = database.role("app", "").await;
    database
        .sql(&format!(
            "CREATE TABLE t (note text); CREATE VIEW v AS SELECT note, count(*) AS n FROM t GROUP BY note;
             CREATE FUNCTION put() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN INSERT INTO t VALUES (NEW.note); RETURN NEW; END';
             CREATE TRIGGER put INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION put(); GRANT INSERT ON v TO {}",
            app.name
        ))
        .await;
    client(&database.url_of(&app)).await.batch_execute("INSERT INTO v VALUES ('x')").await.unwrap();
    let check = frozen(&services, &database.url(), &format!("roles = ['{}']", app.name));
    let said = not_yet(check.as_ref()).await;
    assert!(said.contains(&format!("role {} (INSERT on public.v) writes", app.name)), "{said}");
    database.sql(&format!("ALTER DATABASE \"{}\" SET default_transaction_read_only = on", database.name)).await;
    assert!(green(check.as_ref()).await.contains("if they ask"));
}

/// Whom the freeze kept from logging in is put to the proof without being named again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_roles_of_the_freeze_are_proved() {
    let services = services(env());
    let cluster = Cluster::start(&[]);
    let url = cluster.url("postgres");
    let admin = cluster.client("postgres").await;
    admin
        .batch_execute(
            "CREATE ROLE app LOGIN PASSWORD 'app-pw-1'; CREATE TABLE t (note text); GRANT INSERT ON t TO app",
        )
        .await
        .unwrap();
    let freeze = action("postgres.freeze", &format!("database = '{url}'\nstrength = 'nologin'"), &services);
    let try_it = attempt();
    let captured = freeze.capture(&try_it.cx).await.unwrap();
    let told = freeze.apply(&try_it.cx, &captured).await.unwrap();
    let proof = frozen(&services, &url, "strength = 'nologin'\nexcept = ['postgres']\nafter = 'freeze'");
    let line = green_after(proof.as_ref(), &told.evidence).await;
    assert!(line.contains("1 roles cannot write, 1 of them cannot log in"), "{line}");
}

/// No limit of connections holds a superuser back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_superuser_without_connections_logs_in() {
    let services = services(env());
    // Its own: a superuser is a writer to every other test's database.
    let cluster = Cluster::start(&[]);
    let admin = cluster.client("postgres").await;
    let sql = "CREATE ROLE root SUPERUSER LOGIN PASSWORD 'root-pw-1' CONNECTION LIMIT 0; CREATE TABLE t (note text)";
    admin.batch_execute(sql).await.unwrap();
    let url = format!("postgres://root:root-pw-1@127.0.0.1:{}/postgres", cluster.port);
    client(&url).await.batch_execute(WRITE).await.unwrap();
    let check = frozen(&services, &cluster.url("postgres"), "roles = ['root']");
    let said = not_yet(check.as_ref()).await;
    assert!(said.contains("role root (superuser"), "{said}");
}

/// What is called from a function that is `STABLE` writes all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stable_function_in_front_of_one_that_writes_makes_writers() {
    let services = services(env());
    let database = database("stable").await;
    let api = database.role("api", "").await;
    database
        .sql(&format!(
            "CREATE TABLE log (t text); CREATE FUNCTION add_log() RETURNS void LANGUAGE sql AS 'INSERT INTO log VALUES (1)';
             CREATE FUNCTION front() RETURNS int STABLE LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN PERFORM add_log(); RETURN 1; END';
             REVOKE ALL ON FUNCTION add_log FROM PUBLIC; GRANT USAGE ON SCHEMA public TO {}",
            api.name
        ))
        .await;
    client(&database.url_of(&api)).await.batch_execute("SELECT front()").await.unwrap();
    assert_eq!(count(&database, "SELECT count(*) FROM log").await, 1);
    let check = frozen(&services, &database.url(), &format!("roles = ['{}']", api.name));
    let said = not_yet(check.as_ref()).await;
    assert!(said.contains(&format!("role {} (through public.front, by the catalog) writes", api.name)), "{said}");
}

/// A transaction that has written commits, though its role may not write any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_has_written_is_a_writer() {
    let services = services(env());
    let database = database("frozen_open").await;
    let (app, batch) = (database.role("app", "").await, database.role("batch", "").await);
    database.sql(&format!("CREATE TABLE t (note text); GRANT INSERT ON t TO {}, PUBLIC", app.name)).await;
    let open = client(&format!("{}?application_name=nightly", database.url_of(&batch))).await;
    open.batch_execute(&format!("BEGIN; {WRITE}")).await.unwrap();
    database.sql(&format!("REVOKE INSERT ON t FROM {}, PUBLIC", app.name)).await;
    let roles = format!("strength = 'revoke'\nroles = ['{}', '{}']", app.name, batch.name);
    let check = frozen(&services, &database.url(), &roles);
    let said = not_yet(check.as_ref()).await;
    assert!(said.contains("1 can still write: session pid") && said.contains("nightly"), "{said}");
    assert!(said.contains("with uncommitted writes, since "), "{said}");
    open.batch_execute("COMMIT").await.unwrap();
    assert_eq!(count(&database, "SELECT count(*) FROM t").await, 1);
    green(check.as_ref()).await;
}

#[tokio::test]
async fn bad_parameters() {
    let services = services(env());
    points_at(KIND, "", &services, "", "needs `database`");
    points_at(KIND, "database = 'x'\nstrength = 'hard'", &services, "'hard'", "must be one of");
    points_at(KIND, "database = 'x'\nafter = 'No Id'", &services, "'No Id'", "");
    let after = frozen(&services, "postgres://127.0.0.1:1/x", "after = 'freeze'");
    let failure = after.check(&attempt().cx).await.unwrap_err();
    assert!(failure.message.contains("step freeze has not said"), "{failure:?}");
}
