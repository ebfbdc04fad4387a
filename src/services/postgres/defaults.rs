//! What a connection string leaves out and the surroundings say: the `PG*` variables
//! (<https://www.postgresql.org/docs/current/libpq-envars.html>). The files are in `files`.

use std::{collections::BTreeMap, path::PathBuf};

use super::address::Settings;

/// Variables and the keywords that they are defaults of.
const VARIABLES: &[(&str, &str)] = &[
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGCLIENTENCODING", "client_encoding"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGDATABASE", "dbname"),
    ("PGGSSENCMODE", "gssencmode"),
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGLOADBALANCEHOSTS", "load_balance_hosts"),
    ("PGOPTIONS", "options"),
    ("PGPASSFILE", "passfile"),
    ("PGPASSWORD", "password"),
    ("PGPORT", "port"),
    ("PGREQUIREAUTH", "require_auth"),
    ("PGREQUIREPEER", "requirepeer"),
    ("PGREQUIRESSL", "requiressl"),
    ("PGSERVICE", "service"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLCERTMODE", "sslcertmode"),
    ("PGSSLCRL", "sslcrl"),
    ("PGSSLCRLDIR", "sslcrldir"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLMAXPROTOCOLVERSION", "ssl_max_protocol_version"),
    ("PGSSLMINPROTOCOLVERSION", "ssl_min_protocol_version"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLNEGOTIATION", "sslnegotiation"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLSNI", "sslsni"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGUSER", "user"),
];

/// Where defaults come from: the process's environment, or a test's.
#[derive(Clone, Default)]
pub(super) struct Variables(Option<BTreeMap<String, String>>);

impl Variables {
    /// Those of a test.
    pub fn given(variables: BTreeMap<String, String>) -> Self {
        Self(Some(variables))
    }

    pub fn get(&self, name: &str) -> Option<String> {
        let value = match &self.0 {
            Some(given) => given.get(name).cloned(),
            None => std::env::var(name).ok(),
        };
        value.filter(|value| !value.is_empty())
    }

    pub fn home(&self) -> Option<PathBuf> {
        self.get("HOME").map(PathBuf::from)
    }

    /// A file of `~/.postgresql`.
    pub fn in_home(&self, name: &str) -> Option<PathBuf> {
        Some(self.home()?.join(".postgresql").join(name))
    }

    /// A path with its `~/` spelt out.
    pub fn expanded(&self, path: &str) -> PathBuf {
        match path.strip_prefix("~/").zip(self.home()) {
            Some((rest, home)) => home.join(rest),
            None => path.into(),
        }
    }

    /// Who we are, for a string that does not say so.
    pub fn user(&self) -> Option<String> {
        self.get("USER").or_else(|| self.get("LOGNAME"))
    }

    /// Fills in what is not said.
    pub fn fill(&self, settings: &mut Settings) {
        for (variable, keyword) in VARIABLES {
            if let Some(value) = self.get(variable) {
                settings.or_set(keyword, &value);
            }
        }
    }
}
