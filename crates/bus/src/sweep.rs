//! Removes events that are old and that every subscriber has behind it.

use std::time::Duration;

use kernel::{Result, Timestamp};
use store::{Dialect, Durability, Uow, params};

use crate::Bus;

/// How often is swept; the first time after so long, when every subscriber runs.
const EVERY: Duration = Duration::from_secs(3600);
/// Events removed in one unit of work, so that nobody waits long for it.
const AT_ONCE: i64 = 1_000;

impl Bus {
    /// Sweeps the outbox every hour from now on.
    pub fn keep_swept(&self) {
        let bus = self.clone();
        self.0.tracker.spawn(async move {
            loop {
                tokio::select! {
                    () = bus.0.stop.cancelled() => return,
                    () = tokio::time::sleep(EVERY) => {}
                }
                match bus.sweep().await {
                    Ok(0) => {}
                    Ok(removed) => tracing::debug!(removed, "old events were removed"),
                    Err(error) => tracing::error!(?error, "old events were not removed"),
                }
            }
        });
    }

    /// Removes events older than the retention that every subscriber has taken;
    /// answers how many those were.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn sweep(&self) -> Result<u64> {
        let now = self.0.store.env().clock.now();
        let ago = |by: Duration| now - jiff::SignedDuration::try_from(by).unwrap_or_default();
        let args = (ago(self.0.options.retention), ago(self.0.options.forget));
        let mut removed = 0;
        loop {
            let batch = self
                .0
                .store
                .write(
                    &self.system(),
                    Durability::Fast,
                    args,
                    |uow, (old, forgotten)| {
                        Box::pin(async move { remove(uow, *old, *forgotten).await })
                    },
                )
                .await?;
            removed += batch;
            if batch == 0 {
                return Ok(removed);
            }
        }
    }
}

async fn remove(uow: &mut Uow, old: Timestamp, forgotten: Timestamp) -> Result<u64> {
    // A window of transactions is behind a cursor when it is read to its end.
    let (cursor, event) = match uow.dialect() {
        Dialect::Sqlite => ("position + 1", "position"),
        Dialect::Postgres => ("low", "transaction_id"),
    };
    let sql = format!(
        "DELETE FROM outbox WHERE position IN (
           SELECT position FROM outbox
           WHERE occurred_at < $1 AND {event} < (
             SELECT COALESCE(MIN({cursor}), CAST($3 AS bigint)) FROM bus_cursors
             WHERE lease_until >= $2)
           ORDER BY occurred_at LIMIT $4)"
    );
    uow.execute(&sql, params![old, forgotten, i64::MAX, AT_ONCE])
        .await
}
