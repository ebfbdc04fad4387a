//! The part of CBOR (RFC 8949) that smithy-rpc-v2-cbor uses, to and from JSON values: the current
//! `aws` CLI speaks it with CloudWatch. A timestamp (tag 1) becomes a number of seconds.

use serde_json::{Map, Number, Value};

/// Values nested deeper are not CloudWatch's.
const DEPTH: usize = 32;

/// Reads one value; `None` where it is not CBOR, or not the part used here.
pub(super) fn decode(bytes: &[u8]) -> Option<Value> {
    let mut reader = Reader { bytes };
    let value = reader.value(0)?;
    reader.bytes.is_empty().then_some(value)
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn take(&mut self, n: usize) -> Option<&[u8]> {
        let (head, rest) = self.bytes.split_at_checked(n)?;
        self.bytes = rest;
        Some(head)
    }

    fn uint(&mut self, len: usize) -> Option<u64> {
        Some(self.take(len)?.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)))
    }

    /// True at the end of an indefinite item, which it takes.
    fn at_break(&mut self) -> bool {
        let end = self.bytes.first() == Some(&0xff);
        if end {
            self.bytes = &self.bytes[1..];
        }
        end
    }

    /// One item after the other: as many as said, or up to the break.
    fn more(&mut self, left: &mut Option<u64>) -> bool {
        match left {
            None => !self.at_break(),
            Some(0) => false,
            Some(n) => {
                *n -= 1;
                true
            }
        }
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEPTH {
            return None;
        }
        let first = self.take(1)?[0];
        let (major, info) = (first >> 5, first & 31);
        if major == 7 {
            return match info {
                20 => Some(Value::Bool(false)),
                21 => Some(Value::Bool(true)),
                22 | 23 => Some(Value::Null),
                26 => float(f64::from(f32::from_bits(u32::try_from(self.uint(4)?).ok()?))),
                27 => float(f64::from_bits(self.uint(8)?)),
                _ => None,
            };
        }
        let mut count = match info {
            0..=23 => Some(u64::from(info)),
            24..=27 => Some(self.uint(1 << (info - 24))?),
            31 if (2..=5).contains(&major) => None,
            _ => return None,
        };
        match (major, count) {
            (0, Some(n)) => Some(Value::from(n)),
            (1, Some(n)) => Some(Value::from(-1 - i64::try_from(n).ok()?)),
            (2 | 3, Some(n)) => {
                let text = self.take(usize::try_from(n).ok()?)?.to_vec();
                String::from_utf8(text).ok().map(Value::String)
            }
            (2 | 3, None) => {
                let mut text = String::new();
                while self.more(&mut count) {
                    text.push_str(self.value(depth + 1)?.as_str()?);
                }
                Some(Value::String(text))
            }
            (4, _) => {
                let mut list = Vec::new();
                while self.more(&mut count) {
                    list.push(self.value(depth + 1)?);
                }
                Some(Value::Array(list))
            }
            (5, _) => {
                let mut map = Map::new();
                while self.more(&mut count) {
                    let key = self.value(depth + 1)?.as_str()?.to_owned();
                    map.insert(key, self.value(depth + 1)?);
                }
                Some(Value::Object(map))
            }
            (6, Some(_)) => self.value(depth + 1),
            _ => None,
        }
    }
}

fn float(n: f64) -> Option<Value> {
    Number::from_f64(n).map(Value::Number)
}

/// Writes a value. Members called `Timestamp…` are written as timestamps, which JSON cannot say.
pub(super) fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, value, false);
    out
}

fn head(out: &mut Vec<u8>, major: u8, n: u64) {
    let major = major << 5;
    match n {
        0..=23 => out.push(major | n.to_be_bytes()[7]),
        24..=0xff => out.extend([major | 24, n.to_be_bytes()[7]]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend(&n.to_be_bytes()[6..]);
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend(&n.to_be_bytes()[4..]);
        }
        _ => {
            out.push(major | 27);
            out.extend(n.to_be_bytes());
        }
    }
}

fn write(out: &mut Vec<u8>, value: &Value, time: bool) {
    match value {
        Value::Null => out.push(0xf6),
        Value::Bool(yes) => out.push(if *yes { 0xf5 } else { 0xf4 }),
        Value::Number(n) => {
            if time {
                head(out, 6, 1);
            }
            match (n.as_u64(), n.as_i64()) {
                (Some(n), _) => head(out, 0, n),
                (None, Some(n)) => head(out, 1, n.unsigned_abs() - 1),
                (None, None) => {
                    out.push(0xfb);
                    out.extend(n.as_f64().unwrap_or(f64::NAN).to_be_bytes());
                }
            }
        }
        Value::String(text) => {
            head(out, 3, text.len() as u64);
            out.extend(text.as_bytes());
        }
        Value::Array(list) => {
            head(out, 4, list.len() as u64);
            list.iter().for_each(|value| write(out, value, time));
        }
        Value::Object(map) => {
            head(out, 5, map.len() as u64);
            for (key, value) in map {
                write(out, &Value::String(key.clone()), false);
                write(out, value, key.starts_with("Timestamp") || key.ends_with("Timestamp"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_damage() {
        let value =
            serde_json::json!({"a": [1, -5, 2.5, true, null, "x", 70000, 300, 5_000_000_000_u64], "b": {"c": []}});
        let bytes = encode(&value);
        assert_eq!(decode(&bytes), Some(value));
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), None);
        }
        // An indefinite map with a tagged time: {_ "t": 1(5)}
        assert_eq!(decode(&[0xbf, 0x61, b't', 0xc1, 5, 0xff]), Some(serde_json::json!({"t": 5})));
        assert_eq!(decode(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(decode(&[0x81; 100]), None);
    }
}
