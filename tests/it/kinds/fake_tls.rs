//! TLS servers of the test's own, with certificates made here: an authority, an intermediate, leaves of every kind.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use base64::Engine as _;
use chrono::{Datelike as _, TimeDelta, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, PKCS_ECDSA_P256_SHA256,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// A root and an intermediate, the root also as a file.
pub struct Authority {
    pub root: Issuer,
    pub middle: Issuer,
    pub folder: tempfile::TempDir,
}

/// A chain and its key.
pub struct Made {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: KeyPair,
}

pub fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

pub fn pem(der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

pub fn pem_key(key: &KeyPair) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(key.serialize_der());
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

/// So many days from now.
pub fn dates(params: &mut CertificateParams, from: i64, until: i64) {
    let day = |days| {
        let day = Utc::now() + TimeDelta::days(days);
        rcgen::date_time_ymd(day.year(), day.month() as u8, day.day() as u8)
    };
    (params.not_before, params.not_after) = (day(from), day(until));
}

/// Parameters of an issuer.
pub fn issuer(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Test Trust");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    dates(&mut params, -100, 1000);
    params
}

/// Parameters of a server's certificate, valid from 10 days ago for 90 days.
pub fn server(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, names.first().copied().unwrap_or("nameless"));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    dates(&mut params, -10, 80);
    params
}

impl Authority {
    pub fn new() -> Self {
        Self::named("Test")
    }

    pub fn named(name: &str) -> Self {
        let root = Issuer::self_signed(issuer(&format!("{name} Root")), key()).unwrap();
        let middle = Issuer::signed_by(issuer(&format!("{name} Intermediate")), key(), &root).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), pem(root.der())).unwrap();
        Self { root, middle, folder }
    }

    /// The root's file.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A leaf below the intermediate, which is sent along.
    pub fn leaf(&self, params: &CertificateParams) -> Made {
        let key = key();
        let leaf = params.signed_by(&key, &self.middle).unwrap();
        Made { chain: vec![leaf.der().clone(), self.middle.der().clone()], key }
    }
}

impl Made {
    /// For the server, whether or not key and certificate belong together.
    pub fn certified(&self) -> Arc<CertifiedKey> {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
        Arc::new(CertifiedKey::new(self.chain.clone(), key))
    }
}

/// Certificates by the name that is asked for; `*` for every other, also without one.
#[derive(Debug)]
pub struct BySni(pub Vec<(&'static str, Arc<CertifiedKey>)>);

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or("*");
        let found = self.0.iter().find(|(known, _)| *known == name).or_else(|| self.0.iter().find(|(k, _)| *k == "*"));
        found.map(|(_, key)| key.clone())
    }
}

pub fn config(versions: &[&'static rustls::SupportedProtocolVersion], resolver: BySni) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    builder.with_no_client_auth().with_cert_resolver(Arc::new(resolver))
}

/// A server that ends with the test.
pub struct Served {
    pub address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Does with every connection what it is told.
pub async fn serve<F, Fut>(at: &str, each: F) -> Served
where
    F: Fn(TcpStream) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(at).await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(each(stream));
        }
    });
    Served { address, task }
}

/// Speaks TLS and nothing in it.
pub async fn tls_at(at: &str, config: ServerConfig) -> Served {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    serve(at, move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut tls) = acceptor.accept(stream).await {
                let _ = tls.read_u8().await;
            }
        }
    })
    .await
}

/// Shows a chain whatever is asked for.
pub async fn shows(made: &Made) -> Served {
    tls_at("127.0.0.1:0", config(rustls::ALL_VERSIONS, BySni(vec![("*", made.certified())]))).await
}

/// Waits for a first byte, then says something that is not TLS.
pub async fn says(words: &'static [u8]) -> Served {
    serve("127.0.0.1:0", move |mut stream| async move {
        let mut some = [0; 16];
        let _ = stream.read(&mut some).await;
        let _ = stream.write_all(words).await;
        let _ = stream.read_u8().await;
    })
    .await
}
