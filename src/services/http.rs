//! Web servers: one request, its redirects, its answer.

use std::sync::Arc;

use crate::runbook::Env;

/// Web servers as one environment reaches them.
pub struct Http {
    _env: Arc<Env>,
}

impl Http {
    /// A client that has not asked anything yet.
    #[must_use]
    pub fn new(env: Arc<Env>) -> Self {
        Self { _env: env }
    }
}
