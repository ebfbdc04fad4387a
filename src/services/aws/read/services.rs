//! The services that can be read by name: where they are and how they are spoken to, as the AWS SDKs' service
//! models say (`metadata` of each: endpoint prefix, signing name, protocol, version, target prefix).

use super::super::session::Place;

/// How a service is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// A form in, XML out.
    Query,
    /// The same in EC2's dialect of lists.
    Ec2,
    /// JSON 1.0, the operation in a header.
    Json10,
    /// JSON 1.1.
    Json11,
    /// Paths and parameters in, JSON out.
    RestJson,
    /// Paths and parameters in, XML out.
    RestXml,
}

/// The words for them in a runbook.
pub const PROTOCOLS: &[(&str, Protocol)] = &[
    ("query", Protocol::Query),
    ("ec2", Protocol::Ec2),
    ("json-1.0", Protocol::Json10),
    ("json-1.1", Protocol::Json11),
    ("rest-json", Protocol::RestJson),
    ("rest-xml", Protocol::RestXml),
];

/// A service that is known by its name in the AWS CLI.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Its name in the AWS CLI.
    pub name: &'static str,
    /// In host names.
    pub host: &'static str,
    /// In signatures.
    pub signs: &'static str,
    /// In messages and in the SDK's configuration.
    pub id: &'static str,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Version of the query protocols, or prefix of the JSON ones' target.
    pub dialect: &'static str,
    /// Its prefix in IAM.
    pub iam: &'static str,
    pub(in super::super) place: Place<'static>,
}

const fn known(
    name: &'static str,
    host: &'static str,
    id: &'static str,
    protocol: Protocol,
    dialect: &'static str,
) -> Known {
    Known { name, host, signs: host, id, protocol, dialect, iam: host, place: Place::Here }
}

use Protocol::{Ec2, Json10, Json11, Query, RestJson, RestXml};

/// Sorted by name.
pub static KNOWN: &[Known] = &[
    known("acm", "acm", "ACM", Json11, "CertificateManager"),
    known("apigateway", "apigateway", "API Gateway", RestJson, ""),
    known("apigatewayv2", "apigateway", "ApiGatewayV2", RestJson, ""),
    known(
        "application-autoscaling",
        "application-autoscaling",
        "Application Auto Scaling",
        Json11,
        "AnyScaleFrontendService",
    ),
    known("apprunner", "apprunner", "AppRunner", Json10, "AppRunner"),
    known("autoscaling", "autoscaling", "Auto Scaling", Query, "2011-01-01"),
    known("backup", "backup", "Backup", RestJson, ""),
    Known {
        place: Place::Region("us-east-1"),
        ..known("budgets", "budgets", "Budgets", Json11, "AWSBudgetServiceGateway")
    },
    known("cloudformation", "cloudformation", "CloudFormation", Query, "2010-05-15"),
    Known { place: Place::Global, ..known("cloudfront", "cloudfront", "CloudFront", RestXml, "") },
    known("cloudtrail", "cloudtrail", "CloudTrail", Json11, "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101"),
    Known { iam: "cloudwatch", ..known("cloudwatch", "monitoring", "CloudWatch", Query, "2010-08-01") },
    known("codebuild", "codebuild", "CodeBuild", Json11, "CodeBuild_20161006"),
    known("codedeploy", "codedeploy", "CodeDeploy", Json11, "CodeDeploy_20141006"),
    known("codepipeline", "codepipeline", "CodePipeline", Json11, "CodePipeline_20150709"),
    known("cognito-idp", "cognito-idp", "Cognito Identity Provider", Json11, "AWSCognitoIdentityProviderService"),
    known("config", "config", "Config Service", Json11, "StarlingDoveService"),
    known("dms", "dms", "Database Migration Service", Json11, "AmazonDMSv20160101"),
    known("dynamodb", "dynamodb", "DynamoDB", Json10, "DynamoDB_20120810"),
    known("ec2", "ec2", "EC2", Ec2, "2016-11-15"),
    Known {
        signs: "ecr",
        iam: "ecr",
        ..known("ecr", "api.ecr", "ECR", Json11, "AmazonEC2ContainerRegistry_V20150921")
    },
    known("ecs", "ecs", "ECS", Json11, "AmazonEC2ContainerServiceV20141113"),
    known("efs", "elasticfilesystem", "EFS", RestJson, ""),
    known("eks", "eks", "EKS", RestJson, ""),
    known("elasticache", "elasticache", "ElastiCache", Query, "2015-02-02"),
    known("elb", "elasticloadbalancing", "Elastic Load Balancing", Query, "2012-06-01"),
    known("elbv2", "elasticloadbalancing", "Elastic Load Balancing v2", Query, "2015-12-01"),
    known("events", "events", "EventBridge", Json11, "AWSEvents"),
    known("firehose", "firehose", "Firehose", Json11, "Firehose_20150804"),
    Known {
        place: Place::Region("us-west-2"),
        ..known("globalaccelerator", "globalaccelerator", "Global Accelerator", Json11, "GlobalAccelerator_V20180706")
    },
    Known { place: Place::Global, ..known("iam", "iam", "IAM", Query, "2010-05-08") },
    known("kafka", "kafka", "Kafka", RestJson, ""),
    known("kinesis", "kinesis", "Kinesis", Json11, "Kinesis_20131202"),
    known("kms", "kms", "KMS", Json11, "TrentService"),
    known("lambda", "lambda", "Lambda", RestJson, ""),
    known("logs", "logs", "CloudWatch Logs", Json11, "Logs_20140328"),
    Known {
        signs: "memorydb",
        iam: "memorydb",
        ..known("memorydb", "memory-db", "MemoryDB", Json11, "AmazonMemoryDB")
    },
    known("mq", "mq", "mq", RestJson, ""),
    known("opensearch", "es", "OpenSearch", RestJson, ""),
    Known {
        place: Place::Region("us-east-1"),
        ..known("organizations", "organizations", "Organizations", Json11, "AWSOrganizationsV20161128")
    },
    known("pipes", "pipes", "Pipes", RestJson, ""),
    known("rds", "rds", "RDS", Query, "2014-10-31"),
    known("redshift", "redshift", "Redshift", Query, "2012-12-01"),
    Known {
        iam: "tag",
        ..known(
            "resourcegroupstaggingapi",
            "tagging",
            "Resource Groups Tagging API",
            Json11,
            "ResourceGroupsTaggingAPI_20170126",
        )
    },
    Known { place: Place::Global, ..known("route53", "route53", "Route 53", RestXml, "") },
    Known {
        place: Place::Region("us-east-1"),
        ..known("route53domains", "route53domains", "Route 53 Domains", Json11, "Route53Domains_v20140515")
    },
    known("route53resolver", "route53resolver", "Route53Resolver", Json11, "Route53Resolver"),
    known("s3", "s3", "S3", RestXml, ""),
    known("scheduler", "scheduler", "Scheduler", RestJson, ""),
    known("secretsmanager", "secretsmanager", "Secrets Manager", Json11, "secretsmanager"),
    known("service-quotas", "servicequotas", "Service Quotas", Json11, "ServiceQuotasV20190624"),
    known("servicediscovery", "servicediscovery", "ServiceDiscovery", Json11, "Route53AutoNaming_v20170314"),
    Known { signs: "ses", iam: "ses", ..known("ses", "email", "SES", Query, "2010-12-01") },
    Known { signs: "ses", iam: "ses", ..known("sesv2", "email", "SESv2", RestJson, "") },
    known("sns", "sns", "SNS", Query, "2010-03-31"),
    known("sqs", "sqs", "SQS", Json10, "AmazonSQS"),
    known("ssm", "ssm", "SSM", Json11, "AmazonSSM"),
    known("stepfunctions", "states", "SFN", Json10, "AWSStepFunctions"),
    known("sts", "sts", "STS", Query, "2011-06-15"),
    known("wafv2", "wafv2", "WAFV2", Json11, "AWSWAF_20190729"),
];

/// The service of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Known> {
    let name = match name {
        "msk" => "kafka",
        "eventbridge" => "events",
        "elasticloadbalancing" | "elasticloadbalancingv2" => "elbv2",
        "es" => "opensearch",
        "monitoring" => "cloudwatch",
        "states" => "stepfunctions",
        name => name,
    };
    KNOWN.iter().find(|known| known.name == name)
}

/// The IAM action of a call, where it is called otherwise than the call (Service Authorization Reference).
pub fn iam(prefix: &str, action: &str) -> String {
    let action = match (prefix, action) {
        ("apigateway", _) => "GET",
        ("budgets", _) => "ViewBudget",
        ("s3", "HeadBucket" | "ListObjects" | "ListObjectsV2") => "ListBucket",
        ("s3", "HeadObject") => "GetObject",
        ("s3", "ListBuckets") => "ListAllMyBuckets",
        ("s3", "ListObjectVersions") => "ListBucketVersions",
        ("s3", "ListMultipartUploads") => "ListBucketMultipartUploads",
        ("s3", "GetBucketEncryption") => "GetEncryptionConfiguration",
        ("s3", "GetBucketLifecycleConfiguration") => "GetLifecycleConfiguration",
        ("s3", "GetBucketReplication") => "GetReplicationConfiguration",
        ("s3", "GetBucketNotificationConfiguration") => "GetBucketNotification",
        ("s3", "GetPublicAccessBlock") => "GetBucketPublicAccessBlock",
        ("s3", "GetBucketCors") => "GetBucketCORS",
        (_, action) => action,
    };
    format!("{prefix}:{action}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_and_whole() {
        assert!(KNOWN.windows(2).all(|pair| pair[0].name < pair[1].name));
        for known in KNOWN {
            let needs = matches!(known.protocol, Query | Ec2 | Json10 | Json11);
            assert_eq!(needs, !known.dialect.is_empty(), "{}", known.name);
        }
        assert_eq!(find("msk").map(|known| known.host), Some("kafka"));
        assert_eq!(iam("s3", "HeadBucket"), "s3:ListBucket");
        assert_eq!(iam("elasticache", "DescribeReplicationGroups"), "elasticache:DescribeReplicationGroups");
    }
}
