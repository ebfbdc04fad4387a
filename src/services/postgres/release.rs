//! What opens a database for writes that was guarded or frozen: the changes, and who will be able to write then.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Session,
    freeze::Freeze,
    grants::grants,
    read::read,
    sessions,
    settings::{self, Kept},
    switch::{GrantChange, LoginChange, SettingChange, Switch},
    writers::{self, Begins, Canary, Writer, canary, writers},
};
use crate::base::{Class, Failure};

/// An opening of the connected database, as captured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// What changes; its roles are those whose sessions have to begin anew.
    pub switch: Switch,
    /// Who has to be able to write then.
    pub roles: Vec<String>,
    /// Tables and sequences that the freeze took something from and that are gone, in words.
    #[serde(default)]
    pub gone: Vec<String>,
}

/// Plans to open it for the named roles, or for all whom a privilege lets write; with a freeze, by putting back what that
/// took. Reads only.
///
/// # Errors
/// `Misconfigured`: there is no such role, the freeze was of another database, or nobody could write.
pub async fn plan(session: &Session, named: &[String], freeze: Option<&Freeze>) -> Result<Release, Failure> {
    let database = session.server().database.clone();
    let kept = settings::kept(session).await?;
    let frozen = freeze.map_or(&[][..], |freeze| &freeze.switch.roles);
    let all = writers(session, &[named, frozen].concat()).await?;
    if let Some(name) = named.iter().find(|name| !all.iter().any(|one| one.role == **name)) {
        return Err(Failure::new(Class::Misconfigured, format!("there is no role {name} at the server")));
    }
    let back = |role: &str| freeze.is_some_and(|freeze| freeze.switch.roles.iter().any(|one| one == role));
    let meant: Vec<&Writer> = match (named.is_empty(), freeze.is_some()) {
        (false, _) => writers::meant(&all, named),
        (true, true) => all.iter().filter(|one| back(&one.role)).collect(),
        (true, false) => all.iter().filter(|one| one.can_write() && one.logs_in && !one.superuser).collect(),
    };
    let names: Vec<String> = meant.iter().map(|one| one.role.clone()).collect();
    let mut switch = Switch {
        database,
        roles: Vec::new(),
        at: sessions::now(session).await?,
        settings: Vec::new(),
        logins: Vec::new(),
        grants: Vec::new(),
    };
    let logins = logins(session).await?;
    let mut gone = Vec::new();
    if let Some(freeze) = freeze {
        if freeze.switch.database != switch.database {
            let words =
                format!("the freeze was of database {}, this one is {}", freeze.switch.database, switch.database);
            return Err(Failure::new(Class::Misconfigured, words));
        }
        gone = put_back(session, freeze, &kept, &logins, &mut switch).await?;
    } else {
        switch.settings =
            defaults(&kept, if named.is_empty() { named } else { &names }, files_say_read_only(session, &kept));
        let shut_out = names.iter().filter(|role| logins.get(*role) == Some(&false));
        switch.logins = shut_out.map(|role| LoginChange { role: role.clone(), before: false, after: true }).collect();
    }
    if meant.is_empty() {
        return Err(Failure::new(
            Class::Misconfigured,
            format!("nobody but superusers could write to database {}", switch.database),
        )
        .hint("grant the application's role what it needs, or name it in `roles`"));
    }
    switch.roles = meant.iter().filter(|one| one.may_end).map(|one| one.role.clone()).collect();
    Ok(Release { switch, roles: names, gone })
}

async fn logins(session: &Session) -> Result<BTreeMap<String, bool>, Failure> {
    let sql = "SELECT pg_catalog.json_object_agg(r.rolname, r.rolcanlogin)::text FROM pg_catalog.pg_roles r";
    read(session, sql, &[]).await
}

fn change(kept: &[Kept], role: Option<&str>, after: Option<String>) -> SettingChange {
    let now = settings::of(kept, role, true);
    SettingChange {
        role: role.map(str::to_owned),
        config: now.map(|now| now.config.clone()).unwrap_or_default(),
        before: now.and_then(Kept::value).map(str::to_owned),
        after,
    }
}

/// The database's default, that of every role in it, and what is kept for a named role in all databases.
fn defaults(kept: &[Kept], named: &[String], files: bool) -> Vec<SettingChange> {
    let on = |one: &&Kept| one.here && one.value().is_some_and(settings::is_on);
    // RESET takes the entry out of the list, and setting it again would add it at the end: elsewhere than at the end it
    // is switched off in its place, so that guarding again leaves the list as it was.
    let last = |one: &Kept| one.config.last().is_some_and(|line| settings::is_ours(line));
    let opened = |one: &Kept| if last(one) { None } else { Some("off".to_owned()) };
    let mut changes: Vec<SettingChange> =
        kept.iter().filter(on).map(|one| change(kept, one.role.as_deref(), opened(one))).collect();
    for role in named {
        // With the database's own settings gone, the role's own, or all databases', would be the next to count.
        let elsewhere: Vec<Kept> = kept.iter().filter(|one| !one.here).cloned().collect();
        if settings::begins_read_only(&elsewhere, role).unwrap_or(files) {
            changes.retain(|one| one.role.as_ref() != Some(role));
            changes.push(change(kept, Some(role), Some("off".into())));
        }
    }
    changes
}

/// Plans to put back what a freeze took; answers with what is gone.
async fn put_back(
    session: &Session,
    freeze: &Freeze,
    kept: &[Kept],
    logins: &BTreeMap<String, bool>,
    switch: &mut Switch,
) -> Result<Vec<String>, Failure> {
    let was = &freeze.switch;
    switch.settings = was.settings.iter().map(|one| change(kept, one.role.as_deref(), one.before.clone())).collect();
    switch.logins = was
        .logins
        .iter()
        .map(|one| LoginChange {
            role: one.role.clone(),
            before: logins.get(&one.role) == Some(&true),
            after: one.before,
        })
        .collect();
    let mut gone = Vec::new();
    if !was.grants.is_empty() {
        let all = grants(session).await?;
        for one in &was.grants {
            match one.before.among(&all) {
                Some(now) => switch.grants.push(GrantChange {
                    before: now.clone(),
                    after: one.before.keeping(&one.after, now).named_as(now),
                }),
                None => gone.push(format!("{} is gone", one.before.shown())),
            }
        }
    }
    Ok(gone)
}

/// Whether the server's own files say read-only, as far as our own session shows it: nothing nearer says anything for
/// our role, and it began read-only.
#[must_use]
pub fn files_say_read_only(session: &Session, kept: &[Kept]) -> bool {
    let server = session.server();
    server.read_only && settings::begins_read_only(kept, &server.user).is_none()
}

/// Proves within the open transaction that each role's new sessions will begin read-write and may write. What could not
/// be tried is answered by name. `files`: see [`files_say_read_only`].
///
/// # Errors
/// `Refused`: one could not write; the transaction is to be given up.
pub async fn would_write(session: &Session, roles: &[String], files: bool) -> Result<Vec<String>, Failure> {
    let kept = settings::kept(session).await?;
    let all = writers(session, roles).await?;
    let mut untried = Vec::new();
    for role in roles {
        let no = |why: String| Err(Failure::new(Class::Refused, format!("role {role} could not write then: {why}")));
        let Some(one) = all.iter().find(|one| one.role == *role) else { return no("it is gone".into()) };
        if !one.logs_in {
            return no("it cannot log in to this database".into());
        }
        if settings::begins_read_only(&kept, role).unwrap_or(files) {
            return no("its sessions would still begin read-only".into());
        }
        if !one.can_write() {
            return no("no privilege lets it write to any table".into());
        }
        let Some(sql) = one.canary.as_deref().filter(|_| one.may_be) else {
            untried.push(role.clone());
            continue;
        };
        match canary(session, Some(one.via.as_deref().unwrap_or(role)), sql, Begins::Within).await? {
            Canary::Written => {}
            Canary::ReadOnly => return no("the canary was refused as read-only".into()),
            Canary::NotAllowed => return no("the canary was not allowed".into()),
            Canary::Unclear(why) => return no(why),
        }
    }
    Ok(untried)
}
