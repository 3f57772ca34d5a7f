//! The sections of the configuration that belong to no part: the log, and where
//! data, state and events live.

use figment::value::{Dict, Value};
use serde::{Deserialize, Deserializer, Serialize, de};

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

/// `[bus]`: where events go, and the delivery's own keys beside it.
#[derive(Debug, Clone, Serialize)]
pub struct BusOptions {
    /// `embedded:`; through the database.
    pub url: String,
    /// How events are delivered.
    #[serde(flatten)]
    pub delivery: bus::Options,
}

impl Default for BusOptions {
    fn default() -> Self {
        Self {
            url: "embedded:".to_owned(),
            delivery: bus::Options::default(),
        }
    }
}

impl<'de> Deserialize<'de> for BusOptions {
    /// Taken apart by hand, because a flattened section would let unknown keys pass.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut keys = Dict::deserialize(deserializer)?;
        let url = match keys.remove("url") {
            None => Self::default().url,
            Some(url) => url
                .into_string()
                .ok_or_else(|| de::Error::custom("url: must be a text"))?,
        };
        let delivery = Value::from(keys)
            .deserialize::<bus::Options>()
            .map_err(|error| {
                let (key, kind) = (error.path.join("."), &error.kind);
                de::Error::custom(format_args!("{key}: {kind}"))
            })?;
        Ok(Self { url, delivery })
    }
}
