//! `${name}` and `$${` in a text: the grammar, and where each stands in the file.

use std::cell::OnceCell;

use super::{
    Source,
    value::{Span, Value},
};

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    /// As it stands.
    Plain(&'t str),
    /// `$${`: a `${` that is meant.
    Escaped,
    /// `${name}`.
    Variable(&'t str),
    /// `${secret.name}`.
    Secret(&'t str),
    /// `${` and something that is no name: what is wrong with it.
    Malformed(&'static str),
}

/// A piece and, unless it is plain, the how-maniest `${` of the text it is.
pub(super) type Numbered<'t> = (Piece<'t>, usize);

/// `[A-Za-z_][A-Za-z0-9_-]*`, at most 64.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Cuts a text into its pieces.
pub(super) fn pieces(text: &str) -> Vec<Numbered<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut number = 0;
    while let Some(at) = rest.find("${") {
        let escaped = rest[..at].ends_with('$');
        let plain = if escaped { &rest[..at - 1] } else { &rest[..at] };
        if !plain.is_empty() {
            pieces.push((Piece::Plain(plain), 0));
        }
        rest = &rest[at + 2..];
        if escaped {
            pieces.push((Piece::Escaped, number));
        } else {
            let (piece, after) = reference(rest);
            pieces.push((piece, number));
            rest = after;
        }
        number += 1;
    }
    if !rest.is_empty() {
        pieces.push((Piece::Plain(rest), 0));
    }
    pieces
}

fn reference(rest: &str) -> (Piece<'_>, &str) {
    let end = rest.find(['}', '$', '{', '\n', '"']).filter(|end| rest[*end..].starts_with('}'));
    let Some(end) = end else { return (Piece::Malformed("it has no `}`"), rest) };
    let (name, after) = (&rest[..end], &rest[end + 1..]);
    let piece = match name.strip_prefix("secret.") {
        Some(secret) if is_name(secret) => Piece::Secret(secret),
        None if is_name(name) => Piece::Variable(name),
        _ if name.is_empty() => Piece::Malformed("it names nothing"),
        _ if is_name(name.trim()) => Piece::Malformed("no spaces are allowed in it"),
        _ => Piece::Malformed("it is not a name"),
    };
    (piece, after)
}

/// Where the `${` of one text value stand in the file. Looked for once, and only where somebody asks.
pub(super) struct Places<'v> {
    source: &'v Source,
    value: &'v Value,
    text: &'v str,
    starts: OnceCell<Option<Vec<usize>>>,
}

impl<'v> Places<'v> {
    pub(super) fn new(source: &'v Source, value: &'v Value, text: &'v str) -> Self {
        Self { source, value, text, starts: OnceCell::new() }
    }

    /// The place of the `number`th `${`, up to its `}`. The whole value where an escape in the file
    /// (`\u0024{`) makes file and text differ.
    pub(super) fn of(&self, number: usize) -> Span {
        let raw = self.source.slice(&self.value.span);
        let starts = self.starts.get_or_init(|| {
            let starts: Vec<usize> = raw.match_indices("${").map(|(at, _)| at).collect();
            (starts.len() == self.text.matches("${").count()).then_some(starts)
        });
        let Some(start) = starts.as_ref().and_then(|starts| starts.get(number)).copied() else {
            return self.value.span.clone();
        };
        let rest = &raw[start + 2..];
        let end = rest.find(['}', '$', '{', '\n', '"']).unwrap_or(rest.len());
        let end = if rest[end..].starts_with('}') { end + 1 } else { end };
        self.value.span.start + start..self.value.span.start + start + 2 + end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut() {
        assert_eq!(
            pieces("a ${b} $${c} ${secret.d}${"),
            [
                (Piece::Plain("a "), 0),
                (Piece::Variable("b"), 0),
                (Piece::Plain(" "), 0),
                (Piece::Escaped, 1),
                (Piece::Plain("c} "), 0),
                (Piece::Secret("d"), 2),
                (Piece::Malformed("it has no `}`"), 3),
            ]
        );
        assert_eq!(pieces(""), []);
        for bad in ["${}", "${ a }", "${1}", "${a b}", "${secret.}", "${secret.1}", "${a.b}", "${a"] {
            assert!(matches!(pieces(bad)[0].0, Piece::Malformed(_)), "{bad}");
        }
    }
}
