//! What event streams carry beside the text: comments that keep proxies awake,
//! what was used, and how an answer ended that a crash has cut.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::{Transcript, on_both};

use crate::{
    invariants,
    world::{MODEL, World, messages, truth},
};

on_both! {
    /// `streams.heartbeat`: comments while nothing happens, on every event stream.
    async fn comments_fill_the_silence(backend) {
        let world = World::with(backend, |setup| {
            setup.set("streams.heartbeat", "100ms");
        })
        .await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let prompt = json!({"prompt": "!script tokens=9 stall=4"});
        let mut asked = ana.stream(&format!("/sessions/{id}/messages/stream"), prompt).await;
        let start = asked.next().await.expect("start");
        let mut resumed = ana.events(start.data["run_id"].as_str().unwrap(), None).await;
        let mut page = ana.changes().await;
        let begun = Instant::now();
        for stream in [&mut asked, &mut resumed, &mut page] {
            for _ in 0..3 {
                stream.comment().await;
            }
        }
        // The third of those that come without the setting would be later.
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        ana.post(&format!("/sessions/{id}/stop"), json!({})).await.is(200);
        for stream in [&mut asked, &mut resumed] {
            let rest = stream.rest().await;
            assert_eq!(rest.last().expect("an end").data["end_reason"], "stopped");
        }
        invariants::hold(&world.server).await;
    }

    /// One `usage` event right before the end: what the provider reports, else what was counted.
    async fn usage_is_told_before_the_end(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages/stream");
        for (script, tokens) in [("tokens=12", Some(12)), ("tokens=12 usage=none", None), ("tokens=12 usage=zero", None)] {
            let prompt = json!({"prompt": format!("Whales? !script {script}")});
            let seen = ana.stream(&path, prompt).await.whole().await;
            assert_eq!((seen.count("usage"), seen.count("error")), (1, 0), "{script}");
            let usage = &seen.events[seen.events.len() - 2];
            assert_eq!(usage.kind, "usage", "{script}: {usage:?}");
            assert_eq!(usage.data, seen.end()["usage"], "{script}");
            let told = |name: &str| usage.data[name].as_u64().unwrap_or_else(|| panic!("{name} in {usage:?}"));
            match tokens {
                Some(tokens) => {
                    let sent = world.upstream.requests()[0].prompt_tokens;
                    assert_eq!((told("prompt_tokens"), told("completion_tokens")), (sent, tokens));
                }
                None => assert!(told("prompt_tokens") > 0 && told("completion_tokens") > 0, "{script}: {usage:?}"),
            }
        }
        // What is not kept was not used.
        let failed = ana.stream(&path, json!({"prompt": "!script tokens=20 cut=5"})).await.whole().await;
        assert_eq!((failed.count("usage"), failed.count("error")), (0, 1));
        assert_eq!(failed.end()["usage"], json!(null));
        invariants::hold(&world.server).await;
    }

    /// After a crash in the middle of an answer: whoever comes back reads what there was, then
    /// `usage`, `error` and `end`, and so does whoever reads it all for the first time.
    async fn a_crash_ends_an_answer_with_an_error(backend) {
        let mut world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let prompt = "!script tokens=3000 delay=10ms";
        let mut stream = ana.stream(&format!("/sessions/{id}/messages/stream"), json!({"prompt": prompt})).await;
        let mut seen = Transcript::default();
        while seen.text.len() < 200 {
            seen.push(stream.next().await.expect("an event"));
        }
        let run = seen.run().unwrap().to_owned();
        world.server.kill9().await;
        while let Some(event) = stream.next().await {
            seen.push(event);
        }
        assert!(!seen.is_complete(), "it was cut");
        let read = seen.events.len();
        world.server.restart().await;
        let mut stream = ana.events(&run, seen.last_id()).await;
        while let Some(event) = stream.next().await {
            seen.push(event);
        }
        let anew = ana.events(&run, None).await.whole().await;
        assert_eq!((anew.text.as_str(), anew.end()), (seen.text.as_str(), seen.end()));
        assert_eq!(anew.count("reset"), 0, "nothing was lost for whoever had nothing");
        for (transcript, from) in [(&seen, read), (&anew, 1)] {
            let kinds = transcript.events[from..].iter().map(|event| event.kind.as_str());
            let kinds: Vec<&str> = kinds.filter(|kind| !["", "reset"].contains(kind)).collect();
            assert_eq!(kinds, ["usage", "error", "end"]);
            let error = &transcript.events[transcript.events.len() - 2].data;
            assert_eq!(error["code"], "interrupted");
            assert!(error["detail"].as_str().unwrap().contains("stopped"), "{error}");
            assert_eq!(error["error"], error["detail"]);
            assert_eq!(transcript.end()["end_reason"], "interrupted");
        }
        // What was written is kept, and no more than that was ever said.
        assert!(truth(prompt).starts_with(&seen.text) && !seen.text.is_empty());
        let kept = messages(&ana, &id).await[1].clone();
        assert_eq!((&kept["content"], &kept["status"]), (&json!(seen.text), &json!("interrupted")));
        assert_eq!(seen.end()["message"]["content"], kept["content"]);
        world.say(&ana, &id, "And now?").await;
        invariants::hold(&world.server).await;
    }
}
