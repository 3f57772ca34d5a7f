//! Sharing a branch of a conversation by a link, and reading one without
//! signing in.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use conversations::{MessageRole, Share, SharedConversation};
use http::{HeaderName, HeaderValue, StatusCode};
use kernel::{Error, MessageId, Timestamp, kinds};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    App,
    extract::{Caller, Key, Posted, Query, caller::Visitor},
    problem::{Answer, ProblemBody},
    rate::Class,
    wire,
};

/// This part's routes.
pub(crate) fn table() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(share, get, unshare))
        .routes(routes!(shared, revoke))
}

/// A shared branch, for its owner.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Share)]
struct ShareWire {
    /// Whoever knows it can read the branch.
    token: String,
    /// Where the page shows it.
    #[schema(example = "/app/shared/<token>")]
    path: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Up to this message.
    #[schema(value_type = Option<Uuid>)]
    head: Option<MessageId>,
}

impl From<Share> for ShareWire {
    fn from(share: Share) -> Self {
        Self {
            path: format!("/app/shared/{}", share.token),
            token: share.token,
            created_at: share.created_at,
            head: share.head,
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
struct ShareInput {
    /// Moves what is shared already to the present head; the token stays.
    refresh: Option<bool>,
}

/// Shares the present branch, read-only, up to its head
#[utoipa::path(post, path = "/sessions/{id}/share", tag = "conversations", operation_id = "share_session",
    params(("id" = Uuid, Path)),
    request_body = ShareInput,
    responses(
        (status = 200, body = ShareWire, description = "It was shared already"),
        (status = 201, body = ShareWire),
        (status = 404, body = ProblemBody),
    ),
)]
async fn share(
    State(app): State<App>,
    id: Key<kinds::Conversation>,
    posted: Posted<ShareInput>,
) -> Answer<(StatusCode, Json<ShareWire>)> {
    let refresh = posted.input.refresh.unwrap_or(false);
    let conversations = &app.parts().conversations;
    let (share, new) = conversations.share(&posted.ctx, id.0, refresh).await?;
    let status = if new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(share.into())))
}

/// How a conversation is shared
#[utoipa::path(get, path = "/sessions/{id}/share", tag = "conversations", operation_id = "get_share",
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = ShareWire),
        (status = 404, body = ProblemBody, description = "Also when it is not shared"),
    ),
)]
async fn get(
    State(app): State<App>,
    Caller(ctx): Caller,
    id: Key<kinds::Conversation>,
) -> Answer<Json<ShareWire>> {
    let share = app.parts().conversations.share_of(&ctx, id.0).await?;
    Ok(Json(share.into()))
}

/// Ends the sharing at once; an administrator ends that of others, too
#[utoipa::path(delete, path = "/sessions/{id}/share", tag = "conversations", operation_id = "unshare_session",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = wire::Said), (status = 404, body = ProblemBody)),
)]
async fn unshare(
    State(app): State<App>,
    Caller(ctx): Caller,
    id: Key<kinds::Conversation>,
) -> Answer<Json<Value>> {
    app.parts().conversations.unshare(&ctx, id.0).await?;
    Ok(Json(json!({ "message": UNSHARED })))
}

const UNSHARED: &str = "The conversation is not shared any more.";

/// A shared branch, for everybody.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SharedConversation)]
struct SharedWire {
    title: String,
    /// When the conversation began.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was shared up to its last message here.
    #[schema(value_type = String, format = DateTime)]
    shared_at: Timestamp,
    /// In order.
    messages: Vec<SharedMessageWire>,
    /// Not null when there is more above these: to be sent as `before`.
    #[schema(value_type = Option<Uuid>)]
    earlier: Option<MessageId>,
}

/// A message of a shared branch.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SharedMessage)]
struct SharedMessageWire {
    #[schema(value_type = Uuid)]
    id: MessageId,
    /// user, assistant
    #[schema(value_type = String, example = "assistant")]
    role: MessageRole,
    content: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The model that wrote it.
    model_id: Option<String>,
}

impl From<SharedConversation> for SharedWire {
    fn from(shared: SharedConversation) -> Self {
        let messages = shared.messages.into_iter();
        Self {
            title: shared.title,
            created_at: shared.created_at,
            shared_at: shared.shared_at,
            earlier: shared.earlier,
            messages: messages
                .map(|message| SharedMessageWire {
                    id: message.id,
                    role: message.role,
                    content: message.content,
                    created_at: message.created_at,
                    model_id: message.model_id,
                })
                .collect(),
        }
    }
}

/// No search engine is to keep it.
const NOT_INDEXED: [(HeaderName, HeaderValue); 1] = [(
    HeaderName::from_static("x-robots-tag"),
    HeaderValue::from_static("noindex"),
)];

/// Messages that are shown at once, where nobody says how many.
const SHOWN: i64 = 100;

/// A shared branch, without signing in; its last messages, or those above one of them
#[utoipa::path(get, path = "/shared/{token}", tag = "conversations", operation_id = "get_shared", security(()),
    params(
        ("token" = String, Path),
        ("before" = Option<Uuid>, Query, description = "Those above this message: `earlier`"),
        ("per_page" = Option<u32>, Query, description = "At most so many, 100 by default; fewer when they are long"),
    ),
    responses(
        (status = 200, body = SharedWire),
        (status = 404, body = ProblemBody, description = "Unknown, revoked or deleted"),
        (status = 429, body = ProblemBody),
    ),
)]
async fn shared(
    State(app): State<App>,
    visitor: Visitor,
    token: Result<Path<String>, PathRejection>,
    query: Query,
) -> Answer<([(HeaderName, HeaderValue); 1], Json<SharedWire>)> {
    let ctx = app.anonymous(&visitor.seen);
    app.limit(&ctx, Class::Reads, &visitor.seen).await?;
    let Path(token) = token.map_err(|_| absent())?;
    let before = query
        .text("before")
        .map(str::parse::<MessageId>)
        .transpose();
    let before = before.map_err(|_| Error::not_found("Message"))?;
    let most = match query.text("per_page") {
        Some(_) => query.page()?.limit(),
        None => SHOWN,
    };
    let shared = app.parts().chat.shared(&ctx, &token, before, most).await?;
    Ok((NOT_INDEXED, Json(shared.into())))
}

/// Ends one's own sharing by its link, or as an administrator that of anybody in the tenant
#[utoipa::path(delete, path = "/shared/{token}", tag = "conversations", operation_id = "revoke_share",
    params(("token" = String, Path)),
    responses((status = 200, body = wire::Said), (status = 404, body = ProblemBody)),
)]
async fn revoke(
    State(app): State<App>,
    Caller(ctx): Caller,
    token: Result<Path<String>, PathRejection>,
) -> Answer<Json<Value>> {
    let Path(token) = token.map_err(|_| absent())?;
    app.parts().conversations.revoke_share(&ctx, &token).await?;
    Ok(Json(json!({ "message": UNSHARED })))
}

fn absent() -> Error {
    Error::not_found("Shared conversation")
}
