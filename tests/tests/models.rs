//! /models: what there is, for whom, and what happens where there is none.

use serde_json::json;
use testkit::{Backend, TestServer, on_both, run};

use crate::world::{MODEL, World};

on_both! {
    async fn the_models_are_listed_for_the_caller(backend) {
        let world = World::with(backend, |setup| {
            // No price: for admins only.
            setup.add(
                "[[models]]\nid = \"unpriced\"\ncontext_window = 8192\n\
                 deployments = [{provider = \"upstream\"}]",
            );
        })
        .await;
        let ana = world.server.user("ana").await;
        let list = |answer: serde_json::Value| -> Vec<String> {
            let data = answer["data"].as_array().unwrap_or_else(|| panic!("{answer}")).clone();
            data.iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
        };
        let answer = ana.get("/models").await.ok(200);
        let one = answer["data"].as_array().unwrap().iter().find(|model| model["id"] == MODEL);
        let one = one.unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(one["context_window"], 8192);
        assert!(!answer.to_string().contains("127.0.0.1"), "where a provider is, is nobody's business");
        assert_eq!(list(answer), [MODEL]);
        ana.post("/sessions", json!({"model_id": "unpriced"})).await.problem(400, "invalid_model");
        let admin = world.server.admin().await;
        assert_eq!(list(admin.get("/models").await.ok(200)), [MODEL, "unpriced"]);
        admin.post("/sessions", json!({"model_id": "unpriced"})).await.is(201);
        world.server.client().get("/models").await.problem(401, "not_authenticated");
    }
}

#[test]
fn without_a_model_the_server_starts_and_says_what_to_do() {
    run(async {
        let server = TestServer::start(Backend::Sqlite, |_| {}).await;
        let ana = server.user("ana").await;
        assert_eq!(ana.get("/models").await.ok(200)["data"], json!([]));
        let problem = ana
            .post("/sessions", json!({}))
            .await
            .problem(503, "no_model");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("model"), "{detail}");
        server.client().get("/ready").await.is(200);
    });
}

#[test]
fn a_key_alone_brings_a_provider_with_priced_models() {
    run(async {
        let server = TestServer::start(Backend::Sqlite, |setup| {
            setup
                .env("OPENAI_API_KEY", "sk-test-never-logged")
                .env("OPENAI_BASE_URL", "http://127.0.0.1:9/v1");
        })
        .await;
        let ana = server.user("ana").await;
        let models = ana.get("/models").await.ok(200);
        assert!(!models["data"].as_array().unwrap().is_empty(), "{models}");
        assert!(!models.to_string().contains("sk-test"));
        server.assert_not_logged(&["sk-test-never-logged"]);
    });
}
