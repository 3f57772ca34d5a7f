//! The HTTP door: wire types, extractors, routes, errors as problems, event
//! streams, the OpenAPI document. It decides nothing: every rule lives in the
//! part that a route calls.

mod app;
mod cookies;
mod envelope;
mod error_pages;
mod extract;
mod leftover;
mod options;
mod page;
pub mod paths;
mod pieces;
mod places;
mod problem;
mod progress;
mod rate;
mod routes;
mod seen;
mod serve;
mod sse;
mod wire;

#[cfg(test)]
mod tests;

use accounting::Accounting;
use chat::Chat;
use conversations::Conversations;
use metrics_exporter_prometheus::PrometheusHandle;
use orchestrator::Orchestrator;
use runs::Runs;
use security::Security;
use serde::{Deserialize, Serialize};
use state::State;
use store::Store;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use app::App;
pub use options::{ErrorOptions, Options as ServerOptions, StreamOptions};
pub use routes::openapi;

/// The program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The parts that the routes call.
#[derive(Clone)]
pub struct Parts {
    /// The database, for health.
    pub store: Store,
    /// Accounts and tokens.
    pub security: Security,
    /// Credits.
    pub accounting: Accounting,
    /// Runs and their logs.
    pub runs: Runs,
    /// Models.
    pub orchestrator: Orchestrator,
    /// Conversations.
    pub conversations: Conversations,
    /// Answers.
    pub chat: Chat,
    /// What open pages hear about.
    pub state: State,
    /// What `/metrics` renders.
    pub metrics: PrometheusHandle,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Parts({:?})", self.store)
    }
}

/// What an operator can set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The listener.
    pub server: ServerOptions,
    /// Event streams.
    pub streams: StreamOptions,
    /// Error answers.
    pub errors: ErrorOptions,
}

/// Serves HTTP on the listener until the shutdown; connections drain on the
/// tracker, each for `server.drain` at most.
pub async fn serve(
    parts: Parts,
    options: Options,
    listener: TcpListener,
    shutdown: CancellationToken,
    tracker: TaskTracker,
) {
    let max_connections = options.server.max_connections;
    let app = App::new(parts, options, shutdown.clone());
    let router = routes::router(&app);
    serve::Connections::new(router, app.options(), shutdown, tracker)
        .accept(listener, max_connections)
        .await;
}

/// Serves the administrators' commands on a Unix socket until the shutdown.
#[cfg(unix)]
pub async fn serve_admin(
    parts: Parts,
    options: Options,
    listener: tokio::net::UnixListener,
    shutdown: CancellationToken,
    tracker: TaskTracker,
) {
    let app = App::new(parts, options, shutdown.clone());
    let router = routes::admin::router(&app);
    serve::Connections::new(router, app.options(), shutdown, tracker)
        .accept_local(listener)
        .await;
}
