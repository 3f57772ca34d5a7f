//! The life of the thread that holds a model: it loads it, answers, and gives it back. Not here: whose turn it is and when
//! it is to end (`worker`).

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use tokio::sync::watch;

use super::{Job, Loaded, Shared, Source, cancelled, leave};
use crate::{
    local::{
        generate::{Done, Engine, Listener},
        model::{Model, engine},
    },
    provider::{Chunk, ProviderError},
};

impl Shared {
    /// The life of a model's thread.
    pub(super) fn run(self: Arc<Self>, id: u64, source: &Source, publish: watch::Sender<Loaded>) {
        // Declared first, so that it is dropped last, when the memory is given back.
        let _ended = Ended {
            shared: &self,
            id,
            name: &source.name,
        };
        let begun = Instant::now();
        let loaded = catch_unwind(|| Model::load(&source.path, source.window))
            .unwrap_or_else(|_| Err(engine("loading the model failed in an unforeseen way")))
            .map(Arc::new);
        let model = match loaded {
            Ok(model) => model,
            Err(error) => {
                tracing::warn!(model = source.name, %error, "a local model cannot be used");
                self.fail_all(&source.name, id, &error);
                // Last: whoever hears of it and asks again must find a new thread, not this failure once more.
                publish.send_replace(Some(Err(error)));
                return;
            }
        };
        self.counters.loads.fetch_add(1, Ordering::Relaxed);
        publish.send_replace(Some(Ok(Arc::clone(&model))));
        // What was said stays with those who have the other end; the model must not live on here.
        drop(publish);
        tracing::info!(model = source.name, window = model.window, took = ?begun.elapsed(), "a local model is loaded");
        let mut engine = Engine::new(&model, self.computing);
        while let Some(job) = self.next(id, &source.name) {
            let cpu = Cpu {
                shared: &self,
                name: &source.name,
            };
            let result = self.answer(&mut engine, &job);
            // Whoever hears that it is done finds the model idle.
            drop(cpu);
            self.end(&job, result);
        }
        tracing::info!(model = source.name, "a local model is unloaded");
    }

    fn answer(&self, model: &mut Engine<'_>, job: &Job) -> Result<Done, ProviderError> {
        let mut listener = Hearing { shared: self, job };
        if !listener.listens() {
            return Err(cancelled());
        }
        let answer = catch_unwind(AssertUnwindSafe(|| model.answer(&job.task, &mut listener)));
        answer.unwrap_or_else(|_| {
            model.forget();
            Err(engine("the model failed in an unforeseen way"))
        })
    }

    /// Sends how an answer ended. Whoever does not listen any more needs to hear nothing.
    fn end(&self, job: &Job, result: Result<Done, ProviderError>) {
        let last = result.and_then(|done| {
            self.count(job, &done);
            let finish = done.finish.ok_or_else(cancelled)?;
            job.sender.send(Ok(Chunk::Usage(done.usage))).ok();
            Ok(Chunk::Finish(finish))
        });
        job.sender.send(last).ok();
    }

    fn count(&self, job: &Job, done: &Done) {
        let (all, reused) = (done.usage.prompt_tokens, done.reused);
        self.counters
            .prompt_tokens
            .fetch_add(all, Ordering::Relaxed);
        self.counters
            .reused_tokens
            .fetch_add(reused, Ordering::Relaxed);
        let model = &job.model;
        metrics::counter!("local_model_prompt_tokens_total", "model" => model.clone(), "from" => "cache").increment(reused);
        metrics::counter!("local_model_prompt_tokens_total", "model" => model.clone(), "from" => "prompt")
            .increment(all.saturating_sub(reused));
    }

    /// Fails what waits for a model that cannot be loaded.
    fn fail_all(&self, name: &str, id: u64, error: &ProviderError) {
        let mut state = self.lock();
        for job in state.queue.remove(|job| job.model != name) {
            job.sender.send(Err(error.clone())).ok();
        }
        leave(&mut state, id, name);
        self.wake.notify_all();
    }
}

/// Whoever waits for an answer.
struct Hearing<'a> {
    shared: &'a Shared,
    job: &'a Job,
}

impl Listener for Hearing<'_> {
    fn listens(&self) -> bool {
        !self.job.sender.is_closed() && !self.shared.is_closing()
    }

    fn hear(&mut self, text: String) {
        self.job.sender.send(Ok(Chunk::Text(text))).ok();
    }
}

/// Holds the CPU while an answer is generated.
struct Cpu<'a> {
    shared: &'a Shared,
    name: &'a str,
}

impl Drop for Cpu<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.busy = false;
        if let Some(worker) = state.workers.get_mut(self.name) {
            worker.running = false;
            worker.last_used = Instant::now();
        }
        drop(state);
        self.shared.wake.notify_all();
    }
}

/// Says that a thread is gone, whatever ended it.
struct Ended<'a> {
    shared: &'a Shared,
    id: u64,
    name: &'a str,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        leave(&mut state, self.id, self.name);
        state.leaving.remove(&self.id);
        drop(state);
        self.shared.wake.notify_all();
        self.shared.ended.send_modify(|ended| *ended += 1);
    }
}
