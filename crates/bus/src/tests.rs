//! Delivery on both databases: order, at least once, late commits, poisoned
//! events, death in the middle, one node at a time, sweeping.

#![allow(clippy::disallowed_methods)]

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use kernel::{Actor, Clock, Error, Ids, Page, Random, Role, Roles};
use store::{Durability, Env, OutboxCursor, params, read_outbox};
use testkit::PostgresDatabase;
use tokio::sync::Semaphore;

use super::*;

const TOPIC: &str = "test.events";

struct Place {
    store: Store,
    clock: Clock,
    ids: Ids,
    tenant: TenantId,
    _directory: tempfile::TempDir,
    _database: Option<PostgresDatabase>,
}

async fn places() -> Vec<Place> {
    let directory = tempfile::tempdir().unwrap();
    let options = store::Options::Sqlite {
        directory: directory.path().to_owned(),
        readers: 2,
    };
    let mut places = vec![open(&options, directory).await];
    places.extend(postgres().await);
    places
}

async fn postgres() -> Option<Place> {
    let database = PostgresDatabase::if_here().await?;
    let options = store::Options::Postgres {
        url: database.url(),
        connections: 20,
    };
    let mut place = open(&options, tempfile::tempdir().unwrap()).await;
    place._database = Some(database);
    Some(place)
}

async fn open(options: &store::Options, directory: tempfile::TempDir) -> Place {
    let clock = Clock::manual("2026-11-21T08:00:00Z".parse().unwrap());
    let ids = Ids::new(clock.clone(), Random::system());
    let env = Env {
        clock: clock.clone(),
        ids: ids.clone(),
    };
    let store = Store::open(options, env, &[MIGRATIONS]).await.unwrap();
    Place {
        store,
        clock,
        tenant: ids.next(),
        ids,
        _directory: directory,
        _database: None,
    }
}

/// A process of the platform: its bus, and the end of it.
struct Process {
    bus: Bus,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Process {
    async fn end(self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

impl Place {
    fn process(&self, change: impl FnOnce(&mut Options)) -> Process {
        let mut options = Options {
            poll: Duration::from_millis(50),
            batch: 7,
            backoff: Duration::from_millis(1),
            ..Options::default()
        };
        change(&mut options);
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let bus = Bus::new(self.store.clone(), options, tracker.clone(), stop.clone());
        Process { bus, tracker, stop }
    }

    fn context(&self) -> Context {
        let roles = Roles::of(&[Role::Admin]);
        let actor = Actor::Account {
            id: self.ids.next(),
            session: self.ids.next(),
            roles,
        };
        Context::new(self.tenant, actor, self.ids.next())
    }

    async fn emit(&self, key: &str, n: i64) {
        self.store
            .write(
                &self.context(),
                Durability::Fast,
                (key.to_owned(), n),
                |uow, (key, n)| {
                    Box::pin(async move { uow.emit(TOPIC, "test.done", key, (*n).into()).await })
                },
            )
            .await
            .unwrap();
    }

    async fn read(&self, cursor: OutboxCursor) -> (Vec<String>, OutboxCursor) {
        let system = Context::system(
            "test",
            TenantId::from_uuid(Default::default()),
            self.ids.next(),
        );
        let read = self.store.read(&system, cursor, |reads, cursor| {
            Box::pin(async move { read_outbox(reads, *cursor, 100).await })
        });
        let (events, cursor) = read.await.unwrap();
        (
            events
                .iter()
                .map(|(e, _)| format!("{}{}", e.key, e.sequence))
                .collect(),
            cursor,
        )
    }
}

/// What was delivered.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<DomainEvent>>>);

impl Seen {
    fn add(&self, event: &DomainEvent) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(event.clone());
    }

    fn all(&self) -> Vec<DomainEvent> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn subscribe(&self, process: &Process, name: &'static str) {
        let seen = self.clone();
        process.bus.subscribe(name, &[TOPIC], move |event| {
            seen.add(event);
            Box::pin(async { Ok(()) })
        });
    }

    async fn wait(&self, count: usize) -> Vec<DomainEvent> {
        wait_until(|| self.all().len() >= count).await;
        self.all()
    }
}

async fn wait_until(done: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_comes_in_the_order_of_its_key() {
    for place in places().await {
        let place = Arc::new(place);
        let process = place.process(|_| {});
        let seen = Seen::default();
        seen.subscribe(&process, "orders");
        let writers = TaskTracker::new();
        for writer in 0..8 {
            let place = Arc::clone(&place);
            writers.spawn(async move {
                for n in 0..40 {
                    place.emit(&format!("k{}", (writer + n) % 5), n).await;
                }
            });
        }
        writers.close();
        writers.wait().await;
        let events = seen.wait(320).await;
        let mut last: HashMap<String, i64> = HashMap::new();
        for event in &events {
            let last = last.entry(event.key.clone()).or_default();
            assert_eq!(
                event.sequence,
                *last + 1,
                "{} in {:?}",
                event.key,
                place.store
            );
            *last = event.sequence;
        }
        assert_eq!(events.len(), 320);
        process.end().await;
    }
}

/// A transaction that emits `first`, waits for `gate`, emits `then` and commits.
fn slow(
    place: &Arc<Place>,
    first: &'static str,
    then: Option<&'static str>,
) -> (Arc<Semaphore>, Arc<Semaphore>, tokio::task::JoinHandle<()>) {
    let (begun, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let args = (first, then, Arc::clone(&begun), Arc::clone(&gate));
    let place = Arc::clone(place);
    let task = tokio::spawn(async move {
        place
            .store
            .write(
                &place.context(),
                Durability::Fast,
                args,
                |uow, (first, then, begun, gate)| {
                    Box::pin(async move {
                        uow.emit(TOPIC, "test.done", first, 0.into()).await?;
                        // Answered once the database has the event: it is sent, not awaited.
                        uow.query("SELECT 1", params![]).await?;
                        begun.add_permits(1);
                        gate.acquire().await.map_err(Error::internal)?.forget();
                        if let Some(then) = then {
                            uow.emit(TOPIC, "test.done", then, 0.into()).await?;
                        }
                        Ok(())
                    })
                },
            )
            .await
            .unwrap();
    });
    (begun, gate, task)
}

#[tokio::test]
async fn a_late_commit_is_not_skipped() {
    let Some(place) = postgres().await else {
        return;
    };
    let place = Arc::new(place);
    let (begun, gate, old) = slow(&place, "old", None);
    begun.acquire().await.unwrap().forget();
    place.emit("young", 1).await;
    // The younger one is committed, but the older one may still come before it.
    let (events, cursor) = place.read(OutboxCursor::default()).await;
    assert!(events.is_empty(), "{events:?}");
    gate.add_permits(1);
    old.await.unwrap();
    let (mut all, mut cursor) = (events, cursor);
    for _ in 0..500 {
        let (events, next) = place.read(cursor).await;
        (cursor, _) = (next, all.extend(events));
        if all.len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    all.sort();
    assert_eq!(all, ["old1", "young1"]);
}

#[tokio::test]
async fn an_old_transaction_that_writes_last_is_read_last() {
    let Some(place) = postgres().await else {
        return;
    };
    let place = Arc::new(place);
    let (begun, oldest, first) = slow(&place, "x", Some("key"));
    begun.acquire().await.unwrap().forget();
    let (begun, between, second) = slow(&place, "y", None);
    begun.acquire().await.unwrap().forget();
    place.emit("key", 1).await;
    oldest.add_permits(1);
    first.await.unwrap();
    // The one between keeps the young one from being read, so its follower must wait too.
    let mut all = Vec::new();
    let mut cursor = OutboxCursor::default();
    for round in 0..500 {
        let (events, next) = place.read(cursor).await;
        all.extend(events);
        cursor = next;
        if round == 10 {
            between.add_permits(1);
        }
        if all.len() == 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    second.await.unwrap();
    let of_key: Vec<_> = all.iter().filter(|name| name.starts_with("key")).collect();
    assert_eq!(of_key, ["key1", "key2"], "{all:?}");
    assert_eq!(all.len(), 4, "{all:?}");
}

#[tokio::test]
async fn a_failing_event_is_tried_again_and_at_last_put_aside() {
    for place in places().await {
        let process = place.process(|options| options.attempts = 4);
        let (seen, tries) = (Seen::default(), Arc::new(AtomicUsize::new(0)));
        let (kept, tried) = (seen.clone(), Arc::clone(&tries));
        process.bus.subscribe("picky", &[TOPIC], move |event| {
            let bad = event.payload == 1 || event.payload == 2;
            let attempt = if bad {
                tried.fetch_add(1, Ordering::SeqCst)
            } else {
                0
            };
            // Event 1 is taken the third time; event 2 never, and panics too.
            if (event.payload == 1 && attempt < 2) || event.payload == 2 {
                assert!(attempt % 2 == 0, "on purpose");
                return Box::pin(async { Err(Error::internal("secret cause")) });
            }
            kept.add(event);
            Box::pin(async { Ok(()) })
        });
        for n in 0..4 {
            place.emit("k", n).await;
        }
        let taken: Vec<_> = seen.wait(3).await.into_iter().map(|e| e.payload).collect();
        assert_eq!(taken, [0, 1, 3]);
        assert_eq!(tries.load(Ordering::SeqCst), 7);
        let letters = process
            .bus
            .dead_letters(&place.context(), Page::default())
            .await
            .unwrap();
        assert_eq!(letters.meta.total, 1);
        assert_eq!(
            (
                letters.data[0].event.payload.clone(),
                letters.data[0].attempts
            ),
            (2.into(), 4)
        );
        assert!(!letters.data[0].error.contains("secret"));
        let stranger = Place {
            tenant: place.ids.next(),
            ..place
        };
        let none = process
            .bus
            .dead_letters(&stranger.context(), Page::default())
            .await
            .unwrap();
        assert_eq!(none.meta.total, 0);
        process.end().await;
    }
}

#[tokio::test]
async fn what_was_not_saved_comes_again_after_a_death() {
    for place in places().await {
        for n in 0..5 {
            place.emit("k", n).await;
        }
        let dying = place.process(|options| options.lease = Duration::from_millis(300));
        let seen = Seen::default();
        let kept = seen.clone();
        let subscriber = deliver::Subscriber {
            bus: dying.bus.clone(),
            name: "mortal",
            topics: &[TOPIC],
            handler: Arc::new(move |event| {
                kept.add(event);
                let hangs = event.payload == 3;
                Box::pin(async move {
                    if hangs {
                        std::future::pending::<()>().await;
                    }
                    Ok(())
                })
            }),
        };
        let task = tokio::spawn(subscriber.run());
        assert_eq!(seen.wait(4).await.len(), 4);
        task.abort();
        let _ = task.await;

        let next = place.process(|_| {});
        let again = Seen::default();
        again.subscribe(&next, "mortal");
        let order: Vec<_> = again.wait(5).await.into_iter().map(|e| e.payload).collect();
        assert_eq!(order, [0, 1, 2, 3, 4]);
        next.end().await;

        // A proper end saves the place: nothing comes again, and new events do.
        place.emit("k", 5).await;
        let third = place.process(|_| {});
        let new = Seen::default();
        new.subscribe(&third, "mortal");
        assert_eq!(new.wait(1).await[0].payload, 5);
        third.end().await;
    }
}

#[tokio::test]
async fn one_node_at_a_time_has_a_subscriber() {
    for place in places().await {
        let (one, two) = (place.process(|_| {}), place.process(|_| {}));
        let (first, second) = (Seen::default(), Seen::default());
        first.subscribe(&one, "single");
        place.emit("k", 0).await;
        first.wait(1).await;
        second.subscribe(&two, "single");
        for n in 1..30 {
            place.emit("k", n).await;
        }
        assert_eq!(first.wait(30).await.len(), 30);
        assert!(second.all().is_empty());
        one.end().await;
        place.emit("k", 30).await;
        assert_eq!(second.wait(1).await[0].payload, 30);
        // Another subscriber has a place of its own, from the first event kept.
        let other = Seen::default();
        other.subscribe(&two, "other");
        assert_eq!(other.wait(31).await.len(), 31);
        two.end().await;
    }
}

#[tokio::test]
async fn old_events_go_when_everybody_has_them() {
    for place in places().await {
        let process = place.process(|options| options.lease = Duration::from_millis(300));
        for n in 0..10 {
            place.emit("k", n).await;
        }
        let stuck = deliver::Subscriber {
            bus: process.bus.clone(),
            name: "stuck",
            topics: &[TOPIC],
            handler: Arc::new(|_| Box::pin(std::future::pending())),
        };
        let task = tokio::spawn(stuck.run());
        let seen = Seen::default();
        seen.subscribe(&process, "quick");
        seen.wait(10).await;
        place.clock.advance(Duration::from_secs(25 * 3600));
        place.emit("k", 10).await;
        seen.wait(11).await;
        // The leases are measured by the database's clock, which has not moved.
        assert_eq!(
            process.bus.sweep().await.unwrap(),
            0,
            "one subscriber has nothing yet"
        );
        task.abort();
        let _ = task.await;
        // Nobody runs the stuck one any more: it takes what is left as "quick" did.
        let moved = Seen::default();
        moved.subscribe(&process, "stuck");
        moved.wait(11).await;
        let mut removed = 0;
        for _ in 0..500 {
            removed += process.bus.sweep().await.unwrap();
            if removed == 10 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(removed, 10, "{:?}", place.store);
        let system = process.bus.system();
        let left = place.store.read(&system, (), |reads, ()| {
            Box::pin(async move {
                let sql = "SELECT CAST(COUNT(*) AS bigint) FROM outbox";
                reads.query_one(sql, params![]).await?.get::<i64>(0)
            })
        });
        assert_eq!(left.await.unwrap(), 1);
        process.end().await;
    }
}
