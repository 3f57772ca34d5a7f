//! What concerns assistants and models together.

use conversations::{Assistant, AssistantPatch, NewAssistant};
use kernel::{AssistantId, Context, Result};

use crate::Chat;

impl Chat {
    /// Makes an assistant; its model must exist.
    ///
    /// # Errors
    /// `invalid_model`; `validation_failed`; `too_many`.
    pub async fn create_assistant(&self, ctx: &Context, new: NewAssistant) -> Result<Assistant> {
        ctx.account()?;
        // Sent again, it is answered although the model has gone meanwhile.
        if let Some(made) = self.0.store.answered(ctx).await? {
            return Ok(made);
        }
        self.0.orchestrator.model(ctx, &new.model_id)?;
        self.0.conversations.create_assistant(ctx, new).await
    }

    /// Changes an assistant; a new model must exist.
    ///
    /// # Errors
    /// `invalid_model`; `not_found`; `validation_failed`.
    pub async fn patch_assistant(
        &self,
        ctx: &Context,
        id: AssistantId,
        patch: AssistantPatch,
    ) -> Result<Assistant> {
        // Somebody else's is absent, whatever the patch says.
        self.0.conversations.assistant(ctx, id).await?;
        if let Some(model) = &patch.model_id {
            self.0.orchestrator.model(ctx, model)?;
        }
        self.0.conversations.patch_assistant(ctx, id, patch).await
    }
}
