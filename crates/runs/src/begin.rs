//! The beginning of a run: stored within the caller's unit of work, set to work
//! once that is committed. What it does then is the executor's.

use std::{sync::Arc, time::Duration};

use kernel::{Error, Result, codes};
use store::{Rows, Uow, params};

use crate::{
    Created, Cursor, Event, NewRun, RunRecord, RunState, Runs, ending, executor, live::Live,
};

impl Runs {
    /// Stores a run within the caller's unit of work, claimed by this node.
    ///
    /// # Errors
    /// `server_busy` or `shutting_down`; `database_unavailable`.
    pub async fn create_in(&self, uow: &mut Uow, new: &NewRun) -> Result<Created> {
        if self.is_closed() {
            return Err(Error::new(
                codes::SHUTTING_DOWN,
                "The server is stopping; please try again shortly.",
            )
            .retry_after(Duration::from_secs(5)));
        }
        if self.active() >= self.0.options.max_active {
            return Err(Error::new(
                codes::BUSY,
                "The server works on as many answers as it can; please try again shortly.",
            )
            .retry_after(Duration::from_secs(2)));
        }
        let ctx = uow.context()?;
        let record = RunRecord {
            id: new.id,
            tenant: ctx.tenant(),
            kind: new.kind.to_owned(),
            owner: new.owner,
            subject: new.subject,
            state: RunState::Pending,
            end_reason: None,
            epoch: 1,
            node: self.0.node,
            cancel: None,
            input: new.input.clone(),
            usage: None,
            attempts: None,
            routing: None,
            request: ctx.request(),
            created_at: uow.now(),
            ended_at: None,
        };
        let events: Vec<Event> = new
            .events
            .iter()
            .zip(1..)
            .map(|(event, seq)| {
                let cursor = Cursor {
                    epoch: record.epoch,
                    seq,
                };
                Event::new(cursor, event.kind.clone(), &event.data.to_string())
            })
            .collect();
        let lease = executor::micros(self.0.options.lease);
        uow.later(
            Rows::One,
            "INSERT INTO runs (id, tenant_id, kind, owner_id, subject_id, state, epoch,
               lease_owner, lease_until, input, request_id, created_at)
             VALUES ($1, $2, $3, $4, $5, 'pending', 1, $6, NOW_DB_PLUS($7), $8, $9, $10)",
            params![
                record.id,
                record.tenant,
                &record.kind,
                record.owner,
                record.subject,
                record.node,
                lease,
                &record.input,
                record.request,
                record.created_at,
            ],
        )
        .await?;
        ending::insert_segments(uow, &record, &events).await?;
        Ok(Created { record, events })
    }

    /// Sets a stored run to work. Call it once its unit of work is committed; if
    /// the process dies in between, recovery finishes the run.
    pub fn launch(&self, created: Created) {
        let Some(handler) = self.handler(&created.record.kind) else {
            tracing::error!(
                kind = created.record.kind,
                "no handler for this kind of run"
            );
            return;
        };
        let live = Arc::new(Live::new(created.record, created.events));
        self.tell(&live.record, "running");
        self.live().insert(live.record.id, Arc::clone(&live));
        metrics::gauge!("runs_active").increment(1.0);
        // Also called from the store's threads, after a commit.
        let work = executor::drive(self.clone(), live, handler);
        self.0.tracker.spawn_on(work, &self.0.runtime);
    }
}
