//! A job as Sidekiq writes it: its class as people know it, and since when it waits. Its arguments are nobody's business here.
//!
//! Source: `JobRecord#display_class` and `#latency` in sidekiq/lib/sidekiq/api.rb of versions 6.4 and 8.0.

use serde_json::Value as Json;

use crate::base::clean_line;

/// Classes that only carry another one.
const WRAPPERS: [&str; 2] = ["ActiveJob::QueueAdapters::SidekiqAdapter::JobWrapper", "Sidekiq::ActiveJob::Wrapper"];
/// Jobs that only carry a mail: what they send says more.
const MAILS: [&str; 2] = ["ActionMailer::DeliveryJob", "ActionMailer::MailDeliveryJob"];
/// From this number on a moment is in milliseconds, as Sidekiq 8 writes it: as seconds it would be the year 5138.
const MILLISECONDS: f64 = 1e11;

/// A job.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Job {
    /// `HardJob`, `UserMailer#welcome`; cleaned.
    pub class: String,
    /// When it was put into its queue, in seconds of the epoch.
    pub enqueued_at: Option<f64>,
}

impl Job {
    /// Reads a payload. Sidekiq moves one that is no JSON to the dead when it takes it; here it is only named.
    pub fn read(payload: &[u8]) -> Self {
        match serde_json::from_slice::<Json>(payload) {
            Ok(job) => Self::of(&job),
            Err(_) => Self { class: "a job that is no JSON".into(), enqueued_at: None },
        }
    }

    /// Reads a payload that is data already.
    pub fn of(job: &Json) -> Self {
        let moment = |key: &str| job[key].as_f64().map(seconds);
        let class = clean_line(&class(job), 80);
        Self { class, enqueued_at: moment("enqueued_at").or_else(|| moment("created_at")) }
    }
}

/// A moment of either format, in seconds.
pub(super) fn seconds(moment: f64) -> f64 {
    if moment >= MILLISECONDS { moment / 1000.0 } else { moment }
}

fn class(job: &Json) -> String {
    let text = |value: &Json| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let own = text(&job["class"]).unwrap_or_else(|| "a job without a class".into());
    if let Some(shown) = text(&job["display_class"]) {
        return shown;
    }
    if !WRAPPERS.contains(&own.as_str()) {
        return own;
    }
    let first = &job["args"][0];
    let wrapped = text(&job["wrapped"]).or_else(|| text(first)).or_else(|| text(&first["job_class"])).unwrap_or(own);
    if MAILS.contains(&wrapped.as_str())
        && let (Some(mailer), Some(mail)) = (text(&first["arguments"][0]), text(&first["arguments"][1]))
    {
        return format!("{mailer}#{mail}");
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn wrapped_jobs_are_called_by_what_they_do() {
        let class = |job: Json| Job::of(&job).class;
        assert_eq!(class(json!({ "class": "HardJob", "args": ["x"] })), "HardJob");
        assert_eq!(class(json!({ "class": "HardJob", "display_class": "Shown" })), "Shown");
        for wrapper in WRAPPERS {
            assert_eq!(class(json!({ "class": wrapper, "wrapped": "ReportJob", "args": [{}] })), "ReportJob");
            assert_eq!(class(json!({ "class": wrapper, "args": [{ "job_class": "ReportJob" }] })), "ReportJob");
            let mail = json!({ "arguments": ["UserMailer", "welcome", "deliver_now", { "args": [] }] });
            let job = json!({ "class": wrapper, "wrapped": "ActionMailer::MailDeliveryJob", "args": [mail] });
            assert_eq!(class(job), "UserMailer#welcome");
        }
        assert_eq!(Job::read(b"{").class, "a job that is no JSON");
        assert_eq!(class(json!([1])), "a job without a class");
        assert_eq!(class(json!({ "class": "A\u{1b}[2J" })), "A\\u{1b}[2J");
    }

    #[test]
    fn both_formats_of_a_moment_are_read() {
        let at = |job: Json| Job::of(&job).enqueued_at;
        assert_eq!(at(json!({ "enqueued_at": 1_764_000_000.25 })), Some(1_764_000_000.25));
        assert_eq!(at(json!({ "enqueued_at": 1_764_000_000_250_u64 })), Some(1_764_000_000.25));
        assert_eq!(at(json!({ "created_at": 1_764_000_000 })), Some(1_764_000_000.0));
        assert_eq!(at(json!({ "enqueued_at": "soon" })), None);
    }
}
