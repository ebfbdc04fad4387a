//! A TOML value that remembers where it stands in the file.

use std::ops::Range;

use chrono::{DateTime, FixedOffset};

/// Byte range in the runbook's source.
pub type Span = Range<usize>;

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Where the value stands, quotes included.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// The shapes of TOML, as far as a runbook uses them.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Text; before `resolve` it may hold `${name}`.
    Text(String),
    /// A `${secret.x}` that stood alone: the name `x`, for an adapter to open. Only after `resolve`.
    Secret(String),
    /// A whole number.
    Int(i64),
    /// A number with a point.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// A moment with its offset.
    Time(DateTime<FixedOffset>),
    /// A list.
    List(Vec<Value>),
    /// A table, in the order of the file.
    Table(Table),
}

/// A table in the order of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// Where the table stands.
    pub span: Span,
    /// Its entries.
    pub entries: Vec<Entry>,
}

/// One `key = value`.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where the key stands.
    pub key_span: Span,
    /// The key.
    pub key: String,
    /// The value.
    pub value: Value,
}

impl Kind {
    /// The shape's name for "expected text, found a number".
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Secret(_) => "a secret",
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::Time(_) => "a time",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl Table {
    /// The entry of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.key == key)
    }
}
