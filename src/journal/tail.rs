//! Bytes after the last good record: a torn write, which a crash explains, or damage, which nothing excuses.
//!
//! A crash leaves a line that was begun and not ended, or pages that were never filled. So it is damage if
//! any whole line stands further behind, and if the first line has kept its full length and its link to
//! the record before it: then only some of its bytes were changed. Everything else is a tear.

use std::io::{self, Read};

use super::{
    frame::{Chain, HEADER, Look, MAX_LINE, hex, length_field, look, previous_field},
    read::fill,
};

/// What the bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// So many bytes of a torn write, up to the end of the file.
    Tear(u64),
    /// A whole line stands so many bytes behind the bad ones.
    GoodBehind(u64),
    /// The last line was changed.
    Altered,
}

/// Hex digits of the link to the record before that have to be left for a line to be known: two may be
/// changed by one flipped bit and its neighbour, a chance hit of 60 of 64 does not happen.
const LINK: usize = 60;

/// Reads the bytes up to the end of the file, bounded in memory by the longest line and a chunk.
pub(super) fn judge(mut window: Vec<u8>, src: &mut impl Read, chain: &Chain) -> io::Result<Verdict> {
    let mut ended = fill(&mut window, src, MAX_LINE)?;
    let altered = altered(&window, ended, chain);
    // The first line is known to be bad, so a good one starts behind its first byte.
    let (mut gone, mut at) = (0u64, 1);
    loop {
        // A line begins with a digit: zeros and most garbage are passed over quickly.
        while let Some(skip) = window.get(at..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)) {
            at += skip;
            match look(&window[at..]) {
                Look::Whole(_) => return Ok(Verdict::GoodBehind(gone + at as u64)),
                Look::Cut if !ended => break,
                Look::Cut | Look::Bad(_) => at += 1,
            }
        }
        if window.get(at).is_none_or(|byte| !byte.is_ascii_digit()) {
            at = window.len();
        }
        if ended {
            let verdict = if altered { Verdict::Altered } else { Verdict::Tear(gone + window.len() as u64) };
            return Ok(verdict);
        }
        window.drain(..at);
        gone += at as u64;
        at = 0;
        ended = fill(&mut window, src, MAX_LINE)?;
    }
}

/// True if the first line is the next record in full length with some bytes changed.
fn altered(bytes: &[u8], ended: bool, chain: &Chain) -> bool {
    let Some(previous) = previous_field(bytes) else { return false };
    let same = previous.iter().zip(hex(&chain.hash)).filter(|(a, b)| **a == *b).count();
    let end = length_field(bytes).map(|length| HEADER + length);
    let whole = end.is_some_and(|end| bytes.get(end) == Some(&b'\n') || ended && bytes.len() == end + 1)
        || ended && bytes.last() == Some(&b'\n');
    // Pages that were never filled read as zeros; one flipped bit makes at most one.
    let zeros = bytes[..end.map_or(bytes.len(), |end| end.min(bytes.len()))].iter().filter(|b| **b == 0).count();
    same >= LINK && whole && zeros <= 1
}
