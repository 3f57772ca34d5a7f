//! Sessions: signing in with a name and a password, and out again.

use kernel::{
    AccountId, Actor, AuthSessionId, Context, Error, Result, Roles, TenantId, Timestamp, codes,
    topics,
};
use serde::Serialize;
use serde_json::json;
use store::{Durability, Uow, params};

use crate::{
    Secret, Security, User, accounts,
    attempts::Whose,
    names, refresh,
    token::{self, Subject},
};

/// Somebody who wants to sign in.
#[derive(Debug, Clone)]
pub struct Login {
    /// The email address or the user name, in any case.
    pub name: String,
    /// The password.
    pub password: Secret,
    /// The tenant's slug; without one it is the tenant used last.
    pub tenant: Option<String>,
    /// What the device calls itself.
    pub user_agent: Option<String>,
}

/// What a device gets when it has signed in or refreshed.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// For `Authorization: Bearer`.
    pub access_token: String,
    /// For the next pair; good for one use.
    pub refresh_token: String,
    /// `Bearer` (RFC 6750).
    pub token_type: &'static str,
    /// Seconds until the access token expires.
    pub expires_in: u64,
    /// Who signed in.
    pub user: User,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({})", self.user.id)
    }
}

/// The account behind a name, with the membership it would sign in to.
#[derive(Clone)]
struct Candidate {
    account: AccountId,
    password_hash: String,
    tenant: Option<TenantId>,
    /// Where it would sign in, it may not.
    suspended: bool,
}

impl Security {
    /// Signs in. One answer and the same work for a name that does not exist, a wrong password and a
    /// tenant one does not belong to (S0.1).
    ///
    /// # Errors
    /// `invalid_credentials`; `too_many_attempts` after `[security.lockout]` failures for the
    /// account by either of its names, or for a name that does not exist; `account_suspended` after the
    /// right password; `server_busy`; `database_unavailable`.
    pub async fn login(&self, ctx: &Context, login: Login) -> Result<Tokens> {
        let name = names::sign_in(&login.name).unwrap_or_default();
        let system = self.elevated(ctx, "login");
        let candidate = self
            .candidate(&system, &name, login.tenant.as_deref())
            .await?;
        let whose = match &candidate {
            Some(candidate) => Whose::Account(candidate.account),
            None => Whose::Name(name),
        };
        let _turn = self.0.attempts.of(&whose).lock().await;
        self.check_lockout(&whose).await?;
        let hash = candidate
            .as_ref()
            .map(|candidate| candidate.password_hash.clone());
        let matches = self.0.passwords.verify(&login.password, hash).await?;
        let found = candidate.as_ref().and_then(|candidate| {
            candidate
                .tenant
                .filter(|_| matches)
                .map(|tenant| (candidate.clone(), tenant))
        });
        let Some((candidate, tenant)) = found else {
            self.count_failure(&whose).await;
            self.refused(&system, candidate.map(|candidate| candidate.account))
                .await?;
            return Err(wrong());
        };
        if candidate.suspended {
            self.refused(&system, Some(candidate.account)).await?;
            return Err(suspended());
        }
        let agent = login.user_agent.as_deref().and_then(names::user_agent);
        let tokens = self.open_session(&system, candidate, tenant, agent).await?;
        self.unlock(&whose).await;
        Ok(tokens)
    }

    /// Signs the caller's device out. Its tokens are refused from the next request on, on other nodes
    /// within 5 s. Doing it twice is fine.
    ///
    /// # Errors
    /// `not_authenticated`; `forbidden` for services; `database_unavailable`.
    pub async fn logout(&self, ctx: &Context) -> Result<()> {
        ctx.account()?;
        let Actor::Account { session, .. } = *ctx.actor() else {
            return Ok(());
        };
        let args = (self.clone(), session);
        self.0
            .store
            .write(ctx, Durability::Durable, args, |uow, (this, session)| {
                Box::pin(async move { this.revoke_in(uow, *session, "logout").await })
            })
            .await
    }

    async fn candidate(
        &self,
        system: &Context,
        name: &str,
        tenant: Option<&str>,
    ) -> Result<Option<Candidate>> {
        let args = (
            name.to_owned(),
            tenant.and_then(names::sign_in),
            tenant.is_some(),
        );
        self.0
            .store
            .read(system, args, |reads, (name, slug, named)| {
                Box::pin(async move {
                    // An email has an @, a user name never.
                    let sql = if name.contains('@') {
                        "SELECT id, password_hash FROM accounts WHERE email = $1"
                    } else {
                        "SELECT id, password_hash FROM accounts WHERE username = $1"
                    };
                    let row = reads.query_opt(sql, params![name]).await?;
                    // Also asked for nobody: the same statements, whoever it is.
                    let (account, password_hash) = match row {
                        Some(mut row) => (row.get(0)?, Some(row.get(1)?)),
                        None => (AccountId::from_uuid(uuid::Uuid::nil()), None),
                    };
                    let rows = reads
                        .query(
                            "SELECT m.tenant_id, t.slug, m.suspended_at FROM memberships m
                             JOIN tenants t ON t.id = m.tenant_id
                             WHERE m.account_id = $1 AND t.status = 'active'
                             ORDER BY m.last_used_at IS NULL, m.last_used_at DESC, m.created_at",
                            params![account],
                        )
                        .await?;
                    let mut places = Vec::with_capacity(rows.len());
                    for mut row in rows {
                        if !*named || slug.as_ref() == Some(&row.get::<String>(1)?) {
                            let suspended = row.get::<Option<Timestamp>>(2)?.is_some();
                            places.push((row.get(0)?, suspended));
                        }
                    }
                    // Where it may come in goes before where it is suspended.
                    places.sort_by_key(|(_, suspended)| *suspended);
                    let (tenant, suspended) = places.into_iter().next().unzip();
                    Ok(password_hash.map(|password_hash| Candidate {
                        account,
                        password_hash,
                        tenant,
                        suspended: suspended.unwrap_or(false),
                    }))
                })
            })
            .await
    }

    /// Notes a refusal, for whoever watches. Never the name: it may be a password in the wrong field.
    async fn refused(&self, system: &Context, account: Option<AccountId>) -> Result<()> {
        let home = Context::system("login", self.0.default_tenant.id, system.request())
            .with_address(system.address());
        self.0
            .store
            .write(&home, Durability::Fast, account, |uow, account| {
                Box::pin(async move {
                    let key = account.map_or_else(|| "unknown".to_owned(), |id| id.to_string());
                    let address = uow.context()?.address();
                    let payload = json!({ "account_id": account, "address": address });
                    uow.emit(topics::SECURITY, "session.refused", &key, payload)
                        .await
                })
            })
            .await
    }

    async fn open_session(
        &self,
        system: &Context,
        candidate: Candidate,
        tenant: TenantId,
        agent: Option<String>,
    ) -> Result<Tokens> {
        let there =
            Context::system("login", tenant, system.request()).with_address(system.address());
        let refresh_token = refresh::fresh(&self.0.random);
        let args = (self.clone(), candidate, agent, refresh_token.clone());
        let (subject, user) = self
            .0
            .store
            .write(
                &there,
                Durability::Durable,
                args,
                |uow, (this, candidate, agent, token)| {
                    Box::pin(async move {
                        this.open_session_in(uow, candidate, agent.as_deref(), token)
                            .await
                    })
                },
            )
            .await?;
        self.tokens(subject, user, refresh_token)
    }

    async fn open_session_in(
        &self,
        uow: &mut Uow,
        candidate: &Candidate,
        agent: Option<&str>,
        refresh_token: &str,
    ) -> Result<(Subject, User)> {
        let (tenant, account, now) = (uow.tenant()?, candidate.account, uow.now());
        let session: AuthSessionId = uow.id();
        // The password may have been changed since it was verified.
        let hash = "SELECT password_hash FROM accounts WHERE id = $1 FOR UPDATE";
        let hash = uow.query_opt(hash, params![account]).await?;
        let unchanged = hash.map(|mut row| row.get::<String>(0)).transpose()?;
        let joined = uow
            .execute(
                "UPDATE memberships SET last_used_at = $3
                 WHERE tenant_id = $1 AND account_id = $2 AND suspended_at IS NULL",
                params![tenant, account, now],
            )
            .await?;
        if joined == 0 || unchanged.as_ref() != Some(&candidate.password_hash) {
            return Err(wrong());
        }
        uow.execute(
            "INSERT INTO auth_sessions (id, tenant_id, account_id, user_agent, created_at, last_used_at)
             VALUES ($1, $2, $3, $4, $5, $5)",
            params![session, tenant, account, agent, now],
        )
        .await?;
        refresh::insert(uow, session, refresh_token, self.0.options.refresh_ttl).await?;
        let address = uow.context()?.address();
        uow.emit(
            topics::SECURITY,
            "session.created",
            &account.to_string(),
            json!({ "account_id": account, "session_id": session, "address": address }),
        )
        .await?;
        let user = accounts::load(uow, account).await?.ok_or_else(wrong)?;
        Ok((
            Subject {
                account,
                tenant,
                session,
            },
            user,
        ))
    }

    /// The answer to a device that may come in.
    pub(crate) fn tokens(
        &self,
        subject: Subject,
        user: User,
        refresh_token: String,
    ) -> Result<Tokens> {
        let Self(inner) = self;
        let roles: Roles = user.roles;
        let jti = inner.random.bytes::<16>();
        let access_token =
            token::issue(&inner.keys, &inner.options, subject, roles, self.now(), jti)?;
        let expires_in = inner.options.access_ttl.as_secs();
        Ok(Tokens {
            access_token,
            refresh_token,
            token_type: "Bearer",
            expires_in,
            user,
        })
    }

    /// Revokes a session of the unit of work's tenant.
    pub(crate) async fn revoke_in(
        &self,
        uow: &mut Uow,
        session: AuthSessionId,
        reason: &'static str,
    ) -> Result<()> {
        let (tenant, now) = (uow.tenant()?, uow.now());
        let rows = uow
            .query(
                "UPDATE auth_sessions SET revoked_at = $3
                 WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL RETURNING id, account_id",
                params![tenant, session, now],
            )
            .await?;
        self.revoked_in(uow, rows, reason).await.map(drop)
    }

    /// Revokes every session of an account, in every tenant; answers how many that were.
    pub(crate) async fn revoke_all_in(
        &self,
        uow: &mut Uow,
        account: AccountId,
        reason: &'static str,
    ) -> Result<usize> {
        let now = uow.now();
        let rows = uow
            .query(
                "UPDATE auth_sessions SET revoked_at = $2
                 WHERE account_id = $1 AND revoked_at IS NULL RETURNING id, account_id",
                params![account, now],
            )
            .await?;
        self.revoked_in(uow, rows, reason).await
    }

    /// What follows when these sessions (id, account) were revoked; answers how many that are.
    pub(crate) async fn revoked_in(
        &self,
        uow: &mut Uow,
        rows: Vec<store::Row>,
        reason: &'static str,
    ) -> Result<usize> {
        let count = rows.len();
        for mut row in rows {
            let (session, account): (AuthSessionId, AccountId) = (row.get(0)?, row.get(1)?);
            uow.emit(
                topics::SECURITY,
                "session.revoked",
                &account.to_string(),
                json!({ "account_id": account, "session_id": session, "reason": reason }),
            )
            .await?;
            let this = self.clone();
            uow.after_commit(move || this.forget_session(session));
        }
        Ok(count)
    }
}

fn suspended() -> Error {
    Error::new(
        codes::ACCOUNT_SUSPENDED,
        "This account is suspended; ask an administrator of your organisation.",
    )
}

fn wrong() -> Error {
    Error::new(
        codes::INVALID_CREDENTIALS,
        "The name or the password is wrong.",
    )
}
