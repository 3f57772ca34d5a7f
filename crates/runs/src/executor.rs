//! Doing a run: its work, and the keeper that stores its log and renews its lease.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use kernel::{Error, Result, fault};
use serde_json::Value as Json;
use store::{Durability, params};

use crate::{
    EndReason, NewEvent, RunHandler, RunRecord, Runs,
    ending::{Outage, conclude, insert_segments},
    live::{Live, Waiting, Way},
    log::Event,
    record::ALIVE,
};

/// How long deltas wait to be stored together.
const FLUSH_AFTER: Duration = Duration::from_millis(100);
/// What could not be stored is tried again after [`FLUSH_AFTER`], then after twice as long, up to
/// this.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// How a run ended, from its handler.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Why it ended.
    pub end_reason: Option<EndReason>,
    /// What failed, when something did.
    pub error: Option<Failure>,
    /// What was used, for `GET /runs/{id}`.
    pub usage: Option<Json>,
    /// What was tried.
    pub attempts: Option<Json>,
    /// Which way was chosen, and why.
    pub routing: Option<Json>,
    /// The text of the log, at the end.
    pub text: String,
}

/// A failure that the log tells.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Failure {
    /// One of the platform's codes.
    pub code: &'static str,
    /// The sentence for the person who reads it.
    pub detail: String,
    /// When to try again, in whole seconds, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self {
            code: error.code().name,
            detail: error.detail().to_owned(),
            retry_after: error.retry().map(seconds),
        }
    }
}

/// Rounded up: nobody comes back too early.
fn seconds(after: Duration) -> u64 {
    after.as_secs() + u64::from(after.subsec_nanos() > 0)
}

impl Outcome {
    /// Ended for this reason.
    #[must_use]
    pub fn ended(reason: EndReason) -> Self {
        Self {
            end_reason: Some(reason),
            ..Self::default()
        }
    }

    /// Failed.
    #[must_use]
    pub fn failed(error: &Error) -> Self {
        Self {
            error: Some(error.into()),
            ..Self::ended(EndReason::Error)
        }
    }

    /// Why it ended.
    #[must_use]
    pub fn reason(&self) -> EndReason {
        self.end_reason.unwrap_or(EndReason::Error)
    }
}

/// A run at work, as its handler sees it.
#[derive(Clone)]
pub struct ActiveRun(pub(crate) Arc<Live>);

impl std::fmt::Debug for ActiveRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ActiveRun({})", self.0.record.id)
    }
}

impl ActiveRun {
    /// The run.
    #[must_use]
    pub fn record(&self) -> &RunRecord {
        &self.0.record
    }

    /// Appends text to the answer; readers see it at once. Waits only when the
    /// database is far behind.
    pub async fn delta(&self, text: &str) {
        self.0.append_delta(text);
        self.0.room().await;
    }

    /// Appends a named event.
    pub fn event(&self, event: &NewEvent) {
        self.0.append(event);
    }

    /// Tells which way was chosen and what has been tried so far. It is kept however the run ends;
    /// [`RunHandler::conclude`] finds it in the record.
    pub fn goes(&self, routing: Json, attempts: Json) {
        self.0.go(Way {
            routing: Some(routing),
            attempts: Some(attempts),
        });
    }

    /// The text so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.text()
    }
}

/// Works on the run until it has ended, here or elsewhere.
pub(crate) async fn drive(runs: Runs, live: Arc<Live>, handler: Arc<dyn RunHandler>) {
    fault::point("runs.execute.started");
    let work = async {
        let outcome = work(&runs, &live, &*handler).await;
        live.closing.cancel();
        outcome
    };
    let (outcome, ()) = tokio::join!(work, keep(&runs, &live));
    match outcome {
        Some(mut outcome) => {
            outcome.text = live.text();
            let told = live.so_far();
            outcome.attempts = outcome.attempts.or(told.attempts);
            outcome.routing = outcome.routing.or(told.routing);
            conclude(&runs, &live, handler, outcome).await;
        }
        None => live.lose(),
    }
    runs.forget(&live.record);
}

/// The handler's work, until it ends or is ended. `None`: the run is lost.
async fn work(runs: &Runs, live: &Arc<Live>, handler: &dyn RunHandler) -> Option<Outcome> {
    let active = ActiveRun(Arc::clone(live));
    // Dropping the work is how it is stopped: a provider's stream is closed so.
    let ended = tokio::select! {
        biased;
        () = live.lost.cancelled() => return None,
        () = live.stop.cancelled() => Err(live.stop_reason()),
        () = runs.interrupted() => Err(EndReason::Interrupted),
        done = AssertUnwindSafe(handler.execute(&active)).catch_unwind() => Ok(done),
    };
    Some(match ended {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => {
            tracing::error!(run = %live.record.id, "a run's handler panicked");
            let error = Error::internal("the handler panicked");
            let conclusion = handler
                .conclude(&live.so_far(), &live.text(), EndReason::Error)
                .await;
            Outcome {
                error: Some((&error).into()),
                ..conclusion
            }
        }
        Err(reason) => handler.conclude(&live.so_far(), &live.text(), reason).await,
    })
}

/// Stores the log as it grows, renews the lease, hears of cancellation.
async fn keep(runs: &Runs, live: &Live) {
    let beat = runs.options().lease / 3;
    let mut wait = FLUSH_AFTER;
    let mut outage = Outage::default();
    loop {
        if live.waiting() == Waiting::Nothing {
            tokio::select! {
                () = live.closing.cancelled() => return,
                () = live.wanted.notified() => {}
                () = tokio::time::sleep(beat) => {}
            }
        }
        // Deltas wait for company; anything else and a good many deltas do not.
        let deadline = tokio::time::sleep(FLUSH_AFTER);
        tokio::pin!(deadline);
        while live.waiting() == Waiting::Deltas {
            tokio::select! {
                () = live.closing.cancelled() => return,
                () = live.wanted.notified() => {}
                () = &mut deadline => break,
            }
        }
        if live.closing.is_cancelled() {
            return;
        }
        let (events, way) = (live.unstored(), live.unstored_way());
        let changed = way.is_some();
        match store_events(runs, &live.record, events, way).await {
            Ok(Some((stored, cancel))) => {
                outage.over(&live.record);
                wait = FLUSH_AFTER;
                if let Some(seq) = stored {
                    live.mark_stored(seq);
                }
                if let Some(reason) = cancel {
                    live.request_stop(reason);
                }
            }
            Ok(None) => {
                live.lose();
                return;
            }
            Err(error) => {
                // What is not stored stays in memory and is tried again.
                if changed {
                    live.way_is_unstored();
                }
                outage.failed(&live.record, &error, "a run's log could not be stored");
                tokio::select! {
                    () = live.closing.cancelled() => return,
                    () = tokio::time::sleep(wait) => {}
                }
                wait = (wait * 2).min(LONGEST_WAIT).min(beat.max(FLUSH_AFTER));
                live.wanted.notify_one();
            }
        }
    }
}

type Kept = Option<(Option<i64>, Option<EndReason>)>;

/// One fenced append; also the lease's renewal. `None`: the run is not ours.
async fn store_events(
    runs: &Runs,
    record: &RunRecord,
    events: Vec<Event>,
    way: Option<Way>,
) -> Result<Kept> {
    let args = (
        record.clone(),
        events,
        way.unwrap_or_default(),
        runs.options().lease,
    );
    runs.store()
        .write(
            &record.context(),
            Durability::Fast,
            args,
            |uow, (record, events, way, lease)| {
                Box::pin(async move {
                    fault::point("runs.append.before");
                    let sql = format!(
                        "UPDATE runs SET lease_until = NOW_DB_PLUS($5), state = 'running',
                       routing = COALESCE($6, routing), attempts = COALESCE($7, attempts)
                     WHERE tenant_id = $1 AND id = $2 AND epoch = $3 AND lease_owner = $4
                       AND state IN {ALIVE} RETURNING cancel_reason"
                    );
                    let lease = micros(*lease);
                    let fence = params![
                        record.tenant,
                        record.id,
                        record.epoch,
                        record.node,
                        lease,
                        way.routing.as_ref(),
                        way.attempts.as_ref(),
                    ];
                    let Some(mut row) = uow.query_opt(&sql, fence).await? else {
                        return Ok(None);
                    };
                    let cancel = row.get::<Option<String>>(0)?;
                    let cancel =
                        cancel.and_then(|reason| serde_json::from_value(Json::String(reason)).ok());
                    insert_segments(uow, record, events).await?;
                    fault::point("runs.append.after");
                    Ok(Some((events.last().map(|event| event.cursor.seq), cancel)))
                })
            },
        )
        .await
}

pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
