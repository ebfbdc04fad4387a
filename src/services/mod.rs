//! Floor 3: lazy clients of the systems that kinds read and change. Nothing connects before a kind
//! asks; SDK types stop here. Knows nothing of the run.

#[cfg(feature = "aws")]
pub mod aws;
pub mod dns;
#[cfg(feature = "heroku")]
pub mod heroku;
pub mod http;
pub mod kubectl;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod process;
#[cfg(feature = "redis")]
pub mod redis;
mod secrets;
pub mod terraform;
pub mod tls;
pub mod tool;

use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};

use crate::{
    base::Redactor,
    runbook::{Env, SecretRef},
};
pub use secrets::Secrets;

/// Every client of one environment. Cheap to make: no file is read and no socket opened.
pub struct Services {
    /// The environment, as resolved: the sandbox's endpoints are filled in.
    pub env: Arc<Env>,
    /// Opens `${secret.x}`.
    pub secrets: Secrets,
    /// AWS.
    #[cfg(feature = "aws")]
    pub aws: aws::Aws,
    /// Heroku's Platform API.
    #[cfg(feature = "heroku")]
    pub heroku: heroku::Heroku,
    /// PostgreSQL.
    #[cfg(feature = "postgres")]
    pub postgres: postgres::Postgres,
    /// DNS, asked directly.
    pub dns: dns::Dns,
    /// Web servers.
    pub http: http::Http,
    /// TLS servers and their certificates.
    pub tls: tls::Tls,
    /// Redis servers.
    #[cfg(feature = "redis")]
    pub redis: redis::Redis,
    /// When the run is planned to end, set by whoever knows it; nothing where nobody does.
    pub planned_end: OnceLock<DateTime<Utc>>,
}

impl Services {
    /// The clients of an environment.
    #[must_use]
    pub fn new(env: Env, secrets: &[SecretRef], redactor: Arc<Redactor>) -> Arc<Self> {
        let env = Arc::new(env);
        Arc::new_cyclic(|services| Self {
            secrets: Secrets::new(secrets.to_vec(), redactor, services.clone()),
            #[cfg(feature = "aws")]
            aws: aws::Aws::new(env.clone()),
            #[cfg(feature = "heroku")]
            heroku: heroku::Heroku::new(env.clone(), services.clone()),
            #[cfg(feature = "postgres")]
            postgres: postgres::Postgres::new(env.clone(), services.clone()),
            dns: dns::Dns::new(env.clone()),
            http: http::Http::new(env.clone()),
            tls: tls::Tls::new(env.clone()),
            #[cfg(feature = "redis")]
            redis: redis::Redis::new(env.clone()),
            planned_end: OnceLock::new(),
            env,
        })
    }
}
