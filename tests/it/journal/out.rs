//! Output of commands: bounded on disk and in memory, hashed whole.

use gonogo::journal::{FIRST, LAST};
use sha2::{Digest, Sha256};

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn first_and_last_part_are_kept_whatever_the_pieces() {
    let state = tempfile::tempdir().unwrap();
    let journal = super::create(state.path());
    let step = "migrate".parse().unwrap();
    let mut attempt = 0;
    for size in [1, FIRST - 1, FIRST, FIRST + 1, FIRST + LAST, FIRST + LAST + 1, 3 * (FIRST + LAST) + 5] {
        let printed: Vec<u8> = (0..size).map(|n| (n * 31 % 251) as u8).collect();
        for piece in [size, 70_001, 300_000] {
            attempt += 1;
            let mut out = journal.dir().output(&step, attempt);
            printed.chunks(piece).for_each(|piece| out.push(piece));
            let (output, error) = out.finish();
            assert!(error.is_none(), "{error:?}");
            assert_eq!((output.size, output.sha256), (size as u64, hex(&printed)));
            let kept = std::fs::read(journal.dir().path().join(output.file.unwrap())).unwrap();
            if size <= FIRST + LAST {
                assert!(output.whole && kept == printed, "{size} in pieces of {piece}");
            } else {
                let left_out = format!("\n[… {} bytes left out …]\n", size - FIRST - LAST);
                assert!(!output.whole);
                assert!(kept == [&printed[..FIRST], left_out.as_bytes(), &printed[size - LAST..]].concat());
            }
        }
    }
}

#[test]
fn nothing_printed_makes_no_file_and_nothing_is_overwritten() {
    let state = tempfile::tempdir().unwrap();
    let journal = super::create(state.path());
    let step = "migrate".parse().unwrap();
    let (output, error) = journal.dir().output(&step, 1).finish();
    assert!(error.is_none() && output.file.is_none() && output.whole);
    assert_eq!(output.sha256, hex(b""));
    assert_eq!(std::fs::read_dir(journal.dir().path().join("out")).unwrap().count(), 0);

    let target = state.path().join("target");
    std::os::unix::fs::symlink(&target, journal.dir().path().join("out/migrate-1.log")).unwrap();
    let mut out = journal.dir().output(&step, 1);
    out.push(b"x");
    let (output, error) = out.finish();
    assert!(error.is_some() && output.file.is_none() && !output.whole && output.size == 1);
    assert!(!target.exists());
}
