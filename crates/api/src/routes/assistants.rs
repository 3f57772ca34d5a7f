//! One's assistants: models and their instructions to begin conversations with.

use axum::{Json, extract::State};
use conversations::{Assistant, AssistantPatch, NewAssistant};
use http::StatusCode;
use kernel::{AssistantId, Paged, Timestamp, kinds};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::conversations::nullable;
use crate::{
    App,
    extract::{Caller, Key, Posted, Query},
    problem::{Answer, ProblemBody},
    wire,
};

/// This part's routes.
pub(crate) fn table() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list, create))
        .routes(routes!(get, patch, delete))
}

/// A model and its instructions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Assistant)]
struct AssistantWire {
    #[schema(value_type = Uuid)]
    id: AssistantId,
    name: String,
    description: Option<String>,
    /// The model; it may not exist any more.
    model_id: String,
    /// What the model is told first.
    system_prompt: String,
    /// What one might ask it first.
    questions: Vec<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Assistant> for AssistantWire {
    fn from(assistant: Assistant) -> Self {
        Self {
            id: assistant.id,
            name: assistant.name,
            description: assistant.description,
            model_id: assistant.model_id,
            system_prompt: assistant.system_prompt,
            questions: assistant.questions,
            created_at: assistant.created_at,
            updated_at: assistant.updated_at,
        }
    }
}

/// A page of assistants, newest first.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what `Paged` is sent as")]
struct AssistantPage {
    data: Vec<AssistantWire>,
    meta: wire::PageMeta,
}

/// One's assistants, newest first
#[utoipa::path(get, path = "/assistants", tag = "assistants", operation_id = "list_assistants",
    params(("page" = Option<u32>, Query), ("per_page" = Option<u32>, Query)),
    responses((status = 200, body = AssistantPage)),
)]
async fn list(
    State(app): State<App>,
    Caller(ctx): Caller,
    query: Query,
) -> Answer<Json<Paged<AssistantWire>>> {
    let conversations = &app.parts().conversations;
    let page = conversations.assistants(&ctx, query.page()?).await?;
    Ok(Json(page.map(AssistantWire::from)))
}

#[derive(Debug, Deserialize, ToSchema)]
struct NewAssistantInput {
    /// 1 to 80 characters.
    name: String,
    /// At most 300 characters.
    description: Option<String>,
    #[serde(alias = "modelId", alias = "model")]
    model_id: String,
    /// At most 32 KiB.
    #[serde(alias = "systemPrompt")]
    system_prompt: Option<String>,
    /// At most 6 of 1 to 300 characters.
    questions: Option<Vec<String>>,
}

/// Makes an assistant
#[utoipa::path(post, path = "/assistants", tag = "assistants", operation_id = "create_assistant",
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = NewAssistantInput,
    responses(
        (status = 201, body = AssistantWire),
        (status = 400, body = ProblemBody, description = "Invalid or unsupported model ID"),
        (status = 409, body = ProblemBody, description = "There are 200 already"),
        (status = 422, body = ProblemBody),
    ),
)]
async fn create(
    State(app): State<App>,
    posted: Posted<NewAssistantInput>,
) -> Answer<(StatusCode, Json<AssistantWire>)> {
    let Posted { ctx, input } = posted;
    let new = NewAssistant {
        name: input.name,
        description: input.description,
        model_id: input.model_id,
        system_prompt: input.system_prompt.unwrap_or_default(),
        questions: input.questions.unwrap_or_default(),
    };
    let made = app.parts().chat.create_assistant(&ctx, new).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// An assistant
#[utoipa::path(get, path = "/assistants/{id}", tag = "assistants", operation_id = "get_assistant",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = AssistantWire), (status = 404, body = ProblemBody)),
)]
async fn get(
    State(app): State<App>,
    Caller(ctx): Caller,
    id: Key<kinds::Assistant>,
) -> Answer<Json<AssistantWire>> {
    let assistant = app.parts().conversations.assistant(&ctx, id.0).await?;
    Ok(Json(assistant.into()))
}

#[derive(Debug, Deserialize, ToSchema)]
struct AssistantPatchInput {
    /// 1 to 80 characters.
    name: Option<String>,
    /// At most 300 characters; null removes it.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    #[serde(alias = "modelId", alias = "model")]
    model_id: Option<String>,
    /// At most 32 KiB.
    #[serde(alias = "systemPrompt")]
    system_prompt: Option<String>,
    /// All of them: at most 6 of 1 to 300 characters.
    questions: Option<Vec<String>>,
}

/// Changes an assistant; what is absent stays
#[utoipa::path(patch, path = "/assistants/{id}", tag = "assistants", operation_id = "patch_assistant",
    params(("id" = Uuid, Path)),
    request_body = AssistantPatchInput,
    responses(
        (status = 200, body = AssistantWire), (status = 400, body = ProblemBody),
        (status = 404, body = ProblemBody), (status = 422, body = ProblemBody),
    ),
)]
async fn patch(
    State(app): State<App>,
    id: Key<kinds::Assistant>,
    posted: Posted<AssistantPatchInput>,
) -> Answer<Json<AssistantWire>> {
    let Posted { ctx, input } = posted;
    let patch = AssistantPatch {
        name: input.name,
        description: input.description,
        model_id: input.model_id,
        system_prompt: input.system_prompt,
        questions: input.questions,
    };
    let changed = app.parts().chat.patch_assistant(&ctx, id.0, patch).await?;
    Ok(Json(changed.into()))
}

/// Deletes an assistant; conversations that began with it stay as they are
#[utoipa::path(delete, path = "/assistants/{id}", tag = "assistants", operation_id = "delete_assistant",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = wire::Said), (status = 404, body = ProblemBody)),
)]
async fn delete(
    State(app): State<App>,
    Caller(ctx): Caller,
    id: Key<kinds::Assistant>,
) -> Answer<Json<Value>> {
    app.parts()
        .conversations
        .delete_assistant(&ctx, id.0)
        .await?;
    Ok(Json(json!({"message": "The assistant was deleted."})))
}
