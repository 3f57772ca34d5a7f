//! From what goes wrong in a call to a typed error. The provider's own words
//! are left out of messages: they quote prompts and parts of keys.

use std::{borrow::Cow, error::Error as _, time::Duration};

use reqwest::{StatusCode, header::HeaderMap};
use serde::Deserialize;

use crate::provider::{ProviderError, ProviderErrorKind as Kind, TimeoutKind};

/// The object of an error answer or of an error event, as far as it decides anything.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Details<'a> {
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    /// A name (OpenAI) or a number (others).
    code: Option<serde_json::Value>,
}

impl Details<'_> {
    fn read(json: &str) -> Details<'_> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Shape<'a> {
            Object(#[serde(borrow)] Details<'a>),
            Text(#[serde(borrow)] Cow<'a, str>),
        }
        match serde_json::from_str(json) {
            Ok(Shape::Object(details)) => details,
            Ok(Shape::Text(message)) => Details {
                message: Some(message),
                ..Details::default()
            },
            Err(_) => Details::default(),
        }
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        match self.code.as_ref()? {
            serde_json::Value::String(code) => Some(Cow::Borrowed(code)),
            serde_json::Value::Number(code) => Some(Cow::Owned(code.to_string())),
            _ => None,
        }
    }

    fn says(&self, words: &[&str]) -> bool {
        let code = self.code();
        [code.as_deref(), self.kind.as_deref()]
            .into_iter()
            .flatten()
            .any(|text| words.iter().any(|word| text.contains(word)))
    }

    fn is_about_length(&self) -> bool {
        const WORDS: &[&str] = &[
            "context_length",
            "exceed_context",
            "string_above_max_length",
            "request_too_large",
        ];
        const PHRASES: &[&str] = &[
            "context length",
            "context window",
            "context size",
            "maximum context",
            "prompt is too long",
        ];
        self.says(WORDS)
            || self.message.as_deref().is_some_and(|message| {
                let message = message.to_ascii_lowercase();
                PHRASES.iter().any(|phrase| message.contains(phrase))
            })
    }

    /// Type and code, if they look like names.
    fn names(&self) -> String {
        let code = self.code();
        [self.kind.as_deref(), code.as_deref()]
            .into_iter()
            .flatten()
            .filter(|name| {
                name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            })
            .fold(String::new(), |names, name| names + " " + name)
    }
}

/// An answer with another status than 200.
pub(super) fn from_status(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        error: &'a serde_json::value::RawValue,
    }
    let text = String::from_utf8_lossy(body);
    let json = serde_json::from_str::<Envelope<'_>>(&text)
        .map_or(text.as_ref(), |envelope| envelope.error.get());
    let details = Details::read(json);
    let retry_after = retry_after(headers);
    let kind = match status.as_u16() {
        401 | 403 => Kind::Auth,
        402 | 429 => Kind::RateLimited { retry_after },
        400 | 413 | 422 if details.is_about_length() => Kind::ContextTooLong,
        404 if details.says(&["model_not_found", "not_found_error"]) => Kind::UnknownModel,
        400 | 404..=407 | 409..=424 => Kind::BadRequest,
        503 | 529 => Kind::Overloaded { retry_after },
        status => Kind::Upstream(status),
    };
    ProviderError::new(
        kind,
        format!(
            "answered with status {}{}",
            status.as_u16(),
            details.names()
        ),
    )
}

/// An `error` object where an answer should be, in a stream or whole.
pub(super) fn from_object(json: &str) -> ProviderError {
    let details = Details::read(json);
    let kind = if details.is_about_length() {
        Kind::ContextTooLong
    } else if details.says(&["rate_limit", "insufficient_quota", "429"]) {
        Kind::RateLimited { retry_after: None }
    } else if details.says(&["overloaded", "server_busy", "503", "529"]) {
        Kind::Overloaded { retry_after: None }
    } else if details.says(&["invalid_api_key", "authentication", "401", "403"]) {
        Kind::Auth
    } else {
        Kind::Upstream(200)
    };
    ProviderError::new(
        kind,
        format!("sent an error instead of an answer{}", details.names()),
    )
}

/// A request that could not be made, or whose answer did not begin.
pub(super) fn from_request(error: &reqwest::Error) -> ProviderError {
    if error.is_connect() {
        if error.is_timeout() {
            return timeout(TimeoutKind::Connect);
        }
        return ProviderError::new(Kind::Connect, format!("cannot be reached: {}", root(error)));
    }
    if error.is_builder() {
        return ProviderError::new(
            Kind::BadRequest,
            format!("the request cannot be made: {}", root(error)),
        );
    }
    ProviderError::new(
        Kind::Cut,
        format!("ended the connection before its answer: {}", root(error)),
    )
}

/// An answer whose connection failed.
pub(super) fn from_body(error: &reqwest::Error) -> ProviderError {
    ProviderError::new(
        Kind::Cut,
        format!("ended the connection within its answer: {}", root(error)),
    )
}

pub(super) fn timeout(kind: TimeoutKind) -> ProviderError {
    let what = match kind {
        TimeoutKind::Connect => "the connection did not stand in time",
        TimeoutKind::FirstByte => "the answer did not begin in time",
        TimeoutKind::Idle => "the answer did not go on in time",
    };
    ProviderError::new(Kind::Timeout(kind), what)
}

pub(super) fn malformed(what: &'static str) -> ProviderError {
    ProviderError::new(Kind::Malformed, what)
}

/// The innermost cause: the outer ones name the URL, which may be private.
fn root(error: &reqwest::Error) -> String {
    let mut source = error.source();
    let mut text = None;
    while let Some(error) = source {
        text = Some(error.to_string());
        source = error.source();
    }
    text.unwrap_or_else(|| "no more is known".to_owned())
}

/// `Retry-After` (RFC 9110 10.2.3) in seconds, or OpenAI's `retry-after-ms`; at most an hour. Dates are left
/// out: the caller's default is as good as the difference of two clocks.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms")
        .map(|ms| ms / 1000.0)
        .or_else(|| number("retry-after"))?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .map(|wait| wait.min(Duration::from_secs(3600)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, body: &str) -> Kind {
        from_status(
            StatusCode::from_u16(status).unwrap(),
            &HeaderMap::new(),
            body.as_bytes(),
        )
        .kind
    }

    #[test]
    fn a_status_and_its_body_say_what_happened() {
        let too_long = r#"{"error":{"message":"This model's maximum context length is 8192 tokens","type":"invalid_request_error","code":"context_length_exceeded"}}"#;
        assert_eq!(kind(400, too_long), Kind::ContextTooLong);
        assert_eq!(
            kind(
                400,
                r#"{"error":"the request exceeds the available context size"}"#
            ),
            Kind::ContextTooLong
        );
        assert_eq!(
            kind(
                400,
                r#"{"object":"error","message":"maximum context length","code":400}"#
            ),
            Kind::ContextTooLong
        );
        assert_eq!(
            kind(400, r#"{"error":{"message":"bad"}}"#),
            Kind::BadRequest
        );
        assert_eq!(
            kind(404, r#"{"error":{"code":"model_not_found"}}"#),
            Kind::UnknownModel
        );
        assert_eq!(kind(404, "<html>"), Kind::BadRequest);
        assert_eq!(kind(401, ""), Kind::Auth);
        assert_eq!(kind(429, "\u{0}"), Kind::RateLimited { retry_after: None });
        assert_eq!(kind(503, ""), Kind::Overloaded { retry_after: None });
        assert_eq!(kind(500, "{}"), Kind::Upstream(500));
        assert_eq!(kind(302, ""), Kind::Upstream(302));
    }

    #[test]
    fn the_time_to_wait_is_read_and_bounded() {
        for (name, value, wait) in [
            ("retry-after", "7", Some(Duration::from_secs(7))),
            ("retry-after-ms", "1500", Some(Duration::from_millis(1500))),
            ("retry-after", "999999999", Some(Duration::from_secs(3600))),
            ("retry-after", "-1", None),
            ("retry-after", "NaN", None),
            ("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            assert_eq!(retry_after(&headers), wait, "{name}: {value}");
        }
    }

    #[test]
    fn neither_keys_nor_prompts_reach_the_log() {
        let body = r#"{"error":{"message":"Incorrect API key provided: sk-abc","type":"invalid_request_error","code":"sk-abc"}}"#;
        let error = from_status(StatusCode::UNAUTHORIZED, &HeaderMap::new(), body.as_bytes());
        assert_eq!(
            error.to_string(),
            "auth: answered with status 401 invalid_request_error"
        );
    }
}
