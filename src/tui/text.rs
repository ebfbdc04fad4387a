//! Text that fits: cut with `…`, padded, wrapped, always by display width. Nothing drawn from here
//! can be wider than it was told to be.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::board::Role;

/// Text with a role.
pub type Span = (String, Role);
/// A line of spans.
pub type Line = Vec<Span>;

/// A line of one span.
#[must_use]
pub fn line(text: impl Into<String>, role: Role) -> Line {
    vec![(text.into(), role)]
}

/// Display width.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// Display width of a line.
#[must_use]
pub fn line_width(line: &[Span]) -> usize {
    line.iter().map(|(text, _)| width(text)).sum()
}

/// At most `max` cells of `text`; what is cut ends in `…`.
#[must_use]
pub fn fit(text: &str, max: usize) -> String {
    if width(text) <= max {
        return text.to_owned();
    }
    if max == 0 {
        return String::new();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let cells = c.width().unwrap_or(0);
        if used + cells > max - 1 {
            break;
        }
        out.push(c);
        used += cells;
    }
    out.truncate(out.trim_end().len());
    out.push('…');
    out
}

/// `text` in exactly `cells`, left aligned.
#[must_use]
pub fn left(text: &str, cells: usize) -> String {
    let text = fit(text, cells);
    let gap = cells.saturating_sub(width(&text));
    text + &" ".repeat(gap)
}

/// `text` in exactly `cells`, right aligned.
#[must_use]
pub fn right(text: &str, cells: usize) -> String {
    let text = fit(text, cells);
    " ".repeat(cells.saturating_sub(width(&text))) + &text
}

/// `text` in lines of at most `cells`, broken at spaces where there are any.
#[must_use]
pub fn wrap(text: &str, cells: usize) -> Vec<String> {
    let cells = cells.max(1);
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        let mut used = 0;
        for word in paragraph.split_inclusive(' ') {
            let bare = width(word.trim_end());
            if used > 0 && used + bare > cells {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
                used = 0;
            }
            if bare <= cells {
                line += word;
                used += width(word);
                continue;
            }
            // A word longer than the line is broken where the line ends.
            for c in word.chars() {
                let wide = c.width().unwrap_or(0);
                if used + wide > cells {
                    lines.push(std::mem::take(&mut line));
                    used = 0;
                }
                line.push(c);
                used += wide;
            }
        }
        lines.push(line.trim_end().to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_wider_than_it_was_told() {
        assert_eq!(fit("Deploy the web service", 10), "Deploy th…");
        assert_eq!(fit("数据库迁移", 5), "数据…");
        assert_eq!((fit("abc", 0), fit("abc", 1), fit("abc", 3)), (String::new(), "…".into(), "abc".into()));
        assert_eq!((left("ab", 4), right("ab", 4)), ("ab  ".into(), "  ab".into()));
        for cells in 1..12 {
            for text in ["a bb ccc dddd eeeeeeeeeeeeee", "数据库 迁移", "", "x"] {
                assert!(wrap(text, cells.max(2)).iter().all(|line| width(line) <= cells.max(2)), "{text} in {cells}");
                assert!(width(&fit(text, cells)) <= cells);
            }
        }
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
    }
}
