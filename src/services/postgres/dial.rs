//! From a target to a session: each host, each of its addresses, with or without TLS as `sslmode` has it, until one
//! lets us in. As in libpq a server that refuses ends the search; one that cannot be reached does not.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    time::Instant,
};
use tokio_postgres::{Client, Connection, config};
use tokio_rustls::TlsConnector;

use super::{
    errors,
    target::{At, Binding, HostAt, Mode, Target},
    tls,
    wire::{AsItIs, Bytes, Greeting, Wire},
};
use crate::{
    base::{Class, Failure},
    runbook::{Env, EnvKind},
    services::http::Http,
};

/// How long one host may take to let us in.
const CONNECT: Duration = Duration::from_secs(5);
/// "Speak TLS with me" (`SSLRequest`, <https://www.postgresql.org/docs/current/protocol-message-formats.html>).
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// A way to one address that was found to work, for going it again: a request to cancel takes a connection of its own.
#[derive(Clone)]
pub(super) struct Way {
    place: Place,
    tls: Option<Secure>,
}

#[derive(Clone)]
enum Place {
    Address(SocketAddr),
    Socket(PathBuf),
}

#[derive(Clone)]
struct Secure {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    direct: bool,
    /// A server without TLS is good too (`prefer`): the same connection goes on without it.
    optional: bool,
}

/// A session as the library has it.
pub(super) struct Dialled {
    pub client: Client,
    pub connection: Connection<Wire, Wire>,
    pub way: Way,
    /// The process that the greeting named.
    pub process: Option<i32>,
    /// Who let us in.
    pub host: HostAt,
}

/// Why an address did not work.
enum Trouble {
    /// There is nobody, or not in time.
    Unreached(Failure),
    /// It has no TLS, or none that is good enough.
    Insecure(Failure),
    /// It spoke and said no.
    Refused(Failure),
    /// It refused this kind of encryption (SQLSTATE 28000 of `pg_hba.conf`).
    OtherEncryption(Failure),
}

impl Trouble {
    fn failure(self) -> Failure {
        match self {
            Self::Unreached(f) | Self::Insecure(f) | Self::Refused(f) | Self::OtherEncryption(f) => f,
        }
    }
}

impl Way {
    /// Opens the socket and speaks TLS where it is spoken. `None`: the server has no TLS.
    async fn open(&self) -> std::io::Result<Option<Wire>> {
        let mut bytes: Box<dyn Bytes> = match &self.place {
            Place::Address(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Place::Socket(path) => Box::new(UnixStream::connect(path).await?),
        };
        let greeting = Greeting::begun();
        let Some(secure) = &self.tls else { return Ok(Some(Wire { bytes, binding: None, greeting })) };
        if !secure.direct {
            bytes.write_all(&TLS_REQUEST).await?;
            match bytes.read_u8().await? {
                b'S' => {}
                b'N' if secure.optional => return Ok(Some(Wire { bytes, binding: None, greeting })),
                b'N' => return Ok(None),
                _ => return Err(std::io::Error::other("it answers the wish for TLS with neither yes nor no")),
            }
        }
        let stream = TlsConnector::from(secure.config.clone()).connect(secure.name.clone(), bytes).await?;
        let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let binding = leaf.and_then(|leaf| tls::binding(leaf));
        Ok(Some(Wire { bytes: Box::new(stream), binding, greeting }))
    }

    /// Asks the server to end what the session is doing.
    pub async fn cancel(&self, token: &tokio_postgres::CancelToken) {
        if let Ok(Some(wire)) = self.open().await {
            let _ = token.cancel_query_raw(wire, AsItIs).await;
        }
    }
}

/// What a session was found to be by whoever looked at it.
pub(super) enum Suits<T> {
    /// It is what is wanted.
    Yes(T),
    /// It is not, in words; the next host may be.
    No(String),
}

/// What goes through the hosts.
pub(super) struct Dialler<'a> {
    pub target: &'a Target,
    pub config: Option<Arc<ClientConfig>>,
    pub env: &'a Env,
    pub http: &'a Http,
}

impl Dialler<'_> {
    /// Goes through the hosts until a session suits. Whoever calls bounds it by the deadline.
    ///
    /// # Errors
    /// `FailedNothingDone`: nobody was reached; else what the server said.
    pub async fn dial<'s, T: Send>(
        &'s self,
        // Boxed: whether the future of a closure is `Send` for every lifetime is more than the compiler can say, and a
        // kind's future has to be.
        suits: &'s (dyn Fn(Dialled) -> BoxFuture<'s, Result<Suits<T>, Failure>> + Send + Sync),
    ) -> Result<T, Failure> {
        let mut troubles = Vec::new();
        let target = self.target;
        let mut hosts = target.hosts.iter().collect::<Vec<_>>();
        if target.shuffled {
            fastrand::shuffle(&mut hosts);
        }
        for host in hosts {
            let whole = async {
                let dialled = self.one(host).await?;
                match suits(dialled).await.map_err(Trouble::Refused)? {
                    Suits::Yes(session) => Ok(session),
                    Suits::No(why) => Err(Trouble::Unreached(Failure::new(
                        Class::FailedNothingDone,
                        format!("{} {why}", host.shown()),
                    ))),
                }
            };
            match within(target.timeout.unwrap_or(CONNECT), host, whole).await {
                Ok(session) => return Ok(session),
                Err(Trouble::Refused(failure)) => return Err(failure),
                Err(trouble) => troubles.push(trouble.failure()),
            }
        }
        Err(all(troubles))
    }

    /// One host: its addresses in turn.
    async fn one(&self, host: &HostAt) -> Result<Dialled, Trouble> {
        let mut addresses = addresses(host, self.env, self.http).await.map_err(|failure| match failure.class {
            Class::FailedNothingDone => Trouble::Unreached(failure),
            _ => Trouble::Refused(failure),
        })?;
        if self.target.shuffled {
            fastrand::shuffle(&mut addresses);
        }
        let mut first = None;
        for place in addresses {
            match place_with_modes(&place, host, self.target, self.config.as_ref()).await {
                Ok(dialled) => return Ok(dialled),
                Err(Trouble::Refused(failure)) => return Err(Trouble::Refused(failure)),
                Err(trouble) => first = first.or(Some(trouble)),
            }
        }
        let nowhere = || Failure::new(Class::FailedNothingDone, format!("{} has no address", host.shown()));
        Err(first.unwrap_or_else(|| Trouble::Unreached(nowhere())))
    }
}

/// What is told where no host was good: the first trouble, the others behind it.
fn all(troubles: Vec<Failure>) -> Failure {
    let count = troubles.len();
    let mut troubles = troubles.into_iter();
    let first = troubles.next().unwrap_or_else(|| Failure::new(Class::Misconfigured, "there is no host to connect to"));
    if count < 2 {
        return first;
    }
    let message = format!("none of {count} hosts: {}", first.message);
    troubles.fold(Failure { message, ..first }, |all, next| all.because(next.message))
}

async fn within<T>(
    limit: Duration,
    host: &HostAt,
    call: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    tokio::time::timeout_at(Instant::now() + limit, call).await.unwrap_or_else(|_| {
        let words = format!("no session at {} within {:.1} s", host.shown(), limit.as_secs_f32());
        Err(Trouble::Unreached(Failure::new(Class::FailedNothingDone, words)))
    })
}

/// The places of a host. A sandbox is never left.
async fn addresses(host: &HostAt, env: &Env, http: &Http) -> Result<Vec<Place>, Failure> {
    let sandbox = env.kind == EnvKind::Sandbox;
    let found = match &host.at {
        At::Folder(folder) => return Ok(vec![Place::Socket(folder.join(format!(".s.PGSQL.{}", host.port)))]),
        At::Address(ip) => vec![SocketAddr::new(*ip, host.port)],
        At::Name(name) if sandbox && name == "localhost" => {
            vec![
                SocketAddr::from(([127, 0, 0, 1], host.port)),
                SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, host.port)),
            ]
        }
        At::Name(name) => http.addresses_of(name, host.port).await?,
    };
    match found.iter().find(|address| sandbox && !address.ip().is_loopback()) {
        Some(address) => {
            Err(Failure::new(Class::Refused, format!("{} is at {}, outside this machine", host.shown(), address.ip()))
                .hint("a sandbox connects to loopback and to Unix sockets only"))
        }
        None => Ok(found.into_iter().map(Place::Address).collect()),
    }
}

/// One address, with TLS and without it in the order of `sslmode`.
async fn place_with_modes(
    place: &Place,
    host: &HostAt,
    target: &Target,
    config: Option<&Arc<ClientConfig>>,
) -> Result<Dialled, Trouble> {
    let plain = Way { place: place.clone(), tls: None };
    // TLS is for networks: libpq does not speak it on a Unix socket, whatever the mode.
    let Some(config) = config.filter(|_| matches!(place, Place::Address(_))) else {
        return session(&plain, host, target).await;
    };
    let name = server_name(host, place, target.tls.mode).map_err(Trouble::Refused)?;
    let secure =
        Secure { config: config.clone(), name, direct: target.tls.direct, optional: target.tls.mode == Mode::Prefer };
    let secure = Way { place: place.clone(), tls: Some(secure) };
    match target.tls.mode {
        Mode::Disable => session(&plain, host, target).await,
        Mode::Allow => match session(&plain, host, target).await {
            Err(Trouble::OtherEncryption(said)) => match session(&secure, host, target).await {
                Err(Trouble::Insecure(_)) => Err(Trouble::Refused(said)),
                other => other,
            },
            other => other,
        },
        Mode::Prefer => match session(&secure, host, target).await {
            Err(Trouble::Insecure(_) | Trouble::OtherEncryption(_)) => session(&plain, host, target).await,
            other => other,
        },
        Mode::Require | Mode::VerifyCa | Mode::VerifyFull => session(&secure, host, target).await,
    }
    .map_err(|trouble| match trouble {
        Trouble::OtherEncryption(failure) => Trouble::Refused(failure),
        other => other,
    })
}

fn server_name(host: &HostAt, place: &Place, mode: Mode) -> Result<ServerName<'static>, Failure> {
    match (ServerName::try_from(host.name.clone()), place) {
        (Ok(name), _) => Ok(name),
        // Where no name is compared, one that cannot stand in a certificate does no harm.
        (Err(_), Place::Address(address)) if mode < Mode::VerifyFull => Ok(ServerName::from(address.ip())),
        _ => {
            Err(Failure::new(Class::Misconfigured, format!("{} is no name that a certificate can have", host.shown())))
        }
    }
}

/// One way, to its end.
async fn session(way: &Way, host: &HostAt, target: &Target) -> Result<Dialled, Trouble> {
    let shown = host.shown();
    let wire = match way.open().await {
        Ok(Some(wire)) => wire,
        Ok(None) => {
            let words = format!("{shown} has no TLS, and sslmode wants it");
            return Err(Trouble::Insecure(Failure::new(Class::Refused, words)));
        }
        Err(error) => return Err(unopened(&error, &shown)),
    };
    let greeting = wire.greeting.clone();
    let mut config = config::Config::new();
    config.user(&target.user).dbname(&target.database).application_name(&target.application);
    // TLS was spoken already where it is spoken: the library takes the wire as it is.
    config.ssl_mode(config::SslMode::Require).ssl_negotiation(config::SslNegotiation::Direct);
    config.channel_binding(match target.binding {
        Binding::Disable => config::ChannelBinding::Disable,
        Binding::Prefer => config::ChannelBinding::Prefer,
        Binding::Require => config::ChannelBinding::Require,
    });
    if let Some(password) = &target.password {
        config.password(password.expose());
    }
    if let Some(options) = &target.options {
        config.options(options);
    }
    let (client, connection) =
        config.connect_raw(wire, AsItIs).await.map_err(|error| match errors::sqlstate(&error) {
            // "The database system is starting up": libpq tries the next host.
            Some("57P03") => Trouble::Unreached(errors::connecting(&error, &shown, &target.user)),
            Some("28000") => Trouble::OtherEncryption(errors::connecting(&error, &shown, &target.user)),
            Some(_) => Trouble::Refused(errors::connecting(&error, &shown, &target.user)),
            None if errors::is_io(&error) => Trouble::Unreached(errors::connecting(&error, &shown, &target.user)),
            None => Trouble::Refused(errors::connecting(&error, &shown, &target.user)),
        })?;
    Ok(Dialled { client, connection, way: way.clone(), process: greeting.process(), host: host.clone() })
}

fn unopened(error: &std::io::Error, shown: &str) -> Trouble {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(why)) => {
            let words = format!("the certificate of {shown} is not good: {}", errors::certificate(why));
            Trouble::Insecure(Failure::new(Class::Refused, words))
        }
        Some(why) => Trouble::Insecure(Failure::new(Class::Refused, format!("no TLS with {shown}: {why}"))),
        None => Trouble::Unreached(Failure::new(
            Class::FailedNothingDone,
            format!("no connection to {shown}: {}", errors::io(error)),
        )),
    }
}
