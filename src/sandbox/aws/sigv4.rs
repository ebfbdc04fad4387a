//! Signature Version 4, checked as AWS checks it: a client that signs wrongly, or with other keys,
//! is found out here and not in production.
//!
//! Source: "Create a signed AWS API request", AWS Identity and Access Management user guide.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use super::No;
use crate::sandbox::http::Asked;

pub(in crate::sandbox) use crate::base::sandbox::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The credential scope of a signature.
pub(super) struct Scope {
    key: String,
    date: String,
    pub region: String,
    pub service: String,
}

/// Reads `Credential=` of the `Authorization` header.
pub(super) fn scope(asked: &Asked) -> Option<Scope> {
    let parts = part(asked, "Credential")?.split('/').map(str::to_owned).collect::<Vec<_>>();
    let [key, date, region, service, end] = <[String; 5]>::try_from(parts).ok()?;
    (end == "aws4_request").then_some(Scope { key, date, region, service })
}

fn part<'a>(asked: &'a Asked, name: &str) -> Option<&'a str> {
    let rest = asked.header("authorization").strip_prefix("AWS4-HMAC-SHA256 ")?;
    rest.split(',').filter_map(|part| part.trim().split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Refuses what AWS refuses: no signature, another key, another signature.
pub(super) fn verify(asked: &Asked) -> Result<(), No> {
    if asked.header("authorization").is_empty() {
        return Err((403, "MissingAuthenticationTokenException", "Missing Authentication Token".into()));
    }
    let incomplete =
        || (403, "IncompleteSignatureException", "the Authorization header is not a SigV4 signature".into());
    let scope = scope(asked).ok_or_else(incomplete)?;
    let signed = part(asked, "SignedHeaders").ok_or_else(incomplete)?;
    let signature = part(asked, "Signature").ok_or_else(incomplete)?;
    if scope.key != ACCESS_KEY_ID {
        return Err((403, "InvalidClientTokenId", "The security token included in the request is invalid.".into()));
    }
    let wants = expected(asked, &scope, signed);
    if wants == signature {
        Ok(())
    } else {
        let message = "The request signature we calculated does not match the signature you provided. Check your AWS \
                       Secret Access Key and signing method. Consult the service documentation for details.";
        Err((403, "SignatureDoesNotMatch", message.into()))
    }
}

fn expected(asked: &Asked, scope: &Scope, signed: &str) -> String {
    let mut query: Vec<(String, String)> = asked
        .query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(key, value)| (recode(key), recode(value)))
        .collect();
    query.sort();
    let query: Vec<String> = query.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let s3 = scope.service == "s3";
    let path = if s3 { asked.path.clone() } else { encode_path(&asked.path) };
    let mut canonical = format!("{}\n{path}\n{}\n", asked.method, query.join("&"));
    for name in signed.split(';') {
        let values: Vec<String> = asked
            .headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let _ = writeln!(canonical, "{name}:{}", values.join(","));
    }
    let unsigned = s3 && asked.header("x-amz-content-sha256") == "UNSIGNED-PAYLOAD";
    let payload = if unsigned { "UNSIGNED-PAYLOAD".to_owned() } else { hex(&Sha256::digest(&asked.body)) };
    let _ = write!(canonical, "\n{signed}\n{payload}");
    let Scope { date, region, service, .. } = scope;
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{}\n{date}/{region}/{service}/aws4_request\n{}",
        asked.header("x-amz-date"),
        hex(&Sha256::digest(canonical.as_bytes()))
    );
    let mut key = hmac(format!("AWS4{SECRET_ACCESS_KEY}").as_bytes(), date.as_bytes());
    for part in [region.as_str(), service, "aws4_request", &to_sign] {
        key = hmac(&key, part.as_bytes());
    }
    hex(&key)
}

fn recode(part: &str) -> String {
    let bytes: Vec<u8> = percent_decode_str(part).collect();
    percent_encoding::percent_encode(&bytes, UNRESERVED).to_string()
}

/// Every service but S3 signs the path encoded once more than it is sent.
fn encode_path(path: &str) -> String {
    path.split('/').map(|part| utf8_percent_encode(part, UNRESERVED).to_string()).collect::<Vec<_>>().join("/")
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn hmac_is_the_standard_one() {
        // RFC 4231, test case 2.
        let mac = super::hmac(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(super::hex(&mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
