//! `acm.issued`: a certificate of Certificate Manager is issued, covers the names, lasts, and is where it is used.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::json;

use super::{Bind, Kind};
use crate::{
    base::{Class, Failure},
    plan::{Check, Cx, Doubt, Identity, Param, Params, Permission, Seen, Shape},
    services::{
        Services,
        aws::{Certificate, Patience, covers, moment, now},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "acm.issued",
    summary: "an ACM certificate is issued, covers the names and lasts, in the region where it is used",
    docs: "\
Green when the certificate `arn`, or the best one that covers `domain` (issued before others, then the one that lasts longest), is `ISSUED`, covers
every one of `names` (a star stands for one label), lasts at least `min_left`, and, where given, is in use by `in_use_by` and renews itself
(`renews = true`). Every key type is looked at. While it is pending, the CNAME records that ACM waits for are named.

What hurts people: CloudFront takes certificates of `us-east-1` only, a load balancer those of its own region: give `region`. ACM renews a DNS
certificate only while it is in use and its CNAME still stands, so a zone that moved without that record ends in an expired certificate months
later. A CAA record that does not allow Amazon fails the validation (`CAA_ERROR`). Imported certificates are never renewed.

Limits: it says what ACM has, not what a load balancer serves: that is `tls.certificate`. ACM looks at DNS by itself, after minutes or hours.

API: ACM `ListCertificates` (for a `domain`), `DescribeCertificate`.",
    params: PARAMS,
    doubt: Doubt::Read,
    needs: &["acm:DescribeCertificate", "acm:ListCertificates", "sts:GetCallerIdentity"],
    example: include_str!("../../runbooks/kinds/acm.issued.toml"),
    bind: Bind::Check(bind),
};

const PARAMS: &[Param] = &[
    Param { name: "arn", shape: Shape::Text, required: false, help: "ARN of the certificate; it names the region" },
    Param { name: "domain", shape: Shape::Text, required: false, help: "a name that it covers, instead of the ARN" },
    Param {
        name: "region",
        shape: Shape::Text,
        required: false,
        help: "where it must be (us-east-1 for CloudFront); default: the environment's",
    },
    Param { name: "names", shape: Shape::Texts, required: false, help: "names that it must cover" },
    Param { name: "min_left", shape: Shape::Duration, required: false, help: "how long it must last; default: 1day" },
    Param {
        name: "in_use_by",
        shape: Shape::Text,
        required: false,
        help: "ARN, or a part of it, of what must use it: app/acme-web",
    },
    Param { name: "renews", shape: Shape::Flag, required: false, help: "true: ACM must be able to renew it" },
];

/// A certificate that ends within this time is no ground to stand on, whatever the runbook says.
const LEAST: Duration = Duration::from_secs(24 * 3600);
/// Users and records that are named.
const NAMED: usize = 8;

enum By {
    Arn(String),
    Domain(String),
}

struct Issued {
    services: Arc<Services>,
    by: By,
    region: Option<String>,
    names: Vec<String>,
    min_left: Duration,
    in_use_by: Option<String>,
    renews: bool,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Check> {
    let (arn, domain) = (params.opt_text("arn"), params.opt_text("domain"));
    let mut region = params.opt_text("region");
    let by = match (arn, domain) {
        (Some(arn), None) => {
            let parts: Vec<_> = arn.split(':').collect();
            let whole = parts.len() == 6 && parts[2] == "acm" && parts[5].starts_with("certificate/");
            if !whole || parts[3].is_empty() {
                let at = params.place_of("arn");
                let help = Some("arn:aws:acm:REGION:ACCOUNT:certificate/ID".into());
                params.mistake(at, "`arn` must be the ARN of an ACM certificate", "not one", help);
            } else if region.as_ref().is_some_and(|region| region != parts[3]) {
                let at = params.place_of("region");
                let words = format!("`region` is not the one in `arn`, which is {}", parts[3]);
                params.mistake(at, words, "another region", None);
            } else {
                region = Some(parts[3].to_owned());
            }
            By::Arn(arn)
        }
        (None, Some(domain)) => By::Domain(domain.trim_end_matches('.').to_ascii_lowercase()),
        (Some(_), Some(_)) => {
            let at = params.place_of("domain");
            params.mistake(at, "`domain` does not go with `arn`", "give one, and further names by `names`", None);
            By::Arn(String::new())
        }
        (None, None) => {
            if !params.has("arn") && !params.has("domain") {
                let at = params.place();
                params.mistake(at, "`acm.issued` needs `arn` or `domain`", "neither is given here", None);
            }
            By::Arn(String::new())
        }
    };
    let names = params.texts("names");
    Arc::new(Issued {
        services: services.clone(),
        by,
        region,
        names: names.iter().map(|name| name.trim_end_matches('.').to_ascii_lowercase()).collect(),
        min_left: params.opt_duration("min_left").unwrap_or(LEAST),
        in_use_by: params.opt_text("in_use_by"),
        renews: params.opt_flag("renews").unwrap_or(false),
    })
}

/// `41 days`, `17 h`: how long a certificate lasts.
fn days(left: Duration) -> String {
    let hours = left.as_secs() / 3600;
    if hours >= 48 { format!("{} days", hours / 24) } else { format!("{hours} h") }
}

/// The last part of an ARN that a person knows: `loadbalancer/app/acme-web/50dc…` → `app/acme-web`.
fn user(arn: &str) -> &str {
    let resource = arn.splitn(6, ':').nth(5).unwrap_or(arn);
    let resource = resource.strip_prefix("loadbalancer/").unwrap_or(resource);
    match resource.rsplit_once('/') {
        Some((name, _)) if arn.contains(":loadbalancer/") => name,
        _ => resource,
    }
}

impl Issued {
    fn place(&self) -> String {
        self.region.as_ref().map(|region| format!(" in {region}")).unwrap_or_default()
    }

    fn judge(&self, now: DateTime<Utc>, found: &Certificate, of: usize) -> Result<Seen, Failure> {
        let name = match &self.by {
            By::Arn(_) => found.names.first().cloned().unwrap_or_else(|| found.arn.clone()),
            By::Domain(domain) => domain.clone(),
        };
        let id = found.arn.rsplit('/').next().unwrap_or_default();
        let not_yet = |words: String| Failure::new(Class::NotYet, words).because(found.arn.clone());
        if found.status != "ISSUED" {
            return Err(self.unissued(&name, found));
        }
        let bare: Vec<_> =
            self.names.iter().filter(|host| !found.names.iter().any(|on| covers(on, host))).cloned().collect();
        if !bare.is_empty() {
            let words = format!("the certificate of {name} does not cover {}", bare.join(", "));
            return Err(not_yet(words).because(format!("it covers {}", found.names.join(", "))));
        }
        let Some(until) = found.until else {
            return Err(not_yet(format!("no data: ACM does not say when the certificate of {name} ends")));
        };
        let left = (until - now).to_std().unwrap_or_default();
        if left < self.min_left {
            let words = format!("the certificate of {name} ends in {}, wanted {}", days(left), days(self.min_left));
            return Err(renewal(not_yet(words), found));
        }
        if let Some(wanted) = &self.in_use_by
            && !found.in_use_by.iter().any(|arn| arn.contains(wanted))
        {
            let users: Vec<_> = found.in_use_by.iter().take(NAMED).map(|arn| user(arn)).collect();
            let users = if users.is_empty() { "nothing".to_owned() } else { users.join(", ") };
            return Err(not_yet(format!("the certificate of {name} is used by {users}, wanted {wanted}")));
        }
        if self.renews && (found.renews != Some(true) || found.renewal.as_deref() == Some("FAILED")) {
            let why = match (found.renews, found.origin.as_str()) {
                (_, "IMPORTED") => "it was imported",
                (Some(true), _) => "the renewal failed",
                _ if found.in_use_by.is_empty() => "nothing uses it",
                _ => "ACM calls it not eligible",
            };
            return Err(renewal(not_yet(format!("ACM will not renew the certificate of {name}: {why}")), found));
        }
        let users: Vec<_> = found.in_use_by.iter().take(3).map(|arn| user(arn)).collect();
        let users = match (users.is_empty(), found.in_use_by.len()) {
            (true, _) => "in use by nothing".to_owned(),
            (false, n) if n > 3 => format!("in use by {} and {} more", users.join(", "), n - 3),
            (false, _) => format!("in use by {}", users.join(", ")),
        };
        let renews = match (&found.renewal, found.renews) {
            (Some(word), _) if word != "SUCCESS" => format!(", renewal {word}"),
            (_, Some(false)) => ", not renewed by ACM".into(),
            _ => String::new(),
        };
        let of = if of > 1 { format!(" (best of {of})") } else { String::new() };
        let line = format!("{name} issued{}{of}, {} left, {users}{renews}", self.place(), days(left));
        let evidence = json!({
            "arn": found.arn, "id": id, "names": found.names, "until": moment(until), "key": found.key,
            "type": found.origin, "in_use_by": found.in_use_by, "renews": found.renews, "renewal": found.renewal,
        });
        #[expect(clippy::cast_precision_loss, reason = "days of a certificate")]
        let value = (left.as_secs() / 86_400) as f64;
        Ok(Seen::new(line).value(value).with(evidence))
    }

    /// What a certificate that is not issued waits for, or why there will be none.
    fn unissued(&self, name: &str, found: &Certificate) -> Failure {
        let why = if found.why.is_empty() { String::new() } else { format!(" ({})", found.why) };
        let words = format!("the certificate of {name}{} is {}{why}", self.place(), found.status);
        let failure = Failure::new(Class::NotYet, words).because(found.arn.clone());
        let failure = proofs(failure, found);
        match (found.status.as_str(), found.why.as_str()) {
            ("PENDING_VALIDATION", _) => {
                failure.hint("put the CNAME where the zone is served now; ACM looks by itself")
            }
            (_, "CAA_ERROR") => failure.hint("let a CAA record of the name allow amazon.com, then ask for a new one"),
            _ => failure.hint("this one will not be issued any more: ask ACM for a new certificate"),
        }
    }
}

/// Says what a renewal that does not go on waits for.
fn renewal(failure: Failure, found: &Certificate) -> Failure {
    match found.renewal.as_deref() {
        None | Some("SUCCESS") => failure,
        Some(word) => {
            let why = if found.why.is_empty() { String::new() } else { format!(" ({})", found.why) };
            proofs(failure.because(format!("its renewal is {word}{why}")), found)
        }
    }
}

/// The records that are missing.
fn proofs(failure: Failure, found: &Certificate) -> Failure {
    found.unproven.iter().take(NAMED).fold(failure, |failure, one| {
        failure.because(match &one.record {
            Some((name, value)) => format!("{} {}: CNAME {name} → {value}", one.name, one.status),
            None => format!("{} {}: no CNAME, it is proven by mail or not known yet", one.name, one.status),
        })
    })
}

impl Check for Issued {
    fn looks(&self) -> String {
        let what = match &self.by {
            By::Arn(arn) => format!("ACM DescribeCertificate {arn}"),
            By::Domain(domain) => format!("ACM ListCertificates, DescribeCertificate for {domain}{}", self.place()),
        };
        format!("{what} expects issued, {} left", days(self.min_left))
    }

    fn needs(&self) -> Vec<Permission> {
        let aws = &self.services.aws;
        match &self.by {
            By::Arn(arn) => vec![Permission::new("acm:DescribeCertificate", arn)],
            By::Domain(_) => {
                let any = aws.arn_at(self.region.as_deref(), None, "acm", "certificate/*");
                vec![Permission::new("acm:DescribeCertificate", any), Permission::anywhere("acm:ListCertificates")]
            }
        }
    }

    fn every(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        self.services.aws.fence()
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(async move {
            let patience = Patience::of(cx);
            let region = self.region.as_deref();
            let aws = &self.services.aws;
            let (found, of) = match &self.by {
                By::Arn(arn) => (aws.certificate(arn, region, &patience).await?, 1),
                By::Domain(domain) => aws.certificate_for(domain, region, &patience).await?,
            };
            self.judge(now(), &found, of)
        })
    }
}
