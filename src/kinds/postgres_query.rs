//! `postgres.query`: a statement answers what it shall.

mod expect;
mod look;

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::json;

use super::{Bind, Kind, filled, looking, no_data, postgres_words as words};
use crate::{
    base::{Failure, clean_line},
    plan::{Check, Cx, Doubt, Identity, Param, Params, Seen, Shape, TextOrSecret},
    runbook::value::Kind as Value,
    services::Services,
};
use expect::Expect;

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "postgres.query",
    summary: "a statement of PostgreSQL answers what it shall; it cannot write",
    docs: "\
Runs one statement that answers rows (`SELECT`, `VALUES`, `TABLE`, `WITH`) and looks at the answer: one value (`equals`, `min`, `max`,
`one_of`, `null`: the first column of the only row), or the number of rows (`rows`, `min_rows`, `max_rows`, `empty`). `values` are bound
to `$1`, `$2`, …, as text that the server reads as the type it needs; they are never spliced into the statement.

It cannot write: the statement is opened as a cursor, which takes nothing that changes data, in a `READ ONLY` transaction that cannot be
made another one from within, and that is always rolled back. A function that tries to write is refused by the server (SQLSTATE
25006), and the failure names it. Several statements are refused. What a read-only transaction does not stop (ending sessions, reloading
the configuration, another connection by `dblink`, a function that runs a text, as `crosstab` does) is refused by name beforehand; give a role that may do nothing of the kind all the same.

No rows, several rows where one value is asked for, and `NULL` are not green unless they are asked for. The value is shown, up to 80
characters: ask for a count rather than for what is private.

Limits: the server ends the statement after `statement_timeout`. `SHOW` and `EXPLAIN` answer no cursor: `SELECT current_setting('…')` does.
On a standby and through a pooler (transaction mode, too) it works as well.

Relies on <https://www.postgresql.org/docs/current/sql-declare.html> and
<https://www.postgresql.org/docs/current/sql-set-transaction.html>.",
    params: PARAMS,
    doubt: Doubt::Read,
    needs: &["SELECT on what the statement reads"],
    example: include_str!("../../runbooks/kinds/postgres.query.toml"),
    bind: Bind::Check(|params, services| Arc::new(Query::read(params, services))),
};

const PARAMS: &[Param] = &[
    words::DATABASE,
    Param { name: "sql", shape: Shape::Text, required: true, help: "one statement that answers rows" },
    Param {
        name: "values",
        shape: Shape::Any,
        required: false,
        help: "a list for $1, $2, …: texts, numbers, flags, secrets",
    },
    Param { name: "equals", shape: Shape::Any, required: false, help: "the value: text, a number or a flag" },
    Param { name: "one_of", shape: Shape::Any, required: false, help: "a list of values, one of which it has to be" },
    Param { name: "min", shape: Shape::Number, required: false, help: "the least that the value may be" },
    Param { name: "max", shape: Shape::Number, required: false, help: "the most that the value may be" },
    Param { name: "null", shape: Shape::Flag, required: false, help: "true: the value has to be NULL" },
    Param { name: "rows", shape: Shape::Count, required: false, help: "how many rows there have to be" },
    Param { name: "min_rows", shape: Shape::Count, required: false, help: "how many rows there have to be at least" },
    Param { name: "max_rows", shape: Shape::Count, required: false, help: "how many rows there may be" },
    Param { name: "empty", shape: Shape::Flag, required: false, help: "true: there must be no row" },
    Param {
        name: "statement_timeout",
        shape: Shape::Duration,
        required: false,
        help: "when the server ends it; default: 10s",
    },
];

/// A question of a night is short; a long one holds back the server's clean-up.
const STATEMENT: Duration = Duration::from_secs(10);
/// How much of the statement is shown.
const SHOWN: usize = 100;

struct Query {
    services: Arc<Services>,
    database: TextOrSecret,
    sql: String,
    values: Vec<TextOrSecret>,
    expect: Expect,
    statement: Duration,
}

impl Query {
    fn read(params: &mut Params<'_>, services: &Arc<Services>) -> Self {
        let database = words::database(params, "database");
        let sql = filled(params, "sql").unwrap_or_default();
        if let Some(name) = look::acts(&sql) {
            let span = params.place_of("sql");
            let help = "a check changes nothing; make it an action of its own".to_owned();
            params.mistake(
                span,
                format!("`{name}` acts on the server, or can hide what does, whatever the transaction"),
                "in this",
                Some(help),
            );
        }
        Self {
            services: services.clone(),
            database,
            sql,
            values: values(params),
            expect: Expect::read(params),
            statement: words::longer_than_nothing(params, "statement_timeout", STATEMENT),
        }
    }

    fn words(&self) -> String {
        let line = self.sql.split_whitespace().collect::<Vec<_>>().join(" ");
        clean_line(&line, SHOWN)
    }

    async fn look(&self, cx: &Cx) -> Result<Seen, Failure> {
        let mut values = Vec::with_capacity(self.values.len());
        for value in &self.values {
            values.push(self.services.secrets.text(value).await?);
        }
        let session = self.services.postgres.connect_to_read(&self.database, &cx.into()).await.map_err(no_data)?;
        let begun = std::time::Instant::now();
        let answer = look::answer(&session, &self.sql, &values, self.statement, self.expect.counts()).await;
        let took = begun.elapsed().as_millis();
        let place = session.server().place.clone();
        session.close().await;
        let answer = answer.map_err(no_data)?;
        let told = self.expect.judge(&answer).map_err(|failure| {
            let message = format!("`{}`: {}", self.words(), failure.message);
            Failure { message, ..failure }
        })?;
        let line = format!("`{}`: {told}, in {took} ms from {place}", self.words());
        let shown = answer.value.as_deref().map(|value| clean_line(value, expect::SHOWN));
        let evidence = json!({ "rows": answer.rows, "value": shown, "ms": u64::try_from(took).unwrap_or(u64::MAX) });
        let seen = Seen::new(line).with(evidence);
        Ok(match self.expect.figure(&answer) {
            Some(figure) => seen.value(figure),
            None => seen,
        })
    }
}

fn values(params: &mut Params<'_>) -> Vec<TextOrSecret> {
    let Some(raw) = params.raw("values") else { return Vec::new() };
    let span = raw.span.clone();
    let Value::List(list) = &raw.kind else {
        params.mistake(span, "`values` must be a list", "expected a list", Some("values = [\"acme\", 7]".into()));
        return Vec::new();
    };
    let mut values = Vec::with_capacity(list.len());
    for item in list {
        match &item.kind {
            Value::Secret(name) => values.push(TextOrSecret::Secret(name.clone())),
            other => match expect::plain(other) {
                Some(text) => values.push(TextOrSecret::Text(text)),
                None => params.mistake(
                    item.span.clone(),
                    format!("a value must be text, a number, a flag or a moment, found {}", other.name()),
                    "not a value",
                    None,
                ),
            },
        }
    }
    values
}

impl Check for Query {
    fn looks(&self) -> String {
        format!("`{}`, read-only, expects {}", self.words(), self.expect.words())
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        words::fence(&self.services, &self.database)
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(looking(cx, self.look(cx)))
    }
}
