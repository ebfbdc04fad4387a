//! Scripted faults: the one table of what can go wrong on purpose, and the grammar by which a
//! runbook or a command line asks for it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::world::{Moment, after};

/// Every fault, by name, with what it does. The error message for an unknown one lists them.
pub static FAULTS: &[(&str, &str)] = &[
    ("acm.pending", "DescribeCertificate finds an issued certificate pending, and names the CNAME that ACM waits for"),
    ("cloudformation.drifted", "somebody set the service's desired count to 4: the stack's drift is DRIFTED"),
    ("cloudwatch.no_data", "GetMetricData answers without a single value"),
    ("cloudwatch.partial", "GetMetricData answers half of the values, and that they are partial"),
    ("dns.delegation", "the parent zone still delegates to the old provider's name servers"),
    ("dns.servfail", "the second resolver answers SERVFAIL to a query"),
    ("dns.stale", "the second resolver caches an answer for 30 s although its TTL is lower"),
    ("ecr.critical", "the scan of an image has two critical findings more"),
    ("ecr.missing", "DescribeImages does not find an image: it was not pushed yet"),
    ("ecs.autoscaler", "autoscaling sets a service's count back to what it was, 1.5 s after it was changed"),
    ("ecs.deploy", "tasks of the web service's new deployment exit 1 (a secret is missing); the breaker rolls back"),
    ("ecs.deploy-pull", "tasks of the web service's new deployment cannot pull their image; the breaker rolls back"),
    ("ecs.no-breaker", "the web service has no circuit breaker from its next deployment on: ECS goes on trying"),
    ("ecs.run_task", "RunTask answers HTTP 200 with a failure: capacity is unavailable"),
    ("ecs.stuck", "the web service's next deployment must stop no task and start none on top: it cannot begin"),
    ("ecs.throttle", "an ECS request is refused: ThrottlingException, HTTP 400"),
    ("elb.unhealthy", "a look at the targets finds them unhealthy: the app redirects the health check with 301"),
    ("heroku.503", "a Heroku API request is answered 503"),
    ("heroku.crash", "a dyno of Heroku that was just started crashes"),
    (
        "heroku.deploy",
        "somebody deploys just as the releases or builds are listed: a build of 4 s, then a release phase",
    ),
    ("heroku.html", "a Heroku API request is answered 502 with a page of HTML"),
    ("heroku.job", "Heroku Scheduler starts a job (scheduler.4711, 6 s) just as the dynos are listed"),
    ("heroku.one_off", "a forgotten console (run.4711) turns up when the dynos are listed"),
    ("heroku.rate_limit", "a Heroku API request is answered 429"),
    ("heroku.release_fails", "the release phase of the next change of config vars or rollback fails after 4 s"),
    ("heroku.release_slow", "the release phase of the next change of config vars or rollback takes 15 s"),
    ("heroku.slow_dynos", "dynos take 15 s instead of 2.5 s to stop"),
    ("heroku.two_factor", "a Heroku API request is refused: two_factor, HTTP 403"),
    ("rds.maintenance", "the database's weekly maintenance window opens in half an hour"),
    ("rds.modifying", "the database is `modifying`, and a newer engine version waits"),
    ("rds.pending_reboot", "a parameter of the database waits for a reboot"),
    ("route53.insync", "a change stays PENDING for 20 s instead of 1.5 s"),
    ("route53.prior_request", "a change is refused: PriorRequestNotComplete, HTTP 400"),
    ("route53.third_party", "somebody else sets the record's TTL to 299 just before a change arrives"),
    ("route53.throttle", "a Route 53 request is refused: Throttling, HTTP 400"),
    ("s3.missing", "a listing of the new bucket lacks the three newest uploads"),
    ("s3.slow_down", "an S3 request is refused: SlowDown, HTTP 503"),
    ("scheduler.conflict", "UpdateSchedule is refused: ConflictException, HTTP 409"),
    ("scheduler.third_party", "somebody else changes a schedule's time just after it was read"),
    ("secretsmanager.deleted", "somebody has scheduled the secret that is described for deletion in seven days"),
    ("sqs.stuck", "a message comes that no worker can work off: after three tries it is in the dead-letter queue"),
    ("sts.expired", "an AWS request is refused: ExpiredToken, HTTP 403"),
    ("sts.expired-midway", "once a service was updated, an AWS request is refused: ExpiredToken, HTTP 403"),
    ("sts.other_account", "GetCallerIdentity names account 999988887777"),
    ("tls.expired", "the new origin shows a certificate that expired three days ago"),
    ("tls.other_name", "the new origin shows a certificate for the load balancer's own name"),
    ("web.5xx", "half of the new origin's answers are 500 for 8 s from its next visitor on"),
];

/// How often a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Times {
    Exactly(u32),
    /// For so many seconds from its first strike on.
    For(u32),
    Always,
}

/// One scripted fault: `OPERATION[:once|:N|:30s|:always]`, once where nothing is said; `30s`: whenever it can strike within
/// 30 s of its first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    operation: &'static str,
    times: Times,
}

/// A fault that nobody knows. Completes "failed to read the fault: …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFault {
    /// No such operation.
    #[error("unknown fault `{0}`{1}; `gonogo help faults` lists them")]
    Unknown(String, String),
    /// Not a number of times.
    #[error(
        "bad count `{count}` in fault `{fault}`: write `once`, a number from 1 to 1000, seconds such as `30s`, or `always`"
    )]
    Count {
        /// The whole text.
        fault: String,
        /// The part after the colon.
        count: String,
    },
}

impl Fault {
    /// The operation's name, one of [`FAULTS`].
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    pub(super) fn armed(&self) -> Armed {
        let (left, lasts) = match self.times {
            Times::Exactly(n) => (Some(n), None),
            Times::For(seconds) => (None, Some(seconds)),
            Times::Always => (None, None),
        };
        Armed { operation: self.operation.to_owned(), left, lasts, until: None }
    }
}

impl FromStr for Fault {
    type Err = BadFault;
    fn from_str(text: &str) -> Result<Self, BadFault> {
        let text = crate::base::clean_line(text, 80);
        let (operation, count) = text.split_once(':').unwrap_or((&text, "once"));
        let Some((operation, _)) = FAULTS.iter().find(|(name, _)| *name == operation) else {
            let near = FAULTS.iter().map(|(name, _)| (strsim::jaro_winkler(name, operation), name));
            let near = near.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(score, _)| *score > 0.8);
            let hint = near.map(|(_, name)| format!(" (did you mean `{name}`?)")).unwrap_or_default();
            return Err(BadFault::Unknown(operation.to_owned(), hint));
        };
        let times = match count {
            "once" => Times::Exactly(1),
            "always" => Times::Always,
            n => match (n.parse(), n.strip_suffix('s').map(str::parse)) {
                (Ok(n @ 1..=1000), _) => Times::Exactly(n),
                (_, Some(Ok(n @ 1..=3600))) => Times::For(n),
                _ => return Err(BadFault::Count { fault: text.clone(), count: n.to_owned() }),
            },
        };
        Ok(Self { operation, times })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.times {
            Times::Exactly(1) => write!(f, "{}:once", self.operation),
            Times::Exactly(n) => write!(f, "{}:{n}", self.operation),
            Times::For(n) => write!(f, "{}:{n}s", self.operation),
            Times::Always => write!(f, "{}:always", self.operation),
        }
    }
}

/// A fault in the world, with what is left of it; `None` never runs out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Armed {
    pub operation: String,
    pub left: Option<u32>,
    /// Seconds from the first strike on.
    pub lasts: Option<u32>,
    /// The end of those, once it has struck.
    pub until: Option<Moment>,
}

impl Armed {
    /// True once for every time that is left, and while its time lasts.
    pub fn strike(&mut self, now: Moment) -> bool {
        if let Some(seconds) = self.lasts {
            return now < *self.until.get_or_insert(after(now, 1000 * i64::from(seconds)));
        }
        match &mut self.left {
            None => true,
            Some(0) => false,
            Some(n) => {
                *n -= 1;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        for text in ["ecs.deploy:once", "dns.stale:3", "ecs.throttle:30s", "route53.throttle:always"] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
        assert_eq!("ecs.deploy".parse::<Fault>().unwrap().to_string(), "ecs.deploy:once");
        let unknown = "ecs.deplou".parse::<Fault>().unwrap_err().to_string();
        assert!(unknown.contains("did you mean `ecs.deploy`") && unknown.contains("help faults"), "{unknown}");
        assert!("ecs.deploy:0".parse::<Fault>().unwrap_err().to_string().contains("bad count `0`"));
        assert!(FAULTS.is_sorted());
    }

    #[test]
    fn strikes_as_often_as_asked() {
        let start = Moment::UNIX_EPOCH;
        let mut armed = "ecs.deploy:2".parse::<Fault>().unwrap().armed();
        assert_eq!([armed.strike(start), armed.strike(start), armed.strike(start)], [true, true, false]);
        let mut armed = "ecs.throttle:30s".parse::<Fault>().unwrap().armed();
        assert_eq!([500, 30_499, 30_500].map(|ms| armed.strike(after(start, ms))), [true, true, false]);
    }
}
