//! What there is to know of secrets and parameters without their values.

use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};

use super::{
    Aws, Patience,
    call::Call,
    stored::{PARAMETERS, SECRETS},
};
use crate::base::{Class, Failure};

const DESCRIBE: Call<'_> = Call::reads(SECRETS.name, "DescribeSecret", "secretsmanager:DescribeSecret");
const GET: Call<'_> = Call::reads(PARAMETERS.name, "GetParameters", "ssm:GetParameters");
/// `GetParameters` takes so many names.
const NAMES: usize = 10;

/// A secret of Secrets Manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedSecret {
    /// As it was asked for.
    pub name: String,
    /// The id of the version labelled `AWSCURRENT`; `None`: it has no value.
    pub current: Option<String>,
    /// When it was scheduled for deletion.
    pub deleted: Option<DateTime<Utc>>,
    /// When it was changed last, in any way.
    pub changed: Option<DateTime<Utc>>,
    /// When it was rotated last.
    pub rotated: Option<DateTime<Utc>>,
}

/// A parameter of Systems Manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedParameter {
    /// As AWS says it.
    pub name: String,
    /// `String`, `StringList`, `SecureString`.
    pub kind: String,
    /// From 1.
    pub version: i64,
    /// When it was changed last.
    pub changed: Option<DateTime<Utc>>,
}

impl Aws {
    /// A secret by name or ARN; `None` where there is none.
    ///
    /// # Errors
    /// As every call.
    pub async fn secret(&self, id: &str, patience: &Patience) -> Result<Option<DescribedSecret>, Failure> {
        let body = json!({ "SecretId": id });
        let answer = match self.json(&SECRETS, &DESCRIBE, "secretsmanager.DescribeSecret", &body, patience).await {
            Ok(answer) => answer,
            Err(failure) if failure.message.contains(": ResourceNotFoundException: ") => return Ok(None),
            Err(failure) => return Err(failure),
        };
        if !answer["ARN"].is_string() {
            return Err(Failure::new(Class::FailedNothingDone, "Secrets Manager described a secret without an ARN"));
        }
        let versions = answer["VersionIdsToStages"].as_object().into_iter().flatten();
        let current = versions
            .filter(|(_, stages)| stages.as_array().is_some_and(|stages| stages.contains(&json!("AWSCURRENT"))))
            .map(|(id, _)| id.clone())
            .next();
        Ok(Some(DescribedSecret {
            name: id.to_owned(),
            current,
            deleted: moment(&answer["DeletedDate"]),
            changed: moment(&answer["LastChangedDate"]).or_else(|| moment(&answer["CreatedDate"])),
            rotated: moment(&answer["LastRotatedDate"]),
        }))
    }

    /// Parameters by name, encrypted ones left encrypted; their values are thrown away. Those that are not there are missing
    /// in the answer.
    ///
    /// # Errors
    /// As every call.
    pub async fn parameters(&self, names: &[String], patience: &Patience) -> Result<Vec<DescribedParameter>, Failure> {
        let mut all = Vec::with_capacity(names.len());
        for names in names.chunks(NAMES) {
            let body = json!({ "Names": names, "WithDecryption": false });
            let answer = self.json(&PARAMETERS, &GET, "AmazonSSM.GetParameters", &body, patience).await?;
            for one in answer["Parameters"].as_array().into_iter().flatten() {
                let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
                // What was asked for by version or label comes back under its plain name.
                let name = format!("{}{}", text("Name"), text("Selector"));
                all.push(DescribedParameter {
                    name,
                    kind: text("Type"),
                    version: one["Version"].as_i64().unwrap_or_default(),
                    changed: moment(&one["LastModifiedDate"]),
                });
            }
        }
        Ok(all)
    }
}

/// Seconds since 1970, with a fraction.
fn moment(value: &Json) -> Option<DateTime<Utc>> {
    let seconds = value.as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "a date fits into milliseconds; anything else is no date")]
    let ms = (seconds * 1000.0) as i64;
    DateTime::from_timestamp_millis(ms)
}
