//! The end of an account, across the parts: its names and sessions go at once,
//! then its runs, conversations and everything it kept, in pieces. The ledger
//! stays, under a name that is nobody's.

use std::time::Duration;

use kernel::{AccountId, Context, Result};
use security::{Erased, Secret, Security};
use store::{Durability, Uow};

use crate::Chat;

/// Conversations and runs that one unit of work removes at most.
const PIECE: u32 = 20;
/// How long answers that are being written may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

impl Chat {
    /// Erases the caller's account (`DELETE /auth/me`). Once it is closed there is no way back: what
    /// cannot be removed now is removed by [`Self::erase_again`].
    ///
    /// # Errors
    /// `wrong_password`, `too_many_attempts`, `last_admin`: nothing has happened then.
    pub async fn erase_account(
        &self,
        ctx: &Context,
        security: &Security,
        password: &Secret,
    ) -> Result<()> {
        for erased in security.close_account(ctx, password).await? {
            if let Err(error) = self.erase(ctx, erased).await {
                tracing::warn!(account = %erased.account, ?error, "it will be erased later");
            }
        }
        Ok(())
    }

    /// Removes what accounts that were erased lately have left: what could not be removed then, and
    /// what a request of theirs wrote that was just under way. For the platform itself, again and
    /// again.
    ///
    /// # Errors
    /// `forbidden` for anybody else; `database_unavailable`.
    pub async fn erase_again(&self, system: &Context, security: &Security) -> Result<()> {
        for erased in security.erased_lately(system).await? {
            self.erase(system, erased).await?;
        }
        Ok(())
    }

    async fn erase(&self, ctx: &Context, erased: Erased) -> Result<()> {
        let Erased { account, tenant } = erased;
        let system = Context::system("erase", tenant, ctx.request());
        let runs = &self.0.runs;
        for run in runs.cancel_all(&system, account).await? {
            let ended = tokio::time::timeout(PATIENCE, runs.wait(&system, run)).await;
            if let Ok(Err(error)) = ended {
                tracing::debug!(%run, ?error, "its end could not be awaited");
            }
        }
        let mut any = false;
        loop {
            let args = (self.clone(), account);
            let step = self.0.store.write(
                &system,
                Durability::Durable,
                args,
                |uow, (chat, account)| Box::pin(async move { chat.erase_in(uow, *account).await }),
            );
            match step.await? {
                Step::Nothing => break,
                Step::Last => {
                    any = true;
                    break;
                }
                Step::More => any = true,
            }
        }
        if any {
            self.0.conversations.forget_words(&system).await?;
        }
        Ok(())
    }

    /// One piece. Conversations are locked first, here as everywhere.
    async fn erase_in(&self, uow: &mut Uow, account: AccountId) -> Result<Step> {
        let conversations = self.0.conversations.erase_in(uow, account, PIECE).await?;
        let runs = self.0.runs.erase_in(uow, account, PIECE).await?;
        self.0.accounting.erase_in(uow, account).await?;
        let answers = store::forget_answers(uow, &account.to_string()).await?;
        Ok(match (conversations, runs, answers) {
            (0, 0, 0) => Step::Nothing,
            (PIECE.., ..) => Step::More,
            (_, runs, _) if runs >= u64::from(PIECE) => Step::More,
            _ => Step::Last,
        })
    }
}

/// What a piece has removed, and whether there may be more.
enum Step {
    Nothing,
    Last,
    More,
}
