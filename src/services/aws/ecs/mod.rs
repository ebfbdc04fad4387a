//! ECS: services, tasks and task definitions, looked at and changed; a deployment and a change of the count,
//! there and back.
//!
//! ```text
//! kind ─▶ Rollout │ Resize ─▶ services · tasks · definitions ─▶ SDK client
//!             └─▶ watch: one look a second ─▶ verdict ─▶ why: stopped tasks, their last log lines, events, scaling
//! ```
//!
//! Relied on (ECS API reference): `UpdateService` starts a deployment whose status is `PRIMARY`; its
//! `rolloutState` becomes `COMPLETED` or `FAILED`; stopped tasks are listed for an hour; `RunTask` with the
//! same `clientToken` and parameters starts nothing twice; lists come in pages of at most 100.

mod convert;
mod definitions;
mod model;
mod resize;
mod rollout;
mod services;
mod tasks;
mod verdict;
mod watch;
mod why;

pub use definitions::Images;
pub use model::{
    Container, Deployment, Event, LogPlace, Network, NewTask, Service, Started, Task, TaskDefinition, short_definition,
};
pub use resize::Resize;
pub use rollout::{Rollout, State};
pub use watch::blind;
pub use why::LogTail;

/// As messages call it.
const NAME: &str = "ECS";
/// Pages of a list that are followed: far beyond a service's 5,000 tasks, and an end all the same.
const PAGES: usize = 100;
