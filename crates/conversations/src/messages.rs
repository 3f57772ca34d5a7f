//! Reading the messages of a conversation, a page at a time from the newest.

use std::collections::HashMap;

use kernel::{Context, ConversationId, Error, MessageId, Page, Paged, Result};
use serde::{Deserialize, Serialize};
use store::{Reads, params};

use crate::{
    Conversations, Message, Reading,
    reading::{self, short},
    tree,
};

/// Siblings that are told of at most.
const SIBLINGS: i64 = 5_000;

/// Which messages are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MessagesQuery {
    /// Page 1 is the newest; each page goes on where the one before ended, upward.
    pub page: Page,
    /// Instead of the current branch, the messages above this one, on its branch.
    pub before: Option<MessageId>,
}

/// A message and its place among the versions of the same turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MessageView {
    /// The message.
    #[serde(flatten)]
    pub message: Message,
    /// Every message with the same parent, oldest first, this one among them.
    pub sibling_ids: Vec<MessageId>,
    /// Where this one stands among them, from 0.
    pub sibling_index: usize,
}

impl Conversations {
    /// One page of a branch, oldest first within the page. `meta.total` counts
    /// the branch: up to the head, or up to `before`.
    ///
    /// # Errors
    /// `not_found` for the conversation or for `before`.
    pub async fn messages(
        &self,
        ctx: &Context,
        id: ConversationId,
        query: MessagesQuery,
    ) -> Result<Reading<MessageView>> {
        let rows = self.store.read(ctx, (id, query), |reads, (id, query)| {
            Box::pin(async move { page(reads, *id, *query).await })
        });
        let rows = rows.await?;
        Ok(Reading::new((self, ctx), rows, reading::content))
    }

    /// Whether no other answer of the conversation has come to a good end, on whatever branch.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn is_first_answer_in(
        &self,
        reads: &mut Reads,
        conversation: ConversationId,
        answer: MessageId,
    ) -> Result<bool> {
        let tenant = reads.tenant()?;
        let row = reads
            .query_opt(
                "SELECT id FROM messages WHERE tenant_id = $1 AND conversation_id = $2
                   AND role = 'assistant' AND end_reason IN ('stop', 'length') AND id <> $3 LIMIT 1",
                params![tenant, conversation, answer],
            )
            .await?;
        Ok(row.is_none())
    }
}

/// Each with whether its text is still to be read.
async fn page(
    reads: &mut Reads,
    id: ConversationId,
    query: MessagesQuery,
) -> Result<Paged<(MessageView, bool)>> {
    let conversation = crate::visible(reads, id, "").await?;
    let leaf = match query.before {
        Some(before) => {
            let before = tree::find_message(reads, id, before)
                .await?
                .ok_or_else(|| Error::not_found("Message"))?;
            before.parent_id
        }
        None => conversation.head,
    };
    let Some(leaf) = leaf else {
        return Ok(Paged::new(Vec::new(), query.page, 0));
    };
    let total = match tree::find_message(reads, id, leaf).await? {
        Some(message) => message.depth + 1,
        None => return Err(store::broken("a head without its message")),
    };
    let (skip, limit) = (query.page.offset(), query.page.limit());
    let mut messages = match skip < total {
        true => {
            let walk = tree::Walk::pages(skip, limit);
            tree::walk_up_short(reads, id, leaf, walk, short(query.page)).await?
        }
        false => Vec::new(),
    };
    messages.reverse();
    let (messages, long): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
    let views = with_siblings(reads, id, messages).await?;
    let data = views.into_iter().zip(long).collect();
    Ok(Paged::new(data, query.page, total))
}

async fn with_siblings(
    reads: &mut Reads,
    conversation: ConversationId,
    messages: Vec<Message>,
) -> Result<Vec<MessageView>> {
    let (Some(first), Some(last)) = (messages.first(), messages.last()) else {
        return Ok(Vec::new());
    };
    let tenant = reads.tenant()?;
    // All branches at these depths: from the index, and mostly there is one.
    let rows = reads
        .query(
            "SELECT parent_id, id FROM messages
             WHERE tenant_id = $1 AND conversation_id = $2 AND depth >= $3 AND depth <= $4
             ORDER BY depth, parent_id, id LIMIT $5",
            params![tenant, conversation, first.depth, last.depth, SIBLINGS],
        )
        .await?;
    let mut siblings: HashMap<Option<MessageId>, Vec<MessageId>> = HashMap::new();
    for mut row in rows {
        siblings.entry(row.get(0)?).or_default().push(row.get(1)?);
    }
    let view = |message: Message| {
        let mut sibling_ids = siblings
            .get(&message.parent_id)
            .cloned()
            .unwrap_or_default();
        let sibling_index = match sibling_ids.binary_search(&message.id) {
            Ok(index) => index,
            Err(index) => {
                sibling_ids.insert(index, message.id);
                index
            }
        };
        MessageView {
            message,
            sibling_ids,
            sibling_index,
        }
    };
    Ok(messages.into_iter().map(view).collect())
}
