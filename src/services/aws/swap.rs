//! One compare-and-swap of record sets, there and back: what both Route 53 kinds share.
//!
//! ```text
//! apply:    now == after → done      now == before → DELETE(before) + CREATE(after) → INSYNC      else refused
//! restore:  the same with before and after exchanged
//! ```
//! The comparison before the batch only makes the message better; the batch itself compares.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{
    Aws, Patience, moment, now,
    records::{RecordSet, difference},
};
use crate::{
    base::{Class, Failure},
    plan::{Cx, Done, Finding},
};

/// Between two looks at a change; changes take 10 to 60 seconds.
const LOOK: Duration = Duration::from_secs(2);
/// Two looks this far apart have to agree before something counts as not done.
pub const APART: Duration = Duration::from_secs(3);

/// What a Route 53 kind captures: the record sets of one name and type before, and as wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {
    /// Zone id.
    pub zone: String,
    /// As Route 53 spells it.
    pub name: String,
    /// `A`, `CNAME`, ….
    pub r#type: String,
    /// Every record set of that name and type, whole.
    pub before: Vec<RecordSet>,
    /// As it is wanted.
    pub after: Vec<RecordSet>,
}

impl Swap {
    /// Reads a captured one.
    ///
    /// # Errors
    /// `Misconfigured`: the journal holds something else.
    pub fn from_captured(captured: &Json) -> Result<Self, Failure> {
        Swap::deserialize(captured).map_err(|e| {
            Failure::new(Class::Misconfigured, "what was captured is not a record set").because(e.to_string())
        })
    }

    /// As captured.
    #[must_use]
    pub fn to_captured(&self) -> Json {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The way back.
    #[must_use]
    pub fn back(self) -> Self {
        Self { before: self.after, after: self.before, ..self }
    }

    async fn look(&self, aws: &Aws, patience: &Patience) -> Result<Vec<RecordSet>, Failure> {
        aws.record_sets(&self.zone, &self.name, &self.r#type, patience).await
    }

    fn done(&self, line: String, change: Option<&str>) -> Done {
        let ttl = |sets: &[RecordSet]| sets.iter().filter_map(|set| set.ttl).max();
        Done::new(line).with(json!({
            "change_id": change,
            "name": self.name,
            "type": self.r#type,
            "old_ttl": ttl(&self.before),
            "new_ttl": ttl(&self.after),
            "insync_at": moment(now()),
            "old": self.before,
            "new": self.after,
        }))
    }

    fn words(&self) -> String {
        match self.after.as_slice() {
            [] => format!("no {} {}", self.r#type, self.name),
            sets => sets.iter().map(RecordSet::line).collect::<Vec<_>>().join("; "),
        }
    }

    /// Swaps, and waits until every Route 53 server has it. Already there: nothing is sent.
    ///
    /// # Errors
    /// `Refused` where a third party changed the record since the capture, with the difference;
    /// `Unknown` where the batch was sent and its end not seen.
    pub async fn run(&self, aws: &Aws, cx: &Cx) -> Result<Done, Failure> {
        let patience = Patience::of(cx);
        let found = self.look(aws, &patience).await?;
        if difference(&self.after, &found).is_empty() {
            return Ok(self.done(format!("already so, nothing sent: {}", self.words()), None));
        }
        let changed = difference(&self.before, &found);
        if !changed.is_empty() {
            let refusal = Failure::new(Class::Refused, "the record was changed by somebody else since it was captured")
                .hint("look at who changed it; a retry captures it anew");
            return Err(changed.iter().fold(refusal, |failure, line| failure.because(line)));
        }
        let lacks = |sets: &[RecordSet], set: &RecordSet| !sets.iter().any(|other| other.same(set));
        let old: Vec<_> = self.before.iter().filter(|set| lacks(&self.after, set)).collect();
        let new: Vec<_> = self.after.iter().filter(|set| lacks(&self.before, set)).collect();
        let comment = format!("gonogo {} attempt {}", cx.step, cx.attempt);
        let change = aws.swap_records(&self.zone, &old, &new, &comment, &patience).await?;
        cx.line(format!("Route 53 accepted change {change}"));
        self.insync(aws, cx, &change).await?;
        let found = self.look(aws, &patience).await.map_err(|failure| sent(&change, failure))?;
        let wrong = difference(&self.after, &found);
        if !wrong.is_empty() {
            let failure =
                Failure::new(Class::Failed, format!("change {change} is INSYNC, yet the record is not as written"));
            return Err(wrong.iter().fold(failure, |failure, line| failure.because(line)));
        }
        Ok(self.done(self.words(), Some(&change)))
    }

    async fn insync(&self, aws: &Aws, cx: &Cx, change: &str) -> Result<(), Failure> {
        let patience = Patience::of(cx);
        let look = async || match aws.change_insync(change, &patience).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                cx.progress(0.5, format!("change {change} is PENDING, waiting for INSYNC"));
                Err(Failure::new(Class::NotYet, format!("change {change} is still PENDING")))
            }
            // It was accepted; a look that fails now is only a look.
            Err(failure) if failure.class == Class::FailedNothingDone => {
                Err(Failure { class: Class::NotYet, ..failure })
            }
            Err(failure) => Err(failure),
        };
        cx.poll(LOOK, look).await.map_err(|failure| sent(change, failure))
    }

    /// Looks whether it was done; waits up to `APART` before it says that it was not.
    ///
    /// # Errors
    /// Could not look.
    pub async fn probe(&self, aws: &Aws, cx: &Cx) -> Result<Finding, Failure> {
        let patience = Patience::of(cx);
        let found = self.look(aws, &patience).await?;
        if difference(&self.after, &found).is_empty() {
            return Ok(Finding::Done(self.done(format!("found as wanted: {}", self.words()), None)));
        }
        if difference(&self.before, &found).is_empty() {
            cx.pause(APART).await?;
            let again = self.look(aws, &patience).await?;
            if difference(&self.before, &again).is_empty() {
                let line = format!("as before, twice {} s apart", APART.as_secs());
                return Ok(Finding::NotDone { line });
            }
            if difference(&self.after, &again).is_empty() {
                return Ok(Finding::Done(self.done(format!("found as wanted: {}", self.words()), None)));
            }
            return Ok(unclear(&self.after, &again));
        }
        Ok(unclear(&self.after, &found))
    }
}

fn unclear(wanted: &[RecordSet], found: &[RecordSet]) -> Finding {
    Finding::Unclear { line: format!("neither as before nor as wanted: {}", difference(wanted, found).join("; ")) }
}

/// A failure to see the end of a change that was accepted.
fn sent(change: &str, failure: Failure) -> Failure {
    let looks = "a probe reads the record as it is now";
    // What is missing for looking (a permission, credentials) has to be mended first.
    let hint = failure.hint.as_ref().map_or(looks.to_owned(), |hint| format!("{hint}; then {looks}"));
    Failure { class: Class::Unknown, ..failure }
        .because(format!("Route 53 accepted change {change}; whether it is INSYNC was not seen"))
        .hint(hint)
}
