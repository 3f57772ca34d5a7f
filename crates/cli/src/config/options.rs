//! The sections of the configuration that belong to no part: the log, and where
//! data and state live.

use serde::{Deserialize, Serialize};

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogOptions {
    /// `auto`: text on a terminal, JSON lines otherwise; or `text` or `json`.
    pub format: LogFormat,
    /// What is logged, in the syntax of `RUST_LOG`: `info`, or `info,runs=debug`.
    pub filter: String,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            format: LogFormat::Auto,
            filter: "info".to_owned(),
        }
    }
}

/// `[database]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseOptions {
    /// `sqlite:` for the embedded one in the data directory, or
    /// `postgres://user:password@host:port/database`.
    pub url: String,
    /// Connections to PostgreSQL at most.
    pub connections: usize,
    /// Threads that read the embedded database.
    pub readers: usize,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self {
            url: "sqlite:".to_owned(),
            connections: 20,
            readers: 4,
        }
    }
}

/// `[state]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StateOptions {
    /// `memory:`; each node counts for itself.
    pub url: String,
}

impl Default for StateOptions {
    fn default() -> Self {
        Self {
            url: "memory:".to_owned(),
        }
    }
}
