//! What somebody would write by hand: sums of row hashes on both sides at once, and for differences sums by ranges of keys, of
//! which those that differ are fetched.

use std::collections::BTreeMap;

use tokio_postgres::{Client, Row};

use crate::{postgres::client, world::Shape};

/// Keys of a range.
const RANGE: i64 = 1_000;

/// Compares; how many rows differ. `narrow`: by ranges, so that they can be told.
pub async fn compare(source: &str, target: &str, shape: &Shape, narrow: bool) -> usize {
    let (source, target) = tokio::join!(client(source), client(target));
    let key = if narrow { format!("id / {RANGE}") } else { "0::bigint".into() };
    let group = if narrow { " GROUP BY 2" } else { "" };
    let one = |(n, name): (usize, String)| {
        format!("SELECT {n}, {key}, count(*), sum(hash_record_extended(t, 0))::text FROM {name} t{group}")
    };
    let sql = shape.names().enumerate().map(one).collect::<Vec<_>>().join(" UNION ALL ");
    let (here, there) = tokio::try_join!(source.query(&sql, &[]), target.query(&sql, &[])).expect("sums");
    let differing = unequal(&sums(&here), &sums(&there));
    if !narrow {
        return differing.len();
    }
    let names: Vec<String> = shape.names().collect();
    let mut found = 0;
    for (table, range) in differing {
        let name = &names[usize::try_from(table).expect("a table")];
        let (low, high) = (range * RANGE, (range + 1) * RANGE);
        let sql = format!("SELECT id, t::text FROM {name} t WHERE id >= {low} AND id < {high}");
        let (here, there) = tokio::join!(rows(&source, &sql), rows(&target, &sql));
        found += here.iter().filter(|(id, row)| there.get(*id) != Some(*row)).count();
        found += there.keys().filter(|id| !here.contains_key(*id)).count();
    }
    found
}

type Sums = BTreeMap<(i32, i64), (i64, Option<String>)>;

fn sums(rows: &[Row]) -> Sums {
    rows.iter().map(|row| ((row.get(0), row.get(1)), (row.get(2), row.get(3)))).collect()
}

fn unequal(one: &Sums, other: &Sums) -> Vec<(i32, i64)> {
    let keys = one.keys().chain(other.keys().filter(|key| !one.contains_key(*key)));
    keys.filter(|key| one.get(*key) != other.get(*key)).copied().collect()
}

async fn rows(client: &Client, sql: &str) -> BTreeMap<i64, String> {
    let rows = client.query(sql, &[]).await.expect("rows");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}
