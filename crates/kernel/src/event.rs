//! The envelope of a domain event: a fact that happened, written to the outbox
//! in the transaction of the change itself.

use serde::{Deserialize, Serialize};

use crate::{EventId, RequestId, TenantId, Timestamp};

/// The topics events are published on, as S2 names them.
pub mod topics {
    /// What happens in conversations.
    pub const CONVERSATION: &str = "conversation.events";
    /// What models did and what it cost.
    pub const MODEL_USAGE: &str = "model.usage";
    /// What outside systems did.
    pub const INTEGRATION: &str = "integration.events";
    /// Sign-ins, refusals, changes of rights.
    pub const SECURITY: &str = "security.events";
}

/// A fact that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DomainEvent {
    /// Unique; a subscriber that has seen it may ignore it.
    pub id: EventId,
    /// Whose fact it is.
    pub tenant_id: TenantId,
    /// One of [`topics`].
    pub topic: String,
    /// What happened, `noun.verb` in the past: `message.created`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The payload's version; a subscriber ignores fields it does not know.
    pub version: u16,
    /// Events of one key are delivered in order.
    pub key: String,
    /// Position within the key, from 1, without gaps; the store assigns it.
    pub sequence: i64,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The request that caused it.
    pub trace: RequestId,
    /// The fact itself.
    pub payload: serde_json::Value,
}
