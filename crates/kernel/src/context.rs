//! The caller: who asks, for which tenant, within which request. The first
//! argument of every operation; parts authorise with it, doors only build it.

use std::{fmt, sync::Arc, time::Instant};

use crate::{AccountId, AuthSessionId, Error, RequestId, Result, Role, Roles, TenantId, codes};

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A signed-in account acting through one membership.
    Account {
        /// The account.
        id: AccountId,
        /// The device it signed in with.
        session: AuthSessionId,
        /// The roles of the membership.
        roles: Roles,
    },
    /// Another program with a service token.
    Service {
        /// The name the token was given.
        name: String,
    },
    /// Somebody who has not signed in.
    Anonymous,
    /// The platform itself: recovery, sweeps, start-up. Sees every tenant.
    System {
        /// What is being done, for logs.
        task: &'static str,
    },
}

/// A client's `Idempotency-Key` and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The header's value.
    pub key: String,
    /// SHA-256 over method, path and body.
    pub fingerprint: [u8; 32],
}

/// The caller of an operation. Cheap to clone.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    tenant: TenantId,
    actor: Actor,
    request: RequestId,
    deadline: Option<Instant>,
    idempotency: Option<Idempotency>,
    address: Option<std::net::IpAddr>,
}

impl Context {
    /// A caller within a tenant.
    #[must_use]
    pub fn new(tenant: TenantId, actor: Actor, request: RequestId) -> Self {
        Self(Arc::new(Inner {
            tenant,
            actor,
            request,
            deadline: None,
            idempotency: None,
            address: None,
        }))
    }

    /// The platform itself, for one tenant or (with the nil tenant) for all.
    #[must_use]
    pub fn system(task: &'static str, tenant: TenantId, request: RequestId) -> Self {
        Self::new(tenant, Actor::System { task }, request)
    }

    /// The same caller with an idempotency key.
    #[must_use]
    pub fn with_idempotency(self, idempotency: Option<Idempotency>) -> Self {
        self.changed(|inner| inner.idempotency = idempotency)
    }

    /// The same caller, who has no use for an answer after this moment.
    #[must_use]
    pub fn with_deadline(self, deadline: Option<Instant>) -> Self {
        self.changed(|inner| inner.deadline = deadline)
    }

    /// The same caller, seen at a network address.
    #[must_use]
    pub fn with_address(self, address: Option<std::net::IpAddr>) -> Self {
        self.changed(|inner| inner.address = address)
    }

    /// The same request done by the platform itself on the caller's behalf
    /// (a run goes on after its request); keeps tenant and request id.
    #[must_use]
    pub fn as_system(&self, task: &'static str) -> Self {
        Self::system(task, self.0.tenant, self.0.request)
    }

    fn changed(self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        change(&mut inner);
        Self(Arc::new(inner))
    }

    /// The tenant everything is bound to.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        self.0.tenant
    }

    /// Who acts.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.0.actor
    }

    /// The id that logs and answers carry.
    #[must_use]
    pub fn request(&self) -> RequestId {
        self.0.request
    }

    /// After this the caller has gone.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline
    }

    /// The client's idempotency key, if it sent one.
    #[must_use]
    pub fn idempotency(&self) -> Option<&Idempotency> {
        self.0.idempotency.as_ref()
    }

    /// The client's network address, where one is known.
    #[must_use]
    pub fn address(&self) -> Option<std::net::IpAddr> {
        self.0.address
    }

    /// Whether the platform itself acts, without the bounds of a tenant.
    #[must_use]
    pub fn is_system(&self) -> bool {
        matches!(self.0.actor, Actor::System { .. })
    }

    /// The caller's roles; none for anonymous callers and the platform itself.
    #[must_use]
    pub fn roles(&self) -> Roles {
        match &self.0.actor {
            Actor::Account { roles, .. } => *roles,
            Actor::Service { .. } => Roles::of(&[Role::Service]),
            Actor::Anonymous | Actor::System { .. } => Roles::NONE,
        }
    }

    /// The signed-in account.
    ///
    /// # Errors
    /// `not_authenticated` for anybody else.
    pub fn account(&self) -> Result<AccountId> {
        match &self.0.actor {
            Actor::Account { id, .. } => Ok(*id),
            Actor::Anonymous => Err(Error::new(
                codes::NOT_AUTHENTICATED,
                "Sign in first: send `Authorization: Bearer <access token>`.",
            )),
            Actor::Service { .. } | Actor::System { .. } => {
                Err(Error::new(codes::FORBIDDEN, "Only an account can do this."))
            }
        }
    }

    /// Succeeds when the caller has at least one of the roles, or is the platform itself.
    ///
    /// # Errors
    /// `not_authenticated` for anonymous callers, `forbidden` for the rest.
    pub fn require(&self, roles: &[Role]) -> Result<()> {
        let mine = self.roles();
        if self.is_system() || roles.iter().any(|role| mine.has(*role)) {
            return Ok(());
        }
        if matches!(self.0.actor, Actor::Anonymous) {
            self.account()?;
        }
        Err(Error::new(
            codes::FORBIDDEN,
            "Your roles do not allow this.",
        ))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Context({:?} in {} for {})",
            self.0.actor, self.0.tenant, self.0.request
        )
    }
}
