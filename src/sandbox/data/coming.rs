//! The servers on their way up: made where they were not, started, and their story told where nobody has.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use super::{
    Programs, Servers,
    cluster::Cluster,
    guard::Guard,
    jobs,
    place::Place,
    run::{Memory, NAMES},
    shop, story,
};
use crate::sandbox::{keeper::Handle, seed::Seed};

/// Where a server that is not wanted answers.
const NOWHERE: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
/// A port may be taken between being found free and being used.
const TRIES: usize = 4;

/// On their way up.
pub(super) struct Coming<'c> {
    pub programs: &'c Programs,
    pub memory: &'c Memory,
    pub world: &'c Handle,
    pub seed: &'c Seed,
}

impl Coming<'_> {
    /// Makes what is not made yet, starts everything, and tells the story where it was not told.
    pub async fn up(&self, guard: &mut Guard) -> Result<Servers, String> {
        let Memory { place, words, told, postgres, redis, .. } = self.memory;
        let clusters = [Cluster::at(place, NAMES[0]), Cluster::at(place, NAMES[1])];
        tokio::try_join!(
            clusters[0].wait_for_the_last(),
            clusters[1].wait_for_the_last(),
            jobs::wait_for_the_last(place)
        )?;
        if !told {
            place.empty().map_err(|e| format!("{}: {e}", place.dir.display()))?;
            if let (true, Some(programs)) = (*postgres, &self.programs.postgres) {
                let make =
                    |cluster: &'_ Cluster| cluster.clone().make(programs.clone(), place.clone(), words.admin.clone());
                tokio::try_join!(make(&clusters[0]), make(&clusters[1]))?;
            }
        }
        let mut at = [NOWHERE; 3];
        for (i, address) in at.iter_mut().enumerate() {
            if if i < 2 { *postgres } else { *redis } {
                *address = self.launch(guard, &clusters, i).await?;
            }
        }
        let mut tries = 1;
        let servers = loop {
            let servers = Servers { old: at[0], new: at[1], redis: at[2] };
            tokio::select! {
                up = self.told(servers) => {
                    up?;
                    break servers;
                }
                ended = guard.ended() => {
                    let (name, how) = ended.ok_or("their parent process ended")?;
                    let Some(i) = NAMES.iter().position(|known| *known == name) else { continue };
                    let said = last_words(place, &name);
                    // Somebody else took the port between its being found free and its being used.
                    if !said.contains("in use") || tries == TRIES {
                        return Err(format!("{name} {how}: {said}"));
                    }
                    tries += 1;
                    at[i] = self.launch(guard, &clusters, i).await?;
                }
            }
        };
        let told = self.world.with(|world, _| {
            if let Some(data) = &mut world.data {
                (data.told, world.dirty) = (true, true);
            }
        });
        told.await.map_err(|_| "the world could not be saved".to_owned())?;
        Ok(servers)
    }

    async fn launch(&self, guard: &mut Guard, clusters: &[Cluster; 2], i: usize) -> Result<SocketAddr, String> {
        let Memory { place, words, .. } = self.memory;
        let (server, address) = match (clusters.get(i), &self.programs.postgres, &self.programs.redis) {
            (Some(cluster), Some(programs), _) => cluster.server(programs, place).await?,
            (None, _, Some(program)) => jobs::server(program, place, &words.redis).await?,
            _ => return Err(format!("{} was not found", NAMES[i])),
        };
        guard.launch(server).await.map_err(|e| format!("their parent process: {e}"))?;
        Ok(address)
    }

    /// Waits until they answer, and tells the first moment where nobody has.
    async fn told(&self, servers: Servers) -> Result<(), String> {
        let Memory { words, told, postgres, redis, .. } = self.memory;
        let rows = async {
            match (*postgres, *told) {
                (false, _) => Ok(()),
                (true, false) => story::tell(servers, words).await,
                (true, true) => story::reconnect(servers, words).await,
            }
        };
        let queues = async {
            if !*redis {
                return Ok(());
            }
            let mut redis = jobs::reached(servers.redis, &words.redis, jobs::OLD).await?;
            let mut new = jobs::reached(servers.redis, &words.redis, jobs::NEW).await?;
            if *told {
                let gone = tokio::try_join!(jobs::nobody(&mut redis), jobs::nobody(&mut new));
                return gone.map(drop).map_err(|e| e.to_string());
            }
            let mut seed = self.seed.fork(3);
            let copied = tokio::try_join!(jobs::visitors(&mut redis), jobs::visitors(&mut new));
            copied.map_err(|e| e.to_string())?;
            jobs::tell(&mut redis, &mut seed, shop::seconds()).await.map_err(|e| e.to_string())
        };
        // Whoever asks one of them is told of them all.
        let rows = async { rows.await.map_err(|why| format!("PostgreSQL: {why}")) };
        let queues = async { queues.await.map_err(|why| format!("Redis: {why}")) };
        tokio::try_join!(rows, queues).map(drop)
    }
}

/// The last thing that a server said.
fn last_words(place: &Place, name: &str) -> String {
    let text = std::fs::read_to_string(place.dir.join(format!("{name}.log"))).unwrap_or_default();
    let telling = |line: &&str| !line.trim().is_empty();
    let last: Vec<&str> = text.lines().rev().filter(telling).take(3).collect();
    crate::base::clean_line(&last.into_iter().rev().collect::<Vec<_>>().join("; "), 400)
}
