//! `tertulia admin`: commands for the running server, through its socket.

use std::{io::Read, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use kernel::Random;
use serde_json::{Value, json};

use crate::{
    args::{Admin, AdminAction},
    config::Config,
};

/// How long the server may take for one; it takes less than a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Carries out one command.
///
/// # Errors
/// With a sentence: no server is running, or it refuses.
pub async fn run(admin: Admin) -> Result<()> {
    let config = Config::load(&admin.settings)?;
    let socket = config.server.data_dir.join("admin.sock");
    match admin.action {
        AdminAction::CreateUser {
            email,
            roles,
            password_stdin,
        } => {
            let given = password(password_stdin)?;
            let password = given.clone().unwrap_or_else(generated);
            let body = json!({"email": email, "password": password, "roles": roles});
            let made = send(&socket, "/users", &body).await?;
            say(&format!(
                "Created {} ({}).",
                text(&made, "email"),
                text(&made, "id")
            ));
            if given.is_none() {
                say(&format!("Password: {password}"));
            }
        }
        AdminAction::Allocate {
            email,
            amount,
            note,
        } => {
            let body = json!({"email": email, "amount": amount, "note": note});
            let done = send(&socket, "/allocations", &body).await?;
            say(&format!(
                "{} Balance: {} credits.",
                text(&done, "message"),
                done["balance"]
            ));
        }
        AdminAction::ResetPassword {
            email,
            password_stdin,
        } => {
            let body = json!({"email": email, "password": password(password_stdin)?});
            let done = send(&socket, "/passwords", &body).await?;
            say(&format!(
                "{email} has a new password; {} devices were signed out.",
                done["sessions_revoked"]
            ));
            forget_first(&config.server.data_dir, &email);
            if let Some(password) = done["generated_password"].as_str() {
                say(&format!("Password: {password}"));
            }
        }
    }
    Ok(())
}

/// The first administrator's password that is kept in the data directory opens nothing any more.
fn forget_first(data: &Path, email: &str) {
    let file = data.join("admin-password");
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    if kept.split_whitespace().next() == Some(&email.trim().to_lowercase()) {
        let _ = std::fs::remove_file(file);
    }
}

/// A closed pipe is no reason to fail: what was asked for is done.
fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn text<'a>(answer: &'a Value, name: &str) -> &'a str {
    answer[name].as_str().unwrap_or_default()
}

fn password(from_stdin: bool) -> Result<Option<String>> {
    if !from_stdin {
        return Ok(None);
    }
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text)?;
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// 20 characters out of 32: 100 bits.
fn generated() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let bytes: [u8; 20] = Random::system().bytes();
    bytes
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(byte % 32)]))
        .collect()
}

async fn send(socket: &Path, path: &str, body: &Value) -> Result<Value> {
    within(PATIENCE, ask(socket, path, body)).await
}

/// Nobody waits for ever for a server that hangs.
async fn within<T>(patience: Duration, asked: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(patience, asked)
        .await
        .unwrap_or_else(|_| {
            bail!(
                "The server has not answered within {} seconds: it is overloaded, stopped or hangs. It may still do what \
                 was asked for; look before you ask again.",
                patience.as_secs()
            )
        })
}

async fn ask(socket: &Path, path: &str, body: &Value) -> Result<Value> {
    crate::install_tls();
    let http = reqwest::Client::builder()
        .unix_socket(socket)
        .build()
        .context("cannot make an HTTP client")?;
    let answer = http
        .post(format!("http://admin{path}"))
        .json(body)
        .send()
        .await;
    let answer = answer.map_err(|error| {
        let reached = std::os::unix::net::UnixStream::connect(socket);
        match reached.as_ref().map_err(std::io::Error::kind) {
            Ok(_) => return anyhow::Error::from(error).context("the server did not answer"),
            Err(std::io::ErrorKind::PermissionDenied) => {
                return anyhow::anyhow!(
                    "{} belongs to another user. Run this as the user that runs the server.",
                    socket.display()
                );
            }
            Err(_) => {}
        }
        anyhow::anyhow!(
            "No server is running on this data directory ({} does not answer). Start it with `tertulia serve`, \
             or name its directory with --data-dir.",
            socket.display()
        )
    })?;
    let succeeded = answer.status().is_success();
    let answer: Value = answer
        .json()
        .await
        .context("the server's answer cannot be read")?;
    if !succeeded {
        bail!(
            "{}",
            answer["detail"].as_str().unwrap_or("The server refused.")
        );
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As one that was stopped: it listens, and nobody accepts.
    #[tokio::test]
    async fn a_server_that_hangs_is_given_up_with_a_sentence() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("admin.sock");
        let _hangs = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let body = json!({"email": "eve@example.org"});
        let asked = within(Duration::from_millis(100), ask(&socket, "/users", &body));
        let said = asked.await.unwrap_err().to_string();
        assert!(said.contains("not answered within"), "{said}");
    }
}
