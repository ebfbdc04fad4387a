//! The shop at work: what writes to the data while the night goes on. It follows the world, as the real one would: visitors
//! order where DNS leads them and the origin serves them, the workers of the platform that has them work off the jobs,
//! and a reporting box that no platform knows of writes on, until the database itself refuses it. Whoever is
//! refused notes it once and writes no more; a look every two seconds tells when it may again.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{Client, error::SqlState};

use super::{
    Servers, cluster,
    jobs::{self, Process},
    story::Words,
};
use crate::sandbox::{
    dns::{Origins, visit},
    keeper::{Handle, Lost, now},
    seed::Seed,
    web::{Side, serves},
};

/// Between two looks at the world.
const TICK: Duration = Duration::from_millis(250);
/// A statement that takes longer is given up; its connection, too.
const STATEMENT: Duration = Duration::from_secs(5);
/// Between two tries of one who is refused, or cannot connect.
const AGAIN: Duration = Duration::from_secs(2);
/// Between two reports.
const REPORT: Duration = Duration::from_secs(1);
/// Between two orders.
const ORDER: Duration = Duration::from_millis(500);
/// How long a job takes.
const JOB: Duration = Duration::from_millis(60);
/// Between two heartbeats.
const BEAT: Duration = Duration::from_secs(1);

/// What the shop needs to know.
#[derive(Clone)]
pub(super) struct Shop {
    pub world: Handle,
    pub servers: Servers,
    /// There is a Redis.
    pub redis: bool,
    pub words: Words,
    pub origins: Origins,
    pub seed: Seed,
}

/// A role with its connection to one side's database.
struct Desk {
    role: &'static str,
    application: &'static str,
    side: Side,
    client: Option<Client>,
    /// It was refused, and has noted that.
    refused: bool,
    not_before: Instant,
}

/// What became of a write.
#[derive(Debug, PartialEq, Eq)]
enum Wrote {
    Yes,
    /// The database takes no writes of this role, and says why.
    Refused(String),
    /// It could not be reached, or it is not yet time to try again.
    Away,
}

/// True where the database means it: read-only, not permitted, not allowed to log in.
pub(super) fn refuses(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        [
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::INSUFFICIENT_PRIVILEGE,
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            SqlState::INVALID_PASSWORD,
        ]
        .contains(code)
    })
}

impl Desk {
    fn new(role: &'static str, application: &'static str, side: Side) -> Self {
        Self { role, application, side, client: None, refused: false, not_before: Instant::now() }
    }

    /// Does some statements in one transaction; `n` fills each of their `$1`, where they have one.
    async fn write(&mut self, shop: &Shop, statements: &[&str], n: i64) -> Wrote {
        if Instant::now() < self.not_before {
            return Wrote::Away;
        }
        let tried = timeout(STATEMENT, self.tried(shop, statements, n)).await;
        match tried {
            Ok(Ok(())) => {
                if std::mem::take(&mut self.refused) {
                    self.note(shop, "writes again", "taken").await;
                }
                Wrote::Yes
            }
            Ok(Err(error)) if refuses(&error) => {
                // Whoever is refused goes: a session that waits for its chance is what a freeze has to look for.
                (self.client, self.not_before) = (None, Instant::now() + AGAIN);
                let why = cluster::words(&error);
                if !std::mem::replace(&mut self.refused, true) {
                    self.note(shop, "stops writing", &format!("refused: {why}")).await;
                }
                Wrote::Refused(why)
            }
            Ok(Err(_)) | Err(_) => {
                // Ended by the server, perhaps by a freeze: the next try says.
                (self.client, self.not_before) = (None, Instant::now() + TICK);
                Wrote::Away
            }
        }
    }

    async fn tried(&mut self, shop: &Shop, statements: &[&str], n: i64) -> Result<(), tokio_postgres::Error> {
        let client = match self.client.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => {
                let (address, password) = shop.door(self.role, self.side);
                cluster::connect(address, (self.role, password), (cluster::DATABASE, self.application)).await?
            }
        };
        let client = self.client.insert(client);
        let work = client.transaction().await?;
        for statement in statements {
            let known = work.prepare(statement).await?;
            if known.params().is_empty() {
                work.execute(&known, &[]).await?;
            } else {
                work.execute(&known, &[&n]).await?;
            }
        }
        work.commit().await
    }

    async fn note(&self, shop: &Shop, operation: &'static str, detail: &str) {
        let who = format!("{} on the {} side", self.role, ["old", "new"][self.side.index()]);
        let detail = detail.to_owned();
        let _world_gone =
            shop.world.with(move |world, now| world.effect(now, ("shop", operation), who, detail, "")).await;
    }
}

/// Where the order of a request is written down.
#[derive(Clone)]
pub(in crate::sandbox) struct Till {
    pub(super) servers: Servers,
    pub(super) words: Words,
}

impl Till {
    /// Writes an order down.
    ///
    /// # Errors
    /// What the database says against it.
    pub async fn order(&self, side: Side, note: &str) -> Result<(), String> {
        let (at, password) = match side {
            Side::Heroku => (self.servers.old, &self.words.old_shop),
            Side::Aws => (self.servers.new, &self.words.new_shop),
        };
        let written = async {
            let client = cluster::connect(at, ("shop", password), (cluster::DATABASE, "puma")).await?;
            client.execute("INSERT INTO orders (customer_id, total, note) VALUES (1, 9.99, $1)", &[&note]).await
        };
        match timeout(STATEMENT, written).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(cluster::words(&error)),
            Err(_) => Err("the database does not answer".into()),
        }
    }
}

/// What of the shop is at work now.
#[derive(Debug, Clone, Copy, Default)]
struct AtWork {
    /// Where the next visitor's order goes, if anywhere.
    orders: Option<Side>,
    /// Workers on Heroku, on ECS.
    workers: [usize; 2],
    clock: bool,
}

impl Shop {
    fn door(&self, role: &str, side: Side) -> (std::net::SocketAddr, &str) {
        let words = &self.words;
        let password = match (role, side) {
            ("worker", _) => &words.worker,
            ("reporting", _) => &words.reporting,
            (_, Side::Heroku) => &words.old_shop,
            (_, Side::Aws) => &words.new_shop,
        };
        (if side == Side::Heroku { self.servers.old } else { self.servers.new }, password)
    }

    async fn look(&self, which: usize) -> Result<AtWork, Lost> {
        let origins = self.origins;
        let look = move |world: &mut crate::sandbox::world::World, now| {
            let address = visit(world, which, origins, now);
            let served = |side: Side| serves(world, side, now);
            let orders = match address {
                Some(address) if address == origins.old => Some(Side::Heroku),
                Some(address) if address == origins.new => Some(Side::Aws),
                _ => None,
            };
            let on_ecs =
                world.ecs.tasks.iter().filter(|task| task.family == world.names.worker && task.is_running(now));
            AtWork {
                orders: orders.filter(|side| served(*side)),
                workers: [world.heroku.up("worker", now), on_ecs.count()],
                clock: world.heroku.up("clock", now) > 0,
            }
        };
        self.world.with(look).await
    }

    /// Runs until dropped.
    pub async fn run(self) {
        tokio::join!(self.visitors(), self.workers(), self.reports());
    }

    /// Visitors order, and each order leaves a job.
    async fn visitors(&self) {
        const LINES: [&str; 4] = [
            "INSERT INTO orders (customer_id, total) SELECT $1::bigint % 2000 + 1, price FROM products WHERE id = $1::bigint % 300 + 1",
            "INSERT INTO order_items (order_id, product_id, quantity, price)
             SELECT pg_catalog.currval('orders_id_seq'), id, 1, price FROM products WHERE id = $1::bigint % 300 + 1",
            "UPDATE products SET stock = stock - 1 WHERE id = $1::bigint % 300 + 1",
            "INSERT INTO page_views (at, path) SELECT now(), '/products/' || ($1::bigint % 300 + 1)",
        ];
        let mut seed = self.seed.fork(1);
        let mut desks = [Side::Heroku, Side::Aws].map(|side| Desk::new("shop", "puma", side));
        let mut redis = [None, None];
        let mut clock = Instant::now();
        loop {
            sleep(ORDER).await;
            let which = usize::from(seed.below(2) == 1);
            let Ok(at_work) = self.look(which).await else { return };
            let n = i64::try_from(seed.below(1_000_000)).unwrap_or(0);
            if let Some(side) = at_work.orders
                && desks[side.index()].write(self, &LINES, n).await == Wrote::Yes
                && let Some(redis) = self.jobs(&mut redis, side).await
            {
                let queue = if n % 4 == 0 { "mailers" } else { "default" };
                let _gone = jobs::enqueue(redis, &mut seed, "ReceiptJob", queue, n % 5000 + 1, seconds()).await;
            }
            if at_work.clock
                && clock.elapsed() > AGAIN
                && let Some(redis) = self.jobs(&mut redis, Side::Heroku).await
            {
                clock = Instant::now();
                let _gone = jobs::enqueue(redis, &mut seed, "ReindexJob", "low", n % 5000 + 1, seconds()).await;
            }
        }
    }

    /// The workers of both platforms: heartbeats, jobs, what is to be tried again.
    async fn workers(&self) {
        let mut seed = self.seed.fork(2);
        let mut desks = [Side::Heroku, Side::Aws].map(|side| Desk::new("worker", "sidekiq", side));
        let mut redis = [None, None];
        let mut processes: [Vec<Process>; 2] = [Vec::new(), Vec::new()];
        let mut beat: Option<Instant> = None;
        loop {
            sleep(TICK).await;
            let Ok(at_work) = self.look(0).await else { return };
            let due = beat.is_none_or(|beat| beat.elapsed() >= BEAT);
            if due {
                beat = Some(Instant::now());
            }
            for side in [Side::Heroku, Side::Aws] {
                let i = side.index();
                let Some(redis) = self.jobs(&mut redis, side).await else { continue };
                while processes[i].len() < at_work.workers[i] {
                    let host = if side == Side::Heroku { "worker" } else { "ip-10-0-1" };
                    let name = format!("{host}.{}", processes[i].len() + 1);
                    processes[i].push(Process::new(&mut seed, &name, seconds()));
                }
                while processes[i].len() > at_work.workers[i] {
                    if let Some(gone) = processes[i].pop() {
                        let _gone = gone.end(redis).await;
                    }
                }
                let desk = &mut desks[i];
                for process in &processes[i] {
                    let _gone = self.work(redis, process, desk, due).await;
                }
                if due && !processes[i].is_empty() {
                    let _gone = jobs::wake(redis, seconds()).await;
                }
            }
        }
    }

    /// One process's turn: a heartbeat where it is time, then a job where there is one.
    async fn work(
        &self,
        redis: &mut redis::aio::MultiplexedConnection,
        process: &Process,
        desk: &mut Desk,
        beat: bool,
    ) -> redis::RedisResult<()> {
        if beat {
            process.beat(redis, false, seconds()).await?;
        }
        let Some(job) = process.take(redis, seconds()).await? else { return Ok(()) };
        sleep(JOB).await;
        let paid = "UPDATE orders SET state = 'paid' WHERE id = (SELECT min(id) FROM orders WHERE state = 'placed')";
        let failed = match desk.write(self, &[paid], 0).await {
            Wrote::Yes => None,
            Wrote::Refused(why) => Some((job, why)),
            Wrote::Away => Some((job, "PG::ConnectionBad: the database is away".to_owned())),
        };
        let failed = failed.as_ref().map(|(job, why): &(Value, String)| (job.clone(), why.as_str()));
        process.over(redis, failed, seconds()).await
    }

    /// A box under somebody's desk that nobody thinks of: it writes where its database is, until that refuses it, and
    /// then where the other one takes it.
    async fn reports(&self) {
        const REPORT_RUN: &str = "INSERT INTO report_runs (orders) SELECT count(*) FROM orders";
        let mut desks = [Side::Heroku, Side::Aws].map(|side| Desk::new("reporting", "reporting", side));
        loop {
            sleep(REPORT).await;
            if self.look(0).await.is_err() {
                return;
            }
            // It was given the old one's address, and goes to the new one only where the old one has refused it.
            let [old, new] = &mut desks;
            let refused = old.write(self, &[REPORT_RUN], 0).await != Wrote::Yes && old.refused;
            if refused && self.opened().await {
                new.write(self, &[REPORT_RUN], 0).await;
            }
        }
    }

    /// True once visitors are led to the new side: nobody tells the box before.
    async fn opened(&self) -> bool {
        self.look(0).await.is_ok_and(|at_work| at_work.orders == Some(Side::Aws))
    }

    /// A side's connection to the Redis, where there is one.
    async fn jobs<'c>(
        &self,
        kept: &'c mut [Option<redis::aio::MultiplexedConnection>; 2],
        side: Side,
    ) -> Option<&'c mut redis::aio::MultiplexedConnection> {
        let i = side.index();
        if kept[i].is_none() && self.redis {
            let database = if side == Side::Heroku { jobs::OLD } else { jobs::NEW };
            kept[i] = jobs::connect(self.servers.redis, &self.words.redis, database).await.ok();
        }
        kept[i].as_mut()
    }
}

/// The wall clock as Ruby writes it.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of a day are far below 2^52")]
pub(super) fn seconds() -> f64 {
    now().timestamp_millis() as f64 / 1000.0
}
