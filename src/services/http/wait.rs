//! How long a server asks to be left alone.

use std::time::Duration;

use chrono::{DateTime, Utc};
use hyper::{HeaderMap, header::RETRY_AFTER};

/// How long `Retry-After` asks to wait: seconds, or a moment; nothing where it is neither.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let asked = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(asked.parse().unwrap_or(u64::MAX)));
    }
    let moment = DateTime::parse_from_rfc2822(asked).ok()?;
    Some((moment.to_utc() - Utc::now()).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Option<u64> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
        retry_after(&headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn retry_after_in_every_form() {
        assert_eq!([asked("0"), asked("7"), asked("1000000000")], [Some(0), Some(7), Some(1_000_000_000)]);
        assert_eq!([asked("soon"), asked("-1"), asked("")], [None; 3]);
        assert_eq!(asked("99999999999999999999"), Some(u64::MAX));
        assert_eq!(asked("Wed, 21 Oct 2015 07:28:00 GMT"), Some(0), "a moment that has passed");
        let later = (Utc::now() + chrono::TimeDelta::seconds(90)).to_rfc2822().replace("+0000", "GMT");
        assert!((85..=90).contains(&asked(&later).unwrap()), "{later}");
    }
}
