//! A request that changes something: sent once, and what is known of it where no answer came.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{
    base::{Class, Failure},
    plan::Cx,
    services::http::{Line, Reply, Request},
};

/// Sends it, within the attempt.
///
/// # Errors
/// `Unknown` once a byte may have been sent, whatever its method says; else the failure's own class.
pub(in crate::kinds) async fn send(cx: &Cx, line: &Line<'_>, request: &Request) -> Result<Reply, Failure> {
    let sent = AtomicBool::new(false);
    let request = Request { timeout: request.timeout.min(cx.left()), ..request.clone() };
    let failure = tokio::select! {
        biased;
        () = cx.cancel.cancelled() => Failure::new(Class::FailedNothingDone, "cancelled"),
        reply = line.send_marking(&request, None, &sent) => match reply {
            Ok(reply) => return Ok(reply),
            Err(failure) => failure,
        },
    };
    // A GET may start something too: what is sent by an action is meant to.
    let doubtful = sent.load(Ordering::Relaxed) && matches!(failure.class, Class::FailedNothingDone | Class::NotYet);
    let class = if doubtful { Class::Unknown } else { failure.class };
    Err(Failure { class, ..failure })
}
