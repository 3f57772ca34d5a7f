//! /models: what there is, for whom, and what happens where there is none.

use serde_json::json;
use testkit::{TestServer, micros, on_both, upstream::Upstream};

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

    /// Models, prices and devices come in pages, like everything in a list.
    async fn short_lists_have_pages_too(backend) {
        let world = World::with(backend, |setup| {
            for n in 0..4 {
                setup.add(&format!(
                    "[[models]]\nid = \"model-{n}\"\ncontext_window = 8192\ninput_price = 1\n\
                     output_price = 1\ndeployments = [{{provider = \"upstream\"}}]"
                ));
            }
        })
        .await;
        let (ana, admin) = (world.server.user("ana").await, world.server.admin().await);
        for _ in 0..4 {
            world.server.client().sign_in(&ana.email, &ana.password).await;
        }
        for (who, path) in [(&ana, "/models"), (&admin, "/prices"), (&ana, "/auth/sessions")] {
            let whole = who.get(path).await.ok(200);
            assert_eq!(whole["meta"], json!({"page": 1, "per_page": 20, "total": 5, "pages": 1}), "{path}");
            let mut rows = Vec::new();
            for page in 1..=4 {
                let part = who.get(&format!("{path}?page={page}&per_page=2")).await.ok(200);
                assert_eq!(part["meta"], json!({"page": page, "per_page": 2, "total": 5, "pages": 3}), "{path}");
                assert!(part["hint"].is_null(), "{part}");
                rows.extend(part["data"].as_array().unwrap().clone());
            }
            assert_eq!(rows, *whole["data"].as_array().unwrap(), "{path}");
            who.get(&format!("{path}?page=two")).await.problem(422, "validation_failed");
        }
    }

    async fn without_a_model_the_server_starts_and_says_what_to_do(backend) {
        let server = TestServer::start(backend, |_| {}).await;
        let ana = server.user("ana").await;
        assert_eq!(ana.get("/models").await.ok(200)["data"], json!([]));
        let problem = ana.post("/sessions", json!({})).await.problem(503, "no_model");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("model"), "{detail}");
        server.client().get("/ready").await.is(200);
    }

    async fn the_list_tells_whether_a_model_can_answer(backend) {
        let world = World::with(backend, |setup| {
            setup.add(
                "[[models]]\nid = \"gone\"\ncontext_window = 8192\ninput_price = 1\noutput_price = 1\n\
                 deployments = [{provider = \"local\"}]",
            );
        })
        .await;
        let ana = world.server.user("ana").await;
        let states = async || -> Vec<serde_json::Value> {
            let list = ana.get("/models").await.ok(200);
            let models = list["data"].as_array().unwrap();
            models.iter().map(|model| model["state"].clone()).collect()
        };
        let available = json!({"status": "available"});
        let gone = json!({"status": "unavailable", "reason": "file_missing", "detail": "Its file is missing."});
        assert_eq!(states().await, [available.clone(), gone.clone()]);
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages");
        let failing = json!({"prompt": "Hi !script status=401"});
        ana.post(&path, failing)
            .await
            .problem(502, "provider_failed");
        let refused = json!({
            "status": "unavailable", "reason": "key_refused", "detail": "Its provider refused the key.",
        });
        assert_eq!(states().await, [refused, gone.clone()]);
        // It was mended: the next answer shows that.
        world.say(&ana, &id, "And now?").await;
        assert_eq!(states().await, [available, gone]);
    }

    /// OPENAI_API_KEY and OPENAI_BASE_URL and nothing else: the models of the table that is shipped
    /// answer, and their calls are charged by it.
    async fn a_key_alone_brings_a_provider_with_priced_models(backend) {
        let upstream = Upstream::start().await;
        let server = TestServer::start(backend, |setup| {
            setup.env("OPENAI_API_KEY", "sk-test-never-logged").env("OPENAI_BASE_URL", &upstream.url());
        })
        .await;
        let ana = server.user("ana").await;
        let models = ana.get("/models").await.ok(200);
        assert!(!models.to_string().contains("sk-test"));
        let table: toml::Table = include_str!("../../crates/orchestrator/openai_prices.toml").parse().unwrap();
        let table = table["models"].as_array().unwrap();
        let listed: Vec<&str> = models["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
        let shipped: Vec<&str> = table.iter().map(|m| m["id"].as_str().unwrap()).collect();
        assert_eq!(listed, shipped);
        // The first is the default; a price is that of 1,000 tokens.
        let price = |model: &toml::Value, name: &str| {
            let price = &model[name];
            let text = price.as_float().map_or_else(|| price.to_string(), |price| price.to_string());
            text.parse::<kernel::Credits>().unwrap().micros()
        };
        for (n, model) in [&table[0], table.last().unwrap()].into_iter().enumerate() {
            let name = model["id"].as_str().unwrap();
            let asked = if n == 0 { json!({}) } else { json!({"model_id": name}) };
            let made = ana.post("/sessions", asked).await.ok(201);
            assert_eq!(made["model_id"], name);
            let path = format!("/sessions/{}/messages", made["id"].as_str().unwrap());
            let answer = ana.post(&path, json!({"prompt": "How do whales sleep? !script tokens=40", "max_tokens": 100})).await.ok(200);
            let request = upstream.requests()[n].clone();
            assert_eq!(request.authorization.as_deref(), Some("Bearer sk-test-never-logged"));
            assert_eq!(request.model, name);
            let prompt = i64::try_from(request.prompt_tokens).unwrap();
            let cost = prompt * price(model, "input_price") + 40 * price(model, "output_price");
            assert_eq!(micros(&answer["credits"]["charged"]), (cost + 999) / 1_000, "{name}");
        }
        let charged = crate::world::GRANT - ana.balance().await.0;
        let stats = ana.get("/usage/stats").await.ok(200);
        assert_eq!((&stats["totals"]["requests"], micros(&stats["totals"]["credits"])), (&json!(2), charged));
        server.assert_not_logged(&["sk-test-never-logged"]);
    }
}
