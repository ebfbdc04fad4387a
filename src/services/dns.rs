//! DNS, asked directly: one message to one server.

use std::sync::Arc;

use crate::runbook::Env;

/// DNS as one environment asks it.
pub struct Dns {
    _env: Arc<Env>,
}

impl Dns {
    /// A client that has not asked anything yet.
    #[must_use]
    pub fn new(env: Arc<Env>) -> Self {
        Self { _env: env }
    }
}
