//! The end of a run: one durable unit of work with everything that belongs to
//! it, tried until it is stored or another node has taken the run over.

use std::{sync::Arc, time::Duration};

use kernel::{Error, Result, codes, fault};
use store::{Durability, Rows, Uow, params};
use tokio::time::Instant;

use crate::{
    Outcome, RunHandler, RunRecord, Runs,
    live::Live,
    log::{self, Cursor, Event},
    record::ALIVE,
};

/// An end that could not be stored is tried again after this, then after twice as long, and so on.
const FIRST_WAIT: Duration = Duration::from_millis(20);
/// No wait is longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// Whoever waits for the end is sent away when it takes longer than this to store it. The tries go
/// on while the database is away; what fails for another reason is left to recovery then.
const PATIENCE: Duration = Duration::from_secs(10);
/// Once the drain is over and the process wants to end, tries end after this.
const HURRIED: Duration = Duration::from_millis(1300);

/// Ends a run that this node works on, whatever the database says meanwhile.
pub(crate) async fn conclude(
    runs: &Runs,
    live: &Live,
    handler: Arc<dyn RunHandler>,
    outcome: Outcome,
) {
    let end = store_end(runs, live, handler, outcome);
    tokio::pin!(end);
    tokio::select! {
        () = &mut end => {}
        () = tokio::time::sleep(PATIENCE) => {
            live.stall();
            end.await;
        }
    }
    runs.announce(live.record.id);
    if live.is_scattered()
        && let Err(error) = compact(runs, &live.record).await
    {
        tracing::warn!(run = %live.record.id, ?error, "a run's log stays in pieces");
    }
}

/// Tries until the end is stored or the run is not ours any more.
async fn store_end(runs: &Runs, live: &Live, handler: Arc<dyn RunHandler>, outcome: Outcome) {
    let ending = Ending {
        record: live.record.clone(),
        outcome,
        tail: live.unstored(),
        next: live.last() + 1,
    };
    let (run, request_id) = (live.record.id, live.record.request);
    let mut wait = FIRST_WAIT;
    let mut hurried = runs.is_interrupted();
    let mut begun = Instant::now();
    let mut outage = Outage::default();
    loop {
        let error = match finish(runs, Arc::clone(&handler), ending.clone()).await {
            Ok(Some(events)) => {
                outage.over(&live.record);
                // Readers have seen the tail already.
                return live.complete(events.into_iter().skip(ending.tail.len()).collect());
            }
            Ok(None) => return live.lose(),
            Err(error) => error,
        };
        let away = error.is(codes::DATABASE_UNAVAILABLE);
        let until = if hurried { HURRIED } else { PATIENCE };
        if begun.elapsed() > until && (hurried || !away) {
            // Recovery finishes it when the lease has ended.
            tracing::error!(%run, %request_id, ?error, "a run is left to recovery");
            return match away {
                true => live.stall(),
                false => live.lose(),
            };
        }
        outage.failed(&live.record, &error, "a run could not be finished yet");
        tokio::select! {
            () = tokio::time::sleep(wait) => wait = LONGEST_WAIT.min(wait * 2),
            // The node stops: a few more tries, beginning now.
            () = runs.interrupted(), if !hurried => {
                (wait, hurried, begun) = (FIRST_WAIT, true, Instant::now());
            }
        }
    }
}

/// Tells the log once that the database does not take what a run has to store,
/// and once that it does again; what is between is for debugging.
#[derive(Default)]
pub(crate) struct Outage(bool);

impl Outage {
    pub(crate) fn failed(&mut self, record: &RunRecord, error: &Error, what: &'static str) {
        let (run, request_id) = (record.id, record.request);
        match std::mem::replace(&mut self.0, true) {
            false => tracing::warn!(%run, %request_id, ?error, "{what}"),
            true => tracing::debug!(%run, %request_id, ?error, "{what}"),
        }
    }

    pub(crate) fn over(&mut self, record: &RunRecord) {
        if std::mem::take(&mut self.0) {
            tracing::info!(run = %record.id, request_id = %record.request, "a run is stored again");
        }
    }
}

/// Joins the small segments of an ended run; ids and events stay as they are.
async fn compact(runs: &Runs, record: &RunRecord) -> Result<()> {
    runs.store()
        .write(
            &record.context(),
            Durability::Fast,
            record.clone(),
            |uow, record| {
                Box::pin(async move {
                    let events = log::read_all(uow, record.tenant, record.id).await?;
                    uow.execute(
                        "DELETE FROM run_segments WHERE tenant_id = $1 AND run_id = $2",
                        params![record.tenant, record.id],
                    )
                    .await?;
                    for epoch in events.chunk_by(|a, b| a.cursor.epoch == b.cursor.epoch) {
                        insert_segments(uow, record, epoch).await?;
                    }
                    Ok(())
                })
            },
        )
        .await
}

#[derive(Clone)]
pub(crate) struct Ending {
    pub(crate) record: RunRecord,
    pub(crate) outcome: Outcome,
    /// Events that readers have seen and the database has not.
    pub(crate) tail: Vec<Event>,
    /// The position of the next event.
    pub(crate) next: i64,
}

/// The end of a run in one durable unit of work: its state, what its handler
/// does (message, settlement), and its last events. Answers the stored events,
/// or `None` when the run is not ours any more.
pub(crate) async fn finish(
    runs: &Runs,
    handler: Arc<dyn RunHandler>,
    ending: Ending,
) -> Result<Option<Vec<Event>>> {
    let ctx = ending.record.context();
    let told = ending.record.clone();
    let reason = ending.outcome.reason();
    let kind = ending.record.kind.clone();
    let events = runs
        .store()
        .write(
            &ctx,
            Durability::Durable,
            (handler, ending),
            |uow, (handler, ending)| Box::pin(finish_in(uow, &**handler, ending)),
        )
        .await?;
    fault::point("runs.finish.after");
    if events.is_some() {
        runs.tell(&told, "ended");
        metrics::counter!("runs_ended_total", "kind" => kind, "end_reason" => reason.as_str())
            .increment(1);
    }
    Ok(events)
}

async fn finish_in(
    uow: &mut Uow,
    handler: &dyn RunHandler,
    ending: &Ending,
) -> Result<Option<Vec<Event>>> {
    fault::point("runs.finish.before");
    let (record, outcome) = (&ending.record, &ending.outcome);
    let reason = outcome.reason();
    let sql = format!(
        "UPDATE runs SET state = $5, end_reason = $6, usage = $7,
           attempts = COALESCE($8, attempts, '[]'), routing = COALESCE($9, routing), ended_at = $10
         WHERE tenant_id = $1 AND id = $2 AND epoch = $3 AND lease_owner = $4
           AND state IN {ALIVE}"
    );
    let now = uow.now();
    let ours = uow
        .execute(
            &sql,
            params![
                record.tenant,
                record.id,
                record.epoch,
                record.node,
                reason.state().as_str(),
                reason.as_str(),
                outcome.usage.as_ref(),
                outcome.attempts.as_ref(),
                outcome.routing.as_ref(),
                now,
            ],
        )
        .await?;
    if ours == 0 {
        return Ok(None);
    }
    let last = handler.finish(uow, record, outcome).await?;
    fault::point("runs.finish.inside");
    if last.is_empty() {
        return Err(Error::new(
            codes::INTERNAL,
            "A run's handler must end its log.",
        ));
    }
    let mut events = ending.tail.clone();
    events.extend(last.into_iter().zip(ending.next..).map(|(event, seq)| {
        let cursor = Cursor {
            epoch: record.epoch,
            seq,
        };
        Event::new(cursor, event.kind, &event.data.to_string())
    }));
    insert_segments(uow, record, &events).await?;
    Ok(Some(events))
}

/// Stores events, in segments of a bounded size.
pub(crate) async fn insert_segments(
    uow: &mut Uow,
    record: &RunRecord,
    events: &[Event],
) -> Result<()> {
    for piece in log::pieces(events) {
        let (Some(first), Some(last)) = (piece.first(), piece.last()) else {
            continue;
        };
        // A segment that is there already was stored by a commit whose answer was lost; its events
        // are the first of these, because nobody else writes to this epoch.
        uow.later(
            Rows::Any,
            "INSERT INTO run_segments (run_id, epoch, first_seq, last_seq, tenant_id, payload)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (run_id, epoch, first_seq) DO UPDATE
               SET last_seq = excluded.last_seq, payload = excluded.payload
               WHERE run_segments.last_seq <= excluded.last_seq",
            params![
                record.id,
                first.cursor.epoch,
                first.cursor.seq,
                last.cursor.seq,
                record.tenant,
                log::payload(piece),
            ],
        )
        .await?;
    }
    Ok(())
}
