//! Durations and sizes as a runbook writes them. Stricter than the usual crates on purpose: one
//! way to write a thing is one way to misread it.

use std::time::Duration;

/// Longer than this is not part of one night.
pub const LONGEST: Duration = Duration::from_secs(31 * 24 * 3600);

/// `90s`, `15m`, `1h30m`, `250ms`, `2d`: whole numbers with a unit, the larger unit first.
///
/// # Errors
/// What is wrong, to complete "…: ".
pub fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let mut rest = text;
    let mut total = 0_u64;
    let mut smallest = u64::MAX;
    while !rest.is_empty() {
        let (number, after) = digits(rest);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        if number.is_empty() {
            return Err("a number with a unit is expected".into());
        }
        if unit.is_empty() {
            return Err(format!("`{number}` has no unit"));
        }
        let Some((_, millis)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("`{unit}` is not a unit (ms, s, m, h, d)"));
        };
        if *millis >= smallest {
            return Err("the larger unit comes first, each once".into());
        }
        smallest = *millis;
        let part = number.parse::<u64>().ok().and_then(|n| n.checked_mul(*millis));
        total = part.and_then(|part| part.checked_add(total)).ok_or("it is too long")?;
        rest = after;
    }
    if text.is_empty() {
        return Err("it is empty".into());
    }
    let total = Duration::from_millis(total);
    if total > LONGEST { Err("it is longer than 31 days".into()) } else { Ok(total) }
}

/// `512 B`, `1 MiB`, `20 GB`: a whole number and a unit, in bytes.
///
/// # Errors
/// What is wrong, to complete "…: ".
pub fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 9] = [
        ("B", 1),
        ("kB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ];
    let (number, unit) = digits(text);
    let unit = unit.trim_start_matches(' ');
    if number.is_empty() {
        return Err("a number with a unit is expected".into());
    }
    let Some((_, bytes)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("`{unit}` is not a unit (B, kB, MB, GB, TB, KiB, MiB, GiB, TiB)"));
    };
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(*bytes)).ok_or_else(|| "it is too large".into())
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, secs) in [("90s", 90), ("15m", 900), ("1h30m", 5400), ("2d", 172_800), ("0s", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(secs)), "{text}");
        }
        assert_eq!(duration("1s250ms"), Ok(Duration::from_millis(1250)));
        for bad in
            ["", "90", "s", "1h 30m", "30m1h", "1m1m", "1.5h", "-1s", "1y", "99999999999999999999s", "40d", "1h30"]
        {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("1 MiB", 1 << 20), ("1MiB", 1 << 20), ("20 GB", 20_000_000_000), ("0 B", 0)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "1", "MiB", "1 mb", "1.5 MiB", "99999999999 TiB", "-1 B"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
