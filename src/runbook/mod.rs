//! Floor 1: the runbook as its author wrote it: format, places, mistakes. Knows nothing of how
//! steps run.
//!
//! ```text
//! bytes ─parse→ Runbook (every text unresolved, every value with its span) ─resolve(env)→ Values
//!    └────────── Diagnostics: every mistake of the file at once, rustc-like ──────┘
//! ```

mod model;
pub mod value;

pub use model::{
    AwsEnv, Clocks, DnsEnv, Env, EnvKind, HerokuEnv, HttpEnv, KindTable, OnFail, Person, Retry, Rollback, Runbook,
    SandboxEnv, Scalar, SecretRef, SecretSource, Step, Stop, Watch, Window,
};
