//! What `http.check` costs: a thousand requests with three assertions at a real nginx, against a bare client that
//! checks nothing and against `hurl`. `cargo bench --bench http`; `-- --requests N --rounds N` for a quick look.
//!
//! ```text
//! bare    hyper's own connection, a GET and the body to its end, in this process     round by round, the same
//! ours    the check of the kind `http.check`, in this process                        connection policy and the same
//!                                                                                    runtime, that of a run
//! hurl    the program, where it is on the path or named by GONOGO_HURL, against the built `gonogo`
//! ```
//!
//! Policies: `fresh` has a connection for each request, as visitors have; `kept` uses one again (one a worker).
//!
//! Each program has a port of the server to itself in each race: connections linger at the end that closed first
//! (`TIME_WAIT`), and what another race has left by the thousand costs every new one to the same place.

mod bare;
#[expect(dead_code, reason = "shared with the other benches")]
#[path = "../steps/figures.rs"]
mod figures;
#[expect(dead_code, reason = "shared with the tests")]
#[path = "../../it/nginx.rs"]
mod nginx;
mod ours;
mod programs;

use std::{process::ExitCode, time::Instant};

use figures::{Figure, median};
use nginx::Nginx;

/// Requests of a round, and rounds.
const REQUESTS: usize = 1_000;
const ROUNDS: usize = 7;
/// Workers of the second half.
const AT_ONCE: usize = 16;

/// Whose port is which; from the third on, hurl's and gonogo's of each race.
const BARE: usize = 0;
const OURS: usize = 1;
const THEIRS: usize = 2;

/// What is allowed.
const SEQUENTIAL: f64 = 2.5;
const PARALLEL: f64 = 3.0;
const HURL: f64 = 0.7;
const MEMORY_MIB: f64 = 20.0;

/// Which requests share a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    Fresh,
    Kept,
}

/// One comparison.
struct Race {
    name: &'static str,
    at_once: usize,
    policy: Policy,
    limit: f64,
}

const RACES: [Race; 4] = [
    Race { name: "one after another, fresh: ours / bare", at_once: 1, policy: Policy::Fresh, limit: SEQUENTIAL },
    Race { name: "one after another, kept: ours / bare", at_once: 1, policy: Policy::Kept, limit: SEQUENTIAL },
    Race { name: "16 at once, fresh: ours / bare", at_once: AT_ONCE, policy: Policy::Fresh, limit: PARALLEL },
    Race { name: "16 at once, kept: ours / bare", at_once: AT_ONCE, policy: Policy::Kept, limit: PARALLEL },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let value = |flag: &str| args.iter().position(|arg| arg == flag).and_then(|at| args.get(at + 1));
    let number = |flag: &str, otherwise: usize| value(flag).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let (requests, rounds) = (number("--requests", REQUESTS), number("--rounds", ROUNDS));
    if let Some(url) = value("--child") {
        // Does only this, and says how large it became.
        runtime().block_on(ours::run(url, requests, AT_ONCE, Policy::Fresh));
        println!("{}", programs::own_peak_mib());
        return ExitCode::SUCCESS;
    }
    let nginx = Nginx::start(
        "server { listen 127.0.0.1:{0}; listen 127.0.0.1:{1}; listen 127.0.0.1:{2}; listen 127.0.0.1:{3};
            listen 127.0.0.1:{4}; listen 127.0.0.1:{5}; listen 127.0.0.1:{6}; listen 127.0.0.1:{7};
            access_log off; default_type application/json;
            location = /status { stub_status; }
            location / { add_header X-Served-By aws; return 200 '{\"status\": \"ok\", \"workers\": 4, \"release\": \"v42\"}'; }
        }",
    );
    let mut good = true;
    for figure in races(&nginx, requests, rounds).into_iter().chain(others(&nginx, requests, rounds)) {
        good &= figure.good();
        println!("{figure}");
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What a run has: one thread.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Ours against the bare client, round by round.
fn races(nginx: &Nginx, requests: usize, rounds: usize) -> Vec<Figure> {
    let runtime = runtime();
    let (url, address) = (nginx.url(OURS), nginx.address(BARE));
    let mut times = RACES.iter().map(|_| (Vec::new(), Vec::new())).collect::<Vec<_>>();
    for round in 0..=rounds {
        for (race, (bare, ours)) in RACES.iter().zip(&mut times) {
            let timed = |work: &dyn Fn()| {
                let begun = Instant::now();
                work();
                begun.elapsed().as_secs_f64()
            };
            let theirs = || timed(&|| runtime.block_on(bare::run(address, requests, race.at_once, race.policy)));
            let own = || timed(&|| runtime.block_on(ours::run(&url, requests, race.at_once, race.policy)));
            // Who begins changes; the first round warms up and is not counted.
            let (one, other) = if round % 2 == 0 {
                let a = theirs();
                (a, own())
            } else {
                let b = own();
                (theirs(), b)
            };
            if round > 0 {
                bare.push(one);
                ours.push(other);
            }
        }
    }
    let mut figures = Vec::new();
    for (race, (bare, ours)) in RACES.iter().zip(&times) {
        let (bare, ours) = (median(bare), median(ours));
        println!(
            "{:<40} bare {:>7.1} ms, ours {:>7.1} ms for {requests} requests",
            race.name.trim_end_matches(": ours / bare"),
            bare * 1e3,
            ours * 1e3
        );
        figures.push(Figure::at_most(race.name, ours / bare, race.limit, "×"));
    }
    figures
}

/// Memory, and the other program.
fn others(nginx: &Nginx, requests: usize, rounds: usize) -> Vec<Figure> {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let mut figures = vec![Figure::at_most(
        "memory at its highest, the check alone",
        programs::child_peak_mib(&nginx.url(OURS), requests),
        MEMORY_MIB,
        "MiB",
    )];
    let Some(hurl) = programs::hurl() else {
        figures
            .push(Figure::missing("gonogo / hurl", "hurl is not there: not on the path, and GONOGO_HURL names none"));
        return figures;
    };
    let urls = |race: usize| [nginx.url(THEIRS + 2 * race), nginx.url(THEIRS + 2 * race + 1)];
    let cases = [
        ("gonogo / hurl, one after another, fresh", 1, Policy::Fresh),
        ("gonogo / hurl, one after another, kept", 1, Policy::Kept),
        ("gonogo / hurl --parallel, 16 at once", AT_ONCE, Policy::Fresh),
    ];
    for (number, (name, at_once, policy)) in cases.into_iter().enumerate() {
        let race = programs::Race::new(place.path(), &hurl, &urls(number), requests, at_once, policy);
        let (mut theirs, mut own, mut connections) = (Vec::new(), Vec::new(), (0, 0));
        for round in 0..rounds {
            let counted = |seconds: &mut Vec<f64>, run: &dyn Fn() -> f64| {
                let before = nginx.accepted();
                seconds.push(run());
                nginx.accepted() - before - 1
            };
            // Who begins changes.
            if round % 2 == 0 {
                connections.0 = counted(&mut theirs, &|| race.hurl());
                connections.1 = counted(&mut own, &|| race.gonogo(round));
            } else {
                connections.1 = counted(&mut own, &|| race.gonogo(round));
                connections.0 = counted(&mut theirs, &|| race.hurl());
            }
        }
        let (theirs, own) = (median(&theirs), median(&own));
        println!(
            "{name:<40} hurl {:>7.1} ms over {} connections, gonogo {:>7.1} ms over {}",
            theirs * 1e3,
            connections.0,
            own * 1e3,
            connections.1
        );
        figures.push(Figure::at_most(name, own / theirs, HURL, "×"));
    }
    let race = programs::Race::new(place.path(), &hurl, &urls(0), requests, AT_ONCE, Policy::Fresh);
    let (whole, own) = race.gonogo_peak_mib();
    figures.push(Figure::told("memory at its highest, a whole run", whole, "MiB"));
    figures.push(Figure::at_most("of it our own: without pages of program files", own, MEMORY_MIB, "MiB"));
    figures
}
