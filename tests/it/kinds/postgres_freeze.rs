//! `postgres.freeze` against a real cluster: every strength, put back exactly, cut short at every moment.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gonogo::{
    base::Class,
    plan::{Action, Finding, contract::Prior},
    services::Services,
};
use serde_json::Value as Json;
use tokio_postgres::Client;

use super::{
    contract::{action, acts_and_restores, attempt, attempt_of, done, env, points_at, services},
    postgres_session::{limits, text},
};
use crate::{
    pgbouncer::PgBouncer,
    postgres::{Database, Role, client, database},
    proxy::{Proxy, Way},
};

const KIND: &str = "postgres.freeze";

/// Roles of all sorts over a schema of all sorts.
pub struct Shop {
    pub database: Database,
    pub owner: Role,
    pub app: Role,
    pub member: Role,
    pub reader: Role,
    /// A group of `member`, which does not inherit.
    pub group: Role,
}

impl Shop {
    pub async fn new(name: &str) -> Self {
        let database = database(name).await;
        let owner = database.role("owner", "").await;
        let app = database.role("app", "").await;
        let group = database.role("grp", "").await;
        database.sql(&format!("ALTER ROLE {} NOLOGIN", group.name)).await;
        let member = database.role("member", &format!("NOINHERIT IN ROLE {}", group.name)).await;
        let reader = database.role("reader", "").await;
        let (o, a, g, r, m) = (&owner.name, &app.name, &group.name, &reader.name, &member.name);
        let sql = format!(
            "ALTER DATABASE \"{}\" OWNER TO {o};
            SET ROLE {o};
            CREATE SCHEMA s; GRANT USAGE ON SCHEMA s TO PUBLIC;
            CREATE TABLE s.orders (id bigserial PRIMARY KEY, note text);
            CREATE TABLE s.\"Odd \"\"T\" (id int GENERATED ALWAYS AS IDENTITY, a int);
            CREATE TABLE s.cols (a int, b text, c int);
            CREATE TABLE s.never_granted (a int);
            CREATE VIEW s.through AS SELECT * FROM s.orders;
            GRANT SELECT, INSERT, UPDATE, DELETE ON s.orders TO {a} WITH GRANT OPTION;
            GRANT USAGE ON SEQUENCE s.orders_id_seq TO {a};
            GRANT INSERT ON s.\"Odd \"\"T\" TO {g};
            GRANT INSERT ON s.through TO {a};
            GRANT UPDATE (b), SELECT (a) ON s.cols TO {m};
            GRANT DELETE ON s.cols TO PUBLIC;
            GRANT SELECT ON s.orders, s.cols, s.never_granted TO {r};
            SET ROLE {a};
            GRANT INSERT ON s.orders TO {m};
            RESET ROLE;
            ALTER ROLE {a} IN DATABASE \"{0}\" SET work_mem = '5MB';
            ALTER ROLE {a} IN DATABASE \"{0}\" SET default_transaction_read_only = 'false';
            ALTER ROLE {a} IN DATABASE \"{0}\" SET search_path = s, public;",
            database.name
        );
        database.sql(&sql).await;
        Self { database, owner, app, member, reader, group }
    }

    pub async fn client(&self, role: &Role) -> Client {
        client(&self.database.url_of(role)).await
    }

    /// All that a freeze may touch, as text.
    pub async fn state(&self) -> String {
        let sql = "SELECT pg_catalog.json_build_object(
          'settings', (SELECT json_agg(json_build_array(setrole, setdatabase <> 0, setconfig) ORDER BY setrole)
            FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())),
          'logins', (SELECT json_agg(json_build_array(rolname, rolcanlogin) ORDER BY rolname) FROM pg_roles WHERE rolname = ANY ($1)),
          'grants', (SELECT json_agg(json_build_array(relname, coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's'::\"char\" ELSE 'r' END, relowner))::text,
              (SELECT json_agg(json_build_array(attname, attacl::text) ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid AND attacl IS NOT NULL)) ORDER BY relname)
            FROM pg_class c WHERE relnamespace = 's'::regnamespace AND relkind IN ('r', 'S', 'v')))::text";
        let names: Vec<&str> =
            [&self.owner, &self.app, &self.member, &self.reader].map(|role| role.name.as_str()).into();
        self.database.rows(sql, &[&names]).await[0].get(0)
    }

    /// Grows with every change of what [`Shop::state`] tells.
    pub async fn changes(&self) -> usize {
        let sql = "SELECT greatest(
          (SELECT max(xmin::text::bigint) FROM pg_class WHERE relnamespace = 's'::regnamespace),
          (SELECT max(xmin::text::bigint) FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())),
          (SELECT max(xmin::text::bigint) FROM pg_authid WHERE rolname = ANY ($1)))";
        let names: Vec<&str> =
            [&self.owner, &self.app, &self.member, &self.reader].map(|role| role.name.as_str()).into();
        usize::try_from(self.database.rows(sql, &[&names]).await[0].get::<_, i64>(0)).unwrap()
    }

    pub fn freeze(&self, services: &Arc<Services>, more: &str) -> Arc<dyn Action> {
        action(KIND, &format!("database = '{}'\n{more}", self.database.url()), services)
    }
}

const WRITE: &str = "INSERT INTO s.orders (note) VALUES ('x')";

/// The server's code for what a statement was refused.
pub async fn refused(client: &Client, sql: &str) -> String {
    let error = client.batch_execute(sql).await.expect_err(sql);
    error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract_at_every_strength() {
    let services = services(env());
    let shop = Shop::new("freeze").await;
    let named = format!("roles = ['{}', '{}', '{}']", shop.owner.name, shop.app.name, shop.member.name);
    for more in [
        String::new(),
        named.clone(),
        "strength = 'revoke'".into(),
        format!("strength = 'revoke'\nroles = ['{}']", shop.member.name),
        format!("strength = 'nologin'\n{named}"),
    ] {
        let freeze = shop.freeze(&services, &more);
        assert!(freeze.clocks().freeze_starts);
        acts_and_restores(freeze.as_ref(), || shop.state(), || shop.changes()).await;
        shop.client(&shop.app).await.batch_execute(WRITE).await.unwrap_or_else(|e| panic!("{more}: {e:?}"));
    }
    shop.database.cluster.nothing_left(&shop.database.name).await;
}

/// What each strength means for a session that exists, a new one and one that asks, and after it was put back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_from_before_end_and_are_named() {
    let services = services(env());
    for (strength, plain, asking) in
        [("default", "25006", ""), ("revoke", "42501", "42501"), ("nologin", "28000", "28000")]
    {
        let shop = Shop::new("freeze_s").await;
        let (old, reader) = (shop.client(&shop.app).await, shop.client(&shop.reader).await);
        old.batch_execute(&format!("SET application_name = 'puma'; BEGIN; {WRITE}")).await.unwrap();
        let freeze = shop.freeze(&services, &format!("strength = '{strength}'\nroles = ['{}']", shop.app.name));
        let attempt = attempt();
        let captured = freeze.capture(&attempt.cx).await.unwrap();
        let told = freeze.apply(&attempt.cx, &captured).await.unwrap();
        assert!(
            told.line.contains("ended 1 session: pid ") && told.line.contains("puma 127.0.0.1 idle in transaction"),
            "{}",
            told.line
        );
        let left_out = captured["left_out"].to_string();
        assert!(left_out.contains(&shop.owner.name) && told.line.contains("(not named by `roles`)"), "{}", told.line);
        let sessions = &told.evidence["ended"]["sessions"];
        assert_eq!(
            (sessions[0]["role"].as_str(), sessions[0]["application"].as_str()),
            (Some(shop.app.name.as_str()), Some("puma"))
        );
        assert!(old.batch_execute("SELECT 1").await.is_err(), "the old session lives");
        reader.batch_execute("SELECT 1").await.expect("another role's session was ended");
        let url = shop.database.url_of(&shop.app);
        let tried = match tokio_postgres::connect(&url, tokio_postgres::NoTls).await {
            Err(error) => (error.code().unwrap().code().to_owned(), error.code().unwrap().code().to_owned()),
            Ok((new, connection)) => {
                tokio::spawn(connection);
                let asked = new.batch_execute(&format!("BEGIN READ WRITE; {WRITE}; ROLLBACK")).await;
                let asked = asked.err().map_or_else(String::new, |e| e.code().unwrap().code().to_owned());
                let _ = new.batch_execute("ROLLBACK").await;
                (refused(&new, WRITE).await, asked)
            }
        };
        assert_eq!((tried.0.as_str(), tried.1.as_str()), (plain, asking), "{strength}");
        // A session that began while it was frozen would stay read-only.
        let frozen = if strength == "nologin" { None } else { Some(shop.client(&shop.app).await) };
        freeze.restore(&attempt.cx, &captured).await.unwrap();
        if let Some(frozen) = frozen {
            let tried = frozen.batch_execute(WRITE).await;
            assert!(tried.is_ok() || frozen.is_closed(), "{strength}: read-only for ever: {tried:?}");
        }
        shop.client(&shop.app).await.batch_execute(WRITE).await.unwrap();
    }
}

/// Entries of an ACL come back in their order by their grantors; what others granted or set in between stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_changed_in_between_stays() {
    let services = services(env());
    let shop = Shop::new("freeze_o").await;
    let before = shop.state().await;
    let freeze = shop.freeze(&services, "strength = 'revoke'");
    let captured = done(freeze.as_ref()).await;
    assert_ne!(shop.state().await, before);
    let (reader, name) = (&shop.reader.name, &shop.database.name);
    let other = format!(
        "SET ROLE {}; GRANT TRIGGER ON s.orders TO {reader}; GRANT REFERENCES (c) ON s.cols TO {reader}; DROP TABLE s.never_granted",
        shop.owner.name
    );
    shop.database.sql(&other).await;
    let told = freeze.restore(&attempt().cx, &captured).await.unwrap();
    assert!(told.line.contains("others changed, left as it is"), "{}", told.line);
    assert!(
        told.line.contains("grants on s.orders that others made") && told.line.contains("s.never_granted is gone"),
        "{}",
        told.line
    );
    let undo = format!(
        "SET ROLE {}; REVOKE TRIGGER ON s.orders FROM {reader}; REVOKE REFERENCES (c) ON s.cols FROM {reader}; CREATE TABLE s.never_granted (a int); GRANT SELECT ON s.never_granted TO {reader}",
        shop.owner.name
    );
    shop.database.sql(&undo).await;
    assert_eq!(shop.state().await, before);
    // The same with settings.
    let freeze = shop.freeze(&services, &format!("roles = ['{}']", shop.app.name));
    let captured = done(freeze.as_ref()).await;
    shop.database.sql(&format!("ALTER ROLE {} IN DATABASE \"{name}\" SET work_mem = '6MB'", shop.app.name)).await;
    let told = freeze.restore(&attempt().cx, &captured).await.unwrap();
    assert!(told.line.contains("other settings of role"), "{}", told.line);
    assert_eq!(shop.state().await, before.replace("work_mem=5MB", "work_mem=6MB"));
}

/// What a hosted customer has: the database's owner, no superuser.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_owner_freezes_what_it_may_and_says_the_rest() {
    let services = services(env());
    let shop = Shop::new("freeze_h").await;
    let url = shop.database.url_of(&shop.owner);
    let before = shop.state().await;
    let own = shop.client(&shop.owner).await;
    let freeze = action(KIND, &format!("database = '{url}'"), &services);
    let attempt = attempt();
    let captured = freeze.capture(&attempt.cx).await.unwrap();
    let told = freeze.apply(&attempt.cx, &captured).await.unwrap();
    assert!(told.line.contains(&format!("new sessions of {} begin read-only", shop.owner.name)), "{}", told.line);
    assert!(
        told.line.contains("can still write: ") && told.line.contains("we may not end its sessions"),
        "{}",
        told.line
    );
    let left_out = captured["left_out"].as_array().unwrap();
    let left_out: Vec<&str> = left_out.iter().filter_map(|one| one["role"].as_str()).collect();
    assert!(left_out.contains(&shop.app.name.as_str()) && left_out.contains(&"postgres"), "{left_out:?}");
    assert!(own.batch_execute("SELECT 1").await.is_err());
    assert_eq!(refused(&shop.client(&shop.owner).await, WRITE).await, "25006");
    freeze.restore(&attempt.cx, &captured).await.unwrap();
    assert_eq!(shop.state().await, before);
    // Its own privileges it can take from itself, and give back.
    let freeze =
        action(KIND, &format!("database = '{url}'\nstrength = 'revoke'\nroles = ['{}']", shop.owner.name), &services);
    let captured = freeze.capture(&attempt.cx).await.unwrap();
    let told = freeze.apply(&attempt.cx, &captured).await;
    assert!(told.is_ok() || told.as_ref().is_err_and(|failure| failure.class == Class::Denied), "{told:?}");
    if told.is_ok() {
        freeze.restore(&attempt.cx, &captured).await.unwrap();
    }
    assert_eq!(shop.state().await, before);
    // A named role that it may not freeze is refused, and nothing is done.
    for (more, class) in [
        (format!("roles = ['{}']", shop.app.name), Class::Denied),
        (format!("roles = ['{}']\nstrength = 'nologin'", shop.owner.name), Class::Refused),
        ("roles = ['nobody_there']".to_owned(), Class::Misconfigured),
    ] {
        let freeze = action(KIND, &format!("database = '{url}'\n{more}"), &services);
        let failure = freeze.capture(&attempt.cx).await.unwrap_err();
        assert_eq!(failure.class, class, "{more}: {failure:?}");
    }
    assert_eq!(shop.state().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_it_cannot_reach_is_said() {
    let services = services(env());
    let shop = Shop::new("freeze_w").await;
    let root = shop.database.role("root", "SUPERUSER").await;
    let all = shop.database.role("all", "IN ROLE pg_write_all_data").await;
    let revoke = shop.freeze(&services, "strength = 'revoke'");
    let captured = revoke.capture(&attempt().cx).await.unwrap();
    let left_out = captured["left_out"].to_string();
    assert!(left_out.contains(&root.name) && left_out.contains("a superuser, whom no privilege binds"), "{left_out}");
    assert!(left_out.contains(&all.name) && left_out.contains("member of pg_write_all_data"), "{left_out}");
    for (more, why) in [
        (format!("roles = ['{}']\nstrength = 'revoke'", root.name), "superuser"),
        (format!("roles = ['{}']\nstrength = 'revoke'", all.name), "pg_write_all_data"),
        ("roles = ['postgres']\nstrength = 'nologin'".into(), "we log in as it ourselves"),
    ] {
        let failure = shop.freeze(&services, &more).capture(&attempt().cx).await.unwrap_err();
        assert_eq!(failure.class, Class::Refused, "{more}: {failure:?}");
        assert!(failure.message.contains(why), "{more}: {failure:?}");
    }
    // A prepared transaction is in no session.
    let app = shop.client(&shop.app).await;
    let gid = shop.database.name.clone();
    app.batch_execute(&format!("BEGIN; {WRITE}; PREPARE TRANSACTION '{gid}'")).await.unwrap();
    let freeze = shop.freeze(&services, &format!("roles = ['{}']", shop.app.name));
    let attempt = attempt();
    let captured = freeze.capture(&attempt.cx).await.unwrap();
    let told = freeze.apply(&attempt.cx, &captured).await.unwrap();
    assert!(
        told.line.contains(&format!("prepared transactions can still be committed: {gid} of {}", shop.app.name)),
        "{}",
        told.line
    );
    freeze.restore(&attempt.cx, &captured).await.unwrap();
    shop.database.sql(&format!("ROLLBACK PREPARED '{gid}'")).await;
}

/// Cut at the commit, nobody knows; a probe does. Cut before it, nothing was done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_short_at_any_moment() {
    let services = services(env());
    let shop = Shop::new("freeze_c").await;
    let before = shop.state().await;
    // Somebody holds what it wants to change: it gives up soon, having done nothing.
    let other = shop.database.client().await;
    let alter =
        format!("BEGIN; ALTER ROLE {} IN DATABASE \"{}\" SET work_mem = '7MB'", shop.app.name, shop.database.name);
    other.batch_execute(&alter).await.unwrap();
    let freeze = shop.freeze(&services, &format!("roles = ['{}']", shop.app.name));
    let captured = freeze.capture(&attempt().cx).await.unwrap();
    let begun = std::time::Instant::now();
    let failure = freeze.apply(&attempt().cx, &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone, "{failure:?}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    // Cancelled while it waits for that: the same.
    let cancelled = attempt();
    let (cx, acting, kept) = (cancelled.cx.clone(), freeze.clone(), captured.clone());
    let task = tokio::spawn(async move { acting.apply(&cx, &kept).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    cancelled.cx.cancel.cancel();
    assert_eq!(task.await.unwrap().unwrap_err().class, Class::FailedNothingDone);
    other.batch_execute("ROLLBACK").await.unwrap();
    shop.database.cluster.nothing_left(&shop.database.name).await;
    assert_eq!(shop.state().await, before);

    // Nobody hears the server any more, from some moment on.
    let proxy = Proxy::to(shop.database.cluster.port).await;
    let url = format!("postgres://postgres@{}/{}", proxy.address, shop.database.name);
    let through = action(KIND, &format!("database = '{url}'\nroles = ['{}']", shop.app.name), &services);
    let mut seen = Vec::new();
    for wait in [0, 10, 30, 60] {
        let cut = attempt_of(Duration::from_secs(3), BTreeMap::new());
        let (cx, acting, kept) = (cut.cx.clone(), through.clone(), captured.clone());
        let task = tokio::spawn(async move { acting.apply(&cx, &kept).await });
        tokio::time::sleep(Duration::from_millis(wait)).await;
        proxy.set(Way::Cut);
        let outcome = task.await.unwrap();
        proxy.set(Way::Pass);
        shop.database.cluster.nothing_left(&shop.database.name).await;
        let found = freeze.probe(&attempt().cx, &captured, false).await.unwrap();
        match (&outcome, &found) {
            (Ok(_), Finding::Done(_)) => {}
            (Err(failure), Finding::NotDone { .. }) => {
                assert!(failure.class.nothing_done() || failure.class == Class::Unknown, "{failure:?}");
            }
            (Err(failure), Finding::Done(_)) => assert_eq!(failure.class, Class::Unknown, "{failure:?}"),
            odd => panic!("{odd:?}"),
        }
        seen.push((wait, outcome.is_ok()));
        freeze.restore(&attempt().cx, &captured).await.unwrap();
        assert_eq!(shop.state().await, before);
    }
    // A server that stands still: the deadline holds.
    proxy.set(Way::Swallow);
    let short = attempt_of(Duration::from_millis(800), BTreeMap::new());
    let begun = std::time::Instant::now();
    let failure = through.apply(&short.cx, &captured).await.unwrap_err();
    assert!(failure.class.nothing_done(), "{failure:?}");
    assert!(begun.elapsed() < Duration::from_secs(8));
    assert_eq!(through.restore(&attempt().cx, &Json::Null).await.unwrap_err().class, Class::Misconfigured);
}

/// Nobody logs in as a group: naming it means its members.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_stands_for_its_members() {
    let services = services(env());
    let shop = Shop::new("freeze_g").await;
    let roles = format!("roles = ['{}']", shop.group.name);
    let before = shop.state().await;
    let write = format!("SET ROLE {}; INSERT INTO s.\"Odd \"\"T\" (a) VALUES (1)", shop.group.name);
    shop.client(&shop.member).await.batch_execute(&write).await.unwrap();
    for (strength, code) in [("default", "25006"), ("revoke", "42501")] {
        let freeze = shop.freeze(&services, &format!("strength = '{strength}'\n{roles}"));
        let captured = done(freeze.as_ref()).await;
        assert_eq!(refused(&shop.client(&shop.member).await, &write).await, code);
        let proof = format!("database = '{}'\nheld = '0s'\nstrength = '{strength}'\n{roles}", shop.database.url());
        let proof = super::contract::check("postgres.frozen", &proof, &services);
        super::postgres_replication_lag::green(proof.as_ref()).await;
        freeze.restore(&attempt().cx, &captured).await.unwrap();
        assert_eq!(shop.state().await, before);
        super::postgres_replication_lag::says(proof.as_ref(), &format!("role {}", shop.member.name)).await;
    }
}

/// A session with our role, name and address is somebody else's all the same: the application's, or a pooler's that took our
/// name over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_looks_like_us_is_not_us() {
    let services = services(env());
    let shop = Shop::new("freeze_like").await;
    let url = shop.database.url_of(&shop.app);
    let pooler = PgBouncer::start(shop.database.cluster.port, &[&shop.app]);
    for like in [url.clone(), pooler.url(&shop.app, &shop.database.name)] {
        let other = client(&format!("{like}?application_name=gonogo")).await;
        other.batch_execute(WRITE).await.unwrap();
        let ours = services.postgres.connect(&text(url.clone()), &limits(30)).await.unwrap();
        let freeze = action(KIND, &format!("database = '{url}'\nroles = ['{}']", shop.app.name), &services);
        let attempt = attempt();
        let captured = freeze.capture(&attempt.cx).await.unwrap();
        // Frozen by hand, and nobody's session ended: the proof names it.
        let name = &shop.database.name;
        let set = |value| {
            format!("ALTER ROLE {} IN DATABASE \"{name}\" SET default_transaction_read_only = {value}", shop.app.name)
        };
        shop.database.sql(&set("on")).await;
        let proof = format!("database = '{url}'\nheld = '0s'\nroles = ['{}']", shop.app.name);
        let proof = super::contract::check("postgres.frozen", &proof, &services);
        let said = super::postgres_replication_lag::not_yet(proof.as_ref()).await;
        assert!(said.contains("1 can still write: session pid") && said.contains("gonogo 127.0.0.1"), "{said}");
        shop.database.sql(&set("off")).await;
        let told = freeze.apply(&attempt.cx, &captured).await.unwrap();
        assert!(told.line.contains("ended 1 session: pid ") && told.line.contains("gonogo 127.0.0.1"), "{}", told.line);
        assert!(other.batch_execute(WRITE).await.is_err(), "it writes on");
        ours.rows("SELECT 1", &[]).await.expect("a session of our own was ended");
        ours.close().await;
        freeze.restore(&attempt.cx, &captured).await.unwrap();
    }
}

/// Found done after nobody saw the commit: whoever connected between capture and commit is still there, and what is told
/// afterwards is enough for the proof.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn found_done_it_knows_who_is_older() {
    let services = services(env());
    let shop = Shop::new("freeze_found").await;
    let freeze = shop.freeze(&services, &format!("roles = ['{}']", shop.app.name));
    let captured = freeze.capture(&attempt().cx).await.unwrap();
    let between = shop.client(&shop.app).await;
    let (name, app) = (&shop.database.name, &shop.app.name);
    let commit = format!("ALTER ROLE {app} IN DATABASE \"{name}\" SET default_transaction_read_only = on");
    shop.database.sql(&commit).await;
    let found = freeze.probe(&attempt().cx, &captured, false).await.unwrap();
    assert!(matches!(&found, Finding::Unclear { line } if line.contains("sessions from before")), "{found:?}");
    between.batch_execute(WRITE).await.unwrap();
    drop(between);
    let Finding::Done(done) = freeze.probe(&attempt().cx, &captured, false).await.unwrap() else { panic!("not done") };
    assert_eq!(done.evidence["roles"], serde_json::json!([app]));
    // A pooler comes back.
    let _again = shop.client(&shop.app).await;
    let proof = format!("database = '{}'\nheld = '0s'\nroles = ['{app}']\nafter = 'freeze'", shop.database.url());
    let proof = super::contract::check("postgres.frozen", &proof, &services);
    let look = async |evidence, by_hand| {
        let prior = Prior { captured: captured.clone(), evidence, by_hand };
        let after = attempt_of(Duration::from_secs(30), BTreeMap::from([("freeze", prior)]));
        proof.check(&after.cx).await
    };
    look(done.evidence.clone(), None).await.unwrap();
    let at: chrono::DateTime<chrono::Utc> = done.evidence["at"].as_str().unwrap().parse().unwrap();
    look(Json::Null, Some(at)).await.unwrap();
    let failure = look(Json::Null, Some(at + Duration::from_secs(60))).await.unwrap_err();
    assert!(failure.message.contains("session pid"), "{failure:?}");
    assert!(look(Json::Null, None).await.unwrap_err().message.contains("has not said when it froze"));
}

/// Whoever writes by what `PUBLIC` may loses it with the roles that are named, and what it has begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_wrote_by_what_all_may_commits_no_more() {
    let services = services(env());
    let database = database("freeze_public").await;
    let (app, batch) = (database.role("app", "").await, database.role("batch", "").await);
    let quiet = database.role("quiet", "").await;
    database.sql(&format!("CREATE TABLE t (note text); GRANT INSERT ON t TO {}, PUBLIC", app.name)).await;
    let write = "INSERT INTO t VALUES ('x')";
    let (open, idle) = (client(&database.url_of(&batch)).await, client(&database.url_of(&quiet)).await);
    open.batch_execute(&format!("BEGIN; {write}")).await.unwrap();
    idle.batch_execute(write).await.unwrap();
    let text = format!("database = '{}'\nstrength = 'revoke'\nroles = ['{}']", database.url(), app.name);
    let freeze = action(KIND, &text, &services);
    let attempt = attempt();
    let captured = freeze.capture(&attempt.cx).await.unwrap();
    // Killed between its commit and the end of the sessions.
    let revoke = format!("REVOKE INSERT ON t FROM {}, PUBLIC", app.name);
    database.sql(&revoke).await;
    let found = freeze.probe(&attempt.cx, &captured, false).await.unwrap();
    assert!(matches!(&found, Finding::Unclear { line } if line.contains(&batch.name)), "{found:?}");
    let told = freeze.apply(&attempt.cx, &captured).await.unwrap();
    let ended = "of others who lost their privilege: ended 1 session: pid ";
    assert!(told.line.contains(ended) && told.line.contains(&batch.name), "{}", told.line);
    assert!(!told.line.contains(&format!("{} (not named", batch.name)), "{}", told.line);
    assert!(open.batch_execute("COMMIT").await.is_err(), "it was committed");
    assert_eq!(refused(&idle, write).await, "42501");
    let found = freeze.probe(&attempt.cx, &captured, false).await.unwrap();
    assert!(matches!(found, Finding::Done(_)), "{found:?}");
    freeze.restore(&attempt.cx, &captured).await.unwrap();
    idle.batch_execute(write).await.unwrap();
}

/// Roles and columns that were dropped meanwhile are named and hold nothing else up; a renamed table is the same table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_meanwhile_is_left_out_and_named() {
    let services = services(env());
    for strength in ["default", "revoke", "nologin"] {
        let database = database("freeze_gone").await;
        let (app, other) = (database.role("app", "").await, database.role("temp", "").await);
        let (a, d) = (&app.name, &other.name);
        database
            .sql(&format!(
                "CREATE TABLE t (a int, b int); CREATE TABLE u (a int); GRANT INSERT, UPDATE ON t TO {a} WITH GRANT OPTION;
                 GRANT INSERT ON t TO {d} WITH GRANT OPTION; GRANT UPDATE (a, b) ON t TO {d}; GRANT UPDATE (b) ON t TO {a};
                 GRANT DELETE ON u TO {a}; SET ROLE {d}; GRANT INSERT ON t TO {a}; RESET ROLE;
                 ALTER ROLE {d} IN DATABASE \"{}\" SET default_transaction_read_only = off",
                database.name
            ))
            .await;
        let text = format!("database = '{}'\nstrength = '{strength}'\nroles = ['{a}', '{d}']", database.url());
        let freeze = action(KIND, &text, &services);
        let captured = done(freeze.as_ref()).await;
        let drop = format!(
            "SET default_transaction_read_only = off; DROP OWNED BY {d}; DROP ROLE {d}; ALTER TABLE t DROP b; ALTER TABLE u RENAME TO u2"
        );
        database.sql(&drop).await;
        let told = freeze.restore(&attempt().cx, &captured).await.unwrap();
        assert!(told.line.contains(&format!("role {d} is gone")), "{strength}: {}", told.line);
        assert_eq!(told.line.contains("column public.t.b is gone"), strength == "revoke", "{}", told.line);
        let found = freeze.probe(&attempt().cx, &captured, true).await.unwrap();
        assert!(matches!(found, Finding::Done(_)), "{found:?}");
        let writes = "INSERT INTO t VALUES (1); UPDATE t SET a = 2; DELETE FROM u2 WHERE false";
        client(&database.url_of(&app))
            .await
            .batch_execute(writes)
            .await
            .unwrap_or_else(|e| panic!("{strength}: {e:?}"));
    }
}

#[tokio::test]
async fn bad_parameters() {
    let services = services(env());
    points_at(KIND, "", &services, "", "needs `database`");
    points_at(KIND, "database = 'x'\nstrength = 'revok'", &services, "'revok'", "must be one of");
    points_at(KIND, "database = 'x'\nroles = []", &services, "[]", "must name roles");
    points_at(KIND, "database = 'x'\nroles = ['']", &services, "['']", "must name roles");
}
