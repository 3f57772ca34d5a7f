//! Conversations, also called chat sessions (S0.2, S0.11, S4.5).

use axum::{Json, extract::State, response::Response};
use chat::NewSession;
use conversations::{
    Conversation, ExportFormat, Filter, MessageView, MessagesQuery, Patch, Reading, SearchHit,
};
use http::StatusCode;
use kernel::{AssistantId, Error, MessageId, Paged, kinds};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::runs::RunWire;
use crate::{
    App,
    extract::{Caller, Key, Posted, Query},
    pieces,
    places::Use,
    problem::{Answer, ProblemBody},
    wire,
};

/// This part's routes.
pub(crate) fn table() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(create, list))
        .routes(routes!(get, patch, delete))
        .routes(routes!(restore))
        .routes(routes!(stop))
        .routes(routes!(export))
        .routes(routes!(search))
}

#[derive(Debug, Deserialize, ToSchema)]
struct CreateInput {
    /// The model; that of the assistant or else the default one without it.
    #[serde(alias = "modelId", alias = "model")]
    model_id: Option<String>,
    title: Option<String>,
    /// What the model is told first; what the assistant tells without it.
    #[serde(alias = "systemPrompt")]
    system_prompt: Option<String>,
    /// One of one's assistants.
    #[serde(alias = "assistantId")]
    assistant_id: Option<String>,
}

/// Begins a conversation
#[utoipa::path(post, path = "/sessions", tag = "conversations", operation_id = "create_session",
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = CreateInput,
    responses(
        (status = 201, body = wire::Conversation),
        (status = 400, body = ProblemBody, description = "Invalid or unsupported model ID"),
        (status = 404, body = ProblemBody, description = "The assistant is not there"),
        (status = 409, body = ProblemBody, description = "There are as many as there may be"),
        (status = 503, body = ProblemBody, description = "No model is configured"),
    ),
)]
async fn create(
    State(app): State<App>,
    posted: Posted<CreateInput>,
) -> Answer<(StatusCode, Json<Conversation>)> {
    let Posted { ctx, input } = posted;
    let assistant = input
        .assistant_id
        .as_deref()
        .map(str::parse::<AssistantId>)
        .transpose();
    let new = NewSession {
        model_id: input.model_id,
        title: input.title,
        system_prompt: input.system_prompt,
        assistant_id: assistant.map_err(|_| Error::not_found("Assistant"))?,
    };
    Ok((
        StatusCode::CREATED,
        Json(app.parts().chat.create_session(&ctx, new).await?),
    ))
}

/// One's conversations, pinned ones first, then the last changed first
#[utoipa::path(get, path = "/sessions", tag = "conversations", operation_id = "list_sessions",
    params(
        ("archived" = Option<bool>, Query), ("pinned" = Option<bool>, Query),
        ("page" = Option<u32>, Query), ("per_page" = Option<u32>, Query),
    ),
    responses(
        (status = 200, body = wire::ConversationPage),
        (status = 429, body = ProblemBody, description = "Also while 20 long lists are under way"),
    ),
)]
async fn list(State(app): State<App>, Caller(ctx): Caller, query: Query) -> Answer<Response> {
    let filter = Filter {
        archived: query.flag("archived")?.unwrap_or(false),
        pinned: query.flag("pinned")?,
    };
    let conversations = &app.parts().conversations;
    let list = conversations.list(&ctx, query.page()?, filter).await?;
    pieces::list(&app, &ctx, list).await
}

/// A conversation
#[utoipa::path(get, path = "/sessions/{id}", tag = "conversations", operation_id = "get_session",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = wire::Conversation), (status = 404, body = ProblemBody)),
)]
async fn get(
    State(app): State<App>,
    Caller(ctx): Caller,
    id: Key<kinds::Conversation>,
) -> Answer<Json<Conversation>> {
    Ok(Json(app.parts().conversations.get(&ctx, id.0).await?))
}

/// Absent stays absent, null becomes `Some(None)`.
pub(super) fn nullable<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(from).map(Some)
}

#[derive(Debug, Deserialize, ToSchema)]
struct PatchInput {
    /// An empty one lets the platform name it again.
    title: Option<String>,
    pinned: Option<bool>,
    archived: Option<bool>,
    #[serde(alias = "modelId", alias = "model")]
    model_id: Option<String>,
    /// Null removes it.
    #[serde(default, alias = "systemPrompt", deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    system_prompt: Option<Option<String>>,
    /// Goes to the branch of this message.
    head: Option<String>,
    /// Only if the conversation still has this version.
    version: Option<i64>,
}

/// Changes a conversation; what is absent stays
#[utoipa::path(patch, path = "/sessions/{id}", tag = "conversations", operation_id = "patch_session",
    params(("id" = Uuid, Path)),
    request_body = PatchInput,
    responses(
        (status = 200, body = wire::Conversation), (status = 400, body = ProblemBody),
        (status = 404, body = ProblemBody), (status = 409, body = ProblemBody),
    ),
)]
async fn patch(
    State(app): State<App>,
    id: Key<kinds::Conversation>,
    posted: Posted<PatchInput>,
) -> Answer<Json<Conversation>> {
    let Posted { ctx, input } = posted;
    let head = input
        .head
        .as_deref()
        .map(str::parse::<MessageId>)
        .transpose();
    let patch = Patch {
        title: input.title,
        pinned: input.pinned,
        archived: input.archived,
        model_id: input.model_id,
        system_prompt: input.system_prompt,
        head: head.map_err(|_| Error::not_found("Message"))?,
        version: input.version,
    };
    Ok(Json(
        app.parts().chat.patch_session(&ctx, id.0, patch).await?,
    ))
}

/// Deletes a conversation, which can be restored for 30 days; an answer that is being written is stopped
#[utoipa::path(delete, path = "/sessions/{id}", tag = "conversations", operation_id = "delete_session",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = wire::Said), (status = 404, body = ProblemBody)),
)]
async fn delete(
    State(app): State<App>,
    Caller(ctx): Caller,
    id: Key<kinds::Conversation>,
) -> Answer<Json<Value>> {
    let deleted = app.parts().chat.delete_session(&ctx, id.0).await?;
    Ok(Json(json!({"message": deleted.message})))
}

/// Undoes a deletion
#[utoipa::path(post, path = "/sessions/{id}/restore", tag = "conversations", operation_id = "restore_session",
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = wire::Conversation),
        (status = 404, body = ProblemBody, description = "It is not deleted, or was deleted too long ago"),
        (status = 429, body = ProblemBody),
    ),
)]
async fn restore(
    State(app): State<App>,
    id: Key<kinds::Conversation>,
    posted: Posted<serde::de::IgnoredAny>,
) -> Answer<Json<Conversation>> {
    let restored = app.parts().conversations.restore(&posted.ctx, id.0).await?;
    Ok(Json(restored))
}

/// What was stopped.
#[derive(Debug, Serialize, ToSchema)]
struct Stopped {
    message: &'static str,
    /// The run that was stopped; null when no answer was being written.
    run: Option<RunWire>,
}

/// Stops the answer that is being written; what there is of it is kept
#[utoipa::path(post, path = "/sessions/{id}/stop", tag = "conversations", operation_id = "stop_session",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = Stopped), (status = 404, body = ProblemBody)),
)]
async fn stop(
    State(app): State<App>,
    id: Key<kinds::Conversation>,
    posted: Posted<serde::de::IgnoredAny>,
) -> Answer<Json<Stopped>> {
    let run = app.parts().chat.stop(&posted.ctx, id.0).await?;
    let message = if run.is_some() {
        "Stopped."
    } else {
        "No answer was being written."
    };
    Ok(Json(Stopped {
        message,
        run: run.map(RunWire::from),
    }))
}

/// A conversation as a file
#[utoipa::path(get, path = "/sessions/{id}/export", tag = "conversations", operation_id = "export_session",
    params(("id" = Uuid, Path), ("format" = Option<String>, Query, description = "md or json")),
    responses(
        (status = 200, body = str, description = "Markdown or JSON"),
        (status = 404, body = ProblemBody),
        (status = 429, body = ProblemBody, description = "Also while two exports are under way"),
    ),
)]
async fn export(
    State(app): State<App>,
    Caller(ctx): Caller,
    id: Key<kinds::Conversation>,
    query: Query,
) -> Answer<Response> {
    let format = match query.text("format") {
        None | Some("md" | "markdown") => ExportFormat::Md,
        Some("json") => ExportFormat::Json,
        Some(_) => Err(Error::invalid("format", "is md or json"))?,
    };
    let place = app.place(&ctx, Use::Export)?;
    let export = app.parts().conversations.export(&ctx, id.0, format).await?;
    pieces::file(&app, &ctx, export, place).await
}

/// Finds conversations by their words
#[utoipa::path(get, path = "/search", tag = "conversations", operation_id = "search",
    params(
        ("q" = String, Query, description = "All of these words, the last one of two letters or more as a beginning"),
        ("page" = Option<u32>, Query), ("per_page" = Option<u32>, Query),
    ),
    responses((status = 200, body = wire::SearchPage)),
)]
async fn search(
    State(app): State<App>,
    Caller(ctx): Caller,
    query: Query,
) -> Answer<Json<Paged<SearchHit>>> {
    let words = query.text("q").unwrap_or("");
    Ok(Json(
        app.parts()
            .conversations
            .search(&ctx, words, query.page()?)
            .await?,
    ))
}

/// Shared with [`super::messages`].
pub(super) async fn messages_of(
    app: &App,
    ctx: &kernel::Context,
    id: kernel::ConversationId,
    query: &Query,
) -> kernel::Result<Reading<MessageView>> {
    let before = query
        .text("before")
        .map(str::parse::<MessageId>)
        .transpose();
    let query = MessagesQuery {
        page: query.page()?,
        before: before.map_err(|_| Error::not_found("Message"))?,
    };
    app.parts().conversations.messages(ctx, id, query).await
}
