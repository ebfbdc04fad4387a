//! Where the servers' files are, and whose. PostgreSQL refuses to run as root; there the servers belong to the user
//! `postgres` or `nobody`, who cannot look into root's folders, so that they get a folder beside the temporary ones.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

/// Users that servers may run as in root's place, best first.
const USERS: [&str; 2] = ["postgres", "nobody"];
/// Folders that are there for files that need not stay; `TMPDIR` comes before them.
const TEMPORARY: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];
/// How the folders begin.
const PREFIX: &str = "gonogo-data-";
/// Names whom a folder belongs to: the folder of a world, or the process of one that lives in memory (`pid N`).
const WORLD: &str = "world";
const PROCESS: &str = "pid ";

/// A folder for the servers' files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// The folder; `0700`.
    pub dir: PathBuf,
    /// User and group that the servers run as, where that is not who runs us.
    pub owner: Option<(u32, u32)>,
}

impl Place {
    /// Makes a folder: in the world's own where that can be, else a temporary one.
    pub fn make(world: Option<&Path>) -> io::Result<Self> {
        let root = rustix::process::geteuid().is_root();
        let owner = if root { Some(user()?) } else { None };
        if let (Some(world), None) = (world, owner) {
            let dir = fs::canonicalize(world)?.join("data");
            private(&dir)?;
            return Ok(Self { dir, owner });
        }
        sweep();
        let mut last = io::Error::other("there is no folder for temporary files");
        for parent in temporary() {
            if owner.is_some_and(|owner| !reaches(&parent, owner)) {
                continue;
            }
            let dir = parent.join(format!("{PREFIX}{:016x}", fastrand::u64(..)));
            match private(&dir) {
                Ok(()) => {
                    let whose = match world {
                        Some(world) => fs::canonicalize(world)?.into_os_string().into_encoded_bytes(),
                        None => format!("{PROCESS}{}", std::process::id()).into_bytes(),
                    };
                    fs::write(dir.join(WORLD), whose)?;
                    let place = Self { dir, owner };
                    place.give(&place.dir)?;
                    return Ok(place);
                }
                Err(e) => last = e,
            }
        }
        Err(last)
    }

    /// True where it is as it was left: a folder, and still the servers' own.
    pub fn is_there(&self) -> bool {
        let owner = self.owner.map_or_else(|| rustix::process::geteuid().as_raw(), |(user, _)| user);
        fs::symlink_metadata(&self.dir).is_ok_and(|found| found.is_dir() && found.uid() == owner)
    }

    /// Empties it, for a start from the beginning.
    pub fn empty(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else if entry.file_name() != WORLD {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// A file of the servers, which nobody else reads.
    pub fn write(&self, path: &Path, text: &str) -> io::Result<()> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        self.give(path)
    }

    /// A folder of the servers.
    pub fn folder(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.dir.join(name);
        private(&path)?;
        self.give(&path)?;
        Ok(path)
    }

    fn give(&self, path: &Path) -> io::Result<()> {
        match self.owner {
            Some((user, group)) => chown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }
}

/// Makes a folder that only its owner enters. One that is there is not taken.
fn private(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(dir)
}

fn temporary() -> Vec<PathBuf> {
    let named = std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    named.into_iter().chain(TEMPORARY.iter().map(PathBuf::from)).filter_map(|dir| fs::canonicalize(dir).ok()).collect()
}

/// Folders whose world is gone, as when somebody removed a run that was never taken up again.
fn sweep() {
    for parent in temporary() {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
            if !ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let Ok(world) = fs::read_to_string(entry.path().join(WORLD)) else { continue };
            let gone = match world.strip_prefix(PROCESS) {
                Some(pid) => {
                    pid.parse().ok().and_then(Pid::from_raw).is_some_and(|pid| test_kill_process(pid).is_err())
                }
                None => !world.is_empty() && !Path::new(&world).exists(),
            };
            if gone {
                // Where it cannot be removed it is somebody else's.
                let _left = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// True where a user may enter a folder and all above it.
fn reaches(dir: &Path, (user, group): (u32, u32)) -> bool {
    dir.ancestors().all(|dir| {
        fs::metadata(dir).is_ok_and(|found| {
            let bit = if found.uid() == user {
                0o100
            } else if found.gid() == group {
                0o010
            } else {
                0o001
            };
            found.permissions().mode() & bit != 0
        })
    })
}

/// Whom servers run as in root's place.
fn user() -> io::Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd")?;
    let found = USERS.iter().find_map(|name| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        let ids = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (ids.0 != 0).then_some(ids)
    });
    found
        .ok_or_else(|| io::Error::other("PostgreSQL does not run as root, and there is no user `postgres` or `nobody`"))
}
