//! The provider in this process: GGUF files answered by llama.cpp on the CPU (decision 0005). A model is loaded when it is
//! first asked and given back when nobody uses it. Not here: the format of requests (`provider`), prices and names (`catalogue`).

mod cutter;
mod generate;
mod gguf;
mod model;
mod queue;
mod template;
mod worker;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    thread::available_parallelism,
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use self::{
    generate::{Computing, Sampling, Task},
    model::{Model, engine},
    worker::{Job, Shared, Source},
};
use crate::{
    options::LocalOptions,
    provider::{
        ChatMessage, ChatRequest, ChatStream, Chunk, Provider, ProviderError, ProviderErrorKind,
    },
    state::{ModelState, Trouble},
};

/// Tokens of a prompt that are read at once: between two such batches it shows whether anybody still waits.
const BATCH: u32 = 64;

/// The provider of local models.
pub struct Local {
    directory: PathBuf,
    /// Context windows by the file's name without `.gguf`.
    windows: HashMap<String, u32>,
    context_window: u32,
    shared: Arc<Shared>,
}

/// What local models did since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalStats {
    /// How often a model was loaded.
    pub loads: u64,
    /// Tokens of all prompts.
    pub prompt_tokens: u64,
    /// Of these, the tokens that were still cached from a turn before and were not computed again.
    pub reused_tokens: u64,
}

impl Local {
    /// The provider for the files of a directory. `windows` are the context windows of single files (by name without
    /// `.gguf`); others have `options.context_window`. Loads nothing.
    #[must_use]
    pub fn new(options: &LocalOptions, directory: PathBuf, windows: HashMap<String, u32>) -> Self {
        metrics::describe_counter!(
            "local_model_prompt_tokens_total",
            "Prompt tokens of local models: still cached (`cache`) or computed (`prompt`)"
        );
        metrics::describe_gauge!(
            "local_model_waiting",
            "Answers that wait for the local model"
        );
        Self {
            directory,
            windows,
            context_window: options.context_window,
            shared: Arc::new(Shared::new(computing(options), options.idle_unload)),
        }
    }

    /// What was done so far.
    #[must_use]
    pub fn stats(&self) -> LocalStats {
        let counters = &self.shared.counters;
        LocalStats {
            loads: counters.loads.load(Ordering::Relaxed),
            prompt_tokens: counters.prompt_tokens.load(Ordering::Relaxed),
            reused_tokens: counters.reused_tokens.load(Ordering::Relaxed),
        }
    }

    fn source(&self, name: &str) -> Result<Source, ProviderError> {
        let path = file_of(&self.directory, name).ok_or_else(|| {
            ProviderError::new(
                ProviderErrorKind::UnknownModel,
                format!("there is no file {name}.gguf in the models directory"),
            )
        })?;
        let window = self.windows.get(name).copied();
        Ok(Source {
            name: name.to_owned(),
            path,
            window: window.unwrap_or(self.context_window),
        })
    }

    async fn with_model<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(&Model) -> T + Send + 'static,
    ) -> Result<T, ProviderError> {
        let model = self.shared.model(&self.source(name)?).await?;
        tokio::task::spawn_blocking(move || work(&model))
            .await
            .map_err(|_| engine("the tokenizer failed in an unforeseen way"))
    }
}

#[async_trait]
impl Provider for Local {
    async fn chat(&self, model: &str, request: ChatRequest) -> Result<ChatStream, ProviderError> {
        let source = self.source(model)?;
        let sampling = Sampling::of(&request);
        let messages = request.messages;
        let prompt = self
            .with_model(model, move |model| {
                let prompt = model.prompt(&messages)?;
                check_length(prompt.len(), model.window)?;
                Ok::<_, ProviderError>(prompt)
            })
            .await??;
        let (sender, receiver) = unbounded_channel();
        let job = Job {
            model: model.to_owned(),
            task: Task {
                seat: format!(
                    "{}\n{}",
                    request.owner,
                    request.affinity.unwrap_or_default()
                ),
                prompt,
                sampling,
                stops: request.stop,
                max_tokens: request.max_tokens,
            },
            sender,
        };
        self.shared.enqueue(&source, &request.owner, job)?;
        let mut answer = Answer {
            receiver,
            ended: false,
        };
        match answer.next().await {
            Some(Err(error)) => Err(error),
            first => Ok(stream::iter(first).chain(answer).boxed()),
        }
    }

    async fn count_tokens(&self, model: &str, messages: &[ChatMessage]) -> Option<u64> {
        let messages = messages.to_vec();
        let prompt = self
            .with_model(model, move |model| model.prompt(&messages))
            .await;
        Some(prompt.ok()?.ok()?.len() as u64)
    }

    async fn count_text(&self, model: &str, text: &str) -> Option<u64> {
        let text = text.to_owned();
        let tokens = self
            .with_model(model, move |model| model.count(&text))
            .await;
        Some(tokens.ok()? as u64)
    }

    async fn warm(&self, model: &str) -> Result<(), ProviderError> {
        self.shared.model(&self.source(model)?).await.map(|_| ())
    }

    fn state(&self, model: &str) -> ModelState {
        if file_of(&self.directory, model).is_none() {
            return ModelState::Unavailable(Trouble::FileMissing);
        }
        self.shared.state(model)
    }

    async fn unload(&self) {
        self.shared.unload().await;
    }

    async fn shutdown(&self) {
        self.shared.close();
        self.shared.closed().await;
    }
}

impl Drop for Local {
    /// A process that ends while llama.cpp computes ends badly, so this waits for the thread to see that it is to end: a
    /// token, or a batch of a prompt. After [`Provider::shutdown`] there is nothing to wait for.
    fn drop(&mut self) {
        self.shared.close();
        self.shared.wait_closed(Duration::from_secs(5));
    }
}

/// An answer as it comes from the thread that generates it. Dropping it ends the generation.
struct Answer {
    receiver: UnboundedReceiver<Result<Chunk, ProviderError>>,
    ended: bool,
}

impl Stream for Answer {
    type Item = Result<Chunk, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.receiver.poll_recv(task).map(|item| {
            self.ended = !matches!(item, Some(Ok(Chunk::Text(_) | Chunk::Usage(_))));
            Some(item.unwrap_or_else(|| Err(engine("the thread of the model ended"))))
        })
    }
}

fn check_length(prompt: usize, window: u32) -> Result<(), ProviderError> {
    if prompt < window as usize {
        return Ok(());
    }
    Err(ProviderError::new(
        ProviderErrorKind::ContextTooLong,
        format!("the prompt has {prompt} tokens and leaves no room for an answer within {window}"),
    ))
}

/// The file of a model: by its exact name, else in any case.
fn file_of(directory: &Path, name: &str) -> Option<PathBuf> {
    if Path::new(name).file_name() != Some(name.as_ref()) {
        return None;
    }
    let wanted = format!("{name}.gguf");
    let exact = directory.join(&wanted);
    if exact.is_file() {
        return Some(exact);
    }
    let entries = std::fs::read_dir(directory).ok()?;
    entries
        .flatten()
        .find(|entry| {
            let found = entry.file_name();
            found
                .to_str()
                .is_some_and(|found| found.eq_ignore_ascii_case(&wanted))
        })
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
}

/// How many threads: threads of one answer wait for each other in a spin, so a core is left to the rest of the
/// process (decision 0005).
fn computing(options: &LocalOptions) -> Computing {
    let cores = available_parallelism().map_or(1, usize::from);
    let or = |set: u32, automatic: usize| {
        i32::try_from(if set == 0 { automatic } else { set as usize }).unwrap_or(1)
    };
    Computing {
        threads: or(options.threads, cores.saturating_sub(1).max(1)),
        prompt_threads: or(options.prompt_threads, cores.saturating_sub(1).max(1)),
        batch: BATCH,
        cache_bytes: u64::from(options.prompt_cache_mib) << 20,
    }
}

#[cfg(test)]
mod tests;
