//! Floor 4: the built-in world of a rehearsal. One process on loopback speaks on the wire as AWS,
//! Heroku, DNS and two web origins do, to the real clients; nothing else is contacted.
//!
//! ```text
//!  aws CLI, SDK ──HTTP──▶ aws/    ┐                          ┌▶ world.json, before every answer
//!  heroku CLI ───HTTP──▶ heroku/  ├─ closures ─▶ keeper ──▶ World ┤
//!  dns clients ─UDP,TCP▶ dns/     │             (one task)   └▶ effects.jsonl, one line a change
//!  browsers ─────HTTP──▶ web      ┘                 ▲
//!  visitors ────────────────────────────────────────┘  numbers for CloudWatch
//! ```
//!
//! Whatever takes time (a deployment, INSYNC, a dyno that stops) is written down as the moment when it
//! happens and read off the clock, so a world whose process was killed has gone on meanwhile. Chance
//! comes from one seed. Knows neither kinds nor conductor nor views.
//!
//! The origins have addresses of their own and share one port: `127.0.0.2` old, `127.0.0.3` new. Where
//! those cannot be bound (macOS has only 127.0.0.1), the old one is `127.0.0.1`, the new one `::1`, and DNS
//! serves the new target as an AAAA record.

mod aws;
mod dns;
mod fault;
mod heroku;
mod http;
mod keeper;
mod names;
mod seed;
mod store;
mod story;
mod visitors;
mod web;
mod world;
mod xml;

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use tokio::{net::TcpListener, task::JoinSet};

use aws::metrics::Metrics;
use dns::{Origins, Role};
pub use fault::{BadFault, FAULTS, Fault};
use keeper::Handle;
pub use names::{BadName, WorldNames};
use store::Store;
use web::Side;
pub use world::Effect;
use world::World;

/// Ports tried until one is free at both origins.
const PORTS: usize = 32;

/// What the world is to be.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Everything random comes from it.
    pub seed: u64,
    /// What goes wrong on purpose.
    pub faults: Vec<Fault>,
    /// What things are called.
    pub world: WorldNames,
    /// Where the world survives its process; `None`: in memory.
    pub state_dir: Option<PathBuf>,
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
    #[error("its state in {} has format {found}, this program reads {known}", dir.display(), known = world::FORMAT)]
    Format {
        /// The directory.
        dir: PathBuf,
        /// What is there.
        found: u32,
    },
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
    /// The two caching resolvers, UDP and TCP.
    pub resolvers: Vec<SocketAddr>,
    /// Port of both web origins; their addresses come from DNS.
    pub web_port: u16,
    /// The old origin.
    pub old_origin: SocketAddr,
    /// The new origin.
    pub new_origin: SocketAddr,
    /// One line for every change that was made; `None` where the world lives in memory.
    pub effects: Option<PathBuf>,
}

/// The running world. Dropping it ends it at once, as a kill would.
pub struct Sandbox {
    endpoints: Endpoints,
    world: Handle,
    tasks: JoinSet<()>,
}

impl Sandbox {
    /// Starts it, or lets the one in `state_dir` go on: names and story are then those on disk, and of the faults
    /// asked for, those that were there keep what is left of them.
    ///
    /// # Errors
    /// Names that do not fit, a directory that cannot be used, no socket.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        config.world.check()?;
        let dir = config.state_dir.clone().unwrap_or_default();
        let state = |source| StartError::State { dir: dir.clone(), source };
        let (store, found) = Store::open(config.state_dir).map_err(state)?;
        let mut world = found.unwrap_or_else(|| World::new(config.world, config.seed, keeper::now()));
        if world.format != world::FORMAT {
            return Err(StartError::Format { dir, found: world.format });
        }
        world.starts += 1;
        world.arm(&config.faults);
        world.live.ids = seed::Seed::new(config.seed).fork(world.starts);
        world.live.metrics = Metrics::open(store.metrics());
        let visitors = seed::Seed::new(config.seed).fork(world.starts << 32);
        let names = world.names.clone();
        let effects = store.effects();
        let (world, task) = Handle::start(world, store).map_err(state)?;

        let mut tasks = JoinSet::new();
        tasks.spawn(task);
        let bind = |what| move |source| StartError::Bind { what, source };
        let (old, new) = origins().await.map_err(bind("the web origins"))?;
        let address = |listener: &TcpListener| listener.local_addr().map_err(bind("the web origins"));
        let (old_origin, new_origin) = (address(&old)?, address(&new)?);
        let origins = Origins { old: old_origin.ip(), new: new_origin.ip() };
        for (side, listener) in [(Side::Heroku, old), (Side::Aws, new)] {
            let world = world.clone();
            tasks.spawn(http::serve(listener, move |asked| web::answer(world.clone(), side, asked)));
        }

        let mut servers = Vec::new();
        for role in [Role::Authority, Role::Resolver(0), Role::Resolver(1)] {
            let (address, udp, tcp) = dns::bind().await.map_err(bind("a DNS server"))?;
            tasks.spawn(dns::serve_udp(world.clone(), udp, role, origins));
            tasks.spawn(dns::serve_tcp(world.clone(), tcp, role, origins));
            servers.push(address);
        }
        let resolvers = servers.split_off(1);

        let api = TcpListener::bind("127.0.0.1:0").await.map_err(bind("AWS"))?;
        let aws = format!("http://{}", api.local_addr().map_err(bind("AWS"))?);
        let asked = world.clone();
        tasks.spawn(http::serve(api, move |request| aws::answer(asked.clone(), request)));
        let api = TcpListener::bind("127.0.0.1:0").await.map_err(bind("Heroku"))?;
        let heroku = format!("http://{}", api.local_addr().map_err(bind("Heroku"))?);
        let asked = world.clone();
        tasks.spawn(http::serve(api, move |request| heroku::answer(asked.clone(), request)));

        let web_port = old_origin.port();
        tasks.spawn(visitors::run(world.clone(), visitors, names.host, origins, web_port));
        let endpoints = Endpoints {
            aws,
            access_key_id: aws::ACCESS_KEY_ID,
            secret_access_key: aws::SECRET_ACCESS_KEY,
            region: names.region,
            account: names.account,
            heroku,
            heroku_api_key: heroku::API_KEY,
            heroku_app: names.app,
            authoritative: servers,
            resolvers,
            web_port,
            old_origin,
            new_origin,
            effects,
        };
        Ok(Self { endpoints, world, tasks })
    }

    /// Where it is reached.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The variables by which the real clients find it, in the order to print them.
    #[must_use]
    pub fn exports(&self) -> Vec<(String, String)> {
        let at = &self.endpoints;
        let list = |all: &[SocketAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let pairs = [
            ("AWS_ENDPOINT_URL", at.aws.clone()),
            ("AWS_ACCESS_KEY_ID", at.access_key_id.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", at.secret_access_key.to_owned()),
            ("AWS_REGION", at.region.clone()),
            ("AWS_DEFAULT_REGION", at.region.clone()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("HEROKU_HOST", at.heroku.clone()),
            ("HEROKU_API_KEY", at.heroku_api_key.to_owned()),
            ("DISABLE_TELEMETRY", "true".to_owned()),
            ("GONOGO_SANDBOX_DNS", list(&at.authoritative)),
            ("GONOGO_SANDBOX_RESOLVERS", list(&at.resolvers)),
            ("GONOGO_SANDBOX_WEB_OLD", format!("http://{}", at.old_origin)),
            ("GONOGO_SANDBOX_WEB_NEW", format!("http://{}", at.new_origin)),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// The newest changes that were made, at most 256, oldest first.
    pub async fn effects(&self) -> Vec<Effect> {
        self.world.with(|world, _| world.effects.iter().cloned().collect()).await.unwrap_or_default()
    }

    /// Ends it. What was answered is saved already.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

/// The two origins on one port, each at an address of its own.
async fn origins() -> io::Result<(TcpListener, TcpListener)> {
    let mac: [IpAddr; 2] = [IpAddr::from([127, 0, 0, 1]), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let linux: [IpAddr; 2] = [IpAddr::from([127, 0, 0, 2]), IpAddr::from([127, 0, 0, 3])];
    let mut last = io::Error::other("no address was tried");
    for [old, new] in [linux, mac] {
        for _ in 0..PORTS {
            let bound = match TcpListener::bind((old, 0)).await {
                Ok(bound) => bound,
                Err(e) => {
                    last = e;
                    break;
                }
            };
            match TcpListener::bind((new, bound.local_addr()?.port())).await {
                Ok(other) => return Ok((bound, other)),
                Err(e) if e.kind() == io::ErrorKind::AddrInUse => last = e,
                Err(e) => {
                    last = e;
                    break;
                }
            }
        }
    }
    Err(last)
}
