//! Keeping the hold ahead of an answer: what is covered is shown, and where
//! nothing more can be paid the answer ends to the letter.

use std::time::Duration;

use accounting::Hold;
use kernel::{Result, codes};
use orchestrator::{Model, TokenUsage};
use runs::{ActiveRun, EndReason};

use crate::{Chat, answer::AnswerInput};

/// A hold is extended when fewer covered tokens than this are left.
const MARGIN: u64 = 64;
/// A model's tokens are counted as this many of ours at most.
const OTHER_TOKENS: u64 = 8;

/// How long an answer waits for a database that is away, and how often it asks.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(250);

/// Keeps the hold ahead of the answer.
pub(crate) struct Meter<'a> {
    pub(crate) chat: &'a Chat,
    pub(crate) run: &'a ActiveRun,
    pub(crate) model: &'a Model,
    pub(crate) hold: Hold,
    /// Tokens so far, counted piece by piece: somewhat more than those of the whole text.
    pub(crate) produced: u64,
    /// The hold does not grow any more: all that may be produced is covered, or nothing more can be paid.
    pub(crate) whole: bool,
    /// Nothing more can be paid.
    pub(crate) exhausted: bool,
}

/// How much of a text is paid for.
pub(crate) enum Covered {
    /// All of it.
    All,
    /// So many bytes of it; there the answer ends.
    Until(usize, EndReason),
}

impl Meter<'_> {
    /// How much of this text is paid for; extends the hold when it runs low.
    pub(crate) async fn covers(&mut self, text: &str) -> Covered {
        let orchestrator = &self.chat.0.orchestrator;
        self.produced += orchestrator.count_text(self.model, text).await.max(1);
        while !self.whole && self.produced + MARGIN > self.hold.output_tokens {
            if let Err(error) = self.extend().await {
                tracing::warn!(run = %self.run.record().id, ?error, "a hold could not be extended");
                return Covered::Until(0, EndReason::Interrupted);
            }
        }
        if self.produced <= self.hold.output_tokens {
            return Covered::All;
        }
        if !self.exhausted {
            // The length asked for is in the model's own tokens, and the model's to keep; far
            // beyond it, it is not kept.
            let most = self.most();
            return match self.produced > most {
                true => Covered::Until(self.within(text, most).await, EndReason::Length),
                false => Covered::All,
            };
        }
        self.produced = self.count_with(text).await;
        match self.produced > self.hold.output_tokens {
            true => {
                let until = self.within(text, self.hold.output_tokens).await;
                Covered::Until(until, EndReason::InsufficientCredits)
            }
            false => Covered::All,
        }
    }

    /// Nothing that is not paid for is shown: while the database is away the answer waits.
    async fn extend(&mut self) -> Result<()> {
        let ctx = self.run.record().context();
        let until = tokio::time::Instant::now() + PATIENCE;
        let extension = loop {
            match self.chat.0.accounting.extend(&ctx, self.hold.id).await {
                Err(error)
                    if error.is(codes::DATABASE_UNAVAILABLE)
                        && tokio::time::Instant::now() < until =>
                {
                    tokio::time::sleep(PAUSE).await;
                }
                extended => break extended?,
            }
        };
        // Unchanged although not exhausted: as long as the answer may be.
        self.exhausted = extension.exhausted;
        self.whole = extension.exhausted || extension.output_tokens == self.hold.output_tokens;
        self.hold.output_tokens = extension.output_tokens;
        Ok(())
    }

    /// The most tokens that can be meant, whoever counts them.
    fn most(&self) -> u64 {
        self.hold
            .output_tokens
            .saturating_mul(OTHER_TOKENS)
            .saturating_add(MARGIN)
    }

    async fn count_with(&self, more: &str) -> u64 {
        let all = self.run.text() + more;
        self.chat.0.orchestrator.count_text(self.model, &all).await
    }

    /// The greatest beginning of the text, in bytes, with which the answer has at most so many
    /// tokens. A single piece may be larger than all that can be paid.
    async fn within(&self, text: &str, tokens: u64) -> usize {
        let (mut fits, mut beyond) = (0, text.len());
        while beyond - fits > 1 {
            let middle = text.floor_char_boundary(fits + (beyond - fits) / 2);
            if middle == fits {
                return fits;
            }
            match self.count_with(&text[..middle]).await <= tokens {
                true => fits = middle,
                false => beyond = middle,
            }
        }
        fits
    }

    /// What the provider reports, unless it cannot be true: nothing, or nothing although there is
    /// text, or far more than was asked for and held. Then it is counted here.
    pub(crate) async fn usage(&self, reported: Option<TokenUsage>) -> TokenUsage {
        let text = self.run.text();
        let sent = self
            .run
            .record()
            .input::<AnswerInput>()
            .map_or(0, |input| input.prompt_tokens);
        let window = u64::from(self.model.context_window);
        let credible = |usage: &TokenUsage| {
            (usage.completion_tokens > 0 || text.is_empty())
                && usage.prompt_tokens <= window.max(sent.saturating_mul(OTHER_TOKENS))
                && usage.completion_tokens <= self.most()
        };
        match reported {
            Some(usage) if credible(&usage) => usage,
            other => {
                if let Some(usage) = other.filter(|usage| usage.completion_tokens > 0) {
                    tracing::warn!(run = %self.run.record().id, ?usage, "a provider's usage is not credible");
                }
                TokenUsage {
                    prompt_tokens: sent,
                    completion_tokens: self.count_with("").await,
                }
            }
        }
    }
}
