//! What was written is read again, and nothing else passes for it.

use gonogo::{
    base::RunId,
    journal::{Flaw, Load, Pin, RunDir},
};
use proptest::prelude::*;
use serde_json::Value;

use super::{ends, made, run, text, verify};

/// A journal of `n` records in memory, its lines and the pin of its end.
fn sample(n: u64) -> (Vec<u8>, Vec<Vec<u8>>, Pin) {
    let made = made(n, n);
    let bytes = made.bytes();
    let lines = bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    let load = RunDir::view(&made.dir).unwrap().verify(&[]).unwrap();
    assert_eq!((load.anchored_to, load.records), (Some(n), n));
    (bytes, lines, Pin { seq: n, hash: load.hash, length: Some(load.length) })
}

/// The line at which a load stopped.
fn stopped(load: &Load) -> u64 {
    match (&load.damage, &load.tear) {
        (Some(damage), None) => damage.line,
        (None, Some(tear)) => tear.line,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..Default::default() })]
    #[test]
    fn round_trip(batches in prop::collection::vec((prop::collection::vec((".{0,300}", any::<u32>()), 0..5), any::<bool>()), 0..8)) {
        let state = tempfile::tempdir().unwrap();
        let mut journal = super::create(state.path());
        let mut written = Vec::new();
        for (batch, barrier) in &batches {
            let batch: Vec<Value> = batch.iter().map(|(text, n)| serde_json::json!({"text": text, "n": n})).collect();
            let texts: Vec<Vec<u8>> = batch.iter().map(|value| value.to_string().into_bytes()).collect();
            let next = journal.next_seq();
            journal.append(&texts, *barrier).unwrap();
            prop_assert_eq!(journal.next_seq(), next + texts.len() as u64);
            written.extend(batch);
        }
        journal.seal_head().unwrap();
        let (path, anchor) = (journal.dir().path().to_owned(), journal.anchor());
        drop(journal);
        let mut read = Vec::new();
        let load = RunDir::view(&path).unwrap().read(&[anchor.parse().unwrap()], |seq, value: Value| read.push((seq, value))).unwrap();
        prop_assert_eq!((&load.tear, &load.damage, load.anchored_to), (&None, &None, Some(written.len() as u64)));
        prop_assert_eq!(read, (1..).zip(written).collect::<Vec<_>>());
    }
}

#[test]
fn a_journal_larger_than_the_reader_holds() {
    let state = tempfile::tempdir().unwrap();
    let mut journal = super::create(state.path());
    let batch: Vec<Vec<u8>> = (1..=40).map(|seq| text(seq, 200_000)).collect();
    journal.append(&batch, false).unwrap();
    journal.append(&[text(41, 2_000_000), text(42, 0)], true).unwrap();
    let mut sizes = Vec::new();
    let load =
        journal.dir().read(&[], |_, value: Value| sizes.push(value["event"]["line"].as_str().unwrap().len())).unwrap();
    assert_eq!((load.records, load.damage, load.tear), (42, None, None));
    assert_eq!((sizes[0], sizes[40], sizes[41]), (200_000, 2_000_000, 0));
}

#[test]
fn people_can_read_it() {
    let made = made(2, 0);
    let all = String::from_utf8(made.bytes()).unwrap();
    let parts: Vec<&str> = all.lines().nth(1).unwrap().splitn(5, ' ').collect();
    assert_eq!((parts[0], parts[1].parse()), ("0000000002", Ok(parts[4].len())));
    assert_eq!((parts[2].len(), parts[3].len()), (8, 64));
    assert_eq!(parts[4].as_bytes(), text(2, 20));
}

/// Every bit of every byte: found, at its own line, and never taken for a torn write.
#[test]
fn every_flipped_bit_is_damage_at_its_line() {
    let (mut bytes, lines, _) = sample(8);
    let mut at = 0;
    for (line, content) in (1..).zip(&lines) {
        for _ in content {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                let load = verify(&bytes, &[]);
                let damage =
                    load.damage.unwrap_or_else(|| panic!("byte {at} bit {bit} of line {line}: {:?}", load.tear));
                assert_eq!((damage.line, load.records), (line, line - 1), "byte {at} bit {bit}");
                bytes[at] ^= 1 << bit;
            }
            at += 1;
        }
    }
    assert_eq!(verify(&bytes, &[]).damage, None);
}

#[test]
fn deleted_swapped_repeated_and_inserted_records() {
    let (_, lines, pin) = sample(9);
    let judge = |lines: &[Vec<u8>]| verify(&lines.concat(), std::slice::from_ref(&pin));
    for a in 0..9 {
        let mut deleted = lines.clone();
        deleted.remove(a);
        assert_eq!(stopped(&judge(&deleted)), a as u64 + 1, "deleted {a}");
        for b in 0..9 {
            let mut repeated = lines.clone();
            repeated.insert(b, lines[a].clone());
            // Before or behind itself is the same file, and the second one is the one too many.
            let wrong = if a == b { b + 2 } else { b + 1 };
            let load = judge(&repeated);
            assert!(load.damage.is_some(), "{a} again at {b}: {load:?}");
            assert_eq!(stopped(&load), wrong as u64, "{a} again at {b}");
            if a != b {
                let mut swapped = lines.clone();
                swapped.swap(a, b);
                let load = judge(&swapped);
                assert!(load.damage.is_some(), "{a} for {b}");
                assert_eq!(stopped(&load), a.min(b) as u64 + 1, "{a} for {b}");
            }
        }
    }
    let mut again = lines.clone();
    again.push(lines[8].clone());
    assert_eq!(judge(&again).damage.unwrap().flaw, Flaw::OutOfOrder { found: 9 });
}

#[test]
fn records_of_another_run() {
    let (_, lines, _) = sample(5);
    let other: RunId = "20261206-013000-7f3a9d".parse().unwrap();
    let state = tempfile::tempdir().unwrap();
    let mut journal = RunDir::create(state.path(), &other, b"", b"", super::ROOM).unwrap();
    for seq in 1..=5 {
        journal.append(&[text(seq, 20)], false).unwrap();
    }
    let theirs = std::fs::read(journal.dir().path().join("journal.jsonl")).unwrap();
    assert_eq!(verify(&theirs, &[]).damage.unwrap().flaw, Flaw::OtherRun);
    for (at, line) in theirs.split_inclusive(|b| *b == b'\n').enumerate() {
        let mut mixed = lines.clone();
        mixed[at] = line.to_vec();
        let damage = verify(&mixed.concat(), &[]).damage.unwrap();
        assert_eq!(damage.line, at as u64 + 1);
    }
}

#[test]
fn cut_at_a_line_shows_against_the_head() {
    let (bytes, ..) = sample(6);
    let head = Pin { seq: 4, hash: pin_hash(&bytes, 4), length: None };
    for (n, end) in std::iter::once(0).chain(ends(&bytes)).enumerate() {
        let cut = &bytes[..end];
        let load = verify(cut, std::slice::from_ref(&head));
        if n < 4 {
            assert_eq!(load.damage.unwrap().flaw, Flaw::Missing { anchored: 4, last: n as u64 });
        } else {
            assert_eq!((load.damage, load.anchored_to), (None, Some(4)));
        }
        let unanchored = verify(cut, &[]);
        assert_eq!((unanchored.damage, unanchored.anchored_to), (None, None));
    }
}

fn pin_hash(bytes: &[u8], records: usize) -> String {
    verify(&bytes[..ends(bytes)[records - 1]], &[]).hash
}

#[test]
fn an_anchor_finds_what_was_written_anew() {
    let (bytes, _, _) = sample(4);
    let anchor = format!("3-{}", &pin_hash(&bytes, 3)[..16]);
    let pin: Pin = anchor.parse().unwrap();
    assert_eq!(verify(&bytes, std::slice::from_ref(&pin)).anchored_to, Some(3));
    let state = tempfile::tempdir().unwrap();
    let mut forged = super::create(state.path());
    for seq in 1..=4 {
        forged.append(&[text(seq + u64::from(seq == 2), 20)], false).unwrap();
    }
    let forged = std::fs::read(forged.dir().path().join("journal.jsonl")).unwrap();
    assert_eq!(verify(&forged, &[]).damage, None);
    let load = verify(&forged, &[pin]);
    assert_eq!((load.damage.unwrap().flaw, load.records), (Flaw::Rewritten(3), 2));
    for bad in ["", "3", "x-0123456789ab", "3-0123456789a", "3-0123456789aB", "3-0123456789abc\u{1b}"] {
        assert!(bad.parse::<Pin>().is_err(), "{bad}");
    }
}

#[test]
fn a_later_format_is_named() {
    use sha2::{Digest, Sha256};
    let start = Sha256::digest(format!("gonogo journal 7\0{}", run()));
    let start: String = start.iter().map(|b| format!("{b:02x}")).collect();
    let covered = format!("0000000001 00000002  {start} {{}}");
    let line = format!("0000000001 00000002 {:08x} {start} {{}}\n", crc32c::crc32c(covered.as_bytes()));
    let damage = verify(line.as_bytes(), &[]).damage.unwrap();
    assert_eq!((damage.flaw.clone(), damage.line), (Flaw::Newer(7), 1));
    assert!(damage.to_string().contains("format 7, this version reads format 1"), "{damage}");

    let made = made(0, 0);
    made.set(line.as_bytes());
    std::fs::remove_file(made.dir.join("head")).unwrap();
    let refused = RunDir::resume::<Value>(&made.dir, Default::default(), |_, _| ());
    assert!(matches!(refused, Err(gonogo::journal::RunDirError::Newer(7))), "{refused:?}");
    assert_eq!(made.bytes(), line.as_bytes());
}

#[test]
fn a_text_that_is_no_event_has_a_place() {
    let made = made(0, 0);
    let mut journal = RunDir::resume::<Value>(&made.dir, Default::default(), |_, _| ()).unwrap().journal;
    journal.append(&[b"{\"n\":1}".to_vec(), b"{}".to_vec(), b"{\"n\":3}".to_vec()], true).unwrap();
    #[derive(serde::Deserialize)]
    struct Wanted {
        n: u64,
    }
    impl gonogo::journal::Record for Wanted {
        fn decode(json: &[u8]) -> Result<Self, String> {
            serde_json::from_slice(json).map_err(|e| e.to_string())
        }
    }
    let mut seen = Vec::new();
    let load = journal.dir().read(&[], |seq, wanted: Wanted| seen.push((seq, wanted.n))).unwrap();
    assert_eq!(seen, [(1, 1)]);
    let damage = load.damage.unwrap();
    assert!(matches!(damage.flaw, Flaw::Text(_)));
    assert_eq!((damage.line, damage.offset), (2, ends(&made.bytes())[0] as u64));
}
