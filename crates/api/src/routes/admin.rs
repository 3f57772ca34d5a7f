//! What an administrator at the machine can do, over the socket in the data
//! directory. Whoever can open that file acts as the platform itself.

use axum::{
    Json, Router,
    extract::{FromRequest, Request, State},
    routing::post,
};
use kernel::{AccountId, Context, Credits, Error};
use security::{CreateUser, Secret};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    App,
    extract::body,
    problem::{Answer, Problem},
};

/// The commands; apart from the API's table, because no client sees them.
pub(crate) fn router(app: &App) -> Router {
    let commands = Router::new()
        .route("/users", post(create_user))
        .route("/allocations", post(allocate))
        .route("/passwords", post(reset_password));
    super::wrap(commands, app)
}

/// The platform itself, in the tenant `default`, and the body.
struct Command<T> {
    ctx: Context,
    input: T,
}

impl<T: DeserializeOwned> FromRequest<App> for Command<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let server = &app.options().server;
        let bytes = body::read(body, server.max_body, server.body_timeout).await?;
        let tenant = app.parts().security.default_tenant().id;
        let ctx = Context::system("admin", tenant, app.store().env().ids.next());
        Ok(Self {
            ctx,
            input: body::json(&parts.headers, &bytes)?,
        })
    }
}

/// Makes an account.
#[derive(Deserialize)]
struct NewUser {
    email: String,
    password: Secret,
    roles: Vec<String>,
}

#[derive(Serialize)]
struct Made {
    id: AccountId,
    email: String,
}

async fn create_user(State(app): State<App>, command: Command<NewUser>) -> Answer<Json<Made>> {
    let Command { ctx, input } = command;
    let create = CreateUser {
        email: input.email,
        username: None,
        password: input.password,
        display_name: None,
        roles: super::auth::roles(&input.roles)?,
    };
    let user = app.parts().security.create_user(&ctx, create).await?;
    Ok(Json(Made {
        id: user.id,
        email: user.email,
    }))
}

/// Gives credits.
#[derive(Deserialize)]
struct Allocation {
    email: String,
    amount: String,
    note: Option<String>,
}

async fn allocate(
    State(app): State<App>,
    command: Command<Allocation>,
) -> Answer<Json<accounting::Allocated>> {
    let Command { ctx, input } = command;
    let amount: Credits = input
        .amount
        .parse()
        .map_err(|error: kernel::CreditsError| Error::invalid("amount", error.to_string()))?;
    let target = app
        .parts()
        .security
        .user_by_email(&ctx, &input.email)
        .await?
        .id;
    let allocate = accounting::Allocate {
        target,
        amount,
        expires_at: None,
        note: input.note,
    };
    Ok(Json(app.parts().accounting.allocate(&ctx, allocate).await?))
}

/// Sets a password, or makes one.
#[derive(Deserialize)]
struct NewPassword {
    email: String,
    password: Option<Secret>,
}

#[derive(Serialize)]
struct Reset {
    generated_password: Option<String>,
    sessions_revoked: usize,
}

async fn reset_password(
    State(app): State<App>,
    command: Command<NewPassword>,
) -> Answer<Json<Reset>> {
    let Command { ctx, input } = command;
    let done = app
        .parts()
        .security
        .reset_password(&ctx, &input.email, input.password)
        .await?;
    Ok(Json(Reset {
        generated_password: done.generated_password,
        sessions_revoked: done.sessions_revoked,
    }))
}
