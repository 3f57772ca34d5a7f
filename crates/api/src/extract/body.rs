//! Bodies: read within bounds of size and time, then JSON.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use kernel::{Error, Result, codes};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

/// Reads a whole body. What is too large is left where it is (see `leftover`).
pub(crate) async fn read(mut body: Body, limit: usize, patience: Duration) -> Result<Bytes> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut whole = Whole::default();
    if announced <= limit {
        let reading = tokio::time::timeout(patience, whole.fill(&mut body, limit)).await;
        let complete = reading.map_err(|_| {
            Error::new(
                codes::REQUEST_TIMEOUT,
                format!(
                    "The body did not arrive within {} seconds.",
                    patience.as_secs()
                ),
            )
        })?;
        if complete? {
            return Ok(whole.bytes());
        }
    }
    Err(Error::new(
        codes::PAYLOAD_TOO_LARGE,
        format!("The body of a request is at most {limit} bytes long."),
    ))
}

/// The pieces of a body; most have one, which is not copied.
#[derive(Default)]
struct Whole {
    pieces: Vec<Bytes>,
    length: usize,
}

impl Whole {
    /// Takes pieces to the end; false as soon as there are more bytes than the limit.
    async fn fill(&mut self, body: &mut Body, limit: usize) -> Result<bool> {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                Error::new(codes::MALFORMED_REQUEST, "The body could not be read.").caused_by(error)
            })?;
            let Ok(piece) = frame.into_data() else {
                continue;
            };
            self.length += piece.len();
            if self.length > limit {
                return Ok(false);
            }
            self.pieces.push(piece);
        }
        Ok(true)
    }

    fn bytes(mut self) -> Bytes {
        match self.pieces.len() {
            0 | 1 => self.pieces.pop().unwrap_or_default(),
            _ => self.pieces.concat().into(),
        }
    }
}

/// Reads JSON. An empty body stands for `{}`.
pub(crate) fn json<T: DeserializeOwned>(headers: &HeaderMap, bytes: &[u8]) -> Result<T> {
    let bytes = if bytes.trim_ascii().is_empty() {
        b"{}"
    } else {
        require_json(headers)?;
        bytes
    };
    if std::str::from_utf8(bytes).is_err() {
        return Err(Error::new(
            codes::MALFORMED_REQUEST,
            "The body is not valid UTF-8.",
        ));
    }
    if has_escaped_nul(bytes) {
        return Err(Error::new(
            codes::VALIDATION_FAILED,
            "Texts must not contain the NUL character (\\u0000).",
        ));
    }
    // First whether it is JSON at all, to its last byte: only then may a wrong
    // type be told.
    serde_json::from_slice::<IgnoredAny>(bytes).map_err(|error| malformed(&error))?;
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(Error::invalid("body", "must be a JSON object"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut reader).map_err(refused)
}

fn require_json(headers: &HeaderMap) -> Result<()> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let kind = kind
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase();
    let subtype = kind.strip_prefix("application/").unwrap_or("");
    if subtype == "json" || subtype.ends_with("+json") {
        return Ok(());
    }
    Err(Error::new(
        codes::UNSUPPORTED_MEDIA_TYPE,
        "Send the body as JSON, with the header `Content-Type: application/json`.",
    ))
}

/// Readable JSON of the wrong shape is 422 with the field's name, the rest 400.
fn refused(error: serde_path_to_error::Error<serde_json::Error>) -> Error {
    let path = error.path().to_string();
    let inner = error.into_inner();
    if inner.classify() != Category::Data {
        return malformed(&inner);
    }
    let text = inner.to_string();
    // The position is of no use for the name of a field.
    let message = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(message, _)| message);
    match message
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split('`').next())
    {
        Some(name) if path == "." => Error::invalid(name, "is missing"),
        Some(name) => Error::invalid(format!("{path}.{name}"), "is missing"),
        None if path == "." => Error::invalid("body", message),
        None => Error::invalid(path, message),
    }
}

fn malformed(error: &serde_json::Error) -> Error {
    Error::new(
        codes::MALFORMED_REQUEST,
        format!("The body is not valid JSON: {error}."),
    )
}

/// Neither database nor log takes NUL in a text. Looks for `\u0000` after an
/// even number of backslashes; a raw NUL is no JSON anyway.
fn has_escaped_nul(bytes: &[u8]) -> bool {
    const NUL: &[u8] = b"u0000";
    let mut rest = 0;
    while let Some(at) = bytes[rest..].iter().position(|byte| *byte == b'\\') {
        let escape = rest + at + 1;
        if bytes[escape..].starts_with(NUL) {
            return true;
        }
        // Skip the escaped character, which may be a backslash itself.
        rest = (escape + 1).min(bytes.len());
    }
    false
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read into")]
    struct Input {
        #[serde(alias = "userId")]
        user_id: String,
        count: Option<u32>,
        inner: Option<Inner>,
    }
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read into")]
    struct Inner {
        amount: crate::extract::Amount,
    }

    fn parse(text: impl AsRef<[u8]>) -> Result<Input> {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=utf-8"),
        );
        json(&headers, text.as_ref())
    }

    #[test]
    fn aliases_and_unknown_fields_are_fine() {
        let input = parse(r#"{"userId": "a", "count": 3, "other": {"x": [1]}}"#).unwrap();
        assert_eq!(input.user_id, "a");
    }

    #[test]
    fn what_is_no_json_is_malformed() {
        for text in [
            "{",
            "nonsense",
            "{\"user_id\": \"a\"} x",
            "\"",
            "{\"user_id\": 01}",
            "\u{0}",
            "{} {}",
            "{\"count\": 1,}",
        ] {
            assert!(
                parse(text).unwrap_err().is(codes::MALFORMED_REQUEST),
                "{text}"
            );
        }
        for bytes in [
            &b"{\"user_id\": \"\xff\"}"[..],
            b"\xff\xfe",
            b"{\"x\": \"\\ud800\", \"user_id\": 1}",
        ] {
            let error = parse(bytes).unwrap_err();
            assert!(matches!(error.kind().http_status(), 400 | 422), "{error}");
        }
        for deep in [
            "[".repeat(100_000),
            format!("{{\"x\": {}", "[".repeat(100_000)),
        ] {
            assert!(matches!(
                parse(deep).unwrap_err().kind().http_status(),
                400 | 422
            ));
        }
    }

    #[test]
    fn wrong_types_name_their_field() {
        for (text, field) in [
            (r#"{"user_id": 1}"#, "user_id"),
            (r#"{"user_id": "a", "count": -1}"#, "count"),
            (r#"{"user_id": "a", "count": 99999999999}"#, "count"),
            (
                r#"{"user_id": "a", "inner": {"amount": 0.0000001}}"#,
                "inner.amount",
            ),
            (
                r#"{"user_id": "a", "inner": {"amount": 1.00000000000000001}}"#,
                "inner.amount",
            ),
            (
                r#"{"user_id": "a", "inner": {"amount": "10"}}"#,
                "inner.amount",
            ),
            (
                r#"{"user_id": "a", "inner": {"amount": 1e400}}"#,
                "inner.amount",
            ),
            (
                r#"{"user_id": "a", "inner": {"amount": null}}"#,
                "inner.amount",
            ),
            (r#"{"user_id": "a", "inner": {}}"#, "inner.amount"),
            ("{}", "user_id"),
            ("", "user_id"),
            ("  ", "user_id"),
            ("[]", "body"),
            ("null", "body"),
            ("[\"a\", 1, null]", "body"),
            ("7", "body"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.is(codes::VALIDATION_FAILED), "{text}: {error}");
            assert_eq!(error.fields()[0].field, field, "{text}: {error}");
            assert!(!error.detail().contains("line 1"), "{error}");
        }
    }

    #[test]
    fn nul_is_refused_and_what_looks_like_it_is_not() {
        assert!(
            parse(r#"{"user_id": "a\u0000b"}"#)
                .unwrap_err()
                .is(codes::VALIDATION_FAILED)
        );
        assert!(
            parse(r#"{"user_id": "a\\\u0000b"}"#)
                .unwrap_err()
                .is(codes::VALIDATION_FAILED)
        );
        assert_eq!(
            parse(r#"{"user_id": "a\\u0000b"}"#).unwrap().user_id,
            "a\\u0000b"
        );
        assert!(
            parse(r#"{"user_id": "a\"#)
                .unwrap_err()
                .is(codes::MALFORMED_REQUEST)
        );
    }

    #[test]
    fn other_media_types_are_refused() {
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonx",
            "",
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(kind).unwrap());
            let error = json::<Input>(&headers, b"{}").unwrap_err();
            assert!(error.is(codes::UNSUPPORTED_MEDIA_TYPE), "{kind}");
        }
        assert!(
            json::<Input>(&HeaderMap::new(), b"{}")
                .unwrap_err()
                .is(codes::UNSUPPORTED_MEDIA_TYPE)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_are_bounded_in_size_and_time() {
        let patience = Duration::from_secs(5);
        let error = read(Body::from(vec![b'x'; 11]), 10, patience)
            .await
            .unwrap_err();
        assert!(error.is(codes::PAYLOAD_TOO_LARGE));
        assert_eq!(
            read(Body::from("0123456789"), 10, patience)
                .await
                .unwrap()
                .len(),
            10
        );
        let stream = |count| {
            let pieces = ["01234", "56789", "0"].into_iter().take(count);
            Body::from_stream(futures_util::stream::iter(
                pieces.map(Ok::<_, std::io::Error>),
            ))
        };
        assert_eq!(read(stream(2), 10, patience).await.unwrap(), "0123456789");
        assert!(
            read(stream(3), 10, patience)
                .await
                .unwrap_err()
                .is(codes::PAYLOAD_TOO_LARGE)
        );
        let drip = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), ()))
        });
        let error = read(Body::from_stream(drip), 1000, patience)
            .await
            .unwrap_err();
        assert!(error.is(codes::REQUEST_TIMEOUT));
    }
}
