//! `tertulia chat`: a conversation in the terminal, also over a line that is cut.

use std::{
    os::unix::fs::PermissionsExt,
    process::{Command, ExitStatus, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use serde_json::Value as Json;
use testkit::{Backend, Client, User, on_both, output_of, run, tertulia};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdin, ChildStdout},
};

use crate::{
    invariants,
    world::{MODEL, World, eventually, messages, truth},
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

/// The tokens that terminals keep of a server, the last sign-in first.
fn kept(world: &World, url: &str) -> Vec<Json> {
    let file = world.server.scratch().join(".config/tertulia/credentials");
    let kept: Json = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    kept[url].as_array().unwrap().clone()
}

/// Waits until the kept access tokens are too old, and has the server give longer ones from now on, so that no test depends
/// on how fast it is.
async fn let_tokens_expire(world: &mut World, url: &str) {
    let client = world.server.client();
    let expired = || async {
        let mut kept = kept(world, url).into_iter();
        let token = kept.next().unwrap()["access_token"].clone();
        let client = client.with_token(token.as_str().unwrap());
        client.get("/auth/me").await.status == 401
    };
    eventually(expired).await;
    world.server.reconfigure(|setup| {
        setup.set("security.access_ttl", "15m");
    });
    world.server.restart().await;
}

/// A world in which tokens expire soon and a used refresh token is good for nothing, and a line to it that outlives restarts.
async fn short_lived() -> (World, String) {
    let world = World::with(Backend::Sqlite, |setup| {
        setup
            .set("security.access_ttl", "3s")
            .set("security.refresh_grace", "0s");
    })
    .await;
    let url = line(world.server.client(), Arc::default(), 0).await;
    (world, url)
}

/// `tertulia chat` that is given a prompt now and then.
struct Conversation {
    child: Child,
    stdin: ChildStdin,
    lines: tokio::io::Lines<BufReader<ChildStdout>>,
}

impl Conversation {
    fn start(command: Command) -> Self {
        let mut command = tokio::process::Command::from(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            stdin,
            lines,
        }
    }

    /// Asks, and answers all that is said up to the line in brackets.
    async fn ask(&mut self, prompt: &str) -> String {
        let prompt = format!("{prompt}\n");
        self.stdin.write_all(prompt.as_bytes()).await.unwrap();
        let mut said = String::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            said += &line;
            if line.starts_with('[') {
                break;
            }
        }
        said
    }

    async fn end(mut self) -> ExitStatus {
        drop(self.stdin);
        self.child.wait().await.unwrap()
    }
}

#[test]
fn two_terminals_do_not_sign_each_other_out() {
    run(async {
        let (mut world, url) = short_lived().await;
        let ana = world.server.user("ana").await;
        let mut one = Conversation::start(chat(&world, &url, Some(&ana)));
        let prompt = "!script text=Hello there";
        let said = one.ask(prompt).await;
        assert!(said.contains("Hello there"), "{said}");
        let mut other = Conversation::start(chat(&world, &url, None));
        let said = other.ask(prompt).await;
        assert!(said.contains("Hello there"), "{said}");
        let_tokens_expire(&mut world, &url).await;
        // The first to find it takes new tokens, which the other finds in the file.
        for _ in 0..2 {
            for terminal in [&mut one, &mut other] {
                let said = terminal.ask(prompt).await;
                assert!(said.contains("Hello there"), "{said}");
            }
        }
        assert!(one.end().await.success());
        assert!(other.end().await.success());
        invariants::hold(&world.server).await;
    });
}

/// Those of cron, say, all at the full hour.
#[test]
fn terminals_that_need_new_tokens_at_the_same_time_take_them_in_turn() {
    run(async {
        let (mut world, url) = short_lived().await;
        let ana = world.server.user("ana").await;
        let once = |who: Option<&User>| {
            let mut command = chat(&world, &url, who);
            command.args(["--once", "!script text=Hello there"]);
            output_of(command)
        };
        let output = once(Some(&ana)).await;
        assert!(output.status.success(), "{}", said(&output).1);
        let commands: Vec<_> = (0..6).map(|_| once(None)).collect();
        let_tokens_expire(&mut world, &url).await;
        for output in futures_util::future::join_all(commands).await {
            let (out, err) = said(&output);
            assert!(
                output.status.success() && out.contains("Hello there"),
                "{err}"
            );
        }
        assert_eq!(kept(&world, &url).len(), 1);
        invariants::hold(&world.server).await;
    });
}

/// Whoever is named asks and pays, whoever else is signed in.
#[test]
fn the_email_that_is_given_is_the_one_that_asks() {
    run(async {
        let world = World::start(Backend::Sqlite).await;
        let (ana, bob) = (
            world.server.user("ana").await,
            world.server.user("bob").await,
        );
        let asked = || async {
            let count = |user: &User| {
                let user = user.client.clone();
                async move { user.get("/sessions").await.ok(200)["meta"]["total"].as_i64() }
            };
            (count(&ana).await.unwrap(), count(&bob).await.unwrap())
        };
        let once = |args: &[&str], password: Option<&str>| {
            let mut command = chat(&world, &ana.url(), None);
            command.args(["--once", "Hello"]).args(args);
            if let Some(password) = password {
                command.env("TERTULIA_PASSWORD", password);
            }
            output_of(command)
        };
        let shouted = format!(" {} ", ana.email.to_uppercase());
        let (ana_s, bob_s) = (ana.password.as_str(), bob.password.as_str());
        for (args, password, succeeds, asks) in [
            (&["--email", &ana.email][..], Some(ana_s), true, (1, 0)),
            // Nobody's word is taken for it, and nobody else pays.
            (&["--email", &bob.email], Some("wrong horse"), false, (1, 0)),
            (&["--email", &bob.email], None, false, (1, 0)),
            (
                &["--email", "nobody@example.org"],
                Some(ana_s),
                false,
                (1, 0),
            ),
            (&[], None, true, (2, 0)),
            (&["--email", &bob.email], Some(bob_s), true, (2, 1)),
            // The last one to sign in; the other is still signed in as well.
            (&["--email", ""], None, true, (2, 2)),
            (&["--email", &shouted], None, true, (3, 2)),
            (&["--email", &bob.email], None, true, (3, 3)),
        ] {
            let output = once(args, password).await;
            let (_, err) = said(&output);
            assert_eq!(output.status.success(), succeeds, "{args:?}: {err}");
            assert_eq!(asked().await, asks, "{args:?}: {err}");
        }
        invariants::hold(&world.server).await;
    });
}

/// A model that turns texts into vectors is none to talk to.
#[test]
fn only_models_that_answer_are_offered() {
    run(async {
        let model = |id: &str, kind: &str| {
            format!(
                "[[models]]\nid = \"{id}\"\nkind = \"{kind}\"\ncontext_window = 8192\ninput_price = 1\n\
                 output_price = 2\ndeployments = [{{ provider = \"upstream\" }}]\n"
            )
        };
        let models = model("vectors", "embedding") + &model(MODEL, "chat");
        let world = World::with(Backend::Sqlite, |setup| {
            let table: toml::Table = models.parse().unwrap();
            setup.set("models", table["models"].clone());
        })
        .await;
        let ana = world.server.user("ana").await;
        let listed = ana.get("/models").await.ok(200);
        assert_eq!(listed["data"][0]["id"], "vectors", "{listed}");
        let mut command = chat(&world, &ana.url(), Some(&ana));
        command.args(["--once", "!script text=Hello there"]);
        let output = output_of(command).await;
        let (out, err) = said(&output);
        assert!(
            output.status.success() && out.contains("Hello there"),
            "{err}"
        );
    });
}

/// `tertulia chat --once ... | head -c 5`
#[test]
fn a_reader_that_goes_ends_it_quietly() {
    run(async {
        let world = World::start(Backend::Sqlite).await;
        let ana = world.server.user("ana").await;
        for args in [&["--once", "Hello !script tokens=30"][..], &[]] {
            let mut command = chat(&world, &ana.url(), Some(&ana));
            command.args(args);
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            command
                .stdin(Stdio::piped())
                .stdout(writer)
                .stderr(Stdio::piped());
            let mut command = tokio::process::Command::from(command);
            let mut child = command.kill_on_drop(true).spawn().unwrap();
            let mut stdin = child.stdin.take().unwrap();
            let _ = stdin.write_all(b"Hello !script tokens=30\n").await;
            let output = child.wait_with_output().await.unwrap();
            // As the signal would have ended it (128 + 13).
            let err = said(&output).1;
            assert_eq!(output.status.code(), Some(141), "{args:?}: {err}");
            assert_eq!(err, "", "{args:?}");
            drop(stdin);
        }
        // Nor does it matter that nobody reads what goes wrong.
        let mut command = chat(&world, "http://127.0.0.1:9", None);
        command.args(["--once", "Hello"]);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = tokio::process::Command::from(command);
        let status = command.stderr(writer).status().await.unwrap();
        assert_eq!(status.code(), Some(1));
    });
}
