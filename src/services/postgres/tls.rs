//! TLS as libpq's `sslmode` has it (<https://www.postgresql.org/docs/current/libpq-ssl.html>): encryption without
//! proof up to `require`, an authority's word from `verify-ca` on, the name too with `verify-full`. A file of roots
//! makes every mode at least `verify-ca`.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, Error,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier, verify_server_name},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::{
    defaults::Variables,
    target::{CertMode, Mode, TlsWish},
};
use crate::{
    base::{Class, Failure, clean_line},
    services::{http::provider, tls},
};

/// How a server is judged.
#[derive(Debug)]
struct Libpq {
    /// Whose word counts; nobody's: anything is taken.
    authority: Option<Arc<dyn ServerCertVerifier>>,
    /// The roots themselves: a server's own certificate among them is good, as OpenSSL has it.
    pinned: Vec<CertificateDer<'static>>,
    /// Whether the name has to match.
    named: bool,
}

impl tls::Judge for Libpq {
    fn believe(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<(), Error> {
        let Some(authority) = &self.authority else { return Ok(()) };
        if self.pinned.iter().any(|root| root == leaf) {
            in_its_time(leaf, now)?;
            if self.named {
                verify_server_name(&ParsedCertificate::try_from(leaf)?, name)?;
            }
            return Ok(());
        }
        // The chain is judged before the name, so that a wrong name says that the chain is good.
        match authority.verify_server_cert(leaf, between, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.named => Ok(()),
            judged => judged.map(drop),
        }
    }
}

fn in_its_time(leaf: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let read = tls::Certificate::read(leaf).map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < read.not_before.timestamp() {
        return Err(Error::InvalidCertificate(CertificateError::NotValidYet));
    }
    if now > read.not_after.timestamp() {
        return Err(Error::InvalidCertificate(CertificateError::Expired));
    }
    Ok(())
}

fn bad(words: impl AsRef<str>) -> Failure {
    Failure::new(Class::Misconfigured, words)
}

/// The configuration of a wish; nothing where TLS is not wanted. `own`: the environment's own authority (PEM).
///
/// # Errors
/// `Misconfigured`: files that are not there or not fit.
pub(super) async fn config(
    wish: &TlsWish,
    own: Option<&str>,
    variables: &Variables,
) -> Result<Option<Arc<ClientConfig>>, Failure> {
    if wish.mode == Mode::Disable {
        return Ok(None);
    }
    let judge = judge(wish, own, variables).await?;
    let versions: &[&rustls::SupportedProtocolVersion] = match (wish.only_12, wish.only_13) {
        (true, _) => &[&rustls::version::TLS12],
        (_, true) => &[&rustls::version::TLS13],
        _ => rustls::DEFAULT_VERSIONS,
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .map_err(|e| bad(format!("TLS cannot be set up: {e}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(tls::Judged(judge)));
    let mut config = match own_certificate(wish, variables).await? {
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|e| bad(format!("the client's certificate cannot be used: {e}")))?,
        None => builder.with_no_client_auth(),
    };
    config.enable_sni = wish.sni;
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Some(Arc::new(config)))
}

async fn judge(wish: &TlsWish, own: Option<&str>, variables: &Variables) -> Result<Libpq, Failure> {
    let named = wish.mode == Mode::VerifyFull;
    if wish.roots.as_deref() == Some("system") {
        let platform = rustls_platform_verifier::Verifier::new(provider())
            .map_err(|e| bad(format!("this system's certificates cannot be used: {e}")))?;
        return Ok(Libpq { authority: Some(Arc::new(platform)), pinned: Vec::new(), named: true });
    }
    let pem = match (&wish.roots, own) {
        (Some(file), _) => Some((read("sslrootcert", &variables.expanded(file)).await?, clean_line(file, 200))),
        (None, Some(own)) => Some((own.as_bytes().to_vec(), "the environment's own authority".to_owned())),
        (None, None) => match variables.in_home("root.crt") {
            Some(file) if file.exists() => Some((read("root.crt", &file).await?, "~/.postgresql/root.crt".to_owned())),
            _ if wish.mode >= Mode::VerifyCa => {
                return Err(bad("sslmode asks for a verified server, and there is no file of roots to verify it with")
                    .hint("give sslrootcert=FILE, sslrootcert=system, or put it at ~/.postgresql/root.crt"));
            }
            _ => None,
        },
    };
    let Some((pem, place)) = pem else { return Ok(Libpq { authority: None, pinned: Vec::new(), named: false }) };
    let roots = tls::roots(&pem).map_err(|e| bad(format!("{place}: {e}")))?;
    let pinned = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
    let authority = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    let authority = authority.map_err(|e| bad(format!("{place}: {e}")))?;
    Ok(Libpq { authority: Some(authority), pinned, named })
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The client's own certificate and key, where there are any.
async fn own_certificate(wish: &TlsWish, variables: &Variables) -> Result<Option<Identity>, Failure> {
    if wish.certificate_mode == CertMode::Disable {
        return Ok(None);
    }
    let certificate = match &wish.certificate {
        Some(file) => variables.expanded(file),
        None => match variables.in_home("postgresql.crt").filter(|file| file.exists()) {
            Some(file) => file,
            None => return Ok(None),
        },
    };
    let key = match &wish.key {
        Some(file) => variables.expanded(file),
        None => variables.in_home("postgresql.key").unwrap_or_default(),
    };
    private(&key).await?;
    let chain = CertificateDer::pem_slice_iter(&read("sslcert", &certificate).await?).collect::<Result<Vec<_>, _>>();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(|| bad(format!("sslcert {} holds no certificate", shown(&certificate))))?;
    let pem = zeroize::Zeroizing::new(read("sslkey", &key).await?);
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        bad(format!("sslkey {} holds no private key that can be read", shown(&key)))
            .hint("a key with a passphrase is not supported; PEM without one is")
    })?;
    Ok(Some((chain, key)))
}

/// libpq's rule: a key is its owner's alone, or root's and a group's.
async fn private(key: &std::path::Path) -> Result<(), Failure> {
    use std::os::unix::fs::MetadataExt as _;
    let meta = tokio::fs::metadata(key).await.map_err(|e| bad(format!("sslkey {}: {e}", shown(key))))?;
    let open = if meta.uid() == 0 { 0o037 } else { 0o077 };
    if meta.mode() & open != 0 {
        return Err(bad(format!("sslkey {} can be read by others", shown(key))).hint("chmod 600"));
    }
    Ok(())
}

fn shown(path: &std::path::Path) -> String {
    clean_line(&path.display().to_string(), 200)
}

async fn read(what: &str, path: &PathBuf) -> Result<Vec<u8>, Failure> {
    tokio::fs::read(path).await.map_err(|e| bad(format!("{what} {} cannot be read: {e}", shown(path))))
}

/// The hash of a server's certificate that SCRAM is bound to (RFC 5929, section 4.1): that of its signature, SHA-256
/// in place of MD5 and SHA-1; nothing where the signature has none of its own.
pub(super) fn binding(leaf: &[u8]) -> Option<Vec<u8>> {
    match tls::Certificate::read(leaf).ok()?.signature.as_str() {
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.1"
        | "1.2.840.10045.4.3.2" => Some(Sha256::digest(leaf).to_vec()),
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => Some(Sha384::digest(leaf).to_vec()),
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => Some(Sha512::digest(leaf).to_vec()),
        _ => None,
    }
}
