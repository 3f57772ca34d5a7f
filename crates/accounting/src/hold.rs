//! Holds: what an answer may cost is reserved before it begins and extended as
//! it grows (design.md, Money). Nobody is refused what other answers of theirs
//! may still give back; they wait for it.

use std::time::Instant;

use kernel::{
    AccountId, Context, ConversationId, Credits, Error, HoldId, Result, RunId, WalletId, codes,
    fault,
};
use store::{Durability, Uow, params};

use crate::{
    Accounting, Price,
    ledger::{About, Kind, Portion},
    wallet::Wallet,
};

/// What a run needs credits for.
#[derive(Debug, Clone)]
pub struct HoldRequest {
    /// The run; it has one hold.
    pub run: RunId,
    /// Whose wallet pays.
    pub account: AccountId,
    /// The conversation, for usage statistics.
    pub conversation: Option<ConversationId>,
    /// The model, as users name it.
    pub model: String,
    /// Its price; copied into the hold.
    pub price: Price,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens the answer has at most; 0 for calls without output. Give it for
    /// every call that cannot be extended, or only the first few are covered.
    pub max_tokens: Option<u64>,
    /// Whether [`Accounting::extend`] will be called as the answer grows; if
    /// not, `max_tokens` are held at once.
    pub extendable: bool,
}

impl HoldRequest {
    /// Output tokens without which it is not worth beginning.
    fn least(&self) -> u64 {
        self.max_tokens.unwrap_or(1).min(1)
    }

    /// Output tokens the first hold covers if they can be paid.
    fn wanted(&self, first: u64) -> u64 {
        match self.max_tokens {
            Some(max) if self.extendable => max.min(first),
            Some(max) => max,
            None => first,
        }
    }

    /// What must be there to begin: the prompt and one token.
    pub(crate) fn required(&self) -> Result<Credits> {
        self.price.cost(self.prompt_tokens, self.least())
    }

    /// What the first hold takes out of these credits, and the output tokens it
    /// covers; `None` when they do not pay what is required.
    pub(crate) fn first(&self, available: Credits, first: u64) -> Result<Option<(Credits, u64)>> {
        let affordable = self.price.affordable_output(self.prompt_tokens, available);
        let Some(affordable) = affordable.filter(|n| *n >= self.least()) else {
            return Ok(None);
        };
        let covered = self.wanted(first).min(affordable);
        Ok(Some((
            self.price.cost(self.prompt_tokens, covered)?,
            covered,
        )))
    }
}

/// Credits reserved for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Names it.
    pub id: HoldId,
    /// Where the credits come from.
    pub wallet: WalletId,
    /// What is reserved now.
    pub amount: Credits,
    /// Output tokens that it covers; before one more is produced, extend.
    pub output_tokens: u64,
}

/// The answer to a [`HoldRequest`].
#[derive(Debug)]
pub enum HoldOutcome {
    /// Reserved.
    Held(Hold),
    /// Other holds of this wallet have it: wait for a release and ask again.
    Wait(WalletId),
    /// It cannot be paid: `insufficient_credits`.
    Refused(Error),
}

const INSERT: &str = "INSERT INTO holds (id, tenant_id, wallet_id, run_id, account_id,
    conversation_id, model_id, state, amount, prompt_tokens, output_tokens, max_tokens, price_id,
    input_price, output_price, lots, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 'open', $8, $9, $10, $11, $12, $13, $14, $15, $16)";

/// The error for what cannot be paid.
fn insufficient(required: Credits, balance: Credits) -> Error {
    Error::new(
        codes::INSUFFICIENT_CREDITS,
        format!(
            "Insufficient credits: this needs at least {required}, and your balance is {balance}. \
             Ask an administrator for credits, or send less."
        ),
    )
}

/// More tokens than any call has; sums of them still fit a 64-bit integer.
pub(crate) const MOST_TOKENS: u64 = 1_000_000_000_000;

/// For the database.
pub(crate) fn count(tokens: u64) -> Result<i64> {
    let counted = i64::try_from(tokens.min(MOST_TOKENS)).map_err(Error::internal)?;
    if tokens > MOST_TOKENS {
        return Err(Error::invalid(
            "tokens",
            format!("at most {MOST_TOKENS} tokens"),
        ));
    }
    Ok(counted)
}

impl Accounting {
    /// Reserves credits for a run within the caller's unit of work; do it last
    /// there. On `Wait` and `Refused` nothing is reserved, and the caller undoes
    /// its own part by answering an error from its unit of work.
    ///
    /// # Errors
    /// `validation_failed` for token counts beyond any price; when the database fails.
    pub async fn hold_in(&self, uow: &mut Uow, request: &HoldRequest) -> Result<HoldOutcome> {
        let required = request.required()?;
        let mut wallet = Wallet::of(self, uow, request.account).await?;
        let first = u64::from(self.options().first_output_tokens).max(1);
        let Some((amount, covered)) = request.first(wallet.balance, first)? else {
            let (id, balance, reachable) = (wallet.id, wallet.balance, wallet.reachable()?);
            wallet.save(uow, &[]).await?;
            return Ok(match required <= reachable {
                true => HoldOutcome::Wait(id),
                false => HoldOutcome::Refused(insufficient(required, balance)),
            });
        };
        let hold = Hold {
            id: uow.id(),
            wallet: wallet.id,
            amount,
            output_tokens: covered,
        };
        let about = About {
            run: Some(request.run),
            hold: Some(hold.id),
            ..About::default()
        };
        let key = format!("run:{}:hold", request.run);
        let portions = wallet.reserve(uow, Kind::Hold, amount, about, key)?;
        let (tenant, now, price) = (uow.tenant()?, uow.now(), &request.price);
        // No call produces more than the database can count.
        let max = request
            .max_tokens
            .map(|max| count(max.min(MOST_TOKENS)))
            .transpose()?;
        let covered = count(covered.min(MOST_TOKENS))?;
        let row = params![
            hold.id,
            tenant,
            wallet.id,
            request.run,
            request.account,
            request.conversation,
            &request.model,
            amount,
            count(request.prompt_tokens)?,
            covered,
            max,
            price.id,
            price.input,
            price.output,
            Portion::to_json(&portions),
            now,
        ];
        self.tell_after(uow, request.account, &wallet)?;
        wallet.save(uow, &[(INSERT, row)]).await?;
        fault::point("accounting.hold.inside");
        Ok(HoldOutcome::Held(hold))
    }

    /// Reserves credits for a run, waiting for other holds where that helps.
    ///
    /// # Errors
    /// `insufficient_credits`; as [`Self::hold_in`].
    pub async fn hold(&self, ctx: &Context, request: HoldRequest) -> Result<Hold> {
        let until = Instant::now() + self.options().hold_wait;
        let mut waiter = None;
        loop {
            let args = (self.clone(), request.clone());
            let outcome = self
                .store()
                .write(ctx, Durability::Fast, args, |uow, (this, request)| {
                    Box::pin(this.hold_in(uow, request))
                })
                .await?;
            match (outcome, &mut waiter) {
                (HoldOutcome::Held(hold), _) => return Ok(hold),
                (HoldOutcome::Refused(error), _) => return Err(error),
                // Asks again at once: what was released before it listened is found so.
                (HoldOutcome::Wait(wallet), None) => waiter = Some(self.waiter(wallet)),
                (HoldOutcome::Wait(_), Some(waiter)) => {
                    if !waiter.released(until).await {
                        return Err(self.refused(ctx, &request).await);
                    }
                }
            }
        }
    }

    /// What to answer when waiting was in vain: `insufficient_credits`.
    pub async fn refused(&self, ctx: &Context, request: &HoldRequest) -> Error {
        let balance = async {
            let required = request.required()?;
            let balance = self.balance_of(ctx, request.account).await?;
            Ok(insufficient(required, balance.balance))
        };
        balance.await.unwrap_or_else(|error: Error| error)
    }
}
