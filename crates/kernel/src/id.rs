//! Identifiers: one type per thing, UUIDv7 inside (RFC 9562), so that ids sort
//! by time of creation. A foreign id does not compile; a malformed one does
//! not parse.

use std::{
    fmt, hash,
    marker::PhantomData,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use crate::{Clock, Random};

/// An identifier of one kind of thing.
pub struct Id<K>(Uuid, PhantomData<fn() -> K>);

/// The text is not a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid id")]
pub struct IdError;

impl<K> Id<K> {
    /// Wraps a stored UUID; new ids come from [`Ids`].
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }

    /// The UUID inside.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.0
    }

    /// The 32 hexadecimal digits without hyphens.
    #[must_use]
    pub fn hex(self) -> String {
        self.0.simple().to_string()
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> hash::Hash for Id<K> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
impl<K> FromStr for Id<K> {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Uuid::try_parse(text)
            .map(Self::from_uuid)
            .map_err(|_| IdError)
    }
}
impl<K> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}
impl<'de, K> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse()
            .map_err(|_| de::Error::custom("not a valid id"))
    }
}

/// What an id names; only ever used as a type parameter.
pub mod kinds {
    macro_rules! kinds {
        ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
            $($(#[$doc])* #[derive(Debug)] pub enum $name {})*
        };
    }
    kinds! {
        /// An organisation.
        Tenant,
        /// Who acts; global.
        Account,
        /// One signed-in device of an account.
        AuthSession,
        /// A thread of messages.
        Conversation,
        /// A message of a conversation.
        Message,
        /// A model with its instructions, kept to begin conversations with.
        Assistant,
        /// A text that is kept to be sent again.
        SavedPrompt,
        /// A durable piece of work.
        Run,
        /// A wallet of credits.
        Wallet,
        /// A reservation of credits.
        Hold,
        /// Credits that came in together and expire together.
        Lot,
        /// One immutable movement of credits.
        Transfer,
        /// One record of what was used.
        Usage,
        /// One price of a model, from a moment on.
        Price,
        /// A domain event.
        Event,
        /// One request of a client.
        Request,
        /// One running process of the platform.
        Node,
    }
}

macro_rules! aliases {
    ($($(#[$doc:meta])* $alias:ident = $kind:ident),* $(,)?) => {
        $($(#[$doc])* pub type $alias = Id<kinds::$kind>;)*
    };
}
aliases! {
    /// Names a tenant.
    TenantId = Tenant,
    /// Names an account.
    AccountId = Account,
    /// Names a signed-in device.
    AuthSessionId = AuthSession,
    /// Names a conversation.
    ConversationId = Conversation,
    /// Names a message.
    MessageId = Message,
    /// Names an assistant.
    AssistantId = Assistant,
    /// Names a saved prompt.
    SavedPromptId = SavedPrompt,
    /// Names a run.
    RunId = Run,
    /// Names a wallet.
    WalletId = Wallet,
    /// Names a hold.
    HoldId = Hold,
    /// Names a lot.
    LotId = Lot,
    /// Names a transfer.
    TransferId = Transfer,
    /// Names a usage record.
    UsageId = Usage,
    /// Names a price.
    PriceId = Price,
    /// Names a domain event.
    EventId = Event,
    /// Names a request.
    RequestId = Request,
    /// Names a process.
    NodeId = Node,
}

/// Makes new ids. Within one process they are strictly increasing, also within
/// one millisecond (RFC 9562, section 6.2, method 1: a 12-bit counter in `rand_a`).
#[derive(Clone, Debug)]
pub struct Ids {
    clock: Clock,
    random: Random,
    last: Arc<Mutex<(u64, u16)>>,
}

impl Ids {
    /// A generator over the given time and randomness.
    #[must_use]
    pub fn new(clock: Clock, random: Random) -> Self {
        Self {
            clock,
            random,
            last: Arc::default(),
        }
    }

    /// A new id, greater than every one this generator made before.
    #[must_use]
    pub fn next<K>(&self) -> Id<K> {
        let mut random = [0u8; 10];
        self.random.fill(&mut random);
        let now = u64::try_from(self.clock.now().as_millisecond()).unwrap_or(0);
        let (millis, counter) = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            *last = match *last {
                (ms, counter) if now <= ms && counter < 0x0fff => (ms, counter + 1),
                (ms, _) if now <= ms => (ms + 1, 0),
                // Start low, so that a millisecond has room for about 3,500 ids.
                _ => (now, u16::from(random[0])),
            };
            *last
        };
        random[0] = u8::try_from(counter >> 8).unwrap_or(0);
        random[1] = u8::try_from(counter & 0xff).unwrap_or(0);
        Id::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_increase_even_when_the_clock_stands_still_or_goes_back() {
        let clock = Clock::manual(crate::Timestamp::from_second(1_000).unwrap());
        let ids = Ids::new(clock.clone(), Random::seeded(1));
        let mut last: RunId = ids.next();
        for n in 0..10_000 {
            if n == 5_000 {
                clock.set(crate::Timestamp::from_second(900).unwrap());
            }
            let next = ids.next();
            assert!(next > last, "{next} after {last}");
            last = next;
        }
        assert_eq!(last.uuid().get_version_num(), 7);
    }

    #[test]
    fn malformed_ids_do_not_parse() {
        for text in ["", "x", "0190", "'; drop table", "\u{0}"] {
            assert_eq!(text.parse::<RunId>(), Err(IdError));
        }
    }
}
