//! Usage: what other programs report, and what people see of it.

use kernel::{
    AccountId, Context, ConversationId, Credits, Error, Result, Role, Timestamp, UsageId, topics,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use store::{Durability, Reads, Row, Uow, params};

use crate::{
    Accounting,
    hold::count,
    ledger::{About, minus},
    member::{must_be_member, subject},
    settle::{INSERT_USAGE, day},
    wallet::Wallet,
};

/// Usage that another program reports.
#[derive(Debug, Clone)]
pub struct Record {
    /// Who pays.
    pub user: AccountId,
    /// The model.
    pub model: String,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
    /// Whatever belongs to it.
    pub metadata: Json,
}

/// The answer to [`Record`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The record.
    pub id: UsageId,
    /// Paid.
    pub credits: Credits,
    /// What it cost beyond that and could not be paid.
    pub shortfall: Credits,
    /// Available afterwards.
    pub balance: Credits,
}

/// By what a series is grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    /// Days, UTC.
    #[default]
    Day,
    /// Models.
    Model,
    /// Conversations; what belongs to none stands under an empty key.
    Conversation,
}

/// What statistics are asked for.
#[derive(Debug, Clone, Default)]
pub struct StatsQuery {
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
    /// How the series is made.
    pub group_by: GroupBy,
    /// Whose; the caller's own without it.
    pub user: Option<AccountId>,
}

/// Sums over usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Requests that were charged or could have been.
    pub requests: i64,
    /// Tokens of prompts.
    pub prompt_tokens: i64,
    /// Tokens of answers.
    pub completion_tokens: i64,
    /// Paid.
    pub credits: Credits,
}

/// One group of a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// The day (`2026-11-21`), when grouped by day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
    /// The model, when grouped by model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// The conversation, when grouped by conversation and it belongs to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<ConversationId>,
    /// The sums of the group.
    #[serde(flatten)]
    pub totals: Totals,
}

/// The answer to [`StatsQuery`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Over everything asked for.
    pub totals: Totals,
    /// By group: days from the oldest, models and conversations by cost.
    pub series: Vec<Series>,
}

/// Bytes of metadata that are kept.
const METADATA: usize = 16 * 1024;
/// Groups that a series has at most.
const GROUPS: i64 = 1_000;

const SUMS: &str = "COUNT(*), CAST(COALESCE(SUM(prompt_tokens), 0) AS bigint),
    CAST(COALESCE(SUM(completion_tokens), 0) AS bigint), CAST(COALESCE(SUM(credits), 0) AS bigint)";
const MINE: &str = "FROM usage_records WHERE tenant_id = $1 AND account_id = $2
    AND created_at >= $3 AND created_at < $4";

fn totals(row: &mut Row, from: usize) -> Result<Totals> {
    Ok(Totals {
        requests: row.get(from)?,
        prompt_tokens: row.get(from + 1)?,
        completion_tokens: row.get(from + 2)?,
        credits: row.get(from + 3)?,
    })
}

fn date(day: i64) -> String {
    let at = day
        .checked_mul(86_400)
        .and_then(|second| Timestamp::from_second(second).ok());
    at.map(|at| at.strftime("%Y-%m-%d").to_string())
        .unwrap_or_default()
}

impl Accounting {
    /// Books what another program used on a user's behalf, as far as it can be
    /// paid. Once for each idempotency key.
    ///
    /// # Errors
    /// `forbidden` for others than services and admins; `not_found`; `invalid_model`;
    /// `model_without_price`; `validation_failed`.
    pub async fn record(&self, ctx: &Context, record: Record) -> Result<Recorded> {
        ctx.require(&[Role::Service, Role::Admin])?;
        count(record.prompt_tokens)?;
        count(record.completion_tokens)?;
        if record.metadata.to_string().len() > METADATA {
            return Err(Error::invalid(
                "metadata",
                format!("at most {METADATA} bytes"),
            ));
        }
        let args = (self.clone(), record);
        self.store()
            .write_once(ctx, Durability::Durable, args, |uow, (this, record)| {
                Box::pin(this.record_in(uow, record))
            })
            .await
    }

    async fn record_in(&self, uow: &mut Uow, record: &Record) -> Result<Recorded> {
        let Record {
            user,
            model,
            metadata,
            ..
        } = record;
        must_be_member(uow, *user).await?;
        let price = self.required_price_in(uow, model).await?;
        let cost = price.cost(record.prompt_tokens, record.completion_tokens)?;
        let mut wallet = Wallet::of(self, uow, *user).await?;
        let (id, tenant, now): (UsageId, _, _) = (uow.id(), uow.tenant()?, uow.now());
        let credits = wallet.pay(uow, cost, About::default(), format!("record:{id}"))?;
        let shortfall = minus(cost, credits)?;
        let recorded = Recorded {
            id,
            credits,
            shortfall,
            balance: wallet.balance,
        };
        let (prompt, completion) = (
            count(record.prompt_tokens)?,
            count(record.completion_tokens)?,
        );
        let (no_run, no_conversation) = (None::<kernel::RunId>, None::<ConversationId>);
        let row = params![
            id,
            tenant,
            *user,
            no_run,
            no_conversation,
            model,
            prompt,
            completion,
            credits,
            shortfall,
            metadata,
            day(now),
            now,
        ];
        let key = format!("wallet:{}", wallet.id);
        self.tell_after(uow, *user, &wallet)?;
        wallet.save(uow, &[(INSERT_USAGE, row)]).await?;
        let event = json!({
            "usage_id": id,
            "account_id": user,
            "model_id": model,
            "prompt_tokens": record.prompt_tokens,
            "completion_tokens": record.completion_tokens,
            "credits": credits,
            "shortfall": shortfall,
            "balance": recorded.balance,
        });
        uow.emit(topics::MODEL_USAGE, "usage.recorded", &key, event)
            .await?;
        Ok(recorded)
    }

    /// Sums over usage: the caller's own, or that of a user an admin names.
    ///
    /// # Errors
    /// `forbidden`; `not_found`; `validation_failed` when `from` is after `to`.
    pub async fn stats(&self, ctx: &Context, query: StatsQuery) -> Result<Stats> {
        let account = subject(ctx, query.user, &[Role::Admin])?;
        if query.from.zip(query.to).is_some_and(|(from, to)| from > to) {
            return Err(Error::invalid("from", "give a moment before `to`"));
        }
        self.known(ctx, account).await?;
        self.store()
            .read(ctx, (account, query), |reads, (account, query)| {
                Box::pin(sums(reads, *account, query))
            })
            .await
    }
}

async fn sums(reads: &mut Reads, account: AccountId, query: &StatsQuery) -> Result<Stats> {
    let tenant = reads.tenant()?;
    // Moments that both databases can store, far enough; PostgreSQL has none before 4713 BC.
    let first = Timestamp::UNIX_EPOCH;
    let from = query.from.unwrap_or(first).max(first);
    let to = query
        .to
        .or_else(|| Timestamp::from_second(32_503_680_000).ok())
        .unwrap_or(from)
        .max(first);
    let (column, order) = match query.group_by {
        GroupBy::Day => ("day", "day DESC"),
        GroupBy::Model => ("model_id", "5 DESC, model_id"),
        GroupBy::Conversation => ("conversation_id", "5 DESC, conversation_id"),
    };
    let range = params![tenant, account, from, to];
    let all = format!("SELECT {SUMS} {MINE}");
    let groups =
        format!("SELECT {column}, {SUMS} {MINE} GROUP BY {column} ORDER BY {order} LIMIT {GROUPS}");
    let mut rows = reads.query_all(&[(&all, range), (&groups, range)]).await?;
    let groups = rows.pop().unwrap_or_default();
    let whole = rows.pop().and_then(|mut rows| rows.pop());
    let mut series = Vec::with_capacity(groups.len());
    for mut row in groups {
        let mut group = Series {
            day: None,
            model_id: None,
            conversation_id: None,
            totals: totals(&mut row, 1)?,
        };
        match query.group_by {
            GroupBy::Day => group.day = Some(date(row.get(0)?)),
            GroupBy::Model => group.model_id = Some(row.get(0)?),
            GroupBy::Conversation => group.conversation_id = row.get(0)?,
        }
        series.push(group);
    }
    if query.group_by == GroupBy::Day {
        // The newest days are kept; they are told from the oldest.
        series.reverse();
    }
    let totals = whole
        .map(|mut row| totals(&mut row, 0))
        .transpose()?
        .unwrap_or_default();
    Ok(Stats { totals, series })
}
