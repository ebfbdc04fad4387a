//! Whom to trust, and the record of what a server showed.

use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use rustls::{
    DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::base::{Class, Failure, clean_line};
use crate::services::http::provider;

/// How much of what a server says first is kept, to tell what it speaks.
const HEAD: usize = 64;

/// The judge: of a file of roots, of the environment's roots, else of the platform.
///
/// # Errors
/// `Misconfigured`: there are no roots.
pub(super) async fn verifier(file: Option<&str>, own: Option<&str>) -> Result<Arc<dyn ServerCertVerifier>, Failure> {
    let bad = |what: String| Failure::new(Class::Misconfigured, what);
    let roots = match (file, own) {
        (Some(file), _) => {
            let shown = clean_line(file, 200);
            let pem = tokio::fs::read(file).await.map_err(|e| bad(format!("`ca` {shown} cannot be read: {e}")))?;
            roots(&pem).map_err(|e| bad(format!("`ca` {shown}: {e}")))?
        }
        (None, Some(own)) => roots(own.as_bytes()).map_err(|e| bad(format!("the environment's own authority: {e}")))?,
        (None, None) => {
            let platform = rustls_platform_verifier::Verifier::new(provider());
            return match platform {
                Ok(platform) => Ok(Arc::new(platform)),
                Err(e) => Err(bad(format!("this system's certificates cannot be used: {e}"))
                    .hint("install ca-certificates, or give `ca`")),
            };
        }
    };
    let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    let built = built.map_err(|e| bad(format!("the certificates to trust cannot be used: {e}")))?;
    Ok(built)
}

/// The certificates of a PEM text.
///
/// # Errors
/// There are none, or one is broken.
pub(in crate::services) fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|e| e.to_string())?;
        roots.add(certificate).map_err(|e| e.to_string())?;
    }
    if roots.is_empty() { Err("there is no certificate in it".into()) } else { Ok(roots) }
}

/// Lets a handshake go on whatever is shown, and keeps it for the verdict.
pub(super) struct Recorder {
    judge: Arc<dyn ServerCertVerifier>,
    chain: OnceLock<Vec<CertificateDer<'static>>>,
    forged: OnceLock<Error>,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

impl Recorder {
    pub fn new(judge: Arc<dyn ServerCertVerifier>) -> Self {
        Self { judge, chain: OnceLock::new(), forged: OnceLock::new() }
    }

    /// What was shown, the leaf first.
    pub fn chain(&self) -> Option<&[CertificateDer<'static>]> {
        self.chain.get().map(Vec::as_slice)
    }

    /// Why the handshake's own signature is not good.
    pub fn forged(&self) -> Option<Error> {
        self.forged.get().cloned()
    }

    pub fn verifier(&self) -> &Arc<dyn ServerCertVerifier> {
        &self.judge
    }

    fn noted(&self, valid: Result<HandshakeSignatureValid, Error>) -> HandshakeSignatureValid {
        valid.unwrap_or_else(|error| {
            let _ = self.forged.set(error);
            HandshakeSignatureValid::assertion()
        })
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let all = std::iter::once(end_entity).chain(intermediates);
        let _ = self.chain.set(all.map(|one| one.clone().into_owned()).collect());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(self.noted(self.judge.verify_tls12_signature(message, cert, dss)))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(self.noted(self.judge.verify_tls13_signature(message, cert, dss)))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}

/// A connection that remembers the first bytes that came.
pub(in crate::services) struct Head {
    stream: TcpStream,
    head: Vec<u8>,
}

impl Head {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, head: Vec::with_capacity(HEAD) }
    }

    pub fn head(&self) -> &[u8] {
        &self.head
    }
}

impl AsyncRead for Head {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        let fresh = buf.filled().get(before..).unwrap_or_default();
        let room = HEAD.saturating_sub(this.head.len()).min(fresh.len());
        this.head.extend_from_slice(&fresh[..room]);
        polled
    }
}

impl AsyncWrite for Head {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
