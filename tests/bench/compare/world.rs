//! Two clusters with the same rows, and the few that are then made different.

use crate::postgres::Cluster;

/// What a database holds.
pub struct Shape {
    pub database: &'static str,
    pub tables: usize,
    pub rows: usize,
}

impl Shape {
    pub fn names(&self) -> impl Iterator<Item = String> {
        (1..=self.tables).map(|n| format!("orders_{n:02}"))
    }
}

pub struct World {
    source: Cluster,
    target: Cluster,
}

/// About 100 bytes a row, of the types that a web application has.
const TABLE: &str = "CREATE TABLE {name} (id bigint PRIMARY KEY, account integer NOT NULL, status text NOT NULL, note text, \
    amount numeric(12,2) NOT NULL, created_at timestamptz NOT NULL); \
    INSERT INTO {name} SELECT g, g % 9973, (ARRAY['open', 'paid', 'shipped'])[1 + g % 3], 'order ' || md5(g::text), \
    (g % 100000) / 100.0, '2026-01-01 00:00+00'::timestamptz + g * interval '1.5 s' FROM generate_series(1, {rows}) g; ";

impl World {
    pub fn start() -> Self {
        let settings = ["shared_buffers=1GB", "max_wal_size=4GB", "autovacuum=off"];
        Self { source: Cluster::start(&settings), target: Cluster::start(&settings) }
    }

    pub fn urls(&self, shape: &Shape) -> (String, String) {
        (self.source.url(shape.database), self.target.url(shape.database))
    }

    /// Fills both sides; bytes of a row.
    pub async fn fill(&self, shape: &Shape) -> f64 {
        let mut bytes = 0.0;
        for cluster in [&self.source, &self.target] {
            let admin = cluster.client("postgres").await;
            admin.batch_execute(&format!("CREATE DATABASE {}", shape.database)).await.expect("a database");
            let client = cluster.client(shape.database).await;
            for name in shape.names() {
                let sql = TABLE.replace("{name}", &name).replace("{rows}", &shape.rows.to_string());
                client.batch_execute(&sql).await.expect("a table");
            }
            client.batch_execute("VACUUM ANALYZE").await.expect("statistics");
            let size = "SELECT sum(pg_relation_size(oid))::float8 FROM pg_class WHERE relname LIKE 'orders%' AND relkind = 'r'";
            let size: f64 = client.query_one(size, &[]).await.expect("a size").get(0);
            #[expect(clippy::cast_precision_loss, reason = "millions")]
            let rows = (shape.rows * shape.tables) as f64;
            bytes = size / rows;
        }
        bytes
    }

    /// Three rows changed, one missing, one extra, in as many tables as there are up to five; what has to be told of them.
    pub async fn plant(&self, shape: &Shape) -> Vec<String> {
        let client = self.target.client(shape.database).await;
        let names: Vec<String> = shape.names().collect();
        let name = |n: usize| &names[(n * names.len() / 5).min(names.len() - 1)];
        let (rows, mut told) = (shape.rows, Vec::new());
        for (n, id) in [1, rows / 2, rows].into_iter().enumerate() {
            let sql = format!("UPDATE {} SET note = 'changed' WHERE id = {id}", name(n));
            assert_eq!(client.execute(&sql, &[]).await.expect("changed"), 1);
            told.push(format!("public.{}: changed id={id} (note)", name(n)));
        }
        let (missing, extra) = (rows / 3, rows + 1);
        client.execute(&format!("DELETE FROM {} WHERE id = {missing}", name(3)), &[]).await.expect("deleted");
        told.push(format!("public.{}: missing id={missing}", name(3)));
        let sql = format!("INSERT INTO {} VALUES ({extra}, 1, 'open', NULL, 1, now())", name(4));
        client.execute(&sql, &[]).await.expect("inserted");
        told.push(format!("public.{}: extra id={extra}", name(4)));
        told
    }
}
