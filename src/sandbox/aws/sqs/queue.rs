//! A queue and its messages: where each is at a moment, worked out from when things happened to it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::sandbox::world::{Moment, after};

/// Of a message that no worker can work off: it is in flight for so long, in milliseconds, then visible for a second.
const TRY: i64 = 3000;
const REST: i64 = 1000;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Queue {
    pub name: String,
    pub created: Moment,
    /// Those that were set, by the API's names.
    pub attributes: BTreeMap<String, String>,
    pub messages: Vec<Message>,
}

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Visible,
    InFlight,
    Delayed,
}

/// What the story's workers do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Work {
    /// Nothing: somebody else receives it.
    Nobody,
    /// One takes it and deletes it.
    Done { taken: Moment, over: Moment },
    /// One after the other takes it and dies of it.
    Stuck { from: Moment },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Message {
    pub id: String,
    pub body: String,
    pub sent: Moment,
    /// When it may be received: its delay or its visibility timeout is over.
    pub visible_at: Moment,
    /// Of the newest reception.
    pub receipt: Option<String>,
    pub first_received: Option<Moment>,
    pub receptions: u32,
    pub work: Work,
}

impl Queue {
    pub fn new(name: &str, created: Moment) -> Self {
        Self { name: name.to_owned(), created, attributes: BTreeMap::new(), messages: Vec::new() }
    }

    /// A number of its attributes, or the default.
    pub fn number(&self, name: &str, default: i64) -> i64 {
        self.attributes.get(name).and_then(|text| text.parse().ok()).unwrap_or(default)
    }

    /// Name of its dead-letter queue, and after how many receptions a message goes there.
    pub fn dead_letters(&self) -> Option<(String, u32)> {
        let policy: Value = serde_json::from_str(self.attributes.get("RedrivePolicy")?).ok()?;
        let name = policy["deadLetterTargetArn"].as_str()?.rsplit(':').next()?.to_owned();
        // AWS takes the number as text, too.
        let most = &policy["maxReceiveCount"];
        let most = most.as_u64().or_else(|| most.as_str()?.parse().ok())?;
        Some((name, u32::try_from(most).ok()?))
    }

    /// How many messages are at a place.
    pub fn count(&self, place: Place, now: Moment) -> usize {
        self.messages.iter().filter(|message| !message.is_gone(now) && message.place(now) == place).count()
    }
}

impl Message {
    pub fn new(id: String, body: String, sent: Moment, delay_s: i64) -> Self {
        let visible_at = after(sent, delay_s * 1000);
        Self { id, body, sent, visible_at, receipt: None, first_received: None, receptions: 0, work: Work::Nobody }
    }

    /// True where a worker has deleted it.
    pub fn is_gone(&self, now: Moment) -> bool {
        matches!(self.work, Work::Done { over, .. } if over <= now)
    }

    pub fn place(&self, now: Moment) -> Place {
        match self.work {
            Work::Done { taken, .. } if taken <= now => Place::InFlight,
            Work::Stuck { from } if (now - from).num_milliseconds().rem_euclid(TRY + REST) < TRY => Place::InFlight,
            _ if self.visible_at <= now => Place::Visible,
            _ if self.receptions > 0 => Place::InFlight,
            _ => Place::Delayed,
        }
    }

    /// How often it was received.
    pub fn received(&self, now: Moment) -> u32 {
        match self.work {
            Work::Stuck { from } if from <= now => {
                u32::try_from((now - from).num_milliseconds() / (TRY + REST)).unwrap_or(u32::MAX).saturating_add(1)
            }
            _ => self.receptions,
        }
    }

    /// Nobody works on it any more.
    pub fn rest(&mut self) {
        (self.work, self.receipt, self.receptions) = (Work::Nobody, None, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_goes_its_way() {
        let start = Moment::UNIX_EPOCH;
        let at = |ms| after(start, ms);
        let mut message = Message::new("m".into(), "b".into(), start, 2);
        assert_eq!([message.place(at(1999)), message.place(at(2000))], [Place::Delayed, Place::Visible]);
        (message.receptions, message.visible_at) = (1, at(5000));
        assert_eq!([message.place(at(4999)), message.place(at(5000))], [Place::InFlight, Place::Visible]);
        message.work = Work::Done { taken: at(6000), over: at(7000) };
        assert_eq!([message.place(at(5999)), message.place(at(6000))], [Place::Visible, Place::InFlight]);
        assert_eq!([message.is_gone(at(6999)), message.is_gone(at(7000))], [false, true]);
        message.work = Work::Stuck { from: at(10_000) };
        assert_eq!([message.place(at(12_999)), message.place(at(13_000))], [Place::InFlight, Place::Visible]);
        assert_eq!([message.received(at(13_999)), message.received(at(18_000))], [1, 3]);
    }
}
