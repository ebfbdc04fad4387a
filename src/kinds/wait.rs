//! `wait`: for a duration, until a moment, or until a check holds.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Local, Utc};
use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::{Bind, Kind, inner};
use crate::{
    base::{Class, Failure, short_duration},
    plan::{Action, Check, Cx, Done, Doubt, Finding, Param, Params, Permission, Shape},
    runbook::value,
    services::Services,
};

/// How often the countdown is told.
const TELL: Duration = Duration::from_secs(1);

/// The kind.
pub static KIND: Kind = Kind {
    name: "wait",
    summary: "waits for a duration, until a moment, or until a check holds",
    docs: "\
Waits `for` a duration counted from the start of the attempt, or `until` a moment written with its offset
(`2026-12-06T02:15:00+01:00`), or `until` a check holds (`{ kind = \"http.check\", … }`), which is polled up to the
step's `timeout`. A moment that has passed is no wait. An attempt that is started again waits the whole
duration again; a moment stays where it is.

Changes nothing. What hurts people: waiting for a time where a check would do.",
    params: &[
        Param { name: "for", shape: Shape::Duration, required: false, help: "how long: \"90s\", \"15m\", \"1h30m\"" },
        Param { name: "until", shape: Shape::Any, required: false, help: "a moment with its offset, or a check" },
    ],
    doubt: Doubt::Read,
    needs: &["whatever its check needs"],
    example: include_str!("../../runbooks/kinds/wait.toml"),
    bind: Bind::Action(|params, services| {
        let duration = params.opt_duration("for");
        let until = until(params, services);
        if params.has("for") == params.has("until") && params.ok() {
            params.mistake(
                params.place(),
                "`wait` needs either `for` or `until`",
                "how long is missing or said twice",
                None,
            );
        }
        Arc::new(Wait { end: until.unwrap_or(End::For(duration.unwrap_or_default())) })
    }),
};

fn until(params: &mut Params<'_>, services: &Arc<Services>) -> Option<End> {
    let raw = params.raw("until")?;
    let moment = match &raw.kind {
        value::Kind::Table(table) => {
            return inner::check(params, "until", table, raw.span.clone(), services).map(End::So);
        }
        value::Kind::Time(moment) => Some(moment.to_utc()),
        value::Kind::Text(text) => DateTime::parse_from_rfc3339(text.trim()).ok().map(|moment| moment.to_utc()),
        _ => None,
    };
    if moment.is_none() {
        let message = format!("`until` must be a moment with its offset or a check, found {}", raw.kind.name());
        params.mistake(raw.span.clone(), message, "expected 2026-12-06T02:15:00+01:00 or { kind = … }", None);
    }
    moment.map(End::Until)
}

enum End {
    For(Duration),
    Until(DateTime<Utc>),
    So(Arc<dyn Check>),
}

struct Wait {
    end: End,
}

impl Wait {
    async fn wait(&self, cx: &Cx) -> Result<Done, Failure> {
        let started = tokio::time::Instant::now();
        let left = || match &self.end {
            End::For(whole) => whole.saturating_sub(started.elapsed()),
            // By the wall clock each time: a machine that slept is not late.
            End::Until(moment) => (*moment - Utc::now()).to_std().unwrap_or_default(),
            End::So(_) => Duration::ZERO,
        };
        let whole = left();
        if whole > cx.left() {
            let what = format!("waits {}, and this attempt ends before that", short_duration(whole));
            return Err(Failure::new(Class::Misconfigured, what).hint("raise the step's `timeout`"));
        }
        loop {
            let left = left();
            if left.is_zero() {
                break;
            }
            let share = 1.0 - left.as_secs_f32() / whole.as_secs_f32().max(0.001);
            cx.progress(share, format!("{} left", short_duration(left)));
            cx.pause(TELL.min(left)).await?;
        }
        let line = match &self.end {
            End::For(whole) => format!("waited {}", humantime::format_duration(*whole)),
            End::Until(moment) => format!("it is {}", clock(*moment)),
            End::So(check) => cx.poll(check.every(), || check.check(cx)).await?.line,
        };
        Ok(Done::new(line).with(json!({ "waited_seconds": started.elapsed().as_secs() })))
    }
}

fn clock(at: DateTime<Utc>) -> String {
    at.with_timezone(&Local).format("%H:%M:%S").to_string()
}

impl Action for Wait {
    fn does(&self) -> Vec<String> {
        vec![match &self.end {
            End::So(check) => format!("wait until it holds: {}", check.looks()),
            End::For(whole) => format!("wait {}", humantime::format_duration(*whole)),
            End::Until(moment) => {
                format!("wait until {}", moment.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S %:z"))
            }
        }]
    }

    fn needs(&self) -> Vec<Permission> {
        match &self.end {
            End::So(check) => check.needs(),
            End::For(_) | End::Until(_) => Vec::new(),
        }
    }

    fn doubt(&self) -> Doubt {
        Doubt::Read
    }

    fn changes(&self) -> bool {
        false
    }

    fn capture<'a>(&'a self, _cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async { Ok(Json::Null) })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, _captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(self.wait(cx))
    }

    fn restore<'a>(&'a self, _cx: &'a Cx, _captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        super::nothing_to_restore()
    }

    fn probe<'a>(&'a self, _cx: &'a Cx, _captured: &'a Json, _back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        super::only_waits()
    }
}
