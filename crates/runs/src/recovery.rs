//! Recovery: runs whose owner is gone are taken over and finished, each once.
//! Taking over raises the epoch, which fences everything the old owner may
//! still try to write.

use kernel::{Error, Result, RunId, TenantId, fault};
use store::{Durability, params};

use crate::{
    EndReason, Outcome, RunRecord, Runs,
    ending::{self, Ending},
    executor::micros,
    log,
    record::{self, ALIVE, COLUMNS},
};

/// How many orphans one look takes.
const BATCH: i64 = 50;

/// A run that could not be finished through this many take-overs is given up: it fails without a
/// result, which gives back what it holds. Else one that cannot be stored would never end.
const TAKE_OVERS: i64 = 10;

/// Which runs count as orphans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orphans {
    /// Those whose lease has ended.
    Expired,
    /// All of them: at the start on an embedded database, which nobody else uses.
    All,
}

impl Runs {
    /// Finishes the orphans; answers how many it finished.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn recover(&self, which: Orphans) -> Result<usize> {
        let finished = self.recover_all(which).await?;
        if finished > 0 {
            tracing::info!(finished, "recovery finished runs that others had left");
        }
        Ok(finished)
    }

    async fn recover_all(&self, which: Orphans) -> Result<usize> {
        let mut finished = 0;
        loop {
            let orphans = self.orphans(which).await?;
            if orphans.is_empty() {
                return Ok(finished);
            }
            let mut progress = false;
            for (tenant, id) in orphans {
                match self.recover_one(tenant, id, which).await {
                    Ok(true) => (finished, progress) = (finished + 1, true),
                    Ok(false) => {}
                    Err(error) => {
                        tracing::error!(run = %id, ?error, "a run could not be recovered")
                    }
                }
            }
            if !progress {
                return Ok(finished);
            }
        }
    }

    async fn orphans(&self, which: Orphans) -> Result<Vec<(TenantId, RunId)>> {
        let lease = match which {
            Orphans::Expired => "lease_until < NOW_DB",
            Orphans::All => "lease_owner <> $2",
        };
        let sql = format!(
            "SELECT tenant_id, id FROM runs WHERE state IN {ALIVE} AND {lease}
             ORDER BY lease_until LIMIT $1"
        );
        let node = self.node();
        self.store()
            .read(&self.system("recovery"), sql, move |reads, sql| {
                Box::pin(async move {
                    let rows = match which {
                        Orphans::Expired => reads.query(sql, params![BATCH]).await?,
                        Orphans::All => reads.query(sql, params![BATCH, node]).await?,
                    };
                    rows.into_iter()
                        .map(|mut row| Ok((row.get(0)?, row.get(1)?)))
                        .collect()
                })
            })
            .await
    }

    async fn recover_one(&self, tenant: TenantId, id: RunId, which: Orphans) -> Result<bool> {
        if self.is_live(id) {
            // Our own, late with its heartbeat: its next append settles it.
            return Ok(false);
        }
        let Some(record) = self.take_over(tenant, id, which).await? else {
            return Ok(false);
        };
        fault::point("runs.recover.taken");
        let Some(handler) = self.handler(&record.kind) else {
            tracing::error!(run = %id, kind = record.kind, "no handler for this kind of run");
            return Ok(false);
        };
        let log = self
            .store()
            .read(&record.context(), (), move |reads, ()| {
                Box::pin(log::read_all(reads, tenant, id))
            })
            .await?;
        let text = log::text_of(&log);
        let mut outcome = if record.epoch > TAKE_OVERS {
            tracing::error!(run = %id, epoch = record.epoch, "a run is given up");
            Outcome::failed(&Error::internal("the run could not be finished"))
        } else {
            let reason = record.cancel.unwrap_or(EndReason::Interrupted);
            handler.conclude(&record, &text, reason).await
        };
        outcome.text = text;
        let ending = Ending {
            record,
            outcome,
            tail: Vec::new(),
            next: 1,
        };
        let done = ending::finish(self, handler, ending).await?;
        self.announce(id);
        Ok(done.is_some())
    }

    async fn take_over(
        &self,
        tenant: TenantId,
        id: RunId,
        which: Orphans,
    ) -> Result<Option<RunRecord>> {
        let (node, lease) = (self.node(), micros(self.options().lease));
        let expired = match which {
            Orphans::Expired => "AND lease_until < NOW_DB",
            Orphans::All => "",
        };
        let sql = format!(
            "UPDATE runs SET epoch = epoch + 1, lease_owner = $3, lease_until = NOW_DB_PLUS($4)
             WHERE tenant_id = $1 AND id = $2 AND state IN {ALIVE} {expired}
             RETURNING {COLUMNS}"
        );
        self.store()
            .write(
                &self.system("recovery"),
                Durability::Fast,
                sql,
                move |uow, sql| {
                    Box::pin(async move {
                        let row = uow.query_opt(sql, params![tenant, id, node, lease]).await?;
                        row.map(record::RunRecord::from_row).transpose()
                    })
                },
            )
            .await
    }
}
