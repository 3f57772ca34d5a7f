//! Models: which there are, who serves them, and the calls to them. Not here:
//! what goes into a prompt (`chat`) and what an answer costs (`accounting`).

mod catalogue;
mod local;
mod openai;
mod options;
mod orchestrator;
pub mod provider;
mod sse;
mod state;
mod tokens;
mod watch;

pub use catalogue::{
    ConfigError, Deployment, LOCAL, Model, OPENAI, Prices, openai_from_environment,
};
pub use local::{Local, LocalStats};
pub use options::{
    DeploymentOptions, LocalOptions, ModelKind, ModelOptions, Options, ProviderKind,
    ProviderOptions, Secret,
};
pub use orchestrator::{Orchestrator, Route};
pub use provider::{
    ChatMessage, ChatRequest, ChatStream, Chunk, FinishReason, Provider, ProviderError,
    ProviderErrorKind, Role, TimeoutKind, TokenUsage,
};
pub use state::{ModelState, Trouble};
