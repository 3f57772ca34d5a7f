//! Growing holds: a growing answer reserves more before it produces more, and
//! ends cleanly when nothing more can be paid.

use std::time::Instant;

use kernel::{Context, HoldId, Result, WalletId, fault};
use store::{Durability, Uow, broken, params};

use crate::{
    Accounting,
    hold::count,
    ledger::{Kind, Portion, plus},
    stored::{Stored, columns},
    wallet::Wallet,
};

/// The answer to [`Accounting::extend`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension {
    /// Output tokens covered now, in total.
    pub output_tokens: u64,
    /// Nothing more can be paid: the answer ends after those.
    pub exhausted: bool,
}

enum Extended {
    Done(Extension),
    Wait(WalletId, Extension),
}

impl Accounting {
    /// Covers more output tokens of a growing answer, waiting for other holds
    /// where that helps. When `exhausted`, the answer ends with what is covered.
    ///
    /// # Errors
    /// `not_found` for a hold that is not of this tenant; when the database fails.
    pub async fn extend(&self, ctx: &Context, hold: HoldId) -> Result<Extension> {
        let until = Instant::now() + self.options().hold_wait;
        let mut waiter = None;
        loop {
            let extended = self
                .store()
                .write(
                    ctx,
                    Durability::Fast,
                    (self.clone(), hold),
                    |uow, (this, hold)| Box::pin(this.extend_in(uow, *hold)),
                )
                .await?;
            match (extended, &mut waiter) {
                (Extended::Done(extension), _) => return Ok(extension),
                (Extended::Wait(wallet, _), None) => waiter = Some(self.waiter(wallet)),
                (Extended::Wait(_, exhausted), Some(waiter)) => {
                    if !waiter.released(until).await {
                        return Ok(exhausted);
                    }
                }
            }
        }
    }

    async fn extend_in(&self, uow: &mut Uow, id: HoldId) -> Result<Extended> {
        let (mut hold, mut wallet) = Self::lock(uow, id).await?;
        let covered = hold.output_tokens;
        let exhausted = Extension {
            output_tokens: covered,
            exhausted: true,
        };
        if hold.settled.is_some() {
            return Ok(Extended::Done(exhausted));
        }
        let more = u64::from(self.options().extension_tokens).max(1);
        let target = covered
            .saturating_add(more)
            .min(hold.max_tokens.unwrap_or(u64::MAX));
        if target <= covered {
            return Ok(Extended::Done(Extension {
                output_tokens: covered,
                exhausted: false,
            }));
        }
        let budget = plus(hold.amount, wallet.balance)?;
        let affordable = hold
            .price
            .affordable_output(hold.prompt_tokens, budget)
            .unwrap_or(0);
        let target = target.min(affordable);
        if target <= covered {
            let held_by_others = wallet.held > hold.amount;
            let id = wallet.id;
            wallet.save(uow, &[]).await?;
            return Ok(match held_by_others {
                true => Extended::Wait(id, exhausted),
                false => Extended::Done(exhausted),
            });
        }
        let amount = hold.price.cost(hold.prompt_tokens, target)?;
        let more = amount
            .checked_sub(hold.amount)
            .filter(|more| !more.is_negative());
        let more = more.ok_or_else(|| broken("a hold shrinks"))?;
        let key = format!("run:{}:extend:{covered}", hold.run);
        let portions = wallet.reserve(uow, Kind::Extend, more, hold.about(), key)?;
        Portion::join(&mut hold.portions, portions)?;
        let tenant = uow.tenant()?;
        let lots = Portion::to_json(&hold.portions);
        let row = params![tenant, id, amount, count(target)?, lots];
        self.tell_after(uow, hold.account, &wallet)?;
        wallet.save(uow, &[(EXTEND, row)]).await?;
        fault::point("accounting.extend.inside");
        Ok(Extended::Done(Extension {
            output_tokens: target,
            exhausted: false,
        }))
    }

    /// Locks a hold and then its wallet: the order in which everybody does.
    async fn lock(uow: &mut Uow, id: HoldId) -> Result<(Stored, Wallet)> {
        let tenant = uow.tenant()?;
        let keys = params![tenant, id];
        let rows = uow
            .query_all(&[(BY_ID, keys), (WALLET_BY_ID, keys), (LOTS_BY_ID, keys)])
            .await?;
        Self::locked(uow, rows)
    }
}

const BY_ID: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM holds WHERE tenant_id = $1 AND id = $2 FOR UPDATE"
);
const WALLET_BY_ID: &str = "SELECT id, balance, held, entries FROM wallets WHERE tenant_id = $1
    AND id = (SELECT wallet_id FROM holds WHERE tenant_id = $1 AND id = $2) FOR UPDATE";
const LOTS_BY_ID: &str = "SELECT id, remaining, expires_at FROM lots WHERE tenant_id = $1
    AND wallet_id = (SELECT wallet_id FROM holds WHERE tenant_id = $1 AND id = $2)
    AND open ORDER BY expires_at NULLS LAST, id";
const EXTEND: &str = "UPDATE holds SET amount = $3, output_tokens = $4, lots = $5
    WHERE tenant_id = $1 AND id = $2 AND state = 'open'";
