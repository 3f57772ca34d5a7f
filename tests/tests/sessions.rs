//! /sessions and its aliases: create, list, get, change, delete, search, export.

use serde_json::{Value as Json, json};
use testkit::on_both;

use crate::world::{MODEL, World};

fn ids(list: &Json) -> Vec<String> {
    let data = list["data"]
        .as_array()
        .unwrap_or_else(|| panic!("a list: {list}"));
    data.iter()
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect()
}

on_both! {
    /// S0.2: the life of a conversation, at every path it is known by.
    async fn the_life_of_a_conversation(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        // S0 and S4 write camelCase, and send things that mean nothing here.
        let body = json!({"userId": ana.id, "modelId": MODEL, "title": "Sea", "unknown": [1]});
        let made = ana.post("/api/chat/sessions", body).await.ok(201);
        let id = made["id"].as_str().unwrap().to_owned();
        assert_eq!(made["model_id"], MODEL);
        assert_eq!(made["title"], "Sea");
        assert_eq!(made["status"], "active");
        for path in ["/sessions", "/api/sessions", "/api/chat/sessions", "/conversations", "/api/conversations"] {
            let got = ana.get(&format!("{path}/{id}")).await.ok(200);
            assert_eq!(got["id"], id.as_str(), "{path}");
            assert!(ids(&ana.get(path).await.ok(200)).contains(&id), "{path}");
        }
        let changed = ana.patch(&format!("/sessions/{id}"), json!({"title": "Deep sea", "pinned": true})).await.ok(200);
        assert_eq!((changed["title"].as_str(), &changed["pinned"]), (Some("Deep sea"), &json!(true)));
        ana.patch(&format!("/sessions/{id}"), json!({"archived": true})).await.is(200);
        assert!(!ids(&ana.get("/sessions").await.ok(200)).contains(&id), "archived ones are elsewhere");
        assert!(ids(&ana.get("/sessions?archived=true").await.ok(200)).contains(&id));
        ana.patch(&format!("/sessions/{id}"), json!({"archived": false, "systemPrompt": "Be brief."})).await.is(200);

        let gone = ana.delete(&format!("/sessions/{id}")).await.ok(200);
        assert!(gone["message"].as_str().is_some_and(|text| !text.is_empty()));
        for answer in [
            ana.get(&format!("/sessions/{id}")).await,
            ana.delete(&format!("/sessions/{id}")).await,
            ana.patch(&format!("/sessions/{id}"), json!({"title": "x"})).await,
            ana.get(&format!("/sessions/{id}/messages")).await,
            ana.post(&format!("/sessions/{id}/messages"), json!({"prompt": "x"})).await,
            ana.get(&format!("/sessions/{id}/export")).await,
        ] {
            answer.problem(404, "not_found");
        }
        assert!(ids(&ana.get("/sessions").await.ok(200)).is_empty());
    }

    async fn creating_checks_its_input(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let problem = ana.post("/sessions", json!({"model_id": "no-such-model"})).await.problem(400, "invalid_model");
        assert!(problem.to_string().contains("Invalid or unsupported model ID"), "{problem}");
        ana.post("/sessions", json!({"model_id": 7})).await.problem(422, "validation_failed");
        ana.post("/sessions", json!({"model_id": MODEL, "title": "x".repeat(2_000)})).await.problem(422, "validation_failed");
        ana.post("/sessions", json!({"model_id": MODEL, "title": {}})).await.problem(422, "validation_failed");
        // Without a model it is the default one.
        let made = ana.post("/sessions", json!({})).await.ok(201);
        assert_eq!(made["model_id"], MODEL);
        let id = made["id"].as_str().unwrap();
        ana.patch(&format!("/sessions/{id}"), json!({"model_id": "no-such-model"})).await.problem(400, "invalid_model");
        assert_eq!(ids(&ana.get("/sessions").await.ok(200)).len(), 1, "the refused ones left nothing");
    }

    async fn lists_have_pages(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let mut made = Vec::new();
        for n in 0..7 {
            let answer = ana.post("/sessions", json!({"model_id": MODEL, "title": format!("No. {n}")})).await.ok(201);
            made.push(answer["id"].as_str().unwrap().to_owned());
        }
        let mut seen = Vec::new();
        for page in 1..=3 {
            let list = ana.get(&format!("/sessions?page={page}&per_page=3")).await.ok(200);
            assert_eq!(list["meta"], json!({"page": page, "per_page": 3, "total": 7, "pages": 3}));
            seen.extend(ids(&list));
        }
        assert_eq!(seen.len(), 7);
        made.reverse();
        assert_eq!(seen, made, "newest first");
        assert!(ids(&ana.get("/sessions?page=9&per_page=3").await.ok(200)).is_empty());
        assert_eq!(ana.get("/sessions").await.ok(200)["meta"]["per_page"], 20);
        // Beyond the bounds means at them; what is no number is refused.
        for (query, page, per_page) in [("page=0", 1, 20), ("per_page=0", 1, 1), ("per_page=1000", 1, 100)] {
            let meta = ana.get(&format!("/sessions?{query}")).await.ok(200)["meta"].clone();
            assert_eq!((meta["page"].as_i64(), meta["per_page"].as_i64()), (Some(page), Some(per_page)), "{query}");
        }
        for query in ["page=-1", "page=x", "page=99999999999999999999", "per_page=1.5"] {
            ana.get(&format!("/sessions?{query}")).await.problem(422, "validation_failed");
        }
    }

    /// S0.11: the words of a conversation are found, by its owner only.
    async fn search_finds_words_and_export_tells_all(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let ben = world.server.user("ben").await;
        let id = ana.conversation(MODEL).await;
        let other = ana.conversation(MODEL).await;
        let answer = world.say(&ana, &id, "Tell me about Walfische & <b>krill</b>").await;
        world.say(&ana, &other, "Something else").await;

        let found = ana.get("/search?q=walfische").await.ok(200);
        assert_eq!(found["data"].as_array().unwrap().len(), 1, "{found}");
        assert!(found.to_string().contains(&id) && !found.to_string().contains(&other));
        assert!(ana.get("/search?q=nowhere").await.ok(200)["data"].as_array().unwrap().is_empty());
        assert!(ben.get("/search?q=walfische").await.ok(200)["data"].as_array().unwrap().is_empty());
        // What is operator syntax elsewhere is only text here.
        for q in ["%22", "a%22b", "NEAR(", "x*", "a%20AND", "-", "%00", "';--", "(((", "a:b", "^x", "%F0%9F%90%8B"] {
            let status = ana.get(&format!("/search?q={q}")).await.status.as_u16();
            assert!([200, 422].contains(&status), "{q}: {status}");
        }
        for path in ["/search?q=", "/search", "/search?q=%20"] {
            assert!(ana.get(path).await.ok(200)["data"].as_array().unwrap().is_empty(), "{path}");
        }

        let text = ana.get(&format!("/sessions/{id}/export?format=md")).await;
        text.is(200);
        assert!(text.header("content-type").starts_with("text/markdown"));
        assert!(text.text().contains("Walfische") && text.text().contains(answer.trim_end()));
        let whole = ana.get(&format!("/sessions/{id}/export?format=json")).await.ok(200);
        assert!(whole.to_string().contains("Walfische"));
        ana.get(&format!("/sessions/{id}/export?format=pdf")).await.problem(422, "validation_failed");
        ben.get(&format!("/sessions/{id}/export")).await.problem(404, "not_found");

        // A deleted conversation is not found any more.
        ana.delete(&format!("/sessions/{id}")).await.is(200);
        assert!(ana.get("/search?q=walfische").await.ok(200)["data"].as_array().unwrap().is_empty());
    }

    /// S0.3: a conversation is named after its first prompt, unless somebody named it.
    async fn the_first_prompt_gives_the_title(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        world.say(&ana, &id, "How do whales sleep?").await;
        let title = ana.get(&format!("/sessions/{id}")).await.ok(200)["title"].clone();
        assert!(title.as_str().unwrap().contains("whales"), "{title}");
        let named = ana.post("/sessions", json!({"model_id": MODEL, "title": "Mine"})).await.ok(201);
        let id = named["id"].as_str().unwrap();
        world.say(&ana, id, "How do whales sleep?").await;
        assert_eq!(ana.get(&format!("/sessions/{id}")).await.ok(200)["title"], "Mine");
        // A title that is taken away leaves it to the first prompt again.
        world.say(&ana, id, "And dolphins?").await;
        let changed = ana.patch(&format!("/sessions/{id}"), json!({"title": " "})).await.ok(200);
        assert_eq!((&changed["title"], &changed["title_source"]), (&title, &json!("heuristic")));
        let found = ana.get("/search?q=sleep").await.ok(200);
        assert_eq!(found["data"].as_array().unwrap().len(), 2, "{found}");
        // Before the first prompt there is nothing to be named after.
        let empty = ana.conversation(MODEL).await;
        let changed = ana.patch(&format!("/sessions/{empty}"), json!({"title": ""})).await.ok(200);
        assert_eq!((&changed["title"], &changed["title_source"]), (&json!(""), &json!("none")));
    }
}
