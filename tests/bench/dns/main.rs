//! What `dns.propagated` costs and how soon it sees a change. `cargo bench --no-default-features --bench dns`;
//! `-- --rounds N` for more of them.
//!
//! ```text
//! 20 answering sockets at 127.0.0.1 … 127.0.0.20, one port, in a thread of their own: the same for all
//! ours   the check itself, bound from parameters: 20 resolvers × 10 samples = 200 queries, looked at and judged
//! bare   hickory-proto and 20 UDP sockets: 200 queries sent at once, the answers decoded, nothing looked at
//! dig    `dig -f`, 200 lines
//! ```
//!
//! Rounds alternate and turn, so that a machine that gets slower hits all; medians are compared. After that one of the 20 is
//! silent, and a change is made at the last of four real servers (knot).

mod answerer;
mod bare;
#[expect(dead_code, reason = "shared with the bench of steps")]
#[path = "../steps/figures.rs"]
mod figures;
#[expect(dead_code, reason = "shared with the tests")]
#[path = "../../it/knot.rs"]
mod knot;
mod ours;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use answerer::Answerer;
use figures::{Figure, median};
use ours::Ours;

const RESOLVERS: u8 = 20;
const SAMPLES: usize = 10;
const ROUNDS: usize = 30;
/// Ours, bare and dig in every order.
const ORDERS: [[u8; 3]; 6] = [[0, 1, 2], [2, 1, 0], [1, 0, 2], [0, 2, 1], [2, 0, 1], [1, 2, 0]];
const NAME: &str = "www.acme.example";
const VALUE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);

/// What is allowed.
const OVER_BARE: f64 = 3.0;
const OVER_DIG: f64 = 0.5;
const OVER_SILENT: f64 = 1.1;
const VIEW_MS: f64 = 100.0;
const INTERVAL_S: f64 = 2.0;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let at = args.iter().position(|arg| arg == "--rounds");
    let rounds = at.and_then(|at| args.get(at + 1)?.parse().ok()).unwrap_or(ROUNDS);
    // As gonogo conducts: on one thread.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let figures = runtime.block_on(async {
        let mut figures = speed(rounds).await;
        figures.extend(silence().await);
        figures.extend(change().await);
        figures
    });
    let mut good = true;
    for figure in figures {
        good &= figure.good();
        println!("{figure}");
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn ips() -> Vec<IpAddr> {
    (1..=RESOLVERS).map(|n| IpAddr::from([127, 0, 0, n])).collect()
}

async fn speed(rounds: usize) -> Vec<Figure> {
    let servers = Answerer::start(&ips(), None);
    let ours = Ours::new(&servers.addresses, &format!("samples = {SAMPLES}\nbetween = \"0s\"\n"));
    let folder = tempfile::tempdir().expect("a folder");
    let lines = folder.path().join("lines");
    std::fs::write(&lines, dig_lines(&servers.addresses)).expect("written");
    let (mut our, mut bare, mut dig) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds {
        // Each follows each other as often: whoever comes after dig finds cold caches.
        for turn in ORDERS[round % ORDERS.len()] {
            let begun = Instant::now();
            let (took, into) = match turn {
                0 => {
                    let seen = ours.look().await.expect("all agree");
                    assert!(seen.starts_with("20 of 20 resolvers see"), "{seen}");
                    (Some(ms(begun)), &mut our)
                }
                1 => {
                    assert_eq!(bare::run(&servers.addresses, SAMPLES).await, 200);
                    (Some(ms(begun)), &mut bare)
                }
                _ => (run_dig(&lines), &mut dig),
            };
            // The first round warms up.
            into.extend(took.filter(|_| round > 0));
        }
    }
    assert_eq!(servers.asked() % 200, 0, "somebody asked more or less than 200 queries");
    let (our, bare) = (median(&our), median(&bare));
    let mut figures = vec![
        Figure::told("ours, 200 queries", our, "ms"),
        Figure::told("bare, 200 queries", bare, "ms"),
        Figure::at_most("ours / bare", our / bare, OVER_BARE, "×"),
    ];
    if dig.is_empty() {
        figures.push(Figure::missing("dig -f", "dig is missing"));
    } else {
        let dig = median(&dig);
        figures.push(Figure::told("dig -f, 200 queries", dig, "ms"));
        figures.push(Figure::at_most("ours / dig -f", our / dig, OVER_DIG, "×"));
    }
    figures
}

fn dig_lines(servers: &[SocketAddr]) -> String {
    let line = |server: &SocketAddr| format!("@{} -p {} {NAME} A +noall +answer\n", server.ip(), server.port());
    (0..SAMPLES).flat_map(|_| servers.iter().map(line)).collect()
}

/// Milliseconds; `None`: there is no dig.
fn run_dig(lines: &Path) -> Option<f64> {
    let mut dig = Command::new("dig");
    dig.arg("-f").arg(lines).stdin(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let output = dig.output().ok()?;
    let took = ms(begun);
    let answers = String::from_utf8_lossy(&output.stdout).matches(&VALUE.to_string()).count();
    assert_eq!(answers, 200, "dig got answers");
    Some(took)
}

/// The last of the 20 never answers.
async fn silence() -> Vec<Figure> {
    const WITHIN: Duration = Duration::from_secs(1);
    let servers = Answerer::start(&ips(), Some(usize::from(RESOLVERS) - 1));
    let ours = Ours::new(&servers.addresses, "answer_within = \"1s\"\nbetween = \"0s\"\n");
    let begun = Instant::now();
    let failure = ours.look().await.expect_err("one is silent");
    let took = begun.elapsed().as_secs_f64();
    assert!(failure.starts_with("19 of 20 resolvers see"), "{failure}");
    let told = ours.told();
    assert_eq!(told.len(), 20, "{told:?}");
    let view = told[18].saturating_duration_since(begun).as_secs_f64() * 1000.0;
    vec![
        Figure::at_most("one silent: look / its time", took / WITHIN.as_secs_f64(), OVER_SILENT, "×"),
        Figure::at_most("one silent: the other 19 are told after", view, VIEW_MS, "ms"),
    ]
}

/// Four real servers, of which the last changes at another moment of the polling in each round.
async fn change() -> Vec<Figure> {
    const LINES: &str = "@ NS ns1\nns1 A 127.0.0.1\nwww 60 A 192.0.2.1";
    let mut worst: f64 = 0.0;
    for round in 0..5 {
        let start = || knot::Knot::start(&[knot::Zone { name: "acme.example", lines: LINES, signed: false }]);
        let knots = [start(), start(), start(), start()];
        let addresses = knots.each_ref().map(|knot| knot.address);
        let set = |knot: &knot::Knot| knot.set("acme.example", NAME, 60, "A", &["203.0.113.9"]);
        knots[..3].iter().for_each(set);
        let ours = Ours::new(&addresses, "");
        let polled = ours.poll();
        tokio::pin!(polled);
        let wait = Duration::from_millis(50 + 450 * round);
        tokio::select! {
            _ = &mut polled => panic!("seen before it was changed"),
            () = tokio::time::sleep(wait) => {}
        }
        set(&knots[3]);
        let changed = Instant::now();
        polled.await.expect("seen");
        worst = worst.max(changed.elapsed().as_secs_f64());
    }
    vec![Figure::at_most("change at the last of 4 knots is seen after", worst, INTERVAL_S, "s, the worst of 5")]
}

fn ms(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}
