//! TLS for adapters that speak a protocol of their own over it: a handshake over an open connection, within the caller's time.

use std::sync::{Arc, OnceLock};

use rustls::{
    CertificateError, ClientConfig, Error,
    client::danger::ServerCertVerifier,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    Certificate,
    judge::{Judge, Judged},
    refusal::shaking_hands,
    trust::{Head, verifier},
    verdict::Fault,
};
use crate::{
    base::{Class, Failure},
    services::http::provider,
};

/// Whom to believe.
pub(in crate::services) struct Trust<'a> {
    /// A file of certificates (PEM) to trust instead of the platform's.
    pub ca: Option<&'a str>,
    /// The environment's own certificates (PEM), used where no file is named.
    pub own: Option<&'a str>,
    /// False: whoever answers is believed, and only overhearing is prevented.
    pub verify: bool,
}

/// Shakes hands. Also gives the SHA-256 of a certificate that was not to be verified.
///
/// # Errors
/// `Misconfigured`: there are no roots, or what answers is not who it has to be or speaks no TLS; `FailedNothingDone`: the connection broke.
pub(in crate::services) async fn secured(
    stream: TcpStream,
    host: &str,
    trust: &Trust<'_>,
) -> Result<(TlsStream<Head>, Option<String>), Failure> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Failure::new(Class::Misconfigured, "TLS needs a name or an address to verify"))?;
    let anybody = (!trust.verify).then(|| Arc::new(Judged(Anybody::default())));
    let judge: Arc<dyn ServerCertVerifier> = match &anybody {
        Some(anybody) => anybody.clone(),
        None => verifier(trust.ca, trust.own).await?,
    };
    let config =
        config(judge).map_err(|error| Failure::new(Class::Misconfigured, format!("TLS cannot be set up: {error}")))?;
    // A handshake that failed gives its stream back, and with it what the server said instead.
    let shaken = TlsConnector::from(Arc::new(config)).connect(name, Head::new(stream)).into_fallible().await;
    match shaken {
        Ok(tls) => {
            let shown = anybody.as_ref().and_then(|anybody| anybody.0.0.get());
            let shown = shown.and_then(|leaf| Certificate::read(leaf).ok());
            Ok((tls, shown.map(|leaf| leaf.sha256)))
        }
        Err((error, stream)) => {
            let rustls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
            if let Some(Error::InvalidCertificate(why)) = rustls {
                return Err(distrusted(why, host));
            }
            let class = if rustls.is_some() { Class::Misconfigured } else { Class::FailedNothingDone };
            let Fault { text, hint } = shaking_hands(&error, stream.head(), host, &[]);
            let failure = Failure::new(class, text);
            Err(match hint {
                Some(hint) => failure.hint(hint),
                None => failure,
            })
        }
    }
}

/// Why a certificate is not believed.
fn distrusted(why: &CertificateError, host: &str) -> Failure {
    let (text, hint) = match why {
        CertificateError::UnknownIssuer => (
            "its certificate is not trusted here: nobody known vouches for it".to_owned(),
            "give the authority's certificate by `ca`; where there is none to be had (a self-signed one), a parameter gives up verifying",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            (format!("its certificate is not for {host}"), "name the host as the certificate does")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            "its certificate has expired".to_owned(),
            "it has to be renewed on the server; compare this machine's clock",
        ),
        other => (format!("its certificate is not trusted: {other}"), "`tls.certificate` says more about it"),
    };
    Failure::new(Class::Misconfigured, text).hint(hint)
}

fn config(verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions()?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// Believes whoever answers, and keeps what was shown.
#[derive(Debug, Default)]
struct Anybody(OnceLock<CertificateDer<'static>>);

impl Judge for Anybody {
    fn believe(
        &self,
        leaf: &CertificateDer<'_>,
        _between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<(), Error> {
        let _the_first = self.0.set(leaf.clone().into_owned());
        Ok(())
    }
}
