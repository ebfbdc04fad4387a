//! The floor: what a thousand recorded steps cost without any engine. A bare loop that writes and
//! syncs a record, spawns, waits, writes and syncs another one.

use std::{
    fs::OpenOptions,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

/// About the size of our records, so that the disk has the same to do.
const RECORD: usize = 320;

/// Seconds.
pub fn run(file: &Path, steps: usize) -> f64 {
    let mut journal = OpenOptions::new().append(true).create_new(true).open(file).expect("a file");
    let record = [vec![b'x'; RECORD - 1], b"\n".to_vec()].concat();
    let begun = Instant::now();
    for _ in 0..steps {
        journal.write_all(&record).expect("written");
        journal.sync_data().expect("synced");
        let status = Command::new("/bin/true").stdin(Stdio::null()).stdout(Stdio::null()).status().expect("spawned");
        assert!(status.success());
        journal.write_all(&record).expect("written");
        journal.sync_data().expect("synced");
    }
    begun.elapsed().as_secs_f64()
}
