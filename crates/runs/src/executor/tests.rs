//! When the keeper stores a growing log: after 100 ms, at 4 KiB, or at once for
//! what is no delta. The runtime's clock stands still but where a test moves it.

use kernel::{Actor, Clock, Context, Ids, Random, Role, Roles, RunId};
use serde_json::json;
use state::State;
use store::{Env, Options, Store, Uow};
use tokio::{
    sync::{Mutex, mpsc},
    time::{Instant, advance},
};

use super::*;
use crate::NewRun;

/// Appends what it is told to, and ends when nobody tells it any more.
struct Told(Mutex<mpsc::UnboundedReceiver<Say>>);

enum Say {
    /// A delta of so many bytes.
    Text(usize),
    Event,
}

#[async_trait::async_trait]
impl RunHandler for Told {
    fn kind(&self) -> &'static str {
        "told"
    }

    async fn execute(&self, run: &ActiveRun) -> Outcome {
        while let Some(say) = self.0.lock().await.recv().await {
            match say {
                Say::Text(bytes) => run.delta(&"x".repeat(bytes)).await,
                Say::Event => run.event(&NewEvent::new("tool", json!({}))),
            }
        }
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
    runs: Runs,
    ctx: Context,
    run: RunId,
    live: Arc<Live>,
    say: mpsc::UnboundedSender<Say>,
    _home: tempfile::TempDir,
}

impl Bench {
    /// A run at work, whose first event is stored.
    async fn new() -> Self {
        let clock = Clock::system();
        let ids = Ids::new(clock.clone(), Random::system());
        let home = tempfile::tempdir().unwrap();
        let place = Options::Sqlite {
            directory: home.path().join("data"),
            readers: 1,
        };
        let env = Env {
            clock: clock.clone(),
            ids: ids.clone(),
        };
        let store = Store::open(&place, env, &[crate::MIGRATIONS])
            .await
            .unwrap();
        let options = crate::Options {
            lease: Duration::from_secs(36_000),
            ..crate::Options::default()
        };
        let runs = Runs::new(store.clone(), State::memory(clock), options);
        let (say, told) = mpsc::unbounded_channel();
        runs.register(Arc::new(Told(Mutex::new(told))));
        let owner = ids.next();
        let actor = Actor::Account {
            id: owner,
            session: ids.next(),
            roles: Roles::of(&[Role::User]),
        };
        let ctx = Context::new(ids.next(), actor, ids.next());
        let new = NewRun {
            id: ids.next(),
            kind: "told",
            owner,
            subject: None,
            input: json!({}),
            events: vec![NewEvent::new("start", json!({}))],
        };
        let run = new.id;
        let args = (runs.clone(), new);
        let begun = store.write(&ctx, Durability::Durable, args, |uow, (runs, new)| {
            Box::pin(async move {
                let (runs, created) = (runs.clone(), runs.create_in(uow, new).await?);
                uow.after_commit(move || runs.launch(created));
                Ok(())
            })
        });
        begun.await.unwrap();
        let live = Arc::clone(&runs.live()[&run]);
        Self {
            runs,
            ctx,
            run,
            live,
            say,
            _home: home,
        }
    }

    /// Says this and waits until it is in the log.
    async fn say(&self, say: Say) {
        let next = self.live.last() + 1;
        self.say.send(say).unwrap();
        until(|| self.live.last() == next).await;
    }

    fn is_stored(&self) -> bool {
        self.live.unstored().is_empty()
    }

    /// Given time to, it stores nothing.
    async fn stays_unstored(&self) {
        for _ in 0..30 {
            std::thread::sleep(Duration::from_millis(1));
            tokio::task::yield_now().await;
            assert!(!self.is_stored());
        }
    }

    /// The first and the last event of each stored segment.
    async fn segments(&self) -> Vec<(i64, i64)> {
        let run = self.run;
        let read = self.runs.store().read(&self.ctx, (), move |reads, ()| {
            Box::pin(async move {
                let sql = "SELECT first_seq, last_seq FROM run_segments
                    WHERE tenant_id = $1 AND run_id = $2 ORDER BY first_seq";
                let rows = reads.query(sql, params![reads.tenant()?, run]).await?;
                rows.into_iter()
                    .map(|mut row| Ok((row.get(0)?, row.get(1)?)))
                    .collect()
            })
        });
        read.await.unwrap()
    }
}

/// Never idle, so that the clock does not move by itself.
async fn until(done: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never was");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn deltas_wait_for_company_until_it_is_late_or_much_or_something_else() {
    let bench = Bench::new().await;

    let begun = Instant::now();
    bench.say(Say::Text(10)).await;
    bench.stays_unstored().await;
    advance(Duration::from_millis(60)).await;
    bench.say(Say::Text(10)).await;
    // Late is counted from the first one.
    advance(Duration::from_millis(39)).await;
    bench.stays_unstored().await;
    advance(Duration::from_millis(2)).await;
    until(|| bench.is_stored()).await;
    assert_eq!(begun.elapsed(), Duration::from_millis(101));

    let begun = Instant::now();
    for _ in 0..3 {
        bench.say(Say::Text(1_000)).await;
    }
    bench.stays_unstored().await;
    bench.say(Say::Text(1_000)).await;
    until(|| bench.is_stored()).await;

    bench.say(Say::Event).await;
    until(|| bench.is_stored()).await;
    for say in [Say::Text(10), Say::Event] {
        bench.say.send(say).unwrap();
    }
    until(|| bench.live.last() == 10 && bench.is_stored()).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);

    let stored = [(1, 1), (2, 3), (4, 7), (8, 8), (9, 10)];
    assert_eq!(bench.segments().await, stored);
    drop(bench.say);
    until(|| !bench.runs.is_live(bench.run)).await;
}
