//! Undoing a deletion, as long as nothing of the conversation is purged. It is
//! there again at once; its messages are made searchable piece by piece, so that
//! nobody waits long behind a large one. A mark in its row tells how far that is.

use std::collections::HashSet;

use jiff::SignedDuration;
use kernel::{Context, ConversationId, Error, MessageId, Result, TenantId, Timestamp};
use store::{Durability, Reads, Uow, params};

use crate::{
    Conversation, Conversations, absent, change, live,
    pieces::{Mark, Piece},
    purge::only_system,
    search, types,
};

/// Messages that one unit of work makes searchable at most.
const PIECE: u32 = 200;
/// Conversations that one look finds at most.
const CONVERSATIONS: u32 = 50;

impl Conversations {
    /// Undoes the deletion of one of the caller's conversations: it is again as it was, but shared
    /// with nobody. Its last messages may take some moments more to be found by their words.
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
        index(uow, &conversation, None, PIECE).await?;
        change::emit(uow, "conversation.restored", &conversation).await?;
        live::tell_after(&self.state, uow, &conversation, "created")?;
        Ok(conversation)
    }

    /// Makes what is left of restored conversations searchable, of each a piece in turn. For the
    /// platform itself, again and again.
    ///
    /// # Errors
    /// `forbidden` for anybody else; `database_unavailable`.
    pub async fn index_restored(&self, system: &Context) -> Result<()> {
        loop {
            let (mut any, mut failed) = (false, Ok(()));
            for (tenant, id) in self.unindexed(system).await? {
                let indexed = self.index_piece(system, tenant, id, PIECE).await;
                any |= indexed.is_ok();
                failed = failed.and(indexed);
            }
            // What failed is found again, and alone is no progress.
            if !any {
                return failed;
            }
        }
    }

    /// Restored conversations that have messages which cannot be searched yet.
    ///
    /// # Errors
    /// As [`Self::index_restored`].
    pub async fn unindexed(&self, system: &Context) -> Result<Vec<(TenantId, ConversationId)>> {
        only_system(system)?;
        self.store
            .read(system, (), |reads, ()| {
                Box::pin(async move {
                    let rows = reads
                        .query(
                            "SELECT tenant_id, id FROM conversations
                             WHERE unindexed_depth IS NOT NULL AND deleted_at IS NULL
                             ORDER BY id LIMIT $1",
                            params![CONVERSATIONS],
                        )
                        .await?;
                    rows.into_iter()
                        .map(|mut row| Ok((row.get(0)?, row.get(1)?)))
                        .collect()
                })
            })
            .await
    }

    /// Makes at most so many more messages of a restored conversation searchable.
    ///
    /// # Errors
    /// As [`Self::index_restored`].
    pub async fn index_piece(
        &self,
        system: &Context,
        tenant: TenantId,
        id: ConversationId,
        most: u32,
    ) -> Result<()> {
        only_system(system)?;
        let ctx = Context::system("index", tenant, system.request());
        self.store
            .write(&ctx, Durability::Fast, (id, most), |uow, (id, most)| {
                Box::pin(async move { go_on(uow, *id, *most).await })
            })
            .await
    }

    /// What was deleted at this moment or before is purged.
    pub(crate) fn purged_before(&self, now: Timestamp) -> Result<Timestamp> {
        let kept = SignedDuration::try_from(self.options.purge_after).map_err(Error::internal)?;
        Ok(now.saturating_sub(kept).unwrap_or(Timestamp::UNIX_EPOCH))
    }
}

/// The next piece. The conversation is locked first, so that none of its messages is added twice.
async fn go_on(uow: &mut Uow, id: ConversationId, most: u32) -> Result<()> {
    let tenant = uow.tenant()?;
    let sql = format!(
        "SELECT {}, unindexed_depth, unindexed_id FROM conversations
         WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL AND unindexed_depth IS NOT NULL
         FOR UPDATE",
        types::COLUMNS
    );
    // Deleted meanwhile, or another node was faster.
    let Some(mut row) = uow.query_opt(&sql, params![tenant, id]).await? else {
        return Ok(());
    };
    let after = (row.get(15)?, row.get(16)?);
    let conversation = Conversation::from_row(row)?;
    index(uow, &conversation, Some(after), most).await
}

/// Makes the messages after this one searchable, at most so many, and notes how far that is.
async fn index(
    uow: &mut Uow,
    conversation: &Conversation,
    after: Option<Mark>,
    most: u32,
) -> Result<()> {
    let tenant = uow.tenant()?;
    let piece = Piece::after(uow, conversation.id, after, most).await?;
    let there = indexed_already(uow, conversation.id, &piece).await?;
    for message in &piece.messages {
        if !there.contains(&message.id) {
            search::add(uow, conversation, Some(message.id), &message.content).await?;
        }
    }
    let (depth, id) = piece.end().filter(|_| piece.more).unzip();
    uow.execute(
        "UPDATE conversations SET unindexed_depth = $3, unindexed_id = $4
         WHERE tenant_id = $1 AND id = $2",
        params![tenant, conversation.id, depth, id],
    )
    .await?;
    Ok(())
}

/// Those that were written after the conversation was restored.
async fn indexed_already(
    reads: &mut Reads,
    conversation: ConversationId,
    piece: &Piece,
) -> Result<HashSet<MessageId>> {
    let (Some(first), Some(last)) = (piece.messages.first(), piece.messages.last()) else {
        return Ok(HashSet::new());
    };
    let tenant = reads.tenant()?;
    let rows = reads
        .query(
            "SELECT t.message_id FROM messages m JOIN conversation_texts t
               ON t.conversation_id = m.conversation_id AND t.message_id = m.id
             WHERE m.tenant_id = $1 AND t.tenant_id = $1 AND m.conversation_id = $2
               AND m.depth >= $3 AND m.depth <= $4",
            params![tenant, conversation, first.depth, last.depth],
        )
        .await?;
    rows.into_iter().map(|mut row| row.get(0)).collect()
}
