//! Every event as the journal has it.

use gonogo::run::{Decision, Ending, Event, HoldWhy, Identity, Intended, Settlement, UnknownEvent, What, Where};

use super::*;

/// One of each. The match below does not compile when a variant is new.
fn every() -> Vec<Event> {
    let (step, attempt, by) = (id("one"), 3, who("sam"));
    let all = vec![
        Event::Opened(Box::new(opened(outline(vec![stop("go"), check("two")]), true))),
        Event::Resumed(resumed()),
        Event::AttemptStarted { step: step.clone(), attempt, what: What::ProbeUndo },
        Event::Line { step: step.clone(), attempt, text: "é \u{1f600} \"x\"".into() },
        Event::Progressed { step: step.clone(), attempt, percent: 100, text: String::new() },
        Event::Identified { step: step.clone(), identity: Identity { system: "aws".into(), line: "1".into() } },
        Event::Intended(Box::new(Intended {
            step: step.clone(),
            attempt,
            does: vec!["PUT".into()],
            digest: "d".into(),
            token: "t".into(),
            captured: json!({ "ttl": 0.1, "big": u64::MAX, "odd": 1.0 / 3.0, "deep": [[{}], null] }),
            deadline: opened_at() + Duration::from_nanos(123_456_789),
        })),
        Event::Checked {
            step: step.clone(),
            attempt,
            place: Where::Verify,
            index: 2,
            seen: Seen::new("x").value(1.0 / 3.0),
        },
        Event::AttemptEnded {
            step: step.clone(),
            attempt,
            outcome: Outcome::Failed(Failure::new(Class::Unknown, "m").because("c").hint("h")),
        },
        Event::AttemptEnded {
            step: step.clone(),
            attempt,
            outcome: Outcome::Failed(Failure {
                after: Some(Duration::from_secs(u64::MAX)),
                ..Failure::new(Class::FailedNothingDone, "m")
            }),
        },
        Event::RetryScheduled { step: step.clone(), not_before: Elapsed(u64::MAX) },
        Event::Settled { step: step.clone(), back: true, settlement: Settlement::ByHand("r".into()) },
        Event::Asked { step: step.clone(), back: false },
        Event::CriterionSeen { step: step.clone(), round: 1, index: 0, ok: true, line: "l".into() },
        Event::Voted {
            step: step.clone(),
            who: by.clone(),
            typed_by: who("mira"),
            go: false,
            reason: Some("é".into()),
            via: Some(via("deploy@bastion pts/3")),
        },
        Event::Confirmed { step: step.clone(), who: by.clone(), typed_by: by.clone(), back: true },
        Event::Decided {
            step: step.clone(),
            who: by.clone(),
            typed_by: by.clone(),
            decision: Decision::RollBack,
            reason: Some("r".into()),
            against: vec!["a".into()],
        },
        Event::OwnerSaidDone {
            step: step.clone(),
            attempt,
            who: by.clone(),
            typed_by: by.clone(),
            value: Some("v".into()),
            unticked: vec!["it".into()],
            reason: Some("w".into()),
        },
        Event::Held { why: HoldWhy::JournalFailed("w".into()), by: None },
        Event::Released { by: by.clone() },
        Event::NoReturnCrossed { step: step.clone() },
        Event::Probed { step: step.clone(), attempt, finding: Finding::Unclear { line: "l".into() } },
        Event::RollbackBegan { steps: vec![step.clone()], left: vec![(step.clone(), "why".into())] },
        Event::WatchBegan { watch: "w".parse().unwrap() },
        Event::WatchSampled { watch: "w".parse().unwrap(), ok: None, value: Some(-1.0e-300 / 7.0), line: "l".into() },
        Event::WatchBreached { watch: "w".parse().unwrap(), samples: 3 },
        Event::WatchEnded { watch: "w".parse().unwrap() },
        Event::Noted { who: by, text: "t\nu".into(), step: Some(step), via: Some(Via { pid: None, ..via("x") }) },
        Event::ClockJumped { wall_ms: i64::MIN, slept: Duration::from_millis(5) },
        Event::TornTail { bytes: 7, kept_as: "tear-1".into() },
        Event::Ended { ending: Ending::RolledBackInPart },
        Event::Ticked { step: id("one"), attempt, item: 4, on: false, who: who("sam"), typed_by: who("mira") },
        Event::Unknown(UnknownEvent(json!({ "teleported": { "to": "mars" } }))),
    ];
    let mut kinds: Vec<u8> = all.iter().map(number).collect();
    kinds.dedup();
    assert_eq!(kinds, (0..32).collect::<Vec<u8>>(), "one of each, in order");
    all
}

fn number(event: &Event) -> u8 {
    match event {
        Event::Opened(_) => 0,
        Event::Resumed(_) => 1,
        Event::AttemptStarted { .. } => 2,
        Event::Line { .. } => 3,
        Event::Progressed { .. } => 4,
        Event::Identified { .. } => 5,
        Event::Intended(_) => 6,
        Event::Checked { .. } => 7,
        Event::AttemptEnded { .. } => 8,
        Event::RetryScheduled { .. } => 9,
        Event::Settled { .. } => 10,
        Event::Asked { .. } => 11,
        Event::CriterionSeen { .. } => 12,
        Event::Voted { .. } => 13,
        Event::Confirmed { .. } => 14,
        Event::Decided { .. } => 15,
        Event::OwnerSaidDone { .. } => 16,
        Event::Held { .. } => 17,
        Event::Released { .. } => 18,
        Event::NoReturnCrossed { .. } => 19,
        Event::Probed { .. } => 20,
        Event::RollbackBegan { .. } => 21,
        Event::WatchBegan { .. } => 22,
        Event::WatchSampled { .. } => 23,
        Event::WatchBreached { .. } => 24,
        Event::WatchEnded { .. } => 25,
        Event::Noted { .. } => 26,
        Event::ClockJumped { .. } => 27,
        Event::TornTail { .. } => 28,
        Event::Ended { .. } => 29,
        Event::Ticked { .. } => 30,
        Event::Unknown(_) => 31,
    }
}

#[test]
fn every_event_is_read_as_it_was_written() {
    for (seq, event) in (1..).zip(every()) {
        let written = envelope(seq, at(seq * 41), event);
        let bytes = written.encode().unwrap();
        assert!(!bytes.contains(&b'\n'));
        assert_eq!(Envelope::decode(&bytes).unwrap(), written, "{}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn an_event_of_a_newer_version_is_kept_and_ignored() {
    let night = Night::of(vec![step("one")]);
    let line = br#"{"seq":9,"at":"2026-12-06T00:30:09Z","elapsed":9000,"event":{"teleported":{"to":"mars","x":0.1}}}"#;
    let envelope = Envelope::decode(line).unwrap();
    assert!(matches!(envelope.event, Event::Unknown(_)));
    let mut state = night.state.clone();
    state.evolve(&envelope.event, envelope.stamp());
    state.last = night.state.last;
    assert_eq!(state, night.state);
    assert_eq!(envelope.encode().unwrap(), line);
}

#[test]
fn a_known_event_of_another_shape_is_an_error() {
    for event in [r#"{"released":{}}"#, r#"{"released":{"by":"A B"}}"#, "7", "{}", r#"{"asked":null}"#] {
        let line = format!(r#"{{"seq":9,"at":"2026-12-06T00:30:09Z","elapsed":9000,"event":{event}}}"#);
        assert!(Envelope::decode(line.as_bytes()).is_err(), "{event}");
    }
}

#[test]
fn facts_that_fit_nowhere_change_nothing_and_never_panic() {
    let mut nothing = RunState::default();
    let mut some = Night::of(vec![check("other")]).state;
    for event in every().into_iter().skip(1) {
        nothing.evolve(&event, at(1));
        some.evolve(&event, at(1));
    }
    assert!(nothing.steps.is_empty());
    assert_eq!(some.steps.len(), 1);
}

/// A journal with a newer version's event is no damaged journal.
#[test]
fn a_journal_with_an_event_of_a_newer_version_is_whole() {
    let state = tempfile::tempdir().unwrap();
    let run = crate::journal::run();
    let mut journal = gonogo::journal::RunDir::create(state.path(), &run, b"", b"{}", crate::journal::ROOM).unwrap();
    let records: Vec<Vec<u8>> =
        (1..).zip(every()).map(|(seq, event)| envelope(seq, at(seq), event).encode().unwrap()).collect();
    let wanted = records.len() as u64;
    journal.append(&records, true).unwrap();
    let path = journal.dir().path().to_owned();
    drop(journal);
    let mut unknown = 0;
    let read = |_: u64, envelope: Envelope| unknown += u32::from(matches!(envelope.event, Event::Unknown(_)));
    let resumed = gonogo::journal::RunDir::resume(
        &path,
        gonogo::journal::Resume { room: crate::journal::ROOM, ..Default::default() },
        read,
    )
    .unwrap();
    assert_eq!((resumed.load.damage, resumed.load.records, unknown), (None, wanted, 1));
}
