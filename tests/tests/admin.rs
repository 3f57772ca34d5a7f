//! `tertulia admin` through the running server's socket, and who may not use it.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};

use serde_json::json;
use testkit::{TestServer, on_both};

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

    /// What the socket answers is not answered to the network.
    async fn the_network_has_no_admin_socket(backend) {
        let server = TestServer::start(backend, |_| {}).await;
        for path in ["/admin/users", "/admin/credits", "/admin/create-user", "/admin/allocate"] {
            let status = server.client().post(path, json!({})).await.status.as_u16();
            assert!([401, 404].contains(&status), "{path}: {status}");
        }
    }
}
