//! Opening the file: whether this SQLite may, for whose eyes, and how a connection is set.

use std::path::Path;

use kernel::{Error, Result, codes};
use rusqlite::{Connection, OpenFlags, config::DbConfig};

use crate::failure::DbError;

/// Below this, a race when the WAL is reset can corrupt the database
/// (fixed in SQLite 3.51.3).
const OLDEST_SQLITE: i32 = 3_051_003;
const STATEMENTS: usize = 512;

/// Whether a SQLite of this version (as `sqlite3_libversion_number` has it) may touch the data.
///
/// # Errors
/// A sentence for the operator.
fn supported(version: i32) -> Result<()> {
    if version >= OLDEST_SQLITE {
        return Ok(());
    }
    let (major, minor, patch) = (
        version / 1_000_000,
        version / 1_000 % 1_000,
        version % 1_000,
    );
    Err(Error::new(
        codes::DATABASE_UNAVAILABLE,
        format!(
            "SQLite {major}.{minor}.{patch} can corrupt its log; nothing was opened. 3.51.3 or \
             later is needed: build the program with its own SQLite, or update the one it is \
             linked with."
        ),
    ))
}

/// The database is for its owner's eyes, also in a directory that others can
/// enter; SQLite gives its log the mode of the database.
pub(super) fn own(path: &Path) -> std::io::Result<()> {
    crate::lock::private(path)?;
    for suffix in ["-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        if Path::new(&name).exists() {
            crate::lock::private(Path::new(&name))?;
        }
    }
    Ok(())
}

/// A connection, set as all of them are.
pub(crate) fn connect(path: &Path, read_only: bool) -> Result<Connection> {
    // Nothing opens the file another way, so nothing is touched before.
    supported(rusqlite::version_number())?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // Plans do not depend on bound values: where a partial index is in question, SQLite would
        // otherwise prepare a cached statement anew for every new value.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 10000;
             PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192; PRAGMA synchronous = FULL;
             PRAGMA wal_autocheckpoint = 4000;",
        )?;
        if read_only {
            connection.execute_batch("PRAGMA query_only = ON")?;
        }
        Ok(connection)
    };
    open().map_err(|error| DbError::from(error).into_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlite_that_can_corrupt_its_log_is_refused() {
        for (version, name) in [
            (3_007_000, "3.7.0"),
            (3_050_004, "3.50.4"),
            (3_051_002, "3.51.2"),
        ] {
            let error = supported(version).unwrap_err();
            assert!(
                error.detail().starts_with(&format!("SQLite {name} ")),
                "{error}"
            );
        }
        for version in [3_051_003, 3_051_004, 3_052_000, 4_000_000] {
            assert!(supported(version).is_ok(), "{version}");
        }
        assert!(
            supported(rusqlite::version_number()).is_ok(),
            "the one that is built in"
        );
    }
}
