//! One session: its calls within the attempt's limits, and its end. Whatever happens to us, nothing of ours goes on at
//! the server: a call that is given up is cancelled there, and the server itself is told to give up soon after.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinHandle, time::Instant};
use tokio_postgres::{
    Client, Error, Row, SimpleQueryMessage,
    types::{ToSql, Type},
};
use tokio_util::bytes::BytesMut;

use super::{
    Limits, PoolMode, Server,
    dial::{Dialled, Way},
    errors,
    own::Own,
    target::Target,
};
use crate::base::{Class, Failure, clean_line};

/// How long a request to cancel may take.
const CANCEL: Duration = Duration::from_secs(2);
/// How long the connection may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);
/// How long is waited for the reason of a connection's end once the end was seen.
const REASON: Duration = Duration::from_millis(200);
/// How much of a statement stands in a failure.
const SHOWN: usize = 80;

/// An open session. Dropping it cancels what runs on the server and closes the socket.
pub struct Session {
    // Taken only at the end.
    client: Option<Client>,
    pub(super) server: Server,
    reads: bool,
    way: Way,
    limits: Limits,
    /// The process that the greeting named.
    greeted: Option<i32>,
    /// The process that answered first.
    pub(super) process: i32,
    /// Sessions of ours, and this one among them where it is the server's own.
    pub(super) own: Arc<Own>,
    pub(super) known_as: String,
    /// Calls that were begun and whose end was not seen.
    open: AtomicUsize,
    /// Somebody works with the library's client directly: what it does is not counted.
    lent: AtomicBool,
    ended: Arc<OnceLock<Error>>,
    task: Option<JoinHandle<()>>,
}

impl Session {
    /// Takes a connection over; what is known of the server is what was asked for, until it is asked.
    pub(super) fn new(dialled: Dialled, target: &Target, limits: Limits, reads: bool, own: Arc<Own>) -> Self {
        let Dialled { client, connection, way, host, process } = dialled;
        let ended = Arc::new(OnceLock::new());
        let reason = ended.clone();
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                let _ = reason.set(error);
            }
        });
        let server = Server {
            version: 0,
            database: target.database.clone(),
            user: target.user.clone(),
            place: host.shown(),
            host: host.name.clone(),
            in_recovery: false,
            read_only: false,
            pooler: None,
            system_identifier: None,
        };
        let (open, lent) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self {
            client: Some(client),
            server,
            reads,
            way,
            limits,
            greeted: process,
            process: 0,
            own,
            known_as: String::new(),
            open,
            lent,
            ended,
            task: Some(task),
        }
    }

    /// True where its transactions are read-only unless they say otherwise.
    #[must_use]
    pub fn reads(&self) -> bool {
        self.reads
    }

    /// The server at the other end.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    pub(super) fn greeted(&self) -> Option<i32> {
        self.greeted
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The library's client, for what the calls here lack (`COPY`, streams); see [`Session::within`].
    #[must_use]
    pub fn client(&self) -> &Client {
        self.lent.store(true, Ordering::Relaxed);
        self.own()
    }

    #[expect(clippy::expect_used, reason = "the client is there until the session is dropped")]
    fn own(&self) -> &Client {
        self.client.as_ref().expect("taken by drop only")
    }

    /// Every row of a statement.
    ///
    /// # Errors
    /// As [`Session::within`].
    pub async fn rows(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Failure> {
        if self.keeps_settings() {
            return self.within(&shown(sql), self.own().query(sql, params)).await;
        }
        let typed = typed(params);
        self.within(&shown(sql), self.own().query_typed(sql, &typed)).await
    }

    /// The one row of a statement without parameters, asked in one message.
    pub(super) async fn at_once(&self, sql: &str) -> Result<Row, Failure> {
        self.within(&shown(sql), self.own().query_typed_one(sql, &[])).await
    }

    /// True where the server's session is ours until we go: its settings and prepared statements hold.
    #[must_use]
    pub fn keeps_settings(&self) -> bool {
        self.server.pooler.as_ref().is_none_or(|pooler| pooler.mode == PoolMode::Session)
    }

    /// Begins a transaction that only reads, with the server's statement timeout within it; it holds through a pooler too.
    ///
    /// # Errors
    /// As [`Session::within`].
    pub async fn begin_to_read(&self, statement: Duration) -> Result<(), Failure> {
        let least = statement.as_millis().min(self.left_at_server()).max(1);
        self.batch(&format!("BEGIN READ ONLY; SET LOCAL statement_timeout = {least}")).await
    }

    /// Every row of a statement, in one round trip and without a prepared statement: its parameters come with their types.
    /// `what` names it in a failure.
    ///
    /// # Errors
    /// As [`Session::within`].
    pub async fn rows_once(
        &self,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
        what: &str,
    ) -> Result<Vec<Row>, Failure> {
        self.within(what, self.own().query_typed(sql, params)).await
    }

    /// The one row of a statement.
    ///
    /// # Errors
    /// As [`Session::within`]; another number of rows is `Misconfigured`.
    pub async fn row(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Row, Failure> {
        let mut rows = self.rows(sql, params).await?;
        match (rows.pop(), rows.len()) {
            (Some(row), 0) => Ok(row),
            (last, more) => {
                let count = more + usize::from(last.is_some());
                Err(Failure::new(Class::Misconfigured, format!("{}: {count} rows in place of one", shown(sql))))
            }
        }
    }

    /// Runs a statement; how many rows it touched.
    ///
    /// # Errors
    /// As [`Session::within`].
    pub async fn execute(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<u64, Failure> {
        if self.keeps_settings() {
            return self.within(&shown(sql), self.own().execute(sql, params)).await;
        }
        let typed = typed(params);
        self.within(&shown(sql), self.own().execute_typed(sql, &typed)).await
    }

    /// Runs statements in one message: without `BEGIN` they are one transaction.
    ///
    /// # Errors
    /// As [`Session::within`].
    pub async fn batch(&self, sql: &str) -> Result<(), Failure> {
        self.within(&shown(sql), self.own().batch_execute(sql)).await
    }

    /// Runs statements as [`Session::batch`] does; what they answer, every value as text.
    ///
    /// # Errors
    /// As [`Session::within`].
    pub async fn texts(&self, sql: &str) -> Result<Vec<SimpleQueryMessage>, Failure> {
        self.within(&shown(sql), self.own().simple_query(sql)).await
    }

    /// Waits for a call of [`Session::client`], not past the deadline and not past a cancellation; then the server is
    /// asked to end it. `what` names it in the failure.
    ///
    /// # Errors
    /// By the server's code; `Unknown` where no answer came (`FailedNothingDone` in a session that only reads).
    pub async fn within<T>(&self, what: &str, call: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
        self.open.fetch_add(1, Ordering::Relaxed);
        let lost = if self.reads { Class::FailedNothingDone } else { Class::Unknown };
        let place = &self.server.place;
        let words = tokio::select! {
            biased;
            () = self.limits.cancel.cancelled() => format!("cancelled during {what} at {place}"),
            done = call => {
                self.open.fetch_sub(1, Ordering::Relaxed);
                return match done {
                    Ok(value) => Ok(value),
                    Err(error) => Err(self.failed(what, &error).await),
                };
            }
            () = tokio::time::sleep_until(self.limits.deadline) => format!("no answer to {what} from {place} in time"),
        };
        self.stop();
        Err(Failure::new(lost, words))
    }

    async fn failed(&self, what: &str, error: &Error) -> Failure {
        if error.is_closed() {
            // The reason of the end is with the connection's task, which is about to say it.
            let until = Instant::now() + REASON;
            while self.ended.get().is_none() && Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        errors::call(what, &self.server.place, error, self.reads, self.ended.get())
    }

    /// Asks the server to end what runs.
    fn stop(&self) {
        let (token, way) = (self.own().cancel_token(), self.way.clone());
        tokio::spawn(async move { tokio::time::timeout(CANCEL, way.cancel(&token)).await });
    }

    /// Says goodbye and waits until the connection is closed.
    pub async fn close(mut self) {
        if let Some(task) = self.finish() {
            let _ = task.await;
        }
    }

    /// Ends the session in the background; what is waited for is its end.
    fn finish(&mut self) -> Option<JoinHandle<()>> {
        let (client, mut task) = (self.client.take()?, self.task.take()?);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            task.abort();
            return None;
        };
        let busy = self.open.load(Ordering::Relaxed) > 0 || self.lent.load(Ordering::Relaxed);
        let way = self.way.clone();
        Some(runtime.spawn(async move {
            if busy && !client.is_closed() {
                let _ = tokio::time::timeout(CANCEL, way.cancel(&client.cancel_token())).await;
            }
            // Without its client the connection says goodbye once the server has answered what was asked.
            drop(client);
            if tokio::time::timeout(GOODBYE, &mut task).await.is_err() {
                task.abort();
            }
        }))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.own.left(&self.known_as);
        self.finish();
    }
}

/// Parameters with the types that they can be sent as, for a statement without a name: a pooler may give each message to
/// another server, where a prepared statement is not known. Text stays unknown, so that the server finds its type.
fn typed<'p>(params: &[&'p (dyn ToSql + Sync)]) -> Vec<(&'p (dyn ToSql + Sync), Type)> {
    const TYPES: [Type; 20] = [
        Type::UNKNOWN,
        Type::TEXT,
        Type::BOOL,
        Type::INT8,
        Type::INT4,
        Type::INT2,
        Type::OID,
        Type::FLOAT8,
        Type::FLOAT4,
        Type::CHAR,
        Type::BYTEA,
        Type::PG_LSN,
        Type::TIMESTAMPTZ,
        Type::TEXT_ARRAY,
        Type::NAME_ARRAY,
        Type::INT8_ARRAY,
        Type::INT4_ARRAY,
        Type::OID_ARRAY,
        Type::BOOL_ARRAY,
        Type::FLOAT8_ARRAY,
    ];
    let fits = |param: &(dyn ToSql + Sync), kind: &Type| param.to_sql_checked(kind, &mut BytesMut::new()).is_ok();
    let of = |param: &&'p (dyn ToSql + Sync)| {
        let kind = TYPES.into_iter().find(|kind| fits(*param, kind)).unwrap_or(Type::UNKNOWN);
        (*param, kind)
    };
    params.iter().map(of).collect()
}

/// The beginning of a statement, for a failure.
fn shown(sql: &str) -> String {
    let line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("`{}`", clean_line(&line, SHOWN))
}
