//! Reading is verifying: a record is handed on only after its line, its checksum and its place in the
//! chain were found right. One thread reads and hashes, the caller's decodes and folds.

use std::{
    io::{self, Read},
    sync::mpsc,
    thread,
};

use super::{
    frame::{Chain, FORMAT, Flaw, HEADER, Hash, Look, hex_text, look},
    record::Record,
    tail::{self, Verdict},
};
use crate::base::{RunId, clean_line};

/// Bytes read at once: large against a line (about 260 bytes), small against a cache.
const CHUNK: usize = 512 << 10;
/// Chunks between the threads: enough to even out, and a bound on memory.
const AHEAD: usize = 8;

/// A record known from elsewhere: the `head` of the run, or an anchor that somebody kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The record.
    pub seq: u64,
    /// The first digits of its hash, hex; at least twelve.
    pub hash: String,
    /// Bytes up to its end, where known.
    pub length: Option<u64>,
}

impl std::str::FromStr for Pin {
    type Err = String;
    /// Reads the text of [`super::Journal::anchor`].
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("an anchor looks like 142-9f3ab2c4d5e60718, not like `{}`", clean_line(text, 80));
        let (seq, hash) = text.trim().split_once('-').ok_or_else(bad)?;
        let seq = seq.parse().map_err(|_| bad())?;
        let fits = (12..=64).contains(&hash.len()) && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if fits { Ok(Self { seq, hash: hash.to_owned(), length: None }) } else { Err(bad()) }
    }
}

/// A torn write at the end of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tear {
    /// The line it would have been, from 1.
    pub line: u64,
    /// Where it starts: the journal is good up to here.
    pub offset: u64,
    /// Its bytes.
    pub bytes: u64,
}

/// Why a journal is not to be trusted, and where that begins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, byte {offset}: {flaw}")]
pub struct Damage {
    /// The line, from 1; the record that ought to stand here has the same number.
    pub line: u64,
    /// Its first byte.
    pub offset: u64,
    /// What is wrong.
    pub flaw: Flaw,
}

/// What a journal was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// Good records; the last one's number.
    pub records: u64,
    /// Bytes of the good records.
    pub length: u64,
    /// The last good record's hash, hex.
    pub hash: String,
    /// A torn write behind them.
    pub tear: Option<Tear>,
    /// Damage behind them. The records before it were handed on.
    pub damage: Option<Damage>,
    /// The last record that `head` or an anchor vouches for; `None` if nothing does.
    pub anchored_to: Option<u64>,
    pub(super) chain: Chain,
}

/// Good lines of one chunk.
struct Block {
    bytes: Vec<u8>,
    /// Start and length of each text in `bytes`.
    texts: Vec<(usize, usize)>,
    /// Place of the chunk in the file.
    offset: u64,
}

/// Reads about `want` more bytes. True at the end of the file.
pub(super) fn fill(buffer: &mut Vec<u8>, src: &mut impl Read, want: usize) -> io::Result<bool> {
    buffer.reserve(want.min(CHUNK));
    Ok(src.by_ref().take(want as u64).read_to_end(buffer)? < want)
}

/// Verifies a journal and hands each record's text, decoded, to `on_record` with its number. Nothing is
/// held but a few chunks. Reading stops at the first damage, which the result tells; so does a text that
/// is no `T`. `pins` are records known from elsewhere.
///
/// # Errors
/// If the source cannot be read.
pub fn read<T: Record>(
    src: impl Read + Send,
    run: &RunId,
    pins: &[Pin],
    mut on_record: impl FnMut(u64, T),
) -> io::Result<Load> {
    let (give, take) = mpsc::sync_channel::<Block>(AHEAD);
    thread::scope(|scope| {
        let walker = scope.spawn(move || walk(src, run, Chain::start(run), pins, |block| give.send(block).is_ok()));
        let mut seq = 0;
        let mut unread = None;
        'blocks: for block in take {
            for &(start, length) in &block.texts {
                match T::decode(&block.bytes[start..start + length]) {
                    Ok(record) => on_record(seq + 1, record),
                    Err(error) => {
                        let offset = block.offset + (start - HEADER) as u64;
                        let flaw = Flaw::Text(clean_line(&error, 200));
                        unread = Some(Damage { line: seq + 1, offset, flaw });
                        break 'blocks;
                    }
                }
                seq += 1;
            }
        }
        let mut load = walker.join().unwrap_or_else(|_| Err(io::Error::other("the reading thread died")))?;
        if let Some(damage) = unread {
            load.tear = None;
            load.damage = Some(damage);
        }
        Ok(load)
    })
}

/// As [`read`] without decoding, in the calling thread.
///
/// # Errors
/// If the source cannot be read.
pub fn verify(src: impl Read, run: &RunId, pins: &[Pin]) -> io::Result<Load> {
    walk(src, run, Chain::start(run), pins, |_| true)
}

/// Goes along the chain from `from` and gives good lines away until `emit` does not want more.
fn walk(
    mut src: impl Read,
    run: &RunId,
    from: Chain,
    pins: &[Pin],
    emit: impl FnMut(Block) -> bool,
) -> io::Result<Load> {
    let (stop, mut load) = follow(&mut src, from, pins, emit)?;
    let damage = |load: &Load, flaw| Damage { line: load.records + 1, offset: load.length, flaw };
    match stop {
        Stop::End | Stop::Unwanted => {}
        Stop::Bad { mut flaw, rest, whole } => {
            if flaw == Flaw::OtherRun {
                flaw = later_format(&rest, run).unwrap_or(flaw);
            }
            let verdict = if whole { Verdict::GoodBehind(0) } else { tail::judge(rest, &mut src, &load.chain)? };
            match verdict {
                Verdict::Tear(bytes) => {
                    load.tear = Some(Tear { line: load.records + 1, offset: load.length, bytes });
                }
                Verdict::GoodBehind(_) => load.damage = Some(damage(&load, flaw)),
                Verdict::Altered => load.damage = Some(damage(&load, Flaw::LastChanged)),
            }
        }
    }
    let beyond = pins.iter().map(|pin| pin.seq).max().filter(|seq| *seq > load.records);
    if let (Some(anchored), None) = (beyond, &load.damage) {
        load.damage = Some(damage(&load, Flaw::Missing { anchored, last: load.records }));
        load.tear = None;
    }
    Ok(load)
}

enum Stop {
    End,
    Unwanted,
    /// `whole`: the line is well formed, but not the one that ought to stand here.
    Bad {
        flaw: Flaw,
        rest: Vec<u8>,
        whole: bool,
    },
}

fn follow(
    src: &mut impl Read,
    mut chain: Chain,
    pins: &[Pin],
    mut emit: impl FnMut(Block) -> bool,
) -> io::Result<(Stop, Load)> {
    let mut length = 0;
    let mut anchored_to = None;
    let mut buffer = Vec::new();
    let mut ended = false;
    let stop = loop {
        if !ended {
            ended = fill(&mut buffer, src, CHUNK)?;
        }
        let mut texts = Vec::with_capacity(CHUNK / 256);
        let (offset, mut at) = (length, 0);
        let mut bad = pin(pins, &chain, length, &mut anchored_to).err().map(|flaw| (flaw, true));
        while bad.is_none() && at < buffer.len() {
            match look(&buffer[at..]) {
                Look::Whole(frame) => {
                    let size = frame.size();
                    let before = pins.iter().any(|pin| pin.seq == frame.seq).then(|| chain.clone());
                    let end = length + size as u64;
                    let good = chain.accept(&frame).and_then(|()| pin(pins, &chain, end, &mut anchored_to));
                    if let Err(flaw) = good {
                        chain = before.unwrap_or(chain);
                        bad = Some((flaw, true));
                        break;
                    }
                    texts.push((at + HEADER, frame.payload.len()));
                    at += size;
                    length = end;
                }
                Look::Cut if ended => bad = Some((Flaw::Length, false)),
                Look::Cut => break,
                Look::Bad(flaw) => bad = Some((flaw, false)),
            }
        }
        let rest = buffer[at..].to_vec();
        let wanted = texts.is_empty() || emit(Block { bytes: buffer, texts, offset });
        if let Some((flaw, whole)) = bad {
            break Stop::Bad { flaw, rest, whole };
        }
        if !wanted {
            break Stop::Unwanted;
        }
        if ended {
            break Stop::End;
        }
        buffer = rest;
    };
    let (records, hash) = (chain.seq, hex_text(&chain.hash));
    Ok((stop, Load { records, length, hash, tear: None, damage: None, anchored_to, chain }))
}

/// Compares the last good record with those known from elsewhere.
fn pin(pins: &[Pin], chain: &Chain, length: u64, anchored_to: &mut Option<u64>) -> Result<(), Flaw> {
    for pin in pins.iter().filter(|pin| pin.seq == chain.seq) {
        let same_hash = hex_text(&chain.hash).starts_with(&pin.hash);
        if !same_hash || pin.length.is_some_and(|there| there != length) {
            return Err(Flaw::Rewritten(pin.seq));
        }
        *anchored_to = Some(chain.seq);
    }
    Ok(())
}

/// A later version keeps the shape of the first line, so that an earlier one can name it.
fn later_format(line: &[u8], run: &RunId) -> Option<Flaw> {
    const LATEST: u32 = 99;
    let Look::Whole(frame) = look(line) else { return None };
    let begins = |format: &u32| Chain::start_of(run, *format).accept(&frame).is_ok();
    (FORMAT + 1..=LATEST).find(begins).map(Flaw::Newer)
}

/// A hash as a journal's anchor shows it.
pub(super) fn anchor(seq: u64, hash: &Hash) -> String {
    format!("{seq}-{}", &hex_text(hash)[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half a million flips. What is before the flipped record is not read again: it is as it was.
    #[test]
    fn every_flipped_bit_of_a_large_journal() {
        let run: RunId = "20261206-013000-7f3a9c".parse().unwrap();
        let (mut chain, mut lines, mut size) = (Chain::start(&run), Vec::new(), 0);
        while size < 64 << 10 {
            let before = chain.clone();
            let mut line = Vec::new();
            chain.push(&mut line, format!(r#"{{"seq":{},"text":"{}"}}"#, size, "é ".repeat(size % 97)).as_bytes());
            size += line.len();
            lines.push((before, line));
        }
        let judge = |bytes: &[u8], from: &Chain| walk(bytes, &run, from.clone(), &[], |_| true).unwrap();
        for at in 0..lines.len() {
            let (before, line) = &lines[at];
            let next = lines.get(at + 1).map_or(&[][..], |(_, next)| next);
            let mut bytes = [line, next].concat();
            assert_eq!(judge(&bytes, before).damage, None);
            for bit in 0..line.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                let load = judge(&bytes, before);
                assert!(load.damage.is_some() && load.records == before.seq, "record {at}, bit {bit}: {load:?}");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }
}
