//! What has changed in a wallet is written at once, with its transfers.

use kernel::Result;
use store::{Param, Rows, Uow, broken, params};

use super::{Transfer, Wallet};

impl Wallet {
    /// Writes what has changed, and then the caller's statements, each of which
    /// touches one row.
    pub(crate) async fn save(self, uow: &mut Uow, more: &[(&str, &[Param<'_>])]) -> Result<()> {
        let mut rows: Vec<(&str, Vec<Param<'_>>)> = Vec::new();
        for lot in &self.lots {
            let Some(initial) = lot.initial else { continue };
            rows.push((
                "INSERT INTO lots (id, tenant_id, wallet_id, initial, remaining, open, expires_at,
                   created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                params![
                    lot.id,
                    self.tenant,
                    self.id,
                    initial,
                    lot.remaining,
                    lot.remaining.is_positive(),
                    lot.expires_at,
                    self.now,
                ]
                .to_vec(),
            ));
        }
        for (n, transfer) in self.transfers.iter().enumerate() {
            let sequence = i64::try_from(n)
                .ok()
                .and_then(|n| self.entries.checked_add(n + 1));
            let sequence = sequence.ok_or_else(|| broken("a ledger is full"))?;
            rows.push((INSERT_TRANSFER, self.row(transfer, sequence)));
        }
        if !self.transfers.is_empty() {
            let entries = self.entries + i64::try_from(self.transfers.len()).unwrap_or(0);
            rows.push((
                "UPDATE wallets SET balance = $3, held = $4, entries = $5
                 WHERE tenant_id = $1 AND id = $2",
                params![self.tenant, self.id, self.balance, self.held, entries].to_vec(),
            ));
        }
        for lot in self
            .lots
            .iter()
            .filter(|lot| lot.initial.is_none() && lot.change != 0)
        {
            let open = lot.remaining.is_positive();
            let was_open = lot.remaining.micros() != lot.change;
            let mut row = params![self.tenant, lot.id, lot.change].to_vec();
            rows.push(if open == was_open {
                (CHANGE_LOT, row)
            } else {
                row.push(open.into());
                (OPEN_OR_CLOSE_LOT, row)
            });
        }
        let rows = rows.iter().map(|(sql, row)| (*sql, &row[..]));
        for (sql, row) in rows.chain(more.iter().copied()) {
            uow.later(Rows::One, sql, row).await?;
        }
        Ok(())
    }

    fn row<'a>(&self, transfer: &'a Transfer, sequence: i64) -> Vec<Param<'a>> {
        let Transfer {
            id,
            kind,
            amount,
            effect,
            balance_after,
            about,
            key,
        } = transfer;
        let (debit, credit) = kind.accounts();
        params![
            *id,
            self.tenant,
            self.id,
            sequence,
            kind.name(),
            debit,
            credit,
            *amount,
            *effect,
            *balance_after,
            about.run,
            about.hold,
            about.lot,
            about.note.as_deref(),
            key,
            self.now,
        ]
        .to_vec()
    }
}

const CHANGE_LOT: &str =
    "UPDATE lots SET remaining = remaining + $3 WHERE tenant_id = $1 AND id = $2";
const OPEN_OR_CLOSE_LOT: &str =
    "UPDATE lots SET remaining = remaining + $3, open = $4 WHERE tenant_id = $1 AND id = $2";
const INSERT_TRANSFER: &str = "INSERT INTO transfers (id, tenant_id, wallet_id, sequence, kind, debit,
    credit, amount, effect, balance_after, run_id, hold_id, lot_id, note, idempotency_key, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
