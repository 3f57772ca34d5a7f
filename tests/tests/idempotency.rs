//! Idempotency keys: the same answer again, and nothing twice.

use futures_util::future::join_all;
use serde_json::json;
use testkit::on_both;

use crate::{
    credits::ledger,
    invariants,
    world::{GRANT, MODEL, World, messages, without},
};

on_both! {
    async fn a_repeated_prompt_is_answered_once(backend) {
        let mut world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages");
        let once = ana.with("idempotency-key", "a-key-of-ana");
        let body = json!({"prompt": "How do whales sleep?"});
        let first = once.post(&path, body.clone()).await.ok(200);
        let second = once.post(&path, body.clone()).await.ok(200);
        assert_eq!(first["message"], second["message"]);
        assert_eq!(first["credits"]["charged"], second["credits"]["charged"]);
        // Also after a restart.
        world.server.restart().await;
        let third = once.post(&path, body.clone()).await.ok(200);
        assert_eq!(first["message"], third["message"]);
        assert_eq!(world.upstream.requests().len(), 1);
        assert_eq!(messages(&ana, &id).await.len(), 2);
        // The key stands for one request, with one body, of one person.
        once.post(&path, json!({"prompt": "Another"})).await.problem(422, "idempotency_key_reused");
        let other = ana.conversation(MODEL).await;
        once.post(&format!("/sessions/{other}/messages"), body.clone()).await.problem(422, "idempotency_key_reused");
        let ben = world.server.user("ben").await;
        let his = ben.conversation(MODEL).await;
        let answer = ben.with("idempotency-key", "a-key-of-ana").post(&format!("/sessions/{his}/messages"), body).await;
        answer.is(200);
        let long = ana.with("idempotency-key", &"x".repeat(5_000)).post(&path, json!({"prompt": "x"})).await;
        assert!([200, 422].contains(&long.status.as_u16()), "{}", long.text());
        ledger(&ana).await;
        invariants::hold(&world.server).await;
    }

    /// A prompt that names the last message is answered again although it is not the last one any
    /// more, and although nobody serves its model any more.
    async fn a_repeated_prompt_below_a_message_is_answered_once(backend) {
        let mut world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages");
        let first = ana.post(&path, json!({"prompt": "How do whales sleep?"})).await.ok(200);
        let once = ana.with("idempotency-key", "below-1");
        let body = json!({"prompt": "And birds?", "after": first["message"]["id"]});
        let second = once.post(&path, body.clone()).await.ok(200);
        let balance = ana.balance().await;
        let again = once.post(&path, body.clone()).await.ok(200);
        // Without the key, or with another one, it comes too late.
        ana.post(&path, body.clone()).await.problem(409, "conflict");
        world.server.reconfigure(|setup| {
            setup.set("models", toml::Value::Array(Vec::new()));
        });
        world.server.restart().await;
        ana.post(&path, json!({"prompt": "x"})).await.problem(503, "no_model");
        let once_more = once.post(&path, body.clone()).await.ok(200);
        for replay in [&again, &once_more] {
            for field in ["message", "usage", "run_id"] {
                assert_eq!(replay[field], second[field], "{field}");
            }
            assert_eq!(replay["credits"]["charged"], second["credits"]["charged"]);
        }
        let streamed = once.try_stream(&format!("{path}/stream"), body).await.unwrap_err().unwrap();
        streamed.problem(422, "idempotency_key_reused");
        assert_eq!(ana.balance().await, balance, "charged once");
        assert_eq!(world.upstream.requests().len(), 2);
        assert_eq!(messages(&ana, &id).await.len(), 4);
        invariants::hold(&world.server).await;
    }

    async fn a_repeated_stream_is_its_log_again(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages/stream");
        let once = ana.with("idempotency-key", "stream-1");
        let body = json!({"prompt": "!script tokens=40 delay=10ms"});
        let mut stream = once.stream(&path, body.clone()).await;
        let begun = stream.until("").await;
        // While it is written: the log from its beginning, and on to its end.
        let again = once.stream(&path, body.clone()).await.whole().await;
        assert_eq!(again.events[..begun.len()], begun);
        let rest = stream.rest().await;
        assert_eq!(again.events[begun.len()..], rest);
        // And when it has ended.
        let replay = once.stream(&path, body).await.whole().await;
        assert_eq!(replay.events, again.events);
        once.try_stream(&path, json!({"prompt": "Another"})).await.unwrap_err().unwrap().problem(422, "idempotency_key_reused");
        assert_eq!(world.upstream.requests().len(), 1);
        assert_eq!(messages(&ana, &id).await.len(), 2);
        invariants::hold(&world.server).await;
    }

    /// The same request many times at once: one does it, all get its answer.
    async fn a_storm_of_the_same_request_does_it_once(backend) {
        let world = World::start(backend).await;
        let (admin, ana) = (world.server.admin().await, world.server.user("ana").await);
        ana.balance().await;
        let give = admin.with("idempotency-key", "give-1");
        let answers = join_all((0..16).map(|_| {
            let (give, id) = (give.apart(), ana.id.clone());
            async move { give.post("/credits/allocate", json!({"target_user_id": id, "amount": 5})).await }
        })).await;
        for answer in &answers {
            answer.is(200);
            assert_eq!(answer.json(), answers[0].json());
        }
        assert_eq!(ana.balance().await.0, GRANT + 5_000_000);
        let make = ana.with("idempotency-key", "make-1");
        let made = join_all((0..16).map(|_| {
            let make = make.apart();
            async move { make.post("/sessions", json!({"model_id": MODEL})).await.ok(201) }
        })).await;
        assert!(made.iter().all(|one| one["id"] == made[0]["id"]));
        assert_eq!(ana.get("/sessions").await.ok(200)["meta"]["total"], 1);
        // A refused request leaves no key behind.
        let key = ana.with("idempotency-key", "refused-1");
        let refused = key.post("/sessions", json!({"model_id": "no-such-model"})).await.problem(400, "invalid_model");
        let again = key.post("/sessions", json!({"model_id": "no-such-model"})).await.problem(400, "invalid_model");
        assert_eq!(without(refused, &["request_id"]), without(again, &["request_id"]));
        let storm = join_all((0..8).map(|_| {
            let client = ana.with("idempotency-key", "send-1").apart();
            let id = made[0]["id"].as_str().unwrap().to_owned();
            async move { client.post(&format!("/sessions/{id}/messages"), json!({"prompt": "Hi !script first=200ms"})).await.ok(200) }
        })).await;
        assert!(storm.iter().all(|one| one["message"] == storm[0]["message"]));
        assert_eq!(world.upstream.requests().len(), 1);
        invariants::hold(&world.server).await;
    }
}
