//! Looks into a server's database from outside, for what no API shows: rows as
//! JSON objects, the same for both databases. For tests that check invariants;
//! what clients can see is asked over the API.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json, json};

/// A server's database, beside the server.
#[derive(Debug, Clone)]
pub enum Database {
    /// The file of the embedded database.
    Sqlite(PathBuf),
    /// A database's URL.
    Postgres(String),
}

impl Database {
    /// The rows of a query, columns by name. Ids are text with hyphens, amounts
    /// whole numbers, other bytes hexadecimal text; timestamps differ.
    ///
    /// # Panics
    /// When the database refuses the statement.
    pub async fn rows(&self, sql: &str) -> Vec<Json> {
        match self {
            Self::Sqlite(file) => sqlite_rows(&open(file), sql),
            Self::Postgres(url) => {
                let client = crate::postgres::connect(url).await;
                let sql = format!(
                    "SET ROLE tertulia_system;
                     SELECT coalesce(json_agg(looked_up), '[]')::text FROM ({sql}) looked_up"
                );
                let answer = client
                    .simple_query(&sql)
                    .await
                    .unwrap_or_else(|e| panic!("{sql}: {e:?}"));
                let text = answer.iter().find_map(|message| match message {
                    tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
                    _ => None,
                });
                serde_json::from_str(text.expect("one row")).expect("JSON")
            }
        }
    }

    /// The names of all tables with data, those of the embedded search index included.
    ///
    /// # Panics
    /// As [`Self::rows`].
    pub async fn tables(&self) -> Vec<String> {
        let sql = match self {
            Self::Sqlite(_) => "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name",
            Self::Postgres(_) => {
                "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
            }
        };
        let rows = self.rows(sql).await;
        let name = |row: &Json| row["name"].as_str().map(str::to_owned);
        let names = rows.iter().filter_map(name);
        // The schema's own list, which is the owner's alone.
        names.filter(|name| name != "migrations").collect()
    }

    /// The one number a query answers.
    ///
    /// # Panics
    /// When it is another answer.
    pub async fn number(&self, sql: &str) -> i64 {
        let rows = self.rows(sql).await;
        let row = rows.first().and_then(Json::as_object).expect("a row");
        row.values()
            .next()
            .and_then(Json::as_i64)
            .unwrap_or_else(|| panic!("{sql}: {row:?}"))
    }

    /// Changes what no API can. Only while no server uses the database.
    ///
    /// # Panics
    /// When the database refuses it.
    pub async fn execute(&self, sql: &str) {
        match self {
            Self::Sqlite(file) => open(file).execute_batch(sql).expect(sql),
            Self::Postgres(url) => {
                let client = crate::postgres::connect(url).await;
                let sql = format!("SET ROLE tertulia_system; {sql}");
                client
                    .batch_execute(&sql)
                    .await
                    .unwrap_or_else(|e| panic!("{sql}: {e:?}"));
            }
        }
    }

    /// How an id is written in a statement.
    #[must_use]
    pub fn id(&self, id: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("x'{}'", id.replace('-', "")),
            Self::Postgres(_) => format!("'{id}'::uuid"),
        }
    }

    /// A copy of the embedded database as a crash left it, log file included,
    /// without touching what the next start will find. PostgreSQL is itself.
    ///
    /// # Panics
    /// When it cannot be copied.
    #[must_use]
    pub fn as_left(&self, into: &Path) -> Self {
        let Self::Sqlite(file) = self else {
            return self.clone();
        };
        let copy = into.join("left.db");
        std::fs::copy(file, &copy).expect("the database file");
        let beside = |file: &Path, end: &str| PathBuf::from(format!("{}{end}", file.display()));
        if beside(file, "-wal").exists() {
            std::fs::copy(beside(file, "-wal"), beside(&copy, "-wal")).expect("its log file");
        } else {
            let _ = std::fs::remove_file(beside(&copy, "-wal"));
        }
        let _ = std::fs::remove_file(beside(&copy, "-shm"));
        Self::Sqlite(copy)
    }
}

fn open(file: &Path) -> rusqlite::Connection {
    assert!(file.exists(), "no database at {}", file.display());
    let connection = rusqlite::Connection::open(file).expect("the database opens");
    connection
        .busy_timeout(std::time::Duration::from_secs(20))
        .expect("a time-out");
    connection
}

fn sqlite_rows(connection: &rusqlite::Connection, sql: &str) -> Vec<Json> {
    let mut statement = connection
        .prepare(sql)
        .unwrap_or_else(|e| panic!("{sql}: {e}"));
    let names: Vec<String> = statement.column_names().map(ToString::to_string).collect();
    let mut rows = statement.query([]).expect(sql);
    let mut out = Vec::new();
    while let Some(row) = rows.next().expect(sql) {
        let mut object = Map::new();
        for (at, name) in names.iter().enumerate() {
            let value = row.get_ref(at).expect("a column");
            object.insert(name.clone(), as_json(value));
        }
        out.push(Json::Object(object));
    }
    out
}

fn as_json(value: rusqlite::types::ValueRef<'_>) -> Json {
    use rusqlite::types::ValueRef as V;
    match value {
        V::Null => Json::Null,
        V::Integer(n) => json!(n),
        V::Real(x) => json!(x),
        V::Text(text) => json!(String::from_utf8_lossy(text)),
        V::Blob(bytes) => match uuid::Uuid::from_slice(bytes) {
            Ok(id) => json!(id.to_string()),
            Err(_) => json!(bytes.iter().map(|b| format!("{b:02x}")).collect::<String>()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backend, PostgresDatabase};

    const ID: &str = "0190f3a0-0000-7000-8000-000000000000";

    crate::on_both! {
        /// One way to look at both.
        async fn rows_are_alike(backend) {
            let directory = tempfile::tempdir().unwrap();
            let made = match backend {
                Backend::Sqlite => None,
                Backend::Postgres => Some(PostgresDatabase::empty().await),
            };
            let database = match &made {
                None => {
                    let file = directory.path().join("x.db");
                    rusqlite::Connection::open(&file).unwrap();
                    Database::Sqlite(file)
                }
                Some(made) => Database::Postgres(made.url()),
            };
            let id = database.id(ID);
            let rows = match &made {
                None => database.rows(&format!("SELECT {id} AS id, 7 AS n, 'a' AS t, NULL AS x")).await,
                // The role that sees every tenant comes with the first migration.
                Some(made) => {
                    let client = crate::postgres::connect(&made.url()).await;
                    let sql = format!("SELECT to_json(r)::text FROM (SELECT {id} AS id, 7 AS n, 'a' AS t, NULL AS x) r");
                    let row = client.query_one(&sql, &[]).await.unwrap();
                    vec![serde_json::from_str(row.get(0)).unwrap()]
                }
            };
            assert_eq!(rows, [json!({"id": ID, "n": 7, "t": "a", "x": null})]);
        }
    }
}
