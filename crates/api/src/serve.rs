//! The listener: hyper with the time-outs and limits that keep a slow or hostile
//! client from costing anything, and a stop that lets answers finish.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::Request};
use http::StatusCode;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

use crate::{Options, envelope::SentPath, leftover, paths, progress::Progress, seen::Peer};

/// After the drain, answers are interrupted; for so long they may tell it.
const LAST_WORDS: Duration = Duration::from_secs(4);

/// The head of a request at most; beyond it is 431. A connection holds so much before anybody has
/// signed in.
const HEAD: usize = 64 * 1024;

/// What a connection needs to know.
#[derive(Clone)]
pub(crate) struct Connections {
    pub(crate) router: Router,
    pub(crate) header_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) drain: Duration,
    pub(crate) shutdown: CancellationToken,
    pub(crate) tracker: TaskTracker,
}

impl Connections {
    pub(crate) fn new(
        router: Router,
        options: &Options,
        shutdown: CancellationToken,
        tracker: TaskTracker,
    ) -> Self {
        let server = &options.server;
        Self {
            router,
            header_timeout: server.header_timeout,
            write_timeout: server.write_timeout,
            drain: server.drain,
            shutdown,
            tracker,
        }
    }

    /// Accepts connections until the shutdown; those that are open drain on the tracker.
    pub(crate) async fn accept(self, listener: TcpListener, max_connections: usize) {
        let places = Arc::new(Semaphore::new(
            max_connections.clamp(1, Semaphore::MAX_PERMITS),
        ));
        loop {
            let Some((stream, peer, place)) = self.next(&listener, &places).await else {
                return;
            };
            self.tracker
                .spawn(self.clone().connection(stream, Some(peer), Some(place)));
        }
    }

    /// The same on a Unix socket, whose file mode says who may connect.
    pub(crate) async fn accept_local(self, listener: tokio::net::UnixListener) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    self.tracker
                        .spawn(self.clone().connection(stream, None, None));
                }
                Err(error) => pause_after(&error).await,
            }
        }
    }

    /// The next connection, once there is a place for it; `None` when it is time to stop.
    async fn next(
        &self,
        listener: &TcpListener,
        places: &Arc<Semaphore>,
    ) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let work = async {
            let place = places.clone().acquire_owned().await.ok()?;
            loop {
                match listener.accept().await {
                    Ok((stream, peer)) => {
                        // A token of an answer is sent at once, not with the next one.
                        if let Err(error) = stream.set_nodelay(true) {
                            tracing::debug!(%error, "TCP_NODELAY");
                        }
                        return Some((stream, peer, place));
                    }
                    Err(error) => pause_after(&error).await,
                }
            }
        };
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => None,
            next = work => next,
        }
    }

    /// Serves one connection to its end.
    pub(crate) async fn connection<S>(
        self,
        stream: S,
        peer: Option<SocketAddr>,
        _place: Option<OwnedSemaphorePermit>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let router = self.router;
        let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
            let mut router = router.clone();
            let (request, left) = leftover::keep(request);
            let request = arrive(request, peer);
            async move {
                let response = router.call(request).await.unwrap_or_else(|e| match e {});
                // Who was too slow with the body is not waited for once more.
                if let Some(left) = left
                    && response.status() != StatusCode::REQUEST_TIMEOUT
                {
                    left.take().await;
                }
                Ok::<_, Infallible>(response)
            }
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .max_buf_size(HEAD)
            .max_header_size(HEAD)
            .keep_alive(true);
        let stream = TokioIo::new(Progress::new(stream, self.write_timeout));
        let connection = builder.serve_connection(stream, service);
        let mut connection = std::pin::pin!(connection.with_upgrades());
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = self.shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    result = connection => result,
                    () = tokio::time::sleep(self.drain + LAST_WORDS) => return,
                }
            }
        };
        if let Err(error) = result {
            tracing::trace!(%error, "connection ended");
        }
    }
}

/// Marks a request with where it came from, and takes its path to the canonical one.
pub(crate) fn arrive(mut request: Request, peer: Option<SocketAddr>) -> Request {
    let sent = SentPath(request.uri().path().to_owned());
    paths::rewrite(request.uri_mut());
    request.extensions_mut().insert(sent);
    request.extensions_mut().insert(Peer(peer));
    request
}

/// A client that went away costs nothing; no file descriptors left needs a pause.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    if matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    ) {
        return;
    }
    tracing::error!(%error, "cannot accept connections");
    tokio::time::sleep(Duration::from_millis(500)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one writes is on its way at once: with Nagle's algorithm a token could wait for the
    /// acknowledgement of the one before it.
    #[tokio::test]
    async fn connections_do_not_wait_for_more_to_send() {
        let (options, shutdown) = (Options::default(), CancellationToken::new());
        let connections = Connections::new(Router::new(), &options, shutdown, TaskTracker::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let _client = TcpStream::connect(address).await.unwrap();
        let places = Arc::new(Semaphore::new(1));
        let (stream, ..) = connections.next(&listener, &places).await.unwrap();
        assert!(stream.nodelay().unwrap());
    }
}
