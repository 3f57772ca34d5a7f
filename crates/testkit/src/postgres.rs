//! A PostgreSQL database for one test: made from a migrated template, dropped
//! at the end. The server is the one `scripts/test-services` started.

use std::process::Command;

use tokio_postgres::{Client, NoTls};

use crate::{POSTGRES_URL, binary};

/// Databases are made and dropped one at a time: `"testkit!"` in ASCII.
const ADVISORY_LOCK: i64 = 0x7465_7374_6b69_7421;

/// A database of its own; dropped with this value.
#[derive(Debug)]
pub struct PostgresDatabase {
    name: String,
    server: String,
}

impl PostgresDatabase {
    /// An empty database (with the extension `vector`).
    ///
    /// # Panics
    /// When PostgreSQL is missing or refuses.
    pub async fn empty() -> Self {
        Self::create(None).await
    }

    /// As [`Self::empty`], or `None` where there is no PostgreSQL and need not be.
    ///
    /// # Panics
    /// When PostgreSQL is missing and required, or refuses.
    pub async fn if_here() -> Option<Self> {
        match crate::postgres_server() {
            Some(_) => Some(Self::empty().await),
            None => None,
        }
    }

    /// A database with every table of the program. The first caller makes the
    /// template, by the program's own `migrate`.
    ///
    /// # Panics
    /// As [`Self::empty`].
    pub async fn migrated() -> Self {
        Self::create(Some(binary())).await
    }

    async fn create(program: Option<std::path::PathBuf>) -> Self {
        let server = server_url();
        let client = connect(&server).await;
        client
            .execute("SELECT pg_advisory_lock($1)", &[&ADVISORY_LOCK])
            .await
            .expect("the lock around databases");
        let template = match program {
            Some(program) => template(&client, &server, &program).await,
            None => "template1".to_owned(),
        };
        let name = format!(
            "test_{}_{}",
            std::process::id(),
            since_1970(std::time::SystemTime::now())
        );
        copy(&client, &name, &template).await;
        // The lock ends with the connection.
        Self { name, server }
    }

    /// Where clients find it.
    #[must_use]
    pub fn url(&self) -> String {
        with_database(&self.server, &self.name)
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // In a thread of its own, because a runtime may be running in this one.
        let dropped = std::thread::spawn(move || {
            crate::run(async move {
                let client = connect(&server).await;
                let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                if let Err(error) = client.batch_execute(&sql).await {
                    eprintln!("the test's database {name} stays behind: {error}");
                }
            });
        });
        let _ = dropped.join();
    }
}

fn since_1970(time: std::time::SystemTime) -> u128 {
    time.duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos()
}

fn server_url() -> String {
    std::env::var(POSTGRES_URL)
        .unwrap_or_else(|_| panic!("{POSTGRES_URL} is not set; see scripts/test-services"))
}

fn with_database(server: &str, name: &str) -> String {
    let (before, _) = server.rsplit_once('/').expect("a URL with a database");
    format!("{before}/{name}")
}

pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .expect("PostgreSQL answers");
    tokio::spawn(connection);
    client
}

async fn copy(client: &Client, name: &str, template: &str) {
    let sql = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy");
    client
        .batch_execute(&sql)
        .await
        .expect("a database for the test");
}

/// The migrated template of this build of the program; those of others are dropped.
async fn template(client: &Client, server: &str, program: &std::path::Path) -> String {
    const PREFIX: &str = "template_of_tests_";
    let file = std::fs::metadata(program).expect("the program");
    let built = since_1970(file.modified().expect("a file time"));
    let name = format!("{PREFIX}{:x}_{built:x}", file.len());
    let there: Vec<String> = client
        .query(
            "SELECT datname FROM pg_database WHERE starts_with(datname, $1)",
            &[&PREFIX],
        )
        .await
        .expect("the list of databases")
        .iter()
        .map(|row| row.get(0))
        .collect();
    if there.contains(&name) {
        return name;
    }
    for old in there {
        let _ = client
            .batch_execute(&format!("DROP DATABASE {old} WITH (FORCE)"))
            .await;
    }
    let raw = format!("{PREFIX}new");
    copy(client, &raw, "template1").await;
    let home = tempfile::tempdir().expect("a directory");
    let mut migrate = Command::new(program);
    crate::program::clean(&mut migrate, home.path());
    migrate
        .arg("migrate")
        .env("TERTULIA__DATABASE__URL", with_database(server, &raw))
        .env("TERTULIA__SERVER__DATA_DIR", home.path());
    let done = migrate.output().expect("the program runs");
    assert!(
        done.status.success(),
        "`tertulia migrate` failed: {}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    client
        .batch_execute(&format!("ALTER DATABASE {raw} RENAME TO {name}"))
        .await
        .expect("the template gets its name");
    name
}
