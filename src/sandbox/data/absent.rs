//! In the place of the servers in a build without their clients: nothing can be brought up, and nobody asks for it.

use std::{io, path::Path};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{Server, Wanted};
use crate::sandbox::{dns::Origins, keeper::Handle, seed::Seed, web::Side};

/// Nothing is remembered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Memory {}

impl Memory {
    pub fn database(&self, _new: bool) -> String {
        String::new()
    }

    pub fn redis(&self, _new: bool) -> String {
        String::new()
    }

    pub fn admin(&self, _new: bool) -> String {
        String::new()
    }

    pub fn has(&self, _server: Server) -> bool {
        false
    }
}

/// Nothing is opened.
pub(in crate::sandbox) struct Data {
    pub memory: Memory,
}

/// Nothing runs.
pub(in crate::sandbox) struct Running {}

/// Nothing is written down.
#[derive(Clone)]
pub(in crate::sandbox) struct Till {}

impl Till {
    pub async fn order(&self, _: Side, _: &str) -> Result<(), String> {
        std::future::ready(Ok(())).await
    }
}

impl Data {
    pub async fn open(_: Wanted, _: Option<Memory>, _: Option<&Path>) -> io::Result<Self> {
        std::future::ready(Err(io::Error::new(io::ErrorKind::Unsupported, "this build has no clients for them"))).await
    }

    pub fn run(self, _: Handle, _: Origins, _: Seed) -> Running {
        Running {}
    }
}

impl Running {
    pub fn till(&self) -> watch::Receiver<Option<Till>> {
        watch::channel(None).1
    }

    pub async fn end(self, _remove: bool) {
        std::future::ready(()).await;
    }
}
