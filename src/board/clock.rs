//! Times for people: local wall clock with its zone's name, UTC, or time since the run was opened.
//! The zone arrives as a value; nothing here reads an environment or a file.

use chrono::{DateTime, FixedOffset, Local, Offset as _, TimeZone as _, Utc};

use crate::base::{Elapsed, Stamp, hms};

/// Which clock a view shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TimeStyle {
    /// The wall clock of the people.
    #[default]
    Local,
    /// UTC.
    Utc,
    /// Since the run was opened.
    Since,
}

impl TimeStyle {
    /// The next one in the round that a key goes through.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Local => Self::Utc,
            Self::Utc => Self::Since,
            Self::Since => Self::Local,
        }
    }
}

/// A time zone with the names of its offsets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Zone {
    /// `None`: the machine's own zone.
    fixed: Option<FixedOffset>,
    /// Names by offset east of UTC in seconds: `(7200, "CEST")`.
    names: Vec<(i32, String)>,
}

impl Zone {
    /// UTC.
    #[must_use]
    pub fn utc() -> Self {
        Self { fixed: Some(Utc.fix()), names: vec![(0, "UTC".into())] }
    }

    /// A fixed offset east of UTC, with its name.
    #[must_use]
    pub fn fixed(seconds_east: i32, name: &str) -> Self {
        Self { fixed: FixedOffset::east_opt(seconds_east), names: vec![(seconds_east, name.to_owned())] }
    }

    /// The machine's own zone. `tzif` are the bytes of its zone file (usually `/etc/localtime`), which
    /// hold the short names of the offsets in a line at their end (RFC 9636, section 3.3): chrono knows
    /// offsets, not names. Without them the offset itself is shown.
    #[must_use]
    pub fn local(tzif: Option<&[u8]>) -> Self {
        let footer = tzif.and_then(|bytes| {
            let text = bytes.strip_suffix(b"\n")?;
            let begin = text.iter().rposition(|b| *b == b'\n')? + 1;
            std::str::from_utf8(&text[begin..]).ok()
        });
        Self { fixed: None, names: footer.map(posix_names).unwrap_or_default() }
    }

    fn at(&self, at: DateTime<Utc>) -> DateTime<FixedOffset> {
        match self.fixed {
            Some(offset) => at.with_timezone(&offset),
            None => at.with_timezone(&Local.offset_from_utc_datetime(&at.naive_utc()).fix()),
        }
    }

    fn name(&self, at: DateTime<FixedOffset>) -> String {
        let offset = at.offset().local_minus_utc();
        let named = self.names.iter().find(|(seconds, _)| *seconds == offset);
        named.map_or_else(|| at.format("%:z").to_string(), |(_, name)| name.clone())
    }
}

/// `CET-1CEST,M3.5.0,M10.5.0/3` → `[(3600, "CET"), (7200, "CEST")]`.
fn posix_names(text: &str) -> Vec<(i32, String)> {
    fn name(text: &str) -> (String, &str) {
        if let Some(rest) = text.strip_prefix('<') {
            let end = rest.find('>').unwrap_or(rest.len());
            return (rest[..end].to_owned(), rest.get(end + 1..).unwrap_or(""));
        }
        let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
        (text[..end].to_owned(), &text[end..])
    }
    /// Seconds east; the text counts west.
    fn offset(text: &str) -> (Option<i32>, &str) {
        let end = text.find(|c: char| !(c.is_ascii_digit() || "+-:".contains(c))).unwrap_or(text.len());
        let (digits, rest) = text.split_at(end);
        let sign = if digits.starts_with('-') { 1 } else { -1 };
        let mut seconds = 0;
        for (part, unit) in digits.trim_start_matches(['+', '-']).split(':').zip([3600, 60, 1]) {
            let Ok(value) = part.parse::<i32>() else { return (None, rest) };
            seconds += value.saturating_mul(unit);
        }
        (Some(sign * seconds), rest)
    }
    let mut names = Vec::new();
    let (standard, rest) = name(text);
    let (Some(east), rest) = offset(rest) else { return names };
    names.push((east, standard));
    let (summer, rest) = name(rest);
    if !summer.is_empty() {
        let summer_east = if rest.starts_with(',') || rest.is_empty() { None } else { offset(rest).0 };
        names.push((summer_east.unwrap_or(east + 3600), summer));
    }
    names
}

/// How a view shows moments: a zone, a style, and when the run was opened.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Face {
    /// The zone of [`TimeStyle::Local`].
    pub zone: Zone,
    /// Which clock.
    pub style: TimeStyle,
}

impl Face {
    /// `02:14:09`, or `0:44:09` since the opening.
    #[must_use]
    pub fn clock(&self, at: Stamp) -> String {
        match self.style {
            TimeStyle::Local => self.zone.at(at.at).format("%H:%M:%S").to_string(),
            TimeStyle::Utc => at.at.format("%H:%M:%S").to_string(),
            TimeStyle::Since => hms(at.elapsed.since(Elapsed(0))),
        }
    }

    /// `02:14`, or `0:44` since the opening.
    #[must_use]
    pub fn minute(&self, at: Stamp) -> String {
        let clock = self.clock(at);
        clock.rsplit_once(':').map_or(clock.clone(), |(minute, _)| minute.to_owned())
    }

    /// The zone's name at a moment: `CEST`, `UTC`; empty since the opening.
    #[must_use]
    pub fn zone_name(&self, at: Stamp) -> String {
        match self.style {
            TimeStyle::Local => self.zone.name(self.zone.at(at.at)),
            TimeStyle::Utc => "UTC".into(),
            TimeStyle::Since => String::new(),
        }
    }

    /// The wall clock in the zone, whatever the style: `02:14:09 CEST`.
    #[must_use]
    pub fn wall(&self, at: Stamp) -> String {
        let local = self.zone.at(at.at);
        format!("{} {}", local.format("%H:%M:%S"), self.zone.name(local))
    }

    /// `02:14` of the wall clock in the zone, whatever the style.
    #[must_use]
    pub fn wall_minute(&self, at: Stamp) -> String {
        self.zone.at(at.at).format("%H:%M").to_string()
    }

    /// `2026-12-06` in the zone.
    #[must_use]
    pub fn date(&self, at: Stamp) -> String {
        self.zone.at(at.at).format("%Y-%m-%d").to_string()
    }

    /// A planned or expected moment on the steady clock, as the style shows it: `02:59`.
    #[must_use]
    pub fn expected(&self, opened: Stamp, at: Elapsed) -> String {
        self.minute(moment(opened, at))
    }
}

/// A moment of the steady clock with the wall time that belongs to it.
#[must_use]
pub fn moment(opened: Stamp, at: Elapsed) -> Stamp {
    let ms = i64::try_from(at.0).unwrap_or(i64::MAX) - i64::try_from(opened.elapsed.0).unwrap_or(i64::MAX);
    let wall = chrono::TimeDelta::try_milliseconds(ms).and_then(|by| opened.at.checked_add_signed(by));
    Stamp { at: wall.unwrap_or(opened.at), elapsed: at }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zone_names_come_from_the_zone_file() {
        assert_eq!(posix_names("CET-1CEST,M3.5.0,M10.5.0/3"), [(3600, "CET".into()), (7200, "CEST".into())]);
        assert_eq!(posix_names("<+0530>-5:30"), [(19800, "+0530".into())]);
        assert_eq!(posix_names("UTC0"), [(0, "UTC".into())]);
        assert_eq!(posix_names("EST5EDT,M3.2.0,M11.1.0"), [(-18000, "EST".into()), (-14400, "EDT".into())]);
        assert!(posix_names("").is_empty());
        let zone = Zone::local(Some(b"TZif2\0\nEST5EDT,M3.2.0,M11.1.0\n"));
        assert_eq!(zone.names[1], (-14400, "EDT".into()));
    }

    #[test]
    fn styles() {
        let at = DateTime::parse_from_rfc3339("2026-12-06T00:30:00Z").unwrap().to_utc();
        let stamp = Stamp::new(at, Elapsed(2_649_000));
        let mut face = Face { zone: Zone::fixed(3600, "CET"), style: TimeStyle::Local };
        assert_eq!(format!("{} {}", face.clock(stamp), face.zone_name(stamp)), "01:30:00 CET");
        face.style = TimeStyle::Utc;
        assert_eq!(format!("{} {}", face.minute(stamp), face.zone_name(stamp)), "00:30 UTC");
        face.style = TimeStyle::Since;
        assert_eq!(face.clock(stamp), "0:44:09");
        assert_eq!(face.expected(stamp, Elapsed(3_600_000)), "1:00");
    }
}
