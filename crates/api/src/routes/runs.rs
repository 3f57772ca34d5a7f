//! Runs: their state, their event log, their end.

use axum::{
    Json,
    extract::{FromRequestParts, State},
    response::Response,
};
use http::{HeaderName, request::Parts};
use kernel::{Timestamp, kinds};
use runs::{Cursor, EndReason, RunRecord, RunState};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    App,
    extract::{Caller, Key, Posted, Query},
    places::Use,
    problem::{Answer, Problem},
};

/// This part's routes.
pub(crate) fn table() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(get))
        .routes(routes!(events))
        .routes(routes!(cancel))
}

/// A piece of work, apart from the connection that asked for it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Run)]
pub(crate) struct RunWire {
    id: Uuid,
    /// What sort of work: `answer`, or `title` for the title that a model gives a conversation.
    kind: String,
    /// What it works on: the conversation of an answer.
    subject_id: Option<Uuid>,
    #[schema(value_type = String, example = "running")]
    state: RunState,
    /// Why it ended: stop, length, insufficient_credits, interrupted, error, stopped, taken_over.
    #[schema(value_type = Option<String>, example = "stop")]
    end_reason: Option<EndReason>,
    usage: Option<Value>,
    /// Which providers were tried.
    attempts: Option<Value>,
    /// Which way was chosen, and why.
    routing: Option<Value>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
}

impl From<RunRecord> for RunWire {
    fn from(run: RunRecord) -> Self {
        Self {
            id: run.id.uuid(),
            kind: run.kind,
            subject_id: run.subject,
            state: run.state,
            end_reason: run.end_reason,
            usage: run.usage,
            attempts: run.attempts,
            routing: run.routing,
            created_at: run.created_at,
            ended_at: run.ended_at,
        }
    }
}

/// Where to go on in a log: `Last-Event-ID`, or `?after=`.
pub(crate) struct After(pub(crate) Option<Cursor>);

impl FromRequestParts<App> for After {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        const LAST: HeaderName = HeaderName::from_static("last-event-id");
        let query = Query::from_request_parts(parts, app).await?;
        let header = parts
            .headers
            .get(LAST)
            .and_then(|value| value.to_str().ok());
        let text = header
            .map(str::trim)
            .filter(|id| !id.is_empty())
            .or_else(|| query.text("after"));
        Ok(Self(text.map(str::parse).transpose()?))
    }
}

/// A run's state, end and usage
#[utoipa::path(get, path = "/runs/{id}", tag = "runs", operation_id = "get_run",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = RunWire), (status = 404, body = crate::problem::ProblemBody)),
)]
async fn get(
    State(app): State<App>,
    Caller(ctx): Caller,
    run: Key<kinds::Run>,
) -> Answer<Json<RunWire>> {
    Ok(Json(app.parts().runs.get(&ctx, run.0).await?.into()))
}

/// A run's events, from the beginning or after an event, until its last one
#[utoipa::path(get, path = "/runs/{id}/events", tag = "runs", operation_id = "run_events",
    params(
        ("id" = Uuid, Path),
        ("after" = Option<String>, Query, description = "The last event id seen", example = "1-42"),
        ("Last-Event-ID" = Option<String>, Header, description = "The same, as browsers send it"),
    ),
    responses(
        (status = 200, body = str, content_type = "text/event-stream",
            description = "Of an answer: as /sessions/{id}/messages/stream; reset {text, reason} gives the text so far anew"),
        (status = 404, body = crate::problem::ProblemBody),
    ),
)]
async fn events(
    State(app): State<App>,
    Caller(ctx): Caller,
    run: Key<kinds::Run>,
    After(after): After,
) -> Answer<Response> {
    let place = app.place(&ctx, Use::Answer)?;
    let events = app.parts().runs.events(&ctx, run.0, after).await?;
    app.stream(&ctx, events, place)
}

/// Ends a run; what it has produced is kept
#[utoipa::path(post, path = "/runs/{id}/cancel", tag = "runs", operation_id = "cancel_run",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = RunWire), (status = 404, body = crate::problem::ProblemBody)),
)]
async fn cancel(
    State(app): State<App>,
    run: Key<kinds::Run>,
    posted: Posted<serde::de::IgnoredAny>,
) -> Answer<Json<RunWire>> {
    let runs = &app.parts().runs;
    let before = runs.cancel(&posted.ctx, run.0, EndReason::Stopped).await?;
    Ok(Json(before.into()))
}
