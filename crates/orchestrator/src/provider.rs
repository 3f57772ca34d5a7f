//! What every model provider speaks: a request, a stream of chunks and typed
//! errors. Not here: which provider is asked (`catalogue`, `orchestrator`) and
//! how each of them talks (`openai`, `local`).

use std::{fmt, time::Duration};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use kernel::codes;
use serde::{Deserialize, Serialize};

use crate::state::ModelState;

/// Who says a message, in the words of the chat-completions format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions to the model.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The name on the wire and in chat templates.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message of a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// Who says it.
    pub role: Role,
    /// The text.
    pub content: String,
}

impl ChatMessage {
    /// A message.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
        }
    }
}

/// What a model is asked. What is `None` is the model's own default.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ChatRequest {
    /// The whole prompt, oldest message first.
    pub messages: Vec<ChatMessage>,
    /// At most this many tokens of answer.
    pub max_tokens: Option<u32>,
    /// 0 (always the likeliest token) to 2.
    pub temperature: Option<f32>,
    /// Nucleus sampling: tokens making up this much probability, above 0 to 1.
    pub top_p: Option<f32>,
    /// Makes sampling repeatable where the provider can.
    pub seed: Option<u64>,
    /// Above 1 makes repetition less likely; only local models have it.
    pub repeat_penalty: Option<f32>,
    /// Texts that end the answer and do not belong to it.
    pub stop: Vec<String>,
    /// Whose turn it is, for the fair queue in front of a local model.
    pub owner: String,
    /// The conversation's id, so that a local model can reuse the prompt's prefix.
    pub affinity: Option<String>,
}

/// The tokens a call took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TokenUsage {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens of the answer, hidden reasoning included.
    pub completion_tokens: u64,
}

/// Why an answer is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model was done, or met a stop text.
    Stop,
    /// `max_tokens` or the context window is full.
    Length,
    /// The provider's filter ended it; what was sent before stands.
    ContentFilter,
}

/// One piece of an answer. A stream that is an answer has exactly one
/// [`Chunk::Finish`]; one that ends without it has failed with an error before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// More text, whole UTF-8 and never empty.
    Text(String),
    /// What the call took; at most once, absent where the provider does not tell.
    Usage(TokenUsage),
    /// The answer is complete; always the last chunk.
    Finish(FinishReason),
}

/// An answer as it is made. Dropping it ends the call upstream at once. After
/// an error, and after [`Chunk::Finish`], there is nothing more.
pub type ChatStream = BoxStream<'static, Result<Chunk, ProviderError>>;

/// Which patience ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeoutKind {
    /// Until the connection stood.
    Connect,
    /// Until the first byte of the answer.
    FirstByte,
    /// Between two pieces of the answer.
    Idle,
}

/// What sort of failure a provider had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProviderErrorKind {
    /// It refuses our credentials.
    Auth,
    /// We ask too often, or a quota is used up.
    RateLimited {
        /// When it wants to be asked again, where it says so.
        retry_after: Option<Duration>,
    },
    /// The prompt (with the answer asked for) does not fit the model.
    ContextTooLong,
    /// It has too much to do, or the local queue is full.
    Overloaded {
        /// When it wants to be asked again, where it says so.
        retry_after: Option<Duration>,
    },
    /// What it sent is not what the format allows.
    Malformed,
    /// It took too long.
    Timeout(TimeoutKind),
    /// No connection could be made.
    Connect,
    /// The connection ended in the middle of an answer.
    Cut,
    /// It does not accept what we sent.
    BadRequest,
    /// It does not know the model.
    UnknownModel,
    /// It failed with this HTTP status, or with an error in its stream (200).
    Upstream(u16),
    /// The local model cannot be loaded or run.
    Engine,
    /// The call was ended on our side (shutdown).
    Cancelled,
}

impl ProviderErrorKind {
    /// The name in logs, metrics and run attempts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::RateLimited { .. } => "rate_limited",
            Self::ContextTooLong => "context_too_long",
            Self::Overloaded { .. } => "overloaded",
            Self::Malformed => "malformed",
            Self::Timeout(TimeoutKind::Connect) => "connect_timeout",
            Self::Timeout(TimeoutKind::FirstByte) => "first_byte_timeout",
            Self::Timeout(TimeoutKind::Idle) => "idle_timeout",
            Self::Connect => "connect",
            Self::Cut => "cut",
            Self::BadRequest => "bad_request",
            Self::UnknownModel => "unknown_model",
            Self::Upstream(_) => "upstream",
            Self::Engine => "engine",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether another provider might well do it: not so when the request itself is at fault.
    #[must_use]
    pub const fn may_be_tried_elsewhere(self) -> bool {
        !matches!(
            self,
            Self::ContextTooLong | Self::BadRequest | Self::Cancelled
        )
    }
}

/// A provider's failure. The message is for logs and administrators: it holds
/// no secret and no text of a prompt, and is never shown to other people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ProviderError {
    /// What sort of failure it is.
    pub kind: ProviderErrorKind,
    /// What happened, for the log.
    pub message: String,
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.as_str(), self.message)
    }
}

impl ProviderError {
    /// A failure.
    pub fn new(kind: ProviderErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

/// When a client should come back if the provider did not say.
const RETRY_AFTER: Duration = Duration::from_secs(5);

impl From<ProviderError> for kernel::Error {
    /// What a client is told: 504 `provider_timeout`, 422 `context_too_long`, 503 with `Retry-After`
    /// where waiting helps, 502 `provider_failed` for the rest. The cause stays for the log.
    fn from(error: ProviderError) -> Self {
        use ProviderErrorKind as K;
        let answer = match error.kind {
            K::Timeout(_) => Self::new(
                codes::PROVIDER_TIMEOUT,
                "The model provider took too long; nothing was charged. Try again.",
            ),
            K::ContextTooLong => Self::new(
                codes::CONTEXT_TOO_LONG,
                "The prompt does not fit the model's context window; shorten it or choose another model.",
            ),
            K::RateLimited { retry_after } | K::Overloaded { retry_after } => Self::new(
                codes::BUSY,
                "The model provider has too much to do; nothing was charged. Try again a little later.",
            )
            .retry_after(retry_after.unwrap_or(RETRY_AFTER)),
            K::Cancelled => Self::new(
                codes::INTERRUPTED,
                "The answer was interrupted; nothing was charged. Try again.",
            )
            .retry_after(RETRY_AFTER),
            K::Auth => Self::new(
                codes::PROVIDER_FAILED,
                "The model provider refuses the platform's credentials; an administrator has to check them.",
            ),
            K::BadRequest => Self::new(
                codes::PROVIDER_FAILED,
                "The model provider does not accept this request; another model may.",
            ),
            K::Malformed | K::Connect | K::Cut | K::UnknownModel | K::Upstream(_) | K::Engine => Self::new(
                codes::PROVIDER_FAILED,
                "The model provider failed; nothing was charged. Try again.",
            ),
        };
        answer.caused_by(error)
    }
}

/// Somebody who serves models: an HTTP endpoint or the engine in this process.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Asks the model, named as the provider names it. Returns when the answer begins, or when it
    /// is clear that none will come.
    ///
    /// # Errors
    /// Any [`ProviderError`], here or in the stream.
    async fn chat(&self, model: &str, request: ChatRequest) -> Result<ChatStream, ProviderError>;

    /// The tokens of a whole prompt, template included, by the model's own tokenizer; `None` where
    /// the provider has none at hand (the caller counts then).
    async fn count_tokens(&self, model: &str, messages: &[ChatMessage]) -> Option<u64>;

    /// The tokens of a text by the model's own tokenizer; `None` as in [`Provider::count_tokens`].
    async fn count_text(&self, model: &str, text: &str) -> Option<u64>;

    /// Makes the model ready, where that takes time.
    ///
    /// # Errors
    /// [`ProviderErrorKind::Engine`] when it cannot be loaded.
    async fn warm(&self, model: &str) -> Result<(), ProviderError>;

    /// Whether the model can answer, as far as the provider knows without asking anybody.
    fn state(&self, model: &str) -> ModelState;

    /// Gives back the memory of what is not in use.
    async fn unload(&self);

    /// Ends running calls with [`ProviderErrorKind::Cancelled`] and waits until nothing runs any more.
    async fn shutdown(&self);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_learn_what_to_do_and_nothing_else() {
        use ProviderErrorKind as K;
        let wait = Some(Duration::from_secs(7));
        for (kind, status, retry) in [
            (K::Auth, 502, None),
            (K::RateLimited { retry_after: wait }, 503, wait),
            (K::Overloaded { retry_after: None }, 503, Some(RETRY_AFTER)),
            (K::ContextTooLong, 422, None),
            (K::Malformed, 502, None),
            (K::Timeout(TimeoutKind::FirstByte), 504, None),
            (K::Cut, 502, None),
            (K::Upstream(500), 502, None),
        ] {
            let error = kernel::Error::from(ProviderError::new(kind, "host sk-secret"));
            assert_eq!(error.kind().http_status(), status, "{kind:?}");
            assert_eq!(error.retry(), retry, "{kind:?}");
            assert!(!error.detail().contains("secret"));
            assert_eq!(error.cause::<ProviderError>().unwrap().kind, kind);
        }
    }
}
