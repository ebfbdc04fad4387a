//! What the journal costs, against floors measured in the same process, in turns.
//!
//! * Reading: verify (frames, CRC, chain) and decode a journal of 1,000,000 records, against a bare read of the
//!   same file with one SHA-256 chain and the same typed `serde_json`. At most 1.3 ×.
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

use chrono::{DateTime, Utc};
use gonogo::{
    base::Elapsed,
    journal::{JournalThread, Room, RunDir},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

#[derive(Serialize, Deserialize)]
struct Envelope {
    seq: u64,
    at: DateTime<Utc>,
    elapsed: Elapsed,
    event: Event,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Event {
    Started { step: String, attempt: u32, what: String },
    Line { step: String, attempt: u32, text: String },
    Progressed { step: String, attempt: u32, percent: u8, text: String },
    Ended { step: String, attempt: u32, outcome: String, took: u64 },
}

/// About as long as the records of a real night.
fn envelope(seq: u64) -> Vec<u8> {
    let (step, attempt, percent) = (format!("copy-shard-{:03}", seq / 20 % 1000), 1, (seq % 20 * 5) as u8);
    let event = match seq % 20 {
        0 => Event::Started { step, attempt, what: "apply".into() },
        19 => Event::Ended { step, attempt, outcome: "done".into(), took: seq },
        n if n % 4 == 1 => Event::Progressed { step, attempt, percent, text: "rows copied".into() },
        _ => Event::Line { step, attempt, text: format!("copied {} rows, lag {} ms", seq * 37, seq % 977) },
    };
    let at =
        DateTime::from_timestamp_millis(1_796_520_600_000 + i64::try_from(seq * 41).unwrap_or(0)).unwrap_or_default();
    serde_json::to_vec(&Envelope { seq, at, elapsed: Elapsed(seq * 41), event }).unwrap_or_default()
}

/// Something that a fold might keep.
#[derive(Default, PartialEq, Debug)]
struct Fold {
    records: u64,
    bytes: usize,
    percent: u64,
    took: u64,
}

impl Fold {
    fn take(&mut self, envelope: &Envelope) {
        self.records += 1;
        self.took = self.took.max(envelope.elapsed.0);
        match &envelope.event {
            Event::Started { step, what, .. } => self.bytes += step.len() + what.len(),
            Event::Line { step, text, .. } => self.bytes += step.len() + text.len(),
            Event::Progressed { step, text, percent, .. } => {
                self.bytes += step.len() + text.len();
                self.percent += u64::from(*percent);
            }
            Event::Ended { step, outcome, .. } => self.bytes += step.len() + outcome.len(),
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

fn our_read(dir: &RunDir) -> Fold {
    let mut fold = Fold::default();
    let load = dir.read(&[], |_, envelope: Envelope| fold.take(&envelope)).expect("the journal can be read");
    assert!(load.damage.is_none() && load.tear.is_none(), "{load:?}");
    fold
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
        let (took, fold) = timed(|| our_read(&dir));
        ours.push(took);
        assert_eq!(fold, bare?);
        let (took, load) = timed(|| dir.verify(&[]));
        verified.push(took);
        assert_eq!(load?.records, records);
    }
    tell("verify and decode", floor.clone(), ours);
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
