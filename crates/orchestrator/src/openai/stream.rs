//! An answer while it comes in: from bytes to chunks, with a limit on how long
//! each wait may be. Only what ended as the format says is an answer.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream, stream::BoxStream};
use tokio::time::Instant;

use super::{
    failure,
    wire::{Event, Usage, finish_reason},
};
use crate::{
    provider::{ChatStream, Chunk, FinishReason, ProviderError, ProviderErrorKind, TimeoutKind},
    sse,
};

type Bodies = BoxStream<'static, reqwest::Result<Bytes>>;

/// How long to wait, at most, for the last bytes of a body that is complete in content, so that
/// its connection can be used again.
const DRAIN: Duration = Duration::from_millis(10);

/// The time-outs of one answer.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// When the answer must have begun.
    pub(super) first_by: Instant,
    /// The longest pause after that.
    pub(super) idle: Duration,
}

struct Answer {
    body: Bodies,
    reader: sse::Reader,
    /// The longest pause between events.
    idle: Duration,
    /// How much longer the next event is waited for. Only waiting uses it up, not a slow reader.
    left: Duration,
    /// Which patience that is.
    waiting_for: TimeoutKind,
    /// Text read and not yet handed on: what came in one read is one chunk.
    text: String,
    has_text: bool,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
    /// How it ended, once it has.
    end: Option<Result<FinishReason, ProviderError>>,
}

/// The chunks of a streamed answer.
pub(super) fn chunks(
    body: impl Stream<Item = reqwest::Result<Bytes>> + Send + 'static,
    patience: Patience,
) -> ChatStream {
    let answer = Answer {
        body: body.boxed(),
        reader: sse::Reader::default(),
        idle: patience.idle,
        left: patience.first_by.saturating_duration_since(Instant::now()),
        waiting_for: TimeoutKind::FirstByte,
        text: String::new(),
        has_text: false,
        usage: None,
        finish: None,
        end: None,
    };
    stream::unfold(Some(answer), async |answer| {
        let mut answer = answer?;
        match answer.next().await {
            Ok(chunk @ Chunk::Finish(_)) => Some((Ok(chunk), None)),
            Ok(chunk) => Some((Ok(chunk), Some(answer))),
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

impl Answer {
    async fn next(&mut self) -> Result<Chunk, ProviderError> {
        loop {
            if !self.text.is_empty() {
                self.has_text = true;
                return Ok(Chunk::Text(std::mem::take(&mut self.text)));
            }
            match &self.end {
                Some(Ok(finish)) => {
                    let finish = Chunk::Finish(*finish);
                    let usage = self
                        .usage
                        .take()
                        .and_then(|usage| usage.credible(self.has_text));
                    return Ok(usage.map_or(finish, Chunk::Usage));
                }
                Some(Err(error)) => return Err(error.clone()),
                None => {}
            }
            match self.read().await {
                Ok(Some(bytes)) => {
                    self.reader.feed(bytes);
                    self.end = self.take_events().transpose();
                    if matches!(self.end, Some(Ok(_))) {
                        self.drain().await;
                    }
                }
                Ok(None) => self.end = Some(self.ended()),
                Err(error) => self.end = Some(Err(error)),
            }
        }
    }

    /// The next bytes. Comments keep a connection alive, but only events count as an answer that goes on.
    async fn read(&mut self) -> Result<Option<Bytes>, ProviderError> {
        let begun = Instant::now();
        let next = tokio::time::timeout(self.left, self.body.next()).await;
        self.left = self.left.saturating_sub(begun.elapsed());
        match next {
            Err(_) => Err(failure::timeout(self.waiting_for)),
            Ok(Some(_)) if self.left.is_zero() => Err(failure::timeout(self.waiting_for)),
            Ok(None) => Ok(None),
            Ok(Some(Ok(bytes))) => Ok(Some(bytes)),
            Ok(Some(Err(error))) => Err(failure::from_body(&error)),
        }
    }

    /// Reads the events that are there; the finish once the terminator is among them.
    fn take_events(&mut self) -> Result<Option<FinishReason>, ProviderError> {
        let mut any = false;
        while let Some(event) = self
            .reader
            .next_event()
            .map_err(|_| failure::malformed("sent an event of more than 1 MiB"))?
        {
            any = true;
            if event.is_error {
                return Err(error_event(&event.data));
            }
            if event.data == b"[DONE]" {
                return self.terminated().map(Some);
            }
            let event: Event<'_> = serde_json::from_slice(&event.data)
                .map_err(|_| failure::malformed("sent an event that is not in the format"))?;
            if let Some(error) = event.error {
                return Err(failure::from_object(error.get()));
            }
            if event.usage.is_some() {
                self.usage = event.usage;
            }
            for choice in event
                .choices
                .into_iter()
                .flatten()
                .filter(|choice| choice.index == 0)
            {
                if let Some(content) = choice.delta.and_then(|delta| delta.content) {
                    if self.text.is_empty() {
                        self.text = content;
                    } else {
                        self.text.push_str(&content);
                    }
                }
                if let Some(reason) = choice.finish_reason {
                    self.finish = Some(finish_reason(&reason).ok_or_else(|| {
                        ProviderError::new(
                            ProviderErrorKind::Upstream(200),
                            "gave up within its answer",
                        )
                    })?);
                }
            }
        }
        if any {
            self.left = self.idle;
            self.waiting_for = TimeoutKind::Idle;
        }
        Ok(None)
    }

    /// The terminator was read. It alone makes an answer complete; some servers send no reason.
    fn terminated(&self) -> Result<FinishReason, ProviderError> {
        match self.finish {
            Some(finish) => Ok(finish),
            None if self.has_text || !self.text.is_empty() => Ok(FinishReason::Stop),
            None => Err(failure::malformed(
                "ended its answer without having begun it",
            )),
        }
    }

    /// The body is at its end. Without its terminator that is a cut, however tidy.
    fn ended(&mut self) -> Result<FinishReason, ProviderError> {
        if self.reader.remainder() == Some(b"[DONE]") {
            return self.terminated();
        }
        Err(ProviderError::new(
            ProviderErrorKind::Cut,
            "ended its answer without the terminator",
        ))
    }

    /// Reads to the end of the body, so that the connection goes back to the pool.
    async fn drain(&mut self) {
        let body = &mut self.body;
        let rest = async { while let Some(Ok(_)) = body.next().await {} };
        if tokio::time::timeout(DRAIN, rest).await.is_err() {
            tracing::debug!("the connection stays open after the answer and is given up");
        }
    }
}

/// The data of an `error` event: the error itself, or an object that has one.
fn error_event(data: &[u8]) -> ProviderError {
    let text = String::from_utf8_lossy(data);
    match serde_json::from_str::<Event<'_>>(&text) {
        Ok(Event {
            error: Some(error), ..
        }) => failure::from_object(error.get()),
        _ => failure::from_object(&text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::TokenUsage;

    fn patience() -> Patience {
        Patience {
            first_by: Instant::now() + Duration::from_secs(5),
            idle: Duration::from_secs(5),
        }
    }

    /// Text, usage and how it ended.
    async fn read(
        pieces: Vec<Bytes>,
    ) -> (
        String,
        Option<TokenUsage>,
        Result<FinishReason, ProviderErrorKind>,
    ) {
        let mut chunks = chunks(stream::iter(pieces.into_iter().map(Ok)), patience());
        let (mut text, mut usage, mut end) = (String::new(), None, None);
        while let Some(chunk) = chunks.next().await {
            assert!(end.is_none(), "nothing comes after the end");
            match chunk {
                Ok(Chunk::Text(more)) => {
                    assert!(!more.is_empty());
                    text += &more;
                }
                Ok(Chunk::Usage(it)) => assert!(usage.replace(it).is_none()),
                Ok(Chunk::Finish(finish)) => end = Some(Ok(finish)),
                Err(error) => end = Some(Err(error.kind)),
            }
        }
        (text, usage, end.expect("every stream ends"))
    }

    async fn read_text(
        text: &str,
    ) -> (
        String,
        Option<TokenUsage>,
        Result<FinishReason, ProviderErrorKind>,
    ) {
        read(vec![Bytes::copy_from_slice(text.as_bytes())]).await
    }

    const GOOD: &str = concat!(
        ": hello\r\n\r\n",
        r#"data: {"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
        "\r\n\r\n",
        r#"data: {"choices":[{"index":0,"delta":{"reasoning_content":"hm","content":null}}],"usage":null}"#,
        "\n\n",
        r#"data:{"choices":[{"delta":{"content":"Grüße \ud83d\ude00"}},{"index":1,"delta":{"content":"other"}}]}"#,
        "\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\" 😀\"},\n",
        "data: \"finish_reason\":\"length\"}]}\n\n",
        r#"data: {"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":4,"total_tokens":15,"completion_tokens_details":{"reasoning_tokens":2}}}"#,
        "\n\ndata: [DONE]\n\n",
    );

    fn good() -> (
        String,
        Option<TokenUsage>,
        Result<FinishReason, ProviderErrorKind>,
    ) {
        let usage = TokenUsage {
            prompt_tokens: 11,
            completion_tokens: 4,
        };
        (
            "Grüße 😀 😀".to_owned(),
            Some(usage),
            Ok(FinishReason::Length),
        )
    }

    #[tokio::test]
    async fn cut_into_two_anywhere_it_is_the_same_answer() {
        for at in 0..=GOOD.len() {
            let (one, two) = GOOD.as_bytes().split_at(at);
            let pieces = vec![Bytes::copy_from_slice(one), Bytes::copy_from_slice(two)];
            assert_eq!(read(pieces).await, good(), "cut at {at}");
        }
        let single = GOOD
            .bytes()
            .map(|byte| Bytes::copy_from_slice(&[byte]))
            .collect();
        assert_eq!(read(single).await, good());
    }

    #[tokio::test]
    async fn ended_early_anywhere_it_is_a_failure() {
        let complete = GOOD.find("[DONE]").unwrap() + "[DONE]".len();
        for end in 0..complete {
            let (text, _, ended) =
                read(vec![Bytes::copy_from_slice(&GOOD.as_bytes()[..end])]).await;
            assert_eq!(
                ended,
                Err(ProviderErrorKind::Cut),
                "ended after {end} bytes"
            );
            assert!(good().0.starts_with(&text));
        }
        for end in complete..=GOOD.len() {
            assert_eq!(
                read_text(&GOOD[..end]).await,
                good(),
                "the empty line after the terminator may lack"
            );
        }
    }

    #[tokio::test]
    async fn what_is_no_answer_is_an_error() {
        use ProviderErrorKind as K;
        let begun = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
        for (rest, kind) in [
            (
                "data: {\"error\":{\"message\":\"x\",\"code\":\"rate_limit_exceeded\"}}\n\n",
                K::RateLimited { retry_after: None },
            ),
            (
                "event: error\ndata: {\"message\":\"x\",\"type\":\"overloaded_error\"}\n\n",
                K::Overloaded { retry_after: None },
            ),
            (
                "event: error\ndata: boom\n\ndata: [DONE]\n\n",
                K::Upstream(200),
            ),
            (
                "data: {\"error\":\"boom\"}\n\ndata: [DONE]\n\n",
                K::Upstream(200),
            ),
            (
                "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"error\"}]}\n\ndata: [DONE]\n\n",
                K::Upstream(200),
            ),
            ("data: {\"choices\":[{\"delta\":\n\n", K::Malformed),
            ("data: \"x\"\n\ndata: [DONE]\n\n", K::Malformed),
            (
                "data: {\"choices\":[{\"delta\":{\"content\":7}}]}\n\n",
                K::Malformed,
            ),
            ("<html>", K::Cut),
            ("", K::Cut),
        ] {
            let (text, usage, end) = read_text(&format!("{begun}{rest}")).await;
            assert_eq!(
                (text.as_str(), usage, end),
                ("a", None, Err(kind)),
                "{rest}"
            );
        }
        let empty = read_text("data: [DONE]\n\n").await;
        assert_eq!(empty.2, Err(K::Malformed));
        let mut invalid = b"data: {\"choices\":[{\"delta\":{\"content\":\"".to_vec();
        invalid.extend(b"\xc3\x28\"}}]}\n\ndata: [DONE]\n\n");
        assert_eq!(
            read(vec![invalid.into()]).await.2,
            Err(K::Malformed),
            "invalid UTF-8"
        );
    }

    #[tokio::test]
    async fn a_zero_is_not_reported_as_usage_and_a_missing_reason_is_stop() {
        let text = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n\
            data: {\"choices\":[],\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0}}\n\ndata: [DONE]\n\n";
        assert_eq!(
            read_text(text).await,
            ("a".to_owned(), None, Ok(FinishReason::Stop))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn comments_do_not_pass_for_an_answer() {
        let start = tokio::time::Instant::now();
        let patience = Patience {
            first_by: start + Duration::from_secs(60),
            idle: Duration::from_secs(20),
        };
        let comments = stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Some((Ok(Bytes::from_static(b": processing\n\n")), ()))
        });
        let mut chunks = chunks(comments, patience);
        let error = chunks.next().await.unwrap().unwrap_err();
        assert_eq!(
            error.kind,
            ProviderErrorKind::Timeout(TimeoutKind::FirstByte)
        );
        assert!(chunks.next().await.is_none());
    }
}
