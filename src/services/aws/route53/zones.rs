//! Finding a hosted zone: by id, or by its name, which a public and several private zones may share.
//!
//! Relied on (Route 53 API reference): `ListHostedZonesByName` lists from a name on, in pages, and says of each zone
//! whether it is private; `GetHostedZone` names the VPCs of a private zone.

use aws_sdk_route53::types::HostedZone;

use super::{NAME, names::normal_name};
use crate::{
    base::{Class, Failure},
    services::aws::{Aws, Patience, call::Call, errors::sdk},
};

const LIST: Call<'_> = Call::reads(NAME, "ListHostedZonesByName", "route53:ListHostedZonesByName");
const GET: Call<'_> = Call::reads(NAME, "GetHostedZone", "route53:GetHostedZone");
/// A page holds up to 100 zones, and all of the pages asked for hold zones of one name.
const PAGES: usize = 20;

/// Which hosted zone is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ZoneRef {
    /// Its id or its name.
    pub given: String,
    /// Whether it is private; `None`: the only one of its name.
    pub private: Option<bool>,
    /// A VPC that it belongs to.
    pub vpc: Option<String>,
}

impl ZoneRef {
    /// Its id, where it is given by id. Ids are capitals and digits (`Z0123456789ABCDEFGHIJ`); names have dots or
    /// small letters.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        let id = self.given.trim_start_matches("/hostedzone/");
        let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
        (!id.is_empty() && id.bytes().all(plain)).then_some(id)
    }

    /// In words: `zone acme.example (private)`.
    #[must_use]
    pub fn words(&self) -> String {
        let kind = match (self.private, &self.vpc) {
            (_, Some(vpc)) => format!(" (private, {vpc})"),
            (Some(true), None) => " (private)".into(),
            (Some(false), None) => " (public)".into(),
            (None, None) => String::new(),
        };
        format!("zone {}{kind}", self.given)
    }
}

impl Aws {
    /// The id of a hosted zone. One that is given by its id is not asked for.
    ///
    /// # Errors
    /// `Misconfigured` where there is none, or several, each named with its id.
    pub async fn zone_id(&self, zone: &ZoneRef, patience: &Patience) -> Result<String, Failure> {
        if let Some(id) = zone.id() {
            return Ok(id.to_owned());
        }
        let name = normal_name(&zone.given);
        let all = self.zones_named(&name, patience).await?;
        let fits = |found: &&HostedZone| zone.private.is_none_or(|private| private == is_private(found));
        let mut fitting: Vec<&HostedZone> = all.iter().filter(fits).collect();
        if let Some(vpc) = &zone.vpc {
            let mut of_vpc = Vec::new();
            for found in fitting {
                if self.zone_vpcs(&found.id, patience).await?.contains(vpc) {
                    of_vpc.push(found);
                }
            }
            fitting = of_vpc;
        }
        let told = |failure: Failure| all.iter().fold(failure, |failure, zone| failure.because(told(zone)));
        match fitting.as_slice() {
            [one] => Ok(bare(&one.id).to_owned()),
            [] => {
                let words = format!("this account has no {} of that kind", zone.words());
                let words = if all.is_empty() { format!("this account has no hosted {}", zone.words()) } else { words };
                let failure = Failure::new(Class::Misconfigured, words);
                Err(told(failure).hint("compare the zone's name and the account; or give the zone's id"))
            }
            several => {
                let failure =
                    Failure::new(Class::Misconfigured, format!("{name} is the name of {} zones", several.len()));
                Err(told(failure).hint("say which: `private = true` or `false`, `vpc = \"vpc-…\"`, or the zone's id"))
            }
        }
    }

    async fn zones_named(&self, name: &str, patience: &Patience) -> Result<Vec<HostedZone>, Failure> {
        let mut zones = Vec::new();
        let mut from: Option<String> = None;
        for _ in 0..PAGES {
            let answer = self
                .ask(&LIST, patience, Some(&self.route53_pace), |session, renew| {
                    let request = session.route53().list_hosted_zones_by_name().dns_name(name);
                    let request = request.set_hosted_zone_id(from.clone());
                    async move { request.send().await.map_err(|e| sdk(&LIST, &e, &renew)) }
                })
                .await?;
            zones.extend(answer.hosted_zones.into_iter().filter(|zone| normal_name(&zone.name) == name));
            let more = answer.is_truncated && answer.next_dns_name.is_some_and(|next| normal_name(&next) == name);
            if !more {
                return Ok(zones);
            }
            from = answer.next_hosted_zone_id;
        }
        Err(Failure::new(Class::FailedNothingDone, format!("no data: more than {PAGES} pages of zones named {name}")))
    }

    async fn zone_vpcs(&self, id: &str, patience: &Patience) -> Result<Vec<String>, Failure> {
        let answer = self
            .ask(&GET, patience, Some(&self.route53_pace), |session, renew| {
                let request = session.route53().get_hosted_zone().id(bare(id));
                async move { request.send().await.map_err(|e| sdk(&GET, &e, &renew)) }
            })
            .await?;
        Ok(answer.vpcs.into_iter().flatten().filter_map(|vpc| vpc.vpc_id).collect())
    }
}

fn is_private(zone: &HostedZone) -> bool {
    zone.config.as_ref().is_some_and(|config| config.private_zone)
}

fn bare(id: &str) -> &str {
    id.trim_start_matches("/hostedzone/")
}

fn told(zone: &HostedZone) -> String {
    let kind = if is_private(zone) { "private" } else { "public" };
    let comment = zone.config.as_ref().and_then(|config| config.comment.as_deref()).unwrap_or_default();
    let comment = if comment.is_empty() { String::new() } else { format!(": {comment}") };
    format!("{} zone {} {}{comment}", kind, bare(&zone.id), zone.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names() {
        let id = |given: &str| ZoneRef { given: given.into(), ..ZoneRef::default() }.id().map(ToOwned::to_owned);
        assert_eq!(id("/hostedzone/Z0ABC").as_deref(), Some("Z0ABC"));
        assert_eq!(id("Z0SANDBOX").as_deref(), Some("Z0SANDBOX"));
        for name in ["acme.example", "Zoo.example", "example.", "corp", "a/b", ""] {
            assert_eq!(id(name), None, "{name}");
        }
    }
}
