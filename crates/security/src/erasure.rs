//! The end of an account: its names, its sessions and its memberships. What else
//! it has is erased by the parts that keep it; `chat` brings them together.

use kernel::{AccountId, Context, Result, TenantId, topics};
use serde_json::json;
use store::{Durability, Uow, params};

use crate::{Secret, Security, account::wrong_password, standing};

/// That long what an erased account left behind is looked for again.
const LOOKED_FOR: std::time::Duration = std::time::Duration::from_secs(2 * 24 * 3600);

/// Where an erased account was a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// The account.
    pub account: AccountId,
    /// The tenant.
    pub tenant: TenantId,
}

impl Security {
    /// Ends the caller's account: nobody signs in with it any more, its names and its email address
    /// are free, its memberships and sessions are gone. Answers where it was a member, for the parts
    /// that keep its things.
    ///
    /// # Errors
    /// `wrong_password`; `too_many_attempts`; `last_admin` where nobody else would be left to
    /// administer a tenant.
    pub async fn close_account(&self, ctx: &Context, password: &Secret) -> Result<Vec<Erased>> {
        let (account, known) = self.confirm_password(ctx, password).await?;
        // A password that nobody knows, so that the name is refused like any other.
        let nobodys = Secret::new(self.generated_password());
        let hash = self.0.passwords.hash(&nobodys).await?;
        let args = (self.clone(), account, known, hash);
        let system = self.elevated(ctx, "close_account");
        self.0
            .store
            .write(&system, Durability::Durable, args, |uow, args| {
                Box::pin(async move {
                    let (this, account, known, hash) = args;
                    this.close_in(uow, *account, known, hash).await
                })
            })
            .await
    }

    async fn close_in(
        &self,
        uow: &mut Uow,
        account: AccountId,
        known: &str,
        hash: &str,
    ) -> Result<Vec<Erased>> {
        let now = uow.now();
        let mut left = Vec::new();
        let memberships = "SELECT tenant_id FROM memberships WHERE account_id = $1
            ORDER BY tenant_id FOR UPDATE";
        for mut row in uow.query(memberships, params![account]).await? {
            let tenant: TenantId = row.get(0)?;
            standing::require_another_admin(uow, tenant, account).await?;
            left.push(Erased { account, tenant });
        }
        // Told before its rows are gone, so that every node forgets its sessions.
        self.revoke_all_in(uow, account, "account_erased").await?;
        // Of a new id: nobody can have taken this address before.
        let nobody = format!("erased-{}@invalid", uow.id::<()>().hex());
        let changed = uow
            .execute(
                "UPDATE accounts SET email = $2, username = NULL, display_name = $3, sought = '',
                   password_hash = $4, password_changed_at = $5
                 WHERE id = $1 AND password_hash = $6",
                params![account, &nobody, "Erased account", hash, now, known],
            )
            .await?;
        if changed == 0 {
            return Err(wrong_password());
        }
        let who = account.to_string();
        uow.execute_all(&[
            ("DELETE FROM refresh_tokens WHERE session_id IN (SELECT id FROM auth_sessions WHERE account_id = $1)", params![account]),
            ("DELETE FROM auth_sessions WHERE account_id = $1", params![account]),
            ("DELETE FROM memberships WHERE account_id = $1", params![account]),
        ])
        .await?;
        for Erased { tenant, .. } in &left {
            uow.execute(
                "INSERT INTO erasures (tenant_id, account_id, erased_at) VALUES ($1, $2, $3)
                 ON CONFLICT (tenant_id, account_id) DO UPDATE SET erased_at = excluded.erased_at",
                params![*tenant, account, now],
            )
            .await?;
        }
        uow.emit(
            topics::SECURITY,
            "account.erased",
            &who,
            json!({ "account_id": account }),
        )
        .await?;
        let this = self.clone();
        uow.after_commit(move || this.forget_account(account, None));
        Ok(left)
    }

    /// The accounts that were erased lately; older ones are forgotten.
    ///
    /// # Errors
    /// `forbidden` for anybody but the platform itself; `database_unavailable`.
    pub async fn erased_lately(&self, system: &Context) -> Result<Vec<Erased>> {
        crate::only_system(system)?;
        self.0
            .store
            .write(system, Durability::Fast, (), |uow, ()| {
                Box::pin(async move {
                    let now = uow.now();
                    let oldest = now.saturating_sub(LOOKED_FOR).unwrap_or(now);
                    uow.execute("DELETE FROM erasures WHERE erased_at < $1", params![oldest])
                        .await?;
                    let rows = uow
                        .query(
                            "SELECT account_id, tenant_id FROM erasures ORDER BY erased_at",
                            params![],
                        )
                        .await?;
                    rows.into_iter()
                        .map(|mut row| {
                            Ok(Erased {
                                account: row.get(0)?,
                                tenant: row.get(1)?,
                            })
                        })
                        .collect()
                })
            })
            .await
    }
}
