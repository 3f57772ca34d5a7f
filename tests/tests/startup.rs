//! Starting and stopping: configuration errors, a port or a data directory in
//! use, the first administrator, what a restart keeps.

use std::os::unix::fs::PermissionsExt;

use testkit::{Backend, Started, TestServer, on_both, output_of, run, tertulia};

/// Runs `tertulia serve` with this configuration; it must refuse. Answers what it says.
async fn refused(config: &str, env: &[(&str, &str)]) -> String {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("tertulia.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = tertulia(home.path());
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--config"])
        .arg(&file);
    command.arg("--data-dir").arg(home.path().join("data"));
    command.envs(env.iter().copied());
    let output = output_of(command).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it started with {config}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[test]
fn a_bad_configuration_is_refused_with_a_sentence_that_names_the_key() {
    run(async {
        for (config, key) in [
            ("[server]\nlistn = \"x\"", "listn"),
            ("[sever]\nlisten = \"x\"", "sever"),
            ("[runs]\nlease = \"ten\"", "lease"),
            ("[accounting]\nsignup_grant = -1", "signup_grant"),
            ("[accounting]\nsignup_grant = \"many\"", "signup_grant"),
            ("[database]\nurl = \"mysql://x\"", "database.url"),
            ("[security]\naccess_ttl = 15", "access_ttl"),
            (
                "[[models]]\nid = \"m\"\ncontext_window = 100\ndeployments = [{provider = \"nobody\"}]",
                "nobody",
            ),
            ("[[providers]]\nnam = \"x\"", "nam"),
        ] {
            let said = refused(config, &[]).await;
            assert!(said.contains(key), "{config}: {said}");
        }
        let said = refused("", &[("TERTULIA__RUNS__LEASE", "soon")]).await;
        assert!(said.to_lowercase().contains("lease"), "{said}");
        let said = refused("", &[("TERTULIA__RUNS__LEESE", "5s")]).await;
        assert!(said.to_lowercase().contains("leese"), "{said}");
        let said = refused("not toml at all [", &[]).await;
        assert!(said.contains("tertulia.toml"), "{said}");
    });
}

#[test]
fn a_configuration_file_that_is_not_there_is_named() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let mut command = tertulia(home.path());
        command.args(["serve", "--config", "no-such-file.toml"]);
        let output = output_of(command).await;
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("no-such-file.toml"));
    });
}

#[test]
fn a_port_in_use_is_said() {
    run(async {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let home = tempfile::tempdir().unwrap();
        let mut command = tertulia(home.path());
        command
            .args(["serve", "--listen", &address, "--data-dir"])
            .arg(home.path().join("data"));
        let output = output_of(command).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(said.contains(&address) && said.contains("in use"), "{said}");
        // The first start that succeeds prints the administrator's password all the same.
        drop(taken);
        let mut command = tertulia(home.path());
        command
            .args(["serve", "--listen", &address, "--data-dir"])
            .arg(home.path().join("data"));
        let (said, _) = started_once(&mut command).await;
        let kept = std::fs::read_to_string(home.path().join("data/admin-password")).unwrap();
        let password = kept.split_whitespace().last().unwrap();
        assert!(said.contains(password), "{said}");
    });
}

#[test]
fn a_data_directory_in_use_is_refused_and_nothing_is_hurt() {
    run(async {
        let server = TestServer::start(Backend::Sqlite, |_| {}).await;
        let ana = server.user("ana").await;
        let mut command = tertulia(server.scratch());
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(server.data_dir());
        let output = output_of(command).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(
            said.contains("data directory") && said.contains("using"),
            "{said}"
        );
        ana.get("/auth/me").await.is(200);
    });
}

#[test]
fn a_database_from_the_future_is_refused() {
    run(async {
        let mut server = TestServer::start(Backend::Sqlite, |_| {}).await;
        assert!(server.terminate().await.success());
        let sql = "INSERT INTO migrations VALUES ('20991231_9999_future', 'x', 'then')";
        server.database().execute(sql).await;
        assert!(matches!(server.launch(None).await, Started::Exited(_)));
        assert!(
            server.log().contains("20991231_9999_future"),
            "{}",
            server.log()
        );
        assert!(server.log().contains("newer"), "{}", server.log());
    });
}

#[test]
fn the_first_administrator_gets_a_password_that_is_printed_once_and_kept() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        // Without the two variables: started by hand, stopped as soon as it listens.
        let mut command = tertulia(home.path());
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(&data);
        let (said, _) = started_once(&mut command).await;
        let kept: Vec<_> = std::fs::read_dir(&data)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                path.file_name()
                    .unwrap()
                    .to_string_lossy()
                    .contains("admin")
            })
            .filter(|path| path.is_file())
            .collect();
        assert_eq!(kept.len(), 1, "{kept:?}");
        let mode = std::fs::metadata(&kept[0]).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let password = std::fs::read_to_string(&kept[0]).unwrap();
        let password = password.split_whitespace().last().expect("a password");
        assert!(said.contains(password), "it is printed once");
        // The second start says nothing of it.
        let mut command = tertulia(home.path());
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(&data);
        let (said, _) = started_once(&mut command).await;
        assert!(!said.contains(password));
    });
}

/// Starts the program, waits until it listens, stops it; answers all it said.
async fn started_once(command: &mut std::process::Command) -> (String, bool) {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
    command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let command = std::mem::replace(command, std::process::Command::new("true"));
    let mut child = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        said.push_str(&line);
        said.push('\n');
        if line.starts_with("listening on ") {
            break;
        }
    }
    let id = child.id().unwrap().to_string();
    assert!(
        std::process::Command::new("kill")
            .arg(id)
            .status()
            .unwrap()
            .success()
    );
    let mut errors = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut errors)
        .await
        .unwrap();
    let status = child.wait().await.unwrap();
    (said + &errors, status.success())
}

#[test]
fn the_configuration_is_printed_with_secrets_masked() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("tertulia.toml");
        let config = "[[providers]]\nname = \"mine\"\nbase_url = \"http://127.0.0.1:9/v1\"\n\
                      api_key = \"sk-in-the-file\"\n[database]\nurl = \"postgres://me:hunter2secret@db/x\"\n";
        std::fs::write(&file, config).unwrap();
        let mut command = tertulia(home.path());
        command.arg("config").arg("--config").arg(&file);
        command
            .env("TERTULIA__RUNS__LEASE", "7s")
            .env("OPENAI_API_KEY", "sk-in-the-environment");
        let output = output_of(command).await;
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let parsed: toml::Table = said.parse().unwrap_or_else(|e| panic!("{e}: {said}"));
        assert_eq!(parsed["runs"]["lease"].as_str(), Some("7s"));
        for secret in ["sk-in-the-file", "sk-in-the-environment", "hunter2secret"] {
            assert!(!said.contains(secret), "{secret} in {said}");
        }
    });
}

on_both! {
    /// SIGTERM ends it well, and the next start finds everything: accounts,
    /// sign-ins, conversations.
    async fn a_restart_keeps_everything(backend) {
        let mut server = TestServer::start(backend, |setup| {
            setup.add(crate::world::MODEL_WITHOUT_UPSTREAM);
        })
        .await;
        let ana = server.user("ana").await;
        let id = ana.conversation(crate::world::MODEL).await;
        let before = ana.balance().await;
        assert!(server.terminate().await.success(), "{}", server.log());
        server.restart().await;
        ana.get("/auth/me").await.is(200);
        ana.get(&format!("/sessions/{id}")).await.is(200);
        assert_eq!(ana.balance().await, before);
        let body = serde_json::json!({"refresh_token": ana.tokens["refresh_token"]});
        ana.post("/auth/refresh", body).await.is(200);
    }

    /// `migrate` brings a database up and can be run again.
    async fn migrate_can_be_run_again(backend) {
        let server = TestServer::prepared(backend, |_| {}).await;
        for _ in 0..2 {
            let mut command = tertulia(server.scratch());
            command.arg("migrate").arg("--data-dir").arg(server.data_dir());
            if let testkit::Database::Postgres(url) = server.database() {
                command.env("TERTULIA__DATABASE__URL", url);
            }
            let output = output_of(command).await;
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
