//! Dead letters: events that a subscriber could not take. They are kept whole,
//! for people to look at and give again.

use kernel::{Context, DomainEvent, Error, Id, Page, Paged, Result, Role, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Durability, Reads, params};

use crate::Bus;

/// An event that a subscriber could not take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Whose event it was not.
    pub subscriber: String,
    /// The event.
    pub event: DomainEvent,
    /// What the subscriber said last.
    pub error: String,
    /// How often it was tried.
    pub attempts: i64,
    /// When it was put aside.
    pub created_at: Timestamp,
}

impl Bus {
    /// The tenant's dead letters, newest first; for admins.
    ///
    /// # Errors
    /// `forbidden`, `database_unavailable`.
    pub async fn dead_letters(&self, ctx: &Context, page: Page) -> Result<Paged<DeadLetter>> {
        ctx.require(&[Role::Admin])?;
        self.0
            .store
            .read(ctx, page, |reads, page| {
                Box::pin(async move { list(reads, *page).await })
            })
            .await
    }

    pub(crate) async fn put_aside(
        &self,
        name: &'static str,
        event: &DomainEvent,
        error: &Error,
        attempts: u32,
    ) -> Result<()> {
        tracing::error!(subscriber = name, event = %event.id, "an event became a dead letter");
        let whole = serde_json::to_value(event).map_err(Error::internal)?;
        let args = (
            name,
            event.tenant_id,
            event.id,
            whole,
            error.to_string(),
            attempts,
        );
        self.0
            .store
            .write(
                &self.system(),
                Durability::Durable,
                args,
                |uow, (name, tenant, event, whole, error, attempts)| {
                    Box::pin(async move {
                        let (id, now) = (uow.id::<()>(), uow.now());
                        // It may be put aside a second time, when it was given again.
                        uow.execute(
                            "INSERT INTO bus_dead_letters (id, tenant_id, subscriber, event_id,
                               event, error, attempts, created_at)
                             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
                            params![id, *tenant, *name, *event, whole, error, *attempts, now],
                        )
                        .await
                        .map(drop)
                    })
                },
            )
            .await
    }
}

async fn list(reads: &mut Reads, page: Page) -> Result<Paged<DeadLetter>> {
    let tenant = reads.tenant()?;
    let mut count = reads
        .query_one(
            "SELECT CAST(COUNT(*) AS bigint) FROM bus_dead_letters WHERE tenant_id = $1",
            params![tenant],
        )
        .await?;
    let rows = reads
        .query(
            "SELECT id, subscriber, event, error, attempts, created_at FROM bus_dead_letters
             WHERE tenant_id = $1 ORDER BY id DESC LIMIT $2 OFFSET $3",
            params![tenant, page.limit(), page.offset()],
        )
        .await?;
    let mut letters = Vec::with_capacity(rows.len());
    for mut row in rows {
        let _: Id<()> = row.get(0)?;
        letters.push(DeadLetter {
            subscriber: row.get(1)?,
            event: serde_json::from_value(row.get(2)?).map_err(Error::internal)?,
            error: row.get(3)?,
            attempts: row.get(4)?,
            created_at: row.get(5)?,
        });
    }
    Ok(Paged::new(letters, page, count.get(0)?))
}
