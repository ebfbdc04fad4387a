//! What kinds that only read or wait have in common.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::{
    base::{Class, Failure},
    plan::{Cx, Done, Finding, Params, Seen, contract::CUT_SHORT},
};

/// One look within the attempt's limits. What is looked at not answering is a sighting too: "not
/// yet", so that a step goes on polling; only what polling cannot mend keeps its class.
pub(super) async fn looking<F>(cx: &Cx, look: F) -> Result<Seen, Failure>
where
    F: Future<Output = Result<Seen, Failure>>,
{
    tokio::select! {
        biased;
        () = cx.cancel.cancelled() => Err(Failure::new(Class::NotYet, "cancelled")),
        seen = look => seen.map_err(|failure| match failure.class {
            Class::FailedNothingDone | Class::Unknown => Failure { class: Class::NotYet, ..failure },
            _ => failure,
        }),
        () = tokio::time::sleep_until(cx.deadline) => Err(Failure::new(Class::NotYet, CUT_SHORT)),
    }
}

/// A text that may be left out, but not empty.
pub(super) fn filled(params: &mut Params<'_>, key: &'static str) -> Option<String> {
    let text = params.opt_text(key)?;
    if text.trim().is_empty() || text.contains('\0') {
        let span = params.place_of(key);
        params.mistake(span, format!("`{key}` must not be empty"), "nothing here", None);
    }
    Some(text)
}

/// A limit of the kind's own.
pub(super) fn limit(params: &mut Params<'_>, default: Duration) -> Duration {
    let limit = params.opt_duration("timeout").unwrap_or(default);
    if limit.is_zero() {
        let span = params.place_of("timeout");
        params.mistake(span, "`timeout` must be longer than nothing", "no time at all", None);
    }
    limit
}

/// For a target that was not reached at all: "no data", which is never green and no reason to stop polling.
pub(super) fn no_data(failure: Failure) -> Failure {
    match failure.class {
        Class::FailedNothingDone | Class::Unknown => {
            let message = format!("no data: {}", failure.message);
            Failure { class: Class::NotYet, message, ..failure }
        }
        _ => failure,
    }
}

/// What a look found wrong: the first of it in the message, the rest behind it.
///
/// # Errors
/// `NotYet` where anything is wrong.
#[cfg(any(feature = "aws", feature = "postgres", feature = "redis"))]
pub(super) fn amiss(subject: &str, wrong: Vec<String>) -> Result<(), Failure> {
    let mut wrong = wrong.into_iter();
    let Some(first) = wrong.next() else { return Ok(()) };
    let more = match wrong.len() {
        0 => String::new(),
        n => format!(" (and {n} more)"),
    };
    let failure = Failure::new(Class::NotYet, format!("{subject}: {first}{more}"));
    Err(wrong.fold(failure, Failure::because))
}

/// The restore of a kind that changes nothing.
pub(super) fn nothing_to_restore<'a>() -> BoxFuture<'a, Result<Done, Failure>> {
    Box::pin(async { Ok(Done::new("nothing was changed, so there is nothing to put back")) })
}

/// The probe of a kind that changes nothing: it is simply run again.
pub(super) fn only_waits<'a>() -> BoxFuture<'a, Result<Finding, Failure>> {
    Box::pin(async { Ok(Finding::NotDone { line: "it only reads and waits; it can be run again".into() }) })
}
