//! Health, metrics, the contract itself, and what every path owes.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value as Json, json};
use testkit::{Backend, TestServer, on_both, run};

on_both! {
    async fn health_and_readiness_tell_about_the_database(backend) {
        let server = TestServer::start(backend, |_| {}).await;
        let client = server.client();
        let health = client.get("/health").await.ok(200);
        for field in ["status", "timestamp", "active_jobs", "version", "database"] {
            assert!(!health[field].is_null(), "{field} in {health}");
        }
        assert_eq!(health["active_jobs"], 0);
        client.get("/ready").await.is(200);
        client.get("/api/health").await.is(200);
    }

    /// 404 and 405 are problems, too; `/api` and aliases lead to the same routes.
    async fn unknown_paths_and_methods_are_problems(backend) {
        let server = TestServer::start(backend, |_| {}).await;
        let client = server.client();
        for path in ["/nothing", "/api/nothing", "/sessions/1/2/3", "/%ff%fe", "/auth/login/x", "//"] {
            client.get(path).await.problem(404, "not_found");
        }
        let refused = client.send(Method::PUT, "/auth/login", None).await;
        refused.problem(405, "method_not_allowed");
        assert!(refused.header("allow").contains("POST"));
        client.get("/api/auth/login").await.problem(405, "method_not_allowed");
        client.get("/sessions").await.problem(401, "not_authenticated");
        client.get("/api/chat/sessions").await.problem(401, "not_authenticated");
    }
}

#[test]
fn answers_carry_what_keeps_browsers_safe() {
    run(async {
        let server = TestServer::start(Backend::Sqlite, |_| {}).await;
        let answer = server.client().get("/health").await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(
            answer.headers.get("access-control-allow-origin").is_none(),
            "CORS is off"
        );
        assert!(!answer.headers.contains_key("server"));
        let id = answer.header("x-request-id");
        assert_ne!(
            server.client().get("/health").await.header("x-request-id"),
            id
        );
        // Nobody writes into the log or an answer by a header.
        let sent = server
            .client()
            .with("x-request-id", "<script>alert(1)</script>");
        assert!(!sent.get("/nothing").await.text().contains("script"));
    });
}

#[test]
fn metrics_count_by_route_and_never_by_person() {
    run(async {
        let server = TestServer::start(Backend::Sqlite, |_| {}).await;
        let ana = server.user("ana").await;
        let id = "0190f3a0-0000-7000-8000-000000000000";
        ana.get(&format!("/sessions/{id}"))
            .await
            .problem(404, "not_found");
        let metrics = server.client().get("/metrics").await;
        metrics.is(200);
        assert!(metrics.header("content-type").starts_with("text/plain"));
        let text = metrics.text();
        let line = text.lines().find(|line| {
            line.starts_with("http_requests_total") && line.contains("/sessions/{id}")
        });
        assert!(line.is_some_and(|line| line.contains("404")), "{text}");
        assert!(!text.contains(id) && !text.contains("ana@"), "{text}");
    });
}

#[test]
fn the_openapi_document_describes_the_contract() {
    run(async {
        let server = TestServer::start(Backend::Sqlite, |_| {}).await;
        let client = server.client();
        let document = client.get("/openapi.json").await.ok(200);
        assert!(document["openapi"].as_str().unwrap().starts_with("3."));
        let paths = document["paths"].as_object().expect("paths");
        for (path, methods) in [
            ("/auth/register", &["post"][..]),
            ("/auth/login", &["post"]),
            ("/auth/refresh", &["post"]),
            ("/auth/logout", &["post"]),
            ("/auth/me", &["get"]),
            ("/sessions", &["get", "post"]),
            ("/sessions/{id}", &["get", "patch", "delete"]),
            ("/sessions/{id}/messages", &["get", "post"]),
            ("/sessions/{id}/messages/stream", &["post"]),
            ("/sessions/{id}/update-stream", &["post"]),
            ("/sessions/{id}/stop", &["post"]),
            ("/sessions/{id}/export", &["get"]),
            ("/search", &["get"]),
            ("/credits/balance", &["get"]),
            ("/credits/ledger", &["get"]),
            ("/credits/check", &["post"]),
            ("/credits/calculate", &["post"]),
            ("/credits/allocate", &["post"]),
            ("/usage/record", &["post"]),
            ("/usage/stats", &["get"]),
            ("/models", &["get"]),
            ("/runs/{id}", &["get"]),
            ("/runs/{id}/events", &["get"]),
            ("/runs/{id}/cancel", &["post"]),
            ("/health", &["get"]),
            ("/ready", &["get"]),
        ] {
            for method in methods {
                assert!(
                    paths.get(path).is_some_and(|p| p.get(method).is_some()),
                    "{method} {path}"
                );
            }
        }
        refs_resolve(&document);
        let docs = client.get("/docs").await;
        docs.is(200);
        assert!(docs.header("content-type").starts_with("text/html"));
        // Every kind of problem has a page that a person can read.
        let problem = client.get("/nothing").await.problem(404, "not_found");
        client.get(problem["type"].as_str().unwrap()).await.is(200);
    });
}

/// Every `$ref` of the document leads somewhere.
fn refs_resolve(document: &Json) {
    fn collect<'a>(value: &'a Json, into: &mut BTreeSet<&'a str>) {
        match value {
            Json::Object(object) => {
                if let Some(Json::String(target)) = object.get("$ref") {
                    into.insert(target);
                }
                object.values().for_each(|value| collect(value, into));
            }
            Json::Array(values) => values.iter().for_each(|value| collect(value, into)),
            _ => {}
        }
    }
    let mut targets = BTreeSet::new();
    collect(document, &mut targets);
    assert!(!targets.is_empty());
    for target in targets {
        let pointer = target
            .strip_prefix('#')
            .expect("a reference within the document");
        assert!(
            document.pointer(pointer).is_some(),
            "{target} leads nowhere"
        );
    }
}

#[test]
fn large_answers_are_compressed_for_those_who_ask() {
    run(async {
        let server = TestServer::start(Backend::Sqlite, |_| {}).await;
        let plain = server.client().get("/openapi.json").await;
        assert!(!plain.headers.contains_key("content-encoding"));
        let packed = server
            .client()
            .with("accept-encoding", "gzip")
            .get("/openapi.json")
            .await;
        assert_eq!(packed.header("content-encoding"), "gzip");
        assert!(packed.body.len() * 2 < plain.body.len());
    });
}

#[test]
fn a_browser_at_the_root_is_sent_to_the_page_or_told_where_to_look() {
    run(async {
        let server = TestServer::start(Backend::Sqlite, |_| {}).await;
        let answer = server.client().with("accept", "text/html").get("/").await;
        assert!(answer.status.is_redirection() || answer.status == 404 || answer.status == 200);
        let _ = json!({});
    });
}
