//! What a statement has to answer.

use super::look::Answer;
use crate::{
    base::{Class, Failure, clean_line},
    plan::Params,
    runbook::value::{Kind as Value, Value as Spanned},
};

/// How much of a value is shown.
pub(super) const SHOWN: usize = 80;
const KEYS: [&str; 9] = ["equals", "one_of", "min", "max", "null", "rows", "min_rows", "max_rows", "empty"];

/// What is wanted.
pub(super) struct Expect {
    /// One of these, where there are any.
    one_of: Option<Vec<String>>,
    min: Option<f64>,
    max: Option<f64>,
    null: bool,
    min_rows: Option<u64>,
    max_rows: Option<u64>,
}

/// A plain value as the server reads it.
pub(super) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Time(moment) => Some(moment.to_rfc3339()),
        _ => None,
    }
}

impl Expect {
    /// Reads what is wanted; something has to be.
    pub fn read(params: &mut Params<'_>) -> Self {
        let wanted = |key: &'static str, params: &mut Params<'_>| {
            let raw = params.raw(key)?;
            let single = |item: &Spanned, params: &mut Params<'_>| {
                let text = plain(&item.kind);
                if text.is_none() {
                    let words = format!("`{key}` must be text, a number or a flag, found {}", item.kind.name());
                    params.mistake(item.span.clone(), words, "not a value", None);
                }
                text
            };
            match (&raw.kind, key) {
                (Value::List(list), "one_of") if !list.is_empty() => {
                    Some(list.iter().filter_map(|item| single(item, params)).collect::<Vec<_>>())
                }
                (_, "one_of") => {
                    params.mistake(raw.span.clone(), "`one_of` must be a list of values", "expected a list", None);
                    None
                }
                _ => single(raw, params).map(|text| vec![text]),
            }
        };
        let (equals, one_of) = (wanted("equals", params), wanted("one_of", params));
        let rows = params.opt_count("rows");
        let empty = params.opt_flag("empty").unwrap_or(false);
        let (least, most) = (params.opt_count("min_rows"), params.opt_count("max_rows"));
        let (min, max) = (params.opt_number("min"), params.opt_number("max"));
        let null = params.opt_flag("null").unwrap_or(false);
        contradictions(params);
        Self {
            one_of: equals.or(one_of),
            min,
            max,
            null,
            min_rows: rows.or(least).or(empty.then_some(0)),
            max_rows: rows.or(most).or(empty.then_some(0)),
        }
    }

    /// True where the number of rows counts.
    pub fn counts(&self) -> bool {
        self.min_rows.is_some() || self.max_rows.is_some()
    }

    fn of_value(&self) -> bool {
        self.one_of.is_some() || self.min.is_some() || self.max.is_some() || self.null
    }

    /// What is wanted, in words.
    pub fn words(&self) -> String {
        let mut words = Vec::new();
        if let Some(list) = &self.one_of {
            words.push(clean_line(&list.join(" or "), 200));
        }
        words.extend(self.min.map(|min| format!("at least {min}")));
        words.extend(self.max.map(|max| format!("at most {max}")));
        if self.null {
            words.push("NULL".into());
        }
        match (self.min_rows, self.max_rows) {
            (Some(0), Some(0)) => words.push("no rows".into()),
            (Some(least), Some(most)) if least == most => words.push(count(least)),
            (least, most) => {
                words.extend(least.map(|least| format!("at least {}", count(least))));
                words.extend(most.map(|most| format!("at most {}", count(most))));
            }
        }
        words.join(" and ")
    }

    /// The figure for watches and reports: the value where one is asked for, else the number of rows.
    pub fn figure(&self, answer: &Answer) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a number of rows far below 2^52")]
        if self.of_value() { answer.value.as_deref().and_then(number) } else { Some(answer.rows as f64) }
    }

    /// What was answered, where it is what is wanted.
    ///
    /// # Errors
    /// `NotYet`, with both.
    pub fn judge(&self, answer: &Answer) -> Result<String, Failure> {
        let not_yet = |words: String| Err(Failure::new(Class::NotYet, format!("{words}; wanted {}", self.words())));
        let rows = answer.rows;
        if self.min_rows.is_some_and(|least| rows < least) || self.max_rows.is_some_and(|most| rows > most) {
            return not_yet(count(rows));
        }
        if !self.of_value() {
            return Ok(count(rows));
        }
        if !answer.any {
            return not_yet("no data: no rows".into());
        }
        if rows > 1 {
            return not_yet("several rows in place of one value".into());
        }
        let Some(value) = &answer.value else {
            return if self.null { Ok("NULL".into()) } else { not_yet("NULL".into()) };
        };
        let shown = clean_line(value, SHOWN);
        if self.null {
            return not_yet(shown);
        }
        if self.one_of.as_ref().is_some_and(|list| !list.iter().any(|wanted| same(wanted, value))) {
            return not_yet(shown);
        }
        if self.min.is_some() || self.max.is_some() {
            let Some(number) = number(value) else { return not_yet(format!("{shown}, which is no number")) };
            if self.min.is_some_and(|min| number < min) || self.max.is_some_and(|max| number > max) {
                return not_yet(shown);
            }
        }
        Ok(shown)
    }
}

/// `NaN` is no number that could be within limits.
fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|number| !number.is_nan())
}

/// Texts are the same as they stand; numbers by what they are (`1.50` is 1.5), flags however they are written.
fn same(wanted: &str, value: &str) -> bool {
    let decimal = |text: &str| -> Option<String> {
        let (sign, digits) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !plain(whole) || !plain(part) {
            return None;
        }
        let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
        let sign = if whole.is_empty() && part.is_empty() { "" } else { sign };
        Some(format!("{sign}{whole}.{part}"))
    };
    if wanted == value || matches!((wanted, value), ("true", "t") | ("false", "f")) {
        return true;
    }
    match (decimal(wanted), decimal(value)) {
        (Some(wanted), Some(value)) => wanted == value,
        // One of them is written with an exponent.
        _ => matches!((number(wanted), number(value)), (Some(a), Some(b)) if a.to_bits() == b.to_bits()),
    }
}

fn count(rows: u64) -> String {
    match rows {
        0 => "no rows".into(),
        1 => "1 row".into(),
        n => format!("{n} rows"),
    }
}

fn contradictions(params: &mut Params<'_>) {
    let given = KEYS.into_iter().filter(|key| params.has(key)).collect::<Vec<_>>();
    let place = params.place();
    if given.is_empty() {
        let help = "equals, one_of, min, max, null, rows, min_rows, max_rows or empty".to_owned();
        params.mistake(place, "nothing is expected of the statement", "green whatever it answers", Some(help));
        return;
    }
    for (one, others) in [
        ("equals", &["one_of", "min", "max", "null"][..]),
        ("one_of", &["min", "max", "null"]),
        ("null", &["min", "max"]),
        ("rows", &["min_rows", "max_rows", "empty"]),
        ("empty", &["equals", "one_of", "min", "max", "null", "min_rows", "max_rows"]),
    ] {
        if let Some(other) = others.iter().find(|other| given.contains(&one) && given.contains(other)) {
            let span = params.place_of(other);
            params.mistake(span, format!("`{one}` and `{other}` do not go together"), "one of them", None);
        }
    }
    for key in ["null", "empty"] {
        if params.has(key) && params.raw(key).is_some_and(|raw| matches!(raw.kind, Value::Bool(false))) {
            let span = params.place_of(key);
            params.mistake(span, format!("`{key}` is true or left out"), "says nothing", None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_by_what_they_are() {
        for (wanted, value) in
            [("1.5", "1.50"), ("7", "7.000"), ("007", "7"), ("-0", "0.0"), ("true", "t"), ("1e3", "1000"), ("x", "x")]
        {
            assert!(same(wanted, value), "{wanted} {value}");
        }
        for (wanted, value) in
            [("9007199254740993", "9007199254740992"), ("1", "-1"), ("", "0"), ("NaN", "0"), ("a", "A"), ("true", "f")]
        {
            assert!(!same(wanted, value), "{wanted} {value}");
        }
        assert_eq!(number("NaN"), None);
    }
}
