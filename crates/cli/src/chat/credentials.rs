//! The tokens of `tertulia chat`, by server, in a file that only its owner can read.

use std::{
    collections::BTreeMap,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// What is kept about one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tokens {
    /// For requests.
    pub(crate) access_token: String,
    /// For a new pair.
    pub(crate) refresh_token: String,
}

/// The file.
#[derive(Debug)]
pub(crate) struct Credentials {
    path: PathBuf,
    by_url: BTreeMap<String, Tokens>,
}

impl Credentials {
    /// `$XDG_CONFIG_HOME/tertulia/credentials`.
    pub(crate) fn load() -> Result<Self> {
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
        Ok(Self::at(base.join("tertulia").join("credentials")))
    }

    /// A file that cannot be read counts as empty: one signs in again.
    fn at(path: PathBuf) -> Self {
        let by_url = std::fs::read(&path)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        Self {
            path,
            by_url: by_url.unwrap_or_default(),
        }
    }

    pub(crate) fn get(&self, url: &str) -> Option<&Tokens> {
        self.by_url.get(url)
    }

    /// Keeps new tokens at once: a refresh token is good for one use.
    pub(crate) fn put(&mut self, url: &str, tokens: Tokens) -> Result<()> {
        self.by_url.insert(url.to_owned(), tokens);
        let text = serde_json::to_vec_pretty(&self.by_url)?;
        write_private(&self.path, &text)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
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

    #[test]
    fn tokens_are_kept_by_server_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a").join("credentials");
        let mut credentials = Credentials::at(path.clone());
        let tokens = |n: &str| Tokens {
            access_token: n.into(),
            refresh_token: n.into(),
        };
        credentials.put("http://a", tokens("1")).unwrap();
        credentials.put("http://b", tokens("2")).unwrap();
        credentials.put("http://a", tokens("3")).unwrap();
        let again = Credentials::at(path.clone());
        assert_eq!(again.get("http://a"), Some(&tokens("3")));
        assert_eq!(again.get("http://b"), Some(&tokens("2")));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "garbage").unwrap();
        assert_eq!(Credentials::at(path).get("http://a"), None);
    }
}
