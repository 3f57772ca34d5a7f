//! For whoever runs or explores the server: health, metrics, the API's description.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use kernel::{Context, Error, Role, Timestamp, codes};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    App,
    extract::{Open, caller, caller::Visitor},
    problem::{Answer, ProblemBody},
    seen::stays_at_home,
};

/// This part's routes.
pub(crate) fn table() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(root))
        .routes(routes!(health))
        .routes(routes!(ready))
        .routes(routes!(metrics))
        .routes(routes!(openapi))
}

/// What this server is, and where to go on.
#[derive(Debug, Serialize, ToSchema)]
struct Welcome {
    name: &'static str,
    version: &'static str,
    docs: &'static str,
    openapi: &'static str,
    next: [&'static str; 4],
}

/// What this is, and what to do next; browsers are sent to the page
#[utoipa::path(get, path = "/", tag = "operation", operation_id = "root", responses(
    (status = 200, body = Welcome),
    (status = 303, description = "To /app, for those who accept text/html"),
))]
async fn root(headers: HeaderMap) -> Response {
    let vary = (header::VARY, HeaderValue::from_static("Accept"));
    if is_browser(&headers) {
        let page = (header::LOCATION, HeaderValue::from_static("/app"));
        return (StatusCode::SEE_OTHER, [vary, page]).into_response();
    }
    let welcome = Json(Welcome {
        name: "Tertulia",
        version: crate::VERSION,
        docs: "/docs",
        openapi: "/openapi.json",
        next: [
            "POST /auth/register {email, password}",
            "POST /auth/login {email, password}: an access_token, for the header Authorization: Bearer",
            "POST /sessions {}: a conversation",
            "POST /sessions/{id}/messages/stream {prompt}: the answer as it is written",
        ],
    });
    ([vary], welcome).into_response()
}

/// Whoever asks for a document is shown the page; programs take anything, or JSON.
fn is_browser(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    accepted.any(|accepted| accepted.contains("text/html"))
}

/// Whether the server and what it needs are well.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// `ok`, or `unavailable` when a dependency is down.
    status: &'static str,
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
    /// Runs at work on this node.
    active_jobs: usize,
    version: &'static str,
    database: Dependency,
    redis: Dependency,
    bus: Dependency,
}

/// One thing the server needs.
#[derive(Debug, Serialize, ToSchema)]
struct Dependency {
    /// `ok`, `unavailable` or `not configured`.
    status: &'static str,
    /// Which implementation serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    kind: Option<&'static str>,
}

/// Whether the server and what it needs are well
#[utoipa::path(get, path = "/health", tag = "operation", operation_id = "health", responses(
    (status = 200, body = Health, description = "All is well"),
    (status = 503, body = Health, description = "A dependency is down"),
))]
async fn health(State(app): State<App>, Open(ctx): Open) -> Response {
    let database_ok = database_answers(&app, &ctx.as_system("health")).await;
    let kind = match app.store().dialect() {
        store::Dialect::Sqlite => "sqlite",
        store::Dialect::Postgres => "postgres",
    };
    let said = |ok| if ok { "ok" } else { "unavailable" };
    let health = Health {
        status: said(database_ok),
        timestamp: app.store().env().clock.now(),
        active_jobs: app.parts().runs.active(),
        version: crate::VERSION,
        database: Dependency {
            status: said(database_ok),
            kind: Some(kind),
        },
        redis: Dependency {
            status: "not configured",
            kind: None,
        },
        bus: Dependency {
            status: "ok",
            kind: Some("embedded"),
        },
    };
    let status = if database_ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut response = (status, Json(health)).into_response();
    if !database_ok {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(1));
    }
    response
}

/// Whether this node takes work: a load balancer asks here
#[utoipa::path(get, path = "/ready", tag = "operation", operation_id = "ready", responses(
    (status = 200, body = str, description = "Send requests here"),
    (status = 503, body = ProblemBody, description = "Stopping, or the database is down"),
))]
async fn ready(State(app): State<App>, Open(ctx): Open) -> Answer<&'static str> {
    if app.is_stopping() {
        let sentence = "The server is stopping; send requests to another one.";
        return Err(Error::new(codes::SHUTTING_DOWN, sentence).into());
    }
    match database_answers(&app, &ctx.as_system("ready")).await {
        true => Ok("ready"),
        false => {
            let sentence = "The database does not answer; send requests to another server.";
            Err(Error::new(codes::DATABASE_UNAVAILABLE, sentence).into())
        }
    }
}

/// Whether the database answers, and soon: one that hangs is as good as none.
async fn database_answers(app: &App, system: &Context) -> bool {
    let ping = tokio::time::timeout(Duration::from_secs(2), app.store().ping(system));
    matches!(ping.await, Ok(Ok(())))
}

/// Metrics for Prometheus; from other machines for admins only
#[utoipa::path(get, path = "/metrics", tag = "operation", operation_id = "metrics", responses(
    (status = 200, body = str, content_type = "text/plain; version=0.0.4"),
))]
async fn metrics(State(app): State<App>, visitor: Visitor) -> Answer<Response> {
    if !(visitor.seen.is_local && stays_at_home(&app.options().server.public_url)) {
        let token = caller::access_token(&app, &Method::GET, &visitor.headers)?;
        let caller = app.authenticate(token, &visitor.seen).await?;
        caller.require(&[Role::Admin, Role::Operator])?;
    }
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], app.parts().metrics.render()).into_response())
}

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "operation", operation_id = "openapi", responses(
    (status = 200, body = Object, description = "The OpenAPI document of this server"),
))]
async fn openapi(State(app): State<App>) -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], app.openapi().clone()).into_response()
}
