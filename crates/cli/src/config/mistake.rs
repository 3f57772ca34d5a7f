//! Mistakes in the configuration, each as one sentence that names the key.

use std::path::Path;

use figment::error::{Actual, Kind};

use super::{
    Config,
    variables::{variable_below, variable_of},
};

/// Connections to the database, or threads that read it, at most: each takes memory, and a machine has few cores.
const MOST_WAYS: usize = 1024;

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
        check_address("server.listen", &self.server.listen)?;
        let public = &self.server.public_url;
        if !public.is_empty() && !is_public(public) {
            let wrong = format_args!(
                "is \"{public}\", but must be an address like \"https://chat.example.org\" or \
                 \"https://example.org:8443/chat\""
            );
            return Err(ConfigError::of("server.public_url", wrong));
        }
        self.check_numbers()?;
        self.check_durations()?;
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

    /// Numbers with which nobody would be served.
    fn check_numbers(&self) -> Result<(), ConfigError> {
        for (key, value) in [
            ("database.connections", self.database.connections),
            ("database.readers", self.database.readers),
        ] {
            if !(1..=MOST_WAYS).contains(&value) {
                let wrong = format_args!("is {value}, but must be from 1 to {MOST_WAYS}");
                return Err(ConfigError::of(key, wrong));
            }
        }
        let (server, limits) = (&self.server, &self.security.rate_limit);
        for (key, is_zero) in [
            ("server.max_body", server.max_body == 0),
            ("server.max_connections", server.max_connections == 0),
            (
                "server.max_streams_per_account",
                server.max_streams_per_account == 0,
            ),
            (
                "security.lockout.attempts",
                self.security.lockout.attempts == 0,
            ),
            (
                "security.rate_limit.chat.requests",
                limits.chat.requests == 0,
            ),
            (
                "security.rate_limit.reads.requests",
                limits.reads.requests == 0,
            ),
            (
                "security.rate_limit.sign_in.requests",
                limits.sign_in.requests == 0,
            ),
            ("runs.max_active", self.runs.max_active == 0),
            (
                "conversations.title_chars",
                self.conversations.title_chars == 0,
            ),
            (
                "conversations.prompt_bytes",
                self.conversations.prompt_bytes == 0,
            ),
            (
                "conversations.max_per_account",
                self.conversations.max_per_account == 0,
            ),
        ] {
            if is_zero {
                return Err(ConfigError::of(key, "must be at least 1"));
            }
        }
        Ok(())
    }

    /// Times that would have passed before anything is done, and windows that hold no attempt.
    fn check_durations(&self) -> Result<(), ConfigError> {
        let (security, limits) = (&self.security, &self.security.rate_limit);
        for (key, value) in [
            ("server.header_timeout", self.server.header_timeout),
            ("server.body_timeout", self.server.body_timeout),
            ("server.write_timeout", self.server.write_timeout),
            ("streams.heartbeat", self.streams.heartbeat),
            ("bus.poll", self.bus.poll),
            ("bus.lease", self.bus.lease),
            ("security.access_ttl", security.access_ttl),
            ("security.refresh_ttl", security.refresh_ttl),
            ("security.lockout.window", security.lockout.window),
            ("security.rate_limit.chat.window", limits.chat.window),
            ("security.rate_limit.reads.window", limits.reads.window),
            ("security.rate_limit.sign_in.window", limits.sign_in.window),
            ("runs.lease", self.runs.lease),
        ] {
            if value.is_zero() {
                return Err(ConfigError::of(key, "must be longer than nothing"));
            }
        }
        Ok(())
    }
}

/// Something to listen at: an address or a name, and a port.
pub(super) fn check_address(key: &str, listen: &str) -> Result<(), ConfigError> {
    let parts = listen.rsplit_once(':');
    if parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
        return Ok(());
    }
    let wrong =
        format_args!("is \"{listen}\", but must be an address and a port, like \"127.0.0.1:8080\"");
    Err(ConfigError::of(key, wrong))
}

/// Whether it is `http(s)://host[:port][/path]` and nothing more: links and cookies are made of it.
fn is_public(url: &str) -> bool {
    let after = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let Some(host) = after.map(|after| after.split('/').next().unwrap_or(after)) else {
        return false;
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/%[]".contains(&byte);
    !host.is_empty()
        && !host.ends_with(':')
        && url.bytes().all(is_plain)
        && reqwest::Url::parse(url).is_ok()
}

/// A file that is no TOML, and where it stops being one.
pub(super) fn not_toml(file: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let at = error.span().map_or(0, |span| span.start.min(text.len()));
    let before = &text.as_bytes()[..at];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let what = error.message().replace('\n', ", ");
    ConfigError(format!(
        "{} is not TOML: line {line}: {}.",
        file.display(),
        what.trim_end_matches('.')
    ))
}

/// The first mistake as one sentence.
pub(super) fn sentence(error: figment::Error, file: Option<&Path>) -> ConfigError {
    let Some(error) = error.into_iter().next() else {
        return ConfigError("The configuration cannot be read.".to_owned());
    };
    let path = error.path.join(".");
    let within = |name: &str| match path.as_str() {
        "" => name.to_owned(),
        path if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        path => format!("{path}.{name}"),
    };
    let key = match &error.kind {
        Kind::UnknownField(name, _) => within(name),
        Kind::MissingField(name) => within(name),
        _ => path.clone(),
    };
    let variable = variable_of(&key).or_else(|| match &error.kind {
        Kind::UnknownField(..) => variable_below(&key),
        _ => None,
    });
    let source = match (variable, file) {
        (Some(variable), _) => format!("in the environment ({variable})"),
        (None, Some(file)) => format!("in {}", file.display()),
        (None, None) => "in the environment (TERTULIA__SECTION__KEY)".to_owned(),
    };
    ConfigError(match &error.kind {
        Kind::UnknownField(_, known) => {
            let known = known.join(", ");
            format!("Unknown key `{key}` {source}; known there: {known}.")
        }
        Kind::MissingField(_) => format!("The key `{key}` is missing {source}."),
        Kind::InvalidType(found, wanted) | Kind::InvalidValue(found, wanted) => {
            let (found, wanted) = (found_in_words(found), wanted_in_words(wanted));
            format!("The key `{key}` {source} is {found}, but must be {wanted}.")
        }
        Kind::UnknownVariant(found, known) => {
            let known = known.join(", ");
            format!("The key `{key}` {source} is `{found}`, but must be one of: {known}.")
        }
        // The duration's own words are about its grammar.
        Kind::Message(message) if message.contains("\"friendly\"") => {
            format!("The key `{key}` {source} must be {DURATION}.")
        }
        kind => format!("The key `{key}` {source} is not usable: {kind}."),
    })
}

const DURATION: &str = "a duration like \"500ms\", \"15s\" or \"24h\"";

/// A value as it was found, in the words of the file.
fn found_in_words(found: &Actual) -> String {
    match found {
        Actual::Bool(value) => value.to_string(),
        Actual::Unsigned(value) => format!("the number {value}"),
        Actual::Signed(value) => format!("the number {value}"),
        Actual::Float(value) => format!("the number {value}"),
        Actual::Char(value) => format!("the text \"{value}\""),
        Actual::Str(value) => format!("the text \"{value}\""),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a table".to_owned(),
        _ => "something else".to_owned(),
    }
}

/// What a key takes, in the words of the file; the types that read it have others.
fn wanted_in_words(wanted: &str) -> String {
    let most = |most: u64| format!("a whole number from 0 to {most}");
    match wanted {
        "u8" => most(u8::MAX.into()),
        "u16" => most(u16::MAX.into()),
        "u32" => most(u32::MAX.into()),
        "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" | "bool" => "true or false".to_owned(),
        "a string" | "string" | "str" | "path string" => "a text in quotes".to_owned(),
        "a sequence" | "sequence" => "a list".to_owned(),
        "an unsigned duration string" => DURATION.to_owned(),
        _ if wanted.contains("map") || wanted.starts_with("struct ") => {
            "a table (a section of its own)".to_owned()
        }
        _ => wanted.to_owned(),
    }
}
