//! The scripted upstream as a process of its own, for benches:
//! `upstream [--listen 127.0.0.1:9100] [--record] [--script "tokens=50 delay=10ms"]`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal"
)]

use std::process::ExitCode;

use testkit::upstream::{Script, Upstream};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("upstream: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), String> {
    let (mut listen, mut script, mut record) =
        ("127.0.0.1:9100".to_owned(), Script::default(), false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--listen" => listen = value()?,
            "--script" => script = script.with(&value()?)?,
            "--record" => record = true,
            _ => {
                return Err(format!(
                    "{argument} is not known; --listen, --script and --record are"
                ));
            }
        }
    }
    let upstream = Upstream::start_with(&listen, script, record)
        .await
        .map_err(|error| format!("{listen}: {error}"))?;
    println!("listening on http://{}", upstream.address());
    upstream.serve().await;
    Ok(())
}
