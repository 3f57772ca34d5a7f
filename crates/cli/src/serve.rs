//! The composition: every part made once, in the order of the house, and the
//! end of it in the opposite one.

use std::{net::SocketAddr, path::PathBuf, sync::OnceLock, time::Duration};

use anyhow::{Result, bail};
use kernel::{Clock, Context, ErrorKind, Ids, Random, TenantId};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use runs::Orphans;
use store::{Migration, Store};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::Config,
    machine::{create_private, keep_password, listen, listen_locally, make_room},
    sweeps::{keep_metrics, keep_swept},
};

/// Every part's tables, in the order of their dates.
pub(crate) const MIGRATIONS: &[&[Migration]] = &[
    security::MIGRATIONS,
    accounting::MIGRATIONS,
    runs::MIGRATIONS,
    conversations::MIGRATIONS,
    bus::MIGRATIONS,
];

/// Beyond the drain, what is still open is cut.
const GRACE: Duration = Duration::from_secs(5);

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Answers clients.
    pub api: bool,
    /// Finishes what others left, and sweeps.
    pub worker: bool,
}

impl Work {
    /// Everything: the usual single process.
    pub const ALL: Self = Self {
        api: true,
        worker: true,
    };

    /// From `--roles`.
    ///
    /// # Errors
    /// When a name is unknown.
    pub fn named(names: Option<&[String]>) -> Result<Self> {
        let Some(names) = names else {
            return Ok(Self::ALL);
        };
        let mut work = Self {
            api: false,
            worker: false,
        };
        for name in names {
            match name.trim() {
                "api" => work.api = true,
                "worker" => work.worker = true,
                other => bail!("--roles: `{other}` is unknown; roles are api and worker"),
            }
        }
        Ok(work)
    }
}

/// The server, before it runs.
#[derive(Debug)]
pub struct Server;

/// A server at work.
#[derive(Debug)]
pub struct Running {
    address: Option<SocketAddr>,
    first_password: Option<String>,
    admin: String,
    has_models: bool,
    parts: api::Parts,
    drain: Duration,
    socket: PathBuf,
    shutdown: CancellationToken,
    tracker: TaskTracker,
}

impl Server {
    /// Starts everything; answers when clients can connect.
    ///
    /// # Errors
    /// With a sentence for the operator.
    pub async fn start(config: Config) -> Result<Running> {
        Self::start_roles(config, Work::ALL).await
    }

    /// The same with a part of the work only.
    ///
    /// # Errors
    /// With a sentence for the operator.
    pub async fn start_roles(config: Config, work: Work) -> Result<Running> {
        let orchestrator = config.verify()?;
        let embedded = matches!(config.store_options()?, store::Options::Sqlite { .. });
        if embedded && work != Work::ALL {
            bail!("--roles: split roles need PostgreSQL (`database.url`)");
        }
        let data = config.server.data_dir.clone();
        create_private(&data)?;
        let (store, state) = open(&config).await?;
        let (version, database) = (api::VERSION, store.dialect());
        tracing::info!(version, ?database, data = %data.display(), "the server starts");
        // Before anything is made: a first start that fails must leave nothing that the next one misses.
        let listener = match work.api {
            true => Some(listen(&config.server.listen).await?),
            false => None,
        };
        let socket = data.join("admin.sock");
        let commands = listen_locally(&socket)?;
        let (shutdown, tracker) = (CancellationToken::new(), TaskTracker::new());
        let (parts, first) = compose(&config, store, state, orchestrator).await?;
        let first_password = keep_password(&first, &data)?;
        let system = system(&parts.store);
        parts
            .accounting
            .sync_prices(&system, &prices(&parts))
            .await
            .map_err(|error| said(error, &config))?;
        if work.worker {
            parts.runs.start(if embedded {
                Orphans::All
            } else {
                Orphans::Expired
            });
            let events = bus::Bus::new(
                parts.store.clone(),
                config.bus.clone(),
                tracker.clone(),
                shutdown.clone(),
            );
            events.keep_swept();
            keep_swept(&parts, &tracker, &shutdown);
        }
        keep_metrics(&parts.metrics, &tracker, &shutdown);
        let mut options = config.api();
        let mut address = None;
        if let Some(listener) = listener {
            address = Some(listener.local_addr()?);
            options.server.max_connections = make_room(options.server.max_connections);
            let serving = api::serve(
                parts.clone(),
                options.clone(),
                listener,
                shutdown.clone(),
                tracker.clone(),
            );
            tracker.spawn(serving);
        }
        tracker.spawn(api::serve_admin(
            parts.clone(),
            options,
            commands,
            shutdown.clone(),
            tracker.clone(),
        ));
        Ok(Running {
            address,
            first_password,
            admin: first.email,
            has_models: !parts.orchestrator.models(&system).is_empty(),
            parts,
            drain: config.server.drain,
            socket,
            shutdown,
            tracker,
        })
    }
}

impl Running {
    /// Where clients connect.
    ///
    /// # Panics
    /// Never with the role `api`; without it there is no address, and this is 0.0.0.0:0.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
            .unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)))
    }

    /// Whether clients can connect at all.
    #[must_use]
    pub fn listens(&self) -> bool {
        self.address.is_some()
    }

    /// The parts, for tests that look inside.
    #[must_use]
    pub fn parts(&self) -> &api::Parts {
        &self.parts
    }

    /// The first administrator's email address.
    #[must_use]
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// The password that was made for the first administrator just now.
    #[must_use]
    pub fn first_password(&self) -> Option<&str> {
        self.first_password.as_deref()
    }

    /// Whether there is a model to talk to.
    #[must_use]
    pub const fn has_models(&self) -> bool {
        self.has_models
    }

    /// Stops: no new work, `server.drain` for what is being done, the rest
    /// interrupted and stored, then everything closed.
    pub async fn shutdown(self) {
        self.shutdown.cancel();
        let _ = std::fs::remove_file(&self.socket);
        self.parts.runs.drain(self.drain).await;
        self.tracker.close();
        if tokio::time::timeout(GRACE, self.tracker.wait())
            .await
            .is_err()
        {
            tracing::warn!(open = self.tracker.len(), "connections are cut");
        }
        let parts = self.parts;
        parts.orchestrator.shutdown().await;
        let store = parts.store.clone();
        drop(parts);
        store.close().await;
    }
}

/// Brings the database up to this version.
///
/// # Errors
/// With a sentence for the operator.
pub async fn migrate(config: &Config) -> Result<()> {
    create_private(&config.server.data_dir)?;
    let (store, _) = open(config).await?;
    store.close().await;
    Ok(())
}

async fn open(config: &Config) -> Result<(Store, state::State)> {
    let clock = Clock::system();
    let ids = Ids::new(clock.clone(), Random::system());
    let env = store::Env {
        clock: clock.clone(),
        ids,
    };
    let store = Store::open(&config.store_options()?, env, MIGRATIONS)
        .await
        .map_err(|error| said(error, config))?;
    Ok((store, state::State::memory(clock)))
}

async fn compose(
    config: &Config,
    store: Store,
    state: state::State,
    orchestrator: orchestrator::Orchestrator,
) -> Result<(api::Parts, security::Bootstrap)> {
    let security = security::Security::open(
        store.clone(),
        state.clone(),
        Random::system(),
        config.security.clone(),
    );
    let security = security.await.map_err(|error| said(error, config))?;
    let variable = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
    let email = variable("TERTULIA_ADMIN_EMAIL");
    let password = variable("TERTULIA_ADMIN_PASSWORD").map(security::Secret::new);
    let first = security
        .bootstrap(&system(&store), email, password)
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::Invalid | ErrorKind::Conflict => said(error, config)
                .context("TERTULIA_ADMIN_EMAIL or TERTULIA_ADMIN_PASSWORD cannot be used"),
            _ => said(error, config),
        })?;
    let accounting =
        accounting::Accounting::new(store.clone(), state.clone(), config.accounting.clone());
    let runs = runs::Runs::new(store.clone(), state.clone(), config.runs.clone());
    let conversations = conversations::Conversations::new(
        store.clone(),
        state.clone(),
        Random::system(),
        config.conversations.clone(),
    );
    let chat = chat::Chat::new(
        store.clone(),
        accounting.clone(),
        runs.clone(),
        orchestrator.clone(),
        conversations.clone(),
        config.chat.clone(),
    );
    let metrics = recorder()?;
    let parts = api::Parts {
        store,
        security,
        accounting,
        runs,
        orchestrator,
        conversations,
        chat,
        state,
        metrics,
    };
    Ok((parts, first))
}

/// An error of a part as its sentence, with its cause. Clients never learn where a file is; whoever
/// starts the program does.
fn said(error: kernel::Error, config: &Config) -> anyhow::Error {
    tracing::debug!(?error, "start");
    if store::db_class(&error) == Some(store::DbClass::Damaged)
        && let Ok(store::Options::Sqlite { directory, .. }) = config.store_options()
    {
        return anyhow::anyhow!(
            "The database file {} is damaged, or is no database: restore it from a backup, or move it away (with \
             its -wal and -shm, if they are there) to begin with an empty one.",
            directory.join(store::SQLITE_FILE).display()
        );
    }
    let detail = error.detail().to_owned();
    match std::error::Error::source(&error) {
        Some(cause) => anyhow::anyhow!("{detail} ({cause})"),
        None => anyhow::anyhow!(detail),
    }
}

/// The platform itself, over every tenant.
pub(crate) fn system(store: &Store) -> Context {
    Context::system(
        "start",
        TenantId::from_uuid(Default::default()),
        store.env().ids.next(),
    )
}

fn prices(parts: &api::Parts) -> Vec<accounting::ModelPrice> {
    let prices = parts.orchestrator.prices().into_iter();
    prices
        .map(|(model, input, output)| accounting::ModelPrice {
            model,
            input,
            output,
        })
        .collect()
}

/// One for the process: tests start several servers in one.
fn recorder() -> Result<PrometheusHandle> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let seconds = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    ];
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &seconds)?
        .install_recorder();
    match handle {
        Ok(handle) => Ok(HANDLE.get_or_init(|| handle).clone()),
        // Another server of this process was faster.
        Err(error) => HANDLE.get().cloned().ok_or_else(|| error.into()),
    }
}
