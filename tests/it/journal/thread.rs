//! The journal behind its thread.

use std::time::Duration;

use gonogo::journal::{JournalError, JournalThread, Resume, RunDir};
use serde_json::Value;

use super::{create, text};

#[tokio::test]
async fn appends_are_awaited_and_the_journal_comes_back() {
    let state = tempfile::tempdir().unwrap();
    let thread = JournalThread::spawn(create(state.path())).unwrap();
    for seq in 1..=20 {
        thread.append(vec![text(seq, 10)], seq % 2 == 0).await.unwrap();
    }
    assert!(matches!(thread.append(vec![b"\n".to_vec()], true).await, Err(JournalError::Unfit(_))));
    let anchor = thread.seal().await.unwrap();
    thread.still_there().await.unwrap();
    let journal = thread.close().await.unwrap();
    assert_eq!((journal.next_seq(), journal.anchor(), journal.unsealed()), (21, anchor, false));
}

#[tokio::test]
async fn who_stops_waiting_loses_nothing() {
    let state = tempfile::tempdir().unwrap();
    let thread = JournalThread::spawn(create(state.path())).unwrap();
    for seq in 1..=50 {
        let append = thread.append(vec![text(seq, 10)], true);
        let _ = tokio::time::timeout(Duration::ZERO, append).await;
    }
    assert_eq!(thread.close().await.unwrap().next_seq(), 51);
}

#[tokio::test]
async fn dropping_it_lets_go_of_the_run() {
    let state = tempfile::tempdir().unwrap();
    let journal = create(state.path());
    let path = journal.dir().path().to_owned();
    let thread = JournalThread::spawn(journal).unwrap();
    thread.append(vec![text(1, 10)], false).await.unwrap();
    drop(thread);
    let how = Resume { room: super::ROOM, accept_copy: false };
    let resumed = loop {
        match RunDir::resume::<Value>(&path, how, |_, _| ()) {
            Ok(resumed) => break resumed,
            Err(gonogo::journal::RunDirError::Held(_)) => tokio::task::yield_now().await,
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(resumed.load.records, 1);
}

#[tokio::test]
async fn a_broken_journal_says_so_every_time() {
    let state = tempfile::tempdir().unwrap();
    let journal = create(state.path());
    let path = journal.dir().path().join("journal.jsonl");
    let thread = JournalThread::spawn(journal).unwrap();
    thread.append(vec![text(1, 10)], true).await.unwrap();
    std::fs::remove_file(path).unwrap();
    let first = thread.append(vec![text(2, 10)], true).await.unwrap_err();
    assert!(first.to_string().contains("it was deleted"), "{first}");
    assert_eq!(thread.append(vec![text(2, 10)], false).await.unwrap_err(), first);
    assert_eq!(thread.seal().await.unwrap_err(), first);
    assert_eq!(thread.last_words(vec![text(2, 10)]).await.unwrap_err(), first);
}

#[tokio::test]
async fn a_run_that_waits_is_sealed() {
    let state = tempfile::tempdir().unwrap();
    let thread = JournalThread::sealing_every(Duration::from_millis(20), create(state.path())).unwrap();
    thread.append(vec![text(1, 10)], true).await.unwrap();
    let view = RunDir::view(thread.dir().path()).unwrap();
    let sealed = async {
        while view.verify(&[]).unwrap().anchored_to != Some(1) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), sealed).await.unwrap();
}
