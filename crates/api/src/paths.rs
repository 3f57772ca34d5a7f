//! The one rewrite before routing: strips `/api` and maps the aliases, so that
//! routes, metrics, limits and the OpenAPI document know canonical paths only.

use std::borrow::Cow;

use http::{Uri, uri::PathAndQuery};

/// Paths that S1 spells with `/api` and that stand as they are: `/v1` without
/// `/api` is the OpenAI-compatible gateway, another thing.
const KEPT: &str = "/api/v1";

/// Aliases of whole subtrees: `(alias, canonical)`.
const TREES: &[(&str, &str)] = &[
    ("/chat/sessions", "/sessions"),
    ("/conversations", "/sessions"),
];

/// Aliases of single paths.
const SINGLE: &[(&str, &str)] = &[
    ("/login", "/auth/login"),
    ("/statistics/usage", "/usage/stats"),
];

/// The canonical path of a request's path.
#[must_use]
pub fn canonical(path: &str) -> Cow<'_, str> {
    let path = match path.strip_suffix('/') {
        Some(rest) if !rest.is_empty() && !rest.ends_with('/') => rest,
        _ => path,
    };
    if within(path, KEPT) {
        return Cow::Borrowed(path);
    }
    let path = match path.strip_prefix("/api") {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    };
    if let Some((_, canonical)) = SINGLE.iter().find(|(alias, _)| *alias == path) {
        return Cow::Borrowed(canonical);
    }
    if is_plan_chat(path) {
        return Cow::Borrowed(path);
    }
    let path = match TREES.iter().find(|(alias, _)| within(path, alias)) {
        Some((alias, tree)) => Cow::Owned(format!("{tree}{}", &path[alias.len()..])),
        None => Cow::Borrowed(path),
    };
    match short_stream(&path) {
        Some(id) => Cow::Owned(format!("/sessions/{id}/messages/stream")),
        None => path,
    }
}

/// The path itself or something below it.
fn within(path: &str, tree: &str) -> bool {
    path.strip_prefix(tree)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// S4's `/conversations/{id}/chat` answers in its own way and is no alias.
fn is_plan_chat(path: &str) -> bool {
    middle(path, "/conversations/", "/chat").is_some()
}

/// S0 has `/sessions/{id}/stream` beside `/sessions/{id}/messages/stream`.
fn short_stream(path: &str) -> Option<&str> {
    middle(path, "/sessions/", "/stream")
}

/// The one segment between a prefix and a suffix.
fn middle<'a>(path: &'a str, prefix: &str, suffix: &str) -> Option<&'a str> {
    path.strip_prefix(prefix)?
        .strip_suffix(suffix)
        .filter(|segment| !segment.is_empty() && !segment.contains('/'))
}

/// Rewrites the path of a request; the query stays.
pub(crate) fn rewrite(uri: &mut Uri) {
    let Cow::Owned(path) = into_owned_if_changed(uri.path()) else {
        return;
    };
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = std::mem::take(uri).into_parts();
    parts.path_and_query = PathAndQuery::try_from(target).ok().or(parts.path_and_query);
    if let Ok(rewritten) = Uri::from_parts(parts) {
        *uri = rewritten;
    }
}

fn into_owned_if_changed(path: &str) -> Cow<'_, str> {
    let canonical = canonical(path);
    if canonical == path {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(canonical.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_lead_to_the_canonical_path() {
        for (path, expected) in [
            ("/", "/"),
            ("//", "//"),
            ("/api", "/"),
            ("/api/", "/"),
            ("/api/auth/login", "/auth/login"),
            ("/login", "/auth/login"),
            ("/api/login", "/auth/login"),
            ("/login/x", "/login/x"),
            ("/api/statistics/usage", "/usage/stats"),
            ("/sessions/", "/sessions"),
            ("/chat/sessions", "/sessions"),
            ("/api/chat/sessions/1/messages", "/sessions/1/messages"),
            ("/api/chat/sessions/1/stream", "/sessions/1/messages/stream"),
            ("/sessions/1/messages/stream", "/sessions/1/messages/stream"),
            ("/conversations", "/sessions"),
            ("/api/conversations/1", "/sessions/1"),
            ("/conversations/1/messages", "/sessions/1/messages"),
            ("/conversations/1/chat", "/conversations/1/chat"),
            ("/api/conversations/1/chat", "/conversations/1/chat"),
            ("/conversations/1/2/chat", "/sessions/1/2/chat"),
            ("/conversationsx", "/conversationsx"),
        ] {
            assert_eq!(canonical(path), expected, "{path}");
        }
    }

    #[test]
    fn what_only_looks_like_the_prefix_stays() {
        for path in [
            "/api-keys",
            "/apix",
            "/api-keys/1",
            "/v1/chat/completions",
            "/v1/models",
        ] {
            assert_eq!(canonical(path), path);
        }
        // S1's research stream and the OpenAI gateway never meet.
        assert_eq!(canonical("/api/v1/stream"), "/api/v1/stream");
        assert_eq!(canonical("/api/v1"), "/api/v1");
        assert_eq!(canonical("/api/v1x"), "/v1x");
    }

    #[test]
    fn one_prefix_is_stripped_once_and_canonical_paths_are_fixed_points() {
        assert_eq!(canonical("/api/api/sessions"), "/api/sessions");
        for path in [
            "/sessions/1",
            "/auth/login",
            "/usage/stats",
            "/sessions/1/messages/stream",
        ] {
            assert_eq!(canonical(path), path);
        }
    }

    #[test]
    fn the_query_and_odd_bytes_survive() {
        let mut uri: Uri = "/api/chat/sessions/%FF%00?page=2&q=a%20b".parse().unwrap();
        rewrite(&mut uri);
        assert_eq!(uri.to_string(), "/sessions/%FF%00?page=2&q=a%20b");
        let mut uri: Uri = "http://host/api/health".parse().unwrap();
        rewrite(&mut uri);
        assert_eq!(uri.to_string(), "http://host/health");
        let mut uri: Uri = "*".parse().unwrap();
        rewrite(&mut uri);
        assert_eq!(uri.path(), "*");
    }
}
