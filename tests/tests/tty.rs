//! `tertulia chat` with a person at a terminal: registering, asking, Ctrl-C.

use std::{process::Command, time::Duration};

use pty_process::Pty;
use rustix::termios::{LocalModes, tcgetattr};
use serde_json::json;
use testkit::{Backend, run, tertulia};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Child,
};

use crate::{
    invariants,
    world::{World, eventually, messages, truth},
};

/// Nothing that is waited for here takes this long on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(60);
const CTRL_C: &str = "\x03";

/// A program at a terminal of its own, and what has been seen of it.
struct Terminal {
    pty: Pty,
    child: Child,
    seen: String,
    /// Up to here it was waited for.
    read: usize,
}

impl Terminal {
    fn start(command: &Command) -> Self {
        let (pty, pts) = pty_process::open().unwrap();
        let env = command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)));
        let child = pty_process::Command::new(command.get_program())
            .args(command.get_args())
            .env_clear()
            .envs(env)
            .kill_on_drop(true)
            .spawn(pts)
            .unwrap();
        Self {
            pty,
            child,
            seen: String::new(),
            read: 0,
        }
    }

    /// `tertulia chat` with nobody signed in.
    fn chat(world: &World) -> Self {
        let mut command = tertulia(world.server.scratch());
        command.args(["chat", "--url", &world.server.client().url()]);
        Self::start(&command)
    }

    /// Waits until this is shown, after what was waited for before.
    async fn expect(&mut self, text: &str) {
        let search = async {
            loop {
                if let Some(at) = self.seen[self.read..].find(text) {
                    self.read += at + text.len();
                    return;
                }
                let mut piece = [0; 4096];
                // The terminal of a program that has ended fails to be read.
                let read = self.pty.read(&mut piece).await.unwrap_or(0);
                assert!(read > 0, "it ended without {text:?}: {}", self.seen);
                self.seen += &String::from_utf8_lossy(&piece[..read]);
            }
        };
        let found = tokio::time::timeout(PATIENCE, search).await.is_ok();
        assert!(found, "no {text:?} in {:?}", &self.seen[self.read..]);
    }

    async fn type_in(&mut self, text: &str) {
        self.pty.write_all(text.as_bytes()).await.unwrap();
    }

    /// Answers a question that shows nothing of what is typed.
    async fn type_unseen(&mut self, text: &str) {
        let hidden = || async {
            let modes = tcgetattr(&self.pty).unwrap().local_modes;
            !modes.contains(LocalModes::ECHO)
        };
        eventually(hidden).await;
        self.type_in(text).await;
    }

    /// Reads to the end; answers the exit status.
    async fn ended(&mut self) -> Option<i32> {
        let rest = async {
            let mut piece = [0; 4096];
            while let Ok(read @ 1..) = self.pty.read(&mut piece).await {
                self.seen += &String::from_utf8_lossy(&piece[..read]);
            }
            self.child.wait().await.unwrap().code()
        };
        let ended = tokio::time::timeout(PATIENCE, rest).await;
        ended.unwrap_or_else(|_| panic!("it does not end: {}", self.seen))
    }

    /// Signs in as somebody new.
    async fn register(&mut self, email: &str, password: &str) {
        self.expect("Email: ").await;
        self.type_in(&format!("{email}\n")).await;
        self.expect("Password: ").await;
        self.type_unseen(&format!("{password}\n")).await;
        self.expect("Create an account").await;
        self.type_in("y\n").await;
        self.expect("Talking to").await;
        self.expect("> ").await;
    }
}

const EMAIL: &str = "new@example.org";
const PASSWORD: &str = "correct horse battery staple 7";

#[test]
fn somebody_new_registers_asks_and_leaves() {
    run(async {
        let world = World::start(Backend::Sqlite).await;
        // Asked and refused, nothing is made.
        let mut terminal = Terminal::chat(&world);
        terminal.expect("Email: ").await;
        terminal.type_in(&format!("{EMAIL}\n")).await;
        terminal.expect("Password: ").await;
        terminal.type_unseen(&format!("{PASSWORD}\n")).await;
        terminal.expect("Create an account").await;
        terminal.type_in("n\n").await;
        assert_eq!(terminal.ended().await, Some(1), "{}", terminal.seen);

        let mut terminal = Terminal::chat(&world);
        terminal.register(EMAIL, PASSWORD).await;
        terminal.type_in("Hello !script tokens=5\n").await;
        terminal.expect("w0 w1 w2 w3 w4").await;
        terminal.expect("credits, ").await;
        terminal.expect(" left]").await;
        terminal.expect("> ").await;
        // An empty line ends it.
        terminal.type_in("\n").await;
        assert_eq!(terminal.ended().await, Some(0), "{}", terminal.seen);
        assert!(!terminal.seen.contains(PASSWORD), "{}", terminal.seen);

        // The account is there, and the terminal is signed in from now on.
        let new = world.server.client().sign_in(EMAIL, PASSWORD).await;
        assert_eq!(new.get("/sessions").await.ok(200)["meta"]["total"], 1);
        let mut terminal = Terminal::chat(&world);
        terminal.expect("Talking to").await;
        terminal.expect("> ").await;
        // Ctrl-D on an empty line ends it as well.
        terminal.type_in("\x04").await;
        assert_eq!(terminal.ended().await, Some(0), "{}", terminal.seen);
        invariants::hold(&world.server).await;
    });
}

#[test]
fn ctrl_c_stops_an_answer_and_the_next_one_leaves() {
    run(async {
        let world = World::start(Backend::Sqlite).await;
        let mut terminal = Terminal::chat(&world);
        terminal.register(EMAIL, PASSWORD).await;
        let prompt = "A long one !script tokens=3000 delay=20ms";
        terminal.type_in(&format!("{prompt}\n")).await;
        terminal.expect("w0 w1 ").await;
        terminal.type_in(CTRL_C).await;
        terminal.expect("[stopping]").await;
        terminal.expect("[stopped; ").await;
        terminal.expect("> ").await;
        // What was written is kept, and the model was told to stop.
        let new = world.server.client().sign_in(EMAIL, PASSWORD).await;
        let id = new.get("/sessions").await.ok(200)["data"][0]["id"].clone();
        let stored = messages(&new, id.as_str().unwrap()).await;
        assert_eq!(stored[1]["status"], "stopped");
        let kept = stored[1]["content"].as_str().unwrap();
        assert!(
            kept.len() < 10_000 && truth(prompt).starts_with(kept),
            "{kept}"
        );
        world.upstream.wait_for(|request| request.aborted).await;
        // The conversation goes on, and another Ctrl-C leaves.
        terminal.type_in("Shorter !script tokens=3\n").await;
        terminal.expect("w0 w1 w2").await;
        terminal.expect("> ").await;
        terminal.type_in(CTRL_C).await;
        assert_eq!(terminal.ended().await, Some(0), "{}", terminal.seen);
        invariants::hold(&world.server).await;
    });
}

/// Nobody has to wait for a server that does not answer.
#[test]
fn a_second_ctrl_c_leaves_at_once() {
    run(async {
        let world = World::start(Backend::Sqlite).await;
        let mut terminal = Terminal::chat(&world);
        terminal.register(EMAIL, PASSWORD).await;
        terminal.type_in("!script tokens=3000 delay=20ms\n").await;
        terminal.expect("w0 w1 ").await;
        world.server.signal("STOP");
        terminal.type_in(CTRL_C).await;
        terminal.expect("[stopping]").await;
        terminal.type_in(CTRL_C).await;
        assert_eq!(terminal.ended().await, Some(130), "{}", terminal.seen);
        world.server.signal("CONT");
        // Whether the first one arrived or not, the conversation is as usable as any.
        let new = world.server.client().sign_in(EMAIL, PASSWORD).await;
        let id = new.get("/sessions").await.ok(200)["data"][0]["id"].clone();
        let id = id.as_str().unwrap();
        new.post(&format!("/sessions/{id}/stop"), json!({}))
            .await
            .is(200);
        world.say(&new, id, "And now? !script tokens=3").await;
        invariants::hold(&world.server).await;
    });
}
