//! /runs: state, the event log resumed at every point and on another node, and
//! its end by hand.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::{Backend, Client, Event, TestServer, Transcript, on_both, run_on};

use crate::{
    invariants,
    world::{MODEL, World, eventually, messages, truth, without},
};

/// Reconnects after every event of a finished run, in both ways, and must get
/// exactly the rest each time.
async fn resume_everywhere(client: &Client, run: &str, events: &[Event]) {
    for cut in 0..=events.len() {
        let after = cut.checked_sub(1).map(|last| events[last].id.clone());
        let rest = client.events(run, after.as_deref()).await.rest().await;
        assert_eq!(rest, events[cut..], "after {after:?}");
    }
    let id = &events[events.len() / 2].id;
    let path = format!("/runs/{run}/events?after={id}");
    let text = client.get(&path).await.text();
    assert_eq!(
        text.matches("\nid: ").count(),
        events.len() - events.len() / 2 - 1
    );
}

on_both! {
    /// The log of a recorded stream, cut at every point: each time exactly the rest.
    async fn a_log_is_resumed_at_every_point(backend) {
        let mut world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let prompt = "!script tokens=30 delay=8ms unicode";
        let whole = ana.stream(&format!("/sessions/{id}/messages/stream"), json!({"prompt": prompt})).await.whole().await;
        assert!(whole.events.len() > 5);
        let run = whole.run().unwrap().to_owned();
        resume_everywhere(&ana, &run, &whole.events).await;
        // And again when nothing of it is in memory any more.
        world.server.restart().await;
        resume_everywhere(&ana, &run, &whole.events).await;
        for bad in ["x", "1", "1-", "-1", "1-2-3", "99999999999999999999-1", "1-x"] {
            let refused = ana.try_events(&run, Some(bad)).await.unwrap_err().unwrap();
            refused.problem(422, "validation_failed");
        }
        // An id that never was: the true text takes its place, then the end.
        let mut transcript = Transcript::default();
        let mut stream = ana.events(&run, Some("1-999999")).await;
        while let Some(event) = stream.next().await {
            if event.kind == "reset" {
                event.data["text"].as_str().unwrap().clone_into(&mut transcript.text);
            }
            transcript.events.push(event);
        }
        assert_eq!(transcript.text, truth(prompt));
        assert_eq!(transcript.count("end"), 1);
    }

    /// A client that loses its connection again and again while the answer is written.
    async fn a_growing_log_is_resumed_at_every_point(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let prompt = "!script tokens=80 delay=15ms";
        let path = format!("/sessions/{id}/messages/stream");
        let mut seen = Transcript::default();
        let mut stream = ana.stream(&path, json!({"prompt": prompt})).await;
        seen.push(stream.next().await.unwrap());
        let run = seen.run().unwrap().to_owned();
        let mut connections = 0;
        while !seen.is_complete() {
            connections += 1;
            // Three events, then the connection is dropped.
            for _ in 0..3 {
                let Some(event) = stream.next().await else { break };
                seen.push(event);
            }
            if !seen.is_complete() {
                stream = ana.events(&run, seen.last_id()).await;
            }
        }
        assert!(connections > 5, "{connections}");
        assert_eq!(seen.text, truth(prompt));
        invariants::hold(&world.server).await;
    }

    /// What a run tells of itself, before and after its end.
    async fn a_run_tells_its_state(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages/stream");
        let mut stream = ana.stream(&path, json!({"prompt": "!script tokens=500 delay=20ms"})).await;
        let start = stream.until("").await;
        let run = start[0].data["run_id"].as_str().unwrap().to_owned();
        let state = ana.get(&format!("/runs/{run}")).await.ok(200);
        assert!(["pending", "running"].contains(&state["state"].as_str().unwrap()), "{state}");
        assert_eq!(state["end_reason"], json!(null));
        assert!(ana.balance().await.1 > 0, "credits are held");
        assert_eq!(world.server.client().get("/health").await.ok(200)["active_jobs"], 1);

        ana.post(&format!("/runs/{run}/cancel"), json!({})).await.is(200);
        let events = stream.rest().await;
        assert_eq!(events.last().unwrap().data["end_reason"], "stopped");
        let state = ana.get(&format!("/runs/{run}")).await.ok(200);
        assert_eq!((state["state"].as_str(), state["end_reason"].as_str()), (Some("cancelled"), Some("stopped")));
        for field in ["usage", "created_at", "ended_at"] {
            assert!(!state[field].is_null(), "{field} in {state}");
        }
        world.upstream.wait_for(|request| request.aborted).await;
        // Once ended, it stays as it is.
        ana.post(&format!("/runs/{run}/cancel"), json!({})).await.is(200);
        assert_eq!(ana.get(&format!("/runs/{run}")).await.ok(200), state);
        assert_eq!(ana.balance().await.1, 0);
        for path in ["/runs/x", "/runs/0190f3a0-0000-7000-8000-000000000000"] {
            ana.get(path).await.problem(404, "not_found");
            ana.get(&format!("{path}/events")).await.problem(404, "not_found");
            ana.post(&format!("{path}/cancel"), json!({})).await.problem(404, "not_found");
        }
        let done = ana.post(&format!("/sessions/{id}/messages"), json!({"prompt": "Hi"})).await.ok(200);
        let state = ana.get(&format!("/runs/{}", done["run_id"].as_str().unwrap())).await.ok(200);
        assert_eq!((state["state"].as_str(), state["end_reason"].as_str()), (Some("succeeded"), Some("stop")));
        assert!(!state.to_string().contains(&world.upstream.url()), "providers' addresses are not told: {state}");
        invariants::hold(&world.server).await;
    }

    /// What was tried and which way was chosen is told for every end.
    async fn every_end_tells_what_was_tried(backend) {
        let mut world = World::with(backend, |setup| {
            setup.set("server.drain", "100ms");
        })
        .await;
        let ana = world.server.user("ana").await;
        let tried = async |run: &str, state: &str, outcome: &str, spoke: bool| {
            let path = format!("/runs/{run}");
            eventually(|| async { !ana.get(&path).await.ok(200)["ended_at"].is_null() }).await;
            let told = ana.get(&path).await.ok(200);
            assert_eq!((&told["state"], &told["routing"]), (&json!(state), &json!({"model": MODEL})), "{told}");
            let attempt = &told["attempts"][0];
            let expected = json!({"model": MODEL, "provider": "upstream", "deployment": MODEL, "outcome": outcome});
            assert_eq!(without(attempt.clone(), &["first_token_ms"]), expected, "{told}");
            assert_eq!(attempt["first_token_ms"].is_u64(), spoke, "{told}");
            assert_eq!(told["attempts"].as_array().unwrap().len(), 1);
        };
        let begin = async |script: &str| {
            let id = ana.conversation(MODEL).await;
            let prompt = json!({"prompt": format!("{id} !script {script}")});
            let mut stream = ana.stream(&format!("/sessions/{id}/messages/stream"), prompt).await;
            let run = stream.next().await.unwrap().data["run_id"].as_str().unwrap().to_owned();
            (id, run, stream)
        };
        for (script, state, outcome, spoke) in [
            ("tokens=3", "succeeded", "ok", true),
            ("status=500", "failed", "upstream", false),
            ("refuse", "failed", "cut", false),
            ("tokens=9 cut=3", "failed", "cut", true),
        ] {
            let (_, run, mut stream) = begin(script).await;
            stream.rest().await;
            tried(&run, state, outcome, spoke).await;
        }
        // Stopped while it speaks, and before its first word.
        let (_, run, mut stream) = begin("tokens=2000 delay=20ms").await;
        stream.until("").await;
        ana.post(&format!("/runs/{run}/cancel"), json!({})).await.is(200);
        tried(&run, "cancelled", "stopped", true).await;
        let (id, run, _) = begin("hang").await;
        world.upstream.wait_for(|request| request.prompt.contains(&id)).await;
        ana.post(&format!("/runs/{run}/cancel"), json!({})).await.is(200);
        tried(&run, "cancelled", "stopped", false).await;
        // The server stops, and the server dies.
        let (_, run, mut stream) = begin("tokens=2000 delay=20ms").await;
        stream.until("").await;
        world.server.restart().await;
        tried(&run, "failed", "interrupted", true).await;
        let (_, run, mut stream) = begin("tokens=2000 delay=20ms").await;
        stream.until("").await;
        // While it goes on, it tells so far; that is what the next start has of it.
        let path = format!("/runs/{run}");
        eventually(|| async { ana.get(&path).await.ok(200)["attempts"][0]["first_token_ms"].is_u64() }).await;
        world.server.kill9().await;
        world.server.restart().await;
        tried(&run, "failed", "interrupted", true).await;
        invariants::hold(&world.server).await;
    }

    /// Signing out reaches streams that are open, within five seconds; the answer goes on.
    async fn signing_out_ends_open_streams(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages/stream");
        let mut stream = ana.stream(&path, json!({"prompt": "!script tokens=600 delay=20ms"})).await;
        stream.until("").await;
        let begun = Instant::now();
        assert!(ana.post("/auth/logout", json!({})).await.status.is_success());
        let rest = stream.rest().await;
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert!(rest.iter().all(|event| event.kind.is_empty()), "{:?}", rest.last());
        // Another device sees that nothing else has happened to it.
        let ana = world.server.client().sign_in(&ana.email, &ana.password).await;
        ana.post(&format!("/sessions/{id}/stop"), json!({})).await.is(200);
        eventually(|| async { ana.balance().await.1 == 0 }).await;
        invariants::hold(&world.server).await;
    }

    /// A deleted conversation ends its answer; nothing stays held.
    async fn deleting_a_conversation_ends_its_answer(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages/stream");
        let mut stream = ana.stream(&path, json!({"prompt": "!script tokens=2000 delay=20ms"})).await;
        stream.until("").await;
        ana.delete(&format!("/sessions/{id}")).await.is(200);
        stream.rest().await;
        eventually(|| async { ana.balance().await.1 == 0 }).await;
        ana.get(&format!("/sessions/{id}")).await.problem(404, "not_found");
        world.upstream.wait_for(|request| request.aborted).await;
        invariants::ledger(world.server.database()).await;
        invariants::runs(world.server.database()).await;
    }

    /// With a conversation its runs are gone for their owner, a finished one and one at work; the
    /// streams that follow it end. What was used stays in the books.
    async fn the_runs_of_a_deleted_conversation_are_not_found(backend) {
        let mut world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages");
        let done = ana.post(&path, json!({"prompt": "A secret"})).await.ok(200);
        let done = done["run_id"].as_str().unwrap().to_owned();
        let used = ana.get("/usage/stats").await.ok(200)["totals"].clone();
        let prompt = "!script tokens=2000 delay=20ms";
        let mut stream = ana.stream(&format!("{path}/stream"), json!({"prompt": prompt})).await;
        let run = stream.until("").await[0].data["run_id"].as_str().unwrap().to_owned();
        let mut second = ana.events(&run, None).await;
        second.until("").await;
        ana.delete(&format!("/sessions/{id}")).await.is(200);
        let gone = async |ana: &Client| {
            for run in [&done, &run] {
                let path = format!("/runs/{run}");
                ana.get(&path).await.problem(404, "not_found");
                ana.get(&format!("{path}/events")).await.problem(404, "not_found");
                ana.get(&format!("{path}/events?after=1-1")).await.problem(404, "not_found");
                ana.post(&format!("{path}/cancel"), json!({})).await.problem(404, "not_found");
            }
        };
        gone(&ana).await;
        for open in [&mut stream, &mut second] {
            let rest = tokio::time::timeout(Duration::from_secs(5), open.rest()).await.expect("it ends");
            assert_eq!(rest.last().unwrap().data["end_reason"], "stopped");
        }
        eventually(|| async { ana.balance().await.1 == 0 }).await;
        gone(&ana).await;
        let totals = ana.get("/usage/stats").await.ok(200)["totals"].clone();
        assert_eq!(totals["requests"], 2);
        assert!(totals["completion_tokens"].as_i64() > used["completion_tokens"].as_i64(), "{totals}");
        world.server.restart().await;
        gone(&ana).await;
        invariants::ledger(world.server.database()).await;
        invariants::runs(world.server.database()).await;
    }
}

/// Two nodes share a PostgreSQL: the log of a run is read, resumed and ended on
/// the one that does not work on it.
#[test]
fn another_node_reads_resumes_and_cancels() {
    run_on(Backend::Postgres, |backend| async move {
        let world = World::start(backend).await;
        let other: TestServer = world.server.another(|_| {}).await;
        let ana = world.server.user("ana").await;
        let there = ana.at(&other.client());
        there.get("/auth/me").await.is(200);
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages/stream");
        let prompt = "!script tokens=60 delay=15ms";
        let mut stream = ana.stream(&path, json!({"prompt": prompt})).await;
        let mut seen = Transcript::default();
        for event in stream.until("").await {
            seen.push(event);
        }
        let run = seen.run().unwrap().to_owned();
        drop(stream);
        // The other node goes on where the first one stopped.
        let mut elsewhere = there.events(&run, seen.last_id()).await;
        while let Some(event) = elsewhere.next().await {
            seen.push(event);
        }
        assert_eq!(seen.text, truth(prompt));
        resume_everywhere(&there, &run, &seen.events).await;
        assert_eq!(messages(&there, &id).await.len(), 2);

        // A conversation that is busy here is busy there; stopping there stops here.
        let mut stream = ana
            .stream(&path, json!({"prompt": "!script tokens=2000 delay=20ms"}))
            .await;
        stream.until("").await;
        there
            .post(&format!("/sessions/{id}/messages"), json!({"prompt": "x"}))
            .await
            .problem(409, "conversation_busy");
        there
            .post(&format!("/sessions/{id}/stop"), json!({}))
            .await
            .is(200);
        let stopped = tokio::time::timeout(Duration::from_secs(5), stream.rest())
            .await
            .expect("it stops");
        assert_eq!(stopped.last().unwrap().data["end_reason"], "stopped");
        // Signing out on one node is signing out everywhere.
        ana.post("/auth/logout", json!({})).await;
        eventually(|| async { there.get("/auth/me").await.status == 401 }).await;
        invariants::hold(&world.server).await;
    });
}
