//! What `postgres.compare` costs beside plain SQL. `cargo bench --bench compare`; `-- --rows N --tables N --each N --rounds N` for
//! another size.
//!
//! ```text
//! two clusters of its own on this machine, the same rows in both, everything in memory
//! equal    plain  count(*) and sum(hash_record_extended(t, 0)) of all rows, both sides at once, workers as PostgreSQL chooses
//!          ours   the check itself in a process of its own: connects, reads the catalogs, compares every row
//! differs  plain  the same sums by ranges of a thousand keys; the rows of ranges that differ are fetched and compared
//!          ours   the same check: three keys changed, one missing, one extra, all found
//! ```
//!
//! Rounds alternate and turn, so that a machine that gets slower hits both; medians are compared. Times are of the work
//! itself, sessions included, without the start of the process. Memory is the most that the process ever had (`VmHWM`).

#[expect(dead_code, reason = "shared with the bench of steps")]
#[path = "../steps/figures.rs"]
mod figures;
#[expect(dead_code, reason = "shared with the tests")]
#[path = "../../it/knot.rs"]
mod knot;
mod ours;
mod plain;
#[expect(dead_code, reason = "shared with the tests")]
#[path = "../../it/postgres.rs"]
mod postgres;
mod world;

use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use figures::{Figure, median};
use ours::Run;
use world::{Shape, World};

/// Rows of the one large table; tables, and rows of each.
const ROWS: usize = 5_000_000;
const TABLES: usize = 50;
const EACH: usize = 20_000;
const ROUNDS: usize = 5;

/// What is allowed.
const OVER_EQUAL: f64 = 1.15;
const OVER_DIFFERS: f64 = 1.1;
const OVER_PGCOPYDB: f64 = 0.9;
const MEMORY_MIB: f64 = 20.0;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--child") {
        return ours::child(&args[at + 1], &args[at + 2], &args[at + 3]);
    }
    let asked = |flag: &str, otherwise: usize| {
        let at = args.iter().position(|arg| arg == flag);
        at.and_then(|at| args.get(at + 1)?.parse().ok()).unwrap_or(otherwise)
    };
    let rounds = asked("--rounds", ROUNDS).max(1);
    let connections = asked("--connections", 2);
    let shapes = [
        Shape { database: "large", tables: 1, rows: asked("--rows", ROWS) },
        Shape { database: "many", tables: asked("--tables", TABLES), rows: asked("--each", EACH) },
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let figures = runtime.block_on(async {
        let world = World::start();
        let mut figures = Vec::new();
        for shape in &shapes {
            if shape.tables > 0 && shape.rows > 0 {
                figures.extend(measure(&world, shape, rounds, connections).await);
            }
        }
        figures
    });
    let mut good = true;
    for figure in figures {
        good &= figure.good();
        println!("{figure}");
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The names of the figures of a shape.
struct Names {
    plain: &'static str,
    ours: &'static str,
    over: &'static str,
    copy: &'static str,
    memory: &'static str,
}

fn names(shape: &Shape, differs: bool) -> Names {
    match (shape.tables == 1, differs) {
        (true, false) => Names {
            plain: "one large table, equal: plain SQL",
            ours: "one large table, equal: ours",
            over: "one large table, equal: ours / plain",
            copy: "one large table, equal: ours / pgcopydb",
            memory: "one large table, equal: memory",
        },
        (true, true) => Names {
            plain: "one large table, differs: plain SQL",
            ours: "one large table, differs: ours",
            over: "one large table, differs: ours / plain",
            copy: "one large table, differs: ours / pgcopydb",
            memory: "one large table, differs: memory",
        },
        (false, false) => Names {
            plain: "many tables, equal: plain SQL",
            ours: "many tables, equal: ours",
            over: "many tables, equal: ours / plain",
            copy: "many tables, equal: ours / pgcopydb",
            memory: "many tables, equal: memory",
        },
        (false, true) => Names {
            plain: "many tables, differs: plain SQL",
            ours: "many tables, differs: ours",
            over: "many tables, differs: ours / plain",
            copy: "many tables, differs: ours / pgcopydb",
            memory: "many tables, differs: memory",
        },
    }
}

async fn measure(world: &World, shape: &Shape, rounds: usize, connections: usize) -> Vec<Figure> {
    let bytes = world.fill(shape).await;
    println!("{}: {} × {} rows of {bytes:.0} bytes", shape.database, shape.tables, shape.rows);
    let mut figures = compared(world, shape, rounds, connections, &[]).await;
    let planted = world.plant(shape).await;
    figures.extend(compared(world, shape, rounds, connections, &planted).await);
    figures
}

/// `planted`: what has to be found; nothing: the sides are equal.
async fn compared(world: &World, shape: &Shape, rounds: usize, connections: usize, planted: &[String]) -> Vec<Figure> {
    let (source, target) = world.urls(shape);
    let names = names(shape, !planted.is_empty());
    let (mut plain, mut ours, mut copy, mut memory) = (Vec::new(), Vec::new(), Vec::new(), 0.0_f64);
    for round in 0..=rounds {
        for turn in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            // The first round warms up.
            if turn == 0 {
                let begun = Instant::now();
                let found = plain::compare(&source, &target, shape, !planted.is_empty()).await;
                let took = begun.elapsed().as_secs_f64();
                assert_eq!(found, planted.len(), "plain SQL finds what was planted");
                plain.extend((round > 0).then_some(took));
            } else {
                let run = Run::start(&source, &target, connections);
                memory = memory.max(run.memory_mib);
                for row in planted {
                    assert!(run.lines.contains(row), "{row} was not found: {:?}", run.lines);
                }
                assert_eq!(run.is_equal, planted.is_empty(), "{:?}", run.lines);
                ours.extend((round > 0).then_some(run.seconds));
            }
        }
        copy.extend(pgcopydb(&source, &target).filter(|_| round > 0));
        if let (Some(plain), Some(ours)) = (plain.last(), ours.last()) {
            println!("round {round}: plain {plain:.2} s, ours {ours:.2} s");
        }
    }
    let (plain, ours) = (median(&plain), median(&ours));
    let limit = if planted.is_empty() { OVER_EQUAL } else { OVER_DIFFERS };
    vec![
        Figure::told(names.plain, plain, "s"),
        Figure::told(names.ours, ours, "s"),
        Figure::at_most(names.over, ours / plain, limit, "×"),
        if copy.is_empty() {
            Figure::missing(names.copy, "no pgcopydb here that has `compare data`")
        } else {
            Figure::at_most(names.copy, ours / median(&copy), OVER_PGCOPYDB, "×")
        },
        Figure::at_most(names.memory, memory, MEMORY_MIB, "MiB"),
    ]
}

/// Seconds of `pgcopydb compare data`; nothing where there is none, or none that compares.
fn pgcopydb(source: &str, target: &str) -> Option<f64> {
    let quiet = |args: &[&str]| {
        let mut command = Command::new("pgcopydb");
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().ok()
    };
    quiet(&["compare", "data", "--help"]).filter(std::process::ExitStatus::success)?;
    let begun = Instant::now();
    // It exits with 0 on a difference, too.
    quiet(&["compare", "data", "--source", source, "--target", target])?;
    Some(begun.elapsed().as_secs_f64())
}
