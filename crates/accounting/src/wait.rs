//! Waiting for credits that other answers hold, and telling open pages what is
//! left. A release wakes those who wait on this node at once; what another node
//! releases is found by looking again.

use std::time::{Duration, Instant};

use kernel::{AccountId, Result, WalletId};
use serde_json::json;
use state::Subscription;
use store::Uow;

use crate::{Accounting, wallet::Wallet};

/// How often a waiter looks whether another node has released something.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

fn channel(wallet: WalletId) -> String {
    format!("credits:{wallet}")
}

/// Somebody who waits for a release on a wallet; hears every one from the
/// moment it is made.
#[derive(Debug)]
pub struct Waiter(Subscription);

impl Waiter {
    /// Waits until it is worth looking again; false once it is too late.
    pub async fn released(&mut self, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        tokio::select! {
            _ = self.0.recv() => {}
            () = tokio::time::sleep(left.min(LOOK_AGAIN)) => {}
        }
        true
    }
}

impl Accounting {
    /// Registers a waiter. Make it before the balance is looked at, and no
    /// release in between is missed.
    #[must_use]
    pub fn waiter(&self, wallet: WalletId) -> Waiter {
        Waiter(self.0.state.subscribe(&channel(wallet)))
    }

    /// Waits for a release on this wallet; false once it is too late. A release
    /// between the look at the balance and this call is noticed only after 100 ms:
    /// use [`Self::waiter`] where that is too long.
    pub async fn released(&self, wallet: WalletId, until: Instant) -> bool {
        self.waiter(wallet).released(until).await
    }

    /// Tells the account's open pages what it has, once this unit of work is committed.
    pub(crate) fn tell_after(
        &self,
        uow: &mut Uow,
        account: AccountId,
        wallet: &Wallet,
    ) -> Result<()> {
        let (state, tenant) = (self.0.state.clone(), uow.tenant()?);
        let (balance, held) = (wallet.balance, wallet.held);
        uow.after_commit(move || {
            let data = || json!({ "balance": balance, "held": held }).to_string();
            state.tell(tenant, account, "credits", data);
        });
        Ok(())
    }

    /// Wakes those who wait, once this unit of work is committed.
    pub(crate) fn wake_after(&self, uow: &mut Uow, wallet: WalletId) {
        let state = self.0.state.clone();
        uow.after_commit(move || state.publish(&channel(wallet), "released"));
    }
}
