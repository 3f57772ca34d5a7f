//! Backups, taken and put back as docs/operating.md says.

use std::process::Command;

use serde_json::json;
use testkit::{Backend, Database, Started, TestServer, run_on};

use crate::{
    invariants,
    world::{MODEL, World, messages},
};

/// A program that came with PostgreSQL.
fn postgres(program: &str, arguments: &[&str]) {
    let programs = std::env::var("TERTULIA_TEST_POSTGRES_BIN")
        .expect("TERTULIA_TEST_POSTGRES_BIN; see scripts/test-services");
    let output = Command::new(format!("{programs}/{program}"))
        .args(arguments)
        .output()
        .expect(program);
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn url(server: &TestServer) -> String {
    match server.database() {
        Database::Postgres(url) => url.clone(),
        Database::Sqlite(_) => unreachable!("it was asked for"),
    }
}

/// The tables' owner, whom row-level security binds like everybody, dumps every tenant's rows.
#[test]
fn what_pg_dump_wrote_is_all_there_is() {
    run_on(Backend::Postgres, |backend| async move {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        world.say(&ana, &id, "Keep this !script tokens=20").await;
        let said = messages(&ana, &id).await;
        let credits = ana.get("/credits/balance").await.ok(200);

        let file = world.server.scratch().join("dump.sql");
        let file = file.to_str().expect("a path in UTF-8");
        let from = url(&world.server);
        let dump = ["--enable-row-security", "--clean", "--if-exists"];
        let rest = [
            "--exclude-extension=vector",
            "--dbname",
            &from,
            "--file",
            file,
        ];
        postgres("pg_dump", &[&dump[..], &rest[..]].concat());

        let config = world.upstream.config(&[MODEL]);
        let mut other = TestServer::prepared(backend, |setup| {
            setup.add(&config);
        })
        .await;
        let to = url(&other);
        let restore = [
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "--dbname",
            &to,
            "-f",
            file,
        ];
        postgres("psql", &restore);
        let started = other.launch(None).await;
        assert!(matches!(started, Started::Listening), "{}", other.log());
        let her = other.client().sign_in(&ana.email, &ana.password).await;
        assert_eq!(messages(&her, &id).await, said);
        assert_eq!(her.get("/credits/balance").await.ok(200), credits);
        let path = format!("/sessions/{id}/messages");
        her.post(&path, json!({"prompt": "And this !script tokens=3"}))
            .await
            .is(200);
        invariants::hold(&other).await;
    });
}
