//! Which calls only read, and may be shown. By name, as AWS names its calls; what reads by its name and changes,
//! costs or gives away something is listed.

/// The first words of calls that read.
const VERBS: &[&str] = &[
    "BatchDescribe",
    "BatchGet",
    "BatchList",
    "Check",
    "Count",
    "Describe",
    "DiscoverInstances",
    "Estimate",
    "Filter",
    "Get",
    "Head",
    "List",
    "Lookup",
    "Preview",
    "Query",
    "Scan",
    "Search",
    "Simulate",
    "TestDNSAnswer",
    "TestEventPattern",
    "TestMetricFilter",
    "Validate",
];

/// Parts of names of calls whose answer is a secret or opens a door.
const SECRET: &[&str] =
    &["AccessDetails", "AuthToken", "Credentials", "EmbedUrl", "OpenIdToken", "Password", "SecretValue", "Token"];

/// Calls that carry such a part and are harmless, because they only count or name.
const HARMLESS: &[&str] = &["ListServiceSpecificCredentials"];

/// Calls that read by their name only.
const EXCEPT: &[(&str, &str)] = &[
    ("CheckInLicense", "it gives a license back"),
    ("DescribeUserPoolClient", "its answer holds a client's secret"),
    ("GetApiKey", "its answer may hold an API key"),
    ("GetApiKeys", "its answer may hold API keys"),
    ("GetConfiguration", "it registers a client"),
    ("GetDeployablePatchSnapshotForInstance", "it makes a snapshot"),
    ("GetFederatedUrl", "its answer signs somebody in"),
    ("GetHLSStreamingSessionURL", "it opens a session"),
    ("GetId", "it makes an identity"),
    ("GetLatestConfiguration", "it uses up the session's token"),
    ("GetObject", "a whole object is no value to compare: use HeadObject"),
    ("GetParametersForImport", "it makes a key for wrapping"),
    ("ListApiKeys", "its answer may hold API keys"),
    ("SelectObjectContent", "it runs a query over an object"),
];

/// Why a call must not be made by `aws.read`; `None` where it only reads.
#[must_use]
pub fn refused(action: &str) -> Option<String> {
    let reads = VERBS.iter().any(|verb| {
        action
            .strip_prefix(verb)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_uppercase()))
    });
    if !action.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Some("a call's name is letters and digits, as in its API reference".into());
    }
    if !reads {
        return Some("by its name it changes something, or its answer is used up by reading".into());
    }
    if let Some((_, why)) = EXCEPT.iter().find(|(name, _)| *name == action) {
        return Some((*why).to_owned());
    }
    let secret = (action.starts_with("Get") || action.starts_with("BatchGet"))
        && SECRET.iter().any(|part| action.contains(part))
        && !HARMLESS.contains(&action);
    secret.then(|| "its answer is a secret, and this check shows what it reads".to_owned())
}

/// Why a parameter turns a harmless call into one that gives away secrets.
#[must_use]
pub fn opens(key: &str) -> bool {
    ["withdecryption", "includevalue", "includevalues"].contains(&key.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_and_what_does_not() {
        for good in [
            "DescribeReplicationGroups",
            "ListQueues",
            "GetQueueAttributes",
            "HeadBucket",
            "BatchGetImage",
            "LookupEvents",
            "Query",
            "Scan",
            "GetParameters",
            "GetCredentialReport",
            "SimulatePrincipalPolicy",
            "FilterLogEvents",
        ] {
            assert_eq!(refused(good), None, "{good}");
        }
        for bad in [
            "UpdateService",
            "DeleteQueue",
            "ReceiveMessage",
            "AssumeRole",
            "GetSecretValue",
            "BatchGetSecretValue",
            "GetAuthorizationToken",
            "GetSessionToken",
            "GetFederationToken",
            "GenerateDataKey",
            "GetClusterCredentials",
            "GetClusterCredentialsWithIAM",
            "GetPasswordData",
            "GetRandomPassword",
            "GetRoleCredentials",
            "GetCredentialsForIdentity",
            "Decrypt",
            "Getaway",
            "Checkout",
            "CheckInLicense",
            "TestInvokeMethod",
            "DetectStackDrift",
            "VerifyEmailIdentity",
            "StartQuery",
            "describeServices",
            "Describe&Action=DeleteQueue",
            "",
        ] {
            assert!(refused(bad).is_some(), "{bad}");
        }
    }
}
