//! The origins' certificates: an authority of the world's own, made anew at every start, and what each
//! origin shows. No key leaves the process.

use std::sync::Arc;

use base64::Engine as _;
use chrono::{Datelike as _, TimeDelta};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
};
use tokio_rustls::TlsAcceptor;

use super::{
    names::WorldNames,
    web::Side,
    world::{Moment, World},
};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What the origins show.
#[derive(Clone)]
pub(super) struct Certificates {
    /// The authority (PEM).
    pub ca: String,
    old: TlsAcceptor,
    new: TlsAcceptor,
    /// The new origin's, run out.
    expired: TlsAcceptor,
    /// The new origin's, for its balancer's name only.
    other: TlsAcceptor,
}

impl Certificates {
    /// An authority, an intermediate, and a certificate for each origin: the old one's covers the host and every
    /// name of the domain, the new one's the host and the domain.
    pub fn new(names: &WorldNames, now: Moment) -> Result<Self, Error> {
        let issuer = |name: &str| -> Result<(CertificateParams, KeyPair), Error> {
            let mut params = dated(vec![], now, -400, 4000)?;
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::OrganizationName, "Acme Sandbox");
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            Ok((params, KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?))
        };
        let (params, key) = issuer("Acme Sandbox Root")?;
        let root = CertifiedIssuer::self_signed(params, key)?;
        let (params, key) = issuer("Acme Sandbox Authority 1")?;
        let middle = CertifiedIssuer::signed_by(params, key, &root)?;
        let shows = |names: Vec<String>, from: i64, until: i64| -> Result<TlsAcceptor, Error> {
            let mut params = dated(names.clone(), now, from, until)?;
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, names.first().cloned().unwrap_or_default());
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params.use_authority_key_identifier_extension = true;
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            let leaf = params.signed_by(&key, &middle)?;
            acceptor(vec![leaf.der().clone(), middle.der().clone()], &key)
        };
        let (host, domain) = (names.host.clone(), names.domain.clone());
        Ok(Self {
            ca: pem(root.der()),
            old: shows(vec![host.clone(), format!("*.{domain}")], -60, 30)?,
            new: shows(vec![host.clone(), domain], -20, 375)?,
            expired: shows(vec![host], -100, -3)?,
            other: shows(vec![names.new_target.clone()], -20, 375)?,
        })
    }

    /// What an origin shows to its next visitor.
    pub fn of(&self, side: Side, world: &mut World) -> TlsAcceptor {
        match side {
            Side::Heroku => &self.old,
            Side::Aws if world.strikes("tls.expired") => &self.expired,
            Side::Aws if world.strikes("tls.other_name") => &self.other,
            Side::Aws => &self.new,
        }
        .clone()
    }
}

/// Parameters valid from and until so many days from now.
fn dated(names: Vec<String>, now: Moment, from: i64, until: i64) -> Result<CertificateParams, Error> {
    let day = |days| -> Result<_, Error> {
        let day = now + TimeDelta::days(days);
        let (month, date) = (u8::try_from(day.month())?, u8::try_from(day.day())?);
        Ok(rcgen::date_time_ymd(day.year(), month, date))
    };
    let mut params = CertificateParams::new(names)?;
    (params.not_before, params.not_after) = (day(from)?, day(until)?);
    Ok(params)
}

fn acceptor(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Result<TlsAcceptor, Error> {
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_no_client_auth().with_single_cert(chain, key.into())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A certificate as a text (RFC 7468).
fn pem(der: &CertificateDer<'_>) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
    format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
}
