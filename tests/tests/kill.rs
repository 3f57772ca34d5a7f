//! The server is killed with SIGKILL, at random moments and at every named
//! fault point, while clients stream and send. It starts again, the clients go
//! on where they were, and then everything must be as if it had only paused.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use kernel::fault::POINTS;
use serde_json::{Value as Json, json};
use testkit::{Backend, Client, Fault, Started, TestServer, Transcript, on_both, run_on};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    invariants::{self, text_of},
    world::{MODEL, World, eventually, messages, truth},
};

/// Clients at once.
const CLIENTS: usize = 4;

/// Chance that a seed repeats (SplitMix64).
struct Dice(u64);

impl Dice {
    /// From `TERTULIA_TEST_SEED`, else from the time; told, so that a failure can be repeated.
    fn thrown() -> Self {
        let seed = std::env::var("TERTULIA_TEST_SEED")
            .ok()
            .and_then(|text| text.parse().ok());
        let seed = seed.unwrap_or_else(|| {
            let now = SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap();
            u64::from(now.subsec_nanos()) ^ (now.as_secs() << 20) ^ u64::from(std::process::id())
        });
        println!("seed: TERTULIA_TEST_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0, below this.
    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// One prompt of one client, and what it has heard of it.
#[derive(Debug)]
struct Attempt {
    prompt: String,
    conversation: String,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    /// The whole answer arrived.
    Answered(Json),
    /// The log arrived to its end, over as many connections as it took.
    Streamed(Transcript),
    /// Told that it was interrupted (nothing was written yet, or what was is kept).
    Interrupted,
}

/// What all clients know of the server.
struct Situation {
    /// No more prompts are begun.
    enough: AtomicBool,
    /// Raised with each start of the server.
    starts: watch::Sender<u64>,
    prompts: AtomicU64,
}

impl Situation {
    /// Waits until the server has started again since this client last heard from it.
    async fn back(&self, seen: u64) {
        let mut starts = self.starts.subscribe();
        let waited = starts.wait_for(|starts| *starts > seen);
        tokio::time::timeout(Duration::from_secs(120), waited)
            .await
            .expect("a restart")
            .expect("it goes on");
    }
}

/// A client's life: prompt after prompt, streamed or whole, until it is enough;
/// each is brought to its end whatever happens to the server.
async fn live(
    client: Client,
    conversation: String,
    situation: Arc<Situation>,
    mut dice: Dice,
) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    while !situation.enough.load(Ordering::SeqCst) {
        let number = situation.prompts.fetch_add(1, Ordering::SeqCst);
        let tokens = [3, 20, 60, 120][dice.below(4) as usize];
        let delay = [0, 1, 4][dice.below(3) as usize];
        let letters = if dice.below(2) == 0 { " unicode" } else { "" };
        let prompt = format!("prompt {number} !script tokens={tokens} delay={delay}ms{letters}");
        // The key makes the whole request safe to repeat.
        let once = client.with("idempotency-key", &format!("kill-{number}"));
        let outcome = if dice.below(3) == 0 {
            whole(&once, &conversation, &prompt, &situation).await
        } else {
            streamed(&once, &conversation, &prompt, &situation).await
        };
        attempts.push(Attempt {
            prompt,
            conversation: conversation.clone(),
            outcome,
        });
    }
    attempts
}

async fn whole(
    client: &Client,
    conversation: &str,
    prompt: &str,
    situation: &Situation,
) -> Outcome {
    let path = format!("/sessions/{conversation}/messages");
    let body = json!({"prompt": prompt}).to_string();
    loop {
        let seen = *situation.starts.borrow();
        let sent = client
            .try_send(http::Method::POST, &path, Some(body.clone().into()))
            .await;
        let Ok(answer) = sent else {
            situation.back(seen).await;
            continue;
        };
        if answer.status == 503 {
            answer.problem(503, "interrupted");
            return Outcome::Interrupted;
        }
        return Outcome::Answered(answer.ok(200));
    }
}

async fn streamed(
    client: &Client,
    conversation: &str,
    prompt: &str,
    situation: &Situation,
) -> Outcome {
    let path = format!("/sessions/{conversation}/messages/stream");
    let mut transcript = Transcript::default();
    loop {
        let seen = *situation.starts.borrow();
        let opened = match (transcript.run(), transcript.last_id()) {
            (Some(run), Some(last)) => client.try_events(run, Some(last)).await,
            _ => client.try_stream(&path, json!({"prompt": prompt})).await,
        };
        let mut stream = match opened {
            Ok(stream) => stream,
            Err(Some(refused)) => panic!("{prompt}: {}: {}", refused.status, refused.text()),
            Err(None) => {
                situation.back(seen).await;
                continue;
            }
        };
        // A gap, a repetition or a wrong offset fails in `push`.
        while let Some(event) = stream.next().await {
            transcript.push(event);
        }
        if transcript.is_complete() {
            return Outcome::Streamed(transcript);
        }
        situation.back(seen).await;
    }
}

/// How one kill happens.
#[derive(Debug, Clone, Copy)]
enum Kill {
    /// From outside, after so long under load.
    After(Duration),
    /// From inside, at a fault point.
    At(Fault),
    /// During recovery from another kill.
    InRecovery(Fault),
}

struct Kills {
    world: World,
    clients: Vec<(Client, String)>,
    prompts: u64,
    kills: u32,
}

impl Kills {
    async fn new(backend: Backend) -> Self {
        let world = World::with(backend, |setup| {
            // Small steps, so that every answer extends its hold.
            setup
                .set("accounting.first_output_tokens", 16)
                .set("accounting.extension_tokens", 8);
        })
        .await;
        let mut clients = Vec::new();
        for n in 0..CLIENTS {
            let user = world.server.user(&format!("client{n}")).await;
            let conversation = user.conversation(MODEL).await;
            clients.push((user.client.clone(), conversation));
        }
        Self {
            world,
            clients,
            prompts: 0,
            kills: 0,
        }
    }

    /// One kill under load, the restart, and every check.
    async fn survive(&mut self, kill: Kill, dice: &mut Dice) {
        println!("kill {}: {kill:?}", self.kills);
        let situation = Arc::new(Situation {
            enough: AtomicBool::new(false),
            starts: watch::channel(0).0,
            prompts: AtomicU64::new(self.prompts),
        });
        for (client, conversation) in &mut self.clients {
            *conversation = client.conversation(MODEL).await;
        }
        if let Kill::At(fault) = kill {
            // The fault is armed from the start, where it may strike already.
            self.world.server.terminate().await;
            if let Started::Exited(_) = self.world.server.launch(Some(fault)).await {
                self.kills += 1;
                self.start().await;
                return self.check(Vec::new(), &HashMap::new()).await;
            }
        }
        let mut load = JoinSet::new();
        for (client, conversation) in &self.clients {
            let dice = Dice(dice.next());
            load.spawn(live(
                client.apart(),
                conversation.clone(),
                Arc::clone(&situation),
                dice,
            ));
        }
        match kill {
            Kill::After(moment) => {
                tokio::time::sleep(moment).await;
                self.world.server.kill9().await;
            }
            Kill::At(fault) => {
                let died = self.world.server.exited(Duration::from_secs(30)).await;
                assert!(died.is_some(), "{fault:?} was never reached");
            }
            Kill::InRecovery(fault) => {
                // Something must be at work when it dies, for recovery to have something to do.
                loop {
                    eventually(|| async { !self.alive().await.is_empty() }).await;
                    self.world.server.kill9().await;
                    if !self.alive_as_left().await.is_empty() {
                        break;
                    }
                    self.start().await;
                    situation.starts.send_modify(|starts| *starts += 1);
                }
                if let Started::Listening = self.world.server.launch(Some(fault)).await {
                    let died = self.world.server.exited(Duration::from_secs(30)).await;
                    assert!(died.is_some(), "{fault:?} was never reached");
                }
                self.kills += 1;
            }
        }
        self.kills += 1;
        situation.enough.store(true, Ordering::SeqCst);
        let flushed = self.flushed().await;
        self.start().await;
        situation.starts.send_modify(|starts| *starts += 1);
        let mut attempts = Vec::new();
        while let Some(done) = load.join_next().await {
            attempts.extend(done.expect("a client goes through"));
        }
        self.prompts = situation.prompts.load(Ordering::SeqCst);
        self.check(attempts, &flushed).await;
    }

    /// The runs that have not ended.
    async fn alive(&self) -> Vec<Json> {
        self.world.server.database().rows(ALIVE).await
    }

    /// The same, as the crash left them.
    async fn alive_as_left(&self) -> Vec<Json> {
        let scratch = tempfile::tempdir().unwrap();
        self.world
            .server
            .database()
            .as_left(scratch.path())
            .rows(ALIVE)
            .await
    }

    async fn start(&mut self) {
        let started = self.world.server.launch(None).await;
        assert!(
            matches!(started, Started::Listening),
            "no restart: {}",
            self.world.server.log()
        );
    }

    /// The text of every log as the crash left it.
    async fn flushed(&self) -> HashMap<String, String> {
        let scratch = tempfile::tempdir().unwrap();
        let left = self.world.server.database().as_left(scratch.path());
        let logs = invariants::logs(&left).await;
        logs.into_iter()
            .map(|(run, log)| (run, text_of(&log)))
            .collect()
    }

    async fn check(&self, attempts: Vec<Attempt>, flushed: &HashMap<String, String>) {
        let server = &self.world.server;
        let database = server.database();
        eventually(|| async { self.alive().await.is_empty() }).await;
        invariants::hold(server).await;

        // No shorter than what was stored when it died, no other than what was sent.
        let logs = invariants::logs(database).await;
        for (run, before) in flushed {
            let after = text_of(&logs[run]);
            assert!(
                after.starts_with(before),
                "run {run} lost text: {before:?}, now {after:?}"
            );
        }
        let answers = database
            .rows(
                "SELECT a.run_id, a.content, a.status, p.content AS prompt FROM messages a
                 JOIN messages p ON p.id = a.parent_id WHERE a.role = 'assistant'",
            )
            .await;
        for answer in &answers {
            let (content, prompt) = (
                answer["content"].as_str().unwrap(),
                answer["prompt"].as_str().unwrap(),
            );
            let truth = truth(prompt);
            assert!(
                truth.starts_with(content),
                "not what the upstream sent: {answer}"
            );
            assert_eq!(answer["status"] == "complete", content == truth, "{answer}");
        }
        let twice = database
            .rows("SELECT content FROM messages WHERE role = 'user' GROUP BY content HAVING count(*) > 1")
            .await;
        assert!(twice.is_empty(), "prompts were stored twice: {twice:?}");

        let mut told: HashMap<&str, Vec<&Attempt>> = HashMap::new();
        for attempt in &attempts {
            told.entry(&attempt.conversation).or_default().push(attempt);
        }
        for (client, conversation) in &self.clients {
            let stored = messages(client, conversation).await;
            for attempt in told.remove(conversation.as_str()).unwrap_or_default() {
                agrees(attempt, &stored);
            }
            let (_, held) = client.balance().await;
            assert_eq!(held, 0);
        }
    }
}

const ALIVE: &str =
    "SELECT id, state FROM runs WHERE state IN ('pending', 'queued', 'running', 'paused')";

/// What a client has been told is what is stored.
fn agrees(attempt: &Attempt, stored: &[Json]) {
    let message = |id: &Json| {
        let found = stored.iter().find(|message| message["id"] == *id);
        found.unwrap_or_else(|| panic!("an answer is gone: {attempt:?}"))
    };
    match &attempt.outcome {
        Outcome::Answered(answer) => {
            assert_eq!(
                answer["message"]["content"],
                truth(&attempt.prompt).as_str()
            );
            assert_eq!(
                message(&answer["message"]["id"])["content"],
                answer["message"]["content"]
            );
        }
        Outcome::Streamed(seen) => {
            let end = seen.end();
            if end["message"].is_null() {
                assert_eq!(end["end_reason"], "interrupted", "{attempt:?}");
                assert_eq!(seen.text, "", "{attempt:?}");
            } else {
                let kept = message(&end["message"]["id"]);
                assert_eq!(
                    kept["content"],
                    seen.text.as_str(),
                    "the client reads another text: {attempt:?}"
                );
            }
            assert!(seen.count("reset") <= 1, "{attempt:?}");
        }
        Outcome::Interrupted => {}
    }
}

/// Counts at which the points strike in the middle of things rather than at the start.
fn strike(point: &'static str, dice: &mut Dice) -> Kill {
    let count = match point {
        "store.commit.before" | "store.commit.after" => 8 + dice.below(40),
        "runs.append.before" | "runs.append.after" => 1 + dice.below(12),
        "runs.recover.taken" => 1,
        _ => 1 + dice.below(6),
    };
    let fault = Fault {
        point,
        count: u32::try_from(count).unwrap(),
    };
    if point == "runs.recover.taken" {
        Kill::InRecovery(fault)
    } else {
        Kill::At(fault)
    }
}

fn any_moment(dice: &mut Dice) -> Kill {
    Kill::After(Duration::from_millis(dice.below(900)))
}

on_both! {
    /// Once at each of the named places where dying hurts most.
    async fn kill_at_every_fault_point(backend) {
        let mut dice = Dice::thrown();
        let mut kills = Kills::new(backend).await;
        for point in POINTS {
            let kill = strike(point, &mut dice);
            kills.survive(kill, &mut dice).await;
        }
        assert!(kills.kills >= POINTS.len() as u32);
    }

    /// At moments nobody has chosen.
    async fn kill_at_random_moments(backend) {
        let mut dice = Dice::thrown();
        let mut kills = Kills::new(backend).await;
        for _ in 0..4 {
            let kill = any_moment(&mut dice);
            kills.survive(kill, &mut dice).await;
        }
    }

    /// Many times: `make soak`. `TERTULIA_SOAK=1` means 500 a database, another number that many.
    async fn kill_soak(backend) {
        let Some(wanted) = std::env::var("TERTULIA_SOAK").ok().and_then(|text| text.parse::<u32>().ok()) else {
            return;
        };
        let wanted = if wanted == 1 { 500 } else { wanted };
        let mut dice = Dice::thrown();
        let mut survived = 0;
        while survived < wanted {
            // A new server now and then: every check looks at all there is.
            let mut kills = Kills::new(backend).await;
            while kills.kills < 25.min(wanted - survived) {
                let kill = match dice.below(2) {
                    0 => any_moment(&mut dice),
                    _ => strike(POINTS[dice.below(POINTS.len() as u64) as usize], &mut dice),
                };
                kills.survive(kill, &mut dice).await;
            }
            survived += kills.kills;
        }
    }
}

/// One of two nodes dies; the other one finishes its runs when their leases end,
/// and the clients read them there.
#[test]
fn kill_one_of_two_nodes() {
    run_on(Backend::Postgres, |backend| async move {
        let mut world = World::start(backend).await;
        let other: TestServer = world.server.another(|_| {}).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let prompt = "!script tokens=2000 delay=10ms";
        let mut stream = ana
            .stream(&format!("/sessions/{id}/stream"), json!({"prompt": prompt}))
            .await;
        let mut seen = Transcript::default();
        while seen.text.len() < 100 {
            seen.push(stream.next().await.expect("an event"));
        }
        let there = ana.at(&other.client());
        let run = seen.run().unwrap().to_owned();
        world.server.kill9().await;
        while let Some(event) = stream.next().await {
            seen.push(event);
        }
        // The other node answers at once, and has the end when the lease is over.
        let mut elsewhere = there.events(&run, seen.last_id()).await;
        while let Some(event) = elsewhere.next().await {
            seen.push(event);
        }
        assert_eq!(seen.end()["end_reason"], "interrupted");
        assert!(!seen.text.is_empty() && truth(prompt).starts_with(&seen.text));
        assert_eq!(
            messages(&there, &id).await[1]["content"],
            seen.text.as_str()
        );
        there
            .post(
                &format!("/sessions/{id}/messages"),
                json!({"prompt": "And now?"}),
            )
            .await
            .is(200);
        invariants::hold(&other).await;
    });
}
