//! Names in camelCase, as the clients of S0 and S4 send them. Fields that nobody
//! knows are ignored, so each must show what it does.

use http::Method;
use serde_json::{Value as Json, json};
use testkit::{micros, on_both};

use crate::{
    invariants,
    world::{GRANT, INPUT, MODEL, OUTPUT, World},
};

/// The cost of so many tokens.
fn cost(prompt: i64, completion: i64) -> i64 {
    (prompt * INPUT + completion * OUTPUT + 999) / 1_000
}

on_both! {
    /// displayName, refreshToken, currentPassword, newPassword.
    async fn of_accounts(backend) {
        let world = World::start(backend).await;
        let client = world.server.client();
        let body = json!({"email": "ana@example.org", "password": "a long enough password", "displayName": "Ana M."});
        client.post("/auth/register", body).await.is(201);
        let ana = client.sign_in("ana@example.org", "a long enough password").await;
        assert_eq!(ana.get("/auth/me").await.ok(200)["display_name"], "Ana M.");
        ana.patch("/auth/me", json!({"displayName": "Ana"})).await.is(200);
        assert_eq!(ana.get("/auth/me").await.ok(200)["display_name"], "Ana");
        let body = json!({"currentPassword": "a long enough password", "newPassword": "an even longer password"});
        assert!(ana.post("/auth/password", body).await.status.is_success());
        let ana = client.sign_in("ana@example.org", "an even longer password").await;
        let pair = client.post("/auth/refresh", json!({"refreshToken": ana.tokens["refresh_token"]})).await.ok(200);
        assert!(pair["refresh_token"].is_string() && pair["refresh_token"] != ana.tokens["refresh_token"]);
    }

    /// modelId, systemPrompt, maxTokens, topP, repeatPenalty, parentId.
    async fn of_conversations(backend) {
        let world = World::with(backend, |setup| {
            setup.add("[[models]]\nid = \"second\"\ncontext_window = 8192\ninput_price = 1\noutput_price = 2\n\
                       deployments = [{provider = \"upstream\"}]");
        })
        .await;
        let ana = world.server.user("ana").await;
        let made = json!({"modelId": "second", "systemPrompt": "Answer like a whale."});
        let made = ana.post("/sessions", made).await.ok(201);
        let id = made["id"].as_str().unwrap();
        assert_eq!((&made["model_id"], &made["system_prompt"]), (&json!("second"), &json!("Answer like a whale.")));
        let changed = ana.patch(&format!("/sessions/{id}"), json!({"modelId": MODEL})).await.ok(200);
        assert_eq!(changed["model_id"], MODEL);

        let path = format!("/sessions/{id}/messages");
        let body = json!({"prompt": "!script tokens=50", "maxTokens": 5, "topP": 0.25, "modelId": "second"});
        let answer = ana.post(&path, body).await.ok(200);
        assert_eq!((&answer["end_reason"], &answer["usage"]["completion_tokens"]), (&json!("length"), &json!(5)));
        let sent: Json = serde_json::from_str(&world.upstream.requests()[0].body).unwrap();
        assert_eq!((&sent["model"], &sent["top_p"]), (&json!("second"), &json!(0.25)));
        for (name, value) in [("maxTokens", json!(0)), ("topP", json!(1.5)), ("repeatPenalty", json!(50))] {
            let problem = ana.post(&path, json!({"prompt": "Hi", name: value})).await.problem(422, "validation_failed");
            assert!(problem["errors"][0]["field"].is_string(), "{name}: {problem}");
        }
        // A message that is not the last one any more is no parent.
        let last = &answer["message"];
        ana.post(&path, json!({"prompt": "Next", "parentId": last["parent_id"]})).await.problem(409, "conflict");
        ana.post(&path, json!({"prompt": "Next", "parentId": last["id"]})).await.is(200);
        invariants::hold(&world.server).await;
    }

    /// userId, targetUserId, modelId, promptTokens, completionTokens, maxTokens, expiresAt.
    async fn of_credits(backend) {
        let world = World::start(backend).await;
        let (admin, ana) = (world.server.admin().await, world.server.user("ana").await);
        let given = json!({"targetUserId": ana.id, "amount": 10, "expiresAt": "2999-01-01T00:00:00Z"});
        admin.post("/credits/allocate", given).await.is(200);
        let lots = "SELECT CAST(count(*) AS bigint) AS n FROM lots WHERE expires_at IS NOT NULL";
        assert_eq!(world.server.database().number(lots).await, 1, "they expire one day");
        let late = json!({"userId": ana.id, "amount": 10, "expiresAt": "2001-01-01T00:00:00Z"});
        let problem = admin.post("/credits/allocate", late).await.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["field"], "expires_at", "{problem}");

        let asked = json!({"userId": ana.id, "modelId": MODEL, "promptTokens": 100, "maxTokens": 7});
        let check = admin.post("/credits/check", asked).await.ok(200);
        assert_eq!(micros(&check["required"]), cost(100, 7));
        assert_eq!(micros(&check["balance"]), GRANT + 10_000_000, "hers, not the administrator's");
        let asked = json!({"modelId": MODEL, "promptTokens": 1_000, "completionTokens": 500});
        let calculated = ana.post("/credits/calculate", asked).await.ok(200);
        assert_eq!(micros(&calculated["credits"]), cost(1_000, 500));

        let used = json!({"userId": ana.id, "modelId": MODEL, "promptTokens": 30, "completionTokens": 20, "metadata": {}});
        let recorded = admin.post("/usage/record", used).await.ok(201);
        assert_eq!(micros(&recorded["credits"]), cost(30, 20));
        assert_eq!(ana.balance().await.0, GRANT + 10_000_000 - cost(30, 20));
        // Queries, too.
        let stats = admin.send(Method::GET, &format!("/usage/stats?userId={}&groupBy=model", ana.id), None).await.ok(200);
        assert_eq!((&stats["totals"]["prompt_tokens"], stats["series"].as_array().unwrap().len()), (&json!(30), 1));
        invariants::hold(&world.server).await;
    }
}
