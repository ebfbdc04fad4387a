//! Names as Route 53 spells them, and the order in which it lists them.
//!
//! Source: "DNS domain name format" of the developer guide (escapes, international names), API reference of
//! `ListResourceRecordSets` (order).

use std::fmt::Write as _;

use hickory_proto::rr::Name;

/// A name as Route 53 spells it in its answers: lower case, fully qualified, international labels in their ASCII form,
/// everything but `a-z 0-9 - _` as a three-digit octal escape.
#[must_use]
pub fn normal_name(name: &str) -> String {
    let mut normal = String::with_capacity(name.len() + 1);
    for label in labels(name) {
        for byte in label {
            match byte.to_ascii_lowercase() {
                b @ (b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_') => normal.push(char::from(b)),
                b => {
                    let _infallible = write!(normal, "\\{b:03o}");
                }
            }
        }
        normal.push('.');
    }
    if normal.is_empty() { ".".into() } else { normal }
}

/// A name for people: without the last dot, `*` for its escape.
#[must_use]
pub fn shown_name(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).replace("\\052", "*")
}

/// What Route 53 sorts a listing by: the labels from the right, with the last dot (`com.example.www.`), compared
/// byte by byte.
pub(super) fn order(name: &str) -> String {
    let mut reversed = String::with_capacity(name.len());
    for label in name.strip_suffix('.').unwrap_or(name).rsplit('.') {
        reversed.push_str(label);
        reversed.push('.');
    }
    reversed
}

/// True where a name is the zone's own or lies below it.
#[must_use]
pub fn lies_in(name: &str, zone: &str) -> bool {
    let (name, zone) = (normal_name(name), normal_name(zone));
    name == zone || name.strip_suffix(&zone).is_some_and(|rest| rest.ends_with('.'))
}

/// The labels with their escapes undone.
fn labels(name: &str) -> Vec<Vec<u8>> {
    let mut labels = Vec::new();
    for label in split(name) {
        let ascii = if label.is_ascii() { None } else { Name::from_utf8(label).ok().map(|name| name.to_ascii()) };
        let label = ascii.as_deref().map_or(label, |ascii| ascii.trim_end_matches('.'));
        let mut bytes = Vec::with_capacity(label.len());
        let mut rest = label.as_bytes();
        while let Some((&first, after)) = rest.split_first() {
            match (first, after) {
                (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                    bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                    rest = after;
                }
                (b'\\', [escaped, after @ ..]) => {
                    bytes.push(*escaped);
                    rest = after;
                }
                _ => {
                    bytes.push(first);
                    rest = after;
                }
            }
        }
        labels.push(bytes);
    }
    labels
}

/// The labels as written; a dot behind a backslash ends none.
fn split(name: &str) -> Vec<&str> {
    let (mut labels, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, c) in name.char_indices() {
        match c {
            '.' if !escaped => {
                labels.push(&name[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    if start < name.len() {
        labels.push(&name[start..]);
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_route_53_spells_them() {
        for (written, spelt) in [
            ("Shop.Acme.Example", "shop.acme.example."),
            ("*.acme.example.", "\\052.acme.example."),
            ("\\052.acme.example.", "\\052.acme.example."),
            ("a\\100b.example", "a\\100b.example."),
            ("a@b.example", "a\\100b.example."),
            ("\\141\\055b.example", "a-b.example."),
            ("a\\.b.example", "a\\056b.example."),
            ("a\\056b.example", "a\\056b.example."),
            ("_dmarc.acme.example", "_dmarc.acme.example."),
            ("Bücher.example", "xn--bcher-kva.example."),
            ("*.bücher.example", "\\052.xn--bcher-kva.example."),
            ("corp", "corp."),
            (".", "."),
        ] {
            assert_eq!(normal_name(written), spelt, "{written}");
            assert_eq!(normal_name(spelt), spelt, "twice is once");
        }
        assert_eq!(shown_name("\\052.acme.example."), "*.acme.example");
    }

    #[test]
    fn listings_are_sorted_from_the_right() {
        let mut names = vec!["b.a.example.", "a.example.", "a-b.example.", "example.", "z.example.", "\\052.example."];
        names.sort_by_key(|name| order(name));
        // The last dot (46) stands behind the hyphen (45).
        assert_eq!(names, ["example.", "\\052.example.", "a-b.example.", "a.example.", "b.a.example.", "z.example."]);
    }

    #[test]
    fn a_name_lies_in_its_zone() {
        assert!(lies_in("shop.acme.example", "ACME.example."));
        assert!(lies_in("acme.example", "acme.example"));
        assert!(!lies_in("shopacme.example", "acme.example"));
        assert!(!lies_in("a\\.acme.example", "acme.example"), "that dot is part of a label");
    }
}
