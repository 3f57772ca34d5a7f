//! Publish/subscribe by channel name. Messages are hints, not data: a reader
//! that falls behind loses the oldest and is told how many.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::broadcast::{self, error::RecvError};

use crate::Inner;

/// Messages a reader may fall behind before it loses the oldest.
const BEHIND: usize = 256;

#[derive(Default)]
pub(crate) struct Channels(Mutex<HashMap<Arc<str>, broadcast::Sender<Arc<str>>>>);

/// What a subscription brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A message, in the order of publication.
    Message(Arc<str>),
    /// This many messages were lost, because the reader was too slow: look at
    /// the data itself before going on.
    Lagged(u64),
}

/// A reader of one channel; dropping it ends the subscription.
pub struct Subscription {
    // Only taken by `drop`, before it looks whether somebody else listens.
    receiver: Option<broadcast::Receiver<Arc<str>>>,
    channel: Arc<str>,
    state: Arc<Inner>,
}

impl Channels {
    pub(crate) fn publish(&self, channel: &str, message: Arc<str>) {
        self.publish_with(channel, || message);
    }

    /// The message is made only where somebody listens.
    pub(crate) fn publish_with(&self, channel: &str, message: impl FnOnce() -> Arc<str>) {
        let channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = channels.get(channel) {
            // Fails only when the last reader is just going.
            let _ = sender.send(message());
        }
    }

    fn subscribe(&self, channel: &str) -> (Arc<str>, broadcast::Receiver<Arc<str>>) {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((name, sender)) = channels.get_key_value(channel) {
            return (Arc::clone(name), sender.subscribe());
        }
        let name: Arc<str> = channel.into();
        let (sender, receiver) = broadcast::channel(BEHIND);
        channels.insert(Arc::clone(&name), sender);
        (name, receiver)
    }

    fn leave(&self, channel: &str) {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if channels
            .get(channel)
            .is_some_and(|sender| sender.receiver_count() == 0)
        {
            channels.remove(channel);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Subscription {
    pub(crate) fn new(state: Arc<Inner>, channel: &str) -> Self {
        let (channel, receiver) = state.channels.subscribe(channel);
        Self {
            receiver: Some(receiver),
            channel,
            state,
        }
    }

    /// The next message. Safe to abandon: a message that was not answered
    /// comes with the next call.
    pub async fn recv(&mut self) -> Received {
        let Some(receiver) = &mut self.receiver else {
            return std::future::pending().await;
        };
        match receiver.recv().await {
            Ok(message) => Received::Message(message),
            Err(RecvError::Lagged(count)) => Received::Lagged(count),
            // The subscription keeps the channel, so it cannot be closed.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.receiver = None;
        self.state.channels.leave(&self.channel);
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Subscription({})", self.channel)
    }
}

#[cfg(test)]
mod tests {
    use kernel::Clock;

    use super::*;
    use crate::State;

    #[tokio::test]
    async fn readers_get_what_is_published_on_their_channel_in_order() {
        let state = State::memory(Clock::system());
        state.publish("a", "nobody listens");
        let (mut one, mut two) = (state.subscribe("a"), state.subscribe("a"));
        let mut other = state.subscribe("b");
        for n in 0..10 {
            state.clone().publish("a", n.to_string());
        }
        state.publish("b", "b");
        for n in 0..10 {
            assert_eq!(one.recv().await, Received::Message(n.to_string().into()));
            assert_eq!(two.recv().await, Received::Message(n.to_string().into()));
        }
        assert_eq!(other.recv().await, Received::Message("b".into()));
    }

    #[tokio::test]
    async fn a_reader_that_lags_is_told_and_goes_on() {
        let state = State::memory(Clock::system());
        let mut slow = state.subscribe("a");
        for n in 0..BEHIND + 10 {
            state.publish("a", n.to_string());
        }
        assert_eq!(slow.recv().await, Received::Lagged(10));
        assert_eq!(slow.recv().await, Received::Message("10".into()));
    }

    #[tokio::test]
    async fn channels_without_readers_are_gone() {
        let state = State::memory(Clock::system());
        for n in 0..1_000 {
            drop(state.subscribe(&n.to_string()));
        }
        let (one, two) = (state.subscribe("a"), state.subscribe("a"));
        drop(one);
        assert_eq!(state.0.channels.len(), 1);
        drop(two);
        assert_eq!(state.0.channels.len(), 0);
        let mut again = state.subscribe("a");
        state.publish("a", "x");
        assert_eq!(again.recv().await, Received::Message("x".into()));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn coming_and_going_loses_no_message_of_those_who_stay() {
        let state = State::memory(Clock::system());
        let mut stays = state.subscribe("a");
        let coming = (0..4).map(|_| {
            let state = state.clone();
            tokio::task::spawn_blocking(move || {
                for _ in 0..500 {
                    drop(state.subscribe("a"));
                }
            })
        });
        let coming: Vec<_> = coming.collect();
        for n in 0..200 {
            state.publish("a", n.to_string());
            assert_eq!(stays.recv().await, Received::Message(n.to_string().into()));
        }
        for task in coming {
            task.await.unwrap();
        }
        assert_eq!(state.0.channels.len(), 1);
    }
}
