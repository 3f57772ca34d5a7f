//! The `openai` provider: any endpoint that speaks the chat-completions format,
//! streamed or whole. One call, one answer or one typed error; trying again and
//! trying elsewhere are not its business.

mod endpoint;
mod failure;
mod stream;
mod wire;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use futures_util::StreamExt;
use reqwest::{
    Response,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use tokio::time::Instant;

use crate::{
    provider::{
        ChatMessage, ChatRequest, ChatStream, Chunk, FinishReason, Provider, ProviderError,
        ProviderErrorKind, TimeoutKind,
    },
    state::ModelState,
};
pub(crate) use endpoint::{Endpoint, endpoint};
use stream::Patience;
pub(crate) use wire::is_reasoning;

/// The longest whole answer that is read: 16 MiB.
const ANSWER_LIMIT: usize = 16 << 20;
/// The longest error answer that is read: 64 KiB.
const ERROR_LIMIT: usize = 64 << 10;

/// An endpoint of the chat-completions format. Cheap to clone.
#[derive(Clone)]
pub(crate) struct OpenAi {
    client: net::Client,
    endpoint: Arc<Endpoint>,
    /// Whether answers are asked for as streams.
    streamed: bool,
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenAi({})", self.endpoint.url)
    }
}

impl OpenAi {
    pub(crate) fn new(client: net::Client, endpoint: Endpoint) -> Self {
        Self {
            client,
            endpoint: Arc::new(endpoint),
            streamed: true,
        }
    }

    /// The same endpoint (and connections), asked for whole answers only.
    pub(crate) fn whole(&self) -> Self {
        Self {
            streamed: false,
            ..self.clone()
        }
    }

    /// Sends the request and waits for the head of the answer.
    async fn send(
        &self,
        model: &str,
        request: &ChatRequest,
        first_by: Instant,
    ) -> Result<Response, ProviderError> {
        let body =
            serde_json::to_vec(&wire::Body::new(model, request, self.streamed)).map_err(|_| {
                ProviderError::new(
                    ProviderErrorKind::BadRequest,
                    "the request cannot be written as JSON",
                )
            })?;
        let mut headers = HeaderMap::with_capacity(3);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let accept = if self.streamed {
            "text/event-stream"
        } else {
            "application/json"
        };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if let Some(authorization) = &self.endpoint.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let call = self
            .client
            .post(&self.endpoint.url)
            .headers(headers)
            .body(body)
            .send();
        let response = tokio::time::timeout_at(first_by, call)
            .await
            .map_err(|_| failure::timeout(TimeoutKind::FirstByte))?
            .map_err(|error| failure::from_request(&error))?;
        let status = response.status();
        if status == reqwest::StatusCode::OK {
            return Ok(response);
        }
        let headers = response.headers().clone();
        let patience = Patience {
            first_by: Instant::now() + self.endpoint.idle,
            idle: self.endpoint.idle,
        };
        // What the status says stands, even if the body does not come.
        let body = read_whole(response, ERROR_LIMIT, patience)
            .await
            .unwrap_or_default();
        Err(failure::from_status(status, &headers, &body))
    }
}

#[async_trait]
impl Provider for OpenAi {
    async fn chat(&self, model: &str, request: ChatRequest) -> Result<ChatStream, ProviderError> {
        let patience = Patience {
            first_by: Instant::now() + self.endpoint.first_byte,
            idle: self.endpoint.idle,
        };
        let response = self.send(model, &request, patience.first_by).await?;
        // Some servers answer whole although asked to stream.
        if self.streamed && !is_json(&response) {
            return Ok(stream::chunks(response.bytes_stream(), patience));
        }
        let body = read_whole(response, ANSWER_LIMIT, patience).await?;
        let chunks = whole_answer(&body)?;
        Ok(futures_util::stream::iter(chunks.into_iter().map(Ok)).boxed())
    }

    async fn count_tokens(&self, _model: &str, _messages: &[ChatMessage]) -> Option<u64> {
        None
    }

    async fn count_text(&self, _model: &str, _text: &str) -> Option<u64> {
        None
    }

    async fn warm(&self, _model: &str) -> Result<(), ProviderError> {
        Ok(())
    }

    /// It is known by the failures of its calls only.
    fn state(&self, _model: &str) -> ModelState {
        ModelState::Available
    }

    async fn unload(&self) {}

    /// Nothing of this provider runs by itself: a call ends when its stream is dropped.
    async fn shutdown(&self) {}
}

fn is_json(response: &Response) -> bool {
    response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.trim_start().starts_with("application/json"))
}

/// A body up to a limit.
async fn read_whole(
    response: Response,
    limit: usize,
    patience: Patience,
) -> Result<Vec<u8>, ProviderError> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    let (mut deadline, mut kind) = (patience.first_by, TimeoutKind::FirstByte);
    loop {
        match tokio::time::timeout_at(deadline, chunks.next()).await {
            Err(_) => return Err(failure::timeout(kind)),
            Ok(None) => return Ok(body),
            Ok(Some(Err(error))) => return Err(failure::from_body(&error)),
            Ok(Some(Ok(bytes))) if body.len() + bytes.len() > limit => {
                return Err(failure::malformed("sent an answer that is too long"));
            }
            Ok(Some(Ok(bytes))) => body.extend_from_slice(&bytes),
        }
        (deadline, kind) = (Instant::now() + patience.idle, TimeoutKind::Idle);
    }
}

/// The chunks of an answer that came in one piece.
fn whole_answer(body: &[u8]) -> Result<Vec<Chunk>, ProviderError> {
    let answer: wire::Answer<'_> = serde_json::from_slice(body)
        .map_err(|_| failure::malformed("sent an answer that is not in the format"))?;
    if let Some(error) = answer.error {
        return Err(failure::from_object(error.get()));
    }
    let choice = answer
        .choices
        .into_iter()
        .flatten()
        .find(|choice| choice.index == 0)
        .ok_or_else(|| failure::malformed("sent an answer without a choice"))?;
    let finish = match choice.finish_reason.as_deref().map(wire::finish_reason) {
        Some(Some(finish)) => finish,
        Some(None) => {
            return Err(ProviderError::new(
                ProviderErrorKind::Upstream(200),
                "gave up within its answer",
            ));
        }
        None => FinishReason::Stop,
    };
    let text = choice.message.content.filter(|text| !text.is_empty());
    let usage = answer
        .usage
        .and_then(|usage| usage.credible(text.is_some()));
    Ok([
        text.map(Chunk::Text),
        usage.map(Chunk::Usage),
        Some(Chunk::Finish(finish)),
    ]
    .into_iter()
    .flatten()
    .collect())
}

#[cfg(test)]
mod tests;
