//! Passwords: argon2id on threads of its own, a bounded number at a time, so
//! that a flood of sign-ins cannot stop everything else.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::phc::PasswordHash,
};
use kernel::{Error, Random, Result, codes};
use tokio::sync::Semaphore;

use crate::Secret;

/// OWASP's Password Storage Cheat Sheet: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Requests that may wait for their turn; some 30 ms each, divided by the cores.
const WAITING: usize = 256;

pub(crate) struct Passwords {
    argon2: Argon2<'static>,
    random: Random,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// The hash of a password nobody knows, verified against for names that do not exist.
    dummy: String,
    checks: Arc<AtomicU64>,
}

impl Passwords {
    pub(crate) fn new(random: Random) -> Result<Self> {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
            .map_err(|e| Error::internal(e.to_string()))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let dummy = hash(&argon2, &random.bytes::<32>(), &random.bytes::<16>())?;
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Ok(Self {
            argon2,
            random,
            permits: Arc::new(Semaphore::new(cores)),
            waiting: AtomicUsize::new(0),
            dummy,
            checks: Arc::default(),
        })
    }

    /// The PHC string of a new password.
    pub(crate) async fn hash(&self, password: &Secret) -> Result<String> {
        let (argon2, password) = (self.argon2.clone(), password.clone());
        let salt = self.random.bytes::<16>();
        self.run(move || hash(&argon2, password.expose().as_bytes(), &salt))
            .await?
    }

    /// Whether the password belongs to the hash. Without a hash (nobody of that name) the same work is
    /// done, and the answer is no.
    pub(crate) async fn verify(&self, password: &Secret, stored: Option<String>) -> Result<bool> {
        let (argon2, password) = (self.argon2.clone(), password.clone());
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.dummy.clone());
        let checks = Arc::clone(&self.checks);
        let matches = self
            .run(move || {
                checks.fetch_add(1, Ordering::Relaxed);
                let hash =
                    PasswordHash::new(&stored).map_err(|e| Error::internal(e.to_string()))?;
                Ok(argon2
                    .verify_password(password.expose().as_bytes(), &hash)
                    .is_ok())
            })
            .await??;
        Ok(matches && known)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let _waiting = Waiting::enter(&self.waiting)?;
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(Error::internal)?;
        // The permit goes along: a request that is abandoned still occupies its core until it is done.
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        done.await.map_err(Error::internal)
    }

    /// How many passwords have been checked, also against the dummy.
    #[cfg(test)]
    pub(crate) fn checks(&self) -> u64 {
        self.checks.load(Ordering::Relaxed)
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Result<Self> {
        let guard = Self(count);
        if count.fetch_add(1, Ordering::Relaxed) >= WAITING {
            let sentence =
                "Too many people are signing in at this moment; please try again in a few seconds.";
            return Err(
                Error::new(codes::BUSY, sentence).retry_after(std::time::Duration::from_secs(3))
            );
        }
        Ok(guard)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn hash(argon2: &Argon2<'_>, password: &[u8], salt: &[u8]) -> Result<String> {
    let hash: PasswordHash = argon2
        .hash_password_with_salt(password, salt)
        .map_err(|e| Error::internal(e.to_string()))?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hashes_are_argon2id_with_owasps_parameters_and_salted() {
        let passwords = Passwords::new(Random::system()).unwrap();
        let secret = Secret::new("correct horse");
        let one = passwords.hash(&secret).await.unwrap();
        let two = passwords.hash(&secret).await.unwrap();
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_ne!(one, two);
        assert!(passwords.verify(&secret, Some(one.clone())).await.unwrap());
        assert!(
            !passwords
                .verify(&Secret::new("wrong horse"), Some(one))
                .await
                .unwrap()
        );
        assert!(!passwords.verify(&secret, None).await.unwrap());
        assert_eq!(passwords.checks(), 3);
    }
}
