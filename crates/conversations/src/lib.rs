//! Threads and their messages: a tree that only grows, its titles, its search
//! and its export. No model and no credits are known here; `chat` decides what
//! is said and joins the operations that end in `_in`.

mod assistants;
mod change;
mod erase;
mod export;
mod kept;
mod live;
mod locked;
mod messages;
mod pieces;
mod prompts;
mod purge;
mod reading;
mod restore;
mod search;
mod share;
mod takeout;
mod title;
mod tree;
mod types;
mod validate;
mod words;

use kernel::{Context, ConversationId, Error, Page, Paged, Random, Result};
use state::State;
use store::{Migration, Reads, Store, Uow, params};

pub use assistants::{Assistant, AssistantPatch, NewAssistant};
pub use export::{Export, ExportFormat};
pub use locked::Locked;
pub use messages::{MessageView, MessagesQuery};
pub use prompts::{NewSavedPrompt, SavedPrompt, SavedPromptPatch};
pub use purge::Purging;
pub use reading::Reading;
pub use search::SearchHit;
pub use share::{Share, SharedConversation, SharedMessage};
pub use takeout::TakenOut;
pub use title::heuristic_title;
pub use tree::{NewMessage, Parent};
pub use types::{
    Conversation, Create, Deleted, Filter, Message, MessageRole, MessageStatus, Options, Patch,
    Status, TitleSource,
};

/// The tables of this part.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "20261121_0005_conversations",
        sql: include_str!("../migrations/20261121_0005_conversations.sql"),
    },
    Migration {
        name: "20261121_0007_conversations_kept",
        sql: include_str!("../migrations/20261121_0007_conversations_kept.sql"),
    },
    Migration {
        name: "20261121_0009_conversations_restored",
        sql: include_str!("../migrations/20261121_0009_conversations_restored.sql"),
    },
    Migration {
        name: "20261121_0012_conversations_counted",
        sql: include_str!("../migrations/20261121_0012_conversations_counted.sql"),
    },
];

/// Threads and messages. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Conversations {
    store: Store,
    state: State,
    random: Random,
    options: Options,
}

impl Conversations {
    /// The part over an open store that has applied [`MIGRATIONS`]; by `state` open pages hear of
    /// changes, and out of `random` come the tokens of shares.
    #[must_use]
    pub fn new(store: Store, state: State, random: Random, options: Options) -> Self {
        Self {
            store,
            state,
            random,
            options,
        }
    }

    /// The limits in force.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// One of the caller's conversations.
    ///
    /// # Errors
    /// `not_found` when it is absent, deleted or somebody else's.
    pub async fn get(&self, ctx: &Context, id: ConversationId) -> Result<Conversation> {
        self.store
            .read(ctx, id, |reads, id| {
                Box::pin(async move { visible(reads, *id, "").await })
            })
            .await
    }

    /// As [`Self::get`], within a read or a unit of work; locks nothing.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn get_in(&self, reads: &mut Reads, id: ConversationId) -> Result<Conversation> {
        visible(reads, id, "").await
    }

    /// The caller's conversations, pinned ones first, then the last changed first.
    ///
    /// # Errors
    /// `not_authenticated`, `database_unavailable`.
    pub async fn list(
        &self,
        ctx: &Context,
        page: Page,
        filter: Filter,
    ) -> Result<Reading<Conversation>> {
        ctx.account()?;
        let rows = self
            .store
            .read(ctx, (page, filter), |reads, (page, filter)| {
                Box::pin(async move { list(reads, *page, *filter).await })
            });
        let rows = rows.await?;
        Ok(Reading::new((self, ctx), rows, reading::system_prompt))
    }

    /// Joins a unit of work: the conversation, locked until its end. For an
    /// account only its own one; for the platform itself any of the tenant.
    ///
    /// # Errors
    /// `not_found` when it is absent, deleted or somebody else's.
    pub async fn open_in(&self, uow: &mut Uow, id: ConversationId) -> Result<Conversation> {
        visible(uow, id, " FOR UPDATE").await
    }
}

pub(crate) fn absent() -> Error {
    Error::not_found("Conversation")
}

/// The conversation if the caller may see it.
pub(crate) async fn visible(
    reads: &mut Reads,
    id: ConversationId,
    lock: &str,
) -> Result<Conversation> {
    let ctx = reads.context()?;
    let sql = format!(
        "SELECT {} FROM conversations WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL{lock}",
        types::COLUMNS
    );
    let row = reads
        .query_opt(&sql, params![ctx.tenant(), id])
        .await?
        .ok_or_else(absent)?;
    let conversation = Conversation::from_row(row)?;
    if !ctx.is_system() && ctx.account()? != conversation.account_id {
        return Err(absent());
    }
    Ok(conversation)
}

/// Fails when a conversation that the caller has opened is deleted meanwhile.
pub(crate) async fn still(reads: &mut Reads, id: ConversationId) -> Result<()> {
    let tenant = reads.tenant()?;
    let sql = "SELECT id FROM conversations
               WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL";
    let row = reads.query_opt(sql, params![tenant, id]).await?;
    row.map(drop).ok_or_else(absent)
}

/// Each with whether its system prompt is still to be read.
async fn list(
    reads: &mut Reads,
    page: Page,
    filter: Filter,
) -> Result<Paged<(Conversation, bool)>> {
    let ctx = reads.context()?;
    let (tenant, account) = (ctx.tenant(), ctx.account()?);
    let pinned = match filter.pinned {
        Some(true) => " AND pinned",
        Some(false) => " AND NOT pinned",
        None => "",
    };
    let counted = format!(
        "SELECT CAST(COALESCE(SUM(conversations), 0) AS bigint) FROM conversation_counts
         WHERE tenant_id = $1 AND account_id = $2 AND archived = $3{pinned}"
    );
    let mut row = reads
        .query_one(&counted, params![tenant, account, filter.archived])
        .await?;
    let total = row.get(0)?;
    // The length of a text is known without reading it.
    let long = "octet_length(system_prompt) > CAST($6 AS bigint)";
    let columns = types::COLUMNS.replace(
        "system_prompt",
        &format!("CASE WHEN {long} THEN NULL ELSE system_prompt END"),
    );
    let listed = format!(
        "SELECT {columns}, COALESCE({long}, FALSE) FROM conversations
         WHERE tenant_id = $1 AND account_id = $2 AND archived = $3 AND deleted_at IS NULL{pinned}
         ORDER BY pinned DESC, updated_at DESC, id DESC LIMIT $4 OFFSET $5"
    );
    let rows = reads
        .query(
            &listed,
            params![
                tenant,
                account,
                filter.archived,
                page.limit(),
                page.offset(),
                reading::short(page)
            ],
        )
        .await?;
    let column = types::COLUMNS.split(',').count();
    let data = rows.into_iter().map(|mut row| {
        let long = row.get(column)?;
        Ok((Conversation::from_row(row)?, long))
    });
    Ok(Paged::new(data.collect::<Result<_>>()?, page, total))
}
