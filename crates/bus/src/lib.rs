//! Domain events from the outbox to subscribers: at least once, in order within
//! a key, each subscriber with a cursor of its own, on one node at a time.
//! Not here: what an event means, and writing one (`Uow::emit`).

mod cursor;
mod dead;
mod deliver;
mod sweep;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use kernel::{BoxFuture, Context, DomainEvent, NodeId, Result, TenantId};
use serde::{Deserialize, Serialize};
use store::{Migration, Store};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use dead::DeadLetter;

/// The tables of this part.
pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "20261121_0006_bus",
    sql: include_str!("../migrations/20261121_0006_bus.sql"),
}];

/// `[bus]`: how events travel and are delivered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How events travel: `embedded:`, through the database. Whoever makes a [`Bus`] has checked it.
    pub url: String,
    /// How often the outbox is looked at for what other nodes wrote.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub poll: Duration,
    /// Events read at once; the cursor is saved after each such batch.
    pub batch: u32,
    /// How often a subscriber is given an event that it cannot take, before the
    /// event is put aside as a dead letter.
    pub attempts: u32,
    /// The wait before the second attempt; each further one waits twice as long.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub backoff: Duration,
    /// The longest wait between two attempts.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub longest_backoff: Duration,
    /// How long a subscriber stays with a node that does not renew its lease.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub lease: Duration,
    /// How long events are kept at least; longer while a subscriber has not read them.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub retention: Duration,
    /// After so long without a node that runs it, a subscriber keeps no event any more.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub forget: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: "embedded:".to_owned(),
            poll: Duration::from_secs(1),
            batch: 100,
            attempts: 8,
            backoff: Duration::from_millis(100),
            longest_backoff: Duration::from_secs(10),
            lease: Duration::from_secs(30),
            retention: Duration::from_secs(24 * 3600),
            forget: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

/// What takes the events. It may see one again (its effect must be idempotent,
/// by the event's id), and answers an error to be given it again later.
pub type Handler = Arc<dyn for<'a> Fn(&'a DomainEvent) -> BoxFuture<'a, Result<()>> + Send + Sync>;

/// The embedded bus. Cheap to clone.
#[derive(Clone)]
pub struct Bus(Arc<Inner>);

struct Inner {
    store: Store,
    options: Options,
    node: NodeId,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Bus {
    /// A bus over an open store that has applied [`MIGRATIONS`]. Its tasks run on
    /// the tracker until the token is cancelled; then each finishes the event it has.
    #[must_use]
    pub fn new(
        store: Store,
        options: Options,
        tracker: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let node = store.env().ids.next();
        Self(Arc::new(Inner {
            store,
            options,
            node,
            tracker,
            stop,
        }))
    }

    /// Delivers every event of the topics to the handler from now on, beginning
    /// with those still kept that a subscriber of this name has not taken.
    /// The name stays the same over restarts and is the same on every node.
    pub fn subscribe<F>(&self, name: &'static str, topics: &'static [&'static str], handler: F)
    where
        F: for<'a> Fn(&'a DomainEvent) -> BoxFuture<'a, Result<()>> + Send + Sync + 'static,
    {
        let subscriber = deliver::Subscriber {
            bus: self.clone(),
            name,
            topics,
            handler: Arc::new(handler),
        };
        self.0.tracker.spawn(subscriber.run());
    }

    /// The platform itself, over every tenant.
    fn system(&self) -> Context {
        let every = TenantId::from_uuid(Default::default());
        Context::system("bus", every, self.0.store.env().ids.next())
    }
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bus({:?} over {:?})", self.0.node, self.0.store)
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
