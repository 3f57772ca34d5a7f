//! Where the members stand who decide about a tenant, under lock: who may change
//! another one, who may not come in, and that somebody is always left.

use kernel::{
    AccountId, Actor, Context, Error, Result, Role, Roles, TenantId, Timestamp, codes, topics,
};
use serde_json::json;
use store::{Uow, params};

use crate::{MemberStatus, Security, accounts, members::not_found};

/// What decides about a member, under lock.
pub(crate) struct Standing {
    pub(crate) account: AccountId,
    pub(crate) roles: Roles,
    pub(crate) suspended: bool,
}

/// This member and everybody who counts as the last of their role, locked, so that two admins who
/// demote each other at once do not both succeed.
pub(crate) async fn standings(uow: &mut Uow, account: AccountId) -> Result<Vec<Standing>> {
    let tenant = uow.tenant()?;
    standings_of(uow, tenant, account).await
}

async fn standings_of(
    uow: &mut Uow,
    tenant: TenantId,
    account: AccountId,
) -> Result<Vec<Standing>> {
    let rows = uow
        .query(
            "SELECT account_id, roles, suspended_at FROM memberships
             WHERE tenant_id = $1
               AND (account_id = $2 OR roles LIKE '%admin%' OR roles LIKE '%operator%')
             ORDER BY account_id FOR UPDATE",
            params![tenant, account],
        )
        .await?;
    rows.into_iter()
        .map(|mut row| {
            Ok(Standing {
                account: row.get(0)?,
                roles: accounts::roles(&mut row, 1)?,
                suspended: row.get::<Option<Timestamp>>(2)?.is_some(),
            })
        })
        .collect()
}

/// # Errors
/// `not_found`.
pub(crate) fn of(members: &[Standing], account: AccountId) -> Result<&Standing> {
    let found = members.iter().find(|member| member.account == account);
    found.ok_or_else(not_found)
}

/// Whether somebody else who may come in has the role.
pub(crate) fn others_have(members: &[Standing], account: AccountId, role: Role) -> bool {
    members
        .iter()
        .any(|member| member.account != account && !member.suspended && member.roles.has(role))
}

/// # Errors
/// `last_admin` when nobody else has a role that somebody must have.
fn spare_the_last(members: &[Standing], account: AccountId) -> Result<()> {
    let roles = of(members, account)?.roles;
    for role in [Role::Admin, Role::Operator] {
        if roles.has(role) && !others_have(members, account, role) {
            return Err(Error::new(
                codes::LAST_ADMIN,
                format!(
                    "This is the last {} of the tenant; give the role to somebody else first.",
                    role.as_str()
                ),
            ));
        }
    }
    Ok(())
}

/// Whether the tenant can do without this member; everybody it depends on is locked.
///
/// # Errors
/// `last_admin`.
pub(crate) async fn require_another_admin(
    uow: &mut Uow,
    tenant: TenantId,
    account: AccountId,
) -> Result<()> {
    let members = standings_of(uow, tenant, account).await?;
    spare_the_last(&members, account)
}

/// The same caller with the roles they have by now: what the context says may be some seconds old,
/// and whoever has lost a role must not use those seconds to take it back.
pub(crate) fn as_of_now(ctx: &Context, now: &[Standing]) -> Context {
    let Actor::Account { id, session, .. } = *ctx.actor() else {
        return ctx.clone();
    };
    let roles = now
        .iter()
        .find(|member| member.account == id && !member.suspended)
        .map_or(Roles::NONE, |member| member.roles);
    Context::new(
        ctx.tenant(),
        Actor::Account { id, session, roles },
        ctx.request(),
    )
}

impl Security {
    /// Suspends a member, or lets them come in again.
    pub(crate) async fn set_status_in(
        &self,
        uow: &mut Uow,
        account: AccountId,
        status: MemberStatus,
        members: &[Standing],
    ) -> Result<()> {
        let (tenant, now) = (uow.tenant()?, uow.now());
        let ctx = as_of_now(&uow.context()?, members);
        ctx.require(&[Role::Admin, Role::Operator])?;
        let before = of(members, account)?;
        if before.roles.has(Role::Operator) {
            ctx.require(&[Role::Operator])?;
        }
        let suspend = status == MemberStatus::Suspended;
        if suspend == before.suspended {
            return Ok(());
        }
        if suspend {
            if ctx.account().is_ok_and(|own| own == account) {
                let sentence = "Nobody suspends themselves; ask another administrator.";
                return Err(Error::new(codes::CONFLICT, sentence));
            }
            spare_the_last(members, account)?;
        }
        uow.execute(
            "UPDATE memberships SET suspended_at = $3 WHERE tenant_id = $1 AND account_id = $2",
            params![tenant, account, suspend.then_some(now)],
        )
        .await?;
        if suspend {
            let rows = uow
                .query(
                    "UPDATE auth_sessions SET revoked_at = $3
                     WHERE tenant_id = $1 AND account_id = $2 AND revoked_at IS NULL
                     RETURNING id, account_id",
                    params![tenant, account, now],
                )
                .await?;
            self.revoked_in(uow, rows, "account_suspended").await?;
        }
        let kind = if suspend {
            "account.suspended"
        } else {
            "account.resumed"
        };
        let by = ctx.account().ok();
        let payload = json!({ "account_id": account, "by": by });
        uow.emit(topics::SECURITY, kind, &account.to_string(), payload)
            .await?;
        let this = self.clone();
        uow.after_commit(move || this.forget_account(account, Some(tenant)));
        Ok(())
    }
}
