//! Region, credentials and endpoints, loaded once when somebody first asks. In a sandbox nothing of
//! the user's configuration is read, and nothing but loopback is reached.
//!
//! Everything else is the AWS SDK's own chain: environment, profile, SSO, `credential_process`,
//! container and instance roles, `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_<SERVICE>`.

use std::{
    sync::{Arc, Once, OnceLock},
    time::{Duration, SystemTime},
};

use aws_config::{
    BehaviorVersion, Region, SdkConfig, identity::IdentityCache, profile::ProfileFileCredentialsProvider,
    provider_config::ProviderConfig, retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future},
};
use aws_smithy_http_client::{Builder, tls};
use aws_types::service_config::ServiceConfigKey;
use tokio::sync::Mutex;

use super::{
    call::{ATTEMPT, CONNECT},
    renew::Renew,
};
use crate::{
    base::{Class, Failure, clean_line, sandbox},
    runbook::{AwsEnv, Env, EnvKind},
};

/// Credentials are asked for again this long before they end.
const EARLY: Duration = Duration::from_secs(5 * 60);
/// Credentials that cannot be renewed are used until this long before they end.
const LAST: Duration = Duration::from_secs(30);
/// Who a session of an assumed role is where the environment does not say.
const SESSION: &str = "gonogo";
/// Where nothing says which region: only the sandbox has a default, because a wrong region is another world.
const SANDBOX_REGION: &str = "eu-west-1";

/// One loaded configuration and the clients that share it.
pub(super) struct Session {
    pub region: String,
    pub keys: Arc<Keys>,
    pub http: reqwest::Client,
    /// How the credentials are renewed.
    pub renew: Renew,
    /// The role that is assumed on top of them.
    pub role: Option<String>,
    aws: AwsEnv,
    config: SdkConfig,
    route53: OnceLock<aws_sdk_route53::Client>,
    ecs: OnceLock<aws_sdk_ecs::Client>,
}

/// A service as it is named in its four places.
#[derive(Debug, Clone, Copy)]
pub(super) struct Service<'a> {
    /// In messages.
    pub name: &'a str,
    /// In host names and the runbook's `endpoints`.
    pub host: &'a str,
    /// In signatures.
    pub signs: &'a str,
    /// In the SDK's configuration (`AWS_ENDPOINT_URL_…`, `[services …]`).
    pub id: &'a str,
    /// API version of the query protocol; empty elsewhere.
    pub version: &'a str,
    /// Where it is.
    pub place: Place<'a>,
    /// A label before the host where AWS itself answers (a bucket, in S3's virtual-hosted style); empty elsewhere.
    pub label: &'a str,
}

/// Where a service answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// In the environment's region.
    Here,
    /// In this region.
    Region(&'a str),
    /// In one place for the whole partition (IAM, `CloudFront`).
    Global,
}

impl<'a> Service<'a> {
    /// A service of the environment's region whose signature names its host.
    pub const fn new(name: &'a str, host: &'a str, id: &'a str, version: &'a str) -> Self {
        Self { name, host, signs: host, id, version, place: Place::Here, label: "" }
    }

    /// The service in a region; in the environment's where none is given.
    pub const fn at(self, region: Option<&'a str>) -> Self {
        match region {
            Some(region) => Self { place: Place::Region(region), ..self },
            None => self,
        }
    }
}

impl Session {
    /// Reads the configuration.
    ///
    /// # Errors
    /// `Misconfigured`.
    pub async fn load(env: &Env) -> Result<Self, Failure> {
        tls_provider();
        let aws = env.aws.clone().unwrap_or_default();
        let sandbox = env.kind == EnvKind::Sandbox;
        if sandbox {
            loopback_only(&aws)?;
        }
        let config = if sandbox { fixed(&aws) } else { chain(&aws).await };
        let renew = if sandbox { Renew::unknown(aws.profile.as_deref()) } else { Renew::find(&aws).await };
        let Some(region) = config.region().map(ToString::to_string) else {
            return Err(Failure::new(Class::Misconfigured, "no AWS region is known")
                .hint("give the environment's `aws` a `region`, set AWS_REGION, or give the profile one"));
        };
        let provider = config
            .credentials_provider()
            .ok_or_else(|| Failure::new(Class::Denied, "no AWS credentials are configured").hint(renew.hint()))?;
        let role = aws.role.clone().filter(|_| !sandbox);
        let provider = match &role {
            Some(role) => assumed(role, &aws, &config, provider).await,
            None => provider,
        };
        let keys = Arc::new(Keys { provider, cached: Mutex::new(None) });
        let config = config
            .into_builder()
            .credentials_provider(SharedCredentialsProvider::new(Shared(keys.clone())))
            .identity_cache(IdentityCache::no_cache())
            .build();
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ATTEMPT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("gonogo/", env!("CARGO_PKG_VERSION")));
        if sandbox {
            http = http.no_proxy();
        }
        let http =
            http.build().map_err(|e| Failure::new(Class::Misconfigured, "no HTTP client").because(e.to_string()))?;
        Ok(Self { region, keys, http, renew, role, aws, config, route53: OnceLock::new(), ecs: OnceLock::new() })
    }

    /// Route 53's official client.
    pub fn route53(&self) -> &aws_sdk_route53::Client {
        self.route53.get_or_init(|| {
            let mut config = aws_sdk_route53::config::Builder::from(&self.config);
            config.set_endpoint_url(self.written("route53").or(config_endpoint(&self.config, "Route 53")));
            aws_sdk_route53::Client::from_conf(config.build())
        })
    }

    /// ECS's official client.
    pub fn ecs(&self) -> &aws_sdk_ecs::Client {
        self.ecs.get_or_init(|| {
            let mut config = aws_sdk_ecs::config::Builder::from(&self.config);
            config.set_endpoint_url(self.written("ecs").or(config_endpoint(&self.config, "ECS")));
            aws_sdk_ecs::Client::from_conf(config.build())
        })
    }

    /// The endpoint that the runbook's environment gives, if any.
    fn written(&self, host: &str) -> Option<String> {
        written(&self.aws, host)
    }

    /// The region that a request to a service is signed for.
    pub fn region_of<'a>(&'a self, service: &Service<'a>) -> &'a str {
        match service.place {
            Place::Here => &self.region,
            Place::Region(region) => region,
            Place::Global => global_region(&self.region),
        }
    }

    /// The endpoint that somebody wrote down: the runbook, else the SDK's configuration.
    pub fn custom(&self, service: &Service<'_>) -> Option<String> {
        let named = self.aws.endpoints.get(service.host).or(self.aws.endpoints.get(service.signs));
        named.cloned().or_else(|| self.written(service.host)).or_else(|| config_endpoint(&self.config, service.id))
    }

    /// Where a service is: what somebody wrote down, else AWS itself.
    pub fn endpoint(&self, service: &Service<'_>) -> String {
        let region = self.region_of(service);
        let suffix = domain(region);
        let dot = if service.label.is_empty() { "" } else { "." };
        let host = format!("{}{dot}{}", service.label, service.host);
        self.custom(service).unwrap_or_else(|| match service.place {
            Place::Global => format!("https://{host}.{suffix}"),
            Place::Here | Place::Region(_) => format!("https://{host}.{region}.{suffix}"),
        })
    }
}

fn written(aws: &AwsEnv, host: &str) -> Option<String> {
    aws.endpoints.get(host).or(aws.endpoint.as_ref()).cloned()
}

/// The environment's role, assumed with what the chain gives, at the STS that the environment names.
async fn assumed(
    role: &str,
    aws: &AwsEnv,
    config: &SdkConfig,
    provider: SharedCredentialsProvider,
) -> SharedCredentialsProvider {
    let config = match written(aws, "sts") {
        Some(endpoint) => config.to_builder().endpoint_url(endpoint).build(),
        None => config.clone(),
    };
    let mut role = aws_config::sts::AssumeRoleProvider::builder(role)
        .session_name(aws.role_session_name.as_deref().unwrap_or(SESSION))
        .configure(&config);
    if let Some(id) = &aws.external_id {
        role = role.external_id(id);
    }
    SharedCredentialsProvider::new(role.build_from_provider(provider).await)
}

/// As an SDK client looks it up: the service's own setting before the one for all.
fn config_endpoint(config: &SdkConfig, service_id: &str) -> Option<String> {
    let key =
        ServiceConfigKey::builder().service_id(service_id).env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    config
        .service_config()
        .zip(key.ok())
        .and_then(|(settings, key)| settings.load_config(key))
        .or_else(|| config.endpoint_url().map(ToOwned::to_owned))
}

/// The region that the global services of a region's partition are signed for (`partitions.json`).
fn global_region(region: &str) -> &'static str {
    const REGIONS: &[(&str, &str)] = &[
        ("cn-", "cn-northwest-1"),
        ("eu-isoe-", "eu-isoe-west-1"),
        ("eusc-", "eusc-de-east-1"),
        ("us-gov-", "us-gov-west-1"),
        ("us-iso-", "us-iso-east-1"),
        ("us-isob-", "us-isob-east-1"),
        ("us-isof-", "us-isof-south-1"),
    ];
    REGIONS.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("us-east-1", |(_, global)| global)
}

/// The DNS suffix of a region's partition (`partitions.json` of the SDKs).
fn domain(region: &str) -> &'static str {
    const SUFFIXES: &[(&str, &str)] = &[
        ("cn-", "amazonaws.com.cn"),
        ("eu-isoe-", "cloud.adc-e.uk"),
        ("eusc-", "amazonaws.eu"),
        ("us-iso-", "c2s.ic.gov"),
        ("us-isob-", "sc2s.sgov.gov"),
        ("us-isof-", "csp.hci.ic.gov"),
    ];
    SUFFIXES.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("amazonaws.com", |(_, suffix)| suffix)
}

/// `reqwest` has no TLS provider of its own here; somebody may have installed one already.
fn tls_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

fn limits() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build()
}

/// The sandbox's configuration: nothing is read from anywhere.
fn fixed(aws: &AwsEnv) -> SdkConfig {
    let region = aws.region.clone().unwrap_or_else(|| SANDBOX_REGION.into());
    let keys = Credentials::new(sandbox::ACCESS_KEY_ID, sandbox::SECRET_ACCESS_KEY, None, None, "sandbox");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .http_client(Builder::new().build_http())
        .retry_config(RetryConfig::disabled())
        .timeout_config(limits())
        .build()
}

/// The user's configuration, as every AWS tool reads it: a profile that is named beats the keys in the environment's
/// variables, as `--profile` does in the AWS CLI; the SDK's own chain would take the variables.
async fn chain(aws: &AwsEnv) -> SdkConfig {
    let ring = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
    let http = Builder::new().tls_provider(ring).build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http.clone())
        .retry_config(RetryConfig::disabled())
        .timeout_config(limits());
    if let Some(region) = &aws.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(profile) = &aws.profile {
        loader = loader.profile_name(profile);
    }
    let config = loader.load().await;
    let Some(profile) = &aws.profile else { return config };
    let asks = ProviderConfig::without_region()
        .with_region(config.region().cloned())
        .with_http_client(http)
        .with_retry_config(RetryConfig::disabled())
        .with_timeout_config(limits());
    let named = ProfileFileCredentialsProvider::builder().configure(&asks).profile_name(profile).build();
    config.into_builder().credentials_provider(SharedCredentialsProvider::new(named)).build()
}

/// A sandbox environment must not be able to reach the real world, whatever the file says.
fn loopback_only(aws: &AwsEnv) -> Result<(), Failure> {
    for endpoint in aws.endpoint.iter().chain(aws.endpoints.values()) {
        let host = reqwest::Url::parse(endpoint).ok().and_then(|url| url.host_str().map(ToOwned::to_owned));
        let local = host.as_deref().is_some_and(|host| {
            let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
            host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
        });
        if !local {
            let words = format!("a sandbox environment must not reach {}", clean_line(endpoint, 200));
            return Err(Failure::new(Class::Misconfigured, words).hint("a sandbox's endpoints are loopback addresses"));
        }
    }
    if aws.endpoint.is_none() {
        return Err(Failure::new(Class::Misconfigured, "the sandbox has no endpoint")
            .hint("`gonogo sandbox` prints the endpoint to use"));
    }
    Ok(())
}

/// Credentials, asked for when they are needed and again before they end.
pub(super) struct Keys {
    provider: SharedCredentialsProvider,
    cached: Mutex<Option<Credentials>>,
}

impl Keys {
    /// Credentials that are still good for a while, or the best there are.
    ///
    /// # Errors
    /// What the provider chain says.
    pub async fn get(&self) -> Result<Credentials, CredentialsError> {
        let mut cached = self.cached.lock().await;
        if let Some(keys) = cached.as_ref()
            && keys.expiry().is_none_or(|end| end > SystemTime::now() + EARLY)
        {
            return Ok(keys.clone());
        }
        match self.provider.provide_credentials().await {
            Ok(fresh) => {
                *cached = Some(fresh.clone());
                Ok(fresh)
            }
            // A sign-in that ended lets the keys that it gave live on for a while.
            Err(error) => cached
                .clone()
                .filter(|keys| keys.expiry().is_some_and(|end| end > SystemTime::now() + LAST))
                .ok_or(error),
        }
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

/// [`Keys`] as the SDK clients take them.
#[derive(Debug)]
struct Shared(Arc<Keys>);

impl ProvideCredentials for Shared {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.0.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_stays_on_loopback() {
        let env = |endpoint: &str| AwsEnv { endpoint: Some(endpoint.into()), ..AwsEnv::default() };
        for good in ["http://127.0.0.1:5000", "http://localhost:1", "http://[::1]:9"] {
            assert!(loopback_only(&env(good)).is_ok(), "{good}");
        }
        for bad in ["https://ecs.eu-west-1.amazonaws.com", "http://127.0.0.1.evil.example", "nonsense"] {
            assert_eq!(loopback_only(&env(bad)).unwrap_err().class, Class::Misconfigured, "{bad}");
        }
        assert!(loopback_only(&AwsEnv::default()).is_err());
    }

    #[test]
    fn where_a_service_is() {
        tls_provider();
        let session = |endpoints: &[(&str, &str)]| Session {
            region: "eu-west-1".into(),
            keys: Arc::new(Keys {
                provider: SharedCredentialsProvider::new(Credentials::new("a", "b", None, None, "test")),
                cached: Mutex::new(None),
            }),
            http: reqwest::Client::new(),
            renew: Renew::unknown(None),
            role: None,
            aws: AwsEnv {
                endpoints: endpoints.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
                ..AwsEnv::default()
            },
            config: SdkConfig::builder().build(),
            route53: OnceLock::new(),
            ecs: OnceLock::new(),
        };
        let s3 = Service { label: "acme-uploads", ..Service::new("S3", "s3", "S3", "") };
        let real = session(&[]);
        assert_eq!(real.endpoint(&s3), "https://acme-uploads.s3.eu-west-1.amazonaws.com");
        assert_eq!(real.endpoint(&s3.at(Some("us-east-1"))), "https://acme-uploads.s3.us-east-1.amazonaws.com");
        assert_eq!(real.region_of(&s3.at(Some("us-east-1"))), "us-east-1");
        let ecr = Service { signs: "ecr", ..Service::new("ECR", "api.ecr", "ECR", "") };
        assert_eq!(real.endpoint(&ecr), "https://api.ecr.eu-west-1.amazonaws.com");
        // What somebody wrote down is taken as it is: a bucket is then part of the path.
        let local = session(&[("s3", "http://127.0.0.1:9000"), ("ecr", "http://127.0.0.1:9001")]);
        assert_eq!(local.endpoint(&s3), "http://127.0.0.1:9000");
        assert_eq!(local.endpoint(&ecr), "http://127.0.0.1:9001");
    }

    #[test]
    fn partitions() {
        assert_eq!(domain("eu-west-1"), "amazonaws.com");
        assert_eq!(domain("us-gov-west-1"), "amazonaws.com");
        assert_eq!(domain("cn-north-1"), "amazonaws.com.cn");
        assert_eq!(domain("us-isob-east-1"), "sc2s.sgov.gov");
    }
}
