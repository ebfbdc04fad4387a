//! Floor 1: the runbook as its author wrote it: format, places, mistakes. Knows nothing of how
//! steps run.
//!
//! ```text
//! bytes ─parse→ Runbook (every text unresolved, every value with its span) ─resolve(env)→ Values
//!    └────────── Diagnostics: every mistake of the file at once, rustc-like ──────┘
//! ```

mod bind;
mod canonical;
mod meaning;
mod mistakes;
mod model;
mod parse;
mod resolve;
mod source;
mod syntax;
mod template;
pub mod units;
pub mod value;

pub use canonical::canonical;
pub use mistakes::{Code, Diagnostic, Diagnostics, Severity, nearest};

pub use model::{
    AwsEnv, Clocks, DatabaseEnv, DnsEnv, Env, EnvKind, HerokuEnv, HttpEnv, KindTable, Lack, OnFail, Person, Retry,
    Rollback, Runbook, SandboxEnv, Scalar, SecretRef, SecretSource, Step, Stop, Watch, Window,
};
pub use parse::{MAX_BYTES, MAX_STEPS, Parsed, parse};
pub use resolve::Resolver;
pub use source::{Place, Source, sha256_hex};
