//! The action: its owner locks, and what is under way ends.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::{
    super::heroku::owner,
    since::{read, under_way},
};
use crate::{
    base::{Class, Failure, short_duration},
    plan::{Action, Cx, Done, Doubt, Finding, Identity, Params},
    services::{Services, heroku::Limits},
};

/// A build is ended by Heroku after 15 minutes.
const WAIT: Duration = Duration::from_secs(15 * 60);
/// Between two looks, each of two requests.
const EVERY: Duration = Duration::from_secs(3);

pub(super) struct Lock {
    services: Arc<Services>,
    locked: bool,
    wait: Duration,
    checklist: Vec<String>,
}

impl Lock {
    pub fn read(params: &mut Params<'_>, services: &Arc<Services>) -> Self {
        let locked = params.word("to", &[("locked", true), ("unlocked", false)]);
        if !locked && params.has("wait") {
            let span = params.place_of("wait");
            params.mistake(span, "`wait` goes with to = \"locked\"", "nothing is waited for", None);
        }
        let wait = params.opt_duration("wait").unwrap_or(WAIT);
        Self { services: services.clone(), locked, wait, checklist: params.texts("checklist") }
    }

    fn page(&self) -> String {
        format!("https://dashboard.heroku.com/apps/{}/deploy", self.services.heroku.app().unwrap_or_default())
    }

    async fn make(&self, cx: &Cx, captured: &Json) -> Result<Done, Failure> {
        let heroku = &self.services.heroku;
        let app = heroku.app()?;
        if !self.locked {
            let said = owner::word(cx).await?;
            let line = format!("deploys of {app} are on again, says {}{}", said.who, owner::left_open(&said));
            return Ok(Done::new(line).with(owner::kept(&said)));
        }
        let limits = Limits::from(cx);
        // Its owner may be at work already: what cannot be read beforehand is told, and holds nobody up.
        let stage = heroku.pipeline_stage(&limits).await.unwrap_or_else(|failure| {
            cx.line(format!("the pipeline could not be read: {failure}"));
            None
        });
        if let Some(stage) = &stage {
            cx.line(format!("{app} is at stage {stage} of a pipeline: promotions make releases too"));
        }
        match read(heroku, &limits).await {
            Ok((releases, builds)) => under_way(&releases, &builds).iter().for_each(|line| cx.line(line)),
            Err(failure) => cx.line(format!("what is under way could not be read: {failure}")),
        }
        let said = owner::word(cx).await?;
        let begun = tokio::time::Instant::now();
        let releases = cx.poll(EVERY, || async {
            let (releases, builds) = read(heroku, &limits).await?;
            let open = under_way(&releases, &builds).join("; ");
            if open.is_empty() {
                return Ok(releases);
            }
            if begun.elapsed() >= self.wait {
                let message = format!("after {}: {open}", short_duration(begun.elapsed()));
                return Err(Failure::new(Class::Failed, message).hint("`heroku builds:cancel` ends a build"));
            }
            cx.progress(begun.elapsed().as_secs_f32() / self.wait.as_secs_f32().max(1.0), &open);
            Err(Failure::new(Class::NotYet, open))
        });
        let releases = releases.await.map_err(|failure| owner::after_word(failure, &said))?;
        let newest = releases.first();
        let before = captured["release"].as_u64().unwrap_or_default();
        let came = releases.iter().rev().filter(|release| release.version > before).map(|it| it.words());
        let came = came.collect::<Vec<_>>();
        let meanwhile =
            if came.is_empty() { String::new() } else { format!("; came since the step began: {}", came.join(", ")) };
        let at = newest.map_or("no release".to_owned(), crate::services::heroku::Release::words);
        let open = owner::left_open(&said);
        let line =
            format!("deploys of {app} are locked at {at}, says {}{open}; nothing is under way{meanwhile}", said.who);
        let mut evidence = owner::kept(&said);
        evidence["release"] = json!(newest.map_or(0, |it| it.version));
        evidence["came"] = json!(came);
        evidence["pipeline_stage"] = json!(stage);
        Ok(Done::new(line).with(evidence))
    }
}

impl Action for Lock {
    fn does(&self) -> Vec<String> {
        let app = self.services.heroku.app().unwrap_or_default();
        let word = if self.locked { "off" } else { "on again" };
        let mut lines =
            vec![format!("no API stops deploys of {app}: its owner switches them {word}, at {}", self.page())];
        lines.extend(self.checklist().iter().map(|item| format!("[ ] {item}")));
        if self.locked {
            lines.push(format!("then GET /apps/{app}/releases and /builds until nothing is under way"));
        }
        lines
    }

    fn doubt(&self) -> Doubt {
        Doubt::Manual
    }

    fn restorable(&self) -> bool {
        false
    }

    fn manual(&self) -> bool {
        true
    }

    fn checklist(&self) -> Vec<String> {
        let own: &[&str] = if self.locked {
            &[
                "automatic deploys are off (GitHub, main app and pipeline)",
                "no CI job deploys: they are paused, or their key is taken away",
                "everybody who may push or promote knows until when not to",
            ]
        } else {
            &["automatic deploys and CI jobs are on again, for the app that shall have them"]
        };
        own.iter().map(|item| (*item).to_owned()).chain(self.checklist.iter().cloned()).collect()
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        Box::pin(async move { self.services.heroku.identity().await.map(Some) })
    }

    fn capture<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async move {
            let newest = self.services.heroku.release(&Limits::from(cx)).await?;
            Ok(json!({ "release": newest.map_or(0, |release| release.version) }))
        })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(self.make(cx, captured))
    }

    fn restore<'a>(&'a self, _cx: &'a Cx, _captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async { Err(owner::nothing_to_put_back()) })
    }

    fn probe<'a>(&'a self, cx: &'a Cx, captured: &'a Json, _back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            let (heroku, limits) = (&self.services.heroku, Limits::from(cx));
            let (releases, builds) = read(heroku, &limits).await?;
            let before = captured["release"].as_u64().unwrap_or_default();
            let came = releases.iter().filter(|release| release.version > before).count();
            let mut open = under_way(&releases, &builds);
            open.insert(0, format!("{came} releases since v{before}"));
            Ok(Finding::Unclear { line: format!("only its owner knows whether deploys are off; {}", open.join("; ")) })
        })
    }
}
