//! A hold as the database has it, read under its lock together with its wallet.

use kernel::{AccountId, ConversationId, Credits, Error, HoldId, Result, RunId};
use store::{Row, Uow, broken};

use crate::{
    Accounting, Price,
    ledger::{About, Portion},
    wallet::Wallet,
};

/// A hold as the database has it, locked.
pub(crate) struct Stored {
    pub id: HoldId,
    pub run: RunId,
    pub account: AccountId,
    pub conversation: Option<ConversationId>,
    pub model: String,
    pub amount: Credits,
    pub prompt_tokens: u64,
    pub output_tokens: u64,
    pub max_tokens: Option<u64>,
    pub price: Price,
    pub portions: Vec<Portion>,
    /// Charged, shortfall and balance, once it is settled.
    pub settled: Option<(Credits, Credits, Credits)>,
}

/// The columns that [`Stored::read`] takes.
macro_rules! columns {
    () => {
        "id, run_id, account_id, conversation_id, model_id, amount, prompt_tokens,
         output_tokens, max_tokens, price_id, input_price, output_price, created_at, lots,
         charged, shortfall, balance_after"
    };
}
pub(crate) use columns;

impl Stored {
    pub(crate) fn read(mut row: Row) -> Result<Self> {
        let tokens = |n: i64| u64::try_from(n).map_err(Error::internal);
        let settled = match (row.get(14)?, row.get(15)?, row.get(16)?) {
            (Some(charged), Some(shortfall), Some(balance)) => Some((charged, shortfall, balance)),
            _ => None,
        };
        Ok(Self {
            id: row.get(0)?,
            run: row.get(1)?,
            account: row.get(2)?,
            conversation: row.get(3)?,
            model: row.get(4)?,
            amount: row.get(5)?,
            prompt_tokens: tokens(row.get(6)?)?,
            output_tokens: tokens(row.get(7)?)?,
            max_tokens: row.get::<Option<i64>>(8)?.map(tokens).transpose()?,
            price: Price {
                id: row.get(9)?,
                input: row.get(10)?,
                output: row.get(11)?,
                effective_from: row.get(12)?,
            },
            portions: Portion::from_json(row.get(13)?)?,
            settled,
        })
    }

    pub(crate) fn about(&self) -> About {
        About {
            run: Some(self.run),
            hold: Some(self.id),
            ..About::default()
        }
    }
}

impl Accounting {
    /// From the rows of a hold, of its wallet and of its lots.
    pub(crate) fn locked(uow: &Uow, mut rows: Vec<Vec<Row>>) -> Result<(Stored, Wallet)> {
        let lots = rows.pop().unwrap_or_default();
        let wallet = rows.pop().and_then(|mut rows| rows.pop());
        let hold = rows.pop().and_then(|mut rows| rows.pop());
        let hold = Stored::read(hold.ok_or_else(|| Error::not_found("Hold"))?)?;
        let wallet = wallet.ok_or_else(|| broken("a hold without a wallet"))?;
        Ok((hold, Wallet::read(uow, wallet, lots)?))
    }
}
