//! The log, on standard error.

use std::io::IsTerminal;

use anyhow::Result;
use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt, prelude::*};

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
    read(&text).ok_or_else(|| {
        anyhow::anyhow!(
            "Configuration: `{name}` is \"{text}\", but must be a filter like \"info\" or \"info,runs=debug\": \
             each part ends in a level (error, warn, info, debug, trace) or in off."
        )
    })
}

/// A filter in which each part names a level. A word that is none would be taken for the place to log from, and
/// everything else would be silent.
fn read(text: &str) -> Option<EnvFilter> {
    let parts: Vec<_> = text.split(',').map(str::trim).collect();
    let names_level = |part: &&str| {
        let level = part.rsplit_once('=').map_or(*part, |(_, level)| level);
        !level.is_empty() && level.parse::<LevelFilter>().is_ok()
    };
    if !parts.iter().all(names_level) {
        return None;
    }
    EnvFilter::try_new(parts.join(",")).ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_names_a_level_in_each_part() {
        for right in [
            "info",
            "WARN",
            "off",
            "info,runs=debug",
            " info , runs=debug",
            "warn,store::sqlite=trace,hyper=off",
            "info,[request{id=7}]=debug",
        ] {
            assert!(read(right).is_some(), "{right}");
        }
        for wrong in [
            "",
            " ",
            ",",
            "info,",
            "warning",
            "errors",
            "verbose",
            "none",
            "runs",
            "runs=",
            "runs=loud",
            "info,runs",
            "warning,runs=debug",
            "[request{id=info}]",
        ] {
            assert!(read(wrong).is_none(), "{wrong}");
        }
    }
}
