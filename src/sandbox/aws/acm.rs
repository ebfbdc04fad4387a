//! Certificate Manager: the shop's certificates, in its own region and, for `CloudFront`, in us-east-1. Read only.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::No;
use crate::sandbox::{
    names::WorldNames,
    world::{Moment, World},
};

/// What there is since the world began.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Acm {
    since: Moment,
}

impl Acm {
    pub fn new(_names: &WorldNames, now: Moment) -> Self {
        Self { since: now }
    }
}

/// A certificate of the story.
struct Certificate {
    region: String,
    id: &'static str,
    names: Vec<String>,
    status: &'static str,
    key: &'static str,
    /// Days from the world's beginning to its end.
    ends: i64,
    used_by: Option<String>,
}

const EVERYWHERE: &str = "us-east-1";
const KEYS: [&str; 7] =
    ["RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1"];
const STATUSES: [&str; 7] =
    ["PENDING_VALIDATION", "ISSUED", "INACTIVE", "EXPIRED", "VALIDATION_TIMED_OUT", "REVOKED", "FAILED"];

fn story(world: &World) -> Vec<Certificate> {
    let WorldNames { account, region, host, domain, .. } = &world.names;
    let balancer =
        format!("arn:aws:elasticloadbalancing:{region}:{account}:loadbalancer/app/acme-web/50dc6c495c0c9188");
    let of = |region: &str, id, names: &[&str], status, key, ends, used_by| Certificate {
        region: region.to_owned(),
        id,
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        status,
        key,
        ends,
        used_by,
    };
    let (www, star, admin) = (format!("www.{domain}"), format!("*.{domain}"), format!("admin.{domain}"));
    vec![
        of(region, "0a000000-0000-4000-a000-000000000001", &[host, &www], "ISSUED", "RSA_2048", 300, Some(balancer)),
        of(region, "0a000000-0000-4000-a000-000000000002", &[host], "EXPIRED", "RSA_2048", -40, None),
        of(region, "0a000000-0000-4000-a000-000000000003", &[&admin], "PENDING_VALIDATION", "EC_prime256v1", 0, None),
        of(EVERYWHERE, "0a000000-0000-4000-a000-000000000004", &[&star, domain], "ISSUED", "EC_prime256v1", 200, None),
    ]
}

impl Certificate {
    fn arn(&self, world: &World) -> String {
        format!("arn:aws:acm:{}:{}:certificate/{}", self.region, world.names.account, self.id)
    }

    /// Type, status, key, dates: what both answers have.
    fn common(&self, world: &World) -> Value {
        let day = |n: i64| (world.acm.since + TimeDelta::days(n)).timestamp();
        let mut said = json!({
            "CertificateArn": self.arn(world), "DomainName": self.names[0], "Status": self.status,
            "Type": "AMAZON_ISSUED", "KeyAlgorithm": self.key, "CreatedAt": day(self.ends.min(400) - 400),
            "RenewalEligibility": if self.used_by.is_some() { "ELIGIBLE" } else { "INELIGIBLE" },
        });
        if self.status != "PENDING_VALIDATION" {
            said["NotBefore"] = json!(day(self.ends - 395));
            said["NotAfter"] = json!(day(self.ends));
            said["IssuedAt"] = json!(day(self.ends - 395));
        }
        said
    }

    fn summary(&self, world: &World) -> Value {
        let mut said = self.common(world);
        said["SubjectAlternativeNameSummaries"] = json!(self.names);
        said["HasAdditionalSubjectAlternativeNames"] = json!(false);
        said["InUse"] = json!(self.used_by.is_some());
        said["Exported"] = json!(false);
        said
    }

    fn detail(&self, world: &World) -> Value {
        let proof = if self.status == "PENDING_VALIDATION" { "PENDING_VALIDATION" } else { "SUCCESS" };
        let options = self.names.iter().map(|name| {
            let name = name.trim_start_matches("*.");
            json!({
                "DomainName": name, "ValidationDomain": name, "ValidationMethod": "DNS", "ValidationStatus": proof,
                "ResourceRecord": {
                    "Name": format!("_5a0db0c55a0db0c5.{name}."), "Type": "CNAME",
                    "Value": "_0c5a5a9d0c5a5a9d.sandbox.acm-validations.example.",
                },
            })
        });
        let mut said = self.common(world);
        said["SubjectAlternativeNames"] = json!(self.names);
        said["Subject"] = json!(format!("CN={}", self.names[0]));
        said["Issuer"] = json!("Amazon");
        said["SignatureAlgorithm"] = json!("SHA256WITHRSA");
        said["InUseBy"] = json!(self.used_by.iter().collect::<Vec<_>>());
        said["DomainValidationOptions"] = options.collect();
        said["Options"] = json!({ "CertificateTransparencyLoggingPreference": "ENABLED", "Export": "DISABLED" });
        said
    }
}

/// What IAM looks at.
pub(super) fn resource(operation: &str, params: &Value) -> String {
    match operation {
        "ListCertificates" => "*".into(),
        _ => params["CertificateArn"].as_str().unwrap_or("*").to_owned(),
    }
}

pub(super) fn answer(world: &mut World, region: &str, operation: &str, params: &Value) -> Result<Value, No> {
    match operation {
        "ListCertificates" => list(world, region, params),
        "DescribeCertificate" => {
            let arn = params["CertificateArn"].as_str().unwrap_or_default();
            if !arn.starts_with("arn:") || !arn.contains(":certificate/") {
                let message = format!(
                    "1 validation error detected: Value '{arn}' at 'certificateArn' failed to satisfy constraint"
                );
                return Err((400, "ValidationException", message));
            }
            let mut all = story(world).into_iter();
            let found = all.find(|one| one.region == region && one.arn(world) == arn);
            let mut found = found.ok_or_else(|| {
                (
                    400,
                    "ResourceNotFoundException",
                    format!("Could not find certificate {arn} in account {}.", world.names.account),
                )
            })?;
            if found.status == "ISSUED" && world.strikes("acm.pending") {
                found.status = "PENDING_VALIDATION";
                found.used_by = None;
            }
            Ok(json!({ "Certificate": found.detail(world) }))
        }
        other => Err((400, "UnknownOperationException", format!("{other} is not part of the sandbox"))),
    }
}

fn list(world: &World, region: &str, params: &Value) -> Result<Value, No> {
    let invalid = |message: String| (400, "ValidationException", message);
    let words = |value: &Value, known: &[&str], what: &str| match value.as_array() {
        None => Ok(None),
        Some(list) => {
            let words: Vec<String> = list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            match words.iter().find(|word| !known.contains(&word.as_str())) {
                Some(bad) => Err(invalid(format!(
                    "1 validation error detected: Value '[{bad}]' at '{what}' failed to satisfy constraint"
                ))),
                None => Ok(Some(words)),
            }
        }
    };
    let statuses = words(&params["CertificateStatuses"], &STATUSES, "certificateStatuses")?;
    // Without this filter only RSA certificates of 1024 and 2048 bits are listed.
    let keys = words(&params["Includes"]["keyTypes"], &KEYS, "includes.keyTypes")?;
    let keys = keys.unwrap_or_else(|| vec!["RSA_1024".into(), "RSA_2048".into()]);
    let most = params["MaxItems"].as_u64().unwrap_or(1000);
    if !(1..=1000).contains(&most) {
        return Err(invalid(format!(
            "1 validation error detected: Value '{most}' at 'maxItems' failed to satisfy constraint"
        )));
    }
    let from = match params["NextToken"].as_str() {
        None => 0,
        Some(token) => token
            .strip_prefix("sandbox-")
            .and_then(|n| n.parse().ok())
            .ok_or_else(|| (400, "InvalidArgsException", "The NextToken is not valid.".to_owned()))?,
    };
    let found: Vec<_> = story(world)
        .into_iter()
        .filter(|one| one.region == region && keys.iter().any(|key| key == one.key))
        .filter(|one| statuses.as_ref().is_none_or(|all| all.iter().any(|status| status == one.status)))
        .collect();
    let most = usize::try_from(most).unwrap_or(1000);
    let page: Vec<_> = found.iter().skip(from).take(most).map(|one| one.summary(world)).collect();
    let mut said = json!({ "CertificateSummaryList": page });
    if from + most < found.len() {
        said["NextToken"] = json!(format!("sandbox-{}", from + most));
    }
    Ok(said)
}
