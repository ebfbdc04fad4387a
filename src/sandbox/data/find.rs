//! Where PostgreSQL's and Redis' programs are on this machine, and what installs them where they are not. Starts
//! nothing, apart from `pg_config` where nothing else is found.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Names folders to look in, in place of all the usual ones.
const ONLY: &str = "GONOGO_SANDBOX_PROGRAMS";
/// What a folder must hold to serve as PostgreSQL's.
const POSTGRES: [&str; 2] = ["initdb", "postgres"];
/// What can serve as Redis; the second is its fork, which speaks the same.
const REDIS: [&str; 2] = ["redis-server", "valkey-server"];
/// Folders with one more folder for each version in them, and where its programs are below that.
const VERSIONED: [(&str, &str, &str); 4] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
];
/// Where else they may be: systems leave these out of the path of some users.
const USUAL: [&str; 6] =
    ["/usr/bin", "/usr/local/bin", "/usr/sbin", "/usr/local/sbin", "/usr/local/pgsql/bin", "/opt/homebrew/bin"];

/// A kind of server that the sandbox can bring up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Server {
    /// Two clusters of it.
    Postgres,
    /// One, for both sides.
    Redis,
}

impl Server {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Redis => "Redis",
        }
    }

    /// Which server a config var of the sandbox's Heroku app leads to.
    #[must_use]
    pub fn of_heroku_config(name: &str) -> Option<Self> {
        super::HEROKU.iter().find(|(var, ..)| *var == name).map(|(_, server, _)| *server)
    }

    /// Which server a secret of the sandbox's Secrets Manager leads to, by its name or ARN.
    #[must_use]
    pub fn of_aws_secret(id: &str) -> Option<Self> {
        let names = super::ADMINISTRATORS.into_iter().chain([super::NEW_DATABASE]);
        let mut named = names.map(|name| id == name || id.contains(&format!(":secret:{name}-")));
        named.any(|named| named).then_some(Self::Postgres)
    }

    /// Which server a parameter of the sandbox's Parameter Store leads to, by its name or ARN.
    #[must_use]
    pub fn of_aws_parameter(name: &str) -> Option<Self> {
        (name == super::NEW_REDIS || name.ends_with(&format!(":parameter{}", super::NEW_REDIS))).then_some(Self::Redis)
    }
}

/// The programs of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Programs {
    /// The folder of `initdb` and `postgres`.
    pub postgres: Option<PathBuf>,
    /// `redis-server` or `valkey-server`.
    pub redis: Option<PathBuf>,
    /// Where it was looked, for the words about what is missing.
    only: Option<String>,
}

impl Programs {
    /// Looks for them: on the path, in the usual folders, newest version first. Where `GONOGO_SANDBOX_PROGRAMS` names
    /// folders, only there.
    #[must_use]
    pub fn find() -> Self {
        if let Some(only) = std::env::var_os(ONLY) {
            let folders: Vec<PathBuf> = std::env::split_paths(&only).collect();
            return Self { only: Some(only.to_string_lossy().into_owned()), ..Self::among(&folders) };
        }
        let mut folders: Vec<PathBuf> = std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
        folders.extend(VERSIONED.iter().flat_map(|(root, prefix, below)| versions(Path::new(root), prefix, below)));
        folders.extend(USUAL.iter().map(PathBuf::from));
        let found = Self::among(&folders);
        if found.postgres.is_some() {
            return found;
        }
        Self { postgres: pg_config().filter(|folder| holds(folder, &POSTGRES)), ..found }
    }

    /// What is in these folders, the first one first.
    fn among(folders: &[PathBuf]) -> Self {
        let server = |folder: &PathBuf| REDIS.iter().map(|name| folder.join(name)).find(|path| runs(path));
        Self {
            postgres: folders.iter().find(|folder| holds(folder, &POSTGRES)).cloned(),
            redis: folders.iter().find_map(server),
            only: None,
        }
    }

    /// The servers that cannot be brought up here, each with the reason as a fragment.
    #[must_use]
    pub fn missing(&self) -> Vec<(Server, String)> {
        let place = match &self.only {
            Some(only) => format!("in {ONLY}={}", crate::base::clean_line(only, 80)),
            None => "on the path and in the usual folders".to_owned(),
        };
        let built = cfg!(all(feature = "postgres", feature = "redis"));
        let why = |names: &[&str], word: &str| match built {
            true => format!("{} not found {place}", names.join(word)),
            false => "this build has no client for it".to_owned(),
        };
        let mut missing = Vec::new();
        if self.postgres.is_none() || !built {
            missing.push((Server::Postgres, why(&POSTGRES, " and ")));
        }
        if self.redis.is_none() || !built {
            missing.push((Server::Redis, why(&REDIS[..1], "")));
        }
        missing
    }
}

/// The one command that installs servers here, by what this system has.
#[must_use]
pub fn install(servers: &BTreeSet<Server>) -> String {
    const MANAGERS: [(&str, &str, &str, &str); 7] = [
        ("apt-get", "apt-get install", "postgresql", "redis-server"),
        ("dnf", "dnf install", "postgresql-server", "redis"),
        ("yum", "yum install", "postgresql-server", "redis"),
        ("apk", "apk add", "postgresql", "redis"),
        ("pacman", "pacman -S", "postgresql", "valkey"),
        ("zypper", "zypper install", "postgresql-server", "redis"),
        ("brew", "brew install", "postgresql", "redis"),
    ];
    let folders: Vec<PathBuf> = std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
    let here = |program: &str| folders.iter().any(|folder| runs(&folder.join(program)));
    let found = MANAGERS.iter().find(|(program, ..)| here(program));
    let packages = |postgres: &str, redis: &str| {
        let name = |server: &Server| match server {
            Server::Postgres => postgres.to_owned(),
            Server::Redis => redis.to_owned(),
        };
        servers.iter().map(name).collect::<Vec<_>>()
    };
    match found {
        Some((program, command, postgres, redis)) => {
            let root = rustix::process::geteuid().is_root() || *program == "brew";
            let sudo = if root { "" } else { "sudo " };
            format!("{sudo}{command} {}", packages(postgres, redis).join(" "))
        }
        None => format!("install {}", packages("PostgreSQL", "Redis").join(" and ")),
    }
}

fn holds(folder: &Path, names: &[&str]) -> bool {
    names.iter().all(|name| runs(&folder.join(name)))
}

/// True for a file that may be executed.
fn runs(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// The folders of all versions below `root`, newest first.
fn versions(root: &Path, prefix: &str, below: &str) -> Vec<PathBuf> {
    let names = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    let version = |name: &str| {
        let digits = name.strip_prefix(prefix)?.trim_start_matches(['@', '-']);
        let number: Vec<u32> = digits.split('.').map_while(|part| part.parse().ok()).collect();
        // Homebrew's plain `postgresql` is a version too, the one that is current.
        (digits.is_empty() || !number.is_empty()).then_some(number)
    };
    let mut found: Vec<(Vec<u32>, String)> = names.filter_map(|name| Some((version(&name)?, name))).collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, name)| root.join(name).join(below)).collect()
}

/// What `pg_config` says.
fn pg_config() -> Option<PathBuf> {
    let said = Command::new("pg_config").arg("--bindir").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let path = OsStr::new(std::str::from_utf8(&said.stdout).ok()?.trim());
    (said.status.success() && !path.is_empty()).then(|| path.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn program(folder: &Path, name: &str) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join(name), "").unwrap();
        std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn the_newest_version_comes_first() {
        let root = tempfile::tempdir().unwrap();
        for (version, names) in [("9.6", &POSTGRES[..]), ("15", &POSTGRES), ("17", &POSTGRES[..1]), ("tmp", &POSTGRES)]
        {
            names.iter().for_each(|name| program(&root.path().join(version).join("bin"), name));
        }
        let all = versions(root.path(), "", "bin");
        let named: Vec<_> = all.iter().map(|path| path.strip_prefix(root.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(named, ["17/bin", "15/bin", "9.6/bin"]);
        // A client's package leaves a folder without a server.
        assert_eq!(Programs::among(&all).postgres, Some(root.path().join("15/bin")));
    }

    #[test]
    fn what_is_missing_is_named_with_one_command_for_all() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_owned()];
        let names = |programs: &Programs| programs.missing().iter().map(|(server, _)| *server).collect::<Vec<_>>();
        assert_eq!(names(&Programs::among(&folders)), [Server::Postgres, Server::Redis]);
        program(folder.path(), "valkey-server");
        assert_eq!(Programs::among(&folders).redis, Some(folder.path().join("valkey-server")));
        POSTGRES.iter().for_each(|name| program(folder.path(), name));
        if cfg!(all(feature = "postgres", feature = "redis")) {
            assert_eq!(names(&Programs::among(&folders)), []);
        }
        let command = install(&BTreeSet::from([Server::Postgres, Server::Redis])).to_lowercase();
        assert!(
            command.contains("postgresql") && (command.contains("redis") || command.contains("valkey")),
            "{command}"
        );
    }

    #[test]
    fn places_lead_to_servers() {
        assert_eq!(Server::of_heroku_config("DATABASE_URL"), Some(Server::Postgres));
        assert_eq!(Server::of_heroku_config("REDIS_URL"), Some(Server::Redis));
        assert_eq!(Server::of_heroku_config("LOG_LEVEL"), None);
        let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:acme/prod/database-url-Sandbx";
        assert_eq!(Server::of_aws_secret("acme/prod/database-url"), Some(Server::Postgres));
        assert_eq!(Server::of_aws_secret(arn), Some(Server::Postgres));
        assert_eq!(Server::of_aws_secret("acme/prod/app"), None);
        assert_eq!(Server::of_aws_parameter("/acme/prod/REDIS_URL"), Some(Server::Redis));
        assert_eq!(Server::of_aws_parameter("/acme/prod/LOG_LEVEL"), None);
    }
}
