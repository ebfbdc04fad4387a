//! The first moment of the data: roles, the shop's tables and rows on the old side, the same tables on the new one, and
//! logical replication from the one to the other, all of it copied and streaming.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use super::{
    Servers,
    cluster::{self, DATABASE, words},
};

const TABLES: &str = include_str!("story.sql");
const ROWS: &str = include_str!("rows.sql");
/// The first copy of the rows is over within this.
const COPIED: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(100);
/// The publication, the subscription and the slot.
const FORWARD: &str = "shop_to_aws";

/// The passwords, made up when the world begins. They open servers on loopback, to everybody on the machine who has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Words {
    pub admin: String,
    /// The shop's own role: owns everything, and is what the URLs name.
    pub old_shop: String,
    pub new_shop: String,
    pub worker: String,
    pub reporting: String,
    pub replicator: String,
    pub redis: String,
}

impl Words {
    pub fn new() -> std::io::Result<Self> {
        let word = || {
            let mut bytes = [0_u8; 16];
            getrandom::fill(&mut bytes).map_err(|e| std::io::Error::other(e.to_string()))?;
            Ok::<_, std::io::Error>(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        };
        Ok(Self {
            admin: word()?,
            old_shop: word()?,
            new_shop: word()?,
            worker: word()?,
            reporting: word()?,
            replicator: word()?,
            redis: word()?,
        })
    }
}

fn failed(what: &'static str) -> impl Fn(tokio_postgres::Error) -> String {
    move |error| format!("{what}: {}", words(&error))
}

/// Tells it all.
pub(super) async fn tell(sides: Servers, secret: &Words) -> Result<(), String> {
    let (old, new) = tokio::try_join!(
        tables(sides.old, secret, &secret.old_shop, true),
        tables(sides.new, secret, &secret.new_shop, false)
    )?;
    old.batch_execute(&format!("CREATE PUBLICATION {FORWARD} FOR ALL TABLES")).await.map_err(failed("publication"))?;
    let subscribe = format!(
        "CREATE SUBSCRIPTION {FORWARD} CONNECTION '{}' PUBLICATION {FORWARD}",
        conninfo(sides.old, &secret.replicator)
    );
    new.batch_execute(&subscribe).await.map_err(failed("subscription"))?;
    // A guard against early writes. The replication is not held up by it.
    let frozen = format!("ALTER DATABASE {DATABASE} SET default_transaction_read_only = on");
    new.batch_execute(&frozen).await.map_err(failed("the new side's guard"))?;
    streaming(&new).await
}

/// Roles, the database, its tables; the rows where they are wanted. Gives the administrator's connection to it.
async fn tables(address: SocketAddr, secret: &Words, shop: &str, rows: bool) -> Result<Client, String> {
    let whole = cluster::admin(address, &secret.admin, "postgres").await?;
    let Words { worker, reporting, replicator, .. } = secret;
    // What a hosted database's first user may do: make roles, see and end sessions. It is no superuser.
    let roles = format!(
        "CREATE ROLE shop LOGIN CREATEROLE PASSWORD '{shop}';
         CREATE ROLE worker LOGIN PASSWORD '{worker}';
         CREATE ROLE reporting LOGIN PASSWORD '{reporting}';
         CREATE ROLE replicator LOGIN REPLICATION PASSWORD '{replicator}';
         GRANT worker, reporting TO shop WITH ADMIN OPTION;
         GRANT pg_monitor, pg_signal_backend TO shop;"
    );
    whole.batch_execute(&roles).await.map_err(failed("roles"))?;
    whole.batch_execute(&format!("CREATE DATABASE {DATABASE} OWNER shop")).await.map_err(failed("database"))?;
    let admin = cluster::admin(address, &secret.admin, DATABASE).await?;
    admin.batch_execute("ALTER SCHEMA public OWNER TO shop").await.map_err(failed("schema"))?;
    let own =
        cluster::connect(address, ("shop", shop), (DATABASE, "migrations")).await.map_err(failed("the shop's role"))?;
    own.batch_execute(TABLES).await.map_err(failed("tables"))?;
    if rows {
        own.batch_execute(ROWS).await.map_err(failed("rows"))?;
    }
    Ok(admin)
}

fn conninfo(at: SocketAddr, password: &str) -> String {
    format!(
        "host={} port={} dbname={DATABASE} user=replicator password={password} application_name=replication connect_timeout=10",
        at.ip(),
        at.port()
    )
}

/// Waits until every table of the subscriptions streams.
async fn streaming(target: &Client) -> Result<(), String> {
    let until = Instant::now() + COPIED;
    loop {
        let ask = "SELECT count(*) FILTER (WHERE srsubstate <> 'r'), count(*) FROM pg_catalog.pg_subscription_rel";
        let row = target.query_one(ask, &[]).await.map_err(failed("subscription"))?;
        let (open, all): (i64, i64) = (row.get(0), row.get(1));
        if open == 0 && all > 0 {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(format!("{open} of {all} tables were not copied within {} s", COPIED.as_secs()));
        }
        sleep(LOOK).await;
    }
}

/// After a restart: the subscriptions' servers have other ports.
pub(super) async fn reconnect(sides: Servers, secret: &Words) -> Result<(), String> {
    for (at, other) in [(sides.old, sides.new), (sides.new, sides.old)] {
        let admin = cluster::admin(at, &secret.admin, DATABASE).await?;
        let ask = "SELECT s.subname::text FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
                   WHERE d.datname = pg_catalog.current_database()";
        for row in admin.query(ask, &[]).await.map_err(failed("subscriptions"))? {
            let name: String = row.get(0);
            // A setting counts from the next transaction on, and a frozen database has it otherwise.
            admin.batch_execute("SET default_transaction_read_only = off").await.map_err(failed("session"))?;
            let change = format!(
                "ALTER SUBSCRIPTION \"{}\" CONNECTION '{}'",
                name.replace('"', "\"\""),
                conninfo(other, &secret.replicator)
            );
            admin.batch_execute(&change).await.map_err(failed("subscription"))?;
        }
    }
    Ok(())
}
