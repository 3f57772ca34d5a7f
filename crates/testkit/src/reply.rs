//! An answer of the server, read to its end, and what every answer owes: the
//! request id, and for failures the whole problem (RFC 9457) without a leak.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value as Json;

/// What must never reach a client: traces of statements, files, programs.
const LEAKS: &[&str] = &[
    "SELECT ",
    "INSERT ",
    "UPDATE ",
    "DELETE FROM",
    "sqlite",
    "SQLite",
    "postgres://",
    "tokio",
    "rusqlite",
    "panicked",
    "stack backtrace",
    ".rs:",
    "/root/",
    "/home/",
    "/tmp/",
    "/crates/",
    "tertulia_app",
    "run_segments",
    "idempotency_keys",
    "127.0.0.1:",
];

/// Fails when a text for clients shows what is inside.
///
/// # Panics
/// When it does.
pub fn scan_for_leaks(text: &str) {
    for leak in LEAKS {
        assert!(!text.contains(leak), "an answer shows `{leak}`: {text}");
    }
}

/// An amount of credits of the API in millionths, exactly.
///
/// # Panics
/// When it is no decimal with at most six places.
#[must_use]
pub fn micros(amount: &Json) -> i64 {
    let text = match amount {
        Json::Number(number) => number.to_string(),
        other => panic!("an amount is a JSON number, not {other}"),
    };
    let credits: kernel::Credits = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
    credits.micros()
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    path: String,
}

impl Reply {
    pub(crate) async fn read(response: reqwest::Response) -> reqwest::Result<Self> {
        let (status, headers) = (response.status(), response.headers().clone());
        let path = response.url().path().to_owned();
        let body = response.bytes().await?;
        assert!(
            headers.contains_key("x-request-id"),
            "{path}: no X-Request-Id in {headers:?}"
        );
        Ok(Self {
            status,
            headers,
            body,
            path,
        })
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value.
    ///
    /// # Panics
    /// When it is missing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        let value = value.unwrap_or_else(|| panic!("no {name} in {:?}", self.headers));
        value.to_str().expect("text")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Json {
        let parsed = serde_json::from_slice(&self.body);
        parsed.unwrap_or_else(|e| panic!("{}: {e}: {}", self.path, self.text()))
    }

    /// The JSON of a good answer, which must have this status.
    ///
    /// # Panics
    /// When it has another.
    #[track_caller]
    pub fn ok(&self, status: u16) -> Json {
        self.is(status);
        self.json()
    }

    /// Fails unless the answer has this status.
    ///
    /// # Panics
    /// When it has another.
    #[track_caller]
    pub fn is(&self, status: u16) -> &Self {
        assert_eq!(
            self.status.as_u16(),
            status,
            "{}: {}",
            self.path,
            self.text()
        );
        self
    }

    /// Fails unless the answer is this problem, complete and without a leak;
    /// answers its body.
    ///
    /// # Panics
    /// When it is another answer.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Json {
        let text = self.text();
        assert_eq!(
            self.status.as_u16(),
            status,
            "{}: wanted {code}: {text}",
            self.path
        );
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{text}"
        );
        let body = self.json();
        assert_eq!(body["code"], code, "{text}");
        assert_eq!(body["status"], status, "{text}");
        assert!(
            body["type"]
                .as_str()
                .is_some_and(|page| page.ends_with(code)),
            "{text}"
        );
        assert!(
            body["title"]
                .as_str()
                .is_some_and(|title| !title.is_empty()),
            "{text}"
        );
        let detail = body["detail"].as_str().unwrap_or_default();
        assert!(detail.len() > 3, "a detail is a sentence: {text}");
        assert_eq!(body["error"], body["detail"], "{text}");
        assert_eq!(
            body["instance"].as_str(),
            Some(self.path.as_str()),
            "{text}"
        );
        assert_eq!(
            body["request_id"].as_str(),
            Some(self.header("x-request-id")),
            "{text}"
        );
        assert!(body.get("debug").is_none(), "{text}");
        if [429, 503].contains(&status) {
            let wait: u64 = self.header("retry-after").parse().expect("whole seconds");
            assert!(wait >= 1, "Retry-After: {wait}");
        }
        scan_for_leaks(&text);
        body
    }
}
