//! Health, metrics, the contract itself, and what every path owes.

use std::collections::BTreeSet;

use http::{HeaderMap, Method};
use serde_json::{Value as Json, json};
use testkit::{Backend, TestServer, on_both};

use crate::world::{MODEL, World};

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

/// PostgreSQL was started again, or an administrator ended the connections: nobody hears of it.
#[test]
fn connections_to_the_database_that_were_cut_fail_no_request() {
    testkit::run_on(Backend::Postgres, |backend| async move {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let cut = "RESET ROLE; SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity
                   WHERE datname = current_database() AND application_name = 'tertulia'";
        for _ in 0..3 {
            let many = (0..12).map(|_| ana.get("/sessions"));
            futures_util::future::join_all(many).await;
            world.server.database().execute(cut).await;
            for n in 0..5 {
                ana.get("/sessions").await.is(200);
                ana.get(&format!("/sessions/{id}/messages")).await.is(200);
                ana.post("/sessions", json!({"model_id": MODEL}))
                    .await
                    .is(201);
                let title = json!({"title": format!("Whales {n}")});
                ana.patch(&format!("/sessions/{id}"), title).await.is(200);
            }
            world.server.database().execute(cut).await;
            let many = (0..20).map(|_| ana.get("/sessions"));
            for answer in futures_util::future::join_all(many).await {
                answer.is(200);
            }
        }
        world.say(&ana, &id, "Still there?").await;
        crate::invariants::hold(&world.server).await;
    });
}

/// Answers are data: a browser guesses, frames and runs nothing of them, and tells nobody where it was.
#[track_caller]
fn assert_safe(named: &str, headers: &HeaderMap) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        (
            "content-security-policy",
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ] {
        let told: Vec<_> = headers.get_all(name).iter().collect();
        assert_eq!(told, [value], "{named}: {name}");
    }
    assert!(
        !headers.contains_key("access-control-allow-origin"),
        "{named}: CORS is off"
    );
    assert!(!headers.contains_key("server"), "{named}");
}

on_both! {
    async fn answers_carry_what_keeps_browsers_safe(backend) {
        let world = World::start(backend).await;
        let (client, ana) = (world.server.client(), world.server.user("ana").await);
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages");
        let answers = [
            client.get("/health").await,
            client.get("/openapi.json").await,
            client.get("/metrics").await,
            ana.get("/auth/me").await,
            ana.get(&format!("/sessions/{id}/export?format=md")).await,
            ana.post(&path, json!({"prompt": "Hi"})).await,
            // Problems are answers, too.
            client.get("/nothing").await,
            client.get("/auth/me").await,
            client.send(Method::PUT, "/auth/login", None).await,
            ana.post(&path, json!({"prompt": 7})).await,
            ana.with("content-type", "text/plain").post(&path, json!({})).await,
            ana.post(&path, json!({"prompt": "x".repeat(2 << 20)})).await,
            ana.post(&path, json!({"prompt": "!script status=500"})).await,
        ];
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 404, 401, 405, 422, 415, 413, 502]);
        for answer in &answers {
            assert_safe(answer.status.as_str(), &answer.headers);
            // What is one caller's is nobody else's, whatever caches are in between.
            assert_eq!(answer.header("cache-control"), "no-store", "{}", answer.status);
        }
        let stream = ana.stream(&format!("{path}/stream"), json!({"prompt": "Hi"})).await;
        assert_safe("a stream", &stream.headers);
        stream.whole().await;
        // What a browser is shown has a policy of its own.
        for (path, framed) in [("/docs", "frame-ancestors 'none'"), ("/app", "frame-ancestors 'none'")] {
            let page = client.get(path).await;
            assert!(page.header("content-security-policy").contains(framed), "{path}");
            assert_eq!((page.header("x-frame-options"), page.header("x-content-type-options")), ("DENY", "nosniff"));
        }
    }

    async fn requests_have_ids_that_forge_nothing(backend) {
        let server = TestServer::start(backend, |_| {}).await;
        let client = server.client();
        let answer = client.get("/health").await;
        let id = answer.header("x-request-id");
        assert_ne!(client.get("/health").await.header("x-request-id"), id);
        // Nobody writes into the log or an answer by a header.
        let sent = client.with("x-request-id", "<script>alert(1)</script>");
        assert!(!sent.get("/nothing").await.text().contains("script"));
    }

    async fn metrics_count_by_route_and_never_by_person(backend) {
        let server = TestServer::start(backend, |_| {}).await;
        let ana = server.user("ana").await;
        let id = "0190f3a0-0000-7000-8000-000000000000";
        ana.get(&format!("/sessions/{id}")).await.problem(404, "not_found");
        let metrics = server.client().get("/metrics").await;
        metrics.is(200);
        assert!(metrics.header("content-type").starts_with("text/plain"));
        let text = metrics.text();
        let line = text.lines().find(|line| {
            line.starts_with("http_requests_total") && line.contains("/sessions/{id}")
        });
        assert!(line.is_some_and(|line| line.contains("404")), "{text}");
        assert!(!text.contains(id) && !text.contains("ana@"), "{text}");
    }

    async fn the_openapi_document_describes_the_contract(backend) {
        let server = TestServer::start(backend, |_| {}).await;
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
    }

    async fn large_answers_are_compressed_for_those_who_ask(backend) {
        let server = TestServer::start(backend, |_| {}).await;
        let plain = server.client().get("/openapi.json").await;
        assert!(!plain.headers.contains_key("content-encoding"));
        let packed = server.client().with("accept-encoding", "gzip").get("/openapi.json").await;
        assert_eq!(packed.header("content-encoding"), "gzip");
        assert!(packed.body.len() * 2 < plain.body.len());
    }
}

#[test]
fn the_page_of_the_api_comes_from_the_server_alone() {
    testkit::run(async {
        let server = TestServer::start(Backend::Sqlite, |_| {}).await;
        let client = server.client();
        let docs = client.get("/docs").await;
        docs.is(200);
        let policy = docs.header("content-security-policy");
        for directive in [
            "default-src 'none'",
            "script-src 'self'",
            "connect-src 'self'",
        ] {
            assert!(
                policy.split("; ").any(|known| known == directive),
                "{policy}"
            );
        }
        for foreign in ["//", "http", "*", "unsafe-eval"] {
            assert!(!policy.contains(foreign), "{policy}");
        }
        assert!(!docs.text().contains("//"), "{}", docs.text());
        assert!(docs.text().contains("src=\"/docs/viewer.js\""));
        let viewer = client.get("/docs/viewer.js").await;
        viewer.is(200);
        assert_eq!(viewer.header("content-encoding"), "gzip");
        assert!(viewer.header("content-type").starts_with("text/javascript"));
        assert!(viewer.body.starts_with(&[0x1f, 0x8b]));
        // Packed once, when the program was built, whatever else the browser takes.
        let other = client.with("accept-encoding", "gzip, br");
        assert_eq!(other.get("/docs/viewer.js").await.body, viewer.body);
        let known = client.with("if-none-match", viewer.header("etag"));
        let unchanged = known.get("/docs/viewer.js").await;
        assert_eq!((unchanged.status.as_u16(), unchanged.body.len()), (304, 0));
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
