//! Where runs are kept, and which are there.

use std::{
    cmp::Reverse,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use etcetera::BaseStrategy;

use super::{
    dir::{JOURNAL, runs_path},
    error::RunDirError,
    folder::{Folder, io_error},
    frame::{HEADER, MAX_LINE},
};
use crate::base::RunId;

/// The state folder: the flag, else `$GONOGO_STATE_DIR`, else `gonogo` in the XDG state folder
/// (`$XDG_STATE_HOME`, else `~/.local/state`). It need not exist.
///
/// # Errors
/// If there is no home folder, or the working folder of a relative path is gone.
pub fn state_dir(flag: Option<&Path>) -> std::io::Result<PathBuf> {
    let named = std::env::var_os("GONOGO_STATE_DIR").filter(|value| !value.is_empty());
    if let Some(path) = flag.map(Path::to_owned).or(named.map(PathBuf::from)) {
        return std::path::absolute(path);
    }
    let base = etcetera::choose_base_strategy().map_err(std::io::Error::other)?;
    Ok(base.state_dir().unwrap_or_else(|| base.data_dir()).join("gonogo"))
}

/// A run that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Its folder.
    pub path: PathBuf,
}

/// All runs, newest first: by their ids, which begin with the second, and within one by their first records. What is no
/// run is passed over.
///
/// # Errors
/// If the folder is there and cannot be listed.
pub fn runs(state: &Path) -> Result<Vec<Run>, RunDirError> {
    let folder = runs_path(state);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error("list", &folder)(error)),
    };
    let mut runs = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io_error("list", &folder))?;
        let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
        // `file_type` does not follow links.
        if let (Some(id), true) = (id, entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            runs.push(Run { id, path: entry.path() });
        }
    }
    runs.sort_by(|a, b| b.id.cmp(&a.id));
    for same in runs.chunk_by_mut(|a, b| second(&a.id) == second(&b.id)).filter(|same| same.len() > 1) {
        same.sort_by_cached_key(|run| Reverse(opened(&run.path)));
    }
    Ok(runs)
}

/// An id without its last part, which is random.
fn second(id: &RunId) -> &str {
    id.as_str().rsplit_once('-').map_or(id.as_str(), |(second, _)| second)
}

/// The time of a run's first record; `None` where it has none that can be read.
fn opened(path: &Path) -> Option<DateTime<Utc>> {
    #[derive(serde::Deserialize)]
    struct First {
        at: DateTime<Utc>,
    }
    let journal = Folder::open(path).ok()?.read(JOURNAL).ok()??;
    let mut line = Vec::new();
    BufReader::new(journal.take(MAX_LINE as u64)).read_until(b'\n', &mut line).ok()?;
    let first: First = serde_json::from_slice(line.get(HEADER..)?).ok()?;
    Some(first.at)
}

/// Why a run was not found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// There is none at all.
    #[error("there are no runs in {}", .0.display())]
    NoRuns(PathBuf),
    /// None is called so.
    #[error("no run is called `{0}`; `gonogo runs list` shows them")]
    Unknown(String),
    /// More than one begins so.
    #[error("`{text}` could be any of {}", .runs.join(", "))]
    Ambiguous {
        /// What was asked for.
        text: String,
        /// Up to five that fit.
        runs: Vec<String>,
    },
    /// The runs cannot be listed.
    #[error(transparent)]
    Dir(#[from] RunDirError),
}

/// A run by `last`, its id, the beginning of its id if only one has it, or the path of its folder
/// (anything with a `/`).
///
/// # Errors
/// If there is none or more than one.
pub fn find(state: &Path, text: &str) -> Result<Run, FindError> {
    let unknown = || FindError::Unknown(crate::base::clean_line(text, 80));
    if text.contains('/') {
        let path = std::path::absolute(text).map_err(|_| unknown())?;
        let id = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        return Ok(Run { id: id.ok_or_else(unknown)?, path });
    }
    let all = runs(state)?;
    if let ("last", Some(newest)) = (text, all.first()) {
        return Ok(newest.clone());
    }
    if all.is_empty() {
        return Err(FindError::NoRuns(runs_path(state)));
    }
    if let Some(run) = all.iter().find(|run| run.id.as_str() == text) {
        return Ok(run.clone());
    }
    let fit: Vec<&Run> = all.iter().filter(|run| run.id.as_str().starts_with(text)).collect();
    match fit.as_slice() {
        [run] if !text.is_empty() => Ok((*run).clone()),
        [] => Err(unknown()),
        _ => {
            let runs = fit.iter().take(5).map(|run| run.id.to_string()).collect();
            Err(FindError::Ambiguous { text: crate::base::clean_line(text, 80), runs })
        }
    }
}
