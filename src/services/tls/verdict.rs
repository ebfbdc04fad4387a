//! What is wrong with the certificates that a server showed: each fault found by itself, in a sentence
//! of its own. Trust and names are decided by rustls and the platform; only the words are ours.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use rustls::{
    CertificateError, Error,
    client::{danger::ServerCertVerifier, verify_server_name},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use super::Certificate;
use crate::base::clean_line;

/// The most names of a certificate that a sentence lists.
const LISTED: usize = 12;

/// One thing that is wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// A lower-case fragment: `it expired on 2026-11-01 …`.
    pub text: String,
    /// What a person can do.
    pub hint: Option<String>,
}

impl Fault {
    pub(super) fn new(text: impl AsRef<str>) -> Self {
        Self { text: clean_line(text.as_ref(), 500), hint: None }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// What was shown, and by whom it is judged.
pub(super) struct Shown<'a> {
    pub verifier: &'a Arc<dyn ServerCertVerifier>,
    pub chain: &'a [CertificateDer<'static>],
    pub read: &'a [Certificate],
    pub host: &'a ServerName<'static>,
    pub names: &'a [String],
    /// What the handshake's signature was refused with.
    pub forged: Option<&'a Error>,
}

/// A moment as sentences show it.
pub(super) fn day(moment: DateTime<Utc>) -> String {
    moment.format("%Y-%m-%d %H:%M UTC").to_string()
}

impl Shown<'_> {
    /// Everything that is wrong at a moment.
    pub fn faults(&self, now: DateTime<Utc>) -> Vec<Fault> {
        let mut faults = Vec::new();
        let leaf = self.read.first();
        if let Some(leaf) = leaf {
            faults.extend(dates(leaf, now));
            faults.extend(leaf.weak_key.as_ref().map(|weak| Fault::new(format!("it has {weak}"))));
        }
        faults.extend(self.wrong_names());
        faults.extend(self.distrust(now));
        if let Some(error) = self.forged.filter(|_| leaf.is_none_or(|leaf| leaf.weak_key.is_none())) {
            let text = format!("the server did not prove that it holds the certificate's key: {error}");
            faults.push(Fault::new(text).hint("certificate and key do not belong together on that server"));
        }
        faults
    }

    /// The names that it ought to cover and does not (RFC 9525: a wildcard stands for one whole label).
    fn wrong_names(&self) -> Option<Fault> {
        let parsed = self.chain.first().and_then(|leaf| ParsedCertificate::try_from(leaf).ok())?;
        let own = self.read.first().map(|leaf| leaf.names.as_slice()).unwrap_or_default();
        let covered = |name: &String| {
            if name.starts_with("*.") {
                return own.iter().any(|own| own.eq_ignore_ascii_case(name));
            }
            ServerName::try_from(name.as_str()).is_ok_and(|name| verify_server_name(&parsed, &name).is_ok())
        };
        let missing = self.names.iter().filter(|name| !covered(name)).cloned().collect::<Vec<_>>();
        if missing.is_empty() {
            return None;
        }
        let shown = own.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
        let own = match own.len() {
            0 => "it has no subject alternative name at all".to_owned(),
            many if many > LISTED => format!("its names are {shown} and {} more", many - LISTED),
            _ => format!("its names are {shown}"),
        };
        let hint = "this may be the server's default certificate: see which certificates its listener has";
        Some(Fault::new(format!("it is not for {}; {own}", missing.join(", "))).hint(hint))
    }

    /// Why nobody would trust the chain, apart from the leaf's own dates and names.
    fn distrust(&self, now: DateTime<Utc>) -> Option<Fault> {
        let (first, rest) = self.chain.split_first()?;
        // An expired leaf hides everything else, so the rest is judged at a moment when it was valid.
        let second = TimeDelta::seconds(1);
        let moment = match self.read.first() {
            Some(leaf) if now > leaf.not_after => leaf.not_after - second,
            Some(leaf) if now < leaf.not_before => leaf.not_before + second,
            _ => now,
        };
        let seconds = u64::try_from(moment.timestamp()).unwrap_or_default();
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let error = self.verifier.verify_server_cert(first, rest, self.host, &[], at).err()?;
        let Error::InvalidCertificate(error) = error else {
            return Some(Fault::new(format!("it is not trusted: {error}")));
        };
        let weak = || self.read.iter().find_map(|one| one.weak_signature.map(|hash| (one, hash)));
        Some(match error {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => return None,
            CertificateError::UnknownIssuer => match weak() {
                Some((one, hash)) => broken_hash(one, hash),
                None => self.unknown_issuer(),
            },
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => {
                match self.read.iter().skip(1).find(|one| !one.valid_at(moment)) {
                    Some(one) => Fault::new(format!(
                        "a certificate of its chain, {}, is not valid ({} to {})",
                        one.subject,
                        day(one.not_before),
                        day(one.not_after)
                    )),
                    None => Fault::new(format!("its chain is not valid: {error}")),
                }
            }
            CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => match weak() {
                Some((one, hash)) => broken_hash(one, hash),
                None => Fault::new("its chain is signed with an algorithm that is not accepted"),
            },
            CertificateError::BadSignature => Fault::new(
                "a signature in its chain is false: a certificate was changed, or an authority of the same name has another key",
            ),
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Fault::new("it is not meant for servers (its extended key usage lacks TLS server authentication)")
            }
            CertificateError::Revoked => Fault::new("it was revoked"),
            CertificateError::BadEncoding => Fault::new("it is not correctly encoded"),
            other => Fault::new(format!("it is not trusted: {other}")),
        })
    }

    /// Self-signed, no intermediate, or an authority that nobody knows.
    fn unknown_issuer(&self) -> Fault {
        let Some(leaf) = self.read.first() else { return Fault::new("its issuer is unknown") };
        let own = "give the authority's certificate by `ca` if it is your own";
        if leaf.names_itself_as_issuer() {
            return Fault::new("it is self-signed: nobody else vouches for it").hint(own);
        }
        let mut top = leaf;
        for _ in 0..self.read.len() {
            if top.names_itself_as_issuer() {
                break;
            }
            let Some(next) = self.read.iter().skip(1).find(|one| top.issued_in_the_name_of(one)) else { break };
            top = next;
        }
        if top.names_itself_as_issuer() {
            return Fault::new(format!("its chain ends at {}, which is not trusted here", top.subject)).hint(own);
        }
        let sent = match (self.read.len() - 1, top == leaf) {
            (0, _) => "the server sends no other certificate",
            (_, true) => "what else the server sends did not issue it",
            (_, false) => "the server's chain ends below it",
        };
        match &top.issuer_at {
            // A root has no issuer to be fetched, so this one is an intermediate.
            Some(at) => Fault::new(format!(
                "its chain is incomplete: the intermediate {} is missing ({sent}); it can be had at {at}",
                top.issuer
            ))
            .hint("install the full chain on the server: browsers may fetch what is missing, other clients fail"),
            None => Fault::new(format!(
                "its issuer {} is unknown: it is not trusted here, and {sent}, so that an intermediate may be missing",
                top.issuer
            ))
            .hint(format!("install the full chain on the server; {own}")),
        }
    }
}

fn broken_hash(one: &Certificate, hash: &str) -> Fault {
    Fault::new(format!("{} is signed with {hash}, which is broken and not accepted", one.subject))
}

/// What is wrong with its own dates.
fn dates(leaf: &Certificate, now: DateTime<Utc>) -> Option<Fault> {
    if now > leaf.not_after {
        let days = (now - leaf.not_after).num_days();
        return Some(Fault::new(format!("it expired on {}, {days} days ago", day(leaf.not_after))));
    }
    let early = now < leaf.not_before;
    early.then(|| {
        Fault::new(format!("it is not valid before {}", day(leaf.not_before))).hint("compare this machine's clock")
    })
}
