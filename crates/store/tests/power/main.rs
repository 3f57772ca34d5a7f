//! What a power cut leaves: every durable write that was answered. On SQLite
//! the power of a disk is cut; PostgreSQL is asked how it commits.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

mod disk;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use kernel::{Actor, Clock, Context, Ids, Random, Result, TenantId};
use store::{Durability, Env, Migration, Options, Store, params};
use testkit::PostgresDatabase;

const NOTES: &[Migration] = &[Migration {
    name: "20261121_9000_notes",
    sql: "CREATE TABLE notes (tenant_id uuid NOT NULL, note text NOT NULL);
          -- tenant: notes",
}];

async fn open(options: &Options) -> Store {
    let clock = Clock::system();
    let ids = Ids::new(clock.clone(), Random::system());
    Store::open(options, Env { clock, ids }, &[NOTES])
        .await
        .unwrap()
}

/// A store in this directory; the system may have made it a longer name.
async fn open_in(home: &Path) -> (Store, PathBuf) {
    let directory = home.join("data");
    let store = open(&Options::Sqlite {
        directory: directory.clone(),
        readers: 1,
    })
    .await;
    (store, directory.canonicalize().unwrap())
}

fn somebody() -> Context {
    let nobody = kernel::Id::from_uuid(Default::default());
    let actor = Actor::System { task: "power" };
    Context::new(TenantId::from_uuid(Default::default()), actor, nobody)
}

async fn put(store: &Store, durability: Durability, note: &str) -> Result<()> {
    store
        .write(&somebody(), durability, note.to_owned(), |uow, note| {
            Box::pin(async move {
                let sql = "INSERT INTO notes (tenant_id, note) VALUES ($1, $2)";
                let tenant = uow.tenant()?;
                uow.execute(sql, params![tenant, note]).await.map(drop)
            })
        })
        .await
}

/// The beginnings of the notes on a disk as a power cut left it.
async fn found(left: &disk::Synced, directory: &Path) -> Vec<String> {
    let home = tempfile::tempdir().unwrap();
    disk::put_back(left, directory, &home.path().join("data"));
    let (store, _) = open_in(home.path()).await;
    let me = somebody();
    let notes = store.read(&me, (), |reads, ()| {
        Box::pin(async move {
            let tenant = reads.tenant()?;
            let sql = "SELECT substr(note, 1, 20) FROM notes WHERE tenant_id = $1";
            let rows = reads.query(sql, params![tenant]).await?;
            rows.into_iter()
                .map(|mut row| row.get(0))
                .collect::<Result<Vec<String>>>()
        })
    });
    let notes = notes.await.unwrap();
    store.close().await;
    notes
}

/// Durable and fast writes of many at once, in whatever groups they come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_durable_write_that_was_answered_survives_a_power_cut() {
    disk::install();
    let home = tempfile::tempdir().unwrap();
    let (store, directory) = open_in(home.path()).await;
    let mut cuts: HashMap<Vec<usize>, (disk::Synced, Vec<String>)> = HashMap::new();
    for round in 0..12 {
        let tasks: Vec<_> = (0..12)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move {
                    let note = format!("{round}.{n}");
                    if n % 3 != 0 {
                        put(&store, Durability::Fast, &note).await.unwrap();
                        return None;
                    }
                    put(&store, Durability::Durable, &note).await.unwrap();
                    // Here the client has its answer.
                    Some((note, disk::cut()))
                })
            })
            .collect();
        for task in tasks {
            let Some((note, left)) = task.await.unwrap() else {
                continue;
            };
            let mut same: Vec<usize> = left.values().map(|f| Arc::as_ptr(f) as usize).collect();
            same.sort_unstable();
            let cut = cuts.entry(same).or_insert((left, Vec::new()));
            cut.1.push(note);
        }
    }
    assert!(cuts.len() >= 12, "one sync a round at least");
    for (left, answered) in cuts.values() {
        let found = found(left, &directory).await;
        for note in answered {
            assert!(found.contains(note), "{note} was answered and is gone");
        }
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fast_write_waits_for_no_disk_and_the_next_durable_one_takes_it_along() {
    disk::install();
    let home = tempfile::tempdir().unwrap();
    let (store, directory) = open_in(home.path()).await;
    put(&store, Durability::Durable, "first").await.unwrap();
    let before = disk::syncs();
    for n in 0..20 {
        let note = format!("fast {n}");
        put(&store, Durability::Fast, &note).await.unwrap();
    }
    assert_eq!(disk::syncs(), before, "a fast write was synced");
    assert_eq!(found(&disk::cut(), &directory).await, ["first"]);
    put(&store, Durability::Durable, "last").await.unwrap();
    assert_eq!(found(&disk::cut(), &directory).await.len(), 22);
    store.close().await;
}

/// So much that the log is put into the database and begins anew, several times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_durable_is_lost_where_the_log_begins_anew() {
    disk::install();
    let home = tempfile::tempdir().unwrap();
    let (store, directory) = open_in(home.path()).await;
    let much = "x".repeat(1 << 20);
    for n in 0..24 {
        let fast = format!("fast {n:02} {much}");
        put(&store, Durability::Fast, &fast).await.unwrap();
        let durable = format!("durable {n:02} {much}");
        put(&store, Durability::Durable, &durable).await.unwrap();
        if n % 3 == 2 {
            let left = disk::cut();
            let found = found(&left, &directory).await;
            assert_eq!(found.len(), 2 * (n + 1), "after {n}");
        }
    }
    let kept = disk::cut()[&directory.join("tertulia.db")].len();
    assert!(kept > 16 << 20, "the log was never put into the database");
    store.close().await;
}

/// Whatever the server does by itself.
#[tokio::test]
async fn postgres_commits_synchronously_what_is_durable() {
    let Some(database) = PostgresDatabase::if_here().await else {
        return;
    };
    let (owner, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    for by_itself in ["off", "on"] {
        let sql = format!(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = {by_itself}', \
             current_database()); END $$"
        );
        owner.batch_execute(&sql).await.unwrap();
        let me = somebody();
        let store = open(&Options::Postgres {
            url: database.url(),
            connections: 2,
        })
        .await;
        // Connections are used again: nothing of a fast write stays behind.
        for _ in 0..6 {
            for (durability, level) in [(Durability::Fast, "off"), (Durability::Durable, "on")] {
                let asked = store.write(&me, durability, (), |uow, ()| {
                    Box::pin(async move {
                        let sql = "SELECT current_setting('synchronous_commit')";
                        uow.query_one(sql, params![]).await?.get::<String>(0)
                    })
                });
                let told = asked.await.unwrap();
                assert_eq!(told, level, "{durability:?}, and {by_itself} by itself");
            }
        }
        store.close().await;
    }
}
