//! An event stream as a strict client reads it: every frame is checked against
//! the contract (`event:` and `data:` first, `id:` last, no comment before the
//! first event), and so are the ids and text offsets of a whole run.

use std::time::Duration;

use bytes::BytesMut;
use futures_util::{StreamExt, stream::BoxStream};
use http::HeaderMap;
use serde_json::Value as Json;

/// How long a test waits for the next event before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// One event of a run's log.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `<epoch>-<seq>`; empty where events have none.
    pub id: String,
    /// Its name; empty for a text delta.
    pub kind: String,
    /// Its data.
    pub data: Json,
}

impl Event {
    /// The two numbers of its id.
    ///
    /// # Panics
    /// When the id is not of that form.
    #[must_use]
    pub fn position(&self) -> (u64, u64) {
        let parts = self.id.split_once('-');
        let parsed = parts.and_then(|(epoch, seq)| Some((epoch.parse().ok()?, seq.parse().ok()?)));
        parsed.unwrap_or_else(|| panic!("an event id is <epoch>-<seq>, not {:?}", self.id))
    }

    /// Whether it is the last event of an answer.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.kind == "end" || self.kind == "complete"
    }
}

/// An open event stream.
pub struct EventStream {
    /// The head of the answer.
    pub headers: HeaderMap,
    body: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    buffer: BytesMut,
    /// Everything that was received, as it came.
    pub raw: Vec<u8>,
    /// Comments so far.
    pub comments: usize,
    events: usize,
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EventStream({} events)", self.events)
    }
}

impl EventStream {
    pub(crate) fn new(response: reqwest::Response) -> Self {
        let headers = response.headers().clone();
        let kind = headers["content-type"].to_str().expect("text");
        assert!(
            kind.starts_with("text/event-stream"),
            "not an event stream: {kind}"
        );
        assert!(
            !headers.contains_key("content-encoding"),
            "an event stream is not compressed"
        );
        Self {
            headers,
            body: response.bytes_stream().boxed(),
            buffer: BytesMut::new(),
            raw: Vec::new(),
            comments: 0,
            events: 0,
        }
    }

    /// The next event; `None` when the stream has ended or the connection broke.
    ///
    /// # Panics
    /// When nothing comes for half a minute, or a frame breaks the contract.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.frame().await? {
                return Some(event);
            }
        }
    }

    /// Events up to the next comment.
    ///
    /// # Panics
    /// As [`Self::next`], and when the stream ends before.
    pub async fn comment(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            match self.frame().await {
                Some(Some(event)) => events.push(event),
                Some(None) => return events,
                None => panic!("no comment after {events:?}"),
            }
        }
    }

    /// The next frame: an event, or a comment.
    async fn frame(&mut self) -> Option<Option<Event>> {
        loop {
            if let Some(end) = find(&self.buffer, b"\n\n") {
                let frame = self.buffer.split_to(end + 2);
                let frame = std::str::from_utf8(&frame).expect("an event stream is UTF-8");
                let event = parse(frame.trim_end_matches('\n'));
                match event {
                    Some(_) => self.events += 1,
                    None => {
                        assert!(self.events > 0, "a comment precedes the first event");
                        self.comments += 1;
                    }
                }
                return Some(event);
            }
            let piece = tokio::time::timeout(PATIENCE, self.body.next())
                .await
                .unwrap_or_else(|_| panic!("no event for {PATIENCE:?}"));
            match piece {
                Some(Ok(piece)) => {
                    self.raw.extend_from_slice(&piece);
                    self.buffer.extend_from_slice(&piece);
                }
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// Every event up to the end of the stream.
    ///
    /// # Panics
    /// As [`Self::next`].
    pub async fn rest(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }

    /// Events up to and with the first of this kind (empty: the first delta).
    ///
    /// # Panics
    /// When the stream ends before.
    pub async fn until(&mut self, kind: &str) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let event = self
                .next()
                .await
                .unwrap_or_else(|| panic!("no `{kind}` in {events:?}"));
            let found = event.kind == kind;
            events.push(event);
            if found {
                return events;
            }
        }
    }

    /// The whole answer, which must be complete.
    ///
    /// # Panics
    /// When it does not end with its last event.
    pub async fn whole(mut self) -> Transcript {
        let mut transcript = Transcript::default();
        while let Some(event) = self.next().await {
            transcript.push(event);
        }
        assert!(
            transcript.is_complete(),
            "the stream was cut: {:?}",
            transcript.events.last()
        );
        transcript
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// The event of one frame; `None` for a comment.
fn parse(frame: &str) -> Option<Event> {
    if frame.lines().all(|line| line.starts_with(':')) {
        return None;
    }
    let (mut id, mut kind, mut data) = (None, None, Vec::new());
    for line in frame.lines() {
        assert!(id.is_none(), "`id:` is the last line of a frame: {frame:?}");
        let (field, value) = line.split_once(": ").unwrap_or((line, ""));
        match field {
            "event" => {
                assert!(
                    kind.is_none() && data.is_empty(),
                    "`event:` comes first: {frame:?}"
                );
                kind = Some(value.to_owned());
            }
            "data" => data.push(value),
            "id" => id = Some(value.to_owned()),
            _ => panic!("an unknown line in a frame: {frame:?}"),
        }
    }
    assert!(!data.is_empty(), "a frame has data: {frame:?}");
    let data = data.join("\n");
    Some(Event {
        // Only a run's events have ids; `position` asks for one.
        id: id.unwrap_or_default(),
        kind: kind.unwrap_or_default(),
        data: serde_json::from_str(&data).unwrap_or_else(|e| panic!("{e}: {data}")),
    })
}

/// What a client makes of a run's events, perhaps over several connections.
#[derive(Debug, Clone, Default)]
pub struct Transcript {
    /// The events, each once, in order.
    pub events: Vec<Event>,
    /// The text so far.
    pub text: String,
}

impl Transcript {
    /// Takes the next event.
    ///
    /// # Panics
    /// When it is not the one that had to come: a gap, a repetition, an offset
    /// that is not where the text ends, an event after the last one.
    pub fn push(&mut self, event: Event) {
        assert!(!self.is_complete(), "{event:?} after the end");
        let (epoch, seq) = event.position();
        if let Some(last) = self.events.last() {
            let (last_epoch, last_seq) = last.position();
            let follows = if event.kind == "reset" {
                // A reset takes the place of what a crash has lost.
                (epoch, seq) >= (last_epoch, 0)
            } else if epoch == last_epoch {
                seq == last_seq + 1
            } else {
                epoch > last_epoch && seq == 1
            };
            assert!(follows, "{event:?} does not follow {last:?}");
        }
        match event.kind.as_str() {
            "" => {
                let offset = event.data["offset"]
                    .as_u64()
                    .expect("a delta has an offset");
                assert_eq!(
                    offset,
                    self.text.len() as u64,
                    "{event:?} is not where the text ends"
                );
                let text = event.data["text"].as_str().expect("a delta has text");
                assert!(!text.is_empty(), "an empty delta");
                self.text.push_str(text);
            }
            "reset" => event.data["text"]
                .as_str()
                .expect("a text")
                .clone_into(&mut self.text),
            _ => {}
        }
        self.events.push(event);
    }

    /// The id to resume after.
    #[must_use]
    pub fn last_id(&self) -> Option<&str> {
        self.events.last().map(|event| event.id.as_str())
    }

    /// Whether the last event has come.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.events.last().is_some_and(Event::is_last)
    }

    /// The run, told by `start`.
    #[must_use]
    pub fn run(&self) -> Option<&str> {
        self.events.iter().find(|event| event.kind == "start")?.data["run_id"].as_str()
    }

    /// The data of the last event.
    ///
    /// # Panics
    /// When the answer is not complete.
    #[must_use]
    pub fn end(&self) -> &Json {
        assert!(self.is_complete(), "not complete: {:?}", self.events.last());
        &self.events.last().expect("an event").data
    }

    /// How often this kind of event came.
    #[must_use]
    pub fn count(&self, kind: &str) -> usize {
        self.events
            .iter()
            .filter(|event| event.kind == kind)
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, kind: &str, data: &str) -> Event {
        let data = serde_json::from_str(data).unwrap();
        Event {
            id: id.into(),
            kind: kind.into(),
            data,
        }
    }

    #[test]
    fn frames_are_read_and_comments_told_apart() {
        assert_eq!(parse(": keep awake"), None);
        let read = parse("event: end\ndata: {}\nid: 1-2");
        assert_eq!(read, Some(event("1-2", "end", "{}")));
    }

    #[test]
    #[should_panic(expected = "last line")]
    fn an_id_in_front_is_refused() {
        parse("id: 1-2\nevent: end\ndata: {}");
    }

    #[test]
    #[should_panic(expected = "does not follow")]
    fn a_gap_is_noticed() {
        let mut transcript = Transcript::default();
        transcript.push(event("1-1", "start", "{}"));
        transcript.push(event("1-3", "usage", "{}"));
    }

    #[test]
    fn a_reset_after_a_crash_takes_the_place_of_what_was_lost() {
        let mut transcript = Transcript::default();
        transcript.push(event("1-1", "", r#"{"text": "ab", "offset": 0}"#));
        transcript.push(event("1-2", "", r#"{"text": "cd", "offset": 2}"#));
        transcript.push(event(
            "2-0",
            "reset",
            r#"{"text": "ab", "reason": "recovered"}"#,
        ));
        transcript.push(event("2-1", "error", "{}"));
        transcript.push(event("2-2", "end", "{}"));
        assert_eq!(transcript.text, "ab");
        assert!(transcript.is_complete());
    }
}
