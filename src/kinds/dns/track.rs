//! What a resolver's answers say together that none of them says alone: a TTL that grows, one that does not
//! count down, an old value that lives longer than it may.

use std::time::Duration;

use tokio::time::Instant;

/// Two looks apart, clocks and whole seconds of TTLs may differ by this.
const SLACK: Duration = Duration::from_secs(2);

/// One resolver over time. Begins anew where it says something else.
#[derive(Debug, Clone)]
pub(in crate::kinds) struct Track {
    /// What it says, without the TTL.
    says: String,
    at: Instant,
    ttl: u32,
    /// When the copy that was seen first must be gone.
    gone_by: Instant,
}

impl Track {
    pub fn new(says: String, ttl: u32, now: Instant) -> Self {
        Self { says, at: now, ttl, gone_by: now + seconds(ttl) }
    }

    /// A later answer of the same resolver. What is odd about its age, if anything.
    pub fn hear(&mut self, says: &str, ttl: u32, now: Instant) -> Option<String> {
        if says != self.says {
            *self = Self::new(says.to_owned(), ttl, now);
            return None;
        }
        let passed = now.saturating_duration_since(self.at);
        let (before, due) = (self.ttl, self.gone_by);
        (self.at, self.ttl) = (now, ttl);
        if now > due + SLACK {
            let over = now.saturating_duration_since(due).as_secs();
            return Some(format!(
                "{over} s longer than its TTL: served stale, or fetched again from a server that has it"
            ));
        }
        if now + seconds(ttl) <= due + SLACK {
            return None;
        }
        Some(if ttl == before && passed > SLACK {
            format!("its TTL stays at {ttl} s: clamped, or not counted down")
        } else {
            let left = due.saturating_duration_since(now).as_secs();
            format!("its TTL should be {left} s by now: several caches, or fetched again")
        })
    }
}

fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(ttl.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        let begin = Instant::now();
        let at = |s| begin + Duration::from_secs(s);
        let mut track = Track::new("A 192.0.2.1".into(), 60, begin);
        assert_eq!(track.hear("A 192.0.2.1", 50, at(10)), None, "counts down");
        assert_eq!(track.hear("A 192.0.2.1", 47, at(12)), None, "within the slack");
        let odd = track.hear("A 192.0.2.1", 60, at(20)).unwrap();
        assert_eq!(odd, "its TTL should be 40 s by now: several caches, or fetched again");
        let odd = track.hear("A 192.0.2.1", 60, at(30)).unwrap();
        assert_eq!(odd, "its TTL stays at 60 s: clamped, or not counted down");
        assert_eq!(track.hear("A 192.0.2.1", 0, at(61)), None);
        let odd = track.hear("A 192.0.2.1", 30, at(70)).unwrap();
        assert!(odd.starts_with("10 s longer than its TTL: served stale"), "{odd}");
        assert_eq!(track.hear("A 203.0.113.9", 60, at(71)), None, "a new value begins anew");
        assert_eq!(track.hear("A 203.0.113.9", 1, at(130)), None);
    }
}
