//! Settling: the hold comes back whole, what was used goes, and the two become
//! true together with whatever the caller writes. Once a run.

use kernel::{Credits, Result, RunId, Timestamp, UsageId, fault, topics};
use serde_json::{Value as Json, json};
use store::{Uow, params};

use crate::{
    Accounting,
    hold::{MOST_TOKENS, count},
    ledger::{MOST, minus},
    stored::{Stored, columns},
};

/// What a run has used, as the provider reports it or as it was counted.
#[derive(Debug, Clone, Default)]
pub struct Used {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
    /// Whatever belongs to it (provider, attempts); kept with the usage record.
    pub metadata: Json,
}

/// What a settle has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// Paid.
    pub charged: Credits,
    /// Available afterwards.
    pub balance: Credits,
    /// What it cost beyond that and could not be paid.
    pub shortfall: Credits,
}

const HOLD: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM holds WHERE tenant_id = $1 AND run_id = $2 FOR UPDATE"
);
const WALLET: &str = "SELECT id, balance, held, entries FROM wallets WHERE tenant_id = $1
    AND id = (SELECT wallet_id FROM holds WHERE tenant_id = $1 AND run_id = $2) FOR UPDATE";
const LOTS: &str = "SELECT id, remaining, expires_at FROM lots WHERE tenant_id = $1
    AND wallet_id = (SELECT wallet_id FROM holds WHERE tenant_id = $1 AND run_id = $2)
    AND open ORDER BY expires_at NULLS LAST, id";
const UPDATE: &str = "UPDATE holds SET state = 'settled', charged = $3, shortfall = $4,
    balance_after = $5, settled_at = $6 WHERE tenant_id = $1 AND id = $2 AND state = 'open'";
pub(crate) const INSERT_USAGE: &str =
    "INSERT INTO usage_records (id, tenant_id, account_id, run_id,
    conversation_id, model_id, prompt_tokens, completion_tokens, credits, shortfall, metadata, day,
    created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";

/// Days since 1970-01-01, UTC.
pub(crate) fn day(at: Timestamp) -> i64 {
    at.as_second().div_euclid(86_400)
}

impl Accounting {
    /// Ends the hold of a run within the caller's unit of work (a durable one);
    /// do it last there. Without `used` nothing is charged: a failed call costs
    /// nothing. What is above the hold is taken from what is available, and the
    /// rest of it is booked as shortfall. Doing it again changes nothing and
    /// answers the same.
    ///
    /// # Errors
    /// `not_found` when this tenant's run has no hold; when the database fails.
    pub async fn settle_in(
        &self,
        uow: &mut Uow,
        run: RunId,
        used: Option<Used>,
    ) -> Result<Settled> {
        let tenant = uow.tenant()?;
        let keys = params![tenant, run];
        let rows = uow
            .query_all(&[(HOLD, keys), (WALLET, keys), (LOTS, keys)])
            .await?;
        let (hold, mut wallet) = Self::locked(uow, rows)?;
        if let Some((charged, shortfall, balance)) = hold.settled {
            return Ok(Settled {
                charged,
                balance,
                shortfall,
            });
        }
        // A provider's absurd report must not keep the run from ending.
        let tokens = |n: u64| n.min(MOST_TOKENS);
        let used = used.map(|used| Used {
            prompt_tokens: tokens(used.prompt_tokens),
            completion_tokens: tokens(used.completion_tokens),
            ..used
        });
        let cost = used.as_ref().map_or(Credits::ZERO, |used| {
            hold.price
                .cost(used.prompt_tokens, used.completion_tokens)
                .map_or(MOST, |c| c.min(MOST))
        });
        let charged = wallet.settle(uow, (hold.amount, &hold.portions), cost, &hold.about())?;
        let shortfall = minus(cost, charged)?;
        let settled = Settled {
            charged,
            balance: wallet.balance,
            shortfall,
        };
        let (now, id) = (uow.now(), wallet.id);
        self.tell_after(uow, hold.account, &wallet)?;
        let ended = params![tenant, hold.id, charged, shortfall, wallet.balance, now];
        match used {
            None => wallet.save(uow, &[(UPDATE, ended)]).await?,
            Some(used) => {
                let record: UsageId = uow.id();
                let (prompt, completion) =
                    (count(used.prompt_tokens)?, count(used.completion_tokens)?);
                let row = params![
                    record,
                    tenant,
                    hold.account,
                    run,
                    hold.conversation,
                    &hold.model,
                    prompt,
                    completion,
                    charged,
                    shortfall,
                    &used.metadata,
                    day(now),
                    now,
                ];
                wallet
                    .save(uow, &[(UPDATE, ended), (INSERT_USAGE, row)])
                    .await?;
                fault::point("accounting.settle.inside");
                // The wallet's key, not the conversation's: it is taken under
                // the wallet's lock, so that two units cannot wait for each other.
                let event = Self::event(&hold, &used, &settled);
                uow.emit(
                    topics::MODEL_USAGE,
                    "usage.settled",
                    &format!("wallet:{id}"),
                    event,
                )
                .await?;
            }
        }
        self.wake_after(uow, id);
        Ok(settled)
    }

    fn event(hold: &Stored, used: &Used, settled: &Settled) -> Json {
        json!({
            "run_id": hold.run,
            "account_id": hold.account,
            "conversation_id": hold.conversation,
            "model_id": hold.model,
            "prompt_tokens": used.prompt_tokens,
            "completion_tokens": used.completion_tokens,
            "credits": settled.charged,
            "shortfall": settled.shortfall,
            "balance": settled.balance,
        })
    }
}
