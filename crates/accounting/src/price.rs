//! Prices of models, with their history, and the one place that turns tokens
//! into credits. A price is copied into the hold, so a later one changes no
//! answer that has begun.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use kernel::{Context, Credits, Error, PriceId, Result, Role, Timestamp, codes};
use serde::{Deserialize, Serialize};
use store::{Dialect, Durability, Reads, Row, Uow, params};

use crate::Accounting;

/// What a model costs, as the configuration says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelPrice {
    /// The model, as users name it.
    pub model: String,
    /// Credits for 1,000 tokens of the prompt.
    pub input: Credits,
    /// Credits for 1,000 tokens of the answer.
    pub output: Credits,
}

/// What a model costs from a moment on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Which row of the history.
    pub id: PriceId,
    /// Credits for 1,000 tokens of the prompt.
    pub input: Credits,
    /// Credits for 1,000 tokens of the answer.
    pub output: Credits,
    /// From when on.
    pub effective_from: Timestamp,
}

impl Price {
    /// What this many tokens cost, rounded up once to a micro-credit.
    ///
    /// # Errors
    /// `validation_failed` when that is more than an amount of credits can be.
    pub fn cost(&self, prompt_tokens: u64, completion_tokens: u64) -> Result<Credits> {
        self.thousandths(prompt_tokens, completion_tokens)
            .and_then(|sum| i64::try_from((sum + 999) / 1_000).ok())
            .map(Credits::from_micros)
            .ok_or_else(|| Error::invalid("tokens", "that many tokens cannot be paid"))
    }

    /// How many tokens of an answer these credits pay after the prompt; `None`
    /// when they do not even pay the prompt.
    #[must_use]
    pub fn affordable_output(&self, prompt_tokens: u64, credits: Credits) -> Option<u64> {
        let rest = i128::from(credits.micros()) * 1_000 - self.thousandths(prompt_tokens, 0)?;
        match (rest, i128::from(self.output.micros())) {
            (..0, _) => None,
            (_, ..=0) => Some(u64::MAX),
            (rest, output) => Some(u64::try_from(rest / output).unwrap_or(u64::MAX)),
        }
    }

    /// In thousandths of a micro-credit.
    fn thousandths(&self, prompt_tokens: u64, completion_tokens: u64) -> Option<i128> {
        let prompt = i128::from(prompt_tokens).checked_mul(self.input.micros().into())?;
        let output = i128::from(completion_tokens).checked_mul(self.output.micros().into())?;
        prompt.checked_add(output)
    }
}

/// How long a node may go on with a price that another node has replaced.
const STALE: Duration = Duration::from_secs(1);

/// Prices already read. A newer one replaces an older one and never the other
/// way round; within one process the cache is exact, because whoever changes a
/// price puts it here when it is committed.
#[derive(Default)]
pub(crate) struct Prices(Mutex<HashMap<String, (Price, Instant)>>);

impl Prices {
    fn get(&self, model: &str, dialect: Dialect) -> Option<Price> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (price, read) = known.get(model)?;
        // On SQLite there is no other process that could change it.
        let fresh = dialect == Dialect::Sqlite || read.elapsed() < STALE;
        fresh.then(|| price.clone())
    }

    fn put(&self, model: &str, price: Price) -> Price {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = match known.get(model) {
            Some((old, _)) if (old.effective_from, old.id) > (price.effective_from, price.id) => {
                old.clone()
            }
            _ => price,
        };
        known.insert(model.to_owned(), (newest.clone(), Instant::now()));
        newest
    }
}

const NEWEST: &str = "SELECT id, input, output, effective_from FROM prices
    WHERE model_id = $1 ORDER BY effective_from DESC, id DESC LIMIT 1";

fn price(mut row: Row) -> Result<Price> {
    Ok(Price {
        id: row.get(0)?,
        input: row.get(1)?,
        output: row.get(2)?,
        effective_from: row.get(3)?,
    })
}

async fn newest(reads: &mut Reads, model: &str) -> Result<Option<Price>> {
    reads
        .query_opt(NEWEST, params![model])
        .await?
        .map(price)
        .transpose()
}

/// The error for a model that has no price, in S0.11's words.
pub(crate) fn unknown_model() -> Error {
    Error::new(codes::INVALID_MODEL, "Invalid or unsupported model ID")
}

impl Accounting {
    /// The newest price of a model. It may be that of a second ago when another
    /// node has just changed it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn price_in(&self, reads: &mut Reads, model: &str) -> Result<Option<Price>> {
        if let Some(price) = self.0.prices.get(model, reads.dialect()) {
            return Ok(Some(price));
        }
        let found = newest(reads, model).await?;
        Ok(found.map(|price| self.0.prices.put(model, price)))
    }

    /// The newest price of each of these models (admins); none of a model that has never had one.
    ///
    /// # Errors
    /// `forbidden`; `database_unavailable`.
    pub async fn prices(&self, ctx: &Context, models: Vec<String>) -> Result<Vec<(String, Price)>> {
        ctx.require(&[Role::Admin, Role::Operator])?;
        self.store()
            .read(ctx, models, |reads, models| {
                Box::pin(async move {
                    let mut prices = Vec::with_capacity(models.len());
                    for model in models {
                        if let Some(price) = newest(reads, model).await? {
                            prices.push((model.clone(), price));
                        }
                    }
                    Ok(prices)
                })
            })
            .await
    }

    /// Makes these the prices from now on; those that are so already stay.
    ///
    /// # Errors
    /// `validation_failed` for a negative price; `database_unavailable`.
    pub async fn sync_prices(&self, system: &Context, prices: &[ModelPrice]) -> Result<()> {
        if prices
            .iter()
            .any(|p| p.input.is_negative() || p.output.is_negative())
        {
            return Err(Error::invalid("price", "a price is not negative"));
        }
        let args = (self.clone(), prices.to_vec());
        self.store()
            .write(system, Durability::Durable, args, |uow, (this, prices)| {
                Box::pin(async move {
                    for price in prices {
                        this.sync_price(uow, price).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    async fn sync_price(&self, uow: &mut Uow, wanted: &ModelPrice) -> Result<()> {
        let known = newest(uow, &wanted.model).await?;
        let price = match known {
            Some(p) if p.input == wanted.input && p.output == wanted.output => p,
            _ => {
                let now = uow.now();
                let (input, output) = (wanted.input, wanted.output);
                let price = Price {
                    id: uow.id(),
                    input,
                    output,
                    effective_from: now,
                };
                uow.execute(
                    "INSERT INTO prices (id, model_id, input, output, effective_from)
                     VALUES ($1, $2, $3, $4, $5)",
                    params![price.id, &wanted.model, input, output, now],
                )
                .await?;
                price
            }
        };
        let (this, model) = (self.clone(), wanted.model.clone());
        uow.after_commit(move || {
            this.0.prices.put(&model, price);
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(input: i64, output: i64) -> Price {
        let now = Timestamp::UNIX_EPOCH;
        Price {
            id: "00000000-0000-0000-0000-000000000000".parse().unwrap(),
            input: Credits::from_micros(input),
            output: Credits::from_micros(output),
            effective_from: now,
        }
    }

    #[test]
    fn a_run_is_rounded_up_once() {
        let p = price(1, 1);
        assert_eq!(p.cost(0, 0).unwrap().micros(), 0);
        assert_eq!(p.cost(1, 0).unwrap().micros(), 1);
        assert_eq!(p.cost(500, 500).unwrap().micros(), 1);
        assert_eq!(p.cost(500, 501).unwrap().micros(), 2);
    }

    #[test]
    fn what_is_affordable_costs_no_more_and_one_token_more_would() {
        for (input, output) in [(1, 1), (30, 60), (999, 1_001), (0, 7), (7, 3)] {
            let p = price(input, output);
            for credits in [0, 1, 2, 3, 10, 999, 12_345] {
                let credits = Credits::from_micros(credits);
                for prompt in [0, 1, 10, 999, 1_000_000] {
                    match p.affordable_output(prompt, credits) {
                        None => assert!(p.cost(prompt, 0).unwrap() > credits),
                        Some(n) => {
                            assert!(p.cost(prompt, n).unwrap() <= credits);
                            assert!(p.cost(prompt, n + 1).unwrap() > credits);
                        }
                    }
                }
            }
        }
        assert_eq!(
            price(1, 0).affordable_output(1, Credits::from_micros(1)),
            Some(u64::MAX)
        );
    }

    #[test]
    fn tokens_beyond_any_amount_are_refused() {
        let p = price(i64::MAX, i64::MAX);
        assert!(p.cost(u64::MAX, u64::MAX).is_err());
        assert!(p.cost(1_001, 0).is_err());
        assert_eq!(
            p.affordable_output(u64::MAX, Credits::from_micros(i64::MAX)),
            None
        );
    }
}
