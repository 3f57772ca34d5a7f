//! Runs as their owners reach them: looking, following the log, waiting for the
//! end, asking for it. A run that is not shown to the caller does not exist.

use kernel::{Context, Error, Result, RunId};
use store::{Durability, Reads, params};

use crate::{Cursor, EndReason, Event, RunEvents, RunRecord, Runs, live, reader, record};

impl Runs {
    /// The run, for its owner.
    ///
    /// # Errors
    /// `not_found` for everybody else; `database_unavailable`.
    pub async fn get(&self, ctx: &Context, id: RunId) -> Result<RunRecord> {
        self.0
            .store
            .read(ctx, self.clone(), move |reads, runs| {
                Box::pin(async move {
                    let (ctx, tenant) = (reads.context()?, reads.tenant()?);
                    let record = record::find(reads, tenant, id).await?;
                    if !record.is_visible_to(&ctx) {
                        return Err(Error::not_found("Run"));
                    }
                    if !ctx.is_system() {
                        runs.require_shown(reads, &record).await?;
                    }
                    Ok(record)
                })
            })
            .await
    }

    /// # Errors
    /// `not_found` when what the run worked on is gone, by the part that knows.
    pub(crate) async fn require_shown(&self, reads: &mut Reads, record: &RunRecord) -> Result<()> {
        if let Some(handler) = self.handler(&record.kind)
            && handler.is_shown(reads, record).await?
        {
            return Ok(());
        }
        Err(Error::not_found("Run"))
    }

    /// A reader of the run's log, after the given event or from the beginning.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn events(
        &self,
        ctx: &Context,
        id: RunId,
        after: Option<Cursor>,
    ) -> Result<RunEvents> {
        let live = self.live().get(&id).cloned();
        let record = self.get(ctx, id).await?;
        let after = after.unwrap_or_default();
        Ok(RunEvents::new(self.clone(), record, after, live))
    }

    /// As [`Self::events`], from the beginning, for who has just begun the run:
    /// the database is not asked while this node works on it.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn follow(&self, ctx: &Context, id: RunId) -> Result<RunEvents> {
        let live = self.live().get(&id).cloned();
        match live.filter(|live| live.record.is_visible_to(ctx)) {
            Some(live) => {
                let (record, after) = (live.record.clone(), Cursor::default());
                Ok(RunEvents::new(self.clone(), record, after, Some(live)))
            }
            None => self.events(ctx, id, None).await,
        }
    }

    /// Waits for the end of the run; answers its last event.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn wait(&self, ctx: &Context, id: RunId) -> Result<Event> {
        let live = self.live().get(&id).cloned();
        if let Some(live) = live.filter(|live| live.record.is_visible_to(ctx)) {
            let mut changed = live.subscribe();
            loop {
                changed.mark_unchanged();
                match live.last_event() {
                    (live::End::Open, _) => changed.changed().await.map_err(Error::internal)?,
                    (live::End::Complete, Some(event)) => return Ok(event),
                    (live::End::Stalled, _) => return Err(reader::stalled()),
                    _ => break,
                }
            }
        }
        let mut events = self.events(ctx, id, None).await?;
        let mut last = None;
        while let Some(batch) = events.next().await? {
            last = batch.into_iter().next_back();
        }
        last.ok_or_else(|| Error::internal("a run without events"))
    }

    /// Asks the run to end; it ends on whatever node works on it. A run that has
    /// ended stays as it is. The platform itself may also end one that is not
    /// shown any more.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn cancel(&self, ctx: &Context, id: RunId, reason: EndReason) -> Result<RunRecord> {
        let record = self.get(ctx, id).await?;
        if record.state.is_terminal() {
            return Ok(record);
        }
        let sql = format!(
            "UPDATE runs SET cancel_reason = $3
             WHERE tenant_id = $1 AND id = $2 AND cancel_reason IS NULL AND state IN {}",
            record::ALIVE
        );
        let system = record.context();
        self.0
            .store
            .write(&system, Durability::Fast, sql, move |uow, sql| {
                Box::pin(async move {
                    let tenant = uow.tenant()?;
                    uow.execute(sql, params![tenant, id, reason.as_str()])
                        .await
                        .map(drop)
                })
            })
            .await?;
        if let Some(live) = self.live().get(&id) {
            live.request_stop(reason);
        }
        self.0.state.publish(&format!("cancel:{id}"), "");
        Ok(record)
    }
}
