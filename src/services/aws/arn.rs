//! Names of resources, as far as a runbook can know them.

use super::Aws;

impl Aws {
    /// The ARN of a resource of the environment's account and region: `arn:aws:ecs:eu-west-1:123456789012:` and
    /// `resource`. What the runbook does not say (the region of a profile) is `*`. An ARN is kept as it is.
    #[must_use]
    pub fn arn(&self, service: &str, resource: &str) -> String {
        self.arn_at(None, None, service, resource)
    }

    /// As [`Aws::arn`], of another region or another account.
    #[must_use]
    pub fn arn_at(&self, region: Option<&str>, account: Option<&str>, service: &str, resource: &str) -> String {
        if resource.starts_with("arn:") {
            return resource.to_owned();
        }
        let aws = self.env.aws.as_ref();
        let region = region.or(aws.and_then(|aws| aws.region.as_deref())).unwrap_or("*");
        let account = account.or(aws.and_then(|aws| aws.account.as_deref())).unwrap_or("*");
        format!("arn:{}:{service}:{region}:{account}:{resource}", self.partition())
    }

    /// The ARN of a resource of the account that has no region: `arn:aws:iam::123456789012:role/Deploy`.
    #[must_use]
    pub fn account_arn(&self, service: &str, resource: &str) -> String {
        let account = self.env.aws.as_ref().and_then(|aws| aws.account.as_deref()).unwrap_or("*");
        format!("arn:{}:{service}::{account}:{resource}", self.partition())
    }

    /// The ARN of a resource that has no region and no account: `arn:aws:route53:::hostedzone/Z…`.
    #[must_use]
    pub fn global_arn(&self, service: &str, resource: &str) -> String {
        format!("arn:{}:{service}:::{resource}", self.partition())
    }

    /// The ARN of a Secrets Manager secret, whose last six characters AWS draws.
    #[must_use]
    pub fn secret_arn(&self, id: &str) -> String {
        if id.starts_with("arn:") { id.to_owned() } else { self.arn("secretsmanager", &format!("secret:{id}-??????")) }
    }

    /// The ARN of a Systems Manager parameter: without the first slash of its name, and without version or label.
    #[must_use]
    pub fn parameter_arn(&self, name: &str) -> String {
        if name.starts_with("arn:") {
            return name.to_owned();
        }
        let name = name.split(':').next().unwrap_or(name);
        self.arn("ssm", &format!("parameter/{}", name.trim_start_matches('/')))
    }

    /// The partition of the environment's region (`partitions.json` of the SDKs).
    fn partition(&self) -> &'static str {
        const PARTITIONS: &[(&str, &str)] = &[
            ("cn-", "aws-cn"),
            ("eu-isoe-", "aws-iso-e"),
            ("eusc-", "aws-eusc"),
            ("us-gov-", "aws-us-gov"),
            ("us-iso-", "aws-iso"),
            ("us-isob-", "aws-iso-b"),
            ("us-isof-", "aws-iso-f"),
        ];
        let region = self.env.aws.as_ref().and_then(|aws| aws.region.as_deref()).unwrap_or_default();
        PARTITIONS.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("aws", |(_, partition)| partition)
    }
}
