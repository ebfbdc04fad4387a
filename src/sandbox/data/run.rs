//! The servers' life: opened with the world, brought up beside it, watched, ended with it.

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use serde::{Deserialize, Serialize};
use tokio::{
    net::TcpListener,
    sync::{Notify, oneshot, watch},
    task::JoinSet,
};

use super::{
    Server, Wanted,
    coming::Coming,
    guard::Guard,
    jobs,
    place::Place,
    relay::{self, Stage},
    shop::{Shop, Till},
    story::Words,
};
use crate::sandbox::{dns::Origins, keeper::Handle, seed::Seed};

/// The servers' names.
pub(super) const NAMES: [&str; 3] = ["old", "new", "redis"];

/// What the world remembers of its data.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Memory {
    pub(super) place: Place,
    pub(super) words: Words,
    /// The doors' ports: the old database, the new one, the Redis.
    doors: [u16; 3],
    /// The first moment has been told; before that there is nothing worth keeping.
    pub(super) told: bool,
    /// What was brought up then.
    pub(super) postgres: bool,
    pub(super) redis: bool,
}

impl Memory {
    /// The URL of the old or the new database, as the shop's own role.
    pub fn database(&self, new: bool) -> String {
        let (word, port) =
            if new { (&self.words.new_shop, self.doors[1]) } else { (&self.words.old_shop, self.doors[0]) };
        format!("postgres://shop:{word}@127.0.0.1:{port}/{}", super::cluster::DATABASE)
    }

    /// The URL of the Redis, for the old or the new side.
    pub fn redis(&self, new: bool) -> String {
        let database = if new { jobs::NEW } else { jobs::OLD };
        format!("redis://default:{}@127.0.0.1:{}/{database}", self.words.redis, self.doors[2])
    }

    /// The URL of one of the administrator of a database: not what the shop is given.
    pub fn admin(&self, new: bool) -> String {
        let port = self.doors[usize::from(new)];
        format!(
            "postgres://{}:{}@127.0.0.1:{port}/{}",
            super::cluster::ADMIN,
            self.words.admin,
            super::cluster::DATABASE
        )
    }

    /// Which of them there are.
    pub fn has(&self, server: Server) -> bool {
        match server {
            Server::Postgres => self.postgres,
            Server::Redis => self.redis,
        }
    }
}

/// Where the servers answer.
#[derive(Debug, Clone, Copy)]
pub(in crate::sandbox) struct Servers {
    /// The old database.
    pub old: SocketAddr,
    /// The new one.
    pub new: SocketAddr,
    /// The Redis of both sides.
    pub redis: SocketAddr,
}

/// Opened, and not brought up yet.
pub(in crate::sandbox) struct Data {
    wanted: Wanted,
    pub memory: Memory,
    doors: [TcpListener; 3],
    /// The world lives in memory, and its data with it.
    passing: bool,
}

/// Running.
pub(in crate::sandbox) struct Running {
    end: oneshot::Sender<bool>,
    till: watch::Receiver<Option<Till>>,
    /// Dropping it ends the servers.
    tasks: JoinSet<()>,
}

impl Running {
    /// Where orders are written down, once the databases are up.
    pub fn till(&self) -> watch::Receiver<Option<Till>> {
        self.till.clone()
    }

    /// Ends the servers and waits for them. `remove`: nobody will want to see the data again.
    pub async fn end(mut self, remove: bool) {
        let _ended_already = self.end.send(remove);
        // The doors close with the rest.
        let _life = self.tasks.join_next().await;
    }
}

impl Data {
    /// Opens the doors and finds the place, or the one of before.
    pub async fn open(wanted: Wanted, before: Option<Memory>, world: Option<&Path>) -> io::Result<Self> {
        let memory = match before {
            Some(memory) if memory.place.is_there() => memory,
            Some(memory) => {
                let text = format!("the databases of this world were in {} and are gone", memory.place.dir.display());
                return Err(io::Error::new(io::ErrorKind::NotFound, text));
            }
            None => Memory {
                place: Place::make(world)?,
                words: Words::new()?,
                doors: [0; 3],
                told: false,
                postgres: wanted.programs.postgres.is_some(),
                redis: wanted.programs.redis.is_some(),
            },
        };
        for (server, had) in [(Server::Postgres, memory.postgres), (Server::Redis, memory.redis)] {
            let has = wanted.programs.missing().iter().all(|(missing, _)| *missing != server);
            if had && !has {
                let text = format!("it was begun with {}, which is no longer installed", server.name());
                return Err(io::Error::new(io::ErrorKind::NotFound, text));
            }
        }
        let before = memory.doors.map(|port| (port != 0).then_some(port));
        let doors = [relay::open(before[0]).await?, relay::open(before[1]).await?, relay::open(before[2]).await?];
        let mut ports = [0; 3];
        for (port, door) in ports.iter_mut().zip(&doors) {
            *port = door.local_addr()?.port();
        }
        Ok(Self { wanted, memory: Memory { doors: ports, ..memory }, doors, passing: world.is_none() })
    }

    /// Brings them up beside everything else.
    pub fn run(self, world: Handle, origins: Origins, seed: Seed) -> Running {
        let (end, ended) = oneshot::channel();
        let (open, till) = watch::channel(None);
        let mut tasks = JoinSet::new();
        tasks.spawn(self.live(world, origins, seed, open, ended));
        Running { end, till, tasks }
    }

    async fn live(
        self,
        world: Handle,
        origins: Origins,
        seed: Seed,
        till: watch::Sender<Option<Till>>,
        mut end: oneshot::Receiver<bool>,
    ) {
        let Self { wanted, memory, doors, passing } = self;
        let stages = NAMES.map(|_| watch::channel(Stage::Coming).0);
        let knock = Arc::new(Notify::new());
        let mut inside = JoinSet::new();
        let servers = [Server::Postgres, Server::Postgres, Server::Redis];
        for ((door, server), stage) in doors.into_iter().zip(servers).zip(&stages) {
            inside.spawn(relay::serve(door, server, stage.subscribe(), knock.clone()));
        }
        let down = |why: &str| stages.iter().for_each(|stage| drop(stage.send_replace(Stage::Down(why.to_owned()))));
        let place = memory.place.dir.clone();
        if wanted.when_asked {
            tokio::select! {
                () = knock.notified() => {}
                remove = &mut end => {
                    if passing || remove.unwrap_or(false) {
                        let _empty = std::fs::remove_dir_all(&place);
                    }
                    return;
                }
            }
        }
        let mut guard = match Guard::start(&wanted.guard) {
            Ok(guard) => guard,
            Err(e) => {
                down(&format!("their parent process: {e}"));
                let _end = end.await;
                return;
            }
        };
        if passing {
            let _gone = guard.forget(&place).await;
        }
        let coming = Coming { programs: &wanted.programs, memory: &memory, world: &world, seed: &seed };
        let up = tokio::select! {
            up = coming.up(&mut guard) => up,
            remove = &mut end => {
                drop(inside);
                return guard.end(remove.unwrap_or(false).then_some(&place)).await;
            }
        };
        match up {
            Ok(servers) => {
                let stage =
                    |there: bool, at| if there { Stage::Up(at) } else { Stage::Down("it was not found".into()) };
                stages[0].send_replace(stage(memory.postgres, servers.old));
                stages[1].send_replace(stage(memory.postgres, servers.new));
                stages[2].send_replace(stage(memory.redis, servers.redis));
                if memory.postgres {
                    till.send_replace(Some(Till { servers, words: memory.words.clone() }));
                    let redis = memory.redis;
                    inside.spawn(Shop { world, servers, redis, words: memory.words, origins, seed }.run());
                }
            }
            Err(why) => down(&why),
        }
        let remove = loop {
            tokio::select! {
                ended = guard.ended() => match ended {
                    Some((name, how)) => {
                        let at = NAMES.iter().position(|known| *known == name);
                        if let Some(stage) = at.and_then(|at| stages.get(at)) {
                            stage.send_replace(Stage::Down(how));
                        }
                    }
                    None => {
                        down("their parent process ended");
                        break (&mut end).await.unwrap_or(false);
                    }
                },
                remove = &mut end => break remove.unwrap_or(false),
            }
        };
        inside.shutdown().await;
        guard.end(remove.then_some(&place)).await;
    }
}
