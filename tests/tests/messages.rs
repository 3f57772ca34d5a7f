//! Sending prompts: whole and streamed, again, in other words, stopped.

use futures_util::future::join_all;
use serde_json::{Value as Json, json};
use testkit::{micros, on_both};

use crate::{
    invariants,
    world::{MODEL, World, messages, truth},
};

on_both! {
    /// S0.3: a prompt and its whole answer, under its three names.
    async fn a_whole_answer(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        for (n, (path, name)) in [
            (format!("/sessions/{id}/messages"), "prompt"),
            (format!("/api/chat/sessions/{id}/messages"), "message"),
            (format!("/conversations/{id}/chat"), "content"),
        ].into_iter().enumerate() {
            let answer = ana.post(&path, json!({name: "How do whales sleep?"})).await.ok(200);
            let message = &answer["message"];
            assert_eq!(message["role"], "assistant");
            assert_eq!(message["status"], "complete");
            assert_eq!(message["content"], truth("").as_str());
            assert_eq!(answer["conversation"]["id"], id.as_str());
            assert!(answer["usage"]["completion_tokens"].as_i64().unwrap() > 0);
            assert!(micros(&answer["credits"]["charged"]) > 0);
            let all = messages(&ana, &id).await;
            assert_eq!(all.len(), 2 * (n + 1));
            assert_eq!(all.last().unwrap()["id"], message["id"]);
        }
        // What was said before is sent along, oldest first.
        let requests = world.upstream.requests();
        assert_eq!(requests.len(), 3);
        let body: Json = serde_json::from_str(&requests[2].body).unwrap();
        let roles: Vec<&str> = body["messages"].as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
        assert_eq!(roles, ["user", "assistant", "user", "assistant", "user"]);
        assert_eq!(requests[0].authorization.as_deref(), Some(&*format!("Bearer {}", crate::world::API_KEY)));
        invariants::hold(&world.server).await;
    }

    /// S0.4: the events of a streamed answer, in order, and what is stored after it.
    async fn a_streamed_answer(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        for (n, path) in ["/messages/stream", "/stream"].into_iter().enumerate() {
            let prompt = "!script tokens=40 delay=5ms unicode";
            // Streams are never compressed, whoever asks for it: that would hold events back.
            let packed = ana.with("accept-encoding", "gzip, br");
            let stream = packed.stream(&format!("/api/sessions/{id}{path}"), json!({"prompt": prompt})).await;
            assert!(stream.headers["cache-control"].to_str().unwrap().contains("no-"));
            let answer = stream.whole().await;
            assert_eq!(answer.text, truth(prompt));
            assert_eq!(answer.events[0].kind, "start");
            assert_eq!(answer.events[0].id, "1-1");
            assert_eq!(answer.count("end"), 1);
            assert!(answer.count("") > 1, "it came in pieces");
            let end = answer.end();
            assert_eq!(end["end_reason"], "stop");
            assert_eq!(end["message"]["content"], answer.text.as_str());
            let start = &answer.events[0].data;
            assert_eq!(end["message"]["id"], start["message_id"]);
            // Whoever follows without having asked knows where the answer hangs before its end.
            assert_eq!(end["message"]["parent_id"], start["prompt_id"]);
            assert!(micros(&end["credits"]["charged"]) > 0);
            assert_eq!(end["usage"]["completion_tokens"], 40);
            let all = messages(&ana, &id).await;
            assert_eq!(all.len(), 2 * (n + 1));
            assert_eq!(all.last().unwrap()["content"], answer.text.as_str());
            assert_eq!(all[2 * n]["id"], start["prompt_id"]);
            assert_eq!(all[2 * n]["content"], prompt);
            // S0's client posts what it has read; the server has stored it already.
            let body = json!({"sessionId": id, "response": answer.text});
            let stored = ana.post(&format!("/api/sessions/{id}/update-stream"), body).await.ok(200);
            assert_eq!(stored["id"], end["message"]["id"]);
            assert_eq!(messages(&ana, &id).await.len(), 2 * (n + 1));
        }
        invariants::hold(&world.server).await;
    }

    /// An answer survives the connection that asked for it.
    async fn closing_the_connection_does_not_stop_the_answer(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let prompt = "!script tokens=60 delay=5ms";
        let path = format!("/sessions/{id}/messages/stream");
        let mut stream = ana.stream(&path, json!({"prompt": prompt})).await;
        let mut seen = testkit::Transcript::default();
        for event in stream.until("").await {
            seen.push(event);
        }
        drop(stream);
        let run = seen.run().unwrap().to_owned();
        let after = seen.last_id().unwrap().to_owned();
        let mut stream = ana.events(&run, Some(&after)).await;
        while let Some(event) = stream.next().await {
            seen.push(event);
        }
        assert_eq!(seen.text, truth(prompt));
        assert_eq!(seen.end()["end_reason"], "stop");
        assert!(!world.upstream.requests()[0].aborted);
        invariants::hold(&world.server).await;
    }

    /// One answer at a time; the second prompt is told so and costs nothing.
    async fn a_conversation_is_busy_while_it_answers(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let stream_path = format!("/sessions/{id}/messages/stream");
        let mut first = ana.stream(&stream_path, json!({"prompt": "!script tokens=200 delay=20ms"})).await;
        first.until("").await;
        let whole = ana.post(&format!("/sessions/{id}/messages"), json!({"prompt": "Now?"})).await;
        whole.problem(409, "conversation_busy");
        let refused = ana.try_stream(&stream_path, json!({"prompt": "Now?"})).await.unwrap_err();
        refused.unwrap().problem(409, "conversation_busy");
        // Stopping ends it; what there is is kept and paid, and the next prompt is taken.
        let stopped = ana.post(&format!("/sessions/{id}/stop"), json!({})).await;
        stopped.is(200);
        let rest = first.rest().await;
        let end = &rest.last().expect("an end").data;
        assert_eq!(end["end_reason"], "stopped");
        let kept = end["message"]["content"].as_str().unwrap();
        assert!(!kept.is_empty() && truth("!script tokens=200").starts_with(kept));
        assert_eq!(end["message"]["status"], "stopped");
        assert!(micros(&end["credits"]["charged"]) > 0);
        world.upstream.wait_for(|request| request.aborted).await;
        // Stopping what is not at work is no failure.
        ana.post(&format!("/sessions/{id}/stop"), json!({})).await.is(200);
        world.say(&ana, &id, "And now?").await;
        assert_eq!(messages(&ana, &id).await.len(), 4);
        invariants::hold(&world.server).await;
    }

    /// Of two devices that send at once one is answered and one is told.
    async fn two_devices_cannot_overwrite_each_other(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages");
        let sent = join_all((0..8).map(|n| {
            let (device, path) = (ana.apart(), path.clone());
            async move { device.post(&path, json!({"prompt": format!("Device {n} !script first=300ms")})).await }
        })).await;
        let won = sent.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(won, 1, "{:?}", sent.iter().map(|a| a.status).collect::<Vec<_>>());
        for lost in sent.iter().filter(|answer| answer.status != 200) {
            lost.problem(409, "conversation_busy");
        }
        let all = messages(&ana, &id).await;
        assert_eq!(all.len(), 2);
        // The device that has not seen the answer is told that the thread went on.
        let seen = json!({"prompt": "Next", "after": all[0]["id"]});
        ana.post(&path, seen).await.problem(409, "conflict");
        ana.post(&path, json!({"prompt": "Next", "after": all[1]["id"]})).await.is(200);
        invariants::hold(&world.server).await;
    }

    /// A regeneration and an edit are siblings; nothing is lost, and one can go back.
    async fn regenerate_and_edit_make_siblings(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages");
        let first = ana.post(&path, json!({"prompt": "One"})).await.ok(200);
        let answer = first["message"]["id"].as_str().unwrap().to_owned();
        let prompt = messages(&ana, &id).await[0]["id"].as_str().unwrap().to_owned();

        let again = ana.post(&format!("{path}/{answer}/regenerate"), json!({})).await.ok(200);
        assert_eq!(again["message"]["parent_id"], prompt.as_str());
        assert_ne!(again["message"]["id"], answer.as_str());
        assert_eq!(messages(&ana, &id).await.len(), 2, "the current branch");
        let streamed = ana.with("accept", "text/event-stream");
        let stream = streamed.stream(&format!("{path}/{answer}/regenerate"), json!({})).await.whole().await;
        assert_eq!(stream.end()["message"]["parent_id"], prompt.as_str());
        assert_eq!(stream.events[0].data["prompt_id"], prompt.as_str(), "the prompt it answers once more");

        let edited = ana.patch(&format!("{path}/{prompt}"), json!({"prompt": "Two"})).await.ok(200);
        let branch = messages(&ana, &id).await;
        assert_eq!(branch.len(), 2);
        assert_eq!(branch[0]["content"], "Two");
        assert_eq!(branch[0]["parent_id"], Json::Null);
        assert_eq!(edited["message"]["parent_id"], branch[0]["id"]);
        // Another device that reads the run's log learns of the new prompt.
        let log = ana.events(edited["run_id"].as_str().unwrap(), None).await.whole().await;
        assert_eq!(log.events[0].data["prompt_id"], branch[0]["id"]);
        // Back to the first answer.
        ana.patch(&format!("/sessions/{id}"), json!({"head": answer})).await.is(200);
        let branch = messages(&ana, &id).await;
        assert_eq!((branch[0]["content"].as_str(), branch[1]["id"].as_str()), (Some("One"), Some(&*answer)));

        // Only prompts are edited; unknown messages are not there.
        ana.patch(&format!("{path}/{answer}"), json!({"prompt": "x"})).await.problem(422, "validation_failed");
        let unknown = "0190f3a0-0000-7000-8000-000000000000";
        ana.post(&format!("{path}/{unknown}/regenerate"), json!({})).await.problem(404, "not_found");
        ana.patch(&format!("{path}/{unknown}"), json!({"prompt": "x"})).await.problem(404, "not_found");
        ana.post(&format!("{path}/x/regenerate"), json!({})).await.problem(404, "not_found");
        invariants::hold(&world.server).await;
    }

    /// Long threads are read from the newest message up.
    async fn messages_are_paged_from_the_newest(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        for n in 0..6 {
            world.say(&ana, &id, &format!("Prompt {n} !script tokens=2")).await;
        }
        let mut seen: Vec<Json> = Vec::new();
        let mut before = String::new();
        for _ in 0..4 {
            let page = ana.get(&format!("/sessions/{id}/messages?per_page=5{before}")).await.ok(200);
            let mut data = page["data"].as_array().unwrap().clone();
            if data.is_empty() {
                break;
            }
            data.sort_by_key(|message| std::cmp::Reverse(message["depth"].as_i64()));
            seen.extend(data);
            before = format!("&before={}", seen.last().unwrap()["id"].as_str().unwrap());
        }
        let depths: Vec<i64> = seen.iter().map(|message| message["depth"].as_i64().unwrap()).collect();
        let expected: Vec<i64> = (0..12).rev().map(|n| n + depths[11]).collect();
        assert_eq!(depths, expected);
        assert_eq!(seen[11]["content"], "Prompt 0 !script tokens=2");
        ana.get(&format!("/sessions/{id}/messages?before=x")).await.problem(404, "not_found");
    }

    /// The history is fitted to the window; the system prompt stays.
    async fn the_history_is_fitted_to_the_window(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let made = ana.post("/sessions", json!({"model_id": MODEL, "system_prompt": "Answer like a whale."})).await.ok(201);
        let id = made["id"].as_str().unwrap();
        for n in 0..7 {
            let prompt = format!("Prompt {n} {}\n!script tokens=2", "alpha beta gamma delta ".repeat(400));
            let answer = ana.post(&format!("/sessions/{id}/messages"), json!({"prompt": prompt})).await;
            answer.is(200);
        }
        let requests = world.upstream.requests();
        let body: Json = serde_json::from_str(&requests[6].body).unwrap();
        let sent = body["messages"].as_array().unwrap();
        assert_eq!(sent[0]["content"], "Answer like a whale.");
        assert_eq!(sent[0]["role"], "system");
        assert_eq!(sent[1]["role"], "user", "turns are dropped whole");
        assert!(!body.to_string().contains("Prompt 0 ") && body.to_string().contains("Prompt 6 "));
        // What can never fit is refused, and costs nothing.
        let before = ana.balance().await;
        let long = "alpha beta gamma delta ".repeat(3_000);
        ana.post(&format!("/sessions/{id}/messages"), json!({"prompt": long})).await.problem(422, "context_too_long");
        assert_eq!(ana.balance().await, before);
        invariants::hold(&world.server).await;
    }

    /// `max_tokens` ends an answer with `length`; sampling is checked.
    async fn sampling_is_passed_on_and_checked(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages");
        let body = json!({"prompt": "!script tokens=50", "max_tokens": 5, "temperature": 0.5, "seed": 7, "stop": ["X"]});
        let answer = ana.post(&path, body).await.ok(200);
        assert_eq!(answer["end_reason"], "length");
        assert_eq!(answer["usage"]["completion_tokens"], 5);
        let sent: Json = serde_json::from_str(&world.upstream.requests()[0].body).unwrap();
        assert_eq!((sent["seed"].as_i64(), sent["stop"][0].as_str()), (Some(7), Some("X")));
        assert!((sent["temperature"].as_f64().unwrap() - 0.5).abs() < 1e-6);
        for (name, value) in [
            ("temperature", json!(3)), ("temperature", json!(-0.1)), ("top_p", json!(1.5)), ("max_tokens", json!(0)),
            ("max_tokens", json!(-1)), ("max_tokens", json!("5")), ("stop", json!(vec!["a"; 9])), ("stop", json!("a")),
            ("seed", json!(-1)), ("repeat_penalty", json!(50)),
        ] {
            ana.post(&path, json!({"prompt": "Hi", name: value})).await.problem(422, "validation_failed");
        }
        ana.post(&path, json!({"prompt": "Hi", "model_id": "no-such-model"})).await.problem(400, "invalid_model");
        assert_eq!(world.upstream.requests().len(), 1, "nothing refused was sent on");
        assert_eq!(messages(&ana, &id).await.len(), 2);
        invariants::hold(&world.server).await;
    }
}
