//! What concerns a conversation and its model or its run together.

use conversations::{Conversation, Create, Deleted, Message, MessageRole, Patch};
use kernel::{AssistantId, Context, ConversationId, Error, Result};
use runs::{EndReason, RunRecord};

use crate::Chat;

/// A conversation to be made.
#[derive(Debug, Clone, Default)]
pub struct NewSession {
    /// The model; the assistant's or else the default one if none is named.
    pub model_id: Option<String>,
    /// A title.
    pub title: Option<String>,
    /// What the model is told first; without it what the assistant tells.
    pub system_prompt: Option<String>,
    /// One of the caller's assistants.
    pub assistant_id: Option<AssistantId>,
}

impl Chat {
    /// Makes a conversation (S0.2.1).
    ///
    /// # Errors
    /// `invalid_model`; `no_model`; `validation_failed`; `not_found` for the assistant.
    pub async fn create_session(&self, ctx: &Context, mut new: NewSession) -> Result<Conversation> {
        ctx.account()?;
        if let Some(id) = new.assistant_id {
            // Sent again, it is answered although the assistant has gone meanwhile.
            if let Some(made) = self.0.store.answered(ctx).await? {
                return Ok(made);
            }
            let assistant = self.0.conversations.assistant(ctx, id).await?;
            new.model_id.get_or_insert(assistant.model_id);
            new.system_prompt.get_or_insert(assistant.system_prompt);
        }
        let model = match &new.model_id {
            Some(id) => self.0.orchestrator.model(ctx, id)?,
            None => self.0.orchestrator.default_model(ctx)?,
        };
        let create = Create {
            model_id: model.id.clone(),
            title: new.title,
            system_prompt: new.system_prompt,
            assistant_id: new.assistant_id,
        };
        self.0.conversations.create(ctx, create).await
    }

    /// Changes a conversation; a new model must exist (S0.11).
    ///
    /// # Errors
    /// `invalid_model`; `not_found`; `validation_failed`.
    pub async fn patch_session(
        &self,
        ctx: &Context,
        id: ConversationId,
        patch: Patch,
    ) -> Result<Conversation> {
        if let Some(model) = &patch.model_id {
            self.0.orchestrator.model(ctx, model)?;
        }
        self.0.conversations.patch(ctx, id, patch).await
    }

    /// Deletes a conversation: from now on it and its answers' runs are not found.
    /// An answer that is being written is stopped, settled and kept out of sight,
    /// which ends the streams that follow it.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn delete_session(&self, ctx: &Context, id: ConversationId) -> Result<Deleted> {
        let deleted = self.0.conversations.delete(ctx, id).await?;
        if let Some(run) = deleted.active_run {
            // As the platform itself: to the caller the run is gone.
            let system = ctx.as_system("delete_session");
            self.0.runs.cancel(&system, run, EndReason::Stopped).await?;
        }
        Ok(deleted)
    }

    /// Stops the answer that is being written, if there is one; answers its run
    /// once it has ended.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn stop(&self, ctx: &Context, id: ConversationId) -> Result<Option<RunRecord>> {
        let conversation = self.0.conversations.get(ctx, id).await?;
        let Some(run) = conversation.active_run else {
            return Ok(None);
        };
        self.0.runs.cancel(ctx, run, EndReason::Stopped).await?;
        self.0.runs.wait(ctx, run).await?;
        self.0.runs.get(ctx, run).await.map(Some)
    }

    /// The newest answer of the conversation, for clients of S0 that send back
    /// what they have read: the server has stored it already.
    ///
    /// # Errors
    /// `not_found` also when there is no answer yet.
    pub async fn stored_answer(&self, ctx: &Context, id: ConversationId) -> Result<Message> {
        let conversation = self.0.conversations.get(ctx, id).await?;
        let args = (self.clone(), conversation);
        self.0
            .store
            .read(ctx, args, |reads, (chat, conversation)| {
                Box::pin(async move {
                    let Some(head) = conversation.head else {
                        return Ok(None);
                    };
                    let conversations = &chat.0.conversations;
                    let branch = conversations
                        .branch_up(reads, conversation.id, head, 2, u64::MAX)
                        .await?;
                    Ok(branch
                        .into_iter()
                        .find(|m| m.role == MessageRole::Assistant))
                })
            })
            .await?
            .ok_or_else(|| Error::not_found("Answer"))
    }
}
