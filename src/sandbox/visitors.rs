//! A trickle of visitors: they resolve the host by one resolver or the other, ask for a page over a
//! real socket, and what they saw becomes CloudWatch numbers a moment later.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{
    aws::metrics::Metric,
    dns::{Origins, visit},
    keeper::{Handle, now},
    seed::Seed,
    web::VISITOR,
    world::{Moment, after},
};

/// Mean time between two visitors, in milliseconds, and how far one strays from it.
const PACE: (u64, u64) = (150, 100);
/// A visitor gives up after this.
const PATIENCE: Duration = Duration::from_secs(3);
/// Numbers are published this long after their second is over.
const DELAY: i64 = 1000;
/// The visitors' namespace.
const NAMESPACE: &str = "Acme/Visitors";

/// What one visitor saw.
struct Visit {
    at: Moment,
    failed: bool,
    old: bool,
    took: Duration,
}

/// Runs until dropped.
pub(super) async fn run(world: Handle, mut seed: Seed, host: String, origins: Origins, port: u16) {
    let mut visits: BTreeMap<i64, Vec<Visit>> = BTreeMap::new();
    let mut walking = JoinSet::new();
    loop {
        let pause = Duration::from_millis(PACE.0 + seed.below(PACE.1));
        tokio::time::sleep(pause).await;
        let which = usize::from(seed.below(2) == 1);
        walking.spawn(visitor(world.clone(), which, origins, host.clone(), port));
        while let Some(done) = walking.try_join_next() {
            if let Ok(visit) = done {
                visits.entry(visit.at.timestamp()).or_default().push(visit);
            }
        }
        let over = after(now(), -DELAY).timestamp();
        let later = visits.split_off(&over);
        let ready = std::mem::replace(&mut visits, later);
        if !ready.is_empty() && publish(&world, &host, ready).await.is_err() {
            return;
        }
    }
}

async fn publish(world: &Handle, host: &str, seconds: BTreeMap<i64, Vec<Visit>>) -> Result<(), super::keeper::Lost> {
    let host = host.to_owned();
    world
        .with(move |world, _| {
            let dimensions = BTreeMap::from([("Host".to_owned(), host)]);
            for visits in seconds.into_values() {
                let Some(at) = visits.first().map(|visit| visit.at) else { continue };
                let percent = |of: &dyn Fn(&Visit) -> bool| {
                    visits.iter().map(|visit| if of(visit) { 100.0 } else { 0.0 }).collect()
                };
                let numbers: [(&str, Vec<f64>); 4] = [
                    ("Requests", vec![1.0; visits.len()]),
                    ("5xxShare", percent(&|visit| visit.failed)),
                    ("OldOriginShare", percent(&|visit| visit.old)),
                    ("Latency", visits.iter().map(|visit| visit.took.as_secs_f64() * 1000.0).collect()),
                ];
                // Written only when there are any, as a load balancer's counts of 5xx are.
                let errors = vec![1.0; visits.iter().filter(|visit| visit.failed).count()];
                let numbers = numbers.into_iter().chain([("Errors", errors)]);
                for (name, values) in numbers.filter(|(_, values)| !values.is_empty()) {
                    let metric =
                        Metric { namespace: NAMESPACE.into(), name: name.into(), dimensions: dimensions.clone() };
                    world.live.metrics.put(metric, at, values);
                }
            }
        })
        .await
}

async fn visitor(world: Handle, which: usize, origins: Origins, host: String, port: u16) -> Visit {
    let (at, start) = (now(), Instant::now());
    let address = world.with(move |world, now| visit(world, which, origins, now)).await.ok().flatten();
    let status = match address {
        Some(address) => timeout(PATIENCE, ask(SocketAddr::new(address, port), &host)).await.ok().flatten(),
        None => None,
    };
    // No answer at all is as bad as a 5xx to the one who waits for it.
    let failed = status.is_none_or(|status| status >= 500);
    Visit { at, failed, old: address == Some(origins.old), took: start.elapsed() }
}

/// The status of `GET /`.
async fn ask(address: SocketAddr, host: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {VISITOR}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer).await.ok()?;
    String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
}
