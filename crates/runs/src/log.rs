//! The event log: events, their ids, their lines in the database and their
//! frames on the wire. A line is `kind TAB json LF`; JSON has neither tab nor
//! line feed outside of escapes.

use std::{borrow::Cow, fmt, ops::Range, str::FromStr};

use bytes::Bytes;
use kernel::{Error, Result, RunId, TenantId};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use store::{Reads, params};

/// A place in a run's log: `<epoch>-<seq>`; the event id of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Cursor {
    /// Raised by each take-over.
    pub epoch: i64,
    /// From 1, without gaps within an epoch; 0 stands before the first.
    pub seq: i64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq)
    }
}

impl FromStr for Cursor {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse::<i64>().ok()).flatten()
        };
        text.split_once('-')
            .and_then(|(epoch, seq)| {
                Some(Self {
                    epoch: number(epoch)?,
                    seq: number(seq)?,
                })
            })
            .ok_or_else(|| Error::invalid("Last-Event-ID", "an event id looks like 1-42"))
    }
}

/// An event that has no place in the log yet.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// Empty for a text delta.
    pub kind: Cow<'static, str>,
    /// Its data.
    pub data: Json,
}

impl NewEvent {
    /// A named event.
    pub fn new(kind: impl Into<Cow<'static, str>>, data: Json) -> Self {
        Self {
            kind: kind.into(),
            data,
        }
    }
}

/// One event of a log, as it goes over the wire. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its id.
    pub cursor: Cursor,
    kind: Cow<'static, str>,
    frame: Bytes,
    data: Range<usize>,
}

impl Event {
    pub(crate) fn new(cursor: Cursor, kind: Cow<'static, str>, data: &str) -> Self {
        use fmt::Write;
        let mut frame = String::with_capacity(data.len() + kind.len() + 40);
        if !kind.is_empty() {
            let _ = writeln!(frame, "event: {kind}");
        }
        frame.push_str("data: ");
        let start = frame.len();
        frame.push_str(data);
        let data = start..frame.len();
        let _ = write!(frame, "\nid: {cursor}\n\n");
        Self {
            cursor,
            kind,
            frame: frame.into(),
            data,
        }
    }

    /// Empty for a text delta.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The data, as JSON text.
    #[must_use]
    pub fn data(&self) -> &str {
        std::str::from_utf8(&self.frame[self.data.clone()]).unwrap_or_default()
    }

    /// The event as one frame of a `text/event-stream`.
    #[must_use]
    pub fn frame(&self) -> Bytes {
        self.frame.clone()
    }

    pub(crate) fn size(&self) -> usize {
        self.frame.len()
    }

    pub(crate) fn line(&self, out: &mut String) {
        out.push_str(&self.kind);
        out.push('\t');
        out.push_str(self.data());
        out.push('\n');
    }
}

pub(crate) fn delta(text: &str, offset: usize) -> String {
    json!({"text": text, "offset": offset}).to_string()
}

#[derive(Deserialize)]
struct TextData {
    text: String,
}

/// The text a log amounts to: deltas joined, a `reset` begins anew.
pub(crate) fn text_of<'a>(events: impl IntoIterator<Item = &'a Event>) -> String {
    let mut text = String::new();
    for event in events {
        let read = || serde_json::from_str::<TextData>(event.data()).map(|data| data.text);
        match event.kind() {
            "" => text.push_str(&read().unwrap_or_default()),
            "reset" => text = read().unwrap_or_default(),
            _ => {}
        }
    }
    text
}

pub(crate) fn payload<'a>(events: impl IntoIterator<Item = &'a Event>) -> String {
    let mut out = String::new();
    events.into_iter().for_each(|event| event.line(&mut out));
    out
}

fn parse(epoch: i64, first: i64, payload: &str) -> impl Iterator<Item = Event> + '_ {
    payload.lines().zip(first..).filter_map(move |(line, seq)| {
        let (kind, data) = line.split_once('\t')?;
        Some(Event::new(
            Cursor { epoch, seq },
            Cow::Owned(kind.to_owned()),
            data,
        ))
    })
}

/// Bytes of a segment at most, unless one event alone is larger; also of what one look at the log
/// hands out, which is in memory for as long as its reader takes to read it.
const PIECE: usize = 64 * 1024;
/// How many segments one look at the log reads at most.
const SEGMENTS: i64 = 16;

/// Events as they are stored, segment by segment.
pub(crate) fn pieces(mut events: &[Event]) -> impl Iterator<Item = &[Event]> {
    std::iter::from_fn(move || {
        let mut size = 0;
        let fit = events.iter().take_while(|event| {
            size += event.size();
            size <= PIECE
        });
        let piece;
        (piece, events) = events.split_at(fit.count().max(1).min(events.len()));
        (!piece.is_empty()).then_some(piece)
    })
}

/// The next stored events after the cursor; not necessarily all of them.
pub(crate) async fn read_after(
    reads: &mut Reads,
    tenant: TenantId,
    run: RunId,
    after: Cursor,
) -> Result<Vec<Event>> {
    let rows = reads
        .query(
            "SELECT epoch, first_seq, payload FROM run_segments
             WHERE tenant_id = $1 AND run_id = $2
               AND (epoch > $3 OR (epoch = $3 AND last_seq > $4))
             ORDER BY epoch, first_seq LIMIT $5",
            params![tenant, run, after.epoch, after.seq, SEGMENTS],
        )
        .await?;
    let (mut events, mut size) = (Vec::new(), 0);
    for mut row in rows {
        let (epoch, first, payload) = (row.get(0)?, row.get(1)?, row.get::<String>(2)?);
        size += payload.len();
        if size > PIECE && !events.is_empty() {
            break;
        }
        events.extend(parse(epoch, first, &payload).filter(|event| event.cursor > after));
    }
    Ok(events)
}

/// The whole stored log.
pub(crate) async fn read_all(
    reads: &mut Reads,
    tenant: TenantId,
    run: RunId,
) -> Result<Vec<Event>> {
    let mut all: Vec<Event> = Vec::new();
    loop {
        let after = all
            .last()
            .map_or_else(Cursor::default, |event| event.cursor);
        let more = read_after(reads, tenant, run, after).await?;
        if more.is_empty() {
            return Ok(all);
        }
        all.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_has_event_and_data_first_and_the_id_last() {
        let cursor = Cursor { epoch: 2, seq: 7 };
        let event = Event::new(cursor, "usage".into(), "{\"a\":1}");
        assert_eq!(
            &event.frame()[..],
            b"event: usage\ndata: {\"a\":1}\nid: 2-7\n\n"
        );
        let event = Event::new(cursor, "".into(), &delta("a\n", 3));
        assert_eq!(
            &event.frame()[..],
            b"data: {\"offset\":3,\"text\":\"a\\n\"}\nid: 2-7\n\n"
        );
    }

    proptest! {
        #[test]
        fn what_is_stored_reads_back(texts in prop::collection::vec(".*", 0..20)) {
            let mut offset = 0;
            let events: Vec<Event> = texts.iter().zip(1..).map(|(text, seq)| {
                let data = delta(text, offset);
                offset += text.len();
                Event::new(Cursor { epoch: 3, seq }, "".into(), &data)
            }).collect();
            let read: Vec<Event> = parse(3, 1, &payload(&events)).collect();
            prop_assert_eq!(read.len(), events.len());
            for (a, b) in read.iter().zip(&events) {
                prop_assert_eq!(a.frame(), b.frame());
            }
            prop_assert_eq!(text_of(&read), texts.concat());
        }

        #[test]
        fn any_text_is_a_cursor_or_a_clear_refusal(text in ".*") {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
            }
        }
    }
}
