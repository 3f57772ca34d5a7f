//! Migrations: one dated list merged from the parts, applied in order at start.
//! A database that knows a migration this program does not is refused.

use std::collections::HashMap;

use kernel::{Error, Result};
use sha2::{Digest, Sha256};
use tokio_postgres::error::SqlState;

use crate::{Dialect, dialect, failure::DbError};

/// One change of the schema, owned by the part that owns the table.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// `<date>_<number>_<part>_<what>`; the order of application.
    pub name: &'static str,
    /// The statements, in the words `dialect` describes.
    pub sql: &'static str,
}

/// The store's own tables.
pub(crate) const OWN: &[Migration] = &[
    Migration {
        name: "20261121_0001_store",
        sql: include_str!("../migrations/20261121_0001_store.sql"),
    },
    Migration {
        name: "20261121_0011_store_answers",
        sql: include_str!("../migrations/20261121_0011_store_answers.sql"),
    },
];

/// A name in the advisory lock's key space: "tertulia" in ASCII.
const ADVISORY_LOCK: i64 = 0x7465_7274_756c_6961;

fn checksum(sql: &str) -> String {
    hex::encode(Sha256::digest(sql.as_bytes()))
}

/// The migrations still to be applied.
fn pending<'a>(
    all: &'a [Migration],
    applied: &HashMap<String, String>,
) -> Result<Vec<&'a Migration>> {
    let known: HashMap<&str, &Migration> = all.iter().map(|m| (m.name, m)).collect();
    for (name, sum) in applied {
        match known.get(name.as_str()) {
            None => {
                return Err(refused(format!(
                    "The database is newer than this program: it has the migration {name}, which \
                     this version does not know. Start the version that made it, or restore a \
                     backup from before."
                )));
            }
            Some(migration) if checksum(migration.sql) != *sum => {
                return Err(refused(format!(
                    "The migration {name} was applied to this database with another text. The \
                     program or the database has been altered; restore the matching version."
                )));
            }
            Some(_) => {}
        }
    }
    Ok(all
        .iter()
        .filter(|m| !applied.contains_key(m.name))
        .collect())
}

fn refused(sentence: String) -> Error {
    Error::new(kernel::codes::CONFLICT, sentence)
}

pub(crate) fn sorted(parts: &[&[Migration]]) -> Vec<Migration> {
    let mut all: Vec<Migration> = OWN
        .iter()
        .chain(parts.iter().copied().flatten())
        .copied()
        .collect();
    all.sort_by_key(|migration| migration.name);
    all
}

const TABLE: &str = "CREATE TABLE IF NOT EXISTS migrations (
    name text PRIMARY KEY, checksum text NOT NULL, applied_at text NOT NULL)";

/// Applies what is missing; answers how many migrations that were.
pub(crate) fn sqlite(connection: &mut rusqlite::Connection, all: &[Migration]) -> Result<usize> {
    let run = |connection: &mut rusqlite::Connection| -> rusqlite::Result<Result<usize>> {
        connection.execute_batch(TABLE)?;
        let applied = connection
            .prepare("SELECT name, checksum FROM migrations")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<HashMap<String, String>>>()?;
        let pending = match pending(all, &applied) {
            Ok(pending) => pending,
            Err(error) => return Ok(Err(error)),
        };
        for migration in &pending {
            let transaction = connection.transaction()?;
            transaction.execute_batch(&dialect::migration(Dialect::Sqlite, migration.sql))?;
            transaction.execute(
                "INSERT INTO migrations VALUES (?1, ?2, datetime('now'))",
                (migration.name, checksum(migration.sql)),
            )?;
            transaction.commit()?;
        }
        Ok(Ok(pending.len()))
    };
    run(connection).map_err(|error| DbError::from(error).into_error())?
}

/// Applies what is missing, one node at a time; answers how many that were.
pub(crate) async fn postgres(
    client: &mut tokio_postgres::Client,
    all: &[Migration],
) -> Result<usize> {
    client
        .execute("SELECT pg_advisory_lock($1)", &[&ADVISORY_LOCK])
        .await
        .map_err(failed)?;
    let result = apply_postgres(client, all).await;
    client
        .execute("SELECT pg_advisory_unlock($1)", &[&ADVISORY_LOCK])
        .await
        .map_err(failed)?;
    result
}

/// What people meet first: since PostgreSQL 15 only a database's owner makes tables in it.
fn failed(error: tokio_postgres::Error) -> Error {
    let denied = error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE);
    let error = DbError::from(error);
    if !denied {
        return error.into_error();
    }
    refused(
        "The database user may not make tables in this database. Let it own the database (ALTER DATABASE \
         ... OWNER TO ...), or grant it CREATE on the schema public."
            .to_owned(),
    )
    .caused_by(error)
}

async fn apply_postgres(client: &mut tokio_postgres::Client, all: &[Migration]) -> Result<usize> {
    client.batch_execute(TABLE).await.map_err(failed)?;
    let rows = client
        .query("SELECT name, checksum FROM migrations", &[])
        .await
        .map_err(failed)?;
    let applied = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let pending = pending(all, &applied)?;
    create_roles(client).await?;
    for migration in &pending {
        let transaction = client.transaction().await.map_err(failed)?;
        transaction
            .batch_execute(&dialect::migration(Dialect::Postgres, migration.sql))
            .await
            .map_err(failed)?;
        transaction
            .execute(
                "INSERT INTO migrations VALUES ($1, $2, now()::text)",
                &[&migration.name, &checksum(migration.sql)],
            )
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
    }
    if !pending.is_empty() {
        client.batch_execute(GRANTS).await.map_err(failed)?;
    }
    Ok(pending.len())
}

/// Rights to every table; what must never change (the ledger) is taken away
/// again by a trigger in the part that owns it.
const GRANTS: &str = "
    GRANT USAGE ON SCHEMA public TO tertulia_app, tertulia_system;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO tertulia_app, tertulia_system;
    REVOKE ALL ON migrations FROM tertulia_app, tertulia_system;
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO tertulia_app, tertulia_system;";

/// The application role is bound to a tenant by row-level security, the system
/// role is not. Roles belong to the whole PostgreSQL server, so they may exist.
async fn create_roles(client: &tokio_postgres::Client) -> Result<()> {
    const SQL: &str = "
        DO $$
        DECLARE wanted text;
        BEGIN
          PERFORM pg_advisory_xact_lock(8388608);
          FOREACH wanted IN ARRAY ARRAY['tertulia_app', 'tertulia_system'] LOOP
            IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = wanted) THEN
              BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
              EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
              END;
            END IF;
            IF NOT pg_has_role(current_user, wanted, 'SET') THEN
              EXECUTE format('GRANT %I TO %I WITH SET TRUE', wanted, current_user);
            END IF;
          END LOOP;
        END $$;";
    client.batch_execute(SQL).await.map_err(|error| {
        refused(
            "The database user cannot create the roles tertulia_app and tertulia_system. Give it \
             CREATEROLE, or create both roles and grant them to it."
                .to_owned(),
        )
        .caused_by(DbError::from(error))
    })
}
