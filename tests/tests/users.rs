//! /users and /prices for administrators: finding accounts, suspending them, what
//! models cost.

use std::time::{Duration, Instant};

use futures_util::future::join;
use http::Method;
use serde_json::{Value as Json, json};
use testkit::{Client, on_both};

use crate::{
    invariants,
    world::{MODEL, World, messages},
};

async fn found(admin: &Client, q: &str) -> Vec<String> {
    let list = admin.get(&format!("/users?q={q}")).await.ok(200);
    let data = list["data"].as_array().unwrap();
    assert_eq!(list["meta"]["total"], data.len());
    data.iter()
        .map(|user| user["email"].as_str().unwrap().to_owned())
        .collect()
}

on_both! {
    /// By any of its names, in any case; signs of patterns stand for themselves.
    async fn accounts_are_found_by_their_names(backend) {
        let world = World::start(backend).await;
        let server = &world.server;
        let admin = server.admin().await;
        let client = server.client();
        for (email, name) in [
            ("ana@example.org", "Ána Müller"), ("ben@whales.example", "Ben 100%"), ("cid_x@example.org", "Cid"),
        ] {
            let body = json!({"email": email, "password": "a long enough password", "display_name": name});
            client.post("/auth/register", body).await.ok(201);
        }
        let ana = client.sign_in("ana@example.org", "a long enough password").await;
        ana.patch("/auth/me", json!({"username": "Swimmer"})).await.is(200);
        for (q, emails) in [
            ("ANA%40EX", &["ana@example.org"][..]),
            ("%C3%81NA", &["ana@example.org"]),
            ("m%C3%BCLL", &["ana@example.org"]),
            ("swimm", &["ana@example.org"]),
            ("whales", &["ben@whales.example"]),
            ("100%25", &["ben@whales.example"]),
            ("%25", &["ben@whales.example"]),
            ("_x", &["cid_x@example.org"]),
            ("d_", &["cid_x@example.org"]),
            ("%5C", &[]),
            ("nobody", &[]),
            ("%27%20OR%201=1", &[]),
        ] {
            assert_eq!(found(&admin, q).await, emails, "{q}");
        }
        assert_eq!(found(&admin, "").await.len(), 4);
        let page = admin.get("/users?q=example&per_page=2&page=2").await.ok(200);
        assert!(page["meta"]["total"].as_i64().unwrap() >= 3, "{page}");
        ana.get("/users?q=ben").await.problem(403, "forbidden");
        let user = admin.get("/users?q=swimmer").await.ok(200)["data"][0].clone();
        assert_eq!((&user["status"], &user["roles"]), (&json!("active"), &json!(["user"])));
        assert!(user["created_at"].is_string() && user["last_used_at"].is_string(), "{user}");
        admin.get("/users?q=a%00b").await.problem(422, "validation_failed");
    }

    /// Suspended: signed out everywhere within seconds, streams too, and kept out until it is undone.
    async fn a_suspended_account_is_out_until_it_is_let_in(backend) {
        let world = World::start(backend).await;
        let server = &world.server;
        let (ana, ben, admin) = (server.user("ana").await, server.user("ben").await, server.admin().await);
        let id = ana.conversation(MODEL).await;
        let mut page = ana.changes().await;
        let prompt = json!({"prompt": "!script tokens=2000 delay=20ms"});
        let mut answer = ana.stream(&format!("/sessions/{id}/messages/stream"), prompt).await;
        let run = answer.until("").await[0].data["run_id"].as_str().unwrap().to_owned();

        let path = format!("/users/{}", ana.id);
        for stranger in [&ben, &ana] {
            stranger.patch(&path, json!({"status": "suspended"})).await.problem(403, "forbidden");
        }
        admin.patch(&path, json!({"status": "gone"})).await.problem(422, "validation_failed");
        admin.patch(&path, json!({})).await.problem(422, "validation_failed");
        let begun = Instant::now();
        let user = admin.patch(&path, json!({"status": "suspended"})).await.ok(200);
        assert_eq!(user["status"], "suspended");
        ana.get("/auth/me").await.problem(401, "token_revoked");
        while answer.next().await.is_some() {}
        while page.next().await.is_some() {}
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let refresh = json!({"refresh_token": ana.tokens["refresh_token"]});
        server.client().post("/auth/refresh", refresh.clone()).await.problem(401, "token_revoked");

        // Only who knows the password learns of it.
        let login = |password: &str| json!({"email": ana.email, "password": password});
        let client = server.client();
        client.post("/auth/login", login("not her password")).await.problem(401, "invalid_credentials");
        client.post("/auth/login", login(&ana.password)).await.problem(403, "account_suspended");
        assert_eq!(found(&admin, "ana").await, [ana.email.as_str()]);
        // Doing it again changes nothing.
        admin.patch(&path, json!({"status": "suspended"})).await.is(200);
        ben.get("/auth/me").await.is(200);

        assert_eq!(admin.patch(&path, json!({"status": "active"})).await.ok(200)["status"], "active");
        // The old session stays ended; a new one is as before.
        ana.get("/auth/me").await.problem(401, "token_revoked");
        client.post("/auth/refresh", refresh).await.problem(401, "token_revoked");
        let ana = client.sign_in(&ana.email, &ana.password).await;
        ana.post(&format!("/runs/{run}/cancel"), json!({})).await.is(200);
        ana.get(&format!("/sessions/{id}")).await.is(200);
    }

    /// Who waits for a whole answer is out like who reads a stream: nothing of it is handed over, wherever
    /// it is waited for.
    async fn a_whole_answer_ends_with_the_session(backend) {
        let world = World::start(backend).await;
        let (server, upstream) = (&world.server, &world.upstream);
        let (ana, admin) = (server.user("ana").await, server.admin().await);
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages");
        // Signed out while it is written, and it ends right then.
        for n in 0..5 {
            let kept = messages(&ana, &id).await;
            let message = |at: usize| format!("{path}/{}", kept[at]["id"].as_str().unwrap());
            let (method, path) = match n {
                0 => (Method::POST, path.clone()),
                1 => (Method::POST, format!("/api/chat{path}")),
                2 => (Method::POST, format!("/conversations/{id}/chat")),
                3 => (Method::PATCH, message(0)),
                _ => (Method::POST, format!("{}/regenerate", message(1))),
            };
            let here = server.client().sign_in(&ana.email, &ana.password).await;
            let before = upstream.requests().len() as u64;
            let body = json!({"prompt": format!("Fish {n}? !script tokens=9 stall=4")}).to_string();
            let out = async {
                upstream.wait_for(|request| request.number > before && request.tokens == 4).await;
                here.post("/auth/logout", json!({})).await.is(200);
                ana.post(&format!("/sessions/{id}/stop"), json!({})).await.is(200);
            };
            let (answer, ()) = join(here.send(method, &path, Some(body.into())), out).await;
            answer.problem(401, "token_revoked");
            let kept = messages(&ana, &id).await;
            assert_eq!(kept.last().unwrap()["status"], "stopped", "it is kept: {kept:?}");
        }
        // Suspended, and the answer goes on: within seconds.
        let prompt = "Crabs? !script tokens=9 stall=4";
        let refused = async {
            let answer = ana.post(&path, json!({"prompt": prompt})).await;
            (answer, Instant::now())
        };
        let out = async {
            upstream.wait_for(|request| request.prompt == prompt && request.tokens == 4).await;
            let suspended = Instant::now();
            admin.patch(&format!("/users/{}", ana.id), json!({"status": "suspended"})).await.is(200);
            suspended
        };
        let ((answer, ended), suspended) = join(refused, out).await;
        answer.problem(401, "token_revoked");
        assert!(ended - suspended < Duration::from_secs(5), "{:?}", ended - suspended);
        admin.patch(&format!("/users/{}", ana.id), json!({"status": "active"})).await.is(200);
        let ana = server.client().sign_in(&ana.email, &ana.password).await;
        ana.post(&format!("/sessions/{id}/stop"), json!({})).await.is(200);
        assert_eq!(messages(&ana, &id).await.last().unwrap()["status"], "stopped");
        // Erased, which ends it.
        let ben = server.user("ben").await;
        let path = format!("/sessions/{}/messages", ben.conversation(MODEL).await);
        let prompt = "Squids? !script tokens=9 stall=4";
        let out = async {
            upstream.wait_for(|request| request.prompt == prompt && request.tokens == 4).await;
            let password = json!({"password": ben.password}).to_string();
            ben.send(Method::DELETE, "/auth/me", Some(password.into())).await.is(200);
        };
        let (answer, ()) = join(ben.post(&path, json!({"prompt": prompt})), out).await;
        answer.problem(401, "token_revoked");
        invariants::hold(server).await;
    }

    /// Somebody must be left who can let others in.
    async fn nobody_locks_themselves_or_everybody_out(backend) {
        let world = World::start(backend).await;
        let server = &world.server;
        let (ana, admin) = (server.user("ana").await, server.admin().await);
        let own = format!("/users/{}", admin.id);
        let anas = format!("/users/{}", ana.id);
        let suspend = json!({"status": "suspended"});
        admin.patch(&own, suspend.clone()).await.problem(409, "conflict");
        // An administrator does not suspend an operator, whoever else is one.
        admin.patch(&anas, json!({"roles": ["user", "admin"]})).await.is(200);
        let ana = server.client().sign_in(&ana.email, &ana.password).await;
        ana.patch(&own, suspend.clone()).await.problem(403, "forbidden");
        ana.patch(&anas, suspend.clone()).await.problem(409, "conflict");
        // Who is suspended does not count: the last administrator stays one.
        admin.patch(&anas, suspend.clone()).await.is(200);
        let less = json!({"roles": ["user", "operator"]});
        admin.patch(&own, less.clone()).await.problem(409, "last_admin");
        let erase = json!({"password": admin.password});
        let erased = admin.send(http::Method::DELETE, "/auth/me", Some(erase.to_string().into())).await;
        erased.problem(409, "last_admin");
        admin.get("/auth/me").await.is(200);
        // Only an operator is left to be suspended by another one: the last administrator is spared.
        admin.patch(&anas, json!({"status": "active", "roles": ["user", "operator"]})).await.is(200);
        let ana = server.client().sign_in(&ana.email, &ana.password).await;
        ana.patch(&own, suspend).await.problem(409, "last_admin");
        // What is nobody's, or another tenant's, is not there.
        let nobody = "/users/0190f3a0-0000-7000-8000-000000000000";
        admin.patch(nobody, json!({"status": "suspended"})).await.problem(404, "not_found");
        admin.patch("/users/x", json!({"status": "suspended"})).await.problem(404, "not_found");
    }

    /// What models cost, for administrators.
    async fn prices_are_told_with_where_they_come_from(backend) {
        let world = World::with(backend, |setup| {
            setup.env("OPENAI_API_KEY", "sk-none").env("OPENAI_BASE_URL", "http://127.0.0.1:9/v1");
        })
        .await;
        let (ana, admin) = (world.server.user("ana").await, world.server.admin().await);
        ana.get("/prices").await.problem(403, "forbidden");
        world.server.client().get("/prices").await.problem(401, "not_authenticated");
        let prices = admin.get("/prices").await.ok(200);
        let of = |source: &str| -> Vec<Json> {
            let data = prices["data"].as_array().unwrap().iter();
            data.filter(|price| price["source"] == source).cloned().collect()
        };
        let file: Vec<Json> = of("file").into_iter().filter(|price| price["model_id"] == MODEL).collect();
        assert_eq!(file.len(), 1, "{prices}");
        assert_eq!((&file[0]["input_price"], &file[0]["output_price"]), (&json!(1), &json!(2)));
        assert!(file[0]["valid_from"].is_string());
        assert!(!of("table").is_empty(), "{prices}");
    }
}
