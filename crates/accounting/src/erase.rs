//! What of an account that is erased goes from the books: the texts that other
//! programs noted with its usage. The ledger itself is never changed.

use kernel::{AccountId, Result};
use serde_json::Value as Json;
use store::{Uow, params};

use crate::Accounting;

impl Accounting {
    /// Joins a unit of work of the platform itself: keeps what the account has used, without what was
    /// noted with it.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn erase_in(&self, uow: &mut Uow, account: AccountId) -> Result<()> {
        let tenant = uow.tenant()?;
        uow.execute(
            "UPDATE usage_records SET metadata = $3
             WHERE tenant_id = $1 AND account_id = $2 AND metadata <> $3",
            params![tenant, account, &Json::Null],
        )
        .await?;
        Ok(())
    }
}
