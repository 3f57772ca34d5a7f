//! A run that this node works on: its recent events in memory, from which any
//! number of readers are fed. A reader has a position and no queue, so a slow
//! one costs nothing; one that falls behind the memory reads the stored log.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::Value as Json;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    EndReason, RunRecord,
    log::{Cursor, Event, NewEvent, delta},
};

/// Stored events stay in memory up to this many bytes.
const KEPT: usize = 16 * 1024;
/// Deltas are stored at the latest when they have grown to this many bytes.
pub(crate) const FLUSH_BYTES: usize = 4 * 1024;
/// A log in more pieces than this is joined at its end.
const SEGMENTS: usize = 4;
/// Beyond this much unstored text the run waits for the database.
const UNSTORED: usize = 256 * 1024;

pub(crate) struct Live {
    pub(crate) record: RunRecord,
    log: Mutex<Log>,
    /// Readers wait here; the value counts changes.
    changed: watch::Sender<u64>,
    /// The keeper waits here for something to store.
    pub(crate) wanted: Notify,
    stored: Notify,
    /// Somebody wants the run to end.
    pub(crate) stop: CancellationToken,
    /// The work is done; the keeper stores no more.
    pub(crate) closing: CancellationToken,
    /// Another node has taken the run over.
    pub(crate) lost: CancellationToken,
}

#[derive(Default)]
struct Log {
    events: VecDeque<Event>,
    bytes: usize,
    last: i64,
    stored: i64,
    unstored: usize,
    segments: usize,
    /// Something other than a delta waits to be stored.
    urgent: bool,
    text: String,
    stop: Option<EndReason>,
    end: End,
    way: Way,
    /// The way is not stored as it is.
    way_changed: bool,
}

/// Which way a run has gone so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Way {
    pub(crate) routing: Option<Json>,
    pub(crate) attempts: Option<Json>,
}

/// Whether a live log still grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum End {
    /// It does.
    #[default]
    Open,
    /// The last event is in it.
    Complete,
    /// Its end cannot be stored for the time being.
    Stalled,
    /// It goes on elsewhere; only the stored log is true.
    Lost,
}

/// Whether a live log has something to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// It has not.
    Nothing,
    /// Deltas or the way, for which more company may come.
    Deltas,
    /// Something that does not wait.
    Urgent,
}

/// What a reader finds after its position.
pub(crate) enum Next {
    Events(Vec<Event>),
    /// The position is before what memory holds: read the stored log.
    Stored,
    /// The position is beyond what exists: the text so far, and where that stands.
    Beyond(Cursor, String),
    /// Nothing yet.
    Wait,
    End(End),
}

impl Live {
    pub(crate) fn new(record: RunRecord, first: Vec<Event>) -> Self {
        let last = first.last().map_or(0, |event| event.cursor.seq);
        let log = Log {
            bytes: first.iter().map(Event::size).sum(),
            events: first.into(),
            last,
            stored: last,
            ..Log::default()
        };
        Self {
            record,
            log: Mutex::new(log),
            changed: watch::channel(0).0,
            wanted: Notify::new(),
            stored: Notify::new(),
            stop: CancellationToken::new(),
            closing: CancellationToken::new(),
            lost: CancellationToken::new(),
        }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn notify(&self) {
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }

    pub(crate) fn append_delta(&self, text: &str) {
        let mut log = self.log();
        let data = delta(text, log.text.len());
        log.text.push_str(text);
        log.push(self.record.epoch, "".into(), &data);
        let wake = log.unstored >= FLUSH_BYTES || log.last == log.stored + 1;
        drop(log);
        self.notify();
        if wake {
            self.wanted.notify_one();
        }
    }

    pub(crate) fn append(&self, event: &NewEvent) {
        let mut log = self.log();
        if event.kind == "reset" {
            log.text = event.data["text"].as_str().unwrap_or_default().to_owned();
        }
        log.push(
            self.record.epoch,
            event.kind.clone(),
            &event.data.to_string(),
        );
        log.urgent = true;
        drop(log);
        self.notify();
        self.wanted.notify_one();
    }

    /// Notes which way the run goes; stored with the next deltas, or soon without any.
    pub(crate) fn go(&self, way: Way) {
        let mut log = self.log();
        log.way = way;
        log.way_changed = true;
        drop(log);
        self.wanted.notify_one();
    }

    /// The way, if it is to be stored; what could not be is to be again.
    pub(crate) fn unstored_way(&self) -> Option<Way> {
        let mut log = self.log();
        std::mem::take(&mut log.way_changed).then(|| log.way.clone())
    }

    pub(crate) fn way_is_unstored(&self) {
        self.log().way_changed = true;
    }

    /// The run with the way it has gone so far.
    pub(crate) fn so_far(&self) -> RunRecord {
        let Way { routing, attempts } = self.log().way.clone();
        RunRecord {
            routing,
            attempts,
            ..self.record.clone()
        }
    }

    /// Waits while the database is far behind.
    pub(crate) async fn room(&self) {
        loop {
            let stored = self.stored.notified();
            if self.log().unstored < UNSTORED {
                return;
            }
            tokio::select! {
                () = stored => {}
                () = self.lost.cancelled() => return,
            }
        }
    }

    pub(crate) fn text(&self) -> String {
        self.log().text.clone()
    }

    /// Whether something is to be stored, and how soon.
    pub(crate) fn waiting(&self) -> Waiting {
        let log = self.log();
        match log.last > log.stored {
            false if log.way_changed => Waiting::Deltas,
            false => Waiting::Nothing,
            true if log.urgent || log.unstored >= FLUSH_BYTES => Waiting::Urgent,
            true => Waiting::Deltas,
        }
    }

    /// What is to be stored next.
    pub(crate) fn unstored(&self) -> Vec<Event> {
        let log = self.log();
        let mut events: Vec<Event> = log
            .events
            .iter()
            .rev()
            .take_while(|e| e.cursor.seq > log.stored)
            .cloned()
            .collect();
        events.reverse();
        events
    }

    pub(crate) fn mark_stored(&self, seq: i64) {
        let mut log = self.log();
        log.segments += 1;
        log.stored = log.stored.max(seq);
        let stored = log.stored;
        let mut open = log
            .events
            .iter()
            .filter(|event| event.cursor.seq > stored)
            .peekable();
        let urgent = open.clone().any(|event| !event.kind().is_empty());
        let unstored = match open.peek() {
            Some(_) => open.map(Event::size).sum(),
            None => 0,
        };
        (log.unstored, log.urgent) = (unstored, urgent);
        while log.bytes > KEPT
            && let Some(event) = log.events.front()
            && event.cursor.seq <= stored
        {
            log.bytes -= event.size();
            log.events.pop_front();
        }
        drop(log);
        self.stored.notify_waiters();
    }

    /// Whether the stored log is worth joining.
    pub(crate) fn is_scattered(&self) -> bool {
        let log = self.log();
        log.end == End::Complete && log.segments > SEGMENTS
    }

    /// The position of the last event.
    pub(crate) fn last(&self) -> i64 {
        self.log().last
    }

    /// Adds the events of the end, which are stored already.
    pub(crate) fn complete(&self, events: Vec<Event>) {
        let mut log = self.log();
        for event in events {
            log.last = event.cursor.seq;
            log.stored = event.cursor.seq;
            log.bytes += event.size();
            log.events.push_back(event);
        }
        log.unstored = 0;
        log.end = End::Complete;
        drop(log);
        self.notify();
    }

    /// Sends away whoever waits for the end; it may still come.
    pub(crate) fn stall(&self) {
        self.log().end = End::Stalled;
        self.notify();
    }

    pub(crate) fn lose(&self) {
        self.log().end = End::Lost;
        self.lost.cancel();
        self.notify();
    }

    /// The last event, once the run has ended here.
    pub(crate) fn last_event(&self) -> (End, Option<Event>) {
        let log = self.log();
        (log.end, log.events.back().cloned())
    }

    pub(crate) fn request_stop(&self, reason: EndReason) {
        self.log().stop.get_or_insert(reason);
        self.stop.cancel();
    }

    pub(crate) fn stop_reason(&self) -> EndReason {
        self.log().stop.unwrap_or(EndReason::Stopped)
    }

    pub(crate) fn after(&self, position: Cursor) -> Next {
        /// What one look hands out at most; a reader comes again.
        const BATCH: usize = 64;
        let log = self.log();
        if log.end == End::Lost {
            return Next::End(End::Lost);
        }
        let here = Cursor {
            epoch: self.record.epoch,
            seq: log.last,
        };
        if position > here {
            // Before the end, which such a reader has not been told.
            let untold = i64::from(log.end == End::Complete);
            let place = Cursor {
                seq: (here.seq - untold).max(0),
                ..here
            };
            return Next::Beyond(place, log.text.clone());
        }
        // Of an earlier epoch everything has been seen, of this one nothing.
        let seen = if position.epoch < here.epoch {
            0
        } else {
            position.seq
        };
        let first = log
            .events
            .front()
            .map_or(log.last + 1, |event| event.cursor.seq);
        if position.epoch < here.epoch && here.epoch > 1 || seen + 1 < first && position < here {
            return Next::Stored;
        }
        let skip = usize::try_from(seen + 1 - first).unwrap_or(0);
        let events: Vec<Event> = log.events.iter().skip(skip).take(BATCH).cloned().collect();
        match (events.is_empty(), log.end) {
            (false, _) => Next::Events(events),
            (true, End::Open) => Next::Wait,
            (true, end) => Next::End(end),
        }
    }
}

impl Log {
    fn push(&mut self, epoch: i64, kind: std::borrow::Cow<'static, str>, data: &str) {
        self.last += 1;
        let event = Event::new(
            Cursor {
                epoch,
                seq: self.last,
            },
            kind,
            data,
        );
        self.bytes += event.size();
        self.unstored += event.size();
        self.events.push_back(event);
    }
}
