//! What the server takes of the machine: its directory, its address, its socket.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use tokio::net::{TcpListener, UnixListener};

use crate::chat::write_private;

/// Makes a directory that only its owner can enter; one that is there stays as it is.
pub(crate) fn create_private(directory: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| {
            format!(
                "The data directory {} cannot be created",
                directory.display()
            )
        })
}

/// Keeps a password that was made, for its owner's eyes only.
pub(crate) fn keep_password(first: &security::Bootstrap, data: &Path) -> Result<Option<String>> {
    let Some(password) = &first.generated_password else {
        return Ok(None);
    };
    let file = data.join("admin-password");
    write_private(&file, format!("{} {password}\n", first.email).as_bytes())
        .with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(Some(password.clone()))
}

pub(crate) async fn listen(address: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "{address} is in use: another program listens there. Stop it, or choose another address \
             with --listen or `server.listen`."
        ),
        _ => anyhow::anyhow!("Configuration: `server.listen` is {address}, but listening there fails: {error}."),
    })
}

/// The administrators' socket, for the owner of the data directory alone. One
/// that a dead process left is replaced.
pub(crate) fn listen_locally(socket: &Path) -> Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    if std::os::unix::net::UnixStream::connect(socket).is_ok() {
        bail!(
            "Another tertulia is using the data directory {}. Stop it first, or choose another one with --data-dir.",
            socket.parent().unwrap_or(socket).display()
        );
    }
    let _ = std::fs::remove_file(socket);
    UnixListener::bind(socket)
        .and_then(|listener| {
            std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
            Ok(listener)
        })
        .with_context(|| format!("The socket {} cannot be made", socket.display()))
}
