//! The end of everything that an account has run: for an account that is erased.
//! What it cost is the ledger's and stays.

use kernel::{AccountId, Context, Result, RunId};
use store::{Uow, params};

use crate::{EndReason, Runs, record::ALIVE};

impl Runs {
    /// Asks every run of the account in the context's tenant to end. For the platform itself.
    /// Answers which they are, to be waited for.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn cancel_all(&self, system: &Context, owner: AccountId) -> Result<Vec<RunId>> {
        let sql = format!(
            "SELECT id FROM runs WHERE tenant_id = $1 AND owner_id = $2 AND state IN {ALIVE}"
        );
        let rows = self
            .store()
            .read(system, (sql, owner), |reads, (sql, owner)| {
                Box::pin(async move {
                    let tenant = reads.tenant()?;
                    reads.query(sql, params![tenant, *owner]).await
                })
            });
        let alive = rows.await?.into_iter().map(|mut row| row.get(0));
        let alive: Vec<RunId> = alive.collect::<Result<_>>()?;
        for run in &alive {
            self.cancel(system, *run, EndReason::Stopped).await?;
        }
        Ok(alive)
    }

    /// Joins a unit of work of the platform itself: removes at most so many of the account's ended
    /// runs with their logs. Answers of how many; as long as that is `most`, there may be more.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn erase_in(&self, uow: &mut Uow, owner: AccountId, most: u32) -> Result<u64> {
        let tenant = uow.tenant()?;
        let sql = format!(
            "DELETE FROM runs WHERE tenant_id = $1 AND id IN
               (SELECT id FROM runs WHERE tenant_id = $1 AND owner_id = $2
                  AND state NOT IN {ALIVE} ORDER BY created_at LIMIT $3)"
        );
        // Their logs go with them.
        uow.execute(&sql, params![tenant, owner, most]).await
    }
}
