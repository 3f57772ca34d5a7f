//! What people see of their credits and admins do with them: balance, ledger,
//! and allocation (S0.8).

use kernel::{
    AccountId, Context, Credits, Error, Page, Paged, Result, Role, RunId, Timestamp, TransferId,
    topics,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Durability, Reads, Row, params};

use crate::{
    Accounting,
    member::{must_be_member, subject},
    wallet::Wallet,
};

/// What an account has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// Available.
    pub balance: Credits,
    /// Reserved by answers that are being written.
    pub held: Credits,
}

/// One entry of an account's ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The transfer.
    pub id: TransferId,
    /// When.
    pub created_at: Timestamp,
    /// allocate, hold, extend, settle, release, expire or record.
    pub kind: String,
    /// What it did to the balance; negative when credits went.
    pub amount: Credits,
    /// The balance right after it.
    pub balance_after: Credits,
    /// The run it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// What somebody noted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Credits for somebody.
#[derive(Debug, Clone)]
pub struct Allocate {
    /// Who gets them.
    pub target: AccountId,
    /// How many; more than none.
    pub amount: Credits,
    /// When what is left of them is gone.
    pub expires_at: Option<Timestamp>,
    /// For the ledger.
    pub note: Option<String>,
}

/// The answer to [`Allocate`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocated {
    /// What was done, in a sentence.
    pub message: String,
    /// What the target has available now.
    pub balance: Credits,
}

/// Characters a note may have.
const NOTE: usize = 500;

const LEDGER: &str =
    "SELECT t.id, t.created_at, t.kind, t.effect, t.balance_after, t.run_id, t.note
    FROM wallets w JOIN transfers t ON t.wallet_id = w.id
    WHERE w.tenant_id = $1 AND w.owner_kind = 'account' AND w.owner_id = $2 AND t.tenant_id = $1
    ORDER BY t.sequence DESC LIMIT $3 OFFSET $4";
const BALANCE: &str = "SELECT w.balance, w.held, w.entries,
      (SELECT MIN(l.expires_at) FROM lots l WHERE l.tenant_id = $1 AND l.wallet_id = w.id
         AND l.open)
    FROM wallets w WHERE w.tenant_id = $1 AND w.owner_kind = 'account' AND w.owner_id = $2";

/// A wallet as it is read, and whether something in it has expired since it was written.
struct Seen {
    balance: Balance,
    entries: i64,
    stale: bool,
}

async fn seen(reads: &mut Reads, account: AccountId) -> Result<Option<Seen>> {
    let tenant = reads.tenant()?;
    let Some(mut row) = reads.query_opt(BALANCE, params![tenant, account]).await? else {
        return Ok(None);
    };
    let balance = Balance {
        balance: row.get(0)?,
        held: row.get(1)?,
    };
    let expires: Option<Timestamp> = row.get(3)?;
    let stale = expires.is_some_and(|at| at <= reads.now());
    Ok(Some(Seen {
        balance,
        entries: row.get(2)?,
        stale,
    }))
}

fn entry(mut row: Row) -> Result<Entry> {
    Ok(Entry {
        id: row.get(0)?,
        created_at: row.get(1)?,
        kind: row.get(2)?,
        amount: row.get(3)?,
        balance_after: row.get(4)?,
        run_id: row.get(5)?,
        note: row.get(6)?,
    })
}

impl Accounting {
    /// What an account has: the caller's own, or one that an admin names.
    ///
    /// # Errors
    /// `forbidden` for others than admins; `not_found` for a user of no or of another tenant.
    pub async fn balance(&self, ctx: &Context, user: Option<AccountId>) -> Result<Balance> {
        let account = self.visible(ctx, user).await?;
        self.balance_of(ctx, account).await
    }

    /// The account's ledger, newest entry first. Who may: as [`Self::balance`].
    ///
    /// # Errors
    /// As [`Self::balance`].
    pub async fn ledger(
        &self,
        ctx: &Context,
        user: Option<AccountId>,
        page: Page,
    ) -> Result<Paged<Entry>> {
        let account = self.visible(ctx, user).await?;
        // Makes the wallet, and expires what has expired.
        self.balance_of(ctx, account).await?;
        self.store()
            .read(ctx, (account, page), |reads, (account, page)| {
                Box::pin(async move {
                    let tenant = reads.tenant()?;
                    let total = seen(reads, *account).await?.map_or(0, |seen| seen.entries);
                    let range = params![tenant, *account, page.limit(), page.offset()];
                    let rows = reads.query(LEDGER, range).await?;
                    let entries = rows.into_iter().map(entry).collect::<Result<_>>()?;
                    Ok(Paged::new(entries, *page, total))
                })
            })
            .await
    }

    async fn visible(&self, ctx: &Context, user: Option<AccountId>) -> Result<AccountId> {
        let account = subject(ctx, user, &[Role::Admin])?;
        self.known(ctx, account).await
    }

    /// The account, if it belongs to the caller's tenant.
    pub(crate) async fn known(&self, ctx: &Context, account: AccountId) -> Result<AccountId> {
        if ctx.account().is_ok_and(|own| own == account) {
            return Ok(account);
        }
        self.store()
            .read(ctx, account, |reads, account| {
                Box::pin(must_be_member(reads, *account))
            })
            .await?;
        Ok(account)
    }

    /// An account's balance, without asking who asks.
    pub(crate) async fn balance_of(&self, ctx: &Context, account: AccountId) -> Result<Balance> {
        let known = self
            .store()
            .read(ctx, account, |reads, account| {
                Box::pin(seen(reads, *account))
            })
            .await?;
        if let Some(Seen {
            balance,
            stale: false,
            ..
        }) = known
        {
            return Ok(balance);
        }
        let args = (self.clone(), account);
        self.store()
            .write(ctx, Durability::Durable, args, |uow, (this, account)| {
                Box::pin(async move {
                    let wallet = Wallet::of(this, uow, *account).await?;
                    let balance = Balance {
                        balance: wallet.balance,
                        held: wallet.held,
                    };
                    wallet.save(uow, &[]).await?;
                    Ok(balance)
                })
            })
            .await
    }

    /// Gives credits to an account of the caller's tenant. Once for each
    /// idempotency key.
    ///
    /// # Errors
    /// `forbidden` for others than admins; `not_found`; `validation_failed` for an
    /// amount that is not positive or that the wallet cannot hold, and an expiry in the past.
    pub async fn allocate(&self, ctx: &Context, allocate: Allocate) -> Result<Allocated> {
        ctx.require(&[Role::Admin])?;
        if !allocate.amount.is_positive() {
            return Err(Error::invalid("amount", "give more than 0 credits"));
        }
        if allocate
            .expires_at
            .is_some_and(|at| at <= self.store().env().clock.now())
        {
            return Err(Error::invalid("expires_at", "give a moment in the future"));
        }
        if allocate
            .note
            .as_ref()
            .is_some_and(|note| note.chars().count() > NOTE)
        {
            return Err(Error::invalid("note", format!("at most {NOTE} characters")));
        }
        let args = (self.clone(), allocate);
        self.store()
            .write_once(ctx, Durability::Durable, args, |uow, (this, allocate)| {
                Box::pin(this.allocate_in(uow, allocate))
            })
            .await
    }

    async fn allocate_in(&self, uow: &mut store::Uow, allocate: &Allocate) -> Result<Allocated> {
        let Allocate {
            target,
            amount,
            expires_at,
            note,
        } = allocate.clone();
        must_be_member(uow, target).await?;
        store::answer_is_about(uow, &target.to_string()).await?;
        let mut wallet = Wallet::of(self, uow, target).await?;
        wallet.allocate(uow, amount, expires_at, note, None)?;
        let (id, balance) = (wallet.id, wallet.balance);
        self.tell_after(uow, target, &wallet)?;
        wallet.save(uow, &[]).await?;
        let event = json!({
            "account_id": target,
            "amount": amount,
            "balance": balance,
            "expires_at": expires_at,
        });
        uow.emit(
            topics::MODEL_USAGE,
            "credits.allocated",
            &format!("wallet:{id}"),
            event,
        )
        .await?;
        // Who waits for credits may have them now.
        self.wake_after(uow, id);
        let message = format!("Allocated {amount} credits.");
        Ok(Allocated { message, balance })
    }
}
