//! What one look at one resolver found, and why it does not count.

use std::net::SocketAddr;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use crate::{
    base::Failure,
    kinds::dns::{Question, Track, clock},
    services::dns::{Answer, ResponseCode},
};

/// A resolver over several looks.
#[derive(Default)]
pub(super) struct Known {
    track: Option<Track>,
    /// What was told of it last, so that only news is told.
    pub told: String,
}

/// What one look at one resolver found.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub resolver: SocketAddr,
    /// What it says, with the TTL; or why it says nothing.
    pub words: String,
    /// The same without what changes from look to look.
    pub says: String,
    ttl: Option<u32>,
    /// How long it may go on saying so, in seconds.
    keeps: Option<u32>,
    /// It said something.
    answered: bool,
    /// Why it does not count; `None`: it sees the value.
    pub stuck: Option<String>,
    hint: Option<String>,
}

impl View {
    /// What an answer, the last of so many samples, is to the question, in the light of earlier looks.
    pub fn of(
        question: &Question,
        known: &mut Known,
        resolver: SocketAddr,
        sample: u64,
        answer: &Result<Answer, Failure>,
    ) -> Self {
        let flaps = if sample > 1 { format!(" in sample {sample}") } else { String::new() };
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => {
                known.track = None;
                return Self {
                    resolver,
                    words: failure.message.clone(),
                    says: failure.message.clone(),
                    ttl: None,
                    keeps: None,
                    answered: false,
                    stuck: Some(format!("gave no answer: {failure}{flaps}")),
                    hint: failure.hint.clone(),
                };
            }
        };
        let says = answer.says(&question.name, question.kind);
        let keeps = answer.longest_ttl();
        let odd = match (&mut known.track, keeps) {
            (Some(track), Some(ttl)) => track.hear(&says, ttl, Instant::now()),
            (none @ None, Some(ttl)) => {
                *none = Some(Track::new(says.clone(), ttl, Instant::now()));
                None
            }
            (track, None) => {
                *track = None;
                None
            }
        };
        let wrong = wrong(question, answer);
        let odd = odd.filter(|_| wrong.is_some()).map(|odd| format!(" ({odd})")).unwrap_or_default();
        let hint = match answer.rcode {
            ResponseCode::ServFail => Some(format!(
                "{resolver} cannot reach the zone's servers or does not trust its signatures: check with dns.delegation"
            )),
            ResponseCode::Refused => Some(format!("{resolver} does not resolve for this machine: is it a resolver?")),
            _ => None,
        };
        Self {
            resolver,
            words: question.of(answer),
            says,
            ttl: answer.ttl(&question.name, question.kind),
            keeps,
            answered: true,
            stuck: wrong.map(|why| format!("{why}{flaps}{odd}")),
            hint,
        }
    }

    pub fn evidence(&self) -> Json {
        json!({ "resolver": self.resolver, "says": self.says, "ttl": self.ttl, "stuck": self.stuck })
    }
}

/// Why an answer does not count, if it does not.
pub(super) fn wrong(question: &Question, answer: &Answer) -> Option<String> {
    let words = || question.of(answer);
    if answer.rcode != ResponseCode::NoError {
        let kept = answer.negative_ttl.map(|ttl| format!(" for up to {ttl} s")).unwrap_or_default();
        return Some(format!("says {}{kept}", words()));
    }
    if !question.shows(answer) {
        let kept = answer.negative_ttl.map(|ttl| format!(" for up to {ttl} s")).unwrap_or_default();
        return Some(format!("still says {}{kept}", words()));
    }
    if answer.says_stale() {
        return Some(format!("says {}, and that this is stale", words()));
    }
    let max = question.max_ttl.filter(|_| !question.ttl_passes(answer))?;
    Some(format!("says {}, more than {max} s", words()))
}

/// Those that are stuck, who says the same together, the largest group first: `25 say A 192.0.2.1` with the
/// resolvers of each group. For lists that are too long to be read one by one.
pub(super) fn groups(views: &[View], silent: &[SocketAddr]) -> Vec<(String, Vec<SocketAddr>)> {
    let mut groups: Vec<(String, Vec<SocketAddr>)> = Vec::new();
    let mut put = |what: String, who: SocketAddr| match groups.iter_mut().find(|(known, _)| *known == what) {
        Some((_, all)) => all.push(who),
        None => groups.push((what, vec![who])),
    };
    for view in views.iter().filter(|view| view.stuck.is_some()) {
        let what = if view.answered { format!("say {}", view.says) } else { "gave no answer".to_owned() };
        put(what, view.resolver);
    }
    for one in silent {
        put("gave no answer".to_owned(), *one);
    }
    groups.sort_by_key(|(_, all)| std::cmp::Reverse(all.len()));
    groups.into_iter().map(|(what, all)| (format!("{} {what}", all.len()), all)).collect()
}

/// What can be done about those that are stuck: when their copies run out, or the first hint of their own where
/// there are not more that only have to wait.
pub(super) fn hint(views: &[View], now: DateTime<Utc>) -> Option<String> {
    let stuck = || views.iter().filter(|view| view.stuck.is_some());
    let own = stuck().filter_map(|view| view.hint.clone()).collect::<Vec<_>>();
    let kept = stuck().filter(|view| view.hint.is_none()).filter_map(|view| view.keeps).collect::<Vec<_>>();
    if kept.len() <= own.len() {
        return own.into_iter().next();
    }
    let last = kept.into_iter().max()?;
    let at = clock(now + TimeDelta::seconds(last.into()), now);
    Some(format!("the last of these copies runs out in {last} s, at {at}"))
}
