//! What the engine costs: a run of a thousand steps of `/bin/true` against its floor, and the other
//! figures that a newcomer feels. `cargo bench --bench steps`; `-- --steps N --rounds N` for a quick look.
//!
//! ```text
//! floor   spawn, wait, and before and after it one record written and fdatasync'ed     same disk,
//! gonogo  the built binary: rehearse, --plain, --auto-go                               round by round
//! ```
//!
//! The rounds alternate, so that a disk or a machine that gets slower hits both; medians are compared.

mod figures;
mod floor;
mod subject;

use std::{path::Path, process::ExitCode};

use figures::{Figure, median};

/// Steps of a run, and rounds.
const STEPS: usize = 1_000;
const ROUNDS: usize = 5;

/// What is allowed.
const RATIO: f64 = 1.3;
const SYNCS: f64 = 2.0;
const MEMORY_MIB: f64 = 32.0;
const VERSION_RATIO: f64 = 3.0;
const CHECK_MS: f64 = 100.0;
const FRAME_MS: f64 = 50.0;

fn main() -> ExitCode {
    let asked = |flag: &str, otherwise: usize| {
        let args: Vec<String> = std::env::args().collect();
        let at = args.iter().position(|arg| arg == flag);
        at.and_then(|at| args.get(at + 1)?.parse().ok()).unwrap_or(otherwise)
    };
    let (steps, rounds) = (asked("--steps", STEPS), asked("--rounds", ROUNDS));
    // The same disk for both: the folder that cargo keeps for benches.
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let figures = measure(place.path(), steps, rounds);
    let mut good = true;
    for figure in figures {
        good &= figure.good();
        println!("{figure}");
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn measure(place: &Path, steps: usize, rounds: usize) -> Vec<Figure> {
    let runbook = subject::runbook(place, "steps.toml", steps);
    let (mut floors, mut whole, mut inside) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        floors.push(floor::run(&place.join(format!("floor-{round}")), steps));
        let run = subject::run(&runbook, &place.join(format!("state-{round}")));
        whole.push(run.wall);
        inside.push(run.recorded);
        println!("round {round}: floor {:.2} s, gonogo {:.2} s", floors[round], whole[round]);
    }
    let (floor, whole, inside) = (median(&floors), median(&whole), median(&inside));
    let mut figures = vec![
        Figure::told("floor", floor * 1e3 / steps as f64, "ms a step"),
        Figure::told("gonogo", whole * 1e3 / steps as f64, "ms a step, with start and end"),
        Figure::at_most("gonogo / floor, whole process", whole / floor, RATIO, "×"),
        Figure::told("gonogo / floor, first to last event", inside / floor, "×"),
        Figure::at_most(
            "memory at its highest",
            subject::memory_mib(&runbook, &place.join("memory")),
            MEMORY_MIB,
            "MiB",
        ),
    ];
    figures.push(match subject::syncs_a_step(place) {
        Some(syncs) => Figure::exactly("fdatasync a step", syncs, SYNCS),
        None => Figure::missing("fdatasync a step", "strace is not there or not allowed"),
    });
    let (version, hello) = subject::version_and_hello(place, 31);
    figures.push(Figure::at_most("--version / hello world", version / hello, VERSION_RATIO, "×"));
    figures.push(Figure::told("--version", version * 1e3, "ms"));
    let large = subject::runbook(place, "large.toml", 2_000);
    figures.push(Figure::at_most("check of 2,000 steps", subject::check(&large) * 1e3, CHECK_MS, "ms"));
    figures.push(match subject::first_frame(&runbook, &place.join("frame")) {
        Some(first) => Figure::at_most("first frame", first * 1e3, FRAME_MS, "ms"),
        None => Figure::missing("first frame", "no frame was seen"),
    });
    figures
}
