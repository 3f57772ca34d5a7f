//! `--roles`: one process that answers clients, another one that looks after
//! what is left behind.

use serde_json::json;
use testkit::{Backend, TestServer, Transcript, output_of, run, run_on, tertulia};

use crate::{
    invariants,
    world::{MODEL, World, eventually, truth},
};

const LEFT: &str =
    "SELECT CAST(count(*) AS bigint) AS n FROM runs WHERE state IN ('pending', 'running')";

/// What cannot be is said in a sentence, before anything is made.
#[test]
fn roles_that_cannot_be_are_refused() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        for (roles, told) in [
            ("emperor", &["`emperor`", "api and worker"][..]),
            ("api,emperor", &["`emperor`", "api and worker"]),
            ("", &["``", "api and worker"]),
            ("api", &["PostgreSQL", "database.url"]),
            ("worker", &["PostgreSQL", "database.url"]),
        ] {
            let mut command = tertulia(home.path());
            command.args(["serve", "--listen", "127.0.0.1:0", "--roles", roles]);
            command.arg("--data-dir").arg(&data);
            let output = output_of(command).await;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success(), "it started with {roles:?}");
            assert!(said.contains("--roles"), "{roles:?}: {said}");
            assert!(
                told.iter().all(|part| said.contains(part)),
                "{roles:?}: {said}"
            );
            assert!(!said.contains("panicked"), "{said}");
            assert!(!data.exists(), "{roles:?} left something behind");
        }
    });
}

/// All the roles in one process are what there is without the option.
#[test]
fn all_roles_are_the_usual_server() {
    run(async {
        let server = TestServer::start(Backend::Sqlite, |setup| {
            setup.roles("worker, api");
        })
        .await;
        server.client().get("/ready").await.is(200);
    });
}

/// Clients are answered by the one; what it leaves when it dies is finished by the other, and only
/// by that.
#[test]
fn a_split_pair_answers_and_recovers() {
    run_on(Backend::Postgres, |backend| async move {
        let mut world = World::with(backend, |setup| {
            setup.roles("api");
        })
        .await;
        let ana = world.server.user("ana").await;
        let (id, other) = (ana.conversation(MODEL).await, ana.conversation(MODEL).await);
        world.say(&ana, &other, "Alone !script tokens=20").await;

        // It dies in the middle of an answer and comes back: that answer is not its business.
        let prompt = "!script tokens=3000 delay=10ms";
        let path = format!("/sessions/{id}/messages/stream");
        let mut stream = ana.stream(&path, json!({"prompt": prompt})).await;
        let mut seen = Transcript::default();
        while seen.text.len() < 100 {
            seen.push(stream.next().await.expect("an event"));
        }
        let run = seen.run().unwrap().to_owned();
        world.server.kill9().await;
        while let Some(event) = stream.next().await {
            seen.push(event);
        }
        let database = world.server.database().clone();
        let expired = format!("{LEFT} AND lease_until < clock_timestamp()");
        eventually(|| async { database.number(&expired).await == 1 }).await;
        world.server.restart().await;
        world.say(&ana, &other, "Again !script tokens=20").await;
        let busy = ana
            .post(&format!("/sessions/{id}/messages"), json!({"prompt": "x"}))
            .await;
        busy.problem(409, "conversation_busy");
        assert_eq!(
            database.number(LEFT).await,
            1,
            "an api took a worker's work"
        );

        let mut worker = world
            .server
            .another(|setup| {
                setup.roles("worker");
            })
            .await;
        assert!(
            worker.log().contains("at work") && !worker.log().contains("listening on"),
            "{}",
            worker.log()
        );
        // What the one writes the other one reads to its clients.
        let mut stream = ana.events(&run, seen.last_id()).await;
        while let Some(event) = stream.next().await {
            seen.push(event);
        }
        assert_eq!(seen.end()["end_reason"], "interrupted");
        assert!(truth(prompt).starts_with(&seen.text));

        // And they get on with each other: streamed and whole, then a stop of both.
        let asked = json!({"prompt": "!script tokens=60 delay=5ms"});
        let whole = ana.stream(&path, asked).await.whole().await;
        assert_eq!(whole.text, truth("!script tokens=60"));
        assert_eq!(whole.end()["end_reason"], "stop");
        world.say(&ana, &id, "And now?").await;
        assert!(worker.terminate().await.success(), "{}", worker.log());
        world.say(&ana, &id, "Without it?").await;
        assert!(
            world.server.terminate().await.success(),
            "{}",
            world.server.log()
        );
        invariants::hold(&world.server).await;
    });
}
