//! Route 53: record sets, one change batch, its progress. At most two requests a second leave here, whoever asks.
//!
//! Relied on (Route 53 API reference): a `ChangeResourceRecordSets` batch is applied whole or not at
//! all; `DELETE` must match the record set's every value and its TTL, so `DELETE(old) + CREATE(new)` is a
//! compare-and-swap; `GetChange` says `INSYNC` once every Route 53 server answers with the change.

mod names;
mod wire;
mod zones;

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_route53::{
    error::SdkError,
    operation::{
        change_resource_record_sets::ChangeResourceRecordSetsError,
        list_resource_record_sets::ListResourceRecordSetsOutput,
    },
    types::{Change, ChangeAction, ChangeBatch, ChangeStatus},
};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::AfterDeserializationInterceptorContextRef, dyn_dispatch_hint},
        orchestrator::HttpResponse,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::{config_bag::ConfigBag, error::operation::BuildError};

pub use self::{
    names::{lies_in, normal_name, shown_name},
    zones::ZoneRef,
};
use super::{
    Aws, Patience,
    call::{Call, Trouble},
    errors::{Renew, Said, garbled, said, sdk},
    records::RecordSet,
    xml::Node,
};
use crate::base::{Class, Failure};

const NAME: &str = "Route 53";
const LIST: Call<'_> = Call::reads(NAME, "ListResourceRecordSets", "route53:ListResourceRecordSets");
const CHANGE: Call<'_> = Call::changes(NAME, "ChangeResourceRecordSets", "route53:ChangeResourceRecordSets");
const GET_CHANGE: Call<'_> = Call::reads(NAME, "GetChange", "route53:GetChange");
/// Pages beyond the first of each name; one name has at most 100 weighted sets of a type, and a page holds 300 sets.
const MORE_PAGES: usize = 8;

impl Aws {
    /// Every record set of each of the names, of all types, in AWS's order; names are as [`normal_name`] gives them.
    /// One listing serves all names that stand on its page.
    ///
    /// # Errors
    /// `Misconfigured` where there is no such zone, `Denied`, `FailedNothingDone`.
    pub async fn record_sets(
        &self,
        zone: &str,
        names: &[&str],
        patience: &Patience,
    ) -> Result<Vec<RecordSet>, Failure> {
        let mut left: Vec<&str> = names.to_vec();
        left.sort_by_key(|name| names::order(name));
        left.dedup();
        let bound = left.len() + MORE_PAGES;
        let mut found = Vec::new();
        let mut from = None;
        for _ in 0..bound {
            let Some(first) = left.first() else { return Ok(found) };
            let start = from.take().unwrap_or_else(|| Start { name: (*first).to_owned(), ..Start::default() });
            let (answer, sets) = self.page(zone, &start, patience).await?;
            found.extend(sets.into_iter().filter(|set| left.contains(&normal_name(&set.name).as_str())));
            let next = answer.is_truncated.then_some(answer.next_record_name).flatten();
            let Some(next) = next.map(|name| normal_name(&name)) else { return Ok(found) };
            // A name that stands before the next page is told whole.
            left.retain(|name| names::order(name) >= names::order(&next));
            if left.first() == Some(&next.as_str()) {
                let again = Start {
                    name: next,
                    r#type: answer.next_record_type.map(|next| next.as_str().to_owned()),
                    identifier: answer.next_record_identifier,
                };
                if again == start {
                    break;
                }
                from = Some(again);
            }
        }
        let words = format!("no data: the listing of zone {zone} does not end ({bound} pages)");
        Err(Failure::new(Class::FailedNothingDone, words))
    }

    async fn page(
        &self,
        zone: &str,
        start: &Start,
        patience: &Patience,
    ) -> Result<(ListResourceRecordSetsOutput, Vec<RecordSet>), Failure> {
        // Where to start is taken as DNS has it; test servers do not know the escape.
        let name = start.name.replace("\\052", "*");
        self.ask(&LIST, patience, Some(&self.route53_pace), |session, renew| {
            let raw = Raw::default();
            let request = session
                .route53()
                .list_resource_record_sets()
                .hosted_zone_id(zone)
                .start_record_name(&name)
                .set_start_record_type(start.r#type.as_deref().map(Into::into))
                .set_start_record_identifier(start.identifier.clone())
                .customize()
                .interceptor(raw.clone());
            async move {
                let answer = request.send().await.map_err(|e| sdk(&LIST, &e, &renew))?;
                let sets = whole(&answer, &raw)?;
                Ok((answer, sets))
            }
        })
        .await
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
                async move { request.send().await.map_err(|e| refused(&e, &renew)) }
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

/// Where a page of a listing begins.
#[derive(Debug, Default, PartialEq, Eq)]
struct Start {
    name: String,
    r#type: Option<String>,
    identifier: Option<String>,
}

/// The body of an answer, kept: the SDK's types drop what their version does not know, and what is dropped cannot be
/// put back.
#[derive(Debug, Clone, Default)]
struct Raw(Arc<Mutex<Option<Vec<u8>>>>);

#[dyn_dispatch_hint]
impl Intercept for Raw {
    fn name(&self) -> &'static str {
        "Raw"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response().body().bytes().map(ToOwned::to_owned);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = body;
        Ok(())
    }
}

/// The record sets of an answer, each with what nobody knows of it.
fn whole(answer: &ListResourceRecordSetsOutput, raw: &Raw) -> Result<Vec<RecordSet>, Trouble> {
    let body = raw.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
    let root = Node::parse(&String::from_utf8_lossy(&body)).map_err(|e| garbled(&LIST, &e))?;
    let nodes = root.at("ResourceRecordSets").map(|list| list.children.as_slice()).unwrap_or_default();
    let sets = &answer.resource_record_sets;
    if nodes.len() != sets.len() {
        return Err(garbled(&LIST, "its record sets cannot be told apart"));
    }
    let sets = sets.iter().zip(nodes).map(|(set, node)| {
        let unknown = wire::unknown(node);
        RecordSet { unknown, ..RecordSet::from_aws(set) }
    });
    Ok(sets.collect())
}

/// The failure of a batch. AWS has two shapes of a refused one: the usual error, and a list of complaints that the SDK
/// does not read ("ChangeResourceRecordSets", API reference, errors).
fn refused(error: &SdkError<ChangeResourceRecordSetsError, HttpResponse>, renew: &Renew) -> Trouble {
    let raw = error.raw_response();
    let root = raw.and_then(|raw| raw.body().bytes()).and_then(|body| Node::parse(&String::from_utf8_lossy(body)).ok());
    let Some(root) = root.filter(|root| root.name == "InvalidChangeBatch") else {
        return sdk(&CHANGE, error, renew);
    };
    let all = root.at("Messages").map(|all| all.children.as_slice()).unwrap_or_default();
    let all: Vec<&str> = all.iter().map(|message| message.text.trim()).collect();
    let answer = Said {
        status: raw.map_or(400, |raw| raw.status().as_u16()),
        code: "InvalidChangeBatch",
        message: &format!("[{}]", all.join(", ")),
        request_id: root.text("RequestId"),
        foreign: false,
    };
    said(&CHANGE, &answer, renew)
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
