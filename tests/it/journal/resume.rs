//! Going on: after a tear, after being killed in the middle of that, with a copy, with a head that lies.

use std::{fs, path::Path, process::Command};

use gonogo::journal::{Flaw, Journal, JournalError, Resume, RunDir, RunDirError};
use serde_json::Value;

use super::{
    ROOM,
    child::{command, said},
    create,
    disk::strace,
    made, text,
};

const HOW: Resume = Resume { room: ROOM, accept_copy: false };

fn resume(dir: &Path) -> Journal {
    RunDir::resume::<Value>(dir, HOW, |_, _| ()).unwrap().journal
}

fn damage(dir: &Path) -> Flaw {
    match RunDir::resume::<Value>(dir, HOW, |_, _| ()) {
        Err(error @ RunDirError::Damaged(_)) => {
            assert!(error.to_string().contains("line "), "{error}");
            let RunDirError::Damaged(load) = error else { unreachable!() };
            load.damage.unwrap().flaw
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_goes_on_where_it_was() {
    let made = made(3, 2);
    let mut read = Vec::new();
    let mut resumed = RunDir::resume(&made.dir, HOW, |seq, value: Value| read.push((seq, value))).unwrap();
    assert_eq!(
        read.iter().map(|(seq, value)| (*seq, value["seq"].as_u64().unwrap())).collect::<Vec<_>>(),
        [(1, 1), (2, 2), (3, 3)]
    );
    assert_eq!((resumed.load.anchored_to, resumed.copied, resumed.set_aside.len()), (Some(2), false, 0));
    assert!(resumed.journal.unsealed());
    resumed.journal.append(&[text(4, 20)], true).unwrap();
    resumed.journal.seal_head().unwrap();
    drop(resumed);
    let load = RunDir::view(&made.dir).unwrap().verify(&[]).unwrap();
    assert_eq!((load.records, load.anchored_to, load.damage), (4, Some(4), None));
}

#[test]
fn tears_are_numbered_and_kept() {
    let made = made(2, 2);
    for (n, torn) in [&b"torn"[..], &[0; 5000], b"torn"].into_iter().enumerate() {
        let mut bytes = made.bytes();
        bytes.extend(torn);
        made.set(&bytes);
        let resumed = RunDir::resume::<Value>(&made.dir, HOW, |_, _| ()).unwrap();
        assert_eq!(resumed.load.tear.as_ref().unwrap().bytes, torn.len() as u64);
        assert_eq!(resumed.set_aside.len(), n + 1);
        let last = resumed.set_aside.last().unwrap();
        assert_eq!((last.file.clone(), last.bytes), (format!("tear-{}", n + 1), torn.len() as u64));
        assert_eq!(fs::read(made.dir.join(&last.file)).unwrap(), torn);
    }
}

/// Killed at every call that changes something, over and over, it comes out the same.
#[test]
fn recovery_survives_being_killed_anywhere() {
    if !strace() {
        return;
    }
    let calls = "fsync,ftruncate,renameat,unlinkat,openat,write,copy_file_range,sendfile,fallocate,flock,fadvise64";
    let whole = made(3, 1);
    let mut bytes = whole.bytes();
    let good = bytes.len();
    bytes.extend(&bytes.clone()[..150]);
    let torn = bytes[good..].to_vec();
    // A fresh tear for every place to die, and one that is recovered through all the deaths.
    let (mut deaths, mut scarred) = (0, true);
    whole.set(&bytes);
    for call in calls.split(',') {
        for n in 1..200 {
            let fresh = made(3, 1);
            fresh.set(&bytes);
            let (trace, inject) = (fresh.state.path().join("trace"), format!("inject={call}:signal=KILL:when={n}"));
            // Only what the resuming itself does: the paths of the run.
            let paths =
                ["journal.jsonl", "tear.new", "tear-1", "head", "reserve", "lock", ""].map(|name| fresh.dir.join(name));
            let mut wrapper = vec!["strace", "-f", "-qq", "-o", trace.to_str().unwrap(), "-e", &inject];
            paths.iter().for_each(|path| wrapper.extend(["-P", path.to_str().unwrap().trim_end_matches('/')]));
            let output = command(&wrapper, "resume", &fresh.dir).output().unwrap();
            let died = !output.status.success();
            deaths += u32::from(died);
            // The next start, not killed, finishes what is left.
            let resumed = RunDir::resume::<Value>(&fresh.dir, HOW, |_, _| ()).unwrap();
            assert_eq!(fs::read(fresh.journal()).unwrap(), &bytes[..good], "{call} {n}");
            assert_eq!(resumed.set_aside.len(), 1, "{call} {n}: {:?}", resumed.set_aside);
            assert_eq!(fs::read(fresh.dir.join("tear-1")).unwrap(), torn, "{call} {n}");
            assert!(!fresh.dir.join("tear-2").exists());
            drop(resumed);
            if !died {
                assert_eq!(said(&output), ["resumed behind 3"]);
                break;
            }
            // The other one is killed at the same place and not helped.
            let inject = format!("inject={call}:signal=KILL:when={n}");
            let mut wrapper = vec!["strace", "-f", "-qq", "-o", trace.to_str().unwrap(), "-e", &inject];
            let paths =
                ["journal.jsonl", "tear.new", "tear-1", "head", "reserve", "lock", ""].map(|name| whole.dir.join(name));
            paths.iter().for_each(|path| wrapper.extend(["-P", path.to_str().unwrap().trim_end_matches('/')]));
            scarred &= !command(&wrapper, "resume", &whole.dir).output().unwrap().status.success();
        }
    }
    assert!(deaths >= 12, "only {deaths} deaths");
    let resumed = RunDir::resume::<Value>(&whole.dir, HOW, |_, _| ()).unwrap();
    assert_eq!(whole.bytes(), &bytes[..good]);
    assert_eq!(resumed.set_aside.len(), 1, "{scarred}");
    assert_eq!(fs::read(whole.dir.join("tear-1")).unwrap(), torn);
}

#[test]
fn damage_is_not_written_on() {
    let made = made(5, 2);
    let mut bytes = made.bytes();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    made.set(&bytes);
    assert_eq!(damage(&made.dir), Flaw::Checksum);
    assert_eq!(made.bytes(), bytes);
    assert!(!made.dir.join("tear-1").exists());
    // It can still be read up to there.
    let mut seen = 0;
    let load = RunDir::view(&made.dir).unwrap().read(&[], |seq, _: Value| seen = seq).unwrap();
    assert_eq!((seen, load.damage.unwrap().line), (2, 3));
}

#[test]
fn every_changed_bit_of_head_is_seen() {
    let made = made(3, 3);
    let head = fs::read(made.dir.join("head")).unwrap();
    let mut changed = head.clone();
    for at in 0..head.len() {
        for bit in 0..8 {
            changed[at] ^= 1 << bit;
            fs::write(made.dir.join("head"), &changed).unwrap();
            let result = RunDir::resume::<Value>(&made.dir, HOW, |_, _| ());
            // A changed inode makes it a copy; anything else is damage.
            assert!(matches!(result, Err(RunDirError::Damaged(_) | RunDirError::Copied { .. })), "byte {at} bit {bit}");
            changed[at] ^= 1 << bit;
        }
    }
    fs::write(made.dir.join("head"), &head).unwrap();
    resume(&made.dir);
}

#[test]
fn a_lost_tail_is_missed_and_a_lost_head_is_told() {
    let made = made(4, 3);
    let bytes = made.bytes();
    made.set(&bytes[..super::ends(&bytes)[1]]);
    assert_eq!(damage(&made.dir), Flaw::Missing { anchored: 3, last: 2 });
    fs::remove_file(made.dir.join("head")).unwrap();
    let resumed = RunDir::resume::<Value>(&made.dir, HOW, |_, _| ()).unwrap();
    assert_eq!((resumed.load.records, resumed.load.anchored_to), (2, None));
    assert!(resumed.journal.unsealed());
}

#[test]
fn a_copy_goes_on_only_by_a_persons_word() {
    let made = made(3, 3);
    let elsewhere = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-a").arg(made.state.path().join("runs")).arg(elsewhere.path()).status();
    assert!(copied.unwrap().success());
    let copy = elsewhere.path().join("runs").join(super::RUN);
    let refused = RunDir::resume::<Value>(&copy, HOW, |_, _| ());
    assert!(matches!(refused, Err(RunDirError::Copied { .. })), "{refused:?}");
    // To be read it is as good as the original.
    assert_eq!(RunDir::view(&copy).unwrap().verify(&[]).unwrap().anchored_to, Some(3));
    resume(&made.dir);

    let mut accepted = RunDir::resume::<Value>(&copy, Resume { accept_copy: true, ..HOW }, |_, _| ()).unwrap();
    assert!(accepted.copied && accepted.journal.unsealed());
    accepted.journal.append(&[text(4, 1)], true).unwrap();
    accepted.journal.seal_head().unwrap();
    drop(accepted);
    // From now on it is a run of its own.
    resume(&copy);

    let renamed = elsewhere.path().join("runs/20261206-013000-7f3a9d");
    fs::rename(&copy, &renamed).unwrap();
    assert_eq!(damage(&renamed), Flaw::OtherRun);
}

#[test]
fn the_reserve_comes_back() {
    let made = made(1, 1);
    fs::remove_file(made.dir.join("reserve")).unwrap();
    resume(&made.dir);
    assert_eq!(fs::metadata(made.dir.join("reserve")).unwrap().len(), ROOM.reserve);
}

#[test]
fn a_run_that_was_killed_while_it_was_made() {
    let made = made(0, 0);
    assert_eq!(RunDir::view(&made.dir).unwrap().verify(&[]).unwrap().records, 0);
    for name in ["head", "out", "plan.json", "journal.jsonl"] {
        let path = made.dir.join(name);
        if path.is_dir() { fs::remove_dir(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    let missing = RunDir::resume::<Value>(&made.dir, HOW, |_, _| ());
    assert!(matches!(&missing, Err(RunDirError::NotThere { path }) if path.ends_with("journal.jsonl")), "{missing:?}");
}

#[test]
fn what_happens_to_the_file_meanwhile_is_noticed() {
    type Deed = fn(&Path);
    let deeds: [(&str, Deed); 7] = [
        ("it was deleted", |dir| fs::remove_file(dir.join("journal.jsonl")).unwrap()),
        ("it was deleted", |dir| fs::remove_dir_all(dir).unwrap()),
        ("it was replaced", |dir| {
            fs::copy(dir.join("journal.jsonl"), dir.join("other")).unwrap();
            fs::rename(dir.join("other"), dir.join("journal.jsonl")).unwrap();
        }),
        ("somebody else wrote", |dir| fs::write(dir.join("journal.jsonl"), "").unwrap()),
        ("somebody else wrote", |dir| {
            let longer = [fs::read(dir.join("journal.jsonl")).unwrap(), b"{}\n".to_vec()].concat();
            fs::write(dir.join("journal.jsonl"), longer).unwrap();
        }),
        ("its folder was moved", |dir| fs::rename(dir, dir.with_extension("moved")).unwrap()),
        ("its lock was deleted", |dir| fs::remove_file(dir.join("lock")).unwrap()),
    ];
    for (what, deed) in deeds {
        let state = tempfile::tempdir().unwrap();
        let mut journal = create(state.path());
        journal.append(&[text(1, 1)], true).unwrap();
        journal.still_there().unwrap();
        deed(journal.dir().path());
        let error = journal.append(&[text(2, 1)], true).unwrap_err();
        assert!(error.to_string().contains(what), "{what}: {error}");
        assert_eq!(journal.next_seq(), 2);
        assert_eq!(journal.still_there().unwrap_err(), error);
        assert_eq!(journal.append(&[text(2, 1)], false), Err(error));
    }
}

#[test]
fn a_head_that_cannot_be_written_does_not_break_the_journal() {
    let state = tempfile::tempdir().unwrap();
    let mut journal = create(state.path());
    journal.append(&[text(1, 1)], true).unwrap();
    fs::create_dir(journal.dir().path().join("head.new")).unwrap();
    assert!(matches!(journal.seal_head(), Err(JournalError::Unsealed(_))));
    journal.append(&[text(2, 1)], true).unwrap();
    fs::remove_dir(journal.dir().path().join("head.new")).unwrap();
    journal.seal_head().unwrap();
    assert!(!journal.unsealed());
}
