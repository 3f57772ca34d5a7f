//! The end of deleted conversations: their messages are removed, a piece at a
//! time. What else is about a conversation (the logs of its runs) is removed by
//! who joins these operations.

use kernel::{Context, ConversationId, Error, Result, TenantId, Timestamp, codes};
use store::{Uow, params};

use crate::{Conversations, kept, search};

/// How far one step of a purge has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purging {
    /// The conversation is not there, not deleted long enough, or an answer still ends in it.
    Spared,
    /// More messages may be left.
    More,
    /// No message is left; [`Conversations::forget_in`] removes the rest.
    Emptied,
}

impl Conversations {
    /// The conversations of every tenant that were deleted longer ago than
    /// [`purge_after`](crate::Options::purge_after), those first that were begun with.
    ///
    /// # Errors
    /// `forbidden` for anybody but the platform itself; `database_unavailable`.
    pub async fn due_for_purge(
        &self,
        system: &Context,
        most: u32,
    ) -> Result<Vec<(TenantId, ConversationId)>> {
        only_system(system)?;
        let over = self.purged_before(self.store.env().clock.now())?;
        self.store
            .read(system, (over, most), |reads, (over, most)| {
                Box::pin(async move {
                    let rows = reads
                        .query(
                            "SELECT tenant_id, id FROM conversations
                             WHERE deleted_at <= $1 AND active_run IS NULL
                             ORDER BY deleted_at LIMIT $2",
                            params![*over, *most],
                        )
                        .await?;
                    rows.into_iter()
                        .map(|mut row| Ok((row.get(0)?, row.get(1)?)))
                        .collect()
                })
            })
            .await
    }

    /// Joins a unit of work of the platform itself: locks the conversation and removes at most so
    /// many of its messages.
    ///
    /// # Errors
    /// As [`Self::due_for_purge`].
    pub async fn purge_in(&self, uow: &mut Uow, id: ConversationId, most: u32) -> Result<Purging> {
        only_system(&uow.context()?)?;
        let (tenant, over) = (uow.tenant()?, self.purged_before(uow.now())?);
        let locked = uow
            .query_opt(
                "SELECT deleted_at FROM conversations WHERE tenant_id = $1 AND id = $2
                   AND deleted_at <= $3 AND active_run IS NULL FOR UPDATE",
                params![tenant, id, over],
            )
            .await?;
        let Some(mut row) = locked else {
            return Ok(Purging::Spared);
        };
        if row.get::<Timestamp>(0)? != Timestamp::UNIX_EPOCH {
            begin(uow, tenant, id).await?;
        }
        // From the leaves up: a message goes after those below it.
        let removed = uow
            .execute(
                "DELETE FROM messages WHERE tenant_id = $1 AND id IN
                   (SELECT id FROM messages WHERE tenant_id = $1 AND conversation_id = $2
                    ORDER BY depth DESC LIMIT $3)",
                params![tenant, id, most],
            )
            .await?;
        Ok(match removed < u64::from(most) {
            true => Purging::Emptied,
            false => Purging::More,
        })
    }

    /// Joins a unit of work of the platform itself: removes a conversation that
    /// [`Self::purge_in`] has emptied.
    ///
    /// # Errors
    /// As [`Self::due_for_purge`].
    pub async fn forget_in(&self, uow: &mut Uow, id: ConversationId) -> Result<()> {
        only_system(&uow.context()?)?;
        let tenant = uow.tenant()?;
        let gone = uow
            .query_opt(
                "DELETE FROM conversations
                 WHERE tenant_id = $1 AND id = $2 AND deleted_at = $3 AND active_run IS NULL
                 RETURNING account_id",
                params![tenant, id, Timestamp::UNIX_EPOCH],
            )
            .await?;
        match gone {
            Some(mut row) => kept::one_conversation_less(uow, row.get(0)?).await,
            None => Ok(()),
        }
    }
}

/// Takes what names the conversation, and moves its deletion to the beginning of time: half
/// purged, it is restored by nobody's clock and comes first when the purge goes on.
async fn begin(uow: &mut Uow, tenant: TenantId, id: ConversationId) -> Result<()> {
    search::forget(uow, id).await?;
    uow.execute(
        "UPDATE conversations SET deleted_at = $3, title = '', system_prompt = NULL, head = NULL,
           assistant_id = NULL
         WHERE tenant_id = $1 AND id = $2",
        params![tenant, id, Timestamp::UNIX_EPOCH],
    )
    .await?;
    Ok(())
}

pub(crate) fn only_system(ctx: &Context) -> Result<()> {
    if ctx.is_system() {
        return Ok(());
    }
    Err(Error::new(
        codes::FORBIDDEN,
        "Only the platform itself can do this.",
    ))
}
