//! What an operator can set about the listener and its answers.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

/// `[server]`: the listener, its limits, where data lives.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Where to listen, `address:port`. Port 0 takes a free one.
    pub listen: String,
    /// The data directory: the embedded database, keys, local models. Empty:
    /// `$XDG_DATA_HOME/tertulia`.
    pub data_dir: PathBuf,
    /// The address under which clients reach the server when it is behind a
    /// proxy; error answers link to its pages. With https, the page's cookies are sent over TLS only.
    pub public_url: String,
    /// How long a stop waits for answers that are still being written.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub drain: Duration,
    /// How long a client may take to send the head of a request; an idle
    /// connection is closed after it, too.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub header_timeout: Duration,
    /// How long a client may take to send the body of a request.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub body_timeout: Duration,
    /// How long a client may take none of the bytes that wait for it, streams
    /// included, before its connection is closed.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub write_timeout: Duration,
    /// Largest body of a request, in bytes.
    pub max_body: usize,
    /// Connections at once; more wait to be accepted.
    pub max_connections: usize,
    /// Answers that one account follows at once; more are answered with 429. Open pages and exports
    /// are counted apart.
    pub max_streams_per_account: usize,
    /// Origins whose pages may call the API from a browser (CORS); none by
    /// default, `"*"` for all.
    pub cors_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            data_dir: PathBuf::new(),
            public_url: String::new(),
            drain: Duration::from_secs(30),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            max_body: 1024 * 1024,
            max_connections: 10_000,
            max_streams_per_account: 100,
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
        }
    }
}

/// `[streams]`: event streams.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamOptions {
    /// A comment line after this much silence keeps proxies awake.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub heartbeat: Duration,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(15),
        }
    }
}

/// `[errors]`: what error answers show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ErrorOptions {
    /// Adds the cause chain to error answers as `debug` (S4). For development
    /// only: causes name tables, files and upstream answers.
    pub debug: bool,
}
