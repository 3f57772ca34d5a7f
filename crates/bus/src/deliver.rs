//! One subscriber: waits for events, gives them to its handler in order, tries
//! again what fails, puts aside what cannot be taken, and saves its place.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;
use kernel::{DomainEvent, Error, Result};
use store::{OutboxCursor, read_outbox};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use crate::{Bus, Handler};

/// How long a handler may go on with its event when the process stops.
const GRACE: Duration = Duration::from_secs(5);
/// The first look after a wake-up that found nothing: on PostgreSQL an event
/// can be read only when no older transaction is open.
const SOON: Duration = Duration::from_millis(5);

pub(crate) struct Subscriber {
    pub(crate) bus: Bus,
    pub(crate) name: &'static str,
    pub(crate) topics: &'static [&'static str],
    pub(crate) handler: Handler,
}

/// Why the delivery ended.
enum Ended {
    /// The process stops.
    Stopped,
    /// Another node has the subscriber.
    Lost,
}

impl Subscriber {
    pub(crate) async fn run(self) {
        let stop = self.bus.0.stop.clone();
        let mut emitted = self.bus.0.store.emitted();
        while !stop.is_cancelled() {
            match self.bus.take(self.name).await {
                Ok(Some(cursor)) => match self.deliver(cursor, &mut emitted).await {
                    Ok(Ended::Stopped) => {
                        if let Err(error) = self.bus.release(self.name).await {
                            tracing::warn!(
                                ?error,
                                subscriber = self.name,
                                "a lease was not given back"
                            );
                        }
                        return;
                    }
                    Ok(Ended::Lost) => {
                        tracing::info!(
                            subscriber = self.name,
                            "another node took the subscriber over"
                        );
                    }
                    Err(error) => {
                        tracing::error!(
                            ?error,
                            subscriber = self.name,
                            "events could not be delivered"
                        );
                    }
                },
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(
                        ?error,
                        subscriber = self.name,
                        "a subscriber could not start"
                    );
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(self.bus.0.options.poll) => {}
            }
        }
    }

    /// Delivers until the process stops or the lease is lost.
    async fn deliver(
        &self,
        mut cursor: OutboxCursor,
        emitted: &mut watch::Receiver<u64>,
    ) -> Result<Ended> {
        let options = &self.bus.0.options;
        let mut renewed = Instant::now();
        let mut pause = SOON;
        loop {
            // Marked as seen before the outbox is read: what is written later wakes again.
            emitted.borrow_and_update();
            let (events, next) = self.read(cursor).await?;
            let found = !events.is_empty();
            for (event, after) in &events {
                let wanted = self.topics.contains(&event.topic.as_str());
                if wanted && !self.take(event, &mut renewed).await? {
                    // The event stays for whoever is next; what came before it is taken.
                    self.bus.save(self.name, cursor).await?;
                    return Ok(Ended::Lost);
                }
                cursor = *after;
                if self.bus.0.stop.is_cancelled() {
                    self.bus.save(self.name, cursor).await?;
                    return Ok(Ended::Stopped);
                }
            }
            cursor = next;
            if found || renewed.elapsed() >= options.lease / 3 {
                renewed = Instant::now();
                if !self.bus.save(self.name, cursor).await? {
                    return Ok(Ended::Lost);
                }
            }
            if found {
                pause = SOON;
                continue;
            }
            tokio::select! {
                () = self.bus.0.stop.cancelled() => return Ok(Ended::Stopped),
                () = sleep(pause.min(options.poll)) => pause = (pause * 2).min(options.poll),
                changed = emitted.changed() => {
                    if changed.is_err() {
                        return Ok(Ended::Stopped);
                    }
                    pause = SOON;
                }
            }
        }
    }

    async fn read(
        &self,
        cursor: OutboxCursor,
    ) -> Result<(Vec<(DomainEvent, OutboxCursor)>, OutboxCursor)> {
        let args = (cursor, self.bus.0.options.batch.max(1));
        self.bus
            .0
            .store
            .read(&self.bus.system(), args, |reads, (cursor, batch)| {
                Box::pin(async move { read_outbox(reads, *cursor, *batch).await })
            })
            .await
    }

    /// Gives an event to the handler until it is taken or put aside. Answers
    /// false when it was neither, because the lease was lost or the process stops.
    async fn take(&self, event: &DomainEvent, renewed: &mut Instant) -> Result<bool> {
        let options = &self.bus.0.options;
        let mut wait = options.backoff;
        for attempt in 1.. {
            let Some(result) = self.attempt(event, renewed).await? else {
                return Ok(false);
            };
            let Err(error) = result else { return Ok(true) };
            tracing::warn!(
                ?error, subscriber = self.name, event = %event.id, kind = %event.kind, attempt,
                "an event was not taken"
            );
            if attempt >= options.attempts.max(1) {
                self.bus
                    .put_aside(self.name, event, &error, attempt)
                    .await?;
                return Ok(true);
            }
            tokio::select! {
                // The event stays where it is, for the next start.
                () = self.bus.0.stop.cancelled() => return Ok(false),
                () = sleep(wait) => wait = (wait * 2).min(options.longest_backoff),
            }
        }
        Ok(true)
    }

    /// One attempt, under a lease that is renewed; `None` when the lease was
    /// lost or the process stops.
    async fn attempt(
        &self,
        event: &DomainEvent,
        renewed: &mut Instant,
    ) -> Result<Option<Result<()>>> {
        let handled = async { (self.handler)(event).await };
        let mut handled = std::pin::pin!(AssertUnwindSafe(handled).catch_unwind());
        let third = self.bus.0.options.lease / 3;
        let stopped = async {
            self.bus.0.stop.cancelled().await;
            sleep(GRACE).await;
        };
        let mut stopped = std::pin::pin!(stopped);
        loop {
            tokio::select! {
                biased;
                () = &mut stopped => return Ok(None),
                () = sleep_until(*renewed + third) => {
                    if self.bus.take(self.name).await?.is_none() {
                        return Ok(None);
                    }
                    *renewed = Instant::now();
                }
                result = &mut handled => {
                    let panicked = |_| Err(Error::internal("a subscriber panicked"));
                    return Ok(Some(result.unwrap_or_else(panicked)));
                }
            }
        }
    }
}
