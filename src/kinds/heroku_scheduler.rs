//! `heroku.scheduler`: Heroku Scheduler off or on, by a person, and proof that no job starts.

mod jobs;

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::{
    Bind, Kind,
    held::Held,
    heroku::{self, owner},
};
use crate::{
    base::{Class, Failure, short_duration},
    plan::{Action, Check, Cx, Done, Doubt, Finding, Identity, Param, Params, Seen, Shape},
    services::{Services, heroku::Limits},
};
use jobs::{Schedulers, running};

/// The kind.
pub static KIND: Kind = Kind {
    name: "heroku.scheduler",
    summary: "Heroku Scheduler off or on by its owner, who has no API for it, and proof that no job starts",
    docs: "\
The add-on Heroku Scheduler has no API: nobody but a person in its dashboard can list, switch off or switch on its jobs. So the
action is a manual step with its proof. It shows the link to the dashboard (from `GET /apps/{app}/addons`) and names the jobs that run now
(one-off dynos `scheduler.…` in `GET /apps/{app}/dynos`). Its owner deletes the jobs, after writing them down (command, dyno size, frequency,
next run: deleting loses them), and says so. Then the dynos are watched: jobs that run may end, and none may start for `quiet`. An app without
such an add-on needs nobody: the step says so and is done. Other add-ons that start jobs are named (Advanced Scheduler, Cron To Go, …).

`to = \"on\"` is the way back: the owner makes the jobs again and says so. What a person did cannot be put back by itself, so a step that
switches off needs `rollback = { kind = \"heroku.scheduler\", to = \"on\" }` or a reason why not.

As a check it passes when no job runs; with `quiet`, when none has run for that long, look after look.

What hurts people: jobs go on in maintenance mode, and with all dynos scaled to 0; a job that is scheduled on both sides runs twice. A job
that was due while it was off is not made up for.

Limits: the shortest interval is 10 minutes, so a `quiet` of less proves little, and even the default says nothing about an hourly or a daily job that
was forgotten: the word of its owner does. A job that starts and ends between two looks (3 s) is not seen.

Relies on <https://devcenter.heroku.com/articles/scheduler> and <https://devcenter.heroku.com/articles/platform-api-reference#dyno-list>. Only the
environment's app can be named.",
    params: PARAMS,
    doubt: Doubt::Manual,
    needs: &["view the app's dynos and add-ons (OAuth scope `read`)"],
    example: include_str!("../../runbooks/kinds/heroku.scheduler.toml"),
    bind: Bind::Both(
        |params, services| {
            heroku::app(params, services);
            for key in ["to", "wait", "checklist"] {
                if params.has(key) {
                    let span = params.place_of(key);
                    params.mistake(span, format!("`{key}` is for the action"), "this is a check", None);
                }
            }
            let quiet = params.opt_duration("quiet").unwrap_or_default();
            Arc::new(Quiet { services: services.clone(), held: Held::new(quiet) })
        },
        |params, services| {
            heroku::app(params, services);
            Arc::new(Switch::read(params, services))
        },
    ),
};

const PARAMS: &[Param] = &[
    heroku::APP,
    Param { name: "to", shape: Shape::Text, required: false, help: "action: off (the default) or on" },
    Param {
        name: "quiet",
        shape: Shape::Duration,
        required: false,
        help: "how long no job may start; default 11m for the action, one look for the check",
    },
    Param {
        name: "wait",
        shape: Shape::Duration,
        required: false,
        help: "action: how long a job that runs may take to end; default 30m",
    },
    Param { name: "checklist", shape: Shape::Texts, required: false, help: "action: more things to tick off" },
];

/// A little longer than the shortest interval of a job.
const QUIET: Duration = Duration::from_secs(11 * 60);
const WAIT: Duration = Duration::from_secs(30 * 60);
/// Between two looks: a dyno takes longer to start and end. 20 a minute of the 75 that come back.
const EVERY: Duration = Duration::from_secs(3);

struct Switch {
    services: Arc<Services>,
    on: bool,
    quiet: Duration,
    wait: Duration,
    checklist: Vec<String>,
}

impl Switch {
    fn read(params: &mut Params<'_>, services: &Arc<Services>) -> Self {
        let on = params.word("to", &[("off", false), ("on", true)]);
        for key in ["quiet", "wait"] {
            if on && params.has(key) {
                let span = params.place_of(key);
                params.mistake(span, format!("`{key}` goes with to = \"off\""), "switched on, jobs may start", None);
            }
        }
        Self {
            services: services.clone(),
            on,
            quiet: params.opt_duration("quiet").unwrap_or(QUIET),
            wait: params.opt_duration("wait").unwrap_or(WAIT),
            checklist: params.texts("checklist"),
        }
    }

    fn page(&self) -> String {
        format!("https://dashboard.heroku.com/apps/{}/resources", self.services.heroku.app().unwrap_or_default())
    }

    async fn make(&self, cx: &Cx) -> Result<Done, Failure> {
        let heroku = &self.services.heroku;
        let app = heroku.app()?;
        // Its owner may be at work already: what cannot be read beforehand is told, and holds nobody up.
        let unread = |failure: &Failure| cx.line(format!("could not be read: {failure}"));
        let addons = heroku.addons(&Limits::from(cx)).await;
        let found = addons.as_ref().map(|addons| Schedulers::of(addons)).unwrap_or_default();
        match &addons {
            Ok(_) if found.none() && !self.on => {
                let line = format!("{app} has no add-on that starts jobs: there is nothing to switch off");
                return Ok(Done::new(line).with(json!({ "addons": [] })));
            }
            Ok(_) => found.lines(&self.page()).iter().for_each(|line| cx.line(line)),
            Err(failure) => unread(failure),
        }
        if !self.on {
            match heroku.dynos(&Limits::from(cx)).await.map(|dynos| running(&dynos)) {
                Ok(now) if now.is_empty() => {}
                Ok(now) => cx.line(format!("runs now: {}", now.join(", "))),
                Err(failure) => unread(&failure),
            }
        }
        let said = owner::word(cx).await?;
        let mut evidence = owner::kept(&said);
        evidence["addons"] = json!(found.names());
        let open = owner::left_open(&said);
        if self.on {
            return Ok(
                Done::new(format!("Heroku Scheduler of {app} is on again, says {}{open}", said.who)).with(evidence)
            );
        }
        let ended = self.silence(cx, &said.who).await.map_err(|failure| owner::after_word(failure, &said))?;
        let ended = if ended.is_empty() { String::new() } else { format!("; {} ended", ended.join(", ")) };
        let line = format!(
            "Heroku Scheduler of {app} is off, says {}{open}; no job started for {}{ended}",
            said.who,
            short_duration(self.quiet)
        );
        Ok(Done::new(line).with(evidence))
    }

    /// Watches until no job has started for long enough and none runs; the ones that ran.
    async fn silence(&self, cx: &Cx, who: &str) -> Result<Vec<String>, Failure> {
        let heroku = &self.services.heroku;
        let begun = tokio::time::Instant::now();
        // What runs at the first look was started before, as far as anybody can know.
        let before = running(&heroku.dynos(&Limits::from(cx)).await?);
        cx.poll(EVERY, || async {
            let now = running(&heroku.dynos(&Limits::from(cx)).await?);
            if let Some(new) = now.iter().find(|name| !before.contains(name)) {
                let after = short_duration(begun.elapsed());
                let message = format!("{new} was started {after} after {who} said that Heroku Scheduler is off");
                return Err(Failure::new(Class::Failed, message).hint(format!("a job is left: {}", self.page())));
            }
            if begun.elapsed() >= self.quiet && now.is_empty() {
                return Ok(());
            }
            let line = if now.is_empty() {
                format!("no job for {} of {}", short_duration(begun.elapsed()), short_duration(self.quiet))
            } else {
                format!("still runs: {}", now.join(", "))
            };
            if !now.is_empty() && begun.elapsed() >= self.wait.max(self.quiet) {
                let message = format!("after {} it {line}", short_duration(begun.elapsed()));
                return Err(Failure::new(Class::Failed, message).hint("`heroku ps:stop` ends it, if it may be ended"));
            }
            cx.progress(begun.elapsed().as_secs_f32() / self.quiet.as_secs_f32().max(1.0), &line);
            Err(Failure::new(Class::NotYet, line))
        })
        .await?;
        Ok(before)
    }
}

impl Action for Switch {
    fn does(&self) -> Vec<String> {
        let app = self.services.heroku.app().unwrap_or_default();
        let mut lines = vec![format!(
            "Heroku Scheduler has no API: its owner switches the jobs of {app} {}, at {}",
            if self.on { "on" } else { "off" },
            self.page()
        )];
        lines.extend(self.checklist().iter().map(|item| format!("[ ] {item}")));
        if !self.on {
            let quiet = short_duration(self.quiet);
            lines.push(format!(
                "then GET /apps/{app}/dynos: no scheduler.… may start for {quiet}, and those that run have to end"
            ));
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
        let own: &[&str] = if self.on {
            &["every job is there again, with its command, dyno size, frequency and next run"]
        } else {
            &[
                "every job is written down: command, dyno size, frequency, next run",
                "every job is deleted in the Scheduler's dashboard",
            ]
        };
        own.iter().map(|item| (*item).to_owned()).chain(self.checklist.iter().cloned()).collect()
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        Box::pin(async move { self.services.heroku.identity().await.map(Some) })
    }

    fn capture<'a>(&'a self, _cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async { Ok(Json::Null) })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, _captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(self.make(cx))
    }

    fn restore<'a>(&'a self, _cx: &'a Cx, _captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async { Err(owner::nothing_to_put_back()) })
    }

    fn probe<'a>(&'a self, cx: &'a Cx, _captured: &'a Json, _back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            let now = running(&self.services.heroku.dynos(&Limits::from(cx)).await?);
            let now =
                if now.is_empty() { "no job runs now".to_owned() } else { format!("runs now: {}", now.join(", ")) };
            Ok(Finding::Unclear { line: format!("only its owner knows whether jobs are left; {now}") })
        })
    }
}

/// The check: no job runs.
struct Quiet {
    services: Arc<Services>,
    held: Held,
}

impl Check for Quiet {
    fn looks(&self) -> String {
        let app = self.services.heroku.app().unwrap_or_default();
        format!("GET /apps/{app}/dynos expects no scheduler.… dyno{}", self.held.words())
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(super::looking(cx, async move {
            let dynos = self.services.heroku.dynos(&Limits::from(cx)).await.map_err(|failure| {
                self.held.look(false);
                super::no_data(failure)
            })?;
            let now = running(&dynos);
            let held = self.held.look(now.is_empty());
            if !now.is_empty() {
                return Err(Failure::new(Class::NotYet, format!("jobs of Heroku Scheduler run: {}", now.join(", "))));
            }
            let line = format!("no job of Heroku Scheduler runs{}", self.held.so_far(held));
            if held < self.held.wanted {
                return Err(Failure::new(Class::NotYet, format!("{line}, wanted{}", self.held.words())));
            }
            Ok(Seen::new(line).with(json!({ "jobs": 0, "dynos": dynos.len() })))
        }))
    }

    fn every(&self) -> Duration {
        EVERY
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        Box::pin(async { self.services.heroku.identity().await.map(Some) })
    }
}
