//! /sessions/{id}/share and /shared/{token}: one branch for whoever has its link,
//! nothing else for anybody.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use testkit::{Client, on_both};
use toml::{Table, Value};

use crate::{
    foreign::move_to_another_tenant,
    world::{MODEL, World},
};

fn contents(shared: &Json) -> Vec<&str> {
    let messages = shared["messages"].as_array().expect("messages");
    messages
        .iter()
        .map(|m| m["content"].as_str().unwrap())
        .collect()
}

fn fields(object: &Json) -> BTreeSet<&str> {
    object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

/// A conversation with a branch aside, shared; the share as its owner sees it.
async fn shared_trip(world: &World, owner: &Client) -> (String, Json) {
    let body =
        json!({"model_id": MODEL, "title": "Trip", "system_prompt": "Never speak of krill."});
    let made = owner.post("/sessions", body).await.ok(201);
    let id = made["id"].as_str().unwrap().to_owned();
    world.say(owner, &id, "A first secret").await;
    let first = owner.get(&format!("/sessions/{id}/messages")).await.ok(200)["data"][0].clone();
    let path = format!("/sessions/{id}/messages/{}", first["id"].as_str().unwrap());
    owner
        .patch(&path, json!({"prompt": "How do whales sleep?"}))
        .await
        .is(200);
    let share = owner
        .post(&format!("/sessions/{id}/share"), json!({}))
        .await
        .ok(201);
    (id, share)
}

async fn database_shares(world: &World) -> i64 {
    let sql = "SELECT COUNT(*) AS n FROM conversation_shares";
    world.server.database().number(sql).await
}

on_both! {
    async fn a_link_shows_one_branch_and_no_more(backend) {
        let world = World::start(backend).await;
        let (ana, anybody) = (world.server.user("ana").await, world.server.client());
        let (id, share) = shared_trip(&world, &ana).await;
        let token = share["token"].as_str().unwrap();
        assert_eq!(fields(&share), BTreeSet::from(["token", "path", "created_at", "head"]));
        assert_eq!(share["path"], format!("/app/shared/{token}"));
        assert_eq!(token.len(), 43, "32 bytes");
        let conversation = ana.get(&format!("/sessions/{id}")).await.ok(200);
        assert_eq!(share["head"], conversation["head"]);

        let answer = anybody.get(&format!("/shared/{token}")).await;
        let shown = answer.ok(200);
        assert_eq!(answer.header("x-robots-tag"), "noindex");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(fields(&shown), BTreeSet::from(["title", "created_at", "shared_at", "messages", "earlier"]));
        assert_eq!(shown["earlier"], Json::Null);
        assert_eq!((&shown["title"], &shown["created_at"]), (&json!("Trip"), &conversation["created_at"]));
        let messages = shown["messages"].as_array().unwrap();
        assert_eq!(messages.len(), 2);
        for message in messages {
            let known = BTreeSet::from(["id", "role", "content", "created_at", "model_id"]);
            assert_eq!(fields(message), known);
        }
        assert_eq!((&messages[0]["role"], &messages[1]["role"]), (&json!("user"), &json!("assistant")));
        assert_eq!(messages[1]["model_id"], MODEL);
        assert_eq!(contents(&shown)[0], "How do whales sleep?");
        for hidden in ["secret", "krill", ana.id.as_str(), "credits", "usage", "tokens"] {
            assert!(!answer.text().contains(hidden), "{hidden}: {}", answer.text());
        }

        // It stays as it is until it is refreshed, at every name of its path.
        world.say(&ana, &id, "A second secret").await;
        let path = format!("/shared/{token}");
        assert_eq!(anybody.get(&path).await.ok(200), shown);
        let again = ana.post(&format!("/conversations/{id}/share"), json!({"refresh": false})).await.ok(200);
        assert_eq!(again, share);
        assert_eq!(ana.get(&format!("/api/chat/sessions/{id}/share")).await.ok(200), share);
        let moved = ana.post(&format!("/sessions/{id}/share"), json!({"refresh": true})).await.ok(200);
        assert_eq!((&moved["token"], &moved["created_at"]), (&share["token"], &share["created_at"]));
        assert_ne!(moved["head"], share["head"]);
        let shown = anybody.get(&format!("/api{path}")).await.ok(200);
        assert_eq!(contents(&shown).len(), 4);
        assert!(!shown.to_string().contains("first secret"));
        ana.post(&format!("/sessions/{id}/share"), json!({"refresh": "yes"})).await.problem(422, "validation_failed");

        // Revoked it is gone at once; the next one has another token.
        let gone = ana.delete(&format!("/sessions/{id}/share")).await.ok(200);
        assert!(gone["message"].as_str().is_some_and(|text| !text.is_empty()));
        anybody.get(&path).await.problem(404, "not_found");
        ana.get(&format!("/sessions/{id}/share")).await.problem(404, "not_found");
        ana.delete(&format!("/sessions/{id}/share")).await.problem(404, "not_found");
        let anew = ana.with("content-type", "text/plain").send(http::Method::POST, &format!("/sessions/{id}/share"), None).await.ok(201);
        assert_ne!(anew["token"], share["token"]);
        anybody.get(&path).await.problem(404, "not_found");
        world.server.assert_not_logged(&[token, anew["token"].as_str().unwrap()]);
    }

    /// What is no token is not there, and looks the same.
    async fn there_is_nothing_at_other_tokens(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let (id, share) = shared_trip(&world, &ana).await;
        let token = share["token"].as_str().unwrap();
        let other = format!("{}{}", &token[..42], if token.ends_with('A') { "E" } else { "A" });
        let padded = format!("{token}=");
        for token in [
            &other, &token[1..], &padded, &id, "x", "%00", "%FF", "a%2Fb", &"A".repeat(43), &"A".repeat(5_000),
        ] {
            for client in [&world.server.client(), &ana.client] {
                client.get(&format!("/shared/{token}")).await.problem(404, "not_found");
            }
        }
        world.server.client().delete(&format!("/shared/{token}")).await.problem(401, "not_authenticated");
        world.server.client().get(&format!("/shared/{token}")).await.is(200);
    }

    /// A deleted conversation is shown to nobody, also when it is there again.
    async fn deleting_ends_it_for_good(backend) {
        let world = World::start(backend).await;
        let (ana, anybody) = (world.server.user("ana").await, world.server.client());
        let (id, share) = shared_trip(&world, &ana).await;
        let path = format!("/shared/{}", share["token"].as_str().unwrap());
        anybody.get(&path).await.is(200);
        ana.delete(&format!("/sessions/{id}")).await.is(200);
        anybody.get(&path).await.problem(404, "not_found");
        ana.get(&format!("/sessions/{id}/share")).await.problem(404, "not_found");
        ana.post(&format!("/sessions/{id}/share"), json!({})).await.problem(404, "not_found");
        ana.delete(&format!("/sessions/{id}/share")).await.problem(404, "not_found");
        ana.post(&format!("/sessions/{id}/restore"), json!({})).await.is(200);
        anybody.get(&path).await.problem(404, "not_found");
        ana.get(&format!("/sessions/{id}/share")).await.problem(404, "not_found");
        let anew = ana.post(&format!("/sessions/{id}/share"), json!({})).await.ok(201);
        assert_ne!(anew["token"], share["token"]);
    }

    /// A long branch is read from its end upward, a page at a time, and nothing beside it.
    async fn a_long_branch_comes_in_pages(backend) {
        let world = World::start(backend).await;
        let (ana, anybody) = (world.server.user("ana").await, world.server.client());
        let (id, share) = shared_trip(&world, &ana).await;
        let other = ana.get(&format!("/sessions/{id}/messages")).await.ok(200)["data"][0].clone();
        let aside = other["sibling_ids"].as_array().unwrap().iter().find(|one| **one != other["id"]).unwrap();
        for n in 0..4 {
            world.say(&ana, &id, &format!("Turn {n}")).await;
        }
        ana.post(&format!("/sessions/{id}/share"), json!({"refresh": true})).await.is(200);
        world.say(&ana, &id, "Not shared").await;
        let late = ana.get(&format!("/sessions/{id}")).await.ok(200)["head"].clone();
        let path = format!("/shared/{}", share["token"].as_str().unwrap());
        let whole = anybody.get(&path).await.ok(200);
        assert_eq!((contents(&whole).len(), &whole["earlier"]), (10, &Json::Null));
        let (mut seen, mut before, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = anybody.get(&format!("{path}?per_page=4{before}")).await.ok(200);
            seen.splice(0..0, page["messages"].as_array().unwrap().clone());
            pages += 1;
            let Some(earlier) = page["earlier"].as_str() else { break };
            before = format!("&before={earlier}");
        }
        assert_eq!((pages, Json::from(seen)), (3, whole["messages"].clone()));
        for beside in [aside.as_str().unwrap(), late.as_str().unwrap(), &id, "x"] {
            anybody.get(&format!("{path}?before={beside}")).await.problem(404, "not_found");
        }
        anybody.get(&format!("{path}?per_page=x")).await.problem(422, "validation_failed");
        assert_eq!(contents(&anybody.get(&format!("{path}?per_page=0")).await.ok(200)).len(), 1);
    }

    /// Whoever may not come in shows nothing either.
    async fn shares_of_members_who_are_out_are_gone(backend) {
        let world = World::start(backend).await;
        let (ana, anybody, admin) = (world.server.user("ana").await, world.server.client(), world.server.admin().await);
        let (_, share) = shared_trip(&world, &ana).await;
        let path = format!("/shared/{}", share["token"].as_str().unwrap());
        let shown = anybody.get(&path).await.ok(200);
        let user = format!("/users/{}", ana.id);
        admin.patch(&user, json!({"status": "suspended"})).await.is(200);
        for client in [&anybody, &admin.client] {
            client.get(&path).await.problem(404, "not_found");
        }
        admin.patch(&user, json!({"status": "active"})).await.is(200);
        assert_eq!(anybody.get(&path).await.ok(200), shown);
        // Also while what an erased account left is still there.
        let mut world = world;
        assert!(world.server.terminate().await.success());
        let database = world.server.database();
        let own = database.id(&ana.id);
        for table in ["auth_sessions", "memberships"] {
            database.execute(&format!("DELETE FROM {table} WHERE account_id = {own}")).await;
        }
        world.server.restart().await;
        assert_eq!(database_shares(&world).await, 1);
        anybody.get(&path).await.problem(404, "not_found");
    }

    /// An administrator ends what somebody of the tenant shares, by its link or its conversation.
    async fn administrators_end_shares(backend) {
        let mut world = World::start(backend).await;
        let eve = world.server.user("eve").await;
        assert!(world.server.terminate().await.success());
        move_to_another_tenant(&world, &eve.id).await;
        world.server.restart().await;
        let eve = world.server.client().sign_in(&eve.email, &eve.password).await;
        assert!(eve.get("/auth/me").await.ok(200)["roles"].to_string().contains("admin"));
        let (ana, ben, admin) = (world.server.user("ana").await, world.server.user("ben").await, world.server.admin().await);
        let (id, _) = shared_trip(&world, &ana).await;
        for by_link in [true, false] {
            let share = ana.post(&format!("/sessions/{id}/share"), json!({})).await;
            let share = share.json();
            let link = format!("/shared/{}", share["token"].as_str().unwrap());
            let own = format!("/sessions/{id}/share");
            for stranger in [&ben, &eve] {
                stranger.delete(&link).await.problem(404, "not_found");
                stranger.delete(&own).await.problem(404, "not_found");
            }
            world.server.client().get(&link).await.is(200);
            let path = if by_link { &link } else { &own };
            assert!(admin.delete(path).await.ok(200)["message"].is_string());
            world.server.client().get(&link).await.problem(404, "not_found");
            ana.get(&own).await.problem(404, "not_found");
            admin.delete(path).await.problem(404, "not_found");
        }
        let share = ana.post(&format!("/sessions/{id}/share"), json!({})).await.ok(201);
        ana.delete(&format!("/shared/{}", share["token"].as_str().unwrap())).await.is(200);
        ana.get(&format!("/sessions/{id}/share")).await.problem(404, "not_found");
        // The rest of the conversation is the owner's alone.
        admin.get(&format!("/sessions/{id}")).await.problem(404, "not_found");
        admin.post(&format!("/sessions/{id}/share"), json!({})).await.problem(404, "not_found");
    }

    /// A share is found whatever its tenant, and not while that is suspended.
    async fn shares_of_a_suspended_tenant_are_gone(backend) {
        let mut world = World::start(backend).await;
        let eve = world.server.user("eve").await;
        assert!(world.server.terminate().await.success());
        move_to_another_tenant(&world, &eve.id).await;
        world.server.restart().await;
        let eve = world.server.client().sign_in(&eve.email, &eve.password).await;
        let id = eve.conversation(MODEL).await;
        let share = eve.post(&format!("/sessions/{id}/share"), json!({})).await.ok(201);
        assert_eq!(share["head"], Json::Null);
        let path = format!("/shared/{}", share["token"].as_str().unwrap());
        let ana = world.server.user("ana").await;
        for client in [&world.server.client(), &ana.client] {
            assert_eq!(client.get(&path).await.ok(200)["messages"], json!([]));
        }
        for (status, code) in [("suspended", 404), ("active", 200)] {
            assert!(world.server.terminate().await.success());
            let sql = format!("UPDATE tenants SET status = '{status}' WHERE slug = 'elsewhere'");
            world.server.database().execute(&sql).await;
            world.server.restart().await;
            world.server.client().get(&path).await.is(code);
        }
    }

    /// Whoever tries tokens is stopped by the limit of the address.
    async fn readers_are_limited_by_address(backend) {
        let world = World::with(backend, |setup| {
            let few = Table::from_iter([
                ("requests".to_owned(), Value::Integer(20)),
                ("window".to_owned(), Value::String("10m".to_owned())),
            ]);
            setup.set("security.rate_limit.reads", few);
        })
        .await;
        let anybody = world.server.client();
        for _ in 0..20 {
            anybody.get("/shared/x").await.problem(404, "not_found");
        }
        let refused = anybody.get("/shared/x").await;
        refused.problem(429, "rate_limited");
        assert_eq!(refused.header("x-ratelimit-limit"), "20");
    }
}
