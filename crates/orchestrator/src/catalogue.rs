//! The catalogue: which models there are and where each is served, from the
//! configuration, the environment and the models directory, checked once at
//! the start. Not here: calls (`orchestrator`) and what models cost in a given case (`accounting`).

mod check;

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use indexmap::IndexMap;
use kernel::Credits;
use serde::Deserialize;

use crate::options::{
    DeploymentOptions, ModelKind, ModelOptions, Options, ProviderKind, ProviderOptions,
};
use check::{check_local, check_model, check_providers};

/// The name of the provider in this process.
pub const LOCAL: &str = "local";
/// The variable whose presence alone adds a provider.
const OPENAI_KEY: &str = "OPENAI_API_KEY";
/// The name of that provider.
pub const OPENAI: &str = "openai";
/// The model that the installation fetches; the default among the local ones.
const SHIPPED_FILE: &str = "SmolLM2-135M-Instruct";

/// Why the configuration of models cannot be used: a sentence that names the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// What users name when they ask.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The name.
    pub id: String,
    /// What it is for.
    pub kind: ModelKind,
    /// Tokens of prompt and answer together.
    pub context_window: u32,
    /// Tokens of one answer at most.
    pub max_output_tokens: Option<u32>,
    /// What it costs; without a price it is for admins only, and free.
    pub prices: Option<Prices>,
    /// It spends tokens that nobody sees before it answers.
    pub hidden_reasoning: bool,
    /// Where it is served, the preferred one first; never empty.
    pub deployments: Vec<Deployment>,
}

/// Credits for 1,000 tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prices {
    /// Of the prompt.
    pub input: Credits,
    /// Of the answer.
    pub output: Credits,
}

/// One place that serves a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// The provider's name.
    pub provider: String,
    /// The provider's name for the model.
    pub model: String,
    /// Whether answers are fetched as streams.
    pub stream: bool,
}

impl Model {
    /// Whether what an answer costs shows while it grows, so that a hold can be extended with it. Where
    /// not, the whole of `max_tokens` must be held (design.md, Money).
    #[must_use]
    pub fn grows(&self) -> bool {
        !self.hidden_reasoning && self.deployments.iter().all(|deployment| deployment.stream)
    }
}

/// All models in order of preference, and all providers.
#[derive(Debug)]
pub(crate) struct Catalogue {
    pub(crate) models: IndexMap<String, Arc<Model>>,
    pub(crate) providers: Vec<ProviderOptions>,
    pub(crate) models_dir: PathBuf,
    /// The models whose prices come from the table that is shipped.
    pub(crate) tabled: HashSet<String>,
}

impl Catalogue {
    /// Puts together what the configuration, the environment and the models directory offer: the
    /// configuration's models first, then OpenAI's, then the local ones. That order decides the default.
    pub(crate) fn build(
        options: &Options,
        models_dir: PathBuf,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut providers = options.providers.clone();
        let from_environment = openai_from_environment(&providers, env);
        let has_openai = from_environment.is_some();
        providers.extend(from_environment);
        if !providers
            .iter()
            .any(|provider| provider.kind == ProviderKind::Local)
        {
            providers.push(ProviderOptions {
                name: LOCAL.to_owned(),
                kind: ProviderKind::Local,
                ..ProviderOptions::default()
            });
        }
        check_providers(&providers)?;
        check_local(&options.local)?;

        let mut models = IndexMap::new();
        let mut tabled = HashSet::new();
        for model in &options.models {
            let model = check_model(model, &providers)?;
            if let Some(before) = models.insert(model.id.clone(), Arc::new(model)) {
                return Err(ConfigError(format!(
                    "[[models]]: the id `{}` is there twice.",
                    before.id
                )));
            }
        }
        if has_openai {
            for model in shipped_openai_models()? {
                if !models.contains_key(&model.id) {
                    tabled.insert(model.id.clone());
                    models.insert(model.id.clone(), Arc::new(model));
                }
            }
        }
        for model in found_models(options, &providers, &models, &models_dir) {
            models.entry(model.id.clone()).or_insert(Arc::new(model));
        }
        Ok(Self {
            models,
            providers,
            models_dir,
            tabled,
        })
    }

    /// The context windows of what a provider serves, by its own names; of several for the same, the widest.
    pub(crate) fn windows(&self, provider: &str) -> HashMap<String, u32> {
        let mut windows = HashMap::new();
        for model in self.models.values() {
            let deployments = model.deployments.iter();
            for deployment in deployments.filter(|deployment| deployment.provider == provider) {
                let window = windows.entry(deployment.model.clone()).or_insert(0);
                *window = model.context_window.max(*window);
            }
        }
        windows
    }
}

/// The provider that the environment alone describes, as an entry of the file would; none when the
/// configuration has one of that name.
#[must_use]
pub fn openai_from_environment(
    configured: &[ProviderOptions],
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<ProviderOptions> {
    let set = |name| env(name).filter(|value| !value.trim().is_empty());
    set(OPENAI_KEY)?;
    if configured.iter().any(|provider| provider.name == OPENAI) {
        return None;
    }
    Some(ProviderOptions {
        name: OPENAI.to_owned(),
        base_url: set("OPENAI_BASE_URL"),
        api_key_env: Some(OPENAI_KEY.to_owned()),
        ..ProviderOptions::default()
    })
}

/// The shipped table of OpenAI's models.
fn shipped_openai_models() -> Result<Vec<Model>, ConfigError> {
    #[derive(Deserialize)]
    struct Table {
        models: Vec<ModelOptions>,
    }
    let table: Table = toml::from_str(include_str!("../openai_prices.toml"))
        .map_err(|error| ConfigError(format!("openai_prices.toml: {error}")))?;
    let provider = ProviderOptions {
        name: OPENAI.to_owned(),
        ..ProviderOptions::default()
    };
    let deployment = DeploymentOptions {
        provider: OPENAI.to_owned(),
        ..DeploymentOptions::default()
    };
    table
        .models
        .into_iter()
        .map(|model| ModelOptions {
            deployments: vec![deployment.clone()],
            ..model
        })
        .map(|model| check_model(&model, std::slice::from_ref(&provider)))
        .collect()
}

/// A model for each GGUF file that none of the models so far serves, the shipped one first.
fn found_models(
    options: &Options,
    providers: &[ProviderOptions],
    models: &IndexMap<String, Arc<Model>>,
    models_dir: &Path,
) -> Vec<Model> {
    let Some(local) = providers
        .iter()
        .find(|provider| provider.kind == ProviderKind::Local)
    else {
        return Vec::new();
    };
    let served: HashSet<&str> = models
        .values()
        .flat_map(|model| &model.deployments)
        .filter(|deployment| deployment.provider == local.name)
        .map(|deployment| deployment.model.as_str())
        .collect();
    let mut files = gguf_files(models_dir);
    files.retain(|file| !served.contains(file.as_str()));
    files.sort_by_key(|file| (file != SHIPPED_FILE, file.to_lowercase()));
    let prices = Prices {
        input: options.local.input_price,
        output: options.local.output_price,
    };
    files
        .into_iter()
        .map(|file| Model {
            id: file.to_lowercase(),
            kind: ModelKind::Chat,
            context_window: options.local.context_window,
            max_output_tokens: None,
            prices: Some(prices),
            hidden_reasoning: false,
            deployments: vec![Deployment {
                provider: local.name.clone(),
                model: file,
                stream: true,
            }],
        })
        .collect()
}

/// The names of the GGUF files in a directory, without `.gguf`; none if it cannot be read.
fn gguf_files(directory: &Path) -> Vec<String> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            if error.kind() != std::io::ErrorKind::NotFound {
                tracing::warn!(%error, "the models directory cannot be read");
            }
            return Vec::new();
        }
    };
    entries
        .flatten()
        .filter(|entry| entry.path().is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".gguf").map(str::to_owned))
        .filter(|stem| !stem.is_empty() && !stem.starts_with('.'))
        .collect()
}

#[cfg(test)]
mod tests;
