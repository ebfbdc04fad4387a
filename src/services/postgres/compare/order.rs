//! Whether a side's rows lie in the order of their keys, and where to cut the keys so that as many rows are in each part: from the
//! planner's statistics and the ends of the index.

use super::{
    super::types::Type,
    plan::Pair,
    side::{Param, Side},
};
use crate::base::Failure;

/// What is known of a table's order.
#[derive(Debug, Clone, Default)]
pub(super) struct Order {
    /// `pg_stats.correlation`, -1 to 1, where the table was analysed.
    pub correlation: Option<f64>,
    /// Values with about as many rows between each two.
    pub bounds: Vec<i64>,
}

const STATISTICS: &str = "SELECT w.n::int4, s.correlation::float8, s.histogram_bounds::text \
    FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY w(s, t, c, n) \
    LEFT JOIN pg_catalog.pg_stats s ON s.schemaname = w.s AND s.tablename = w.t AND s.attname = w.c AND NOT s.inherited \
    ORDER BY w.n";

/// The order of some tables' rows by their keys.
pub(super) async fn orders(side: &Side, pairs: &[Pair], which: &[usize]) -> Result<Vec<Order>, Failure> {
    if which.is_empty() {
        return Ok(Vec::new());
    }
    let pick = |of: fn(&Pair) -> String| which.iter().map(|at| of(&pairs[*at])).collect::<Vec<String>>();
    let unit = |pair: &Pair, side: &Side| pair.half(side.which).units.first().map(|unit| unit.name.clone());
    let names: Vec<_> = which.iter().filter_map(|at| unit(&pairs[*at], side)).collect();
    let schemas: Vec<&str> = names.iter().map(|name| name.schema.as_str()).collect();
    let tables: Vec<&str> = names.iter().map(|name| name.table.as_str()).collect();
    let columns = pick(|pair| pair.key.first().cloned().unwrap_or_default());
    let params: [Param<'_>; 3] =
        [(&schemas, Type::TEXT_ARRAY), (&tables, Type::TEXT_ARRAY), (&columns, Type::TEXT_ARRAY)];
    let rows = side.rows(STATISTICS, &params, "reading the statistics").await?;
    let mut orders = Vec::with_capacity(rows.len());
    for (row, at) in rows.iter().zip(which) {
        let bounds: Option<String> = row.get(2);
        let known = bounds.unwrap_or_default();
        let mut bounds: Vec<i64> =
            known.trim_matches(['{', '}']).split(',').filter_map(|one| one.parse().ok()).collect();
        let (low, high) = ends(side, &pairs[*at]).await?;
        stretch(&mut bounds, low, high);
        orders.push(Order { correlation: row.get(1), bounds });
    }
    Ok(orders)
}

/// The least and the greatest key, by the index.
async fn ends(side: &Side, pair: &Pair) -> Result<(Option<i64>, Option<i64>), Failure> {
    let (Some(unit), Some(first)) = (pair.half(side.which).units.first(), pair.key.first()) else {
        return Ok((None, None));
    };
    let column = super::super::quoted(first);
    let sql = format!("SELECT min({column})::bigint, max({column})::bigint FROM ONLY {}", unit.name.sql());
    let rows = side.rows(&sql, &[], &format!("reading the ends of {}", pair.name)).await?;
    Ok(rows.first().map_or((None, None), |row| (row.get(0), row.get(1))))
}

/// Bounds that are older than the rows at the end get more of their kind.
fn stretch(bounds: &mut Vec<i64>, low: Option<i64>, high: Option<i64>) {
    const MORE: i128 = 100;
    let (Some(low), Some(high)) = (low, high) else { return };
    if bounds.len() < 2 {
        *bounds = vec![low, high];
        return;
    }
    let (first, last) = (i128::from(bounds[0]), i128::from(bounds[bounds.len() - 1]));
    let spans = i128::try_from(bounds.len() - 1).unwrap_or(1);
    let width = ((last - first) / spans).max(1);
    let beyond = i128::from(high) - last;
    let more = (beyond / width).clamp(0, MORE);
    bounds.extend((1..=more).filter_map(|n| i64::try_from(last + beyond * n / more).ok()));
}

#[cfg(test)]
mod tests {
    use super::stretch;

    #[test]
    fn old_bounds_reach_to_the_end() {
        let mut bounds = vec![0, 10, 20];
        stretch(&mut bounds, Some(0), Some(45));
        assert_eq!(bounds, [0, 10, 20, 32, 45]);
        stretch(&mut bounds, Some(0), Some(45));
        assert_eq!(bounds.len(), 5, "nothing lies beyond");
        let mut none = Vec::new();
        stretch(&mut none, Some(i64::MIN), Some(i64::MAX));
        assert_eq!(none, [i64::MIN, i64::MAX]);
        let mut far = vec![1, 2];
        stretch(&mut far, Some(1), Some(i64::MAX));
        assert_eq!(far.len(), 102, "one row far away makes no endless list");
    }
}
