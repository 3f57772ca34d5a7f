//! Where a prompt stands in the tree of its conversation.

use conversations::{Conversation, Message, MessageRole, Parent};
use kernel::{Error, MessageId, Result, codes};

use crate::send::Aim;

/// Where a prompt stands in the tree, and what stands above it.
pub(crate) struct Place {
    /// Newest first; with the prompt itself when it is stored already.
    pub(crate) above: Vec<Message>,
    pub(crate) prompt: Option<MessageId>,
    pub(crate) new_prompt: Option<(String, Parent)>,
}

impl Place {
    pub(crate) async fn find(
        conversations: &conversations::Conversations,
        reads: &mut store::Reads,
        conversation: &Conversation,
        aim: &Aim,
        (limit, most_bytes): (u32, u64),
    ) -> Result<Self> {
        let (leaf, new_prompt) = match aim {
            Aim::Prompt { content, after } => {
                if after.is_some() && *after != conversation.head {
                    return Err(Error::new(
                        codes::CONFLICT,
                        "The conversation has gone on elsewhere; read its newest messages and \
                         send again.",
                    ));
                }
                (conversation.head, Some((content.clone(), Parent::Head)))
            }
            Aim::Edit { message, content } => {
                let old = conversations
                    .message_in(reads, conversation.id, *message)
                    .await?;
                if old.role != MessageRole::User {
                    return Err(Error::invalid("message", "only a prompt can be edited"));
                }
                (old.parent_id, Some((content.clone(), Parent::beside(&old))))
            }
            Aim::Regenerate { message } => {
                let old = conversations
                    .message_in(reads, conversation.id, *message)
                    .await?;
                let prompt = match old.role {
                    MessageRole::User => Some(old.id),
                    _ => old.parent_id,
                };
                (prompt, None)
            }
        };
        let above = match leaf {
            Some(leaf) => {
                conversations
                    .branch_up(reads, conversation.id, leaf, limit, most_bytes)
                    .await?
            }
            None => Vec::new(),
        };
        let prompt = new_prompt
            .is_none()
            .then(|| above.first().map(|m| m.id))
            .flatten();
        Ok(Self {
            above,
            prompt,
            new_prompt,
        })
    }
}

/// The new prompt as the last message of its branch, for composing.
pub(crate) fn unsent(conversation: &Conversation, id: MessageId, content: &str) -> Message {
    Message {
        id,
        conversation_id: conversation.id,
        parent_id: None,
        depth: 0,
        role: MessageRole::User,
        content: content.to_owned(),
        status: conversations::MessageStatus::Complete,
        end_reason: None,
        run_id: None,
        model_id: None,
        usage: None,
        credits: None,
        created_at: conversation.updated_at,
    }
}
