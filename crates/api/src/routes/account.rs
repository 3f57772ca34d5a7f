//! One's own account: who one is, its password, its devices, its data, its end.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, header};
use kernel::{Paged, kinds};
use security::{Device, PatchMe, Secret, User};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    App,
    extract::{Caller, Key, Posted, Query, caller::bearer},
    places::Use,
    problem::{Answer, ProblemBody},
    rate::Class,
    seen::Seen,
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
        (status = 429, body = ProblemBody, description = "A user name counts like signing in"),
    ),
)]
async fn patch_me(
    State(app): State<App>,
    Extension(seen): Extension<Arc<Seen>>,
    posted: Posted<PatchMeInput>,
) -> Answer<Json<User>> {
    let Posted { ctx, input } = posted;
    // That a name is taken tells of somebody.
    if matches!(input.username, Some(Some(_))) {
        app.limit(&ctx, Class::SignIn, &seen).await?;
    }
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

/// One's own devices that are signed in, the last used first
#[utoipa::path(get, path = "/auth/sessions", tag = "account", operation_id = "list_devices",
    params(("page" = Option<u32>, Query), ("per_page" = Option<u32>, Query)),
    responses((status = 200, body = wire::DevicePage)),
)]
async fn devices(
    State(app): State<App>,
    Caller(ctx): Caller,
    query: Query,
) -> Answer<Json<Paged<Device>>> {
    let security = &app.parts().security;
    Ok(Json(security.devices(&ctx, query.page()?).await?))
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
/// conversations that are deleted and could be restored have a `deleted_at`. What is no JSON broke off,
/// as it does when the session ends meanwhile.
#[utoipa::path(get, path = "/auth/me/export", tag = "account", operation_id = "export_account",
    responses(
        (status = 200, body = Object, description = "The file tertulia-export.json"),
        (status = 429, body = ProblemBody, description = "Also while two exports are under way"),
    ),
)]
async fn export(State(app): State<App>, Caller(ctx): Caller) -> Answer<Response> {
    let place = app.place(&ctx, Use::Export)?;
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
    let body = place.held_by(Body::from_stream(pieces));
    Ok((headers, body).into_response())
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
    // A token ends its account; whose the cookies are is another matter.
    if bearer(&headers).is_err() {
        app.cookies().clear(&mut response);
    }
    Ok(response)
}
