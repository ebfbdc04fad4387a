//! `postgres.freeze`: no more writes on the old side.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::{Bind, Kind, postgres_end, postgres_words as words};
use crate::{
    base::{Class, Failure},
    plan::{Action, Cx, Done, Doubt, Finding, Identity, Param, Params, Shape, TextOrSecret},
    runbook::Clocks,
    services::{
        Services,
        postgres::{
            Limits, Session,
            freeze::{self, Freeze, LeftOut, Strength},
            sessions,
            switch::{Switch, Way},
        },
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "postgres.freeze",
    summary: "stops writes to a database and ends the sessions that could go on",
    docs: "\
Changes, in one transaction, what lets `roles` (left out: every role that can write) write to `database`; then ends their sessions that
began before, and waits until they are gone. With `revoke` somebody else may lose by a group or `PUBLIC` all that let it write: what its
sessions have begun, a transaction that has written or a running statement, is ended, too. It says whom it ended, and which writers it does not reach. Prove it with `postgres.frozen`.

| `strength` | changes | what it does not stop |
|---|---|---|
| `default` | `ALTER DATABASE` / `ALTER ROLE … IN DATABASE … SET default_transaction_read_only = on` | a session that asks: `SET`, `PGOPTIONS`, `BEGIN READ WRITE` |
| `revoke` | takes `INSERT`, `UPDATE`, `DELETE`, `TRUNCATE` on tables, views and columns and `USAGE`, `UPDATE` on sequences from the roles, from groups that they are in and from `PUBLIC`, and with that from everybody else who has it from there | superusers, members of `pg_write_all_data`; an owner can grant it to itself again; `SECURITY DEFINER` functions of an owner who is not frozen; large objects, and tables made later |
| `nologin` | `ALTER ROLE … NOLOGIN`, in every database of the server; sessions are ended in this one | superusers (left out unless named), our own role, roles that replicate |

Sessions that came after the change (a pooler comes back at once) are frozen by it and stay. A transaction that was prepared
(`PREPARE TRANSACTION`) is in no session and can still be committed: it is named.

Restore puts everything back as it was: each setting to its value or to unset, other settings untouched; each login; each list of
grants in its order, by its grantors. What others changed in between stays and is told, as is a table, column
or role that is gone; a table that was renamed gets its grants under its new name. A list of grants that had never been set is
written out then, with the same meaning (PostgreSQL cannot unset it). After a `default` freeze it ends the sessions that began while it
lasted: they are read-only until they connect anew.

What hurts people: other roles still write (leave `roles` out); open sessions keep on writing; poolers keep sessions; the freeze stops
one's own clean-up, too (our sessions say that they write). Give the server's own address, not a pooler's.

Needs: for `default` to own the database, or to be the role, or CREATEROLE; for `revoke` to own the tables; for `nologin` CREATEROLE; to
end sessions membership in the role or `pg_signal_backend`. As a plain owner (Heroku, RDS) `default` works for one's own role. With
`roles` left out, who cannot be frozen is named and left out; a role that is named and cannot be frozen is refused, and nothing is done.

Starts the freeze clock, unless the step says otherwise.

<https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-DEFAULT-TRANSACTION-READ-ONLY>,
<https://www.postgresql.org/docs/current/sql-alterrole.html>, <https://www.postgresql.org/docs/current/ddl-priv.html>",
    params: PARAMS,
    doubt: Doubt::Desired,
    needs: &["membership in the roles or pg_signal_backend", "ownership of the database or CREATEROLE"],
    example: include_str!("../../runbooks/kinds/postgres.freeze.toml"),
    bind: Bind::Action(bind),
};

const PARAMS: &[Param] = &[
    words::DATABASE,
    Param {
        name: "roles",
        shape: Shape::Texts,
        required: false,
        help: "who must not write, a group for its members; default: every role that can",
    },
    Param {
        name: "strength",
        shape: Shape::Text,
        required: false,
        help: "\"default\" (sessions begin read-only), \"revoke\" or \"nologin\"",
    },
];

/// Between the two looks that call something "not done".
const APART: Duration = Duration::from_secs(2);

struct Freezes {
    services: Arc<Services>,
    database: TextOrSecret,
    roles: Vec<String>,
    strength: Strength,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Action> {
    let strengths = [("default", Strength::Default), ("revoke", Strength::Revoke), ("nologin", Strength::NoLogin)];
    Arc::new(Freezes {
        services: services.clone(),
        database: words::database(params, "database"),
        roles: words::roles(params, "roles"),
        strength: params.word("strength", &strengths),
    })
}

/// Where something was thrown, and what else has to be said of it.
pub(super) async fn thrown(
    cx: &Cx,
    session: &Session,
    switch: &Switch,
    way: Way,
    ends: bool,
) -> Result<(String, Json), Failure> {
    let changed = switch.throw(session, way).await?;
    let at = sessions::now(session).await.map_err(unknown)?;
    let changed = if changed { "" } else { " (as it was already)" };
    if !ends {
        return Ok((changed.into(), json!({ "at": at, "roles": switch.roles })));
    }
    let ended = postgres_end::end(cx, session, &switch.roles, &at).await?;
    Ok((format!("{changed}; {}", ended.shown()), json!({ "at": at, "ended": ended.evidence(), "roles": switch.roles })))
}

fn unknown(failure: Failure) -> Failure {
    Failure { class: Class::Unknown, ..failure }
}

/// Sessions that trying again ends.
fn still_there(old: &[sessions::Connected]) -> Option<Finding> {
    let named = words::named(old.iter().map(sessions::Connected::shown), 3)?;
    let line =
        format!("the change is in place, but sessions from before are still there: {named}; trying again ends them");
    Some(Finding::Unclear { line })
}

/// Looks whether a switch is thrown; where it is not, looks again: a commit under way would be seen then. `shuts`: this way
/// writing is stopped, and whoever connected before now may go on with it.
pub(super) async fn probed(
    cx: &Cx,
    session: &Session,
    switch: &Switch,
    way: Way,
    shuts: bool,
) -> Result<Finding, Failure> {
    let other = if way == Way::Forth { Way::Back } else { Way::Forth };
    for last in [false, true] {
        let missing = switch.missing(session, way).await?;
        if missing.sql.is_empty() {
            // When it was committed is not known: by now it is.
            let at = sessions::now(session).await?;
            let old = match (shuts, way) {
                (true, _) => postgres_end::remaining(cx, session, &switch.roles, &at).await?,
                (false, Way::Forth) => postgres_end::old(session, &switch.roles, &switch.at).await?,
                (false, Way::Back) => Vec::new(),
            };
            let done = Done::new("everything is as wanted").with(json!({ "at": at, "roles": switch.roles }));
            return Ok(still_there(&old).unwrap_or(Finding::Done(done)));
        }
        let unlike = switch.missing(session, other).await?;
        let line = missing.words.first().cloned().unwrap_or_default();
        if !unlike.words.is_empty() {
            return Ok(Finding::Unclear { line: format!("neither as before nor as wanted: {line}") });
        }
        if last {
            return Ok(Finding::NotDone { line });
        }
        cx.pause(APART).await?;
    }
    Err(Failure::new(Class::NotYet, "nothing was seen"))
}

impl Freezes {
    async fn session(&self, cx: &Cx) -> Result<Session, Failure> {
        let session = self.services.postgres.connect(&self.database, &Limits::from(cx)).await?;
        words::changeable(&session)?;
        Ok(session)
    }

    /// What may be said for a freeze beyond what it did.
    async fn and_else(&self, session: &Session, left_out: &[LeftOut]) -> Result<Option<String>, Failure> {
        let prepared = sessions::prepared(session).await?;
        let prepared = prepared.iter().map(|one| format!("{} of {}", one.name, one.owner));
        let mut told = Vec::new();
        if let Some(named) = words::named(prepared, 3) {
            told.push(format!("prepared transactions can still be committed: {named}"));
        }
        let left_out = left_out.iter().map(|one| format!("{} ({})", one.role, one.why));
        if let Some(named) = words::named(left_out, 4) {
            told.push(format!("can still write: {named}"));
        }
        Ok((!told.is_empty()).then(|| told.join("; ")))
    }
}

impl Action for Freezes {
    fn does(&self) -> Vec<String> {
        let roles = if self.roles.is_empty() { "every role that can write".to_owned() } else { self.roles.join(", ") };
        let how = match self.strength {
            Strength::Default => format!("SET default_transaction_read_only = on for {roles}"),
            Strength::Revoke => {
                format!("REVOKE INSERT, UPDATE, DELETE, TRUNCATE, sequences from {roles}, their groups and PUBLIC")
            }
            Strength::NoLogin => format!("ALTER ROLE … NOLOGIN for {roles}"),
        };
        vec![how, format!("pg_terminate_backend for every session of {roles} from before")]
    }

    fn doubt(&self) -> Doubt {
        Doubt::Desired
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        words::fence(&self.services, &self.database)
    }

    fn capture<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async move {
            let session = self.session(cx).await?;
            let freeze = freeze::plan(&session, &self.roles, self.strength).await?;
            session.close().await;
            Ok(json!(freeze))
        })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move {
            let freeze: Freeze = words::captured(captured)?;
            let session = self.session(cx).await?;
            let (mut told, mut evidence) = thrown(cx, &session, &freeze.switch, Way::Forth, true).await?;
            let reach = freeze.reach(&session).await.map_err(unknown)?;
            if !reach.lost.is_empty() {
                let at = evidence["at"].as_str().unwrap_or_default();
                let ended = postgres_end::end_begun(cx, &session, &reach.lost, at).await?;
                if !ended.is_empty() {
                    told += &format!("; of others who lost their privilege: {}", ended.shown());
                }
                evidence["ended_with_privilege"] = ended.evidence();
            }
            let more = self.and_else(&session, &reach.left_out).await.map_err(unknown)?;
            session.close().await;
            for one in &reach.left_out {
                cx.line(format!("can still write: {} ({})", one.role, one.why));
            }
            evidence["left_out"] = json!(reach.left_out);
            let more = more.map_or_else(String::new, |more| format!("; {more}"));
            Ok(Done::new(format!("{}{told}{more}", freeze.shown())).with(evidence))
        })
    }

    fn restore<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move {
            let freeze: Freeze = words::captured(captured)?;
            let session = self.session(cx).await?;
            // Sessions that began read-only stay so until they connect anew.
            let ends = freeze.strength == Strength::Default && !freeze.switch.is_empty();
            let (told, evidence) = thrown(cx, &session, &freeze.switch, Way::Back, ends).await?;
            let now = freeze.switch.missing(&session, Way::Back).await.map_err(unknown)?;
            session.close().await;
            words::compared(&now)?;
            let left = words::named(now.foreign, 3)
                .map_or_else(String::new, |named| format!("; others changed, left as it is: {named}"));
            Ok(Done::new(format!("{} can write as before{told}{left}", freeze::few(&freeze.switch.roles)))
                .with(evidence))
        })
    }

    fn probe<'a>(&'a self, cx: &'a Cx, captured: &'a Json, back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            let freeze: Freeze = words::captured(captured)?;
            let session = self.session(cx).await?;
            let way = if back { Way::Back } else { Way::Forth };
            let found = probed(cx, &session, &freeze.switch, way, !back).await?;
            let (Finding::Done(done), false) = (&found, back) else { return Ok(found) };
            let reach = freeze.reach(&session).await?;
            let at = done.evidence["at"].as_str().unwrap_or_default();
            let mut begun = postgres_end::old(&session, &reach.lost, at).await?;
            begun.retain(postgres_end::has_begun);
            Ok(still_there(&begun).unwrap_or(found))
        })
    }

    fn clocks(&self) -> Clocks {
        Clocks { freeze_starts: true, ..Clocks::default() }
    }
}
