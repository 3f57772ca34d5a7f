//! A wallet under its lock: arithmetic in memory, then everything written at
//! once. The only place that moves credits.

mod load;
mod save;

use kernel::{Credits, Error, LotId, Result, RunId, TenantId, Timestamp, TransferId, WalletId};
use store::{Uow, broken};

use crate::ledger::{About, Kind, MOST, Portion, minus, plus};

struct Lot {
    id: LotId,
    remaining: Credits,
    expires_at: Option<Timestamp>,
    /// Remaining now less what the database has.
    change: i64,
    /// What came in, while the database does not have the lot yet.
    initial: Option<Credits>,
}

struct Transfer {
    id: TransferId,
    kind: Kind,
    amount: Credits,
    effect: i64,
    balance_after: Credits,
    about: About,
    key: String,
}

/// A wallet whose row is locked. Its lots are those that are not expired and
/// not used up, earliest expiry first.
pub(crate) struct Wallet {
    pub id: WalletId,
    /// Available.
    pub balance: Credits,
    pub held: Credits,
    tenant: TenantId,
    now: Timestamp,
    entries: i64,
    lots: Vec<Lot>,
    transfers: Vec<Transfer>,
}

impl Wallet {
    fn expire(&mut self, uow: &Uow) -> Result<()> {
        for n in 0..self.lots.len() {
            let lot = &mut self.lots[n];
            if lot.expires_at.is_some_and(|at| at <= self.now) && lot.remaining.is_positive() {
                let (id, amount) = (lot.id, lot.remaining);
                lot.change -= amount.micros();
                lot.remaining = Credits::ZERO;
                self.expired(uow, id, amount, None)?;
            }
        }
        Ok(())
    }

    fn expired(
        &mut self,
        uow: &Uow,
        lot: LotId,
        amount: Credits,
        run: Option<RunId>,
    ) -> Result<()> {
        let about = About {
            lot: Some(lot),
            run,
            ..About::default()
        };
        self.transfer(uow, Kind::Expire, amount, about, None)
    }

    /// What could be available if every hold were released whole.
    pub(crate) fn reachable(&self) -> Result<Credits> {
        plus(self.balance, self.held)
    }

    /// Credits come in, as a lot of their own.
    pub(crate) fn allocate(
        &mut self,
        uow: &Uow,
        amount: Credits,
        expires_at: Option<Timestamp>,
        note: Option<String>,
        key: Option<String>,
    ) -> Result<()> {
        let fits = self
            .reachable()?
            .checked_add(amount)
            .is_some_and(|sum| sum <= MOST);
        if !fits {
            let message =
                format!("the wallet would have more than {MOST}, which is the most it can");
            return Err(Error::invalid("amount", message));
        }
        let id = uow.id();
        self.lots.push(Lot {
            id,
            remaining: amount,
            expires_at,
            change: 0,
            initial: Some(amount),
        });
        let about = About {
            lot: Some(id),
            note,
            ..About::default()
        };
        self.transfer(uow, Kind::Allocate, amount, about, key)
    }

    /// Reserves what is available; `kind` is a hold or its extension.
    pub(crate) fn reserve(
        &mut self,
        uow: &Uow,
        kind: Kind,
        amount: Credits,
        about: About,
        key: String,
    ) -> Result<Vec<Portion>> {
        let portions = self.take(amount)?;
        self.transfer(uow, kind, amount, about, Some(key))?;
        Ok(portions)
    }

    /// Ends a hold: all of it comes back, what was used (as far as it can be
    /// paid) goes. Answers what was paid.
    pub(crate) fn settle(
        &mut self,
        uow: &Uow,
        (held, portions): (Credits, &[Portion]),
        used: Credits,
        about: &About,
    ) -> Result<Credits> {
        let run = about.run.ok_or_else(|| broken("a settle without a run"))?;
        self.transfer(
            uow,
            Kind::Release,
            held,
            about.clone(),
            Some(format!("run:{run}:release")),
        )?;
        let mut due = used;
        let mut late = Vec::new();
        for portion in portions {
            let paid = due.min(portion.amount);
            due = minus(due, paid)?;
            let back = minus(portion.amount, paid)?;
            if portion.expires_at.is_some_and(|at| at <= self.now) {
                late.push((portion.lot, back));
            } else {
                self.give_back(portion, back)?;
            }
        }
        let above = due.min(self.in_lots()?);
        self.take(above)?;
        let paid = minus(used, minus(due, above)?)?;
        self.transfer(
            uow,
            Kind::Settle,
            paid,
            about.clone(),
            Some(format!("run:{run}:settle")),
        )?;
        for (lot, back) in late {
            self.expired(uow, lot, back, Some(run))?;
        }
        Ok(paid)
    }

    /// Pays at once, as far as there is something; answers what was paid.
    pub(crate) fn pay(
        &mut self,
        uow: &Uow,
        used: Credits,
        about: About,
        key: String,
    ) -> Result<Credits> {
        let paid = used.min(self.balance);
        self.take(paid)?;
        self.transfer(uow, Kind::Record, paid, about, Some(key))?;
        Ok(paid)
    }

    fn in_lots(&self) -> Result<Credits> {
        self.lots
            .iter()
            .try_fold(Credits::ZERO, |sum, lot| plus(sum, lot.remaining))
    }

    fn take(&mut self, amount: Credits) -> Result<Vec<Portion>> {
        let mut due = amount;
        let mut portions = Vec::new();
        for lot in self
            .lots
            .iter_mut()
            .filter(|lot| lot.remaining.is_positive())
        {
            if due.is_zero() {
                break;
            }
            let part = due.min(lot.remaining);
            due = minus(due, part)?;
            lot.remaining = minus(lot.remaining, part)?;
            lot.change -= part.micros();
            portions.push(Portion {
                lot: lot.id,
                amount: part,
                expires_at: lot.expires_at,
            });
        }
        if due.is_positive() {
            return Err(broken("a wallet's lots hold less than its balance"));
        }
        Ok(portions)
    }

    fn give_back(&mut self, portion: &Portion, amount: Credits) -> Result<()> {
        if let Some(lot) = self.lots.iter_mut().find(|lot| lot.id == portion.lot) {
            lot.remaining = plus(lot.remaining, amount)?;
            lot.change += amount.micros();
            return Ok(());
        }
        // It was used up, so it has not been read.
        let Portion {
            lot: id,
            expires_at,
            ..
        } = *portion;
        let change = amount.micros();
        self.lots.push(Lot {
            id,
            remaining: amount,
            expires_at,
            change,
            initial: None,
        });
        self.lots
            .sort_by_key(|lot| (lot.expires_at.is_none(), lot.expires_at, lot.id));
        Ok(())
    }

    fn transfer(
        &mut self,
        uow: &Uow,
        kind: Kind,
        amount: Credits,
        about: About,
        key: Option<String>,
    ) -> Result<()> {
        if amount.is_zero() {
            return Ok(());
        }
        let (debit, credit) = kind.accounts();
        if debit == "available" {
            self.balance = minus(self.balance, amount)?;
        }
        if debit == "held" {
            self.held = minus(self.held, amount)?;
        }
        if credit == "available" {
            self.balance = plus(self.balance, amount)?;
        }
        if credit == "held" {
            self.held = plus(self.held, amount)?;
        }
        let id: TransferId = uow.id();
        let effect = if credit == "available" {
            amount.micros()
        } else {
            -amount.micros()
        };
        let key = key.unwrap_or_else(|| format!("{}:{id}", kind.name()));
        let balance_after = self.balance;
        self.transfers.push(Transfer {
            id,
            kind,
            amount,
            effect,
            balance_after,
            about,
            key,
        });
        Ok(())
    }
}
