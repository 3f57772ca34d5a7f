//! Reading an event stream (WHATWG HTML, "Server-sent events"): bytes in, events out.

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Event {
    /// Its name; empty for a text delta.
    pub(crate) name: String,
    /// Its data, lines joined by line feeds.
    pub(crate) data: String,
    /// Its id, if it has one.
    pub(crate) id: Option<String>,
}

/// Collects bytes until events are whole.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    rest: Vec<u8>,
    event: Event,
    has_data: bool,
}

impl Parser {
    /// The events that are complete with these bytes. What is cut off is kept
    /// for the next call, and lost with the parser: an event counts only whole.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.rest.extend_from_slice(bytes);
        let mut events = Vec::new();
        let mut start = 0;
        while let Some(length) = self.rest[start..].iter().position(|byte| *byte == b'\n') {
            let line = self.rest[start..start + length].to_vec();
            start += length + 1;
            let line =
                String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line)).into_owned();
            events.extend(self.line(&line));
        }
        self.rest.drain(..start);
        events
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "id" => self.event.id = Some(value.to_owned()),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.has_data = true;
            }
            // Comments and fields of a later day.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_whole_however_the_bytes_come() {
        let text = "event: start\ndata: {\"a\":1}\nid: 1-1\n\n: \n\ndata: {\"text\":\"hé\"}\r\nid: 1-2\r\n\r\n\
                    data: a\ndata: b\n\nevent: cut\ndata: off";
        for size in [1, 2, 3, 7, 1000] {
            let mut parser = Parser::default();
            let events: Vec<Event> = text
                .as_bytes()
                .chunks(size)
                .flat_map(|chunk| parser.feed(chunk))
                .collect();
            assert_eq!(events.len(), 3, "in pieces of {size}");
            assert_eq!(events[0].name, "start");
            assert_eq!(events[1].data, "{\"text\":\"hé\"}");
            assert_eq!(events[1].id.as_deref(), Some("1-2"));
            assert_eq!(events[2].data, "a\nb");
        }
    }
}
