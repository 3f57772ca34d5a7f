//! Undoing a deletion, as long as nothing of the conversation is purged.

use jiff::SignedDuration;
use kernel::{Context, ConversationId, Error, MessageId, Result, Timestamp};
use store::{Durability, Uow, params};

use crate::{Conversation, Conversations, absent, change, live, search, types};

/// Levels of the tree whose texts are read at once.
const LEVELS: i64 = 200;

impl Conversations {
    /// Undoes the deletion of one of the caller's conversations: it is again as it was.
    ///
    /// # Errors
    /// `not_found` when it is absent, somebody else's, not deleted, or deleted longer ago than
    /// [`purge_after`](crate::Options::purge_after).
    pub async fn restore(&self, ctx: &Context, id: ConversationId) -> Result<Conversation> {
        self.store
            .write(
                ctx,
                Durability::Durable,
                (self.clone(), id),
                |uow, (this, id)| Box::pin(async move { this.restore_in(uow, *id).await }),
            )
            .await
    }

    /// As [`Self::restore`], within a unit of work.
    ///
    /// # Errors
    /// As [`Self::restore`].
    pub async fn restore_in(&self, uow: &mut Uow, id: ConversationId) -> Result<Conversation> {
        let ctx = uow.context()?;
        let over = self.purged_before(uow.now())?;
        let sql = format!(
            "SELECT {} FROM conversations
             WHERE tenant_id = $1 AND id = $2 AND account_id = $3 AND deleted_at > $4 FOR UPDATE",
            types::COLUMNS
        );
        let row = uow
            .query_opt(&sql, params![ctx.tenant(), id, ctx.account()?, over])
            .await?
            .ok_or_else(absent)?;
        let mut conversation = Conversation::from_row(row)?;
        conversation.version += 1;
        uow.execute(
            "UPDATE conversations SET deleted_at = NULL, version = $3
             WHERE tenant_id = $1 AND id = $2",
            params![ctx.tenant(), id, conversation.version],
        )
        .await?;
        change::count(uow, &conversation, 1).await?;
        search::add(uow, &conversation, None, &conversation.title).await?;
        find_messages_again(uow, &conversation).await?;
        change::emit(uow, "conversation.restored", &conversation).await?;
        live::tell_after(&self.state, uow, &conversation, "created")?;
        Ok(conversation)
    }

    /// What was deleted at this moment or before is purged.
    pub(crate) fn purged_before(&self, now: Timestamp) -> Result<Timestamp> {
        let kept = SignedDuration::try_from(self.options.purge_after).map_err(Error::internal)?;
        Ok(now.saturating_sub(kept).unwrap_or(Timestamp::UNIX_EPOCH))
    }
}

/// Makes the messages of every branch searchable.
async fn find_messages_again(uow: &mut Uow, conversation: &Conversation) -> Result<()> {
    let tenant = uow.tenant()?;
    let mut row = uow
        .query_one(
            "SELECT CAST(COALESCE(MAX(depth), -1) AS bigint) FROM messages
             WHERE tenant_id = $1 AND conversation_id = $2",
            params![tenant, conversation.id],
        )
        .await?;
    let deepest: i64 = row.get(0)?;
    let mut from = 0;
    while from <= deepest {
        let rows = uow
            .query(
                "SELECT id, content FROM messages
                 WHERE tenant_id = $1 AND conversation_id = $2 AND depth >= $3 AND depth < $4
                 ORDER BY depth, id",
                params![tenant, conversation.id, from, from + LEVELS],
            )
            .await?;
        for mut row in rows {
            let (id, content): (MessageId, String) = (row.get(0)?, row.get(1)?);
            search::add(uow, conversation, Some(id), &content).await?;
        }
        from += LEVELS;
    }
    Ok(())
}
