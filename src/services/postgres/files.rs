//! The two files that libpq looks into: the service file and `.pgpass`
//! (<https://www.postgresql.org/docs/current/libpq-pgservice.html>, `libpq-pgpass.html`).

use std::path::{Path, PathBuf};

use super::{
    address::{Settings, keyword},
    defaults::Variables,
    target::{At, HostAt, SOCKETS},
};
use crate::base::{Secret, clean_line};

/// Where packages keep the service file of the whole machine; `PGSYSCONFDIR` comes before them.
const MACHINE: &[&str] = &["/etc/postgresql-common", "/etc/sysconfig/pgsql", "/usr/local/pgsql/etc", "/etc"];

/// Fills in what the settings' service says. Without a service nothing is read.
///
/// # Errors
/// There is no such service, or its file is broken.
pub(super) async fn service(settings: &mut Settings, variables: &Variables) -> Result<(), String> {
    let Some(name) = settings.get("service").map(str::to_owned).or_else(|| variables.get("PGSERVICE")) else {
        return Ok(());
    };
    let own = variables.get("PGSERVICEFILE").map(PathBuf::from);
    let own = own.or_else(|| Some(variables.home()?.join(".pg_service.conf")));
    let machine = variables.get("PGSYSCONFDIR").map(PathBuf::from).into_iter().chain(MACHINE.iter().map(PathBuf::from));
    for path in own.into_iter().chain(machine.map(|folder| folder.join("pg_service.conf"))) {
        let Ok(text) = tokio::fs::read_to_string(&path).await else { continue };
        if let Some(found) = section(&text, &name).map_err(|why| format!("{}: {why}", shown(&path)))? {
            for (keyword, value) in found {
                settings.or_set(keyword, &value);
            }
            return Ok(());
        }
    }
    Err(format!("there is no service `{}` in any pg_service.conf", clean_line(&name, 60)))
}

/// The lines of a service; `None` where it is not in the text.
fn section(text: &str, name: &str) -> Result<Option<Vec<(&'static str, String)>>, String> {
    let mut found = None;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        let number = at + 1;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(inner) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            if inner.strip_suffix(']') == Some(name) {
                found = Some(Vec::new());
            }
            continue;
        }
        let Some(found) = found.as_mut() else { continue };
        if line.starts_with("ldap") {
            return Err(format!("line {number}: a service in LDAP is not supported here"));
        }
        let (key, value) = line.split_once('=').ok_or_else(|| format!("line {number} has no `=`"))?;
        match keyword(key) {
            Some("service") => return Err(format!("line {number}: a service does not lead to another")),
            Some(keyword) => found.push((keyword, value.to_owned())),
            None => return Err(format!("line {number}: an unknown connection parameter")),
        }
    }
    Ok(found)
}

/// What `.pgpass` says.
pub(super) struct Passwords {
    text: zeroize::Zeroizing<String>,
    /// Why the file was not used.
    pub unused: Option<String>,
}

impl Passwords {
    /// Reads the file, where there is one. As in libpq one that others can read is not used.
    pub async fn read(settings: &Settings, variables: &Variables) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let none = |unused| Self { text: zeroize::Zeroizing::default(), unused };
        let given = settings.get("passfile").map(|file| variables.expanded(file));
        let Some(path) = given.or_else(|| Some(variables.home()?.join(".pgpass"))) else { return none(None) };
        let Ok(meta) = tokio::fs::metadata(&path).await else { return none(None) };
        if !meta.is_file() {
            return none(Some(format!("{} is no plain file and was not used", shown(&path))));
        }
        if meta.mode() & 0o077 != 0 {
            return none(Some(format!("{} can be read by others and was not used: chmod 600", shown(&path))));
        }
        match tokio::fs::read_to_string(&path).await {
            Ok(text) => Self { text: zeroize::Zeroizing::new(text), unused: None },
            Err(why) => none(Some(format!("{} was not used: {why}", shown(&path)))),
        }
    }

    /// The password of the first line that fits.
    pub fn of(&self, host: &HostAt, database: &str, user: &str) -> Option<Secret> {
        let port = host.port.to_string();
        // libpq calls its own socket folder `localhost` here.
        let local = matches!(&host.at, At::Folder(folder) if SOCKETS.iter().any(|own| Path::new(own) == folder));
        let name = if local { "localhost" } else { host.name.as_str() };
        let wanted = [name, port.as_str(), database, user];
        self.text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
            let fields = fields(line.trim_end_matches('\r'));
            let fits = |(field, wanted): (&String, &&str)| field == "*" || field == *wanted;
            let password = fields.get(4).filter(|word| !word.is_empty())?;
            fields.iter().zip(&wanted).all(fits).then(|| Secret::new(password.clone()))
        })
    }
}

/// `host:port:database:user:password`; a colon or backslash in a field has a backslash before it. The last field is
/// the rest of the line.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut signs = line.chars();
    while let Some(sign) = signs.next() {
        let last = fields.len() == 5;
        let Some(field) = fields.last_mut() else { break };
        match sign {
            // An escaped star is a star and not any text: nothing is called so, so the difference is left.
            '\\' => field.extend(signs.next()),
            ':' if !last => fields.push(String::new()),
            other => field.push(other),
        }
    }
    fields
}

fn shown(path: &Path) -> String {
    clean_line(&path.display().to_string(), 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, port: u16) -> HostAt {
        HostAt { name: name.into(), at: At::Name(name.into()), port, password: None }
    }

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let text = "# db:5432:app:ann:no\n\ndb:5432:app:bob:bobs\ndb:*:*:ann:a\\:b\\\\c:d\n*:*:*:*:any\n".to_owned();
        let passwords = Passwords { text: zeroize::Zeroizing::new(text), unused: None };
        let of = |name: &str, port, database: &str, user: &str| {
            passwords.of(&host(name, port), database, user).map(|word| word.expose().to_owned())
        };
        assert_eq!(of("db", 5432, "app", "bob").as_deref(), Some("bobs"));
        assert_eq!(of("db", 1, "x", "ann").as_deref(), Some("a:b\\c:d"));
        assert_eq!(of("other", 1, "x", "ann").as_deref(), Some("any"));
        let socket = HostAt { name: "/tmp".into(), at: At::Folder("/tmp".into()), port: 1, password: None };
        let local = Passwords { text: zeroize::Zeroizing::new("localhost:1:x:u:own".into()), unused: None };
        assert_eq!(local.of(&socket, "x", "u").map(|word| word.expose().to_owned()).as_deref(), Some("own"));
        assert!(local.of(&host("db", 1), "x", "u").is_none());
    }

    #[test]
    fn a_service_is_its_section() {
        let text = "# c\n[other]\nhost=no\n[acme]\nhost=db.example\nport=5433\npassword=a=b\n\n[next]\nuser=no\n";
        let found = section(text, "acme").unwrap().unwrap();
        assert_eq!(found, [("host", "db.example".into()), ("port", "5433".into()), ("password", "a=b".into())]);
        assert_eq!(section(text, "none").unwrap(), None);
        for bad in ["[a]\nnothing", "[a]\nhots=x", "[a]\nldap://x", "[a]\nservice=b"] {
            assert!(section(bad, "a").is_err(), "{bad}");
        }
    }
}
