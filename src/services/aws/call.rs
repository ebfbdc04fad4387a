//! One request to AWS from the outside: what it does to the world, how long it may take, when it is
//! sent again. Knows no service and no SDK.
//!
//! The SDK's own retries are off: a mutator that was lost is `Unknown`, and only we can say so.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{sync::Mutex, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    base::{Class, Failure, short_duration},
    plan::{Cx, contract::Reporter},
};

/// A TCP and TLS connection has to stand within this: AWS answers in milliseconds, and a firewall
/// that drops packets never does.
pub(super) const CONNECT: Duration = Duration::from_secs(5);
/// One request has to be answered within this; the slowest call used here takes about two seconds.
pub(super) const ATTEMPT: Duration = Duration::from_secs(15);
/// Waits between two sendings of a throttled request grow from here …
const BACKOFF: Duration = Duration::from_millis(300);
/// … to here, so that a long deadline is not slept through.
const BACKOFF_MOST: Duration = Duration::from_secs(5);
/// A person who waits for a throttled request is told so this often, and not of a wait that is shorter.
const TELL: Duration = Duration::from_secs(3);
/// A read that got no proper answer is sent this often; more would hide an outage from the person.
const READ_TRIES: u32 = 3;

/// What a request does to the world, which decides what its loss means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Lost: ask again.
    Reads,
    /// Lost: nobody knows.
    Changes,
}

/// A request in words, for messages and hints.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    /// `Route 53`.
    pub service: &'a str,
    /// `ChangeResourceRecordSets`.
    pub operation: &'a str,
    /// `route53:ChangeResourceRecordSets`.
    pub iam: &'a str,
    /// What it does.
    pub effect: Effect,
}

impl<'a> Call<'a> {
    /// A request that reads.
    pub const fn reads(service: &'a str, operation: &'a str, iam: &'a str) -> Self {
        Self { service, operation, iam, effect: Effect::Reads }
    }

    /// A request that changes something.
    pub const fn changes(service: &'a str, operation: &'a str, iam: &'a str) -> Self {
        Self { service, operation, iam, effect: Effect::Changes }
    }

    /// The class of a request of which nobody knows whether it arrived.
    pub fn lost(&self) -> Class {
        match self.effect {
            Effect::Reads => Class::FailedNothingDone,
            Effect::Changes => Class::Unknown,
        }
    }
}

/// Why one sending failed.
#[derive(Debug)]
pub(super) struct Trouble {
    pub failure: Failure,
    pub again: Again,
}

/// Whether the same request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// No.
    No,
    /// It was refused for its rate, and nothing was done: until the deadline.
    Throttled,
    /// No proper answer: a few times, and only a read.
    Transient,
}

/// How long a call may take in all, and what ends it early.
#[derive(Clone)]
pub struct Patience {
    deadline: Instant,
    cancel: CancellationToken,
    /// Who is told of a long wait.
    reporter: Option<Arc<dyn Reporter>>,
}

impl Patience {
    /// As long as the attempt has.
    #[must_use]
    pub fn of(cx: &Cx) -> Self {
        Self { deadline: cx.deadline, cancel: cx.cancel.clone(), reporter: Some(cx.reporter.clone()) }
    }

    /// A fixed time, for calls outside an attempt.
    #[must_use]
    pub fn within(time: Duration) -> Self {
        Self { deadline: Instant::now() + time, cancel: CancellationToken::new(), reporter: None }
    }

    /// Resolves with the reason when time is up or the run is aborted.
    pub(super) async fn over(&self) -> &'static str {
        tokio::select! {
            () = self.cancel.cancelled() => "cancelled",
            () = tokio::time::sleep_until(self.deadline) => "timed out: the deadline of the whole attempt passed",
        }
    }

    /// Waits; the reason where there is no time left for that.
    pub(super) async fn pause(&self, wait: Duration) -> Result<(), &'static str> {
        tokio::select! {
            biased;
            why = self.over() => Err(why),
            () = tokio::time::sleep(wait) => Ok(()),
        }
    }

    fn allows(&self, wait: Duration) -> bool {
        Instant::now() + wait < self.deadline
    }
}

/// Keeps to a rate, for everybody who shares it: at most `at_once` requests in any window of `per`.
pub(super) struct Pace {
    at_once: usize,
    per: Duration,
    sent: Mutex<VecDeque<Instant>>,
}

impl Pace {
    pub(super) fn new(at_once: usize, per: Duration) -> Self {
        Self { at_once, per, sent: Mutex::new(VecDeque::with_capacity(at_once)) }
    }

    /// Waits for the next slot and takes it. The lock is held while waiting, which keeps the order.
    async fn slot(&self) {
        let mut sent = self.sent.lock().await;
        if sent.len() >= self.at_once
            && let Some(oldest) = sent.pop_front()
        {
            tokio::time::sleep_until(oldest + self.per).await;
        }
        sent.push_back(Instant::now());
    }
}

/// Sends a request until it is answered, refused for good, or time is up.
///
/// # Errors
/// The last [`Trouble`]'s failure; `FailedNothingDone` where it was not sent at all; [`Call::lost`] where
/// time ended while it was under way.
pub(super) async fn persist<T, F, Fut>(
    call: &Call<'_>,
    patience: &Patience,
    pace: Option<&Pace>,
    mut send: F,
) -> Result<T, Failure>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Trouble>>,
{
    let Call { service, operation, .. } = call;
    let unsent = |why: &str| Failure::new(Class::FailedNothingDone, format!("{why} before {operation} was sent"));
    let mut tries = 0;
    let mut last: Option<String> = None;
    let before = |failure: Failure, last: &Option<String>| match last {
        Some(last) => failure.because(format!("the time before: {last}")),
        None => failure,
    };
    let begun = Instant::now();
    let mut told = begun;
    loop {
        tries += 1;
        let turn = async {
            if let Some(pace) = pace {
                pace.slot().await;
            }
        };
        tokio::select! {
            biased;
            why = patience.over() => return Err(before(unsent(why), &last)),
            () = turn => {}
        }
        let answer = tokio::select! {
            biased;
            answer = send() => answer,
            why = patience.over() => {
                let lost = Failure::new(call.lost(), format!("{why} while {service} had not answered {operation}"));
                return Err(before(lost, &last));
            }
        };
        let Trouble { failure, again } = match answer {
            Ok(value) => return Ok(value),
            Err(trouble) => trouble,
        };
        let wait = backoff(tries);
        let may = match again {
            Again::No => false,
            Again::Throttled => patience.allows(wait),
            Again::Transient => call.effect == Effect::Reads && tries < READ_TRIES && patience.allows(wait),
        };
        if !may {
            return Err(if tries > 1 {
                failure.because(format!("sent {tries} times in {}", short_duration(begun.elapsed())))
            } else {
                failure
            });
        }
        last = Some(failure.message.clone());
        if again == Again::Throttled
            && let Some(reporter) = &patience.reporter
            && let Some(line) = waiting(call, tries, begun, &mut told, Instant::now())
        {
            reporter.line(&line);
        }
        if let Err(why) = patience.pause(wait).await {
            return Err(failure.because(format!("{why} between two tries")));
        }
    }
}

/// What a person is told who waits for a throttled request, where it is time for that.
fn waiting(call: &Call<'_>, tries: u32, begun: Instant, told: &mut Instant, now: Instant) -> Option<String> {
    if now.duration_since(*told) < TELL {
        return None;
    }
    *told = now;
    let seconds = now.duration_since(begun).as_secs();
    Some(format!("{} throttles {}: waiting, sent {tries} times in {seconds} s", call.service, call.operation))
}

/// Full jitter: anywhere between nothing and the doubled wait, so that many clients spread out.
fn backoff(tries: u32) -> Duration {
    let most = BACKOFF.saturating_mul(1 << tries.min(5)).min(BACKOFF_MOST);
    most.mul_f64(0.25 + 0.75 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Call<'_> = Call::reads("S", "Get", "s:Get");
    const CHANGE: Call<'_> = Call::changes("S", "Set", "s:Set");

    fn trouble(class: Class, again: Again) -> Trouble {
        Trouble { failure: Failure::new(class, "x"), again }
    }

    #[tokio::test]
    async fn throttled_until_the_deadline_then_nothing_done() {
        let begun = Instant::now();
        let mut sent = 0;
        let failure = persist::<(), _, _>(&CHANGE, &Patience::within(Duration::from_secs(2)), None, || {
            sent += 1;
            async { Err(trouble(Class::FailedNothingDone, Again::Throttled)) }
        })
        .await
        .unwrap_err();
        assert_eq!(failure.class, Class::FailedNothingDone);
        assert!(sent > 1, "{sent}");
        assert!(begun.elapsed() < Duration::from_secs(3));
        assert!(failure.causes[0].starts_with("sent "), "{failure:?}");
    }

    #[derive(Default)]
    struct Heard(std::sync::Mutex<Vec<String>>);

    impl Reporter for Heard {
        fn line(&self, text: &str) {
            self.0.lock().unwrap().push(text.to_owned());
        }
        fn progress(&self, _done: f32, _text: &str) {}
        fn output(&self, _bytes: &[u8]) {}
    }

    #[test]
    fn a_person_is_told_every_few_seconds() {
        let begun = Instant::now();
        let mut told = begun;
        let mut said = Vec::new();
        for (n, tenth) in (0..100).enumerate() {
            let now = begun + Duration::from_millis(tenth * 100);
            said.extend(waiting(&READ, u32::try_from(n).unwrap(), begun, &mut told, now));
        }
        let line = |tries: u32, seconds: u32| format!("S throttles Get: waiting, sent {tries} times in {seconds} s");
        assert_eq!(said, [line(30, 3), line(60, 6), line(90, 9)]);
    }

    #[tokio::test]
    async fn a_long_wait_is_told_and_only_that_of_a_throttled_request() {
        // The last wait before the deadline may be as long as the longest.
        for (seconds, again, told) in
            [(14, Again::Throttled, 1..=5), (1, Again::Throttled, 0..=0), (9, Again::Transient, 0..=0)]
        {
            let heard = Arc::new(Heard::default());
            let patience = Patience { reporter: Some(heard.clone()), ..Patience::within(Duration::from_secs(seconds)) };
            let answer =
                persist::<(), _, _>(&READ, &patience, None, || async { Err(trouble(Class::FailedNothingDone, again)) });
            answer.await.unwrap_err();
            let heard = heard.0.lock().unwrap();
            assert!(told.contains(&heard.len()), "{seconds} {again:?}: {heard:?}");
        }
    }

    #[tokio::test]
    async fn a_change_is_never_sent_again_without_proof() {
        for (call, times) in [(READ, 3), (CHANGE, 1)] {
            let mut sent = 0;
            let _ = persist::<(), _, _>(&call, &Patience::within(Duration::from_secs(30)), None, || {
                sent += 1;
                async { Err(trouble(Class::Unknown, Again::Transient)) }
            })
            .await;
            assert_eq!(sent, times);
        }
    }

    #[tokio::test]
    async fn a_lost_change_is_unknown_and_an_unsent_one_is_not() {
        let short = Patience::within(Duration::from_millis(50));
        let lost = persist::<(), _, _>(&CHANGE, &short, None, std::future::pending).await.unwrap_err();
        assert_eq!(lost.class, Class::Unknown);
        let unsent = persist::<(), _, _>(&CHANGE, &short, None, std::future::pending).await.unwrap_err();
        assert_eq!(unsent.class, Class::FailedNothingDone);
        let read = Patience::within(Duration::from_millis(50));
        let lost = persist::<(), _, _>(&READ, &read, None, std::future::pending).await.unwrap_err();
        assert_eq!(lost.class, Class::FailedNothingDone);
    }

    #[tokio::test]
    async fn pace_holds_in_any_window() {
        let per = Duration::from_millis(100);
        let pace = Pace::new(2, per);
        let begun = Instant::now();
        let mut at = Vec::new();
        for _ in 0..7 {
            pace.slot().await;
            at.push(begun.elapsed());
        }
        for window in at.windows(3) {
            assert!(window[2] - window[0] >= per, "{at:?}");
        }
    }
}
