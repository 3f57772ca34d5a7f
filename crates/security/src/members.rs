//! Memberships: who belongs to a tenant, and with which roles.

use kernel::{AccountId, Context, Error, Result, Role, Roles, codes, topics};
use serde_json::json;
use store::{Durability, Reads, Uow, params};

use crate::{
    MemberStatus, Secret, Security, User, accounts,
    attempts::Whose,
    names,
    standing::{Standing, as_of_now, of, others_have, standings},
};

/// A member of a tenant, as other parts need to know them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The account.
    pub account: AccountId,
    /// In lower case.
    pub email: String,
    /// The name for people.
    pub display_name: String,
    /// What is allowed in the tenant.
    pub roles: Roles,
}

/// What changes about a member; what is `None` stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemberPatch {
    /// What is allowed in the tenant.
    pub roles: Option<Roles>,
    /// Whether they may come in.
    pub status: Option<MemberStatus>,
}

/// The outcome of [`Security::reset_password`].
#[derive(Clone, PartialEq, Eq)]
pub struct NewPassword {
    /// The password, if it was made up: to be shown once.
    pub generated_password: Option<String>,
    /// Devices that were signed out.
    pub sessions_revoked: usize,
}

impl std::fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewPassword({} sessions revoked)", self.sessions_revoked)
    }
}

/// The member of the reads' own tenant; `None` for strangers and members of other tenants.
///
/// # Errors
/// When the database fails.
pub async fn member(reads: &mut Reads, account: AccountId) -> Result<Option<Member>> {
    let tenant = reads.tenant()?;
    let row = reads
        .query_opt(
            "SELECT a.id, a.email, a.display_name, m.roles
             FROM memberships m JOIN accounts a ON a.id = m.account_id
             WHERE m.tenant_id = $1 AND m.account_id = $2",
            params![tenant, account],
        )
        .await?;
    row.map(|mut row| {
        let roles = accounts::roles(&mut row, 3)?;
        Ok(Member {
            account: row.get(0)?,
            email: row.get(1)?,
            display_name: row.get(2)?,
            roles,
        })
    })
    .transpose()
}

/// Whether the account is a member of the reads' own tenant and may come in: neither of them is
/// suspended.
///
/// # Errors
/// When the database fails.
pub async fn is_active(reads: &mut Reads, account: AccountId) -> Result<bool> {
    let tenant = reads.tenant()?;
    let row = reads
        .query_opt(
            "SELECT m.account_id FROM memberships m JOIN tenants t ON t.id = m.tenant_id
             WHERE m.tenant_id = $1 AND m.account_id = $2
               AND m.suspended_at IS NULL AND t.status = 'active'",
            params![tenant, account],
        )
        .await?;
    Ok(row.is_some())
}

/// Roles that people can have: at least one, and neither `guest` nor `service`.
pub(crate) fn for_people(roles: Roles) -> Result<(), &'static str> {
    let wrong = roles == Roles::NONE || roles.has(Role::Guest) || roles.has(Role::Service);
    if wrong {
        Err("must be one or more of user, supervisor, admin, operator")
    } else {
        Ok(())
    }
}

/// Only an operator makes or unmakes an operator, or changes what else one is.
pub(crate) fn may_grant(ctx: &Context, before: Roles, after: Roles) -> Result<()> {
    let operator = before.has(Role::Operator) || after.has(Role::Operator);
    if operator && before != after {
        ctx.require(&[Role::Operator])?;
    }
    Ok(())
}

impl Security {
    /// An account of the caller's tenant (admins; everybody their own).
    ///
    /// # Errors
    /// `forbidden`; `not_found`, also for members of other tenants.
    pub async fn user(&self, ctx: &Context, account: AccountId) -> Result<User> {
        if !ctx.account().is_ok_and(|own| own == account) {
            ctx.require(&[Role::Admin, Role::Operator])?;
        }
        self.0
            .store
            .read(ctx, account, |reads, account| {
                Box::pin(async move { user_in(reads, *account).await?.ok_or_else(not_found) })
            })
            .await
    }

    /// The account of that email address in the caller's tenant (admins).
    ///
    /// # Errors
    /// `forbidden`; `not_found`, also for members of other tenants.
    pub async fn user_by_email(&self, ctx: &Context, email: &str) -> Result<User> {
        ctx.require(&[Role::Admin, Role::Operator])?;
        let email = names::email(email).map_err(|_| not_found())?;
        self.0
            .store
            .read(ctx, email, |reads, email| {
                Box::pin(async move {
                    let sql = "SELECT m.account_id FROM memberships m
                        JOIN accounts a ON a.id = m.account_id
                        WHERE m.tenant_id = $1 AND a.email = $2";
                    let row = reads
                        .query_opt(sql, params![reads.tenant()?, email])
                        .await?;
                    let account = row.ok_or_else(not_found)?.get(0)?;
                    user_in(reads, account).await?.ok_or_else(not_found)
                })
            })
            .await
    }

    /// Replaces the roles of a member of the caller's tenant (admins). Holds from the next request on,
    /// on other nodes within 5 s.
    ///
    /// # Errors
    /// `forbidden`, also for an admin who makes or unmakes an operator; `not_found`; `validation_failed`;
    /// `conflict` when nobody would be left to administer the tenant.
    pub async fn set_roles(&self, ctx: &Context, account: AccountId, roles: Roles) -> Result<User> {
        let patch = MemberPatch {
            roles: Some(roles),
            status: None,
        };
        self.patch_member(ctx, account, patch).await
    }

    /// Changes what a member of the caller's tenant may do, or whether they may come in at all (admins).
    /// Holds from the next request on, on other nodes within 5 s; whoever is suspended is signed out of
    /// this tenant on every device.
    ///
    /// # Errors
    /// As [`Self::set_roles`]; also `forbidden` for an admin who suspends an operator, `conflict` for
    /// oneself, and `last_admin` when nobody would be left to administer the tenant.
    pub async fn patch_member(
        &self,
        ctx: &Context,
        account: AccountId,
        patch: MemberPatch,
    ) -> Result<User> {
        ctx.require(&[Role::Admin, Role::Operator])?;
        if let Some(roles) = patch.roles {
            for_people(roles).map_err(|message| Error::invalid("roles", message))?;
        }
        let args = (self.clone(), account, patch);
        self.0
            .store
            .write(
                ctx,
                Durability::Durable,
                args,
                |uow, (this, account, patch)| {
                    Box::pin(async move {
                        let members = standings(uow, *account).await?;
                        if let Some(roles) = patch.roles {
                            this.set_roles_in(uow, *account, roles, &members).await?;
                        }
                        if let Some(status) = patch.status {
                            this.set_status_in(uow, *account, status, &members).await?;
                        }
                        user_in(uow, *account).await?.ok_or_else(not_found)
                    })
                },
            )
            .await
    }

    async fn set_roles_in(
        &self,
        uow: &mut Uow,
        account: AccountId,
        roles: Roles,
        members: &[Standing],
    ) -> Result<()> {
        let tenant = uow.tenant()?;
        let ctx = as_of_now(&uow.context()?, members);
        ctx.require(&[Role::Admin, Role::Operator])?;
        let before = of(members, account)?.roles;
        may_grant(&ctx, before, roles)?;
        for role in [Role::Admin, Role::Operator] {
            if before.has(role) && !roles.has(role) && !others_have(members, account, role) {
                return Err(Error::new(
                    codes::LAST_ADMIN,
                    format!(
                        "This is the last {}; give the role to somebody else first.",
                        role.as_str()
                    ),
                ));
            }
        }
        if roles != before {
            uow.execute(
                "UPDATE memberships SET roles = $3 WHERE tenant_id = $1 AND account_id = $2",
                params![tenant, account, roles.to_string()],
            )
            .await?;
            let by = ctx.account().ok();
            uow.emit(
                topics::SECURITY,
                "roles.changed",
                &account.to_string(),
                json!({ "account_id": account, "before": before, "after": roles, "by": by }),
            )
            .await?;
            let this = self.clone();
            uow.after_commit(move || this.forget_account(account, Some(tenant)));
        }
        Ok(())
    }

    /// Gives an account another password and signs all of its devices out, in every tenant: accounts
    /// are global, so only operators and the platform itself may. Without a password one is made.
    ///
    /// # Errors
    /// `forbidden`; `not_found`; `validation_failed`.
    pub async fn reset_password(
        &self,
        ctx: &Context,
        email: &str,
        password: Option<Secret>,
    ) -> Result<NewPassword> {
        ctx.require(&[Role::Operator])?;
        let email = names::email(email).map_err(|_| not_found())?;
        let generated = password.is_none().then(|| self.generated_password());
        let password = password.or_else(|| generated.clone().map(Secret::new));
        let password = password.ok_or_else(|| store::broken("there is a password"))?;
        names::password(&password).map_err(|message| Error::invalid("password", message))?;
        let hash = self.0.passwords.hash(&password).await?;
        let args = (self.clone(), email.clone(), hash);
        let system = self.elevated(ctx, "reset_password");
        let revoked = self
            .0
            .store
            .write(&system, Durability::Durable, args, |uow, args| {
                Box::pin(async move {
                    let (this, email, hash) = args;
                    let now = uow.now();
                    let changed = uow
                        .query(
                            "UPDATE accounts SET password_hash = $2, password_changed_at = $3
                         WHERE email = $1 RETURNING id",
                            params![email, hash, now],
                        )
                        .await?;
                    let account = changed.into_iter().next().ok_or_else(not_found)?.get(0)?;
                    let revoked = this.revoke_all_in(uow, account, "password_reset").await?;
                    Ok((account, revoked))
                })
            });
        let (account, sessions_revoked) = revoked.await?;
        self.unlock(&Whose::Account(account)).await;
        Ok(NewPassword {
            generated_password: generated,
            sessions_revoked,
        })
    }
}

async fn user_in(reads: &mut Reads, account: AccountId) -> Result<Option<User>> {
    let tenant = reads.tenant()?;
    let mut user = accounts::load(reads, account).await?;
    if let Some(user) = &mut user {
        // On SQLite, where no row-level security does it.
        user.memberships
            .retain(|membership| membership.tenant.id == tenant);
    }
    Ok(user)
}

pub(crate) fn not_found() -> Error {
    Error::not_found("User")
}
