//! Assistants: a model and its instructions under a name, kept by an account to
//! begin conversations with. A conversation copies what it needs, so that it
//! does not change with them.

use kernel::{AssistantId, Context, Error, Page, Paged, Result, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use store::{Durability, Reads, Row, Uow, params};

use crate::{Conversations, kept, validate::no_nul};

/// Longest name, in characters.
const NAME: usize = 80;
/// Longest description, in characters.
const DESCRIPTION: usize = 300;
/// Most questions.
const QUESTIONS: usize = 6;
/// Longest question, in characters.
const QUESTION: usize = 300;

/// A model and its instructions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assistant {
    /// Its id.
    pub id: AssistantId,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The model that answers; it may not exist any more.
    pub model_id: String,
    /// What the model is told first; may be empty.
    pub system_prompt: String,
    /// What one might ask it first.
    pub questions: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// An assistant to be made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewAssistant {
    /// 1 to 80 characters.
    pub name: String,
    /// At most 300 characters.
    pub description: Option<String>,
    /// The model; the caller has checked that it exists.
    pub model_id: String,
    /// At most 32 KiB.
    pub system_prompt: String,
    /// At most 6 of at most 300 characters.
    pub questions: Vec<String>,
}

/// What changes about an assistant; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AssistantPatch {
    /// The name.
    pub name: Option<String>,
    /// The description; `Some(None)` removes it.
    pub description: Option<Option<String>>,
    /// The model; the caller has checked that it exists.
    pub model_id: Option<String>,
    /// The system prompt.
    pub system_prompt: Option<String>,
    /// All questions.
    pub questions: Option<Vec<String>>,
}

const COLUMNS: &str =
    "id, name, description, model_id, system_prompt, questions, created_at, updated_at";

fn from_row(mut row: Row) -> Result<Assistant> {
    Ok(Assistant {
        id: row.get(0)?,
        name: row.get(1)?,
        description: row.get(2)?,
        model_id: row.get(3)?,
        system_prompt: row.get(4)?,
        questions: serde_json::from_value(row.get::<Json>(5)?).map_err(Error::internal)?,
        created_at: row.get(6)?,
        updated_at: row.get(7)?,
    })
}

fn absent() -> Error {
    Error::not_found("Assistant")
}

impl NewAssistant {
    /// The same without the spaces around its lines.
    ///
    /// # Errors
    /// `validation_failed`.
    fn checked(self) -> Result<Self> {
        kept::long("system_prompt", &self.system_prompt)?;
        no_nul("model_id", &self.model_id)?;
        if self.questions.len() > QUESTIONS {
            let message = format!("must be at most {QUESTIONS}.");
            return Err(Error::invalid("questions", message));
        }
        let questions = self.questions.iter();
        let description = self.description.as_deref().map(str::trim);
        let description = description.filter(|text| !text.is_empty());
        Ok(Self {
            name: kept::name("name", &self.name, NAME)?,
            description: description
                .map(|text| kept::line("description", text, DESCRIPTION))
                .transpose()?,
            questions: questions
                .map(|text| kept::line("questions", text, QUESTION))
                .collect::<Result<_>>()?,
            ..self
        })
    }
}

impl Conversations {
    /// The caller's assistants, newest first.
    ///
    /// # Errors
    /// `not_authenticated`, `database_unavailable`.
    pub async fn assistants(&self, ctx: &Context, page: Page) -> Result<Paged<Assistant>> {
        let account = ctx.account()?;
        self.store
            .read(ctx, (account, page), |reads, (account, page)| {
                Box::pin(async move {
                    let tenant = reads.tenant()?;
                    let count = "SELECT CAST(COUNT(*) AS bigint) FROM assistants
                                 WHERE tenant_id = $1 AND account_id = $2";
                    let mut row = reads.query_one(count, params![tenant, *account]).await?;
                    let total = row.get(0)?;
                    let sql = format!(
                        "SELECT {COLUMNS} FROM assistants WHERE tenant_id = $1 AND account_id = $2
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

    /// One of the caller's assistants.
    ///
    /// # Errors
    /// `not_found` when it is absent or somebody else's.
    pub async fn assistant(&self, ctx: &Context, id: AssistantId) -> Result<Assistant> {
        self.store
            .read(ctx, id, |reads, id| {
                Box::pin(async move { find(reads, *id, "").await })
            })
            .await
    }

    /// Makes an assistant for the caller; at most one for an idempotency key.
    ///
    /// # Errors
    /// `validation_failed`; `too_many` when the account has 200.
    pub async fn create_assistant(&self, ctx: &Context, new: NewAssistant) -> Result<Assistant> {
        ctx.account()?;
        let new = new.checked()?;
        self.store
            .write_once(ctx, Durability::Durable, new, |uow, new| {
                Box::pin(async move { insert(uow, new).await })
            })
            .await
    }

    /// Changes one of the caller's assistants.
    ///
    /// # Errors
    /// `not_found`; `validation_failed`.
    pub async fn patch_assistant(
        &self,
        ctx: &Context,
        id: AssistantId,
        patch: AssistantPatch,
    ) -> Result<Assistant> {
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

    /// Deletes one of the caller's assistants. Conversations that began with it stay as they are.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn delete_assistant(&self, ctx: &Context, id: AssistantId) -> Result<()> {
        let account = ctx.account()?;
        self.store
            .write(
                ctx,
                Durability::Durable,
                (account, id),
                |uow, (account, id)| {
                    Box::pin(async move {
                        let tenant = uow.tenant()?;
                        let sql = "DELETE FROM assistants
                               WHERE tenant_id = $1 AND account_id = $2 AND id = $3";
                        match uow.execute(sql, params![tenant, *account, *id]).await? {
                            0 => Err(absent()),
                            _ => kept::one_less(uow, kept::ASSISTANTS).await,
                        }
                    })
                },
            )
            .await
    }
}

async fn find(reads: &mut Reads, id: AssistantId, lock: &str) -> Result<Assistant> {
    let ctx = reads.context()?;
    let sql = format!(
        "SELECT {COLUMNS} FROM assistants
         WHERE tenant_id = $1 AND account_id = $2 AND id = $3{lock}"
    );
    let row = reads
        .query_opt(&sql, params![ctx.tenant(), ctx.account()?, id])
        .await?;
    from_row(row.ok_or_else(absent)?)
}

async fn insert(uow: &mut Uow, new: &NewAssistant) -> Result<Assistant> {
    kept::one_more(uow, kept::ASSISTANTS).await?;
    let (ctx, now) = (uow.context()?, uow.now());
    let made = Assistant {
        id: uow.id(),
        name: new.name.clone(),
        description: new.description.clone(),
        model_id: new.model_id.clone(),
        system_prompt: new.system_prompt.clone(),
        questions: new.questions.clone(),
        created_at: now,
        updated_at: now,
    };
    uow.execute(
        "INSERT INTO assistants (id, tenant_id, account_id, name, description, model_id,
           system_prompt, questions, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        params![
            made.id,
            ctx.tenant(),
            ctx.account()?,
            &made.name,
            made.description.as_deref(),
            &made.model_id,
            &made.system_prompt,
            Json::from(made.questions.clone()),
            now,
            now,
        ],
    )
    .await?;
    Ok(made)
}

fn changed(before: Assistant, patch: AssistantPatch) -> Result<Assistant> {
    let new = NewAssistant {
        name: patch.name.unwrap_or(before.name),
        description: patch.description.unwrap_or(before.description),
        model_id: patch.model_id.unwrap_or(before.model_id),
        system_prompt: patch.system_prompt.unwrap_or(before.system_prompt),
        questions: patch.questions.unwrap_or(before.questions),
    };
    let new = new.checked()?;
    Ok(Assistant {
        name: new.name,
        description: new.description,
        model_id: new.model_id,
        system_prompt: new.system_prompt,
        questions: new.questions,
        ..before
    })
}

async fn save(uow: &mut Uow, after: &Assistant) -> Result<()> {
    let tenant = uow.tenant()?;
    uow.execute(
        "UPDATE assistants SET name = $3, description = $4, model_id = $5, system_prompt = $6,
           questions = $7, updated_at = $8
         WHERE tenant_id = $1 AND id = $2",
        params![
            tenant,
            after.id,
            &after.name,
            after.description.as_deref(),
            &after.model_id,
            &after.system_prompt,
            Json::from(after.questions.clone()),
            after.updated_at,
        ],
    )
    .await?;
    Ok(())
}
