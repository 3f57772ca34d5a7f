//! `tertulia admin` through the running server's socket, and who may not use it.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};

use serde_json::{Value as Json, json};
use testkit::{TestServer, on_both};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The paths of the commands, as the server's source has them.
fn socket_paths() -> Vec<&'static str> {
    let source = include_str!("../../crates/api/src/routes/admin.rs");
    let routes = source.split(".route(\"").skip(1);
    routes
        .map(|route| route.split('"').next().unwrap())
        .collect()
}

/// A request to the socket in the data directory; answers all that comes back.
async fn through_the_socket(server: &TestServer, path: &str, body: &Json) -> String {
    let socket = server.data_dir().join("admin.sock");
    let mut stream = tokio::net::UnixStream::connect(socket).await.unwrap();
    let body = body.to_string();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: admin\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn text(output: &std::process::Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    format!("{out}{}", String::from_utf8_lossy(&output.stderr))
}

on_both! {
    async fn users_credits_and_passwords_through_the_socket(backend) {
        let mut server = TestServer::start(backend, |_| {}).await;
        let sockets: Vec<_> = std::fs::read_dir(server.data_dir())
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_type().unwrap().is_socket())
            .collect();
        assert_eq!(sockets.len(), 1, "one socket in the data directory");
        let mode = sockets[0].metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "only the owner may use the socket: {mode:o}");

        let made = server.tertulia(&["admin", "create-user", "eve@example.org", "--roles", "user,supervisor"]).await;
        assert!(made.status.success(), "{}", text(&made));
        let said = text(&made);
        let client = server.client();
        let mut eve = None;
        // The password it made is one of the words it printed.
        for word in said.split(|c: char| c.is_whitespace() || c == '"').filter(|word| word.len() >= 10) {
            let body = json!({"username": "eve@example.org", "password": word.trim_end_matches('.')});
            let answer = client.post("/auth/login", body).await;
            if answer.status == 200 {
                eve = Some(client.sign_in("eve@example.org", word.trim_end_matches('.')).await);
                break;
            }
        }
        let eve = eve.unwrap_or_else(|| panic!("no password in {said:?}"));
        let roles = eve.get("/auth/me").await.ok(200)["roles"].clone();
        assert!(roles.as_array().unwrap().contains(&json!("supervisor")), "{roles}");

        let before = eve.balance().await.0;
        let given = server.tertulia(&["admin", "allocate", "eve@example.org", "12.5", "--note", "a gift"]).await;
        assert!(given.status.success(), "{}", text(&given));
        assert_eq!(eve.balance().await.0, before + 12_500_000);
        let ledger = eve.get("/credits/ledger").await.ok(200);
        assert!(ledger["data"].as_array().unwrap().iter().any(|entry| entry["note"] == "a gift"), "{ledger}");

        for args in [
            &["admin", "create-user", "eve@example.org"][..],
            &["admin", "create-user", "no address"],
            &["admin", "create-user", "x@example.org", "--roles", "emperor"],
            &["admin", "allocate", "nobody@example.org", "1"],
            &["admin", "allocate", "eve@example.org", "-5"],
            &["admin", "allocate", "eve@example.org", "1.0000001"],
            &["admin", "reset-password", "nobody@example.org"],
        ] {
            let refused = server.tertulia(args).await;
            assert!(!refused.status.success(), "{args:?}: {}", text(&refused));
            assert!(!text(&refused).contains("panicked"));
        }

        let reset = server.tertulia(&["admin", "reset-password", "eve@example.org"]).await;
        assert!(reset.status.success(), "{}", text(&reset));
        let body = json!({"username": "eve@example.org", "password": eve.password});
        client.post("/auth/login", body).await.problem(401, "invalid_credentials");
        crate::world::eventually(|| async { eve.get("/auth/me").await.status == 401 }).await;
        server.assert_not_logged(&[&eve.password]);

        // Without a server there is nothing to talk to, and it says so.
        assert!(server.terminate().await.success());
        let refused = server.tertulia(&["admin", "allocate", "eve@example.org", "1"]).await;
        assert!(!refused.status.success());
        assert!(text(&refused).contains("running"), "{}", text(&refused));
    }

    /// A password that is read is the one that counts, and is not shown again.
    async fn passwords_come_by_standard_input(backend) {
        let server = TestServer::start(backend, |_| {}).await;
        let client = server.client();
        for (args, password) in [
            (["admin", "create-user", "eve@example.org", "--password-stdin"], "a first password"),
            (["admin", "reset-password", "eve@example.org", "--password-stdin"], "a second one, \u{e4}"),
        ] {
            let done = server.tertulia_with(&args, &format!("{password}\r\n")).await;
            assert!(done.status.success(), "{}", text(&done));
            assert!(!text(&done).contains(password) && !text(&done).contains("Password:"), "{}", text(&done));
            client.sign_in("eve@example.org", password).await;
            server.assert_not_logged(&[password]);
        }
        let body = json!({"username": "eve@example.org", "password": "a first password"});
        client.post("/auth/login", body).await.problem(401, "invalid_credentials");
        // What is no password is refused by a sentence, and changes nothing.
        for bad in ["", "short\n"] {
            for command in ["create-user", "reset-password"] {
                let email = if command == "create-user" { "bob@example.org" } else { "eve@example.org" };
                let refused = server.tertulia_with(&["admin", command, email, "--password-stdin"], bad).await;
                assert!(!refused.status.success(), "{command} {bad:?}: {}", text(&refused));
                assert!(text(&refused).to_lowercase().contains("password"), "{}", text(&refused));
            }
        }
        client.sign_in("eve@example.org", "a second one, \u{e4}").await;
    }

    /// What the socket answers is not answered to the network, whoever asks.
    async fn the_network_has_no_admin_socket(backend) {
        let server = TestServer::start(backend, |_| {}).await;
        let (admin, eve) = (server.admin().await, server.user("eve").await);
        let before = eve.balance().await;
        let password = "a password for mallory";
        let commands = [
            ("/users", json!({"email": "mallory@example.org", "password": password, "roles": ["admin"]})),
            ("/allocations", json!({"email": eve.email, "amount": "12.5"})),
            ("/passwords", json!({"email": eve.email, "password": password})),
        ];
        assert_eq!(commands.each_ref().map(|(path, _)| *path), socket_paths()[..], "every command is asked");
        for (path, body) in &commands {
            for client in [&server.client(), &eve.client, &admin.client] {
                for prefix in ["", "/api", "/admin"] {
                    let answer = client.post(&format!("{prefix}{path}"), body.clone()).await;
                    let status = answer.status.as_u16();
                    assert!([401, 404, 405].contains(&status), "{prefix}{path}: {}", answer.text());
                }
            }
        }
        assert_eq!(eve.balance().await, before);
        let mallory = json!({"username": "mallory@example.org", "password": password});
        server.client().post("/auth/login", mallory.clone()).await.problem(401, "invalid_credentials");
        server.client().sign_in(&eve.email, &eve.password).await;
        // The very same through the socket.
        for (path, body) in &commands {
            let answer = through_the_socket(&server, path, body).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        }
        assert_eq!(server.client().sign_in(&eve.email, password).await.balance().await.0, before.0 + 12_500_000);
        server.client().post("/auth/login", mallory).await.is(200);
    }
}
