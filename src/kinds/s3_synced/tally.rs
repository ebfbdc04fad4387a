//! What a comparison of two listings found: counts, and the first few names of each sort.

use chrono::{DateTime, Utc};

use crate::{
    base::{Failure, short_duration},
    services::aws::Object,
};

/// Keys of each sort that are named.
const NAMED: usize = 5;

/// Keys of one sort.
#[derive(Debug, Default)]
pub struct Sort {
    pub count: u64,
    pub named: Vec<String>,
    /// When the newest of them was written.
    pub newest: Option<DateTime<Utc>>,
}

impl Sort {
    pub fn add(&mut self, name: impl FnOnce() -> String) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(name());
        }
    }

    /// Adds one that was written then.
    pub fn add_at(&mut self, at: DateTime<Utc>, name: impl FnOnce() -> String) {
        self.newest = self.newest.max(Some(at));
        self.add(name);
    }

    /// Adds a cause that names them.
    fn told(&self, failure: Failure, word: &str, now: DateTime<Utc>) -> Failure {
        if self.count == 0 {
            return failure;
        }
        let age = self.newest.map(|at| short_duration((now - at).to_std().unwrap_or_default()));
        let age = age.map(|age| format!("; the newest was written {age} ago")).unwrap_or_default();
        let rest = self.count - self.named.len() as u64;
        let rest = if rest == 0 { String::new() } else { format!(" and {rest} more") };
        failure.because(format!("{word}: {}{rest}{age}", self.named.join(", ")))
    }
}

/// What was found so far.
#[derive(Debug, Default)]
pub struct Tally {
    /// Objects and bytes of the source.
    pub source: (u64, u64),
    /// Objects and bytes of the target.
    pub target: (u64, u64),
    /// The same on both sides.
    pub same: u64,
    /// Of the same, those of which only the size was compared.
    pub by_size: u64,
    /// Of the same, those whose stored checksums were compared.
    pub by_checksum: u64,
    /// In the source only.
    pub missing: Sort,
    /// On both sides, and not the same.
    pub different: Sort,
    /// Of the different, those whose sizes agree and only the entity tags do not.
    pub other_tag: u64,
    /// In the target only.
    pub extra: Sort,
    /// Wanted to be compared by checksums that are not there.
    pub unproven: Sort,
    /// Too new to be judged.
    pub settling: u64,
}

impl Tally {
    /// Names what was found, sort by sort.
    pub fn causes(&self, failure: Failure, now: DateTime<Utc>) -> Failure {
        let failure = self.missing.told(failure, "missing", now);
        let failure = self.different.told(failure, "different", now);
        let failure = self.extra.told(failure, "extra", now);
        self.unproven.told(failure, "not comparable", now)
    }
}

/// How two objects of one key compare by what the listings say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    Same,
    /// Sizes agree, and the entity tags say nothing.
    SameSize,
    /// Sizes agree, and the entity tags would be hashes of the bytes, were it not for encryption keys.
    OtherTag,
    OtherSize,
}

/// Compares: equal entity tags are equal bytes; one of an upload in parts is no hash, so that unequal ones say nothing
/// ("Checking object integrity", S3 user guide).
pub fn likeness(a: &Object, b: &Object) -> Likeness {
    if a.size != b.size {
        Likeness::OtherSize
    } else if !a.etag.is_empty() && a.etag == b.etag {
        Likeness::Same
    } else if a.in_parts() || b.in_parts() || a.etag.is_empty() || b.etag.is_empty() {
        Likeness::SameSize
    } else {
        Likeness::OtherTag
    }
}

/// `812.4 MiB`.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if n < 1024 {
        return format!("{n} bytes");
    }
    #[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// True where a key is left out: a pattern with stars matches the whole key, one without is a beginning.
pub fn left_out(key: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| key.strip_prefix(first)) else { return false };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else { return true };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (key, pattern, out) in [
            ("tmp/a", "tmp/", true),
            ("a/tmp/b", "tmp/", false),
            ("a/tmp/b", "*/tmp/*", true),
            ("a/b/", "*/", true),
            ("a/b", "*/", false),
            ("a.jpg", "*.jpg", true),
            ("a.jpg.bak", "*.jpg", false),
            ("aXbXc", "a*b*c", true),
            ("ab", "ab*ab", false),
            ("abab", "ab*ab", true),
            ("", "*", true),
        ] {
            assert_eq!(left_out(key, pattern), out, "{key} {pattern}");
        }
    }

    #[test]
    fn tags_of_parts_are_no_hashes() {
        let object =
            |size, etag: &str| Object { key: "k".into(), size, etag: etag.into(), at: chrono::DateTime::UNIX_EPOCH };
        assert_eq!(likeness(&object(1, "a"), &object(1, "a")), Likeness::Same);
        assert_eq!(likeness(&object(1, "a"), &object(1, "b")), Likeness::OtherTag);
        assert_eq!(likeness(&object(1, "a-2"), &object(1, "b")), Likeness::SameSize);
        assert_eq!(likeness(&object(1, "a-2"), &object(1, "a-2")), Likeness::Same);
        assert_eq!(likeness(&object(1, "a"), &object(2, "a")), Likeness::OtherSize);
        assert_eq!(likeness(&object(1, ""), &object(1, "")), Likeness::SameSize);
        assert_eq!(
            (bytes(1023), bytes(1536), bytes(5 << 30)),
            ("1023 bytes".into(), "1.5 KiB".into(), "5.0 GiB".into())
        );
    }
}
