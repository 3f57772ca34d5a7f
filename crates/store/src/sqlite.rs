//! SQLite: one writer thread whose waiting closures become savepoints of one
//! commit, and a pool of reader threads. "Database is locked" cannot happen,
//! because nothing else writes (the data directory is locked, see `lock`).

mod connection;
mod statements;
mod writer;

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

use kernel::{BoxFuture, Context, Error, Result, codes};
use tokio::sync::oneshot;

pub(crate) use connection::connect;
pub(crate) use statements::{execute, query};

use crate::{Durability, Env, Uow, failure::DbError, uow::Backend};
use connection::own;
use writer::{Done, Job, Settled, is_refusal, write_loop};

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
