//! `postgres.unfreeze`: the new side takes writes.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::{
    Bind, Kind, postgres_freeze,
    postgres_proof::{Can, Proof},
    postgres_words as words,
};
use crate::{
    base::{Class, Failure, StepId},
    plan::{Action, Cx, Done, Doubt, Finding, Identity, Param, Params, Shape, TextOrSecret},
    runbook::Clocks,
    services::{
        Services,
        postgres::{
            Limits, Session,
            freeze::{self, Freeze},
            release::{self, Release},
            replication, sessions, settings,
            switch::{Switch, Way},
            writers::writers,
        },
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "postgres.unfreeze",
    summary: "opens a database for writes, and proves that its roles write",
    docs: "\
Opens `database` for writes: usually the point of no return (`no_return = true`). Two ways:

- A new side that was guarded until now: every `default_transaction_read_only = on` kept for the database, and for roles in it, is
  reset; a role of `roles` whose own setting says read-only everywhere gets `off` in this database; one that cannot log in may again.
- With `freeze` (the step of a `postgres.freeze` of the same database): exactly what that took is put back, to tables that were renamed
  meanwhile, too. A table, column or role that is gone is named.

All of it is one transaction, and before its commit a canary is tried as each of `roles` (left out: every role that may write by its
grants, superusers apart): an `INSERT`, `DELETE` or `UPDATE` of no row, rolled back. If one could not write, nothing is changed.
Afterwards it is tried again, with `logins` by real logins.

Sessions of these roles that began before stay read-only for ever: they are ended and named, so that pools connect anew
(`keep_sessions = true` leaves them).

It refuses while an enabled subscription still writes here: rows of both sides would collide. Turn it around first
(`postgres.reverse`), or say `subscriptions = \"leave\"`.

Restore guards it again as it was, and ends the sessions that began meanwhile. What they wrote stays.

Stops the freeze clock, unless the step says otherwise.

What hurts people: a guard (`ALTER DATABASE … SET default_transaction_read_only = on`) does not hold back the apply worker, which is what makes
it a good one, and everybody forgets the pool that connected while it was up.

Needs: to own the database (or CREATEROLE); membership in the roles or superuser for the canary, and to end sessions.

<https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-DEFAULT-TRANSACTION-READ-ONLY>",
    params: PARAMS,
    doubt: Doubt::Desired,
    needs: &["membership in the roles or pg_signal_backend", "ownership of the database or CREATEROLE"],
    example: include_str!("../../runbooks/kinds/postgres.unfreeze.toml"),
    bind: Bind::Action(bind),
};

const PARAMS: &[Param] = &[
    words::DATABASE,
    Param {
        name: "roles",
        shape: Shape::Texts,
        required: false,
        help: "who has to write, a group for its members; default: every role that may, superusers apart",
    },
    Param {
        name: "freeze",
        shape: Shape::Text,
        required: false,
        help: "the step of the freeze to take back; default: any read-only default",
    },
    Param {
        name: "logins",
        shape: Shape::Map,
        required: false,
        help: "role = connection string or secret, to try it by a real login",
    },
    Param {
        name: "keep_sessions",
        shape: Shape::Flag,
        required: false,
        help: "leave sessions from before, which stay read-only; default: false",
    },
    Param {
        name: "subscriptions",
        shape: Shape::Text,
        required: false,
        help: "\"refuse\" while one is enabled here, or \"leave\" it",
    },
];

struct Opens {
    services: Arc<Services>,
    database: TextOrSecret,
    roles: Vec<String>,
    freeze: Option<StepId>,
    logins: BTreeMap<String, TextOrSecret>,
    keep_sessions: bool,
    leave: bool,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Action> {
    Arc::new(Opens {
        services: services.clone(),
        database: words::database(params, "database"),
        roles: words::roles(params, "roles"),
        freeze: params.step_ref("freeze"),
        logins: params.map("logins").into_iter().collect(),
        keep_sessions: params.opt_flag("keep_sessions").unwrap_or(false),
        leave: params.word("subscriptions", &[("refuse", false), ("leave", true)]),
    })
}

impl Opens {
    async fn session(&self, cx: &Cx) -> Result<Session, Failure> {
        let session = self.services.postgres.connect(&self.database, &Limits::from(cx)).await?;
        words::changeable(&session)?;
        Ok(session)
    }

    /// Refuses while rows of the other side still come in.
    async fn alone(&self, session: &Session) -> Result<(), Failure> {
        if self.leave {
            return Ok(());
        }
        let all = replication::subscriptions(session).await?;
        let names = all.iter().filter(|one| one.enabled || one.works).map(|one| one.name.clone());
        match words::named(names, 5) {
            None => Ok(()),
            Some(named) => Err(Failure::new(
                Class::Refused,
                format!("still subscribed: {named} writes here, and rows would collide"),
            )
            .hint("disable or turn it around first (postgres.reverse), or say subscriptions = \"leave\"")),
        }
    }

    fn taken(&self, cx: &Cx) -> Result<Option<Freeze>, Failure> {
        let Some(step) = &self.freeze else { return Ok(None) };
        let captured = cx.priors.get(step).map(|prior| &prior.captured).filter(|captured| !captured.is_null());
        let captured = captured.ok_or_else(|| {
            Failure::new(Class::Misconfigured, format!("step {step} has not captured a freeze"))
                .hint("`freeze` names a step whose action is `postgres.freeze`, and which was done")
        })?;
        words::captured(captured).map(Some)
    }

    /// Changes, proves, commits.
    async fn open(&self, session: &Session, release: &Release) -> Result<Vec<String>, Failure> {
        let files = release::files_say_read_only(session, &settings::kept(session).await?);
        if !release.switch.begin(session, Way::Forth).await? {
            return Ok(Vec::new());
        }
        match release::would_write(session, &release.roles, files).await {
            Ok(untried) => Switch::commit(session).await.map(|()| untried),
            Err(failure) => {
                let _gone = session.batch("ROLLBACK").await;
                Err(crate::services::postgres::switch::nothing_done(failure))
            }
        }
    }

    /// Tries again what was promised, now that it holds.
    async fn proved(&self, session: &Session, limits: &Limits, release: &Release) -> Result<(), Failure> {
        let kept = settings::kept(session).await?;
        let all = writers(session, &release.roles).await?;
        let proof =
            Proof { postgres: &self.services.postgres, session, limits, kept: &kept, logins: &self.logins, any: None };
        for one in all.iter().filter(|one| release.roles.contains(&one.role)) {
            let proved = proof.of(one).await?;
            if proved.can != Can::Write || proved.shut_out {
                return Err(Failure::new(
                    Class::Failed,
                    format!("it is open, but role {} does not write", proved.shown()),
                ));
            }
        }
        Ok(())
    }
}

/// After the commit, a failure is never "nothing done".
fn opened(failure: Failure) -> Failure {
    let class = if failure.class == Class::Failed { Class::Failed } else { Class::Unknown };
    Failure { class, ..failure }.because("the change itself is committed: writes are open")
}

impl Action for Opens {
    fn does(&self) -> Vec<String> {
        let roles = if self.roles.is_empty() { "every role that may write".to_owned() } else { self.roles.join(", ") };
        let how = match &self.freeze {
            Some(step) => format!("put back what step {step} took"),
            None => "RESET default_transaction_read_only of the database and of roles in it".to_owned(),
        };
        let mut does = vec![how, format!("a canary write of no row as {roles}, rolled back")];
        if !self.keep_sessions {
            does.push(format!("pg_terminate_backend for sessions of {roles} from before"));
        }
        does
    }

    fn doubt(&self) -> Doubt {
        Doubt::Desired
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        words::fence(&self.services, &self.database)
    }

    fn capture<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async move {
            let freeze = self.taken(cx)?;
            let session = self.session(cx).await?;
            self.alone(&session).await?;
            let release = release::plan(&session, &self.roles, freeze.as_ref()).await?;
            session.close().await;
            Ok(json!(release))
        })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move {
            let release: Release = words::captured(captured)?;
            let limits = Limits::from(cx);
            let session = self.session(cx).await?;
            self.alone(&session).await?;
            let untried = self.open(&session, &release).await?;
            let at = sessions::now(&session).await.map_err(opened)?;
            let old_stay = release.switch.settings.iter().any(|one| one.before != one.after);
            let ended = if old_stay && !self.keep_sessions {
                Some(super::postgres_end::end(cx, &session, &release.switch.roles, &at).await.map_err(opened)?)
            } else {
                None
            };
            session.close().await;
            // Anew: how our own sessions begin has changed, too.
            let session = self.session(cx).await.map_err(opened)?;
            self.proved(&session, &limits, &release).await.map_err(opened)?;
            let now = release.switch.missing(&session, Way::Forth).await.map_err(opened)?;
            session.close().await;
            let gone = words::named(release.gone.iter().cloned().chain(now.foreign), 3);
            let gone = gone.map_or_else(String::new, |named| format!("; not put back: {named}"));
            let ended_line = ended.as_ref().map_or_else(String::new, |ended| format!("; {}", ended.shown()));
            let untried =
                words::named(untried, 3).map_or_else(String::new, |named| format!("; by the catalog only: {named}"));
            let line = format!(
                "database {} takes writes of {}{ended_line}{untried}{gone}",
                release.switch.database,
                freeze::few(&release.roles)
            );
            let evidence = json!({ "at": at, "roles": release.roles, "ended": ended.map(|ended| ended.evidence()) });
            Ok(Done::new(line).with(evidence))
        })
    }

    fn restore<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move {
            let release: Release = words::captured(captured)?;
            let session = self.session(cx).await?;
            let (told, evidence) =
                postgres_freeze::thrown(cx, &session, &release.switch, Way::Back, !release.switch.is_empty()).await?;
            let now = release.switch.missing(&session, Way::Back).await.map_err(opened)?;
            session.close().await;
            words::compared(&now)?;
            Ok(Done::new(format!("database {} is guarded as before{told}", release.switch.database)).with(evidence))
        })
    }

    fn probe<'a>(&'a self, cx: &'a Cx, captured: &'a Json, back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            let release: Release = words::captured(captured)?;
            let session = self.session(cx).await?;
            let shuts = back && !release.switch.is_empty();
            let way = if back { Way::Back } else { Way::Forth };
            postgres_freeze::probed(cx, &session, &release.switch, way, shuts).await
        })
    }

    fn clocks(&self) -> Clocks {
        Clocks { freeze_stops: true, ..Clocks::default() }
    }
}
