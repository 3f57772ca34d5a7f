//! /auth: register, login, refresh, logout, me; one answer for unknown user and
//! wrong password; lock-out and rate limits.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value as Json, json};
use testkit::{Client, TestServer, on_both};

use crate::{
    invariants,
    world::{MODEL, World, eventually, without},
};

const PASSWORD: &str = "a long enough password 1";

async fn register(client: &Client, email: &str) -> Json {
    let body = json!({"email": email, "password": PASSWORD, "display_name": "Ana"});
    client.post("/auth/register", body).await.ok(201)
}

on_both! {
    /// The whole of a sign-in's life: what each step answers, and what it ends.
    async fn register_login_refresh_logout_me(backend) {
        let server = TestServer::start(backend, |setup| {
            setup.set("security.refresh_grace", "0s");
        })
        .await;
        let client = server.client();
        let made = register(&client, "Ana@Example.org").await;
        let user = made.get("user").unwrap_or(&made);
        let id = user["id"].as_str().expect("an id").to_owned();
        assert_eq!(user["email"].as_str().unwrap().to_lowercase(), "ana@example.org");
        assert!(!made.to_string().contains(PASSWORD) && !made.to_string().contains("argon2"));

        // Taken, in whatever spelling.
        let again = json!({"email": "ana@EXAMPLE.org", "password": PASSWORD});
        client.post("/auth/register", again).await.problem(409, "email_already_exists");

        // By email, at both paths (S0 posts to /api/auth/login, S3 to /login).
        let body = json!({"username": "ana@example.org", "password": PASSWORD});
        let tokens = client.post("/api/auth/login", body).await.ok(200);
        assert_eq!(tokens["token_type"].as_str().unwrap().to_lowercase(), "bearer");
        assert_eq!(tokens["expires_in"], 900);
        assert_eq!(tokens["user"]["id"], id.as_str());
        let body = json!({"email": "ana@example.org", "password": PASSWORD});
        let other = client.post("/login", body).await.ok(200);

        let ana = client.with_token(tokens["access_token"].as_str().unwrap());
        let me = ana.get("/auth/me").await.ok(200);
        assert_eq!(me["id"], id.as_str());
        assert_eq!(me["email"].as_str().unwrap().to_lowercase(), "ana@example.org");
        assert!(me["roles"].as_array().unwrap().contains(&json!("user")), "{me}");
        assert!(me.to_string().contains("default"), "the tenant is told: {me}");

        // Rotation: a new pair; the old refresh token kills its whole family when it is used again.
        let first = tokens["refresh_token"].as_str().unwrap();
        let refresh = |token: &str| client.clone().post_owned("/auth/refresh", json!({"refresh_token": token}));
        let second = refresh(first).await.ok(200);
        assert_ne!(second["refresh_token"], first);
        let ana = client.with_token(second["access_token"].as_str().unwrap());
        ana.get("/auth/me").await.is(200);
        refresh(first).await.problem(401, "token_revoked");
        refresh(second["refresh_token"].as_str().unwrap()).await.problem(401, "token_revoked");
        eventually(|| async { ana.get("/auth/me").await.status == 401 }).await;
        ana.get("/auth/me").await.problem(401, "token_revoked");
        refresh("no such token").await.problem(401, "invalid_token");
        refresh("").await;

        // The other device goes on until it signs out.
        let ana = client.with_token(other["access_token"].as_str().unwrap());
        ana.get("/auth/me").await.is(200);
        assert!(ana.post("/auth/logout", json!({})).await.status.is_success());
        let begun = Instant::now();
        eventually(|| async { ana.get("/auth/me").await.status == 401 }).await;
        assert!(begun.elapsed() < Duration::from_secs(5));
        ana.get("/auth/me").await.problem(401, "token_revoked");
        refresh(other["refresh_token"].as_str().unwrap()).await.problem(401, "token_revoked");

        let secrets = ["access_token", "refresh_token"].map(|name| other[name].as_str().unwrap());
        server.assert_not_logged(&[PASSWORD, first, secrets[0], secrets[1]]);
    }

    /// Unknown user and wrong password: the same body and about the same time.
    async fn a_stranger_learns_nothing(backend) {
        let server = TestServer::start(backend, |setup| {
            setup.set("security.lockout.attempts", 1_000);
        })
        .await;
        let client = server.client();
        register(&client, "ana@example.org").await;
        let mut best = [Duration::MAX; 2];
        let mut bodies = Vec::new();
        // Compared by the best of each, again and again until they are alike: machines are busy, and
        // an answer without a hash would never come near one with it.
        let alike = |best: [Duration; 2]| best[0] < best[1] * 2 && best[1] < best[0] * 2;
        for round in 0..40 {
            for (at, email) in ["ana@example.org", "nobody@example.org"].iter().enumerate() {
                let body = json!({"username": email, "password": "not her password"});
                let begun = Instant::now();
                let answer = client.post("/auth/login", body).await;
                best[at] = best[at].min(begun.elapsed());
                bodies.push(without(answer.problem(401, "invalid_credentials"), &["request_id"]));
            }
            if round >= 2 && alike(best) {
                break;
            }
        }
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
        assert!(alike(best), "{best:?}");
    }

    /// What cannot be an account is refused with the field that is wrong.
    async fn register_checks_its_input(backend) {
        let server = TestServer::start(backend, |_| {}).await;
        let client = server.client();
        for (body, field) in [
            (json!({"email": "no address", "password": PASSWORD}), "email"),
            (json!({"email": "", "password": PASSWORD}), "email"),
            (json!({"password": PASSWORD}), "email"),
            (json!({"email": "a@example.org", "password": "short"}), "password"),
            (json!({"email": "a@example.org", "password": "x".repeat(10_000)}), "password"),
            (json!({"email": "a@example.org"}), "password"),
            (json!({"email": 7, "password": PASSWORD}), "email"),
            (json!({"email": format!("{}@example.org", "x".repeat(400)), "password": PASSWORD}), "email"),
        ] {
            let problem = client.post("/auth/register", body.clone()).await.problem(422, "validation_failed");
            let named = problem["errors"].as_array().is_some_and(|e| e.iter().any(|e| e["field"] == field));
            assert!(named, "{body}: {problem}");
        }
    }

    /// Wrong passwords lock the account, for the right one, too; others go on.
    async fn too_many_wrong_passwords_lock_out(backend) {
        let server = TestServer::start(backend, |setup| {
            setup.set("security.lockout.attempts", 3).set("security.lockout.window", "15m");
        })
        .await;
        let client = server.client();
        register(&client, "ana@example.org").await;
        register(&client, "ben@example.org").await;
        let wrong = json!({"username": "ana@example.org", "password": "not her password"});
        for _ in 0..3 {
            client.post("/auth/login", wrong.clone()).await.problem(401, "invalid_credentials");
        }
        let right = json!({"username": "ana@example.org", "password": PASSWORD});
        client.post("/auth/login", right).await.problem(429, "too_many_attempts");
        let ben = json!({"username": "ben@example.org", "password": PASSWORD});
        client.post("/auth/login", ben).await.is(200);
        // An unknown name locks in the same way: nobody learns which names exist.
        let nobody = json!({"username": "nobody@example.org", "password": "some password"});
        for _ in 0..3 {
            client.post("/auth/login", nobody.clone()).await.problem(401, "invalid_credentials");
        }
        client.post("/auth/login", nobody).await.problem(429, "too_many_attempts");
    }

    /// Limits answer 429 with their headers, and every answer tells what is left.
    async fn rate_limits_are_told(backend) {
        let limit = |requests: i64| {
            toml::Table::from_iter([
                ("requests".to_owned(), toml::Value::Integer(requests)),
                ("window".to_owned(), toml::Value::String("60s".to_owned())),
            ])
        };
        let server = TestServer::start(backend, |setup| {
            setup.set("security.rate_limit.sign_in", limit(4));
            setup.set("security.rate_limit.reads", limit(5));
        })
        .await;
        let ana = server.user("ana").await; // two of the four
        let body = json!({"username": "ana@example.org", "password": "not her password"});
        for left in ["1", "0"] {
            let answer = server.client().post("/auth/login", body.clone()).await;
            answer.problem(401, "invalid_credentials");
            assert_eq!(answer.header("x-ratelimit-limit"), "4");
            assert_eq!(answer.header("x-ratelimit-remaining"), left);
            let reset: u64 = answer.header("x-ratelimit-reset").parse().unwrap();
            assert!(reset > 0);
        }
        server.client().post("/auth/login", body).await.problem(429, "rate_limited");
        // Reads are another limit, by account.
        for _ in 0..5 {
            ana.get("/sessions").await.is(200);
        }
        let refused = ana.get("/sessions").await;
        refused.problem(429, "rate_limited");
        assert_eq!(refused.header("x-ratelimit-remaining"), "0");
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
    }

    /// Prompts have a limit of their own, by account, however they are sent; what is refused costs nothing.
    async fn prompts_are_limited(backend) {
        let world = World::with(backend, |setup| {
            let limit: toml::Table = "requests = 6\nwindow = \"60s\"".parse().unwrap();
            setup.set("security.rate_limit.chat", limit);
        })
        .await;
        let ana = world.server.user("ana").await;
        let id = ana.conversation(MODEL).await;
        let path = format!("/sessions/{id}/messages");
        let first = ana.post(&path, json!({"prompt": "One"})).await.ok(200);
        let message = |name: &str| first["message"][name].as_str().unwrap().to_owned();
        let (again, edit) = (format!("{path}/{}/regenerate", message("id")), format!("{path}/{}", message("parent_id")));
        let ways = [
            (Method::POST, path.clone(), json!({"prompt": "Two"})),
            (Method::POST, format!("{path}/stream"), json!({"prompt": "Three"})),
            (Method::POST, format!("/conversations/{id}/chat"), json!({"content": "Four"})),
            (Method::POST, again, json!({})),
            (Method::PATCH, edit, json!({"prompt": "Five"})),
        ];
        let send = async |(method, path, body): &(Method, String, Json)| {
            ana.send(method.clone(), path, Some(body.to_string().into())).await
        };
        for (way, left) in ways.iter().zip(["4", "3", "2", "1", "0"]) {
            let answer = send(way).await;
            answer.is(200);
            let told = ["x-ratelimit-limit", "x-ratelimit-remaining"].map(|name| answer.header(name).to_owned());
            assert_eq!(told, ["6", left], "{way:?}");
        }
        let (balance, said) = (ana.balance().await, world.upstream.requests().len());
        for way in &ways {
            let refused = send(way).await;
            refused.problem(429, "rate_limited");
            assert_eq!((refused.header("x-ratelimit-limit"), refused.header("x-ratelimit-remaining")), ("6", "0"));
            for name in ["retry-after", "x-ratelimit-reset"] {
                let seconds: u64 = refused.header(name).parse().unwrap();
                assert!((1..=60).contains(&seconds), "{name}: {seconds}");
            }
        }
        // Reading goes on, and so does everybody else.
        assert_ne!(ana.get(&path).await.header("x-ratelimit-limit"), "6");
        assert_eq!((ana.balance().await, world.upstream.requests().len()), (balance, said));
        let ben = world.server.user("ben").await;
        let his = ben.conversation(MODEL).await;
        world.say(&ben, &his, "Hi").await;
        invariants::hold(&world.server).await;
    }

    /// Tokens that are none, or not any more.
    async fn forged_and_expired_tokens_are_refused(backend) {
        let server = TestServer::start(backend, |setup| {
            setup.set("security.access_ttl", "1s");
        })
        .await;
        let ana = server.user("ana").await;
        let token = ana.tokens["access_token"].as_str().unwrap().to_owned();
        let client = server.client();
        client.get("/auth/me").await.problem(401, "not_authenticated");
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!(parts.len(), 3, "a JWT");
        let flipped = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            let middle = bytes.len() / 2;
            bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
            String::from_utf8(bytes).unwrap()
        };
        // {"alg":"none","typ":"JWT"}
        let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
        let forged = [
            "x".to_owned(),
            "..".to_owned(),
            format!("{}.{}.{}", parts[0], flipped(parts[1]), parts[2]),
            format!("{}.{}.{}", parts[0], parts[1], flipped(parts[2])),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{none}.{}.", parts[1]),
            "x".repeat(7_000),
            ana.tokens["refresh_token"].as_str().unwrap().to_owned(),
        ];
        for token in &forged {
            client.with_token(token).get("/auth/me").await.problem(401, "invalid_token");
        }
        client.with("authorization", "Basic YTpi").get("/auth/me").await.is(401);
        eventually(|| async { ana.get("/auth/me").await.status == 401 }).await;
        ana.get("/auth/me").await.problem(401, "token_expired");
        server.assert_not_logged(&[&token, parts[2]]);
    }
}
