//! Tells an account's open pages which of its conversations have changed, once
//! the change is committed. Other parts hear of it by the outbox.

use serde_json::json;
use state::State;
use store::Uow;

use crate::Conversation;

/// To be told after the commit: `created`, `updated` or `deleted`.
pub(crate) fn tell_after(
    state: &State,
    uow: &mut Uow,
    conversation: &Conversation,
    change: &'static str,
) -> kernel::Result<()> {
    let (state, tenant) = (state.clone(), uow.tenant()?);
    let (id, account) = (conversation.id, conversation.account_id);
    uow.after_commit(move || {
        let data = || json!({ "id": id, "change": change }).to_string();
        state.tell(tenant, account, "session", data);
    });
    Ok(())
}
