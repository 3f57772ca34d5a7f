//! From bytes to typed input: who asks, bodies, ids in paths, queries. What
//! cannot be read becomes the right problem here, never in a handler.

pub(crate) mod amount;
pub(crate) mod body;
pub(crate) mod caller;
pub(crate) mod path;
pub(crate) mod query;

pub(crate) use amount::Amount;
pub(crate) use caller::{Anyone, Caller, Open, Posted};
pub(crate) use path::{Key, Keys};
pub(crate) use query::Query;
