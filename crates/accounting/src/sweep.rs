//! Expiry for wallets that nobody touches. Touched ones expire what is due by
//! themselves, so this changes no decision: it only keeps the ledger timely.

use kernel::{Context, Result, TenantId, WalletId};
use store::{Durability, params};

use crate::{Accounting, wallet::Wallet};

/// Wallets looked for at a time.
const BATCH: i64 = 500;

impl Accounting {
    /// Expires what is due in every tenant; answers how many wallets that were.
    ///
    /// # Errors
    /// `database_unavailable`; what was expired until then stays so.
    pub async fn sweep(&self, system: &Context) -> Result<u64> {
        let mut swept = 0;
        loop {
            let due = self.due(system).await?;
            for (tenant, wallet) in &due {
                let ctx = Context::system("accounting.sweep", *tenant, system.request());
                self.store()
                    .write(&ctx, Durability::Durable, *wallet, |uow, wallet| {
                        Box::pin(
                            async move { Wallet::by_id(uow, *wallet).await?.save(uow, &[]).await },
                        )
                    })
                    .await?;
                swept += 1;
            }
            if i64::try_from(due.len()).unwrap_or(0) < BATCH {
                return Ok(swept);
            }
        }
    }

    async fn due(&self, system: &Context) -> Result<Vec<(TenantId, WalletId)>> {
        self.store()
            .read(system, (), |reads, ()| {
                Box::pin(async move {
                    let rows = reads
                        .query(
                            "SELECT DISTINCT tenant_id, wallet_id FROM lots
                             WHERE expires_at IS NOT NULL AND expires_at <= $1 AND open
                             LIMIT $2",
                            params![reads.now(), BATCH],
                        )
                        .await?;
                    rows.into_iter()
                        .map(|mut row| Ok((row.get(0)?, row.get(1)?)))
                        .collect()
                })
            })
            .await
    }
}
