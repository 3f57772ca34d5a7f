//! The outbox: domain events are written in the transaction of the change and
//! read by `bus`, which delivers them.

use kernel::{DomainEvent, Result};

use crate::{Dialect, Reads, Rows, Uow, params};

pub(crate) async fn append(uow: &mut Uow, event: &DomainEvent) -> Result<()> {
    // The counter's row is locked until the commit: within a key, positions
    // and sequence numbers are given in the order of the commits.
    let row = params![
        event.id,
        event.tenant_id,
        &event.topic,
        &event.kind,
        event.version,
        &event.key,
        event.occurred_at,
        event.trace,
        &event.payload,
    ];
    if uow.dialect() == Dialect::Postgres {
        return uow.later(Rows::Any, POSTGRES, row).await;
    }
    let key = params![event.tenant_id, &event.key];
    uow.later(Rows::Any, SQLITE_KEY, key).await?;
    uow.later(Rows::Any, SQLITE, row).await
}

const SQLITE_KEY: &str =
    "INSERT INTO outbox_keys (tenant_id, event_key, sequence) VALUES ($1, $2, 1)
   ON CONFLICT (tenant_id, event_key) DO UPDATE SET sequence = outbox_keys.sequence + 1";
const SQLITE: &str = "INSERT INTO outbox (id, tenant_id, topic, kind, version, event_key, sequence,
     occurred_at, trace, payload)
   SELECT $1, $2, $3, $4, $5, $6, sequence, $7, $8, $9
   FROM outbox_keys WHERE tenant_id = $2 AND event_key = $6";

/// An event counts as written by the youngest transaction that wrote to its key
/// so far. Else an old transaction that wrote to the key last would be read in
/// an earlier window than the young one it followed, and their order be lost.
const POSTGRES: &str = "WITH counted AS (
     INSERT INTO outbox_keys (tenant_id, event_key, sequence, transaction_id)
     VALUES (CAST($2 AS uuid), CAST($6 AS text), 1,
       CAST(CAST(pg_current_xact_id() AS text) AS bigint))
     ON CONFLICT (tenant_id, event_key) DO UPDATE SET
       sequence = outbox_keys.sequence + 1,
       transaction_id = GREATEST(outbox_keys.transaction_id, excluded.transaction_id)
     RETURNING sequence, transaction_id)
   INSERT INTO outbox (id, tenant_id, topic, kind, version, event_key, sequence, transaction_id,
     occurred_at, trace, payload)
   SELECT CAST($1 AS uuid), CAST($2 AS uuid), CAST($3 AS text), CAST($4 AS text),
     CAST($5 AS bigint), CAST($6 AS text), sequence, transaction_id, CAST($7 AS timestamptz),
     CAST($8 AS uuid), CAST($9 AS jsonb)
   FROM counted";

/// How far a subscriber has read. On PostgreSQL events are read in windows of
/// transaction ids, because a transaction may commit after a younger one:
/// `low..high` is the window being read, `position` the last event read in it.
/// On SQLite, with its one writer, `position` alone counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboxCursor {
    /// First transaction id of the window.
    pub low: i64,
    /// First transaction id after the window; 0 before the first window.
    pub high: i64,
    /// Position of the last event read within the window.
    pub position: i64,
}

/// The next events after the cursor, each with the cursor after it, and the
/// cursor after all that was looked at. Run it as the system, over every tenant.
///
/// # Errors
/// When the database fails.
pub async fn read_outbox(
    reads: &mut Reads,
    cursor: OutboxCursor,
    limit: u32,
) -> Result<(Vec<(DomainEvent, OutboxCursor)>, OutboxCursor)> {
    const COLUMNS: &str = "position, id, tenant_id, topic, kind, version, event_key, sequence,
        occurred_at, trace, payload";
    let mut cursor = cursor;
    let rows = match reads.dialect() {
        Dialect::Sqlite => {
            let sql = format!(
                "SELECT {COLUMNS} FROM outbox WHERE position > $1 ORDER BY position LIMIT $2"
            );
            reads.query(&sql, params![cursor.position, limit]).await?
        }
        Dialect::Postgres => {
            let mut settled = reads
                .query_one(
                    "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint",
                    params![],
                )
                .await?;
            let settled = settled.get::<i64>(0)?;
            if cursor.high == 0 {
                cursor.high = settled;
            }
            let sql = format!(
                "SELECT {COLUMNS} FROM outbox
                 WHERE transaction_id >= $1 AND transaction_id < $2 AND position > $3
                 ORDER BY position LIMIT $4"
            );
            let mut rows = reads
                .query(
                    &sql,
                    params![cursor.low, cursor.high, cursor.position, limit],
                )
                .await?;
            if rows.is_empty() && settled > cursor.high {
                // The window is read to its end: the next one.
                cursor = OutboxCursor {
                    low: cursor.high,
                    high: settled,
                    position: 0,
                };
                rows = reads
                    .query(
                        &sql,
                        params![cursor.low, cursor.high, cursor.position, limit],
                    )
                    .await?;
            }
            rows
        }
    };
    let mut events = Vec::with_capacity(rows.len());
    for mut row in rows {
        cursor.position = row.get(0)?;
        let event = DomainEvent {
            id: row.get(1)?,
            tenant_id: row.get(2)?,
            topic: row.get(3)?,
            kind: row.get(4)?,
            version: u16::try_from(row.get::<i64>(5)?).unwrap_or(1),
            key: row.get(6)?,
            sequence: row.get(7)?,
            occurred_at: row.get(8)?,
            trace: row.get(9)?,
            payload: row.get(10)?,
        };
        events.push((event, cursor));
    }
    Ok((events, cursor))
}
