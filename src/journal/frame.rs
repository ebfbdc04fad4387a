//! One record, one line, and the chain that joins them.
//!
//! ```text
//! 0000000007 00000166 9a1c03fe 5f0c…64 hex digits…e1 {"seq":7,"at":…}⏎
//! seq        length   CRC32C   hash of record 6       the JSON text, exactly `length` bytes
//! ```
//!
//! Every field before the JSON has a fixed width and one spelling (lower case, leading zeros), so the
//! length of what is hashed is never in question and a changed letter case is a changed record.
//!
//! * `CRC32C` covers the whole line but itself and the line feed. It says that a line is whole.
//! * `start   = SHA-256("gonogo journal " format NUL run-id)`, the previous hash of record 1.
//! * `hash(n) = SHA-256(start ‖ hash(n-1) ‖ n as 8 bytes, big end first ‖ JSON)`; only the last part has a
//!   length of its own, so no two different inputs read the same. It says that a line is in its place.

use sha2::{Digest, Sha256};

use crate::base::RunId;

/// The format that is written. A reader finds a later one by the `start` of record 1.
pub const FORMAT: u32 = 1;
/// The longest JSON text of a record. The first event carries an outline of at most 2,000 steps, about
/// 2 MiB; the bound keeps a damaged length from asking for memory.
pub const MAX_PAYLOAD: usize = 16 << 20;

const LENGTH_AT: usize = 11;
const CRC_AT: usize = 20;
const PREVIOUS_AT: usize = 29;
/// Bytes of a line before its JSON.
pub(super) const HEADER: usize = 94;
/// The longest line with its line feed.
pub(super) const MAX_LINE: usize = HEADER + MAX_PAYLOAD + 1;

/// A SHA-256 value.
pub(super) type Hash = [u8; 32];

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// 64 lower-case hex digits.
pub(super) fn hex(hash: &Hash) -> [u8; 64] {
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(hash) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

/// As [`hex`], for people.
pub(super) fn hex_text(hash: &Hash) -> String {
    String::from_utf8_lossy(&hex(hash)).into_owned()
}

/// A run's place in its chain: what the next record has to name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chain {
    start: Hash,
    /// The last record; 0 before the first.
    pub seq: u64,
    /// Its hash; `start` before the first.
    pub hash: Hash,
}

impl Chain {
    /// Before the first record of a run.
    pub fn start(run: &RunId) -> Self {
        Self::start_of(run, FORMAT)
    }

    /// As [`Chain::start`], of any format.
    pub fn start_of(run: &RunId, format: u32) -> Self {
        let start: Hash = Sha256::new()
            .chain_update(format!("gonogo journal {format}\0"))
            .chain_update(run.as_str())
            .finalize()
            .into();
        Self { start, seq: 0, hash: start }
    }

    /// Goes one record on.
    pub fn link(&mut self, payload: &[u8]) {
        self.seq += 1;
        self.hash = Sha256::new()
            .chain_update(self.start)
            .chain_update(self.hash)
            .chain_update(self.seq.to_be_bytes())
            .chain_update(payload)
            .finalize()
            .into();
    }

    /// Writes the line of the next record to `out` and goes one record on.
    pub fn push(&mut self, out: &mut Vec<u8>, payload: &[u8]) {
        let previous = hex(&self.hash);
        self.link(payload);
        let place = format!("{:010} {:08} ", self.seq, payload.len());
        let crc = crc32c::crc32c_append(crc32c::crc32c(place.as_bytes()), b" ");
        let crc = crc32c::crc32c_append(crc32c::crc32c_append(crc, &previous), b" ");
        let crc = crc32c::crc32c_append(crc, payload);
        out.extend_from_slice(place.as_bytes());
        out.extend_from_slice(format!("{crc:08x} ").as_bytes());
        out.extend_from_slice(&previous);
        out.push(b' ');
        out.extend_from_slice(payload);
        out.push(b'\n');
    }

    /// Goes one record on if `frame` is that record.
    pub fn accept(&mut self, frame: &Frame<'_>) -> Result<(), Flaw> {
        if frame.seq != self.seq + 1 {
            return Err(Flaw::OutOfOrder { found: frame.seq });
        }
        if frame.previous != hex(&self.hash) {
            return Err(if self.seq == 0 { Flaw::OtherRun } else { Flaw::Unchained });
        }
        self.link(frame.payload);
        Ok(())
    }
}

/// A line that is whole: its parts are well formed and its CRC is right. Its place is not checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub seq: u64,
    pub previous: &'a [u8],
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Bytes of the line with its line feed.
    pub fn size(&self) -> usize {
        HEADER + self.payload.len() + 1
    }
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look<'a> {
    /// A line.
    Whole(Frame<'a>),
    /// Nothing wrong so far, but the bytes end before the line does.
    Cut,
    /// No line.
    Bad(Flaw),
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The fixed part is not as it is written.
    #[error("this is not a record")]
    Shape,
    /// The line does not end where its length says.
    #[error("the record does not end where its length says")]
    Length,
    /// Some bytes changed.
    #[error("the checksum does not match, so bytes were changed")]
    Checksum,
    /// A record was left out, put twice or moved.
    #[error("record {found} stands here, so records were deleted, repeated or moved")]
    OutOfOrder {
        /// The number in the line.
        found: u64,
    },
    /// The line is whole but was not written after the line before it.
    #[error("the record does not follow the one before it, so one of them was replaced")]
    Unchained,
    /// The first line is whole but begins something else.
    #[error("the journal belongs to another run, or its folder was renamed")]
    OtherRun,
    /// A later version wrote this.
    #[error("the journal has format {0}, this version reads format {FORMAT}")]
    Newer(u32),
    /// The line is whole and in its place, but its text is no event.
    #[error("the record's text cannot be read: {0}")]
    Text(String),
    /// The line is not cut short, so no crash made it: bytes of the last record were changed.
    #[error("the last record was changed; it is whole in length, so this is no torn write")]
    LastChanged,
    /// `head` or an anchor covers more than is there.
    #[error("anchored data is missing: record {anchored} was sealed, the journal ends with record {last}")]
    Missing {
        /// What the anchor covers.
        anchored: u64,
        /// What is there.
        last: u64,
    },
    /// `head` or an anchor names another hash.
    #[error("record {0} is not the one that was sealed, so the journal was rewritten")]
    Rewritten(u64),
    /// `head` itself cannot be read.
    #[error("the file `head` was changed")]
    Head,
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |n, d| d.is_ascii_digit().then(|| n * 10 + u64::from(d - b'0')))
}

fn crc_field(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |n, d| match d {
        b'0'..=b'9' => Some(n << 4 | u32::from(d - b'0')),
        b'a'..=b'f' => Some(n << 4 | u32::from(d - b'a' + 10)),
        _ => None,
    })
}

/// The length field of a line, where it is well formed.
pub(super) fn length_field(header: &[u8]) -> Option<usize> {
    let length = usize::try_from(number(header.get(LENGTH_AT..CRC_AT - 1)?)?).ok()?;
    (length <= MAX_PAYLOAD).then_some(length)
}

/// The previous-hash field of a line.
pub(super) fn previous_field(header: &[u8]) -> Option<&[u8]> {
    header.get(PREVIOUS_AT..HEADER - 1)
}

/// Reads the line at the beginning of `bytes`.
pub(super) fn look(bytes: &[u8]) -> Look<'_> {
    let Some(header) = bytes.get(..HEADER) else { return Look::Cut };
    if ![LENGTH_AT, CRC_AT, PREVIOUS_AT, HEADER].iter().all(|&at| header[at - 1] == b' ') {
        return Look::Bad(Flaw::Shape);
    }
    let (Some(seq), Some(length), Some(crc)) =
        (number(&header[..LENGTH_AT - 1]), length_field(header), crc_field(&header[CRC_AT..PREVIOUS_AT - 1]))
    else {
        return Look::Bad(Flaw::Shape);
    };
    match bytes.get(HEADER + length) {
        None => return Look::Cut,
        Some(b'\n') => {}
        Some(_) => return Look::Bad(Flaw::Length),
    }
    let covered = crc32c::crc32c(&header[..CRC_AT]);
    if crc32c::crc32c_append(covered, &bytes[PREVIOUS_AT - 1..HEADER + length]) != crc {
        return Look::Bad(Flaw::Checksum);
    }
    let previous = &header[PREVIOUS_AT..HEADER - 1];
    Look::Whole(Frame { seq, previous, payload: &bytes[HEADER..HEADER + length] })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layout and the hash are a promise to every journal ever written: they are spelled out by hand.
    #[test]
    fn the_format_is_fixed() {
        let run: RunId = "20261206-013000-7f3a9c".parse().unwrap();
        let mut chain = Chain::start(&run);
        let start: Hash = Sha256::digest(b"gonogo journal 1\x0020261206-013000-7f3a9c").into();
        let mut out = Vec::new();
        chain.push(&mut out, br#"{"a":1}"#);
        let mut hashed = [start, start].concat();
        hashed.extend([0, 0, 0, 0, 0, 0, 0, 1]);
        hashed.extend(br#"{"a":1}"#);
        assert_eq!(chain.hash, Hash::from(Sha256::digest(&hashed)));
        let covered = format!("0000000001 00000007  {} {{\"a\":1}}", hex_text(&start));
        let line = format!(
            "0000000001 00000007 {:08x} {} {{\"a\":1}}\n",
            crc32c::crc32c(covered.as_bytes()),
            hex_text(&start)
        );
        assert_eq!(String::from_utf8(out).unwrap(), line);
    }

    #[test]
    fn one_spelling_only() {
        let mut chain = Chain::start(&"r".parse().unwrap());
        let mut out = Vec::new();
        chain.push(&mut out, b"{}");
        assert!(matches!(look(&out), Look::Whole(_)));
        for at in 0..out.len() {
            let mut other = out.clone();
            other[at] = other[at].to_ascii_uppercase();
            assert!(other == out || !matches!(look(&other), Look::Whole(_)), "byte {at}");
        }
    }
}
