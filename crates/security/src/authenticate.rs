//! From a bearer token to the caller. The signature is checked once for each
//! token; whether the session lives and which roles the membership has is
//! remembered for a few seconds, and forgotten at once when it changes here.

use std::time::Duration;

use kernel::{Actor, AuthSessionId, Context, RequestId, Result, Roles, TenantId, Timestamp};
use sha2::{Digest, Sha256};
use store::params;

use crate::{
    Security,
    token::{self, Subject},
};

/// How long another node may not notice a revocation or a change of roles.
pub(crate) const LIVE_FOR: Duration = Duration::from_secs(2);

/// A token whose signature and claims have been checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verified {
    subject: Subject,
    expires: Timestamp,
}

/// What is known about a session; the roles are `None` once it is revoked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Live {
    pub(crate) subject: Subject,
    roles: Option<Roles>,
}

impl Security {
    /// The caller behind an access token, with the roles the membership has now.
    ///
    /// # Errors
    /// `invalid_token`, `token_expired`, `token_revoked`; `database_unavailable`.
    pub async fn authenticate(&self, bearer: &str, request: RequestId) -> Result<Context> {
        let subject = self.verified(bearer)?.subject;
        let roles = self.live(subject, request).await?;
        let actor = Actor::Account {
            id: subject.account,
            session: subject.session,
            roles,
        };
        Ok(Context::new(subject.tenant, actor, request))
    }

    /// Whether the caller's session still lives; for streams and sockets, which outlive their token's
    /// check. Callers without a session always do. Call it every few seconds (S0.1: revocation
    /// reaches open streams within 5 s).
    ///
    /// # Errors
    /// `token_revoked`; `database_unavailable`.
    pub async fn recheck(&self, ctx: &Context) -> Result<()> {
        let Actor::Account { id, session, .. } = *ctx.actor() else {
            return Ok(());
        };
        let subject = Subject {
            account: id,
            tenant: ctx.tenant(),
            session,
        };
        self.live(subject, ctx.request()).await.map(drop)
    }

    fn verified(&self, bearer: &str) -> Result<Verified> {
        let now = self.now();
        let digest: [u8; 32] = Sha256::digest(bearer.as_bytes()).into();
        if let Some(verified) = self.0.verified.get(&digest, now) {
            return Ok(verified);
        }
        let claims = token::verify(&self.0.keys, &self.0.options, bearer, now)?;
        let subject = Subject {
            account: claims.sub,
            tenant: claims.tid,
            session: claims.sid,
        };
        let expires = Timestamp::from_second(claims.exp).map_err(|_| token::invalid())?;
        let verified = Verified { subject, expires };
        self.0.verified.put(
            digest,
            verified,
            verified.expires,
            now,
            self.0.verified.generation(),
        );
        Ok(verified)
    }

    async fn live(&self, subject: Subject, request: RequestId) -> Result<Roles> {
        let cached = self.0.live.get(&subject.session, self.now());
        if let Some(live) = cached {
            return live.roles.ok_or_else(token::revoked);
        }
        let seen = self.0.live.generation();
        let now = self.now();
        // Bound to the tenant of the token: nothing of another one can be found.
        let ctx = Context::new(subject.tenant, Actor::Anonymous, request);
        let roles = self.0.store.read(&ctx, subject, |reads, subject| {
            Box::pin(async move {
                let row = reads
                    .query_opt(
                        "SELECT m.roles FROM auth_sessions s
                         JOIN memberships m ON m.tenant_id = s.tenant_id AND m.account_id = s.account_id
                         JOIN tenants t ON t.id = s.tenant_id
                         WHERE s.id = $1 AND s.tenant_id = $2 AND s.account_id = $3
                           AND s.revoked_at IS NULL AND m.suspended_at IS NULL AND t.status = 'active'",
                        params![subject.session, subject.tenant, subject.account],
                    )
                    .await?;
                row.map(|mut row| crate::accounts::roles(&mut row, 0)).transpose()
            })
        });
        let roles = roles.await?;
        let until = now.saturating_add(LIVE_FOR).unwrap_or(now);
        self.0
            .live
            .put(subject.session, Live { subject, roles }, until, now, seen);
        roles.ok_or_else(token::revoked)
    }

    /// Forgets what is known about a session.
    pub(crate) fn forget_session(&self, session: AuthSessionId) {
        self.0.live.forget(|id, _| *id == session);
    }

    /// Forgets what is known about an account's sessions, in one tenant or in all.
    pub(crate) fn forget_account(&self, account: kernel::AccountId, tenant: Option<TenantId>) {
        self.0.live.forget(|_, live| {
            live.subject.account == account && tenant.is_none_or(|t| t == live.subject.tenant)
        });
    }
}
