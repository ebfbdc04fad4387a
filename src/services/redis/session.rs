//! One connection: asks in small batches, each within its own time, and ends with whoever holds it.

use std::{sync::Arc, time::Duration};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Fuse},
};
use redis::{AsyncConnectionConfig, RedisConnectionInfo, Value, aio::MultiplexedConnection};

use super::{
    About, Command, Credentials, Reply, Section,
    address::Address,
    errors::{Broken, knows_no_users, refused},
    stream::{Met, Meter, Metered, Wire},
};
use crate::base::{Class, Failure};

/// How long one batch may go unanswered. A server that is well answers within milliseconds.
const ANSWER: Duration = Duration::from_secs(10);
/// Commands that travel together: enough that the way there and back is not what takes time.
const BATCH: usize = 100;
/// What the answers to one batch may hold together.
const LIMIT: usize = 64 << 20;
/// Pages of a set or hash that somebody asks for whole: a million elements are no set of queues.
const PAGES: usize = 1000;
/// The user that Heroku wrote into its URLs while Redis knew no users.
const NO_USER: &str = "h";

/// An open connection. Dropping it closes the socket at once: nothing of it runs but while it is asked.
pub struct Session {
    connection: MultiplexedConnection,
    /// Carries what is asked and answered.
    driver: Fuse<BoxFuture<'static, ()>>,
    meter: Arc<Meter>,
    encrypted: bool,
    answered: bool,
    about: About,
}

impl Session {
    /// Speaks the protocol over a stream. Nothing is sent yet.
    pub(super) async fn over(stream: Box<dyn Wire>, met: Met, address: &Address) -> Result<Self, Failure> {
        let place = address.shown();
        let meter = Arc::new(Meter::default());
        // Who we are is said by `greet`, whose failures have our words; answers are waited for by `ask`.
        let nothing = RedisConnectionInfo::default().set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let stream = Metered::new(stream, meter.clone());
        let made = MultiplexedConnection::new_with_config(&nothing, stream, config).await;
        let (connection, driver) = made.map_err(|error| {
            Broken { place: &place, encrypted: met.encrypted, answered: false, ended: meter.ended() }.tell(&error)
        })?;
        let about = About {
            place,
            db: address.db,
            address: met.address.map(|address| address.to_string()),
            unverified: met.unverified,
            ..About::default()
        };
        let driver = driver.boxed().fuse();
        Ok(Self { connection, driver, meter, encrypted: met.encrypted, answered: false, about })
    }

    /// Says who we are, goes to the database and asks whom it met.
    pub(super) async fn greet(&mut self, address: &Address) -> Result<(), Failure> {
        if let Some(credentials) = address.credentials() {
            self.authenticate(credentials).await?;
        }
        if address.db > 0 {
            self.ask(&[Command::Select(address.db)]).await?;
        }
        let sections = [Section::Server, Section::Replication, Section::Cluster].map(Command::Info);
        // Alone at first: what does not speak the protocol is told by its answer to a single command only.
        for reply in self.try_each(&[Command::SetName]).await? {
            // A user may be kept from naming itself, and is not the worse for it; a server that wants a password or is
            // loading is another matter.
            reply.map(drop).or_else(minor)?;
        }
        for reply in self.try_each(&sections).await? {
            match reply {
                Ok(reply) => self.about.learn(&reply.text()?.unwrap_or_default()),
                Err(failure) => {
                    let said = failure.causes.clone();
                    minor(failure)?;
                    return Err(said.iter().fold(unseen(&self.about.place), Failure::because));
                }
            }
        }
        if self.about.mode.as_deref() == Some("cluster")
            && let Ok(info) = self.one(Command::ClusterInfo).await
            && let Some(shards) = super::about::line(&info.text()?.unwrap_or_default(), "cluster_size")
        {
            self.about.shards = shards.parse().ok();
        }
        self.about.judge()
    }

    async fn authenticate(&mut self, credentials: Credentials) -> Result<(), Failure> {
        let user = credentials.user.clone();
        let password_alone = Command::Auth(Credentials { user: None, password: credentials.password.clone() });
        let command = Command::Auth(credentials);
        let [reply] = self.exchange(std::slice::from_ref(&command)).await?.try_into().unwrap_or([Value::Nil]);
        let Value::ServerError(error) = reply else { return Ok(()) };
        let old_way = user.is_some()
            && (knows_no_users(&error) || (error.code() == "WRONGPASS" && user.as_deref() == Some(NO_USER)));
        if !old_way {
            return Err(refused(&error, &command, &self.about.place));
        }
        self.ask(&[password_alone]).await.map(|_| ())
    }

    /// Whom it met.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Asks, and wants every answer.
    ///
    /// # Errors
    /// The first command that was refused; `FailedNothingDone` where an answer did not come.
    pub async fn ask(&mut self, commands: &[Command]) -> Result<Vec<Reply>, Failure> {
        self.try_each(commands).await?.into_iter().collect()
    }

    /// Asks one thing.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub async fn one(&mut self, command: Command) -> Result<Reply, Failure> {
        let replies = self.ask(std::slice::from_ref(&command)).await?;
        replies.into_iter().next().ok_or_else(|| Failure::new(Class::FailedNothingDone, "no answer"))
    }

    /// Asks, and lets each command fail for itself.
    ///
    /// # Errors
    /// `FailedNothingDone` where an answer did not come.
    pub async fn try_each(&mut self, commands: &[Command]) -> Result<Vec<Result<Reply, Failure>>, Failure> {
        let mut replies = Vec::with_capacity(commands.len());
        for batch in commands.chunks(BATCH) {
            let values = self.exchange(batch).await?;
            replies.extend(values.into_iter().zip(batch).map(|(value, command)| match value {
                Value::ServerError(error) => Err(refused(&error, command, &self.about.place)),
                value => Ok(Reply(value)),
            }));
        }
        Ok(replies)
    }

    /// Every element of a set, sorted and once.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub async fn members(&mut self, key: &[u8]) -> Result<Vec<Vec<u8>>, Failure> {
        let replies = self.whole(|cursor| Command::ScanSet(key.to_vec(), cursor)).await?;
        let mut found = Vec::with_capacity(replies.len());
        for reply in replies {
            found.extend(reply.bytes()?.map(<[u8]>::to_vec));
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// The values of a hash.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub async fn values(&mut self, key: &[u8]) -> Result<Vec<Vec<u8>>, Failure> {
        let replies = self.whole(|cursor| Command::ScanHash(key.to_vec(), cursor)).await?;
        let mut found = std::collections::BTreeMap::new();
        for pair in replies.chunks_exact(2) {
            found.insert(pair[0].bytes()?.map(<[u8]>::to_vec), pair[1].bytes()?.unwrap_or_default().to_vec());
        }
        Ok(found.into_values().collect())
    }

    /// All pages of a set or hash. Its elements may come more than once.
    async fn whole(&mut self, page: impl Fn(u64) -> Command) -> Result<Vec<Reply>, Failure> {
        let mut all = Vec::new();
        let mut cursor = 0;
        for _ in 0..PAGES {
            let (next, elements) = self.one(page(cursor)).await?.page()?;
            all.extend(elements);
            if next == 0 {
                return Ok(all);
            }
            cursor = next;
        }
        let words = format!("{} holds more than a million elements where Sidekiq keeps a few", self.about.place);
        Err(Failure::new(Class::Misconfigured, words))
    }

    async fn exchange(&mut self, commands: &[Command]) -> Result<Vec<Value>, Failure> {
        self.meter.allow(LIMIT);
        let connection = &mut self.connection;
        let mut sent = std::pin::pin!(async move {
            if let [command] = commands {
                return Ok(vec![connection.send_packed_command(&command.packed()).await?]);
            }
            let mut pipe = redis::pipe();
            for command in commands {
                pipe.add_command(command.packed());
            }
            connection.send_packed_commands(&pipe, 0, commands.len()).await
        });
        let driver = &mut self.driver;
        let answered = async {
            tokio::select! {
                biased;
                answered = &mut sent => answered,
                // The connection has ended; whoever waits for it is told so.
                () = driver => sent.await,
            }
        };
        let answered = tokio::time::timeout(ANSWER, answered).await.map_err(|_| {
            let what = commands.first().map_or("", Command::name);
            let words = format!("{} did not answer {what} within {} s", self.about.place, ANSWER.as_secs());
            Failure::new(Class::FailedNothingDone, words)
        })?;
        let values = answered.map_err(|error| {
            let (place, ended) = (self.about.place.as_str(), self.meter.ended());
            Broken { place, encrypted: self.encrypted, answered: self.answered, ended }.tell(&error)
        })?;
        if values.len() != commands.len() {
            return Err(Failure::new(Class::FailedNothingDone, "the server answered less than it was asked"));
        }
        self.answered = true;
        Ok(values)
    }
}

/// Half of the keys, or yesterday's, must not pass for all of them.
fn unseen(place: &str) -> Failure {
    let words = format!("{place} does not allow INFO: a replica or a part of a cluster cannot be ruled out");
    Failure::new(Class::Denied, words).hint("let this user ask: ACL SETUSER <user> +info")
}

/// What is not allowed to us may be done without; anything else may not.
fn minor(failure: Failure) -> Result<(), Failure> {
    let said = failure.causes.first().map_or("", String::as_str);
    let optional = said.starts_with("NOPERM") || (said.starts_with("ERR") && failure.class == Class::Misconfigured);
    if optional { Ok(()) } else { Err(failure) }
}
