//! What models cost follows the configuration: a price that leaves it ends, and what was used before
//! keeps what was booked.

use serde_json::{Value as Json, json};
use testkit::{Backend, Client, Setup, TestServer, micros, on_both, run_on};

use crate::{
    credits::ledger,
    invariants,
    world::{GRANT, INPUT, MODEL, OUTPUT, World, eventually, truth},
};

/// Makes these, in TOML, the models from the next start on.
fn only(setup: &mut Setup, toml: &str) {
    let table: toml::Table = toml.parse().expect("TOML");
    setup.set("models", table["models"].clone());
}

fn model(id: &str, prices: &str) -> String {
    format!(
        "[[models]]\nid = \"{id}\"\ncontext_window = 8192\n{prices}\n\
         deployments = [{{ provider = \"upstream\" }}]\n"
    )
}

const PRICED: &str = "input_price = 1\noutput_price = 2";

/// The history of the scripted model's price, oldest first: both prices, and whether they ended.
async fn history(server: &TestServer) -> Vec<(i64, i64, bool)> {
    let sql = format!(
        "SELECT input, output, CASE WHEN ended THEN 1 ELSE 0 END AS ended FROM prices
         WHERE model_id = '{MODEL}' ORDER BY effective_from, id"
    );
    let rows = server.database().rows(&sql).await;
    let number = |row: &Json, name: &str| row[name].as_i64().unwrap();
    rows.iter()
        .map(|row| {
            (
                number(row, "input"),
                number(row, "output"),
                number(row, "ended") == 1,
            )
        })
        .collect()
}

/// What every question about the scripted model's cost is answered.
async fn refused(client: &Client, user: &str, status: u16, code: &str) {
    let check = json!({"model_id": MODEL, "prompt_tokens": 10});
    client
        .post("/credits/check", check)
        .await
        .problem(status, code);
    let check = json!({"model_id": MODEL, "prompt": "How do whales sleep?"});
    client
        .post("/credits/check", check)
        .await
        .problem(status, code);
    let calculate = json!({"model_id": MODEL, "prompt_tokens": 10, "completion_tokens": 5});
    client
        .post("/credits/calculate", calculate)
        .await
        .problem(status, code);
    let record =
        json!({"user_id": user, "model_id": MODEL, "prompt_tokens": 10, "completion_tokens": 5});
    let recorded = client.post("/usage/record", record).await;
    if recorded.status != 403 {
        recorded.problem(status, code);
    }
}

on_both! {
    async fn a_price_that_leaves_the_configuration_ends(backend) {
        let mut world = World::start(backend).await;
        let (ana, admin) = (world.server.user("ana").await, world.server.admin().await);
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages");
        world.say(&ana, &id, "How do whales sleep?").await;
        let used = ana.get("/usage/stats").await.ok(200)["totals"].clone();
        let left = ana.balance().await;
        assert!(left.0 < GRANT);
        let begun = (INPUT, OUTPUT, false);
        assert_eq!(history(&world.server).await, [begun]);

        // Present, but without a price: for administrators, and free.
        world.server.reconfigure(|setup| only(setup, &model(MODEL, "")));
        for _ in 0..2 {
            world.server.restart().await;
            assert_eq!(history(&world.server).await, [begun, (INPUT, OUTPUT, true)]);
        }
        assert_eq!(ana.get("/models").await.ok(200)["data"], json!([]));
        ana.post(&path, json!({"prompt": "And now?"})).await.problem(400, "invalid_model");
        refused(&ana, &ana.id, 400, "invalid_model").await;
        let models = admin.get("/models").await.ok(200);
        assert_eq!((&models["data"][0]["id"], &models["data"][0]["input_price"]), (&json!(MODEL), &json!(null)));
        refused(&admin, &ana.id, 422, "model_without_price").await;
        let prices = admin.get("/prices").await.ok(200);
        assert!(!prices.to_string().contains(MODEL), "{prices}");
        let free = admin.conversation(MODEL).await;
        let answer = admin.post(&format!("/sessions/{free}/messages"), json!({"prompt": "Hello"})).await.ok(200);
        assert_eq!(answer["message"]["content"], truth("").as_str());
        assert_eq!((micros(&answer["credits"]["charged"]), admin.balance().await), (0, (GRANT, 0)));
        assert!(ledger(&admin).await.iter().all(|entry| entry["kind"] == "allocate"));
        assert_eq!(ana.get("/usage/stats").await.ok(200)["totals"], used, "what was booked stays");
        assert_eq!(ana.balance().await, left);

        // Gone from the catalogue altogether: nobody knows it.
        world.server.reconfigure(|setup| only(setup, &model("other", PRICED)));
        world.server.restart().await;
        refused(&admin, &ana.id, 400, "invalid_model").await;
        refused(&ana, &ana.id, 400, "invalid_model").await;

        // And back, at another price.
        world.server.reconfigure(|setup| only(setup, &model(MODEL, "input_price = 3\noutput_price = 2")));
        world.server.restart().await;
        assert_eq!(history(&world.server).await, [begun, (INPUT, OUTPUT, true), (3 * INPUT, OUTPUT, false)]);
        let what = json!({"model_id": MODEL, "prompt_tokens": 1_000, "completion_tokens": 0});
        assert_eq!(micros(&ana.post("/credits/calculate", what).await.ok(200)["credits"]), 3 * INPUT);
        world.say(&ana, &id, "At last!").await;
        assert!(ana.balance().await.0 < left.0);
        invariants::hold(&world.server).await;
    }
}

/// A node whose configuration has the price goes on taking it, although another one, configured
/// otherwise, has ended it: nothing becomes free by that.
#[test]
fn a_node_that_is_configured_otherwise_makes_nothing_free() {
    run_on(Backend::Postgres, |backend| async move {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let other = world
            .server
            .another(|setup| only(setup, &model(MODEL, "")))
            .await;
        let ended = history(&world.server).await;
        assert_eq!(ended.last(), Some(&(INPUT, OUTPUT, true)));
        // Within a second the first node hears of it.
        eventually(|| async {
            let before = ana.balance().await.0;
            world.say(&ana, &id, "How do whales sleep?").await;
            assert!(ana.balance().await.0 < before, "it was free");
            history(&world.server).await.len() > ended.len()
        })
        .await;
        assert_eq!(
            history(&world.server).await.last(),
            Some(&(INPUT, OUTPUT, false))
        );
        drop(other);
        invariants::hold(&world.server).await;
    });
}
