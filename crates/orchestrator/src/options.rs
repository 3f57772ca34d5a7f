//! What an operator can say about models: `[local]`, `[[providers]]` and
//! `[[models]]` of the configuration. Not here: what follows from it (`catalogue`).

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::fmt::serde::unsigned_duration::friendly::compact;
use kernel::Credits;
use serde::{Deserialize, Serialize, Serializer};

/// Everything about models.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// `[local]`: models that run in this process.
    pub local: LocalOptions,
    /// `[[providers]]`: who serves models, besides `local` (always there) and `openai` (there when
    /// the environment has `OPENAI_API_KEY`).
    pub providers: Vec<ProviderOptions>,
    /// `[[models]]`: what users can name, in order of preference; the first chat model is the default.
    pub models: Vec<ModelOptions>,
}

/// `[local]`: models that run in this process. Each `*.gguf` in the directory that no entry of
/// `[[models]]` serves is a model by itself, with the context window and prices given here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LocalOptions {
    /// Where the GGUF files are; by default `models` in the data directory. In the environment this
    /// is `TERTULIA__MODELS__DIR`.
    pub models_dir: Option<PathBuf>,
    /// Context window of a model found in the directory, in tokens; 2048.
    pub context_window: u32,
    /// Price of 1,000 prompt tokens of such a model, in credits; 0.1.
    pub input_price: Credits,
    /// Price of 1,000 answer tokens of such a model, in credits; 0.2.
    pub output_price: Credits,
    /// Threads that generate an answer; 0 (default) is one less than there are cores, at least one. Threads of
    /// one answer wait for each other, so that one too many costs more than one too few.
    pub threads: u32,
    /// Threads that read a prompt; 0 (default) as for `threads`.
    pub prompt_threads: u32,
    /// Memory for the prompts of recent conversations, in MiB for each loaded model, so that a next turn computes
    /// only what is new; 256. One conversation is always kept, at most 8 are.
    pub prompt_cache_mib: u32,
    /// A model not used for this long gives its memory back; 10 minutes.
    #[serde(with = "compact::required")]
    pub idle_unload: Duration,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self {
            models_dir: None,
            context_window: 2048,
            input_price: Credits::from_micros(100_000),
            output_price: Credits::from_micros(200_000),
            threads: 0,
            prompt_threads: 0,
            prompt_cache_mib: 256,
            idle_unload: Duration::from_secs(600),
        }
    }
}

impl LocalOptions {
    /// The directory in which local models are looked for.
    #[must_use]
    pub fn directory(&self, data_dir: &Path) -> PathBuf {
        let set = self.models_dir.clone();
        set.unwrap_or_else(|| data_dir.join("models"))
    }
}

/// How a provider is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// The chat-completions format over HTTP.
    #[default]
    Openai,
    /// The engine in this process.
    Local,
}

/// One entry of `[[providers]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderOptions {
    /// The name that deployments give, and that metrics and attempts show.
    pub name: String,
    /// `openai` (default) or `local`.
    pub kind: ProviderKind,
    /// Where its API begins, with the version: `https://api.openai.com/v1` (default). `/v1` is added to
    /// a URL without any path.
    pub base_url: Option<String>,
    /// The key. Shown masked wherever the configuration is printed.
    pub api_key: Option<Secret>,
    /// The name of the environment variable that has the key, instead of `api_key`.
    pub api_key_env: Option<String>,
    /// Until a connection stands; 5 s.
    #[serde(with = "compact::required")]
    pub connect_timeout: Duration,
    /// From the request to the first piece of the answer; 60 s. An answer that is not streamed comes as
    /// one piece, when all of it is done.
    #[serde(with = "compact::required")]
    pub first_byte_timeout: Duration,
    /// Between two pieces of an answer; 20 s.
    #[serde(with = "compact::required")]
    pub idle_timeout: Duration,
}

impl Default for ProviderOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            kind: ProviderKind::Openai,
            base_url: None,
            api_key: None,
            api_key_env: None,
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(20),
        }
    }
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// It answers messages.
    #[default]
    Chat,
    /// It turns texts into vectors.
    Embedding,
}

/// One entry of `[[models]]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelOptions {
    /// What users call it.
    pub id: String,
    /// `chat` (default) or `embedding`.
    pub kind: ModelKind,
    /// Tokens of prompt and answer together.
    pub context_window: u32,
    /// Tokens of one answer at most; without it the context window is the only limit.
    pub max_output_tokens: Option<u32>,
    /// Whether it spends tokens that nobody sees before it answers, so that `max_tokens` must be held in
    /// full; by default true for OpenAI's models that reason.
    pub hidden_reasoning: Option<bool>,
    /// Credits for 1,000 prompt tokens. Without prices only admins may use the model.
    pub input_price: Option<Credits>,
    /// Credits for 1,000 answer tokens.
    pub output_price: Option<Credits>,
    /// Where it is served, the preferred one first.
    pub deployments: Vec<DeploymentOptions>,
}

/// One place that serves a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeploymentOptions {
    /// A provider's name.
    pub provider: String,
    /// What the provider calls the model; by default what users call it. For `local`, the name of a
    /// file in the models directory without `.gguf`.
    pub model: Option<String>,
    /// Whether answers are fetched as streams; true. False for servers that cannot.
    pub stream: bool,
}

impl Default for DeploymentOptions {
    fn default() -> Self {
        Self {
            provider: String::new(),
            model: None,
            stream: true,
        }
    }
}

/// A text that is never shown: masked in debug output and wherever options are written.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

/// What stands for a secret.
const MASK: &str = "********";

impl Secret {
    /// A secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        [local]
        models_dir = "/srv/models"

        [[providers]]
        name = "mine"
        base_url = "https://models.example/v1"
        api_key = "sk-very-secret"
        first_byte_timeout = "2m"

        [[models]]
        id = "fast"
        context_window = 8192
        input_price = 0.15
        output_price = 1
        deployments = [{ provider = "mine", model = "fast-2", stream = false }]
    "#;

    #[test]
    fn reads_what_the_contract_shows_and_hides_the_key() {
        let options: Options = toml::from_str(TEXT).unwrap();
        assert_eq!(
            options.providers[0].first_byte_timeout,
            Duration::from_secs(120)
        );
        assert_eq!(options.models[0].input_price, Some("0.15".parse().unwrap()));
        assert!(!options.models[0].deployments[0].stream);
        assert_eq!(
            options.providers[0].api_key.as_ref().unwrap().reveal(),
            "sk-very-secret"
        );
        for shown in [format!("{options:?}"), toml::to_string(&options).unwrap()] {
            assert!(
                !shown.contains("very-secret") && shown.contains(MASK),
                "{shown}"
            );
        }
    }

    #[test]
    fn a_misspelt_key_is_named() {
        for text in [
            "[[models]]\nidd = 'x'",
            "[[providers]]\napikey = 'x'",
            "[local]\ndir = 'x'",
        ] {
            let error = toml::from_str::<Options>(text).unwrap_err().to_string();
            assert!(error.contains("unknown field"), "{error}");
        }
    }

    #[test]
    fn the_defaults_are_written_and_read_alike() {
        let text = toml::to_string(&Options::default()).unwrap();
        assert_eq!(
            toml::from_str::<Options>(&text).unwrap(),
            Options::default()
        );
    }
}
