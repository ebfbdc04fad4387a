//! Floor 5: arguments, wiring, exit codes.

pub mod exit;
pub mod help;
