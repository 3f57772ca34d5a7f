//! A shared branch for whoever has its link: the tenant of the share decides
//! whether there is anything to see.

use conversations::SharedConversation;
use kernel::{Actor, Context, Error, Result};

use crate::Chat;

impl Chat {
    /// The shared branch of a token, whoever asks.
    ///
    /// # Errors
    /// `not_found` when the token is no share's (any more), while the conversation is deleted, and
    /// while its tenant is suspended.
    pub async fn shared(&self, ctx: &Context, token: &str) -> Result<SharedConversation> {
        let conversations = &self.0.conversations;
        let tenant = conversations.tenant_of_share(ctx, token).await?;
        let reader = Context::new(tenant, Actor::Anonymous, ctx.request());
        let args = (conversations.clone(), token.to_owned());
        self.0
            .store
            .read(&reader, args, |reads, (conversations, token)| {
                Box::pin(async move {
                    let shared = conversations.shared_in(reads, token).await?;
                    if !security::tenant_is_active(reads).await? {
                        return Err(Error::not_found("Shared conversation"));
                    }
                    Ok(shared)
                })
            })
            .await
    }
}
