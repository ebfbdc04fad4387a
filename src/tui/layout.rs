//! Which arrangement fits a size. Cells of the arrangements:
//!
//! ```text
//! Tiny     under 60x16     two lines; space still holds
//! Compact  under 80x24     header 3, rule, steps, rule, log 1, next, footer
//! Normal                   header 3, rule, heading, steps, log, rule, next, footer
//! Wide     from 120x30     header 3, steps │ step and log, notes │ next, footer
//! ```

use ratatui::layout::Size;

/// An arrangement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Two lines.
    Tiny,
    /// For a split pane or a phone.
    Compact,
    /// 80x24 and up.
    Normal,
    /// 120x30 and up.
    Wide,
}

impl Layout {
    /// The arrangement of a size.
    #[must_use]
    pub fn of(size: Size) -> Self {
        match (size.width, size.height) {
            (..60, _) | (_, ..16) => Self::Tiny,
            (..80, _) | (_, ..24) => Self::Compact,
            (120.., 30..) => Self::Wide,
            _ => Self::Normal,
        }
    }
}
