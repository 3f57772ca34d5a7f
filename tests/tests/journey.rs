//! A newcomer's way through the platform (S0.9 without the supervisor): credits
//! given, signed in, a conversation, three streamed prompts, what they cost.

use serde_json::json;
use testkit::{Backend, TestServer, Transcript, micros, on_both, run};

use crate::{
    credits::ledger,
    invariants,
    world::{GRANT, MODEL, World, messages, models_dir, truth},
};

/// The journey; answers what was said, for the caller to judge.
async fn travel(server: &TestServer, model: &str, prompts: [&str; 3]) -> Vec<Transcript> {
    // Admin gives, user signs in.
    let (admin, registered) = (server.admin().await, server.user("user1").await);
    let given = json!({"targetUserId": registered.id, "amount": 50});
    let answer = admin.post("/api/credits/allocate", given).await.ok(200);
    assert_eq!(micros(&answer["balance"]), GRANT + 50_000_000);
    let body = json!({"username": registered.email, "password": registered.password});
    let tokens = server.client().post("/api/auth/login", body).await.ok(200);
    let user = server
        .client()
        .with_token(tokens["access_token"].as_str().unwrap());

    let made = user
        .post("/api/sessions", json!({"modelId": model}))
        .await
        .ok(201);
    let id = made["id"].as_str().unwrap();
    let mut transcripts = Vec::new();
    let mut spent = 0;
    for prompt in prompts {
        let path = format!("/api/sessions/{id}/messages/stream");
        let check = json!({"modelId": model, "prompt": prompt});
        assert_eq!(
            user.post("/api/credits/check", check).await.ok(200)["allowed"],
            true
        );
        let mut stream = user
            .stream(&path, json!({"prompt": prompt, "temperature": 0}))
            .await;
        let mut seen = Transcript::default();
        // The connection is lost in the middle, and nothing with it.
        for event in stream.until("").await {
            seen.push(event);
        }
        drop(stream);
        let run = seen.run().unwrap().to_owned();
        let mut stream = user.events(&run, seen.last_id()).await;
        while let Some(event) = stream.next().await {
            seen.push(event);
        }
        let end = seen.end();
        assert!(
            ["stop", "length"].contains(&end["end_reason"].as_str().unwrap()),
            "{end}"
        );
        assert_eq!(end["message"]["content"], seen.text.as_str());
        let charged = micros(&end["credits"]["charged"]);
        assert!(charged > 0, "{end}");
        spent += charged;
        assert_eq!(
            micros(&end["credits"]["balance"]),
            GRANT + 50_000_000 - spent
        );
        transcripts.push(seen);
    }
    let all = messages(&user, id).await;
    assert_eq!(all.len(), 6);
    for (message, seen) in all.iter().skip(1).step_by(2).zip(&transcripts) {
        assert_eq!(message["content"], seen.text.as_str());
    }
    let stats = user.get("/api/statistics/usage").await.ok(200);
    assert_eq!(stats["totals"]["requests"], 3);
    assert_eq!(micros(&stats["totals"]["credits"]), spent);
    let tokens: i64 = transcripts
        .iter()
        .map(|t| t.end()["usage"]["completion_tokens"].as_i64().unwrap())
        .sum();
    assert_eq!(stats["totals"]["completion_tokens"], tokens);
    assert_eq!(user.balance().await, (GRANT + 50_000_000 - spent, 0));
    ledger(&user).await;
    invariants::hold(server).await;
    transcripts
}

on_both! {
    async fn from_register_to_statistics(backend) {
        let world = World::start(backend).await;
        let prompts = [
            "How do whales sleep? !script tokens=40 delay=10ms",
            "And how long? !script tokens=60 delay=5ms unicode",
            "Thank you. !script tokens=12 delay=10ms",
        ];
        let said = travel(&world.server, MODEL, prompts).await;
        for (transcript, prompt) in said.iter().zip(prompts) {
            assert_eq!(transcript.text, truth(prompt));
        }
        world.server.assert_not_logged(&[crate::world::API_KEY, "How do whales sleep"]);
    }
}

/// The same journey with the model that runs in the process itself.
#[test]
fn from_register_to_statistics_with_the_local_model() {
    let Some(models) = models_dir() else {
        return;
    };
    run(async {
        let server = TestServer::start(Backend::Sqlite, |setup| {
            setup.env("TERTULIA__MODELS__DIR", models.to_str().unwrap());
        })
        .await;
        let admin = server.admin().await;
        let list = admin.get("/models").await.ok(200);
        let model = list["data"][0]["id"]
            .as_str()
            .expect("a local model")
            .to_owned();
        let prompts = [
            "What is the capital of France? Answer in one short sentence.",
            "Name three colours.",
            "Write one sentence about the sea.",
        ];
        let said = travel(&server, &model, prompts).await;
        for transcript in &said {
            assert!(transcript.text.trim().len() > 3, "{:?}", transcript.text);
            assert!(
                !transcript.text.contains("<|"),
                "no marks of the template: {:?}",
                transcript.text
            );
        }
        assert!(said[0].text.contains("Paris"), "{:?}", said[0].text);
    });
}
