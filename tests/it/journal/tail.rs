//! The end of a journal after a crash: what is a tear, what is damage.

use gonogo::journal::{Flaw, RunDir, Tear};
use proptest::prelude::*;
use serde_json::Value;

use super::{ends, made, verify};

#[test]
fn every_cut_of_the_last_record_is_a_tear() {
    let made = made(3, 2);
    let whole = made.bytes();
    let last = ends(&whole)[1];
    for cut in last..whole.len() {
        made.set(&whole[..cut]);
        let load = RunDir::view(&made.dir).unwrap().verify(&[]).unwrap();
        let torn = (cut > last).then(|| Tear { line: 3, offset: last as u64, bytes: (cut - last) as u64 });
        assert_eq!((load.damage, load.tear, load.records), (None, torn.clone(), 2), "cut at {cut}");

        let resumed = RunDir::resume::<Value>(&made.dir, Default::default(), |_, _| ()).unwrap();
        assert_eq!(resumed.load.tear, torn);
        assert_eq!(made.bytes(), &whole[..last]);
        if let Some(set_aside) = resumed.set_aside.last() {
            assert_eq!(std::fs::read(made.dir.join(&set_aside.file)).unwrap(), &whole[last..cut]);
            std::fs::remove_file(made.dir.join("tear-1")).unwrap();
        }
    }
}

#[test]
fn the_same_cuts_are_damage_where_head_covers_them() {
    let made = made(3, 3);
    let whole = made.bytes();
    for cut in 0..whole.len() {
        made.set(&whole[..cut]);
        let load = RunDir::view(&made.dir).unwrap().verify(&[]).unwrap();
        let last = ends(&whole[..cut]).len() as u64;
        assert_eq!(load.damage.unwrap().flaw, Flaw::Missing { anchored: 3, last }, "cut at {cut}");
        assert_eq!(load.tear, None);
    }
}

#[test]
fn zeros_and_garbage_are_tears_unless_a_record_stands_behind() {
    let whole = made(4, 0).bytes();
    let ends = ends(&whole);
    let (good, last) = whole.split_at(ends[2]);
    let mut seed = 7u32;
    let mut random = |n: usize| -> Vec<u8> {
        (0..n)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            })
            .collect()
    };
    let mut tails =
        vec![vec![0; 4096], b"garbage\n".to_vec(), b"\n".to_vec(), b"\n\n\n".to_vec(), b"{}\n".to_vec(), vec![0]];
    tails.extend((0..40).map(|n| random(1 + n * 97)));
    // The first half of a line on the disk, the rest of its page never filled; and the other way round.
    tails.push([&last[..60], &vec![0; last.len() - 60][..]].concat());
    tails.push([&vec![0; 60][..], &last[60..]].concat());
    tails.push([&last[..100], &[0; 30][..], &last[130..]].concat());
    for tail in tails {
        let load = verify(&[good, &tail].concat(), &[]);
        assert_eq!((load.damage, load.records), (None, 3), "{tail:?}");
        assert_eq!(load.tear.unwrap(), Tear { line: 4, offset: good.len() as u64, bytes: tail.len() as u64 });

        let behind = [good, &tail, last].concat();
        let damage = verify(&behind, &[]).damage.unwrap_or_else(|| panic!("{tail:?}"));
        assert_eq!((damage.line, damage.offset), (4, good.len() as u64));
    }
}

#[test]
fn a_good_record_is_found_far_behind() {
    let whole = made(2, 0).bytes();
    let end = ends(&whole)[0];
    for gap in [1, 93, 94, 95, 511 << 10, 512 << 10, 16 << 20, 33 << 20] {
        let bytes = [&whole[..end], &vec![0; gap], &whole[end..]].concat();
        assert!(verify(&bytes, &[]).damage.is_some(), "{gap}");
        let torn = [&whole[..end], &vec![0; gap]].concat();
        assert_eq!(verify(&torn, &[]).tear.unwrap().bytes, gap as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..Default::default() })]
    /// Any bytes at all: no panic, never more records than were written, and every byte accounted for.
    #[test]
    fn any_bytes(keep in 0usize..4, tail in prop::collection::vec(any::<u8>(), 0..400), cut in 0usize..800) {
        let whole = made(3, 0).bytes();
        let keep = if keep == 0 { 0 } else { ends(&whole)[keep - 1] };
        let mut bytes = whole[..keep].to_vec();
        bytes.extend(&tail);
        bytes.truncate(cut.max(tail.len()));
        let load = verify(&bytes, &[]);
        prop_assert!(load.records <= 3);
        prop_assert_eq!(&bytes[..load.length as usize], &whole[..load.length as usize]);
        if load.damage.is_none() {
            prop_assert_eq!(load.length + load.tear.map_or(0, |tear| tear.bytes), bytes.len() as u64);
        }
    }
}
