//! The `tertulia` program.

use std::{io::ErrorKind, process::ExitCode, time::Duration};

use clap::Parser;
use cli::Ended;

/// Gives memory back: after 64 sign-ins the process holds half of what it does with glibc's allocator, which keeps
/// the blocks that hashing a password takes. As fast.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A local model needs up to so long to see that it is to end, and must before the process does.
const CUT: Duration = Duration::from_secs(6);

/// Its number (POSIX).
const SIGPIPE: u8 = 13;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    match runtime.block_on(cli::run(arguments)) {
        Ok(Ended::Well) => ExitCode::SUCCESS,
        Ok(Ended::Cut(signal)) => {
            runtime.shutdown_timeout(CUT);
            ExitCode::from(128 + signal)
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    // Whoever read the output has seen enough (`| head`): ended as the signal for it ends other programs.
    let written = error.downcast_ref::<std::io::Error>();
    if written.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe) {
        return ExitCode::from(128 + SIGPIPE);
    }
    cli::tell(&format!("tertulia: {error:#}"));
    ExitCode::FAILURE
}
