//! Readers that are slow, many streams at once, and a stop in the middle of it.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use testkit::{Client, TestServer, on_both};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    bad_input::head,
    invariants,
    world::{MODEL, World, eventually, messages, truth},
};

/// A model of any prompt and answer, which costs next to nothing.
pub(crate) const WIDE: &str = "
[[models]]
id = \"wide\"
context_window = 10000000
input_price = 0.001
output_price = 0.001
deployments = [{ provider = \"upstream\" }]
";

/// Resident memory of the server, in KiB.
pub(crate) fn resident(server: &TestServer) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id()))
        .expect("a running process");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("VmRSS");
    line.split_whitespace()
        .next()
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

async fn is_over(client: &Client, run: &str) -> bool {
    client.get(&format!("/runs/{run}")).await.ok(200)["ended_at"].is_string()
}

on_both! {
    /// A reader that does not read slows nobody and costs no memory; when it
    /// reads at last, everything is there.
    async fn a_slow_reader_slows_nobody(backend) {
        let world = World::with(backend, |setup| {
            setup.add(WIDE);
        })
        .await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation("wide").await;
        world.say(&ana, &id, "Warm up !script tokens=2000").await;
        let before = resident(&world.server);
        let prompt = "!script tokens=60000 unicode";
        let mut slow = ana.stream(&format!("/sessions/{id}/messages/stream"), json!({"prompt": prompt})).await;
        let first = slow.next().await.expect("start");
        let run = first.data["run_id"].as_str().unwrap().to_owned();
        // It reads nothing more; the run ends all the same.
        let begun = Instant::now();
        while !is_over(&ana, &run).await {
            assert!(begun.elapsed() < Duration::from_secs(90), "the run waits for its reader");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let grown = resident(&world.server) - before;
        assert!(grown < 64 * 1024, "{grown} KiB more than before");
        let mut seen = testkit::Transcript::default();
        seen.push(first);
        while let Some(event) = slow.next().await {
            seen.push(event);
        }
        assert!(seen.is_complete());
        assert!(seen.text == truth(prompt), "the text is not the upstream's");
        invariants::hold(&world.server).await;
    }

    /// Forty streams at once, each with all of its own text and nothing of others.
    async fn many_streams_at_once(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let streams = (0..40).map(|n| {
            let client = ana.apart();
            async move {
                let id = client.conversation(MODEL).await;
                let words: String = (0..60).map(|at| format!("s{n}t{at} ")).collect();
                let prompt = format!("!script delay=5ms text={words}");
                let path = format!("/sessions/{id}/messages/stream");
                let whole = client.stream(&path, json!({"prompt": prompt})).await.whole().await;
                assert_eq!(whole.text, truth(&prompt));
                assert_eq!(whole.end()["message"]["content"], whole.text.as_str());
            }
        });
        join_all(streams).await;
        invariants::hold(&world.server).await;
    }

    /// More streams than an account may have open are refused, not queued.
    async fn open_streams_are_bounded(backend) {
        let world = World::with(backend, |setup| {
            setup.set("server.max_streams_per_account", 2);
        })
        .await;
        let ana = world.server.user("ana").await;
        let mut open = Vec::new();
        for _ in 0..2 {
            let id = ana.conversation(MODEL).await;
            let body = json!({"prompt": "!script tokens=2000 delay=20ms"});
            open.push((ana.stream(&format!("/sessions/{id}/stream"), body).await, id));
        }
        let id = ana.conversation(MODEL).await;
        // Open pages are another matter, and no answer is refused for them.
        let mut pages = Vec::new();
        for _ in 0..20 {
            pages.push(ana.changes().await);
        }
        let refused = ana.try_changes().await;
        refused.unwrap_err().unwrap().problem(429, "rate_limited");
        let refused = ana.try_stream(&format!("/sessions/{id}/stream"), json!({"prompt": "x"})).await;
        refused.unwrap_err().unwrap().problem(429, "rate_limited");
        for (mut stream, id) in open {
            ana.post(&format!("/sessions/{id}/stop"), json!({})).await.is(200);
            stream.rest().await;
        }
        eventually(|| async {
            let body = json!({"prompt": "x"});
            ana.try_stream(&format!("/sessions/{id}/stream"), body).await.is_ok()
        })
        .await;
    }

    /// SIGTERM: what ends in time ends well, the rest is interrupted, and
    /// nothing is lost or held.
    async fn a_stop_drains_and_then_interrupts(backend) {
        let mut world = World::with(backend, |setup| {
            setup.set("server.drain", "2s");
        })
        .await;
        let ana = world.server.user("ana").await;
        let (short, long) = (ana.conversation(MODEL).await, ana.conversation(MODEL).await);
        let short_prompt = "!script tokens=20 delay=40ms";
        let long_prompt = "!script tokens=5000 delay=20ms";
        let open = |id: &str, prompt: &str| {
            let (client, path, body) = (ana.apart(), format!("/sessions/{id}/stream"), json!({"prompt": prompt}));
            async move { client.stream(&path, body).await }
        };
        let (mut one, mut two) = (open(&short, short_prompt).await, open(&long, long_prompt).await);
        one.until("").await;
        two.until("").await;
        world.server.signal("TERM");
        let (one, two) = tokio::join!(one.rest(), two.rest());
        let end = &one.last().expect("the short one ends").data;
        assert_eq!(end["end_reason"], "stop", "{end}");
        let interrupted = two.last().expect("the long one ends");
        assert_eq!((interrupted.kind.as_str(), interrupted.data["end_reason"].as_str()), ("end", Some("interrupted")));
        assert!(two.iter().any(|event| event.kind == "error"), "{:?}", two.last());
        let status = world.server.exited(Duration::from_secs(20)).await.expect("it ends");
        assert!(status.success(), "{status}: {}", world.server.log());

        world.server.restart().await;
        assert_eq!(messages(&ana, &short).await[1]["content"], truth(short_prompt).as_str());
        let kept = messages(&ana, &long).await[1].clone();
        assert_eq!(kept["status"], "interrupted");
        assert_eq!(kept["content"], interrupted.data["message"]["content"]);
        assert!(truth(long_prompt).starts_with(kept["content"].as_str().unwrap()));
        world.say(&ana, &long, "And now?").await;
        invariants::hold(&world.server).await;
    }

    /// Connections on which nobody says anything, more than the process may open files: whoever is
    /// connected already is answered, and whoever comes waits for one of them to end.
    async fn idle_connections_take_no_files_from_answers(backend) {
        let world = World::with(backend, |setup| {
            // It may raise the soft limit: there is room for 300 less a quarter.
            setup.first("ulimit -S -n 100; ulimit -H -n 300").set("server.header_timeout", "10m");
        })
        .await;
        let server = &world.server;
        let url = server.client().url();
        let address = url.strip_prefix("http://").unwrap();
        // The first connections to the upstream, several at a time, and more to the database.
        let prompt = "Whales? !script tokens=8 first=200ms";
        let mut asking = Vec::new();
        for n in 0..6 {
            let user = server.user(&format!("user{n}")).await;
            let path = format!("/sessions/{}/messages", user.conversation(MODEL).await);
            let body = json!({"prompt": prompt}).to_string();
            let more = format!("Content-Length: {}\r\nConnection: close\r\n", body.len());
            let asked = head(&user, &path, user.tokens["access_token"].as_str().unwrap(), &more) + &body;
            // A connection that is surely the server's, not one that a client may replace by another.
            let mut line = TcpStream::connect(address).await.unwrap();
            line.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            line.read_exact(&mut [0; 12]).await.unwrap();
            asking.push((line, asked));
        }
        let mut idle = Vec::new();
        for _ in 0..280 {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let mut late = TcpStream::connect(address).await.unwrap();
        late.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let files = || std::fs::read_dir(format!("/proc/{}/fd", server.id())).expect("its files").count();
        eventually(|| async { files() >= 225 }).await;
        let answers = asking.iter_mut().map(|(line, asked)| async move {
            line.write_all(asked.as_bytes()).await.unwrap();
            let mut answer = String::new();
            line.read_to_string(&mut answer).await.map(|_| answer)
        });
        let answers = tokio::time::timeout(Duration::from_secs(60), join_all(answers)).await;
        for answer in answers.expect("answers") {
            let answer = answer.expect("an answer");
            assert!(answer.contains(&truth(prompt)), "{answer}");
        }
        let mut answer = [0; 12];
        let early = late.try_read(&mut answer);
        assert!(early.is_err(), "it was let in beside the others: {early:?}");
        drop(idle);
        late.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        let log = server.log();
        assert!(!log.contains("cannot accept connections"), "{log}");
        let warned = "server.max_connections is 10000, but there is room for 225";
        assert_eq!(log.matches(warned).count(), 1, "{log}");
        invariants::hold(server).await;
    }

    /// While it drains it takes no new work.
    async fn while_it_stops_it_takes_no_new_work(backend) {
        let mut world = World::with(backend, |setup| {
            setup.set("server.drain", "3s");
        })
        .await;
        let ana = world.server.user("ana").await;
        let (busy, other) = (ana.conversation(MODEL).await, ana.conversation(MODEL).await);
        let mut stream = ana.stream(&format!("/sessions/{busy}/stream"), json!({"prompt": "!script tokens=5000 delay=20ms"})).await;
        stream.until("").await;
        world.server.signal("TERM");
        eventually(|| async {
            let body = json!({"prompt": "x"}).to_string();
            let path = format!("/sessions/{other}/messages");
            match ana.apart().try_send(http::Method::POST, &path, Some(body.into())).await {
                Err(_) => true,
                Ok(answer) => answer.status == 503,
            }
        })
        .await;
        stream.rest().await;
        assert!(world.server.exited(Duration::from_secs(20)).await.expect("it ends").success());
    }
}
