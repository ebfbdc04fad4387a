//! Which sessions of a server are our own. Neither a role nor a name nor an address tells: a pooler's sessions can have all
//! three of ours. The process and the moment at which it began do, at whatever server.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The process of a row of `pg_stat_activity`, and when it began. Where that is hidden from us it is nobody's of ours.
pub(super) const PROCESS: &str =
    "pg_catalog.format('%s/%s', a.pid, (extract(epoch FROM a.backend_start) * 1000000)::bigint)";
/// A server may show a session for a moment after we left it.
const LINGERS: Duration = Duration::from_secs(10);

/// Sessions that this process has open, or left a moment ago. Those of a run that died are nobody's.
#[derive(Debug, Default)]
pub(super) struct Own(Mutex<HashMap<String, Option<Instant>>>);

impl Own {
    /// A session was opened.
    pub fn opened(&self, process: String) {
        self.with(|all| {
            all.insert(process, None);
        });
    }

    /// It was left.
    pub fn left(&self, process: &str) {
        self.with(|all| {
            if let Some(left) = all.get_mut(process) {
                *left = Some(Instant::now());
            }
        });
    }

    /// All of them, as [`PROCESS`] has them.
    pub fn all(&self) -> Vec<String> {
        let mut own = Vec::new();
        self.with(|all| own.extend(all.keys().cloned()));
        own
    }

    fn with(&self, change: impl FnOnce(&mut HashMap<String, Option<Instant>>)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, left| left.is_none_or(|at| at.elapsed() < LINGERS));
        change(&mut all);
    }
}
