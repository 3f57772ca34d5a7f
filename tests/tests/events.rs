//! /events: what an open page hears of its own account's things, and of nobody else's.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::json;
use testkit::{Event, EventStream, on_both};

use crate::world::{MODEL, World};

/// Events up to the first that fits.
async fn heard(stream: &mut EventStream, what: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut all = Vec::new();
    loop {
        let event = stream
            .next()
            .await
            .unwrap_or_else(|| panic!("it ended after {all:?}"));
        assert_eq!(event.id, "", "there is nothing to resume after");
        let fits = what(&event);
        all.push(event);
        if fits {
            return all;
        }
    }
}

fn session(event: &Event, id: &str, change: &str) -> bool {
    event.kind == "session" && event.data == json!({"id": id, "change": change})
}

on_both! {
    /// Conversations, runs and credits, as they change, whoever changes them.
    async fn an_open_page_hears_of_its_own(backend) {
        let world = World::start(backend).await;
        let server = &world.server;
        let (ana, ben, admin) = (server.user("ana").await, server.user("ben").await, server.admin().await);
        // The wallet is made when it is first looked at.
        ana.balance().await;
        let mut page = ana.changes().await;
        let mut bens = ben.changes().await;
        assert_eq!(page.headers["cache-control"], "no-cache");

        let id = ana.conversation(MODEL).await;
        let first = heard(&mut page, |_| true).await;
        assert!(session(&first[0], &id, "created"), "{first:?}");

        let said = ana.post(&format!("/sessions/{id}/messages"), json!({"prompt": "Of whales"})).await.ok(200);
        let run = said["run_id"].as_str().unwrap();
        let told = |state: &str| json!({"run_id": run, "run_kind": "answer", "session_id": id, "state": state});
        let events = heard(&mut page, |event| event.kind == "run" && event.data["state"] == "ended").await;
        let is_run = |event: &&Event| event.kind == "run";
        let runs: Vec<_> = events.iter().filter(is_run).map(|event| event.data.clone()).collect();
        assert_eq!(runs, [told("running"), told("ended")]);
        assert!(events.iter().any(|event| session(event, &id, "updated")), "{events:?}");
        // The hold, and then the settlement with what is left.
        let is_credits = |event: &&Event| event.kind == "credits";
        let credits: Vec<_> = events.iter().filter(is_credits).map(|event| event.data.clone()).collect();
        assert!(credits.len() >= 2, "{credits:?}");
        assert!(credits[0]["held"].as_f64().unwrap() > 0.0, "{credits:?}");
        let last = credits.last().unwrap();
        assert_eq!(last, &ana.get("/credits/balance").await.ok(200));

        ana.patch(&format!("/sessions/{id}"), json!({"title": "Whales"})).await.is(200);
        heard(&mut page, |event| session(event, &id, "updated")).await;
        let give = json!({"target_user_id": ana.id, "amount": 5});
        let given = admin.post("/credits/allocate", give).await.ok(200);
        let events = heard(&mut page, |event| event.kind == "credits").await;
        assert_eq!(events.last().unwrap().data["balance"], given["balance"]);
        ana.delete(&format!("/sessions/{id}")).await.is(200);
        heard(&mut page, |event| session(event, &id, "deleted")).await;

        // Ben has heard nothing of all that: the first he hears is his own.
        let his = ben.conversation(MODEL).await;
        let first = heard(&mut bens, |_| true).await;
        assert!(session(&first[0], &his, "created"), "{first:?}");
    }

    /// What is refused has not happened, so nobody hears of it.
    async fn what_does_not_happen_is_not_told(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let mut page = ana.changes().await;
        let path = format!("/sessions/{id}");
        ana.patch(&path, json!({"title": "x".repeat(10_000)})).await.problem(422, "validation_failed");
        ana.patch(&path, json!({"title": "Late", "version": 99})).await.problem(409, "conflict");
        ana.post(&format!("{path}/messages"), json!({"prompt": ""})).await.problem(422, "validation_failed");
        ana.patch(&path, json!({"title": "Whales"})).await.is(200);
        let first = heard(&mut page, |_| true).await;
        assert!(session(&first[0], &id, "updated"), "{first:?}");
    }

    /// The stream is the caller's as long as the session is.
    async fn it_ends_with_the_session(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        world.server.client().try_changes().await.unwrap_err().unwrap().problem(401, "not_authenticated");
        let mut page = ana.changes().await;
        ana.post("/auth/logout", json!({})).await.is(200);
        let begun = Instant::now();
        assert_eq!(page.next().await, None);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        ana.try_changes().await.unwrap_err().unwrap().problem(401, "token_revoked");
        ana.send(Method::POST, "/events", None).await.problem(405, "method_not_allowed");
    }

    /// An open page does not keep the server from stopping.
    async fn it_ends_when_the_server_stops(backend) {
        let mut world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let mut page = ana.changes().await;
        let begun = Instant::now();
        assert!(world.server.terminate().await.success());
        assert_eq!(page.next().await, None);
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    }
}
