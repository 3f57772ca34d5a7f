//! Short-lived state that every request may touch: sliding windows for rate
//! limits and lock-outs, and publish/subscribe by channel name. It lives in
//! memory and may be lost at any time; nothing that must stay is kept here.

mod changes;
mod channels;
mod window;

use std::sync::Arc;

use kernel::Clock;

pub use changes::{Change, Changes};
pub use channels::{Received, Subscription};
pub use window::{Limit, Rate};

/// The shared short-lived state. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct State(Arc<Inner>);

struct Inner {
    clock: Clock,
    windows: window::Windows,
    channels: channels::Channels,
}

impl State {
    /// State in this process' memory.
    #[must_use]
    pub fn memory(clock: Clock) -> Self {
        Self(Arc::new(Inner {
            clock,
            windows: window::Windows::default(),
            channels: channels::Channels::default(),
        }))
    }

    /// Counts a request against the key's sliding window, as S3 draws it:
    /// remove what is older than the window, count, and add if there is room.
    /// A refused request is not added, so trying does not prolong the wait.
    #[expect(
        clippy::unused_async,
        reason = "a state shared between nodes answers over the network"
    )]
    pub async fn hit(&self, key: &str, limit: &Limit) -> Rate {
        self.0.windows.count(&self.0.clock, key, limit, true)
    }

    /// What [`Self::hit`] would answer, without counting anything.
    #[expect(
        clippy::unused_async,
        reason = "a state shared between nodes answers over the network"
    )]
    pub async fn peek(&self, key: &str, limit: &Limit) -> Rate {
        self.0.windows.count(&self.0.clock, key, limit, false)
    }

    /// Forgets what was counted against the key.
    #[expect(
        clippy::unused_async,
        reason = "a state shared between nodes answers over the network"
    )]
    pub async fn forget(&self, key: &str) {
        self.0.windows.forget(key);
    }

    /// Tells everybody who listens to the channel now. Never waits; where
    /// nobody listens, nothing happens.
    pub fn publish(&self, channel: &str, message: impl Into<Arc<str>>) {
        self.0.channels.publish(channel, message.into());
    }

    /// Listens to a channel from now on: what is published after this call
    /// returns will be received, or counted as lagged.
    #[must_use]
    pub fn subscribe(&self, channel: &str) -> Subscription {
        Subscription::new(Arc::clone(&self.0), channel)
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("State(memory)")
    }
}
