//! From a host to a session: each of its addresses, with or without TLS as `sslmode` has it, until one lets us in. As in libpq a server that refuses ends the search; one that cannot be reached does not.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
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
pub(super) enum Trouble {
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
    pub fn failure(self) -> Failure {
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

/// Goes from hosts to sessions.
pub(super) struct Dialler<'a> {
    pub target: &'a Target,
    pub config: Option<Arc<ClientConfig>>,
    pub env: &'a Env,
    pub http: &'a Http,
}

impl Dialler<'_> {
    /// One host: its addresses in turn.
    pub async fn dial(&self, host: &HostAt) -> Result<Dialled, Trouble> {
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
    if let Some(password) = &host.password {
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
