//! The log, on standard error.

use std::io::IsTerminal;

use anyhow::Result;
use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::config::{LogFormat, LogOptions};

/// What is logged. `TERTULIA_LOG` and then `RUST_LOG` go before the configured filter.
///
/// # Errors
/// When the filter cannot be read.
pub fn filter(options: &LogOptions) -> Result<EnvFilter> {
    let set = ["TERTULIA_LOG", "RUST_LOG"].into_iter().find_map(|name| {
        let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
        Some((name, text))
    });
    let (name, text) = set.unwrap_or_else(|| ("log.filter", options.filter.clone()));
    EnvFilter::try_new(&text).map_err(|_| {
        anyhow::anyhow!(
            "Configuration: `{name}` is \"{text}\", but must be a filter like \"info\" or \"info,runs=debug\"."
        )
    })
}

/// Starts logging for this process.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(options: &LogOptions) -> Result<()> {
    let filter = filter(options)?;
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
