//! What a world is started with, where it is then reached, and why it may not start.

use std::{io, net::SocketAddr, path::PathBuf};

use super::{
    aws::iam::Policy,
    data::Wanted,
    fault::Fault,
    names::{BadName, WorldNames},
    world::FORMAT,
};

/// What the world is to be.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Everything random comes from it.
    pub seed: u64,
    /// What goes wrong on purpose; `None`: what is left of the world's own faults, and in a new world nothing.
    pub faults: Option<Vec<Fault>>,
    /// What the caller may do at AWS; `None`: everything.
    pub policy: Option<Policy>,
    /// What things are called.
    pub world: WorldNames,
    /// Where the world survives its process; `None`: in memory.
    pub state_dir: Option<PathBuf>,
    /// Its databases and its Redis; `None`: it has none, and the URLs that lead there lead nowhere.
    pub data: Option<Wanted>,
}

/// Why the world cannot be. Completes "failed to start the sandbox: …".
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The names do not fit together.
    #[error(transparent)]
    Names(#[from] BadName),
    /// The directory cannot be read or written.
    #[error("its state in {} cannot be used: {source}", dir.display())]
    State {
        /// The directory.
        dir: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The directory holds a world of another layout.
    #[error("its state in {} has format {found}, this program reads {known}", dir.display(), known = FORMAT)]
    Format {
        /// The directory.
        dir: PathBuf,
        /// What is there.
        found: u32,
    },
    /// The origins' certificates cannot be made.
    #[error("no certificates for its origins: {0}")]
    Certificates(String),
    /// The databases cannot be had.
    #[error("its databases: {0}")]
    Data(io::Error),
    /// A socket on loopback cannot be had.
    #[error("no port of {what} on loopback: {source}")]
    Bind {
        /// Whose.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

/// Where the world is reached, and with which keys.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// All AWS services: `http://127.0.0.1:PORT`.
    pub aws: String,
    /// AWS access key id; requests signed with another one are refused.
    pub access_key_id: &'static str,
    /// AWS secret access key; the signature is checked.
    pub secret_access_key: &'static str,
    /// AWS region.
    pub region: String,
    /// AWS account that `GetCallerIdentity` names.
    pub account: String,
    /// Heroku's Platform API: `http://127.0.0.1:PORT`.
    pub heroku: String,
    /// The one key of the Heroku API.
    pub heroku_api_key: &'static str,
    /// Heroku app.
    pub heroku_app: String,
    /// Authoritative servers, UDP and TCP.
    pub authoritative: Vec<SocketAddr>,
    /// The server of the zone above, which delegates, UDP and TCP.
    pub parents: Vec<SocketAddr>,
    /// The two caching resolvers, UDP and TCP.
    pub resolvers: Vec<SocketAddr>,
    /// The host that moves.
    pub host: String,
    /// Its hosted zone.
    pub zone: String,
    /// Where its CNAME points at the start.
    pub old_target: String,
    /// Where it shall point.
    pub new_target: String,
    /// Port of both web origins; their addresses come from DNS.
    pub web_port: u16,
    /// Port of both web origins for TLS.
    pub tls_port: u16,
    /// The authority of their certificates (PEM), another one at every start.
    pub ca: String,
    /// The authority in a file; `None` where the world lives in memory.
    pub ca_file: Option<PathBuf>,
    /// The old origin.
    pub old_origin: SocketAddr,
    /// The new origin.
    pub new_origin: SocketAddr,
    /// URLs of the old and the new database, as the shop's own role; `None` where there are none.
    pub databases: Option<[String; 2]>,
    /// The same as the administrator, whom no platform gives away.
    pub administrators: Option<[String; 2]>,
    /// URLs of the Redis of the old and the new side; `None` where there is none.
    pub redis: Option<[String; 2]>,
    /// One line for every change that was made; `None` where the world lives in memory.
    pub effects: Option<PathBuf>,
}
