//! Route 53: zones, record sets, one change batch, its progress. At most two requests a second leave
//! here, whoever asks.
//!
//! Relied on (Route 53 API reference): a `ChangeResourceRecordSets` batch is applied whole or not at
//! all; `DELETE` must match the record set's every value and its TTL, so `DELETE(old) + CREATE(new)` is a
//! compare-and-swap; `GetChange` says `INSYNC` once every Route 53 server answers with the change.

use aws_sdk_route53::types::{Change, ChangeAction, ChangeBatch, ChangeStatus};
use aws_smithy_types::error::operation::BuildError;

use super::{
    Aws, Patience,
    call::Call,
    errors::sdk,
    records::{RecordSet, normal_name},
};
use crate::base::{Class, Failure};

const NAME: &str = "Route 53";
const LIST_ZONES: Call<'_> = Call::reads(NAME, "ListHostedZonesByName", "route53:ListHostedZonesByName");
const LIST: Call<'_> = Call::reads(NAME, "ListResourceRecordSets", "route53:ListResourceRecordSets");
const CHANGE: Call<'_> = Call::changes(NAME, "ChangeResourceRecordSets", "route53:ChangeResourceRecordSets");
const GET_CHANGE: Call<'_> = Call::reads(NAME, "GetChange", "route53:GetChange");
/// Record sets of one name and type: weighted sets are limited to 100, each page holds up to 300.
const PAGES: usize = 4;

impl Aws {
    /// The id of a hosted zone, by id or name. A name that a public and a private zone share means
    /// the public one.
    ///
    /// # Errors
    /// `Misconfigured` where there is none, or several.
    pub async fn zone_id(&self, zone: &str, patience: &Patience) -> Result<String, Failure> {
        if let Some(id) = plain_id(zone) {
            return Ok(id.to_owned());
        }
        let name = normal_name(zone);
        let answer = self
            .ask(&LIST_ZONES, patience, Some(&self.route53_pace), |session, renew| {
                let request = session.route53().list_hosted_zones_by_name().dns_name(&name);
                async move { request.send().await.map_err(|e| sdk(&LIST_ZONES, &e, &renew)) }
            })
            .await?;
        let mut zones: Vec<_> = answer.hosted_zones.into_iter().filter(|zone| zone.name == name).collect();
        if zones.len() > 1 {
            zones.retain(|zone| !zone.config.as_ref().is_some_and(|config| config.private_zone));
        }
        let ids: Vec<_> = zones.iter().map(|zone| zone.id.trim_start_matches("/hostedzone/").to_owned()).collect();
        match ids.as_slice() {
            [id] => Ok(id.clone()),
            [] => Err(Failure::new(Class::Misconfigured, format!("this account has no public hosted zone {name}"))
                .hint("check the zone's name and the account; or give the zone's id")),
            several => {
                Err(Failure::new(Class::Misconfigured, format!("{name} is the name of {} zones", several.len()))
                    .because(several.join(", "))
                    .hint("give the zone's id"))
            }
        }
    }

    /// Every record set of a name and type, in AWS's order; empty where there is none.
    ///
    /// # Errors
    /// `Misconfigured` where there is no such zone, `Denied`, `FailedNothingDone`.
    pub async fn record_sets(
        &self,
        zone: &str,
        name: &str,
        r#type: &str,
        patience: &Patience,
    ) -> Result<Vec<RecordSet>, Failure> {
        let name = normal_name(name);
        // Where to start is taken as DNS has it; test servers do not know the escape.
        let start = name.replace("\\052", "*");
        let mut found = Vec::new();
        let mut from: Option<String> = None;
        for _ in 0..PAGES {
            let answer = self
                .ask(&LIST, patience, Some(&self.route53_pace), |session, renew| {
                    let request = session
                        .route53()
                        .list_resource_record_sets()
                        .hosted_zone_id(zone)
                        .start_record_name(&start)
                        .start_record_type(r#type.into())
                        .set_start_record_identifier(from.clone());
                    async move { request.send().await.map_err(|e| sdk(&LIST, &e, &renew)) }
                })
                .await?;
            let sets = answer.resource_record_sets.iter().map(RecordSet::from_aws);
            found.extend(sets.filter(|set| normal_name(&set.name) == name && set.r#type == r#type));
            let next_is_ours = answer.next_record_name.as_deref().is_some_and(|next| normal_name(next) == name)
                && answer.next_record_type.as_ref().is_some_and(|next| next.as_str() == r#type);
            if !(answer.is_truncated && next_is_ours && answer.next_record_identifier.is_some()) {
                break;
            }
            from = answer.next_record_identifier;
        }
        Ok(found)
    }

    /// Sends one batch: takes `old` away and puts `new` there, both or neither. The id of the change.
    ///
    /// # Errors
    /// `Refused` where Route 53 does not have `old` exactly so (nothing was done), `Unknown` where the
    /// answer was lost, and as [`Aws::record_sets`].
    pub async fn swap_records(
        &self,
        zone: &str,
        old: &[&RecordSet],
        new: &[&RecordSet],
        comment: &str,
        patience: &Patience,
    ) -> Result<String, Failure> {
        let batch = batch(old, new, comment).map_err(|e| {
            Failure::new(Class::Misconfigured, "the record set cannot be written").because(e.to_string())
        })?;
        let answer = self
            .ask(&CHANGE, patience, Some(&self.route53_pace), |session, renew| {
                let request =
                    session.route53().change_resource_record_sets().hosted_zone_id(zone).change_batch(batch.clone());
                async move { request.send().await.map_err(|e| sdk(&CHANGE, &e, &renew)) }
            })
            .await?;
        let info = answer.change_info.ok_or_else(|| Failure::new(Class::Unknown, "Route 53 gave no change id"))?;
        Ok(info.id.trim_start_matches("/change/").to_owned())
    }

    /// True once every Route 53 server answers with the change.
    ///
    /// # Errors
    /// `FailedNothingDone`, `Denied`: could not look.
    pub async fn change_insync(&self, change: &str, patience: &Patience) -> Result<bool, Failure> {
        let answer = self
            .ask(&GET_CHANGE, patience, Some(&self.route53_pace), |session, renew| {
                let request = session.route53().get_change().id(change);
                async move { request.send().await.map_err(|e| sdk(&GET_CHANGE, &e, &renew)) }
            })
            .await?;
        Ok(answer.change_info.is_some_and(|info| info.status == ChangeStatus::Insync))
    }
}

fn batch(old: &[&RecordSet], new: &[&RecordSet], comment: &str) -> Result<ChangeBatch, BuildError> {
    let change = |action: &ChangeAction, set: &RecordSet| {
        Change::builder().action(action.clone()).resource_record_set(set.to_aws()?).build()
    };
    let gone = old.iter().map(|set| change(&ChangeAction::Delete, set));
    let put = new.iter().map(|set| change(&ChangeAction::Create, set));
    let changes = gone.chain(put).collect::<Result<Vec<_>, _>>()?;
    ChangeBatch::builder().comment(comment).set_changes(Some(changes)).build()
}

/// An id, with or without `/hostedzone/`, or nothing where it is a name: names have a dot, ids none.
fn plain_id(zone: &str) -> Option<&str> {
    let id = zone.trim_start_matches("/hostedzone/");
    (!id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric())).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names() {
        assert_eq!(plain_id("/hostedzone/Z0ABC"), Some("Z0ABC"));
        assert_eq!(plain_id("Z0SANDBOX"), Some("Z0SANDBOX"));
        for name in ["acme.example", "Zoo.example", "example.", "a/b"] {
            assert_eq!(plain_id(name), None, "{name}");
        }
    }
}
