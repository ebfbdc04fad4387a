//! `EventBridge`: schedules (Scheduler, REST) and rules (Events, JSON), each kept whole as AWS tells it, so that what is
//! written back has every field, known here or not.
//!
//! Relied on: `UpdateSchedule` replaces the schedule ("uses all values, including empty values, specified in the
//! request"), so it is always sent whole; `EnableRule` and `DisableRule` change nothing but the state.

use serde_json::{Map, Value as Json, json};

use super::{
    Aws, Patience,
    call::Call,
    session::Service,
    signed::{self, Method, Request},
};
use crate::base::{Class, Failure};

const SCHEDULER: Service<'_> = Service::new("Scheduler", "scheduler", "Scheduler", "");
const EVENTS: Service<'_> = Service::new("EventBridge", "events", "EventBridge", "");
const GET: Call<'_> = Call::reads(SCHEDULER.name, "GetSchedule", "scheduler:GetSchedule");
const UPDATE: Call<'_> = Call::changes(SCHEDULER.name, "UpdateSchedule", "scheduler:UpdateSchedule and iam:PassRole");
const DESCRIBE: Call<'_> = Call::reads(EVENTS.name, "DescribeRule", "events:DescribeRule");
const ENABLE: Call<'_> = Call::changes(EVENTS.name, "EnableRule", "events:EnableRule");
const DISABLE: Call<'_> = Call::changes(EVENTS.name, "DisableRule", "events:DisableRule");
/// What `GetSchedule` tells and `UpdateSchedule` does not take; the name stands in the path.
const TOLD: &[&str] = &["Arn", "CreationDate", "LastModificationDate", "Name"];

impl Aws {
    /// A schedule, whole.
    ///
    /// # Errors
    /// `Misconfigured` where there is none; as every call.
    pub async fn schedule(&self, group: &str, name: &str, patience: &Patience) -> Result<Json, Failure> {
        let request = Request::rest(Method::Get, format!("/schedules/{name}")).with("groupName", group);
        let answer = self.send(&SCHEDULER, &GET, &request, patience).await?;
        whole(signed::json(&GET, &answer)?, &GET)
    }

    /// Writes a schedule whole, as `GetSchedule` told it, but for its state. `token` makes a second sending the same request.
    ///
    /// # Errors
    /// As every call that changes something.
    pub async fn put_schedule(
        &self,
        schedule: &Json,
        state: &str,
        token: &str,
        patience: &Patience,
    ) -> Result<String, Failure> {
        let name = schedule["Name"].as_str().unwrap_or_default();
        let told = schedule.as_object().into_iter().flatten();
        let mut body: Map<String, Json> = told
            .filter(|(key, _)| !TOLD.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        body.insert("State".into(), json!(state));
        body.insert("ClientToken".into(), json!(token));
        let request = Request::rest(Method::Put, format!("/schedules/{name}")).body(&Json::Object(body));
        let answer = self.send(&SCHEDULER, &UPDATE, &request, patience).await?;
        Ok(answer.header("x-amzn-requestid").to_owned())
    }

    /// A rule, whole.
    ///
    /// # Errors
    /// `Misconfigured` where there is none; as every call.
    pub async fn rule(&self, bus: &str, name: &str, patience: &Patience) -> Result<Json, Failure> {
        let body = json!({ "Name": name, "EventBusName": bus });
        whole(self.json(&EVENTS, &DESCRIBE, "AWSEvents.DescribeRule", &body, patience).await?, &DESCRIBE)
    }

    /// Switches a rule on or off.
    ///
    /// # Errors
    /// As every call that changes something.
    pub async fn switch_rule(&self, bus: &str, name: &str, on: bool, patience: &Patience) -> Result<String, Failure> {
        let call = if on { &ENABLE } else { &DISABLE };
        let body = json!({ "Name": name, "EventBusName": bus });
        let request = Request::json("1.1", &format!("AWSEvents.{}", call.operation), &body);
        let answer = self.send(&EVENTS, call, &request, patience).await?;
        Ok(answer.header("x-amzn-requestid").to_owned())
    }
}

/// An answer that has a state; fields that are nothing are left out, as AWS leaves them out.
fn whole(mut answer: Json, call: &Call<'_>) -> Result<Json, Failure> {
    if let Some(map) = answer.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
    if answer["State"].is_string() {
        return Ok(answer);
    }
    Err(Failure::new(Class::FailedNothingDone, format!("{} answered {} without a state", call.service, call.operation)))
}
