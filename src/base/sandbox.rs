//! The keys of the built-in world, known to its servers and to the clients that talk to them. They
//! open nothing outside of loopback and are no secrets.

/// AWS access key id.
pub const ACCESS_KEY_ID: &str = "AKIASANDBOX000000000";
/// AWS secret access key; the sandbox checks signatures made with it.
pub const SECRET_ACCESS_KEY: &str = "sandbox/opens/nothing/outside/of/loopback";
/// Heroku API key.
pub const HEROKU_API_KEY: &str = "sandbox-key";
