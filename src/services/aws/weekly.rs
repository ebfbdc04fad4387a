//! A span of the week in UTC, as RDS writes a maintenance window: `sun:05:00-sun:06:00`.

use std::{fmt, time::Duration};

use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _, Utc};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const WEEK: i64 = 7 * 24 * 60;

/// A span that comes back every week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weekly {
    /// Minutes since Monday, 00:00 UTC.
    from: i64,
    /// Minutes that it lasts.
    lasts: i64,
}

impl Weekly {
    /// Reads `ddd:hh24:mi-ddd:hh24:mi`; `None` where it is something else.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let minute = |text: &str| {
            let mut parts = text.trim().splitn(3, ':');
            let name = parts.next()?.to_ascii_lowercase();
            let day = DAYS.iter().position(|day| *day == name)?;
            let hour = parts.next()?.parse::<i64>().ok().filter(|hour| (0..24).contains(hour))?;
            let minute = parts.next()?.parse::<i64>().ok().filter(|minute| (0..60).contains(minute))?;
            Some(i64::try_from(day).ok()? * 24 * 60 + hour * 60 + minute)
        };
        let (from, to) = text.split_once('-')?;
        let (from, to) = (minute(from)?, minute(to)?);
        Some(Self { from, lasts: (to - from).rem_euclid(WEEK) })
    }

    /// How long until it opens; nothing while it is open.
    #[must_use]
    pub fn opens_in(&self, now: DateTime<Utc>) -> Duration {
        let day = i64::from(now.weekday().num_days_from_monday());
        let second = day * 24 * 3600 + i64::from(now.num_seconds_from_midnight());
        let since = (second - self.from * 60).rem_euclid(WEEK * 60);
        let left = if since < self.lasts * 60 { 0 } else { WEEK * 60 - since };
        TimeDelta::seconds(left).to_std().unwrap_or_default()
    }
}

impl fmt::Display for Weekly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |minute: i64| {
            let day = usize::try_from(minute / (24 * 60) % 7).unwrap_or_default();
            let name = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"][day];
            (name, format!("{:02}:{:02}", minute / 60 % 24, minute % 60))
        };
        let (day, from) = word(self.from);
        let (end, to) = word(self.from + self.lasts);
        let end = if end == day { String::new() } else { format!("{end} ") };
        write!(f, "{day} {from}–{end}{to} UTC")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn opens_and_comes_back() {
        // 2026-11-22 is a Sunday.
        let weekly = Weekly::read("sun:05:00-sun:06:00").unwrap();
        assert_eq!(weekly.opens_in(at("2026-11-22T04:00:00Z")), Duration::from_secs(3600));
        assert_eq!(weekly.opens_in(at("2026-11-22T05:00:00Z")), Duration::ZERO);
        assert_eq!(weekly.opens_in(at("2026-11-22T05:59:59Z")), Duration::ZERO);
        assert_eq!(weekly.opens_in(at("2026-11-22T06:00:00Z")), Duration::from_secs((7 * 24 - 1) * 3600));
        assert_eq!(weekly.to_string(), "Sun 05:00–06:00 UTC");
    }

    #[test]
    fn over_the_end_of_the_week() {
        let weekly = Weekly::read("sun:23:30-mon:00:30").unwrap();
        assert_eq!(weekly.opens_in(at("2026-11-22T23:45:00Z")), Duration::ZERO);
        assert_eq!(weekly.opens_in(at("2026-11-23T00:15:00Z")), Duration::ZERO);
        assert_eq!(weekly.opens_in(at("2026-11-22T23:00:00Z")), Duration::from_secs(1800));
        assert_eq!(weekly.to_string(), "Sun 23:30–Mon 00:30 UTC");
        for bad in ["", "sun", "sun:05:00", "day:05:00-sun:06:00", "sun:25:00-sun:06:00", "sun:05:61-sun:06:00"] {
            assert_eq!(Weekly::read(bad), None, "{bad}");
        }
    }
}
