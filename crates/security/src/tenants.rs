//! Tenants as other parts need to know them.

use kernel::Result;
use store::{Reads, params};

/// Whether the reads' own tenant is there and not suspended.
///
/// # Errors
/// When the database fails.
pub async fn tenant_is_active(reads: &mut Reads) -> Result<bool> {
    let tenant = reads.tenant()?;
    let sql = "SELECT id FROM tenants WHERE id = $1 AND status = 'active'";
    Ok(reads.query_opt(sql, params![tenant]).await?.is_some())
}
