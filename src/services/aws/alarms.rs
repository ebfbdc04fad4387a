//! CloudWatch alarms, metric and composite ones, read by `DescribeAlarms`.

use chrono::{DateTime, Utc};

use super::{Aws, Patience, call::Call, metrics::cloudwatch, xml::Node};
use crate::base::{Class, Failure};

const DESCRIBE: Call<'_> = Call::reads("CloudWatch", "DescribeAlarms", "cloudwatch:DescribeAlarms");
/// Names that one request takes, and alarms that one page holds.
const AT_ONCE: usize = 100;
/// Pages that are followed; an account has at most a few thousand alarms of one prefix.
const PAGES: usize = 50;

/// An alarm as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// True where it is made of other alarms.
    pub composite: bool,
    /// `OK`, `ALARM` or `INSUFFICIENT_DATA`.
    pub state: String,
    /// Since when; `None` where CloudWatch does not say.
    pub since: Option<DateTime<Utc>>,
    /// CloudWatch's own words.
    pub reason: String,
    /// False where it tells nobody.
    pub actions: bool,
}

/// WhichAlarms alarms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhichAlarms {
    /// These.
    Named(Vec<String>),
    /// All whose names begin so.
    Prefix(String),
}

impl Aws {
    /// The alarms that there are, by name. One that is asked for and not there is not in the answer.
    ///
    /// # Errors
    /// `Denied`, `FailedNothingDone`, `NotYet` where there are more of them than are read.
    pub async fn alarms(
        &self,
        which: &WhichAlarms,
        region: Option<&str>,
        patience: &Patience,
    ) -> Result<Vec<Alarm>, Failure> {
        let mut found = Vec::new();
        match which {
            WhichAlarms::Prefix(prefix) => {
                let params = vec![("AlarmNamePrefix".to_owned(), prefix.clone())];
                self.alarm_pages(params, region, patience, &mut found).await?;
            }
            WhichAlarms::Named(names) => {
                for names in names.chunks(AT_ONCE) {
                    let name = |(n, name): (usize, &String)| (format!("AlarmNames.member.{}", n + 1), name.clone());
                    let params = names.iter().enumerate().map(name).collect();
                    self.alarm_pages(params, region, patience, &mut found).await?;
                }
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    async fn alarm_pages(
        &self,
        mut params: Vec<(String, String)>,
        region: Option<&str>,
        patience: &Patience,
        found: &mut Vec<Alarm>,
    ) -> Result<(), Failure> {
        // Without types only metric alarms are told ("DescribeAlarms", CloudWatch API reference).
        params.push(("AlarmTypes.member.1".into(), "MetricAlarm".into()));
        params.push(("AlarmTypes.member.2".into(), "CompositeAlarm".into()));
        params.push(("MaxRecords".into(), AT_ONCE.to_string()));
        let mut next = String::new();
        for _ in 0..PAGES {
            let mut page = params.clone();
            if !next.is_empty() {
                page.push(("NextToken".into(), std::mem::take(&mut next)));
            }
            let answer = self.query(&cloudwatch(region), &DESCRIBE, &page, patience).await?;
            let of = |list| answer.members(list);
            found.extend(of("DescribeAlarmsResult/MetricAlarms").map(|one| alarm(one, false)));
            found.extend(of("DescribeAlarmsResult/CompositeAlarms").map(|one| alarm(one, true)));
            answer.text("DescribeAlarmsResult/NextToken").clone_into(&mut next);
            if next.is_empty() {
                return Ok(());
            }
        }
        Err(Failure::new(Class::NotYet, format!("no data: more than {PAGES} pages of alarms"))
            .hint("name the alarms, or give a longer prefix"))
    }
}

fn alarm(node: &Node, composite: bool) -> Alarm {
    // The state's last change; an update that leaves the state alone moves only the other one.
    let times = ["StateTransitionedTimestamp", "StateUpdatedTimestamp"];
    Alarm {
        name: node.text("AlarmName").to_owned(),
        composite,
        state: node.text("StateValue").to_owned(),
        since: times.into_iter().find_map(|name| node.text(name).parse().ok()),
        reason: node.text("StateReason").to_owned(),
        actions: node.text("ActionsEnabled") != "false",
    }
}
