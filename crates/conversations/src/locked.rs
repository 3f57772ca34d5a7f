//! A conversation under lock within a unit of work of `chat`: claimed for a run,
//! appended to under compare-and-set, named. It is written once, by
//! [`Locked::save`], so that an answer's beginning and end are one change each.

use kernel::{ConversationId, Error, MessageId, Result, RunId, Timestamp, codes, topics};
use serde_json::json;
use state::State;
use store::{Rows, Uow, params};

use crate::{
    Conversation, Conversations, Message, NewMessage, Parent, TitleSource, absent,
    change::{self, emit},
    live, search, tree,
    types::COLUMNS,
    validate::{self, no_nul},
};

/// A conversation that nobody else changes before the end of the unit of work.
/// Dropped without [`Locked::save`], nothing of it becomes true.
#[derive(Debug)]
#[must_use]
pub struct Locked {
    before: Conversation,
    now: Conversation,
    /// Of the head, as far as it is known.
    depth: Option<i64>,
    deleted: bool,
    title_chars: usize,
    state: State,
}

impl Conversations {
    /// Locks a conversation. An account can lock its own; the platform itself
    /// also one that was deleted meanwhile (at the end of a run), whose changes
    /// nobody will see.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn lock_in(&self, uow: &mut Uow, id: ConversationId) -> Result<Locked> {
        let ctx = uow.context()?;
        let sql = format!(
            "SELECT {COLUMNS}, deleted_at,
               (SELECT depth FROM messages m WHERE m.id = conversations.head) AS head_depth
             FROM conversations WHERE tenant_id = $1 AND id = $2 FOR UPDATE"
        );
        let mut row = uow
            .query_opt(&sql, params![ctx.tenant(), id])
            .await?
            .ok_or_else(absent)?;
        let deleted = row.get::<Option<Timestamp>>(15)?.is_some();
        let depth = row.get(16)?;
        let conversation = Conversation::from_row(row)?;
        if !ctx.is_system() && (deleted || ctx.account()? != conversation.account_id) {
            return Err(absent());
        }
        Ok(Locked {
            before: conversation.clone(),
            now: conversation,
            depth,
            deleted,
            title_chars: self.options.title_chars,
            state: self.state.clone(),
        })
    }

    /// Appends one message: [`Self::lock_in`], [`Locked::append`], [`Locked::save`].
    ///
    /// # Errors
    /// As those.
    pub async fn append_in(&self, uow: &mut Uow, new: NewMessage) -> Result<Message> {
        let mut conversation = self.lock_in(uow, new.conversation).await?;
        let message = conversation.append(uow, new).await?;
        conversation.save(uow).await?;
        Ok(message)
    }
}

impl Locked {
    /// As it will be.
    #[must_use]
    pub fn conversation(&self) -> &Conversation {
        &self.now
    }

    /// Claims it for a run: one answer at a time.
    ///
    /// # Errors
    /// `conversation_busy` when another run has it.
    pub fn claim(&mut self, run: RunId) -> Result<()> {
        match self.now.active_run {
            Some(active) if active != run => Err(tree::busy()),
            _ => {
                self.now.active_run = Some(run);
                Ok(())
            }
        }
    }

    /// Gives the claim of a run back; does nothing when the run has none.
    pub fn unclaim(&mut self, run: RunId) {
        if self.now.active_run == Some(run) {
            self.now.active_run = None;
        }
    }

    /// Names it, unless a person did or it was deleted. Answers whether the title was taken.
    pub fn name(&mut self, title: &str, source: TitleSource) -> bool {
        let title = validate::title(title);
        if self.deleted || self.now.title_source == TitleSource::Person || title.is_empty() {
            return false;
        }
        self.now.title = title.chars().take(self.title_chars).collect();
        self.now.title_source = source;
        true
    }

    /// Appends a message and makes it the head.
    ///
    /// # Errors
    /// `conflict` when the head is not the expected one; `not_found` for the
    /// parent; `validation_failed` for a NUL character.
    pub async fn append(&mut self, uow: &mut Uow, new: NewMessage) -> Result<Message> {
        no_nul("content", &new.content)?;
        let head = self.now.head;
        if new.expected_head.is_some_and(|expected| expected != head) {
            return Err(Error::new(
                codes::CONFLICT,
                "The conversation has gone on elsewhere; read its newest messages and send again.",
            ));
        }
        let parent_id = match new.parent {
            Parent::Head => head,
            Parent::Root => None,
            Parent::Message(id) => Some(id),
        };
        let message = Message {
            id: new.id.unwrap_or_else(|| uow.id()),
            conversation_id: self.now.id,
            parent_id,
            depth: self.below(uow, parent_id).await?,
            role: new.role,
            content: new.content,
            status: new.status,
            end_reason: new.end_reason,
            run_id: new.run_id,
            model_id: new.model_id,
            usage: new.usage,
            credits: new.credits,
            created_at: uow.now(),
        };
        insert(uow, &message).await?;
        if !self.deleted {
            search::add(uow, &self.now, Some(message.id), &message.content).await?;
        }
        self.emit_created(uow, &message).await?;
        self.now.head = Some(message.id);
        self.depth = Some(message.depth);
        Ok(message)
    }

    /// The depth below a parent.
    async fn below(&self, uow: &mut Uow, parent: Option<MessageId>) -> Result<i64> {
        let Some(parent) = parent else { return Ok(0) };
        match self.depth {
            // Not known when the head changed while this waited for the lock.
            Some(depth) if self.now.head == Some(parent) => Ok(depth + 1),
            _ => Ok(tree::depth_of(uow, self.now.id, parent).await? + 1),
        }
    }

    /// Writes what has changed.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn save(self, uow: &mut Uow) -> Result<()> {
        let Self {
            before,
            mut now,
            deleted,
            state,
            ..
        } = self;
        if now == before {
            return Ok(());
        }
        let renamed = before.title != now.title;
        // A claim alone is no change of what people see.
        if renamed || before.head != now.head {
            now.version += 1;
            now.updated_at = uow.now();
        }
        let tenant = uow.tenant()?;
        uow.later(
            Rows::One,
            "UPDATE conversations SET title = $3, title_source = $4, head = $5, version = $6,
               active_run = $7, updated_at = $8
             WHERE tenant_id = $1 AND id = $2",
            params![
                tenant,
                now.id,
                &now.title,
                now.title_source.as_str(),
                now.head,
                now.version,
                now.active_run,
                now.updated_at,
            ],
        )
        .await?;
        if renamed {
            change::renamed(uow, &before, &now).await?;
            emit(uow, "conversation.updated", &now).await?;
        }
        if now.version != before.version && !deleted {
            live::tell_after(&state, uow, &now, "updated")?;
        }
        Ok(())
    }

    async fn emit_created(&self, uow: &mut Uow, m: &Message) -> Result<()> {
        let payload = json!({
            "conversation_id": m.conversation_id,
            "account_id": self.now.account_id,
            "message_id": m.id,
            "parent_id": m.parent_id,
            "role": m.role,
            "status": m.status,
            "end_reason": m.end_reason,
            "run_id": m.run_id,
            "model_id": m.model_id,
        });
        let key = m.conversation_id.to_string();
        uow.emit(topics::CONVERSATION, "message.created", &key, payload)
            .await
    }
}

async fn insert(uow: &mut Uow, m: &Message) -> Result<()> {
    let tenant = uow.tenant()?;
    uow.later(
        Rows::Any,
        "INSERT INTO messages (id, tenant_id, conversation_id, parent_id, depth, role, content,
           status, end_reason, run_id, model_id, usage, credits, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        params![
            m.id,
            tenant,
            m.conversation_id,
            m.parent_id,
            m.depth,
            m.role.as_str(),
            &m.content,
            m.status.as_str(),
            m.end_reason.as_deref(),
            m.run_id,
            m.model_id.as_deref(),
            m.usage.as_ref(),
            m.credits,
            m.created_at,
        ],
    )
    .await
}
