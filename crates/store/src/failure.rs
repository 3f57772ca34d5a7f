//! What a database says when it fails, sorted into what a part can act on.

use kernel::{Error, codes};

/// Why a statement failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DbClass {
    /// A uniqueness rule was violated.
    Unique,
    /// A CHECK was violated.
    Check,
    /// A foreign key was violated.
    ForeignKey,
    /// Two transactions contradict each other: run it again.
    Retry,
    /// A text has a character that the database cannot store: NUL on PostgreSQL.
    Text,
    /// The database cannot be reached or cannot write.
    Unavailable,
    /// The connection ended: what was sent last may or may not have been done.
    Lost,
    /// The file is damaged, or is no database at all.
    Damaged,
    /// Anything else: a fault of the statement.
    Other,
}

/// The cause inside an [`Error`] that came from the database.
#[derive(Debug, thiserror::Error)]
#[error("database: {message}")]
pub struct DbError {
    /// What can be done about it.
    pub class: DbClass,
    /// The database's own words; for the log.
    pub message: String,
}

impl DbError {
    pub(crate) fn into_error(self) -> Error {
        match self.class {
            DbClass::Retry | DbClass::Unavailable | DbClass::Lost => Error::new(
                codes::DATABASE_UNAVAILABLE,
                "The database is not available at the moment; please try again shortly.",
            )
            .retry_after(std::time::Duration::from_secs(1))
            .caused_by(self),
            DbClass::Damaged => Error::new(
                codes::DATABASE_UNAVAILABLE,
                "The database is damaged; an operator has to restore it from a backup.",
            )
            .retry_after(std::time::Duration::from_secs(60))
            .caused_by(self),
            DbClass::Text => Error::new(
                codes::VALIDATION_FAILED,
                "A text has a character that cannot be stored (NUL); remove it.",
            )
            .caused_by(self),
            _ => Error::internal(self),
        }
    }
}

/// Why the database refused, if that is what this error is about.
#[must_use]
pub fn db_class(error: &Error) -> Option<DbClass> {
    error.cause::<DbError>().map(|cause| cause.class)
}

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ffi;
        let class = match &error {
            rusqlite::Error::SqliteFailure(failure, _) => match failure.extended_code {
                ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
                    DbClass::Unique
                }
                ffi::SQLITE_CONSTRAINT_CHECK => DbClass::Check,
                ffi::SQLITE_CONSTRAINT_FOREIGNKEY => DbClass::ForeignKey,
                _ => match failure.code {
                    rusqlite::ErrorCode::DiskFull
                    | rusqlite::ErrorCode::SystemIoFailure
                    | rusqlite::ErrorCode::CannotOpen
                    | rusqlite::ErrorCode::ReadOnly
                    | rusqlite::ErrorCode::DatabaseBusy
                    | rusqlite::ErrorCode::DatabaseLocked => DbClass::Unavailable,
                    rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase => {
                        DbClass::Damaged
                    }
                    _ => DbClass::Other,
                },
            },
            _ => DbClass::Other,
        };
        Self {
            class,
            message: error.to_string(),
        }
    }
}

impl From<tokio_postgres::Error> for DbError {
    fn from(error: tokio_postgres::Error) -> Self {
        use tokio_postgres::error::SqlState;
        let class = match error.code() {
            Some(code) if *code == SqlState::UNIQUE_VIOLATION => DbClass::Unique,
            Some(code)
                if *code == SqlState::CHARACTER_NOT_IN_REPERTOIRE
                    || *code == SqlState::UNTRANSLATABLE_CHARACTER =>
            {
                DbClass::Text
            }
            Some(code) if *code == SqlState::CHECK_VIOLATION => DbClass::Check,
            Some(code) if *code == SqlState::FOREIGN_KEY_VIOLATION => DbClass::ForeignKey,
            Some(code)
                if *code == SqlState::T_R_SERIALIZATION_FAILURE
                    || *code == SqlState::T_R_DEADLOCK_DETECTED =>
            {
                DbClass::Retry
            }
            // Ended by an administrator, a crash or a time limit; or connected to what is a replica now.
            Some(code)
                if matches!(code.code(), "57P01" | "57P02" | "57P05" | "25P03" | "25006") =>
            {
                DbClass::Lost
            }
            Some(code) if code.code().starts_with("08") => DbClass::Lost,
            Some(code) if matches!(&code.code()[..2], "53" | "57" | "58") => DbClass::Unavailable,
            Some(_) => DbClass::Other,
            None if error.is_closed() || is_io(&error) => DbClass::Lost,
            None => DbClass::Unavailable,
        };
        let message = error
            .as_db_error()
            .map_or_else(|| error.to_string(), ToString::to_string);
        Self { class, message }
    }
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(|cause| cause.is::<std::io::Error>())
}
