//! Branches that anybody can read who knows their token, without signing in:
//! the words that were said, up to the message that was the head. Nothing about
//! the account, its credits or the model's instructions, and no other branch.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use kernel::{
    AccountId, Context, ConversationId, Error, MessageId, Result, Role, TenantId, Timestamp, codes,
    topics,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
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
    /// What was said, in order: the last of it, or what is above the message that was asked for.
    pub messages: Vec<SharedMessage>,
    /// There is more above; it is asked for with this message.
    pub earlier: Option<MessageId>,
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

/// Texts of this many bytes end what is shown at once.
const BYTES: i64 = 1024 * 1024;

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

    /// Ends the sharing of one of the caller's conversations, or for an administrator of any of the
    /// tenant: its token is worth nothing any more.
    ///
    /// # Errors
    /// `not_found` also when it is not shared.
    pub async fn unshare(&self, ctx: &Context, id: ConversationId) -> Result<()> {
        self.store
            .write(ctx, Durability::Durable, id, |uow, id| {
                Box::pin(async move { revoke(uow, *id).await })
            })
            .await
    }

    /// As [`Self::unshare`], for who knows the token only.
    ///
    /// # Errors
    /// As [`Self::unshare`].
    pub async fn revoke_share(&self, ctx: &Context, token: &str) -> Result<()> {
        let token = parse(token)?;
        let revoked = self
            .store
            .write(ctx, Durability::Durable, token, |uow, token| {
                Box::pin(async move {
                    let tenant = uow.tenant()?;
                    let sql = "SELECT conversation_id FROM conversation_shares
                               WHERE tenant_id = $1 AND token = $2";
                    let row = uow.query_opt(sql, params![tenant, &token[..]]).await?;
                    revoke(uow, row.ok_or_else(absent)?.get(0)?).await
                })
            });
        // Somebody else's is as one that is not there.
        revoked
            .await
            .map_err(|error| match error.is(codes::NOT_FOUND) {
                true => absent(),
                false => error,
            })
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

    /// The shared branch of a token, within a read of its tenant, whoever asks, and whose it is: at
    /// most so many of its messages, the last ones or those above `before`.
    ///
    /// # Errors
    /// `not_found`, also when `before` is no message of the branch.
    pub async fn shared_in(
        &self,
        reads: &mut Reads,
        token: &str,
        before: Option<MessageId>,
        most: i64,
    ) -> Result<(AccountId, SharedConversation)> {
        let (token, tenant) = (parse(token)?, reads.tenant()?);
        let mut row = reads
            .query_opt(
                "SELECT c.id, c.title, c.created_at, s.shared_at, s.head, c.account_id
                 FROM conversation_shares s JOIN conversations c ON c.id = s.conversation_id
                 WHERE s.tenant_id = $1 AND s.token = $2
                   AND c.tenant_id = $1 AND c.deleted_at IS NULL",
                params![tenant, &token[..]],
            )
            .await?
            .ok_or_else(absent)?;
        let (id, head) = (row.get(0)?, row.get(4)?);
        let leaf = match before {
            None => head,
            Some(before) => tree::above(reads, id, head, before).await?,
        };
        let (messages, earlier) = match leaf {
            Some(leaf) => said(reads, id, leaf, most).await?,
            None => (Vec::new(), None),
        };
        let shared = SharedConversation {
            title: row.get(1)?,
            created_at: row.get(2)?,
            shared_at: row.get(3)?,
            messages,
            earlier,
        };
        Ok((row.get(5)?, shared))
    }
}

/// What persons and models wrote from this message up, oldest first, and from where it goes on.
async fn said(
    reads: &mut Reads,
    conversation: ConversationId,
    leaf: MessageId,
    most: i64,
) -> Result<(Vec<SharedMessage>, Option<MessageId>)> {
    let walk = tree::Walk {
        skip: 0,
        limit: most,
        most_bytes: BYTES,
    };
    let mut messages = tree::walk_up(reads, conversation, leaf, walk).await?;
    let top = messages.last().filter(|top| top.parent_id.is_some());
    let earlier = top.map(|top| top.id);
    messages.reverse();
    let shown = messages
        .into_iter()
        .filter(|message| message.role != MessageRole::System)
        .map(|message| SharedMessage {
            id: message.id,
            role: message.role,
            content: message.content,
            created_at: message.created_at,
            model_id: message.model_id,
        });
    Ok((shown.collect(), earlier))
}

/// Ends the sharing for whoever may: the owner, and who administers the tenant.
async fn revoke(uow: &mut Uow, id: ConversationId) -> Result<()> {
    let ctx = uow.context()?;
    let sql = "SELECT account_id FROM conversations
               WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL FOR UPDATE";
    let row = uow.query_opt(sql, params![ctx.tenant(), id]).await?;
    let owner: AccountId = row.ok_or_else(crate::absent)?.get(0)?;
    let by = ctx.account()?;
    if by != owner && ctx.require(&[Role::Admin, Role::Operator]).is_err() {
        return Err(crate::absent());
    }
    if end(uow, id).await? == 0 {
        // Only its owner learns that there is a conversation.
        return Err(if by == owner {
            absent()
        } else {
            crate::absent()
        });
    }
    let payload = json!({ "conversation_id": id, "account_id": owner, "by": by });
    let key = id.to_string();
    uow.emit(topics::CONVERSATION, "conversation.unshared", &key, payload)
        .await
}

/// Its token is worth nothing any more; answers how many it had.
pub(crate) async fn end(uow: &mut Uow, id: ConversationId) -> Result<u64> {
    let tenant = uow.tenant()?;
    let sql = "DELETE FROM conversation_shares WHERE tenant_id = $1 AND conversation_id = $2";
    uow.execute(sql, params![tenant, id]).await
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
