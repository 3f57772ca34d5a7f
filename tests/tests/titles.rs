//! `chat.titles = "model"`: a title as a run of its own, what it costs, and what happens to it when
//! something goes wrong.

use serde_json::{Value as Json, json};
use testkit::{Backend, Client, EventStream, Fault, Started, User, micros, on_both};

use crate::{
    credits::ledger,
    invariants,
    world::{GRANT, MODEL, World, eventually, messages},
};

async fn world(backend: Backend) -> World {
    World::with(backend, |setup| {
        setup
            .set("chat.titles", "model")
            .set("server.drain", "200ms");
    })
    .await
}

/// A prompt whose answer makes the upstream do this when it is asked for a title: of the prompt only the
/// beginning is shown to the model then, which has no script.
fn prompt(title: &str) -> String {
    let long = "and then ".repeat(150);
    format!("Tell me of whales {long}!script text=Well !script {title}")
}

/// Sends a prompt; answers the conversation and what was answered.
async fn ask(who: &Client, prompt: &str) -> (String, Json) {
    let id = who.conversation(MODEL).await;
    let path = format!("/sessions/{id}/messages");
    let answer = who.post(&path, json!({"prompt": prompt})).await.ok(200);
    (id, answer)
}

/// The next title run that ends.
async fn ended(changes: &mut EventStream) -> String {
    loop {
        let event = changes.next().await.expect("a title run");
        if event.kind == "run"
            && event.data["run_kind"] == "title"
            && event.data["state"] == "ended"
        {
            return event.data["run_id"].as_str().unwrap().to_owned();
        }
    }
}

async fn title_of(who: &Client, id: &str) -> (String, String) {
    let conversation = who.get(&format!("/sessions/{id}")).await.ok(200);
    let text = |name: &str| conversation[name].as_str().unwrap().to_owned();
    (text("title"), text("title_source"))
}

async fn new_user(world: &World) -> (User, EventStream) {
    let ana = world.server.user("ana").await;
    let changes = ana.changes().await;
    (ana, changes)
}

on_both! {
    async fn a_model_gives_the_title_and_is_paid_for_it(backend) {
        let mut world = world(backend).await;
        let (ana, mut changes) = new_user(&world).await;
        let (id, answer) = ask(&ana, "How do whales sleep? !script text=Whales Asleep").await;
        let run = ended(&mut changes).await;
        assert_eq!(title_of(&ana, &id).await, ("Whales Asleep".into(), "model".into()));

        // A run like any other, with its log, its entries in the ledger and in the statistics.
        let shown = ana.get(&format!("/runs/{run}")).await.ok(200);
        assert_eq!((&shown["kind"], &shown["state"]), (&json!("title"), &json!("succeeded")), "{shown}");
        assert_eq!(shown["subject_id"], id.as_str());
        let seen = ana.events(&run, None).await.whole().await;
        assert_eq!((seen.text.as_str(), seen.run()), ("Whales Asleep", Some(run.as_str())));
        let end = seen.end();
        assert_eq!((&end["title"], &end["end_reason"]), (&json!("Whales Asleep"), &json!("stop")));
        let charged = micros(&end["credits"]["charged"]);
        let usage = |name: &str| end["usage"][name].as_i64().unwrap();
        assert_eq!(charged, usage("prompt_tokens") * 1_000 + usage("completion_tokens") * 2_000);
        let spent = micros(&answer["credits"]["charged"]) + charged;
        assert_eq!(ana.balance().await, (GRANT - spent, 0));
        let entries = ana.get("/credits/ledger?per_page=100").await.ok(200);
        let of_run = entries["data"].as_array().unwrap().iter().filter(|entry| entry["run_id"] == run.as_str());
        let mut kinds: Vec<_> = of_run.map(|entry| entry["kind"].as_str().unwrap()).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, ["hold", "release", "settle"]);
        ledger(&ana).await;
        let stats = ana.get("/usage/stats").await.ok(200);
        assert_eq!(stats["totals"]["requests"], 2);
        assert_eq!(micros(&stats["totals"]["credits"]), spent);

        // It asked briefly, and asks once: not after the next answer, nor after another one to the first prompt.
        let asked: Json = serde_json::from_str(&world.upstream.requests()[1].body).unwrap();
        assert_eq!(asked["temperature"].as_f64(), Some(0.0), "{asked}");
        assert_eq!(asked["max_tokens"].as_u64().or(asked["max_completion_tokens"].as_u64()), Some(32), "{asked}");
        world.say(&ana, &id, "And fish? !script tokens=3").await;
        let first = messages(&ana, &id).await[0]["id"].as_str().unwrap().to_owned();
        ana.post(&format!("/sessions/{id}/messages/{first}/regenerate"), json!({})).await.is(200);
        assert!(world.server.terminate().await.success());
        assert_eq!(world.upstream.requests().len(), 4);
        invariants::hold(&world.server).await;
    }

    async fn the_title_that_a_person_gives_wins(backend) {
        let mut world = world(backend).await;
        let (ana, mut changes) = new_user(&world).await;
        let mine = json!({"title": "Mine"});
        // Given while the model thinks of one: that one is not taken, nor paid.
        let (id, answer) = ask(&ana, &prompt("first=1s text=Whales Asleep")).await;
        world.upstream.wait_for(|request| request.prompt.ends_with("Title:")).await;
        ana.patch(&format!("/sessions/{id}"), mine.clone()).await.is(200);
        let run = ended(&mut changes).await;
        assert_eq!(title_of(&ana, &id).await, ("Mine".into(), "person".into()));
        let end = ana.events(&run, None).await.whole().await.end().clone();
        assert_eq!((&end["title"], &end["usage"], &end["credits"]["charged"]), (&Json::Null, &Json::Null, &json!(0)));
        assert_eq!(ana.balance().await, (GRANT - micros(&answer["credits"]["charged"]), 0));
        // Given before the answer's end: no model is asked.
        let id = ana.conversation(MODEL).await;
        let body = json!({"prompt": "Go on !script tokens=40 delay=20ms"});
        let mut stream = ana.stream(&format!("/sessions/{id}/stream"), body).await;
        stream.next().await.expect("it has begun");
        ana.patch(&format!("/sessions/{id}"), mine).await.is(200);
        while stream.next().await.is_some() {}
        assert!(world.server.terminate().await.success());
        assert_eq!(world.upstream.requests().len(), 3);
        invariants::hold(&world.server).await;
    }

    /// The title from the first prompt stays, and the user pays nothing for what came of it.
    async fn whatever_goes_wrong_the_first_title_stays(backend) {
        let mut world = world(backend).await;
        let (ana, mut changes) = new_user(&world).await;
        let mut spent = 0;
        for (script, end_reason) in [
            ("status=500", "error"),
            ("cut=2", "error"),
            ("text=<think> hm", "stop"),
            ("tokens=200", "length"),
            ("tokens=0", "stop"),
            ("hang", "stopped"),
        ] {
            let (id, answer) = ask(&ana, &prompt(script)).await;
            spent += micros(&answer["credits"]["charged"]);
            if script == "hang" {
                let begun = || async { world.server.database().rows(ALIVE).await.len() == 1 };
                eventually(begun).await;
                let run = world.server.database().rows(ALIVE).await[0]["id"].as_str().unwrap().to_owned();
                // It is no answer that keeps the conversation busy.
                let conversation = ana.get(&format!("/sessions/{id}")).await.ok(200);
                assert!(conversation["active_run"].is_null(), "{conversation}");
                ana.post(&format!("/runs/{run}/cancel"), json!({})).await.is(200);
            }
            let run = ended(&mut changes).await;
            let (title, source) = title_of(&ana, &id).await;
            assert!(title.starts_with("Tell me of whales"), "{script}: {title}");
            assert_eq!(source, "heuristic", "{script}");
            let shown = ana.get(&format!("/runs/{run}")).await.ok(200);
            assert_eq!(shown["end_reason"], end_reason, "{script}: {shown}");
            assert_eq!(ana.balance().await, (GRANT - spent, 0), "{script}");
            // Nor is it asked for again after the next answer.
            let again = json!({"prompt": "Go on !script tokens=2"});
            let answer = ana.post(&format!("/sessions/{id}/messages"), again).await.ok(200);
            spent += micros(&answer["credits"]["charged"]);
        }
        // A server that stops does not wait for it longer than for anything else.
        let (id, _) = ask(&ana, &prompt("hang")).await;
        world.upstream.wait_for(|request| request.number == 20).await;
        assert!(world.server.terminate().await.success());
        assert_eq!(world.upstream.requests().len(), 20);
        world.server.restart().await;
        assert_eq!(title_of(&ana, &id).await.1, "heuristic");
        ledger(&ana).await;
        invariants::hold(&world.server).await;
    }

    /// A model that thinks before it speaks has said nothing after the few tokens of a title.
    async fn a_model_that_thinks_first_is_not_asked(backend) {
        let mut world = World::with(backend, |setup| {
            setup.set("chat.titles", "model").add(
                "[[models]]\nid = \"thinker\"\ncontext_window = 8192\ninput_price = 1\noutput_price = 2\n\
                 hidden_reasoning = true\ndeployments = [{provider = \"upstream\"}]",
            );
        })
        .await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation("thinker").await;
        let body = json!({"prompt": "Hi !script tokens=3", "max_tokens": 20});
        ana.post(&format!("/sessions/{id}/messages"), body).await.is(200);
        assert!(world.server.terminate().await.success());
        assert_eq!(world.upstream.requests().len(), 1);
        invariants::hold(&world.server).await;
    }

    async fn without_credits_for_it_no_title_is_asked_for(backend) {
        let mut world = World::with(backend, |setup| {
            // Enough for the answer, which takes nearly all of it.
            setup.set("chat.titles", "model").set("accounting.signup_grant", 0.05);
        })
        .await;
        let ana = world.server.user("ana").await;
        let (id, _) = ask(&ana, "Hi !script tokens=8").await;
        assert!(world.server.terminate().await.success());
        assert_eq!(world.upstream.requests().len(), 1);
        assert_eq!(world.server.database().rows("SELECT id FROM runs").await.len(), 1);
        world.server.restart().await;
        assert_eq!(title_of(&ana, &id).await, ("Hi !script tokens=8".into(), "heuristic".into()));
        invariants::hold(&world.server).await;
    }

    /// Killed wherever a title run can be, it is settled and forgotten.
    async fn a_killed_title_run_is_settled_and_forgotten(backend) {
        let mut world = world(backend).await;
        let (ana, _) = new_user(&world).await;
        // The answer reaches each of them first.
        for point in [
            "accounting.hold.inside",
            "runs.execute.started",
            "accounting.settle.inside",
            "runs.finish.before",
            "runs.finish.inside",
            "runs.finish.after",
        ] {
            assert!(world.server.terminate().await.success());
            let fault = Fault { point, count: 2 };
            assert!(matches!(world.server.launch(Some(fault)).await, Started::Listening));
            let id = ana.conversation(MODEL).await;
            // Its answer may be cut off with everything else.
            let path = format!("/sessions/{id}/messages");
            let body = json!({"prompt": "How do whales sleep? !script text=Whales Asleep"}).to_string();
            let _ = ana.try_send(http::Method::POST, &path, Some(body.into())).await;
            let died = world.server.exited(std::time::Duration::from_secs(30)).await;
            assert!(died.is_some(), "{point} was never reached");
            world.server.restart().await;
            eventually(|| async { world.server.database().rows(ALIVE).await.is_empty() }).await;
            let stored = messages(&ana, &id).await;
            assert_eq!((stored.len(), &stored[1]["content"]), (2, &json!("Whales Asleep")), "{point}");
            let wanted = if point == "runs.finish.after" { "model" } else { "heuristic" };
            assert_eq!(title_of(&ana, &id).await.1, wanted, "{point}");
            assert_eq!(ana.balance().await.1, 0, "{point}");
            ledger(&ana).await;
            invariants::hold(&world.server).await;
            world.say(&ana, &id, "Thank you !script tokens=2").await;
        }
    }
}

const ALIVE: &str = "SELECT id FROM runs WHERE state IN ('pending', 'queued', 'running', 'paused')";
