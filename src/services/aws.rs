//! AWS: one shared configuration, the official clients of what acts, a thin signed client for reads.

use std::sync::Arc;

use crate::{base::Failure, runbook::Env};

/// AWS as one environment reaches it.
pub struct Aws {
    _env: Arc<Env>,
}

impl Aws {
    /// A client that has not read anything yet.
    #[must_use]
    pub fn new(env: Arc<Env>) -> Self {
        Self { _env: env }
    }

    /// The value of a Secrets Manager secret; `id#key` picks a key of a JSON value.
    ///
    /// # Errors
    /// `Denied`, `Misconfigured` (no such secret) or `FailedNothingDone`.
    pub async fn secret_value(&self, _id: &str) -> Result<String, Failure> {
        unreachable!()
    }

    /// The decrypted value of a Systems Manager parameter.
    ///
    /// # Errors
    /// As [`Aws::secret_value`].
    pub async fn parameter_value(&self, _name: &str) -> Result<String, Failure> {
        unreachable!()
    }
}
