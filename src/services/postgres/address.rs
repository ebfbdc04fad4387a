//! Connection strings as libpq reads them: `postgres://` URLs and `key=value` text
//! (<https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING>). Nothing is looked up here.
//!
//! No error carries a value: a password that was not escaped may stand anywhere in a broken string.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

/// What libpq takes in a connection string, by version 17.
const KEYWORDS: &[&str] = &[
    "application_name",
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "dbname",
    "fallback_application_name",
    "gssdelegation",
    "gssencmode",
    "gsslib",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "options",
    "passfile",
    "password",
    "port",
    "replication",
    "require_auth",
    "requirepeer",
    "requiressl",
    "service",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcert",
    "sslcertmode",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslpassword",
    "sslrootcert",
    "sslsni",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// What frameworks put into the query of a `DATABASE_URL` for their own pools; libpq would refuse it, and it says nothing
/// about the connection.
const FRAMEWORKS: &[&str] = &[
    "adapter",
    "checkout_timeout",
    "connection_limit",
    "encoding",
    "idle_timeout",
    "max_conns",
    "pgbouncer",
    "pool",
    "pool_mode",
    "pool_size",
    "pool_timeout",
    "prepared_statements",
    "reaping_frequency",
    "reconnect",
    "schema",
    "statement_cache_size",
    "statement_limit",
    "timeout",
];

/// Keywords and values as they were given; no defaults. Holds the password, so it is never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Settings(BTreeMap<&'static str, String>);

impl Settings {
    /// The value of a keyword; an empty one counts as not given, as in libpq.
    pub fn get(&self, keyword: &str) -> Option<&str> {
        self.0.get(keyword).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Sets a keyword that is not there yet.
    pub fn or_set(&mut self, keyword: &str, value: &str) {
        if let Some(known) = self::keyword(keyword).filter(|known| self.get(known).is_none()) {
            self.0.insert(known, value.to_owned());
        }
    }

    fn set(&mut self, keyword: &'static str, value: String) {
        self.0.insert(keyword, value);
    }
}

/// The keyword as it is kept, where libpq knows it.
pub(super) fn keyword(name: &str) -> Option<&'static str> {
    KEYWORDS.iter().copied().find(|known| *known == name)
}

/// Reads a connection string; an empty one says nothing.
///
/// # Errors
/// What is wrong, without a value.
pub(super) fn parse(text: &str) -> Result<Settings, String> {
    let text = text.trim();
    if text.contains('\0') {
        return Err("a connection string must not hold a NUL character".into());
    }
    if let Some(rest) = ["postgresql://", "postgres://"].iter().find_map(|scheme| text.strip_prefix(scheme)) {
        return url(rest);
    }
    if text.is_empty() {
        return Ok(Settings::default());
    }
    match text.split_once("://").or_else(|| text.split_once(":postgresql:")) {
        Some((scheme, _)) if scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-._:".contains(c)) => {
            Err("the URL's scheme is neither `postgres` nor `postgresql`".into())
        }
        _ => keywords(text),
    }
}

fn url(text: &str) -> Result<Settings, String> {
    let escape = || {
        "the URL's password or name holds a sign that must be percent-encoded (`@` %40, `/` %2F, `:` %3A, `%` %25)"
            .to_owned()
    };
    let mut settings = Settings::default();
    let end = text.find('/').unwrap_or(text.len());
    let (login, rest) = match text[..end].split_once('@') {
        Some((login, _)) => (Some(login), &text[login.len() + 1..]),
        None => (None, text),
    };
    if let Some(login) = login {
        let (user, password) = login.split_once(':').map_or((login, None), |(user, word)| (user, Some(word)));
        settings.set("user", decoded(user)?);
        if let Some(password) = password {
            settings.set("password", decoded(password)?);
        }
    }
    let (before, query) = rest.split_once('?').map_or((rest, None), |(before, query)| (before, Some(query)));
    let (hosts, database) = before.split_once('/').map_or((before, None), |(hosts, name)| (hosts, Some(name)));
    if before.contains('@') {
        return Err(escape());
    }
    let (mut names, mut ports) = (Vec::new(), Vec::new());
    for host in hosts.split(',') {
        let (name, port) = host_and_port(host).ok_or_else(escape)?;
        names.push(decoded(name)?);
        ports.push(port.to_owned());
    }
    settings.set("host", names.join(","));
    if ports.iter().any(|port| !port.is_empty()) {
        settings.set("port", ports.join(","));
    }
    if let Some(database) = database {
        settings.set("dbname", decoded(database)?);
    }
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or("a parameter of the URL has no `=`")?;
        let (name, value) = (decoded(name)?, decoded(value)?);
        match keyword(&name) {
            Some(keyword) => settings.set(keyword, value),
            // As libpq does for the sake of JDBC's URLs.
            None if name == "ssl" && value == "true" => settings.set("sslmode", "require".into()),
            None if FRAMEWORKS.contains(&name.as_str()) => {}
            None => return Err(unknown(&name)),
        }
    }
    Ok(settings)
}

/// `[::1]:5432`, `db.example:5432`, `db.example`; `None` where it is none of them.
fn host_and_port(text: &str) -> Option<(&str, &str)> {
    let (name, port) = match text.strip_prefix('[') {
        Some(inner) => {
            let (name, rest) = inner.split_once(']')?;
            (name, if rest.is_empty() { "" } else { rest.strip_prefix(':')? })
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    port.bytes().all(|digit| digit.is_ascii_digit()).then_some((name, port))
}

fn decoded(text: &str) -> Result<String, String> {
    let bytes = text.as_bytes();
    let whole = |at: usize| bytes.get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    if bytes.iter().enumerate().any(|(at, byte)| *byte == b'%' && !whole(at)) {
        return Err("the URL holds a `%` that is not followed by two hexadecimal digits; a `%` itself is %25".into());
    }
    let text = percent_decode_str(text).decode_utf8().map_err(|_| "the URL is not UTF-8 once decoded".to_owned())?;
    if text.contains('\0') { Err("the URL holds %00".into()) } else { Ok(text.into_owned()) }
}

fn unknown(name: &str) -> String {
    // The name may be a piece of a broken password: only a word that looks like a keyword is shown.
    let like = name.len() <= 40 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    match crate::plan::nearest(name, KEYWORDS.iter().copied()).filter(|_| like) {
        Some(near) => format!("unknown connection parameter `{name}`; did you mean `{near}`?"),
        None if like => format!("unknown connection parameter `{name}`"),
        None => "an unknown connection parameter".into(),
    }
}

fn keywords(text: &str) -> Result<Settings, String> {
    let mut settings = Settings::default();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest
            .split_once('=')
            .ok_or("neither a URL (postgres://user@host/database) nor a list of key=value, as libpq takes them")?;
        let name = name.trim();
        let (value, after) = value(after.trim_start())?;
        match keyword(name) {
            Some(keyword) => settings.set(keyword, value),
            None => return Err(unknown(name)),
        }
        rest = after.trim_start();
    }
    Ok(settings)
}

/// One value, quoted or not, and what follows it.
fn value(text: &str) -> Result<(String, &str), String> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut signs = text.char_indices().skip(usize::from(quoted));
    while let Some((at, sign)) = signs.next() {
        match sign {
            '\\' => value.extend(signs.next().map(|(_, next)| next)),
            '\'' if quoted => return Ok((value, &text[at + 1..])),
            space if !quoted && space.is_whitespace() => return Ok((value, &text[at..])),
            other => value.push(other),
        }
    }
    if quoted { Err("a quoted value has no end".into()) } else { Ok((value, "")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Vec<(&'static str, String)> {
        parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).0.into_iter().filter(|(_, v)| !v.is_empty()).collect()
    }

    fn is(text: &str, wanted: &[(&str, &str)]) {
        let said = said(text);
        let said = said.iter().map(|(k, v)| (*k, v.as_str())).collect::<Vec<_>>();
        assert_eq!(said, wanted, "{text}");
    }

    #[test]
    fn urls_are_read_as_libpq_reads_them() {
        is("postgres://", &[]);
        is("postgresql:///app", &[("dbname", "app")]);
        is("postgresql://localhost", &[("host", "localhost")]);
        is(
            "postgres://ann:p%40ss%2Fw%3Ard@db.example:6432/app%20x?sslmode=verify-full&application_name=a%26b",
            &[
                ("application_name", "a&b"),
                ("dbname", "app x"),
                ("host", "db.example"),
                ("password", "p@ss/w:rd"),
                ("port", "6432"),
                ("sslmode", "verify-full"),
                ("user", "ann"),
            ],
        );
        is("postgres://ann@[::1]:5433/app", &[("dbname", "app"), ("host", "::1"), ("port", "5433"), ("user", "ann")]);
        is("postgres://a:1,b,c:3/x", &[("dbname", "x"), ("host", "a,b,c"), ("port", "1,,3")]);
        is("postgres://%2Fvar%2Frun/x", &[("dbname", "x"), ("host", "/var/run")]);
        is("postgres:///x?host=/tmp&port=1", &[("dbname", "x"), ("host", "/tmp"), ("port", "1")]);
        is("postgres://h/x?ssl=true&pool=5&pgbouncer=true", &[("dbname", "x"), ("host", "h"), ("sslmode", "require")]);
    }

    #[test]
    fn keywords_are_read_as_libpq_reads_them() {
        is("", &[]);
        is("host=h dbname = app", &[("dbname", "app"), ("host", "h")]);
        is(r"user='ann o\'neil' password=a\ b\\c", &[("password", r"a b\c"), ("user", "ann o'neil")]);
        is("host='' port=5", &[("port", "5")]);
    }

    #[test]
    fn what_is_broken_is_told_without_its_values() {
        for text in [
            "postgres://ann:hun@ter2@h/x",
            "postgres://ann:hun/ter2@h/x",
            "postgres://ann:hunter2%@h/x",
            "postgres://ann:%zzhunter2@h/x",
            "postgres://h:hunter2/x",
            "postgres://h/x?hunter2",
            "postgres://h/x?hunter2hunter2=1",
            "mysql://ann:hunter2@h/x",
            "jdbc:postgresql://h/x?password=hunter2",
            "hunter2",
            "password='hunter2",
            "host=h hunter2",
            "Hunter2=x",
        ] {
            let wrong = parse(text).err().unwrap_or_else(|| panic!("{text} was taken"));
            assert!(!wrong.to_lowercase().contains("ter2"), "{text}: {wrong}");
        }
        let wrong = parse("postgres://h/x?ssl_mode=require").err().unwrap();
        assert!(wrong.contains("did you mean `sslmode`"), "{wrong}");
    }
}
