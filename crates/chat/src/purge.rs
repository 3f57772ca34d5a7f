//! The end of deleted conversations, across the parts: messages, their answers'
//! runs with their logs, then the conversation. Ledger and usage stay; they have
//! no text.

use conversations::Purging;
use kernel::{Context, ConversationId, Result, TenantId};
use store::{Durability, Uow};

use crate::Chat;

/// Conversations that one look finds at most.
const CONVERSATIONS: u32 = 50;
/// Messages and runs of a conversation that one unit of work purges at most, so that nobody waits
/// long behind it.
const PIECE: u32 = 200;

impl Chat {
    /// Purges every conversation that was deleted long enough ago (`conversations.purge_after`);
    /// answers how many. For the platform itself, again and again.
    ///
    /// # Errors
    /// `forbidden` for anybody else; `database_unavailable`.
    pub async fn purge(&self, system: &Context) -> Result<usize> {
        let mut all = 0;
        loop {
            let conversations = &self.0.conversations;
            let due = conversations.due_for_purge(system, CONVERSATIONS).await?;
            let mut purged = 0;
            for (tenant, id) in due {
                match self.purge_one(system, tenant, id).await {
                    Ok(true) => purged += 1,
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(conversation = %id, ?error, "it could not be purged");
                    }
                }
            }
            all += purged;
            // What could not be purged is found again, and alone is no progress.
            if purged == 0 {
                break;
            }
        }
        if all > 0 {
            self.0.conversations.forget_words(system).await?;
        }
        Ok(all)
    }

    async fn purge_one(
        &self,
        system: &Context,
        tenant: TenantId,
        id: ConversationId,
    ) -> Result<bool> {
        let ctx = Context::system("purge", tenant, system.request());
        loop {
            let args = (self.clone(), id);
            let step = self
                .0
                .store
                .write(&ctx, Durability::Fast, args, |uow, (chat, id)| {
                    Box::pin(async move { chat.purge_in(uow, *id).await })
                });
            match step.await? {
                Purging::More => {}
                Purging::Emptied => return Ok(true),
                Purging::Spared => return Ok(false),
            }
        }
    }

    /// One piece. The conversation is locked first, here as everywhere.
    async fn purge_in(&self, uow: &mut Uow, id: ConversationId) -> Result<Purging> {
        let (conversations, runs) = (&self.0.conversations, &self.0.runs);
        let messages = conversations.purge_in(uow, id, PIECE).await?;
        if messages == Purging::Spared {
            return Ok(messages);
        }
        let logs = runs.purge_subject_in(uow, id.uuid(), PIECE).await?;
        if messages == Purging::More || logs == u64::from(PIECE) {
            return Ok(Purging::More);
        }
        conversations.forget_in(uow, id).await?;
        Ok(Purging::Emptied)
    }
}
