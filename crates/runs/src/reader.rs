//! Reading a run's log: from memory where this node works on the run, else
//! from the database. Every view (SSE, waiting for the end) is one of these.

use std::{sync::Arc, time::Duration};

use kernel::{Error, Result, codes};
use serde_json::json;

use crate::{
    RunRecord, Runs,
    live::{End, Live, Next},
    log::{self, Cursor, Event},
    record,
};

/// How often a reader looks at the log of a run that another node works on,
/// when nothing wakes it earlier.
const POLL: Duration = Duration::from_millis(250);

/// A reader of one run's log, at a position of its own. It holds no queue:
/// whoever reads slowly costs no memory.
pub struct RunEvents {
    runs: Runs,
    record: RunRecord,
    position: Cursor,
    live: Option<Arc<Live>>,
    /// The position is known to be one of the stored log.
    checked: bool,
    ended: bool,
}

impl std::fmt::Debug for RunEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RunEvents({} after {})", self.record.id, self.position)
    }
}

impl RunEvents {
    pub(crate) fn new(
        runs: Runs,
        record: RunRecord,
        after: Cursor,
        live: Option<Arc<Live>>,
    ) -> Self {
        Self {
            runs,
            record,
            position: after,
            live,
            checked: after.seq == 0,
            ended: false,
        }
    }

    /// The run as it was when reading began.
    #[must_use]
    pub fn run(&self) -> &RunRecord {
        &self.record
    }

    /// The next events, in order and each once; waits for them. `None` after
    /// the last event of the run. May be dropped at any time.
    ///
    /// # Errors
    /// `database_unavailable`; `not_found` when the run is not shown any more.
    pub async fn next(&mut self) -> Result<Option<Vec<Event>>> {
        if self.ended {
            return Ok(None);
        }
        let events = match self.live.clone() {
            Some(live) => self.next_live(&live).await?,
            None => self.next_stored().await?,
        };
        if let Some(last) = events.as_ref().and_then(|events| events.last()) {
            self.position = last.cursor;
        }
        self.ended = events.is_none();
        Ok(events)
    }

    async fn next_live(&mut self, live: &Live) -> Result<Option<Vec<Event>>> {
        let mut changed = live.subscribe();
        loop {
            changed.mark_unchanged();
            match live.after(self.position) {
                Next::Events(events) => return Ok(Some(events)),
                Next::End(End::Complete) => return Ok(None),
                Next::End(End::Stalled) => return Err(stalled()),
                Next::End(_) => {
                    // What came from memory may never have been stored.
                    (self.live, self.checked) = (None, self.position.seq == 0);
                    return self.next_stored().await;
                }
                Next::Stored => {
                    if let Some(events) = self.stored().await? {
                        return Ok(Some(events));
                    }
                }
                Next::Beyond(here, text) => return Ok(Some(vec![reset(here, &text)])),
                Next::Wait => {
                    changed.changed().await.map_err(Error::internal)?;
                }
            }
        }
    }

    /// A look at the stored log; `None` when nothing follows the position.
    async fn stored(&mut self) -> Result<Option<Vec<Event>>> {
        let (tenant, run, after) = (self.record.tenant, self.record.id, self.position);
        let ctx = self.record.context();
        let checked = self.checked;
        let (record, checked, events) = self
            .runs
            .store()
            .read(&ctx, self.runs.clone(), move |reads, runs| {
                Box::pin(async move {
                    let record = record::find(reads, tenant, run).await?;
                    runs.require_shown(reads, &record).await?;
                    if !checked {
                        match standing(reads, &record, after).await? {
                            Standing::Stored => {}
                            // Looked at again: should the run be taken over meanwhile, it is lost.
                            Standing::Ahead => return Ok((record, false, Vec::new())),
                            Standing::Lost(reset) => return Ok((record, true, vec![reset])),
                        }
                    }
                    Ok((
                        record,
                        true,
                        log::read_after(reads, tenant, run, after).await?,
                    ))
                })
            })
            .await?;
        (self.record, self.checked) = (record, checked);
        Ok((!events.is_empty()).then_some(events))
    }

    async fn next_stored(&mut self) -> Result<Option<Vec<Event>>> {
        loop {
            // Subscribed before the look, so that nothing falls between.
            let mut news = self.runs.news(self.record.id);
            if let Some(events) = self.stored().await? {
                return Ok(Some(events));
            }
            if self.record.state.is_terminal() {
                return Ok(None);
            }
            let _ = tokio::time::timeout(POLL, news.recv()).await;
        }
    }
}

/// What whoever waits for an end is told while it cannot be stored.
pub(crate) fn stalled() -> Error {
    Error::new(
        codes::DATABASE_UNAVAILABLE,
        "The answer could not be stored yet, because the database is not available; look again \
         shortly.",
    )
    .retry_after(Duration::from_secs(2))
}

/// How a position stands to the stored log.
enum Standing {
    /// It is a place in it.
    Stored,
    /// It is ahead of it, perhaps for the moment that the run's node needs to
    /// store what it has given out.
    Ahead,
    /// It was given out in the last moments before a crash and never stored: the
    /// true text so far takes its place.
    Lost(Event),
}

async fn standing(reads: &mut store::Reads, record: &RunRecord, after: Cursor) -> Result<Standing> {
    let all = log::read_all(reads, record.tenant, record.id).await?;
    let end = |epoch: i64| {
        all.iter()
            .rev()
            .find(|e| e.cursor.epoch <= epoch)
            .map_or_else(Cursor::default, |e| e.cursor)
    };
    if after.epoch < record.epoch {
        let last = end(after.epoch);
        if last.epoch == after.epoch && last.seq >= after.seq {
            return Ok(Standing::Stored);
        }
        let text = log::text_of(all.iter().filter(|e| e.cursor.epoch <= after.epoch));
        let next = Cursor {
            epoch: after.epoch + 1,
            seq: 0,
        };
        return Ok(Standing::Lost(reset(next, &text)));
    }
    let last = end(record.epoch);
    if after <= last {
        return Ok(Standing::Stored);
    }
    if after.epoch == record.epoch && !record.state.is_terminal() {
        return Ok(Standing::Ahead);
    }
    let place = if record.state.is_terminal() {
        // Before the end, which is told once more.
        Cursor {
            epoch: last.epoch,
            seq: (last.seq - 1).max(0),
        }
    } else {
        last
    };
    Ok(Standing::Lost(reset(place, &log::text_of(&all))))
}

fn reset(cursor: Cursor, text: &str) -> Event {
    let data = json!({"text": text, "reason": "recovered"}).to_string();
    Event::new(cursor, "reset".into(), &data)
}
