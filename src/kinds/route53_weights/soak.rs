//! The time between two stages, and the checks that have to hold at its end.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    base::{Class, Failure, short_duration},
    plan::{Check, Cx},
};

/// A check that held and then fails this often in a row stops the ramp before the soak is over: once may be a blip.
const MISSES: u32 = 2;
/// How often the countdown is told.
const TELL: Duration = Duration::from_secs(1);

/// How long a stage stands, and what must hold then.
pub(super) struct Soak {
    pub time: Duration,
    pub guard: Vec<Arc<dyn Check>>,
}

/// What is known of one check during a soak.
#[derive(Default)]
struct Known {
    /// When to look again.
    due: Option<Instant>,
    held: bool,
    misses: u32,
    last: Option<Failure>,
}

impl Soak {
    /// In a line of what will be done.
    pub fn words(&self) -> String {
        let guard: Vec<String> = self.guard.iter().map(|check| check.looks()).collect();
        let guard = if guard.is_empty() { String::new() } else { format!(", then it must hold: {}", guard.join("; ")) };
        format!("wait {}{guard}", humantime::format_duration(self.time))
    }

    /// Waits, looking all the while.
    ///
    /// # Errors
    /// The check that stops the ramp, in words; `NotYet` where the attempt ends before.
    pub async fn stand(&self, cx: &Cx, stage: &str, share: f32) -> Result<Vec<String>, Failure> {
        let end = Instant::now() + self.time;
        let mut known: Vec<Known> = self.guard.iter().map(|_| Known::default()).collect();
        loop {
            for (check, known) in self.guard.iter().zip(&mut known) {
                if known.due.is_none_or(|due| due <= Instant::now()) {
                    look(check.as_ref(), known, cx).await?;
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let held = known.iter().filter(|known| known.held && known.misses == 0).count();
            let checks =
                if known.is_empty() { String::new() } else { format!(", {held} of {} checks hold", known.len()) };
            cx.progress(share, format!("{stage} stands, {} left{checks}", short_duration(left)));
            cx.pause(TELL.min(left)).await?;
        }
        // News from before the end proves nothing.
        let mut lines = Vec::with_capacity(self.guard.len());
        for (check, known) in self.guard.iter().zip(&mut known) {
            lines.push(last_look(check.as_ref(), known, cx).await?);
        }
        Ok(lines)
    }
}

/// One look during the soak; only one that held before can stop the ramp.
async fn look(check: &dyn Check, known: &mut Known, cx: &Cx) -> Result<(), Failure> {
    let seen = check.check(cx).await;
    known.due = Some(Instant::now() + check.every());
    match seen {
        Ok(_) => {
            (known.held, known.misses) = (true, 0);
            Ok(())
        }
        Err(failure) => {
            known.misses += 1;
            let news = known.last.as_ref().is_none_or(|last| last.message != failure.message);
            if news {
                cx.line(format!("{}: {}", check.looks(), failure.message));
            }
            known.last = Some(failure.clone());
            let stops = known.held && known.misses >= MISSES;
            if stops { Err(stopped(check, failure)) } else { Ok(()) }
        }
    }
}

/// The look that decides: it holds, or it does not, twice.
async fn last_look(check: &dyn Check, known: &mut Known, cx: &Cx) -> Result<String, Failure> {
    let first = match check.check(cx).await {
        Ok(seen) => return Ok(seen.line),
        Err(failure) => failure,
    };
    if !known.held {
        return Err(stopped(check, first));
    }
    cx.pause(check.every()).await?;
    check.check(cx).await.map(|seen| seen.line).map_err(|failure| stopped(check, failure))
}

fn stopped(check: &dyn Check, failure: Failure) -> Failure {
    Failure { class: Class::Failed, message: format!("{}: {}", check.looks(), failure.message), ..failure }
}
