//! Branches that anybody can read who knows their token, without signing in:
//! the words that were said, up to the message that was the head. Nothing about
//! the account, its credits or the model's instructions, and no other branch.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use kernel::{Context, ConversationId, Error, MessageId, Result, TenantId, Timestamp, codes};
use serde::{Deserialize, Serialize};
use store::{Durability, Reads, Row, Uow, params};

use crate::{Conversation, Conversations, MessageRole, tree};

/// How its owner sees a shared branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Whoever knows it can read the branch: 32 random bytes, base64url.
    pub token: String,
    /// Up to this message; none for an empty conversation.
    pub head: Option<MessageId>,
    /// When the conversation was first shared.
    pub created_at: Timestamp,
}

/// How everybody sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedConversation {
    /// The conversation's title, as it is now.
    pub title: String,
    /// When the conversation began.
    pub created_at: Timestamp,
    /// When its branch was shared up to its end here.
    pub shared_at: Timestamp,
    /// What was said, in order.
    pub messages: Vec<SharedMessage>,
}

/// A message of a shared branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedMessage {
    /// Its id.
    pub id: MessageId,
    /// Who speaks: a person or the model.
    pub role: MessageRole,
    /// The text.
    pub content: String,
    /// When it was stored.
    pub created_at: Timestamp,
    /// The model that wrote it.
    pub model_id: Option<String>,
}

type Token = [u8; 32];

impl Conversations {
    /// Shares one of the caller's conversations up to its present head; answers whether that is
    /// new. One that is shared already stays as it is, or with `refresh` moves to the present
    /// head and keeps its token.
    ///
    /// # Errors
    /// `not_found` when it is absent, deleted or somebody else's.
    pub async fn share(
        &self,
        ctx: &Context,
        id: ConversationId,
        refresh: bool,
    ) -> Result<(Share, bool)> {
        let token: Token = self.random.bytes();
        let args = (self.clone(), id, refresh, token);
        self.store
            .write(
                ctx,
                Durability::Durable,
                args,
                |uow, (this, id, refresh, token)| {
                    Box::pin(async move {
                        let conversation = this.open_in(uow, *id).await?;
                        match find(uow, *id).await? {
                            None => Ok((insert(uow, &conversation, token).await?, true)),
                            Some(share) if !refresh => Ok((share, false)),
                            Some(share) => Ok((moved(uow, &conversation, share).await?, false)),
                        }
                    })
                },
            )
            .await
    }

    /// How one of the caller's conversations is shared.
    ///
    /// # Errors
    /// `not_found` also when it is not shared.
    pub async fn share_of(&self, ctx: &Context, id: ConversationId) -> Result<Share> {
        self.store
            .read(ctx, id, |reads, id| {
                Box::pin(async move {
                    crate::visible(reads, *id, "").await?;
                    find(reads, *id).await?.ok_or_else(absent)
                })
            })
            .await
    }

    /// Ends the sharing of one of the caller's conversations: its token is worth nothing any more.
    ///
    /// # Errors
    /// `not_found` also when it is not shared.
    pub async fn unshare(&self, ctx: &Context, id: ConversationId) -> Result<()> {
        self.store
            .write(
                ctx,
                Durability::Durable,
                (self.clone(), id),
                |uow, (this, id)| {
                    Box::pin(async move {
                        this.open_in(uow, *id).await?;
                        let tenant = uow.tenant()?;
                        let sql = "DELETE FROM conversation_shares
                                   WHERE tenant_id = $1 AND conversation_id = $2";
                        match uow.execute(sql, params![tenant, *id]).await? {
                            0 => Err(absent()),
                            _ => Ok(()),
                        }
                    })
                },
            )
            .await
    }

    /// The tenant in which a token is a share. The one thing that is looked up beyond the
    /// caller's tenant, because who reads a shared branch belongs to none.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn tenant_of_share(&self, ctx: &Context, token: &str) -> Result<TenantId> {
        let token = parse(token)?;
        self.store
            .read(&ctx.as_system("shared"), token, |reads, token| {
                Box::pin(async move {
                    let sql = "SELECT tenant_id FROM conversation_shares WHERE token = $1";
                    let row = reads.query_opt(sql, params![&token[..]]).await?;
                    row.ok_or_else(absent)?.get(0)
                })
            })
            .await
    }

    /// The shared branch of a token, within a read of its tenant, whoever asks.
    ///
    /// # Errors
    /// `not_found`, also while the conversation is deleted.
    pub async fn shared_in(&self, reads: &mut Reads, token: &str) -> Result<SharedConversation> {
        let (token, tenant) = (parse(token)?, reads.tenant()?);
        let mut row = reads
            .query_opt(
                "SELECT c.id, c.title, c.created_at, s.shared_at, s.head
                 FROM conversation_shares s JOIN conversations c ON c.id = s.conversation_id
                 WHERE s.tenant_id = $1 AND s.token = $2
                   AND c.tenant_id = $1 AND c.deleted_at IS NULL",
                params![tenant, &token[..]],
            )
            .await?
            .ok_or_else(absent)?;
        let messages = match row.get::<Option<MessageId>>(4)? {
            Some(head) => said(reads, row.get(0)?, head).await?,
            None => Vec::new(),
        };
        Ok(SharedConversation {
            title: row.get(1)?,
            created_at: row.get(2)?,
            shared_at: row.get(3)?,
            messages,
        })
    }
}

/// The messages of a branch that persons and models wrote, oldest first.
async fn said(
    reads: &mut Reads,
    conversation: ConversationId,
    head: MessageId,
) -> Result<Vec<SharedMessage>> {
    let all = tree::Walk::pages(0, i64::from(u32::MAX));
    let mut messages = tree::walk_up(reads, conversation, head, all).await?;
    messages.reverse();
    let shown = messages
        .into_iter()
        .filter(|message| message.role != MessageRole::System);
    Ok(shown
        .map(|message| SharedMessage {
            id: message.id,
            role: message.role,
            content: message.content,
            created_at: message.created_at,
            model_id: message.model_id,
        })
        .collect())
}

fn absent() -> Error {
    Error::new(codes::NOT_FOUND, "Nothing is shared here.")
}

/// A text that is no token names nothing.
fn parse(token: &str) -> Result<Token> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(absent)
}

const COLUMNS: &str = "token, head, created_at";

fn from_row(mut row: Row) -> Result<Share> {
    Ok(Share {
        token: URL_SAFE_NO_PAD.encode(row.get::<Vec<u8>>(0)?),
        head: row.get(1)?,
        created_at: row.get(2)?,
    })
}

async fn find(reads: &mut Reads, id: ConversationId) -> Result<Option<Share>> {
    let tenant = reads.tenant()?;
    let sql = format!(
        "SELECT {COLUMNS} FROM conversation_shares WHERE tenant_id = $1 AND conversation_id = $2"
    );
    let row = reads.query_opt(&sql, params![tenant, id]).await?;
    row.map(from_row).transpose()
}

async fn insert(uow: &mut Uow, conversation: &Conversation, token: &Token) -> Result<Share> {
    let (tenant, now) = (uow.tenant()?, uow.now());
    uow.execute(
        "INSERT INTO conversation_shares (token, tenant_id, conversation_id, head, created_at,
           shared_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        params![
            &token[..],
            tenant,
            conversation.id,
            conversation.head,
            now,
            now
        ],
    )
    .await?;
    Ok(Share {
        token: URL_SAFE_NO_PAD.encode(token),
        head: conversation.head,
        created_at: now,
    })
}

async fn moved(uow: &mut Uow, conversation: &Conversation, share: Share) -> Result<Share> {
    let (tenant, now) = (uow.tenant()?, uow.now());
    uow.execute(
        "UPDATE conversation_shares SET head = $3, shared_at = $4
         WHERE tenant_id = $1 AND conversation_id = $2",
        params![tenant, conversation.id, conversation.head, now],
    )
    .await?;
    Ok(Share {
        head: conversation.head,
        ..share
    })
}
