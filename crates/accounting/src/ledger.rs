//! The ledger's vocabulary: kinds of transfers, what they belong to, the parts
//! of lots that holds take, and sums that cannot go wrong unnoticed.

use kernel::{Credits, Error, HoldId, LotId, Result, RunId, Timestamp};
use serde_json::{Value as Json, json};
use store::broken;

/// A wallet never has more than this, so that its JSON decimal stays exact
/// (15 significant digits).
pub(crate) const MOST: Credits = Credits::from_micros(999_999_999_999_999);

/// What a transfer is; decides which accounts of the ledger it goes between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Allocate,
    Hold,
    Extend,
    Release,
    Settle,
    Expire,
    Record,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Allocate => "allocate",
            Self::Hold => "hold",
            Self::Extend => "extend",
            Self::Release => "release",
            Self::Settle => "settle",
            Self::Expire => "expire",
            Self::Record => "record",
        }
    }

    /// The account the credits leave, and the one they enter.
    pub(crate) const fn accounts(self) -> (&'static str, &'static str) {
        match self {
            Self::Allocate => ("issuance", "available"),
            Self::Hold | Self::Extend => ("available", "held"),
            Self::Release => ("held", "available"),
            Self::Settle | Self::Record => ("available", "consumption"),
            Self::Expire => ("available", "issuance"),
        }
    }
}

/// What a transfer belongs to.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    pub run: Option<RunId>,
    pub hold: Option<HoldId>,
    pub lot: Option<LotId>,
    pub note: Option<String>,
}

/// Part of a lot that a hold has taken. A lot that expires meanwhile stays good
/// for the hold; what comes back to it expires at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Portion {
    pub lot: LotId,
    pub amount: Credits,
    pub expires_at: Option<Timestamp>,
}

impl Portion {
    pub(crate) fn to_json(portions: &[Self]) -> Json {
        let portion = |p: &Self| {
            json!([
                p.lot,
                p.amount.micros(),
                p.expires_at.map(Timestamp::as_microsecond)
            ])
        };
        portions.iter().map(portion).collect()
    }

    pub(crate) fn from_json(json: Json) -> Result<Vec<Self>> {
        let portions: Vec<(LotId, i64, Option<i64>)> =
            serde_json::from_value(json).map_err(Error::internal)?;
        portions
            .into_iter()
            .map(|(lot, amount, expiry)| {
                let expires_at = expiry.map(Timestamp::from_microsecond).transpose();
                let expires_at = expires_at.map_err(Error::internal)?;
                Ok(Self {
                    lot,
                    amount: Credits::from_micros(amount),
                    expires_at,
                })
            })
            .collect()
    }

    /// Adds what an extension took; earliest expiry first, one portion a lot.
    pub(crate) fn join(into: &mut Vec<Self>, more: Vec<Self>) -> Result<()> {
        for portion in more {
            match into.iter_mut().find(|p| p.lot == portion.lot) {
                Some(same) => same.amount = plus(same.amount, portion.amount)?,
                None => into.push(portion),
            }
        }
        into.sort_by_key(|p| (p.expires_at.is_none(), p.expires_at, p.lot));
        Ok(())
    }
}

pub(crate) fn plus(a: Credits, b: Credits) -> Result<Credits> {
    a.checked_add(b)
        .ok_or_else(|| broken("an amount of credits overflows"))
}

pub(crate) fn minus(a: Credits, b: Credits) -> Result<Credits> {
    a.checked_sub(b)
        .filter(|rest| !rest.is_negative())
        .ok_or_else(|| broken("an amount of credits falls below zero"))
}
