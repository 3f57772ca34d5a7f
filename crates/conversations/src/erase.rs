//! The end of everything that an account has written here: for an account that is
//! erased. No conversation of it is ever restored.

use kernel::{AccountId, Context, ConversationId, Error, Result, codes};
use store::{Dialect, Durability, Uow, params};

use crate::{Conversations, search};

/// Pieces of the index that one step joins.
const PAGES: i64 = 200;
/// Steps after which the rest is left to the next time.
const STEPS: u32 = 2_000;

impl Conversations {
    /// Joins a unit of work of the platform itself: removes at most so many of the account's
    /// conversations with all that is in them, deleted ones too, and with the last of them its
    /// assistants and saved prompts. Answers how many; as long as that is `most`, there may be more.
    /// A conversation in which an answer is still being written is spared: it goes the next time.
    ///
    /// # Errors
    /// `forbidden` for anybody but the platform itself; `database_unavailable`.
    pub async fn erase_in(&self, uow: &mut Uow, account: AccountId, most: u32) -> Result<u32> {
        if !uow.context()?.is_system() {
            let sentence = "Only the platform itself can do this.";
            return Err(Error::new(codes::FORBIDDEN, sentence));
        }
        let tenant = uow.tenant()?;
        let rows = uow
            .query(
                "SELECT id FROM conversations
                 WHERE tenant_id = $1 AND account_id = $2 AND active_run IS NULL
                 ORDER BY id LIMIT $3 FOR UPDATE",
                params![tenant, account, most],
            )
            .await?;
        let mut erased = 0;
        for mut row in rows {
            erase_one(uow, row.get(0)?).await?;
            erased += 1;
        }
        if erased < most {
            let whose = params![tenant, account];
            uow.execute_all(&[
                (
                    "DELETE FROM assistants WHERE tenant_id = $1 AND account_id = $2",
                    whose,
                ),
                (
                    "DELETE FROM saved_prompts WHERE tenant_id = $1 AND account_id = $2",
                    whose,
                ),
                (
                    "DELETE FROM kept_counts WHERE tenant_id = $1 AND account_id = $2",
                    whose,
                ),
                (
                    "DELETE FROM conversation_counts WHERE tenant_id = $1 AND account_id = $2",
                    whose,
                ),
            ])
            .await?;
        }
        Ok(erased)
    }

    /// Takes the words of removed texts out of the search index, where the database keeps them until
    /// it joins its pieces; in small steps, so that nobody waits long behind one.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn forget_words(&self, system: &Context) -> Result<()> {
        if self.store.dialect() == Dialect::Postgres {
            return Ok(());
        }
        // A negative number begins to join everything there is (SQLite, FTS5, 6.6).
        let mut pages = -PAGES;
        for _ in 0..STEPS {
            let changed = self
                .store
                .write(system, Durability::Fast, pages, |uow, pages| {
                    Box::pin(async move {
                        let changes = "SELECT total_changes()";
                        let before: i64 = uow.query_one(changes, params![]).await?.get(0)?;
                        let merge = "INSERT INTO conversation_words (conversation_words, rank)
                        VALUES ('merge', $1)";
                        uow.execute(merge, params![*pages]).await?;
                        let after: i64 = uow.query_one(changes, params![]).await?.get(0)?;
                        Ok(after - before)
                    })
                });
            if changed.await? < 2 {
                return Ok(());
            }
            pages = PAGES;
        }
        Ok(())
    }
}

async fn erase_one(uow: &mut Uow, id: ConversationId) -> Result<()> {
    let tenant = uow.tenant()?;
    search::forget(uow, id).await?;
    uow.execute_all(&[
        (
            "DELETE FROM conversation_shares WHERE tenant_id = $1 AND conversation_id = $2",
            params![tenant, id],
        ),
        (
            "DELETE FROM messages WHERE tenant_id = $1 AND conversation_id = $2",
            params![tenant, id],
        ),
        (
            "DELETE FROM conversations WHERE tenant_id = $1 AND id = $2",
            params![tenant, id],
        ),
    ])
    .await?;
    Ok(())
}
