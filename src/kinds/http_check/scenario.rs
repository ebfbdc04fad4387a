//! One visit: the requests of a scenario one after the other, with what they capture and with one jar of cookies.

use std::{sync::Arc, time::Duration};

use reqwest::Url;
use serde_json::Value as Json;

use super::{
    burst::Tally,
    capture::{self, Capture, UNIQUE},
};
use crate::{
    base::{Class, Failure, Secret, clean_line},
    kinds::{
        no_data,
        web::{
            answer::Answer,
            ask::{Ask, Ready, only_asks},
            expect::Expect,
            template::{Values, plain},
        },
    },
    plan::Params,
    services::{
        Services,
        http::{Jar, Line, Reply},
    },
};

/// Wait between two tries of a request that has `within`, unless the runbook says otherwise.
const EVERY: Duration = Duration::from_millis(500);

/// One request of a visit.
pub(super) struct Step {
    pub name: Option<String>,
    pub ask: Ask,
    pub expect: Expect,
    captures: Vec<Capture>,
    /// It is sent again and again for so long, until the answer is as expected.
    within: Option<Duration>,
    every: Duration,
}

impl Step {
    /// Reads one; what it captures is added to `names`.
    pub fn read(params: &mut Params<'_>, base: Option<&Url>, names: &mut Vec<String>) -> Self {
        let ask = Ask::read(params, base, names);
        let expect = Expect::read(params);
        for (key, name) in expect.names() {
            crate::kinds::web::ask::known(params, key, &name, names);
        }
        let mut step = Self { name: None, ask, expect, captures: Vec::new(), within: None, every: EVERY };
        if params.takes("capture") {
            step.name = params.opt_text("name");
            step.captures = capture::read(params, names);
            names.extend(step.captures.iter().map(|capture| capture.name.clone()));
            step.within = params.opt_duration("within");
            step.every = params.opt_duration("every").unwrap_or(EVERY).max(Duration::from_millis(10));
        }
        if step.ask.method == reqwest::Method::HEAD && (step.wants_body() || params.has("size")) {
            let (span, help) = (params.place_of("method"), Some("leave `method` out to see the body".into()));
            params.mistake(span, "the answer to a HEAD has no body to look at", "it has no body", help);
        }
        if step.within.is_some() && !only_asks(&step.ask) {
            let (span, method) = (params.place_of("within"), step.ask.method.clone());
            params.mistake(span, format!("a {method} is not sent again and again"), "only GET and HEAD are", None);
        }
        step
    }

    pub fn wants_body(&self) -> bool {
        self.expect.wants_body() || self.captures.iter().any(Capture::wants_body)
    }

    /// ``GET https://…`` or ``request 2 `read back`: GET https://…``.
    pub fn words(&self, at: usize, of: usize) -> String {
        match (&self.name, of) {
            (_, 1) => self.ask.words(),
            (Some(name), _) => clean_line(&format!("request {} `{name}`: {}", at + 1, self.ask.words()), 240),
            (None, _) => format!("request {}: {}", at + 1, self.ask.words()),
        }
    }
}

/// What all visits of a look share.
pub(super) struct Plan<'a> {
    pub services: &'a Arc<Services>,
    pub steps: &'a [Step],
    pub ready: Vec<Ready<'a>>,
    pub timeout: Duration,
    /// How much of a body is kept.
    pub most: usize,
    pub aimed: String,
    /// True where whoever tells a failure names the only request.
    pub named: bool,
}

impl Plan<'_> {
    /// All requests, or the first that is not as expected, with the request that it belongs to.
    pub async fn visit(&self, line: &Line<'_>, tally: &Tally) -> Result<Vec<Reply>, Failure> {
        let mut values = Values::default();
        values.set(UNIQUE, Json::from(format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..))));
        let jar = Jar::default();
        let mut replies = Vec::with_capacity(self.steps.len());
        for (at, step) in self.steps.iter().enumerate() {
            let reply = self.step(at, line, &jar, &mut values, tally).await;
            // Only the last request is the look; those before lead there.
            let lost = |failure: Failure| Failure { blind: failure.blind || at + 1 < self.steps.len(), ..failure };
            replies.push(reply.map_err(|failure| self.told(at, step, lost(failure), &values))?);
        }
        Ok(replies)
    }

    async fn step(
        &self,
        at: usize,
        line: &Line<'_>,
        jar: &Jar,
        values: &mut Values,
        tally: &Tally,
    ) -> Result<Reply, Failure> {
        let step = &self.steps[at];
        let until = step.within.map(|within| tokio::time::Instant::now() + within);
        let mut tries = 0_u32;
        loop {
            tries += 1;
            let tried = self.once(at, line, jar, values, tally, until).await;
            let (failure, until) = match (tried, until) {
                (Err(failure), Some(until)) if failure.class == Class::NotYet => (failure, until),
                (tried, _) => return tried,
            };
            let next = tokio::time::Instant::now() + step.every;
            if next >= until {
                let message = format!("after {tries} tries: {}", failure.message);
                return Err(Failure { message: clean_line(&message, 600), ..failure });
            }
            tokio::time::sleep_until(next).await;
        }
    }

    async fn once(
        &self,
        at: usize,
        line: &Line<'_>,
        jar: &Jar,
        values: &mut Values,
        tally: &Tally,
        until: Option<tokio::time::Instant>,
    ) -> Result<Reply, Failure> {
        let step = &self.steps[at];
        // What is polled ends with its time, not with the last try's own.
        let left = until.map(|until| until.saturating_duration_since(tokio::time::Instant::now()));
        let timeout = left.map_or(self.timeout, |left| self.timeout.min(left.max(Duration::from_millis(1))));
        let request = self.ready[at].request(values, timeout, self.most)?;
        let reply = match line.send(&request, Some(jar)).await {
            Ok(reply) => reply,
            Err(failure) => {
                tally.silent();
                return Err(no_data(failure));
            }
        };
        tally.answered(reply.status.as_u16(), reply.took);
        let answer = Answer::new(&reply);
        // Learnt before anything of the answer is told.
        for value in step.captures.iter().filter(|one| one.secret).filter_map(|one| one.take(&answer).ok()) {
            self.services.secrets.learn(&Secret::new(plain(&value).into_owned()));
        }
        step.expect.judge(&answer, values)?;
        for capture in &step.captures {
            let value = capture.take(&answer);
            let value = value.map_err(|why| Failure { blind: true, ..Failure::new(Class::NotYet, why) })?;
            values.set(&capture.name, value);
        }
        Ok(reply)
    }

    /// A failure with the request that it belongs to.
    fn told(&self, at: usize, step: &Step, failure: Failure, values: &Values) -> Failure {
        if self.named {
            return failure;
        }
        let message = format!("{}{}: {}", step.words(at, self.steps.len()), self.aimed, failure.message);
        let failure = Failure { message: clean_line(&message, 600), ..failure };
        let hidden = self.steps.iter().flat_map(|step| &step.captures).filter(|capture| capture.secret);
        let words = values.words(&hidden.map(|capture| capture.name.clone()).collect::<Vec<_>>());
        // What was captured explains what was asked.
        if self.steps.len() > 1 { failure.because(clean_line(&format!("with {words}"), 400)) } else { failure }
    }
}
