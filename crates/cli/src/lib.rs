//! The program: configuration, composition, and the commands of the terminal.
//! No business rule; what the platform does is in the parts it puts together.

mod admin;
pub mod args;
mod chat;
pub mod config;
mod logging;
mod machine;
mod serve;
mod sweeps;

use std::io::Write;

use anyhow::{Context, Result};

pub use args::{Arguments, Command};
pub use config::Config;
pub use serve::{Running, Server, Work};

/// How a command ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// What was asked for is done.
    Well,
    /// A second signal, this one, cut the stop short: nothing is waited for any more.
    Cut(u8),
}

/// Carries out a command.
///
/// # Errors
/// With a sentence for the person at the terminal.
pub async fn run(arguments: Arguments) -> Result<Ended> {
    match arguments.command {
        Command::Serve(options) => return serve_until_stopped(options).await,
        Command::Config(settings) => {
            let config = Config::load(&settings)?;
            config.verify()?;
            let shown = config
                .masked()
                .context("the configuration cannot be shown")?;
            let _ = std::io::stdout().write_all(shown.as_bytes());
            for warning in config::unread_variables() {
                tell(&format!("tertulia: {warning}"));
            }
        }
        Command::Migrate(settings) => {
            let config = Config::load(&settings)?;
            logging::start(&config.log)?;
            serve::migrate(&config).await?;
            say("The database is at this version.");
        }
        Command::Admin(options) => admin::run(options).await?,
        Command::Chat(options) => {
            install_tls();
            chat::run(options).await?;
        }
    }
    Ok(Ended::Well)
}

async fn serve_until_stopped(options: args::Serve) -> Result<Ended> {
    let mut config = Config::load(&options.settings)?;
    if options.print_models_dir {
        let models = config.local.directory(&config.server.data_dir);
        say(&models.display().to_string());
        return Ok(Ended::Well);
    }
    if let Some(listen) = options.listen {
        config.listen_at(listen)?;
    }
    let work = Work::named(options.roles.as_deref())?;
    logging::start(&config.log)?;
    for warning in config::unread_variables() {
        tracing::warn!("{warning}");
    }
    let mut stop = StopSignals::new()?;
    let data = config.server.data_dir.clone();
    let running = tokio::select! {
        running = Server::start_roles(config, work) => running?,
        _ = stop.next() => return Ok(Ended::Well),
    };
    if let Some(password) = running.first_password() {
        say(&format!(
            "first administrator: {} with the password {password}",
            running.admin()
        ));
        say(&format!(
            "(kept in {})",
            data.join("admin-password").display()
        ));
    }
    if running.listens() {
        say(&format!("listening on http://{}", running.addr()));
        say(&next_steps(&running));
    } else {
        say("at work; clients are answered by the processes with the role api");
    }
    stop.next().await;
    tracing::info!(
        "stopping: answers at work are finished or interrupted; a second signal stops at once"
    );
    tokio::select! {
        () = running.shutdown() => {
            tracing::info!("stopped");
            Ok(Ended::Well)
        }
        signal = stop.next() => {
            tracing::warn!("stopped at once; the next start ends what was being written");
            Ok(Ended::Cut(signal))
        }
    }
}

/// What to do next, for somebody who has just started it.
fn next_steps(running: &Running) -> String {
    let model = if running.has_models() {
        String::new()
    } else {
        let models = running.parts().orchestrator.models_dir().display();
        format!(
            "\n  no model yet: put a GGUF file into {models} (`make models` fetches one), or set \
             OPENAI_API_KEY; then start again"
        )
    };
    format!(
        "  open it:      http://{0}/app\n  talk to it:   tertulia chat --url http://{0}\n  read the API: http://{0}/docs{model}",
        running.addr()
    )
}

/// A closed pipe must not end the server.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// A line on standard error, if anybody reads it.
pub fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// SIGTERM and SIGINT.
struct StopSignals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl StopSignals {
    fn new() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let terminate = signal(SignalKind::terminate()).context("signals cannot be received")?;
        let interrupt = signal(SignalKind::interrupt()).context("signals cannot be received")?;
        Ok(Self {
            terminate,
            interrupt,
        })
    }

    /// The next one's number (POSIX).
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.terminate.recv() => 15,
            _ = self.interrupt.recv() => 2,
        }
    }
}

/// Makes ring the process's cryptography for TLS; one installed before stays.
pub(crate) fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
