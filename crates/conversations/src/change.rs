//! Making, changing and deleting conversations.

use kernel::{Context, ConversationId, Error, MessageId, Result, codes, topics};
use serde_json::json;
use store::{Durability, Uow, params};

use crate::{
    Conversation, Conversations, Create, Deleted, Patch, Status, TitleSource, absent,
    heuristic_title, kept, live, search, share, tree, validate,
};

impl Conversations {
    /// Makes a conversation for the caller; at most one for an idempotency key.
    ///
    /// # Errors
    /// `validation_failed` for a title or system prompt that is too long or has a NUL; `too_many`
    /// when the account has [`max_per_account`](crate::Options::max_per_account).
    pub async fn create(&self, ctx: &Context, input: Create) -> Result<Conversation> {
        ctx.account()?;
        self.validate_create(&input)?;
        self.store
            .write_once(
                ctx,
                Durability::Durable,
                (self.clone(), input),
                |uow, (this, input)| Box::pin(async move { this.create_in(uow, input).await }),
            )
            .await
    }

    /// As [`Self::create`], within a unit of work.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn create_in(&self, uow: &mut Uow, input: &Create) -> Result<Conversation> {
        self.validate_create(input)?;
        kept::one_more(uow, kept::conversations(self.options.max_per_account)).await?;
        let ctx = uow.context()?;
        let now = uow.now();
        let title = input.title.as_deref().map(validate::title);
        let title = title.filter(|title| !title.is_empty());
        let conversation = Conversation {
            id: uow.id(),
            account_id: ctx.account()?,
            title_source: if title.is_some() {
                TitleSource::Person
            } else {
                TitleSource::None
            },
            title: title.unwrap_or_default(),
            model_id: input.model_id.clone(),
            system_prompt: meant(input.system_prompt.as_deref()),
            status: Status::Active,
            pinned: false,
            archived: false,
            head: None,
            version: 1,
            active_run: None,
            created_at: now,
            updated_at: now,
            assistant_id: input.assistant_id,
        };
        let c = &conversation;
        uow.execute(
            "INSERT INTO conversations (id, tenant_id, account_id, title, title_source, model_id,
               system_prompt, status, pinned, archived, version, created_at, updated_at, assistant_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
            params![
                c.id,
                ctx.tenant(),
                c.account_id,
                &c.title,
                c.title_source.as_str(),
                &c.model_id,
                c.system_prompt.as_deref(),
                c.status.as_str(),
                c.pinned,
                c.archived,
                c.version,
                now,
                now,
                c.assistant_id,
            ],
        )
        .await?;
        count(uow, c, 1).await?;
        search::add(uow, c, None, &c.title).await?;
        emit(uow, "conversation.created", c).await?;
        live::tell_after(&self.state, uow, c, "created")?;
        Ok(conversation)
    }

    /// Changes one of the caller's conversations.
    ///
    /// # Errors
    /// `not_found`; `validation_failed`; `conflict` when it is no longer at `patch.version`;
    /// `conversation_busy` when the branch is changed while an answer is being written.
    pub async fn patch(
        &self,
        ctx: &Context,
        id: ConversationId,
        patch: Patch,
    ) -> Result<Conversation> {
        self.validate_patch(&patch)?;
        self.store
            .write(
                ctx,
                Durability::Durable,
                (self.clone(), id, patch),
                |uow, (this, id, patch)| {
                    Box::pin(async move { this.patch_in(uow, *id, patch).await })
                },
            )
            .await
    }

    /// As [`Self::patch`], within a unit of work.
    ///
    /// # Errors
    /// As [`Self::patch`].
    pub async fn patch_in(
        &self,
        uow: &mut Uow,
        id: ConversationId,
        patch: &Patch,
    ) -> Result<Conversation> {
        self.validate_patch(patch)?;
        let before = self.open_in(uow, id).await?;
        if patch
            .version
            .is_some_and(|version| version != before.version)
        {
            return Err(Error::new(
                codes::CONFLICT,
                "The conversation has changed meanwhile; read it again before changing it.",
            ));
        }
        let mut after = before.clone();
        if let Some(title) = patch.title.as_deref().map(validate::title) {
            (after.title, after.title_source) = if title.is_empty() {
                from_first_prompt(uow, id).await?
            } else {
                (title, TitleSource::Person)
            };
        }
        after.pinned = patch.pinned.unwrap_or(before.pinned);
        after.archived = patch.archived.unwrap_or(before.archived);
        if let Some(model) = &patch.model_id {
            after.model_id.clone_from(model);
        }
        if let Some(system_prompt) = &patch.system_prompt {
            after.system_prompt = meant(system_prompt.as_deref());
        }
        if let Some(head) = patch.head {
            after.head = Some(switched(uow, &before, head).await?);
        }
        if after != before {
            save(uow, &before, &mut after).await?;
            live::tell_after(&self.state, uow, &after, "updated")?;
        }
        Ok(after)
    }

    /// Deletes one of the caller's conversations: from now on it is not found, and not shared any
    /// more. It can be restored until it is purged.
    ///
    /// # Errors
    /// `not_found` when it is absent, deleted or somebody else's.
    pub async fn delete(&self, ctx: &Context, id: ConversationId) -> Result<Deleted> {
        self.store
            .write(
                ctx,
                Durability::Durable,
                (self.clone(), id),
                |uow, (this, id)| Box::pin(async move { this.delete_in(uow, *id).await }),
            )
            .await
    }

    /// As [`Self::delete`], within a unit of work.
    ///
    /// # Errors
    /// As [`Self::delete`].
    pub async fn delete_in(&self, uow: &mut Uow, id: ConversationId) -> Result<Deleted> {
        let conversation = self.open_in(uow, id).await?;
        let (tenant, now) = (uow.tenant()?, uow.now());
        uow.execute(
            "UPDATE conversations SET deleted_at = $3, version = version + 1
             WHERE tenant_id = $1 AND id = $2",
            params![tenant, id, now],
        )
        .await?;
        count(uow, &conversation, -1).await?;
        search::forget(uow, id).await?;
        share::end(uow, id).await?;
        emit(uow, "conversation.deleted", &conversation).await?;
        live::tell_after(&self.state, uow, &conversation, "deleted")?;
        let message = "The conversation was deleted.".to_owned();
        Ok(Deleted {
            message,
            active_run: conversation.active_run,
        })
    }
}

/// A text that says something, or nothing.
fn meant(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
        .map(str::to_owned)
}

/// What it is called when nobody gives it a title: nothing before its first prompt.
async fn from_first_prompt(uow: &mut Uow, id: ConversationId) -> Result<(String, TitleSource)> {
    let tenant = uow.tenant()?;
    let first = uow
        .query_opt(
            "SELECT content FROM messages
             WHERE tenant_id = $1 AND conversation_id = $2 AND role = 'user'
             ORDER BY depth, id LIMIT 1",
            params![tenant, id],
        )
        .await?;
    let prompt: Option<String> = first.map(|mut row| row.get(0)).transpose()?;
    let title = heuristic_title(prompt.as_deref().unwrap_or_default());
    let source = if title.is_empty() {
        TitleSource::None
    } else {
        TitleSource::Heuristic
    };
    Ok((title, source))
}

async fn switched(uow: &mut Uow, before: &Conversation, to: MessageId) -> Result<MessageId> {
    if before.active_run.is_some() {
        return Err(tree::busy());
    }
    tree::newest_leaf(uow, before.id, to)
        .await?
        .ok_or_else(|| Error::not_found("Message"))
}

async fn save(uow: &mut Uow, before: &Conversation, after: &mut Conversation) -> Result<()> {
    after.version += 1;
    // A pin or a place in the archive is no news in the thread.
    let news = (before.title != after.title) || (before.head != after.head);
    if news {
        after.updated_at = uow.now();
    }
    let tenant = uow.tenant()?;
    let changed = uow
        .execute(
            "UPDATE conversations SET title = $3, title_source = $4, model_id = $5,
               system_prompt = $6, pinned = $7, archived = $8, head = $9, version = $10,
               updated_at = $11
             WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL",
            params![
                tenant,
                after.id,
                &after.title,
                after.title_source.as_str(),
                &after.model_id,
                after.system_prompt.as_deref(),
                after.pinned,
                after.archived,
                after.head,
                after.version,
                after.updated_at,
            ],
        )
        .await?;
    if changed == 0 {
        return Err(absent());
    }
    if (before.pinned, before.archived) != (after.pinned, after.archived) {
        count(uow, before, -1).await?;
        count(uow, after, 1).await?;
    }
    if before.title != after.title {
        renamed(uow, before, after).await?;
    }
    emit(uow, "conversation.updated", after).await
}

/// Makes the new title what is searched.
pub(crate) async fn renamed(
    uow: &mut Uow,
    before: &Conversation,
    after: &Conversation,
) -> Result<()> {
    if !before.title.is_empty() {
        search::forget_title(uow, after.id).await?;
    }
    search::add(uow, after, None, &after.title).await
}

/// Keeps the number of conversations in the bucket this one is listed in.
pub(crate) async fn count(uow: &mut Uow, conversation: &Conversation, by: i64) -> Result<()> {
    let tenant = uow.tenant()?;
    uow.execute(
        "INSERT INTO conversation_counts (tenant_id, account_id, archived, pinned, conversations)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (tenant_id, account_id, archived, pinned)
           DO UPDATE SET conversations = conversation_counts.conversations + excluded.conversations",
        params![
            tenant,
            conversation.account_id,
            conversation.archived,
            conversation.pinned,
            by
        ],
    )
    .await?;
    Ok(())
}

pub(crate) async fn emit(uow: &mut Uow, kind: &str, conversation: &Conversation) -> Result<()> {
    let payload = json!({
        "conversation_id": conversation.id,
        "account_id": conversation.account_id,
        "model_id": conversation.model_id,
        "pinned": conversation.pinned,
        "archived": conversation.archived,
        "version": conversation.version,
    });
    uow.emit(
        topics::CONVERSATION,
        kind,
        &conversation.id.to_string(),
        payload,
    )
    .await
}
