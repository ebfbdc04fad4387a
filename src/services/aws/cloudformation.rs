//! `CloudFormation`, read: a stack, and how far its resources have drifted from its template.

use chrono::{DateTime, Utc};

use super::{
    Aws, Patience,
    call::Call,
    errors::garbled,
    session::Service,
    signed::{Answer, Request, xml},
};
use crate::base::{Class, Failure};

const CFN: Service<'_> = Service::new("CloudFormation", "cloudformation", "CloudFormation", "2010-05-15");
const STACKS: Call<'_> = Call::reads(CFN.name, "DescribeStacks", "cloudformation:DescribeStacks");
/// It starts a look at the stack and changes nothing else, so it may be sent again: a second one is refused.
const DETECT: Call<'_> = Call::reads(CFN.name, "DetectStackDrift", "cloudformation:DetectStackDrift");
const DETECTED: Call<'_> =
    Call::reads(CFN.name, "DescribeStackDriftDetectionStatus", "cloudformation:DescribeStackDriftDetectionStatus");
const DRIFTS: Call<'_> =
    Call::reads(CFN.name, "DescribeStackResourceDrifts", "cloudformation:DescribeStackResourceDrifts");
/// Pages that are followed; one holds 100 resources, and a stack has at most 500.
const PAGES: usize = 20;

/// A stack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stack {
    /// Its ARN.
    pub id: String,
    /// `UPDATE_COMPLETE`, `ROLLBACK_COMPLETE`, ….
    pub status: String,
    /// Why, where AWS says so.
    pub reason: String,
    /// When it was last updated, or created.
    pub updated: Option<DateTime<Utc>>,
    /// Names and values.
    pub outputs: Vec<(String, String)>,
    /// `IN_SYNC`, `DRIFTED`, `UNKNOWN`, `NOT_CHECKED`; empty where the answer says nothing.
    pub drift: String,
    /// When that was found out.
    pub checked: Option<DateTime<Utc>>,
}

/// A look at the drift of a whole stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detection {
    /// `DETECTION_IN_PROGRESS`, `DETECTION_FAILED`, `DETECTION_COMPLETE`.
    pub status: String,
    /// Why it failed.
    pub reason: String,
}

/// A resource that is not as its template says. Values stay at AWS: they may be secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drifted {
    /// Its name in the template.
    pub name: String,
    /// `AWS::ECS::Service`.
    pub kind: String,
    /// `MODIFIED`, `DELETED`.
    pub status: String,
    /// Paths of the properties that differ.
    pub paths: Vec<String>,
}

impl Aws {
    /// A stack, by name or ARN.
    ///
    /// # Errors
    /// `Misconfigured` where there is none, `Denied`, `FailedNothingDone`.
    pub async fn stack(&self, name: &str, patience: &Patience) -> Result<Stack, Failure> {
        let params = [("StackName".to_owned(), name.to_owned())];
        let answer = self.query(&CFN, &STACKS, &params, patience).await?;
        let found = answer.members("DescribeStacksResult/Stacks").next();
        let Some(one) = found else {
            return Err(Failure::new(Class::Misconfigured, format!("CloudFormation describes no stack {name}")));
        };
        let text = |path: &str| one.text(path).to_owned();
        if one.text("StackId").is_empty() || one.text("StackStatus").is_empty() {
            return Err(garbled(&STACKS, "the answer names no stack or no status").failure);
        }
        let outputs = one.members("Outputs");
        Ok(Stack {
            id: text("StackId"),
            status: text("StackStatus"),
            reason: text("StackStatusReason"),
            updated: one.text("LastUpdatedTime").parse().or_else(|_| one.text("CreationTime").parse()).ok(),
            outputs: outputs.map(|o| (o.text("OutputKey").to_owned(), o.text("OutputValue").to_owned())).collect(),
            drift: text("DriftInformation/StackDriftStatus"),
            checked: one.text("DriftInformation/LastCheckTimestamp").parse().ok(),
        })
    }

    /// Starts a look at the drift of a stack; its id, or `None` where one is under way already.
    ///
    /// # Errors
    /// As [`Aws::stack`].
    pub async fn detect_drift(&self, name: &str, patience: &Patience) -> Result<Option<String>, Failure> {
        let params = [("StackName".to_owned(), name.to_owned())];
        let request = Request::query(DETECT.operation, CFN.version, &params);
        let answer = self.send_or(&CFN, &DETECT, &request, patience, under_way).await?;
        if under_way(&answer) {
            return Ok(None);
        }
        let root = xml(&DETECT, &answer)?;
        match root.text("DetectStackDriftResult/StackDriftDetectionId") {
            "" => Err(garbled(&DETECT, "the answer has no id").failure),
            id => Ok(Some(id.to_owned())),
        }
    }

    /// How a look at the drift stands.
    ///
    /// # Errors
    /// As [`Aws::stack`].
    pub async fn drift_detection(&self, id: &str, patience: &Patience) -> Result<Detection, Failure> {
        let params = [("StackDriftDetectionId".to_owned(), id.to_owned())];
        let answer = self.query(&CFN, &DETECTED, &params, patience).await?;
        let text = |name: &str| answer.text(&format!("DescribeStackDriftDetectionStatusResult/{name}")).to_owned();
        let found = Detection { status: text("DetectionStatus"), reason: text("DetectionStatusReason") };
        if found.status.is_empty() {
            return Err(garbled(&DETECTED, "the answer has no DetectionStatus").failure);
        }
        Ok(found)
    }

    /// The resources of a stack that the last look found changed or gone.
    ///
    /// # Errors
    /// As [`Aws::stack`].
    pub async fn drifted(&self, name: &str, patience: &Patience) -> Result<Vec<Drifted>, Failure> {
        let mut found = Vec::new();
        let mut next = String::new();
        for _ in 0..PAGES {
            let mut params = vec![
                ("StackName".to_owned(), name.to_owned()),
                ("StackResourceDriftStatusFilters.member.1".to_owned(), "MODIFIED".to_owned()),
                ("StackResourceDriftStatusFilters.member.2".to_owned(), "DELETED".to_owned()),
            ];
            if !next.is_empty() {
                params.push(("NextToken".into(), next.clone()));
            }
            let answer = self.query(&CFN, &DRIFTS, &params, patience).await?;
            found.extend(answer.members("DescribeStackResourceDriftsResult/StackResourceDrifts").map(|one| Drifted {
                name: one.text("LogicalResourceId").to_owned(),
                kind: one.text("ResourceType").to_owned(),
                status: one.text("StackResourceDriftStatus").to_owned(),
                paths: one.members("PropertyDifferences").map(|path| path.text("PropertyPath").to_owned()).collect(),
            }));
            answer.text("DescribeStackResourceDriftsResult/NextToken").clone_into(&mut next);
            if next.is_empty() {
                return Ok(found);
            }
        }
        let words = format!("no data: CloudFormation {} has more than {PAGES} pages", DRIFTS.operation);
        Err(Failure::new(Class::FailedNothingDone, words))
    }
}

/// `ValidationError: Drift detection is already in progress for stack …`; AWS has no code of its own for it.
fn under_way(answer: &Answer) -> bool {
    answer.status == 400 && answer.text().to_ascii_lowercase().contains("already in progress")
}
