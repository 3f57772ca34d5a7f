//! The data directory's lock: one process at a time uses the embedded database.

use std::{fs::File, path::Path};

use kernel::{Error, Result, codes};

/// Held as long as the process uses the directory.
#[derive(Debug)]
pub(crate) struct DirectoryLock(
    #[expect(dead_code, reason = "the lock lives as long as the file")] File,
);

/// Nobody else on the machine may read what is in it.
fn create(directory: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Opens a file that only its owner may read, made if need be: the directory
/// may be one that others can enter.
pub(crate) fn private(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        let file = options.mode(0o600).open(path)?;
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        Ok(file)
    }
    #[cfg(not(unix))]
    options.open(path)
}

impl DirectoryLock {
    pub(crate) fn take(directory: &Path) -> Result<Self> {
        let show = directory.display();
        create(directory).map_err(|error| {
            Error::new(
                codes::DATABASE_UNAVAILABLE,
                format!("The data directory {show} cannot be created: {error}."),
            )
        })?;
        let file = private(&directory.join("lock")).map_err(|error| {
            Error::new(
                codes::DATABASE_UNAVAILABLE,
                format!("The data directory {show} cannot be written to: {error}."),
            )
        })?;
        file.try_lock().map_err(|_| {
            Error::new(
                codes::CONFLICT,
                format!(
                    "Another tertulia is using the data directory {show}. Stop it first, choose \
                     another one with --data-dir, or use PostgreSQL for several processes."
                ),
            )
        })?;
        Ok(Self(file))
    }
}
