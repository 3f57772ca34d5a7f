//! The store's two doors on both databases, as an attacker and an operator see
//! them: rollback, groups, bad closures, tenants, keys, migrations, death.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use kernel::{
    Actor, Clock, Context, Error, Idempotency, Ids, Random, Result, Role, Roles, TenantId, codes,
};
use store::{Durability, Env, Migration, Options, Rows, Store, params};
use testkit::PostgresDatabase;

const NOTES: &[Migration] = &[Migration {
    name: "20261121_9000_notes",
    sql: "CREATE TABLE notes (
            id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            note text NOT NULL CHECK (note <> 'bad')
          );
          -- tenant: notes",
}];

struct Place {
    store: Store,
    options: Options,
    ids: Ids,
    clock: Clock,
    directory: tempfile::TempDir,
    _database: Option<PostgresDatabase>,
}

async fn places() -> Vec<Place> {
    let directory = tempfile::tempdir().unwrap();
    let mut places = vec![open(sqlite(directory.path()), directory).await];
    if let Some(database) = PostgresDatabase::if_here().await {
        let options = Options::Postgres {
            url: database.url(),
            connections: 6,
        };
        let mut place = open(options, tempfile::tempdir().unwrap()).await;
        place._database = Some(database);
        places.push(place);
    }
    places
}

fn sqlite(directory: &Path) -> Options {
    Options::Sqlite {
        directory: directory.join("data"),
        readers: 2,
    }
}

fn env(clock: &Clock) -> Env {
    Env {
        clock: clock.clone(),
        ids: Ids::new(clock.clone(), Random::system()),
    }
}

async fn open(options: Options, directory: tempfile::TempDir) -> Place {
    let clock = Clock::manual("2026-11-21T08:00:00Z".parse().unwrap());
    let env = env(&clock);
    let store = Store::open(&options, env.clone(), &[NOTES]).await.unwrap();
    Place {
        store,
        options,
        ids: env.ids,
        clock,
        directory,
        _database: None,
    }
}

impl Place {
    fn caller(&self) -> Context {
        let roles = Roles::of(&[Role::User]);
        let actor = Actor::Account {
            id: self.ids.next(),
            session: self.ids.next(),
            roles,
        };
        Context::new(self.ids.next(), actor, self.ids.next())
    }

    async fn put(&self, ctx: &Context, note: &str) -> Result<()> {
        put(&self.store, ctx, note).await
    }

    async fn notes(&self, ctx: &Context) -> Vec<String> {
        let read = self.store.read(ctx, (), |reads, ()| {
            Box::pin(async move {
                let tenant = reads.tenant()?;
                let sql = "SELECT note FROM notes WHERE tenant_id = $1 ORDER BY note";
                let rows = reads.query(sql, params![tenant]).await?;
                rows.into_iter()
                    .map(|mut row| row.get(0))
                    .collect::<Result<Vec<String>>>()
            })
        });
        read.await.unwrap()
    }
}

async fn put(store: &Store, ctx: &Context, note: &str) -> Result<()> {
    store
        .write(ctx, Durability::Durable, note.to_owned(), |uow, note| {
            Box::pin(async move { insert(uow, note).await })
        })
        .await
}

async fn insert(uow: &mut store::Uow, note: &str) -> Result<()> {
    let (tenant, id) = (uow.tenant()?, uow.id::<()>());
    let sql = "INSERT INTO notes (id, tenant_id, note) VALUES ($1, $2, $3)";
    uow.execute(sql, params![id, tenant, note]).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_closures_harm_neither_their_neighbours_nor_the_store() {
    for place in places().await {
        let me = place.caller();
        let place = Arc::new(place);
        let hooks = Arc::new(AtomicUsize::new(0));
        let mut tasks = Vec::new();
        for n in 0..120 {
            let (place, me, hooks) = (Arc::clone(&place), me.clone(), Arc::clone(&hooks));
            tasks.push(tokio::spawn(async move {
                let args = (n, hooks);
                let write = place
                    .store
                    .write(&me, Durability::Fast, args, |uow, (n, hooks)| {
                        let hooks = Arc::clone(hooks);
                        Box::pin(async move {
                            insert(uow, &format!("note {n:03}")).await?;
                            uow.after_commit(move || {
                                hooks.fetch_add(1, Ordering::SeqCst);
                            });
                            match n % 4 {
                                0 => Ok(()),
                                1 => Err(Error::not_found("Anything")),
                                2 => panic!("on purpose"),
                                // The failure is hidden, but nothing may be kept of it.
                                _ => {
                                    let _ = insert(uow, "bad").await;
                                    Ok(())
                                }
                            }
                        })
                    });
                (n, write.await)
            }));
        }
        for task in tasks {
            match task.await.unwrap() {
                (n, result) if n % 4 == 0 => result.unwrap(),
                (n, result) if n % 4 == 1 => assert!(result.unwrap_err().is(codes::NOT_FOUND)),
                (_, result) => {
                    let error = result.unwrap_err();
                    assert!(error.is(codes::INTERNAL), "{error:?}");
                }
            }
        }
        let kept = place.notes(&me).await;
        assert_eq!(kept.len(), 30, "{:?}", place.store);
        assert!(
            kept.iter()
                .all(|note| note[5..].parse::<u32>().unwrap() % 4 == 0)
        );
        assert_eq!(hooks.load(Ordering::SeqCst), 30);
        place.put(&me, "still works").await.unwrap();
    }
}

const LATER: &str = "INSERT INTO notes (id, tenant_id, note) VALUES ($1, $2, $3)";

/// Statements that nobody waits for are run in order with those that somebody
/// waits for, and if one of them fails, nothing of the unit of work is kept.
#[tokio::test]
async fn statements_that_nobody_waits_for_keep_their_order_and_their_failures() {
    for place in places().await {
        let me = place.caller();
        let counts = place
            .store
            .write(&me, Durability::Durable, (), |uow, ()| {
                Box::pin(async move {
                    let (tenant, mut counts) = (uow.tenant()?, Vec::new());
                    for n in 0..40 {
                        let id: kernel::Id<()> = uow.id();
                        let row = params![id, tenant, format!("later {n:02}")];
                        uow.later(Rows::One, LATER, row).await?;
                        if n % 15 == 0 {
                            let count = "SELECT COUNT(*) FROM notes WHERE tenant_id = $1";
                            let mut row = uow.query_one(count, params![tenant]).await?;
                            counts.push(row.get::<i64>(0)?);
                        }
                    }
                    // Sees the row before it, and is seen by the one after it.
                    let rename = "UPDATE notes SET note = $3 WHERE tenant_id = $1 AND note = $2";
                    let row = params![tenant, "later 39", "renamed"];
                    uow.later(Rows::One, rename, row).await?;
                    let row = params![tenant, "renamed", "renamed again"];
                    uow.later(Rows::One, rename, row).await?;
                    Ok(counts)
                })
            })
            .await
            .unwrap();
        assert_eq!(counts, [1, 16, 31]);
        let stored = place.notes(&me).await;
        assert_eq!((stored.len(), stored[39].as_str()), (40, "renamed again"));

        let after = Arc::new(AtomicUsize::new(0));
        for (sql, note, rows) in [
            (LATER, "bad", Rows::One),
            (
                "UPDATE notes SET note = $3 WHERE tenant_id = $2 AND id = $1",
                "none",
                Rows::One,
            ),
        ] {
            let args = (sql, note, rows, Arc::clone(&after));
            let failed = place
                .store
                .write(&me, Durability::Durable, args, |uow, args| {
                    Box::pin(async move {
                        let (sql, note, rows, after) = args;
                        let (tenant, after) = (uow.tenant()?, Arc::clone(after));
                        let id: kernel::Id<()> = uow.id();
                        uow.later(Rows::One, LATER, params![id, tenant, "before"])
                            .await?;
                        uow.after_commit(move || {
                            after.fetch_add(1, Ordering::SeqCst);
                        });
                        let id: kernel::Id<()> = uow.id();
                        // Its failure may come out only at the end, also when it is ignored here.
                        let _ = uow.later(*rows, sql, params![id, tenant, *note]).await;
                        Ok(())
                    })
                });
            failed.await.unwrap_err();
        }
        assert_eq!(place.notes(&me).await.len(), 40);
        assert_eq!(after.load(Ordering::SeqCst), 0);
        let none = "UPDATE notes SET note = 'x' WHERE tenant_id = $1 AND note = 'absent'";
        let any = place.store.write(&me, Durability::Fast, none, |uow, none| {
            Box::pin(async move {
                let tenant = uow.tenant()?;
                uow.later(Rows::Any, none, params![tenant]).await
            })
        });
        any.await.unwrap();
        // Every connection is as good as new.
        for n in 0..8 {
            place.put(&me, &format!("{n}")).await.unwrap();
        }
        assert_eq!(place.notes(&me).await.len(), 48);
    }
}

#[tokio::test]
async fn a_closure_that_waits_for_something_else_is_reported() {
    let place = places().await.swap_remove(0);
    let me = place.caller();
    let pending = place.store.write(&me, Durability::Fast, (), |uow, ()| {
        Box::pin(async move {
            insert(uow, "half").await?;
            std::future::pending::<Result<()>>().await
        })
    });
    assert!(format!("{:?}", pending.await.unwrap_err()).contains("awaited something other"));
    let pending = place.store.read(&me, (), |_, ()| {
        Box::pin(std::future::pending::<Result<()>>())
    });
    assert!(format!("{:?}", pending.await.unwrap_err()).contains("awaited something other"));
    assert!(place.notes(&me).await.is_empty());
    place.put(&me, "fine").await.unwrap();
}

#[tokio::test]
async fn the_door_for_reading_refuses_writes() {
    for place in places().await {
        let me = place.caller();
        place.put(&me, "one").await.unwrap();
        for sql in [
            "DELETE FROM notes WHERE tenant_id = $1 RETURNING note",
            "UPDATE notes SET note = 'x' WHERE tenant_id = $1 RETURNING note",
        ] {
            let read = place.store.read(&me, sql, |reads, sql| {
                Box::pin(async move {
                    let tenant = reads.tenant()?;
                    reads.query(sql, params![tenant]).await.map(drop)
                })
            });
            assert!(read.await.is_err());
        }
        assert_eq!(place.notes(&me).await, ["one"]);
    }
}

#[tokio::test]
async fn postgres_hides_other_tenants_even_from_careless_statements() {
    for place in places().await.into_iter().skip(1) {
        let (me, other) = (place.caller(), place.caller());
        place.put(&me, "mine").await.unwrap();
        place.put(&other, "secret").await.unwrap();
        let careless = place
            .store
            .write(&me, Durability::Fast, other.tenant(), |uow, other| {
                Box::pin(async move {
                    let rows = uow.query("SELECT note FROM notes", params![]).await?;
                    assert_eq!(rows.len(), 1);
                    let sql = "SELECT note FROM notes WHERE tenant_id = $1";
                    assert!(uow.query(sql, params![*other]).await?.is_empty());
                    assert_eq!(
                        uow.execute("UPDATE notes SET note = 'seen'", params![])
                            .await?,
                        1
                    );
                    assert_eq!(uow.execute("DELETE FROM notes", params![]).await?, 1);
                    Ok(())
                })
            });
        careless.await.unwrap();
        // Nor can a row be planted with a neighbour.
        let plant = place
            .store
            .write(&me, Durability::Fast, other.tenant(), |uow, other| {
                Box::pin(async move {
                    let sql = "INSERT INTO notes (id, tenant_id, note) VALUES ($1, $2, 'planted')";
                    let id = uow.id::<()>();
                    uow.execute(sql, params![id, *other]).await
                })
            });
        assert!(plant.await.is_err());
        let forbidden = place.store.write(&me, Durability::Fast, (), |uow, ()| {
            Box::pin(async move { uow.execute("DELETE FROM migrations", params![]).await })
        });
        assert!(forbidden.await.is_err());
        assert_eq!(place.notes(&other).await, ["secret"]);
        // The system sees all; a connection does not keep that for the next one.
        let system = Context::system(
            "test",
            TenantId::from_uuid(Default::default()),
            place.ids.next(),
        );
        for (ctx, count) in [(&system, 1), (&me, 0), (&system, 1), (&other, 1)] {
            let read = place.store.read(ctx, (), |reads, ()| {
                Box::pin(async move { reads.query("SELECT note FROM notes", params![]).await })
            });
            assert_eq!(read.await.unwrap().len(), count);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_unit_of_work_leaves_a_usable_store() {
    for place in places().await {
        let place = Arc::new(place);
        let me = place.caller();
        for n in 0..60_u64 {
            let (other, ctx) = (Arc::clone(&place), me.clone());
            let task = tokio::spawn(async move {
                let read = other.notes(&ctx);
                let write = other.put(&ctx, "abandoned");
                let _ = tokio::join!(read, write);
            });
            tokio::time::sleep(Duration::from_micros(n * 50)).await;
            task.abort();
        }
        for n in 0..20 {
            place.put(&me, &format!("n{n}")).await.unwrap();
        }
        let kept = place.notes(&me).await;
        assert_eq!(kept.iter().filter(|note| note.starts_with('n')).count(), 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_read_ends_and_gives_its_connection_back() {
    for place in places().await {
        let Options::Postgres { url, .. } = &place.options else {
            continue;
        };
        let (watcher, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        let connections = async || {
            let sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()
                         AND pid <> pg_backend_pid() ORDER BY pid";
            let rows = watcher.query(sql, &[]).await.unwrap();
            rows.iter().map(|row| row.get(0)).collect::<Vec<i32>>()
        };
        let me = place.caller();
        futures_util::future::join_all((0..4).map(|_| place.notes(&me))).await;
        let before = connections().await;

        let (said, mut heard) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..20 {
            let (store, ctx, said) = (place.store.clone(), me.clone(), said.clone());
            let abandoned = tokio::spawn(async move {
                let read = store.read(&ctx, said, |reads, said| {
                    Box::pin(async move {
                        said.send("begun").unwrap();
                        reads.query("SELECT pg_sleep(0.02)", params![]).await?;
                        said.send("ended").unwrap();
                        Ok(())
                    })
                });
                read.await.unwrap();
            });
            assert_eq!(heard.recv().await, Some("begun"));
            abandoned.abort();
            let ended = tokio::time::timeout(Duration::from_secs(10), heard.recv());
            assert_eq!(ended.await, Ok(Some("ended")));
        }
        assert_eq!(connections().await, before, "the pool's connections");
    }
}

/// Somebody who ends connections, as a restart of the server does.
struct Killer {
    watcher: tokio_postgres::Client,
    /// How often the unit of work was run.
    runs: AtomicUsize,
}

impl Killer {
    async fn of(place: &Place) -> Option<Arc<Self>> {
        let Options::Postgres { url, .. } = &place.options else {
            return None;
        };
        let (watcher, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        let runs = AtomicUsize::new(0);
        Some(Arc::new(Self { watcher, runs }))
    }

    /// Counts a run, and ends its connection if it is the first.
    async fn cut(&self, reads: &mut store::Reads) -> Result<()> {
        let sql = "SELECT CAST(pg_backend_pid() AS bigint)";
        let pid: i64 = reads.query_one(sql, params![]).await?.get(0)?;
        if self.runs.fetch_add(1, Ordering::SeqCst) == 0 {
            let sql = "SELECT pg_terminate_backend(CAST($1 AS int), 20000)";
            let pid = i32::try_from(pid).unwrap();
            let gone: bool = self.watcher.query_one(sql, &[&pid]).await.unwrap().get(0);
            assert!(gone);
        }
        Ok(())
    }

    async fn cut_all(&self) {
        let sql = "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        assert!(!self.watcher.query(sql, &[]).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_of_work_that_loses_its_connection_runs_again_unless_it_may_be_done() {
    for place in places().await {
        let Some(killer) = Killer::of(&place).await else {
            continue;
        };
        let me = place.caller();
        let write = place.store.write(
            &me,
            Durability::Durable,
            Arc::clone(&killer),
            |uow, killer| {
                Box::pin(async move {
                    insert(uow, "once").await?;
                    killer.cut(uow).await?;
                    insert(uow, "twice").await
                })
            },
        );
        write.await.unwrap();
        assert_eq!(killer.runs.swap(0, Ordering::SeqCst), 2);
        let read = place.store.read(&me, Arc::clone(&killer), |reads, killer| {
            Box::pin(async move {
                killer.cut(reads).await?;
                reads.query_one("SELECT 1", params![]).await.map(drop)
            })
        });
        read.await.unwrap();
        assert_eq!(killer.runs.swap(0, Ordering::SeqCst), 2);
        assert_eq!(place.notes(&me).await, ["once", "twice"]);

        // Nobody knows what became of a commit that was not answered.
        let write = place.store.write(
            &me,
            Durability::Durable,
            Arc::clone(&killer),
            |uow, killer| {
                Box::pin(async move {
                    insert(uow, "perhaps").await?;
                    killer.cut(uow).await
                })
            },
        );
        let error = write.await.unwrap_err();
        assert!(error.is(codes::DATABASE_UNAVAILABLE) && error.retry().is_some());
        assert_eq!(killer.runs.load(Ordering::SeqCst), 1);
        assert_eq!(place.notes(&me).await, ["once", "twice"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_were_cut_fail_nobody() {
    for place in places().await {
        let Some(killer) = Killer::of(&place).await else {
            continue;
        };
        let me = place.caller();
        for round in 0..10 {
            futures_util::future::join_all((0..6).map(|_| place.notes(&me))).await;
            killer.cut_all().await;
            let next = (0..10).map(|n| {
                let (place, me) = (&place, &me);
                async move {
                    place.put(me, &format!("{round}-{n}")).await.unwrap();
                    place.notes(me).await;
                }
            });
            futures_util::future::join_all(next).await;
        }
        assert_eq!(place.notes(&me).await.len(), 100);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_stands_for_one_request_and_its_answer() {
    for place in places().await {
        let key = |print| {
            Some(Idempotency {
                key: "key".into(),
                fingerprint: [print; 32],
            })
        };
        let me = place.caller();
        let runs = Arc::new(AtomicUsize::new(0));
        let once = |ctx: Context| {
            let args = Arc::clone(&runs);
            let store = place.store.clone();
            async move {
                store
                    .write_once(&ctx, Durability::Durable, args, |uow, runs| {
                        let run = runs.fetch_add(1, Ordering::SeqCst);
                        Box::pin(async move {
                            insert(uow, &format!("run {run}")).await?;
                            Ok(run)
                        })
                    })
                    .await
            }
        };
        let mine = me.clone().with_idempotency(key(1));
        let all = futures_util::future::join_all((0..8).map(|_| once(mine.clone()))).await;
        let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
        assert_eq!(all, [0; 8], "{:?}", place.store);
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        assert_eq!(place.notes(&me).await.len(), 1);
        let reused = once(me.clone().with_idempotency(key(2))).await.unwrap_err();
        assert!(reused.is(codes::IDEMPOTENCY_KEY_REUSED));
        // The answer can be had without running anything; only by whom it belongs to.
        let asked = |ctx: Context| {
            let store = place.store.clone();
            async move { store.answered::<usize>(&ctx).await }
        };
        assert_eq!(asked(mine.clone()).await.unwrap(), Some(0));
        assert_eq!(asked(me.clone()).await.unwrap(), None);
        let reused = asked(me.clone().with_idempotency(key(2))).await;
        assert!(reused.unwrap_err().is(codes::IDEMPOTENCY_KEY_REUSED));
        let stranger = place.caller().with_idempotency(key(1));
        assert_eq!(asked(stranger).await.unwrap(), None);
        // Another account of the same tenant has keys of its own.
        let roles = Roles::of(&[Role::User]);
        let actor = Actor::Account {
            id: place.ids.next(),
            session: place.ids.next(),
            roles,
        };
        let neighbour = Context::new(me.tenant(), actor, place.ids.next());
        assert_eq!(once(neighbour.with_idempotency(key(1))).await.unwrap(), 1);
        // What failed is not remembered.
        let failing = mine.clone().with_idempotency(Some(Idempotency {
            key: "f".into(),
            fingerprint: [3; 32],
        }));
        for _ in 0..2 {
            let write = place
                .store
                .write_once(&failing, Durability::Fast, (), |uow, ()| {
                    Box::pin(async move {
                        insert(uow, "no").await?;
                        Err::<(), _>(Error::not_found("Thing"))
                    })
                });
            assert!(write.await.unwrap_err().is(codes::NOT_FOUND));
        }
        place.clock.advance(Duration::from_secs(25 * 3600));
        assert_eq!(once(me.clone().with_idempotency(key(2))).await.unwrap(), 2);
        assert_eq!(once(me.clone().with_idempotency(key(2))).await.unwrap(), 2);
        place.clock.advance(Duration::from_secs(25 * 3600));
        let system = me.as_system("test");
        assert!(place.store.sweep(&system).await.unwrap() >= 1);
    }
}

#[tokio::test]
async fn a_newer_or_altered_database_is_refused() {
    for place in places().await {
        let Place {
            store,
            options,
            clock,
            directory,
            ..
        } = place;
        store.close().await;
        let refused = Store::open(&options, env(&clock), &[]).await.unwrap_err();
        assert!(
            refused.detail().contains("newer than this program"),
            "{refused}"
        );
        let altered: &[Migration] = &[Migration {
            sql: "CREATE TABLE other (id uuid)",
            ..NOTES[0]
        }];
        let refused = Store::open(&options, env(&clock), &[altered])
            .await
            .unwrap_err();
        assert!(refused.detail().contains("another text"), "{refused}");
        let broken: &[Migration] = &[
            NOTES[0],
            Migration {
                name: "20261121_9001_broken",
                sql: "CREATE TABLE half (id uuid); NONSENSE",
            },
        ];
        assert!(Store::open(&options, env(&clock), &[broken]).await.is_err());
        // Nothing of a migration that failed stays behind.
        let fixed: &[Migration] = &[
            NOTES[0],
            Migration {
                name: "20261121_9001_broken",
                sql: "CREATE TABLE half (id uuid)",
            },
        ];
        Store::open(&options, env(&clock), &[fixed])
            .await
            .unwrap()
            .close()
            .await;
        drop(directory);
    }
}

#[tokio::test]
async fn one_process_uses_a_data_directory_and_nobody_else_reads_it() {
    let place = places().await.swap_remove(0);
    let refused = Store::open(&place.options, env(&place.clock), &[NOTES])
        .await
        .unwrap_err();
    assert!(
        refused.is(codes::CONFLICT) && refused.detail().contains("--data-dir"),
        "{refused}"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(place.directory.path().join("data"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }
    place.store.close().await;
    Store::open(&place.options, env(&place.clock), &[NOTES])
        .await
        .unwrap();
}

/// Also in a directory that others can enter (a volume, a service's home), and
/// with everything in the one file after a clean stop, whoever still has a handle.
#[cfg(unix)]
#[tokio::test]
async fn the_database_is_for_its_owner_alone_and_whole_when_closed() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let open_to_all = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open_to_all(directory.path(), 0o755);
    // One of an earlier version.
    std::fs::write(directory.path().join("tertulia.db"), b"").unwrap();
    open_to_all(&directory.path().join("tertulia.db"), 0o644);
    let options = Options::Sqlite {
        directory: directory.path().to_owned(),
        readers: 2,
    };
    let place = open(options, directory).await;
    let me = place.caller();
    place.put(&me, "kept").await.unwrap();
    let files = || std::fs::read_dir(place.directory.path()).unwrap().flatten();
    for file in files() {
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} {mode:o}", file.path());
    }
    let other = place.store.clone();
    place.store.clone().close().await;
    let left: Vec<_> = files().map(|file| file.file_name()).collect();
    let log = left
        .iter()
        .any(|name| name.to_string_lossy().ends_with("-wal"));
    assert!(!log, "{left:?}");
    assert!(
        put(&other, &me, "late")
            .await
            .unwrap_err()
            .is(codes::SHUTTING_DOWN)
    );
}

#[tokio::test]
async fn a_damaged_file_is_told_apart() {
    let broken: [fn(&mut Vec<u8>); 3] = [
        |bytes| *bytes = b"no database at all, but long enough to look at".to_vec(),
        |bytes| bytes.truncate(5000),
        |bytes| bytes[4096..].fill(0x5a),
    ];
    for (n, damage) in broken.into_iter().enumerate() {
        let place = places().await.swap_remove(0);
        place.put(&place.caller(), "kept").await.unwrap();
        place.store.clone().close().await;
        let file = place.directory.path().join("data").join(store::SQLITE_FILE);
        let mut bytes = std::fs::read(&file).unwrap();
        damage(&mut bytes);
        std::fs::write(&file, &bytes).unwrap();
        drop(place.store);
        let refused = Store::open(&place.options, env(&place.clock), &[NOTES]).await;
        let error = refused.unwrap_err();
        assert!(error.is(codes::DATABASE_UNAVAILABLE), "{n}: {error:?}");
        assert_eq!(store::db_class(&error), Some(store::DbClass::Damaged));
        assert_eq!(
            std::fs::read(&file).unwrap(),
            bytes,
            "what may be saved by somebody is left alone"
        );
    }
}

/// A full disk is a database that may not grow.
#[tokio::test]
async fn a_database_that_cannot_write_does_not_say_that_it_is_well() {
    let place = places().await.swap_remove(0);
    let (ctx, system) = (place.caller(), place.caller().as_system("test"));
    let pages = async |sql: &'static str| {
        let write = place
            .store
            .write(&system, Durability::Fast, sql, |uow, sql| {
                Box::pin(async move { uow.query(sql, params![]).await.map(drop) })
            });
        write.await.unwrap();
    };
    place.store.ping(&system).await.unwrap();
    pages("PRAGMA max_page_count = 1").await;
    let long = "a".repeat(100_000);
    let refused = place.put(&ctx, &long).await.unwrap_err();
    assert!(refused.is(codes::DATABASE_UNAVAILABLE), "{refused:?}");
    let unwell = place.store.ping(&system).await.unwrap_err();
    assert!(unwell.is(codes::DATABASE_UNAVAILABLE), "{unwell:?}");
    // Reading goes on, and a unit of work without a change proves nothing.
    assert!(place.notes(&ctx).await.is_empty());
    pages("PRAGMA max_page_count = 100000").await;
    place.store.ping(&system).await.unwrap();
    place.put(&ctx, &long).await.unwrap();
    place.store.ping(&system).await.unwrap();
}

/// Runs itself as another process that writes until it dies without a word, and
/// looks for everything that was answered.
#[tokio::test]
async fn what_was_answered_survives_an_abort() {
    const WHERE: &str = "STORE_TEST_ABORT_IN";
    if let Some(directory) = std::env::var_os(WHERE) {
        let clock = Clock::system();
        let store = Store::open(&sqlite(Path::new(&directory)), env(&clock), &[NOTES])
            .await
            .unwrap();
        let actor = Actor::System { task: "abort" };
        let me = Context::new(
            TenantId::from_uuid(Default::default()),
            actor,
            env(&clock).ids.next(),
        );
        for n in 0..1_000 {
            let queued = [0, 1, 2].map(|part| {
                let (store, me) = (store.clone(), me.clone());
                async move {
                    let note = format!("{n:04}.{part}");
                    put(&store, &me, &note).await.unwrap();
                    println!("answered {note}");
                    if n == 40 && part == 1 {
                        std::process::abort();
                    }
                }
            });
            futures_util::future::join_all(queued).await;
        }
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "what_was_answered_survives_an_abort",
        ])
        .env(WHERE, directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let answered: Vec<String> = lines
        .map_while(|line| line.ok())
        .filter_map(|line| line.split("answered ").nth(1).map(str::to_owned))
        .collect();
    assert!(!child.wait().unwrap().success());
    assert!(answered.len() >= 120, "{}", answered.len());
    let place = open(sqlite(directory.path()), directory).await;
    let actor = Actor::System { task: "abort" };
    let me = Context::new(
        TenantId::from_uuid(Default::default()),
        actor,
        place.ids.next(),
    );
    let kept = place.notes(&me).await;
    for note in answered {
        assert!(kept.contains(&note), "{note} was answered and is gone");
    }
}
