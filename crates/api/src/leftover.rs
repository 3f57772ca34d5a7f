//! What a handler leaves of a request's body. To close a connection on a client that still sends
//! can take the answer away from it, so the rest is taken first, within bounds of size and time.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Body, extract::Request};
use bytes::Bytes;
use http::header;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::oneshot;

/// Bytes of a rest that are taken at most.
const MOST: usize = 8 * 1024 * 1024;
/// A client that sends nothing for so long waits for its answer.
const PAUSE: Duration = Duration::from_secs(2);
/// How long all of it may take.
const LONGEST: Duration = Duration::from_secs(30);

/// The body as the handler reads it; goes back when it is dropped before its end.
struct Kept<B> {
    body: Option<B>,
    asked: bool,
    ended: bool,
    back: Option<oneshot::Sender<(B, bool)>>,
}

/// Where the rest of a body arrives.
pub(crate) struct Leftover<B> {
    back: oneshot::Receiver<(B, bool)>,
    /// The client sends its body when it is asked to (`Expect: 100-continue`).
    waits: bool,
}

/// The request for the handler, and what it will leave; `None` where there is no body.
pub(crate) fn keep<B>(request: http::Request<B>) -> (Request, Option<Leftover<B>>)
where
    B: HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + Unpin + 'static,
{
    if request.body().is_end_stream() {
        return (request.map(Body::new), None);
    }
    let (back, left) = oneshot::channel();
    let waits = request.headers().contains_key(header::EXPECT);
    let request = request.map(|body| {
        Body::new(Kept {
            body: Some(body),
            asked: false,
            ended: false,
            back: Some(back),
        })
    });
    let leftover = Leftover { back: left, waits };
    (request, Some(leftover))
}

impl<B: HttpBody<Data = Bytes> + Unpin> Leftover<B> {
    /// Takes what the handler has left, and forgets it.
    pub(crate) async fn take(mut self) {
        let Ok((mut body, asked)) = self.back.try_recv() else {
            return;
        };
        if self.waits && !asked {
            return;
        }
        let all = async {
            let mut taken = 0;
            while taken < MOST {
                match tokio::time::timeout(PAUSE, body.frame()).await {
                    Ok(Some(Ok(frame))) => taken += frame.data_ref().map_or(0, Bytes::len),
                    Ok(Some(Err(_)) | None) | Err(_) => return,
                }
            }
        };
        let _ = tokio::time::timeout(LONGEST, all).await;
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Kept<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.asked = true;
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(body).poll_frame(cx);
        self.ended = matches!(polled, Poll::Ready(None | Some(Err(_))));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl<B> Drop for Kept<B> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if let (Some(body), Some(back)) = (self.body.take(), self.back.take()) {
            let _ = back.send((body, self.asked));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use futures_util::{StreamExt, stream};
    use http_body_util::StreamBody;

    use super::*;

    type Piece = Result<Frame<Bytes>, std::io::Error>;

    /// So many pieces of 64 KiB, each after this long, and how many were taken.
    fn body(
        pieces: usize,
        wait: Duration,
    ) -> (
        impl HttpBody<Data = Bytes, Error = std::io::Error> + Send + Unpin + 'static,
        Arc<AtomicUsize>,
    ) {
        let taken = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&taken);
        let pieces = stream::iter(0..pieces).then(move |_| {
            let count = Arc::clone(&count);
            async move {
                tokio::time::sleep(wait).await;
                count.fetch_add(1, Ordering::SeqCst);
                Piece::Ok(Frame::data(Bytes::from_static(&[b'x'; 65536])))
            }
        });
        (StreamBody::new(Box::pin(pieces)), taken)
    }

    /// What is taken in all when the handler reads so many pieces.
    async fn taken(request: http::Request<()>, pieces: usize, wait: u64, read: usize) -> usize {
        let (body, taken) = body(pieces, Duration::from_millis(wait));
        let (request, left) = keep(request.map(|()| body));
        let mut body = request.into_body();
        for _ in 0..read {
            let _ = body.frame().await;
        }
        drop(body);
        left.expect("there is a body").take().await;
        taken.load(Ordering::SeqCst)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_taken_within_bounds() {
        let plain = || http::Request::new(());
        assert_eq!(taken(plain(), 40, 0, 0).await, 40);
        assert_eq!(taken(plain(), 40, 1_900, 3).await, 18, "half a minute");
        assert_eq!(taken(plain(), 40, 0, 41).await, 40);
        assert_eq!(taken(plain(), 1_000, 0, 0).await, 128, "8 MiB");
        assert_eq!(taken(plain(), 40, 2_100, 1).await, 1, "nothing comes");
        assert!(keep(http::Request::new(Body::empty())).1.is_none());
    }

    /// Who asks first whether to send gets the answer instead of leave to send.
    #[tokio::test(start_paused = true)]
    async fn nobody_is_asked_to_send_what_nobody_reads() {
        let waiting = || {
            let mut request = http::Request::new(());
            let value = http::HeaderValue::from_static("100-continue");
            request.headers_mut().insert(header::EXPECT, value);
            request
        };
        assert_eq!(taken(waiting(), 40, 0, 0).await, 0);
        assert_eq!(taken(waiting(), 40, 0, 1).await, 40, "it sends already");
    }
}
