//! The tree of messages: what a new one is, and walking a branch. Appending is
//! in `locked`.

use kernel::{ConversationId, Credits, Error, MessageId, Result, RunId, codes};
use store::{Reads, params};

use crate::{Conversations, Message, MessageRole, MessageStatus, types::MESSAGE_COLUMNS};

/// Below what a message is hung.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Parent {
    /// Below the head: the conversation goes on.
    #[default]
    Head,
    /// Below nothing: a new beginning, like an edit of the first message.
    Root,
    /// Below this message: a regeneration, an edit, the answer to a prompt.
    Message(MessageId),
}

impl Parent {
    /// The place beside a message: the parent that it has.
    #[must_use]
    pub fn beside(message: &Message) -> Self {
        message.parent_id.map_or(Self::Root, Self::Message)
    }
}

/// A message to be appended.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMessage {
    /// Its id, if it was announced before; else one is made.
    pub id: Option<MessageId>,
    /// Its conversation.
    pub conversation: ConversationId,
    /// Where it hangs.
    pub parent: Parent,
    /// The head the writer saw (`Some(None)`: an empty conversation); `None` does not check.
    pub expected_head: Option<Option<MessageId>>,
    /// Who speaks.
    pub role: MessageRole,
    /// The text.
    pub content: String,
    /// Whether it is whole.
    pub status: MessageStatus,
    /// Why the run ended.
    pub end_reason: Option<String>,
    /// The run that wrote it, or that it started.
    pub run_id: Option<RunId>,
    /// The model that wrote it.
    pub model_id: Option<String>,
    /// The tokens that were used.
    pub usage: Option<serde_json::Value>,
    /// What it cost.
    pub credits: Option<Credits>,
}

impl NewMessage {
    /// A whole message below the head; change the fields that differ.
    #[must_use]
    pub fn new(
        conversation: ConversationId,
        role: MessageRole,
        content: impl Into<String>,
    ) -> Self {
        Self {
            id: None,
            conversation,
            parent: Parent::Head,
            expected_head: None,
            role,
            content: content.into(),
            status: MessageStatus::Complete,
            end_reason: None,
            run_id: None,
            model_id: None,
            usage: None,
            credits: None,
        }
    }
}

pub(crate) fn busy() -> Error {
    Error::new(
        codes::CONVERSATION_BUSY,
        "An answer is still being written in this conversation; wait for it or stop it.",
    )
}

impl Conversations {
    /// One message of a conversation that the caller has opened.
    ///
    /// # Errors
    /// `not_found` when the conversation has no such message.
    pub async fn message_in(
        &self,
        reads: &mut Reads,
        conversation: ConversationId,
        id: MessageId,
    ) -> Result<Message> {
        find_message(reads, conversation, id)
            .await?
            .ok_or_else(|| Error::not_found("Message"))
    }

    /// At most `limit` messages from a leaf upward, newest first, and none above
    /// those that have `most_bytes` bytes of text: what is fitted into a model's
    /// context window.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn branch_up(
        &self,
        reads: &mut Reads,
        conversation: ConversationId,
        leaf: MessageId,
        limit: u32,
        most_bytes: u64,
    ) -> Result<Vec<Message>> {
        let walk = Walk {
            skip: 0,
            limit: limit.into(),
            most_bytes: i64::try_from(most_bytes).unwrap_or(i64::MAX),
        };
        walk_up(reads, conversation, leaf, walk).await
    }
}

pub(crate) async fn depth_of(
    reads: &mut Reads,
    conversation: ConversationId,
    id: MessageId,
) -> Result<i64> {
    let tenant = reads.tenant()?;
    let row = reads
        .query_opt(
            "SELECT depth FROM messages WHERE tenant_id = $1 AND conversation_id = $2 AND id = $3",
            params![tenant, conversation, id],
        )
        .await?;
    row.ok_or_else(|| Error::not_found("Message"))?.get(0)
}

pub(crate) async fn find_message(
    reads: &mut Reads,
    conversation: ConversationId,
    id: MessageId,
) -> Result<Option<Message>> {
    let tenant = reads.tenant()?;
    let sql = format!(
        "SELECT {MESSAGE_COLUMNS} FROM messages m
         WHERE m.tenant_id = $1 AND m.conversation_id = $2 AND m.id = $3"
    );
    let row = reads
        .query_opt(&sql, params![tenant, conversation, id])
        .await?;
    row.map(Message::from_row).transpose()
}

/// Which messages of a branch are read, counted from the leaf upward.
pub(crate) struct Walk {
    /// Messages passed over first.
    pub(crate) skip: i64,
    /// Messages read then, at most.
    pub(crate) limit: i64,
    /// Nothing above a message with which the texts have this many bytes.
    pub(crate) most_bytes: i64,
}

impl Walk {
    /// However long the messages are.
    pub(crate) const fn pages(skip: i64, limit: i64) -> Self {
        Self {
            skip,
            limit,
            most_bytes: i64::MAX,
        }
    }
}

/// Messages upward from `leaf`, newest first.
pub(crate) async fn walk_up(
    reads: &mut Reads,
    conversation: ConversationId,
    leaf: MessageId,
    walk: Walk,
) -> Result<Vec<Message>> {
    let all = walk_up_short(reads, conversation, leaf, walk, i64::MAX).await?;
    Ok(all.into_iter().map(|(message, _)| message).collect())
}

/// As [`walk_up`], without the texts that have more than `short` bytes, and whether it is one of
/// those.
pub(crate) async fn walk_up_short(
    reads: &mut Reads,
    conversation: ConversationId,
    leaf: MessageId,
    walk: Walk,
    short: i64,
) -> Result<Vec<(Message, bool)>> {
    let tenant = reads.tenant()?;
    let long = "octet_length(m.content) > CAST($7 AS bigint)";
    let columns = MESSAGE_COLUMNS.replace(
        "m.content",
        &format!("CASE WHEN {long} THEN '' ELSE m.content END"),
    );
    // Only as many steps as are asked for, each by the primary key: a condition on the
    // conversation would lead PostgreSQL to read all of it. A parent is always of the same one.
    // The length of a text is known without reading it.
    let sql = format!(
        "WITH RECURSIVE up (id, parent_id, n, bytes) AS (
           SELECT id, parent_id, CAST(1 AS bigint), CAST(octet_length(content) AS bigint)
           FROM messages WHERE tenant_id = $1 AND conversation_id = $2 AND id = $3
           UNION ALL
           SELECT p.id, p.parent_id, up.n + 1, up.bytes + octet_length(p.content)
           FROM up JOIN messages p ON p.id = up.parent_id
           WHERE p.tenant_id = $1 AND up.n < CAST($4 AS bigint) AND up.bytes < CAST($6 AS bigint))
         SELECT {columns}, {long} FROM up JOIN messages m ON m.id = up.id
         WHERE m.tenant_id = $1 AND up.n > CAST($5 AS bigint) ORDER BY up.n"
    );
    let steps = walk.skip.saturating_add(walk.limit);
    let params = params![
        tenant,
        conversation,
        leaf,
        steps,
        walk.skip,
        walk.most_bytes,
        short
    ];
    let rows = reads.query(&sql, params).await?;
    let column = MESSAGE_COLUMNS.split(',').count();
    let messages = rows.into_iter().map(|mut row| {
        let long = row.get(column)?;
        Ok((Message::from_row(row)?, long))
    });
    messages.collect()
}

/// One message of a branch, of which the text is not read.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) id: MessageId,
    /// Of its text.
    pub(crate) bytes: i64,
}

/// The whole branch upward from `leaf`.
pub(crate) async fn steps(
    reads: &mut Reads,
    conversation: ConversationId,
    leaf: MessageId,
) -> Result<Vec<Step>> {
    let tenant = reads.tenant()?;
    let rows = reads
        .query(
            "WITH RECURSIVE up (id, parent_id, n, bytes) AS (
               SELECT id, parent_id, CAST(1 AS bigint), CAST(octet_length(content) AS bigint)
               FROM messages WHERE tenant_id = $1 AND conversation_id = $2 AND id = $3
               UNION ALL
               SELECT p.id, p.parent_id, up.n + 1, CAST(octet_length(p.content) AS bigint)
               FROM up JOIN messages p ON p.id = up.parent_id WHERE p.tenant_id = $1)
             SELECT id, bytes FROM up ORDER BY n",
            params![tenant, conversation, leaf],
        )
        .await?;
    let steps = rows.into_iter().map(|mut row| {
        let (id, bytes) = (row.get(0)?, row.get(1)?);
        Ok(Step { id, bytes })
    });
    steps.collect()
}

/// What is above this message on the branch of a head; nothing above the first one.
///
/// # Errors
/// `not_found` when it is on no branch, or on another one.
pub(crate) async fn above(
    reads: &mut Reads,
    conversation: ConversationId,
    head: Option<MessageId>,
    message: MessageId,
) -> Result<Option<MessageId>> {
    let tenant = reads.tenant()?;
    let depth = depth_of(reads, conversation, message).await?;
    let row = reads
        .query_opt(
            "WITH RECURSIVE up (id, parent_id, depth) AS (
               SELECT id, parent_id, depth FROM messages
               WHERE tenant_id = $1 AND conversation_id = $2 AND id = $3
               UNION ALL
               SELECT p.id, p.parent_id, p.depth FROM up JOIN messages p ON p.id = up.parent_id
               WHERE p.tenant_id = $1 AND up.depth > CAST($4 AS bigint))
             SELECT parent_id FROM up WHERE id = $5",
            params![tenant, conversation, head, depth, message],
        )
        .await?;
    row.ok_or_else(|| Error::not_found("Message"))?.get(0)
}

/// The newest message at or below this one that nothing follows.
pub(crate) async fn newest_leaf(
    reads: &mut Reads,
    conversation: ConversationId,
    from: MessageId,
) -> Result<Option<MessageId>> {
    let tenant = reads.tenant()?;
    let row = reads
        .query_opt(
            "WITH RECURSIVE down (id, depth) AS (
               SELECT id, depth FROM messages
               WHERE tenant_id = $1 AND conversation_id = $2 AND id = $3
               UNION ALL
               SELECT c.id, c.depth FROM down JOIN messages c
                 ON c.conversation_id = $2 AND c.depth = down.depth + 1 AND c.parent_id = down.id
               WHERE c.tenant_id = $1)
             SELECT id FROM down WHERE NOT EXISTS (
               SELECT 1 FROM messages c WHERE c.tenant_id = $1 AND c.conversation_id = $2
                 AND c.depth = down.depth + 1 AND c.parent_id = down.id)
             ORDER BY id DESC LIMIT 1",
            params![tenant, conversation, from],
        )
        .await?;
    row.map(|mut row| row.get(0)).transpose()
}
