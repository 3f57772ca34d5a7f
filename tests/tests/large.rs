//! Large lists and files: what is read slowly is not held, and what breaks off looks broken.

use http::StatusCode;
use serde_json::{Value as Json, json};
use testkit::{Backend, User, on_both};

use crate::{
    load::{WIDE, resident},
    world::{MODEL, World, eventually},
};

/// A page of 60 MB: more than all buffers of a connection hold.
const PAGE: &str = "/sessions?per_page=100";
const ROWS: usize = 100;

/// An account with such a page.
async fn large(backend: Backend) -> (World, User) {
    let mut world = World::start(backend).await;
    let ana = world.server.user("ana").await;
    for _ in 0..ROWS {
        ana.conversation(MODEL).await;
    }
    assert!(world.server.terminate().await.success());
    let text = match backend {
        Backend::Sqlite => "hex(zeroblob(300000))",
        Backend::Postgres => "repeat('0', 600000)",
    };
    let sql = format!("UPDATE conversations SET system_prompt = {text}");
    world.server.database().execute(&sql).await;
    world.server.restart().await;
    (world, ana)
}

on_both! {
    /// However slowly large pages are taken, a piece of each is held, and each is whole at its end.
    async fn slow_readers_of_large_pages_cost_little(backend) {
        let (world, ana) = large(backend).await;
        let ben = world.server.user("ben").await;
        ana.get("/sessions").await.is(200);
        let before = resident(&world.server);
        let mut open = Vec::new();
        for _ in 0..20 {
            let begun = ana.begin(PAGE).await;
            assert_eq!(begun.status(), StatusCode::OK);
            open.push(begun);
        }
        let grown = resident(&world.server) - before;
        assert!(grown < 160 * 1024, "{grown} KiB more than before");
        let refused = ana.get(PAGE).await;
        refused.problem(429, "rate_limited");
        assert!(!refused.header("retry-after").is_empty());
        // What is no more than a piece has no need of a place, and nobody else's is taken.
        ana.get("/sessions?per_page=1&page=1000").await.is(200);
        ben.get("/sessions").await.is(200);

        let whole: Json = serde_json::from_slice(&open.remove(0).bytes().await.unwrap()).unwrap();
        let rows = whole["data"].as_array().unwrap();
        assert_eq!(rows.len(), ROWS);
        assert!(rows.iter().all(|row| row["system_prompt"].as_str().unwrap().len() == 600_000));
        assert_eq!(whole["meta"], json!({"page": 1, "per_page": 100, "total": ROWS, "pages": 1}));
        eventually(|| async { ana.begin(PAGE).await.status() == StatusCode::OK }).await;
    }

    /// The end of its session breaks a large page off; what there is of it is no document.
    async fn a_large_page_ends_with_its_session(backend) {
        let (_world, ana) = large(backend).await;
        let mut page = ana.begin(PAGE).await;
        let mut got = page.chunk().await.unwrap().unwrap().to_vec();
        ana.post("/auth/logout", json!({})).await.is(200);
        let broken = loop {
            match page.chunk().await {
                Ok(Some(chunk)) => got.extend_from_slice(&chunk),
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        assert!(broken, "it looks complete: {} bytes", got.len());
        assert!(serde_json::from_slice::<Json>(&got).is_err());
    }

    /// Messages of any length come by page and by message, each once, and so does the file.
    async fn large_messages_all_come(backend) {
        let world = World::with(backend, |setup| {
            setup.add(WIDE);
        })
        .await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation("wide").await;
        for n in 0..4 {
            let prompt = format!("{n} {}", "krill ".repeat(30_000));
            world.say(&ana, &id, &prompt).await;
        }
        let path = format!("/sessions/{id}/messages");
        let whole = ana.get(&format!("{path}?per_page=100")).await.ok(200);
        assert_eq!(whole["meta"], json!({"page": 1, "per_page": 100, "total": 8, "pages": 1}));
        let all = whole["data"].as_array().unwrap();
        let mut by_page = Vec::new();
        for page in 1..=8 {
            let one = ana.get(&format!("{path}?per_page=1&page={page}")).await.ok(200);
            by_page.insert(0, one["data"][0].clone());
        }
        assert!(*all == by_page);
        assert!(all[0]["content"].as_str().unwrap().len() > 180_000);
        let file = ana.get(&format!("/sessions/{id}/export?format=json")).await.ok(200);
        let texts = |list: &[Json]| list.iter().map(|one| one["content"].clone()).collect::<Vec<_>>();
        assert!(texts(file["messages"].as_array().unwrap()) == texts(all));
        let md = ana.get(&format!("/sessions/{id}/export?format=md")).await;
        md.is(200);
        assert_eq!(md.text().matches("## User").count(), 4);
    }

    /// An account has so many conversations, deleted ones among them; none at all is no limit.
    async fn conversations_are_bounded(backend) {
        let world = World::with(backend, |setup| {
            setup.set("conversations.max_per_account", 2);
        })
        .await;
        let (ana, ben) = (world.server.user("ana").await, world.server.user("ben").await);
        let id = ana.conversation(MODEL).await;
        ana.conversation(MODEL).await;
        let new = json!({"model_id": MODEL});
        ana.post("/sessions", new.clone()).await.problem(409, "too_many");
        ana.delete(&format!("/sessions/{id}")).await.is(200);
        ana.with("idempotency-key", "one").post("/sessions", new.clone()).await.problem(409, "too_many");
        ben.post("/sessions", new).await.is(201);
    }
}
