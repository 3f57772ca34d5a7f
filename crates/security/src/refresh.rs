//! Refresh tokens: random, stored as SHA-256, good for one use each. One that
//! is used again ends the whole session (RFC 9700, 4.14.2).
//!
//! A client that lost the answer, or two tabs at once, may send the same token
//! again within a grace period, while its successor is unused, and get the very
//! same successor: it is made from the token itself and a stored random salt, so
//! that it need not be stored. There is never more than one living branch.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use kernel::{AuthSessionId, Context, Random, Result, TenantId, Timestamp};
use sha2::{Digest, Sha256};
use store::{Durability, Row, Uow, params};

use crate::{
    Security, Tokens, User, accounts, after,
    token::{self, Subject},
};

const PREFIX: &str = "rt_";
/// Keeps the derivation of successors apart from every other use of SHA-256.
const DOMAIN: &[u8] = b"tertulia refresh token successor v1\0";

/// A new token.
pub(crate) fn fresh(random: &Random) -> String {
    of(random.bytes::<32>())
}

fn of(secret: [u8; 32]) -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret))
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The token after this one. Without the token itself the salt tells nothing.
fn successor(token: &str, salt: &[u8]) -> String {
    let mut digest = Sha256::new();
    digest.update(DOMAIN);
    digest.update(salt);
    digest.update(token.as_bytes());
    of(digest.finalize().into())
}

/// Only what can be a token is looked for.
fn is_token(text: &str) -> bool {
    text.strip_prefix(PREFIX)
        .is_some_and(|secret| secret.len() == 43 && URL_SAFE_NO_PAD.decode(secret).is_ok())
}

pub(crate) async fn insert(
    uow: &mut Uow,
    session: AuthSessionId,
    token: &str,
    ttl: Duration,
) -> Result<()> {
    let now = uow.now();
    uow.execute(
        "INSERT INTO refresh_tokens (hash, tenant_id, session_id, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5)",
        params![
            &hash(token)[..],
            uow.tenant()?,
            session,
            now,
            after(now, ttl)
        ],
    )
    .await?;
    Ok(())
}

/// What came of a refresh; all of it is committed, refusals too.
enum Outcome {
    Continued {
        subject: Subject,
        user: Box<User>,
        successor: String,
    },
    Invalid,
    Expired,
    Revoked,
}

/// A stored token with its session, both locked.
struct Found {
    subject: Subject,
    expires_at: Timestamp,
    consumed_at: Option<Timestamp>,
    successor: Option<Vec<u8>>,
    salt: Option<Vec<u8>>,
    revoked: bool,
}

fn found(mut row: Row, tenant: TenantId) -> Result<Found> {
    Ok(Found {
        subject: Subject {
            session: row.get(0)?,
            account: row.get(1)?,
            tenant,
        },
        expires_at: row.get(2)?,
        consumed_at: row.get(3)?,
        successor: row.get(4)?,
        salt: row.get(5)?,
        revoked: row.get::<Option<Timestamp>>(6)?.is_some(),
    })
}

impl Security {
    /// A new pair of tokens for a refresh token, which is used up by it.
    ///
    /// # Errors
    /// `invalid_token`, `token_expired`; `token_revoked`, also for a token that was used before, which
    /// ends its session; `database_unavailable`.
    pub async fn refresh(&self, ctx: &Context, refresh_token: &str) -> Result<Tokens> {
        if !is_token(refresh_token) {
            return Err(token::invalid());
        }
        let system = self.elevated(ctx, "refresh");
        let tenant = self
            .tenant_of(&system, refresh_token)
            .await?
            .ok_or_else(token::invalid)?;
        let there = Context::system("refresh", tenant, ctx.request()).with_address(ctx.address());
        let salt = self.0.random.bytes::<32>();
        let args = (self.clone(), refresh_token.to_owned(), salt);
        let outcome = self
            .0
            .store
            .write(&there, Durability::Durable, args, |uow, args| {
                Box::pin(async move {
                    let (this, token, salt) = args;
                    this.refresh_in(uow, token, salt).await
                })
            });
        match outcome.await? {
            Outcome::Continued {
                subject,
                user,
                successor,
            } => self.tokens(subject, *user, successor),
            Outcome::Invalid => Err(token::invalid()),
            Outcome::Expired => Err(token::expired()),
            Outcome::Revoked => Err(token::revoked()),
        }
    }

    /// Signs out the device that has this refresh token, whether it is used up or not. What is none
    /// ends nothing.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn logout_by_refresh(&self, ctx: &Context, refresh_token: &str) -> Result<()> {
        let system = self.elevated(ctx, "logout");
        let Some(tenant) = self.tenant_of(&system, refresh_token).await? else {
            return Ok(());
        };
        let there = Context::system("logout", tenant, ctx.request()).with_address(ctx.address());
        let args = (self.clone(), hash(refresh_token));
        self.0
            .store
            .write(&there, Durability::Durable, args, |uow, (this, hash)| {
                Box::pin(async move {
                    let sql = "SELECT session_id FROM refresh_tokens
                               WHERE tenant_id = $1 AND hash = $2";
                    let params = params![uow.tenant()?, &hash[..]];
                    match uow.query_opt(sql, params).await? {
                        Some(mut row) => this.revoke_in(uow, row.get(0)?, "logout").await,
                        None => Ok(()),
                    }
                })
            })
            .await
    }

    async fn tenant_of(&self, system: &Context, token: &str) -> Result<Option<TenantId>> {
        let row = self.0.store.read(system, hash(token), |reads, hash| {
            Box::pin(async move {
                let sql = "SELECT tenant_id FROM refresh_tokens WHERE hash = $1";
                reads.query_opt(sql, params![&hash[..]]).await
            })
        });
        row.await?.map(|mut row| row.get(0)).transpose()
    }

    async fn refresh_in(&self, uow: &mut Uow, token: &str, salt: &[u8; 32]) -> Result<Outcome> {
        let (tenant, now) = (uow.tenant()?, uow.now());
        // Locks both: whoever else sends this token, or revokes the session, comes before or after.
        let row = uow
            .query_opt(
                "SELECT r.session_id, s.account_id, r.expires_at, r.consumed_at, r.successor,
                   r.successor_salt, s.revoked_at
                 FROM refresh_tokens r JOIN auth_sessions s ON s.id = r.session_id
                 WHERE r.tenant_id = $1 AND r.hash = $2 FOR UPDATE",
                params![tenant, &hash(token)[..]],
            )
            .await?;
        let Some(row) = row else {
            return Ok(Outcome::Invalid);
        };
        let found = found(row, tenant)?;
        if found.revoked {
            return Ok(Outcome::Revoked);
        }
        let successor = match found.consumed_at {
            None if found.expires_at <= now => return Ok(Outcome::Expired),
            None => self.consume_in(uow, &found, token, salt).await?,
            Some(consumed_at) => {
                let graceful = now < after(consumed_at, self.0.options.refresh_grace);
                match self.unused_successor(uow, &found, token).await? {
                    Some(successor) if graceful => successor,
                    _ => {
                        let session = found.subject.session;
                        self.revoke_in(uow, session, "refresh_token_reused").await?;
                        return Ok(Outcome::Revoked);
                    }
                }
            }
        };
        // Who has left the tenant stays out.
        let Some(user) = accounts::load(uow, found.subject.account).await? else {
            return Ok(Outcome::Revoked);
        };
        Ok(Outcome::Continued {
            subject: found.subject,
            user: Box::new(user),
            successor,
        })
    }

    /// Uses the token up and stores its successor.
    async fn consume_in(
        &self,
        uow: &mut Uow,
        found: &Found,
        token: &str,
        salt: &[u8; 32],
    ) -> Result<String> {
        let (tenant, session, now) = (found.subject.tenant, found.subject.session, uow.now());
        let successor = successor(token, salt);
        let (own, next) = (hash(token), hash(&successor));
        uow.execute_all(&[
            (
                "UPDATE refresh_tokens SET consumed_at = $3, successor = $4, successor_salt = $5
                 WHERE tenant_id = $1 AND hash = $2",
                params![tenant, &own[..], now, &next[..], &salt[..]],
            ),
            // The one before is not needed any more: nothing can be made again from it.
            (
                "UPDATE refresh_tokens SET successor_salt = NULL WHERE tenant_id = $1 AND successor = $2",
                params![tenant, &own[..]],
            ),
            (
                "UPDATE auth_sessions SET last_used_at = $3 WHERE tenant_id = $1 AND id = $2",
                params![tenant, session, now],
            ),
            (
                "UPDATE memberships SET last_used_at = $3 WHERE tenant_id = $1 AND account_id = $2",
                params![tenant, found.subject.account, now],
            ),
        ])
        .await?;
        insert(uow, session, &successor, self.0.options.refresh_ttl).await?;
        Ok(successor)
    }

    /// The successor that this token was given, as long as nobody has used it.
    async fn unused_successor(
        &self,
        uow: &mut Uow,
        found: &Found,
        token: &str,
    ) -> Result<Option<String>> {
        let (Some(stored), Some(salt)) = (&found.successor, &found.salt) else {
            return Ok(None);
        };
        let row = uow
            .query_opt(
                "SELECT hash FROM refresh_tokens
                 WHERE tenant_id = $1 AND hash = $2 AND consumed_at IS NULL FOR UPDATE",
                params![found.subject.tenant, stored],
            )
            .await?;
        let made = successor(token, salt);
        Ok(row
            .map(|_| made)
            .filter(|made| hash(made)[..] == stored[..]))
    }

    pub(crate) async fn sweep_sessions(&self, system: &Context) -> Result<u64> {
        self.0
            .store
            .write(system, Durability::Fast, (), |uow, ()| {
                Box::pin(async move {
                    let now = uow.now();
                    uow.execute(
                        "DELETE FROM refresh_tokens WHERE expires_at < $1",
                        params![now],
                    )
                    .await?;
                    uow.execute(
                        "DELETE FROM auth_sessions WHERE NOT EXISTS
                           (SELECT 1 FROM refresh_tokens r WHERE r.session_id = auth_sessions.id)",
                        params![],
                    )
                    .await
                })
            })
            .await
    }
}
