//! One's own account: who one is, its password, its devices, its data, its end.

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, header};
use kernel::kinds;
use security::{Device, PatchMe, Secret, User};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    App,
    extract::{Caller, Key, Posted},
    problem::{Answer, ProblemBody},
    wire,
};

/// This part's routes.
pub(crate) fn table() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(me, patch_me, erase))
        .routes(routes!(export))
        .routes(routes!(password))
        .routes(routes!(devices))
        .routes(routes!(sign_out))
}

/// Who one is
#[utoipa::path(get, path = "/auth/me", tag = "account", operation_id = "me",
    responses((status = 200, body = wire::User), (status = 401, body = ProblemBody)),
)]
async fn me(State(app): State<App>, Caller(ctx): Caller) -> Answer<Json<User>> {
    Ok(Json(app.parts().security.me(&ctx).await?))
}

#[derive(Deserialize, ToSchema)]
struct PatchMeInput {
    /// 1 to 100 characters.
    #[serde(alias = "displayName")]
    display_name: Option<String>,
    /// A second name to sign in with: 2 to 64 of a-z, 0-9, `.`, `_`, `-`; null gives it up.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    username: Option<Option<String>>,
}

/// Tells null from absent.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// Changes one's own names
#[utoipa::path(patch, path = "/auth/me", tag = "account", operation_id = "patch_me",
    request_body = PatchMeInput,
    responses(
        (status = 200, body = wire::User),
        (status = 409, body = ProblemBody, description = "The user name is taken"),
        (status = 422, body = ProblemBody),
    ),
)]
async fn patch_me(State(app): State<App>, posted: Posted<PatchMeInput>) -> Answer<Json<User>> {
    let Posted { ctx, input } = posted;
    let patch = PatchMe {
        display_name: input.display_name,
        username: input.username,
    };
    Ok(Json(app.parts().security.patch_me(&ctx, patch).await?))
}

#[derive(Deserialize, ToSchema)]
struct PasswordInput {
    #[serde(alias = "currentPassword")]
    #[schema(value_type = String, format = Password)]
    current_password: Secret,
    /// 8 to 256 characters.
    #[serde(alias = "newPassword")]
    #[schema(value_type = String, format = Password)]
    new_password: Secret,
}

/// Changes one's own password; every other device is signed out
#[utoipa::path(post, path = "/auth/password", tag = "account", operation_id = "change_password",
    request_body = PasswordInput,
    responses(
        (status = 200, body = wire::Said),
        (status = 403, body = ProblemBody, description = "The current password is wrong"),
        (status = 422, body = ProblemBody), (status = 429, body = ProblemBody),
    ),
)]
async fn password(State(app): State<App>, posted: Posted<PasswordInput>) -> Answer<Json<Value>> {
    let Posted { ctx, input } = posted;
    let security = &app.parts().security;
    security
        .change_password(&ctx, &input.current_password, &input.new_password)
        .await?;
    Ok(Json(
        json!({"message": "Your password was changed; your other devices are signed out."}),
    ))
}

/// The devices that are signed in, the last used first; at most 200.
#[derive(Serialize)]
struct Devices {
    data: Vec<Device>,
}

/// One's own devices that are signed in, the last used first
#[utoipa::path(get, path = "/auth/sessions", tag = "account", operation_id = "list_devices",
    responses((status = 200, body = wire::DeviceList)),
)]
async fn devices(State(app): State<App>, Caller(ctx): Caller) -> Answer<Json<Devices>> {
    let data = app.parts().security.devices(&ctx).await?;
    Ok(Json(Devices { data }))
}

/// Signs one of one's own devices out
#[utoipa::path(delete, path = "/auth/sessions/{id}", tag = "account", operation_id = "sign_out_device",
    params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = wire::Said), (status = 404, body = ProblemBody)),
)]
async fn sign_out(
    State(app): State<App>,
    Caller(ctx): Caller,
    id: Key<kinds::AuthSession>,
) -> Answer<Json<Value>> {
    app.parts().security.sign_out(&ctx, id.0).await?;
    Ok(Json(json!({"message": "The device is signed out."})))
}

/// Everything that is one's own in this tenant, as one JSON document
///
/// `{account, memberships, conversations: [{..., messages: [...]}], assistants, prompts, ledger, usage}`;
/// conversations that are deleted and could be restored have a `deleted_at`.
#[utoipa::path(get, path = "/auth/me/export", tag = "account", operation_id = "export_account",
    responses((status = 200, body = Object, description = "The file tertulia-export.json")),
)]
async fn export(State(app): State<App>, Caller(ctx): Caller) -> Answer<Response> {
    let parts = app.parts();
    let pieces = parts.chat.export_account(&ctx, &parts.security).await?;
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        ),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment; filename=\"tertulia-export.json\""),
        ),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

#[derive(Deserialize, ToSchema)]
struct EraseInput {
    #[schema(value_type = String, format = Password)]
    password: Secret,
}

/// Erases one's own account, for good
///
/// Answers end, sessions end, conversations and all that one kept are removed, and the email address is
/// free again. The ledger stays, without a name.
#[utoipa::path(delete, path = "/auth/me", tag = "account", operation_id = "erase_account",
    request_body = EraseInput,
    responses(
        (status = 200, body = wire::Said),
        (status = 403, body = ProblemBody, description = "The password is wrong"),
        (status = 409, body = ProblemBody, description = "Nobody else administers the tenant"),
        (status = 429, body = ProblemBody),
    ),
)]
async fn erase(
    State(app): State<App>,
    headers: HeaderMap,
    posted: Posted<EraseInput>,
) -> Answer<Response> {
    let Posted { ctx, input } = posted;
    let parts = app.parts();
    parts
        .chat
        .erase_account(&ctx, &parts.security, &input.password)
        .await?;
    let said = json!({"message": "Your account and all that was in it are erased."});
    let mut response = Json(said).into_response();
    if app.cookies().access(&headers).is_some() {
        app.cookies().clear(&mut response);
    }
    Ok(response)
}
