//! The running world: its sockets, its tasks, its end.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use super::{
    aws::{
        self,
        iam::{Authorization, Guard},
        metrics::Metrics,
    },
    config::{Config, Endpoints, StartError},
    data::{Data, Memory, Running, Server, Till},
    dns::{self, Origins, Role},
    heroku, http,
    keeper::{self, Handle},
    seed::Seed,
    store::Store,
    tls::Certificates,
    visitors,
    web::{self, Side},
    world::{Effect, FORMAT, World},
};

/// A world that is being dropped lets go of its directory within this many times the pause.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// Ports tried until one is free at both origins.
const PORTS: usize = 32;

/// The running world. Dropping it ends it at once, as a kill would.
pub struct Sandbox {
    endpoints: Endpoints,
    world: Handle,
    tasks: JoinSet<()>,
    data: Option<Running>,
}

impl Sandbox {
    /// Starts it, or lets the one in `state_dir` go on: names and story are then those on disk, the faults too where
    /// none are asked for; of those that are, the ones that were there keep what is left of them.
    ///
    /// # Errors
    /// Names that do not fit, a directory that cannot be used, no socket.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        config.world.check()?;
        let dir = config.state_dir.clone().unwrap_or_default();
        let state = |source| StartError::State { dir: dir.clone(), source };
        let (store, found) = open(config.state_dir.clone()).await.map_err(state)?;
        let mut world = found.unwrap_or_else(|| World::new(config.world, config.seed, keeper::now()));
        if world.format != FORMAT {
            return Err(StartError::Format { dir, found: world.format });
        }
        world.starts += 1;
        if let Some(faults) = &config.faults {
            world.arm(faults);
        }
        world.live.ids = Seed::new(config.seed).fork(world.starts);
        world.live.guard = Guard::new(config.policy);
        world.live.metrics = Metrics::open(store.metrics());
        let data = match config.data {
            Some(wanted) => {
                let before = world.data.clone();
                Some(Data::open(wanted, before, config.state_dir.as_deref()).await.map_err(StartError::Data)?)
            }
            None => None,
        };
        if let Some(data) = &data {
            world.remember(data.memory.clone());
        }
        let memory = data.as_ref().map(|data| data.memory.clone());
        let visitors = Seed::new(config.seed).fork(world.starts << 32);
        let names = world.names.clone();
        let effects = store.effects();
        let certificates =
            Certificates::new(&names, keeper::now()).map_err(|e| StartError::Certificates(e.to_string()))?;
        let ca_file = store.keep_authority(&certificates.ca).map_err(state)?;
        let (world, task) = Handle::start(world, store).map_err(state)?;

        let mut tasks = JoinSet::new();
        tasks.spawn(task);
        let bind = |what| move |source| StartError::Bind { what, source };
        let (old, new) = origins().await.map_err(bind("the web origins"))?;
        let address = |listener: &TcpListener| listener.local_addr().map_err(bind("the web origins"));
        let (old_origin, new_origin) = (address(&old)?, address(&new)?);
        let origins = Origins { old: old_origin.ip(), new: new_origin.ip() };
        let shop = visitors.fork(4);
        let data = data.map(|data| data.run(world.clone(), origins, shop));
        let till = data.as_ref().map(Running::till);
        for (side, listener) in [(Side::Heroku, old), (Side::Aws, new)] {
            let (world, till) = (world.clone(), till.clone());
            tasks.spawn(http::serve(listener, move |asked| web::answer(world.clone(), side, asked, now_open(&till))));
        }
        let (old, new) = on_one_port([origins.old, origins.new]).await.map_err(bind("the web origins' TLS"))?;
        let tls_port = address(&new)?.port();
        for (side, listener) in [(Side::Heroku, old), (Side::Aws, new)] {
            let (world, shown, certificates) = (world.clone(), world.clone(), certificates.clone());
            let till = till.clone();
            let shows = move || {
                let (world, certificates) = (shown.clone(), certificates.clone());
                async move { world.with(move |world, _| certificates.of(side, world)).await.ok() }
            };
            let answer = move |asked| web::answer(world.clone(), side, asked, now_open(&till));
            tasks.spawn(http::serve_tls(listener, shows, answer));
        }

        let mut servers = Vec::new();
        for role in [Role::Authority, Role::Parent, Role::Resolver(0), Role::Resolver(1)] {
            let (address, udp, tcp) = dns::bind().await.map_err(bind("a DNS server"))?;
            tasks.spawn(dns::serve_udp(world.clone(), udp, role, origins));
            tasks.spawn(dns::serve_tcp(world.clone(), tcp, role, origins));
            servers.push(address);
        }
        let resolvers = servers.split_off(2);
        let parents = servers.split_off(1);

        let api = TcpListener::bind("127.0.0.1:0").await.map_err(bind("AWS"))?;
        let aws = format!("http://{}", api.local_addr().map_err(bind("AWS"))?);
        let asked = world.clone();
        tasks.spawn(http::serve(api, move |request| aws::answer(asked.clone(), request)));
        let api = TcpListener::bind("127.0.0.1:0").await.map_err(bind("Heroku"))?;
        let heroku = format!("http://{}", api.local_addr().map_err(bind("Heroku"))?);
        let asked = world.clone();
        tasks.spawn(http::serve(api, move |request| heroku::answer(asked.clone(), request)));

        let web_port = old_origin.port();
        let both = |server, url: fn(&Memory, bool) -> String| {
            let memory = memory.as_ref().filter(|memory| memory.has(server))?;
            Some([false, true].map(|new| url(memory, new)))
        };
        tasks.spawn(visitors::run(world.clone(), visitors, names.host.clone(), origins, web_port));
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
            parents,
            resolvers,
            host: names.host,
            zone: names.zone,
            old_target: names.old_target,
            new_target: names.new_target,
            web_port,
            tls_port,
            ca: certificates.ca,
            ca_file,
            old_origin,
            new_origin,
            databases: both(Server::Postgres, Memory::database),
            administrators: both(Server::Postgres, Memory::admin),
            redis: both(Server::Redis, Memory::redis),
            effects,
        };
        Ok(Self { endpoints, world, tasks, data })
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
        let tls = |origin: SocketAddr| format!("https://{}", SocketAddr::new(origin.ip(), at.tls_port));
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
            ("GONOGO_SANDBOX_PARENT", list(&at.parents)),
            ("GONOGO_SANDBOX_RESOLVERS", list(&at.resolvers)),
            ("GONOGO_SANDBOX_WEB_OLD", format!("http://{}", at.old_origin)),
            ("GONOGO_SANDBOX_WEB_NEW", format!("http://{}", at.new_origin)),
            ("GONOGO_SANDBOX_TLS_OLD", tls(at.old_origin)),
            ("GONOGO_SANDBOX_TLS_NEW", tls(at.new_origin)),
        ];
        let ca = at.ca_file.as_ref().map(|file| ("GONOGO_SANDBOX_CA", file.display().to_string()));
        let both = |names: [&'static str; 2], urls: &Option<[String; 2]>| {
            names.into_iter().zip(urls.clone().into_iter().flatten()).collect::<Vec<_>>()
        };
        let data = [
            both(["DATABASE_URL", "GONOGO_SANDBOX_DATABASE_NEW"], &at.databases),
            both(["GONOGO_SANDBOX_ADMIN_OLD", "GONOGO_SANDBOX_ADMIN_NEW"], &at.administrators),
            both(["REDIS_URL", "GONOGO_SANDBOX_REDIS_NEW"], &at.redis),
        ];
        let all = pairs.into_iter().chain(ca).chain(data.into_iter().flatten());
        all.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The newest changes that were made, at most 256, oldest first.
    pub async fn effects(&self) -> Vec<Effect> {
        self.world.with(|world, _| world.effects.iter().cloned().collect()).await.unwrap_or_default()
    }

    /// What the policy in force allowed and refused so far, in the order in which it was first asked; empty where
    /// there is none.
    pub async fn authorizations(&self) -> Vec<Authorization> {
        self.world.with(|world, _| world.live.guard.decided()).await.unwrap_or_default()
    }

    /// Ends it. What was answered is saved already.
    pub async fn stop(self) {
        self.end(false).await;
    }

    /// Ends it for good: nobody will go on with it, so that its databases are removed.
    pub async fn finish(self) {
        self.end(true).await;
    }

    async fn end(mut self, for_good: bool) {
        if let Some(data) = self.data.take() {
            data.end(for_good).await;
        }
        self.tasks.shutdown().await;
    }
}

/// Where orders are written down now.
fn now_open(till: &Option<watch::Receiver<Option<Till>>>) -> Option<Till> {
    till.as_ref()?.borrow().clone()
}

/// Opens the state; one that was dropped a moment ago may still be letting go of it.
async fn open(dir: Option<PathBuf>) -> io::Result<(Store, Option<World>)> {
    for _ in 0..LOCK_TRIES {
        match Store::open(dir.clone()) {
            Err(e) if e.kind() == io::ErrorKind::ResourceBusy => tokio::time::sleep(LOCK_PAUSE).await,
            other => return other,
        }
    }
    Store::open(dir)
}

/// The addresses of the old and the new origin, best first.
const ORIGINS: [[IpAddr; 2]; 2] = [
    [IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3))],
    [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
];

/// The two origins on one port, each at an address of its own.
async fn origins() -> io::Result<(TcpListener, TcpListener)> {
    let mut last = io::Error::other("no address was tried");
    for addresses in ORIGINS {
        match on_one_port(addresses).await {
            Ok(bound) => return Ok(bound),
            Err(e) => last = e,
        }
    }
    Err(last)
}

async fn on_one_port([old, new]: [IpAddr; 2]) -> io::Result<(TcpListener, TcpListener)> {
    let mut last = io::Error::other("no port was tried");
    for _ in 0..PORTS {
        let bound = TcpListener::bind((old, 0)).await?;
        match TcpListener::bind((new, bound.local_addr()?.port())).await {
            Ok(other) => return Ok((bound, other)),
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => last = e,
            Err(e) => return Err(e),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_pair_of_origins_shares_a_port() {
        for addresses in ORIGINS {
            let (old, new) = match on_one_port(addresses).await {
                Ok(bound) => bound,
                // A machine without IPv6, or with 127.0.0.1 only, has one of the two pairs.
                Err(e) => {
                    assert_eq!(e.kind(), io::ErrorKind::AddrNotAvailable, "{e}");
                    continue;
                }
            };
            let (old, new) = (old.local_addr().unwrap(), new.local_addr().unwrap());
            assert_eq!((old.port(), [old.ip(), new.ip()]), (new.port(), addresses));
        }
    }
}
