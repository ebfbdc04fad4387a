//! Opens `${secret.x}`: reads the value where the reference points, once, and registers it with the
//! redactor before anybody sees it.

use std::sync::{Arc, Weak};

use super::Services;
use crate::{
    base::{Failure, Redactor, Secret},
    runbook::SecretRef,
};

/// The runbook's secrets, opened on demand.
pub struct Secrets {
    _refs: Vec<SecretRef>,
    _redactor: Arc<Redactor>,
    _services: Weak<Services>,
}

impl Secrets {
    /// Closed secrets.
    #[must_use]
    pub fn new(refs: Vec<SecretRef>, redactor: Arc<Redactor>, services: Weak<Services>) -> Self {
        Self { _refs: refs, _redactor: redactor, _services: services }
    }

    /// The value of a secret; read once, then remembered.
    ///
    /// # Errors
    /// `Misconfigured` where it is not there, `Denied` where it may not be read.
    pub async fn open(&self, _name: &str) -> Result<Secret, Failure> {
        unreachable!()
    }
}
