//! A subscriber's place in the outbox, and the lease that keeps it on one node.

use kernel::{NodeId, Result};
use store::{Durability, OutboxCursor, Uow, params};

use crate::{Bus, micros};

impl Bus {
    /// Takes or renews the subscriber's lease; answers its cursor when this node has it.
    pub(crate) async fn take(&self, name: &'static str) -> Result<Option<OutboxCursor>> {
        let args = (name, self.0.node, micros(self.0.options.lease));
        self.0
            .store
            .write(
                &self.system(),
                Durability::Fast,
                args,
                |uow, (name, node, lease)| {
                    Box::pin(async move { take(uow, name, *node, *lease).await })
                },
            )
            .await
    }

    /// Saves the cursor and renews the lease; answers false when another node has it.
    pub(crate) async fn save(&self, name: &'static str, cursor: OutboxCursor) -> Result<bool> {
        let args = (name, self.0.node, micros(self.0.options.lease), cursor);
        self.0
            .store
            .write(
                &self.system(),
                Durability::Fast,
                args,
                |uow, (name, node, lease, at)| {
                    Box::pin(async move {
                        let sql = "UPDATE bus_cursors SET low = $3, high = $4, position = $5,
                           lease_until = NOW_DB_PLUS($6)
                         WHERE subscriber = $1 AND lease_owner = $2";
                        let params = params![*name, *node, at.low, at.high, at.position, *lease];
                        Ok(uow.execute(sql, params).await? == 1)
                    })
                },
            )
            .await
    }

    /// Lets go of the subscriber, for another node to take at once.
    pub(crate) async fn release(&self, name: &'static str) -> Result<()> {
        let args = (name, self.0.node);
        self.0
            .store
            .write(
                &self.system(),
                Durability::Fast,
                args,
                |uow, (name, node)| {
                    Box::pin(async move {
                        let sql = "UPDATE bus_cursors SET lease_until = NOW_DB
                         WHERE subscriber = $1 AND lease_owner = $2";
                        uow.execute(sql, params![*name, *node]).await.map(drop)
                    })
                },
            )
            .await
    }
}

async fn take(uow: &mut Uow, name: &str, node: NodeId, lease: i64) -> Result<Option<OutboxCursor>> {
    uow.execute(
        "INSERT INTO bus_cursors (subscriber, low, high, position, lease_owner, lease_until)
         VALUES ($1, 0, 0, 0, $2, NOW_DB) ON CONFLICT DO NOTHING",
        params![name, node],
    )
    .await?;
    let row = uow
        .query_opt(
            "UPDATE bus_cursors SET lease_owner = $2, lease_until = NOW_DB_PLUS($3)
             WHERE subscriber = $1 AND (lease_owner = $2 OR lease_until <= NOW_DB)
             RETURNING low, high, position",
            params![name, node, lease],
        )
        .await?;
    let Some(mut row) = row else { return Ok(None) };
    Ok(Some(OutboxCursor {
        low: row.get(0)?,
        high: row.get(1)?,
        position: row.get(2)?,
    }))
}
