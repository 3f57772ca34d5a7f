//! The money: wallets, the double-entry ledger, holds and settles, prices and
//! usage. Not here: what a model answers, and who may talk to which model.
//!
//! Every movement of credits is one row of `transfers`, which names the account
//! it leaves and the one it enters, so that the ledger sums to zero by itself.
//! A wallet's balance is changed in the unit of work of its transfer, under the
//! lock of the wallet's row; wallets are locked last.

mod check;
mod credits;
mod erase;
mod extend;
mod hold;
mod ledger;
mod member;
mod price;
mod settle;
mod stored;
mod sweep;
mod usage;
mod verify;
mod wait;
mod wallet;

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test awaits what it spawns")]
mod tests;

use std::{sync::Arc, time::Duration};

use kernel::Credits;
use serde::{Deserialize, Serialize};
use state::State;
use store::{Migration, Store};

pub use check::{Breakdown, Calculate, Calculated, Check, Checked};
pub use credits::{Allocate, Allocated, Balance, Entry};
pub use extend::Extension;
pub use hold::{Hold, HoldOutcome, HoldRequest};
pub use price::{ModelPrice, Price, without_price};
pub use settle::{Settled, Used};
pub use usage::{GroupBy, Record, Recorded, Series, Stats, StatsQuery, Totals};
pub use verify::LedgerReport;
pub use wait::Waiter;

/// The tables of this part.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "20261121_0003_accounting",
        sql: include_str!("../migrations/20261121_0003_accounting.sql"),
    },
    Migration {
        name: "20261121_0010_accounting_price_ends",
        sql: include_str!("../migrations/20261121_0010_accounting_price_ends.sql"),
    },
];

/// `[accounting]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Credits that every new account gets once; 0 for none.
    pub signup_grant: Credits,
    /// How long a request waits for credits that other answers hold.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub hold_wait: Duration,
    /// Output tokens that the first hold of an answer covers.
    pub first_output_tokens: u32,
    /// Output tokens by which a growing answer extends its hold.
    pub extension_tokens: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            signup_grant: Credits::whole(1_000),
            hold_wait: Duration::from_secs(2),
            first_output_tokens: 256,
            extension_tokens: 256,
        }
    }
}

/// The money. Cheap to clone.
#[derive(Clone)]
pub struct Accounting(Arc<Inner>);

struct Inner {
    store: Store,
    state: State,
    options: Options,
    prices: price::Prices,
}

impl Accounting {
    /// Over a store with [`MIGRATIONS`] applied; `state` wakes those who wait for credits.
    #[must_use]
    pub fn new(store: Store, state: State, options: Options) -> Self {
        Self(Arc::new(Inner {
            store,
            state,
            options,
            prices: price::Prices::default(),
        }))
    }

    /// The options it was made with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    fn store(&self) -> &Store {
        &self.0.store
    }
}

impl std::fmt::Debug for Accounting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accounting")
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}
