//! A ramp as it is captured: the record sets before and in every stage, and how to get from what Route 53 shows to the
//! next one, or back.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::soak::Soak;
use crate::{
    base::{Class, Failure},
    kinds::route53::{record, transaction::changeable},
    plan::{Cx, Done, Finding},
    services::aws::{APART, Aws, Patience, Place, RecordSet, Swap, ZoneRef, agree, difference, look},
};

/// Set identifiers of the two sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sides {
    pub to: String,
    pub from: String,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stage {
    /// Percent of `to`.
    percent: i64,
    sets: Vec<RecordSet>,
}

/// What is captured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ramp {
    zone: String,
    places: Vec<Place>,
    #[serde(flatten)]
    sides: Sides,
    before: Vec<RecordSet>,
    stages: Vec<Stage>,
}

/// Where a ramp stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Before,
    Stage(usize),
}

impl Ramp {
    /// The ramp out of the record sets that are there.
    ///
    /// # Errors
    /// `Misconfigured` where the two sides are not weighted record sets of every type, or others have a share.
    pub fn plan(
        given: &ZoneRef,
        zone: String,
        places: &[Place],
        sides: Sides,
        steps: &[i64],
        found: &[RecordSet],
    ) -> Result<Self, Failure> {
        let before: Vec<RecordSet> =
            found.iter().filter(|set| places.iter().any(|place| place.holds(set))).cloned().collect();
        for place in places {
            for id in [&sides.to, &sides.from] {
                let side = before.iter().find(|set| place.holds(set) && set.set_identifier.as_ref() == Some(id));
                let side = side.ok_or_else(|| record::missing(given, place, Some(id), found))?;
                changeable(side)?;
                if side.weight.is_none() {
                    let words = format!("{} is not a weighted record set", side.title());
                    return Err(Failure::new(Class::Misconfigured, words).because(format!("found {}", side.line())));
                }
            }
        }
        let third = before.iter().find(|set| {
            let id = set.set_identifier.as_ref();
            id != Some(&sides.to) && id != Some(&sides.from) && set.weight.unwrap_or(0) > 0
        });
        if let Some(third) = third {
            let words = format!("{} has a share too, so the percentages would not be true", third.title());
            return Err(Failure::new(Class::Misconfigured, words)
                .because(format!("found {}", third.line()))
                .hint("give it weight 0 first, by `route53.switch` with its `set_identifier`"));
        }
        let stage = |&percent: &i64| {
            let mut sets = before.clone();
            for set in &mut sets {
                match &set.set_identifier {
                    Some(id) if *id == sides.to => set.weight = Some(percent),
                    Some(id) if *id == sides.from => set.weight = Some(100 - percent),
                    _ => {}
                }
            }
            Stage { percent, sets }
        };
        let stages = steps.iter().map(stage).collect();
        let ramp = Self { zone, places: places.to_vec(), sides, before, stages };
        // The largest batch is one that changes every side.
        for stage in &ramp.stages {
            ramp.swap(&ramp.before, &stage.sets).fit()?;
        }
        Ok(ramp)
    }

    pub fn from_captured(captured: &Json) -> Result<Self, Failure> {
        Ramp::deserialize(captured).map_err(|e| {
            Failure::new(Class::Misconfigured, "what was captured is not a ramp of weights").because(e.to_string())
        })
    }

    pub fn to_captured(&self) -> Json {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// What people do not expect of these record sets.
    pub fn warnings(&self) -> Vec<String> {
        let ours = |set: &&RecordSet| {
            set.set_identifier.as_ref().is_some_and(|id| *id == self.sides.to || *id == self.sides.from)
        };
        let watched = |set: &RecordSet| {
            set.health_check.is_some() || set.alias.as_ref().is_some_and(|alias| alias.evaluate_health)
        };
        let (sound, blind): (Vec<&RecordSet>, Vec<&RecordSet>) =
            self.before.iter().filter(ours).partition(|set| watched(set));
        let mut lines = Vec::new();
        if !sound.is_empty() {
            lines.push(
                "warning: where every record of the set is unhealthy, Route 53 serves all of them by weight".into(),
            );
        }
        for set in blind {
            lines.push(format!("warning: {} has no health check: it keeps its share when it is down", set.title()));
        }
        lines
    }

    fn swap(&self, before: &[RecordSet], after: &[RecordSet]) -> Swap {
        let (before, after) = (before.to_vec(), after.to_vec());
        Swap { zone: self.zone.clone(), places: self.places.clone(), before, after }
    }

    fn sets(&self, at: At) -> &[RecordSet] {
        match at {
            At::Before => &self.before,
            At::Stage(i) => &self.stages[i].sets,
        }
    }

    fn words(&self, at: At) -> String {
        let Sides { to, from } = &self.sides;
        match at {
            At::Stage(i) => {
                let percent = self.stages[i].percent;
                format!("{to} {percent} %, {from} {} % (stage {} of {})", 100 - percent, i + 1, self.stages.len())
            }
            At::Before => {
                let weight = |id: &String| {
                    let set = self.before.iter().find(|set| set.set_identifier.as_ref() == Some(id));
                    set.and_then(|set| set.weight).unwrap_or(0)
                };
                format!("{to} weight {}, {from} weight {}, as captured", weight(to), weight(from))
            }
        }
    }

    /// Where it stands, by what Route 53 shows. A stage that is as before counts as the stage, except where `back`.
    fn at(&self, found: &[RecordSet], back: bool) -> Option<At> {
        let stage = self.stages.iter().rposition(|stage| agree(&stage.sets, found)).map(At::Stage);
        let before = agree(&self.before, found).then_some(At::Before);
        if back { before.or(stage) } else { stage.or(before) }
    }

    async fn shown(&self, aws: &Aws, cx: &Cx, back: bool) -> Result<At, Failure> {
        let found = look(aws, &self.zone, &self.places, &Patience::of(cx)).await?;
        self.at(&found, back).ok_or_else(|| {
            let refusal = Failure::new(Class::Refused, "somebody else changed the records: they stand at no stage")
                .hint("find out who changed them; a retry captures them as they are now");
            let lines = difference("captured", &self.before, &found, self.sets(At::Stage(self.stages.len() - 1)));
            lines.iter().fold(refusal, |failure, line| failure.because(line))
        })
    }

    /// Goes up from the stage that Route 53 shows to the last one.
    ///
    /// # Errors
    /// As [`Swap::run`]; `Failed` where a check stops it, or anything else does after a stage was reached.
    pub async fn climb(&self, aws: &Aws, cx: &Cx, soak: &Soak) -> Result<Done, Failure> {
        let last = self.stages.len() - 1;
        let mut at = self.shown(aws, cx, false).await?;
        if at == At::Stage(last) {
            return Ok(self.done(&format!("already so, nothing sent: {}", self.words(at)), &[]));
        }
        if let At::Stage(_) = at {
            cx.line(format!("Route 53 shows {}: going on there", self.words(at)));
        }
        let mut changes = Vec::new();
        loop {
            let (next, share) = match at {
                At::Before => (0, 0.0),
                At::Stage(i) => {
                    let share = share(i + 1, self.stages.len());
                    let stage = self.words(at);
                    let held = soak.stand(cx, &stage, share).await.map_err(|failure| self.stopped(at, failure))?;
                    held.iter().for_each(|line| cx.line(format!("{stage}: holds: {line}")));
                    (i + 1, share)
                }
            };
            let swap = self.swap(self.sets(at), &self.stages[next].sets);
            let done = swap.run_at(aws, cx, share).await.map_err(|failure| match at {
                At::Before => failure,
                At::Stage(_) if failure.class == Class::Unknown => {
                    failure.because(format!("before that Route 53 served {}", self.words(at)))
                }
                At::Stage(_) => self.stopped(at, failure),
            })?;
            changes.push(json!({ "percent": self.stages[next].percent, "change_id": done.evidence["change_id"], "insync_at": done.evidence["insync_at"] }));
            at = At::Stage(next);
            cx.line(self.words(at));
            if next == last {
                return Ok(self.done(&self.words(at), &changes));
            }
        }
    }

    /// The ramp ended between two stages, and that is known.
    fn stopped(&self, at: At, failure: Failure) -> Failure {
        let what = format!("the ramp stopped: {}", failure.message);
        let hint = failure.hint.clone();
        let stopped = Failure { class: Class::Failed, message: what, ..failure }
            .because(format!("Route 53 serves {}", self.words(at)))
            .because(format!("a rollback puts back {}", self.words(At::Before)));
        match hint {
            Some(_) => stopped,
            None => stopped.hint("a retry goes on from this stage; a rollback puts back the captured weights"),
        }
    }

    /// Back to the captured weights, from whatever stage it stands at.
    ///
    /// # Errors
    /// As [`Swap::run`].
    pub async fn back(&self, aws: &Aws, cx: &Cx) -> Result<Done, Failure> {
        let at = self.shown(aws, cx, true).await?;
        self.swap(self.sets(at), &self.before).run(aws, cx).await
    }

    /// Looks where it stands.
    ///
    /// # Errors
    /// Could not look.
    pub async fn probe(&self, aws: &Aws, cx: &Cx, back: bool) -> Result<Finding, Failure> {
        let patience = Patience::of(cx);
        let last = At::Stage(self.stages.len() - 1);
        let goal = if back { At::Before } else { last };
        let mut found = look(aws, &self.zone, &self.places, &patience).await?;
        if self.at(&found, back) != Some(goal) {
            // It may be under way: two looks some seconds apart have to agree.
            cx.pause(APART).await?;
            found = look(aws, &self.zone, &self.places, &patience).await?;
        }
        Ok(match self.at(&found, back) {
            Some(at) if at == goal => Finding::Done(self.done(&format!("found as wanted: {}", self.words(at)), &[])),
            Some(at) if back => Finding::NotDone { line: format!("not put back: {}", self.words(at)) },
            Some(At::Before) => Finding::NotDone { line: format!("as before, {} s apart", APART.as_secs()) },
            Some(at) => {
                Finding::Unclear { line: format!("half way: {}; a new attempt goes on from there", self.words(at)) }
            }
            None => {
                let lines = difference("captured", &self.before, &found, &[]).join("; ");
                Finding::Unclear { line: format!("at no stage of the ramp: {lines}") }
            }
        })
    }

    fn done(&self, line: &str, changes: &[Json]) -> Done {
        let first = self.places.first();
        let ids: Vec<&Json> = changes.iter().map(|change| &change["change_id"]).collect();
        Done::new(line).with(json!({
            "change_ids": ids,
            "name": first.map(|place| &place.name),
            "type": first.map(|place| &place.r#type),
            "names": self.places,
            "insync_at": changes.last().map(|change| &change["insync_at"]),
            "stages": changes,
            "old": self.before,
            "new": self.stages.last().map(|stage| &stage.sets),
        }))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share for a bar")]
fn share(done: usize, of: usize) -> f32 {
    done as f32 / of.max(1) as f32
}
