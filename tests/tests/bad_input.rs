//! What clients send that they should not: each gets the right problem, and
//! leaves nothing behind: no charge, no hold, no half of anything, no secret in
//! the log. (Tokens: `auth`. Foreign ids: `foreign`. Amounts: `credits`.)

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value as Json, json};
use testkit::{Client, TestServer, on_both};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    credits::ledger,
    invariants,
    load::WIDE,
    world::{API_KEY, MODEL, World, messages, truth},
};

/// What must be as it was after anything that is refused.
#[derive(Debug, PartialEq)]
pub(crate) struct State {
    balance: (i64, i64),
    ledger: Vec<Json>,
    conversations: Json,
    messages: Vec<Json>,
    rows: Vec<i64>,
}

/// The client's money and threads, and how many rows the tables have.
pub(crate) async fn state(server: &TestServer, client: &Client, conversation: &str) -> State {
    let mut rows = Vec::new();
    for table in [
        "accounts",
        "conversations",
        "messages",
        "runs",
        "run_segments",
        "holds",
        "transfers",
        "usage_records",
        "idempotency_keys",
    ] {
        rows.push(
            server
                .database()
                .number(&format!(
                    "SELECT CAST(count(*) AS bigint) AS n FROM {table}"
                ))
                .await,
        );
    }
    State {
        balance: client.balance().await,
        ledger: ledger(client).await,
        conversations: client.get("/sessions").await.ok(200),
        messages: messages(client, conversation).await,
        rows,
    }
}

/// Sends bytes as they are on a new connection; answers everything that comes back.
async fn raw(client: &Client, bytes: &[u8], patience: Duration) -> String {
    let url = client.url();
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap())
        .await
        .unwrap();
    // What is refused early may be cut off while it is still being sent.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(patience, stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// The same, and nothing is cut off: all of it is taken, and the answer has a proper end.
async fn delivered(client: &Client, bytes: &[u8], patience: Duration) -> String {
    let url = client.url();
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap())
        .await
        .unwrap();
    let mut answer = Vec::new();
    let exchange = async {
        stream.write_all(bytes).await?;
        stream.read_to_end(&mut answer).await
    };
    let done = tokio::time::timeout(patience, exchange).await;
    done.expect("an end").expect("no reset connection");
    String::from_utf8(answer).expect("text")
}

/// The head of a `POST` with JSON, in bytes; `more` is whole lines.
pub(crate) fn head(client: &Client, path: &str, token: &str, more: &str) -> String {
    let url = client.url();
    let host = url.strip_prefix("http://").unwrap();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n{more}\r\n"
    )
}

on_both! {
    /// Bodies that are no JSON, of a wrong shape, of a wrong kind.
    async fn bodies_that_cannot_be_read(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages");
        ana.balance().await;
        let before = state(&world.server, &ana, &id).await;
        let deep = format!("{{\"prompt\": {}", "[".repeat(100_000));
        let malformed: &[&[u8]] = &[
            b"{", b"nonsense", b"{\"prompt\": \"a\"} {}", b"\"", b"{\"prompt\": \"a\",}", b"{'prompt': 'a'}",
            b"{\"prompt\": \"\xff\xfe\"}", b"\xff\xfe{\x00}\x00", b"{\"prompt\": \"a\nb\"}", b"{\"prompt\": \"\x00\"}",
            b"{\"prompt\": \"\\x\"}", b"{\"prompt\": 01}",
        ];
        for body in malformed {
            for path in [path.as_str(), &format!("{path}/stream"), "/sessions", "/credits/check", "/auth/login"] {
                let answer = ana.send(Method::POST, path, Some(body.to_vec().into())).await;
                answer.problem(400, "malformed_request");
            }
        }
        for body in [deep.as_bytes(), b"{\"prompt\": \"\\ud800\"}", b"{\"prompt\": \"a\\u0000b\"}", b"{\"prompt\": \"a\", \"prompt\": \"b\"}"] {
            let answer = ana.send(Method::POST, &path, Some(body.to_vec().into())).await;
            let status = answer.status.as_u16();
            assert!([400, 422].contains(&status), "{}", answer.text());
            answer.problem(status, if status == 400 { "malformed_request" } else { "validation_failed" });
        }
        for (body, field) in [
            (json!({"prompt": 7}), "prompt"), (json!({"prompt": null}), "prompt"), (json!({"prompt": ["a"]}), "prompt"),
            (json!({}), "prompt"), (json!([]), "body"), (json!("text"), "body"), (json!(null), "body"), (json!(7), "body"),
            (json!({"prompt": "a", "max_tokens": "many"}), "max_tokens"), (json!({"prompt": "a", "model_id": 3}), "model_id"),
            (json!({"prompt": ""}), "prompt"), (json!({"prompt": " \n\t "}), "prompt"),
        ] {
            let problem = ana.post(&path, body.clone()).await.problem(422, "validation_failed");
            let names: Vec<&str> = problem["errors"].as_array().unwrap().iter().filter_map(|e| e["field"].as_str()).collect();
            assert!(names.contains(&field) || names.contains(&"content"), "{body}: {problem}");
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml"] {
            let answer = ana.with("content-type", kind).post(&path, json!({"prompt": "a"})).await;
            answer.problem(415, "unsupported_media_type");
        }
        let after = state(&world.server, &ana, &id).await;
        assert_eq!(after, before);
        assert!(world.upstream.requests().is_empty());
        invariants::hold(&world.server).await;
    }

    /// Bodies that are too large, and prompts that are.
    async fn bodies_that_are_too_large(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let token = ana.tokens["access_token"].as_str().unwrap().to_owned();
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages");
        ana.balance().await;
        let before = state(&world.server, &ana, &id).await;
        let patience = Duration::from_secs(30);
        // 2 MiB, announced, announced and sent, and in pieces without a length.
        let size = 2 << 20;
        let announced = head(&ana, &path, &token, &format!("Content-Length: {size}\r\nConnection: close\r\n"));
        let filler = format!("{{\"prompt\": \"{}\"}}", "x".repeat(size - 14));
        let sent = format!("{announced}{filler}");
        let mut pieces = head(&ana, &path, &token, "Transfer-Encoding: chunked\r\nConnection: close\r\n");
        for piece in filler.as_bytes().chunks(64 << 10) {
            pieces.push_str(&format!("{:x}\r\n{}\r\n", piece.len(), std::str::from_utf8(piece).unwrap()));
        }
        pieces.push_str("0\r\n\r\n");
        // A client that sends all of it before it reads gets its answer all the same, also one that
        // is refused before anybody looks at the body.
        // More than is on its way at once: it would be cut off while it sends.
        let length = format!("Content-Length: {}\r\nConnection: close\r\n", 7 << 20);
        let more = head(&ana, &path, &token, &length) + &"x".repeat(7 << 20);
        let stranger = more.replacen("Bearer ", "Bearer x", 1);
        let nowhere = more.replacen(" /", " /nothing/", 1);
        for (bytes, told) in [
            (announced, "413 payload_too_large"), (sent, "413 payload_too_large"), (pieces, "413 payload_too_large"),
            (more, "413 payload_too_large"), (stranger, "401 invalid_token"), (nowhere, "404 not_found"),
        ] {
            let answer = delivered(&ana, bytes.as_bytes(), patience).await;
            let all_told = told.split(' ').all(|part| answer.contains(part));
            assert!(all_told, "{told}: {:?}", &answer[..answer.len().min(500)]);
        }
        let answer = ana.send(Method::POST, &path, Some("x".repeat((1 << 20) + 1).into())).await;
        answer.problem(413, "payload_too_large");
        for size in [1 << 20, (1 << 20) - 100, 300 << 10] {
            let answer = ana.post(&path, json!({"prompt": "x".repeat(size)})).await;
            match answer.status.as_u16() {
                413 => answer.problem(413, "payload_too_large"),
                _ => answer.problem(422, "validation_failed"),
            };
        }
        let after = state(&world.server, &ana, &id).await;
        assert_eq!(after, before);
        // A large one that is allowed is answered, or does not fit the model.
        let answer = ana.post(&path, json!({"prompt": "whale ".repeat(20_000)})).await;
        answer.problem(422, "context_too_long");
        assert_eq!(state(&world.server, &ana, &id).await, before);
        invariants::hold(&world.server).await;
    }

    /// Heads and bodies that never end do not hold a connection for long.
    async fn requests_that_are_never_finished(backend) {
        let world = World::with(backend, |setup| {
            setup.set("server.header_timeout", "1s").set("server.body_timeout", "1s");
        })
        .await;
        let ana = world.server.user("ana").await;
        let token = ana.tokens["access_token"].as_str().unwrap().to_owned();
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages");
        ana.balance().await;
        let before = state(&world.server, &ana, &id).await;
        let patience = Duration::from_secs(20);
        let begun = Instant::now();
        for bytes in ["GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ", "P", "POST /auth/login HTTP/1.1\r\n"] {
            let answer = raw(&ana, bytes.as_bytes(), patience).await;
            assert!(answer.is_empty() || answer.contains(" 408 "), "{answer}");
        }
        let unfinished = head(&ana, &path, &token, "Content-Length: 100\r\n") + "{\"prompt\": \"half of";
        let answer = raw(&ana, unfinished.as_bytes(), patience).await;
        assert!(answer.contains(" 408 ") && answer.contains("request_timeout"), "{answer}");
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        // A body that ends early because the client has gone.
        let url = ana.url();
        let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
        stream.write_all(unfinished.as_bytes()).await.unwrap();
        drop(stream);
        // A head without an end in size, and what is no HTTP at all.
        let endless = format!("GET /health HTTP/1.1\r\nHost: x\r\nX-Long: {}", "x".repeat(1 << 20));
        let answer = raw(&ana, endless.as_bytes(), patience).await;
        assert!(answer.contains(" 431 "), "{}", &answer[..answer.len().min(200)]);
        for bytes in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"HELO there\r\n\r\n", b"\r\n\r\n\r\n\r\n"] {
            let url = ana.url();
            let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            let mut answer = Vec::new();
            let closed = tokio::time::timeout(patience, stream.read_to_end(&mut answer)).await;
            assert!(closed.is_ok(), "the connection stays open");
            assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
        }
        world.server.client().get("/health").await.is(200);
        assert_eq!(state(&world.server, &ana, &id).await, before);
    }

    /// The head of a request is 64 KiB at most, finished or not; its body may be more.
    async fn heads_that_are_too_large(backend) {
        let world = World::with(backend, |setup| {
            setup.add(WIDE);
        })
        .await;
        let ana = world.server.user("ana").await;
        let token = ana.tokens["access_token"].as_str().unwrap().to_owned();
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages");
        let patience = Duration::from_secs(20);
        let most = 64 << 10;
        let sized = |size: usize, end: &str| {
            let start = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Long: ";
            format!("{start}{}{end}", "x".repeat(size - start.len() - end.len()))
        };
        for size in [most / 2, most - 100, most] {
            let answer = delivered(&ana, sized(size, "\r\n\r\n").as_bytes(), patience).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{size}: {answer}");
        }
        for size in [most + 1, most + 100, 90 << 10, 128 << 10, 300 << 10] {
            for end in ["\r\n\r\n", "", "\r\nX-More: "] {
                let begun = Instant::now();
                let answer = raw(&ana, sized(size, end).as_bytes(), patience).await;
                assert!(answer.starts_with("HTTP/1.1 431"), "{size} {end:?}: {answer}");
                assert!(begun.elapsed() < patience, "the connection stays");
            }
        }
        // Bodies are larger than that, in one piece or in several, and so are requests one after the other.
        let prompt = |size: usize| format!("{{\"prompt\": \"{}\"}}", "x".repeat(size - 14));
        let body = prompt(1 << 20);
        let whole = head(&ana, &path, &token, &format!("Content-Length: {}\r\n", body.len())) + &body;
        let mut pieces = head(&ana, &path, &token, "Transfer-Encoding: chunked\r\n");
        for piece in prompt((1 << 20) - 1).as_bytes().chunks(400 << 10) {
            pieces.push_str(&format!("{:x}\r\n{}\r\n", piece.len(), std::str::from_utf8(piece).unwrap()));
        }
        pieces.push_str("0\r\n\r\n");
        let together = whole + &pieces + &sized(most, "\r\n\r\n");
        let answer = delivered(&ana, together.as_bytes(), patience).await;
        let told: Vec<&str> = answer.match_indices("HTTP/1.1 ").map(|(at, _)| &answer[at + 9..at + 12]).collect();
        assert_eq!(told, ["422", "422", "200"], "{answer}");
        assert!(world.upstream.requests().is_empty());
        // What goes out is more, too, whole and streamed.
        let text = format!("{} !script tokens=20000", "whale ".repeat(4_000));
        let stream = ana.stream(&format!("{path}/stream"), json!({"prompt": text, "model_id": "wide"})).await;
        assert_eq!(stream.whole().await.text, truth(&text));
        assert!(ana.get(&path).await.body.len() > 2 * most);
        invariants::hold(&world.server).await;
    }

    /// Ids and paths that name nothing, in every place that takes one.
    async fn ids_that_name_nothing(backend) {
        let world = World::start(backend).await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        ana.balance().await;
        let before = state(&world.server, &ana, &id).await;
        for bad in ["x", "0", "-1", "%00", "%ff%fe", "%2e%2e%2f", "'%20OR%201=1--", "0190f3a0-0000-7000-8000", &"9".repeat(3_000)] {
            for (method, path) in [
                (Method::GET, format!("/sessions/{bad}")),
                (Method::DELETE, format!("/sessions/{bad}")),
                (Method::GET, format!("/sessions/{bad}/messages")),
                (Method::GET, format!("/runs/{bad}")),
                (Method::GET, format!("/runs/{bad}/events")),
            ] {
                let answer = ana.send(method.clone(), &path, None).await;
                assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text());
                assert_eq!(answer.json()["code"], "not_found");
            }
            let answer = ana.post(&format!("/sessions/{bad}/messages"), json!({"prompt": "x"})).await;
            assert!([404, 405].contains(&answer.status.as_u16()), "{bad}: {}", answer.text());
        }
        assert_eq!(state(&world.server, &ana, &id).await, before);
    }

    /// Whatever happens, the log tells no password, token, key or prompt.
    async fn nothing_secret_is_logged(backend) {
        let world = World::with(backend, |setup| {
            setup.set("log.filter", "trace");
        })
        .await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages");
        let secret = "my-diary-says-4711";
        world.say(&ana, &id, &format!("{secret} !script tokens=3")).await;
        for script in ["status=401", "status=500", "cut=1", "garbage=1", "refuse"] {
            ana.post(&path, json!({"prompt": format!("{secret} !script {script}")})).await;
        }
        ana.post(&path, json!({"prompt": 7, "note": secret})).await.is(422);
        ana.send(Method::POST, &path, Some(format!("{{\"prompt\": \"{secret}\" oops").into())).await.is(400);
        ana.get(&format!("/search?q={secret}")).await;
        ana.with("idempotency-key", "key-of-the-diary-4711").post(&path, json!({"prompt": secret})).await;
        let wrong = json!({"username": "ana@example.org", "password": "wrong-password-4711"});
        world.server.client().post("/auth/login", wrong).await.is(401);
        let forged = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJtZSJ9.forged-signature-4711";
        world.server.client().with_token(forged).get("/auth/me").await.is(401);
        let refresh = ana.tokens["refresh_token"].as_str().unwrap();
        let pair = world.server.client().post("/auth/refresh", json!({"refresh_token": refresh})).await.ok(200);
        ana.post("/auth/logout", json!({})).await;
        world.server.assert_not_logged(&[
            secret,
            API_KEY,
            "key-of-the-diary-4711",
            "wrong-password-4711",
            "forged-signature-4711",
            ana.tokens["access_token"].as_str().unwrap(),
            refresh,
            pair["access_token"].as_str().unwrap(),
            pair["refresh_token"].as_str().unwrap(),
            "$argon2id",
        ]);
        assert!(world.server.log().len() > 500, "the log was looked at: {}", world.server.log());
    }
}
