//! What both servers have to agree on beside the schema: version, extensions, encoding and locale, settings.

use std::collections::BTreeMap;

use crate::{
    base::{Failure, clean_line},
    services::postgres::Session,
};

/// Settings that change what a statement means, how a value is written, or when a session is ended.
const SETTINGS: &[&str] = &[
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "array_nulls",
    "bytea_output",
    "check_function_bodies",
    "default_text_search_config",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "extra_float_digits",
    "idle_in_transaction_session_timeout",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "lock_timeout",
    "quote_all_identifiers",
    "row_security",
    "search_path",
    "session_replication_role",
    "standard_conforming_strings",
    "statement_timeout",
    "transform_null_equals",
    "xmlbinary",
    "xmloption",
];

const EXTENSIONS: &str = "SELECT extname::pg_catalog.text, extversion FROM pg_catalog.pg_extension ORDER BY 1";

/// As text, so that the columns of one version are found in another: provider and ICU locale since 15, one name for
/// both kinds since 17.
const LOCALE: &str = "
SELECT pg_catalog.pg_encoding_to_char(encoding)::pg_catalog.text, datcollate::pg_catalog.text, datctype::pg_catalog.text,
  COALESCE(pg_catalog.to_jsonb(d) ->> 'datlocprovider', 'c'),
  COALESCE(pg_catalog.to_jsonb(d) ->> 'datlocale', pg_catalog.to_jsonb(d) ->> 'daticulocale', '')
FROM pg_catalog.pg_database d WHERE datname = pg_catalog.current_database()";

/// What a new session of the role gets: our own has a timeout of ours.
const VALUES: &str = "
SELECT name, reset_val, unit FROM pg_catalog.pg_settings WHERE pg_catalog.lower(name) = ANY ($1) ORDER BY name";

/// What they do not agree on.
pub(super) async fn look(source: &Session, target: &Session, more: &[String]) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    let (old, new) = (source.server().version, target.server().version);
    if new / 10_000 < old / 10_000 {
        found.push(format!("version: the target's {} is older than the source's {}", version(new), version(old)));
    }
    let (here, there) = tokio::try_join!(pairs(target, EXTENSIONS), pairs(source, EXTENSIONS))?;
    for (name, old) in &there {
        match here.get(name) {
            None => found.push(format!("extension {} {} is missing at the target", shown(name), shown(old))),
            Some(new) if new != old => {
                found.push(format!(
                    "extension {}: {} at the source, {} at the target",
                    shown(name),
                    shown(old),
                    shown(new)
                ));
            }
            Some(_) => {}
        }
    }
    let (here, there) = tokio::try_join!(target.row(LOCALE, &[]), source.row(LOCALE, &[]))?;
    for (at, what) in
        ["encoding", "collation order (LC_COLLATE)", "character classes (LC_CTYPE)", "locale provider", "locale"]
            .iter()
            .enumerate()
    {
        let (new, old): (String, String) = (here.get(at), there.get(at));
        if new != old {
            found.push(format!("locale: {what} is {} at the source and {} at the target", shown(&old), shown(&new)));
        }
    }
    let names = SETTINGS.iter().map(|name| name.to_lowercase()).chain(more.iter().map(|name| name.to_lowercase()));
    let names = names.collect::<Vec<_>>();
    let (here, there) = tokio::try_join!(settings(target, &names), settings(source, &names))?;
    for name in more {
        if !there.contains_key(&name.to_lowercase()) || !here.contains_key(&name.to_lowercase()) {
            found.push(format!("setting {} is not known on both sides", shown(name)));
        }
    }
    for (key, (name, old)) in &there {
        if let Some((_, new)) = here.get(key)
            && new != old
        {
            found.push(format!("setting {name}: {} at the source, {} at the target", shown(old), shown(new)));
        }
    }
    Ok(found)
}

fn version(number: u32) -> String {
    format!("{}.{}", number / 10_000, number % 10_000)
}

fn shown(text: &str) -> String {
    if text.is_empty() { "nothing".into() } else { clean_line(text, 100) }
}

async fn pairs(session: &Session, sql: &str) -> Result<BTreeMap<String, String>, Failure> {
    Ok(session.rows(sql, &[]).await?.iter().map(|row| (row.get(0), row.get(1))).collect())
}

type Settings = BTreeMap<String, (String, String)>;

async fn settings(session: &Session, names: &[String]) -> Result<Settings, Failure> {
    let rows = session.rows(VALUES, &[&names]).await?;
    let one = |row: &crate::services::postgres::Row| {
        let (name, value, unit): (String, Option<String>, Option<String>) = (row.get(0), row.get(1), row.get(2));
        (name.to_lowercase(), (name, format!("{}{}", value.unwrap_or_default(), unit.unwrap_or_default())))
    };
    Ok(rows.iter().map(one).collect())
}
