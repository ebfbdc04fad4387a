//! What a freeze changes: for which roles, how strongly, and which writers it cannot reach, with the reason.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Session,
    grants::grants,
    read::read,
    sessions,
    settings::{self, Kept, NAME},
    switch::{GrantChange, LoginChange, SettingChange, Switch},
    writers::{Writer, meant, writers},
};
use crate::base::{Class, Failure};

/// How writing is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strength {
    /// New sessions begin read-only; they may ask to write.
    Default,
    /// The privileges that write are revoked.
    Revoke,
    /// The roles cannot log in.
    NoLogin,
}

/// A writer that the freeze does not reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The role.
    pub role: String,
    /// Why.
    pub why: String,
}

/// A freeze of the connected database, as captured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// How.
    pub strength: Strength,
    /// What changes.
    pub switch: Switch,
    /// Who can write all the same.
    pub left_out: Vec<LeftOut>,
}

/// What is asked of the server before a plan is made.
struct Known {
    database: String,
    /// We may change the database's own settings.
    owner: bool,
    kept: Vec<Kept>,
    writers: Vec<Writer>,
    at: String,
}

/// Plans a freeze of the named roles, or of all that can write. Reads only.
///
/// # Errors
/// `Misconfigured`: there is no such role, or nobody to freeze; `Denied`, `Refused`: a named role cannot be frozen so.
pub async fn plan(session: &Session, named: &[String], strength: Strength) -> Result<Freeze, Failure> {
    let known = Known {
        database: session.server().database.clone(),
        owner: read(session, OWNER, &[]).await?,
        kept: settings::kept(session).await?,
        writers: writers(session, named).await?,
        at: sessions::now(session).await?,
    };
    if let Some(name) = named.iter().find(|name| !known.writers.iter().any(|one| one.role == **name)) {
        return Err(Failure::new(Class::Misconfigured, format!("there is no role {name} at the server")));
    }
    let all = named.is_empty();
    let meant: Vec<&Writer> =
        if all { known.writers.iter().filter(|one| one.can_write()).collect() } else { meant(&known.writers, named) };
    let is_meant = |role: &str| meant.iter().any(|one| one.role == role);
    let (mut covered, mut left_out) = (Vec::new(), Vec::new());
    for &one in &meant {
        match obstacle(one, strength, all, &known) {
            None => covered.push(one),
            Some((_, why)) if all => left_out.push(LeftOut { role: one.role.clone(), why }),
            Some((class, why)) => {
                return Err(Failure::new(class, format!("role {} cannot be frozen: {why}", one.role)));
            }
        }
    }
    if covered.is_empty() {
        let failure =
            Failure::new(Class::Misconfigured, format!("there is nobody to freeze in database {}", known.database));
        return Err(left_out
            .iter()
            .fold(failure, |failure, one| failure.because(format!("{}: {}", one.role, one.why))));
    }
    // What a function does as its owner no REVOKE from its callers stops.
    let is_covered = |role: &String| covered.iter().any(|one| one.role == *role);
    for one in covered.iter().filter(|_| strength == Strength::Revoke) {
        if let Some((function, owner)) = one.through.iter().find(|(_, owner)| !is_covered(owner)) {
            let why = format!("through {function}, which writes as {owner}");
            left_out.push(LeftOut { role: one.role.clone(), why });
        }
    }
    // Who can write and was not meant is said, too.
    let others = known.writers.iter().filter(|one| !all && one.can_write() && one.logs_in && !is_meant(&one.role));
    left_out.extend(others.map(|one| LeftOut { role: one.role.clone(), why: "not named by `roles`".into() }));
    let mut switch = Switch {
        database: known.database.clone(),
        roles: covered.iter().map(|one| one.role.clone()).collect(),
        at: known.at.clone(),
        settings: Vec::new(),
        logins: Vec::new(),
        grants: Vec::new(),
    };
    match strength {
        Strength::Default => switch.settings = read_only(&covered, all, &known),
        Strength::NoLogin => {
            switch.logins = logins(session, &switch.roles).await?;
        }
        Strength::Revoke => switch.grants = revoked(session, &[&switch.roles[..], named].concat()).await?,
    }
    Ok(Freeze { strength, switch, left_out })
}

const OWNER: &str = "SELECT pg_catalog.to_json(pg_catalog.pg_has_role(d.datdba, 'USAGE'))::text
    FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";

/// Why a role cannot be frozen so.
fn obstacle(one: &Writer, strength: Strength, all: bool, known: &Known) -> Option<(Class, String)> {
    let denied = |why: &str| Some((Class::Denied, why.to_owned()));
    let refused = |why: &str| Some((Class::Refused, why.to_owned()));
    let unreached = "we may not end its sessions (that takes membership in it, or pg_signal_backend; a superuser's take a superuser)";
    match strength {
        _ if !one.may_end => denied(unreached),
        Strength::Default => {
            // Where the database's default covers it, its own settings need no change.
            let by_database = all
                && known.owner
                && settings::begins_read_only(&without_database(&known.kept), &one.role) != Some(false);
            if one.may_set || by_database {
                None
            } else {
                denied("we may not change its settings (that takes CREATEROLE, or to be it)")
            }
        }
        Strength::Revoke if one.superuser => refused("it is a superuser, whom no privilege binds"),
        Strength::Revoke if one.writes_all => {
            refused("it is a member of pg_write_all_data, which no REVOKE on a table takes away")
        }
        Strength::Revoke => None,
        Strength::NoLogin if one.me => refused("we log in as it ourselves"),
        Strength::NoLogin if one.superuser && all => refused("it is a superuser: only where `roles` names it"),
        Strength::NoLogin if one.replicates => refused("replication logs in as it"),
        Strength::NoLogin if !one.may_alter => denied("we may not alter it (that takes CREATEROLE)"),
        Strength::NoLogin => None,
    }
}

fn without_database(kept: &[Kept]) -> Vec<Kept> {
    kept.iter().filter(|one| one.role.is_some()).cloned().collect()
}

/// The database's default where everybody is meant and we may; else role by role.
fn read_only(covered: &[&Writer], all: bool, known: &Known) -> Vec<SettingChange> {
    let on = |role: Option<&str>| {
        let kept = settings::of(&known.kept, role, true);
        let before = kept.and_then(Kept::value).map(str::to_owned);
        // What is on already, in whatever spelling, stays as it is spelt.
        let after = before.clone().filter(|value| settings::is_on(value)).or_else(|| Some("on".into()));
        let config = kept.map(|kept| kept.config.clone()).unwrap_or_default();
        SettingChange { role: role.map(str::to_owned), config, before, after }
    };
    if !(all && known.owner) {
        return covered.iter().map(|one| on(Some(&one.role))).collect();
    }
    let own = without_database(&known.kept);
    let against = covered.iter().filter(|one| settings::begins_read_only(&own, &one.role) == Some(false));
    std::iter::once(on(None)).chain(against.map(|one| on(Some(&one.role)))).collect()
}

async fn logins(session: &Session, roles: &[String]) -> Result<Vec<LoginChange>, Failure> {
    let sql =
        "SELECT coalesce(pg_catalog.json_object_agg(r.rolname, r.rolcanlogin), '{}')::text FROM pg_catalog.pg_roles r
        WHERE r.rolname::text = ANY ($1::text[])";
    let can: BTreeMap<String, bool> = read(session, sql, &[&roles]).await?;
    Ok(can.into_iter().map(|(role, before)| LoginChange { role, before, after: false }).collect())
}

async fn revoked(session: &Session, roles: &[String]) -> Result<Vec<GrantChange>, Failure> {
    // What a group may, its members may, or may after SET ROLE.
    let sql = "SELECT coalesce(pg_catalog.json_agg(DISTINCT g.rolname), '[]')::text
        FROM pg_catalog.pg_roles r JOIN pg_catalog.pg_roles g ON pg_catalog.pg_has_role(r.oid, g.oid, 'MEMBER')
        WHERE r.rolname::text = ANY ($1::text[]) AND NOT r.rolsuper";
    let groups: BTreeSet<String> = read(session, sql, &[&roles]).await?;
    let meant = |role: Option<&str>| role.is_none_or(|role| groups.contains(role));
    let changes = grants(session).await?.into_iter().map(|before| {
        let after = before.without_writes(meant);
        GrantChange { before, after }
    });
    Ok(changes.filter(|one| !one.before.agrees(&one.after)).collect())
}

/// So many roles stand by name in a line.
const NAMED: usize = 8;

/// Roles for a line: the first by name, how many more there are.
#[must_use]
pub fn few(roles: &[String]) -> String {
    match roles.split_at_checked(NAMED) {
        Some((first, more)) if !more.is_empty() => format!("{} and {} more", first.join(", "), more.len()),
        _ => roles.join(", "),
    }
}

/// Whom a freeze that is in place reached beyond those that were meant, and whom it did not.
#[derive(Debug, Default)]
pub struct Reach {
    /// Roles that wrote by a group's privilege or `PUBLIC`'s, which is gone.
    pub lost: Vec<String>,
    /// Who can write all the same.
    pub left_out: Vec<LeftOut>,
}

impl Freeze {
    /// Looks whom it reached, once it is in place.
    ///
    /// # Errors
    /// As [`Session::row`].
    pub async fn reach(&self, session: &Session) -> Result<Reach, Failure> {
        if self.strength != Strength::Revoke {
            return Ok(Reach { lost: Vec::new(), left_out: self.left_out.clone() });
        }
        let names: Vec<String> = self.left_out.iter().map(|one| one.role.clone()).collect();
        let now = writers(session, &names).await?;
        let there = sessions::connected(session, Some(&names), None).await?;
        let mut reach = Reach::default();
        for one in &self.left_out {
            match now.iter().find(|now| now.role == one.role && !now.can_write()) {
                None => reach.left_out.push(one.clone()),
                Some(lost) if lost.may_end => reach.lost.push(lost.role.clone()),
                Some(_) if !there.iter().any(|session| session.role.as_ref() == Some(&one.role)) => {}
                Some(_) => {
                    let why = "in a transaction that is open: we may not end its sessions".into();
                    reach.left_out.push(LeftOut { role: one.role.clone(), why });
                }
            }
        }
        Ok(reach)
    }

    /// Who is frozen how, for a line.
    #[must_use]
    pub fn shown(&self) -> String {
        let roles = few(&self.switch.roles);
        match self.strength {
            Strength::Default => format!("new sessions of {roles} begin read-only ({NAME})"),
            Strength::Revoke => {
                format!("{roles} may not write: revoked on {} tables and sequences", self.switch.grants.len())
            }
            Strength::NoLogin => format!("{roles} cannot log in"),
        }
    }
}
