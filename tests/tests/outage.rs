//! The database is away for a while, or full: who asks is told so and when to
//! come back, and afterwards all is well again.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;
use testkit::{Backend, Database, Reply, Started, TestServer, on_both, run_on, upstream::Upstream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

use crate::{
    invariants,
    world::{MODEL, MODEL_WITHOUT_UPSTREAM, eventually, truth},
};

/// How a line to a database is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Line {
    Open,
    /// Nothing passes, and nobody is told.
    Silent,
    Cut,
}

/// A line to a PostgreSQL that can be cut without hurting those of others.
async fn line(to: String) -> (String, watch::Sender<Line>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (state, line) = watch::channel(Line::Open);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            if *line.borrow() == Line::Cut {
                continue;
            }
            let Ok(server) = TcpStream::connect(&to).await else {
                continue;
            };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::spawn(pass(from_client, to_server, line.clone()));
            tokio::spawn(pass(from_server, to_client, line.clone()));
        }
    });
    (address, state)
}

/// Passes bytes on as long as the line is not cut.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut line: watch::Receiver<Line>) {
    let mut piece = vec![0; 16 << 10];
    let mut cut = line.clone();
    let bytes = async {
        while let Ok(read @ 1..) = from.read(&mut piece).await {
            let open = line.wait_for(|line| *line == Line::Open).await.is_ok();
            if !open || to.write_all(&piece[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = bytes => {}
        _ = cut.wait_for(|line| *line == Line::Cut) => {}
    }
}

/// A server whose database can be taken away from it alone.
struct Outage {
    server: TestServer,
    line: Option<watch::Sender<Line>>,
}

impl Outage {
    async fn prepared(backend: Backend) -> Self {
        Self::with(backend, MODEL_WITHOUT_UPSTREAM).await
    }

    async fn with(backend: Backend, models: &str) -> Self {
        let mut server = TestServer::prepared(backend, |setup| {
            // A file that may not grow is an error, not the end of the process.
            setup.add(models).first("trap '' XFSZ");
        })
        .await;
        let mut cable = None;
        if let Database::Postgres(url) = server.database() {
            let (before, rest) = url.split_once('@').unwrap();
            let (to, name) = rest.split_once('/').unwrap();
            let (address, state) = line(to.to_owned()).await;
            let url = format!("{before}@{address}/{name}");
            server.reconfigure(|setup| {
                setup.set("database.url", url);
            });
            cable = Some(state);
        }
        assert!(
            matches!(server.launch(None).await, Started::Listening),
            "{}",
            server.log()
        );
        Self {
            server,
            line: cable,
        }
    }

    /// PostgreSQL cannot be reached; the embedded database's disk is full.
    fn begin(&self) {
        match &self.line {
            Some(line) => drop(line.send(Line::Cut)),
            None => self.limit_files("1"),
        }
    }

    fn end(&self) {
        match &self.line {
            Some(line) => drop(line.send(Line::Open)),
            None => self.limit_files("unlimited"),
        }
    }

    /// How long the server's files may grow: the soft limit, which can be raised again.
    fn limit_files(&self, bytes: &str) {
        let set = Command::new("prlimit")
            .arg(format!("--pid={}", self.server.id()))
            .arg(format!("--fsize={bytes}:"))
            .status();
        assert!(set.expect("prlimit (of util-linux)").success());
    }
}

/// 503, with the time to come back.
fn unavailable(answer: &Reply) {
    answer.is(503);
    let wait: u64 = answer.header("retry-after").parse().expect("whole seconds");
    assert!((1..=60).contains(&wait), "{wait}");
}

on_both! {
    /// /health, /ready and the API while the database is down, and after it.
    async fn a_database_that_is_down_is_told(backend) {
        let outage = Outage::prepared(backend).await;
        let server = &outage.server;
        let (client, ana) = (server.client(), server.user("ana").await);
        let asked = json!({"model_id": MODEL});
        ana.post("/sessions", asked.clone()).await.is(201);
        client.get("/ready").await.is(200);
        assert_eq!(client.get("/health").await.ok(200)["status"], "ok");

        outage.begin();
        // Who changes something is told, and need not ask twice to learn it.
        ana.post("/sessions", asked.clone()).await.problem(503, "database_unavailable");
        let register = json!({"email": "ben@example.org", "password": "a long enough password"});
        client.post("/auth/register", register.clone()).await.problem(503, "database_unavailable");
        let health = client.get("/health").await;
        unavailable(&health);
        let health = health.json();
        assert_eq!(health["status"], "unavailable", "{health}");
        assert_eq!(health["database"]["status"], "unavailable", "{health}");
        assert!(health["version"].is_string() && health["timestamp"].is_string(), "{health}");
        let ready = client.get("/ready").await;
        unavailable(&ready);
        ready.problem(503, "database_unavailable");
        // What needs no database is there all the same.
        client.get("/openapi.json").await.is(200);

        outage.end();
        eventually(|| async { client.get("/ready").await.status == 200 }).await;
        let health = client.get("/health").await.ok(200);
        assert_eq!((&health["status"], &health["database"]["status"]), (&json!("ok"), &json!("ok")));
        ana.post("/sessions", asked).await.is(201);
        assert_eq!(ana.get("/sessions").await.ok(200)["meta"]["total"], 2, "what was refused was not done");
        client.post("/auth/register", register).await.is(201);
    }
}

on_both! {
    /// An answer waits for the database where it needs more credits, and is whole at its end.
    async fn an_answer_outlives_an_outage(backend) {
        let upstream = Upstream::start().await;
        let outage = Outage::with(backend, &upstream.config(&[MODEL])).await;
        let ana = outage.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        // The first hold is 256 tokens of answer, and asks for more before it ends.
        let prompt = "Go on !script tokens=400 delay=5ms";
        let path = format!("/sessions/{id}/messages/stream");
        let mut stream = ana.stream(&path, json!({"prompt": prompt})).await;
        for _ in 0..100 {
            stream.until("").await;
        }
        outage.begin();
        // As far as it is paid for, and no further.
        let mut shown = 100;
        while let Ok(Some(event)) = tokio::time::timeout(Duration::from_secs(3), stream.next()).await {
            assert_eq!(event.kind, "", "it ended: {event:?}");
            shown += 1;
        }
        assert!((101..=256).contains(&shown), "{shown}");
        outage.end();
        let end = stream.until("end").await.pop().unwrap().data;
        assert_eq!(end["end_reason"], "stop", "{end}");
        assert_eq!(end["message"]["content"], truth(prompt));
        assert_eq!(end["message"]["status"], "complete");
        invariants::hold(&outage.server).await;
    }
}

/// A PostgreSQL that has become a replica answers, and is of no use: the node says so until it has
/// found the one that takes its writes.
#[test]
fn a_database_that_is_read_only_is_told() {
    run_on(Backend::Postgres, |backend| async move {
        let server = TestServer::start(backend, |setup| {
            setup.add(MODEL_WITHOUT_UPSTREAM);
        })
        .await;
        let (client, ana) = (server.client(), server.user("ana").await);
        let Database::Postgres(url) = server.database() else {
            unreachable!("it was asked for");
        };
        let (_, name) = url.rsplit_once('/').unwrap();
        let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let set = async |to: &str| {
            let alter = format!("ALTER DATABASE {name} SET default_transaction_read_only = {to}");
            let sql = format!("RESET ROLE; SET TRANSACTION READ WRITE; {alter}; {others}");
            server.database().execute(&sql).await;
        };
        set("on").await;
        let asked = json!({"model_id": MODEL});
        ana.post("/sessions", asked.clone())
            .await
            .problem(503, "database_unavailable");
        unavailable(&client.get("/health").await);
        unavailable(&client.get("/ready").await);
        ana.get("/sessions").await.is(200);
        set("off").await;
        eventually(|| async { client.get("/ready").await.status == 200 }).await;
        ana.post("/sessions", asked).await.is(201);
    });
}

/// A database that hangs is as good as none: a load balancer learns of it soon.
#[test]
fn a_database_that_hangs_is_told() {
    run_on(Backend::Postgres, |backend| async move {
        let outage = Outage::prepared(backend).await;
        let client = outage.server.client();
        client.get("/ready").await.is(200);
        let line = outage.line.as_ref().unwrap();
        line.send(Line::Silent).unwrap();
        let begun = Instant::now();
        let (health, ready) = tokio::join!(client.get("/health"), client.get("/ready"));
        unavailable(&health);
        unavailable(&ready);
        ready.problem(503, "database_unavailable");
        assert!(
            begun.elapsed() < Duration::from_secs(8),
            "{:?}",
            begun.elapsed()
        );
        line.send(Line::Open).unwrap();
        eventually(|| async { client.get("/ready").await.status == 200 }).await;
        client.get("/health").await.is(200);
    });
}
