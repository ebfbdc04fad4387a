//! More about some rows that differ: which columns, and what is in them where that may be shown. Rows are found again by their
//! keys.

use std::collections::HashMap;

use super::{
    super::types::Type,
    hash::digest_of,
    narrow::{Fault, Key, Wrong},
    plan::Pair,
    side::Side,
};
use crate::base::{Failure, clean_line};

/// A row that differs, for people.
#[derive(Debug, Clone)]
pub struct Difference {
    /// What is wrong with it.
    pub fault: Fault,
    /// Names and texts of its key; of a table without one, the digest of the row.
    pub key: Vec<(String, Option<String>)>,
    /// How many such rows.
    pub times: i64,
    /// Columns that differ, of a changed row; all, where values are shown, of any other.
    pub columns: Vec<Column>,
}

/// A column of a row that differs.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The values of source and target, cut, where they may be shown.
    pub values: Option<(Option<String>, Option<String>)>,
}

/// Characters of a value that are shown.
const SHOWN: usize = 80;

/// A row as it was found again: digests of its columns, and the beginnings of their texts.
struct Again {
    digests: Vec<String>,
    values: Vec<Option<String>>,
}

/// `SELECT` of rows by keys, given as `$1…`: their keys' texts and something more.
pub(super) fn by_key(pair: &Pair, side: &Side, more: &str) -> String {
    let half = pair.half(side.which);
    let numbers: Vec<usize> = (1..=pair.key.len()).collect();
    let given = numbers.iter().map(|n| format!("${n}::text[]")).collect::<Vec<_>>().join(", ");
    let names = numbers.iter().map(|n| format!("k{n}")).collect::<Vec<_>>().join(", ");
    let key = half.key_texts.join(", ");
    let from = |unit: &super::plan::Piece| {
        let unit = &half.units[unit.unit];
        let only = if unit.only { "ONLY " } else { "" };
        format!(
            "SELECT ARRAY[{key}]::text[], {more} FROM unnest({given}) AS w({names}) JOIN {only}{} t ON {}",
            unit.name.sql(),
            half.key_match
        )
    };
    half.pieces(&super::plan::Parts::One, side.version()).iter().map(from).collect::<Vec<_>>().join(" UNION ALL ")
}

/// Keys column by column.
pub(super) fn columns_of(keys: &[&Key], width: usize) -> Vec<Vec<Option<String>>> {
    (0..width).map(|at| keys.iter().map(|key| key.get(at).cloned().flatten()).collect()).collect()
}

async fn again(side: &Side, pair: &Pair, keys: &[&Key], show: bool) -> Result<HashMap<Key, Again>, Failure> {
    let half = pair.half(side.which);
    let digest = |text: &String| digest_of(&format!("coalesce('=' || {text}, '-')"), side.version());
    let digests = half.texts.iter().map(digest).collect::<Vec<_>>().join(", ");
    let value = |text: &String| if show { format!("left({text}, {})", SHOWN + 1) } else { "NULL".into() };
    let values = half.texts.iter().map(value).collect::<Vec<_>>().join(", ");
    let sql = by_key(pair, side, &format!("ARRAY[{digests}]::text[], ARRAY[{values}]::text[]"));
    let columns = columns_of(keys, pair.key.len());
    let params: Vec<super::side::Param<'_>> = columns.iter().map(|column| (column as _, Type::TEXT_ARRAY)).collect();
    let rows = side.rows(&sql, &params, &format!("reading rows of {}", pair.name)).await?;
    Ok(rows.iter().map(|row| (row.get(0), Again { digests: row.get(1), values: row.get(2) })).collect())
}

/// Tells more of the first rows: some of each kind.
pub(super) async fn more(
    (source, target): (&Side, &Side),
    pair: &Pair,
    wrongs: &[Wrong],
    most: usize,
    show: bool,
) -> Result<Vec<Difference>, Failure> {
    let chosen = chosen(wrongs, most);
    let keys: Vec<&Key> =
        chosen.iter().filter(|wrong| show || wrong.fault == Fault::Changed).map(|wrong| &wrong.key).collect();
    let (mut one, mut other) = (HashMap::new(), HashMap::new());
    if !pair.key.is_empty() && !keys.is_empty() {
        (one, other) = tokio::try_join!(again(source, pair, &keys, show), again(target, pair, &keys, show))?;
    }
    let tell = |wrong: &&Wrong| {
        let (here, there) = (one.get(&wrong.key), other.get(&wrong.key));
        let text = |row: Option<&Again>, at: usize| row.and_then(|row| row.values.get(at).cloned().flatten()).map(cut);
        let differs = |at: usize| match (here, there) {
            (Some(here), Some(there)) => here.digests.get(at) != there.digests.get(at),
            _ => show && (here.is_some() || there.is_some()),
        };
        let column = |(at, name): (usize, &String)| Column {
            name: name.clone(),
            values: show.then(|| (text(here, at), text(there, at))),
        };
        let columns = pair.columns.iter().enumerate().filter(|(at, _)| differs(*at)).map(column).collect();
        let named = |(at, text): (usize, &Option<String>)| {
            (pair.key.get(at).cloned().unwrap_or_else(|| "row".into()), text.clone().map(cut))
        };
        Difference {
            fault: wrong.fault,
            key: wrong.key.iter().enumerate().map(named).collect(),
            times: wrong.times,
            columns,
        }
    };
    Ok(chosen.iter().map(tell).collect())
}

/// As many of each kind as fit, so that a thousand changed rows do not hide the one that is missing.
fn chosen(wrongs: &[Wrong], most: usize) -> Vec<&Wrong> {
    let of = |fault| wrongs.iter().filter(move |wrong| wrong.fault == fault);
    let mut each = [of(Fault::Changed).peekable(), of(Fault::Missing).peekable(), of(Fault::Extra).peekable()];
    let mut chosen = Vec::new();
    while chosen.len() < most && each.iter_mut().any(|kind| kind.peek().is_some()) {
        for kind in &mut each {
            if chosen.len() < most {
                chosen.extend(kind.next());
            }
        }
    }
    chosen.sort_by(|a, b| (a.fault, &a.key).cmp(&(b.fault, &b.key)));
    chosen
}

fn cut(text: String) -> String {
    if text.chars().count() <= SHOWN {
        return clean_line(&text, SHOWN * 4);
    }
    let short: String = text.chars().take(SHOWN).collect();
    format!("{}…", clean_line(&short, SHOWN * 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_of_each_kind_are_shown() {
        let wrong = |fault, key: &str| Wrong { fault, key: vec![Some(key.to_owned())], times: 1, twice: false };
        let mut wrongs: Vec<Wrong> = (0..100).map(|n| wrong(Fault::Changed, &n.to_string())).collect();
        wrongs.push(wrong(Fault::Missing, "m"));
        wrongs.push(wrong(Fault::Extra, "x"));
        let faults: Vec<Fault> = chosen(&wrongs, 4).iter().map(|wrong| wrong.fault).collect();
        assert_eq!(faults, [Fault::Changed, Fault::Changed, Fault::Missing, Fault::Extra]);
        assert_eq!(chosen(&wrongs[..2], 4).len(), 2);
    }
}
