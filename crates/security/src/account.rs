//! One's own account: its names, its password, its devices.

use kernel::{
    AccountId, Actor, AuthSessionId, Context, Error, Page, Paged, Result, Timestamp, codes, topics,
};
use serde::Serialize;
use serde_json::json;
use store::{DbClass, Durability, Reads, Uow, db_class, params};

use crate::{
    Secret, Security, User, accounts,
    attempts::Whose,
    names::{self, Problems},
    token,
};

/// What changes about one's own account; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatchMe {
    /// 1 to 100 characters.
    pub display_name: Option<String>,
    /// The second name to sign in with; `Some(None)` gives it up.
    pub username: Option<Option<String>>,
}

/// A device that is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Its session.
    pub id: AuthSessionId,
    /// What it calls itself.
    pub user_agent: Option<String>,
    /// When it signed in.
    pub created_at: Timestamp,
    /// When it last renewed its tokens.
    pub last_used_at: Timestamp,
    /// Whether it is the one that asks.
    pub current: bool,
}

impl Security {
    /// Changes the caller's own names.
    ///
    /// # Errors
    /// `validation_failed`; `conflict` when the user name is taken.
    pub async fn patch_me(&self, ctx: &Context, patch: PatchMe) -> Result<User> {
        let account = ctx.account()?;
        let mut problems = Problems::default();
        let name = patch.display_name.map(|name| match name.trim() {
            "" => Err("must not be empty"),
            name => names::display_name(Some(name), ""),
        });
        let name = problems.check("display_name", name.transpose());
        let username = patch.username.map(|name| {
            let name = name.as_deref().filter(|name| !name.trim().is_empty());
            name.map(names::username).transpose()
        });
        let username = problems.check("username", username.transpose());
        let (Some(name), Some(username)) = (name, username) else {
            return Err(problems.error());
        };
        let system = self.elevated(ctx, "patch_me");
        let args = (account, name, username);
        let patched = self
            .0
            .store
            .write(&system, Durability::Durable, args, |uow, args| {
                Box::pin(async move {
                    let (account, name, username) = args;
                    patch_in(uow, *account, name.as_deref(), username.as_ref()).await
                })
            });
        patched.await.map_err(|error| match db_class(&error) {
            Some(DbClass::Unique) => name_taken(),
            _ => error,
        })
    }

    /// Gives the caller another password and signs every other device out.
    ///
    /// # Errors
    /// `wrong_password`; `too_many_attempts`; `validation_failed`; `server_busy`.
    pub async fn change_password(
        &self,
        ctx: &Context,
        current: &Secret,
        new: &Secret,
    ) -> Result<usize> {
        names::password(new).map_err(|message| Error::invalid("new_password", message))?;
        let (account, known) = self.confirm_password(ctx, current).await?;
        let hash = self.0.passwords.hash(new).await?;
        let Actor::Account { session, .. } = *ctx.actor() else {
            return Err(token::revoked());
        };
        let system = self.elevated(ctx, "change_password");
        let args = (self.clone(), account, session, known, hash);
        self.0
            .store
            .write(&system, Durability::Durable, args, |uow, args| {
                Box::pin(async move {
                    let (this, account, session, known, hash) = args;
                    let now = uow.now();
                    // Somebody may have changed it since it was confirmed.
                    let changed = uow
                        .execute(
                            "UPDATE accounts SET password_hash = $2, password_changed_at = $3
                             WHERE id = $1 AND password_hash = $4",
                            params![*account, hash, now, known],
                        )
                        .await?;
                    if changed == 0 {
                        return Err(wrong_password());
                    }
                    let rows = uow
                        .query(
                            "UPDATE auth_sessions SET revoked_at = $3
                             WHERE account_id = $1 AND id <> $2 AND revoked_at IS NULL
                             RETURNING id, account_id",
                            params![*account, *session, now],
                        )
                        .await?;
                    this.revoked_in(uow, rows, "password_changed").await
                })
            })
            .await
    }

    /// The devices of the caller that are signed in to this tenant, the last used first.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn devices(&self, ctx: &Context, page: Page) -> Result<Paged<Device>> {
        ctx.account()?;
        self.0
            .store
            .read(ctx, page, |reads, page| Box::pin(devices_in(reads, *page)))
            .await
    }

    /// Signs one of the caller's devices out.
    ///
    /// # Errors
    /// `not_found` also for other accounts' devices and those that are signed out.
    pub async fn sign_out(&self, ctx: &Context, session: AuthSessionId) -> Result<()> {
        let account = ctx.account()?;
        let args = (self.clone(), account, session);
        self.0
            .store
            .write(ctx, Durability::Durable, args, |uow, args| {
                Box::pin(async move {
                    let (this, account, session) = args;
                    let (tenant, now) = (uow.tenant()?, uow.now());
                    let rows = uow
                        .query(
                            "UPDATE auth_sessions SET revoked_at = $4
                             WHERE tenant_id = $1 AND account_id = $2 AND id = $3
                               AND revoked_at IS NULL RETURNING id, account_id",
                            params![tenant, *account, *session, now],
                        )
                        .await?;
                    match this.revoked_in(uow, rows, "signed_out").await? {
                        0 => Err(Error::not_found("Session")),
                        _ => Ok(()),
                    }
                })
            })
            .await
    }

    /// The caller's account and the hash of its password, if this is the password. Failures count
    /// like those at sign-in.
    pub(crate) async fn confirm_password(
        &self,
        ctx: &Context,
        password: &Secret,
    ) -> Result<(AccountId, String)> {
        let account = ctx.account()?;
        let whose = Whose::Account(account);
        let _turn = self.0.attempts.of(&whose).lock().await;
        self.check_lockout(&whose).await?;
        let known = self.password_hash(ctx, account).await?;
        let known = known.ok_or_else(token::revoked)?;
        if self
            .0
            .passwords
            .verify(password, Some(known.clone()))
            .await?
        {
            return Ok((account, known));
        }
        self.count_failure(&whose).await;
        Err(wrong_password())
    }

    /// The hash that an account's password has now; none without the account.
    pub(crate) async fn password_hash(
        &self,
        ctx: &Context,
        account: AccountId,
    ) -> Result<Option<String>> {
        let row = self.0.store.read(ctx, account, |reads, account| {
            Box::pin(async move {
                let sql = "SELECT password_hash FROM accounts WHERE id = $1";
                reads.query_opt(sql, params![*account]).await
            })
        });
        row.await?.map(|mut row| row.get(0)).transpose()
    }
}

async fn patch_in(
    uow: &mut Uow,
    account: AccountId,
    name: Option<&str>,
    username: Option<&Option<String>>,
) -> Result<User> {
    let before = "SELECT email, username, display_name FROM accounts WHERE id = $1 FOR UPDATE";
    let row = uow.query_opt(before, params![account]).await?;
    let mut row = row.ok_or_else(token::revoked)?;
    let email: String = row.get(0)?;
    let username = match username {
        Some(username) => username.clone(),
        None => row.get(1)?,
    };
    let name = match name {
        Some(name) => name.to_owned(),
        None => row.get(2)?,
    };
    if let Some(username) = &username {
        let taken = "SELECT 1 FROM accounts WHERE username = $1 AND id <> $2";
        if uow
            .query_opt(taken, params![username, account])
            .await?
            .is_some()
        {
            return Err(name_taken());
        }
    }
    let sought = names::sought(&email, username.as_deref(), &name);
    uow.execute(
        "UPDATE accounts SET username = $2, display_name = $3, sought = $4 WHERE id = $1",
        params![account, username.as_ref(), &name, &sought],
    )
    .await?;
    let key = account.to_string();
    uow.emit(
        topics::SECURITY,
        "account.changed",
        &key,
        json!({ "account_id": account }),
    )
    .await?;
    accounts::load(uow, account)
        .await?
        .ok_or_else(token::revoked)
}

/// Sessions that can still be renewed.
const SIGNED_IN: &str = "FROM auth_sessions s
    WHERE s.tenant_id = $1 AND s.account_id = $2 AND s.revoked_at IS NULL
      AND EXISTS (SELECT 1 FROM refresh_tokens r WHERE r.session_id = s.id
        AND r.tenant_id = $1 AND r.expires_at > $3)";

async fn devices_in(reads: &mut Reads, page: Page) -> Result<Paged<Device>> {
    let ctx = reads.context()?;
    let Actor::Account { id, session, .. } = *ctx.actor() else {
        return Ok(Paged::new(Vec::new(), page, 0));
    };
    let (tenant, now) = (ctx.tenant(), reads.now());
    let count = format!("SELECT CAST(COUNT(*) AS bigint) {SIGNED_IN}");
    let counted = reads
        .query_one(&count, params![tenant, id, now])
        .await?
        .get(0)?;
    let sql = format!(
        "SELECT s.id, s.user_agent, s.created_at, s.last_used_at {SIGNED_IN}
         ORDER BY s.last_used_at DESC, s.id DESC LIMIT $4 OFFSET $5"
    );
    let range = params![tenant, id, now, page.limit(), page.offset()];
    let rows = reads.query(&sql, range).await?.into_iter();
    let devices = rows.map(|mut row| {
        let id: AuthSessionId = row.get(0)?;
        Ok(Device {
            id,
            user_agent: row.get(1)?,
            created_at: row.get(2)?,
            last_used_at: row.get(3)?,
            current: id == session,
        })
    });
    Ok(Paged::new(devices.collect::<Result<_>>()?, page, counted))
}

pub(crate) fn wrong_password() -> Error {
    Error::new(codes::WRONG_PASSWORD, "This is not your current password.")
}

fn name_taken() -> Error {
    let sentence = "This user name is taken; choose another one.";
    Error::new(codes::CONFLICT, sentence).with_field("username", "is taken")
}
