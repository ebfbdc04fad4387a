//! `postgres.frozen`: the proof that nobody writes, and the names of those who can.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::{
    Bind, Kind,
    postgres_proof::{Can, Known, Proof, Proved},
    postgres_words as words,
};
use crate::{
    base::{Class, Failure, StepId},
    plan::{Check, Cx, Doubt, Identity, Param, Params, Seen, Shape, TextOrSecret},
    services::{
        Services,
        postgres::{
            Limits, Session,
            counters::{Counters, counters},
            replication,
            sessions::{self, Connected},
            settings,
            writers::{self, writers},
        },
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "postgres.frozen",
    summary: "proves that nobody writes to a database, and names everyone who still can",
    docs: "\
Green when every role that can log in (or `roles`) is refused a canary write, no session is connected that could still write, no
prepared transaction waits, no subscription writes here, and no table's counter of written rows has moved for `held`.

The canary is an `INSERT`, `DELETE` or `UPDATE` of no row (`… WHERE false`) on a table that the role may write by the catalog, in a
transaction that is rolled back: the server refuses it as it would refuse a row (25006 read-only, 42501 not allowed), and it leaves
nothing behind. It is tried as the role: by its own login where `logins` gives one, else by `SET ROLE` with the read-only default
that the catalog has for it; where we may not become it, the catalog alone speaks, and the line counts these.

Each role is tried twice: as its sessions begin, and as one that asks (`BEGIN READ WRITE`). With `strength = \"default\"` one that writes
only if it asks is told and is green, since that is all such a freeze can do; with `\"revoke\"` or `\"nologin\"` it is not.

A connected session can still write if its role can, or could by asking, or if it began before the freeze and its open transaction has
written (it has a transaction id): no privilege that is lost meanwhile stops the `COMMIT`. A session that began after the freeze begins read-only: name
the freeze's step by `after`, so that these (a pooler's, which comes back at once) are not held against it. Of a step that was done by
hand the moment of that word counts. The roles of that step are proved even where they cannot log in any more. Each session is named:
process id, role, application, address, since when, the first words of its last statement.

Superusers can always write. Who is known and meant to stay (a monitoring superuser, the provider's own) is named in `except`, with
the kind of background worker, too; they are not put to the proof, and the line says so.

What hurts people: equal WAL positions prove nothing (checkpoints write WAL), and different ones neither: the position is a hint in the
evidence. A session that wrote reports it up to a second later, an idle one up to ten: `held` alone is no proof, the canary is.
`SECURITY DEFINER` functions write as their owner: a role that may call one (of no extension, not a trigger's) whose owner can
write, itself or through another such function, is a writer, whatever its own privileges. One that is `STABLE` or `IMMUTABLE` cannot
write itself, but by what it calls: it counts, too, unless its language is `sql`; what such a one calls is not looked at. Functions are not tried: the catalog alone speaks, and the line says `through`. Large
objects, tables that a role makes for itself, and foreign tables are not looked at.

Needs: membership in the roles (or superuser) to become them; `pg_read_all_stats` to see others' sessions in full.

<https://www.postgresql.org/docs/current/errcodes-appendix.html>, <https://www.postgresql.org/docs/current/monitoring-stats.html>",
    params: PARAMS,
    doubt: Doubt::Read,
    needs: &["membership in the roles, or a superuser", "the role pg_read_all_stats"],
    example: include_str!("../../runbooks/kinds/postgres.frozen.toml"),
    bind: Bind::Check(bind),
};

const PARAMS: &[Param] = &[
    words::DATABASE,
    Param {
        name: "roles",
        shape: Shape::Texts,
        required: false,
        help: "who must not write, a group for its members; default: every role that can log in",
    },
    Param {
        name: "except",
        shape: Shape::Texts,
        required: false,
        help: "roles, and kinds of background workers, that may go on",
    },
    Param {
        name: "strength",
        shape: Shape::Text,
        required: false,
        help: "\"default\": a role that writes only if it asks is told, and green; \"revoke\", \"nologin\": it is not",
    },
    Param {
        name: "logins",
        shape: Shape::Map,
        required: false,
        help: "role = connection string or secret, to try the canary by a real login",
    },
    Param {
        name: "after",
        shape: Shape::Text,
        required: false,
        help: "the step of the freeze; sessions that began after it are frozen",
    },
    Param {
        name: "held",
        shape: Shape::Duration,
        required: false,
        help: "how long no counter may move; default: 3s, 0s: nobody looks",
    },
];

const HELD: Duration = Duration::from_secs(3);
/// Names in one line; all of them stand behind it.
const NAMED: usize = 6;
/// Roles and sessions kept as evidence.
const KEPT: usize = 60;

struct Frozen {
    services: Arc<Services>,
    database: TextOrSecret,
    roles: Vec<String>,
    except: Vec<String>,
    strict: bool,
    logins: BTreeMap<String, TextOrSecret>,
    after: Option<StepId>,
    held: Duration,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Check> {
    Arc::new(Frozen {
        services: services.clone(),
        database: words::database(params, "database"),
        roles: words::roles(params, "roles"),
        except: params.texts("except"),
        strict: params.word("strength", &[("default", false), ("revoke", true), ("nologin", true)]),
        logins: params.map("logins").into_iter().collect(),
        after: params.step_ref("after"),
        held: params.opt_duration("held").unwrap_or(HELD),
    })
}

/// Everything that one look found.
struct Look {
    proved: Vec<Proved>,
    sessions: Vec<Connected>,
    /// In words, each of them a writer.
    others: Vec<String>,
    excepted: usize,
}

impl Frozen {
    fn excepts(&self, name: &str) -> bool {
        self.except.iter().any(|one| one == name)
    }

    /// When the freeze was, as its step has it; where a person froze, when that was said, which is later.
    fn frozen_at(&self, cx: &Cx) -> Result<Option<String>, Failure> {
        let Some(step) = &self.after else { return Ok(None) };
        let prior = cx.priors.get(step);
        let at = prior.and_then(|prior| prior.evidence.get("at")).and_then(Json::as_str).map(str::to_owned);
        let at = at.or_else(|| prior?.by_hand.map(|at| at.to_rfc3339()));
        at.map(Some).ok_or_else(|| {
            Failure::new(Class::NotYet, format!("no data: step {step} has not said when it froze"))
                .hint("`after` names a step whose action is `postgres.freeze`, and which was done")
        })
    }

    /// Whom the freeze's step froze: without their login they would be found nowhere else.
    fn frozen_roles(&self, cx: &Cx) -> Vec<String> {
        let Some(prior) = self.after.as_ref().and_then(|step| cx.priors.get(step)) else { return Vec::new() };
        let roles = prior.evidence.get("roles").or_else(|| prior.captured.pointer("/switch/roles"));
        let names = roles.and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
        names.map(str::to_owned).collect()
    }

    async fn look(&self, cx: &Cx) -> Result<Seen, Failure> {
        let at = self.frozen_at(cx)?;
        let limits = Limits::from(cx);
        let session = self.services.postgres.connect_to_read(&self.database, &limits).await?;
        words::changeable(&session)?;
        let before = counters(&session).await?;
        let begun = tokio::time::Instant::now();
        let look = self.proofs(&session, &limits, at.as_deref(), &self.frozen_roles(cx)).await?;
        let after = self.counted(cx, &session, begun).await?;
        session.close().await;
        self.verdict(&look, &before, &after, begun.elapsed(), at.is_some())
    }

    /// The counters once `held` is over.
    async fn counted(&self, cx: &Cx, session: &Session, begun: tokio::time::Instant) -> Result<Counters, Failure> {
        cx.pause(self.held.saturating_sub(begun.elapsed())).await?;
        counters(session).await
    }

    async fn proofs(
        &self,
        session: &Session,
        limits: &Limits,
        at: Option<&str>,
        frozen: &[String],
    ) -> Result<Look, Failure> {
        let kept = settings::kept(session).await?;
        let all = writers(session, &[&self.roles, frozen].concat()).await?;
        if let Some(name) = self.roles.iter().find(|name| !all.iter().any(|one| one.role == **name)) {
            return Err(Failure::new(Class::Misconfigured, format!("there is no role {name} at the server")));
        }
        let any = all.iter().find_map(|one| one.canary.as_deref());
        let proof =
            Proof { postgres: &self.services.postgres, session, limits, kept: &kept, logins: &self.logins, any };
        let named = writers::meant(&all, &self.roles);
        let meant =
            |role: &str| (self.roles.is_empty() || named.iter().any(|one| one.role == role)) && !self.excepts(role);
        let mut look = Look { proved: Vec::new(), sessions: Vec::new(), others: Vec::new(), excepted: 0 };
        for one in &all {
            if meant(&one.role) {
                look.proved.push(proof.of(one).await?);
            } else {
                look.excepted += usize::from(one.can_write() && one.logs_in);
            }
        }
        let there = sessions::connected(session, None, at).await?;
        look.sessions = there
            .into_iter()
            .filter(|one| match (&one.role, one.kind.as_deref()) {
                (_, Some(kind)) if kind != "client backend" && self.excepts(kind) => false,
                (Some(role), _) => meant(role),
                (None, _) => true,
            })
            .collect();
        let prepared = sessions::prepared(session).await?;
        look.others.extend(prepared.iter().filter(|one| meant(&one.owner)).map(|one| {
            format!("prepared transaction {} of {}, since {}, can be committed", one.name, one.owner, one.since)
        }));
        let subscriptions = replication::subscriptions(session).await?;
        let writes = subscriptions.iter().filter(|one| one.enabled && !self.excepts(&one.name));
        look.others.extend(writes.map(|one| format!("subscription {} writes here", one.name)));
        Ok(look)
    }

    /// The role's own sessions could write though they are old, or because nothing makes new ones harmless.
    fn session_writes(&self, one: &Connected, proved: &[Proved], freeze_known: bool) -> bool {
        // What was written before the freeze can be committed, whatever its role may do by now.
        if one.wrote && one.early {
            return true;
        }
        let Some(role) = &one.role else { return one.kind.as_deref() != Some("logical replication launcher") };
        let Some(proved) = proved.iter().find(|proved| proved.writer.role == *role) else { return true };
        match proved.can {
            Can::Not => false,
            // Begun since the freeze, by its default: it asks, or it does not write.
            Can::Ask => self.strict || one.early || !freeze_known,
            Can::Write | Can::Unclear(_) => true,
        }
    }

    fn verdict(
        &self,
        look: &Look,
        before: &Counters,
        after: &Counters,
        took: Duration,
        freeze_known: bool,
    ) -> Result<Seen, Failure> {
        let Look { proved, sessions, .. } = look;
        if proved.is_empty() {
            return Err(Failure::new(Class::NotYet, "no data: no role was put to the proof"));
        }
        let mut wrong = Vec::new();
        let mut asking = Vec::new();
        for one in proved.iter().filter(|one| !one.shut_out) {
            match &one.can {
                Can::Write => wrong.push(format!("role {} writes", one.shown())),
                Can::Ask if self.strict => wrong.push(format!("role {} writes if it asks", one.shown())),
                Can::Ask => asking.push(one.writer.role.clone()),
                Can::Unclear(why) => wrong.push(format!("role {} was not refused: {why}", one.shown())),
                Can::Not => {}
            }
        }
        let writing: Vec<&Connected> =
            sessions.iter().filter(|one| self.session_writes(one, proved, freeze_known)).collect();
        wrong.extend(writing.iter().map(|one| {
            let since = one.since.as_deref().map_or_else(String::new, |since| format!(" since {since}"));
            let wrote = if one.wrote { ", with uncommitted writes," } else { "" };
            let query = one.query.as_deref().map_or_else(String::new, |query| format!(", last: {query} …"));
            format!("session {}{wrote}{since}{query}", one.shown())
        }));
        wrong.extend(look.others.iter().cloned());
        let moved = if self.held.is_zero() { Vec::new() } else { after.moved(before) };
        wrong.extend(
            moved.iter().map(|(table, rows)| format!("{table}: {rows} rows written in {}", words::seconds(took))),
        );
        let evidence = json!({
            "roles": proved.iter().take(KEPT).map(Proved::evidence).collect::<Vec<_>>(),
            "sessions": sessions.iter().take(KEPT).map(|one| json!({
                "pid": one.pid, "role": one.role, "application": one.application, "client": one.client, "since": one.since,
            })).collect::<Vec<_>>(),
            "wal": { "before": before.wal, "after": after.wal },
        });
        if !wrong.is_empty() {
            let count = wrong.len();
            let named = words::named(wrong.iter().cloned(), NAMED).unwrap_or_default();
            let failure = Failure::new(Class::NotYet, format!("{count} can still write: {named}"));
            let failure = wrong.into_iter().skip(1).fold(failure, Failure::because);
            return Err(if writing.is_empty() || freeze_known || self.strict {
                failure
            } else {
                failure.hint("name the freeze's step by `after`: sessions that began since are frozen then")
            });
        }
        if !self.held.is_zero() && !after.kept {
            return Err(Failure::new(Class::NotYet, "no data: the server counts no rows (track_counts is off)"));
        }
        Ok(Seen::new(self.line(look, &asking, took)).value(0.0).with(evidence))
    }

    fn line(&self, look: &Look, asking: &[String], took: Duration) -> String {
        let shut_out = look.proved.iter().filter(|one| one.shut_out).count();
        let catalog = look.proved.iter().filter(|one| !one.shut_out && one.known == Known::Catalog).count();
        let mut line = format!("{} roles cannot write", look.proved.len());
        let mut add = |text: String| line += &text;
        if shut_out > 0 {
            add(format!(", {shut_out} of them cannot log in"));
        }
        if catalog > 0 {
            add(format!(", {catalog} by the catalog only"));
        }
        if let Some(named) = words::named(asking.iter().cloned(), NAMED) {
            add(format!("; if they ask, these can: {named}"));
        }
        if !self.held.is_zero() {
            add(format!("; no row written in {}", words::seconds(took)));
        }
        if look.excepted > 0 {
            add(format!("; not asked: {} roles that can write", look.excepted));
        }
        line
    }
}

impl Check for Frozen {
    fn looks(&self) -> String {
        let roles = if self.roles.is_empty() { "every role".to_owned() } else { self.roles.join(", ") };
        format!("a canary write of no row as {roles}, rolled back: expects 25006 or 42501, and no writer connected")
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        words::fence(&self.services, &self.database)
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(super::looking(cx, self.look(cx)))
    }
}
