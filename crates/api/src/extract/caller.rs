//! Who asks, and how often: the extractors that make a [`Context`] out of a
//! request. A handler has exactly one of them.

use std::{borrow::Cow, sync::Arc};

use axum::extract::{FromRequest, FromRequestParts, MatchedPath, Request};
use http::{HeaderMap, HeaderName, Method, header, request::Parts};
use kernel::{Context, Error, Idempotency, Result, codes};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{App, extract::body, problem::Problem, rate::Class, seen::Seen};

/// Somebody who has not signed in, unlimited: for what is cheap and public.
pub(crate) struct Open(pub(crate) Context);

/// Somebody who has signed in.
pub(crate) struct Caller(pub(crate) Context);

/// Somebody who has signed in, and the body of the request.
pub(crate) struct Posted<T> {
    pub(crate) ctx: Context,
    pub(crate) input: T,
}

/// Anybody, limited by address, and the body of the request.
pub(crate) struct Anyone<T> {
    pub(crate) ctx: Context,
    pub(crate) input: T,
}

/// A request as it came, for routes that decide for themselves whom they serve.
pub(crate) struct Visitor {
    pub(crate) seen: Arc<Seen>,
    pub(crate) headers: HeaderMap,
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        Ok(Self {
            seen: seen(parts)?,
            headers: parts.headers.clone(),
        })
    }
}

/// What the envelope knows about the request.
fn seen(parts: &Parts) -> Result<Arc<Seen>> {
    parts
        .extensions
        .get::<Arc<Seen>>()
        .cloned()
        .ok_or_else(|| Error::internal("a route outside of the envelope"))
}

/// The token of `Authorization: Bearer`.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str> {
    let missing = || {
        Error::new(
            codes::NOT_AUTHENTICATED,
            "Sign in first, and send `Authorization: Bearer <access token>`.",
        )
    };
    let value = headers.get(header::AUTHORIZATION).ok_or_else(missing)?;
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|v| v.trim().split_once(' '))
        .ok_or_else(missing)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(missing());
    }
    Ok(token)
}

/// The access token of whoever asks: that of `Authorization: Bearer`, else that of the page's cookie,
/// which may not come from another site.
pub(crate) fn access_token<'a>(
    app: &App,
    method: &Method,
    headers: &'a HeaderMap,
) -> Result<&'a str> {
    match (bearer(headers), app.cookies().access(headers)) {
        (Err(_), Some(token)) => {
            app.cookies().require_own_page(method, headers)?;
            Ok(token)
        }
        (token, _) => token,
    }
}

async fn signed_in(parts: &Parts, app: &App) -> Result<Context> {
    let seen = seen(parts)?;
    let token = access_token(app, &parts.method, &parts.headers)?;
    let ctx = app.authenticate(token, &seen).await?;
    app.limit(&ctx, class(parts), &seen).await?;
    Ok(ctx)
}

fn class(parts: &Parts) -> Class {
    let route = parts
        .extensions
        .get::<MatchedPath>()
        .map_or("", MatchedPath::as_str);
    Class::of(&parts.method, route)
}

impl FromRequestParts<App> for Open {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        Ok(Self(app.anonymous(&*seen(parts)?)))
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        Ok(Self(signed_in(parts, app).await?))
    }
}

impl<T: DeserializeOwned> FromRequest<App> for Posted<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let ctx = signed_in(&parts, app).await?;
        let (ctx, input) = posted(ctx, &parts, body, app).await?;
        Ok(Self { ctx, input })
    }
}

impl<T: DeserializeOwned> FromRequest<App> for Anyone<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let seen = seen(&parts)?;
        let ctx = app.anonymous(&seen);
        app.limit(&ctx, class(&parts), &seen).await?;
        let (ctx, input) = posted(ctx, &parts, body, app).await?;
        Ok(Self { ctx, input })
    }
}

async fn posted<T: DeserializeOwned>(
    ctx: Context,
    parts: &Parts,
    body: axum::body::Body,
    app: &App,
) -> Result<(Context, T)> {
    let server = &app.options().server;
    let bytes = body::read(body, server.max_body, server.body_timeout).await?;
    let key = idempotency(&parts.headers, &parts.method, parts.uri.path(), &bytes)?;
    let input = body::json(&parts.headers, &bytes)?;
    Ok((ctx.with_idempotency(key), input))
}

/// The `Idempotency-Key`, and the fingerprint of what it stands for.
fn idempotency(
    headers: &HeaderMap,
    method: &Method,
    path: &str,
    body: &[u8],
) -> Result<Option<Idempotency>> {
    const KEY: HeaderName = HeaderName::from_static("idempotency-key");
    let Some(value) = headers.get(KEY) else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .ok()
        .filter(|key| {
            (1..=255).contains(&key.len()) && key.bytes().all(|b| (b' '..=b'~').contains(&b))
        })
        .ok_or_else(|| {
            Error::invalid("Idempotency-Key", "is 1 to 255 printable ASCII characters")
        })?;
    let body = without_secrets(body);
    let mut hash = Sha256::new();
    for part in [method.as_str().as_bytes(), path.as_bytes(), &body] {
        // With its length, so that no two requests are the same text.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Ok(Some(Idempotency {
        key: key.to_owned(),
        fingerprint: hash.finalize().into(),
    }))
}

/// The body of which a fingerprint may be stored. Passwords could be tried out against a plain hash
/// of them, which is far quicker than against the one that signing in is checked with.
fn without_secrets(body: &[u8]) -> Cow<'_, [u8]> {
    const SECRETS: [&str; 7] = [
        "password",
        "current_password",
        "currentPassword",
        "new_password",
        "newPassword",
        "refresh_token",
        "refreshToken",
    ];
    let Ok(mut fields) = serde_json::from_slice::<Map<String, Value>>(body) else {
        return Cow::Borrowed(body);
    };
    let before = fields.len();
    fields.retain(|name, _| !SECRETS.contains(&name.as_str()));
    if fields.len() == before {
        return Cow::Borrowed(body);
    }
    Cow::Owned(Value::Object(fields).to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn only_bearer_tokens_are_tokens() {
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer   abc ", Some("abc")),
            ("Bearer ", None),
            ("Bearer", None),
            ("Basic abc", None),
            ("", None),
        ] {
            let headers = with(header::AUTHORIZATION, value);
            assert_eq!(bearer(&headers).ok(), token, "{value:?}");
        }
        assert!(
            bearer(&HeaderMap::new())
                .unwrap_err()
                .is(codes::NOT_AUTHENTICATED)
        );
    }

    #[test]
    fn a_key_stands_for_method_path_and_body() {
        let headers = with(HeaderName::from_static("idempotency-key"), "k 1");
        let of = |method: &Method, path: &str, body: &[u8]| {
            idempotency(&headers, method, path, body)
                .unwrap()
                .unwrap()
                .fingerprint
        };
        let one = of(&Method::POST, "/a", b"b");
        assert_eq!(one, of(&Method::POST, "/a", b"b"));
        assert_ne!(one, of(&Method::PATCH, "/a", b"b"));
        assert_ne!(one, of(&Method::POST, "/ab", b""));
        assert_ne!(one, of(&Method::POST, "/a", b"c"));
        // Nothing that is stored can be tried against a password.
        let with = |body: &str| of(&Method::POST, "/a", body.as_bytes());
        let ann = with(r#"{"email": "a@b", "password": "one"}"#);
        assert_eq!(ann, with(r#"{"email": "a@b", "passw\u006frd": "another"}"#));
        assert_ne!(ann, with(r#"{"email": "c@b", "password": "one"}"#));
    }

    #[test]
    fn odd_keys_are_refused() {
        let name = HeaderName::from_static("idempotency-key");
        for value in ["", &"x".repeat(256), "tab\tbed"] {
            let error =
                idempotency(&with(name.clone(), value), &Method::POST, "/", b"").unwrap_err();
            assert_eq!(error.fields()[0].field, "Idempotency-Key");
        }
        assert!(idempotency(&with(name, &"x".repeat(255)), &Method::POST, "/", b"").is_ok());
        assert!(
            idempotency(&HeaderMap::new(), &Method::POST, "/", b"")
                .unwrap()
                .is_none()
        );
    }
}
