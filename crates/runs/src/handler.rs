//! The seam between runs and the kinds of work: what a part registers, and
//! what it asks for.

use async_trait::async_trait;
use kernel::{AccountId, Result, RunId};
use serde_json::Value as Json;
use store::{Reads, Uow};
use uuid::Uuid;

use crate::{ActiveRun, EndReason, Event, NewEvent, Outcome, RunRecord};

/// What one kind of run does. Registered once, at start.
#[async_trait]
pub trait RunHandler: Send + Sync + 'static {
    /// The kind, as stored.
    fn kind(&self) -> &'static str;

    /// Does the work and appends its events. Dropped when the run is stopped.
    async fn execute(&self, run: &ActiveRun) -> Outcome;

    /// What a run amounts to that did not end by itself: stopped, interrupted
    /// (shutdown, or recovery after a crash, then on any node), panicked. Its record
    /// has the attempts and the routing that were told by then.
    async fn conclude(&self, run: &RunRecord, text: &str, reason: EndReason) -> Outcome;

    /// Whether the owner may still see the run and its log: what it worked on may
    /// have been deleted, and may come back.
    ///
    /// # Errors
    /// Whatever the database says.
    async fn is_shown(&self, _reads: &mut Reads, _run: &RunRecord) -> Result<bool> {
        Ok(true)
    }

    /// Joins the unit of work in which the run ends: stores the result, settles
    /// the hold. Answers the last events of the log, at least one. May be run
    /// again; awaits nothing but the unit of work.
    ///
    /// # Errors
    /// Whatever the database says; the end is tried again then.
    async fn finish(
        &self,
        uow: &mut Uow,
        run: &RunRecord,
        outcome: &Outcome,
    ) -> Result<Vec<NewEvent>>;
}

/// A run to be made.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Its id, made beforehand so that other rows can name it.
    pub id: RunId,
    /// Which handler does it.
    pub kind: &'static str,
    /// Who asked for it.
    pub owner: AccountId,
    /// What it works on.
    pub subject: Option<Uuid>,
    /// For the handler.
    pub input: Json,
    /// The first events of its log.
    pub events: Vec<NewEvent>,
}

/// A run that is stored and not yet at work.
#[derive(Debug, Clone)]
pub struct Created {
    pub(crate) record: RunRecord,
    pub(crate) events: Vec<Event>,
}

impl Created {
    /// The run.
    #[must_use]
    pub fn id(&self) -> RunId {
        self.record.id
    }
}
