//! One run's folder, `<state>/runs/<run-id>/`: made once, opened to go on, or only looked at.
//!
//! ```text
//! lock          who drives          runbook.toml  the bytes as read      plan.json  the resolved plan
//! journal.jsonl the records         head          how far it was sealed  reserve    space for last words
//! out/<step>-<attempt>.log          tear-<n>      torn writes, cut off   socket     for attached terminals
//! out/<step>.live  what it started
//! ```

use std::{
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::fstat;

use super::{
    error::RunDirError,
    folder::{Folder, io_error},
    frame::{Chain, hex_text},
    head::Head,
    lines::Lines,
    live,
    lock::{self, Holder, Lock},
    out::OutFile,
    read::{self, Damage, Load, Pin},
    record::Record,
    room::{self, Room},
    writer::Journal,
};
use crate::base::{RunId, StepId};

pub(super) const JOURNAL: &str = "journal.jsonl";
const RUNBOOK: &str = "runbook.toml";
const PLAN: &str = "plan.json";
const OUT: &str = "out";
const RUNS: &str = "runs";
/// The bound of `runbook.toml` and `plan.json` when read back: a runbook has at most 1 MiB.
const MAX_FILE: u64 = 64 << 20;

/// An open run folder. Without a lock it is only to be read.
#[derive(Debug)]
pub struct RunDir {
    run: RunId,
    folder: Folder,
    lock: Option<Lock>,
}

impl RunDir {
    /// Makes a new run: the folder and all its files, synced, the lock taken. The journal has no record yet.
    ///
    /// # Errors
    /// Any [`RunDirError`] but damage; [`RunDirError::Exists`] where another start was first.
    pub fn create(state: &Path, run: &RunId, runbook: &[u8], plan: &[u8], room: Room) -> Result<Journal, RunDirError> {
        let runs = runs_folder(state)?;
        room::local(&runs, runs.path(), room)?;
        room::free(&runs, runs.path(), room)?;
        let folder = runs.make(run.as_str())?;
        let lock = Lock::create(&folder)?;
        room::reserve(&folder, room)?;
        folder.put_new(RUNBOOK, runbook)?;
        folder.put_new(PLAN, plan)?;
        folder.make(OUT)?;
        let journal = folder.put_new(JOURNAL, b"")?;
        let chain = Chain::start(run);
        let inode = fstat(&journal).map_err(folder.io("look at", JOURNAL))?.st_ino;
        // This syncs the folder, and with it every name above.
        Head { seq: 0, hash: hex_text(&chain.hash), length: 0, inode }.seal(&folder)?;
        runs.sync()?;
        let dir = Arc::new(Self { run: run.clone(), folder, lock: Some(lock) });
        Journal::new(dir.clone(), Lines::new(journal, chain, 0), 0).map_err(dir.folder.io("look at", JOURNAL))
    }

    /// Opens a run's folder to be read: replay, report, verify. Takes no lock and changes nothing.
    ///
    /// # Errors
    /// [`RunDirError::NotThere`], also where the folder's name is no run id; [`RunDirError::Unsafe`] for a link.
    pub fn view(path: &Path) -> Result<Self, RunDirError> {
        Ok(Self { run: run_id(path)?, folder: Folder::open(path)?, lock: None })
    }

    /// As [`RunDir::view`], with the lock, and only where nobody else can write.
    pub(super) fn drive(path: &Path, room: Room) -> Result<Self, RunDirError> {
        let dir = Self::view(path)?;
        dir.folder.must_be_private()?;
        room::local(&dir.folder, path, room)?;
        let lock = Lock::acquire(&dir.folder)?;
        Ok(Self { lock: Some(lock), ..dir })
    }

    /// Verifies the journal against its chain, `head` and `pins`, and hands every record on, decoded, with
    /// its number. See [`read::read`].
    ///
    /// # Errors
    /// If the journal is missing, refused or cannot be read. Damage is no error: the result tells it.
    pub fn read<T: Record>(&self, pins: &[Pin], on: impl FnMut(u64, T)) -> Result<Load, RunDirError> {
        self.load(pins, |file, pins| read::read(file, &self.run, pins, on))
    }

    /// As [`RunDir::read`] without decoding.
    ///
    /// # Errors
    /// As [`RunDir::read`].
    pub fn verify(&self, pins: &[Pin]) -> Result<Load, RunDirError> {
        self.load(pins, |file, pins| read::verify(file, &self.run, pins))
    }

    fn load(
        &self,
        pins: &[Pin],
        read: impl FnOnce(std::fs::File, &[Pin]) -> std::io::Result<Load>,
    ) -> Result<Load, RunDirError> {
        // `head` first: a run that is being driven goes on in between, and `head` never covers more than is there.
        let head = Head::load(&self.folder)?;
        let missing = || RunDirError::NotThere { path: self.folder.path().join(JOURNAL) };
        let journal = self.folder.read(JOURNAL)?.ok_or_else(missing)?;
        let mut pins = pins.to_vec();
        pins.extend(head.iter().filter_map(|head| head.as_ref().ok().map(Head::pin)));
        let mut load = read(journal, &pins).map_err(self.folder.io("read", JOURNAL))?;
        if let (Some(Err(flaw)), None) = (head, &load.damage) {
            load.damage = Some(Damage { line: load.records + 1, offset: load.length, flaw });
        }
        Ok(load)
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Who drives the run now; `None` if nobody does.
    ///
    /// # Errors
    /// If the lock is refused or cannot be looked at.
    pub fn holder(&self) -> Result<Option<Holder>, RunDirError> {
        lock::holder(&self.folder)
    }

    /// The runbook's bytes as they were when the run was made.
    ///
    /// # Errors
    /// If the file is missing, refused or cannot be read.
    pub fn runbook(&self) -> Result<Vec<u8>, RunDirError> {
        self.bytes(RUNBOOK)
    }

    /// The plan's bytes as they were when the run was made.
    ///
    /// # Errors
    /// As [`RunDir::runbook`].
    pub fn plan(&self) -> Result<Vec<u8>, RunDirError> {
        self.bytes(PLAN)
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>, RunDirError> {
        let missing = || RunDirError::NotThere { path: self.folder.path().join(name) };
        self.folder.bytes(name, MAX_FILE)?.ok_or_else(missing)
    }

    /// The file for what an attempt's command prints, made with its first byte.
    #[must_use]
    pub fn output(&self, step: &StepId, attempt: u32) -> OutFile {
        OutFile::new(self.folder.path().join(OUT), format!("{step}-{attempt}.log"))
    }

    /// A share of the step's lock, for a program that is started to change something: whoever has the descriptor holds
    /// it, so it is handed to the program and closed here.
    ///
    /// # Errors
    /// If its file cannot be made or locked.
    pub fn share_live(&self, step: &StepId) -> std::io::Result<std::fs::File> {
        live::share(&self.live(step))
    }

    /// True while something lives on that an attempt of the step started.
    ///
    /// # Errors
    /// If the lock cannot be looked at.
    pub fn lives_on(&self, step: &StepId) -> std::io::Result<bool> {
        live::shared(&self.live(step))
    }

    fn live(&self, step: &StepId) -> PathBuf {
        self.folder.path().join(OUT).join(format!("{step}.live"))
    }

    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// True while the lock that was taken is the one that others would find.
    pub(super) fn locked(&self) -> bool {
        self.lock.as_ref().is_some_and(|lock| lock.in_place(&self.folder))
    }
}

fn run_id(path: &Path) -> Result<RunId, RunDirError> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.parse().ok()).ok_or_else(|| RunDirError::NotThere { path: path.to_owned() })
}

/// Where the runs of a state folder are.
pub(super) fn runs_path(state: &Path) -> PathBuf {
    state.join(RUNS)
}

/// The folder of runs, made where it is not there; refused where others could swap what is in it.
fn runs_folder(state: &Path) -> Result<Folder, RunDirError> {
    let path = runs_path(state);
    let missing: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(io_error("make", &path))?;
    let parents = missing.iter().filter_map(|path| path.parent()).filter(|path| !path.as_os_str().is_empty());
    for parent in parents {
        std::fs::File::open(parent).and_then(|folder| folder.sync_all()).map_err(io_error("sync", parent))?;
    }
    let folder = Folder::open(&path)?;
    folder.must_be_safe()?;
    Ok(folder)
}
