//! The documentation to read: the API's, in a viewer that is part of the server, and the errors'.

use axum::{
    extract::{Path, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use kernel::Error;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{App, error_pages, page, problem::Answer};

/// This part's routes.
pub(crate) fn table() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(docs))
        .routes(routes!(viewer))
        .routes(routes!(error_page))
}

/// The viewer's script as `build.rs` packs it, and the name of this content.
const VIEWER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/scalar.js.gz"));
const VIEWER_TAG: &str = concat!("\"", env!("TERTULIA_VIEWER"), "\"");

/// Everything comes from this server. The viewer makes its style sheets as it runs, which no other words allow.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// The API, to read and to try
#[utoipa::path(get, path = "/docs", tag = "operation", operation_id = "docs", responses(
    (status = 200, body = str, content_type = "text/html"),
))]
async fn docs() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, include_str!("../../assets/docs.html")).into_response()
}

/// The script of the page at /docs
#[utoipa::path(get, path = "/docs/viewer.js", tag = "operation", operation_id = "docs_viewer", responses(
    (status = 200, body = str, content_type = "text/javascript", description = "Always compressed (gzip)"),
    (status = 304),
))]
async fn viewer(headers: HeaderMap) -> Response {
    let known = [
        (header::ETAG, HeaderValue::from_static(VIEWER_TAG)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    if page::is_known(&headers, VIEWER_TAG) {
        return (StatusCode::NOT_MODIFIED, known).into_response();
    }
    let content = [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        // Only a browser asks for it, and every browser takes this.
        (header::CONTENT_ENCODING, "gzip"),
    ];
    (known, content, Bytes::from_static(VIEWER)).into_response()
}

/// What an error code means and what to do
#[utoipa::path(get, path = "/docs/errors/{code}", tag = "operation", operation_id = "error_page",
    params(("code" = String, Path, description = "The code of a problem", example = "not_found")),
    responses((status = 200, body = str, content_type = "text/markdown"), (status = 404)),
)]
async fn error_page(code: Result<Path<String>, PathRejection>) -> Answer<Response> {
    let text = code
        .ok()
        .and_then(|code| error_pages::page(code.0.trim_end_matches(".md")));
    let text = text.ok_or_else(|| Error::not_found("Error page"))?;
    let kind = HeaderValue::from_static("text/markdown; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
