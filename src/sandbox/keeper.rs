//! The world's one owner: a task that applies what it is asked in order, and saves what changed
//! before the asker hears of it. A change that could not be saved has not happened.

use std::panic::{AssertUnwindSafe, catch_unwind};

use chrono::{SubsecRound, Utc};
use tokio::sync::{mpsc, oneshot};

use super::{
    store::Store,
    world::{Moment, World},
};

type Ask = Box<dyn FnOnce(&mut Keeper) + Send>;

/// Waiting requests; more of them wait in their connections.
const QUEUE: usize = 64;

/// Asks the world's owner.
#[derive(Clone)]
pub(super) struct Handle {
    asks: mpsc::Sender<Ask>,
}

/// The world is being stopped, or could not be saved. The asker does not know more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost;

struct Keeper {
    world: World,
    /// The world as last saved.
    saved: Vec<u8>,
    store: Store,
}

/// The wall clock, in the milliseconds that are written down. The only place of the sandbox that reads it.
pub(super) fn now() -> Moment {
    Utc::now().trunc_subsecs(3)
}

impl Handle {
    /// A handle, and the task that it asks. Saves the world once before anything else.
    pub fn start(world: World, store: Store) -> std::io::Result<(Self, impl Future<Output = ()> + Send)> {
        let mut keeper = Keeper { world, saved: Vec::new(), store };
        keeper.save()?;
        let (asks, mut waiting) = mpsc::channel::<Ask>(QUEUE);
        let task = async move {
            while let Some(ask) = waiting.recv().await {
                ask(&mut keeper);
            }
        };
        Ok((Self { asks }, task))
    }

    /// Applies `f` to the world as it is now; what it changed is saved before this returns.
    pub async fn with<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut World, Moment) -> R + Send + 'static,
    ) -> Result<R, Lost> {
        let (answer, answered) = oneshot::channel();
        let ask: Ask = Box::new(move |keeper| {
            let now = now();
            // A defect that one request finds must not end the world for all others.
            let said = catch_unwind(AssertUnwindSafe(|| {
                keeper.world.advance(now);
                f(&mut keeper.world, now)
            }));
            match said {
                // The asker may have gone; what it changed stays changed, as in the real world.
                Ok(said) if !keeper.world.dirty || keeper.save().is_ok() => drop(answer.send(said)),
                _ => keeper.restore(),
            }
        });
        self.asks.send(ask).await.map_err(|_| Lost)?;
        answered.await.map_err(|_| Lost)
    }
}

impl Keeper {
    /// Goes back to the world as last saved; what lives with the process stays.
    fn restore(&mut self) {
        if let Ok(world) = serde_json::from_slice::<World>(&self.saved) {
            let live = std::mem::take(&mut self.world.live);
            self.world = World { live, ..world };
        }
    }

    fn save(&mut self) -> std::io::Result<()> {
        let bytes = serde_json::to_vec(&self.world).map_err(std::io::Error::other)?;
        self.store.save(&self.world, &bytes)?;
        self.world.dirty = false;
        self.saved = bytes;
        Ok(())
    }
}
