//! What a connection string means: where to go, as whom, and what has to hold there. Text becomes types here, and
//! what this program does not do is refused by name instead of being passed over.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use super::address::Settings;
use crate::base::{Secret, clean_line};

/// The port that `PostgreSQL` listens at.
const PORT: u16 = 5432;
/// Where packages put the server's socket: Debian's and the original's.
pub(super) const SOCKETS: &[&str] = &["/var/run/postgresql", "/tmp"];

/// Where and how to connect.
#[derive(Clone)]
pub(super) struct Target {
    /// Each is tried in turn.
    pub hosts: Vec<HostAt>,
    /// The role.
    pub user: String,
    /// The database.
    pub database: String,
    /// `options`: settings for the server's command line.
    pub options: Option<String>,
    /// What the server shows as the client's name.
    pub application: String,
    /// How long one host may take.
    pub timeout: Option<Duration>,
    /// What the session has to be.
    pub attributes: Attributes,
    /// Try the hosts in random order.
    pub shuffled: bool,
    /// TLS.
    pub tls: TlsWish,
    /// Whether the password's proof is bound to the TLS connection.
    pub binding: Binding,
    /// Why a `.pgpass` that is there was not used.
    pub unused: Option<String>,
}

/// One host of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostAt {
    /// The name as given: shown, looked up in `.pgpass`, and what a certificate is compared with.
    pub name: String,
    /// Where it is.
    pub at: At,
    /// Its port.
    pub port: u16,
    /// Its password: the string's, or a line of `.pgpass`.
    pub password: Option<Secret>,
}

/// Where a host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum At {
    /// A name to resolve, or an address.
    Name(String),
    /// `hostaddr`.
    Address(IpAddr),
    /// The folder of a Unix socket.
    Folder(PathBuf),
}

/// `target_session_attrs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attributes {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

/// `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// `channel_binding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binding {
    Disable,
    Prefer,
    Require,
}

/// `sslcertmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CertMode {
    Disable,
    Allow,
    Require,
}

/// Everything of TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TlsWish {
    pub mode: Mode,
    /// `sslrootcert`: a file, or `system`.
    pub roots: Option<String>,
    pub certificate: Option<String>,
    pub key: Option<String>,
    pub certificate_mode: CertMode,
    /// Send the name in the handshake.
    pub sni: bool,
    /// Speak TLS from the first byte (`PostgreSQL` 17).
    pub direct: bool,
    /// TLS 1.3 only.
    pub only_13: bool,
    /// TLS 1.2 only.
    pub only_12: bool,
}

impl HostAt {
    /// `db.example:5432`, `[::1]:5432`, `/tmp/.s.PGSQL.5432`.
    pub fn shown(&self) -> String {
        let port = self.port;
        let text = match &self.at {
            At::Folder(folder) => format!("{}/.s.PGSQL.{port}", folder.display()),
            At::Name(_) | At::Address(_) if self.name.contains(':') => format!("[{}]:{port}", self.name),
            At::Name(_) | At::Address(_) => format!("{}:{port}", self.name),
        };
        clean_line(&text, 200)
    }
}

impl Target {
    /// Types what the settings say; defaults of the environment are in them already.
    ///
    /// # Errors
    /// What cannot be, and what this program does not do; never a password.
    pub fn new(settings: &Settings, user: Option<String>) -> Result<Self, String> {
        unsupported(settings)?;
        let user =
            settings.get("user").map(str::to_owned).or(user).ok_or("it does not say as which user to connect")?;
        let database = settings.get("dbname").unwrap_or(&user).to_owned();
        let timeout = settings.get("connect_timeout").map(|text| seconds("connect_timeout", text)).transpose()?;
        Ok(Self {
            hosts: hosts(settings)?,
            database,
            options: settings.get("options").map(str::to_owned),
            application: settings.get("application_name").unwrap_or("gonogo").to_owned(),
            timeout: timeout.filter(|time| !time.is_zero()),
            attributes: word(
                settings,
                "target_session_attrs",
                Attributes::Any,
                &[
                    ("any", Attributes::Any),
                    ("read-write", Attributes::ReadWrite),
                    ("read-only", Attributes::ReadOnly),
                    ("primary", Attributes::Primary),
                    ("standby", Attributes::Standby),
                    ("prefer-standby", Attributes::PreferStandby),
                ],
            )?,
            shuffled: word(settings, "load_balance_hosts", false, &[("disable", false), ("random", true)])?,
            tls: tls(settings)?,
            binding: word(
                settings,
                "channel_binding",
                Binding::Prefer,
                &[("disable", Binding::Disable), ("prefer", Binding::Prefer), ("require", Binding::Require)],
            )?,
            user,
            unused: None,
        })
    }
}

fn tls(settings: &Settings) -> Result<TlsWish, String> {
    let roots = settings.get("sslrootcert").map(str::to_owned);
    let system = roots.as_deref() == Some("system");
    let old = settings.get("requiressl").filter(|_| settings.get("sslmode").is_none());
    let default = match old {
        Some("1") => Mode::Require,
        _ if system => Mode::VerifyFull,
        _ => Mode::Prefer,
    };
    let modes = [
        ("disable", Mode::Disable),
        ("allow", Mode::Allow),
        ("prefer", Mode::Prefer),
        ("require", Mode::Require),
        ("verify-ca", Mode::VerifyCa),
        ("verify-full", Mode::VerifyFull),
    ];
    let mode = word(settings, "sslmode", default, &modes)?;
    if system && mode != Mode::VerifyFull {
        return Err("a weak sslmode may not be used with sslrootcert=system (use \"verify-full\")".into());
    }
    let direct = word(settings, "sslnegotiation", false, &[("postgres", false), ("direct", true)])?;
    if direct && mode < Mode::Require {
        return Err("a weak sslmode may not be used with sslnegotiation=direct (use \"require\")".into());
    }
    let certificate_modes =
        [("disable", CertMode::Disable), ("allow", CertMode::Allow), ("require", CertMode::Require)];
    let versions = [("TLSv1", 0), ("TLSv1.1", 0), ("TLSv1.2", 2), ("TLSv1.3", 3)];
    let lowest = word(settings, "ssl_min_protocol_version", 2, &versions)?;
    let highest = word(settings, "ssl_max_protocol_version", 3, &versions)?;
    if highest == 0 || lowest > highest {
        return Err("ssl_max_protocol_version leaves no version that is spoken here (TLSv1.2, TLSv1.3)".into());
    }
    Ok(TlsWish {
        mode,
        roots,
        certificate: settings.get("sslcert").map(str::to_owned),
        key: settings.get("sslkey").map(str::to_owned),
        certificate_mode: word(settings, "sslcertmode", CertMode::Allow, &certificate_modes)?,
        sni: word(settings, "sslsni", true, &[("1", true), ("0", false)])?,
        direct,
        only_13: lowest == 3,
        only_12: highest == 2,
    })
}

/// What would make a connection weaker than it was asked to be if it were passed over.
fn unsupported(settings: &Settings) -> Result<(), String> {
    for keyword in ["sslcrl", "sslcrldir", "requirepeer", "require_auth", "sslpassword", "replication"] {
        if settings.get(keyword).is_some() {
            return Err(format!("`{keyword}` is not supported here"));
        }
    }
    if settings.get("gssencmode") == Some("require") {
        return Err("`gssencmode=require` is not supported here".into());
    }
    match settings.get("client_encoding").map(|name| name.to_ascii_lowercase().replace('-', "")) {
        None => Ok(()),
        Some(name) if ["utf8", "unicode", "auto"].contains(&name.as_str()) => Ok(()),
        Some(_) => Err("`client_encoding` must be UTF8".into()),
    }
}

fn word<T: Copy>(settings: &Settings, keyword: &str, default: T, words: &[(&str, T)]) -> Result<T, String> {
    let Some(text) = settings.get(keyword) else { return Ok(default) };
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let known = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        format!("`{keyword}` must be one of {known}")
    })
}

fn seconds(keyword: &str, text: &str) -> Result<Duration, String> {
    let seconds = text.trim().parse::<i64>().map_err(|_| format!("`{keyword}` must be a number of seconds"))?;
    // libpq: zero, negative or left out means no limit of its own.
    Ok(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

fn hosts(settings: &Settings) -> Result<Vec<HostAt>, String> {
    let list = |keyword| settings.get(keyword).map(|text| text.split(',').map(str::trim).collect::<Vec<_>>());
    let (names, addresses) = (list("host"), list("hostaddr"));
    let ports = list("port").unwrap_or_default();
    let count = names.as_ref().or(addresses.as_ref()).map_or(1, Vec::len);
    if let (Some(names), Some(addresses)) = (&names, &addresses)
        && names.len() != addresses.len()
    {
        return Err(format!("{} hosts do not match {} host addresses", names.len(), addresses.len()));
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(format!("{} ports do not match {count} hosts", ports.len()));
    }
    let filled = |list: &Option<Vec<&str>>, at: usize| {
        let text = list.as_ref().and_then(|list| list.get(at).copied()).unwrap_or_default();
        (!text.is_empty()).then(|| text.to_owned())
    };
    (0..count)
        .map(|at| {
            let text = if ports.len() == 1 { ports[0] } else { ports.get(at).copied().unwrap_or_default() };
            let port = if text.is_empty() { PORT } else { text.parse().map_err(|_| "a port is no port number")? };
            if port == 0 {
                return Err("a port is no port number".into());
            }
            let name = filled(&names, at);
            let at = match (filled(&addresses, at), &name) {
                (Some(address), _) => At::Address(address.parse().map_err(|_| "`hostaddr` is no IP address")?),
                (None, Some(name)) if name.starts_with('/') => At::Folder(name.into()),
                (None, Some(name)) if name.starts_with('@') => {
                    return Err("sockets in the abstract namespace are not supported here".into());
                }
                (None, Some(name)) => At::Name(name.clone()),
                (None, None) => default_host(port),
            };
            let name = name.unwrap_or_else(|| match &at {
                At::Name(name) => name.clone(),
                At::Address(address) => address.to_string(),
                At::Folder(folder) => folder.display().to_string(),
            });
            let password = settings.get("password").map(|word| Secret::new(word.to_owned()));
            Ok(HostAt { name, at, port, password })
        })
        .collect()
}

/// Where no host is given: the server's own socket where there is one, else this machine.
fn default_host(port: u16) -> At {
    let there = |folder: &&&str| std::path::Path::new(folder).join(format!(".s.PGSQL.{port}")).exists();
    SOCKETS.iter().find(there).map_or_else(|| At::Name("localhost".into()), |folder| At::Folder(folder.into()))
}

#[cfg(test)]
mod tests {
    use super::super::address::parse;
    use super::*;

    fn target(text: &str) -> Result<Target, String> {
        Target::new(&parse(text).unwrap(), Some("me".into()))
    }

    #[test]
    fn hosts_ports_and_addresses_go_together() {
        let shown = |text: &str| target(text).map(|t| t.hosts.iter().map(HostAt::shown).collect::<Vec<_>>().join(" "));
        assert_eq!(shown("postgres://a:1,b,[::1]:3/x").unwrap(), "a:1 b:5432 [::1]:3");
        assert_eq!(shown("host=a,b port=7").unwrap(), "a:7 b:7");
        assert_eq!(shown("host=/run/pg port=7").unwrap(), "/run/pg/.s.PGSQL.7");
        assert_eq!(
            target("host=db hostaddr=127.0.0.1").unwrap().hosts[0].at,
            At::Address("127.0.0.1".parse().unwrap())
        );
        for bad in ["host=a,b port=1,2,3", "host=a hostaddr=127.0.0.1,127.0.0.2", "host=a port=0", "host=a port=70000"]
        {
            assert!(shown(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn defaults_are_libpqs() {
        let t = target("host=h").unwrap();
        assert_eq!((t.user.as_str(), t.database.as_str(), t.application.as_str()), ("me", "me", "gonogo"));
        assert_eq!((t.tls.mode, t.binding, t.attributes), (Mode::Prefer, Binding::Prefer, Attributes::Any));
        assert_eq!(target("sslrootcert=system").unwrap().tls.mode, Mode::VerifyFull);
        assert!(target("sslrootcert=system sslmode=require").is_err());
        assert!(target("sslnegotiation=direct").is_err());
    }

    #[test]
    fn nothing_that_asks_for_more_safety_is_passed_over() {
        for bad in ["sslcrl=f", "requirepeer=x", "require_auth=scram-sha-256", "gssencmode=require", "sslmode=strict"] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }
}
