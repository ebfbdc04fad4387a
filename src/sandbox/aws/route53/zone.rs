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
    pub geo: Option<Geo>,
    pub failover: Option<String>,
    pub multivalue: Option<bool>,
    pub ttl: Option<u32>,
    pub values: Vec<String>,
    pub alias: Option<Alias>,
    pub health_check: Option<String>,
    pub cidr: Option<Cidr>,
    pub near: Option<Near>,
}

/// Where an alias points.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) struct Alias {
    pub zone: String,
    /// Lower case, with the last dot.
    pub name: String,
    pub evaluate: bool,
}

/// Geolocation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) struct Geo {
    pub continent: Option<String>,
    pub country: Option<String>,
    pub subdivision: Option<String>,
}

/// IP-based routing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) struct Cidr {
    pub collection: String,
    pub location: String,
}

/// Geoproximity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) struct Near {
    pub region: Option<String>,
    pub local_zone_group: Option<String>,
    /// Latitude and longitude, as sent.
    pub at: Option<(String, String)>,
    pub bias: Option<i8>,
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
    /// Region and id of the VPCs of a private zone.
    pub vpcs: Vec<(String, String)>,
    pub caller_reference: String,
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
            vpcs: Vec::new(),
            caller_reference: format!("sandbox-{id}"),
            sets,
            served,
            serial: 1,
            changes,
        }
    }

    /// The same as a private zone of a VPC.
    pub fn private(self, region: &str, vpc: &str) -> Self {
        Self { private: true, vpcs: vec![(region.into(), vpc.into())], ..self }
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
    pub fn order(&self) -> (String, String, String) {
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

/// A name's labels from the right with the last dot, as listings are ordered byte by byte (`ListResourceRecordSets`).
pub(in crate::sandbox) fn reversed(name: &str) -> String {
    name.trim_end_matches('.').rsplit('.').map(|label| format!("{label}.")).collect()
}

/// A name as Route 53 keeps it: lower case, `*` and other odd characters as `\052`, with the last dot.
pub(in crate::sandbox) fn normal_name(name: &str) -> String {
    let mut out = String::new();
    let mut rest = name.trim_end_matches('.').as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let (byte, written) = match after {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] if first == b'\\' => {
                ((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'), 4)
            }
            _ => (first, 1),
        };
        rest = &rest[written..];
        match byte.to_ascii_lowercase() {
            b'.' if written == 1 => out.push('.'),
            b @ (b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_') => out.push(char::from(b)),
            b => out.push_str(&format!("\\{b:03o}")),
        }
    }
    out.push('.');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_their_order() {
        assert_eq!(normal_name("*.Acme.example"), "\\052.acme.example.");
        assert_eq!(normal_name("\\052.\\101b.a\\056b."), "\\052.ab.a\\056b.");
        let mut names = ["b.a.example.", "a.example.", "a-b.example.", "example."];
        names.sort_by_key(|name| reversed(name));
        assert_eq!(names, ["example.", "a-b.example.", "a.example.", "b.a.example."]);
    }
}
