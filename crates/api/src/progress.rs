//! A connection whose writes must get on: when the other side takes no byte for
//! too long, the write fails, which ends the connection and what it keeps.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// A stream of bytes with a time-out for writing; reading is passed on.
pub(crate) struct Progress<S> {
    inner: S,
    patience: Duration,
    /// Made at the first write that has to wait.
    timer: Option<Pin<Box<Sleep>>>,
    /// A write waits, and the timer runs for it.
    waiting: bool,
}

impl<S> Progress<S> {
    pub(crate) fn new(inner: S, patience: Duration) -> Self {
        Self {
            inner,
            patience,
            timer: None,
            waiting: false,
        }
    }

    /// What a write answered, or that it has waited for too long.
    fn watched<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = false;
            return written;
        }
        let deadline = Instant::now() + self.patience;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if !self.waiting {
            timer.as_mut().reset(deadline);
            self.waiting = true;
        }
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Progress<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Progress<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.watched(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, pieces);
        self.watched(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.watched(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the accepting task ends with its test"
)]
mod tests {
    use axum::{Router, body::Body, routing::get};
    use bytes::Bytes;
    use futures_util::stream;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };
    use tokio_util::{sync::CancellationToken, task::TaskTracker};

    use crate::{Options, serve::Connections};

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(400);

    /// A server whose only answer never ends; a connection that has asked for it.
    async fn asked() -> (TcpStream, TaskTracker) {
        let endless = || async {
            let piece = || Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b'x'; 65536]));
            Body::from_stream(stream::repeat_with(piece))
        };
        let mut options = Options::default();
        options.server.write_timeout = PATIENCE;
        let (router, tracker) = (Router::new().route("/", get(endless)), TaskTracker::new());
        let shutdown = CancellationToken::new();
        let connections = Connections::new(router, &options, shutdown, tracker.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(connections.accept(listener, 10));
        let mut client = TcpStream::connect(address).await.unwrap();
        let head = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        client.write_all(head).await.unwrap();
        (client, tracker)
    }

    /// Waits until the server has given every connection up.
    async fn given_up(tracker: &TaskTracker) {
        tracker.close();
        let gone = tokio::time::timeout(Duration::from_secs(10), tracker.wait());
        gone.await.expect("the connection is closed");
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up() {
        let begun = Instant::now();
        let (mut client, tracker) = asked().await;
        let mut first = [0; 16];
        client.read_exact(&mut first).await.unwrap();
        assert!(first.starts_with(b"HTTP/1.1 200 OK"));
        given_up(&tracker).await;
        assert!(begun.elapsed() >= PATIENCE, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_client_that_takes_a_little_now_and_then_is_kept() {
        let (mut client, tracker) = asked().await;
        let mut some = vec![0; 1 << 20];
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE * 4 {
            tokio::time::sleep(PATIENCE / 4).await;
            client.read_exact(&mut some).await.unwrap();
        }
        assert_eq!(tracker.len(), 1);
        drop(client);
        given_up(&tracker).await;
    }
}
