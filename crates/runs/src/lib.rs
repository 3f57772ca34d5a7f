//! Runs: everything the platform does for someone, apart from the connection
//! that asked for it. A run has one owner, one event log and one end. This part
//! knows no kinds of work: a part registers a [`RunHandler`] for its own.

mod access;
mod begin;
mod ending;
mod erase;
mod executor;
mod handler;
mod live;
mod log;
mod purge;
mod reader;
mod record;
mod recovery;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use kernel::{Context, NodeId, RequestId, RunId, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use state::State;
use store::{Migration, Store};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

pub use executor::{ActiveRun, Failure, Outcome};
pub use handler::{Created, NewRun, RunHandler};
pub use log::{Cursor, Event, NewEvent};
pub use reader::RunEvents;
pub use record::{EndReason, RunRecord, RunState};
pub use recovery::Orphans;

use live::Live;

/// This part's tables.
pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "20261121_0004_runs",
    sql: include_str!("../migrations/20261121_0004_runs.sql"),
}];

/// What an operator can set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How long a node's claim on a run lasts without a sign of life. After a
    /// crash on PostgreSQL another node waits this long before it takes over.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub lease: Duration,
    /// Runs at work on one node at most; more are refused with `server_busy`.
    pub max_active: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            max_active: 10_000,
        }
    }
}

/// The runs of this node. Cheap to clone.
#[derive(Clone)]
pub struct Runs(Arc<Inner>);

struct Inner {
    store: Store,
    state: State,
    options: Options,
    node: NodeId,
    handlers: RwLock<HashMap<&'static str, Arc<dyn RunHandler>>>,
    live: Mutex<HashMap<RunId, Arc<Live>>>,
    tracker: TaskTracker,
    runtime: tokio::runtime::Handle,
    interrupt: CancellationToken,
}

impl std::fmt::Debug for Runs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Runs(node {})", self.0.node)
    }
}

impl Runs {
    /// The runs of this process, which is a new node. Called within the runtime
    /// that is to do the work.
    #[must_use]
    pub fn new(store: Store, state: State, options: Options) -> Self {
        let node = store.env().ids.next();
        Self(Arc::new(Inner {
            store,
            state,
            options,
            node,
            handlers: RwLock::default(),
            live: Mutex::default(),
            tracker: TaskTracker::new(),
            runtime: tokio::runtime::Handle::current(),
            interrupt: CancellationToken::new(),
        }))
    }

    /// Makes a kind of run known; before the first of them is launched or recovered.
    pub fn register(&self, handler: Arc<dyn RunHandler>) {
        let mut handlers = self
            .0
            .handlers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        handlers.insert(handler.kind(), handler);
    }

    pub(crate) fn handler(&self, kind: &str) -> Option<Arc<dyn RunHandler>> {
        self.0
            .handlers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(kind)
            .cloned()
    }

    /// Looks after orphans until the node stops: at once, then every half lease.
    pub fn start(&self, first: Orphans) {
        let runs = self.clone();
        self.0.tracker.spawn(async move {
            let mut which = first;
            loop {
                if let Err(error) = runs.recover(which).await {
                    tracing::warn!(?error, "orphans could not be looked for");
                } else {
                    which = Orphans::Expired;
                }
                tokio::select! {
                    () = runs.interrupted() => return,
                    () = tokio::time::sleep(runs.0.options.lease / 2) => {}
                }
            }
        });
    }

    /// Takes no more runs, gives those at work this long, then interrupts them;
    /// answers when everything is stored.
    pub async fn drain(&self, patience: Duration) {
        self.0.tracker.close();
        let idle = async {
            while self.active() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(patience, idle).await;
        self.0.interrupt.cancel();
        self.0.tracker.wait().await;
    }

    /// Does what follows from the end of a run; the node waits for it before it stops.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        // Also called from the store's threads, after a commit.
        self.0.tracker.spawn_on(work, &self.0.runtime);
    }

    /// How many runs this node works on.
    #[must_use]
    pub fn active(&self) -> usize {
        self.live().len()
    }

    /// Whether this node works on the run.
    #[must_use]
    pub fn is_live(&self, id: RunId) -> bool {
        self.live().contains_key(&id)
    }

    fn live(&self) -> MutexGuard<'_, HashMap<RunId, Arc<Live>>> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn forget(&self, record: &RunRecord) {
        if self.live().remove(&record.id).is_some() {
            metrics::gauge!("runs_active").decrement(1.0);
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    pub(crate) fn node(&self) -> NodeId {
        self.0.node
    }

    pub(crate) fn system(&self, task: &'static str) -> Context {
        let request: RequestId = self.0.store.env().ids.next();
        Context::system(task, TenantId::from_uuid(Uuid::nil()), request)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.tracker.is_closed()
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.0.interrupt.is_cancelled()
    }

    pub(crate) async fn interrupted(&self) {
        self.0.interrupt.cancelled().await;
    }

    /// Wakes readers on other nodes.
    pub(crate) fn announce(&self, id: RunId) {
        self.0.state.publish(&format!("run:{id}"), "");
    }

    /// Tells the owner's open pages where a run stands.
    pub(crate) fn tell(&self, run: &RunRecord, state: &'static str) {
        let data = || {
            let (id, kind, subject) = (run.id, &run.kind, run.subject);
            json!({"run_id": id, "run_kind": kind, "session_id": subject, "state": state})
                .to_string()
        };
        self.0.state.tell(run.tenant, run.owner, "run", data);
    }

    pub(crate) fn news(&self, id: RunId) -> state::Subscription {
        self.0.state.subscribe(&format!("run:{id}"))
    }
}
