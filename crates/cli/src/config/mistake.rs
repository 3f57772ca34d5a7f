//! Mistakes in the configuration, each as one sentence that names the key.

use std::path::Path;

use figment::error::Kind;

use super::Config;

/// A mistake in the configuration: one sentence that names the key.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub(super) String);

impl ConfigError {
    pub(super) fn of(key: &str, sentence: impl std::fmt::Display) -> Self {
        Self(format!("Configuration: `{key}` {sentence}."))
    }
}

impl Config {
    /// What types alone cannot say.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.store_options()?;
        if self.accounting.signup_grant.is_negative() {
            return Err(ConfigError::of(
                "accounting.signup_grant",
                "must not be negative",
            ));
        }
        for (key, url, known) in [
            ("state.url", &self.state.url, "memory:"),
            ("bus.url", &self.bus.url, "embedded:"),
        ] {
            if url != known {
                return Err(ConfigError::of(
                    key,
                    format_args!("must be \"{known}\" in this version"),
                ));
            }
        }
        for (key, value) in [
            ("database.connections", self.database.connections),
            ("database.readers", self.database.readers),
            ("server.max_body", self.server.max_body),
            ("server.max_connections", self.server.max_connections),
        ] {
            if value == 0 {
                return Err(ConfigError::of(key, "must be at least 1"));
            }
        }
        for (key, value) in [
            ("server.header_timeout", self.server.header_timeout),
            ("server.body_timeout", self.server.body_timeout),
            ("server.write_timeout", self.server.write_timeout),
            ("streams.heartbeat", self.streams.heartbeat),
            ("runs.lease", self.runs.lease),
        ] {
            if value.is_zero() {
                return Err(ConfigError::of(key, "must be longer than nothing"));
            }
        }
        for origin in &self.server.cors_origins {
            let is_origin =
                origin == "*" || origin.starts_with("http://") || origin.starts_with("https://");
            if !is_origin || origin.ends_with('/') || !origin.is_ascii() {
                let wrong = format_args!(
                    "has \"{origin}\", which is no origin like \"https://page.example\""
                );
                return Err(ConfigError::of("server.cors_origins", wrong));
            }
        }
        Ok(())
    }
}

/// The first mistake as one sentence.
pub(super) fn sentence(error: figment::Error, file: Option<&Path>) -> ConfigError {
    let Some(error) = error.into_iter().next() else {
        return ConfigError("The configuration cannot be read.".to_owned());
    };
    let from_environment = error
        .metadata
        .as_ref()
        .is_some_and(|metadata| metadata.name.contains("environment"));
    let source = match file {
        _ if from_environment => "in the environment (TERTULIA__SECTION__KEY)".to_owned(),
        Some(file) => format!("in {}", file.display()),
        None => "in the environment (TERTULIA__SECTION__KEY)".to_owned(),
    };
    let path = error.path.join(".");
    let within = |name: &str| match path.as_str() {
        "" => name.to_owned(),
        path if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        path => format!("{path}.{name}"),
    };
    ConfigError(match &error.kind {
        Kind::UnknownField(name, known) => {
            let known = known.join(", ");
            format!(
                "Unknown key `{}` {source}; known there: {known}.",
                within(name)
            )
        }
        Kind::MissingField(name) => format!("The key `{}` is missing {source}.", within(name)),
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
            format!("The key `{path}` {source} is {found}, but must be {expected}.")
        }
        Kind::UnknownVariant(found, known) => {
            let known = known.join(", ");
            format!("The key `{path}` {source} is `{found}`, but must be one of: {known}.")
        }
        kind => format!("The key `{path}` {source} is not usable: {kind}."),
    })
}
