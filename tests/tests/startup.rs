//! Starting and stopping: configuration errors, a port or a data directory in
//! use, the first administrator, what a restart keeps.

use std::{os::unix::fs::PermissionsExt, process::Command, time::Duration};

use testkit::{Backend, Database, Started, TestServer, on_both, output_of, run, tertulia};

use crate::{
    invariants,
    world::{MODEL, World, eventually, messages},
};

/// Runs `tertulia serve` and `tertulia config` with this configuration; both must refuse with the
/// same sentence. Answers it.
async fn refused(config: &str, env: &[(&str, &str)]) -> String {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("tertulia.toml");
    std::fs::write(&file, config).unwrap();
    let mut sentences = Vec::new();
    for verb in ["serve", "config"] {
        let mut command = tertulia(home.path());
        command.arg(verb).arg("--config").arg(&file);
        command.arg("--data-dir").arg(home.path().join("data"));
        command.envs(env.iter().copied());
        let output = output_of(command).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{verb} takes {config}: {said}");
        assert!(output.stdout.is_empty(), "{config}");
        assert_eq!(said.lines().count(), 1, "one sentence: {said}");
        // What the program is written in is nobody's business.
        for word in [
            "panicked",
            "invalid type",
            "found string",
            " u32",
            " u64",
            "usize",
            "struct ",
            "\"friendly\"",
        ] {
            assert!(!said.contains(word), "{config}: {said}");
        }
        sentences.push(said);
    }
    assert_eq!(sentences[0], sentences[1]);
    assert!(
        !home.path().join("data").exists(),
        "nothing was made for {config}"
    );
    sentences.swap_remove(0)
}

/// The program with other arguments, on a server's data and without its configuration.
fn program(place: &TestServer, args: &[&str]) -> Command {
    let mut command = tertulia(place.scratch());
    command.args(args).arg("--data-dir").arg(place.data_dir());
    if let Database::Postgres(url) = place.database() {
        command.env("TERTULIA__DATABASE__URL", url);
    }
    command
}

fn serve(place: &TestServer, address: &str) -> Command {
    program(place, &["serve", "--listen", address])
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
            ("[server]\nlisten = \"8080\"", "`server.listen`"),
            ("[server]\nmax_body = \"1 MB\"", "`server.max_body`"),
            (
                "[database]\nurl = \"postgres://a@b/c?sslmode=require\"",
                "database.url",
            ),
            ("[local]\nthreads = 9000", "[local] threads"),
            (
                "[[providers]]\nname = \"mine\"\nbase_url = \"somewhere\"",
                "base_url is not a URL",
            ),
            (
                "[[providers]]\nname = \"mine\"\napi_key_env = \"NO_SUCH_KEY\"",
                "NO_SUCH_KEY",
            ),
            ("[log]\nfilter = \"info,runs=loud\"", "`log.filter`"),
            // Words that are no level would silence everything.
            ("[log]\nfilter = \"warning\"", "`log.filter`"),
            ("[log]\nfilter = \"\"", "`log.filter`"),
            (
                "[server]\npublic_url = \"chat.example.org\"",
                "`server.public_url`",
            ),
            (
                "[security.lockout]\nattempts = 0",
                "`security.lockout.attempts`",
            ),
            ("[database]\nreaders = 5000", "`database.readers`"),
            (
                "[conversations]\nmax_per_account = 0",
                "`conversations.max_per_account` must be at least 1",
            ),
        ] {
            let said = refused(config, &[]).await;
            assert!(said.contains(key), "{config}: {said}");
        }
        for (name, value, key) in [
            ("TERTULIA__RUNS__LEASE", "soon", "`runs.lease`"),
            ("TERTULIA__RUNS__LEESE", "5s", "`runs.leese`"),
            ("TERTULIA__RUNS_LEASE", "5s", "`runs_lease`"),
            ("TERTULIA__SEVER__LISTEN", "127.0.0.1:0", "`sever`"),
            ("TERTULIA__SERVER__MAX_BODY", "much", "`server.max_body`"),
            ("TERTULIA__MODELS__DIR", "5", "`local.models_dir`"),
            ("TERTULIA__SERVER", "5", "`server`"),
            ("TERTULIA_LOG", "info,runs=loud", "`TERTULIA_LOG`"),
            ("TERTULIA_LOG", "warning", "`TERTULIA_LOG`"),
            ("RUST_LOG", "verbose", "`RUST_LOG`"),
        ] {
            let said = refused("[runs]\nlease = \"5s\"", &[(name, value)]).await;
            assert!(said.contains(key) && said.contains(name), "{name}: {said}");
        }
        let said = refused("[runs]\nlease = \"5s\"\nnot toml at all [", &[]).await;
        assert!(said.contains("tertulia.toml is not TOML: line 3"), "{said}");
    });
}

/// As compose files have them when nobody gave a value.
#[test]
fn an_empty_variable_is_one_that_is_not_set() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let mut command = tertulia(home.path());
        command.arg("config");
        for name in [
            "TERTULIA_CONFIG",
            "TERTULIA_LOG",
            "RUST_LOG",
            "OPENAI_API_KEY",
        ] {
            command.env(name, "");
        }
        let output = output_of(command).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{said}");
        // One that names a file is read, and an argument goes before it.
        let file = |name: &str, lease: &str| {
            let file = home.path().join(name);
            std::fs::write(&file, format!("[runs]\nlease = \"{lease}\"")).unwrap();
            file
        };
        let (one, other) = (file("one.toml", "7s"), file("other.toml", "9s"));
        for (argument, lease) in [(None, "7s"), (Some(other), "9s")] {
            let mut command = tertulia(home.path());
            command.arg("config").env("TERTULIA_CONFIG", &one);
            if let Some(file) = argument {
                command.arg("--config").arg(file);
            }
            let output = output_of(command).await;
            let shown: toml::Table = String::from_utf8_lossy(&output.stdout).parse().unwrap();
            assert_eq!(shown["runs"]["lease"].as_str(), Some(lease));
        }
    });
}

#[test]
fn an_argument_that_is_no_address_is_refused_before_anything_is_made() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        for address in ["bad", "127.0.0.1:99999", ":8080", ""] {
            let mut command = tertulia(home.path());
            command.args(["serve", "--listen", address]);
            command.arg("--data-dir").arg(&data);
            let output = output_of(command).await;
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success());
            assert!(said.contains("--listen"), "{said}");
            assert_eq!(said.lines().count(), 1, "one sentence: {said}");
            assert!(!data.exists(), "nothing was made for {address}");
        }
    });
}

#[test]
fn a_variable_that_only_looks_like_a_key_is_told() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let mut command = tertulia(home.path());
        command
            .arg("config")
            .env("TERTULIA_SERVER_LISTEN", "0.0.0.0:80")
            .env("TERTULIA_ADMIN_PASSWORD", "a long password")
            .env("TERTULIA_SERVICE_HOST", "10.0.0.7");
        let output = output_of(command).await;
        assert!(output.status.success());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(
            said.contains("TERTULIA_SERVER_LISTEN") && said.contains("TERTULIA__SERVER__LISTEN"),
            "{said}"
        );
        let server = TestServer::start(Backend::Sqlite, |setup| {
            setup.env("TERTULIA_RUNS_LEASE", "5s");
        })
        .await;
        assert!(
            server.log().contains("TERTULIA__RUNS__LEASE"),
            "{}",
            server.log()
        );
    });
}

#[test]
fn a_damaged_database_file_is_named_and_left_alone() {
    run(async {
        let mut server = TestServer::start(Backend::Sqlite, |_| {}).await;
        assert!(server.terminate().await.success());
        let file = server.data_dir().join("tertulia.db");
        let whole = std::fs::read(&file).unwrap();
        let mut holed = whole.clone();
        holed[4096..40_000].fill(0);
        for bytes in [
            b"something else entirely".to_vec(),
            whole[..9000].to_vec(),
            holed,
        ] {
            std::fs::write(&file, &bytes).unwrap();
            for verb in ["serve", "migrate"] {
                let output = server.tertulia(&[verb]).await;
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(!output.status.success());
                let mut sentences = said.lines().filter(|line| line.starts_with("tertulia: "));
                let sentence = sentences.next_back().unwrap_or_else(|| panic!("{said}"));
                assert!(
                    sentence.contains(&file.display().to_string()) && sentence.contains("backup"),
                    "{said}"
                );
                assert!(!said.contains("panicked"), "{said}");
                assert_eq!(std::fs::read(&file).unwrap(), bytes);
            }
        }
        // The way back that the sentence names.
        std::fs::write(&file, whole).unwrap();
        server.restart().await;
        server.user("ana").await;
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

on_both! {
    async fn a_port_in_use_is_said(backend) {
        let place = TestServer::prepared(backend, |_| {}).await;
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let output = output_of(serve(&place, &address)).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(said.contains(&address) && said.contains("in use"), "{said}");
        // The first start that succeeds prints the administrator's password all the same.
        drop(taken);
        let (said, _) = started_once(&mut serve(&place, "127.0.0.1:0")).await;
        let kept = std::fs::read_to_string(place.data_dir().join("admin-password")).unwrap();
        let password = kept.split_whitespace().last().unwrap();
        assert!(said.contains(password), "{said}");
    }

    async fn a_data_directory_in_use_is_refused_and_nothing_is_hurt(backend) {
        let server = TestServer::start(backend, |_| {}).await;
        let ana = server.user("ana").await;
        let output = output_of(serve(&server, "127.0.0.1:0")).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(said.contains("data directory") && said.contains("using"), "{said}");
        ana.get("/auth/me").await.is(200);
        // Its socket is still its own, too.
        let given = server.tertulia(&["admin", "allocate", &ana.email, "1"]).await;
        assert!(given.status.success(), "{}", String::from_utf8_lossy(&given.stderr));
    }

    async fn a_database_from_the_future_is_refused(backend) {
        let mut server = TestServer::start(backend, |_| {}).await;
        assert!(server.terminate().await.success());
        let sql = "INSERT INTO migrations VALUES ('20991231_9999_future', 'x', 'then')";
        let as_owner = match backend {
            Backend::Sqlite => sql.to_owned(),
            Backend::Postgres => format!("RESET ROLE; {sql}"),
        };
        server.database().execute(&as_owner).await;
        assert!(matches!(server.launch(None).await, Started::Exited(_)));
        assert!(server.log().contains("20991231_9999_future"), "{}", server.log());
        assert!(server.log().contains("newer"), "{}", server.log());
    }

    async fn the_first_administrator_gets_a_password_that_is_printed_once_and_kept(backend) {
        // Without the two variables: started by hand, stopped as soon as it listens.
        let place = TestServer::prepared(backend, |_| {}).await;
        let (said, _) = started_once(&mut serve(&place, "127.0.0.1:0")).await;
        let kept: Vec<_> = std::fs::read_dir(place.data_dir())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_string_lossy().contains("admin"))
            .filter(|path| path.is_file())
            .collect();
        assert_eq!(kept.len(), 1, "{kept:?}");
        let mode = std::fs::metadata(&kept[0]).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let password = std::fs::read_to_string(&kept[0]).unwrap();
        let password = password.split_whitespace().last().expect("a password");
        assert!(said.contains(password), "it is printed once");
        // The second start says nothing of it.
        let (said, _) = started_once(&mut serve(&place, "127.0.0.1:0")).await;
        assert!(!said.contains(password));
    }

    /// What to do next is told when it listens, and what is missing.
    async fn the_first_start_says_what_to_do_next(backend) {
        for (with_model, config) in [(false, ""), (true, crate::world::MODEL_WITHOUT_UPSTREAM)] {
            let place = TestServer::prepared(backend, |_| {}).await;
            let file = place.scratch().join("t.toml");
            std::fs::write(&file, config).unwrap();
            let mut command = serve(&place, "127.0.0.1:0");
            command.arg("--config").arg(&file);
            let (said, ended_well) = started_once(&mut command).await;
            assert!(ended_well, "{said}");
            let lines: Vec<&str> = said.lines().collect();
            assert!(lines[0].starts_with("first administrator: "), "{said}");
            assert!(lines[1].contains("admin-password"), "{said}");
            let url = lines[2]
                .strip_prefix("listening on ")
                .expect("where it listens");
            let next = [
                format!("  open it:      {url}/app"),
                format!("  talk to it:   tertulia chat --url {url}"),
                format!("  read the API: {url}/docs"),
            ];
            assert_eq!(lines[3..6], next);
            let hint = said.lines().find(|line| line.starts_with("  no model yet"));
            match with_model {
                true => assert_eq!(hint, None),
                false => {
                    let models = place.data_dir().join("models").display().to_string();
                    let hint = hint.expect("what is missing");
                    assert!(
                        hint.contains(&models) && hint.contains("make models"),
                        "{hint}"
                    );
                }
            }
        }
    }
}

/// Starts the program, waits until it listens, stops it; answers all it said.
async fn started_once(command: &mut Command) -> (String, bool) {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
    command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let command = std::mem::replace(command, Command::new("true"));
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
    assert!(Command::new("kill").arg(id).status().unwrap().success());
    let mut rest = lines.into_inner();
    rest.read_to_string(&mut said).await.unwrap();
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
            .env("TERTULIA__SECURITY__RATE_LIMIT__CHAT__REQUESTS", "7")
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
        // The class's other key stays as it was.
        let chat = &parsed["security"]["rate_limit"]["chat"];
        assert_eq!(chat["requests"].as_integer(), Some(7));
        assert_eq!(chat["window"].as_str(), Some("1m"));
        // The one that the environment adds is in force as well.
        let providers = parsed["providers"].as_array().unwrap();
        let names: Vec<_> = providers.iter().map(|it| it["name"].as_str()).collect();
        assert_eq!(names, [Some("mine"), Some("openai")]);
        assert_eq!(providers[1]["api_key_env"].as_str(), Some("OPENAI_API_KEY"));
        for secret in ["sk-in-the-file", "sk-in-the-environment", "hunter2secret"] {
            assert!(!said.contains(secret), "{secret} in {said}");
        }
    });
}

on_both! {
    /// A second signal does not wait for the answers; the next start ends them.
    async fn a_second_signal_ends_it_at_once(backend) {
        let mut world = World::with(backend, |setup| {
            setup.set("server.drain", "10m");
        })
        .await;
        let ana = world.server.user("ana").await;
        for (second, status) in [("TERM", 143), ("INT", 130)] {
            let id = ana.conversation(MODEL).await;
            let path = format!("/sessions/{id}/messages/stream");
            let prompt = serde_json::json!({"prompt": "!script tokens=5000 delay=20ms"});
            let mut stream = ana.stream(&path, prompt).await;
            // Two seconds of text: much of it was stored long ago.
            for _ in 0..100 {
                stream.until("").await;
            }
            let stops = || world.server.log().matches("stopping: ").count();
            let before = stops();
            world.server.signal("TERM");
            eventually(|| async { stops() > before }).await;
            world.server.signal(second);
            let ended = world.server.exited(Duration::from_secs(60)).await;
            assert_eq!(ended.expect("it ends").code(), Some(status), "{}", world.server.log());
            world.server.restart().await;
            eventually(|| async { messages(&ana, &id).await.len() == 2 }).await;
            assert_eq!(messages(&ana, &id).await[1]["status"], "interrupted");
        }
        invariants::hold(&world.server).await;
    }

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
            let output = output_of(program(&server, &["migrate"])).await;
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
