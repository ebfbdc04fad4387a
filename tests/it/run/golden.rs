//! A night recorded once and kept: every later version has to verify it and to tell the same story.
//! `GONOGO_RECORD=1 cargo test --test it run::golden` records it anew, which is right only with a new format.

use std::{fmt::Write as _, path::PathBuf};

use gonogo::{
    journal::{RunDir, read},
    run::{HoldWhy, Intent, Timing},
};

use super::*;
use crate::journal::{ROOM, run};

fn kept() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/journal-v1.jsonl")
}

/// A failure and its retry, a no-go and a go, a process that dies with an attempt in doubt, a rollback.
fn night() -> (Night, Vec<Envelope>) {
    let freeze = StepOutline {
        clocks: Clocks { freeze_starts: true, ..Clocks::default() },
        retry: Some(gonogo::runbook::Retry { attempts: 2, wait: Duration::from_secs(10) }),
        ..needing(step("freeze"), &["go"])
    };
    let mut plan = outline(vec![
        step("lower-ttl"),
        needing(stop("go"), &["lower-ttl"]),
        freeze,
        needing(StepOutline { manual: true, asks_value: Some("the ticket".into()), ..step("tell") }, &["freeze"]),
        needing(StepOutline { no_return: true, people: 2, ..step("switch") }, &["tell"]),
    ]);
    plan.watches = vec![watch("errors", "freeze", "switch")];
    let mut night = Night::open(opened(plan, false));
    let mut envelopes = Vec::new();
    let mut keep = |night: &Night| {
        for event in &night.events[envelopes.len()..] {
            envelopes.push(envelope(envelopes.len() as u64 + 1, at(night.now), event.clone()));
        }
    };
    let acts: [fn(&mut Night); 15] = [
        |n| n.does("lower-ttl"),
        |n| {
            let intent = Intent::NoGo { step: id("go"), typed: "no-go".into(), reason: Some("lag 3 MiB".into()) };
            n.says("mira", intent).unwrap();
        },
        |n| drop(n.sees("go", true).unwrap()),
        |n| {
            for voter in ["dana", "sam"] {
                n.says(voter, Intent::vote(id("go"), true)).unwrap();
            }
        },
        |n| drop(n.says("mira", go("go")).unwrap()),
        |n| n.fails("freeze", Class::FailedNothingDone),
        |n| drop(n.put(Input::Due).unwrap()),
        |n| n.intends("freeze"),
        |n| drop(n.put(Input::Resume(resumed())).unwrap()),
        |n| {
            drop(
                n.report("freeze", Report::Found(Finding::Done(Done::new("frozen").with(json!({ "lsn": 0.1 })))))
                    .unwrap(),
            )
        },
        |n| drop(n.report("freeze", done()).unwrap()),
        |n| drop(n.says("dana", release()).unwrap()),
        |n| {
            n.intends("tell");
            n.says("mira", Intent::OwnerDone { step: id("tell"), value: Some("OPS-1".into()), reason: None }).unwrap();
            n.report("tell", done()).unwrap();
            n.says(
                "sam",
                Intent::Note { text: "queue is growing\nsee OPS-1".into(), step: Some(id("switch")), via: None },
            )
            .unwrap();
            n.put(Input::Hold(HoldWhy::TerminalLost)).unwrap();
        },
        |n| drop(n.says("mira", roll_back()).unwrap()),
        |n| {
            for name in ["tell", "freeze", "lower-ttl"] {
                n.says("dana", confirm(name, "undo")).unwrap();
                n.intends(name);
                n.report(name, done()).unwrap();
            }
        },
    ];
    keep(&night);
    for act in acts {
        night.now += 11_000;
        act(&mut night);
        keep(&night);
    }
    (night, envelopes)
}

fn summary(state: &RunState) -> String {
    let mut text = format!("{:?}\n", state.ended);
    for (outline, run) in state.outlines().iter().zip(&state.steps) {
        let back = run.back.as_ref().map_or("-", |back| back.state.word());
        let leg = &run.forward;
        let attempts = run.attempts.len();
        writeln!(
            text,
            "{} {} back {back}, {attempts} attempts, worked {:?}, waited {:?}, captured {:?}",
            outline.id,
            leg.state.word(),
            leg.worked,
            leg.waited,
            run.captured
        )
        .unwrap();
    }
    let figures = Timing::of(state, state.last.unwrap()).unwrap();
    writeln!(text, "freeze {:?}, bar {}, notes {:?}", figures.freeze.used, figures.bar.state.word(), state.notes.len())
        .unwrap();
    text
}

#[test]
fn a_night_recorded_by_the_first_version_is_told_as_it_was() {
    let (night, envelopes) = night();
    if std::env::var_os("GONOGO_RECORD").is_some() {
        let state = tempfile::tempdir().unwrap();
        let mut journal = RunDir::create(state.path(), &run(), b"", b"{}", ROOM).unwrap();
        let records: Vec<Vec<u8>> = envelopes.iter().map(|envelope| envelope.encode().unwrap()).collect();
        journal.append(&records, true).unwrap();
        std::fs::copy(journal.dir().path().join("journal.jsonl"), kept()).unwrap();
    }
    let mut folded = RunState::default();
    let mut read_back = Vec::new();
    let load = read(std::fs::File::open(kept()).unwrap(), &run(), &[], |seq, envelope: Envelope| {
        assert_eq!(envelope.seq, seq);
        folded.evolve(&envelope.event, envelope.stamp());
        read_back.push(envelope);
    });
    let load = load.unwrap();
    assert_eq!((load.damage, load.tear, load.records), (None, None, envelopes.len() as u64));
    insta::assert_snapshot!(summary(&folded));
    assert_eq!(load.hash, HASH, "not the bytes that were recorded");
    // What this version writes is what the first one wrote.
    assert_eq!(read_back, envelopes);
    assert_eq!(folded, night.state);
}

/// The hash of the last record.
const HASH: &str = "07de096485726fd0040a6f8bc896ded5e9e579ef56fbf97ff7b3164dca034ab3";
