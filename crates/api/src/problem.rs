//! The one place that turns a [`kernel::Error`] into an answer: RFC 9457
//! `application/problem+json`, its headers, and the line in the log.

use std::{error::Error as _, sync::Arc};

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use kernel::{Error, ErrorKind, FieldError, codes};
use serde::Serialize;
use utoipa::ToSchema;

use crate::seen::Seen;

/// What handlers answer.
pub(crate) type Answer<T> = Result<T, Problem>;

/// A failure on its way to the client. The envelope around every route fills
/// in what only it knows.
#[derive(Debug)]
pub(crate) struct Problem(pub(crate) Error);

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = status(&self.0).into_response();
        response.extensions_mut().insert(Arc::new(self.0));
        response
    }
}

fn status(error: &Error) -> StatusCode {
    StatusCode::from_u16(error.kind().http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// An error answer (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    /// The page about this code: what happened, why, what to do.
    #[schema(example = "/docs/errors/insufficient_credits")]
    r#type: String,
    /// The same for every occurrence of the code.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What happened here, and what to do.
    detail: &'a str,
    /// The path that was asked for.
    instance: &'a str,
    /// Stable name of what went wrong.
    #[schema(example = "insufficient_credits")]
    code: &'a str,
    /// The same sentence as `detail` (S1).
    error: &'a str,
    /// Also in the header `X-Request-Id` and in the server's log.
    request_id: String,
    /// What is wrong with which field (422).
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<FieldProblem>, required = false)]
    errors: &'a [FieldError],
    /// The chain of causes, with `errors.debug = true` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    debug: Option<String>,
}

/// What is wrong with one field.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FieldProblem {
    /// The field's name, dotted for nested ones.
    field: String,
    /// What is wrong and what would be right.
    message: String,
}

/// Where the page about a code is: below the public address where one is set.
fn page(set: &Render<'_>, code: &str) -> String {
    format!(
        "{}/docs/errors/{code}",
        set.public_url.trim_end_matches('/')
    )
}

/// What an operator has set about error answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Render<'a> {
    pub(crate) public_url: &'a str,
    pub(crate) debug: bool,
}

/// The answer for an error, complete.
pub(crate) fn render(error: &Error, seen: &Seen, set: Render<'_>) -> Response {
    let code = error.code();
    let body = ProblemBody {
        r#type: page(&set, code.name),
        title: code.title,
        status: code.kind.http_status(),
        detail: error.detail(),
        instance: &seen.path,
        code: code.name,
        error: error.detail(),
        request_id: seen.id.to_string(),
        errors: error.fields(),
        debug: set.debug.then(|| format!("{error:?}")),
    };
    let bytes = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = (status(error), bytes).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(seconds) = retry_after(error) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if error.kind() == ErrorKind::Unauthenticated {
        let challenge = if [
            codes::INVALID_TOKEN,
            codes::TOKEN_EXPIRED,
            codes::TOKEN_REVOKED,
        ]
        .contains(&error.code())
        {
            "Bearer realm=\"tertulia\", error=\"invalid_token\""
        } else {
            "Bearer realm=\"tertulia\""
        };
        headers.insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static(challenge),
        );
    }
    response
}

/// Whole seconds, at least one; 429 and 503 always say when to come back.
fn retry_after(error: &Error) -> Option<u64> {
    let asked = error
        .retry()
        .map(|after| after.as_secs() + u64::from(after.subsec_nanos() > 0));
    match error.kind() {
        ErrorKind::RateLimited | ErrorKind::Unavailable => Some(asked.unwrap_or(1).max(1)),
        _ => asked,
    }
}

/// One line for each failure, by whose fault it is. What is wrong with a
/// client's input is told to the client alone: the sentence may quote it.
pub(crate) fn log(error: &Error) {
    let (code, status) = (error.code().name, error.kind().http_status());
    // That the server stops is no fault, and is asked for again and again meanwhile.
    if error.kind().is_ours() && !error.is(codes::SHUTTING_DOWN) {
        tracing::error!(code, status, cause = ?error, "request failed");
    } else {
        let cause = error.source().map(ToString::to_string);
        tracing::debug!(code, status, cause, "request refused");
    }
    metrics::counter!("http_errors_total", "code" => code).increment(1);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;
    use serde_json::Value;

    use super::*;

    async fn rendered(error: &Error, debug: bool) -> (http::response::Parts, Value) {
        let set = Render {
            public_url: "https://x.example/",
            debug,
        };
        let (parts, body) = render(error, &Seen::for_tests("/api/x"), set).into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (parts, serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn an_error_becomes_a_problem_without_its_cause() {
        let error = Error::internal("secret table").retry_after(Duration::from_millis(1500));
        let (parts, body) = rendered(&error, false).await;
        assert_eq!(parts.status, 500);
        assert_eq!(parts.headers["content-type"], "application/problem+json");
        assert_eq!(parts.headers["retry-after"], "2");
        assert_eq!(body["type"], "https://x.example/docs/errors/internal_error");
        assert_eq!(body["code"], "internal_error");
        assert_eq!(body["error"], body["detail"]);
        assert_eq!(body["instance"], "/api/x");
        assert!(body.get("errors").is_none() && body.get("debug").is_none());
        assert!(!body.to_string().contains("secret"));

        let (_, body) = rendered(&error, true).await;
        assert!(body["debug"].as_str().unwrap().contains("secret table"));
    }

    #[tokio::test]
    async fn fields_challenges_and_waiting_times_are_told() {
        let (parts, body) = rendered(&Error::invalid("amount", "is negative"), false).await;
        assert_eq!(parts.status, 422);
        assert_eq!(body["errors"][0]["field"], "amount");
        let (parts, _) = rendered(&Error::new(codes::TOKEN_EXPIRED, "Old."), false).await;
        assert!(
            parts.headers["www-authenticate"]
                .to_str()
                .unwrap()
                .contains("invalid_token")
        );
        for code in codes::ALL {
            let (parts, body) = rendered(&Error::new(*code, "Said."), false).await;
            assert_eq!(parts.status, code.kind.http_status());
            assert_eq!(body["code"], code.name);
            let waits = matches!(code.kind, ErrorKind::RateLimited | ErrorKind::Unavailable);
            assert_eq!(
                parts.headers.contains_key("retry-after"),
                waits,
                "{}",
                code.name
            );
            let unknown = code.kind == ErrorKind::Unauthenticated;
            assert_eq!(
                parts.headers.contains_key("www-authenticate"),
                unknown,
                "{}",
                code.name
            );
        }
    }
}
