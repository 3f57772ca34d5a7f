//! `tertulia chat`: a conversation in the terminal, also over a line that is cut.

use std::{
    os::unix::fs::PermissionsExt,
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use testkit::{Backend, User, output_of, run, tertulia};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    invariants,
    world::{World, truth},
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

#[test]
fn one_prompt_and_its_answer() {
    run(async {
        let world = World::start(Backend::Sqlite).await;
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
    });
}

#[test]
fn several_prompts_by_standard_input() {
    run(async {
        let world = World::start(Backend::Sqlite).await;
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
    });
}

/// Passes connections on, and cuts the first few event streams after so many bytes.
async fn cutting(to: String, cuts: Arc<AtomicU32>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&to).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
            let cuts = Arc::clone(&cuts);
            tokio::spawn(async move {
                let mut piece = [0; 64];
                let (mut seen, mut streamed) = (Vec::new(), 0);
                while let Ok(read @ 1..) = from_server.read(&mut piece).await {
                    if to_client.write_all(&piece[..read]).await.is_err() {
                        return;
                    }
                    seen.extend_from_slice(&piece[..read]);
                    if seen
                        .windows(17)
                        .any(|window| window == b"text/event-stream")
                    {
                        streamed += read;
                    }
                    let cut = |left: u32| left.checked_sub(1);
                    if streamed > 700
                        && cuts
                            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, cut)
                            .is_ok()
                    {
                        return;
                    }
                }
            });
        }
    });
    format!("http://{address}")
}

#[test]
fn a_cut_line_loses_nothing() {
    run(async {
        let world = World::start(Backend::Sqlite).await;
        let ana = world.server.user("ana").await;
        let cuts = Arc::new(AtomicU32::new(3));
        let to = ana.url().strip_prefix("http://").unwrap().to_owned();
        let url = cutting(to, Arc::clone(&cuts)).await;
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
    });
}
