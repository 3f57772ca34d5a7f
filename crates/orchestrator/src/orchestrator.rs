//! The part itself: what a caller may use, what a prompt counts, and calls.
//! Today a call goes to a model's first deployment; picking among several and
//! falling back are not here yet.

use std::{collections::HashMap, path::Path, sync::Arc};

use futures_util::StreamExt;
use kernel::{Context, Credits, Error, Result, Role as AccountRole, codes};

use crate::{
    catalogue::{Catalogue, ConfigError, Deployment, Model},
    local::Local,
    openai::{OpenAi, endpoint},
    options::{ModelKind, Options, ProviderKind},
    provider::{ChatMessage, ChatRequest, ChatStream, Provider, ProviderError, ProviderErrorKind},
    state::{ModelState, Trouble, Troubles},
    tokens,
    watch::{Watch, Watched, describe_metrics},
};

/// Models and the calls to them. Cheap to clone.
#[derive(Clone)]
pub struct Orchestrator {
    inner: Arc<Inner>,
}

struct Inner {
    catalogue: Catalogue,
    providers: HashMap<String, Served>,
    troubles: Arc<Troubles>,
}

/// A provider as it is asked: streamed, and whole where a deployment wants that.
struct Served {
    streamed: Arc<dyn Provider>,
    whole: Arc<dyn Provider>,
}

/// Where a call went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The provider's name.
    pub provider: String,
    /// The provider's name for the model.
    pub deployment: String,
}

impl From<&Deployment> for Route {
    fn from(deployment: &Deployment) -> Self {
        Self {
            provider: deployment.provider.clone(),
            deployment: deployment.model.clone(),
        }
    }
}

impl Orchestrator {
    /// Checks the options, reads the environment (`OPENAI_API_KEY`, `OPENAI_BASE_URL`, each `api_key_env`) and the
    /// models directory (by default `models` in `data_dir`). Loads no model and calls nobody.
    ///
    /// # Errors
    /// A sentence that names the key that is wrong.
    pub fn new(options: &Options, data_dir: &Path) -> Result<Self, ConfigError> {
        Self::with_env(options, data_dir, &|name| std::env::var(name).ok())
    }

    fn with_env(
        options: &Options,
        data_dir: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        describe_metrics();
        let catalogue = Catalogue::build(options, options.local.directory(data_dir), env)?;
        let mut providers = HashMap::new();
        for provider in &catalogue.providers {
            let served = match provider.kind {
                ProviderKind::Openai => {
                    let client = net::Client::new(provider.connect_timeout).map_err(|error| {
                        ConfigError(format!("[[providers]] `{}`: {error}.", provider.name))
                    })?;
                    let streamed = OpenAi::new(client, endpoint(provider, env)?);
                    Served {
                        whole: Arc::new(streamed.whole()),
                        streamed: Arc::new(streamed),
                    }
                }
                ProviderKind::Local => {
                    let directory = catalogue.models_dir.clone();
                    let windows = catalogue.windows(&provider.name);
                    let local = Arc::new(Local::new(&options.local, directory, windows));
                    Served {
                        whole: local.clone(),
                        streamed: local,
                    }
                }
            };
            providers.insert(provider.name.clone(), served);
        }
        Ok(Self {
            inner: Arc::new(Inner {
                catalogue,
                providers,
                troubles: Arc::default(),
            }),
        })
    }

    /// The models that the caller may use, in order of preference.
    #[must_use]
    pub fn models(&self, ctx: &Context) -> Vec<Arc<Model>> {
        self.inner
            .catalogue
            .models
            .values()
            .filter(|model| may_use(ctx, model))
            .cloned()
            .collect()
    }

    /// A chat model by its name.
    ///
    /// # Errors
    /// 400 `invalid_model`; 503 `no_model` when there is none at all.
    pub fn model(&self, ctx: &Context, id: &str) -> Result<Arc<Model>> {
        self.model_of_any_kind(ctx, id)
            .and_then(|model| match model.kind {
                ModelKind::Chat => Ok(model),
                ModelKind::Embedding => Err(unknown()),
            })
    }

    /// A model by its name, whatever it is for.
    ///
    /// # Errors
    /// As [`Orchestrator::model`].
    pub fn model_of_any_kind(&self, ctx: &Context, id: &str) -> Result<Arc<Model>> {
        let models = &self.inner.catalogue.models;
        if models.is_empty() {
            return Err(no_model());
        }
        let found = models.get(id).filter(|model| may_use(ctx, model));
        found.cloned().ok_or_else(unknown)
    }

    /// The model for a caller who names none: the first chat model that they may use.
    ///
    /// # Errors
    /// 503 `no_model` when there is none.
    pub fn default_model(&self, ctx: &Context) -> Result<Arc<Model>> {
        self.inner
            .catalogue
            .models
            .values()
            .find(|model| model.kind == ModelKind::Chat && may_use(ctx, model))
            .cloned()
            .ok_or_else(no_model)
    }

    /// Every priced model with its prices of 1,000 prompt and answer tokens.
    #[must_use]
    pub fn prices(&self) -> Vec<(String, Credits, Credits)> {
        let priced = |model: &Arc<Model>| {
            model
                .prices
                .map(|prices| (model.id.clone(), prices.input, prices.output))
        };
        self.inner
            .catalogue
            .models
            .values()
            .filter_map(priced)
            .collect()
    }

    /// Whether the model's price comes from the table that is shipped, not from the configuration.
    #[must_use]
    pub fn is_tabled(&self, model: &str) -> bool {
        self.inner.catalogue.tabled.contains(model)
    }

    /// The tokens of a prompt: by the model's own tokenizer where its provider has it, by OpenAI's
    /// otherwise (an estimate for other makers' models).
    pub async fn count_prompt(&self, model: &Model, messages: &[ChatMessage]) -> u64 {
        let Some((deployment, provider)) = self.first(model) else {
            return tokens::count_prompt(&model.id, messages).await;
        };
        match provider.count_tokens(&deployment.model, messages).await {
            Some(tokens) => tokens,
            None => tokens::count_prompt(&deployment.model, messages).await,
        }
    }

    /// The tokens of a text, as [`Orchestrator::count_prompt`] counts them.
    pub async fn count_text(&self, model: &Model, text: &str) -> u64 {
        let Some((deployment, provider)) = self.first(model) else {
            return tokens::count(&model.id, text).await;
        };
        match provider.count_text(&deployment.model, text).await {
            Some(tokens) => tokens,
            None => tokens::count(&deployment.model, text).await,
        }
    }

    /// As [`Orchestrator::count_text`], for a model that may be gone from the catalogue since.
    pub async fn count_text_of(&self, model_id: &str, text: &str) -> u64 {
        match self.inner.catalogue.models.get(model_id) {
            Some(model) => self.count_text(model, text).await,
            None => tokens::count(model_id, text).await,
        }
    }

    /// A number of tokens that the texts together cannot exceed in any model; costs nothing to know.
    pub fn count_texts_upper_bound<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
        texts
            .into_iter()
            .map(tokens::upper_bound)
            .fold(0, u64::saturating_add)
    }

    /// Asks the model. The stream ends with exactly one [`Chunk::Finish`](crate::Chunk::Finish) or one error; dropping it
    /// (or this future) ends the call upstream.
    ///
    /// # Errors
    /// Any [`ProviderError`], here or in the stream.
    pub async fn chat(
        &self,
        model: &Model,
        mut request: ChatRequest,
    ) -> Result<(Route, ChatStream), ProviderError> {
        let Some((deployment, provider)) = self.first(model) else {
            return Err(ProviderError::new(
                ProviderErrorKind::UnknownModel,
                "the model has no provider",
            ));
        };
        if let Some(most) = model.max_output_tokens {
            request.max_tokens = request.max_tokens.map(|tokens| tokens.min(most));
        }
        let mut watch = Watch::new(deployment, Arc::clone(&self.inner.troubles));
        match provider.chat(&deployment.model, request).await {
            Ok(inner) => Ok((deployment.into(), Watched { inner, watch }.boxed())),
            Err(error) => {
                watch.failed(&error);
                Err(error)
            }
        }
    }

    /// Where a call to the model goes first.
    #[must_use]
    pub fn route(&self, model: &Model) -> Option<Route> {
        self.first(model).map(|(deployment, _)| deployment.into())
    }

    /// Whether the model can answer, as far as is known without asking it.
    #[must_use]
    pub fn state(&self, model: &Model) -> ModelState {
        let Some((deployment, provider)) = self.first(model) else {
            return ModelState::Unavailable(Trouble::UnknownModel);
        };
        let state = provider.state(&deployment.model);
        match state {
            // Nothing speaks against it but the calls that failed.
            ModelState::Cold | ModelState::Available => self
                .inner
                .troubles
                .of(deployment)
                .map_or(state, ModelState::Unavailable),
            ModelState::Ready | ModelState::Loading | ModelState::Unavailable(_) => state,
        }
    }

    /// Where local models are looked for.
    #[must_use]
    pub fn models_dir(&self) -> &Path {
        &self.inner.catalogue.models_dir
    }

    /// Makes a model ready, where that takes time (a local one is loaded).
    ///
    /// # Errors
    /// When it cannot be.
    pub async fn warm(&self, model: &Model) -> Result<(), ProviderError> {
        match self.first(model) {
            Some((deployment, provider)) => provider.warm(&deployment.model).await,
            None => Ok(()),
        }
    }

    /// Gives back the memory of local models that are not in use.
    pub async fn unload(&self) {
        for provider in self.inner.providers.values() {
            provider.streamed.unload().await;
        }
    }

    /// Ends what providers run in this process.
    pub async fn shutdown(&self) {
        for provider in self.inner.providers.values() {
            provider.streamed.shutdown().await;
        }
    }

    fn first<'a>(&'a self, model: &'a Model) -> Option<(&'a Deployment, &'a Arc<dyn Provider>)> {
        let deployment = model.deployments.first()?;
        let served = self.inner.providers.get(&deployment.provider)?;
        Some((
            deployment,
            if deployment.stream {
                &served.streamed
            } else {
                &served.whole
            },
        ))
    }
}

/// Without a price only those who could set one.
fn may_use(ctx: &Context, model: &Model) -> bool {
    let roles = ctx.roles();
    model.prices.is_some()
        || ctx.is_system()
        || roles.has(AccountRole::Admin)
        || roles.has(AccountRole::Operator)
}

fn unknown() -> Error {
    Error::new(codes::INVALID_MODEL, "Invalid or unsupported model ID")
}

fn no_model() -> Error {
    Error::new(
        codes::NO_MODEL,
        "No model is configured. An operator has to put a GGUF file into the models directory (`make models` fetches one), set \
         OPENAI_API_KEY, or add a priced entry to [[models]], and start the server again.",
    )
}

#[cfg(test)]
mod tests;
