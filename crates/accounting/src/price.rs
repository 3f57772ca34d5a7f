//! Prices of models, with their history, and the one place that turns tokens
//! into credits. The configuration says what they are, at each start; what it
//! names no more has no price from then on. A price is copied into the hold, so
//! a later one changes no answer that has begun.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::SignedDuration;
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

/// A row of the history: what a model costs from a moment on, or that it has no price from then on.
#[derive(Debug, Clone)]
struct Entry {
    price: Price,
    ended: bool,
}

impl Entry {
    fn price(self) -> Option<Price> {
        (!self.ended).then_some(self.price)
    }
}

/// How long a node may go on with a price that another node has replaced.
const STALE: Duration = Duration::from_secs(1);

/// Prices already read. A newer one replaces an older one and never the other
/// way round; within one process the cache is exact, because whoever changes a
/// price puts it here when it is committed.
#[derive(Default)]
pub(crate) struct Prices(Mutex<HashMap<String, (Entry, Instant)>>);

impl Prices {
    fn get(&self, model: &str, dialect: Dialect) -> Option<Entry> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (entry, read) = known.get(model)?;
        // On SQLite there is no other process that could change it.
        let fresh = dialect == Dialect::Sqlite || read.elapsed() < STALE;
        fresh.then(|| entry.clone())
    }

    fn put(&self, model: &str, entry: Entry) -> Entry {
        let place = |entry: &Entry| (entry.price.effective_from, entry.price.id);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = match known.get(model) {
            Some((old, _)) if place(old) > place(&entry) => old.clone(),
            _ => entry,
        };
        known.insert(model.to_owned(), (newest.clone(), Instant::now()));
        newest
    }
}

/// What the databases tell moments apart by.
const TICK: SignedDuration = SignedDuration::from_micros(1);

const NEWEST: &str = "SELECT id, input, output, effective_from, ended FROM prices
    WHERE model_id = $1 ORDER BY effective_from DESC, id DESC LIMIT 1";
const INSERT: &str = "INSERT INTO prices (id, model_id, input, output, effective_from, ended)
    VALUES ($1, $2, $3, $4, $5, $6)";

fn entry(mut row: Row) -> Result<Entry> {
    let price = Price {
        id: row.get(0)?,
        input: row.get(1)?,
        output: row.get(2)?,
        effective_from: row.get(3)?,
    };
    Ok(Entry {
        price,
        ended: row.get(4)?,
    })
}

async fn newest(reads: &mut Reads, model: &str) -> Result<Option<Entry>> {
    reads
        .query_opt(NEWEST, params![model])
        .await?
        .map(entry)
        .transpose()
}

/// The error for a model that nobody knows, in S0.11's words.
fn unknown_model() -> Error {
    Error::new(codes::INVALID_MODEL, "Invalid or unsupported model ID")
}

/// The error for what only a price could tell: 422 `model_without_price`.
#[must_use]
pub fn without_price(model: &str) -> Error {
    Error::new(
        codes::MODEL_WITHOUT_PRICE,
        format!(
            "The model `{model}` has no price, so that nothing can be calculated or booked for it. An \
             operator has to give it input_price and output_price in the configuration; until then \
             administrators alone use it, free of charge."
        ),
    )
}

impl Accounting {
    /// The price of a model, if it has one. It may be that of a second ago when another
    /// node has just changed it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn price_in(&self, reads: &mut Reads, model: &str) -> Result<Option<Price>> {
        Ok(self.entry_in(reads, model).await?.and_then(Entry::price))
    }

    async fn entry_in(&self, reads: &mut Reads, model: &str) -> Result<Option<Entry>> {
        if let Some(entry) = self.0.prices.get(model, reads.dialect()) {
            return Ok(Some(entry));
        }
        let found = newest(reads, model).await?;
        Ok(found.map(|entry| self.0.prices.put(model, entry)))
    }

    /// The price of a model that must have one.
    ///
    /// # Errors
    /// `invalid_model` for one that has never had a price, `model_without_price` for one that has none
    /// any more.
    pub(crate) async fn required_price_in(&self, reads: &mut Reads, model: &str) -> Result<Price> {
        let entry = self.entry_in(reads, model).await?;
        let price = entry.ok_or_else(unknown_model)?.price();
        price.ok_or_else(|| without_price(model))
    }

    /// The price of a model to which this node's configuration gives one: the newest of the history.
    /// Where another node, configured otherwise, has ended it meanwhile, it begins anew.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn price_of(&self, uow: &mut Uow, configured: &ModelPrice) -> Result<Price> {
        match self.price_in(uow, &configured.model).await? {
            Some(price) => Ok(price),
            None => self.sync_price(uow, configured).await,
        }
    }

    /// The price of each of these models (admins) that has one.
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
                        let entry = newest(reads, model).await?;
                        prices.extend(entry.and_then(Entry::price).map(|p| (model.clone(), p)));
                    }
                    Ok(prices)
                })
            })
            .await
    }

    /// Makes these the prices from now on: those that are so already stay, and those of other models end.
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
                    this.end_others(uow, prices).await
                })
            })
            .await
    }

    async fn sync_price(&self, uow: &mut Uow, wanted: &ModelPrice) -> Result<Price> {
        let known = newest(uow, &wanted.model).await?.and_then(Entry::price);
        let (input, output) = (wanted.input, wanted.output);
        if let Some(price) = known.filter(|p| p.input == input && p.output == output) {
            return Ok(price);
        }
        let price = Price {
            id: uow.id(),
            input,
            output,
            effective_from: uow.now(),
        };
        let ended = false;
        self.add(uow, &wanted.model, Entry { price, ended }).await
    }

    async fn end_others(&self, uow: &mut Uow, priced: &[ModelPrice]) -> Result<()> {
        let models = "SELECT DISTINCT model_id FROM prices ORDER BY model_id";
        for mut row in uow.query(models, params![]).await? {
            let model: String = row.get(0)?;
            if priced.iter().any(|price| price.model == model) {
                continue;
            }
            if let Some(last) = newest(uow, &model).await?.and_then(Entry::price) {
                let price = Price {
                    id: uow.id(),
                    effective_from: uow.now(),
                    ..last
                };
                let ended = true;
                self.add(uow, &model, Entry { price, ended }).await?;
            }
        }
        Ok(())
    }

    /// The newest of the history, also where the clock has gone back since the last one, or another
    /// node's is ahead.
    async fn add(&self, uow: &mut Uow, model: &str, mut entry: Entry) -> Result<Price> {
        if let Some(last) = newest(uow, model).await? {
            let next = last.price.effective_from + TICK;
            entry.price.effective_from = entry.price.effective_from.max(next);
        }
        let price = entry.price.clone();
        let row = params![
            price.id,
            model,
            price.input,
            price.output,
            price.effective_from,
            entry.ended,
        ];
        uow.execute(INSERT, row).await?;
        let (this, model) = (self.clone(), model.to_owned());
        uow.after_commit(move || {
            this.0.prices.put(&model, entry);
        });
        Ok(price)
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
