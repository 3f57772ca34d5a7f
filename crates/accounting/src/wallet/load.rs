//! A wallet is read under its lock, or made when it is first looked at.

use kernel::{AccountId, Result, WalletId};
use store::{Row, Uow, broken, params};

use super::{Lot, Wallet};
use crate::Accounting;

const OF_ACCOUNT: &str = "SELECT id, balance, held, entries FROM wallets
    WHERE tenant_id = $1 AND owner_kind = 'account' AND owner_id = $2 FOR UPDATE";
const LOTS_OF_ACCOUNT: &str = "SELECT l.id, l.remaining, l.expires_at
    FROM wallets w JOIN lots l ON l.wallet_id = w.id
    WHERE w.tenant_id = $1 AND w.owner_kind = 'account' AND w.owner_id = $2
      AND l.tenant_id = $1 AND l.open
    ORDER BY l.expires_at NULLS LAST, l.id";
const BY_ID: &str = "SELECT id, balance, held, entries FROM wallets
    WHERE tenant_id = $1 AND id = $2 FOR UPDATE";
const LOTS_BY_ID: &str = "SELECT id, remaining, expires_at FROM lots
    WHERE tenant_id = $1 AND wallet_id = $2 AND open
    ORDER BY expires_at NULLS LAST, id";

impl Wallet {
    /// Locks the account's wallet, making it with the signup grant if it is new.
    /// To be saved.
    pub(crate) async fn of(this: &Accounting, uow: &mut Uow, account: AccountId) -> Result<Self> {
        let tenant = uow.tenant()?;
        if let Some(wallet) = Self::find(uow, account).await? {
            return Ok(wallet);
        }
        let (id, now) = (uow.id::<kernel::kinds::Wallet>(), uow.now());
        let made = uow
            .execute(
                "INSERT INTO wallets (id, tenant_id, owner_kind, owner_id, balance, held, entries,
                   created_at) VALUES ($1, $2, 'account', $3, 0, 0, 0, $4) ON CONFLICT DO NOTHING",
                params![id, tenant, account, now],
            )
            .await?;
        // Somebody else may have made it meanwhile: then the grant is theirs too.
        let found = Self::find(uow, account).await?;
        let mut wallet = found.ok_or_else(|| broken("a wallet that was made is missing"))?;
        let grant = this.options().signup_grant;
        if made == 1 && grant.is_positive() {
            let note = Some("signup grant".to_owned());
            wallet.allocate(uow, grant, None, note, Some(format!("signup:{account}")))?;
        }
        Ok(wallet)
    }

    async fn find(uow: &mut Uow, account: AccountId) -> Result<Option<Self>> {
        let tenant = uow.tenant()?;
        let mut rows = uow
            .query_all(&[
                (OF_ACCOUNT, params![tenant, account]),
                (LOTS_OF_ACCOUNT, params![tenant, account]),
            ])
            .await?;
        let lots = rows.pop().unwrap_or_default();
        let Some(row) = rows.pop().and_then(|mut rows| rows.pop()) else {
            return Ok(None);
        };
        Self::read(uow, row, lots).map(Some)
    }

    /// Locks a wallet that is known to be there. To be saved.
    pub(crate) async fn by_id(uow: &mut Uow, id: WalletId) -> Result<Self> {
        let tenant = uow.tenant()?;
        let mut rows = uow
            .query_all(&[
                (BY_ID, params![tenant, id]),
                (LOTS_BY_ID, params![tenant, id]),
            ])
            .await?;
        let lots = rows.pop().unwrap_or_default();
        let row = rows.pop().and_then(|mut rows| rows.pop());
        Self::read(uow, row.ok_or_else(|| broken("a wallet is missing"))?, lots)
    }

    /// From its row (locked) and the rows of its lots; expires what has expired.
    pub(crate) fn read(uow: &Uow, mut row: Row, lots: Vec<Row>) -> Result<Self> {
        let lot = |mut row: Row| -> Result<Lot> {
            let (id, remaining, expires_at) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Lot {
                id,
                remaining,
                expires_at,
                change: 0,
                initial: None,
            })
        };
        let mut wallet = Self {
            id: row.get(0)?,
            balance: row.get(1)?,
            held: row.get(2)?,
            entries: row.get(3)?,
            tenant: uow.tenant()?,
            now: uow.now(),
            lots: lots.into_iter().map(lot).collect::<Result<_>>()?,
            transfers: Vec::new(),
        };
        wallet.expire(uow)?;
        Ok(wallet)
    }
}
