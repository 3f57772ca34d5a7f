//! /assistants, and conversations that begin with one.

use futures_util::future::join_all;
use serde_json::{Value as Json, json};
use testkit::on_both;

use crate::world::{MODEL, World};

fn names(list: &Json) -> Vec<&str> {
    let data = list["data"].as_array().expect("a list");
    data.iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect()
}

on_both! {
    async fn the_life_of_an_assistant(backend) {
        let mut world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let body = json!({
            "name": " Sailor ", "modelId": MODEL, "systemPrompt": "Be brief.", "unknown": 1,
            "questions": ["Why is the sea salt?"],
        });
        let made = ana.post("/api/assistants", body).await.ok(201);
        let id = made["id"].as_str().unwrap();
        assert_eq!((&made["name"], &made["description"]), (&json!("Sailor"), &Json::Null));
        assert_eq!((&made["model_id"], &made["system_prompt"]), (&json!(MODEL), &json!("Be brief.")));
        assert_eq!(made["questions"], json!(["Why is the sea salt?"]));
        let path = format!("/assistants/{id}");
        assert_eq!(ana.get(&path).await.ok(200), made);
        ana.post("/assistants", json!({"name": "Other", "model_id": MODEL})).await.is(201);
        let list = ana.get("/assistants").await.ok(200);
        assert_eq!(names(&list), ["Other", "Sailor"]);
        assert_eq!(list["data"][1], made);
        assert_eq!(list["meta"], json!({"page": 1, "per_page": 20, "total": 2, "pages": 1}));
        assert_eq!(names(&ana.get("/assistants?page=2&per_page=1").await.ok(200)), ["Sailor"]);

        let patch = json!({"name": "Captain", "description": "of ships", "questions": []});
        let changed = ana.patch(&path, patch).await.ok(200);
        assert_eq!((&changed["name"], &changed["description"]), (&json!("Captain"), &json!("of ships")));
        assert_eq!(changed["system_prompt"], "Be brief.");
        let changed = ana.patch(&path, json!({"description": null})).await.ok(200);
        assert_eq!(changed["description"], Json::Null);
        assert_eq!(ana.patch(&path, json!({})).await.ok(200), changed);
        world.server.restart().await;
        assert_eq!(ana.get(&path).await.ok(200), changed);

        ana.delete(&path).await.is(200);
        ana.delete(&path).await.problem(404, "not_found");
        ana.get(&path).await.problem(404, "not_found");
        ana.patch(&path, json!({"name": "x"})).await.problem(404, "not_found");
        assert_eq!(names(&ana.get("/assistants").await.ok(200)), ["Other"]);
        for id in ["x", "%00", "0190f3a0-0000-7000-8000-000000000000"] {
            ana.get(&format!("/assistants/{id}")).await.problem(404, "not_found");
        }
    }

    async fn what_is_wrong_is_told_and_changes_nothing(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let good = json!({"name": "n", "description": "d", "model_id": MODEL, "system_prompt": "s", "questions": ["q"]});
        let id = ana.post("/assistants", good.clone()).await.ok(201)["id"].as_str().unwrap().to_owned();
        let path = format!("/assistants/{id}");
        let before = ana.get(&path).await.ok(200);
        for (field, value) in [
            ("name", json!("")), ("name", json!(" ")), ("name", json!("x".repeat(81))), ("name", json!("a\0b")), ("name", json!(7)),
            ("description", json!("x".repeat(301))), ("description", json!(["d"])), ("description", json!("\0")),
            ("system_prompt", json!("x".repeat(32_769))), ("system_prompt", json!({})), ("system_prompt", json!("\0")),
            ("questions", json!("q")), ("questions", json!([7])), ("questions", json!([""])), ("questions", json!(vec!["q"; 7])),
            ("questions", json!(["x".repeat(301)])), ("questions", json!(["\0"])), ("model_id", json!(3)), ("model_id", json!("\0")),
        ] {
            let mut body = good.clone();
            body[field] = value.clone();
            for answer in [ana.post("/assistants", body).await, ana.patch(&path, json!({field: value})).await] {
                let problem = answer.problem(422, "validation_failed");
                let text = problem.to_string();
                assert!(text.contains(field) || text.contains("NUL"), "{field}: {text}");
            }
        }
        for field in ["name", "model_id"] {
            let mut body = good.clone();
            body.as_object_mut().unwrap().remove(field);
            ana.post("/assistants", body).await.problem(422, "validation_failed");
        }
        let mut body = good.clone();
        body["model_id"] = json!("no-such-model");
        ana.post("/assistants", body).await.problem(400, "invalid_model");
        ana.patch(&path, json!({"model_id": "no-such-model"})).await.problem(400, "invalid_model");
        assert_eq!(ana.get("/assistants").await.ok(200)["data"], json!([before]));
        world.server.client().get("/assistants").await.problem(401, "not_authenticated");
        world.server.client().post("/assistants", good).await.problem(401, "not_authenticated");
    }

    async fn a_conversation_copies_its_assistant(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let body = json!({"name": "Sailor", "model_id": MODEL, "system_prompt": "Speak like a sailor."});
        let assistant = ana.post("/assistants", body).await.ok(201)["id"].as_str().unwrap().to_owned();
        let plain = ana.post("/sessions", json!({"model_id": MODEL})).await.ok(201);
        assert_eq!(plain["assistant_id"], Json::Null);
        let once = ana.with("idempotency-key", "begin-1");
        let body = json!({"assistant_id": assistant});
        let begun = once.post("/sessions", body.clone()).await.ok(201);
        assert_eq!(begun["assistant_id"], assistant.as_str());
        assert_eq!((&begun["model_id"], &begun["system_prompt"]), (&json!(MODEL), &json!("Speak like a sailor.")));
        assert_eq!((&begun["title"], &begun["title_source"]), (&json!(""), &json!("none")));
        let id = begun["id"].as_str().unwrap();
        world.say(&ana, id, "Hello").await;
        let told = world.upstream.requests();
        assert!(told[0].body.contains("Speak like a sailor."), "{told:?}");
        // What is named goes before what the assistant has.
        let body = json!({"assistantId": assistant, "title": "Mine", "system_prompt": "Be kind."});
        let own = ana.post("/sessions", body).await.ok(201);
        assert_eq!((&own["title"], &own["system_prompt"]), (&json!("Mine"), &json!("Be kind.")));
        // It is a copy: neither change nor end of the assistant touch it.
        let path = format!("/assistants/{assistant}");
        ana.patch(&path, json!({"system_prompt": "Other"})).await.is(200);
        ana.delete(&path).await.is(200);
        let after = ana.get(&format!("/sessions/{id}")).await.ok(200);
        assert_eq!((&after["system_prompt"], &after["assistant_id"]), (&begun["system_prompt"], &begun["assistant_id"]));
        assert_eq!(once.post("/sessions", json!({"assistant_id": assistant})).await.ok(201), begun);
        for gone in [assistant.as_str(), "x", "0190f3a0-0000-7000-8000-000000000000"] {
            ana.post("/sessions", json!({"assistant_id": gone})).await.problem(404, "not_found");
        }
        ana.post("/sessions", json!({"assistant_id": 7})).await.problem(422, "validation_failed");
        assert_eq!(ana.get("/sessions").await.ok(200)["meta"]["total"], 3);
    }

    /// The 200th place is taken once.
    async fn there_are_two_hundred_at_most(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let body = json!({"name": "One", "model_id": MODEL});
        let once = ana.with("idempotency-key", "make-1");
        let first = once.post("/assistants", body.clone()).await.ok(201);
        assert_eq!(once.post("/assistants", body.clone()).await.ok(201), first);
        let answers = join_all((0..210).map(|_| ana.client.clone().post_owned("/assistants", body.clone()))).await;
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(made, 199);
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            answer.problem(409, "too_many");
        }
        assert_eq!(ana.get("/assistants").await.ok(200)["meta"]["total"], 200);
        ana.delete(&format!("/assistants/{}", first["id"].as_str().unwrap())).await.is(200);
        ana.post("/assistants", body.clone()).await.is(201);
        ana.post("/assistants", body).await.problem(409, "too_many");
    }
}
