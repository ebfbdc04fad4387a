//! One compare-and-swap of record sets, there and back: what the Route 53 kinds share.
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
    records::{RecordSet, agree, difference},
    route53::{normal_name, shown_name},
};
use crate::{
    base::{Class, Failure, short_duration},
    plan::{Cx, Done, Finding},
};

/// Between two looks at a change; changes take 10 to 60 seconds.
const LOOK: Duration = Duration::from_secs(2);
/// Two looks this far apart have to agree before something counts as not done.
pub const APART: Duration = Duration::from_secs(3);
/// Limits of one batch ("Quotas on API requests", developer guide): resource records in all of its changes …
const RECORDS: usize = 1000;
/// … and characters of all their values.
const CHARACTERS: usize = 32_000;
/// A line tells so many record sets.
const TOLD: usize = 4;

/// A name and type whose record sets are looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// As Route 53 spells it.
    pub name: String,
    /// `A`, `CNAME`, ….
    pub r#type: String,
}

impl Place {
    /// A place; the name as a person writes it.
    #[must_use]
    pub fn new(name: &str, r#type: &str) -> Self {
        Self { name: normal_name(name), r#type: r#type.to_owned() }
    }

    /// `CNAME shop.acme.example`.
    #[must_use]
    pub fn words(&self) -> String {
        format!("{} {}", self.r#type, shown_name(&self.name))
    }

    /// True where this is the place's name, however it is spelt.
    #[must_use]
    pub fn name_is(&self, name: &str) -> bool {
        self.name == normal_name(name)
    }

    /// True for a record set that stands here.
    #[must_use]
    pub fn holds(&self, set: &RecordSet) -> bool {
        set.is(&self.name, &self.r#type)
    }
}

/// What a Route 53 kind captures: the record sets of some names and types before, and as wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {
    /// Zone id.
    pub zone: String,
    /// Every name and type that is looked at.
    pub places: Vec<Place>,
    /// Every record set there, whole.
    pub before: Vec<RecordSet>,
    /// As they are wanted.
    pub after: Vec<RecordSet>,
}

impl Swap {
    /// A swap that one batch can carry.
    ///
    /// # Errors
    /// `Misconfigured` where it is larger than Route 53 takes.
    pub fn fit(self) -> Result<Self, Failure> {
        let (old, new) = self.batch();
        let sets = || old.iter().chain(&new);
        let records: usize = sets().map(|set| set.values.len().max(1)).sum();
        let characters: usize = sets().flat_map(|set| &set.values).map(|value| value.chars().count()).sum();
        if records <= RECORDS && characters <= CHARACTERS {
            return Ok(self);
        }
        let words = format!("one batch would hold {records} records with {characters} characters of values");
        Err(Failure::new(Class::Misconfigured, words)
            .because(format!("Route 53 takes {RECORDS} records and {CHARACTERS} characters, old and new together"))
            .hint("spread the records over several steps"))
    }

    /// Reads a captured one.
    ///
    /// # Errors
    /// `Misconfigured`: the journal holds something else.
    pub fn from_captured(captured: &Json) -> Result<Self, Failure> {
        Swap::deserialize(captured).map_err(|e| {
            Failure::new(Class::Misconfigured, "what was captured is not a record set").because(e.to_string())
        })
    }

    /// As captured; with the first name and type and the largest TTL, for steps that build on it.
    #[must_use]
    pub fn to_captured(&self) -> Json {
        let mut captured = serde_json::to_value(self).unwrap_or_default();
        if let (Json::Object(captured), Some(first)) = (&mut captured, self.places.first()) {
            captured.insert("name".into(), first.name.clone().into());
            captured.insert("type".into(), first.r#type.clone().into());
            captured.insert("old_ttl".into(), json!(largest_ttl(&self.before)));
        }
        captured
    }

    /// The way back.
    #[must_use]
    pub fn back(self) -> Self {
        Self { before: self.after, after: self.before, ..self }
    }

    /// What stands at the places now.
    ///
    /// # Errors
    /// Could not look.
    pub async fn look(&self, aws: &Aws, patience: &Patience) -> Result<Vec<RecordSet>, Failure> {
        look(aws, &self.zone, &self.places, patience).await
    }

    /// What goes and what comes; a record set that stays as it is, is not sent.
    fn batch(&self) -> (Vec<&RecordSet>, Vec<&RecordSet>) {
        let lacks = |sets: &[RecordSet], set: &RecordSet| !sets.iter().any(|other| other.same(set));
        let old = self.before.iter().filter(|set| lacks(&self.after, set)).collect();
        let new = self.after.iter().filter(|set| lacks(&self.before, set)).collect();
        (old, new)
    }

    /// What was done. Where nothing was sent, the old TTL is what was captured first.
    fn done(&self, line: String, change: Option<&str>) -> Done {
        let first = self.places.first();
        Done::new(line).with(json!({
            "change_id": change,
            "name": first.map(|place| &place.name),
            "type": first.map(|place| &place.r#type),
            "names": self.places,
            "old_ttl": change.and_then(|_| largest_ttl(&self.before)),
            "new_ttl": largest_ttl(&self.after),
            "insync_at": moment(now()),
            "old": self.before,
            "new": self.after,
        }))
    }

    fn words(&self) -> String {
        let (_, new) = self.batch();
        let sets: Vec<&RecordSet> = if new.is_empty() { self.after.iter().collect() } else { new };
        let told: Vec<String> = sets.iter().take(TOLD).map(|set| set.line()).collect();
        match sets.len() {
            0 => {
                let places: Vec<String> = self.places.iter().take(TOLD).map(Place::words).collect();
                format!("there is no {}", places.join(", no "))
            }
            n if n > TOLD => format!("{}; and {} more", told.join("; "), n - TOLD),
            _ => told.join("; "),
        }
    }

    /// Swaps, and waits until every Route 53 server has it. Already there: nothing is sent.
    ///
    /// # Errors
    /// `Refused` where a third party changed the record since the capture, with the difference;
    /// `Unknown` where the batch was sent and its end not seen.
    pub async fn run(&self, aws: &Aws, cx: &Cx) -> Result<Done, Failure> {
        self.run_at(aws, cx, 0.5).await
    }

    /// The same as one stage of several; `share` is how far all of them are, 0 to 1.
    ///
    /// # Errors
    /// As [`Swap::run`].
    pub async fn run_at(&self, aws: &Aws, cx: &Cx, share: f32) -> Result<Done, Failure> {
        let patience = Patience::of(cx);
        let found = self.look(aws, &patience).await?;
        if agree(&self.after, &found) {
            return Ok(self.done(format!("already so, nothing sent: {}", self.words()), None));
        }
        if let Some(conflict) = self.conflict(&found) {
            return Err(conflict);
        }
        let (old, new) = self.batch();
        let comment = format!("gonogo {} attempt {}", cx.step, cx.attempt);
        let change = match aws.swap_records(&self.zone, &old, &new, &comment, &patience).await {
            Ok(change) => change,
            Err(failure) => return Err(self.explain(failure, aws, &patience).await),
        };
        cx.line(format!("Route 53 accepted change {change}: DELETE {}, CREATE {}", old.len(), new.len()));
        insync(aws, cx, &change, share).await?;
        let found = self.look(aws, &patience).await.map_err(|failure| sent(&change, failure))?;
        let wrong = difference("written", &self.after, &found, &[]);
        if !wrong.is_empty() {
            let words = format!("change {change} is INSYNC, yet the record is not as written");
            let failure = Failure::new(Class::Failed, words).hint("somebody changed it right afterwards: look who");
            return Err(wrong.iter().fold(failure, |failure, line| failure.because(line)));
        }
        Ok(self.done(self.words(), Some(&change)))
    }

    /// What somebody else did between the capture and now, if anything.
    fn conflict(&self, found: &[RecordSet]) -> Option<Failure> {
        let lines = difference("captured", &self.before, found, &self.after);
        if lines.is_empty() {
            return None;
        }
        let refusal = Failure::new(Class::Refused, "somebody else changed the record since it was captured")
            .hint("find out who changed it; a retry captures it as it is now");
        Some(lines.iter().fold(refusal, |failure, line| failure.because(line)))
    }

    /// A batch that Route 53 refused: where it is because somebody was faster, with the difference.
    async fn explain(&self, failure: Failure, aws: &Aws, patience: &Patience) -> Failure {
        if failure.class != Class::Refused {
            return failure;
        }
        match self.look(aws, patience).await.ok().and_then(|found| self.conflict(&found)) {
            Some(conflict) => {
                let conflict = conflict.because(&failure.message);
                failure.causes.iter().fold(conflict, |conflict, line| conflict.because(line))
            }
            None => failure,
        }
    }

    /// Looks whether it was done; waits up to `APART` before it says that it was not.
    ///
    /// # Errors
    /// Could not look.
    pub async fn probe(&self, aws: &Aws, cx: &Cx) -> Result<Finding, Failure> {
        let patience = Patience::of(cx);
        let mut found = self.look(aws, &patience).await?;
        if !agree(&self.after, &found) && agree(&self.before, &found) {
            cx.pause(APART).await?;
            found = self.look(aws, &patience).await?;
            if agree(&self.before, &found) {
                return Ok(Finding::NotDone { line: format!("as before, twice {} s apart", APART.as_secs()) });
            }
        }
        if agree(&self.after, &found) {
            return Ok(Finding::Done(self.done(format!("found as wanted: {}", self.words()), None)));
        }
        let lines = difference("wanted", &self.after, &found, &[]).join("; ");
        Ok(Finding::Unclear { line: format!("neither as before nor as wanted: {lines}") })
    }
}

fn largest_ttl(sets: &[RecordSet]) -> Option<i64> {
    sets.iter().filter_map(|set| set.ttl).max()
}

/// The record sets at some places of a zone.
///
/// # Errors
/// Could not look.
pub async fn look(aws: &Aws, zone: &str, places: &[Place], patience: &Patience) -> Result<Vec<RecordSet>, Failure> {
    let names: Vec<&str> = places.iter().map(|place| place.name.as_str()).collect();
    let mut found = aws.record_sets(zone, &names, patience).await?;
    found.retain(|set| places.iter().any(|place| place.holds(set)));
    Ok(found)
}

async fn insync(aws: &Aws, cx: &Cx, change: &str, share: f32) -> Result<(), Failure> {
    let patience = Patience::of(cx);
    let begun = tokio::time::Instant::now();
    let look = async || match aws.change_insync(change, &patience).await {
        Ok(true) => Ok(()),
        Ok(false) => {
            let so_far = short_duration(begun.elapsed());
            cx.progress(share, format!("change {change} is PENDING for {so_far}, INSYNC comes within about a minute"));
            Err(Failure::new(Class::NotYet, format!("change {change} is still PENDING after {so_far}")))
        }
        // It was accepted; a look that fails now is only a look.
        Err(failure) if failure.class == Class::FailedNothingDone => Err(Failure { class: Class::NotYet, ..failure }),
        Err(failure) => Err(failure),
    };
    cx.poll(LOOK, look).await.map_err(|failure| sent(change, failure))
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
