//! Amazon SQS, read: how deep queues are, and how old their oldest message is.

use std::{str::FromStr, time::Duration};

use chrono::TimeDelta;
use serde_json::{Value as Json, json};

use super::{
    Aws, MetricQuery, Patience, Source,
    call::Call,
    errors::garbled,
    now,
    session::{Place, Service},
    signed::{self, Request},
};
use crate::base::{Class, Failure};

const SQS: Service<'_> = Service::new("SQS", "sqs", "SQS", "");
const URL: Call<'_> = Call::reads(SQS.name, "GetQueueUrl", "sqs:GetQueueUrl");
const ATTRIBUTES: Call<'_> = Call::reads(SQS.name, "GetQueueAttributes", "sqs:GetQueueAttributes");
/// How far back the age of the oldest message is looked for; it is written once a minute, minutes late.
const AGE_WINDOW: TimeDelta = TimeDelta::minutes(10);
const MINUTE: Duration = Duration::from_secs(60);

/// A queue as a runbook names it: by URL, ARN or name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRef {
    url: Option<String>,
    region: Option<String>,
    account: Option<String>,
    name: String,
}

/// What a queue holds. Approximate: "until at least 1 minute after the producers stop sending messages"
/// (`GetQueueAttributes`, SQS API reference).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depth {
    /// Messages that may be received.
    pub visible: u64,
    /// Messages that somebody has received and not deleted.
    pub in_flight: u64,
    /// Messages whose delay is not over.
    pub delayed: u64,
    /// ARN of the queue for what could not be worked off.
    pub dead_letters: Option<String>,
}

impl QueueRef {
    /// The queue's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// True where its URL has to be asked for.
    #[must_use]
    pub fn is_looked_up(&self) -> bool {
        self.url.is_none()
    }

    /// The region that its URL or ARN names.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// The ARN as IAM sees it; `*` for what nobody said.
    #[must_use]
    pub fn arn(&self, aws: &Aws) -> String {
        let arn = aws.arn("sqs", &self.name);
        let mut parts: Vec<&str> = arn.splitn(6, ':').collect();
        for (place, said) in [(3, &self.region), (4, &self.account)] {
            if let (Some(part), Some(said)) = (parts.get_mut(place), said) {
                *part = said;
            }
        }
        parts.join(":")
    }

    fn service(&self) -> Service<'_> {
        Service { place: self.region().map_or(Place::Here, Place::Region), ..SQS }
    }
}

/// Not a queue's URL, ARN or name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a queue's URL, ARN or name")]
pub struct NoQueue;

impl FromStr for QueueRef {
    type Err = NoQueue;

    fn from_str(text: &str) -> Result<Self, NoQueue> {
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let queue = if let Some(rest) = text.strip_prefix("arn:") {
            let parts: Vec<&str> = rest.split(':').collect();
            let [_, "sqs", region, account, name] = parts[..] else { return Err(NoQueue) };
            Self { url: None, region: said(region), account: said(account), name: name.to_owned() }
        } else if text.contains("://") {
            let (_, rest) = text.split_once("://").ok_or(NoQueue)?;
            let (host, path) = rest.split_once('/').ok_or(NoQueue)?;
            let (account, name) = path.trim_end_matches('/').rsplit_once('/').ok_or(NoQueue)?;
            let account = account.rsplit('/').next().unwrap_or_default();
            // `sqs.eu-west-1.amazonaws.com`, and the older `eu-west-1.queue.amazonaws.com`.
            let region = match host.split('.').collect::<Vec<_>>()[..] {
                ["sqs", region, "amazonaws", ..] | [region, "queue", "amazonaws", ..] => said(region),
                _ => None,
            };
            Self { url: Some(text.to_owned()), region, account: said(account), name: name.to_owned() }
        } else {
            Self { url: None, region: None, account: None, name: text.to_owned() }
        };
        let plain = queue.name.strip_suffix(".fifo").unwrap_or(&queue.name);
        let letters = plain.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if letters && !plain.is_empty() && queue.name.len() <= 80 { Ok(queue) } else { Err(NoQueue) }
    }
}

impl Aws {
    /// How deep a queue is.
    ///
    /// # Errors
    /// `Misconfigured` where there is no such queue, `Denied`, `FailedNothingDone`; `NotYet` where SQS leaves
    /// a count out.
    pub async fn queue_depth(&self, queue: &QueueRef, patience: &Patience) -> Result<Depth, Failure> {
        let url = match &queue.url {
            Some(url) => url.clone(),
            None => self.queue_url(queue, patience).await?,
        };
        const COUNTS: [&str; 3] = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ];
        // One word for the counts and the redrive policy, which not every queue has.
        let body = json!({ "QueueUrl": url, "AttributeNames": ["All"] });
        let answer = self.sqs(queue, &ATTRIBUTES, &body, patience).await?;
        let count = |name: &str| {
            let text = answer["Attributes"][name].as_str().and_then(|text| text.parse().ok());
            text.ok_or_else(|| Failure::new(Class::NotYet, format!("no data: SQS gave no {name} of {}", queue.name)))
        };
        let redrive = answer["Attributes"]["RedrivePolicy"].as_str();
        let redrive = redrive.and_then(|text| serde_json::from_str::<Json>(text).ok()).unwrap_or_default();
        Ok(Depth {
            visible: count(COUNTS[0])?,
            in_flight: count(COUNTS[1])?,
            delayed: count(COUNTS[2])?,
            dead_letters: redrive["deadLetterTargetArn"].as_str().map(ToOwned::to_owned),
        })
    }

    /// Age of the oldest message as CloudWatch last heard of it; `None` where it wrote nothing in ten minutes, as
    /// of a queue that nobody has used for hours.
    ///
    /// # Errors
    /// As [`Aws::metric_data`].
    pub async fn oldest_message(&self, queue: &QueueRef, patience: &Patience) -> Result<Option<Duration>, Failure> {
        let source = Source::Metric {
            namespace: "AWS/SQS".into(),
            metric: "ApproximateAgeOfOldestMessage".into(),
            dimensions: vec![("QueueName".into(), queue.name.clone())],
            stat: "Maximum".into(),
        };
        let query = MetricQuery { id: "age".into(), source, period: MINUTE, returned: true };
        let to = now();
        let data = self.metric_data(&[query], (to - AGE_WINDOW, to), queue.region(), patience).await?;
        let newest = data.series.iter().filter_map(|one| one.samples.first()).max_by_key(|sample| sample.at);
        Ok(newest.map(|sample| Duration::try_from_secs_f64(sample.value).unwrap_or_default()))
    }

    async fn queue_url(&self, queue: &QueueRef, patience: &Patience) -> Result<String, Failure> {
        let mut body = json!({ "QueueName": queue.name });
        if let Some(account) = &queue.account {
            body["QueueOwnerAWSAccountId"] = account.as_str().into();
        }
        let answer = self.sqs(queue, &URL, &body, patience).await?;
        let url = answer["QueueUrl"].as_str().map(ToOwned::to_owned);
        url.ok_or_else(|| garbled(&URL, &format!("the answer has no address of queue {}", queue.name)).failure)
    }

    async fn sqs(&self, queue: &QueueRef, call: &Call<'_>, body: &Json, patience: &Patience) -> Result<Json, Failure> {
        let request = Request::json("1.0", &format!("AmazonSQS.{}", call.operation), body);
        let answer = self.send(&queue.service(), call, &request, patience).await;
        // SQS does not say which queue it is that does not exist.
        let answer = answer.map_err(|failure| match failure.class {
            Class::Misconfigured => failure.because(format!("asked for queue {}", queue.name)),
            _ => failure,
        })?;
        signed::json(call, &answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runbook::{AwsEnv, DnsEnv, Env, EnvKind, HttpEnv, SandboxEnv};

    #[test]
    fn a_queue_by_url_arn_or_name() {
        let there =
            AwsEnv { region: Some("eu-west-1".into()), account: Some("111122223333".into()), ..AwsEnv::default() };
        let aws = Aws::new(std::sync::Arc::new(Env {
            name: "test".parse().unwrap(),
            span: 0..0,
            kind: EnvKind::Rehearsal,
            confirm: "test".into(),
            aws: Some(there),
            heroku: None,
            databases: std::collections::BTreeMap::new(),
            dns: DnsEnv::default(),
            http: HttpEnv::default(),
            sandbox: SandboxEnv::default(),
            vars: std::collections::BTreeMap::new(),
        }));
        let arn = |text: &str| text.parse::<QueueRef>().unwrap().arn(&aws);
        assert_eq!(arn("jobs"), "arn:aws:sqs:eu-west-1:111122223333:jobs");
        assert_eq!(arn("arn:aws:sqs:us-east-1:999988887777:jobs.fifo"), "arn:aws:sqs:us-east-1:999988887777:jobs.fifo");
        assert_eq!(
            arn("https://sqs.eu-north-1.amazonaws.com/999988887777/jobs"),
            "arn:aws:sqs:eu-north-1:999988887777:jobs"
        );
        assert_eq!(
            arn("https://eu-north-1.queue.amazonaws.com/999988887777/jobs"),
            "arn:aws:sqs:eu-north-1:999988887777:jobs"
        );
        assert_eq!(arn("http://127.0.0.1:5000/123456789012/jobs"), "arn:aws:sqs:eu-west-1:123456789012:jobs");
        for bad in ["", "a b", "arn:aws:sns:eu-west-1:1:x", "https://x", "https://x/jobs", ".fifo", &"x".repeat(81)] {
            assert_eq!(bad.parse::<QueueRef>(), Err(NoQueue), "{bad}");
        }
    }
}
