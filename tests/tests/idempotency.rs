//! Idempotency keys: the same answer again, and nothing twice.

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value as Json, json};
use testkit::on_both;

use crate::{
    credits::ledger,
    invariants,
    world::{GRANT, INPUT, MODEL, OUTPUT, World, messages, without},
};

fn text(value: &Json) -> String {
    value.as_str().expect("a text").to_owned()
}

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

    /// The other ways to ask: once more, in other words (a PATCH that makes a sibling), within a plan.
    async fn a_repeated_regeneration_edit_or_plan_chat_is_done_once(backend) {
        let mut world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages");
        let first = ana.post(&path, json!({"prompt": "How do whales sleep?"})).await.ok(200);
        let (answer, prompt) = (text(&first["message"]["id"]), text(&first["message"]["parent_id"]));
        let requests = [
            (Method::POST, format!("{path}/{answer}/regenerate"), json!({"max_tokens": 5})),
            (Method::PATCH, format!("{path}/{prompt}"), json!({"prompt": "How do birds sleep?"})),
            (Method::POST, format!("/conversations/{id}/chat"), json!({"content": "And fish?"})),
        ];
        let mut answers = Vec::new();
        for (n, (method, path, body)) in requests.iter().enumerate() {
            let once = ana.with("idempotency-key", &format!("again-{n}"));
            let send = async |body: &Json| once.send(method.clone(), path, Some(body.to_string().into())).await;
            let done = send(body).await.ok(200);
            let (balance, said) = (ana.balance().await, world.upstream.requests().len());
            assert_eq!(said, n + 2, "{path}");
            let repeated = send(body).await.ok(200);
            for field in ["message", "usage", "run_id", "end_reason"] {
                assert_eq!(repeated[field], done[field], "{path}: {field}");
            }
            assert_eq!(repeated["credits"]["charged"], done["credits"]["charged"], "{path}");
            let mut other = body.clone();
            other["max_tokens"] = json!(7);
            send(&other).await.problem(422, "idempotency_key_reused");
            assert_eq!((ana.balance().await, world.upstream.requests().len()), (balance, said), "{path}");
            // As a stream it is the log of the very same run.
            if n < 2 {
                let streamed = once.with("accept", "text/event-stream");
                let sent = streamed.try_send(method.clone(), path, Some(body.to_string().into())).await.unwrap();
                sent.is(200);
                assert_eq!(sent.header("x-run-id"), text(&done["run_id"]), "{path}");
                assert_eq!(sent.text().matches("event: end").count(), 1, "{path}");
            }
            answers.push(done);
        }
        // Without a key it is another one each time.
        let (method, path, body) = &requests[0];
        let anew = ana.send(method.clone(), path, Some(body.to_string().into())).await.ok(200);
        assert_ne!(anew["message"]["id"], answers[0]["message"]["id"]);
        // Also after a restart, in whatever order, and however the thread has gone on.
        world.server.restart().await;
        for (n, (method, path, body)) in requests.iter().enumerate().rev() {
            let once = ana.with("idempotency-key", &format!("again-{n}"));
            let repeated = once.send(method.clone(), path, Some(body.to_string().into())).await.ok(200);
            assert_eq!(repeated["message"], answers[n]["message"], "{path}");
        }
        assert_eq!(world.upstream.requests().len(), 5);
        let stored = "SELECT CAST(count(*) AS bigint) AS n FROM messages";
        assert_eq!(world.server.database().number(stored).await, 8, "4 answers to 1 + 1 + 1 prompts, and the first");
        ledger(&ana).await;
        invariants::hold(&world.server).await;
    }

    /// S0.12: usage that a program reports twice is counted once.
    async fn a_repeated_record_of_usage_is_counted_once(backend) {
        let world = World::start(backend).await;
        let (admin, ana) = (world.server.admin().await, world.server.user("ana").await);
        let once = admin.with("idempotency-key", "used-1");
        let body = json!({"user_id": ana.id, "model_id": MODEL, "prompt_tokens": 1_000, "completion_tokens": 500, "metadata": {"job": 7}});
        let first = once.post("/usage/record", body.clone()).await.ok(201);
        let again = join_all((0..4).map(|_| {
            let (once, body) = (once.apart(), body.clone());
            async move { once.post("/usage/record", body).await.ok(201) }
        })).await;
        assert!(again.iter().all(|answer| *answer == first), "{first} {again:?}");
        assert_eq!(ana.balance().await.0, GRANT - INPUT - OUTPUT / 2);
        let mut other = body.clone();
        other["completion_tokens"] = json!(501);
        once.post("/usage/record", other).await.problem(422, "idempotency_key_reused");
        let stats = ana.get("/usage/stats").await.ok(200);
        assert_eq!((&stats["totals"]["requests"], &stats["totals"]["prompt_tokens"]), (&json!(1), &json!(1_000)));
        let of = |entries: Vec<Json>| entries.iter().filter(|entry| entry["kind"] == "record").count();
        assert_eq!(of(ledger(&ana).await), 1);
        // Another key, or none, is another record.
        admin.with("idempotency-key", "used-2").post("/usage/record", body.clone()).await.is(201);
        admin.post("/usage/record", body).await.is(201);
        assert_eq!(of(ledger(&ana).await), 3);
        assert_eq!(ana.balance().await.0, GRANT - 3 * (INPUT + OUTPUT / 2));
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
