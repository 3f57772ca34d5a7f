//! /credits and /usage: the balance, the ledger's chain, checks, calculations,
//! allocations and statistics (S0.7, S0.8, S0.12).

use serde_json::{Value as Json, json};
use testkit::{Client, micros, on_both};

use crate::{
    invariants,
    world::{GRANT, INPUT, MODEL, OUTPUT, World, eventually},
};

/// The whole ledger, oldest entry first; its chain is checked on the way.
pub(crate) async fn ledger(client: &Client) -> Vec<Json> {
    let mut entries = Vec::new();
    for page in 1.. {
        let answer = client
            .get(&format!("/credits/ledger?per_page=100&page={page}"))
            .await
            .ok(200);
        let data = answer["data"].as_array().expect("entries").clone();
        let last = data.len() < 100;
        entries.extend(data);
        if last {
            assert_eq!(answer["meta"]["total"], entries.len());
            break;
        }
    }
    entries.reverse();
    let mut balance = 0;
    for entry in &entries {
        balance += micros(&entry["amount"]);
        assert_eq!(
            micros(&entry["balance_after"]),
            balance,
            "the chain is broken at {entry}"
        );
        for field in ["id", "created_at", "kind"] {
            assert!(entry[field].is_string(), "{field} in {entry}");
        }
    }
    assert_eq!(client.balance().await.0, balance);
    entries
}

on_both! {
    /// The grant once, a hold and a settle for each answer, and exactly the price.
    async fn the_ledger_explains_the_balance(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        assert_eq!(ana.balance().await, (GRANT, 0));
        let id = ana.conversation(MODEL).await;
        let mut spent = 0;
        for n in 0..3 {
            let answer = ana.post(&format!("/sessions/{id}/messages"), json!({"prompt": format!("Question {n}")})).await.ok(200);
            let charged = micros(&answer["credits"]["charged"]);
            let tokens = |name: &str| answer["usage"][name].as_i64().unwrap();
            // Prices are for 1,000 tokens; one rounding, up.
            let price = (tokens("prompt_tokens") * INPUT + tokens("completion_tokens") * OUTPUT + 999) / 1_000;
            assert_eq!(charged, price, "{answer}");
            spent += charged;
            assert_eq!(micros(&answer["credits"]["balance"]), GRANT - spent);
        }
        assert_eq!(ana.balance().await, (GRANT - spent, 0));
        let entries = ledger(&ana).await;
        let of = |kind: &str| entries.iter().filter(|entry| entry["kind"] == kind).collect::<Vec<_>>();
        assert_eq!(of("allocate").len(), 1, "one grant: {entries:?}");
        assert_eq!((of("hold").len(), of("settle").len()), (3, 3), "{entries:?}");
        let settled: i64 = of("settle").iter().map(|entry| -micros(&entry["amount"])).sum();
        assert_eq!(settled, spent);
        assert!(of("settle").iter().all(|entry| entry["run_id"].is_string()));
        invariants::hold(&world.server).await;
    }

    /// S0.7: what a prompt needs before it is sent.
    async fn check_and_calculate(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let body = json!({"model_id": MODEL, "prompt_tokens": 100, "max_tokens": 50});
        let answer = ana.post("/credits/check", body).await.ok(200);
        assert_eq!(answer["allowed"], true);
        assert_eq!(micros(&answer["balance"]), GRANT);
        assert_eq!(micros(&answer["required"]), (100 * INPUT + 50 * OUTPUT + 999) / 1_000);
        // S0's own spelling, with a prompt instead of its tokens.
        let body = json!({"userId": ana.id, "modelId": MODEL, "prompt": "How do whales sleep?"});
        let answer = ana.post("/api/credits/check", body).await.ok(200);
        assert_eq!(answer["allowed"], true);
        assert!(micros(&answer["required"]) > 256 * OUTPUT / 1_000);
        // More than there is.
        let body = json!({"model_id": MODEL, "prompt_tokens": 2_000_000_000i64});
        let answer = ana.post("/credits/check", body).await.ok(200);
        assert_eq!(answer["allowed"], false);

        let body = json!({"model_id": MODEL, "prompt_tokens": 1_000, "completion_tokens": 500});
        let answer = ana.post("/credits/calculate", body).await.ok(200);
        assert_eq!(micros(&answer["credits"]), INPUT + OUTPUT / 2);
        assert!(answer["breakdown"].is_object());
        // One rounding, up, to the millionth.
        let body = json!({"model_id": MODEL, "prompt_tokens": 0, "completion_tokens": 1});
        let answer = ana.post("/credits/calculate", body).await.ok(200);
        assert_eq!(micros(&answer["credits"]), (OUTPUT + 999) / 1_000);

        for path in ["/credits/check", "/credits/calculate"] {
            let body = json!({"model_id": "no-such-model", "prompt_tokens": 1, "completion_tokens": 1});
            ana.post(path, body).await.problem(400, "invalid_model");
            for (prompt, completion) in [(json!(-1), json!(1)), (json!("1"), json!(1)), (json!(1.5), json!(1)), (json!(9_223_372_036_854_775_808u64), json!(1))] {
                let body = json!({"model_id": MODEL, "prompt_tokens": prompt, "completion_tokens": completion});
                ana.post(path, body).await.problem(422, "validation_failed");
            }
        }
        // Another account's balance is not told.
        let ben = world.server.user("ben").await;
        let body = json!({"user_id": ana.id, "model_id": MODEL, "prompt_tokens": 1});
        let status = ben.post("/credits/check", body).await.status.as_u16();
        assert!([403, 404].contains(&status), "{status}");
        assert_eq!(ana.balance().await, (GRANT, 0), "asking costs nothing");
    }

    /// What is told beforehand is what is held: the first tokens of an answer that can be extended, all
    /// of one that cannot.
    async fn a_check_tells_what_sending_holds(backend) {
        let world = World::with(backend, |setup| {
            setup.add(
                "[[models]]\nid = \"whole\"\ncontext_window = 8192\nmax_output_tokens = 3000\n\
                 input_price = 1\noutput_price = 2\n\
                 deployments = [{provider = \"upstream\", stream = false}]\n\
                 [[models]]\nid = \"thinks\"\ncontext_window = 8192\nhidden_reasoning = true\n\
                 input_price = 1\noutput_price = 2\ndeployments = [{provider = \"upstream\"}]",
            );
        })
        .await;
        let ana = world.server.user("ana").await;
        let tokens = |required: i64| required / (OUTPUT / 1_000);
        // How many output tokens are held, within what a short prompt counts.
        for (model, max_tokens, held) in [
            (MODEL, None, 256), (MODEL, Some(50), 50), (MODEL, Some(100_000), 256),
            ("whole", None, 3_000), ("whole", Some(50), 50), ("whole", Some(100_000), 3_000),
            ("thinks", None, 8_192), ("thinks", Some(500), 500), ("thinks", Some(100_000), 8_192),
        ] {
            let mut body = json!({"model_id": model, "prompt": "How do whales sleep?"});
            if let Some(max_tokens) = max_tokens {
                body["max_tokens"] = json!(max_tokens);
            }
            let check = ana.post("/credits/check", body.clone()).await.ok(200);
            let required = micros(&check["required"]);
            assert!((held - 40..held + 40).contains(&tokens(required)), "{model} {max_tokens:?}: {check}");
            let id = ana.conversation(model).await;
            let answer = ana.post(&format!("/sessions/{id}/messages"), body).await.ok(200);
            let hold = ledger(&ana).await.into_iter().rev().find(|entry| entry["kind"] == "hold").unwrap();
            assert_eq!(hold["run_id"], answer["run_id"]);
            assert_eq!(-micros(&hold["amount"]), required, "{model} {max_tokens:?}: {check}");
        }
        // By its tokens, to the last one.
        let prompt_tokens = 100;
        let check = json!({"model_id": "thinks", "prompt_tokens": prompt_tokens});
        let check = ana.post("/credits/check", check).await.ok(200);
        let all = prompt_tokens * INPUT + (8_192 - prompt_tokens) * OUTPUT;
        assert_eq!(micros(&check["required"]), (all + 999) / 1_000);
        invariants::hold(&world.server).await;
    }

    /// Counting a long prompt is work: it has the limit of prompts, a short one does not.
    async fn checks_of_long_prompts_are_limited_like_prompts(backend) {
        let world = World::with(backend, |setup| {
            let limit: toml::Table = "requests = 2\nwindow = \"60s\"".parse().unwrap();
            setup.set("security.rate_limit.chat", limit);
        })
        .await;
        let ana = world.server.user("ana").await;
        let check = |bytes: usize| ana.post("/credits/check", json!({"model_id": MODEL, "prompt": "whale ".repeat(bytes / 6)}));
        for _ in 0..2 {
            check(1_000_000).await.is(200);
        }
        check(20_000).await.problem(429, "rate_limited");
        check(10_000).await.is(200);
        let body = json!({"model_id": MODEL, "prompt_tokens": 1_000_000});
        ana.post("/credits/check", body).await.is(200);
    }

    /// S0.8: admins give credits; nobody else does, and not just any amount.
    async fn allocate(backend) {
        let world = World::start(backend).await;
        let (admin, ana) = (world.server.admin().await, world.server.user("ana").await);
        let body = json!({"targetUserId": ana.id, "amount": 10.5, "note": "welcome"});
        let answer = admin.post("/api/credits/allocate", body).await.ok(200);
        assert_eq!(micros(&answer["balance"]), GRANT + 10_500_000);
        assert!(answer["message"].is_string());
        assert_eq!(ana.balance().await.0, GRANT + 10_500_000);

        let body = json!({"target_user_id": ana.id, "amount": 1});
        ana.post("/credits/allocate", body.clone()).await.problem(403, "forbidden");
        world.server.client().post("/credits/allocate", body).await.problem(401, "not_authenticated");
        for unknown in ["0190f3a0-0000-7000-8000-000000000000", "x", ""] {
            let status = admin.post("/credits/allocate", json!({"target_user_id": unknown, "amount": 1})).await;
            assert!([404, 422].contains(&status.status.as_u16()), "{unknown}: {}", status.text());
        }
        let amounts = [
            "-1", "0", "-0.000001", "0.0000001", "1.0000001", "1e30", "1e-9", "9223372036854775808", "1000000000",
            "\"ten\"", "\"10\"", "null", "true", "[1]", "99999999999999999999999999999999",
            "1.00000000000000001", "0.10000000000000000555", "1e-7", "1e400", "1e99999999999999999999", "0e5",
        ];
        for amount in amounts {
            let body = format!("{{\"target_user_id\": \"{}\", \"amount\": {amount}}}", ana.id);
            let answer = admin.send(http::Method::POST, "/credits/allocate", Some(body.into())).await;
            answer.problem(422, "validation_failed");
        }
        assert_eq!(ana.balance().await.0, GRANT + 10_500_000, "nothing of that was given");
        // The same number in other words is the same amount.
        let ben = world.server.user("ben").await;
        for (amount, given) in [("1e2", 100_000_000), ("2.50000000000000000000", 2_500_000), ("15E-6", 15)] {
            let before = ben.balance().await.0;
            let body = format!("{{\"target_user_id\": \"{}\", \"amount\": {amount}}}", ben.id);
            admin.send(http::Method::POST, "/credits/allocate", Some(body.into())).await.is(200);
            assert_eq!(ben.balance().await.0 - before, given, "{amount}");
        }
        // Admins see other accounts, others do not.
        let seen = admin.get(&format!("/credits/balance?user_id={}", ana.id)).await.ok(200);
        assert_eq!(micros(&seen["balance"]), GRANT + 10_500_000);
        for path in ["/credits/balance", "/credits/ledger", "/usage/stats"] {
            let status = ana.get(&format!("{path}?user_id={}", admin.id)).await.status.as_u16();
            assert!([403, 404].contains(&status), "{path}: {status}");
        }
        ledger(&ana).await;
        invariants::hold(&world.server).await;
    }

    /// Credits that are good for a while: until then they are there, then they are gone, and the
    /// ledger says so.
    async fn allocated_credits_expire(backend) {
        let world = World::start(backend).await;
        let (admin, ana) = (world.server.admin().await, world.server.user("ana").await);
        ana.balance().await;
        for never in ["2001-01-01T00:00:00Z", "tomorrow", ""] {
            let body = json!({"target_user_id": ana.id, "amount": 5, "expires_at": never});
            admin.post("/credits/allocate", body).await.problem(422, "validation_failed");
        }
        let soon = kernel::Clock::system().now() + std::time::Duration::from_secs(4);
        let body = json!({"target_user_id": ana.id, "amount": 5, "expires_at": soon, "note": "for a while"});
        let given = admin.post("/credits/allocate", body).await.ok(200);
        assert_eq!(micros(&given["balance"]), GRANT + 5_000_000);
        // Those that go first are spent first.
        let id = ana.conversation(MODEL).await;
        let answer = ana.post(&format!("/sessions/{id}/messages"), json!({"prompt": "Hi"})).await.ok(200);
        let spent = micros(&answer["credits"]["charged"]);
        eventually(|| async { ana.balance().await.0 == GRANT }).await;
        let entries = ledger(&ana).await;
        let expired: Vec<i64> = entries.iter().filter(|e| e["kind"] == "expire").map(|e| micros(&e["amount"])).collect();
        assert_eq!(expired, [spent - 5_000_000], "{entries:?}");
        assert!(entries.iter().any(|entry| entry["note"] == "for a while"), "{entries:?}");
        let check = ana.post("/credits/check", json!({"model_id": MODEL, "prompt_tokens": 1})).await.ok(200);
        assert_eq!(micros(&check["balance"]), GRANT);
        invariants::hold(&world.server).await;
    }

    /// S0.12: usage of other programs is recorded by services only.
    async fn usage_is_recorded_by_services_only(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let body = json!({"user_id": ana.id, "model_id": MODEL, "prompt_tokens": 10, "completion_tokens": 5, "metadata": {}});
        ana.post("/usage/record", body.clone()).await.problem(403, "forbidden");
        world.server.client().post("/usage/record", body.clone()).await.problem(401, "not_authenticated");
        let forged = world.server.client().with_token("svc_forged_token_of_nobody");
        forged.post("/usage/record", body).await.problem(401, "invalid_token");
        assert_eq!(ana.balance().await, (GRANT, 0));
    }

    /// Statistics agree with the ledger, whatever they are grouped by.
    async fn statistics_agree_with_the_ledger(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let empty = ana.get("/usage/stats").await.ok(200);
        assert_eq!(empty["totals"]["requests"], 0);
        let (one, two) = (ana.conversation(MODEL).await, ana.conversation(MODEL).await);
        for id in [&one, &one, &two] {
            world.say(&ana, id, "How do whales sleep?").await;
        }
        let spent = GRANT - ana.balance().await.0;
        for path in ["/usage/stats", "/api/statistics/usage", "/usage/stats?group_by=day"] {
            let stats = ana.get(path).await.ok(200);
            assert_eq!(stats["totals"]["requests"], 3, "{path}: {stats}");
            assert_eq!(micros(&stats["totals"]["credits"]), spent, "{path}");
        }
        for (group, parts) in [("day", 1), ("model", 1), ("conversation", 2)] {
            let stats = ana.get(&format!("/usage/stats?group_by={group}")).await.ok(200);
            let series = stats["series"].as_array().unwrap();
            assert_eq!(series.len(), parts, "{group}: {stats}");
            let sum: i64 = series.iter().map(|part| micros(&part["credits"])).sum();
            assert_eq!(sum, spent, "{group}");
        }
        let future = ana.get("/usage/stats?from=2999-01-01T00:00:00Z").await.ok(200);
        assert_eq!(future["totals"]["requests"], 0);
        ana.get("/usage/stats?from=yesterday").await.problem(422, "validation_failed");
        ana.get("/usage/stats?group_by=colour").await.problem(422, "validation_failed");
        let ben = world.server.user("ben").await;
        assert_eq!(ben.get("/usage/stats").await.ok(200)["totals"]["requests"], 0);
    }
}
