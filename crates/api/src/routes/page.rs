//! The page and its files, below `/app`.

use axum::{extract::State, response::Response};
use http::{HeaderMap, Uri};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{App, page};

/// This part's routes.
pub(crate) fn table() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(start))
        .routes(routes!(within))
}

/// The page
#[utoipa::path(get, path = "/app", tag = "page", operation_id = "page", security(()), responses(
    (status = 200, body = str, content_type = "text/html"),
    (status = 503, body = str, content_type = "text/plain", description = "The page is not built"),
))]
async fn start(State(app): State<App>, headers: HeaderMap) -> Response {
    page::answer(app.page(), "", &headers)
}

/// The page's files, and the page itself for every place within it
#[utoipa::path(get, path = "/app/{*path}", tag = "page", operation_id = "page_file", security(()),
    params(("path" = String, Path, description = "A file, or a place within the page")),
    responses(
        (status = 200, body = str, content_type = "text/html"),
        (status = 404, body = str, content_type = "text/plain", description = "Such a file is not part of this page"),
        (status = 503, body = str, content_type = "text/plain", description = "The page is not built"),
    ),
)]
async fn within(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().strip_prefix("/app/").unwrap_or_default();
    page::answer(app.page(), path, &headers)
}
