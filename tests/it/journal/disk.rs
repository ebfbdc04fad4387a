//! Disks that are full, broken or slow, and a process killed at every write. Faults are put into the
//! running process by strace and each test sees that its fault was there.

use std::{
    path::Path,
    process::{Command, Output},
};

use gonogo::journal::RunDir;
use serde_json::Value;

use super::{
    Made,
    child::{command, said},
    ends, made,
};

/// False, with a word, where strace is missing or not allowed to trace.
pub fn strace() -> bool {
    let works = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status().is_ok_and(|s| s.success());
    if !works {
        eprintln!("strace does not work here: skipped");
    }
    works
}

/// Runs `verb` with a fault put into the calls on the journal; what strace saw, and what the child did.
fn injected(made: &Made, calls: &str, inject: &str, verb: &str) -> (String, Output) {
    let trace = made.state.path().join("trace");
    let journal = made.journal();
    let calls = format!("trace={calls}");
    let inject = format!("inject={inject}");
    let wrapper = [
        "strace",
        "-f",
        "-qq",
        "-o",
        trace.to_str().unwrap(),
        "-P",
        journal.to_str().unwrap(),
        "-e",
        &calls,
        "-e",
        &inject,
    ];
    let output = command(&wrapper, verb, &made.dir).output().unwrap();
    (std::fs::read_to_string(trace).unwrap(), output)
}

fn acked(output: &Output) -> u64 {
    let acked = said(output).iter().rev().find_map(|line| line.strip_prefix("acked ")?.parse().ok());
    acked.unwrap_or(0)
}

/// Everything that was acknowledged is there, and the run can go on.
fn nothing_lost(made: &Made, acked: u64) {
    let before = made.bytes();
    let mut seen = 0;
    let resumed = RunDir::resume::<Value>(&made.dir, Default::default(), |seq, _| seen = seq).unwrap();
    assert!(seen >= acked, "{acked} were acknowledged, {seen} are there");
    assert!(made.bytes().len() <= before.len() && before.starts_with(&made.bytes()));
    drop(resumed);
    assert_eq!(RunDir::view(&made.dir).unwrap().verify(&[]).unwrap().tear, None);
}

#[test]
fn a_failure_ends_the_journal_for_good() {
    if !strace() {
        return;
    }
    let faults = [
        ("write:error=EIO:when=5", "Input/output"),
        ("write:error=EROFS:when=5", "Read-only"),
        ("write:error=EINTR:when=5", "Interrupted"),
        ("write:error=EAGAIN:when=1", "unavailable"),
        ("write:error=EDQUOT:when=3", "quota"),
        ("write:retval=100:when=4", "only 100 of"),
        ("fdatasync:error=EIO:when=1", "Input/output"),
        ("fdatasync:error=EIO:when=7", "Input/output"),
        ("fdatasync:error=EINTR:when=7", "Interrupted"),
        ("fdatasync:error=ENOSPC:when=7", "No space"),
    ];
    for (inject, word) in faults {
        let made = made(3, 0);
        let (trace, output) = injected(&made, "write,fdatasync", inject, "append");
        let said = said(&output);
        assert!(output.status.success() && said.last().is_some_and(|word| word == "ended"), "{inject}: {output:?}");
        assert!(said.iter().any(|line| line.starts_with("failed") && line.contains(word)), "{inject}: {said:?}");
        let (before, after) = trace.split_once("INJECTED").unwrap_or_else(|| panic!("{inject} was not there: {trace}"));
        // Nothing is written or synced behind it: there is no second chance.
        assert!(!after.contains("write(") && !after.contains("fdatasync("), "{inject}: {after}");
        assert!(before.lines().count() >= 1);
        nothing_lost(&made, acked(&output));
    }
}

#[test]
fn killed_at_every_write_and_sync() {
    if !strace() {
        return;
    }
    let mut killed = 0;
    for call in ["write", "fdatasync"] {
        for n in [1, 2, 3, 7, 20, 39] {
            let made = made(3, 2);
            let (trace, output) = injected(&made, "write,fdatasync", &format!("{call}:signal=KILL:when={n}"), "append");
            assert!(trace.contains("+++ killed by SIGKILL"), "{call} {n}: {trace}");
            assert!(!said(&output).contains(&"ended".to_owned()));
            killed += 1;
            nothing_lost(&made, acked(&output));
        }
    }
    assert_eq!(killed, 12);
}

#[test]
fn one_write_and_one_sync_for_a_barrier() {
    if !strace() {
        return;
    }
    let made = made(3, 0);
    let (trace, output) = injected(&made, "write,fdatasync,fsync", "write:delay_enter=0", "append");
    assert_eq!(said(&output).last().unwrap(), "ended");
    let count = |call: &str| trace.lines().filter(|line| line.contains(call)).count();
    assert_eq!((count(" write("), count(" fdatasync(")), (40, 40), "{trace}");
    // When it is opened, so that what is read is on the disk.
    assert_eq!(count(" fsync("), 1, "{trace}");
}

#[test]
fn new_names_are_synced() {
    if !strace() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let trace = state.path().join("trace");
    let wrapper = [
        "strace",
        "-f",
        "-qq",
        "-y",
        "-o",
        trace.to_str().unwrap(),
        "-e",
        "trace=openat,mkdirat,mkdir,renameat,renameat2,fsync,fdatasync",
    ];
    let output = command(&wrapper, "create", &state.path().join("state")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let trace = std::fs::read_to_string(trace).unwrap();
    // Some systems set it for every file, and it says nothing.
    let trace = trace.replace("O_LARGEFILE|", "");
    let place = |what: &str| trace.rfind(what).unwrap_or_else(|| panic!("{what} is missing in {trace}"));
    let folder = place(&format!("/state/runs/{}>)", super::RUN));
    assert!(trace[..folder].rfind("fsync(").is_some());
    for file in ["lock", "reserve", "runbook.toml", "plan.json", "journal.jsonl", "head.new"] {
        let created =
            place(&format!("\"{file}\", O_RDWR|O_CREAT|O_EXCL|O_APPEND|O_NONBLOCK|O_NOFOLLOW|O_CLOEXEC, 0600"));
        assert!(created < folder, "{file}");
        if file != "lock" {
            assert!(trace[created..folder].contains("fsync("), "{file}");
            assert!(trace[created..folder].contains(&format!("/{file}>)")), "{file}");
        }
    }
    assert!(place("\"head.new\", O_") < place("renameat") && place("renameat") < folder);
    assert!(folder < place("/state/runs>)"), "the name of the run itself");
    // And the folders that were made on the way.
    assert!(trace.contains("/state>)"));
}

/// A disk of its own, without being root where the system allows that.
fn small_disk(size: &str, verb: &str) -> Option<Output> {
    let at = tempfile::tempdir().unwrap();
    let mount = format!(
        "mount -t tmpfs -o size={size} tmpfs {0} && mkdir -m 700 {0}/state && exec \"$@\"",
        at.path().display()
    );
    let works = Command::new("unshare").args(["-rm", "sh", "-c", &mount, "sh", "true"]).status();
    if !works.is_ok_and(|status| status.success()) {
        eprintln!("no small disk can be mounted here: skipped");
        return None;
    }
    Some(command(&["unshare", "-rm", "sh", "-c", &mount, "sh"], verb, &at.path().join("state")).output().unwrap())
}

#[test]
fn a_full_disk_takes_last_words() {
    let Some(output) = small_disk("2m", "fill") else { return };
    assert!(output.status.success(), "{output:?}");
    let said = said(&output);
    assert!(said.last().is_some_and(|last| last.starts_with("filled ")), "{said:?}");
}

#[test]
fn a_limit_on_the_size_of_files_does_not_kill() {
    let made = made(3, 3);
    // In blocks of 512 or 1024 bytes, by the shell; the reserve must fit.
    let wrapper = ["sh", "-c", "ulimit -f 200 && exec \"$@\"", "sh"];
    let output = command(&wrapper, "outgrow", &made.dir).output().unwrap();
    let said = said(&output);
    assert!(output.status.success() && said.last().is_some_and(|last| last == "ended"), "{output:?}");
    let behind: u64 = said[0].strip_prefix("failed behind ").unwrap().split(':').next().unwrap().parse().unwrap();
    assert!(behind > 3);
    let resumed = RunDir::resume::<Value>(&made.dir, Default::default(), |_, _| ()).unwrap();
    assert_eq!(resumed.load.records, behind);
}

#[test]
fn a_network_disk_is_refused() {
    if !strace() {
        return;
    }
    let create = |inject: &str| {
        let state = tempfile::tempdir().unwrap();
        let wrapper = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fstatfs", "-e", inject];
        let output = command(&wrapper, "create", state.path()).output().unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    // What the kernel answers on NFS, with the rest of the answer as it was; and on ext4.
    if cfg!(all(target_pointer_width = "64", target_endian = "little")) {
        let (made, said) = create("inject=fstatfs:poke_exit=@arg2=6969000000000000");
        assert!(!made && said.contains("SharedFilesystem") && said.contains("NFS"), "{said}");
        assert!(create("inject=fstatfs:poke_exit=@arg2=53ef000000000000").0);
    }
}

/// Each file's lines end where they should, whatever happened to the process.
#[test]
fn lines_are_never_mixed() {
    if !strace() {
        return;
    }
    let made = made(0, 0);
    let (_, output) = injected(&made, "write,fdatasync", "write:signal=KILL:when=20", "append");
    assert!(!output.status.success());
    let bytes = made.bytes();
    let torn = ends(&bytes).last().map_or(0, |end| bytes.len() - end);
    assert_eq!(torn, 0, "a write that returned was whole");
    assert!(Path::new(&made.dir).join("lock").exists());
}
