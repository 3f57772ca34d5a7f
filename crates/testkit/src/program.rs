//! The program that is tested: where it is, and how it is run apart from the
//! caller's surroundings.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use tokio::io::AsyncWriteExt;

/// How long anything may take on a machine that is busy with other tests.
pub(crate) const START: Duration = Duration::from_secs(60);

/// Nothing of the caller's surroundings reaches a server of a test.
pub(crate) fn clean(command: &mut Command, home: &Path) {
    command
        .env_clear()
        .env("HOME", home)
        .env("XDG_DATA_HOME", home.join("share"));
    for name in ["PATH", "TMPDIR", "LLVM_PROFILE_FILE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
}

/// The program with clean surroundings and this home, for a test of its own.
#[must_use]
pub fn tertulia(home: &Path) -> Command {
    let mut command = Command::new(binary());
    clean(&mut command, home);
    command
}

/// Runs a command to its end.
///
/// # Panics
/// When it cannot be run, or takes longer than a minute.
pub async fn output_of(command: Command) -> Output {
    output_with(command, "").await
}

/// Runs a command to its end, with this on its standard input.
///
/// # Panics
/// When it cannot be run, or takes longer than a minute.
pub async fn output_with(mut command: Command, input: &str) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let shown = format!("{command:?}");
    let child = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .spawn();
    let mut child = child.unwrap_or_else(|e| panic!("{shown}: {e}"));
    let mut stdin = child.stdin.take().expect("its input");
    // A program may end without having read all of it.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let ended = tokio::time::timeout(START, child.wait_with_output()).await;
    ended
        .unwrap_or_else(|_| panic!("{shown} does not end"))
        .expect("its output")
}

/// The program that is tested, built beside this test.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("this test's file");
    // target/<profile>/deps/<test>
    let profile = test
        .parent()
        .and_then(Path::parent)
        .expect("a profile's directory");
    let program = profile.join("tertulia");
    assert!(
        program.is_file(),
        "{} is not built, so its tests cannot run; build it first: cargo build -p cli --bin tertulia \
         (`make test` does)",
        program.display()
    );
    program
}
