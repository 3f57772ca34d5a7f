//! Saved prompts: texts that an account keeps to send again, each under a
//! command that names it. What becomes of the text is the client's matter.

use kernel::{Context, Error, Page, Paged, Result, SavedPromptId, Timestamp, codes};
use serde::{Deserialize, Serialize};
use store::{DbClass, Durability, Reads, Row, Uow, db_class, params};

use crate::{Conversations, kept};

/// Longest command, in characters.
const COMMAND: usize = 32;
/// Longest title, in characters.
const TITLE: usize = 80;

/// A text under a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPrompt {
    /// Its id.
    pub id: SavedPromptId,
    /// What calls it up; the only one of the account.
    pub command: String,
    /// What it is.
    pub title: String,
    /// The text.
    pub content: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A saved prompt to be made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewSavedPrompt {
    /// 1 to 32 of a-z, 0-9 and the hyphen.
    pub command: String,
    /// 1 to 80 characters.
    pub title: String,
    /// At most 32 KiB, not blank.
    pub content: String,
}

/// What changes about a saved prompt; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SavedPromptPatch {
    /// The command.
    pub command: Option<String>,
    /// The title.
    pub title: Option<String>,
    /// The text.
    pub content: Option<String>,
}

const COLUMNS: &str = "id, command, title, content, created_at, updated_at";

fn from_row(mut row: Row) -> Result<SavedPrompt> {
    Ok(SavedPrompt {
        id: row.get(0)?,
        command: row.get(1)?,
        title: row.get(2)?,
        content: row.get(3)?,
        created_at: row.get(4)?,
        updated_at: row.get(5)?,
    })
}

fn absent() -> Error {
    Error::not_found("Prompt")
}

/// What the database says when another prompt has the command, as what happened.
fn taken(error: Error) -> Error {
    if db_class(&error) != Some(DbClass::Unique) {
        return error;
    }
    Error::new(
        codes::COMMAND_EXISTS,
        "Another of your prompts has this command; choose another one.",
    )
}

impl NewSavedPrompt {
    /// The same without the spaces around its lines.
    ///
    /// # Errors
    /// `validation_failed`.
    fn checked(self) -> Result<Self> {
        let known = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if !(1..=COMMAND).contains(&self.command.len()) || !self.command.bytes().all(known) {
            let message = format!("must be 1 to {COMMAND} characters: a to z, 0 to 9, hyphens.");
            return Err(Error::invalid("command", message));
        }
        if self.content.trim().is_empty() {
            return Err(Error::invalid("content", "must not be empty."));
        }
        kept::long("content", &self.content)?;
        Ok(Self {
            title: kept::name("title", &self.title, TITLE)?,
            ..self
        })
    }
}

impl Conversations {
    /// The caller's saved prompts, newest first.
    ///
    /// # Errors
    /// `not_authenticated`, `database_unavailable`.
    pub async fn saved_prompts(&self, ctx: &Context, page: Page) -> Result<Paged<SavedPrompt>> {
        let account = ctx.account()?;
        self.store
            .read(ctx, (account, page), |reads, (account, page)| {
                Box::pin(async move {
                    let tenant = reads.tenant()?;
                    let count = "SELECT CAST(COUNT(*) AS bigint) FROM saved_prompts
                                 WHERE tenant_id = $1 AND account_id = $2";
                    let mut row = reads.query_one(count, params![tenant, *account]).await?;
                    let total = row.get(0)?;
                    let sql = format!(
                        "SELECT {COLUMNS} FROM saved_prompts
                         WHERE tenant_id = $1 AND account_id = $2
                         ORDER BY id DESC LIMIT $3 OFFSET $4"
                    );
                    let params = params![tenant, *account, page.limit(), page.offset()];
                    let rows = reads.query(&sql, params).await?;
                    let data = rows.into_iter().map(from_row).collect::<Result<_>>()?;
                    Ok(Paged::new(data, *page, total))
                })
            })
            .await
    }

    /// Keeps a prompt for the caller; at most one for an idempotency key.
    ///
    /// # Errors
    /// `validation_failed`; `command_exists`; `too_many` when the account has 500.
    pub async fn save_prompt(&self, ctx: &Context, new: NewSavedPrompt) -> Result<SavedPrompt> {
        ctx.account()?;
        let new = new.checked()?;
        self.store
            .write_once(ctx, Durability::Durable, new, |uow, new| {
                Box::pin(async move { insert(uow, new).await })
            })
            .await
    }

    /// Changes one of the caller's saved prompts.
    ///
    /// # Errors
    /// `not_found`; `validation_failed`; `command_exists`.
    pub async fn patch_saved_prompt(
        &self,
        ctx: &Context,
        id: SavedPromptId,
        patch: SavedPromptPatch,
    ) -> Result<SavedPrompt> {
        self.store
            .write(ctx, Durability::Durable, (id, patch), |uow, (id, patch)| {
                Box::pin(async move {
                    let before = find(uow, *id, " FOR UPDATE").await?;
                    let mut after = changed(before.clone(), patch.clone())?;
                    if after != before {
                        after.updated_at = uow.now();
                        save(uow, &after).await?;
                    }
                    Ok(after)
                })
            })
            .await
    }

    /// Deletes one of the caller's saved prompts; its command is free again.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn delete_saved_prompt(&self, ctx: &Context, id: SavedPromptId) -> Result<()> {
        let account = ctx.account()?;
        self.store
            .write(
                ctx,
                Durability::Durable,
                (account, id),
                |uow, (account, id)| {
                    Box::pin(async move {
                        let tenant = uow.tenant()?;
                        let sql = "DELETE FROM saved_prompts
                               WHERE tenant_id = $1 AND account_id = $2 AND id = $3";
                        match uow.execute(sql, params![tenant, *account, *id]).await? {
                            0 => Err(absent()),
                            _ => kept::one_less(uow, kept::PROMPTS).await,
                        }
                    })
                },
            )
            .await
    }
}

async fn find(reads: &mut Reads, id: SavedPromptId, lock: &str) -> Result<SavedPrompt> {
    let ctx = reads.context()?;
    let sql = format!(
        "SELECT {COLUMNS} FROM saved_prompts
         WHERE tenant_id = $1 AND account_id = $2 AND id = $3{lock}"
    );
    let row = reads
        .query_opt(&sql, params![ctx.tenant(), ctx.account()?, id])
        .await?;
    from_row(row.ok_or_else(absent)?)
}

async fn insert(uow: &mut Uow, new: &NewSavedPrompt) -> Result<SavedPrompt> {
    kept::one_more(uow, kept::PROMPTS).await?;
    let (ctx, now) = (uow.context()?, uow.now());
    let made = SavedPrompt {
        id: uow.id(),
        command: new.command.clone(),
        title: new.title.clone(),
        content: new.content.clone(),
        created_at: now,
        updated_at: now,
    };
    uow.execute(
        "INSERT INTO saved_prompts (id, tenant_id, account_id, command, title, content,
           created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        params![
            made.id,
            ctx.tenant(),
            ctx.account()?,
            &made.command,
            &made.title,
            &made.content,
            now,
            now,
        ],
    )
    .await
    .map_err(taken)?;
    Ok(made)
}

fn changed(before: SavedPrompt, patch: SavedPromptPatch) -> Result<SavedPrompt> {
    let new = NewSavedPrompt {
        command: patch.command.unwrap_or(before.command),
        title: patch.title.unwrap_or(before.title),
        content: patch.content.unwrap_or(before.content),
    };
    let new = new.checked()?;
    Ok(SavedPrompt {
        command: new.command,
        title: new.title,
        content: new.content,
        ..before
    })
}

async fn save(uow: &mut Uow, after: &SavedPrompt) -> Result<()> {
    let tenant = uow.tenant()?;
    uow.execute(
        "UPDATE saved_prompts SET command = $3, title = $4, content = $5, updated_at = $6
         WHERE tenant_id = $1 AND id = $2",
        params![
            tenant,
            after.id,
            &after.command,
            &after.title,
            &after.content,
            after.updated_at,
        ],
    )
    .await
    .map_err(taken)?;
    Ok(())
}
