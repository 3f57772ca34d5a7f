//! What happens to one's own things, as it happens: for open pages, which then
//! look at what has changed.

use axum::{extract::State, response::Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use state::Changes;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    App,
    extract::Caller,
    places::Use,
    problem::{Answer, ProblemBody},
};

/// This part's routes.
pub(crate) fn table() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(events))
}

/// Changes of one's own conversations, runs and credits, as they happen
///
/// `ready` {} comes first; then `session` {id, change: created, updated or deleted}, `run` {run_id,
/// run_kind: answer or title, session_id, state: running or ended}, `credits` {balance, held}. There are
/// no ids: whoever connects again looks at the data again.
#[utoipa::path(get, path = "/events", tag = "events", operation_id = "events", responses(
    (status = 200, body = str, content_type = "text/event-stream"),
    (status = 401, body = ProblemBody), (status = 429, body = ProblemBody),
))]
async fn events(State(app): State<App>, Caller(ctx): Caller) -> Answer<Response> {
    let place = app.place(&ctx, Use::Page)?;
    let changes = app.parts().state.changes(ctx.tenant(), ctx.account()?);
    let ready = stream::once(async { Bytes::from_static(b"event: ready\ndata: {}\n\n") });
    Ok(app.open_stream(&ctx, ready.chain(frames(changes)), place))
}

/// Each change as a frame. Who missed one has to look at everything, so the stream ends there.
fn frames(changes: Changes) -> impl stream::Stream<Item = Bytes> + Send {
    stream::unfold(changes, |mut changes| async {
        let change = changes.next().await?;
        let frame = format!("event: {}\ndata: {}\n\n", change.kind, change.data);
        Some((Bytes::from(frame), changes))
    })
}
