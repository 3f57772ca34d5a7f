//! The log, on standard error.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::config::{LogFormat, LogOptions};

/// Starts logging for this process. `TERTULIA_LOG` and then `RUST_LOG` go
/// before the configured filter.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(options: &LogOptions) -> Result<()> {
    let variable = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
    let text = variable("TERTULIA_LOG").or_else(|| variable("RUST_LOG"));
    let text = text.unwrap_or_else(|| options.filter.clone());
    let filter = EnvFilter::try_new(&text).with_context(|| {
        format!("Configuration: `log.filter` (or RUST_LOG) is `{text}`, which is no filter")
    })?;
    let json = match options.format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let subscriber = tracing_subscriber::registry().with(filter);
    // Started twice only by tests, which share one process.
    let _ = if json {
        let layer = fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(std::io::stderr);
        subscriber.with(layer).try_init()
    } else {
        let layer = fmt::layer()
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr);
        subscriber.with(layer).try_init()
    };
    Ok(())
}
