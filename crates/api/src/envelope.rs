//! What every request goes through, once: its id, its span, caught panics,
//! errors made into problems, metrics, and the headers of the answer.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, StatusCode, header};
use kernel::{Error, codes};
use tracing::Instrument;

use crate::{
    App,
    problem::{self, Problem, Render},
    seen::{Peer, REQUEST_ID, Seen},
};

/// The path as the client sent it, before the rewrite.
#[derive(Debug, Clone)]
pub(crate) struct SentPath(pub(crate) String);

pub(crate) async fn envelope(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let arrived = Instant::now();
    let path = request
        .extensions_mut()
        .remove::<SentPath>()
        .map(|sent| sent.0);
    let peer = request
        .extensions()
        .get::<Peer>()
        .and_then(|peer| peer.0)
        .map(|peer| peer.ip());
    let seen = Seen::new(
        &app.store().env().ids,
        request.headers(),
        path.unwrap_or_else(|| request.uri().path().to_owned()),
        peer,
        &app.options().server.trusted_proxies,
    );
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("unmatched", MatchedPath::as_str);
    let method = method_label(request.method());
    request.extensions_mut().insert(seen.clone());

    let span = tracing::info_span!("request", id = %seen.id, method, route);
    let response = AssertUnwindSafe(next.run(request))
        .catch_unwind()
        .instrument(span.clone())
        .await;
    let _entered = span.enter();
    let mut response = response.unwrap_or_else(|panic| panicked(&*panic));
    if let Some(error) = response.extensions_mut().remove::<Arc<Error>>() {
        problem::log(&error);
        let options = app.options();
        let set = Render {
            public_url: &options.server.public_url,
            debug: options.errors.debug,
        };
        let mut rendered = problem::render(&error, &seen, set);
        for kept in [header::ALLOW, header::SET_COOKIE] {
            for value in response.headers().get_all(&kept) {
                rendered.headers_mut().append(&kept, value.clone());
            }
        }
        response = rendered;
    }
    add_headers(&mut response, &seen);
    measure(method, route, response.status(), arrived);
    response
}

/// Methods of clients are an open set; labels are not.
fn method_label(method: &http::Method) -> &'static str {
    ["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS"]
        .into_iter()
        .find(|known| *known == method.as_str())
        .unwrap_or("other")
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Response {
    let text = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    Problem(Error::internal(format!("a handler panicked: {text}"))).into_response()
}

fn measure(method: &'static str, route: &str, status: StatusCode, arrived: Instant) {
    let elapsed = arrived.elapsed();
    let labels = [
        ("method", method.to_owned()),
        ("route", route.to_owned()),
        ("status", status.as_str().to_owned()),
    ];
    metrics::counter!("http_requests_total", &labels).increment(1);
    metrics::histogram!("http_request_duration_seconds", "method" => method, "route" => route.to_owned())
        .record(elapsed.as_secs_f64());
    tracing::debug!(
        status = status.as_u16(),
        ms = elapsed.as_secs_f64() * 1000.0,
        "answered"
    );
}

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Answers are data: nothing may be guessed, framed or run.
const SAFE: [(HeaderName, HeaderValue); 4] = [
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
];

fn add_headers(response: &mut Response, seen: &Seen) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&seen.id.to_string()) {
        headers.insert(REQUEST_ID, id);
    }
    for (name, value) in SAFE {
        headers.entry(name).or_insert(value);
    }
    // What is one caller's is nobody else's, whatever caches are in between.
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    if let Some(window) = seen.window() {
        let reset = window.reset.as_secs() + u64::from(window.reset.subsec_nanos() > 0);
        headers.insert(LIMIT, HeaderValue::from(window.limit));
        headers.insert(REMAINING, HeaderValue::from(window.remaining));
        headers.insert(RESET, HeaderValue::from(reset));
    }
}

/// No route has this path.
pub(crate) async fn unknown_path() -> Problem {
    Problem(Error::new(
        codes::NOT_FOUND,
        "There is nothing at this path; the API is listed at /openapi.json and /docs.",
    ))
}

/// A route has this path, but not with this method.
pub(crate) async fn unknown_method() -> Problem {
    Problem(Error::new(
        codes::METHOD_NOT_ALLOWED,
        "This path does not take this method; the header Allow lists those it takes.",
    ))
}
