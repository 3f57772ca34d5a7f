//! The accounts of a tenant, for its administrators.

use axum::{Json, extract::State};
use kernel::{Error, Paged, kinds};
use security::{MemberPatch, MemberStatus, User, UsersQuery};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    App,
    extract::{Caller, Key, Posted, Query},
    problem::{Answer, ProblemBody},
    routes::auth::roles,
    wire,
};

/// This part's routes.
pub(crate) fn table() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(users))
        .routes(routes!(user, patch_user))
}

/// The accounts of the tenant; for admins
#[utoipa::path(get, path = "/users", tag = "users", operation_id = "list_users",
    params(
        ("q" = Option<String>, Query, description = "Part of an email address, user name or display name, in any case"),
        ("page" = Option<u32>, Query), ("per_page" = Option<u32>, Query),
    ),
    responses((status = 200, body = wire::UserPage), (status = 403, body = ProblemBody)),
)]
async fn users(
    State(app): State<App>,
    Caller(ctx): Caller,
    query: Query,
) -> Answer<Json<Paged<User>>> {
    let wanted = UsersQuery {
        text: query.text("q").map(str::to_owned),
        page: query.page()?,
    };
    Ok(Json(app.parts().security.users(&ctx, wanted).await?))
}

/// An account of the tenant; for admins, and for oneself
#[utoipa::path(get, path = "/users/{id}", tag = "users", operation_id = "get_user",
    params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = wire::User), (status = 404, body = ProblemBody)),
)]
async fn user(
    State(app): State<App>,
    Caller(ctx): Caller,
    id: Key<kinds::Account>,
) -> Answer<Json<User>> {
    Ok(Json(app.parts().security.user(&ctx, id.0).await?))
}

#[derive(Deserialize, ToSchema)]
struct PatchUserInput {
    /// Replaces the roles: user, supervisor, admin, operator.
    roles: Option<Vec<String>>,
    /// active or suspended: who is suspended cannot sign in, and is signed out everywhere.
    #[schema(example = "suspended")]
    status: Option<String>,
}

/// Changes what an account may do, and whether it may come in; for admins
#[utoipa::path(patch, path = "/users/{id}", tag = "users", operation_id = "patch_user",
    params(("id" = uuid::Uuid, Path)),
    request_body = PatchUserInput,
    responses(
        (status = 200, body = wire::User), (status = 403, body = ProblemBody),
        (status = 404, body = ProblemBody), (status = 422, body = ProblemBody),
        (status = 409, body = ProblemBody, description = "Oneself, or the last of a role that somebody must have"),
    ),
)]
async fn patch_user(
    State(app): State<App>,
    id: Key<kinds::Account>,
    posted: Posted<PatchUserInput>,
) -> Answer<Json<User>> {
    let Posted { ctx, input } = posted;
    if input.roles.is_none() && input.status.is_none() {
        return Err(Error::invalid("roles", "is missing; or send `status`").into());
    }
    let patch = MemberPatch {
        roles: input.roles.as_deref().map(roles).transpose()?,
        status: input.status.as_deref().map(status).transpose()?,
    };
    Ok(Json(
        app.parts().security.patch_member(&ctx, id.0, patch).await?,
    ))
}

fn status(name: &str) -> kernel::Result<MemberStatus> {
    match name {
        "active" => Ok(MemberStatus::Active),
        "suspended" => Ok(MemberStatus::Suspended),
        _ => Err(Error::invalid("status", "is active or suspended")),
    }
}
