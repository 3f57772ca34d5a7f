//! The writer thread: what waits becomes one commit, a savepoint each, with as much care for the
//! disk as one of them asks for.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use kernel::{Context, Error, Result, fault};

use super::{Hooked, batch};
use crate::{
    Durability, Uow,
    failure::DbError,
    uow::{Backend, Hook},
};

/// How many closures may share one commit.
const GROUP: usize = 256;

/// What a closure left behind on the writer thread, told its fate after the commit.
pub(super) type Settled = Box<dyn FnOnce(Result<(), Arc<DbError>>) + Send>;

/// A closure and what it asks for.
pub(super) struct Job {
    pub(super) ctx: Context,
    pub(super) durability: Durability,
    pub(super) run: Box<dyn FnOnce(&mut Uow) -> Done + Send>,
}

/// How a closure went.
pub(super) struct Done {
    pub(super) keep: bool,
    /// The database could not write.
    pub(super) refused: bool,
    pub(super) settled: Settled,
}

/// Works until nobody has a way to this thread.
pub(super) fn write_loop(
    uow: &mut Uow,
    jobs: &mpsc::Receiver<Job>,
    on_emit: &Hooked,
    failing: &AtomicBool,
) {
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
pub(super) fn is_refusal(error: &Error) -> bool {
    matches!(
        crate::db_class(error),
        Some(crate::DbClass::Unavailable | crate::DbClass::Damaged)
    )
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
