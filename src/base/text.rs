//! Hostile text made harmless, once, on the way in: whatever a target, a child or a file says may
//! be shown afterwards on a terminal and stored in the journal.

use std::fmt::Write as _;

/// True for characters that could move a cursor, hide or reorder text.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// True for marks that stack on the character before them.
fn is_combining(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}')
}

/// At most this many combining marks are kept in a row; scripts in use need three.
const MARKS: usize = 4;

fn clean_with(text: &str, max: usize, keep: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    let mut marks = 0;
    for c in text.chars() {
        if out.len() >= max {
            out.push('…');
            break;
        }
        if is_combining(c) {
            marks += 1;
            if marks > MARKS {
                continue;
            }
        } else {
            marks = 0;
        }
        if is_hostile(c) && !keep(c) {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        } else {
            out.push(c);
        }
    }
    out
}

/// `text` with control, bidi and invisible characters spelled out as `\u{…}`; line feeds stay and
/// tabs become a space. At most about `max` bytes, ending in `…` where something was cut.
#[must_use]
pub fn clean(text: &str, max: usize) -> String {
    clean_with(&text.replace("\r\n", "\n").replace('\t', " "), max, |c| c == '\n')
}

/// As [`clean`], but on one line: line ends become spaces.
#[must_use]
pub fn clean_line(text: &str, max: usize) -> String {
    clean_with(text.trim_end().replace("\r\n", " ").replace(['\n', '\t'], " ").as_str(), max, |_| false)
}

/// `text` cut to at most `max` bytes at a character, with `…` where something was cut.
#[must_use]
pub fn bounded(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = (0..=max).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_spelled_out() {
        assert_eq!(clean("\u{1b}[2J\u{9b}1m\u{202e}x\n\ty\r\nz", 200), "\\u{1b}[2J\\u{9b}1m\\u{202e}x\n y\nz");
        assert_eq!(clean_line("a\nb\t c\u{7}", 200), "a b  c\\u{7}");
        assert_eq!(clean(&format!("a{}b", "\u{301}".repeat(1000)), 200).chars().count(), 6);
        assert_eq!(clean("héllo", 3), "hé…");
        assert_eq!(bounded("héllo", 2), "h…");
    }
}
