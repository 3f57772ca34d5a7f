//! The page as the program serves it, built or not, and where browsers are sent.

use std::path::Path;

use testkit::{TestServer, on_both};

/// Where the page is built to; this build of the server takes it from there.
fn built() -> Option<String> {
    let index = concat!(env!("CARGO_MANIFEST_DIR"), "/../web/dist/index.html");
    std::fs::read_to_string(Path::new(index)).ok()
}

on_both! {
    async fn browsers_are_sent_to_the_page_and_programs_are_not(backend) {
        let server = TestServer::start(backend, |_| {}).await;
        let client = server.client();
        let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let sent = client.with("accept", accept).get("/").await;
        assert_eq!(
            (sent.status.as_u16(), sent.header("location")),
            (303, "/app")
        );
        assert_eq!(sent.header("vary"), "Accept");
        for accept in ["*/*", "application/json"] {
            let welcome = client.with("accept", accept).get("/").await.ok(200);
            assert_eq!(welcome["name"], "Tertulia");
        }
        // Elsewhere a browser gets what everybody gets.
        client
            .with("accept", accept)
            .get("/sessions")
            .await
            .problem(401, "not_authenticated");
    }

    async fn the_page_is_served_with_what_keeps_it_safe(backend) {
        let server = TestServer::start(backend, |_| {}).await;
        let client = server.client();
        let page = built();
        for path in [
            "/app",
            "/app/",
            "/app/conversations/1",
            "/app/settings?tab=account",
        ] {
            let answer = client.get(path).await;
            match &page {
                Some(page) => {
                    answer.is(200);
                    assert_eq!(&answer.text(), page, "{path}");
                    assert_eq!(answer.header("cache-control"), "no-cache");
                }
                None => {
                    answer.is(503);
                    assert!(answer.text().contains("make page"), "{}", answer.text());
                }
            }
            let policy = answer.header("content-security-policy");
            for rule in [
                "default-src 'none'",
                "script-src 'self'",
                "frame-ancestors 'none'",
                "base-uri 'none'",
            ] {
                assert!(policy.contains(rule), "{policy}");
            }
            assert!(
                !policy.contains("unsafe-eval") && !policy.contains("script-src 'self' 'unsafe")
            );
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert_eq!(answer.header("x-frame-options"), "DENY");
            assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
        }
        let missing = client.get("/app/assets/nothing-0000.js").await;
        assert_eq!(
            missing.status.as_u16(),
            if page.is_some() { 404 } else { 503 }
        );
        for path in [
            "/app/../Cargo.toml",
            "/app/..%2f..%2fCargo.toml",
            "/app/assets/../../package.json",
        ] {
            let answer = client.get(path).await;
            assert!(
                !answer.text().contains("[workspace]") && !answer.text().contains("tertulia-web"),
                "{path}"
            );
        }
        let Some(page) = page else { return };
        // Every script and style that the page names is there, and can be kept for good.
        let names = page
            .split('"')
            .filter_map(|part| part.strip_prefix("/app/assets/"));
        let names: Vec<&str> = names.collect();
        assert!(!names.is_empty(), "{page}");
        for name in names {
            let path = format!("/app/assets/{name}");
            let plain = client.with("accept-encoding", "identity").get(&path).await;
            plain.is(200);
            assert!(
                plain.header("cache-control").contains("immutable"),
                "{path}"
            );
            let packed = client.with("accept-encoding", "br").get(&path).await;
            packed.is(200);
            if packed.headers.contains_key("content-encoding") {
                assert_eq!(packed.header("content-encoding"), "br");
                assert!(packed.body.len() < plain.body.len(), "{path}");
            }
            let again = client
                .with("if-none-match", plain.header("etag"))
                .get(&path)
                .await;
            again.is(304);
        }
    }
}
