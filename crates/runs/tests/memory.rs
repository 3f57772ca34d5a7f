//! What readers cost who do not read: the bytes this process has in use, by its
//! own count, while megabytes are appended to a run's log. Alone in its program.
#![allow(
    missing_docs,
    unsafe_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "an allocator is unsafe to write; this one counts"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use kernel::{Actor, Clock, Context, Ids, Random, Result, Role, Roles, RunId};
use runs::{
    ActiveRun, Cursor, EndReason, Event, NewEvent, NewRun, Outcome, RunEvents, RunHandler,
    RunRecord, Runs,
};
use serde_json::json;
use state::State;
use store::{Durability, Env, Options, Store, Uow, params};
use testkit::PostgresDatabase;
use tokio::sync::Semaphore;

/// Rust's own memory; SQLite has its own.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator, and two numbers.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let before = IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        MOST.fetch_max(before + layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's own promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's own promise.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

const READERS: usize = 8;
const EVENTS: i64 = 12_000;
/// With this, the log has 12 MB.
const BYTES: usize = 1_000;
/// What may be in memory, for all of them together: the run's last events and those that are on
/// their way to the database, with their copies.
const BOUND: usize = 6 << 20;

/// Appends its events, a short delta after each fourth, and ends when it may.
struct Much {
    done: Semaphore,
    end: Semaphore,
}

#[async_trait]
impl RunHandler for Much {
    fn kind(&self) -> &'static str {
        "much"
    }

    async fn execute(&self, run: &ActiveRun) -> Outcome {
        let filler = "x".repeat(BYTES);
        for n in 0..EVENTS {
            run.event(&NewEvent::new("tool", json!({"n": n, "filler": filler})));
            if n % 4 == 3 {
                run.delta("x").await;
            }
        }
        self.done.add_permits(1);
        self.end.acquire().await.unwrap().forget();
        Outcome::ended(EndReason::Stop)
    }

    async fn conclude(&self, _: &RunRecord, _: &str, reason: EndReason) -> Outcome {
        Outcome::ended(reason)
    }

    async fn finish(&self, _: &mut Uow, _: &RunRecord, _: &Outcome) -> Result<Vec<NewEvent>> {
        Ok(vec![NewEvent::new("end", json!({}))])
    }
}

struct Bench {
    store: Store,
    runs: Runs,
    handler: Arc<Much>,
    ctx: Context,
    run: RunId,
}

impl Bench {
    async fn new(place: &Options) -> Self {
        let clock = Clock::system();
        let ids = Ids::new(clock.clone(), Random::system());
        let env = Env {
            clock: clock.clone(),
            ids: ids.clone(),
        };
        let store = Store::open(place, env, &[runs::MIGRATIONS]).await.unwrap();
        let runs = Runs::new(
            store.clone(),
            State::memory(clock),
            runs::Options::default(),
        );
        let handler = Arc::new(Much {
            done: Semaphore::new(0),
            end: Semaphore::new(0),
        });
        runs.register(handler.clone());
        let actor = Actor::Account {
            id: ids.next(),
            session: ids.next(),
            roles: Roles::of(&[Role::User]),
        };
        Self {
            store,
            runs,
            handler,
            ctx: Context::new(ids.next(), actor, ids.next()),
            run: ids.next(),
        }
    }

    async fn begin(&self) {
        let new = NewRun {
            id: self.run,
            kind: "much",
            owner: self.ctx.account().unwrap(),
            subject: None,
            input: json!({}),
            events: vec![NewEvent::new("start", json!({}))],
        };
        let args = (self.runs.clone(), new);
        let begun = self
            .store
            .write(&self.ctx, Durability::Fast, args, |uow, (runs, new)| {
                Box::pin(async move {
                    let (runs, created) = (runs.clone(), runs.create_in(uow, new).await?);
                    uow.after_commit(move || runs.launch(created));
                    Ok(())
                })
            });
        begun.await.unwrap();
    }

    /// Waits until so many events are in the database.
    async fn stored(&self, events: i64) {
        let run = self.run;
        loop {
            let read = self.store.read(&self.ctx, (), move |reads, ()| {
                Box::pin(async move {
                    let sql = "SELECT CAST(MAX(last_seq) AS bigint) FROM run_segments
                        WHERE tenant_id = $1 AND run_id = $2";
                    let tenant = reads.tenant()?;
                    reads
                        .query_one(sql, params![tenant, run])
                        .await?
                        .get::<i64>(0)
                })
            });
            if read.await.unwrap() == events {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A client whose connection takes nothing for now: what it was given last is still with it.
struct Slow {
    events: RunEvents,
    given: Vec<Event>,
    seen: i64,
}

impl Slow {
    /// Takes what it was given, which must go on where it was, and asks for more.
    async fn go_on(&mut self) -> bool {
        for event in std::mem::take(&mut self.given) {
            self.seen += 1;
            let cursor = Cursor {
                epoch: 1,
                seq: self.seen,
            };
            assert_eq!(event.cursor, cursor);
        }
        match self.events.next().await.unwrap() {
            Some(events) => {
                self.given = events;
                true
            }
            None => false,
        }
    }
}

async fn places() -> Vec<(Options, Option<PostgresDatabase>, tempfile::TempDir)> {
    let home = tempfile::tempdir().unwrap();
    let sqlite = Options::Sqlite {
        directory: home.path().join("data"),
        readers: 2,
    };
    let mut places = vec![(sqlite, None, home)];
    if let Some(database) = PostgresDatabase::if_here().await {
        let postgres = Options::Postgres {
            url: database.url(),
            connections: 4,
        };
        places.push((postgres, Some(database), tempfile::tempdir().unwrap()));
    }
    places
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_costs_no_memory_and_misses_nothing() {
    for (place, _database, _home) in places().await {
        let bench = Bench::new(&place).await;
        let before = IN_USE.load(Ordering::Relaxed);
        let more = |than: usize| than.saturating_sub(before);
        bench.begin().await;
        let mut readers = Vec::new();
        for _ in 0..READERS {
            let events = bench.runs.events(&bench.ctx, bench.run, None).await;
            readers.push(Slow {
                events: events.unwrap(),
                given: Vec::new(),
                seen: 0,
            });
        }
        for reader in &mut readers {
            assert!(reader.go_on().await);
        }
        MOST.store(IN_USE.load(Ordering::Relaxed), Ordering::Relaxed);
        bench.handler.done.acquire().await.unwrap().forget();
        let all = 1 + EVENTS + EVENTS / 4;
        bench.stored(all).await;
        let (in_use, most) = (
            more(IN_USE.load(Ordering::Relaxed)),
            more(MOST.load(Ordering::Relaxed)),
        );
        println!("{place:?}: {in_use} bytes more in use, {most} at most");
        assert!(most < BOUND, "{most} bytes for a log that nobody reads");

        // They read on, before and after the run's end, no faster than ever.
        for reader in readers.iter_mut().take(READERS / 2) {
            while reader.seen + i64::try_from(reader.given.len()).unwrap() < all {
                assert!(reader.go_on().await);
            }
        }
        bench.handler.end.add_permits(1);
        while bench.runs.active() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        MOST.store(IN_USE.load(Ordering::Relaxed), Ordering::Relaxed);
        let mut open: Vec<&mut Slow> = readers.iter_mut().collect();
        while !open.is_empty() {
            let mut still = Vec::new();
            for reader in open {
                if reader.go_on().await {
                    still.push(reader);
                }
            }
            open = still;
        }
        assert!(readers.iter().all(|reader| reader.seen == all + 1));
        let most = more(MOST.load(Ordering::Relaxed));
        println!("{place:?}: {most} bytes more at most while they read on");
        assert!(most < BOUND, "{most} bytes for readers that come late");
    }
}
