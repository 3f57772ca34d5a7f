//! The configuration: defaults, then the file, then the environment
//! (`TERTULIA__SECTION__KEY`). What a key means stands with the part it belongs
//! to; here they are put together, and mistakes become one sentence.

mod mistake;
mod options;
mod variables;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};
use serde::{Deserialize, Serialize};

use crate::args::Settings;

pub use mistake::ConfigError;
pub use options::{DatabaseOptions, LogFormat, LogOptions, StateOptions};
pub use variables::unread_variables;

use mistake::{check_address, not_toml, sentence};
use variables::PREFIX;

/// Everything an operator can set.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The listener, its limits, the data directory.
    pub server: api::ServerOptions,
    /// Event streams.
    pub streams: api::StreamOptions,
    /// Error answers.
    pub errors: api::ErrorOptions,
    /// What is logged, and how.
    pub log: LogOptions,
    /// Where the data lives.
    pub database: DatabaseOptions,
    /// Where short-lived state lives.
    pub state: StateOptions,
    /// How events travel.
    pub bus: bus::Options,
    /// Accounts and tokens.
    pub security: security::Options,
    /// Credits.
    pub accounting: accounting::Options,
    /// Runs.
    pub runs: runs::Options,
    /// Conversations.
    pub conversations: conversations::Options,
    /// Answers.
    pub chat: chat::Options,
    /// Models that run in this process.
    pub local: orchestrator::LocalOptions,
    /// Who serves models.
    pub providers: Vec<orchestrator::ProviderOptions>,
    /// What users can name.
    pub models: Vec<orchestrator::ModelOptions>,
}

impl Config {
    /// Reads the file (if there is one) and the environment.
    ///
    /// # Errors
    /// One sentence that names the file or the key.
    pub fn load(settings: &Settings) -> Result<Self, ConfigError> {
        // A class of which one key is set keeps the default of the other; each has its own.
        let limits = security::RateLimits::default();
        let mut figment = Figment::from(Serialized::default("security.rate_limit", limits));
        let file = settings.file();
        if let Some(file) = &file {
            let text = std::fs::read_to_string(file).map_err(|error| {
                ConfigError(format!(
                    "The configuration file {} cannot be read: {error}.",
                    file.display()
                ))
            })?;
            text.parse::<toml::Table>()
                .map_err(|error| not_toml(file, &text, &error))?;
            figment = figment.merge(Toml::string(&text));
        }
        let mut config: Self = figment
            .merge(environment())
            .extract()
            .map_err(|error| sentence(error, file.as_deref()))?;
        if let Some(directory) = &settings.data_dir {
            config.server.data_dir.clone_from(directory);
        }
        if config.server.data_dir.as_os_str().is_empty() {
            config.server.data_dir = default_data_dir()?;
        }
        config.check()?;
        Ok(config)
    }

    /// Listens there instead of at `server.listen` (`serve --listen`).
    ///
    /// # Errors
    /// When it is no address with a port.
    pub fn listen_at(&mut self, address: String) -> Result<(), ConfigError> {
        check_address("--listen", &address)?;
        self.server.listen = address;
        Ok(())
    }

    /// Everything else that a start would refuse, as far as it can be said without the machine: no
    /// database and no port is touched. Answers the models, which are most of it.
    ///
    /// # Errors
    /// One sentence that names the key.
    pub fn verify(&self) -> anyhow::Result<orchestrator::Orchestrator> {
        crate::logging::filter(&self.log)?;
        let store = self.store_options()?;
        store
            .check()
            .map_err(|error| anyhow::anyhow!("Configuration: {}", error.detail()))?;
        let models = orchestrator::Orchestrator::new(&self.orchestrator(), &self.server.data_dir);
        models.map_err(|error| anyhow::anyhow!("Configuration: {error}"))
    }

    /// Where the store lives.
    ///
    /// # Errors
    /// When `database.url` names no database that this program knows.
    pub fn store_options(&self) -> Result<store::Options, ConfigError> {
        let url = self.database.url.as_str();
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(store::Options::Postgres {
                url: url.to_owned(),
                connections: self.database.connections,
            });
        }
        let directory = match url.strip_prefix("sqlite:") {
            _ if url.is_empty() => self.server.data_dir.clone(),
            Some("" | "//") => self.server.data_dir.clone(),
            Some(rest) => PathBuf::from(rest.strip_prefix("//").unwrap_or(rest)),
            None => {
                let wrong = "must be \"sqlite:\" or begin with \"postgres://\"";
                return Err(ConfigError::of("database.url", wrong));
            }
        };
        Ok(store::Options::Sqlite {
            directory,
            readers: self.database.readers,
        })
    }

    /// What the orchestrator owns of it.
    #[must_use]
    pub fn orchestrator(&self) -> orchestrator::Options {
        orchestrator::Options {
            local: self.local.clone(),
            providers: self.providers.clone(),
            models: self.models.clone(),
        }
    }

    /// What the door owns of it.
    #[must_use]
    pub fn api(&self) -> api::Options {
        api::Options {
            server: self.server.clone(),
            streams: self.streams.clone(),
            errors: self.errors.clone(),
        }
    }

    /// The configuration in force as TOML, secrets masked.
    ///
    /// # Errors
    /// When it cannot be written, which would be a fault.
    pub fn masked(&self) -> Result<String, toml::ser::Error> {
        let mut shown = self.clone();
        let variable = |name: &str| std::env::var(name).ok();
        let added = orchestrator::openai_from_environment(&shown.providers, &variable);
        shown.providers.extend(added);
        shown.database.url = masked_url(&shown.database.url);
        toml::to_string(&shown)
    }
}

/// `postgres://user:password@host/db` without its password.
fn masked_url(url: &str) -> String {
    let masked = || {
        let (scheme, rest) = url.split_once("://")?;
        let (who, place) = rest.rsplit_once('@')?;
        let (user, _) = who.split_once(':')?;
        Some(format!("{scheme}://{user}:********@{place}"))
    };
    let url = masked().unwrap_or_else(|| url.to_owned());
    // A password can also stand in the query.
    match url.split_once("password=") {
        Some((before, after)) => {
            let rest = after.find('&').map_or("", |at| &after[at..]);
            format!("{before}password=********{rest}")
        }
        None => url,
    }
}

fn environment() -> Env {
    Env::prefixed(PREFIX)
        .map(|key| match key.as_str() {
            // The contract's name for it; `models` is a list in the file.
            name if name.eq_ignore_ascii_case("MODELS__DIR") => "LOCAL__MODELS_DIR".into(),
            _ => key.into(),
        })
        .split("__")
}

fn default_data_dir() -> Result<PathBuf, ConfigError> {
    let variable = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    variable("XDG_DATA_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".local").join("share")))
        .map(|base| base.join("tertulia"))
        .ok_or_else(|| {
            let missing = "is not set, and neither XDG_DATA_HOME nor HOME says where data goes; use --data-dir";
            ConfigError::of("server.data_dir", missing)
        })
}
