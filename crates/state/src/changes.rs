//! What an account's open pages hear about as it happens: one channel for each
//! account in a tenant. A hint that something has changed, not the change itself;
//! whoever was away looks at the data.

use kernel::{AccountId, TenantId};

use crate::{Received, State, Subscription};

/// A change that was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What it is about: `session`, `run`, `credits`.
    pub kind: String,
    /// JSON on one line.
    pub data: String,
}

/// Hears what one account is told, from the moment it is made.
#[derive(Debug)]
pub struct Changes(Subscription);

impl Changes {
    /// The next change; `None` when some were missed, after which only the data itself tells. Safe
    /// to abandon.
    pub async fn next(&mut self) -> Option<Change> {
        match self.0.recv().await {
            Received::Message(message) => {
                let (kind, data) = message.split_once('\n')?;
                Some(Change {
                    kind: kind.to_owned(),
                    data: data.to_owned(),
                })
            }
            Received::Lagged(_) => None,
        }
    }
}

impl State {
    /// Tells the account's open pages. Never waits; `data` (JSON on one line) is made only where
    /// somebody listens. To be called when the change is committed.
    pub fn tell(
        &self,
        tenant: TenantId,
        account: AccountId,
        kind: &str,
        data: impl FnOnce() -> String,
    ) {
        self.0.channels.publish_with(&channel(tenant, account), || {
            format!("{kind}\n{}", data()).into()
        });
    }

    /// What the account is told from now on.
    #[must_use]
    pub fn changes(&self, tenant: TenantId, account: AccountId) -> Changes {
        Changes(self.subscribe(&channel(tenant, account)))
    }
}

fn channel(tenant: TenantId, account: AccountId) -> String {
    format!("account:{tenant}:{account}")
}

#[cfg(test)]
mod tests {
    use kernel::{Clock, Ids, Random};

    use super::*;

    #[tokio::test]
    async fn only_the_account_of_that_tenant_hears() {
        let state = State::memory(Clock::system());
        let ids = Ids::new(Clock::system(), Random::system());
        let (tenant, other): (TenantId, TenantId) = (ids.next(), ids.next());
        let (ana, ben): (AccountId, AccountId) = (ids.next(), ids.next());
        state.tell(tenant, ana, "x", || panic!("nobody listens"));
        let mut heard = state.changes(tenant, ana);
        state.tell(tenant, ben, "x", || panic!("nobody listens"));
        state.tell(other, ana, "x", || panic!("nobody listens"));
        state.tell(tenant, ana, "session", || r#"{"id":"1"}"#.to_owned());
        let change = heard.next().await.unwrap();
        assert_eq!(
            (change.kind.as_str(), change.data.as_str()),
            ("session", r#"{"id":"1"}"#)
        );
        for _ in 0..1_000 {
            state.tell(tenant, ana, "run", || "{}".to_owned());
        }
        assert_eq!(heard.next().await, None, "what was missed is told");
        assert_eq!(heard.next().await.unwrap().kind, "run");
    }
}
