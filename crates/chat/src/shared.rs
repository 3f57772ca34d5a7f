//! A shared branch for whoever has its link: whether there is anything to see is
//! decided by where its owner stands in the tenant.

use conversations::SharedConversation;
use kernel::{Actor, Context, Error, MessageId, Result};

use crate::Chat;

impl Chat {
    /// The shared branch of a token, whoever asks: at most so many of its messages, the last ones or
    /// those above `before`.
    ///
    /// # Errors
    /// `not_found` when the token is no share's (any more), when `before` is no message of the branch,
    /// and while its owner or the tenant is suspended.
    pub async fn shared(
        &self,
        ctx: &Context,
        token: &str,
        before: Option<MessageId>,
        most: i64,
    ) -> Result<SharedConversation> {
        let conversations = &self.0.conversations;
        let tenant = conversations.tenant_of_share(ctx, token).await?;
        let reader = Context::new(tenant, Actor::Anonymous, ctx.request());
        let args = (conversations.clone(), token.to_owned(), before, most);
        self.0
            .store
            .read(
                &reader,
                args,
                |reads, (conversations, token, before, most)| {
                    Box::pin(async move {
                        let shared = conversations.shared_in(reads, token, *before, *most);
                        let (owner, shared) = shared.await?;
                        if !security::is_active(reads, owner).await? {
                            return Err(Error::not_found("Shared conversation"));
                        }
                        Ok(shared)
                    })
                },
            )
            .await
    }
}
