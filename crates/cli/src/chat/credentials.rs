//! The tokens of `tertulia chat`, by server and by who signed in, in a file that only its owner can read.
//! Several terminals share it. A refresh token is good for one use: whoever uses one holds the file meanwhile.

use std::{
    collections::BTreeMap,
    fs::{File, TryLockError},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// How long the file is waited for. Whoever holds it asks a server, and is answered or cut off before.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(20);

/// What is kept about one sign-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tokens {
    /// Who signed in, as [`same`] has it.
    pub(crate) email: String,
    /// For requests.
    pub(crate) access_token: String,
    /// For a new pair.
    pub(crate) refresh_token: String,
}

/// Of each server, the one who signed in last comes first.
type Kept = BTreeMap<String, Vec<Tokens>>;

/// An email as it is compared.
pub(crate) fn same(email: &str) -> String {
    email.trim().to_lowercase()
}

/// The file.
#[derive(Debug)]
pub(crate) struct Credentials {
    path: PathBuf,
}

impl Credentials {
    /// `$XDG_CONFIG_HOME/tertulia/credentials`.
    pub(crate) fn find() -> Result<Self> {
        let base = std::env::var_os("XDG_CONFIG_HOME")
            .filter(|dir| !dir.is_empty())
            .map(PathBuf::from);
        let base = match base {
            Some(base) => base,
            None => PathBuf::from(
                std::env::var_os("HOME").context("neither XDG_CONFIG_HOME nor HOME is set")?,
            )
            .join(".config"),
        };
        let path = base.join("tertulia").join("credentials");
        Ok(Self { path })
    }

    /// The tokens of this email, or of whoever signed in last.
    pub(crate) fn get(&self, url: &str, email: Option<&str>) -> Option<Tokens> {
        let email = email.map(same);
        let kept = self.read().remove(url)?.into_iter();
        let mut meant = kept.filter(|tokens| email.as_ref().is_none_or(|it| *it == tokens.email));
        meant.next()
    }

    /// A file that cannot be read counts as empty: one signs in again.
    fn read(&self) -> Kept {
        let text = std::fs::read(&self.path).ok();
        text.and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default()
    }

    /// Holds the file against other terminals until what it answers is dropped.
    pub(crate) async fn lock(&self) -> Result<Locked<'_>> {
        // The file itself is replaced whenever it is written.
        let path = self.path.with_extension("lock");
        let file =
            open_private(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let since = Instant::now();
        loop {
            match file.try_lock() {
                Err(TryLockError::WouldBlock) if since.elapsed() < PATIENCE => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(TryLockError::WouldBlock) => bail!(
                    "another `tertulia chat` holds {} and does not go on; end it, and try again",
                    path.display()
                ),
                // On a file system without locks it has to do without.
                Ok(()) | Err(TryLockError::Error(_)) => break,
            }
        }
        Ok(Locked {
            credentials: self,
            _file: file,
        })
    }
}

/// The file, held.
#[derive(Debug)]
pub(crate) struct Locked<'a> {
    credentials: &'a Credentials,
    _file: File,
}

impl Locked<'_> {
    /// What is kept of this email now.
    pub(crate) fn get(&self, url: &str, email: &str) -> Option<Tokens> {
        self.credentials.get(url, Some(email))
    }

    /// Keeps the tokens of somebody who signed in, and is meant from now on.
    pub(crate) fn sign_in(&self, url: &str, tokens: Tokens) -> Result<()> {
        self.change(url, |kept| {
            kept.retain(|other| other.email != tokens.email);
            kept.insert(0, tokens);
        })
    }

    /// Keeps new tokens of somebody who had some.
    pub(crate) fn renew(&self, url: &str, tokens: Tokens) -> Result<()> {
        self.change(url, |kept| {
            match kept.iter_mut().find(|other| other.email == tokens.email) {
                Some(before) => *before = tokens,
                None => kept.push(tokens),
            }
        })
    }

    /// What others keep in the file stays as it is now.
    fn change(&self, url: &str, change: impl FnOnce(&mut Vec<Tokens>)) -> Result<()> {
        let mut kept = self.credentials.read();
        change(kept.entry(url.to_owned()).or_default());
        let path = &self.credentials.path;
        write_private(path, &serde_json::to_vec_pretty(&kept)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// An empty file of mode 0600, or the one that is there.
fn open_private(path: &Path) -> std::io::Result<File> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// Writes a file of mode 0600, whole or not at all.
pub(crate) fn write_private(path: &Path, text: &[u8]) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let new = path.with_extension(format!("new.{}", std::process::id()));
    let _ = std::fs::remove_file(&new);
    let mut file = std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn tokens(email: &str, n: &str) -> Tokens {
        Tokens {
            email: email.into(),
            access_token: n.into(),
            refresh_token: n.into(),
        }
    }

    fn at(directory: &Path) -> Credentials {
        let path = directory.join("a").join("credentials");
        Credentials { path }
    }

    #[tokio::test]
    async fn tokens_are_kept_by_server_and_by_person_and_private() {
        let directory = tempfile::tempdir().unwrap();
        // Two terminals: what the one keeps, the other leaves.
        let (one, other) = (at(directory.path()), at(directory.path()));
        let (a, b) = ("http://a", "http://b");
        one.lock()
            .await
            .unwrap()
            .sign_in(a, tokens("ada", "1"))
            .unwrap();
        other
            .lock()
            .await
            .unwrap()
            .sign_in(b, tokens("ada", "2"))
            .unwrap();
        one.lock()
            .await
            .unwrap()
            .renew(a, tokens("ada", "3"))
            .unwrap();
        other
            .lock()
            .await
            .unwrap()
            .sign_in(a, tokens("eve", "4"))
            .unwrap();
        one.lock()
            .await
            .unwrap()
            .renew(a, tokens("ada", "5"))
            .unwrap();
        for (url, email, kept) in [
            (a, None, tokens("eve", "4")),
            (a, Some(" Eve "), tokens("eve", "4")),
            (a, Some("ada"), tokens("ada", "5")),
            (b, None, tokens("ada", "2")),
        ] {
            assert_eq!(one.get(url, email), Some(kept));
        }
        assert_eq!(one.get(b, Some("eve")), None);
        one.lock()
            .await
            .unwrap()
            .sign_in(a, tokens("ada", "6"))
            .unwrap();
        assert_eq!(other.get(a, None), Some(tokens("ada", "6")));
        assert_eq!(other.get(a, Some("eve")), Some(tokens("eve", "4")));

        for name in ["credentials", "credentials.lock"] {
            let file = one.path.with_file_name(name).metadata().unwrap();
            assert_eq!(file.permissions().mode() & 0o777, 0o600, "{name}");
        }
        std::fs::write(&one.path, "garbage").unwrap();
        assert_eq!(one.get(a, None), None);
    }

    #[tokio::test]
    async fn one_terminal_holds_the_file_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (at(directory.path()), at(directory.path()));
        let held = one.lock().await.unwrap();
        let waiting = tokio::time::timeout(3 * PAUSE, other.lock());
        assert!(waiting.await.is_err());
        drop(held);
        other.lock().await.unwrap();
    }
}
