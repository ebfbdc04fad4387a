//! Patterns of keys as Redis has them: `*`, `?`, `[a-z]`, `[^x]`, and `\` before a character that stands for itself.
//!
//! Source: `stringmatchlen` in util.c of Redis 7.0 and <https://redis.io/docs/latest/commands/keys/>.

/// True where the pattern matches the whole key.
pub(super) fn matches(pattern: &[u8], key: &[u8]) -> bool {
    let (mut p, mut k) = (0, 0);
    // Where to go on when what follows the last `*` did not fit: it takes one byte more.
    let mut again: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            again = Some((p, k));
            continue;
        }
        match (pattern.get(p..).filter(|rest| !rest.is_empty()), key.get(k)) {
            (None, None) => return true,
            (Some(rest), Some(&byte)) => {
                let (fits, length) = one(rest, byte);
                if fits {
                    p += length;
                    k += 1;
                    continue;
                }
            }
            _ => {}
        }
        match again.as_mut() {
            Some((after, from)) if *from < key.len() => {
                *from += 1;
                (p, k) = (*after, *from);
            }
            _ => return false,
        }
    }
}

/// Whether the first part of a pattern, which is no `*`, takes a byte, and how long that part is.
fn one(pattern: &[u8], byte: u8) -> (bool, usize) {
    match pattern {
        [b'?', ..] => (true, 1),
        [b'\\', escaped, ..] => (*escaped == byte, 2),
        [b'[', class @ ..] => {
            let (fits, length) = in_class(class, byte);
            (fits, length + 1)
        }
        [first, ..] => (*first == byte, 1),
        [] => (false, 0),
    }
}

/// What stands behind a `[`. One that is not closed ends with the pattern.
fn in_class(class: &[u8], byte: u8) -> (bool, usize) {
    let (not, mut at) = if class.first() == Some(&b'^') { (true, 1) } else { (false, 0) };
    let mut fits = false;
    loop {
        match class.get(at..).unwrap_or_default() {
            [] => return (fits != not, at),
            [b'\\', escaped, ..] => {
                fits |= *escaped == byte;
                at += 2;
            }
            [b']', ..] => return (fits != not, at + 1),
            [from, b'-', to, ..] => {
                fits |= (*from.min(to)..=*from.max(to)).contains(&byte);
                at += 3;
            }
            [same, ..] => {
                fits |= *same == byte;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_redis() {
        for (pattern, yes, no) in [
            ("*", &["", "a", "queue:default"][..], &[][..]),
            ("session:*", &["session:", "session:1"], &["sessions:1", "session"]),
            ("h?llo", &["hello", "h\u{7f}llo"], &["hllo", "heello"]),
            ("h[ae]llo", &["hallo", "hello"], &["hillo"]),
            ("h[^e]llo", &["hallo"], &["hello"]),
            ("h[a-c]*o", &["hbxo", "hco"], &["hdo"]),
            ("h[c-a]o", &["hbo"], &["hdo"]),
            ("a\\*b", &["a*b"], &["aab"]),
            ("[\\]]", &["]"], &["\\"]),
            ("[ab", &["a", "b"], &["ab", "["]),
            ("*:*:*", &["a:b:c", "::"], &["a:b"]),
            ("", &[], &["a"]),
            ("a*b*c*d", &["abcd", "axbxcxxd"], &["abdc"]),
            ("a\\", &["a\\"], &["a"]),
        ] {
            for key in yes {
                assert!(matches(pattern.as_bytes(), key.as_bytes()), "{pattern} {key}");
            }
            for key in no {
                assert!(!matches(pattern.as_bytes(), key.as_bytes()), "{pattern} {key}");
            }
        }
        let long = "a".repeat(10_000);
        assert!(!matches(b"*a*a*a*a*a*a*b", long.as_bytes()), "and it does not take for ever");
    }
}
