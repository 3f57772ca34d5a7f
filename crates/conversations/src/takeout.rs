//! Everything that an account has written, a piece at a time, for its own export:
//! also conversations that it has deleted and could still restore.

use kernel::{Context, ConversationId, MessageId, Result, Timestamp};
use serde::Serialize;
use store::{Reads, params};
use uuid::Uuid;

use crate::{Conversation, Conversations, Message, types};

/// A conversation as its owner takes it along.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TakenOut {
    /// The conversation.
    #[serde(flatten)]
    pub conversation: Conversation,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
}

impl Conversations {
    /// The caller's conversations after this one, in the order in which they began.
    ///
    /// # Errors
    /// `not_authenticated`, `database_unavailable`.
    pub async fn take_out(
        &self,
        ctx: &Context,
        after: Option<ConversationId>,
        most: u32,
    ) -> Result<Vec<TakenOut>> {
        ctx.account()?;
        let after = after.map_or(Uuid::nil(), ConversationId::uuid);
        self.store
            .read(ctx, (after, most), |reads, (after, most)| {
                Box::pin(conversations(reads, *after, *most))
            })
            .await
    }

    /// The messages of one of them after this one, of every branch, from the first prompt downward.
    ///
    /// # Errors
    /// `not_authenticated`, `database_unavailable`.
    pub async fn take_out_messages(
        &self,
        ctx: &Context,
        id: ConversationId,
        after: Option<(i64, MessageId)>,
        most: u32,
    ) -> Result<Vec<Message>> {
        ctx.account()?;
        let after = after.map_or((-1, Uuid::nil()), |(depth, id)| (depth, id.uuid()));
        self.store
            .read(ctx, (id, after, most), |reads, (id, after, most)| {
                Box::pin(messages(reads, *id, *after, *most))
            })
            .await
    }
}

async fn conversations(reads: &mut Reads, after: Uuid, most: u32) -> Result<Vec<TakenOut>> {
    let ctx = reads.context()?;
    let sql = format!(
        "SELECT {}, deleted_at FROM conversations
         WHERE tenant_id = $1 AND account_id = $2 AND id > $3 ORDER BY id LIMIT $4",
        types::COLUMNS
    );
    let rows = reads
        .query(&sql, params![ctx.tenant(), ctx.account()?, after, most])
        .await?;
    let last = types::COLUMNS.split(',').count();
    rows.into_iter()
        .map(|mut row| {
            let deleted_at = row.get(last)?;
            Ok(TakenOut {
                conversation: Conversation::from_row(row)?,
                deleted_at,
            })
        })
        .collect()
}

async fn messages(
    reads: &mut Reads,
    id: ConversationId,
    (depth, after): (i64, Uuid),
    most: u32,
) -> Result<Vec<Message>> {
    let ctx = reads.context()?;
    let sql = format!(
        "SELECT {} FROM messages m
         JOIN conversations c ON c.id = m.conversation_id AND c.tenant_id = $1
         WHERE m.tenant_id = $1 AND m.conversation_id = $2 AND c.account_id = $3
           AND (m.depth, m.id) > ($4, $5)
         ORDER BY m.depth, m.id LIMIT $6",
        types::MESSAGE_COLUMNS
    );
    let params = params![ctx.tenant(), id, ctx.account()?, depth, after, most];
    let rows = reads.query(&sql, params).await?;
    rows.into_iter().map(Message::from_row).collect()
}
