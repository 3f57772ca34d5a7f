//! The real server as a process of its own: started on a private data directory
//! and a free port, its output kept, killed at the latest when it is dropped.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    Backend, Client, Database, Fault, PostgresDatabase, Setup, User,
    client::{Base, PASSWORD},
    process::Process,
    program::{START, binary, clean, output_with},
};

/// How a start ended.
#[derive(Debug)]
pub enum Started {
    /// The server says where it listens.
    Listening,
    /// The process ended before.
    Exited(ExitStatus),
}

/// A running server with its data; everything goes when it is dropped.
#[derive(Debug)]
pub struct TestServer {
    process: Option<Process>,
    setup: Setup,
    base: Base,
    database: Database,
    directory: tempfile::TempDir,
    /// Everything the processes have said so far on their standard error.
    log: Arc<Mutex<String>>,
    /// Dropped last, when nothing uses it any more.
    postgres: Option<Arc<PostgresDatabase>>,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.child.kill();
            process.finish();
        }
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(6_000);
            let from = (from..log.len())
                .find(|at| log.is_char_boundary(*at))
                .unwrap_or(0);
            eprintln!("--- the server's log, its end ---\n{}\n---", &log[from..]);
        }
    }
}

impl TestServer {
    /// Starts a server on new data.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(backend: Backend, configure: impl FnOnce(&mut Setup)) -> Self {
        let mut server = Self::prepared(backend, configure).await;
        match server.launch(None).await {
            Started::Listening => server,
            Started::Exited(status) => {
                panic!("the server did not start ({status}): {}", server.log())
            }
        }
    }

    /// Everything but the process.
    ///
    /// # Panics
    /// When there is no program or no database.
    pub async fn prepared(backend: Backend, configure: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup::new(backend);
        configure(&mut setup);
        let directory = tempfile::tempdir().expect("a directory");
        let (database, postgres) = match backend {
            Backend::Sqlite => (
                Database::Sqlite(directory.path().join("data/tertulia.db")),
                None,
            ),
            Backend::Postgres => {
                let made = PostgresDatabase::migrated().await;
                (Database::Postgres(made.url()), Some(Arc::new(made)))
            }
        };
        if let Database::Postgres(url) = &database {
            setup.set("database.url", url.as_str());
        }
        Self {
            process: None,
            setup,
            base: Base::new(String::new()),
            database,
            directory,
            log: Arc::default(),
            postgres,
        }
    }

    /// A second node on the same PostgreSQL, with a data directory of its own.
    ///
    /// # Panics
    /// On SQLite, which one process uses; when it does not start.
    pub async fn another(&self, configure: impl FnOnce(&mut Setup)) -> Self {
        let postgres = Some(self.postgres.clone().expect("nodes share a PostgreSQL"));
        let mut setup = self.setup.clone();
        configure(&mut setup);
        let mut server = Self {
            process: None,
            setup,
            base: Base::new(String::new()),
            database: self.database.clone(),
            directory: tempfile::tempdir().expect("a directory"),
            log: Arc::default(),
            postgres,
        };
        let started = server.launch(None).await;
        assert!(
            matches!(started, Started::Listening),
            "{started:?}: {}",
            server.log()
        );
        server
    }

    /// Starts the process (again), with a fault or not.
    ///
    /// # Panics
    /// When it neither listens nor ends within a minute.
    pub async fn launch(&mut self, fault: Option<Fault>) -> Started {
        assert!(self.process.is_none(), "the server runs already");
        let mut process = self.spawn(fault);
        let begun = Instant::now();
        loop {
            let url = process.listening.borrow_and_update().clone();
            if let Some(url) = url {
                self.base.set(url);
                self.process = Some(process);
                return Started::Listening;
            }
            if process.listening.changed().await.is_err() {
                // Its standard output is closed: it has ended, or is about to.
                let said = process.listening.borrow().clone();
                if said.is_none() {
                    let status = tokio::task::spawn_blocking(|| process.finish());
                    return Started::Exited(status.await.expect("a status"));
                }
            }
            assert!(
                begun.elapsed() < START,
                "no start within {START:?}: {}",
                self.log()
            );
        }
    }

    fn spawn(&self, fault: Option<Fault>) -> Process {
        let config = self.directory.path().join("tertulia.toml");
        std::fs::write(&config, self.setup.config.to_string()).expect("the configuration file");
        let mut command = match self.setup.shell {
            None => Command::new(binary()),
            Some(first) => {
                let mut shell = Command::new("sh");
                let becomes = format!("{first}; exec \"$0\" \"$@\"");
                shell.args(["-c", &becomes]).arg(binary());
                shell
            }
        };
        clean(&mut command, self.directory.path());
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(&config)
            .arg("--data-dir")
            .arg(self.data_dir())
            .args(&self.setup.args)
            .args(self.setup.roles.iter().flat_map(|roles| ["--roles", roles]))
            .env("TERTULIA_ADMIN_EMAIL", ADMIN)
            .env("TERTULIA_ADMIN_PASSWORD", PASSWORD)
            .envs(self.setup.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        if let Some(Fault { point, count }) = fault {
            command.env("TERTULIA_FAULT", format!("{point}=abort@{count}"));
        }
        Process::start(command, &self.log)
    }

    /// Ends the process at once, as a power cut would for it.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn kill9(&mut self) {
        let mut process = self.process.take().expect("a running server");
        let _ = process.child.kill();
        tokio::task::spawn_blocking(|| process.finish())
            .await
            .expect("a status");
    }

    /// Asks the process to end (SIGTERM); answers how it did.
    ///
    /// # Panics
    /// When it does not end within a minute.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        let status = self.exited(Duration::from_secs(60)).await;
        status.unwrap_or_else(|| panic!("no end after SIGTERM: {}", self.log()))
    }

    /// Sends a signal and does not wait.
    ///
    /// # Panics
    /// When the server does not run.
    pub fn signal(&self, name: &str) {
        let id = self.process.as_ref().expect("a running server").child.id();
        let sent = Command::new("kill")
            .args(["-s", name, &id.to_string()])
            .status();
        assert!(sent.expect("kill").success(), "no signal could be sent");
    }

    /// Waits for the process to end by itself; `None` if it does not in time.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn exited(&mut self, patience: Duration) -> Option<ExitStatus> {
        let mut process = self.process.take().expect("a running server");
        // Its output closes when it ends.
        let closed = async { while process.listening.changed().await.is_ok() {} };
        if tokio::time::timeout(patience, closed).await.is_err() {
            self.process = Some(process);
            return None;
        }
        Some(
            tokio::task::spawn_blocking(|| process.finish())
                .await
                .expect("a status"),
        )
    }

    /// Starts again on the same data, after an end of whatever kind.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self) {
        if self.process.is_some() {
            self.terminate().await;
        }
        let started = self.launch(None).await;
        assert!(
            matches!(started, Started::Listening),
            "{started:?}: {}",
            self.log()
        );
    }

    /// Changes the configuration for the next start.
    pub fn reconfigure(&mut self, configure: impl FnOnce(&mut Setup)) {
        configure(&mut self.setup);
    }

    /// Whether the process runs, as far as is known.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.process
            .as_mut()
            .is_some_and(|process| matches!(process.child.try_wait(), Ok(None)))
    }

    /// The process's id.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.as_ref().expect("a running server").child.id()
    }

    /// A client that has not signed in. It finds the server again after a restart.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.base.clone())
    }

    /// The first administrator, signed in.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn admin(&self) -> User {
        self.client().sign_in(ADMIN, PASSWORD).await
    }

    /// A new account with this much more than the grant (none: 0), signed in.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn user(&self, name: &str) -> User {
        self.client().register(name).await
    }

    /// Gives credits to an account.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn allocate(&self, admin: &Client, user: &User, amount: f64) {
        let body = json!({"target_user_id": user.id, "amount": amount});
        admin.post("/credits/allocate", body).await.ok(200);
    }

    /// Everything the processes have said so far.
    ///
    /// # Panics
    /// When a reader of the output has panicked.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    /// Fails when the log holds one of these, or a password of the tests.
    ///
    /// # Panics
    /// When it does.
    pub fn assert_not_logged(&self, secrets: &[&str]) {
        let log = self.log();
        for secret in secrets.iter().chain(&[PASSWORD]) {
            assert!(secret.len() >= 8, "too short to look for: {secret}");
            let line = log.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "a secret is in the log: {line:?}");
        }
    }

    /// Looks into the database.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A directory of the test's own, beside the data.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.directory.path()
    }

    /// Runs the program with other arguments in this server's surroundings.
    ///
    /// # Panics
    /// When it cannot be run.
    pub async fn tertulia(&self, args: &[&str]) -> Output {
        self.tertulia_with(args, "").await
    }

    /// The same with this on its standard input.
    ///
    /// # Panics
    /// When it cannot be run.
    pub async fn tertulia_with(&self, args: &[&str], input: &str) -> Output {
        let config = self.directory.path().join("tertulia.toml");
        let mut command = Command::new(binary());
        clean(&mut command, self.directory.path());
        command
            .args(args)
            .env("TERTULIA_CONFIG", &config)
            .env("TERTULIA__SERVER__DATA_DIR", self.data_dir());
        output_with(command, input).await
    }
}

/// The first administrator's email.
const ADMIN: &str = "admin@example.org";
