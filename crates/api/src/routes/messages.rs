//! Messages: sending a prompt and getting its answer, whole or streamed (S0.3, S0.4).

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use chat::{Aim, Prompt, Sampling, Sent};
use conversations::Message;
use http::{HeaderMap, header};
use kernel::{Context, ConversationId, Error, MessageId, codes, kinds};
use serde::Deserialize;
use serde_json::{Value, json};
use store::Durability;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    App,
    extract::{Caller, Key, Keys, Posted, Query},
    pieces,
    places::Use,
    problem::{Answer, ProblemBody},
    wire,
};

/// This part's routes.
pub(crate) fn table() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list, send))
        .routes(routes!(stream))
        .routes(routes!(edit))
        .routes(routes!(regenerate))
        .routes(routes!(update_stream))
        .routes(routes!(plan_chat))
}

/// A prompt, and how it is to be answered.
#[derive(Debug, Deserialize, ToSchema)]
struct PromptInput {
    /// The text; also taken as `content` or `message`. A regeneration needs none.
    #[serde(alias = "content", alias = "message")]
    prompt: Option<String>,
    /// Only if this is still the last message of the conversation; 409 otherwise.
    #[serde(alias = "parentId", alias = "parent_id")]
    after: Option<String>,
    /// Another model than the conversation's, for this answer.
    #[serde(alias = "modelId", alias = "model")]
    model_id: Option<String>,
    /// Output tokens at most.
    #[serde(alias = "maxTokens")]
    max_tokens: Option<u32>,
    /// 0 to 2; 0 always takes the likeliest token.
    temperature: Option<f32>,
    /// 0 to 1.
    #[serde(alias = "topP")]
    top_p: Option<f32>,
    /// Makes the answer repeatable where the model can.
    seed: Option<u64>,
    /// 1 means none.
    #[serde(alias = "repeatPenalty")]
    repeat_penalty: Option<f32>,
    /// Texts at which the answer ends.
    #[serde(default)]
    stop: Vec<String>,
}

impl PromptInput {
    /// The text, which all but a regeneration need.
    fn text(&mut self) -> kernel::Result<String> {
        self.prompt
            .take()
            .ok_or_else(|| Error::invalid("prompt", "is missing"))
    }

    fn sent(mut self) -> kernel::Result<Prompt> {
        let content = self.text()?;
        let after = self
            .after
            .as_deref()
            .map(str::parse::<MessageId>)
            .transpose();
        let after = after.map_err(|_| Error::not_found("Message"))?;
        Ok(self.aimed(Aim::Prompt { content, after }))
    }

    fn aimed(self, aim: Aim) -> Prompt {
        let sampling = Sampling {
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            top_p: self.top_p,
            seed: self.seed,
            repeat_penalty: self.repeat_penalty,
            stop: self.stop,
        };
        Prompt {
            aim,
            model_id: self.model_id,
            sampling,
            durability: Durability::Durable,
        }
    }
}

/// The messages of a conversation's current branch, newest page first
#[utoipa::path(get, path = "/sessions/{id}/messages", tag = "messages", operation_id = "list_messages",
    params(
        ("id" = Uuid, Path),
        ("before" = Option<Uuid>, Query, description = "Those above this message"),
        ("page" = Option<u32>, Query), ("per_page" = Option<u32>, Query),
    ),
    responses(
        (status = 200, body = wire::MessagePage), (status = 404, body = ProblemBody),
        (status = 429, body = ProblemBody, description = "Also while 20 long lists are under way"),
    ),
)]
async fn list(
    State(app): State<App>,
    Caller(ctx): Caller,
    id: Key<kinds::Conversation>,
    query: Query,
) -> Answer<Response> {
    let messages = super::conversations::messages_of(&app, &ctx, id.0, &query).await?;
    pieces::list(&app, &ctx, messages).await
}

/// Sends a prompt and answers when the answer is whole
#[utoipa::path(post, path = "/sessions/{id}/messages", tag = "messages", operation_id = "send_message",
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = PromptInput,
    responses(
        (status = 200, body = wire::WholeAnswer),
        (status = 402, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 422, body = ProblemBody),
        (status = 502, body = ProblemBody), (status = 504, body = ProblemBody),
    ),
)]
async fn send(
    State(app): State<App>,
    id: Key<kinds::Conversation>,
    posted: Posted<PromptInput>,
) -> Answer<Json<Value>> {
    let prompt = posted.input.sent()?;
    Ok(Json(answered(&app, &posted.ctx, id.0, prompt).await?))
}

/// Sends a prompt and streams the answer; `/sessions/{id}/stream` is the same
#[utoipa::path(post, path = "/sessions/{id}/messages/stream", tag = "messages", operation_id = "stream_message",
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = PromptInput,
    responses(
        (status = 200, body = str, content_type = "text/event-stream",
            description = "start {run_id, message_id, prompt_id: the prompt that is answered, also by a \
                regeneration}, then unnamed text deltas, then usage and end; reconnect at /runs/{id}/events"),
        (status = 402, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 422, body = ProblemBody),
    ),
)]
async fn stream(
    State(app): State<App>,
    id: Key<kinds::Conversation>,
    posted: Posted<PromptInput>,
) -> Answer<Response> {
    let prompt = posted.input.sent()?;
    streamed(&app, &posted.ctx, id.0, prompt).await
}

/// Asks again in other words: a sibling of an earlier prompt, with its own answer
#[utoipa::path(patch, path = "/sessions/{id}/messages/{mid}", tag = "messages", operation_id = "edit_message",
    params(("id" = Uuid, Path), ("mid" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = PromptInput,
    responses(
        (status = 200, body = wire::WholeAnswer,
            description = "Streamed instead with `Accept: text/event-stream`"),
        (status = 404, body = ProblemBody), (status = 409, body = ProblemBody),
    ),
)]
async fn edit(
    State(app): State<App>,
    ids: Keys<kinds::Conversation, kinds::Message>,
    headers: HeaderMap,
    posted: Posted<PromptInput>,
) -> Answer<Response> {
    let Posted { ctx, mut input } = posted;
    let content = input.text()?;
    let prompt = input.aimed(Aim::Edit {
        message: ids.1,
        content,
    });
    as_accepted(&app, &ctx, ids.0, prompt, &headers).await
}

/// Answers a prompt once more: a sibling of an earlier answer
#[utoipa::path(post, path = "/sessions/{id}/messages/{mid}/regenerate", tag = "messages",
    operation_id = "regenerate_message",
    params(("id" = Uuid, Path), ("mid" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = PromptInput,
    responses(
        (status = 200, body = wire::WholeAnswer,
            description = "Streamed instead with `Accept: text/event-stream`"),
        (status = 404, body = ProblemBody), (status = 409, body = ProblemBody),
    ),
)]
async fn regenerate(
    State(app): State<App>,
    ids: Keys<kinds::Conversation, kinds::Message>,
    headers: HeaderMap,
    posted: Posted<PromptInput>,
) -> Answer<Response> {
    let prompt = posted.input.aimed(Aim::Regenerate { message: ids.1 });
    as_accepted(&app, &posted.ctx, ids.0, prompt, &headers).await
}

/// The newest answer, which the server has stored already; kept for S0's clients
#[utoipa::path(post, path = "/sessions/{id}/update-stream", tag = "messages", operation_id = "update_stream",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = wire::Message), (status = 404, body = ProblemBody)),
)]
async fn update_stream(
    State(app): State<App>,
    id: Key<kinds::Conversation>,
    posted: Posted<serde::de::IgnoredAny>,
) -> Answer<Json<Message>> {
    Ok(Json(
        app.parts().chat.stored_answer(&posted.ctx, id.0).await?,
    ))
}

/// Sends a message within a plan's conversation and answers when the answer is whole (S4.5)
#[utoipa::path(post, path = "/conversations/{id}/chat", tag = "messages", operation_id = "plan_chat",
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = PromptInput,
    responses((status = 200, body = wire::WholeAnswer), (status = 404, body = ProblemBody)),
)]
async fn plan_chat(
    State(app): State<App>,
    id: Key<kinds::Conversation>,
    posted: Posted<PromptInput>,
) -> Answer<Json<Value>> {
    let prompt = posted.input.sent()?;
    Ok(Json(answered(&app, &posted.ctx, id.0, prompt).await?))
}

async fn as_accepted(
    app: &App,
    ctx: &Context,
    id: ConversationId,
    prompt: Prompt,
    headers: &HeaderMap,
) -> Answer<Response> {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    if accept.contains("text/event-stream") {
        return streamed(app, ctx, id, prompt).await;
    }
    Ok(Json(answered(app, ctx, id, prompt).await?).into_response())
}

/// Sends a prompt and waits for the whole answer.
async fn answered(
    app: &App,
    ctx: &Context,
    id: ConversationId,
    prompt: Prompt,
) -> kernel::Result<Value> {
    // Nothing is answered before the end, whose commit takes this one along.
    let prompt = Prompt {
        durability: Durability::Fast,
        ..prompt
    };
    let sent = app.parts().chat.send(ctx, id, prompt).await?;
    whole(app, ctx, id, &sent).await
}

async fn streamed(
    app: &App,
    ctx: &Context,
    id: ConversationId,
    prompt: Prompt,
) -> Answer<Response> {
    let place = app.place(ctx, Use::Answer)?;
    let sent = app.parts().chat.send(ctx, id, prompt).await?;
    let events = app.parts().runs.follow(ctx, sent.run_id).await?;
    app.stream(ctx, events, place)
}

/// Waits for the end of the answer and puts together what S0 expects.
async fn whole(app: &App, ctx: &Context, id: ConversationId, sent: &Sent) -> kernel::Result<Value> {
    let end = app.parts().runs.wait(ctx, sent.run_id);
    let last = app.while_signed_in(ctx, end).await?;
    let mut end: Value = serde_json::from_str(last.data()).map_err(Error::internal)?;
    if let Some(error) = failure(&end) {
        return Err(error);
    }
    let conversation = app.parts().conversations.get(ctx, id).await?;
    Ok(json!({
        "message": end["message"].take(),
        "conversation": conversation,
        "usage": end["usage"].take(),
        "credits": end["credits"].take(),
        "end_reason": end["end_reason"].take(),
        "run_id": sent.run_id,
    }))
}

/// The error that a run's last event tells of.
fn failure(end: &Value) -> Option<Error> {
    let name = end["error"]["code"].as_str()?;
    let detail = end["error"]["detail"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let code = codes::ALL
        .iter()
        .find(|code| code.name == name)
        .copied()
        .unwrap_or(codes::INTERNAL);
    let error = Error::new(code, detail);
    Some(match end["error"]["retry_after"].as_u64() {
        Some(seconds) => error.retry_after(Duration::from_secs(seconds)),
        None => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_has_three_names_and_its_sampling_beside_it() {
        for name in ["prompt", "content", "message"] {
            let text = format!(
                r#"{{"{name}": "Hi", "modelId": "m", "max_tokens": 5, "stop": ["x"], "z": 1}}"#
            );
            let prompt = serde_json::from_str::<PromptInput>(&text)
                .unwrap()
                .sent()
                .unwrap();
            assert_eq!(
                prompt.aim,
                Aim::Prompt {
                    content: "Hi".into(),
                    after: None
                }
            );
            assert_eq!(prompt.model_id.as_deref(), Some("m"));
            assert_eq!(prompt.sampling.max_tokens, Some(5));
            assert_eq!(prompt.sampling.stop, ["x"]);
        }
        assert!(serde_json::from_str::<PromptInput>(r#"{"prompt": "a", "content": "b"}"#).is_err());
        assert!(
            serde_json::from_str::<PromptInput>(r#"{"prompt": "a", "max_tokens": -1}"#).is_err()
        );
    }

    #[test]
    fn a_failed_run_is_the_error_it_tells() {
        assert!(failure(&json!({"end_reason": "stop"})).is_none());
        let end = json!({"error": {"code": "provider_timeout", "detail": "Slow."}});
        let error = failure(&end).unwrap();
        assert!(error.is(codes::PROVIDER_TIMEOUT));
        assert_eq!((error.detail(), error.retry()), ("Slow.", None));
        let end = json!({"error": {"code": "server_busy", "detail": "Full.", "retry_after": 7}});
        let error = failure(&end).unwrap();
        assert_eq!(error.retry(), Some(Duration::from_secs(7)));
    }
}
