//! An answer: what a model is told, sending a prompt, stopping, and the end of
//! an answer as one unit of work. What threads, credits, models and runs are is
//! decided in their own parts; here they come together.

mod answer;
mod assistants;
mod attempt;
mod compose;
mod cost;
mod erase;
mod export;
mod meter;
mod place;
mod purge;
mod send;
mod sessions;
mod shared;
mod title;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use accounting::{Accounting, Hold};
use conversations::Conversations;
use kernel::RunId;
use orchestrator::{ChatRequest, Model, Orchestrator};
use runs::Runs;
use serde::{Deserialize, Serialize};
use store::Store;

pub use cost::{CheckAnswer, PromptSize};
pub use send::{Aim, Prompt, Sampling, Sent};
pub use sessions::NewSession;

/// What an operator can set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How a conversation gets its title: `heuristic` takes it from the first
    /// prompt, without a model call; `model` asks the conversation's model for a
    /// better one after the first answer, which the user pays like an answer.
    pub titles: Titles,
    /// Messages of a conversation that are looked at for a prompt's context, at most;
    /// fewer once they have 16 bytes for each token of the model's context window.
    pub history_messages: u32,
}

/// How a conversation gets its title.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Titles {
    /// From the first prompt.
    Heuristic,
    /// From the conversation's model, once it has answered; from the first prompt until then.
    Model,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            titles: Titles::Heuristic,
            history_messages: 400,
        }
    }
}

/// Answers. Cheap to clone.
#[derive(Clone)]
pub struct Chat(Arc<Inner>);

struct Inner {
    store: Store,
    accounting: Accounting,
    runs: Runs,
    orchestrator: Orchestrator,
    conversations: Conversations,
    options: Options,
    /// What the answers that are about to begin need; a run that finds nothing
    /// here belongs to a process that died.
    prepared: Mutex<HashMap<RunId, Work>>,
}

/// What an answer needs beyond its stored input.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) model: Arc<Model>,
    pub(crate) request: ChatRequest,
    pub(crate) hold: Hold,
}

impl std::fmt::Debug for Chat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chat")
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}

impl Chat {
    /// Over the parts it brings together; makes answers known to `runs`.
    #[must_use]
    pub fn new(
        store: Store,
        accounting: Accounting,
        runs: Runs,
        orchestrator: Orchestrator,
        conversations: Conversations,
        options: Options,
    ) -> Self {
        let chat = Self(Arc::new(Inner {
            store,
            accounting,
            runs,
            orchestrator,
            conversations,
            options,
            prepared: Mutex::default(),
        }));
        chat.0
            .runs
            .register(Arc::new(answer::Answers(chat.clone())));
        let titles = title::TitleRuns(answer::Answers(chat.clone()));
        chat.0.runs.register(Arc::new(titles));
        chat
    }

    pub(crate) fn prepare(&self, run: RunId, work: Work) {
        self.0
            .prepared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(run, work);
    }

    pub(crate) fn take_prepared(&self, run: RunId) -> Option<Work> {
        self.0
            .prepared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&run)
    }
}
