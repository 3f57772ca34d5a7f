//! Event streams: framed events in, a body of `text/event-stream` out. No event
//! is copied; a comment is sent after silence, never before the first event.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use http::{HeaderName, HeaderValue, header};
use http_body::Frame;
use kernel::codes;
use runs::RunEvents;
use tokio::time::{Instant, Sleep};

use crate::places::Place;

const COMMENT: Bytes = Bytes::from_static(b": \n\n");

/// The frames of a run's log, until its last event.
pub(crate) fn frames(events: RunEvents) -> impl Stream<Item = Bytes> + Send {
    stream::unfold(events, |mut events| async {
        match events.next().await {
            Ok(Some(batch)) => Some((batch, events)),
            Ok(None) => None,
            // Its conversation was deleted.
            Err(error) if error.is(codes::NOT_FOUND) => None,
            Err(error) => {
                // The client comes back with its last event id.
                tracing::warn!(?error, "an event stream broke off");
                None
            }
        }
    })
    .flat_map(|batch| stream::iter(batch.into_iter().map(|event| event.frame())))
}

/// The answer that streams these frames. It ends with them, or when `over` says so.
pub(crate) fn answer(
    frames: impl Stream<Item = Bytes> + Send + 'static,
    heartbeat: Duration,
    over: impl Future<Output = ()> + Send + 'static,
    place: Place,
) -> Response {
    let body = Events {
        frames: Box::pin(frames),
        silence: Box::pin(tokio::time::sleep(heartbeat)),
        heartbeat,
        begun: false,
        over: Box::pin(over),
        _place: place,
    };
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    (headers, Body::new(body)).into_response()
}

struct Events {
    frames: Pin<Box<dyn Stream<Item = Bytes> + Send>>,
    silence: Pin<Box<Sleep>>,
    heartbeat: Duration,
    begun: bool,
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
    _place: Place,
}

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.over.poll_unpin(cx).is_ready() {
            return Poll::Ready(None);
        }
        let now = Instant::now();
        let frame = match self.frames.poll_next_unpin(cx) {
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(frame)) => {
                self.begun = true;
                frame
            }
            Poll::Pending => {
                ready!(self.silence.poll_unpin(cx));
                if !self.begun {
                    // Nothing may precede the first event: keep on being silent.
                    let next = now + self.heartbeat;
                    self.silence.as_mut().reset(next);
                    let _ = self.silence.poll_unpin(cx);
                    return Poll::Pending;
                }
                COMMENT
            }
        };
        let next = now + self.heartbeat;
        self.silence.as_mut().reset(next);
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::places::{Places, Use};

    fn place() -> Place {
        let account = kernel::AccountId::from_uuid(uuid::Uuid::from_u128(1));
        Places::default().take(account, Use::Answer, 1).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn comments_fill_silence_but_never_come_first() {
        let waits = stream::iter([40u64, 0, 40])
            .enumerate()
            .then(|(n, wait)| async move {
                tokio::time::sleep(Duration::from_secs(wait)).await;
                Bytes::from(format!("data: {n}\nid: 1-{}\n\n", n + 1))
            });
        let answer = answer(
            waits,
            Duration::from_secs(15),
            std::future::pending(),
            place(),
        );
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["x-accel-buffering"], "no");
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(text.to_vec()).unwrap();
        let expected = "data: 0\nid: 1-1\n\ndata: 1\nid: 1-2\n\n: \n\n: \n\ndata: 2\nid: 1-3\n\n";
        assert_eq!(text, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_when_its_caller_is_over() {
        let over = tokio::time::sleep(Duration::from_secs(5));
        let answer = answer(stream::pending(), Duration::from_secs(15), over, place());
        assert!(
            answer
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .is_empty()
        );
    }
}
