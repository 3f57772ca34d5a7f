//! The ground everything stands on: identifiers, the caller's [`Context`],
//! time and randomness as values, credits arithmetic, errors and the event
//! envelope. No I/O lives here, and nothing that only one part needs.

mod clock;
mod context;
mod credits;
pub mod duration;
mod error;
mod event;
pub mod fault;
mod id;
mod page;
mod role;
pub mod text;

pub use clock::{Clock, Random};
pub use context::{Actor, Context, Idempotency};
pub use credits::{Credits, CreditsError};
pub use error::{Code, Error, ErrorKind, FieldError, Result, codes};
pub use event::{DomainEvent, topics};
pub use id::{
    AccountId, AssistantId, AuthSessionId, ConversationId, EventId, HoldId, Id, IdError, Ids,
    LotId, MessageId, NodeId, PriceId, RequestId, RunId, SavedPromptId, TenantId, TransferId,
    UsageId, WalletId, kinds,
};
pub use jiff::Timestamp;
pub use page::{Page, PageMeta, Paged};
pub use role::{Role, Roles};

/// A boxed future, the shape of what runs inside a unit of work.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
