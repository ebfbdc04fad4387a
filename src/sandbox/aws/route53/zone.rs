//! A hosted zone: its record sets as the API shows them at once, and as the name servers serve them
//! from the moment a change is INSYNC.

use serde::{Deserialize, Serialize};

use crate::sandbox::world::Moment;

/// A record set, as it was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) struct RecordSet {
    /// Lower case, with the last dot.
    pub name: String,
    pub rtype: String,
    pub set_identifier: Option<String>,
    pub weight: Option<u8>,
    pub region: Option<String>,
    pub failover: Option<String>,
    pub multivalue: Option<bool>,
    pub ttl: Option<u32>,
    pub values: Vec<String>,
    pub alias: Option<Alias>,
    pub health_check: Option<String>,
}

/// Where an alias points.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) struct Alias {
    pub zone: String,
    /// Lower case, with the last dot.
    pub name: String,
    pub evaluate: bool,
}

/// A change and when the name servers have it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Change {
    pub id: String,
    pub submitted_at: Moment,
    pub insync_at: Moment,
    pub comment: Option<String>,
    /// The zone after it; taken away once it is served.
    pub after: Option<Vec<RecordSet>>,
}

/// A hosted zone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Zone {
    pub id: String,
    /// With the last dot.
    pub name: String,
    pub comment: String,
    pub private: bool,
    /// In the API's order.
    pub sets: Vec<RecordSet>,
    /// What the name servers answer from.
    pub served: Vec<RecordSet>,
    /// Raised with every change that is served.
    pub serial: u32,
    /// Oldest first.
    pub changes: Vec<Change>,
}

/// Changes that GetChange still knows; AWS keeps them for about a month.
const CHANGES_KEPT: usize = 500;

impl Zone {
    pub fn new(id: &str, name: &str, comment: &str, mut sets: Vec<RecordSet>) -> Self {
        sets.sort_by_cached_key(RecordSet::order);
        let (served, changes) = (sets.clone(), Vec::new());
        Self {
            id: id.into(),
            name: name.into(),
            comment: comment.into(),
            private: false,
            sets,
            served,
            serial: 1,
            changes,
        }
    }

    /// Serves what is INSYNC by `now`.
    pub fn advance(&mut self, now: Moment) {
        for change in self.changes.iter_mut().filter(|change| change.insync_at <= now) {
            if let Some(after) = change.after.take() {
                self.served = after;
                self.serial += 1;
            }
        }
    }

    /// Takes the sets as the zone's new ones, in service `insync_at` or when the change before it is.
    pub fn submit(
        &mut self,
        id: String,
        comment: Option<String>,
        sets: Vec<RecordSet>,
        now: Moment,
        insync_at: Moment,
    ) {
        self.sets = sets;
        self.sets.sort_by_cached_key(RecordSet::order);
        let before = self.changes.last().map_or(insync_at, |last| last.insync_at);
        let after = Some(self.sets.clone());
        self.changes.push(Change { id, submitted_at: now, insync_at: insync_at.max(before), comment, after });
        if self.changes.len() > CHANGES_KEPT {
            self.changes.remove(0);
        }
    }
}

impl RecordSet {
    /// A simple record set.
    pub fn simple(name: &str, rtype: &str, ttl: u32, values: &[&str]) -> Self {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Self { name: name.into(), rtype: rtype.into(), ttl: Some(ttl), values, ..Self::default() }
    }

    /// The API's order: labels from the right, then type, then set identifier.
    pub fn order(&self) -> (Vec<String>, String, String) {
        (reversed(&self.name), self.rtype.clone(), self.set_identifier.clone().unwrap_or_default())
    }

    /// Name, type and identifier: what makes it this set.
    pub fn same_key(&self, other: &Self) -> bool {
        self.name == other.name && self.rtype == other.rtype && self.set_identifier == other.set_identifier
    }

    /// True where a DELETE of `other` matches: everything equal, values in any order.
    pub fn same_content(&self, other: &Self) -> bool {
        let sorted = |set: &Self| {
            let mut values = set.values.clone();
            values.sort();
            Self { values, ..set.clone() }
        };
        sorted(self) == sorted(other)
    }
}

/// A name's labels from the right, as listings are ordered.
pub(in crate::sandbox) fn reversed(name: &str) -> Vec<String> {
    name.trim_end_matches('.').rsplit('.').map(str::to_owned).collect()
}

/// A name as Route 53 keeps it: lower case, `*` and other odd characters as `\052`, with the last dot.
pub(in crate::sandbox) fn normal_name(name: &str) -> String {
    let mut out = String::new();
    for c in name.trim_end_matches('.').chars() {
        match c {
            'a'..='z' | '0'..='9' | '-' | '_' | '.' | '\\' => out.push(c),
            'A'..='Z' => out.push(c.to_ascii_lowercase()),
            c => {
                let mut utf8 = [0; 4];
                for byte in c.encode_utf8(&mut utf8).bytes() {
                    out.push_str(&format!("\\{byte:03o}"));
                }
            }
        }
    }
    out.push('.');
    out
}
