//! The threads that hold models, one for each that is loaded, and the one place in front of the CPU: one answer is
//! generated at a time, in the queue's order. A thread loads its model, answers, and ends when nobody has used it for a
//! while. Not here: what such a thread does (`thread`) and how an answer is
//! generated (`generate`).

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{mpsc::UnboundedSender, watch};

use super::{
    generate::{Computing, Task},
    model::{Model, engine},
    queue::{FairQueue, Full},
};
use crate::{
    provider::{Chunk, ProviderError, ProviderErrorKind},
    state::ModelState,
};

mod thread;

/// Models that may be in memory at once; the one not used for longest makes room for another.
const MOST_LOADED: usize = 2;
/// When somebody should come back who found the queue full.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What a thread says of its model: nothing yet, or whether it is loaded.
pub(super) type Loaded = Option<Result<Arc<Model>, ProviderError>>;

/// Which file to load, and how.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub name: String,
    pub path: PathBuf,
    pub window: u32,
}

/// An answer that is waited for.
pub(super) struct Job {
    pub model: String,
    pub task: Task,
    pub sender: UnboundedSender<Result<Chunk, ProviderError>>,
}

/// What all threads share.
pub(super) struct Shared {
    computing: Computing,
    idle_unload: Duration,
    state: Mutex<State>,
    wake: Condvar,
    closing: AtomicBool,
    /// Counts threads that ended, for those who wait for that.
    ended: watch::Sender<u64>,
    pub counters: Counters,
}

/// What was done so far.
#[derive(Default)]
pub(super) struct Counters {
    pub loads: AtomicU64,
    pub prompt_tokens: AtomicU64,
    pub reused_tokens: AtomicU64,
}

struct State {
    queue: FairQueue<Job>,
    /// Somebody generates.
    busy: bool,
    workers: HashMap<String, Worker>,
    /// Threads that will take no more jobs but have not given their memory back.
    leaving: HashSet<u64>,
    next_id: u64,
}

struct Worker {
    id: u64,
    model: watch::Receiver<Loaded>,
    last_used: Instant,
    running: bool,
    /// It is to end as soon as it has nothing to do.
    retired: bool,
}

impl Shared {
    pub fn new(computing: Computing, idle_unload: Duration) -> Self {
        Self {
            computing,
            idle_unload,
            state: Mutex::new(State {
                queue: FairQueue::new(),
                busy: false,
                workers: HashMap::new(),
                leaving: HashSet::new(),
                next_id: 0,
            }),
            wake: Condvar::new(),
            closing: AtomicBool::new(false),
            ended: watch::Sender::new(0),
            counters: Counters::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// The model, loaded if need be.
    pub async fn model(self: &Arc<Self>, source: &Source) -> Result<Arc<Model>, ProviderError> {
        let mut model = {
            let mut state = self.lock();
            self.worker(&mut state, source)?.model.clone()
        };
        let loaded = model.wait_for(Option::is_some).await;
        match loaded.ok().and_then(|loaded| loaded.clone()) {
            Some(loaded) => loaded,
            None => Err(engine("the thread of the model ended while it loaded it")),
        }
    }

    /// What is known of the model without loading it.
    pub fn state(&self, name: &str) -> ModelState {
        let state = self.lock();
        let Some(worker) = state.workers.get(name) else {
            return ModelState::Cold;
        };
        match &*worker.model.borrow() {
            None => ModelState::Loading,
            Some(Ok(_)) if !worker.retired => ModelState::Ready,
            Some(_) => ModelState::Cold,
        }
    }

    /// Puts a job into the queue.
    pub fn enqueue(
        self: &Arc<Self>,
        source: &Source,
        owner: &str,
        job: Job,
    ) -> Result<(), ProviderError> {
        let mut state = self.lock();
        self.worker(&mut state, source)?;
        state.queue.remove(|job| !job.sender.is_closed());
        state.queue.push(owner, job).map_err(|Full| {
            ProviderError::new(
                ProviderErrorKind::Overloaded {
                    retry_after: Some(RETRY_AFTER),
                },
                "the queue of the local model is full",
            )
        })?;
        self.count_waiting(&state);
        self.wake.notify_all();
        Ok(())
    }

    fn count_waiting(&self, state: &State) {
        #[expect(clippy::cast_precision_loss, reason = "at most 64")]
        metrics::gauge!("local_model_waiting").set(state.queue.len() as f64);
    }

    /// The thread of a model, started if need be.
    fn worker<'a>(
        self: &Arc<Self>,
        state: &'a mut State,
        source: &Source,
    ) -> Result<&'a mut Worker, ProviderError> {
        if self.is_closing() {
            return Err(cancelled());
        }
        if !state.workers.contains_key(&source.name) {
            make_room(state);
            let worker = self.start(state, source)?;
            state.workers.insert(source.name.clone(), worker);
            self.wake.notify_all();
        }
        let worker = state
            .workers
            .get_mut(&source.name)
            .ok_or_else(|| engine("the thread of the model is gone"))?;
        worker.last_used = Instant::now();
        worker.retired = false;
        Ok(worker)
    }

    fn start(
        self: &Arc<Self>,
        state: &mut State,
        source: &Source,
    ) -> Result<Worker, ProviderError> {
        let id = state.next_id;
        state.next_id += 1;
        let (publish, model) = watch::channel(None);
        let (shared, source) = (Arc::clone(self), source.clone());
        std::thread::Builder::new()
            .name("local-model".to_owned())
            .stack_size(8 << 20)
            .spawn(move || shared.run(id, &source, publish))
            .map_err(|error| engine(format!("no thread for the model: {error}")))?;
        Ok(Worker {
            id,
            model,
            last_used: Instant::now(),
            running: false,
            retired: false,
        })
    }

    /// Waits for the next job of a model, and takes the CPU with it. `None` when the thread is to end.
    fn next(&self, id: u64, name: &str) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if !self.is_closing() && !state.busy {
                while state.queue.peek().is_some_and(|job| job.sender.is_closed()) {
                    state.queue.pop();
                }
                if state.queue.peek().is_some_and(|job| job.model == name) {
                    let job = state.queue.pop();
                    self.count_waiting(&state);
                    state.busy = true;
                    if let Some(worker) = state.workers.get_mut(name) {
                        worker.running = true;
                    }
                    return job;
                }
            }
            let now = Instant::now();
            let awaited = state.queue.any(|job| job.model == name);
            let left = state.workers.get(name).map_or(Duration::ZERO, |worker| {
                if worker.retired {
                    return Duration::ZERO;
                }
                self.idle_unload
                    .saturating_sub(now.duration_since(worker.last_used))
            });
            if self.is_closing() || (!awaited && left.is_zero()) {
                leave(&mut state, id, name);
                return None;
            }
            // With jobs of its own waiting it is woken when their turn comes.
            let patience = if awaited { self.idle_unload } else { left };
            state = self
                .wake
                .wait_timeout(state, patience.max(Duration::from_millis(1)))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Ends the threads that have nothing to do, and waits until their memory is given back.
    pub async fn unload(&self) {
        let ids = {
            let mut state = self.lock();
            let State { queue, workers, .. } = &mut *state;
            let mut ids: HashSet<u64> = HashSet::new();
            for (name, worker) in workers.iter_mut() {
                let loaded = worker.model.borrow().is_some();
                if loaded && !worker.running && !queue.any(|job| job.model == *name) {
                    worker.retired = true;
                    ids.insert(worker.id);
                }
            }
            ids.extend(&state.leaving);
            ids
        };
        self.wake.notify_all();
        self.wait(|state| {
            let retired = |worker: &Worker| worker.retired && ids.contains(&worker.id);
            !state.workers.values().any(retired) && state.leaving.is_disjoint(&ids)
        })
        .await;
    }

    /// Refuses everything from now on and ends what runs.
    pub fn close(&self) {
        let mut state = self.lock();
        self.closing.store(true, Ordering::Relaxed);
        for job in state.queue.remove(|_| false) {
            job.sender.send(Err(cancelled())).ok();
        }
        drop(state);
        self.wake.notify_all();
    }

    /// Waits until no thread is left.
    pub async fn closed(&self) {
        self.wait(|state| state.workers.is_empty() && state.leaving.is_empty())
            .await;
    }

    /// As [`Shared::closed`], for a place that cannot await, and not for ever.
    pub fn wait_closed(&self, patience: Duration) {
        let state = self.lock();
        let left = |state: &mut State| !state.workers.is_empty() || !state.leaving.is_empty();
        drop(self.wake.wait_timeout_while(state, patience, left));
    }

    async fn wait(&self, done: impl Fn(&State) -> bool) {
        let mut ended = self.ended.subscribe();
        loop {
            ended.borrow_and_update();
            if done(&self.lock()) {
                return;
            }
            // A worker that was retired and then wanted again ends nothing, so this looks again by itself.
            tokio::time::timeout(Duration::from_millis(200), ended.changed())
                .await
                .ok();
        }
    }
}

/// The call was ended by us.
pub(super) fn cancelled() -> ProviderError {
    ProviderError::new(
        ProviderErrorKind::Cancelled,
        "the local model is being shut down",
    )
}

/// Lets the model go that was not used for longest, where there are too many.
fn make_room(state: &mut State) {
    let State { queue, workers, .. } = state;
    let staying = workers.values().filter(|worker| !worker.retired).count();
    if staying < MOST_LOADED {
        return;
    }
    let idle = workers.iter_mut().filter(|(name, worker)| {
        !worker.retired && !worker.running && !queue.any(|job| job.model == **name)
    });
    if let Some((_, oldest)) = idle.min_by_key(|(_, worker)| worker.last_used) {
        oldest.retired = true;
    }
}

fn leave(state: &mut State, id: u64, name: &str) {
    if state
        .workers
        .get(name)
        .is_some_and(|worker| worker.id == id)
    {
        state.workers.remove(name);
    }
    state.leaving.insert(id);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_loading_until_its_thread_says_how_that_went() {
        let computing = Computing {
            threads: 1,
            prompt_threads: 1,
            batch: 1,
            cache_bytes: 0,
        };
        let shared = Shared::new(computing, Duration::from_secs(600));
        assert_eq!(shared.state("a"), ModelState::Cold);
        let (publish, model) = watch::channel(None);
        let worker = Worker {
            id: 1,
            model,
            last_used: Instant::now(),
            running: false,
            retired: false,
        };
        shared.lock().workers.insert("a".to_owned(), worker);
        assert_eq!(shared.state("a"), ModelState::Loading);
        publish.send_replace(Some(Err(engine("no model"))));
        assert_eq!(shared.state("a"), ModelState::Cold);
    }
}
