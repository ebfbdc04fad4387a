//! What the kinds that freeze and move the data share: their parameters, and how they say things.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::{
    base::{Class, Failure, clean_line, short_duration},
    plan::{Identity, Param, Params, Shape, TextOrSecret},
    runbook::units,
    services::{
        Services,
        postgres::{Session, switch::Missing},
    },
};

/// The `database` of a kind that has one.
pub(super) const DATABASE: Param = Param {
    name: "database",
    shape: Shape::TextOrSecret,
    required: true,
    help: "URL or key=value text, mostly a secret; what it leaves out comes from PG*",
};

/// A database that has to be there; what is missing was recorded already.
pub(super) fn database(params: &mut Params<'_>, key: &'static str) -> TextOrSecret {
    params.opt_secret(key).unwrap_or_else(|| TextOrSecret::Text(String::new()))
}

/// A duration that is some time.
pub(super) fn longer_than_nothing(params: &mut Params<'_>, key: &'static str, default: Duration) -> Duration {
    let time = params.opt_duration(key).unwrap_or(default);
    if time.is_zero() {
        let at = params.place_of(key);
        params.mistake(at, format!("`{key}` must be longer than nothing"), "no time at all", None);
    }
    time
}

/// A size such as `1 MiB`.
pub(super) fn size(params: &mut Params<'_>, key: &'static str) -> Option<u64> {
    let text = params.opt_text(key)?;
    match units::size(&text) {
        Ok(bytes) => Some(bytes),
        Err(why) => {
            let at = params.place_of(key);
            params.mistake(at, format!("`{key}` must be a size such as \"1 MiB\": {why}"), "not a size", None);
            None
        }
    }
}

/// Names of roles, none of them empty.
pub(super) fn roles(params: &mut Params<'_>, key: &'static str) -> Vec<String> {
    let roles = params.texts(key);
    if (roles.is_empty() && params.has(key)) || roles.iter().any(|role| role.is_empty() || role.contains('\0')) {
        let at = params.place_of(key);
        params.mistake(
            at,
            format!("`{key}` must name roles"),
            "no role",
            Some("leave it out for all that can write".into()),
        );
    }
    roles
}

/// `1.5 MiB`; what is not known is "an unknown number of bytes".
pub(super) fn bytes(bytes: Option<i64>) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let Some(bytes) = bytes else { return "an unknown number of bytes".into() };
    let bytes = bytes.max(0);
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit behind the point")]
    let mut scaled = bytes as f64 / 1024.0;
    let mut unit = 0;
    while scaled >= 1024.0 && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    format!("{scaled:.1} {}", UNITS[unit])
}

/// `0.2 s`, `1m30`.
pub(super) fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(60) { format!("{:.1} s", time.as_secs_f64()) } else { short_duration(time) }
}

/// The first of some names, and how many more there are; nothing where there is none.
pub(super) fn named(names: impl IntoIterator<Item = String>, most: usize) -> Option<String> {
    let mut names = names.into_iter();
    let first: Vec<String> = names.by_ref().take(most).map(|name| clean_line(&name, 120)).collect();
    let more = match names.count() {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    (!first.is_empty()).then(|| format!("{}{more}", first.join(", ")))
}

/// Refuses what cannot be changed from here: a standby, and a pooler's session, which may be another one in the next
/// transaction and would end with those that are ended.
pub(super) fn changeable(session: &Session) -> Result<(), Failure> {
    let server = session.server();
    if server.in_recovery {
        return Err(Failure::new(
            Class::Misconfigured,
            format!("{} is a standby: nothing can be changed there", server.place),
        )
        .hint("give the primary's address"));
    }
    if let Some(pooler) = &server.pooler {
        return Err(Failure::new(Class::Refused, format!("{} is a pooler: {}", server.place, pooler.why))
            .hint("give the server's own address: who may write is changed there, and sessions are ended there"));
    }
    Ok(())
}

/// What is still not as wanted after a change.
///
/// # Errors
/// `Failed`, naming the first of it.
pub(super) fn compared(missing: &Missing) -> Result<(), Failure> {
    match missing.words.split_first() {
        None => Ok(()),
        Some((first, rest)) => {
            let failure = Failure::new(Class::Failed, format!("not all is as it shall be: {first}"));
            Err(rest.iter().fold(failure, Failure::because))
        }
    }
}

/// The fence of a kind with one database.
pub(super) fn fence<'a>(
    services: &'a Services,
    database: &'a TextOrSecret,
) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
    Box::pin(async move { services.postgres.fence(database).await.map(Some) })
}

/// The fence of a kind with several; one that is left out is not asked.
pub(super) fn fences<'a>(
    services: &'a Services,
    databases: [Option<&'a TextOrSecret>; 2],
) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
    Box::pin(async move {
        let databases = databases.into_iter().flatten().collect::<Vec<_>>();
        services.postgres.fences(&databases).await
    })
}

/// What was captured, typed.
pub(super) fn captured<T: serde::de::DeserializeOwned>(json: &serde_json::Value) -> Result<T, Failure> {
    serde::Deserialize::deserialize(json).map_err(|why: serde_json::Error| {
        Failure::new(Class::Misconfigured, "nothing to go by: what was captured is not this kind's")
            .because(why.to_string())
    })
}
