//! Everything that an account has written, a piece at a time, for its own export:
//! also conversations that it has deleted and could still restore.

use kernel::{Context, ConversationId, MessageId, Result, Timestamp};
use serde::Serialize;
use store::{Reads, params};
use uuid::Uuid;

use crate::{
    Conversation, Conversations, Message,
    pieces::{self, Mark, Piece},
    types,
};

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
    /// Some of the caller's conversations after this one, in the order in which they began, and
    /// whether there are more.
    ///
    /// # Errors
    /// `not_authenticated`, `database_unavailable`.
    pub async fn take_out(
        &self,
        ctx: &Context,
        after: Option<ConversationId>,
        most: u32,
    ) -> Result<(Vec<TakenOut>, bool)> {
        ctx.account()?;
        let after = after.map_or(Uuid::nil(), ConversationId::uuid);
        self.store
            .read(ctx, (after, most), |reads, (after, most)| {
                Box::pin(conversations(reads, *after, *most))
            })
            .await
    }

    /// Some messages of one of them after this one, of every branch, from the first prompt downward,
    /// and whether there are more. None of somebody else's, and none when it was purged meanwhile.
    ///
    /// # Errors
    /// `not_authenticated`, `database_unavailable`.
    pub async fn take_out_messages(
        &self,
        ctx: &Context,
        id: ConversationId,
        after: Option<(i64, MessageId)>,
        most: u32,
    ) -> Result<(Vec<Message>, bool)> {
        self.store
            .read(ctx, (id, after, most), |reads, (id, after, most)| {
                Box::pin(messages(reads, *id, *after, *most))
            })
            .await
    }
}

async fn conversations(reads: &mut Reads, after: Uuid, most: u32) -> Result<(Vec<TakenOut>, bool)> {
    let ctx = reads.context()?;
    let (tenant, account) = (ctx.tenant(), ctx.account()?);
    let rows = reads
        .query(
            "SELECT CAST(COALESCE(octet_length(system_prompt), 0) AS bigint), id FROM conversations
             WHERE tenant_id = $1 AND account_id = $2 AND id > $3 ORDER BY id LIMIT $4",
            params![tenant, account, after, i64::from(most) + 1],
        )
        .await?;
    let (Some(mut last), more) = pieces::last_within(rows, most)? else {
        return Ok((Vec::new(), false));
    };
    let sql = format!(
        "SELECT {}, deleted_at FROM conversations
         WHERE tenant_id = $1 AND account_id = $2 AND id > $3 AND id <= $4 ORDER BY id",
        types::COLUMNS
    );
    let last: ConversationId = last.get(1)?;
    let rows = reads
        .query(&sql, params![tenant, account, after, last])
        .await?;
    let column = types::COLUMNS.split(',').count();
    let taken = rows.into_iter().map(|mut row| {
        let deleted_at = row.get(column)?;
        Ok(TakenOut {
            conversation: Conversation::from_row(row)?,
            deleted_at,
        })
    });
    Ok((taken.collect::<Result<_>>()?, more))
}

async fn messages(
    reads: &mut Reads,
    id: ConversationId,
    after: Option<Mark>,
    most: u32,
) -> Result<(Vec<Message>, bool)> {
    let ctx = reads.context()?;
    let sql = "SELECT id FROM conversations WHERE tenant_id = $1 AND id = $2 AND account_id = $3";
    let params = params![ctx.tenant(), id, ctx.account()?];
    if reads.query_opt(sql, params).await?.is_none() {
        return Ok((Vec::new(), false));
    }
    let piece = Piece::after(reads, id, after, most).await?;
    Ok((piece.messages, piece.more))
}
