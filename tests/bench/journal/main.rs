//! What the journal costs, against floors measured in the same process, in turns.
//!
//! * Reading: verify (frames, CRC, chain), decode and fold into the run's state a journal of 1,000,000 records,
//!   against a bare read of the same file with one SHA-256 chain and the same typed `serde_json`. At most 1.3 ×.
//! * Writing: 1,000 steps that spawn `/bin/true` and record two barriers through the journal's thread, against a
//!   bare loop that spawns, and writes and syncs two lines. At most 1.3 ×.
//!
//! `cargo bench --bench journal -- [records] [steps] [rounds]`; the files go to `$TMPDIR`, and what they are worth
//! depends on its disk.

use std::{
    fs::File,
    hint::black_box,
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use chrono::DateTime;
use gonogo::{
    base::{Elapsed, StepId},
    journal::{JournalThread, Room, RunDir},
    run::{Done, Envelope, Event, Outcome, RunState, What},
};
use serde_json::json;
use sha2::{Digest, Sha256};

/// A night of 500 steps, over and over: the records of a real one, with real events.
const STEPS: u64 = 500;

fn name(n: u64) -> String {
    format!("copy-shard-{n:03}")
}

fn opened() -> Event {
    let step = |n: u64| {
        json!({
            "id": name(n), "title": "Copy a shard", "owner": "sam", "planned": 60_000, "timeout": 180_000, "needs": [],
            "kind": "command", "changes": true, "works": true, "doubt": "O", "undo": { "none": "a copy" }, "people": 1,
            "treatment": "do", "hash": "", "written_hash": ""
        })
    };
    let outline = json!({
        "runbook": "bench", "title": "Bench", "source_hash": "", "lead": "sam",
        "env": { "name": "sandbox", "kind": "sandbox", "confirm": "sandbox" }, "mode": "rehearse", "window": {},
        "people": [{ "id": "sam", "name": "Sam Lind" }], "steps": (0..STEPS).map(step).collect::<Vec<_>>()
    });
    let opened = json!({ "opened": {
        "run": "reading", "version": "0", "operator": "sam", "from": "sam@desk", "outline": outline
    } });
    serde_json::from_value(opened).expect("an outline")
}

/// About as long as the records of a real night.
fn envelope(seq: u64) -> Vec<u8> {
    let step: StepId = name(seq / 20 % STEPS).parse().expect("a name");
    let attempt = 1 + u32::try_from(seq / 20 / STEPS).unwrap_or(0);
    let event = match seq % 20 {
        _ if seq == 1 => opened(),
        0 => Event::AttemptStarted { step, attempt, what: What::Do },
        19 => Event::AttemptEnded { step, attempt, outcome: Outcome::Done(Done::new("copied, 41 tables")) },
        n if n % 4 == 1 => {
            let percent = u8::try_from(n * 5).unwrap_or(100);
            Event::Progressed { step, attempt, percent, text: "rows copied".into() }
        }
        _ => Event::Line { step, attempt, text: format!("copied {} rows, lag {} ms", seq * 37, seq % 977) },
    };
    let at =
        DateTime::from_timestamp_millis(1_796_520_600_000 + i64::try_from(seq * 41).unwrap_or(0)).unwrap_or_default();
    Envelope { seq, at, elapsed: Elapsed(seq * 41), event }.encode().unwrap_or_default()
}

/// What a bare reader would keep of it.
#[derive(Default, PartialEq, Debug)]
struct Fold {
    records: u64,
    bytes: usize,
    last: u64,
}

impl Fold {
    fn take(&mut self, envelope: &Envelope) {
        self.records += 1;
        self.last = self.last.max(envelope.elapsed.0);
        if let Event::Line { text, .. } = &envelope.event {
            self.bytes += text.len();
        }
    }
}

fn bare_read(path: &Path) -> io::Result<Fold> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let (mut line, mut fold, mut hash) = (Vec::new(), Fold::default(), [0u8; 32]);
    loop {
        line.clear();
        if file.read_until(b'\n', &mut line)? == 0 {
            black_box(hash);
            return Ok(fold);
        }
        hash = Sha256::new().chain_update(hash).chain_update(&line).finalize().into();
        fold.take(&serde_json::from_slice::<Envelope>(&line[94..line.len() - 1])?);
    }
}

/// Verified, decoded, and folded into the state that every view and every resume begins with.
fn our_read(dir: &RunDir) -> (Fold, RunState) {
    let (mut fold, mut state) = (Fold::default(), RunState::default());
    let load = dir.read(&[], |_, envelope: Envelope| {
        fold.take(&envelope);
        state.evolve(&envelope.event, envelope.stamp());
    });
    let load = load.expect("the journal can be read");
    assert!(load.damage.is_none() && load.tear.is_none(), "{load:?}");
    (fold, state)
}

fn bare_steps(folder: &Path, steps: u64) -> io::Result<()> {
    let mut file = File::options().append(true).create(true).open(folder.join("bare"))?;
    for step in 0..steps {
        let mut record = || {
            let line = [&[b'.'; 94], &envelope(step)[..], b"\n"].concat();
            file.write_all(&line).and_then(|()| file.sync_data())
        };
        record()?;
        Command::new("/bin/true").status()?;
        record()?;
    }
    Ok(())
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let done = work();
    (start.elapsed(), done)
}

/// Medians of two series and their ratio.
fn tell(what: &str, mut floor: Vec<Duration>, mut ours: Vec<Duration>) {
    floor.sort();
    ours.sort();
    let (floor, ours) = (floor[floor.len() / 2], ours[ours.len() / 2]);
    println!("{what}: floor {floor:.2?}, ours {ours:.2?}, ratio {:.2}", ours.as_secs_f64() / floor.as_secs_f64());
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1).filter_map(|word| word.parse::<u64>().ok());
    let (records, steps) = (numbers.next().unwrap_or(1_000_000), numbers.next().unwrap_or(1_000));
    let rounds = numbers.next().unwrap_or(7);
    let state = std::env::temp_dir().join(format!("gonogo-bench-{}", std::process::id()));
    let made = measure(&state, records, steps, rounds);
    std::fs::remove_dir_all(&state)?;
    made
}

fn measure(state: &Path, records: u64, steps: u64, rounds: u64) -> Result<(), Box<dyn std::error::Error>> {
    let mut journal = RunDir::create(state, &"reading".parse()?, b"", b"", Room::default())?;
    for from in (1..=records).step_by(10_000) {
        let batch: Vec<_> = (from..=records.min(from + 9_999)).map(envelope).collect();
        journal.append(&batch, false)?;
    }
    journal.seal_head()?;
    let dir = journal.dir().clone();
    let path = dir.path().join("journal.jsonl");
    println!("{records} records, {} MB", std::fs::metadata(&path)?.len() / 1_000_000);
    let (mut floor, mut ours, mut verified) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (took, bare) = timed(|| bare_read(&path));
        floor.push(took);
        let (took, (fold, state)) = timed(|| our_read(&dir));
        ours.push(took);
        assert_eq!(fold, bare?);
        assert_eq!(state.steps.len() as u64, STEPS);
        let (took, load) = timed(|| dir.verify(&[]));
        verified.push(took);
        assert_eq!(load?.records, records);
    }
    tell("verify, decode and fold", floor.clone(), ours);
    tell("verify without decoding", floor, verified);
    drop(journal);

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (mut floor, mut ours) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let (took, bare) = timed(|| bare_steps(state, steps));
        bare?;
        floor.push(took);
        let run = format!("writing-{round}").parse()?;
        let thread = JournalThread::spawn(RunDir::create(state, &run, b"", b"", Room::default())?)?;
        let (took, done) = timed(|| {
            runtime.block_on(async {
                for step in 0..steps {
                    thread.append(vec![envelope(step)], true).await?;
                    Command::new("/bin/true").status()?;
                    thread.append(vec![envelope(step)], true).await?;
                }
                Ok::<_, Box<dyn std::error::Error>>(())
            })
        });
        done?;
        ours.push(took);
    }
    tell("write, two barriers a step", floor, ours);
    Ok(())
}
