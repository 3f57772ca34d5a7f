//! One's saved prompts: texts to be sent again, each under a command.

use axum::{Json, extract::State};
use conversations::{NewSavedPrompt, SavedPrompt, SavedPromptPatch};
use http::StatusCode;
use kernel::{Paged, SavedPromptId, Timestamp, kinds};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

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
        .routes(routes!(patch, delete))
}

/// A text under a command.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SavedPrompt)]
struct PromptWire {
    #[schema(value_type = Uuid)]
    id: SavedPromptId,
    /// The only one of the account.
    command: String,
    title: String,
    content: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<SavedPrompt> for PromptWire {
    fn from(prompt: SavedPrompt) -> Self {
        Self {
            id: prompt.id,
            command: prompt.command,
            title: prompt.title,
            content: prompt.content,
            created_at: prompt.created_at,
            updated_at: prompt.updated_at,
        }
    }
}

/// A page of saved prompts, newest first.
#[derive(ToSchema)]
#[schema(as = SavedPromptPage)]
#[expect(dead_code, reason = "it describes what `Paged` is sent as")]
struct PromptPage {
    data: Vec<PromptWire>,
    meta: wire::PageMeta,
}

/// One's saved prompts, newest first
#[utoipa::path(get, path = "/prompts", tag = "prompts", operation_id = "list_prompts",
    params(("page" = Option<u32>, Query), ("per_page" = Option<u32>, Query)),
    responses((status = 200, body = PromptPage)),
)]
async fn list(
    State(app): State<App>,
    Caller(ctx): Caller,
    query: Query,
) -> Answer<Json<Paged<PromptWire>>> {
    let conversations = &app.parts().conversations;
    let page = conversations.saved_prompts(&ctx, query.page()?).await?;
    Ok(Json(page.map(PromptWire::from)))
}

#[derive(Debug, Deserialize, ToSchema)]
struct NewPromptInput {
    /// 1 to 32 of a to z, 0 to 9 and the hyphen; the only one of the account.
    command: String,
    /// 1 to 80 characters.
    title: String,
    /// 1 byte to 32 KiB, not blank.
    content: String,
}

/// Saves a prompt
#[utoipa::path(post, path = "/prompts", tag = "prompts", operation_id = "create_prompt",
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = NewPromptInput,
    responses(
        (status = 201, body = PromptWire),
        (status = 409, body = ProblemBody, description = "The command is taken, or there are 500 already"),
        (status = 422, body = ProblemBody),
    ),
)]
async fn create(
    State(app): State<App>,
    posted: Posted<NewPromptInput>,
) -> Answer<(StatusCode, Json<PromptWire>)> {
    let Posted { ctx, input } = posted;
    let new = NewSavedPrompt {
        command: input.command,
        title: input.title,
        content: input.content,
    };
    let saved = app.parts().conversations.save_prompt(&ctx, new).await?;
    Ok((StatusCode::CREATED, Json(saved.into())))
}

#[derive(Debug, Deserialize, ToSchema)]
struct PromptPatchInput {
    /// 1 to 32 of a to z, 0 to 9 and the hyphen.
    command: Option<String>,
    /// 1 to 80 characters.
    title: Option<String>,
    /// 1 byte to 32 KiB, not blank.
    content: Option<String>,
}

/// Changes a saved prompt; what is absent stays
#[utoipa::path(patch, path = "/prompts/{id}", tag = "prompts", operation_id = "patch_prompt",
    params(("id" = Uuid, Path)),
    request_body = PromptPatchInput,
    responses(
        (status = 200, body = PromptWire), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 422, body = ProblemBody),
    ),
)]
async fn patch(
    State(app): State<App>,
    id: Key<kinds::SavedPrompt>,
    posted: Posted<PromptPatchInput>,
) -> Answer<Json<PromptWire>> {
    let Posted { ctx, input } = posted;
    let patch = SavedPromptPatch {
        command: input.command,
        title: input.title,
        content: input.content,
    };
    let conversations = &app.parts().conversations;
    let changed = conversations.patch_saved_prompt(&ctx, id.0, patch).await?;
    Ok(Json(changed.into()))
}

/// Deletes a saved prompt; its command is free again
#[utoipa::path(delete, path = "/prompts/{id}", tag = "prompts", operation_id = "delete_prompt",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = wire::Said), (status = 404, body = ProblemBody)),
)]
async fn delete(
    State(app): State<App>,
    Caller(ctx): Caller,
    id: Key<kinds::SavedPrompt>,
) -> Answer<Json<Value>> {
    let conversations = &app.parts().conversations;
    conversations.delete_saved_prompt(&ctx, id.0).await?;
    Ok(Json(json!({"message": "The prompt was deleted."})))
}
