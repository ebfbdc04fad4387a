//! Poolers: what stands between us and a server and hands out its sessions (PgBouncer, Odyssey, RDS Proxy, Heroku's
//! connection pooling). One gives itself away by the process that it names in its greeting, which is not the process
//! that answers.

/// A pooler that was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pooler {
    /// What it does with a session between transactions.
    pub mode: PoolMode,
    /// How it was recognised, one line.
    pub why: String,
}

/// How long a client keeps the server's session that it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    /// Until it goes: settings hold.
    Session,
    /// For a transaction: settings reach others, or nobody.
    Transaction,
    /// For a statement: there are no transactions.
    Statement,
    /// It was not found out.
    Unknown,
}
