//! A reader of server-sent events (WHATWG HTML 9.2.6) as model providers send
//! them: bytes in, events out, whatever the cuts between the bytes. Not here:
//! what the events mean (`openai`), reconnection and event ids (providers have none).

use bytes::Bytes;

/// The longest line, and the most data of one event, that is accepted: 1 MiB.
pub(crate) const LIMIT: usize = 1 << 20;

/// A line or an event was longer than [`LIMIT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong;

/// What stands between the event just read and the next.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// The chunk being read, and how far.
    chunk: Bytes,
    at: usize,
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    /// The last byte was a carriage return: a line feed next belongs to it.
    after_cr: bool,
    /// Whether the first line has been seen (a byte order mark may precede it).
    begun: bool,
    event: Event,
    /// The event has a `data` field, if only an empty one.
    has_data: bool,
    /// The event was handed out, and is cleared when the next is asked for.
    taken: bool,
}

/// One event.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// The event's name is `error`; other names make no difference.
    pub(crate) is_error: bool,
    /// The data lines joined by line feeds; bytes, because UTF-8 is the parser's to check.
    pub(crate) data: Vec<u8>,
}

impl Reader {
    /// Adds what was received. To be called when [`Reader::next_event`] has nothing more.
    pub(crate) fn feed(&mut self, chunk: Bytes) {
        debug_assert!(self.at == self.chunk.len(), "events were left unread");
        self.chunk = chunk;
        self.at = 0;
    }

    /// The next whole event, if it is there.
    pub(crate) fn next_event(&mut self) -> Result<Option<&Event>, TooLong> {
        if std::mem::take(&mut self.taken) {
            self.clear();
        }
        while self.at < self.chunk.len() {
            if std::mem::take(&mut self.after_cr) && self.chunk[self.at] == b'\n' {
                self.at += 1;
                continue;
            }
            let chunk = self.chunk.clone();
            let rest = &chunk[self.at..];
            let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.at = chunk.len();
                if self.partial.len() + rest.len() > LIMIT {
                    return Err(TooLong);
                }
                self.partial.extend_from_slice(rest);
                return Ok(None);
            };
            self.after_cr = rest[end] == b'\r';
            self.at += end + 1;
            if self.partial.len() + end > LIMIT {
                return Err(TooLong);
            }
            let complete = if self.partial.is_empty() {
                self.line(&rest[..end])?
            } else {
                let mut line = std::mem::take(&mut self.partial);
                line.extend_from_slice(&rest[..end]);
                let complete = self.line(&line)?;
                line.clear();
                self.partial = line;
                complete
            };
            if complete {
                self.taken = true;
                return Ok(Some(&self.event));
            }
        }
        Ok(None)
    }

    /// What was begun and not ended when the stream ended: the data of the last event, if any. The
    /// specification discards it; some servers leave out the last empty line after their terminator.
    pub(crate) fn remainder(&mut self) -> Option<&[u8]> {
        if std::mem::take(&mut self.taken) {
            self.clear();
        }
        let line = std::mem::take(&mut self.partial);
        self.line(&line).ok()?;
        self.has_data.then_some(&self.event.data)
    }

    fn clear(&mut self) {
        self.event.data.clear();
        self.event.is_error = false;
        self.has_data = false;
    }

    /// Takes one line; true when it ends an event that has data.
    fn line(&mut self, line: &[u8]) -> Result<bool, TooLong> {
        let line = if std::mem::replace(&mut self.begun, true) {
            line
        } else {
            line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
        };
        if line.is_empty() {
            if self.has_data {
                return Ok(true);
            }
            self.clear();
            return Ok(false);
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, value) = match colon {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &line[line.len()..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                if self.event.data.len() + value.len() + 1 > LIMIT {
                    return Err(TooLong);
                }
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push(b'\n');
                }
                self.event.data.extend_from_slice(value);
            }
            b"event" => self.event.is_error = value == b"error",
            // Comments (an empty field name), ids, retry times and unknown fields.
            _ => {}
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(chunks: &[&[u8]]) -> Result<Vec<Event>, TooLong> {
        let mut reader = Reader::default();
        let mut events = Vec::new();
        for chunk in chunks {
            reader.feed(Bytes::copy_from_slice(chunk));
            while let Some(event) = reader.next_event()? {
                events.push(event.clone());
            }
        }
        Ok(events)
    }

    fn event(data: &str) -> Event {
        Event {
            is_error: false,
            data: data.into(),
        }
    }

    const AWKWARD: &str = "\u{feff}: a comment\r\ndata: {\"a\":1}\r\n\r\ndata:no space\n\n\
        event: error\rdata: one\rdata: two\r\r\nid: 7\nretry: 5\nnothing\n\ndata\n\n\
        event: x\n\ndata: gr\u{fc}\u{df}e \u{1f600}\r\ndata:  indented\r\n\r\ndata: [DONE]\n\n";

    fn awkward() -> Vec<Event> {
        vec![
            event("{\"a\":1}"),
            event("no space"),
            Event {
                is_error: true,
                data: "one\ntwo".into(),
            },
            event(""),
            event("grüße 😀\n indented"),
            event("[DONE]"),
        ]
    }

    #[test]
    fn reads_the_same_wherever_the_stream_is_cut() {
        let bytes = AWKWARD.as_bytes();
        assert_eq!(read(&[bytes]).unwrap(), awkward());
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let parts = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(
                    read(&parts).unwrap(),
                    awkward(),
                    "cut at {first} and {second}"
                );
            }
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&single).unwrap(), awkward());
    }

    #[test]
    fn what_has_no_end_is_refused_and_not_kept() {
        let piece = vec![b'x'; 64 * 1024];
        let endless: Vec<&[u8]> = std::iter::repeat_n(piece.as_slice(), 17).collect();
        assert_eq!(read(&endless), Err(TooLong));
        let mut line = b"data: ".to_vec();
        line.extend(std::iter::repeat_n(b'y', 600 * 1024));
        line.push(b'\n');
        assert_eq!(
            read(&[&line, &line]),
            Err(TooLong),
            "many lines of one event count together"
        );
        line.push(b'\n');
        assert_eq!(read(&[&line, &line]).unwrap().len(), 2);
    }

    #[test]
    fn the_remainder_is_what_was_not_ended() {
        for (text, remainder) in [
            ("data: a\n\n", None),
            ("data: a\n\ndata: [DONE]", Some("[DONE]")),
            ("data: a\n\ndata: [DONE]\n", Some("[DONE]")),
            (": comment", None),
        ] {
            let mut reader = Reader::default();
            reader.feed(Bytes::from_static(text.as_bytes()));
            while reader.next_event().unwrap().is_some() {}
            assert_eq!(reader.remainder(), remainder.map(str::as_bytes), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_read_the_same_whole_and_in_pieces(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b' '), Just(b'd'), any::<u8>()], 0..300),
            lines in proptest::collection::vec("(data|event|id|)(:| :|: )[a-z\u{e9}]{0,5}(\n|\r|\r\n)+", 0..20),
            size in 1_usize..40,
        ) {
            for stream in [bytes, lines.concat().into_bytes()] {
                let whole = read(&[&stream]).unwrap();
                let pieces: Vec<&[u8]> = stream.chunks(size).collect();
                prop_assert_eq!(read(&pieces).unwrap(), whole);
            }
        }
    }
}
