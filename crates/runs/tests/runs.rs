//! The promises of the run log, on both databases: every event once and in
//! order, one end, nothing written by an owner that was replaced.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use kernel::{
    AccountId, Actor, Clock, Context, Ids, Random, Result, Role, Roles, RunId, TenantId, codes,
};
use runs::{
    ActiveRun, Cursor, EndReason, NewEvent, NewRun, Orphans, Outcome, RunHandler, RunRecord,
    RunState, Runs,
};
use serde_json::{Value as Json, json};
use state::State;
use store::{Durability, Env, Options, Reads, Store, Uow, params};
use testkit::PostgresDatabase;
use tokio::{sync::Semaphore, task::JoinSet};

/// Emits the words of its input, one for each permit.
struct Words {
    permits: Semaphore,
    /// So many ends cannot be stored.
    faults: AtomicUsize,
    /// The database is away, as far as ends go.
    away: AtomicBool,
    hidden: AtomicBool,
}

#[async_trait]
impl RunHandler for Words {
    fn kind(&self) -> &'static str {
        "words"
    }

    async fn execute(&self, run: &ActiveRun) -> Outcome {
        let words: Vec<String> = run.record().input().unwrap();
        run.goes(routing(), tried());
        for word in words {
            self.permits.acquire().await.unwrap().forget();
            run.delta(&word).await;
        }
        Outcome::ended(EndReason::Stop)
    }

    async fn conclude(&self, _: &RunRecord, _: &str, reason: EndReason) -> Outcome {
        Outcome::ended(reason)
    }

    async fn is_shown(&self, _: &mut Reads, _: &RunRecord) -> Result<bool> {
        Ok(!self.hidden.load(Ordering::SeqCst))
    }

    async fn finish(
        &self,
        uow: &mut Uow,
        run: &RunRecord,
        outcome: &Outcome,
    ) -> Result<Vec<NewEvent>> {
        if self.away.load(Ordering::SeqCst) {
            let error = kernel::Error::new(codes::DATABASE_UNAVAILABLE, "Away.");
            return Err(error);
        }
        let less = |faults: usize| faults.checked_sub(1);
        if (self
            .faults
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less))
        .is_ok()
        {
            return Err(kernel::Error::internal("not this time"));
        }
        if outcome.text.contains("poison") && outcome.reason() != EndReason::Error {
            return Err(kernel::Error::internal("this cannot be stored"));
        }
        // Counts its calls that became true, and keeps the text.
        uow.execute(
            "INSERT INTO finished (run_id, epoch, body) VALUES ($1, $2, $3)",
            params![run.id, run.epoch, &outcome.text],
        )
        .await?;
        Ok(vec![NewEvent::new(
            "end",
            json!({"end_reason": outcome.reason().as_str()}),
        )])
    }
}

fn routing() -> Json {
    json!({"by": "words"})
}

fn tried() -> Json {
    json!([{"permits": "one by one"}])
}

const FINISHED: &[store::Migration] = &[store::Migration {
    name: "20261121_9999_test",
    sql: "CREATE TABLE finished (run_id uuid NOT NULL, epoch bigint NOT NULL, body text NOT NULL);",
}];

struct Bench {
    store: Store,
    options: Options,
    ctx: Context,
    _dir: tempfile::TempDir,
    _database: Option<PostgresDatabase>,
}

async fn benches() -> Vec<Bench> {
    let mut benches = Vec::new();
    let dir = tempfile::tempdir().unwrap();
    let sqlite = Options::Sqlite {
        directory: dir.path().to_owned(),
        readers: 2,
    };
    benches.push(bench(sqlite, dir).await);
    if let Some(database) = PostgresDatabase::if_here().await {
        let postgres = Options::Postgres {
            url: database.url(),
            connections: 10,
        };
        let mut place = bench(postgres, tempfile::tempdir().unwrap()).await;
        place._database = Some(database);
        benches.push(place);
    }
    benches
}

fn env() -> Env {
    let clock = Clock::system();
    Env {
        ids: Ids::new(clock.clone(), Random::system()),
        clock,
    }
}

async fn bench(options: Options, dir: tempfile::TempDir) -> Bench {
    let env = env();
    let store = Store::open(&options, env.clone(), &[runs::MIGRATIONS, FINISHED])
        .await
        .unwrap();
    let ctx = caller(&env);
    Bench {
        store,
        options,
        ctx,
        _dir: dir,
        _database: None,
    }
}

fn caller(env: &Env) -> Context {
    let tenant: TenantId = env.ids.next();
    let actor = Actor::Account {
        id: env.ids.next(),
        session: env.ids.next(),
        roles: Roles::of(&[Role::User]),
    };
    Context::new(tenant, actor, env.ids.next())
}

impl Bench {
    fn node(&self, permits: usize) -> (Runs, Arc<Words>) {
        self.node_with(permits, Duration::from_millis(400))
    }

    fn node_with(&self, permits: usize, lease: Duration) -> (Runs, Arc<Words>) {
        let options = runs::Options {
            lease,
            ..runs::Options::default()
        };
        let state = State::memory(Clock::system());
        let runs = Runs::new(self.store.clone(), state, options);
        let words = Arc::new(Words {
            permits: Semaphore::new(permits),
            faults: AtomicUsize::new(0),
            away: AtomicBool::new(false),
            hidden: AtomicBool::new(false),
        });
        runs.register(words.clone());
        (runs, words)
    }

    async fn create(&self, runs: &Runs, words: &[String], launch: bool) -> RunId {
        let owner: AccountId = self.ctx.account().unwrap();
        let new = NewRun {
            id: self.store.env().ids.next(),
            kind: "words",
            owner,
            subject: None,
            input: json!(words),
            events: vec![NewEvent::new("start", json!({}))],
        };
        let args = (runs.clone(), new.clone());
        self.store
            .write(
                &self.ctx,
                Durability::Durable,
                args,
                move |uow, (runs, new)| {
                    Box::pin(async move {
                        let created = runs.create_in(uow, new).await?;
                        if launch {
                            let runs = runs.clone();
                            uow.after_commit(move || runs.launch(created));
                        }
                        Ok(())
                    })
                },
            )
            .await
            .unwrap();
        new.id
    }

    async fn segments(&self, run: RunId) -> i64 {
        self.store
            .read(&self.ctx, (), move |reads, ()| {
                Box::pin(async move {
                    let sql = "SELECT CAST(COUNT(*) AS bigint) FROM run_segments WHERE run_id = $1";
                    reads.query_one(sql, params![run]).await?.get(0)
                })
            })
            .await
            .unwrap()
    }

    async fn finished(&self, run: RunId) -> Vec<(i64, String)> {
        self.store
            .read(&self.ctx, (), move |reads, ()| {
                Box::pin(async move {
                    let rows = reads
                        .query(
                            "SELECT epoch, body FROM finished WHERE run_id = $1",
                            params![run],
                        )
                        .await?;
                    rows.into_iter()
                        .map(|mut row| Ok((row.get(0)?, row.get(1)?)))
                        .collect()
                })
            })
            .await
            .unwrap()
    }
}

type Seen = Vec<(Cursor, String, String)>;

async fn read(runs: &Runs, ctx: &Context, run: RunId, after: Option<Cursor>) -> Seen {
    let mut events = runs.events(ctx, run, after).await.unwrap();
    let mut seen = Vec::new();
    while let Some(batch) = events.next().await.unwrap() {
        seen.extend(
            batch
                .iter()
                .map(|e| (e.cursor, e.kind().to_owned(), e.data().to_owned())),
        );
    }
    seen
}

fn text(seen: &Seen) -> String {
    let mut text = String::new();
    for (_, kind, data) in seen {
        let data: Json = serde_json::from_str(data).unwrap();
        match kind.as_str() {
            "" => text.push_str(data["text"].as_str().unwrap()),
            "reset" => text = data["text"].as_str().unwrap().to_owned(),
            _ => {}
        }
    }
    text
}

fn words(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("word{n} ")).collect()
}

#[tokio::test]
async fn a_reader_may_return_after_any_event_and_gets_exactly_the_rest() {
    for bench in benches().await {
        let (runs, _) = bench.node(1_000);
        let words = words(200);
        let run = bench.create(&runs, &words, true).await;
        let all = read(&runs, &bench.ctx, run, None).await;
        assert_eq!(text(&all), words.concat());
        assert_eq!(all[0].1, "start");
        assert_eq!(all.last().unwrap().1, "end");
        for (n, event) in all.iter().enumerate() {
            assert_eq!(
                event.0,
                Cursor {
                    epoch: 1,
                    seq: i64::try_from(n).unwrap() + 1
                }
            );
        }
        let (other_node, _) = bench.node(0);
        for (n, event) in all.iter().enumerate() {
            for node in [&runs, &other_node] {
                assert_eq!(
                    read(node, &bench.ctx, run, Some(event.0)).await,
                    all[n + 1..]
                );
            }
        }
        let last = runs.wait(&bench.ctx, run).await.unwrap();
        assert_eq!(last.kind(), "end");
        assert_eq!(
            runs.get(&bench.ctx, run).await.unwrap().state,
            RunState::Succeeded
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_every_speed_and_on_other_nodes_see_the_same() {
    for bench in benches().await {
        let (runs, handler) = bench.node(0);
        let (other_node, _) = bench.node(0);
        let words = words(3_000);
        let run = bench.create(&runs, &words, true).await;
        let mut readers = Vec::new();
        for n in 0..6 {
            let node = if n % 3 == 0 {
                other_node.clone()
            } else {
                runs.clone()
            };
            let ctx = bench.ctx.clone();
            readers.push(async move {
                let mut events = node.events(&ctx, run, None).await.unwrap();
                let mut seen = Vec::new();
                while let Some(batch) = events.next().await.unwrap() {
                    seen.extend(
                        batch
                            .iter()
                            .map(|e| (e.cursor, e.kind().to_owned(), e.data().to_owned())),
                    );
                    if n == 1 {
                        // Far slower than the run: it falls out of the memory.
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
                seen
            });
        }
        let feed = async {
            for _ in 0..30 {
                handler.permits.add_permits(100);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let (all, ()) = tokio::join!(futures_util::future::join_all(readers), feed);
        // The log, in many pieces while the run went on, ends up in a few large ones.
        while runs.active() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(bench.segments(run).await <= 4);
        assert_eq!(read(&other_node, &bench.ctx, run, None).await, all[0]);
        for seen in &all {
            assert_eq!(seen.len(), 3_002);
            assert_eq!(seen, &all[0]);
            assert_eq!(text(seen), words.concat());
        }
    }
}

#[tokio::test]
async fn a_foreign_run_does_not_exist() {
    for bench in benches().await {
        let (runs, _) = bench.node(10);
        let run = bench.create(&runs, &words(2), true).await;
        let env = bench.store.env();
        let neighbour = caller(env);
        let colleague = Context::new(
            bench.ctx.tenant(),
            Actor::Account {
                id: env.ids.next(),
                session: env.ids.next(),
                roles: Roles::of(&[Role::User, Role::Admin]),
            },
            env.ids.next(),
        );
        for ctx in [neighbour, colleague] {
            assert!(
                runs.get(&ctx, run)
                    .await
                    .unwrap_err()
                    .is(kernel::codes::NOT_FOUND)
            );
            assert!(
                runs.events(&ctx, run, None)
                    .await
                    .unwrap_err()
                    .is(kernel::codes::NOT_FOUND)
            );
            assert!(
                runs.wait(&ctx, run)
                    .await
                    .unwrap_err()
                    .is(kernel::codes::NOT_FOUND)
            );
            let cancelled = runs.cancel(&ctx, run, EndReason::Stopped).await;
            assert!(cancelled.unwrap_err().is(kernel::codes::NOT_FOUND));
        }
        runs.wait(&bench.ctx, run).await.unwrap();
    }
}

#[tokio::test]
async fn a_replaced_owner_writes_nothing_and_the_run_ends_once() {
    for bench in benches().await {
        // The first owner sleeps through its lease (its heart beats too rarely).
        let (old, handler) = bench.node_with(3, Duration::from_secs(3_600));
        let run = bench.create(&old, &words(10), true).await;
        let mut reader = old.events(&bench.ctx, run, None).await.unwrap();
        let mut last = Cursor::default();
        while last.seq < 4 {
            last = reader.next().await.unwrap().unwrap().last().unwrap().cursor;
        }
        // What it has given out is stored within 100 ms; then its lease is over.
        let ctx = Context::system("test", bench.ctx.tenant(), bench.ctx.request());
        loop {
            let stored = bench
                .store
                .read(&ctx, (), move |reads, ()| {
                    Box::pin(async move {
                        let sql = "SELECT CAST(MAX(last_seq) AS bigint) FROM run_segments WHERE run_id = $1";
                        reads.query_one(sql, params![run]).await?.get::<i64>(0)
                    })
                })
                .await
                .unwrap();
            if stored == 4 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bench
            .store
            .write(&ctx, Durability::Fast, (), move |uow, ()| {
                Box::pin(async move {
                    let sql = "UPDATE runs SET lease_until = NOW_DB_PLUS($2) WHERE id = $1";
                    uow.execute(sql, params![run, -1_i64]).await
                })
            })
            .await
            .unwrap();
        // Several nodes want it; one gets it.
        let nodes: Vec<Runs> = (0..4).map(|_| bench.node(0).0).collect();
        let recovered =
            futures_util::future::join_all(nodes.iter().map(|node| node.recover(Orphans::Expired)))
                .await;
        let recovered: usize = recovered.into_iter().map(Result::unwrap).sum();
        assert_eq!(recovered, 1);
        // The old owner wakes up and wants to write on.
        handler.permits.add_permits(7);
        let rest = {
            let mut seen = Vec::new();
            while let Some(batch) = reader.next().await.unwrap() {
                seen.extend(
                    batch
                        .iter()
                        .map(|e| (e.cursor, e.kind().to_owned(), e.data().to_owned())),
                );
            }
            seen
        };
        assert_eq!(rest.last().unwrap().1, "end");
        assert_eq!(rest.last().unwrap().0.epoch, 2);
        while old.active() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let record = bench.node(0).0.get(&bench.ctx, run).await.unwrap();
        assert_eq!(record.end_reason, Some(EndReason::Interrupted));
        assert_eq!(record.epoch, 2);
        assert_eq!(
            bench.finished(run).await,
            [(2, "word0 word1 word2 ".to_owned())]
        );
        let all = read(&nodes[0], &bench.ctx, run, None).await;
        assert_eq!(text(&all), "word0 word1 word2 ");
        // Whoever saw more than was stored gets the true text, then the end.
        let beyond = read(
            &nodes[0],
            &bench.ctx,
            run,
            Some(Cursor { epoch: 1, seq: 9 }),
        )
        .await;
        assert_eq!(beyond[0].1, "reset");
        assert_eq!(text(&beyond), "word0 word1 word2 ");
        assert_eq!(beyond[1..], all[4..]);
    }
}

#[tokio::test]
async fn orphans_of_a_dead_process_are_finished_once() {
    for bench in benches().await {
        let (dead, _) = bench.node(0);
        let never_launched = bench.create(&dead, &words(3), false).await;
        let (alive, _) = bench.node(0);
        match bench.options {
            Options::Sqlite { .. } => {
                assert_eq!(
                    alive.recover(Orphans::Expired).await.unwrap(),
                    0,
                    "its lease still holds"
                );
                assert_eq!(alive.recover(Orphans::All).await.unwrap(), 1);
            }
            Options::Postgres { .. } => {
                while alive.recover(Orphans::Expired).await.unwrap() == 0 {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        assert_eq!(alive.recover(Orphans::Expired).await.unwrap(), 0);
        let record = alive.get(&bench.ctx, never_launched).await.unwrap();
        assert_eq!((record.state, record.epoch), (RunState::Failed, 2));
        assert_eq!(bench.finished(never_launched).await.len(), 1);
    }
}

#[tokio::test]
async fn a_run_is_stopped_from_any_node_and_interrupted_by_a_shutdown() {
    for bench in benches().await {
        let (runs, handler) = bench.node(0);
        handler.permits.add_permits(2);
        let run = bench.create(&runs, &words(5), true).await;
        let (other, _) = bench.node(0);
        other
            .cancel(&bench.ctx, run, EndReason::Stopped)
            .await
            .unwrap();
        assert!(
            runs.wait(&bench.ctx, run)
                .await
                .unwrap()
                .data()
                .contains("stopped")
        );
        let record = other.get(&bench.ctx, run).await.unwrap();
        assert_eq!(record.state, RunState::Cancelled);
        // Stopping it again changes nothing.
        other
            .cancel(&bench.ctx, run, EndReason::TakenOver)
            .await
            .unwrap();
        assert_eq!(
            other.get(&bench.ctx, run).await.unwrap().end_reason,
            Some(EndReason::Stopped)
        );

        let run = bench.create(&runs, &words(5), true).await;
        runs.drain(Duration::from_millis(50)).await;
        let record = other.get(&bench.ctx, run).await.unwrap();
        assert_eq!(record.end_reason, Some(EndReason::Interrupted));
        assert_eq!(runs.active(), 0);
    }
}

#[tokio::test]
async fn an_end_that_cannot_be_stored_at_once_is_tried_again_while_the_node_stops() {
    for bench in benches().await {
        // One that ends by itself while there is time, and one that is interrupted.
        for (permits, patience, reason) in [
            (2, Duration::from_secs(30), EndReason::Stop),
            (0, Duration::from_millis(50), EndReason::Interrupted),
        ] {
            let (runs, handler) = bench.node_with(0, Duration::from_secs(60));
            handler.faults.store(3, Ordering::SeqCst);
            let run = bench.create(&runs, &words(2), true).await;
            // Let on only when the drain has begun.
            let drained = runs.drain(patience);
            tokio::join!(drained, async { handler.permits.add_permits(permits) });
            let record = runs.get(&bench.ctx, run).await.unwrap();
            assert_eq!((record.end_reason, record.epoch), (Some(reason), 1));
            assert_eq!(bench.finished(run).await.len(), 1);
            assert_eq!(handler.faults.load(Ordering::SeqCst), 0);
        }
    }
}

/// Lets the clock of this test go twenty times as fast, until it is dropped. A paused clock would
/// go on by itself to the next timer while the database works, which has no timer.
fn hurry() -> (std::sync::mpsc::Sender<()>, JoinSet<()>) {
    tokio::time::pause();
    let (hold, held) = std::sync::mpsc::channel::<()>();
    // A paused clock stands still while something blocks.
    tokio::task::spawn_blocking(move || held.recv());
    let mut clock = JoinSet::new();
    clock.spawn(async {
        loop {
            let real = Duration::from_millis(5);
            let slept = tokio::task::spawn_blocking(move || std::thread::sleep(real));
            slept.await.unwrap();
            tokio::time::advance(real * 20).await;
        }
    });
    (hold, clock)
}

#[tokio::test]
async fn who_waits_for_an_end_that_cannot_be_stored_is_sent_away_and_it_is_stored_later() {
    // SQLite: there nothing else tells them.
    let bench = benches().await.swap_remove(0);
    let _hurried = hurry();
    let (runs, handler) = bench.node_with(0, Duration::from_secs(60));
    handler.away.store(true, Ordering::SeqCst);
    let run = bench.create(&runs, &words(2), true).await;
    let mut open = runs.follow(&bench.ctx, run).await.unwrap();
    handler.permits.add_permits(2);
    let patience = Duration::from_secs(600);
    let waits = tokio::time::timeout(patience, runs.wait(&bench.ctx, run)).await;
    let sent_away = waits.unwrap().unwrap_err();
    assert!(sent_away.is(codes::DATABASE_UNAVAILABLE), "{sent_away:?}");
    assert!(sent_away.retry().is_some());
    let closed = loop {
        match tokio::time::timeout(patience, open.next()).await.unwrap() {
            Ok(batch) => assert!(batch.is_some()),
            Err(error) => break error,
        }
    };
    assert!(closed.is(codes::DATABASE_UNAVAILABLE), "{closed:?}");
    // An outage is longer than anybody waits.
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(runs.is_live(run));
    handler.away.store(false, Ordering::SeqCst);
    while runs.is_live(run) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let record = runs.get(&bench.ctx, run).await.unwrap();
    assert_eq!(
        (record.end_reason, record.epoch),
        (Some(EndReason::Stop), 1)
    );
    assert_eq!(bench.finished(run).await.len(), 1);
    assert_eq!(runs.wait(&bench.ctx, run).await.unwrap().kind(), "end");
}

#[tokio::test]
async fn a_run_that_its_part_hides_does_not_exist_until_it_is_shown_again() {
    for bench in benches().await {
        let (runs, handler) = bench.node_with(2, Duration::from_secs(60));
        let run = bench.create(&runs, &words(3), true).await;
        let (other, there) = bench.node(0);
        // A reader elsewhere has begun and waits for more.
        let mut open = other.events(&bench.ctx, run, None).await.unwrap();
        let mut seen = 0;
        while seen < 3 {
            seen += open.next().await.unwrap().unwrap().len();
        }
        for hides in [&handler, &there] {
            hides.hidden.store(true, Ordering::SeqCst);
        }
        let ended = tokio::time::timeout(Duration::from_secs(5), open.next()).await;
        assert!(ended.unwrap().unwrap_err().is(codes::NOT_FOUND));
        for runs in [&runs, &other] {
            let (ctx, reason) = (&bench.ctx, EndReason::Stopped);
            for error in [
                runs.get(ctx, run).await.unwrap_err(),
                runs.events(ctx, run, None).await.unwrap_err(),
                runs.cancel(ctx, run, reason).await.unwrap_err(),
            ] {
                assert!(error.is(codes::NOT_FOUND), "{error:?}");
            }
        }
        // The platform itself ends it; then everything of it is there as before.
        let system = bench.ctx.as_system("test");
        let mut here = runs.follow(&bench.ctx, run).await.unwrap();
        runs.cancel(&system, run, EndReason::Stopped).await.unwrap();
        while here.next().await.unwrap().is_some() {}
        assert_eq!(bench.finished(run).await.len(), 1);
        assert!(runs.get(&bench.ctx, run).await.is_err());
        for shows in [&handler, &there] {
            shows.hidden.store(false, Ordering::SeqCst);
        }
        let record = other.get(&bench.ctx, run).await.unwrap();
        assert_eq!(record.state, RunState::Cancelled);
        let all = read(&other, &bench.ctx, run, None).await;
        assert_eq!(text(&all), words(2).concat());
    }
}

#[tokio::test]
async fn a_run_whose_end_cannot_be_stored_ends_nevertheless() {
    for bench in benches().await {
        let (runs, _) = bench.node_with(1, Duration::from_millis(20));
        let words = ["poison ", "more"].map(str::to_owned);
        let run = bench.create(&runs, &words, true).await;
        while bench.segments(run).await < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Its own node gives up first: it stops, so it tries a few times only.
        runs.drain(Duration::from_millis(50)).await;
        let (other, _) = bench.node_with(0, Duration::from_millis(20));
        for _ in 0..200 {
            tokio::time::sleep(Duration::from_millis(25)).await;
            other.recover(Orphans::Expired).await.unwrap();
            if other
                .get(&bench.ctx, run)
                .await
                .unwrap()
                .state
                .is_terminal()
            {
                break;
            }
        }
        let record = other.get(&bench.ctx, run).await.unwrap();
        assert_eq!(record.end_reason, Some(EndReason::Error));
        assert_eq!(bench.finished(run).await.len(), 1);
        assert_eq!(other.wait(&bench.ctx, run).await.unwrap().kind(), "end");
    }
}

#[tokio::test]
async fn a_segment_whose_commit_was_not_answered_does_not_stop_the_run() {
    for bench in benches().await {
        let (runs, handler) = bench.node_with(0, Duration::from_secs(60));
        let words = words(30);
        let run = bench.create(&runs, &words, true).await;
        // As if the keeper had stored its first delta and lost the answer.
        let ctx = Context::system("test", bench.ctx.tenant(), bench.ctx.request());
        bench
            .store
            .write(&ctx, Durability::Fast, (), move |uow, ()| {
                Box::pin(async move {
                    let line = "\t{\"offset\":0,\"text\":\"word0 \"}\n";
                    let sql = "INSERT INTO run_segments
                        (run_id, epoch, first_seq, last_seq, tenant_id, payload)
                        VALUES ($1, 1, 2, 2, $2, $3)";
                    let tenant = uow.tenant()?;
                    uow.execute(sql, params![run, tenant, line]).await
                })
            })
            .await
            .unwrap();
        handler.permits.add_permits(30);
        let end = tokio::time::timeout(Duration::from_secs(5), runs.wait(&bench.ctx, run)).await;
        assert_eq!(end.unwrap().unwrap().kind(), "end");
        let (other, _) = bench.node(0);
        let all = read(&other, &bench.ctx, run, None).await;
        assert_eq!(all.len(), 32);
        assert_eq!(text(&all), words.concat());
    }
}

#[tokio::test]
async fn invented_positions_lead_to_the_true_text_and_the_end() {
    for bench in benches().await {
        let (runs, handler) = bench.node(0);
        let words: Vec<String> = (0..2_000)
            .map(|n| format!("a somewhat longer word {n} "))
            .collect();
        let run = bench.create(&runs, &words, true).await;
        handler.permits.add_permits(1_999);
        // The beginning falls out of the memory.
        while bench.segments(run).await < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        let positions = [
            (0, i64::MAX),
            (0, 1_990),
            (1, i64::MAX),
            (i64::MAX, i64::MAX),
            (i64::MAX, 1),
        ];
        let mut readers = Vec::new();
        for (epoch, seq) in positions {
            let mut events = runs
                .events(&bench.ctx, run, Some(Cursor { epoch, seq }))
                .await
                .unwrap();
            readers.push(async move {
                let mut seen: Seen = Vec::new();
                while let Some(batch) = events.next().await.unwrap() {
                    seen.extend(
                        batch
                            .iter()
                            .map(|e| (e.cursor, e.kind().to_owned(), e.data().to_owned())),
                    );
                }
                seen
            });
        }
        let feed = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            handler.permits.add_permits(1);
        };
        let (all, ()) = tokio::join!(futures_util::future::join_all(readers), feed);
        for (seen, position) in all.iter().zip(positions) {
            assert_eq!(text(seen), words.concat(), "{position:?}");
            assert_eq!(seen.last().unwrap().1, "end", "{position:?}");
        }
    }
}

/// A client comes back before recovery does, with an id that was given out and never stored.
#[tokio::test]
async fn a_position_lost_in_a_crash_is_reset_also_for_readers_who_wait_already() {
    for bench in benches().await {
        let (dead, _) = bench.node(0);
        let run = bench.create(&dead, &words(3), false).await;
        let (alive, _) = bench.node(0);
        let mut events = alive
            .events(&bench.ctx, run, Some(Cursor { epoch: 1, seq: 9 }))
            .await
            .unwrap();
        let early = tokio::time::timeout(Duration::from_millis(100), events.next()).await;
        assert!(early.is_err(), "it may still be stored: {early:?}");
        let recover = async {
            while alive.recover(Orphans::Expired).await.unwrap() == 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let reading = async {
            let mut seen = Vec::new();
            while let Some(batch) = events.next().await.unwrap() {
                seen.extend(
                    batch
                        .iter()
                        .map(|e| (e.cursor, e.kind().to_owned(), e.data().to_owned())),
                );
            }
            seen
        };
        let (seen, ()): (Seen, ()) = tokio::join!(reading, recover);
        let kinds: Vec<&str> = seen.iter().map(|(_, kind, _)| kind.as_str()).collect();
        assert_eq!(kinds, ["reset", "end"]);
        assert_eq!(seen[0].0, Cursor { epoch: 2, seq: 0 });
    }
}

/// However a run ends, and wherever it is ended: what it told of its way is kept.
#[tokio::test]
async fn every_end_keeps_what_was_tried() {
    for bench in benches().await {
        let (runs, handler) = bench.node_with(0, Duration::from_secs(60));
        let begun = async |runs: &Runs| {
            let run = bench.create(runs, &words(1), true).await;
            // Soon it is stored, though there is no event.
            while runs.get(&bench.ctx, run).await.unwrap().attempts.is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            run
        };
        let told = async |run: RunId, reason: EndReason| {
            let record = runs.get(&bench.ctx, run).await.unwrap();
            assert_eq!(record.end_reason, Some(reason));
            assert_eq!(record.attempts, Some(tried()), "{reason:?}");
            assert_eq!(record.routing, Some(routing()), "{reason:?}");
        };
        // By itself, and stopped.
        handler.permits.add_permits(1);
        let run = bench.create(&runs, &words(1), true).await;
        runs.wait(&bench.ctx, run).await.unwrap();
        told(run, EndReason::Stop).await;
        let run = begun(&runs).await;
        let stopped = runs.cancel(&bench.ctx, run, EndReason::Stopped).await;
        stopped.unwrap();
        runs.wait(&bench.ctx, run).await.unwrap();
        told(run, EndReason::Stopped).await;
        // Its node is gone: the next one knows from the database. What never began tried nothing.
        let (gone, _) = bench.node_with(0, Duration::from_secs(60));
        let never = bench.create(&gone, &words(1), false).await;
        let run = begun(&gone).await;
        let (next, _) = bench.node(0);
        assert_eq!(next.recover(Orphans::All).await.unwrap(), 2);
        told(run, EndReason::Interrupted).await;
        let record = next.get(&bench.ctx, never).await.unwrap();
        assert_eq!(record.attempts, Some(json!([])));
        // Its node stops.
        let run = begun(&runs).await;
        runs.drain(Duration::ZERO).await;
        told(run, EndReason::Interrupted).await;
    }
}
