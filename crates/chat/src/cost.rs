//! What something would cost, before it is asked for (S0.3, S0.7), and what other programs report
//! (S0.12): the catalogue says which models there are, the books what they cost.

use std::sync::Arc;

use accounting::{
    Calculate, Calculated, Check, Checked, ModelPrice, Price, Record, Recorded, without_price,
};
use kernel::{AccountId, Context, Credits, Id, Result};
use orchestrator::{ChatMessage, Model, Prices, Role};
use store::Uow;
use uuid::Uuid;

use crate::Chat;

/// Whether an answer could be paid.
#[derive(Debug, Clone)]
pub struct CheckAnswer {
    /// Whose wallet; the caller's own without it.
    pub user: Option<AccountId>,
    /// The model.
    pub model: String,
    /// The prompt.
    pub prompt: PromptSize,
    /// Tokens of the answer at most.
    pub max_tokens: Option<u64>,
}

/// How large a prompt is.
#[derive(Debug, Clone)]
pub enum PromptSize {
    /// So many tokens.
    Tokens(u64),
    /// As many as this text has at the beginning of a conversation.
    Text(String),
}

/// What an answer may take of its model: this decides how much is held at first.
pub(crate) struct Terms {
    /// Tokens of the answer at most.
    pub(crate) max_tokens: u64,
    /// Whether the hold grows with the answer. If not, `max_tokens` are held at once.
    pub(crate) extendable: bool,
}

impl Terms {
    pub(crate) fn of(model: &Model, prompt_tokens: u64, max_tokens: Option<u64>) -> Self {
        let most = model.max_output_tokens.map_or(u64::MAX, u64::from);
        let most = room(model, prompt_tokens).min(most);
        Self {
            max_tokens: max_tokens.map_or(most, |max| max.min(most)),
            extendable: model.grows(),
        }
    }
}

/// Tokens that a prompt leaves for the answer.
pub(crate) fn room(model: &Model, prompt_tokens: u64) -> u64 {
    let window = u64::from(model.context_window);
    window.saturating_sub(prompt_tokens).max(1)
}

impl Chat {
    /// What a model costs. Only administrators see one without a price, and it costs them nothing.
    pub(crate) async fn price_of(&self, uow: &mut Uow, model: &Model) -> Result<Price> {
        let Some(Prices { input, output }) = model.prices else {
            return Ok(Price {
                id: Id::from_uuid(Uuid::nil()),
                input: Credits::ZERO,
                output: Credits::ZERO,
                effective_from: uow.now(),
            });
        };
        let configured = ModelPrice {
            model: model.id.clone(),
            input,
            output,
        };
        self.0.accounting.price_of(uow, &configured).await
    }

    /// Whether an answer could be paid, and what [`Chat::send`] would hold at first.
    ///
    /// # Errors
    /// `invalid_model`, `model_without_price`; `forbidden`; `not_found`; `validation_failed`.
    pub async fn check(&self, ctx: &Context, check: CheckAnswer) -> Result<Checked> {
        let orchestrator = &self.0.orchestrator;
        let model = priced(orchestrator.model(ctx, &check.model)?)?;
        let prompt_tokens = match check.prompt {
            PromptSize::Tokens(tokens) => tokens,
            PromptSize::Text(text) => {
                let prompt = [ChatMessage::new(Role::User, text)];
                orchestrator.count_prompt(&model, &prompt).await
            }
        };
        let terms = Terms::of(&model, prompt_tokens, check.max_tokens);
        let check = Check {
            user: check.user,
            model: check.model,
            prompt_tokens,
            max_tokens: Some(terms.max_tokens),
            extendable: terms.extendable,
        };
        self.0.accounting.check(ctx, check).await
    }

    /// What so many tokens would cost.
    ///
    /// # Errors
    /// `invalid_model`, `model_without_price`; `validation_failed`; `not_authenticated`.
    pub async fn calculate(&self, ctx: &Context, what: Calculate) -> Result<Calculated> {
        priced(self.0.orchestrator.model_of_any_kind(ctx, &what.model)?)?;
        self.0.accounting.calculate(ctx, what).await
    }

    /// Books what another program used on a user's behalf.
    ///
    /// # Errors
    /// As [`accounting::Accounting::record`].
    pub async fn record(&self, ctx: &Context, record: Record) -> Result<Recorded> {
        priced(self.0.orchestrator.model_of_any_kind(ctx, &record.model)?)?;
        self.0.accounting.record(ctx, record).await
    }
}

/// The model, if it has a price.
fn priced(model: Arc<Model>) -> Result<Arc<Model>> {
    match model.prices {
        Some(_) => Ok(model),
        None => Err(without_price(&model.id)),
    }
}
