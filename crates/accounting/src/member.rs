//! Whose wallet a caller may look at, or put something in.

use kernel::{AccountId, Actor, Context, Error, Result, Role};
use store::Reads;

/// The account that is meant: the caller's own, or the one that is named, which
/// one of these roles allows.
///
/// # Errors
/// `not_authenticated`, `forbidden`; `validation_failed` when a program names nobody.
pub(crate) fn subject(ctx: &Context, user: Option<AccountId>, roles: &[Role]) -> Result<AccountId> {
    match user {
        None if matches!(ctx.actor(), Actor::Service { .. } | Actor::System { .. }) => {
            Err(Error::invalid("user_id", "name the user"))
        }
        None => ctx.account(),
        Some(user) if ctx.account().is_ok_and(|own| own == user) => Ok(user),
        Some(user) => ctx.require(roles).map(|()| user),
    }
}

/// Succeeds when the account belongs to the caller's tenant.
///
/// # Errors
/// `not_found`, also for accounts of other tenants.
pub(crate) async fn must_be_member(reads: &mut Reads, account: AccountId) -> Result<()> {
    security::member(reads, account)
        .await?
        .map(drop)
        .ok_or_else(|| Error::not_found("User"))
}
