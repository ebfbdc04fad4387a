//! What TLS needs: whom we trust, who we are, which version of HTTP we offer.

use std::sync::{Arc, OnceLock};

use rustls::{
    ClientConfig,
    client::Resumption,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::{Dial, Speaks};
use crate::{
    base::{Class, Failure, clean_line},
    runbook::Env,
};

/// The one implementation of cryptography.
pub fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    // For whoever asks the process for its provider (the HTTP client does); a second call changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A certificate and its key, for servers that ask who we are. Neither is ever shown.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

impl Identity {
    /// From PEM texts; both may be the same text.
    ///
    /// # Errors
    /// What is missing or wrong, without any of it.
    pub fn read(certificate: &str, key: &str) -> Result<Self, String> {
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|_| "the client certificate is no PEM text".to_owned())?;
        if chain.is_empty() {
            return Err("there is no certificate in the client certificate's PEM text".into());
        }
        if key.contains("ENCRYPTED") {
            return Err("the client key is encrypted; give it decrypted, as a secret".into());
        }
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
        Ok(Self { chain, key: key.map_err(|_| "there is no private key in the client key's PEM text".to_owned())? })
    }
}

/// The configuration of a line. The system's certificates are read once.
pub(super) fn config(env: &Env, dial: &Dial) -> Result<ClientConfig, Failure> {
    let bad = |what: &str, why: &str| Failure::new(Class::Misconfigured, format!("{what}: {}", clean_line(why, 200)));
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| bad("TLS cannot be set up", &e.to_string()))?;
    let own = dial.ca.as_deref().map(|ca| ("`ca`", ca));
    let own = own.or_else(|| env.http.ca.as_deref().map(|ca| ("the environment's own authority", ca)));
    let mut config = match (own, &dial.identity) {
        (None, None) => {
            static SYSTEM: OnceLock<Result<ClientConfig, String>> = OnceLock::new();
            let made = SYSTEM
                .get_or_init(|| Ok(builder.with_platform_verifier().map_err(|e| e.to_string())?.with_no_client_auth()));
            made.clone().map_err(|e| bad("TLS cannot be set up", &e))?
        }
        (own, identity) => {
            let builder = match own {
                Some((what, pem)) => {
                    let roots = crate::services::tls::roots(pem.as_bytes()).map_err(|e| bad(what, &e))?;
                    builder.with_root_certificates(roots)
                }
                None => builder.with_platform_verifier().map_err(|e| bad("TLS cannot be set up", &e.to_string()))?,
            };
            match identity {
                Some(who) => builder
                    .with_client_auth_cert(who.chain.clone(), who.key.clone_key())
                    .map_err(|_| bad("the client certificate", "its key does not belong to it, or cannot be used"))?,
                None => builder.with_no_client_auth(),
            }
        }
    };
    config.alpn_protocols = match dial.speaks {
        Speaks::Any => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Speaks::One => vec![b"http/1.1".to_vec()],
        Speaks::Two => vec![b"h2".to_vec()],
    };
    // Every connection is a first meeting, as a visitor's: a resumed session shows no certificate.
    config.resumption = Resumption::disabled();
    Ok(config)
}
