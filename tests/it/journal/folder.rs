//! What is made, how private it is, what is refused, and how runs are found.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
    process::Command,
};

use gonogo::journal::{FindError, Resume, Room, RunDir, RunDirError, find, runs, state_dir};
use serde_json::Value;

use super::{Made, ROOM, RUN, create, made, run};

const HOW: Resume = Resume { room: ROOM, accept_copy: false };

fn resume(dir: &Path) -> Result<(), RunDirError> {
    RunDir::resume::<Value>(dir, HOW, |_, _| ()).map(drop)
}

fn refused(result: Result<(), RunDirError>, why: &str) {
    match result {
        Err(RunDirError::Unsafe { what, .. }) if what.contains(why) => {}
        other => panic!("{why}: {other:?}"),
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn everything_is_private() {
    let above = tempfile::tempdir().unwrap();
    let state = above.path().join("deep/state");
    let journal = create(&state);
    let dir = journal.dir().path();
    assert_eq!(dir, state.join("runs").join(RUN));
    for folder in [&state, &state.join("runs"), dir, &dir.join("out")] {
        assert_eq!(mode(folder), 0o700, "{folder:?}");
    }
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["head", "journal.jsonl", "lock", "out", "plan.json", "reserve", "runbook.toml"]);
    for file in names.iter().filter(|name| *name != "out") {
        assert_eq!(mode(&dir.join(file)), 0o600, "{file}");
    }
    // Space that is really there, not a hole.
    assert!(fs::metadata(dir.join("reserve")).unwrap().blocks() * 512 >= ROOM.reserve);
    let view = RunDir::view(dir).unwrap();
    assert_eq!((view.runbook().unwrap(), view.plan().unwrap()), (b"runbook".to_vec(), b"{}".to_vec()));
    assert_eq!(view.run(), &run());
}

#[test]
fn a_run_is_made_once() {
    let made = made(1, 1);
    let before = made.bytes();
    let again = RunDir::create(made.state.path(), &run(), b"x", b"y", ROOM);
    assert!(matches!(again, Err(RunDirError::Exists { .. })), "{again:?}");
    assert_eq!(made.bytes(), before);
}

#[test]
fn no_room_no_run() {
    let state = tempfile::tempdir().unwrap();
    let full = RunDir::create(state.path(), &run(), b"", b"", Room { free: u64::MAX, ..ROOM });
    let Err(error @ RunDirError::NoRoom { .. }) = full else { panic!("{full:?}") };
    assert!(error.to_string().contains("MiB are free"), "{error}");
    assert!(runs(state.path()).unwrap().is_empty());
    let wanted = Room::default();
    assert_eq!((wanted.free, wanted.reserve, wanted.shared), (256 << 20, 1 << 20, false));
}

/// Puts something else in the place of a file.
fn replace(made: &Made, name: &str, with: impl Fn(&Path, &Path)) {
    let (path, kept) = (made.dir.join(name), made.state.path().join("kept"));
    fs::rename(&path, &kept).unwrap();
    with(&kept, &path);
}

#[test]
fn links_pipes_and_folders_are_refused() {
    for name in ["journal.jsonl", "lock", "head", "reserve"] {
        let linked = made(2, 1);
        replace(&linked, name, |kept, path| symlink(kept, path).unwrap());
        refused(resume(&linked.dir), "link");

        let dead = made(2, 1);
        replace(&dead, name, |_, path| symlink("/nowhere/at/all", path).unwrap());
        refused(resume(&dead.dir), "link");

        let piped = made(2, 1);
        replace(&piped, name, |_, path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success()));
        refused(resume(&piped.dir), "plain file");

        let folder = made(2, 1);
        replace(&folder, name, |_, path| fs::create_dir(path).unwrap());
        refused(resume(&folder.dir), "plain file");

        let named_twice = made(2, 1);
        fs::hard_link(named_twice.dir.join(name), named_twice.state.path().join("other")).unwrap();
        refused(resume(&named_twice.dir), "second name");
    }
    for name in ["journal.jsonl", "head"] {
        let linked = made(2, 1);
        replace(&linked, name, |kept, path| symlink(kept, path).unwrap());
        refused(RunDir::view(&linked.dir).unwrap().verify(&[]).map(drop), "link");
    }
}

#[test]
fn a_folder_that_is_a_link_is_refused() {
    let made = made(1, 1);
    let other = made.state.path().join("runs/20261206-013000-7f3a9d");
    symlink(&made.dir, &other).unwrap();
    refused(resume(&other), "link");
    refused(resume(&other.join("")), "link");
    refused(RunDir::view(&other).map(drop), "link");
    let listed = runs(made.state.path()).unwrap();
    assert_eq!(listed.iter().map(|run| run.id.as_str()).collect::<Vec<_>>(), [RUN]);
}

#[test]
fn what_others_may_use_is_refused() {
    let opened = made(1, 1);
    for wrong in [0o777, 0o750, 0o701] {
        chmod(&opened.dir, wrong);
        refused(resume(&opened.dir), "others may use it");
    }
    chmod(&opened.dir, 0o700);
    for name in ["journal.jsonl", "lock"] {
        chmod(&opened.dir.join(name), 0o644);
        refused(resume(&opened.dir), "others may use it");
        chmod(&opened.dir.join(name), 0o600);
    }
    resume(&opened.dir).unwrap();

    let open = tempfile::tempdir().unwrap();
    fs::create_dir(open.path().join("runs")).unwrap();
    chmod(&open.path().join("runs"), 0o777);
    refused(RunDir::create(open.path(), &run(), b"", b"", ROOM).map(drop), "others may write");
}

#[test]
fn another_users_files_are_refused() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("only root can give files away: skipped");
        return;
    }
    for name in ["", "journal.jsonl", "lock"] {
        let made = made(1, 1);
        let path = if name.is_empty() { made.dir.clone() } else { made.dir.join(name) };
        std::os::unix::fs::chown(path, Some(12345), None).unwrap();
        refused(resume(&made.dir), "another user");
    }
}

#[test]
fn runs_are_found() {
    let state = tempfile::tempdir().unwrap();
    assert!(matches!(find(state.path(), "last"), Err(FindError::NoRuns(_))));
    for id in ["20261206-013000-7f3a9c", "20261207-013000-aaaaaa", "20261206-020000-7f3a9c"] {
        drop(RunDir::create(state.path(), &id.parse().unwrap(), b"", b"", ROOM).unwrap());
    }
    fs::write(state.path().join("runs/20261209-a-file"), "").unwrap();
    fs::create_dir(state.path().join("runs/.hidden")).unwrap();
    let ids: Vec<String> = runs(state.path()).unwrap().into_iter().map(|run| run.id.to_string()).collect();
    assert_eq!(ids, ["20261207-013000-aaaaaa", "20261206-020000-7f3a9c", "20261206-013000-7f3a9c"]);
    let found = |text: &str| find(state.path(), text).map(|run| run.id.to_string());
    assert_eq!(found("last").unwrap(), ids[0]);
    assert_eq!(found(&ids[2]).unwrap(), ids[2]);
    assert_eq!(found("20261206-01").unwrap(), ids[2]);
    let ambiguous = found("20261206").unwrap_err();
    assert!(matches!(&ambiguous, FindError::Ambiguous { runs, .. } if runs.len() == 2), "{ambiguous}");
    assert!(matches!(found(""), Err(FindError::Ambiguous { .. })));
    assert!(found("\u{1b}[2J").unwrap_err().to_string().contains("`\\u{1b}[2J`"));
    let path = state.path().join("runs").join(&ids[1]);
    assert_eq!(find(Path::new("/nowhere"), path.to_str().unwrap()).unwrap().path, path);
    assert!(matches!(RunDir::view(&state.path().join("runs/nothing")), Err(RunDirError::NotThere { .. })));
    assert!(runs(&state.path().join("none")).unwrap().is_empty());
}

#[test]
fn the_flag_names_the_state_folder() {
    assert_eq!(state_dir(Some(Path::new("/a/b"))).unwrap(), Path::new("/a/b"));
    assert!(state_dir(Some(Path::new("here"))).unwrap().is_absolute());
}

/// The rest of an id is random: what was opened last is what `last` means.
#[test]
fn runs_of_one_second_are_in_the_order_of_their_first_records() {
    let state = tempfile::tempdir().unwrap();
    for (id, at) in [("ffffff", ".1"), ("000000", ".25"), ("777777", ".2")] {
        let id = format!("20261206-013000-{id}").parse().unwrap();
        let mut journal = RunDir::create(state.path(), &id, b"", b"", ROOM).unwrap();
        let text = format!(r#"{{"seq":1,"at":"2026-12-06T01:30:00{at}Z","elapsed":0,"event":{{}}}}"#);
        journal.append(&[text.into_bytes()], true).unwrap();
    }
    // Killed before it began.
    drop(RunDir::create(state.path(), &"20261206-013000-999999".parse().unwrap(), b"", b"", ROOM).unwrap());
    let ends: Vec<String> = runs(state.path()).unwrap().iter().map(|run| run.id.as_str()[16..].to_owned()).collect();
    assert_eq!(ends, ["000000", "777777", "ffffff", "999999"]);
    assert_eq!(find(state.path(), "last").unwrap().id.as_str(), "20261206-013000-000000");
}
