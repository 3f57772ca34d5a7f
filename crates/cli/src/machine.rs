//! What the server takes of the machine: its directory, its address, its socket.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
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

/// Open files that connections leave to all else: the database, providers, what is read.
const RESERVE: u64 = 256;

/// Lets the process open as many files as it may, of which each connection is one; shells and service
/// managers begin with few. Answers how many connections there is room for.
pub(crate) fn make_room(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let files = match setrlimit(Resource::Nofile, most) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::debug!(%error, ?limit, "the limit of open files stays");
            limit.current
        }
    };
    let room = room(files);
    if wanted > room {
        tracing::warn!(
            "server.max_connections is {wanted}, but there is room for {room}: the process may open {} files; \
             raise that limit (`ulimit -n`, LimitNOFILE=) or lower server.max_connections",
            files.unwrap_or_default()
        );
    }
    wanted.min(room)
}

/// Connections there is room for where so many files can be open (`None`: any number).
fn room(files: Option<u64>) -> usize {
    let room = files.map(|files| files - RESERVE.min(files / 4));
    room.and_then(|room| usize::try_from(room).ok())
        .unwrap_or(usize::MAX)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_to_all_else() {
        for (files, connections) in [
            (Some(0), 0),
            (Some(1), 1),
            (Some(300), 225),
            (Some(1024), 768),
            (Some(4096), 3840),
            (Some(1_048_576), 1_048_320),
            (None, usize::MAX),
        ] {
            assert_eq!(room(files), connections, "{files:?}");
        }
    }
}
