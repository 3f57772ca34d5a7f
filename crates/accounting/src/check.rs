//! What something would cost and whether it could be paid, before it is asked
//! for (S0.3, S0.7). Changes nothing.

use kernel::{AccountId, Context, ConversationId, Credits, Result, Role};
use serde::{Deserialize, Serialize};

use crate::{Accounting, Balance, HoldRequest, Price, hold::count, member::subject};

/// Whether something could be paid.
#[derive(Debug, Clone)]
pub struct Check {
    /// Whose wallet; the caller's own without it.
    pub user: Option<AccountId>,
    /// The model.
    pub model: String,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens of the answer at most.
    pub max_tokens: Option<u64>,
    /// As [`HoldRequest::extendable`].
    pub extendable: bool,
}

/// The answer to [`Check`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Whether a request like this would be accepted.
    pub allowed: bool,
    /// What it would hold first.
    pub required: Credits,
    /// What is available.
    pub balance: Credits,
}

/// What tokens would cost.
#[derive(Debug, Clone)]
pub struct Calculate {
    /// The model.
    pub model: String,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
}

/// The answer to [`Calculate`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calculated {
    /// What it costs.
    pub credits: Credits,
    /// How that comes about.
    pub breakdown: Breakdown,
}

/// The parts of a cost. They sum up to it: the rounding falls to the completion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breakdown {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
    /// Credits for 1,000 tokens of the prompt.
    pub input_price: Credits,
    /// Credits for 1,000 tokens of the answer.
    pub output_price: Credits,
    /// For the prompt.
    pub prompt_credits: Credits,
    /// For the answer.
    pub completion_credits: Credits,
}

impl Accounting {
    /// Whether a request would be accepted, and what it would hold first.
    /// Services and admins may name another user.
    ///
    /// # Errors
    /// `invalid_model`; `model_without_price`; `forbidden`; `not_found`; `validation_failed`.
    pub async fn check(&self, ctx: &Context, check: Check) -> Result<Checked> {
        let account = subject(ctx, check.user, &[Role::Admin, Role::Service])?;
        self.known(ctx, account).await?;
        count(check.prompt_tokens)?;
        let price = self.price(ctx, &check.model).await?;
        let Balance { balance, held } = self.balance_of(ctx, account).await?;
        let request = HoldRequest {
            run: self.store().env().ids.next(),
            account,
            conversation: None::<ConversationId>,
            model: check.model,
            price,
            prompt_tokens: check.prompt_tokens,
            max_tokens: check.max_tokens,
            extendable: check.extendable,
        };
        let first = u64::from(self.options().first_output_tokens).max(1);
        if let Some((required, _)) = request.first(balance, first)? {
            return Ok(Checked {
                allowed: true,
                required,
                balance,
            });
        }
        // It may still wait for what other answers hold.
        let required = request.required()?;
        let allowed = balance.checked_add(held).is_some_and(|sum| required <= sum);
        Ok(Checked {
            allowed,
            required,
            balance,
        })
    }

    /// What tokens would cost.
    ///
    /// # Errors
    /// `invalid_model`; `model_without_price`; `validation_failed`; `not_authenticated`.
    pub async fn calculate(&self, ctx: &Context, what: Calculate) -> Result<Calculated> {
        ctx.require(&Role::ALL)?;
        let price = self.price(ctx, &what.model).await?;
        let credits = price.cost(what.prompt_tokens, what.completion_tokens)?;
        let prompt_credits = price.cost(what.prompt_tokens, 0)?.min(credits);
        let completion_credits = credits.checked_sub(prompt_credits).unwrap_or_default();
        let breakdown = Breakdown {
            prompt_tokens: what.prompt_tokens,
            completion_tokens: what.completion_tokens,
            input_price: price.input,
            output_price: price.output,
            prompt_credits,
            completion_credits,
        };
        Ok(Calculated { credits, breakdown })
    }

    async fn price(&self, ctx: &Context, model: &str) -> Result<Price> {
        let args = (self.clone(), model.to_owned());
        self.store()
            .read(ctx, args, |reads, (this, model)| {
                Box::pin(this.required_price_in(reads, model))
            })
            .await
    }
}
