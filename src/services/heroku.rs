//! Heroku's Platform API.

use std::sync::{Arc, Weak};

use super::Services;
use crate::{base::Failure, runbook::Env};

/// Heroku as one environment reaches it.
pub struct Heroku {
    _env: Arc<Env>,
    _services: Weak<Services>,
}

impl Heroku {
    /// A client that has not asked anything yet.
    #[must_use]
    pub fn new(env: Arc<Env>, services: Weak<Services>) -> Self {
        Self { _env: env, _services: services }
    }

    /// The value of a config var of the environment's app.
    ///
    /// # Errors
    /// `Denied`, `Misconfigured` (no such var) or `FailedNothingDone`.
    pub async fn config_var(&self, _name: &str) -> Result<String, Failure> {
        unreachable!()
    }
}
