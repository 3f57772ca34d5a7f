//! SQLite: one writer thread whose waiting closures become savepoints of one
//! commit, and a pool of reader threads. "Database is locked" cannot happen,
//! because nothing else writes (the data directory is locked, see `lock`).

mod statements;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::{Context as TaskContext, Poll, Waker},
    thread,
};

use kernel::{BoxFuture, Context, Error, Result, codes, fault};
use rusqlite::{Connection, OpenFlags, config::DbConfig};
use tokio::sync::oneshot;

pub(crate) use statements::{execute, query};

use crate::{
    Durability, Env, Uow,
    failure::DbError,
    uow::{Backend, Hook},
};

/// Below this, a race when the WAL is reset can corrupt the database
/// (fixed in SQLite 3.51.3).
const OLDEST_SQLITE: i32 = 3_051_003;
/// How many closures may share one commit.
const GROUP: usize = 256;
const STATEMENTS: usize = 512;

/// What a closure left behind on the writer thread, told its fate after the commit.
type Settled = Box<dyn FnOnce(Result<(), Arc<DbError>>) + Send>;

struct Job {
    ctx: Context,
    durability: Durability,
    run: Box<dyn FnOnce(&mut Uow) -> Done + Send>,
}

struct Done {
    keep: bool,
    /// The database could not write.
    refused: bool,
    settled: Settled,
}

type ReadJob = Box<dyn FnOnce(&mut Uow) + Send>;

/// The ways to the threads; these end when nobody has any.
#[derive(Clone)]
struct Ways {
    writer: mpsc::Sender<Job>,
    readers: mpsc::Sender<ReadJob>,
}

/// The writer and the readers. Dropping it ends their threads.
pub(crate) struct Sqlite {
    /// None once it is closed.
    ways: Mutex<Option<Ways>>,
    /// The readers, then the writer.
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
    /// The last write that was tried failed, because nothing can be written (a full disk).
    failing: Arc<AtomicBool>,
}

impl Sqlite {
    pub(crate) fn open(path: &Path, readers: usize, env: &Env, on_emit: Hooked) -> Result<Self> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            return Err(Error::internal(format!(
                "SQLite {} can corrupt its log; 3.51.3 or later is needed",
                rusqlite::version()
            )));
        }
        own(path).map_err(|error| {
            let message = format!("{} cannot be opened: {error}", path.display());
            DbError {
                class: crate::DbClass::Unavailable,
                message,
            }
            .into_error()
        })?;
        let connection = connect(path, false)?;
        let (writer, jobs) = mpsc::channel();
        let (read_sender, read_jobs) = mpsc::channel::<ReadJob>();
        let translations = Arc::default();
        let mut uow = Uow::new(
            Backend::Sqlite(connection),
            env.clone(),
            Arc::clone(&translations),
        );
        let failing = Arc::<AtomicBool>::default();
        let told = Arc::clone(&failing);
        let writing = spawn("store-writer", move || {
            write_loop(&mut uow, &jobs, &on_emit, &told)
        })?;
        let mut threads = Vec::new();
        let read_jobs = Arc::new(Mutex::new(read_jobs));
        for n in 0..readers.max(1) {
            let mut uow = Uow::new(
                Backend::Sqlite(connect(path, true)?),
                env.clone(),
                Arc::clone(&translations),
            );
            let jobs = Arc::clone(&read_jobs);
            threads.push(spawn(&format!("store-reader-{n}"), move || {
                loop {
                    let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(job) = job else { return };
                    job(&mut uow);
                }
            })?);
        }
        threads.push(writing);
        Ok(Self {
            ways: Mutex::new(Some(Ways {
                writer,
                readers: read_sender,
            })),
            threads: Mutex::new(threads),
            failing,
        })
    }

    pub(crate) async fn write<A, T, F>(
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
        let (sender, receiver) = oneshot::channel();
        let run = move |uow: &mut Uow| {
            uow.reads.failed = false;
            let result =
                inline(|| f(uow, &args)).and_then(|value| uow.reads.whole().map(|()| value));
            let keep = result.is_ok();
            let refused = result.as_ref().is_err_and(is_refusal);
            let settled: Settled = Box::new(move |commit| {
                let _ = sender.send(match commit {
                    Ok(()) => result,
                    Err(cause) => result.and(Err(lost(&cause))),
                });
            });
            Done {
                keep,
                refused,
                settled,
            }
        };
        let job = Job {
            ctx: ctx.clone(),
            durability,
            run: Box::new(run),
        };
        self.ways()?.writer.send(job).map_err(|_| closed())?;
        receiver.await.map_err(|_| unrun())?
    }

    pub(crate) async fn read<A, T, F>(&self, ctx: &Context, args: A, f: F) -> Result<T>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'a> Fn(&'a mut crate::Reads, &'a A) -> BoxFuture<'a, Result<T>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let ctx = ctx.clone();
        let job: ReadJob = Box::new(move |uow| {
            uow.reads.ctx = Some(ctx);
            let result = batch(uow, "BEGIN").and_then(|()| inline(|| f(&mut uow.reads, &args)));
            let _ = batch(uow, "ROLLBACK");
            let _ = sender.send(result);
        });
        self.ways()?.readers.send(job).map_err(|_| closed())?;
        receiver.await.map_err(|_| unrun())?
    }

    /// Whether it can write, as far as the last write tells; after one that failed
    /// another is tried, which leaves nothing behind.
    pub(crate) async fn ping(&self, ctx: &Context) -> Result<()> {
        const TRIAL: [&str; 3] = [
            "CREATE TABLE store_trial (bytes blob)",
            "INSERT INTO store_trial VALUES (zeroblob(65536))",
            "DROP TABLE store_trial",
        ];
        if !self.failing.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.write(ctx, Durability::Durable, (), |uow, ()| {
            Box::pin(async move {
                for sql in TRIAL {
                    uow.execute(sql, &[]).await?;
                }
                Ok(())
            })
        })
        .await
    }

    fn ways(&self) -> Result<Ways> {
        let ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        ways.clone().ok_or_else(closed)
    }

    /// Ends the threads once what is queued is done. With its last connection
    /// SQLite puts the log into the database's file, so that this alone is all;
    /// two that close at the same moment each take the other for the last, so
    /// the writer is alone when it closes.
    pub(crate) async fn close(&self) {
        let ways = {
            let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
            ways.take()
        };
        let mut readers = {
            let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *threads)
        };
        let writer = readers.pop();
        let joined = tokio::task::spawn_blocking(|| {
            let jobs = ways.map(|Ways { writer, readers }| {
                drop(readers);
                writer
            });
            for thread in readers {
                let _ = thread.join();
            }
            drop(jobs);
            if let Some(thread) = writer {
                let _ = thread.join();
            }
        });
        let _ = joined.await;
    }
}

/// Told when events were committed.
pub(crate) type Hooked = Arc<dyn Fn() + Send + Sync>;

/// The database is for its owner's eyes, also in a directory that others can
/// enter; SQLite gives its log the mode of the database.
fn own(path: &Path) -> std::io::Result<()> {
    crate::lock::private(path)?;
    for suffix in ["-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        if Path::new(&name).exists() {
            crate::lock::private(Path::new(&name))?;
        }
    }
    Ok(())
}

fn spawn(name: &str, f: impl FnOnce() + Send + 'static) -> Result<thread::JoinHandle<()>> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(f)
        .map_err(Error::internal)
}

fn closed() -> Error {
    Error::new(
        codes::SHUTTING_DOWN,
        "The server is stopping; please try again shortly.",
    )
}

fn unrun() -> Error {
    let message = "the unit of work was not run".to_owned();
    DbError {
        class: crate::DbClass::Unavailable,
        message,
    }
    .into_error()
}

fn lost(cause: &Arc<DbError>) -> Error {
    DbError {
        class: cause.class,
        message: cause.message.clone(),
    }
    .into_error()
}

pub(crate) fn connect(path: &Path, read_only: bool) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // Plans do not depend on bound values: where a partial index is in question, SQLite would
        // otherwise prepare a cached statement anew for every new value.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 10000;
             PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192; PRAGMA synchronous = FULL;
             PRAGMA wal_autocheckpoint = 4000;",
        )?;
        if read_only {
            connection.execute_batch("PRAGMA query_only = ON")?;
        }
        Ok(connection)
    };
    open().map_err(|error| DbError::from(error).into_error())
}

fn write_loop(uow: &mut Uow, jobs: &mpsc::Receiver<Job>, on_emit: &Hooked, failing: &AtomicBool) {
    let mut fsync = true;
    while let Ok(first) = jobs.recv() {
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(job) = jobs.try_recv()
        {
            group.push(job);
        }
        // The group is known before it begins, because SQLite takes a change
        // of `synchronous` only outside of a transaction.
        let durable = group
            .iter()
            .any(|job| job.durability == Durability::Durable);
        if durable != fsync {
            let level = if durable { "FULL" } else { "NORMAL" };
            if batch(uow, &format!("PRAGMA synchronous = {level}")).is_ok() {
                fsync = durable;
            }
        }
        run_group(uow, group, on_emit, failing);
    }
}

/// The database cannot write at the moment.
fn is_refusal(error: &Error) -> bool {
    crate::db_class(error) == Some(crate::DbClass::Unavailable)
}

/// How many rows this connection has changed so far.
fn changes(uow: &Uow) -> u64 {
    match &uow.reads.backend {
        Backend::Sqlite(connection) => connection.total_changes(),
        Backend::Postgres(_) => 0,
    }
}

fn run_group(uow: &mut Uow, group: Vec<Job>, on_emit: &Hooked, failing: &AtomicBool) {
    let before = changes(uow);
    let begun = batch(uow, "BEGIN IMMEDIATE");
    let mut settled = Vec::with_capacity(group.len());
    let mut hooks: Vec<Hook> = Vec::new();
    let mut emitted = false;
    let mut refused = false;
    let mut broken = begun.err();
    for job in group {
        let saved = match &broken {
            None => batch(uow, "SAVEPOINT job"),
            Some(_) => Ok(()),
        };
        if let Err(error) = saved {
            broken = Some(error);
        }
        uow.reads.ctx = Some(job.ctx);
        uow.emitted = false;
        if broken.is_some() {
            // Nothing can be written: the closure is dropped unrun, which its caller notices.
            continue;
        }
        let done = (job.run)(uow);
        refused |= done.refused;
        let end = if done.keep {
            "RELEASE job"
        } else {
            "ROLLBACK TO job; RELEASE job"
        };
        if let Err(error) = batch(uow, end) {
            broken = Some(error);
        }
        if done.keep {
            hooks.append(&mut uow.hooks);
            emitted |= uow.emitted;
        }
        uow.hooks.clear();
        settled.push(done.settled);
    }
    fault::point("store.commit.before");
    let result = match broken {
        None => batch(uow, "COMMIT"),
        Some(error) => Err(error),
    };
    if result.is_err() {
        let _ = batch(uow, "ROLLBACK");
    }
    fault::point("store.commit.after");
    let known = failing.load(Ordering::Relaxed);
    // One that wrote nothing says nothing about the disk.
    if refused || result.is_err() || changes(uow) > before {
        failing.store(refused || result.is_err(), Ordering::Relaxed);
    }
    match result {
        Ok(()) => {
            for hook in hooks {
                let _ = catch_unwind(AssertUnwindSafe(hook));
            }
            settled.into_iter().for_each(|settled| settled(Ok(())));
            if emitted {
                on_emit();
            }
        }
        Err(error) => {
            match known {
                false => tracing::error!(?error, "a group of writes was lost"),
                true => tracing::debug!(?error, "a group of writes was lost"),
            }
            let cause = Arc::new(DbError {
                class: crate::db_class(&error).unwrap_or(crate::DbClass::Unavailable),
                message: format!("{error:?}"),
            });
            settled
                .into_iter()
                .for_each(|settled| settled(Err(Arc::clone(&cause))));
        }
    }
}

/// Runs a future that never waits, because the database answers inline.
fn inline<'a, T>(make: impl FnOnce() -> BoxFuture<'a, Result<T>>) -> Result<T> {
    let polled = catch_unwind(AssertUnwindSafe(|| {
        make()
            .as_mut()
            .poll(&mut TaskContext::from_waker(Waker::noop()))
    }));
    match polled {
        Ok(Poll::Ready(result)) => result,
        Ok(Poll::Pending) => Err(Error::internal(
            "a unit of work awaited something other than the database",
        )),
        Err(panic) => Err(Error::internal(crate::panic_text(&*panic))),
    }
}

/// Statements without parameters or rows, apart by `; `.
fn batch(uow: &mut Uow, sql: &str) -> Result<()> {
    match &uow.reads.backend {
        Backend::Sqlite(connection) => sql
            .split("; ")
            .try_for_each(|sql| connection.prepare_cached(sql)?.execute([]).map(drop))
            .map_err(|error: rusqlite::Error| DbError::from(error).into_error()),
        Backend::Postgres(_) => Err(Error::internal("not SQLite")),
    }
}
