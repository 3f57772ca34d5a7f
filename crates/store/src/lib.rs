//! The database: SQLite or PostgreSQL behind two doors, [`Store::read`] and
//! [`Store::write`], both bound to the caller's tenant. Also the outbox,
//! idempotency keys and migrations. No table of another part is known here.

mod dialect;
mod failure;
mod lock;
mod migrate;
mod once;
mod outbox;
mod postgres;
mod sqlite;
mod uow;
mod value;

use std::{path::PathBuf, sync::Arc};

use kernel::{BoxFuture, Context, Error, Result};
use tokio::sync::watch;

pub use dialect::Dialect;
pub use failure::{DbClass, DbError, db_class};
pub use migrate::Migration;
pub use once::{KEPT as IDEMPOTENCY_KEPT, answer_is_about, forget_answers, key_reused};
pub use outbox::{OutboxCursor, read_outbox};
pub use uow::{Env, Reads, Rows, Uow};
pub use value::{FromValue, Param, Row, Value};

/// What a write must survive once it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A power cut: messages, settles, accounts, an admin's changes.
    Durable,
    /// The end of the process: holds, log segments.
    Fast,
}

/// The embedded database within its directory.
pub const SQLITE_FILE: &str = "tertulia.db";

/// Where the data lives.
#[derive(Debug, Clone)]
pub enum Options {
    /// A SQLite file in a directory that one process at a time may use.
    Sqlite {
        /// The data directory; locked while the store is open.
        directory: PathBuf,
        /// Threads that read.
        readers: usize,
    },
    /// A PostgreSQL server.
    Postgres {
        /// `postgres://user:password@host:port/database`; the user owns the
        /// tables and can create roles.
        url: String,
        /// Connections at most.
        connections: usize,
    },
}

impl Options {
    /// What can be said of them without a database.
    ///
    /// # Errors
    /// With a sentence for the operator.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Sqlite { .. } => Ok(()),
            Self::Postgres { url, .. } => postgres::configuration(url).map(drop),
        }
    }
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    engine: Engine,
    env: Env,
    emitted: watch::Sender<u64>,
    _lock: Option<lock::DirectoryLock>,
}

enum Engine {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

impl Store {
    /// Opens the database and applies the parts' migrations.
    ///
    /// # Errors
    /// With a sentence for the operator: the directory is in use or not
    /// writable, the database cannot be reached, it is newer than the program.
    pub async fn open(options: &Options, env: Env, parts: &[&[Migration]]) -> Result<Self> {
        let migrations = migrate::sorted(parts);
        let (emitted, _) = watch::channel(0);
        let (engine, lock) = match options {
            Options::Sqlite { directory, readers } => {
                let lock = lock::DirectoryLock::take(directory)?;
                let file = directory.join(SQLITE_FILE);
                migrate::sqlite(&mut sqlite::connect(&file, false)?, &migrations)?;
                let on_emit = bump(&emitted);
                let engine = sqlite::Sqlite::open(&file, *readers, &env, on_emit)?;
                (Engine::Sqlite(engine), Some(lock))
            }
            Options::Postgres { url, connections } => {
                let engine = postgres::Postgres::open(url, *connections, &env)?;
                let mut client = engine.owner().await?;
                migrate::postgres(&mut client, &migrations).await?;
                drop(client);
                (Engine::Postgres(engine), None)
            }
        };
        Ok(Self(Arc::new(Inner {
            engine,
            env,
            emitted,
            _lock: lock,
        })))
    }

    /// Time and ids.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.0.env
    }

    /// Which database this is.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        match self.0.engine {
            Engine::Sqlite(_) => Dialect::Sqlite,
            Engine::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Changes whenever this process has committed events.
    #[must_use]
    pub fn emitted(&self) -> watch::Receiver<u64> {
        self.0.emitted.subscribe()
    }

    /// One unit of work. The closure may be run again (a transaction that lost
    /// against another one), and awaits nothing but the database. What it needs
    /// goes into `args`, from which its future may borrow.
    ///
    /// # Errors
    /// What the closure answers (nothing is written then); `database_unavailable`.
    pub async fn write<A, T, F>(
        &self,
        ctx: &Context,
        durability: Durability,
        args: A,
        f: F,
    ) -> Result<T>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'a> Fn(&'a mut Uow, &'a A) -> BoxFuture<'a, Result<T>> + Send + Sync + 'static,
    {
        match &self.0.engine {
            Engine::Sqlite(engine) => engine.write(ctx, durability, args, f).await,
            Engine::Postgres(engine) => {
                let emitted = self.0.emitted.clone();
                engine
                    .write(ctx, durability, args, f, move || bump_now(&emitted))
                    .await
            }
        }
    }

    /// Reads within one consistent view.
    ///
    /// # Errors
    /// What the closure answers; `database_unavailable`.
    pub async fn read<A, T, F>(&self, ctx: &Context, args: A, f: F) -> Result<T>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'a> Fn(&'a mut Reads, &'a A) -> BoxFuture<'a, Result<T>> + Send + 'static,
    {
        match &self.0.engine {
            Engine::Sqlite(engine) => engine.read(ctx, args, f).await,
            Engine::Postgres(engine) => engine.read(ctx, args, f).await,
        }
    }

    /// Whether the database answers and, as far as is known, can write.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn ping(&self, ctx: &Context) -> Result<()> {
        match &self.0.engine {
            Engine::Sqlite(engine) => engine.ping(ctx).await?,
            Engine::Postgres(engine) => engine.ping(ctx).await?,
        }
        self.read(ctx, (), |reads, ()| {
            Box::pin(async move { reads.query_one("SELECT 1", params![]).await.map(drop) })
        })
        .await
    }

    /// Forgets idempotency keys that are older than a day.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn sweep(&self, system: &Context) -> Result<u64> {
        let oldest = self.0.env.clock.now()
            - jiff::SignedDuration::try_from(IDEMPOTENCY_KEPT).unwrap_or_default();
        self.write(system, Durability::Fast, oldest, |uow, oldest| {
            Box::pin(async move {
                uow.execute(
                    "DELETE FROM idempotency_keys WHERE created_at < $1",
                    params![*oldest],
                )
                .await
            })
        })
        .await
    }

    /// Finishes what is queued and closes; what other handles ask for afterwards
    /// is refused.
    pub async fn close(self) {
        if let Engine::Postgres(engine) = &self.0.engine {
            engine.close().await;
        }
        if let Engine::Sqlite(engine) = &self.0.engine {
            engine.close().await;
        }
    }
}

fn bump(emitted: &watch::Sender<u64>) -> sqlite::Hooked {
    let emitted = emitted.clone();
    Arc::new(move || bump_now(&emitted))
}

fn bump_now(emitted: &watch::Sender<u64>) {
    emitted.send_modify(|n| *n = n.wrapping_add(1));
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned());
    format!("a unit of work panicked: {}", text.unwrap_or_default())
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({:?})", self.dialect())
    }
}

/// The error of a part that found its own invariant broken.
#[must_use]
pub fn broken(what: &str) -> Error {
    Error::internal(format!("an invariant is broken: {what}"))
}
