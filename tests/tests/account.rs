//! One's own account: names, password, devices, export, and its end.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::{Value as Json, json};
use testkit::{Backend, Client, Reply, TestServer, on_both};
use toml::{Table, Value};

use crate::{
    invariants,
    world::{MODEL, World, eventually, fill},
};

/// A word that nothing else has.
const MARKER: &str = "xylomarimbatrophe";

/// Messages of an export that is more than all buffers of a connection hold.
const LARGE: u32 = 400;

/// The text of one of them, in SQL.
fn large(backend: Backend) -> String {
    match backend {
        Backend::Sqlite => "hex(zeroblob(75000))".to_owned(),
        Backend::Postgres => "repeat('0', 150000)".to_owned(),
    }
}

async fn erase(client: &Client, password: &str) -> Reply {
    let body = json!({"password": password}).to_string();
    client
        .send(Method::DELETE, "/auth/me", Some(body.into()))
        .await
}

/// Where the database has the text: tables with the rows in which it is, in any column that is text
/// or, on the embedded one, bytes (the search index has words in bytes).
async fn places(server: &TestServer, text: &str) -> Vec<String> {
    let database = server.database();
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut found = Vec::new();
    for table in database.tables().await {
        for row in database.rows(&format!("SELECT * FROM {table}")).await {
            let row = row.to_string().to_lowercase();
            if row.contains(text) || row.contains(&hex) {
                found.push(format!("{table}: {row}"));
            }
        }
    }
    found
}

on_both! {
    /// Names change for their owner, and are nobody else's.
    async fn names_change(backend) {
        let world = World::start(backend).await;
        let server = &world.server;
        let (ana, ben) = (server.user("ana").await, server.user("ben").await);
        let me = ana.get("/auth/me").await.ok(200);
        assert!(me["created_at"].is_string(), "{me}");
        let patched = ana.patch("/auth/me", json!({"display_name": " Ana B. ", "username": "Ana.B"})).await.ok(200);
        assert_eq!((&patched["display_name"], &patched["username"]), (&json!("Ana B."), &json!("ana.b")));
        assert_eq!(ana.get("/auth/me").await.ok(200), patched);
        // One at a time, and back.
        let patched = ana.patch("/auth/me", json!({"display_name": "Ana"})).await.ok(200);
        assert_eq!((&patched["display_name"], &patched["username"]), (&json!("Ana"), &json!("ana.b")));
        let login = json!({"username": "ANA.B", "password": ana.password});
        server.client().post("/auth/login", login.clone()).await.is(200);
        ben.patch("/auth/me", json!({"username": "ana.B"})).await.problem(409, "conflict");
        // The own name again is no conflict.
        ana.patch("/auth/me", json!({"username": "ana.b"})).await.is(200);
        for (body, field) in [
            (json!({"username": "a"}), "username"),
            (json!({"username": "a@example.org"}), "username"),
            (json!({"display_name": "  "}), "display_name"),
            (json!({"display_name": "x".repeat(101)}), "display_name"),
            (json!({"display_name": 7}), "display_name"),
            (json!({"display_name": "\u{202e}nimdA"}), "display_name"),
            (json!({"display_name": "Ad\u{200b}min"}), "display_name"),
            (json!({"display_name": "Ad\u{200d}min"}), "display_name"),
            (json!({"display_name": "\u{3164}"}), "display_name"),
        ] {
            let problem = ben.patch("/auth/me", body.clone()).await.problem(422, "validation_failed");
            assert_eq!(problem["errors"][0]["field"], field, "{body}");
        }
        let joined = json!({"display_name": "می\u{200c}خواهم 👩\u{200d}🚀"});
        assert_eq!(ben.patch("/auth/me", joined.clone()).await.ok(200)["display_name"], joined["display_name"]);
        let hidden = json!({"email": "eve@example.org", "password": "a long enough password", "display_name": "\u{2066}Admin\u{2069}"});
        let problem = server.client().post("/auth/register", hidden).await.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["field"], "display_name", "{problem}");
        let before = ben.get("/auth/me").await.ok(200);
        ben.patch("/auth/me", json!({"display_name": "Ben", "username": "!"})).await.problem(422, "validation_failed");
        assert_eq!(ben.get("/auth/me").await.ok(200), before);
        assert_eq!(ana.patch("/auth/me", json!({"username": null})).await.ok(200)["username"], Json::Null);
        server.client().post("/auth/login", login).await.problem(401, "invalid_credentials");
        ben.patch("/auth/me", json!({"username": "ana.b"})).await.is(200);
        // What one may not change so: the roles, the email.
        let same = ben.patch("/auth/me", json!({"roles": ["admin"], "email": "x@y"})).await.ok(200);
        assert_eq!((&same["roles"], &same["email"]), (&before["roles"], &before["email"]));
    }

    /// Whether a user name is taken is asked as seldom as a password is tried.
    async fn user_names_are_tried_a_few_times(backend) {
        let world = World::with(backend, |setup| {
            let few = Table::from_iter([
                ("requests".to_owned(), Value::Integer(10)),
                ("window".to_owned(), Value::String("10m".to_owned())),
            ]);
            setup.set("security.rate_limit.sign_in", few);
        })
        .await;
        let (ana, ben) = (world.server.user("ana").await, world.server.user("ben").await);
        ana.patch("/auth/me", json!({"username": "ana.b"})).await.is(200);
        // Four of the ten were for registering and signing in.
        for _ in 0..5 {
            let taken = ben.patch("/auth/me", json!({"username": "ana.b"})).await;
            taken.problem(409, "conflict");
            assert_eq!(taken.header("x-ratelimit-limit"), "10");
        }
        let refused = ben.patch("/auth/me", json!({"display_name": "B", "username": "ana.c"})).await;
        refused.problem(429, "rate_limited");
        assert!(!refused.header("retry-after").is_empty());
        assert_eq!(ben.get("/auth/me").await.ok(200)["display_name"], "ben");
        // What tells of nobody goes on.
        for body in [json!({"display_name": "Ben"}), json!({"username": null})] {
            ben.patch("/auth/me", body).await.is(200);
        }
    }

    /// A new password: this device stays, the others go, and the old one is of no use.
    async fn a_password_changes(backend) {
        let world = World::with(backend, |setup| {
            setup.set("security.lockout.attempts", 3);
        })
        .await;
        let server = &world.server;
        let ana = server.user("ana").await;
        let other = server.client().sign_in(&ana.email, &ana.password).await;
        let new = "another long enough password";
        let change = |current: &str, new: &str| json!({"current_password": current, "new_password": new});
        let problem = ana.post("/auth/password", change(&ana.password, "short")).await;
        assert_eq!(problem.problem(422, "validation_failed")["errors"][0]["field"], "new_password");
        ana.post("/auth/password", change("not her password", new)).await.problem(403, "wrong_password");
        other.get("/auth/me").await.is(200);
        ana.post("/auth/password", change(&ana.password, new)).await.is(200);
        ana.get("/auth/me").await.is(200);
        other.get("/auth/me").await.problem(401, "token_revoked");
        let refresh = json!({"refresh_token": ana.tokens["refresh_token"]});
        server.client().post("/auth/refresh", refresh).await.is(200);
        let login = |password: &str| json!({"email": ana.email, "password": password});
        server.client().post("/auth/login", login(&ana.password)).await.problem(401, "invalid_credentials");
        server.client().post("/auth/login", login(new)).await.is(200);
        // Failures count like those at sign-in, and lock both.
        for _ in 0..3 {
            ana.post("/auth/password", change("not her password", new)).await.problem(403, "wrong_password");
        }
        ana.post("/auth/password", change(new, "a third long password")).await.problem(429, "too_many_attempts");
        server.client().post("/auth/login", login(new)).await.problem(429, "too_many_attempts");
        erase(&ana, new).await.problem(429, "too_many_attempts");
        server.assert_not_logged(&[new]);
    }

    /// Devices are listed for their owner, who signs them out one by one.
    async fn devices_are_seen_and_signed_out(backend) {
        let world = World::start(backend).await;
        let server = &world.server;
        let (ana, ben) = (server.user("ana").await, server.user("ben").await);
        let phone = server.client().with("user-agent", "A phone");
        let phone = phone.sign_in(&ana.email, &ana.password).await;
        let list = ana.get("/auth/sessions").await.ok(200)["data"].as_array().unwrap().clone();
        assert_eq!(list.len(), 2, "{list:?}");
        let current: Vec<&Json> = list.iter().filter(|device| device["current"] == true).collect();
        assert_eq!(current.len(), 1, "{list:?}");
        let other = list.iter().find(|device| device["current"] == false).unwrap();
        assert_eq!(other["user_agent"], "A phone");
        for field in ["created_at", "last_used_at"] {
            assert!(other[field].is_string(), "{other}");
        }
        let path = format!("/auth/sessions/{}", other["id"].as_str().unwrap());
        let mut page = phone.changes().await;
        ben.delete(&path).await.problem(404, "not_found");
        ben.delete("/auth/sessions/x").await.problem(404, "not_found");
        phone.get("/auth/me").await.is(200);
        let begun = Instant::now();
        ana.delete(&path).await.is(200);
        phone.get("/auth/me").await.problem(401, "token_revoked");
        while page.next().await.is_some() {}
        assert!(begun.elapsed() < Duration::from_secs(5));
        ana.delete(&path).await.problem(404, "not_found");
        assert_eq!(ana.get("/auth/sessions").await.ok(200)["data"].as_array().unwrap().len(), 1);
        assert_eq!(ben.get("/auth/sessions").await.ok(200)["data"].as_array().unwrap().len(), 1);
    }

    /// The export has everything of the account and nothing else's.
    async fn an_export_is_whole_and_one_s_own(backend) {
        let world = World::start(backend).await;
        let server = &world.server;
        let (ana, ben) = (server.user("ana").await, server.user("ben").await);
        // More conversations and messages than are read at once.
        let mut ids = Vec::new();
        for n in 0..23 {
            let made = ana.post("/sessions", json!({"model_id": MODEL, "title": format!("Number {n}")})).await.ok(201);
            ids.push(made["id"].as_str().unwrap().to_owned());
        }
        let last = ids[22].clone();
        let first = ana.post(&format!("/sessions/{last}/messages"), json!({"prompt": "Of whales"})).await.ok(200);
        let answer = first["message"]["id"].as_str().unwrap();
        ana.post(&format!("/sessions/{last}/messages/{answer}/regenerate"), json!({})).await.is(200);
        ana.delete(&format!("/sessions/{}", ids[3])).await.is(200);
        let assistant = json!({"name": "Whaler", "model_id": MODEL, "system_prompt": "Of the sea."});
        ana.post("/assistants", assistant.clone()).await.is(201);
        let prompt = json!({"command": "sea", "title": "Sea", "content": "Tell me of the sea."});
        ana.post("/prompts", prompt.clone()).await.is(201);
        let theirs = format!("{MARKER} of Ben");
        ben.post("/sessions", json!({"model_id": MODEL, "title": theirs})).await.is(201);
        ben.post("/assistants", json!({"name": theirs, "model_id": MODEL, "system_prompt": ""})).await.is(201);

        let reply = ana.get("/auth/me/export").await;
        reply.is(200);
        assert_eq!(reply.header("content-disposition"), "attachment; filename=\"tertulia-export.json\"");
        let export = reply.json();
        assert!(!reply.text().contains(MARKER) && !reply.text().contains("argon2"));
        let fields: Vec<&String> = export.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["account", "assistants", "conversations", "ledger", "memberships", "prompts", "usage"]);
        assert_eq!(export["account"]["email"], ana.email);
        assert_eq!(export["memberships"].as_array().unwrap().len(), 1);
        let conversations = export["conversations"].as_array().unwrap();
        let told: Vec<&str> = conversations.iter().map(|c| c["id"].as_str().unwrap()).collect();
        assert_eq!(told, ids);
        let deleted: Vec<&Json> = conversations.iter().filter(|c| !c["deleted_at"].is_null()).collect();
        assert_eq!(deleted.len(), 1);
        let messages = conversations[22]["messages"].as_array().unwrap();
        // Both answers, of both branches.
        assert_eq!(messages.len(), 3, "{messages:?}");
        assert_eq!(messages[0]["content"], "Of whales");
        assert!(conversations[0]["messages"].as_array().unwrap().is_empty());
        assert_eq!(export["assistants"][0]["name"], "Whaler");
        assert_eq!(export["prompts"][0]["content"], "Tell me of the sea.");
        let ledger = ana.get("/credits/ledger?per_page=100").await.ok(200);
        assert_eq!(export["ledger"], ledger["data"]);
        assert_eq!(export["usage"], ana.get("/usage/stats").await.ok(200)["totals"]);
        server.client().get("/auth/me/export").await.problem(401, "not_authenticated");
    }

    /// Two at once, whatever is exported, and beside them all else goes on.
    async fn exports_are_few_at_once(backend) {
        let mut world = World::start(backend).await;
        let (ana, ben) = (world.server.user("ana").await, world.server.user("ben").await);
        let id = ana.conversation(MODEL).await;
        assert!(world.server.terminate().await.success());
        fill(&world, &id, LARGE, &large(backend)).await;
        world.server.restart().await;
        let one = ana.begin("/auth/me/export").await;
        let two = ana.begin("/auth/me/export").await;
        assert_eq!((one.status(), two.status()), (StatusCode::OK, StatusCode::OK));
        for path in ["/auth/me/export".to_owned(), format!("/sessions/{id}/export")] {
            let refused = ana.get(&path).await;
            refused.problem(429, "rate_limited");
            assert!(!refused.header("retry-after").is_empty());
        }
        ben.get("/auth/me/export").await.is(200);
        let other = ana.conversation(MODEL).await;
        world.say(&ana, &other, "Beside it").await;
        let _page = ana.changes().await;
        // Given up, or read to its end.
        drop(one);
        eventually(|| async { ana.begin("/auth/me/export").await.status() == 200 }).await;
        let whole: Json = serde_json::from_slice(&two.bytes().await.unwrap()).unwrap();
        assert_eq!(whole["conversations"][0]["messages"].as_array().unwrap().len(), LARGE as usize);
    }

    /// The end of its session breaks an export off; what there is of it is no document.
    async fn an_export_ends_with_its_session(backend) {
        let mut world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        assert!(world.server.terminate().await.success());
        fill(&world, &id, LARGE, &large(backend)).await;
        world.server.restart().await;
        let mut export = ana.begin("/auth/me/export").await;
        assert_eq!(export.status(), StatusCode::OK);
        let mut got = export.chunk().await.unwrap().unwrap().to_vec();
        ana.post("/auth/logout", json!({})).await.is(200);
        let broken = loop {
            match export.chunk().await {
                Ok(Some(chunk)) => got.extend_from_slice(&chunk),
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        assert!(broken, "it looks complete: {} bytes", got.len());
        assert!(serde_json::from_slice::<Json>(&got).is_err());
        assert!(got.starts_with(b"{\"account\":"));
    }

    /// Nothing of what an erased account wrote is left, its address is free, and the books are right.
    async fn an_erased_account_leaves_no_word(backend) {
        let world = World::start(backend).await;
        let server = &world.server;
        let (ben, admin) = (server.user("ben").await, server.admin().await);
        let email = format!("{MARKER}@example.org");
        let password = "a long enough password";
        let body = json!({"email": email, "password": password, "display_name": format!("Ana {MARKER}")});
        let keyed = server.client().with("idempotency-key", "register-her");
        keyed.post("/auth/register", body.clone()).await.is(201);
        let client = server.client().with("user-agent", &format!("{MARKER}/1.0"));
        let ana = client.sign_in(&email, password).await;
        ana.patch("/auth/me", json!({"username": MARKER})).await.is(200);
        let new = json!({"model_id": MODEL, "title": MARKER, "system_prompt": format!("Say {MARKER}.")});
        let made = ana.with("idempotency-key", "make-it").post("/sessions", new.clone()).await.ok(201);
        let id = made["id"].as_str().unwrap();
        let words = format!("What is {MARKER}?\n!script text=It is {MARKER} indeed");
        ana.post(&format!("/sessions/{id}/messages"), json!({"prompt": words})).await.is(200);
        ana.post(&format!("/sessions/{id}/share"), json!({})).await.is(201);
        let gone = ana.post("/sessions", new).await.ok(201);
        ana.delete(&format!("/sessions/{}", gone["id"].as_str().unwrap())).await.is(200);
        let assistant = json!({"name": MARKER, "model_id": MODEL, "system_prompt": MARKER, "questions": [MARKER]});
        ana.post("/assistants", assistant).await.is(201);
        ana.post("/prompts", json!({"command": "x", "title": MARKER, "content": MARKER})).await.is(201);
        let usage = json!({"user_id": ana.id, "model_id": MODEL, "prompt_tokens": 3, "completion_tokens": 4, "metadata": {"of": MARKER}});
        admin.post("/usage/record", usage).await.is(201);
        let more = json!({"user_id": ana.id, "amount": 5, "note": "for her"});
        admin.with("idempotency-key", "give-it").post("/credits/allocate", more).await.is(200);
        // An answer is being written, and a page is open.
        let busy = ana.conversation(MODEL).await;
        let prompt = json!({"prompt": format!("{MARKER} !script tokens=3000 delay=20ms")});
        let mut answer = ana.stream(&format!("/sessions/{busy}/messages/stream"), prompt).await;
        answer.until("").await;
        let mut page = ana.changes().await;
        let bens = ben.conversation(MODEL).await;
        ben.post(&format!("/sessions/{bens}/messages"), json!({"prompt": "Stay"})).await.is(200);
        assert!(places(server, MARKER).await.len() > 10, "the search finds what is there");

        let events = admin.get("/credits/ledger?user_id=".to_owned().as_str()).await;
        events.is(200);
        let entries = server.database().number("SELECT COUNT(*) FROM transfers").await;
        erase(&ana, "not her password").await.problem(403, "wrong_password");
        erase(&ana, "").await.problem(403, "wrong_password");
        ana.delete("/auth/me").await.problem(422, "validation_failed");
        ana.get("/auth/me").await.is(200);

        let begun = Instant::now();
        erase(&ana, password).await.is(200);
        ana.get("/auth/me").await.problem(401, "token_revoked");
        while answer.next().await.is_some() {}
        while page.next().await.is_some() {}
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert_eq!(places(server, MARKER).await, Vec::<String>::new());
        let kept = "SELECT COUNT(*) FROM idempotency_keys";
        assert_eq!(server.database().number(kept).await, 0, "what was answered to or about her");
        // The ledger has grown by the end of the answer, and lost nothing.
        assert!(server.database().number("SELECT COUNT(*) FROM transfers").await >= entries);
        invariants::hold(server).await;
        let login = json!({"email": email, "password": password});
        server.client().post("/auth/login", login).await.problem(401, "invalid_credentials");
        let name = json!({"username": MARKER, "password": password});
        server.client().post("/auth/login", name).await.problem(401, "invalid_credentials");
        let refresh = json!({"refresh_token": ana.tokens["refresh_token"]});
        server.client().post("/auth/refresh", refresh).await.problem(401, "invalid_token");
        admin.get(&format!("/users/{}", ana.id)).await.problem(404, "not_found");
        assert_eq!(admin.get(&format!("/users?q={MARKER}")).await.ok(200)["meta"]["total"], 0);
        // Others are as they were.
        assert_eq!(ben.get(&format!("/sessions/{bens}/messages")).await.ok(200)["meta"]["total"], 2);
        assert_eq!(ben.get("/search?q=stay").await.ok(200)["meta"]["total"], 1);
        // The address and the name are free, for somebody who has nothing to do with it.
        let again = keyed.with("idempotency-key", "register-again").post("/auth/register", body).await.ok(201);
        assert_ne!(again["id"], ana.id.as_str());
        let her = server.client().sign_in(&email, password).await;
        her.patch("/auth/me", json!({"username": MARKER})).await.is(200);
        assert_eq!(her.get("/sessions").await.ok(200)["meta"]["total"], 0);
        assert_eq!(her.get("/usage/stats").await.ok(200)["totals"]["requests"], 0);
        server.assert_not_logged(&[password]);
    }

    /// Killed in the middle, it goes on after the next start.
    async fn what_an_erasure_left_is_removed_later(backend) {
        let mut world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        ana.post(&format!("/sessions/{id}/messages"), json!({"prompt": MARKER})).await.is(200);
        let (tenant, account) = {
            let me = ana.get("/auth/me").await.ok(200);
            let database = world.server.database();
            (database.id(me["tenant"]["id"].as_str().unwrap()), database.id(&ana.id))
        };
        assert!(world.server.terminate().await.success());
        // As after the first step of an erasure: the account is closed, its things are still there.
        let now = match backend {
            testkit::Backend::Sqlite => "unixepoch() * 1000000",
            testkit::Backend::Postgres => "now()",
        };
        let sql = format!("INSERT INTO erasures (tenant_id, account_id, erased_at) VALUES ({tenant}, {account}, {now})");
        world.server.database().execute(&sql).await;
        assert!(!places(&world.server, MARKER).await.is_empty());
        world.server.restart().await;
        eventually(|| async { places(&world.server, MARKER).await.is_empty() }).await;
        invariants::hold(&world.server).await;
    }
}
