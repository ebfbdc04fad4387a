//! One writer.

use std::{
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use gonogo::journal::{Resume, RunDir, RunDirError};
use serde_json::Value;

use super::{ROOM, child::Waiting, create, made};

const HOW: Resume = Resume { room: ROOM, accept_copy: false };

/// Twenty processes at the same moment.
fn race(verb: &str, dir: &std::path::Path) -> Vec<String> {
    let mut racers: Vec<Waiting> = (0..20).map(|_| Waiting::start(verb, dir)).collect();
    racers.iter_mut().for_each(|racer| assert_eq!(racer.hear(), "ready"));
    racers.iter_mut().for_each(Waiting::go);
    let heard: Vec<(u32, String)> = racers.iter_mut().map(|racer| (racer.child.id(), racer.hear())).collect();
    let winners: Vec<u32> = heard.iter().filter(|(_, said)| said == "won").map(|(pid, _)| *pid).collect();
    assert_eq!(winners.len(), 1, "{heard:?}");
    let losers = heard.into_iter().map(|(_, said)| said).filter(|said| said != "won");
    losers.map(|said| said.replace(&format!("held by {}", winners[0]), "held by the winner")).collect()
}

#[test]
fn of_twenty_resumes_one_drives_and_the_others_know_who() {
    let made = made(3, 3);
    let losers = race("race to resume", &made.dir);
    assert!(losers.iter().all(|said| said == "held by the winner"), "{losers:?}");
}

#[test]
fn of_twenty_starts_one_makes_the_run() {
    let state = tempfile::tempdir().unwrap();
    let losers = race("race to create", state.path());
    assert!(losers.iter().all(|said| said == "exists"), "{losers:?}");
}

#[test]
fn threads_are_kept_apart_too() {
    let made = made(3, 3);
    let won = thread::scope(|scope| {
        let racers: Vec<_> =
            (0..20).map(|_| scope.spawn(|| RunDir::resume::<Value>(&made.dir, HOW, |_, _| ()))).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).filter_map(Result::ok).collect::<Vec<_>>()
    });
    assert_eq!(won.len(), 1);
}

#[test]
fn the_holder_is_told_and_death_lets_go() {
    let made = made(3, 3);
    let view = RunDir::view(&made.dir).unwrap();
    assert_eq!(view.holder().unwrap(), None);
    let mut holder = Waiting::start("hold", &made.dir);
    assert_eq!(holder.hear(), "held");
    let told = view.holder().unwrap().unwrap();
    assert_eq!(told.pid, Some(holder.child.id()));
    let Err(RunDirError::Held(refused)) = RunDir::resume::<Value>(&made.dir, HOW, |_, _| ()) else { panic!() };
    assert_eq!(refused, told);
    let text = refused.to_string();
    assert!(text.starts_with(&format!("process {} of ", holder.child.id())) && text.contains(" on "), "{text}");

    holder.child.kill().unwrap();
    holder.child.wait().unwrap();
    // The text of the dead one is still there and does not count.
    assert!(std::fs::read_to_string(made.dir.join("lock")).unwrap().contains("boot "));
    assert_eq!(view.holder().unwrap(), None);
    drop(RunDir::resume::<Value>(&made.dir, HOW, |_, _| ()).unwrap());
    assert_eq!(std::fs::read_to_string(made.dir.join("lock")).unwrap(), "");
}

#[test]
fn a_child_does_not_keep_it() {
    let made = made(1, 1);
    let resumed = RunDir::resume::<Value>(&made.dir, HOW, |_, _| ()).unwrap();
    let mut child = Command::new("sleep").arg("600").spawn().unwrap();
    // A spawn may return before the new program's start has closed what it must not keep.
    let kept = || {
        let open = std::fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap();
        let targets = open.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        targets.filter(|target| target.starts_with(&made.dir)).collect::<Vec<_>>()
    };
    let patience = Instant::now() + Duration::from_secs(20);
    while !kept().is_empty() && Instant::now() < patience {
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(kept(), Vec::<PathBuf>::new());
    drop(resumed);
    let again = RunDir::resume::<Value>(&made.dir, HOW, |_, _| ());
    child.kill().unwrap();
    child.wait().unwrap();
    again.unwrap();
}

#[test]
fn looking_does_not_get_in_the_way() {
    let made = made(1, 1);
    let view = RunDir::view(&made.dir).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                view.holder().unwrap();
                thread::sleep(Duration::from_micros(50));
            }
        });
        let opened: Vec<_> = (0..100).map(|_| RunDir::resume::<Value>(&made.dir, HOW, |_, _| ()).is_ok()).collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(opened.iter().all(|ok| *ok), "{opened:?}");
    });
}

#[test]
fn a_driven_run_can_be_read() {
    let state = tempfile::tempdir().unwrap();
    let mut journal = create(state.path());
    let view = RunDir::view(journal.dir().path()).unwrap();
    for seq in 1..=5 {
        journal.append(&[super::text(seq, 3)], true).unwrap();
        assert_eq!(view.verify(&[]).unwrap().records, seq);
    }
}
