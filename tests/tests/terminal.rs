//! `tertulia chat`: a conversation in the terminal, also over a line that is cut.

use std::{
    os::unix::fs::PermissionsExt,
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use testkit::{Client, User, on_both, output_of, tertulia};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::{
    invariants,
    world::{World, eventually, messages, truth},
};

fn chat(world: &World, url: &str, who: Option<&User>) -> Command {
    let mut command = tertulia(world.server.scratch());
    command.args(["chat", "--url", url]);
    if let Some(user) = who {
        command
            .env("TERTULIA_EMAIL", &user.email)
            .env("TERTULIA_PASSWORD", &user.password);
    }
    command
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

on_both! {
    async fn one_prompt_and_its_answer(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let prompt = "How do whales sleep? !script tokens=30 delay=5ms unicode";
        let mut command = chat(&world, &ana.url(), Some(&ana));
        command.args(["--once", prompt]);
        let output = output_of(command).await;
        let (out, err) = said(&output);
        assert!(output.status.success(), "{err}");
        assert_eq!(out.trim_end(), truth(prompt).trim_end());
        assert!(
            err.contains("credits") || err.contains("credit"),
            "what it cost: {err}"
        );
        // It is signed in from now on, by a file that is nobody else's.
        let file = world.server.scratch().join(".config/tertulia/credentials");
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(
            !std::fs::read_to_string(&file)
                .unwrap()
                .contains(&ana.password)
        );
        let mut command = chat(&world, &ana.url(), None);
        command.args(["--once", "Again"]);
        let output = output_of(command).await;
        assert!(output.status.success(), "{}", said(&output).1);
        // What goes wrong is one sentence and another exit status.
        let mut command = chat(&world, &ana.url(), None);
        command.args(["--once", "Again !script status=500"]);
        let output = output_of(command).await;
        assert!(!output.status.success());
        assert!(!said(&output).1.contains("panicked"), "{}", said(&output).1);
        let mut command = chat(&world, "http://127.0.0.1:9", None);
        command.args(["--once", "Again"]);
        assert!(!output_of(command).await.status.success());
        invariants::hold(&world.server).await;
    }

    async fn several_prompts_by_standard_input(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let mut command = chat(&world, &ana.url(), Some(&ana));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin
            .write_all(b"First !script text=Hello there\nSecond !script text=Good bye\n\n")
            .await
            .unwrap();
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        let (out, err) = said(&output);
        assert!(output.status.success(), "{err}");
        assert!(
            out.contains("Hello there") && out.contains("Good bye"),
            "{out}"
        );
        assert_eq!(
            ana.get("/sessions").await.ok(200)["meta"]["total"],
            1,
            "one conversation"
        );
        invariants::hold(&world.server).await;
    }
}

/// A line to wherever the server is: passes connections on, and cuts the first few event streams
/// after so many bytes.
async fn line(to: Client, cuts: Arc<AtomicU32>, after: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let url = to.url();
            let server = TcpStream::connect(url.strip_prefix("http://").unwrap()).await;
            // The server is away, and so nobody answers.
            let Ok(server) = server else { continue };
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
            let cuts = Arc::clone(&cuts);
            tokio::spawn(async move {
                let mut piece = [0; 64];
                let (mut seen, mut streamed) = (Vec::new(), 0);
                while let Ok(read @ 1..) = from_server.read(&mut piece).await {
                    seen.extend_from_slice(&piece[..read]);
                    if seen
                        .windows(17)
                        .any(|window| window == b"text/event-stream")
                    {
                        streamed += read;
                    }
                    let cut = |left: u32| left.checked_sub(1);
                    if streamed > after
                        && cuts
                            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, cut)
                            .is_ok()
                    {
                        return;
                    }
                    if to_client.write_all(&piece[..read]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    format!("http://{address}")
}

on_both! {
    async fn a_cut_line_loses_nothing(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let cuts = Arc::new(AtomicU32::new(3));
        let url = line(ana.client.clone(), Arc::clone(&cuts), 700).await;
        let prompt = "How do whales sleep? !script tokens=150 delay=8ms unicode";
        let mut command = chat(&world, &url, Some(&ana));
        command.args(["--once", prompt]);
        let output = output_of(command).await;
        let (out, err) = said(&output);
        assert!(output.status.success(), "{err}");
        assert_eq!(cuts.load(Ordering::SeqCst), 0, "it was cut");
        assert_eq!(out.trim_end(), truth(prompt).trim_end());
        assert_eq!(world.upstream.requests().len(), 1);
        invariants::hold(&world.server).await;
    }

    /// The prompt is there and its answer is being written, but the client has heard nothing of it.
    async fn a_line_cut_before_the_answer_begins_asks_nothing_twice(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let cuts = Arc::new(AtomicU32::new(2));
        let url = line(ana.client.clone(), Arc::clone(&cuts), 0).await;
        let prompt = "How do whales sleep? !script tokens=30 delay=5ms unicode";
        let mut command = chat(&world, &url, Some(&ana));
        command.args(["--once", prompt]);
        let output = output_of(command).await;
        let (out, err) = said(&output);
        assert!(output.status.success(), "{err}");
        assert!(err.contains("reconnecting"), "{err}");
        assert_eq!(cuts.load(Ordering::SeqCst), 0, "it was cut");
        assert_eq!(out.trim_end(), truth(prompt).trim_end());
        assert_eq!(world.upstream.requests().len(), 1);
        invariants::hold(&world.server).await;
    }

    /// A prompt that finds no server waits for it.
    async fn a_server_that_is_away_for_a_moment_is_waited_for(backend) {
        let mut world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let url = line(ana.client.clone(), Arc::default(), 0).await;
        let mut command = chat(&world, &url, Some(&ana));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let begun = || async { ana.get("/sessions").await.ok(200)["meta"]["total"] == 1 };
        eventually(begun).await;
        assert!(world.server.terminate().await.success());
        let prompt = "How do whales sleep? !script tokens=30 unicode";
        let mut stdin = child.stdin.take().unwrap();
        stdin
            .write_all(format!("{prompt}\n").as_bytes())
            .await
            .unwrap();
        drop(stdin);
        let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
        loop {
            let line = told.next_line().await.unwrap().expect("that it reconnects");
            if line.contains("reconnecting") {
                break;
            }
        }
        world.server.restart().await;
        let output = child.wait_with_output().await.unwrap();
        let (out, _) = said(&output);
        assert!(output.status.success(), "{out}");
        assert!(out.contains(truth(prompt).trim_end()), "{out}");
        let listed = ana.get("/sessions").await.ok(200);
        let stored = messages(&ana, listed["data"][0]["id"].as_str().unwrap()).await;
        assert_eq!(stored.len(), 2, "asked once: {stored:?}");
        invariants::hold(&world.server).await;
    }
}
