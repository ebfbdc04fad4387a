//! Certificate Manager, read: a certificate by its ARN, or the best one that covers a name.

use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};

use super::{Aws, Patience, call::Call, errors::garbled, session::Service};
use crate::base::{Class, Failure};

const ACM: Service<'_> = Service::new("ACM", "acm", "ACM", "");
const LIST: Call<'_> = Call::reads(ACM.name, "ListCertificates", "acm:ListCertificates");
const DESCRIBE: Call<'_> = Call::reads(ACM.name, "DescribeCertificate", "acm:DescribeCertificate");
/// Without a filter only `RSA_2048` is listed (`ListCertificates`, ACM API reference).
const KEYS: [&str; 7] =
    ["RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1"];
/// Certificates of one page, and pages that are followed: an account may have 2500 by default.
const PAGE: usize = 1000;
const PAGES: usize = 20;
/// Certificates of a name that are described until one is found that covers it.
const TRIED: usize = 10;

/// A certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Certificate {
    /// In full.
    pub arn: String,
    /// `ISSUED`, `PENDING_VALIDATION`, `EXPIRED`, ….
    pub status: String,
    /// Every name on it, lower case.
    pub names: Vec<String>,
    /// `AMAZON_ISSUED`, `IMPORTED`, `PRIVATE`.
    pub origin: String,
    /// `RSA_2048`, ….
    pub key: String,
    /// When it ends.
    pub until: Option<DateTime<Utc>>,
    /// ACM renews it by itself.
    pub renews: Option<bool>,
    /// How the renewal under way stands: `PENDING_AUTO_RENEWAL`, `PENDING_VALIDATION`, `SUCCESS`, `FAILED`.
    pub renewal: Option<String>,
    /// ARNs of what uses it.
    pub in_use_by: Vec<String>,
    /// The names that are not validated yet, of the renewal where one is under way.
    pub unproven: Vec<Validation>,
    /// Why it failed.
    pub why: String,
}

/// A name that ACM has not seen proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validation {
    /// The name.
    pub name: String,
    /// `PENDING_VALIDATION`, `FAILED`.
    pub status: String,
    /// The CNAME that proves it: name and value; `None` where it is proven by mail.
    pub record: Option<(String, String)>,
}

/// True where a name on a certificate stands for a host: itself, or one label for the star (RFC 6125, 6.4.3).
#[must_use]
pub fn covers(on: &str, host: &str) -> bool {
    if on.eq_ignore_ascii_case(host) {
        return true;
    }
    let (Some(parent), Some((_, rest))) = (on.strip_prefix("*."), host.split_once('.')) else { return false };
    !host.starts_with("*.") && parent.eq_ignore_ascii_case(rest)
}

impl Aws {
    /// A certificate by its ARN, in the environment's region or another one.
    ///
    /// # Errors
    /// `Misconfigured` where there is none, `Denied`, `FailedNothingDone`.
    pub async fn certificate(
        &self,
        arn: &str,
        region: Option<&str>,
        patience: &Patience,
    ) -> Result<Certificate, Failure> {
        let body = json!({ "CertificateArn": arn });
        let target = "CertificateManager.DescribeCertificate";
        let answer = self.json(&ACM.at(region), &DESCRIBE, target, &body, patience).await?;
        read(&answer["Certificate"])
    }

    /// The best certificate that covers a name: an issued one before the others, then the one that lasts longest; and
    /// how many cover it.
    ///
    /// # Errors
    /// `NotYet` where none covers it; as [`Aws::certificate`].
    pub async fn certificate_for(
        &self,
        host: &str,
        region: Option<&str>,
        patience: &Patience,
    ) -> Result<(Certificate, usize), Failure> {
        let mut found = self.summaries(host, region, patience).await?;
        found.sort_by(|a, b| a.rank.cmp(&b.rank).then(b.until.total_cmp(&a.until)));
        let sure = found.iter().filter(|one| one.sure).count();
        for one in found.iter().take(TRIED) {
            let certificate = self.certificate(&one.arn, region, patience).await?;
            if certificate.names.iter().any(|name| covers(name, host)) {
                return Ok((certificate, sure.max(1)));
            }
        }
        if found.len() > TRIED {
            let words = format!("no data: more than {TRIED} certificates may cover {host}");
            return Err(Failure::new(Class::NotYet, words).hint("name the certificate by its `arn`"));
        }
        Err(Failure::new(Class::NotYet, format!("no certificate covers {host}"))
            .hint("CloudFront takes certificates of us-east-1 only, a load balancer those of its own region"))
    }

    /// Every certificate that covers a name, or may: a summary holds a hundred names at most.
    async fn summaries(&self, host: &str, region: Option<&str>, patience: &Patience) -> Result<Vec<Summary>, Failure> {
        let mut found = Vec::new();
        let mut next = Json::Null;
        for _ in 0..PAGES {
            let mut body = json!({ "Includes": { "keyTypes": KEYS }, "MaxItems": PAGE });
            if let Json::String(token) = &next {
                body["NextToken"] = json!(token);
            }
            let answer =
                self.json(&ACM.at(region), &LIST, "CertificateManager.ListCertificates", &body, patience).await?;
            let Some(list) = answer["CertificateSummaryList"].as_array() else {
                return Err(garbled(&LIST, "the answer has no CertificateSummaryList").failure);
            };
            found.extend(list.iter().filter_map(|one| Summary::of(one, host)));
            next = answer["NextToken"].clone();
            if next.as_str().is_none_or(str::is_empty) {
                return Ok(found);
            }
        }
        let words = format!("no data: ACM lists more than {PAGES} pages of certificates");
        Err(Failure::new(Class::FailedNothingDone, words).hint("name the certificate by its `arn`"))
    }
}

struct Summary {
    arn: String,
    rank: u8,
    until: f64,
    /// It covers the name for sure.
    sure: bool,
}

impl Summary {
    fn of(one: &Json, host: &str) -> Option<Self> {
        let more = one["HasAdditionalSubjectAlternativeNames"].as_bool().unwrap_or(false);
        let names = one["SubjectAlternativeNameSummaries"].as_array().into_iter().flatten();
        let mut names = names.chain([&one["DomainName"]]).filter_map(Json::as_str);
        let sure = names.any(|name| covers(name, host));
        let rank = match one["Status"].as_str() {
            Some("ISSUED") => 0,
            Some("PENDING_VALIDATION") | None => 1,
            _ => 2,
        };
        let arn = one["CertificateArn"].as_str()?.to_owned();
        (sure || more).then(|| Self { arn, rank, until: one["NotAfter"].as_f64().unwrap_or(0.0), sure })
    }
}

/// Seconds since 1970, as the JSON protocols write a moment.
pub(super) fn seconds(value: &Json) -> Option<DateTime<Utc>> {
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds of this era fit; a float cast saturates")]
    DateTime::from_timestamp_millis((value.as_f64()? * 1000.0) as i64)
}

fn read(one: &Json) -> Result<Certificate, Failure> {
    let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
    let (arn, status) = (text("CertificateArn"), text("Status"));
    if arn.is_empty() || status.is_empty() {
        return Err(garbled(&DESCRIBE, "the answer names no certificate or no status").failure);
    }
    let names = one["SubjectAlternativeNames"].as_array().into_iter().flatten();
    let mut names: Vec<_> =
        names.chain([&one["DomainName"]]).filter_map(Json::as_str).map(str::to_ascii_lowercase).collect();
    names.sort();
    names.dedup();
    let renewal = &one["RenewalSummary"];
    let renewing = renewal["RenewalStatus"].as_str();
    let proofs = match renewing {
        Some("SUCCESS") | None => &one["DomainValidationOptions"],
        Some(_) => &renewal["DomainValidationOptions"],
    };
    let why = [&one["FailureReason"], &renewal["RenewalStatusReason"], &one["RevocationReason"]];
    Ok(Certificate {
        arn,
        status,
        names,
        origin: text("Type"),
        key: text("KeyAlgorithm"),
        until: seconds(&one["NotAfter"]),
        renews: one["RenewalEligibility"].as_str().map(|word| word == "ELIGIBLE"),
        renewal: renewing.map(ToOwned::to_owned),
        in_use_by: texts(&one["InUseBy"]),
        unproven: proofs.as_array().into_iter().flatten().filter_map(unproven).collect(),
        why: why.into_iter().find_map(Json::as_str).unwrap_or_default().to_owned(),
    })
}

fn texts(list: &Json) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Json::as_str).map(ToOwned::to_owned).collect()
}

fn unproven(one: &Json) -> Option<Validation> {
    let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
    let status = text("ValidationStatus");
    let record = &one["ResourceRecord"];
    let pair = record["Name"].as_str().zip(record["Value"].as_str());
    let record = pair.map(|(name, value)| (name.to_owned(), value.to_owned()));
    (status != "SUCCESS").then(|| Validation { name: text("DomainName"), status, record })
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_star_is_one_label() {
        for (on, host, good) in [
            ("shop.acme.example", "shop.acme.example", true),
            ("SHOP.acme.example", "shop.acme.example", true),
            ("*.acme.example", "shop.acme.example", true),
            ("*.acme.example", "acme.example", false),
            ("*.acme.example", "a.b.acme.example", false),
            ("*.acme.example", "*.acme.example", true),
            ("*.acme.example", "*.shop.acme.example", false),
            ("shop.acme.example", "www.acme.example", false),
        ] {
            assert_eq!(covers(on, host), good, "{on} {host}");
        }
    }
}
