//! What is done again and again beside the requests.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::serve::system;

/// How often expired things are removed.
const SWEEP: Duration = Duration::from_secs(600);
/// How often expired credits and holds are looked for.
const SWEEP_CREDITS: Duration = Duration::from_secs(30);

/// How often deleted conversations are purged at most.
const SWEEP_CONVERSATIONS: Duration = Duration::from_secs(1);
/// How often restored conversations are looked for that cannot be searched yet.
const SWEEP_RESTORED: Duration = Duration::from_secs(2);

/// Repeats a task until the shutdown.
fn every<F>(
    period: Duration,
    tracker: &TaskTracker,
    shutdown: &CancellationToken,
    task: impl Fn() -> F + Send + 'static,
) where
    F: Future<Output = ()> + Send,
{
    let shutdown = shutdown.clone();
    tracker.spawn(async move {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(period) => task().await,
            }
        }
    });
}

/// Removes what has expired, as long as the server runs.
pub(crate) fn keep_swept(parts: &api::Parts, tracker: &TaskTracker, shutdown: &CancellationToken) {
    let credits = parts.clone();
    every(SWEEP_CREDITS, tracker, shutdown, move || {
        let parts = credits.clone();
        async move {
            if let Err(error) = parts.accounting.sweep(&system(&parts.store)).await {
                tracing::warn!(?error, "credits could not be swept");
            }
        }
    });
    let deleted = parts.clone();
    // A tenth of the time they are kept is soon enough.
    let kept = parts.conversations.options().purge_after;
    let period = (kept / 10).clamp(SWEEP_CONVERSATIONS, SWEEP);
    every(period, tracker, shutdown, move || {
        let parts = deleted.clone();
        async move {
            if let Err(error) = parts.chat.purge(&system(&parts.store)).await {
                tracing::warn!(?error, "deleted conversations could not be purged");
            }
        }
    });
    let (restored, ending) = (parts.clone(), shutdown.clone());
    every(SWEEP_RESTORED, tracker, shutdown, move || {
        let (parts, ending) = (restored.clone(), ending.clone());
        async move {
            let system = system(&parts.store);
            // A large one takes a while, and goes on after the next start.
            let indexed = ending.run_until_cancelled(parts.conversations.index_restored(&system));
            if let Some(Err(error)) = indexed.await {
                tracing::warn!(?error, "restored conversations could not be indexed");
            }
        }
    });
    let erased = parts.clone();
    // What an end of the process has interrupted goes on at once.
    tracker.spawn(async move { erase_again(&erased).await });
    let rest = parts.clone();
    every(SWEEP, tracker, shutdown, move || {
        let parts = rest.clone();
        async move {
            let system = system(&parts.store);
            if let Err(error) = parts.store.sweep(&system).await {
                tracing::warn!(?error, "idempotency keys could not be swept");
            }
            if let Err(error) = parts.security.sweep(&system).await {
                tracing::warn!(?error, "sessions could not be swept");
            }
            erase_again(&parts).await;
        }
    });
}

async fn erase_again(parts: &api::Parts) {
    let system = system(&parts.store);
    if let Err(error) = parts.chat.erase_again(&system, &parts.security).await {
        tracing::warn!(?error, "what erased accounts left could not be removed");
    }
}

/// Lets the recorder forget the samples it has summed up.
pub(crate) fn keep_metrics(
    handle: &PrometheusHandle,
    tracker: &TaskTracker,
    shutdown: &CancellationToken,
) {
    let handle = handle.clone();
    every(Duration::from_secs(5), tracker, shutdown, move || {
        let handle = handle.clone();
        async move { handle.run_upkeep() }
    });
}
