//! A provider that hangs, cuts, stalls, sends garbage or refuses: the right
//! problem, nothing charged, nothing half-written, nothing told of its inside.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::on_both;

use crate::{
    credits::ledger,
    invariants,
    world::{API_KEY, GRANT, MODEL, World, messages},
};

/// What the upstream does, and what the client is told.
const FAULTS: &[(&str, u16, &str)] = &[
    ("hang", 504, "provider_timeout"),
    ("refuse", 502, "provider_failed"),
    ("tokens=20 cut=0", 502, "provider_failed"),
    ("tokens=20 cut=5", 502, "provider_failed"),
    ("tokens=20 stall=0", 504, "provider_timeout"),
    ("tokens=20 stall=5", 504, "provider_timeout"),
    ("tokens=20 garbage=5", 502, "provider_failed"),
    ("tokens=20 error=0", 502, "provider_failed"),
    ("tokens=20 error=5", 502, "provider_failed"),
    ("tokens=20 no_done", 502, "provider_failed"),
    ("status=401", 502, "provider_failed"),
    ("status=403", 502, "provider_failed"),
    ("status=404", 502, "provider_failed"),
    ("status=400", 502, "provider_failed"),
    (
        "status=400 code=context_length_exceeded",
        422,
        "context_too_long",
    ),
    ("status=429 retry_after=3", 503, "server_busy"),
    ("status=500", 502, "provider_failed"),
    ("status=503", 503, "server_busy"),
];

async fn impatient(backend: testkit::Backend) -> World {
    let upstream = testkit::upstream::Upstream::start().await;
    let server = testkit::TestServer::start(backend, |setup| {
        let quick = "connect_timeout = \"500ms\"\nfirst_byte_timeout = \"700ms\"\nidle_timeout = \"700ms\"\n\n[[models]]";
        let config = upstream.config(&[MODEL]).replace("test-key", API_KEY).replacen("\n[[models]]", quick, 1);
        setup.add(&config);
    })
    .await;
    World { server, upstream }
}

on_both! {
    async fn a_failing_provider_costs_nothing(backend) {
        let world = impatient(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages");
        for (script, status, code) in FAULTS {
            let body = json!({"prompt": format!("Tell me !script {script}")});
            let begun = Instant::now();
            let answer = ana.post(&path, body.clone()).await;
            assert_eq!(answer.status.as_u16(), *status, "{script}: {}", answer.text());
            answer.problem(*status, code);
            if script.contains("retry_after=3") {
                assert_eq!(answer.header("retry-after"), "3", "the provider's own");
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "{script} took {:?}", begun.elapsed());

            let seen = ana.stream(&format!("{path}/stream"), body).await.whole().await;
            let error = seen.events.iter().find(|event| event.kind == "error");
            let error = error.unwrap_or_else(|| panic!("{script}: no error in {:?}", seen.events));
            assert_eq!(error.data["code"], *code, "{script}: {error:?}");
            testkit::scan_for_leaks(&error.data.to_string());
            let end = seen.end();
            assert_eq!(end["end_reason"], "error", "{script}");
            assert_eq!(end["message"], json!(null), "{script}: a cut-off answer is not kept");
            assert!(!seen.events.iter().any(|event| event.data.to_string().contains("never se")), "{script}");
        }
        assert_eq!(ana.balance().await, (GRANT, 0), "a failed call costs nothing");
        let entries = ledger(&ana).await;
        assert!(entries.iter().all(|entry| entry["kind"] != "settle"), "{entries:?}");
        let all = messages(&ana, &id).await;
        assert!(all.iter().all(|message| message["role"] == "user"), "no half answers");
        assert_eq!(ana.get("/usage/stats").await.ok(200)["totals"]["requests"], 0);
        // And it goes on as if nothing had been.
        world.say(&ana, &id, "Well?").await;
        invariants::hold(&world.server).await;
        world.server.assert_not_logged(&[API_KEY]);
    }

    /// Nobody listens where the provider should be.
    async fn an_absent_provider_costs_nothing(backend) {
        let server = testkit::TestServer::start(backend, |setup| {
            setup.add(crate::world::MODEL_WITHOUT_UPSTREAM);
        })
        .await;
        let ana = server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let answer = ana.post(&format!("/sessions/{id}/messages"), json!({"prompt": "Hello"})).await;
        answer.problem(502, "provider_failed");
        assert_eq!(ana.balance().await, (GRANT, 0));
        invariants::hold(&server).await;
        server.assert_not_logged(&[API_KEY]);
    }

    /// Odd but allowed: each of these is an answer, and is charged by what was used.
    async fn odd_streams_are_answers(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages");
        for script in [
            "tokens=20 split=1", "tokens=20 split=7 unicode", "tokens=20 crlf", "tokens=20 comments",
            "tokens=20 usage=none", "tokens=20 usage=zero", "tokens=20 reasoning=3", "tokens=1", "tokens=20 unicode crlf comments split=3",
        ] {
            let prompt = format!("Tell me !script {script}");
            let seen = ana.stream(&format!("{path}/stream"), json!({"prompt": prompt})).await.whole().await;
            assert_eq!(seen.text, crate::world::truth(&prompt), "{script}");
            let end = seen.end();
            assert_eq!(end["end_reason"], "stop", "{script}");
            // A zero beside text is never believed.
            let counted = end["usage"]["completion_tokens"].as_i64().unwrap();
            assert!(counted > 0 && end["usage"]["prompt_tokens"].as_i64().unwrap() > 0, "{script}: {end}");
            assert!(testkit::micros(&end["credits"]["charged"]) >= counted * 2_000, "{script}: {end}");
        }
        invariants::hold(&world.server).await;
    }

    /// Somebody is there, and no connection stands.
    async fn a_provider_that_takes_no_connection_costs_nothing(backend) {
        let port = testkit::FullPort::open().await;
        let server = testkit::TestServer::start(backend, |setup| {
            let config = crate::world::MODEL_WITHOUT_UPSTREAM.replace("127.0.0.1:9", &port.address().to_string());
            // Later than the patience for a connection, and sooner than the usual one.
            setup.add(&config.replacen("api_key", "connect_timeout = \"200ms\"\nfirst_byte_timeout = \"4s\"\napi_key", 1));
        })
        .await;
        let ana = server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages");
        ana.post(&path, json!({"prompt": "Hello"})).await.problem(504, "provider_timeout");
        let seen = ana.stream(&format!("{path}/stream"), json!({"prompt": "Hello"})).await.whole().await;
        assert_eq!(seen.end()["error"]["code"], "provider_timeout");
        assert!(server.log().contains("connect_timeout"), "it was the connection");
        assert_eq!(ana.balance().await, (GRANT, 0));
        invariants::hold(&server).await;
    }

    /// A report of usage that cannot be true: the answer stands, and what it takes is counted here.
    async fn incredible_usage_is_not_believed(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages");
        let mut truth = None;
        for claim in [
            "none", "-5/-7", "-1/20", "20/-1", "18446744073709551615/18446744073709551615", "20/18446744073709551615",
            "18446744073709551616/1", "1/100000000000000000000000000000", "9999999/20", "20/9999", "0/20", "20/0",
        ] {
            for streamed in [true, false] {
                let prompt = format!("Tell me !script tokens=20 usage={claim}");
                let body = json!({"prompt": prompt, "max_tokens": 100});
                let end = match streamed {
                    true => ana.stream(&format!("{path}/stream"), body).await.whole().await.end().clone(),
                    false => ana.post(&path, body).await.ok(200),
                };
                assert_eq!(end["end_reason"], "stop", "{claim}: {end}");
                assert_eq!(end["message"]["content"], crate::world::truth(&prompt).as_str(), "{claim}");
                let tokens = |name: &str| end["usage"][name].as_i64().unwrap();
                let (sent, answered) = (tokens("prompt_tokens"), tokens("completion_tokens"));
                // The answer is always the same; what is sent grows with the conversation.
                assert_eq!(*truth.get_or_insert(answered), answered, "{claim}: {end}");
                assert!((20..=100).contains(&answered) && (1..8_192).contains(&sent), "{claim}: {end}");
                assert_eq!(testkit::micros(&end["credits"]["charged"]), sent * 1_000 + answered * 2_000, "{claim}: {end}");
            }
        }
        invariants::hold(&world.server).await;
    }
}
