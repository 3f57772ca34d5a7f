//! Who may come in and what they may do: accounts, tenants and memberships,
//! passwords, sessions, access and refresh tokens, lock-outs and rate limits.
//! What an account does once it is in is for the other parts.

mod account;
mod accounts;
mod attempts;
mod authenticate;
mod bootstrap;
mod cache;
mod directory;
mod erasure;
mod keys;
mod members;
mod names;
mod options;
mod password;
mod rate;
mod refresh;
mod secret;
mod sessions;
mod standing;
mod token;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use kernel::{Actor, AuthSessionId, Context, Idempotency, Random, Result, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use state::State;
use store::{Migration, Store};
use uuid::Uuid;

pub use account::{Device, PatchMe};
pub use accounts::{CreateUser, MemberStatus, MembershipView, Register, User};
pub use bootstrap::Bootstrap;
pub use directory::UsersQuery;
pub use erasure::Erased;
pub use members::{Member, MemberPatch, NewPassword, is_active, member};
pub use options::{Lockout, Options, RateLimits};
pub use rate::RateClass;
pub use secret::Secret;
pub use sessions::{Login, Tokens};

/// The tables of this part.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "20261121_0002_security",
        sql: include_str!("../migrations/20261121_0002_security.sql"),
    },
    Migration {
        name: "20261121_0008_security_account",
        sql: include_str!("../migrations/20261121_0008_security_account.sql"),
    },
];

/// Tokens and sessions remembered at most, some 200 bytes each.
const REMEMBERED: usize = 20_000;

/// Accounts and tokens. Cheap to clone.
#[derive(Clone)]
pub struct Security(Arc<Inner>);

struct Inner {
    store: Store,
    state: State,
    options: Options,
    random: Random,
    passwords: password::Passwords,
    keys: keys::Keys,
    default_tenant: Tenant,
    verified: cache::Cache<[u8; 32], authenticate::Verified>,
    live: cache::Cache<AuthSessionId, authenticate::Live>,
    attempts: attempts::Attempts,
}

/// An organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its name in addresses and at login.
    pub slug: String,
    /// Its name for people.
    pub name: String,
}

impl Security {
    /// Opens the part: makes the tenant `default` and the signing key if this is the first start.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn open(
        store: Store,
        state: State,
        random: Random,
        options: Options,
    ) -> Result<Self> {
        let nobody = TenantId::from_uuid(Uuid::nil());
        let system = Context::system("start", nobody, store.env().ids.next());
        let keys = keys::Keys::load(&store, &system, &random).await?;
        let default_tenant = bootstrap::default_tenant(&store, &system).await?;
        let passwords = password::Passwords::new(random.clone())?;
        Ok(Self(Arc::new(Inner {
            store,
            state,
            options,
            random,
            passwords,
            keys,
            default_tenant,
            verified: cache::Cache::new(REMEMBERED),
            live: cache::Cache::new(REMEMBERED),
            attempts: attempts::Attempts::default(),
        })))
    }

    /// The tenant `default`, to which callers belong who have not signed in.
    #[must_use]
    pub fn default_tenant(&self) -> &Tenant {
        &self.0.default_tenant
    }

    /// The public keys that verify access tokens, for `/.well-known/jwks.json` (RFC 7517).
    #[must_use]
    pub fn jwks(&self) -> &serde_json::Value {
        self.0.keys.jwks()
    }

    /// How this part was set up.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// Deletes refresh tokens that have expired and sessions that nobody can continue any more.
    /// Answers how many sessions that were. To be run every hour or so.
    ///
    /// # Errors
    /// `forbidden` for anybody but the platform itself; `database_unavailable`.
    pub async fn sweep(&self, system: &Context) -> Result<u64> {
        only_system(system)?;
        self.sweep_sessions(system).await
    }

    fn now(&self) -> Timestamp {
        self.0.store.env().clock.now()
    }

    /// The platform itself on the caller's behalf, where accounts (which belong to no tenant) are
    /// changed. Keeps the idempotency key, made the caller's own.
    fn elevated(&self, ctx: &Context, task: &'static str) -> Context {
        let who = match ctx.actor() {
            Actor::Account { id, .. } => id.to_string(),
            Actor::Service { name } => format!("service {name}"),
            Actor::Anonymous => ctx.address().map(|a| a.to_string()).unwrap_or_default(),
            Actor::System { task } => format!("system {task}"),
        };
        let idempotency = ctx.idempotency().map(|idempotency| Idempotency {
            key: format!("{who}: {}", idempotency.key),
            fingerprint: idempotency.fingerprint,
        });
        ctx.as_system(task)
            .with_address(ctx.address())
            .with_idempotency(idempotency)
    }
}

impl std::fmt::Debug for Security {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Security")
    }
}

fn only_system(ctx: &Context) -> Result<()> {
    if ctx.is_system() {
        return Ok(());
    }
    Err(kernel::Error::new(
        kernel::codes::FORBIDDEN,
        "Only the platform itself can do this.",
    ))
}

/// That long after (or, at the end of time, the same moment).
fn after(moment: Timestamp, duration: Duration) -> Timestamp {
    moment.saturating_add(duration).unwrap_or(moment)
}
