//! The books checked against themselves, from the ledger up: what the kill
//! tests and `tertulia admin` ask for.

use std::collections::BTreeMap;

use kernel::{Context, Result, WalletId};
use serde::Serialize;
use store::{Reads, Row, params};

use crate::Accounting;

/// What the books say, in micro-credits and over every tenant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct LedgerReport {
    /// Wallets looked at.
    pub wallets: u64,
    /// Transfers looked at.
    pub transfers: u64,
    /// Credits that came in.
    pub allocated: i128,
    /// Credits that were used.
    pub consumed: i128,
    /// Credits that expired.
    pub expired: i128,
    /// Available now, over all wallets.
    pub balance: i128,
    /// Held now, over all wallets.
    pub held: i128,
    /// Holds that are not settled; none when no run is going.
    pub open_holds: u64,
    /// Everything that does not add up, a sentence each.
    pub faults: Vec<String>,
}

impl LedgerReport {
    /// Whether everything adds up.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }
}

const LEDGER: &str = "SELECT w.id, w.balance, w.held, w.entries, t.debit, t.credit,
      COUNT(t.id), CAST(COALESCE(SUM(t.amount), 0) AS bigint)
    FROM wallets w LEFT JOIN transfers t ON t.wallet_id = w.id AND t.tenant_id = w.tenant_id
    GROUP BY w.id, w.balance, w.held, w.entries, t.debit, t.credit";
const LOTS: &str = "SELECT wallet_id, CAST(SUM(remaining) AS bigint) FROM lots GROUP BY wallet_id";
const HOLDS: &str = "SELECT wallet_id, CAST(SUM(amount) AS bigint), COUNT(*) FROM holds
    WHERE state = 'open' GROUP BY wallet_id";
/// Entries whose balance is not the sum of the effects up to them, or that are
/// not numbered without gaps.
const CHAIN: &str = "SELECT COUNT(*) FROM
    (SELECT sequence, balance_after, ROW_NUMBER() OVER each_wallet AS n,
       CAST(SUM(effect) OVER each_wallet AS bigint) AS total
     FROM transfers WINDOW each_wallet AS (PARTITION BY wallet_id ORDER BY sequence)) entries
    WHERE sequence <> n OR balance_after <> total";
/// Runs that did not pay what their hold and their usage record say.
const CHARGED: &str = "SELECT COUNT(*) FROM holds h
    LEFT JOIN usage_records u ON u.run_id = h.run_id
    LEFT JOIN (SELECT run_id, CAST(SUM(amount) AS bigint) AS paid FROM transfers
               WHERE kind = 'settle' GROUP BY run_id) t ON t.run_id = h.run_id
    WHERE COALESCE(h.charged, 0) <> COALESCE(t.paid, 0)
      OR COALESCE(h.charged, 0) <> COALESCE(u.credits, 0)";
const USED: &str = "SELECT CAST(COALESCE(SUM(credits), 0) AS bigint) FROM usage_records";

/// What the ledger says about one wallet, and what the tables beside it say.
#[derive(Default)]
struct Books {
    /// Balance, held and number of entries, as the wallet's row has them.
    row: (i64, i64, i64),
    /// Each account of the ledger: what it received less what it gave.
    accounts: BTreeMap<String, i128>,
    entries: i64,
    lots: i64,
    holds: i64,
}

impl Accounting {
    /// Checks all books against each other, within one view of the data.
    ///
    /// # Errors
    /// When the database fails; what does not add up is in the report.
    pub async fn verify(&self, system: &Context) -> Result<LedgerReport> {
        self.store()
            .read(system, (), |reads, ()| Box::pin(verify(reads)))
            .await
    }
}

async fn verify(reads: &mut Reads) -> Result<LedgerReport> {
    let mut report = LedgerReport::default();
    let mut books: BTreeMap<WalletId, Books> = BTreeMap::new();
    for row in reads.query(LEDGER, params![]).await? {
        ledger(&mut report, &mut books, row)?;
    }
    for mut row in reads.query(LOTS, params![]).await? {
        books.entry(row.get(0)?).or_default().lots = row.get(1)?;
    }
    for mut row in reads.query(HOLDS, params![]).await? {
        books.entry(row.get(0)?).or_default().holds = row.get(1)?;
        report.open_holds += u64::try_from(row.get::<i64>(2)?).unwrap_or(0);
    }
    for (id, wallet) in &books {
        check(&mut report, *id, wallet);
    }
    for (sql, fault) in [
        (
            CHAIN,
            "entries whose balance does not follow from those before",
        ),
        (
            CHARGED,
            "runs that did not pay what their hold and their usage record say",
        ),
    ] {
        let found: i64 = reads.query_one(sql, params![]).await?.get(0)?;
        if found != 0 {
            report.faults.push(format!("{found} {fault}"));
        }
    }
    let used: i64 = reads.query_one(USED, params![]).await?.get(0)?;
    let LedgerReport {
        allocated,
        consumed,
        expired,
        balance,
        held,
        ..
    } = report;
    if i128::from(used) != consumed {
        report.faults.push(format!(
            "usage records sum to {used}, the ledger to {consumed}"
        ));
    }
    if balance + held + consumed + expired != allocated {
        report.faults.push(format!(
            "balance {balance} + held {held} + consumed {consumed} + expired {expired} is not \
             allocated {allocated}"
        ));
    }
    Ok(report)
}

/// One sum of the ledger: what went from one account of a wallet to another.
fn ledger(
    report: &mut LedgerReport,
    books: &mut BTreeMap<WalletId, Books>,
    mut row: Row,
) -> Result<()> {
    let wallet = books.entry(row.get(0)?).or_default();
    wallet.row = (row.get(1)?, row.get(2)?, row.get(3)?);
    let (Some(debit), Some(credit)) =
        (row.get::<Option<String>>(4)?, row.get::<Option<String>>(5)?)
    else {
        return Ok(());
    };
    let entries: i64 = row.get(6)?;
    let amount = i128::from(row.get::<i64>(7)?);
    wallet.entries += entries;
    report.transfers += u64::try_from(entries).unwrap_or(0);
    match (debit.as_str(), credit.as_str()) {
        ("issuance", _) => report.allocated += amount,
        (_, "issuance") => report.expired += amount,
        (_, "consumption") => report.consumed += amount,
        _ => {}
    }
    *wallet.accounts.entry(debit).or_default() -= amount;
    *wallet.accounts.entry(credit).or_default() += amount;
    Ok(())
}

fn check(report: &mut LedgerReport, id: WalletId, wallet: &Books) {
    let account = |name: &str| wallet.accounts.get(name).copied().unwrap_or(0);
    let (balance, held, entries) = wallet.row;
    report.wallets += 1;
    report.balance += i128::from(balance);
    report.held += i128::from(held);
    let sum: i128 = wallet.accounts.values().sum();
    for (what, left, right) in [
        ("the ledger's sum and zero", sum, 0),
        (
            "the balance and the ledger",
            i128::from(balance),
            account("available"),
        ),
        (
            "what is held and the ledger",
            i128::from(held),
            account("held"),
        ),
        (
            "what is held and the open holds",
            i128::from(held),
            i128::from(wallet.holds),
        ),
        (
            "the balance and the lots",
            i128::from(balance),
            i128::from(wallet.lots),
        ),
        (
            "the entries and their number",
            i128::from(entries),
            i128::from(wallet.entries),
        ),
    ] {
        if left != right {
            report
                .faults
                .push(format!("wallet {id}: {what} differ ({left}, {right})"));
        }
    }
}
