//! The end of what is stored about runs whose subject is purged. What they cost
//! is the ledger's and stays.

use kernel::Result;
use store::{Uow, params};
use uuid::Uuid;

use crate::{Runs, record::ALIVE};

impl Runs {
    /// Joins a unit of work of the platform itself: removes at most so many of the ended runs that
    /// worked on a subject, with their logs. Answers of how many; as long as that is `most`, there
    /// may be more.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn purge_subject_in(&self, uow: &mut Uow, subject: Uuid, most: u32) -> Result<u64> {
        let tenant = uow.tenant()?;
        let sql = format!(
            "DELETE FROM runs WHERE tenant_id = $1 AND id IN
               (SELECT id FROM runs WHERE tenant_id = $1 AND subject_id = $2
                  AND state NOT IN {ALIVE} ORDER BY created_at LIMIT $3)"
        );
        // Their logs go with them.
        uow.execute(&sql, params![tenant, subject, most]).await
    }
}
