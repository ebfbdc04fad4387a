//! The Redis: its server, and the shop's jobs in it, as Sidekiq keeps them (`queues`, `queue:NAME`, `retry`, `schedule`,
//! `processes` and their heartbeats), so that what reads Sidekiq reads this. A heartbeat comes every second instead of
//! every ten: the night here is short.

use std::{net::SocketAddr, path::Path, time::Duration};

use redis::{AsyncCommands as _, aio::MultiplexedConnection};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{cluster, guard::Server, place::Place};
use crate::sandbox::seed::Seed;

/// It answers within this.
const UP: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
/// A process that is not heard of for so long is no longer there (Sidekiq's own figure).
const HEARD: i64 = 60;

/// The two sides' databases of the one server.
pub(super) const OLD: u8 = 0;
pub(super) const NEW: u8 = 1;

/// The server to start, on a port that is free now.
pub(super) async fn server(program: &Path, place: &Place, password: &str) -> Result<(Server, SocketAddr), String> {
    let address = cluster::free().await?;
    let dir = place.dir.join("redis");
    if !dir.exists() {
        place.folder("redis").map_err(|e| format!("{}: {e}", dir.display()))?;
    }
    let config = dir.join("redis.conf");
    let text = format!(
        "bind 127.0.0.1\nport {}\nrequirepass {password}\ndir \"{dir}\"\npidfile \"{dir}/redis.pid\"\ndaemonize no\n\
         appendonly yes\nappendfsync no\nsave \"\"\nmaxmemory 64mb\nmaxmemory-policy noeviction\ntcp-backlog 64\n",
        address.port(),
        dir = dir.display()
    );
    place.write(&config, &text).map_err(|e| format!("{}: {e}", config.display()))?;
    let server = Server {
        name: "redis".into(),
        program: program.to_owned(),
        args: vec![config.display().to_string()],
        owner: place.owner,
        log: place.dir.join("redis.log"),
    };
    Ok((server, address))
}

/// Waits for one that an earlier process left behind and that is on its way out.
pub(super) async fn wait_for_the_last(place: &Place) -> Result<(), String> {
    let (file, until) = (place.dir.join("redis/redis.pid"), Instant::now() + UP);
    // Its title is its port only; the file is removed at its end.
    while file.exists() && cluster::running(&file, Path::new("redis-server")).is_some() {
        if Instant::now() > until {
            return Err("the Redis of before still runs".into());
        }
        sleep(LOOK).await;
    }
    Ok(())
}

/// Connects.
pub(super) async fn connect(
    address: SocketAddr,
    password: &str,
    database: u8,
) -> redis::RedisResult<MultiplexedConnection> {
    let client = redis::Client::open(format!("redis://:{password}@{address}/{database}"))?;
    client.get_multiplexed_async_connection().await
}

/// Connects as soon as the server lets us.
pub(super) async fn reached(
    address: SocketAddr,
    password: &str,
    database: u8,
) -> Result<MultiplexedConnection, String> {
    let until = Instant::now() + UP;
    loop {
        let answers = async {
            let mut redis = connect(address, password, database).await?;
            // It takes connections before it has loaded what it keeps, and refuses everything else until then.
            redis::cmd("PING").exec_async(&mut redis).await?;
            Ok::<_, redis::RedisError>(redis)
        };
        match answers.await {
            Ok(redis) => return Ok(redis),
            Err(e) if Instant::now() > until => return Err(e.to_string()),
            Err(_) => sleep(LOOK).await,
        }
    }
}

/// A job as Sidekiq writes it.
fn job(seed: &mut Seed, class: &str, queue: &str, args: &Value, now: f64) -> Value {
    json!({ "class": class, "args": args, "retry": true, "queue": queue, "jid": seed.hex(24), "created_at": now,
        "enqueued_at": now })
}

/// The first moment: a queue that is a little behind, one job that failed and is due soon, one for tomorrow.
pub(super) async fn tell(redis: &mut MultiplexedConnection, seed: &mut Seed, now: f64) -> redis::RedisResult<()> {
    for (n, queue) in ["default", "default", "mailers", "low"].into_iter().enumerate() {
        put(redis, job(seed, "ReceiptJob", queue, &json!([n + 1]), now), queue).await?;
    }
    let mut failed = job(seed, "InvoiceJob", "default", &json!([5]), now - 20.0);
    failed["error_class"] = json!("Net::ReadTimeout");
    failed["error_message"] = json!("Net::ReadTimeout with #<TCPSocket:(closed)>");
    failed["failed_at"] = json!(now - 19.0);
    failed["retry_count"] = json!(0);
    let () = redis.zadd("retry", failed.to_string(), now + 4.0).await?;
    let tomorrow = job(seed, "NightlyReportJob", "low", &json!([]), now);
    let () = redis.zadd("schedule", tomorrow.to_string(), now + 86_400.0).await?;
    redis.set("stat:processed", 184_223).await
}

/// What visitors have beside the jobs, which the team has copied already.
pub(super) async fn visitors(redis: &mut MultiplexedConnection) -> redis::RedisResult<()> {
    let sessions = (1..=60).map(|n| (format!("session:{n}"), format!("user {n}")));
    let carts = (1..=20).map(|n| (format!("cart:{n}"), format!("{} things", n % 5 + 1)));
    redis.mset(&sessions.chain(carts).collect::<Vec<_>>()).await
}

/// After a restart: the processes of before were ours, and are not there any more.
pub(super) async fn nobody(redis: &mut MultiplexedConnection) -> redis::RedisResult<()> {
    let left: Vec<String> = redis.smembers("processes").await?;
    for id in left {
        Process { identity: id, started: 0.0 }.end(redis).await?;
    }
    Ok(())
}

/// Adds a job to its queue.
async fn put(redis: &mut MultiplexedConnection, job: Value, queue: &str) -> redis::RedisResult<()> {
    let () = redis.sadd("queues", queue).await?;
    redis.lpush(format!("queue:{queue}"), job.to_string()).await
}

/// Adds the job that follows an order.
pub(super) async fn enqueue(
    redis: &mut MultiplexedConnection,
    seed: &mut Seed,
    class: &str,
    queue: &str,
    order: i64,
    now: f64,
) -> redis::RedisResult<()> {
    put(redis, job(seed, class, queue, &json!([order]), now), queue).await
}

/// A Sidekiq process: one dyno or one task.
pub(super) struct Process {
    identity: String,
    started: f64,
}

impl Process {
    pub fn new(seed: &mut Seed, host: &str, now: f64) -> Self {
        Self { identity: format!("{host}:4:{}", seed.hex(12)), started: now }
    }

    /// Writes a heartbeat.
    pub async fn beat(&self, redis: &mut MultiplexedConnection, busy: bool, now: f64) -> redis::RedisResult<()> {
        let id = &self.identity;
        let host = id.split(':').next().unwrap_or_default();
        let info = json!({ "hostname": host, "started_at": self.started, "pid": 4, "tag": "shop", "concurrency": 5,
            "queues": ["default", "mailers", "low"], "labels": [], "identity": id, "version": "7.3.9" });
        redis::pipe()
            .atomic()
            .sadd("processes", id)
            .ignore()
            .hset_multiple(
                id,
                &[
                    ("info", info.to_string()),
                    ("busy", u8::from(busy).to_string()),
                    ("beat", format!("{now:.6}")),
                    ("rtt_us", "180".into()),
                    ("quiet", "false".into()),
                    ("rss", "131072".into()),
                ],
            )
            .ignore()
            .expire(id, HEARD)
            .ignore()
            .exec_async(redis)
            .await
    }

    /// Takes the oldest job, and says what it works on.
    pub async fn take(&self, redis: &mut MultiplexedConnection, now: f64) -> redis::RedisResult<Option<Value>> {
        for queue in ["default", "mailers", "low"] {
            let taken: Option<String> = redis.rpop(format!("queue:{queue}"), None).await?;
            let Some(payload) = taken else { continue };
            let work = json!({ "queue": queue, "payload": payload, "run_at": now }).to_string();
            let () = redis.hset(format!("{}:work", self.identity), "tid1", work).await?;
            return Ok(serde_json::from_str(&payload).ok());
        }
        Ok(None)
    }

    /// A job is over: done, or to be tried again.
    pub async fn over(
        &self,
        redis: &mut MultiplexedConnection,
        failed: Option<(Value, &str)>,
        now: f64,
    ) -> redis::RedisResult<()> {
        let () = redis.del(format!("{}:work", self.identity)).await?;
        let () = redis.incr("stat:processed", 1).await?;
        let Some((mut job, why)) = failed else { return Ok(()) };
        let () = redis.incr("stat:failed", 1).await?;
        let times = job["retry_count"].as_i64().map_or(0, |n| n + 1);
        job["retry_count"] = json!(times);
        job["error_class"] = json!("ActiveRecord::StatementInvalid");
        job["error_message"] = json!(why);
        job["failed_at"] = json!(now);
        redis.zadd("retry", job.to_string(), now + 15.0 + 10.0 * f64::from(i32::try_from(times).unwrap_or(25))).await
    }

    /// It is told to end: nobody beats for it any more.
    pub async fn end(&self, redis: &mut MultiplexedConnection) -> redis::RedisResult<()> {
        let id = &self.identity;
        redis::pipe()
            .srem("processes", id)
            .ignore()
            .del(id)
            .ignore()
            .del(format!("{id}:work"))
            .ignore()
            .exec_async(redis)
            .await
    }
}

/// Puts what is due of `retry` and `schedule` back into the queues, as every Sidekiq process does.
pub(super) async fn wake(redis: &mut MultiplexedConnection, now: f64) -> redis::RedisResult<()> {
    for set in ["retry", "schedule"] {
        let due: Vec<String> = redis.zrangebyscore_limit(set, "-inf", now, 0, 10).await?;
        for payload in due {
            let removed: i64 = redis.zrem(set, &payload).await?;
            let job: Value = serde_json::from_str(&payload).unwrap_or_default();
            if let (1, Some(queue)) = (removed, job["queue"].as_str().map(str::to_owned)) {
                put(redis, job, &queue).await?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
        net::TcpListener,
    };

    use super::*;

    /// A server that takes connections and is still loading for the first few of them.
    async fn loading(connections: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut taken = 0;
            while let Ok((stream, _)) = listener.accept().await {
                taken += 1;
                let busy = taken <= connections;
                tokio::spawn(async move {
                    let (from, mut to) = stream.into_split();
                    let mut lines = BufReader::new(from).lines();
                    while let Ok(Some(line)) = lines.next_line().await {
                        // The number of words, then of each its length and itself.
                        let Some(words) = line.strip_prefix('*').and_then(|n| n.parse::<usize>().ok()) else {
                            continue;
                        };
                        let mut name = String::new();
                        for i in 0..words * 2 {
                            let part = lines.next_line().await.unwrap().unwrap();
                            if i == 1 {
                                name = part;
                            }
                        }
                        let says = match name.as_str() {
                            "PING" if busy => "-LOADING Redis is loading the dataset in memory\r\n",
                            "PING" => "+PONG\r\n",
                            _ => "+OK\r\n",
                        };
                        to.write_all(says.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn a_server_that_is_loading_is_waited_for() {
        let address = loading(2).await;
        let mut redis = reached(address, "secret", OLD).await.unwrap();
        let said: String = redis::cmd("PING").query_async(&mut redis).await.unwrap();
        assert_eq!(said, "PONG");
    }
}
