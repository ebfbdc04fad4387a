//! What an X.509 certificate says (RFC 5280), read for people: names, dates, issuer, key. Nothing is
//! verified here; that is rustls's work.

use std::net::{Ipv4Addr, Ipv6Addr};

use chrono::{DateTime, Utc};
use der::{
    Decode as _, Reader as _, SliceReader, Tag, Tagged as _,
    asn1::{AnyRef, GeneralizedTime, ObjectIdentifier, UtcTime},
};
use sha2::{Digest as _, Sha256};

use crate::base::clean_line;

/// The longest text of a field that is kept; certificates are written by others.
const TEXT: usize = 200;
/// The most names that are kept of one certificate; authorities issue for at most a few hundred.
const NAMES: usize = 1000;

/// Attribute types that people know by a short name (RFC 4514, RFC 4519, RFC 5280 appendix A).
const ATTRIBUTES: &[(&str, &str)] = &[
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("2.5.4.10", ORGANISATION),
    ("2.5.4.11", "OU"),
    ("2.5.4.3", COMMON),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
];
const COMMON: &str = "CN";
const ORGANISATION: &str = "O";
/// Signatures that nobody accepts any more (RFC 9155, CA/Browser Forum Baseline Requirements 7.1.3.2).
const BROKEN: &[(&str, &str)] = &[
    ("1.2.840.113549.1.1.2", "MD2"),
    ("1.2.840.113549.1.1.4", "MD5"),
    ("1.2.840.113549.1.1.5", "SHA-1"),
    ("1.2.840.10040.4.3", "SHA-1"),
    ("1.2.840.10045.4.1", "SHA-1"),
];
/// The shortest RSA key that is accepted (CA/Browser Forum Baseline Requirements 6.1.5).
const RSA_BITS: usize = 2048;

/// A certificate's fields, texts cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// `CN=shop.acme.example, O=Acme`.
    pub subject: String,
    /// As `subject`.
    pub issuer: String,
    /// The issuer's organisation, else its common name.
    pub issuer_short: String,
    /// Hexadecimal, as `openssl x509 -serial` prints it.
    pub serial: String,
    /// Valid from.
    pub not_before: DateTime<Utc>,
    /// Valid until, inclusive.
    pub not_after: DateTime<Utc>,
    /// DNS names and addresses of the subject alternative name, in its order.
    pub names: Vec<String>,
    /// `RSA 2048`, `EC P-256`.
    pub key: String,
    /// Why the key is too weak.
    pub weak_key: Option<String>,
    /// The broken hash that it was signed with.
    pub weak_signature: Option<&'static str>,
    /// The algorithm that it was signed with, as an OID: `1.2.840.10045.4.3.2`.
    pub signature: String,
    /// Where its issuer's certificate can be had (authority information access).
    pub issuer_at: Option<String>,
    /// SHA-256 of the whole, hexadecimal.
    pub sha256: String,
    subject_der: Vec<u8>,
    issuer_der: Vec<u8>,
}

impl Certificate {
    /// Reads a certificate.
    ///
    /// # Errors
    /// It is not DER, or not a certificate.
    pub fn read(bytes: &[u8]) -> Result<Self, der::Error> {
        let whole = elements(AnyRef::from_der(bytes)?.value())?;
        let mut fields = elements(at(&whole, 0)?.value())?.into_iter().peekable();
        fields.next_if(|field| number(field) == Some(0));
        let mut next = || fields.next().ok_or_else(incomplete);
        let serial = hex(next()?.value()).to_uppercase();
        let signature = oid(at(&elements(next()?.value())?, 0)?)?;
        let issuer = next()?;
        let dates = elements(next()?.value())?;
        let subject = next()?;
        let key = elements(next()?.value())?;
        let extensions = fields.find(|field| number(field) == Some(3));
        let (key, weak_key) = key_of(&key)?;
        let (subject_of, issuer_of) = (attributes(subject.value())?, attributes(issuer.value())?);
        let short = |name: &str| issuer_of.iter().find(|(kind, _)| kind == name).map(|(_, text)| text.clone());
        let mut read = Self {
            subject: distinguished(&subject_of),
            issuer: distinguished(&issuer_of),
            issuer_short: short(ORGANISATION).or_else(|| short(COMMON)).unwrap_or_else(|| distinguished(&issuer_of)),
            serial,
            not_before: moment(at(&dates, 0)?)?,
            not_after: moment(at(&dates, 1)?)?,
            names: Vec::new(),
            key,
            weak_key,
            weak_signature: BROKEN.iter().find(|(broken, _)| *broken == signature).map(|(_, hash)| *hash),
            signature,
            issuer_at: None,
            sha256: hex(&Sha256::digest(bytes)),
            subject_der: subject.value().to_vec(),
            issuer_der: issuer.value().to_vec(),
        };
        if let Some(extensions) = extensions {
            read.extensions(at(&elements(extensions.value())?, 0)?)?;
        }
        Ok(read)
    }

    fn extensions(&mut self, list: &AnyRef<'_>) -> Result<(), der::Error> {
        for extension in elements(list.value())? {
            let parts = elements(extension.value())?;
            let (Some(kind), Some(value)) = (parts.first(), parts.last()) else { continue };
            match oid(kind)?.as_str() {
                "2.5.29.17" => {
                    let names = elements(AnyRef::from_der(value.value())?.value())?;
                    self.names = names.iter().filter_map(general_name).take(NAMES).collect();
                }
                "1.3.6.1.5.5.7.1.1" => {
                    for access in elements(AnyRef::from_der(value.value())?.value())? {
                        let parts = elements(access.value())?;
                        if oid(at(&parts, 0)?)? == "1.3.6.1.5.5.7.48.2" && number(at(&parts, 1)?) == Some(6) {
                            self.issuer_at = Some(ascii(at(&parts, 1)?.value()));
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// True where it was signed in its own name.
    #[must_use]
    pub fn names_itself_as_issuer(&self) -> bool {
        self.subject_der == self.issuer_der
    }

    /// True where the other one has the name of its issuer.
    #[must_use]
    pub fn issued_in_the_name_of(&self, other: &Self) -> bool {
        self.issuer_der == other.subject_der
    }

    /// True within its dates.
    #[must_use]
    pub fn valid_at(&self, moment: DateTime<Utc>) -> bool {
        self.not_before <= moment && moment <= self.not_after
    }
}

fn incomplete() -> der::Error {
    der::ErrorKind::Incomplete { expected_len: der::Length::ONE, actual_len: der::Length::ZERO }.into()
}

/// What a constructed value consists of.
fn elements(value: &[u8]) -> Result<Vec<AnyRef<'_>>, der::Error> {
    let mut reader = SliceReader::new(value)?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        found.push(AnyRef::decode(&mut reader)?);
    }
    Ok(found)
}

fn at<'a, 'b>(elements: &'b [AnyRef<'a>], n: usize) -> Result<&'b AnyRef<'a>, der::Error> {
    elements.get(n).ok_or_else(incomplete)
}

/// The number of a context-specific tag.
fn number(element: &AnyRef<'_>) -> Option<u32> {
    match element.tag() {
        Tag::ContextSpecific { number, .. } => Some(number.value()),
        _ => None,
    }
}

fn oid(element: &AnyRef<'_>) -> Result<String, der::Error> {
    Ok(element.decode_as::<ObjectIdentifier>()?.to_string())
}

fn moment(element: &AnyRef<'_>) -> Result<DateTime<Utc>, der::Error> {
    let since = match element.tag() {
        Tag::UtcTime => element.decode_as::<UtcTime>()?.to_unix_duration(),
        _ => element.decode_as::<GeneralizedTime>()?.to_unix_duration(),
    };
    let seconds = i64::try_from(since.as_secs()).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    seconds.ok_or_else(incomplete)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn ascii(bytes: &[u8]) -> String {
    clean_line(&String::from_utf8_lossy(bytes), TEXT)
}

/// The attributes of a distinguished name, in its order.
fn attributes(name: &[u8]) -> Result<Vec<(String, String)>, der::Error> {
    let mut found = Vec::new();
    for set in elements(name)? {
        for attribute in elements(set.value())? {
            let parts = elements(attribute.value())?;
            let kind = oid(at(&parts, 0)?)?;
            let known = ATTRIBUTES.iter().find(|(number, _)| *number == kind).map(|(_, short)| (*short).to_owned());
            found.push((known.unwrap_or(kind), text(at(&parts, 1)?)));
        }
    }
    Ok(found)
}

/// The text of a directory string in any of its five encodings.
fn text(element: &AnyRef<'_>) -> String {
    let bytes = element.value();
    let text = match element.tag() {
        Tag::BmpString => {
            let units = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        Tag::TeletexString => bytes.iter().map(|byte| char::from(*byte)).collect(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    };
    clean_line(&text, TEXT)
}

/// The most specific attribute first, as RFC 4514 writes it.
fn distinguished(attributes: &[(String, String)]) -> String {
    let parts = attributes.iter().rev().map(|(kind, text)| format!("{kind}={text}")).collect::<Vec<_>>();
    if parts.is_empty() { "nobody".to_owned() } else { clean_line(&parts.join(", "), 2 * TEXT) }
}

/// A name of the subject alternative name that a server can be called by.
fn general_name(element: &AnyRef<'_>) -> Option<String> {
    let bytes = element.value();
    match number(element)? {
        2 => Some(ascii(bytes)),
        7 => match bytes.len() {
            4 => <[u8; 4]>::try_from(bytes).ok().map(|octets| Ipv4Addr::from(octets).to_string()),
            _ => <[u8; 16]>::try_from(bytes).ok().map(|octets| Ipv6Addr::from(octets).to_string()),
        },
        _ => None,
    }
}

/// What kind of key it is, and why that is too weak.
fn key_of(parts: &[AnyRef<'_>]) -> Result<(String, Option<String>), der::Error> {
    let algorithm = elements(at(parts, 0)?.value())?;
    // A bit string's first octet counts its unused bits.
    let bits = at(parts, 1)?.value().get(1..).unwrap_or_default();
    Ok(match oid(at(&algorithm, 0)?)?.as_str() {
        "1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.10" => {
            let numbers = elements(AnyRef::from_der(bits)?.value())?;
            let modulus = at(&numbers, 0)?.value();
            let modulus = &modulus[modulus.iter().take_while(|byte| **byte == 0).count()..];
            let bits = modulus.len() * 8 - modulus.first().map_or(0, |first| first.leading_zeros() as usize);
            let weak = (bits < RSA_BITS).then(|| format!("an RSA key of {bits} bits; {RSA_BITS} is the least"));
            (format!("RSA {bits}"), weak)
        }
        "1.2.840.10045.2.1" => match oid(at(&algorithm, 1)?)?.as_str() {
            "1.2.840.10045.3.1.7" => ("EC P-256".into(), None),
            "1.3.132.0.34" => ("EC P-384".into(), None),
            "1.3.132.0.35" => ("EC P-521".into(), None),
            other => (format!("EC {other}"), Some(format!("an elliptic curve that browsers refuse ({other})"))),
        },
        "1.3.101.112" => ("Ed25519".into(), None),
        "1.3.101.113" => ("Ed448".into(), None),
        "1.2.840.10040.4.1" => ("DSA".into(), Some("a DSA key, which no client accepts any more".into())),
        other => (other.to_owned(), None),
    })
}
