//! Failed attempts to sign in: counted by account, whichever of its names is
//! used, and by name where there is no account, until it is locked for a while
//! (`[security.lockout]`).

use std::hash::{BuildHasher, RandomState};

use kernel::{AccountId, Error, Result, codes};
use tokio::sync::Mutex;

use crate::Security;

/// Sign-ins that share a number wait for each other.
const STRIPES: usize = 256;

/// Whose attempts are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Whose {
    Account(AccountId),
    /// A name that no account has.
    Name(String),
}

impl Whose {
    fn key(&self) -> String {
        match self {
            Self::Account(id) => format!("lockout:account:{id}"),
            Self::Name(name) => format!("lockout:name:{name}"),
        }
    }
}

/// Attempts for one of them come one after the other, so that many at once cannot all pass the lock-out
/// before the first failure is counted.
pub(crate) struct Attempts {
    stripes: [Mutex<()>; STRIPES],
    hasher: RandomState,
}

impl Default for Attempts {
    fn default() -> Self {
        Self {
            stripes: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
        }
    }
}

impl Attempts {
    pub(crate) fn of(&self, whose: &Whose) -> &Mutex<()> {
        let stripe = self.hasher.hash_one(whose) % STRIPES as u64;
        &self.stripes[usize::try_from(stripe).unwrap_or(0)]
    }
}

impl Security {
    /// # Errors
    /// `too_many_attempts`, with when to try again.
    pub(crate) async fn check_lockout(&self, whose: &Whose) -> Result<()> {
        let rate = self
            .0
            .state
            .peek(&whose.key(), &self.0.options.lockout.limit())
            .await;
        let Some(wait) = rate.retry_after else {
            return Ok(());
        };
        let sentence = "Too many failed attempts for this name; wait before the next one, or ask an administrator for a new password.";
        Err(Error::new(codes::TOO_MANY_ATTEMPTS, sentence).retry_after(wait))
    }

    /// Forgets the failed attempts.
    pub(crate) async fn unlock(&self, whose: &Whose) {
        self.0.state.forget(&whose.key()).await;
    }

    pub(crate) async fn count_failure(&self, whose: &Whose) {
        self.0
            .state
            .hit(&whose.key(), &self.0.options.lockout.limit())
            .await;
    }
}
