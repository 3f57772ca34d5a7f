//! How many conversations, assistants and saved prompts an account keeps, and
//! what the texts of the latter two may be.

use kernel::{AccountId, Error, Result, codes, text};
use store::{Uow, params};

use crate::validate::{no_nul, within};

/// Largest system prompt of an assistant and largest saved prompt, in bytes.
const TEXT_BYTES: usize = 32 * 1024;

/// One of the things an account keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// As stored.
    name: &'static str,
    /// As people say.
    plural: &'static str,
    /// How many an account keeps at most.
    most: i64,
    /// How there is room again.
    remedy: &'static str,
}

/// Conversations, of which the configuration says how many there may be.
pub(crate) fn conversations(most: u32) -> Kind {
    Kind {
        name: CONVERSATION,
        plural: "conversations",
        most: most.into(),
        remedy: "delete some; a deleted one counts until it can no longer be restored",
    }
}

/// As stored.
const CONVERSATION: &str = "conversation";

pub(crate) const ASSISTANTS: Kind = Kind {
    name: "assistant",
    plural: "assistants",
    most: 200,
    remedy: "delete one first",
};
pub(crate) const PROMPTS: Kind = Kind {
    name: "prompt",
    plural: "prompts",
    most: 500,
    remedy: "delete one first",
};

/// Counts one more. Others of the account wait for the end of this unit of work, so that no two
/// take the last place.
///
/// # Errors
/// `too_many` when there is no place; nothing may become true then.
pub(crate) async fn one_more(uow: &mut Uow, kind: Kind) -> Result<()> {
    let ctx = uow.context()?;
    let mut row = uow
        .query_one(
            "INSERT INTO kept_counts (tenant_id, account_id, kind, things) VALUES ($1, $2, $3, 1)
             ON CONFLICT (tenant_id, account_id, kind)
               DO UPDATE SET things = kept_counts.things + 1
             RETURNING things",
            params![ctx.tenant(), ctx.account()?, kind.name],
        )
        .await?;
    if row.get::<i64>(0)? <= kind.most {
        return Ok(());
    }
    Err(Error::new(
        codes::TOO_MANY,
        format!(
            "You have {} {}, which is as many as there may be; {}.",
            kind.most, kind.plural, kind.remedy
        ),
    ))
}

/// Counts one less.
pub(crate) async fn one_less(uow: &mut Uow, kind: Kind) -> Result<()> {
    let account = uow.context()?.account()?;
    less(uow, account, kind.name).await
}

/// A conversation of this account is there no more.
pub(crate) async fn one_conversation_less(uow: &mut Uow, account: AccountId) -> Result<()> {
    less(uow, account, CONVERSATION).await
}

async fn less(uow: &mut Uow, account: AccountId, name: &str) -> Result<()> {
    let tenant = uow.tenant()?;
    // Never below nothing: what an older version makes beside this one is not counted.
    uow.execute(
        "UPDATE kept_counts SET things = things - 1
         WHERE tenant_id = $1 AND account_id = $2 AND kind = $3 AND things > 0",
        params![tenant, account, name],
    )
    .await?;
    Ok(())
}

/// A short text that says something; answers it without the spaces around it.
pub(crate) fn line(field: &str, text: &str, most: usize) -> Result<String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::invalid(field, "must not be empty."));
    }
    within(field, text, most)?;
    Ok(text.to_owned())
}

/// A short text by which people know something; as [`line`], and all of it is seen.
pub(crate) fn name(field: &str, name: &str, most: usize) -> Result<String> {
    let name = line(field, name, most)?;
    match text::has_unseen(&name) {
        true => Err(Error::invalid(field, text::UNSEEN)),
        false => Ok(name),
    }
}

/// A long text.
pub(crate) fn long(field: &str, text: &str) -> Result<()> {
    if text.len() > TEXT_BYTES {
        return Err(Error::invalid(
            field,
            format!("must be at most {TEXT_BYTES} bytes long."),
        ));
    }
    no_nul(field, text)
}
