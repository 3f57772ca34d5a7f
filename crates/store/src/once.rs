//! Idempotency keys: the answer of an operation is stored in the transaction of
//! the operation itself, so that a repeated request gets the same answer and
//! nothing happens twice, whenever the process dies.

use kernel::{Actor, BoxFuture, Context, Error, Idempotency, Result, codes};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Durability, Row, Store, Uow, params};

/// How long a key is remembered.
pub const KEPT: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// The key went while it was looked at; run again.
#[derive(Debug, thiserror::Error)]
#[error("the idempotency key went while it was looked at")]
pub(crate) struct Raced;

impl Store {
    /// [`Store::write`], at most once for each idempotency key of the context.
    /// Without a key it is the same as `write`.
    ///
    /// # Errors
    /// `idempotency_key_reused` when the key stood for another request; what `f` answers.
    pub async fn write_once<A, T, F>(
        &self,
        ctx: &Context,
        durability: Durability,
        args: A,
        f: F,
    ) -> Result<T>
    where
        A: Send + Sync + 'static,
        T: Serialize + DeserializeOwned + Send + 'static,
        F: for<'a> Fn(&'a mut Uow, &'a A) -> BoxFuture<'a, Result<T>> + Send + Sync + 'static,
    {
        let Some(idempotency) = ctx.idempotency().cloned() else {
            return self.write(ctx, durability, args, f).await;
        };
        self.write(
            ctx,
            durability,
            (args, f, idempotency),
            |uow, (args, f, idempotency)| {
                Box::pin(async move {
                    if let Some(answer) = begin(uow, idempotency).await? {
                        return Ok(answer);
                    }
                    let answer = f(uow, args).await?;
                    let stored = serde_json::to_string(&answer).map_err(Error::internal);
                    remember(uow, idempotency, stored?).await?;
                    Ok(answer)
                })
            },
        )
        .await
    }
}

impl Store {
    /// What the idempotency key of the context stands for already, if it does. To be asked before
    /// anything that the first request has changed is looked at; [`Store::write_once`] decides.
    ///
    /// # Errors
    /// `idempotency_key_reused`; `database_unavailable`.
    pub async fn answered<T>(&self, ctx: &Context) -> Result<Option<T>>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let Some(idempotency) = ctx.idempotency().cloned() else {
            return Ok(None);
        };
        self.read(ctx, idempotency, |reads, key| {
            Box::pin(async move {
                let ctx = reads.context()?;
                let row = reads
                    .query_opt(
                        "SELECT fingerprint, answer, created_at FROM idempotency_keys
                         WHERE tenant_id = $1 AND holder = $2 AND idempotency_key = $3",
                        params![ctx.tenant(), holder(&ctx), &key.key],
                    )
                    .await?;
                match row {
                    Some(row) => stored(row, key, reads.now()),
                    None => Ok(None),
                }
            })
        })
        .await
    }
}

/// Joins a unit of work of [`Store::write_once`]: its answer is about this account, which is not the
/// caller, so that it is forgotten with it.
///
/// # Errors
/// `database_unavailable`.
pub async fn answer_is_about(uow: &mut Uow, account: &str) -> Result<()> {
    let ctx = uow.context()?;
    let Some(key) = ctx.idempotency() else {
        return Ok(());
    };
    uow.execute(
        "UPDATE idempotency_keys SET account = $4
         WHERE tenant_id = $1 AND holder = $2 AND idempotency_key = $3",
        params![ctx.tenant(), holder(&ctx), &key.key, account],
    )
    .await?;
    Ok(())
}

/// Joins a unit of work of the platform itself: forgets the stored answers of its tenant that are an
/// account's or about it. Answers how many.
///
/// # Errors
/// `database_unavailable`.
pub async fn forget_answers(uow: &mut Uow, account: &str) -> Result<u64> {
    let tenant = uow.tenant()?;
    let held = "DELETE FROM idempotency_keys WHERE tenant_id = $1 AND holder = $2";
    let about = "DELETE FROM idempotency_keys WHERE tenant_id = $1 AND account = $2";
    Ok(uow.execute(held, params![tenant, account]).await?
        + uow.execute(about, params![tenant, account]).await?)
}

/// Whose keys these are; anonymous callers (register) are told apart by address.
fn holder(ctx: &Context) -> String {
    match ctx.actor() {
        Actor::Account { id, .. } => id.to_string(),
        Actor::Service { name } => format!("service:{name}"),
        Actor::Anonymous => {
            format!(
                "address:{}",
                ctx.address().map(|a| a.to_string()).unwrap_or_default()
            )
        }
        Actor::System { task } => format!("system:{task}"),
    }
}

/// Takes the key, or answers what it stands for. Another request with the same
/// key waits here until this one has its answer, before it does anything.
async fn begin<T: DeserializeOwned>(uow: &mut Uow, key: &Idempotency) -> Result<Option<T>> {
    let ctx = uow.context()?;
    let (tenant, holder, now) = (ctx.tenant(), holder(&ctx), uow.now());
    let taken = uow
        .execute(
            "INSERT INTO idempotency_keys
               (tenant_id, holder, idempotency_key, fingerprint, answer, created_at)
             VALUES ($1, $2, $3, $4, '', $5) ON CONFLICT DO NOTHING",
            params![tenant, &holder, &key.key, &key.fingerprint[..], now],
        )
        .await?;
    if taken == 1 {
        return Ok(None);
    }
    let row = uow
        .query_opt(
            "SELECT fingerprint, answer, created_at FROM idempotency_keys
             WHERE tenant_id = $1 AND holder = $2 AND idempotency_key = $3 FOR UPDATE",
            params![tenant, &holder, &key.key],
        )
        .await?;
    // Swept away in this very moment: begin again.
    let Some(row) = row else {
        return Err(Error::internal(Raced));
    };
    let answer = stored(row, key, now)?;
    if answer.is_none() {
        uow.execute(
            "UPDATE idempotency_keys SET fingerprint = $4, answer = '', created_at = $5
             WHERE tenant_id = $1 AND holder = $2 AND idempotency_key = $3",
            params![tenant, &holder, &key.key, &key.fingerprint[..], now],
        )
        .await?;
    }
    Ok(answer)
}

/// `idempotency_key_reused`: the key stands for another request.
#[must_use]
pub fn key_reused() -> Error {
    Error::new(
        codes::IDEMPOTENCY_KEY_REUSED,
        "This Idempotency-Key was used for another request; use a new one for each request.",
    )
}

/// The answer in a row of keys; none in one that is too old to count.
fn stored<T: DeserializeOwned>(
    mut row: Row,
    key: &Idempotency,
    now: jiff::Timestamp,
) -> Result<Option<T>> {
    let oldest = now - jiff::SignedDuration::try_from(KEPT).unwrap_or_default();
    if row.get::<jiff::Timestamp>(2)? < oldest {
        return Ok(None);
    }
    if row.get::<Vec<u8>>(0)? != key.fingerprint {
        return Err(key_reused());
    }
    let answer = row.get::<String>(1)?;
    serde_json::from_str(&answer)
        .map(Some)
        .map_err(Error::internal)
}

async fn remember(uow: &mut Uow, key: &Idempotency, answer: String) -> Result<()> {
    let ctx = uow.context()?;
    uow.execute(
        "UPDATE idempotency_keys SET answer = $4
         WHERE tenant_id = $1 AND holder = $2 AND idempotency_key = $3",
        params![ctx.tenant(), holder(&ctx), &key.key, answer],
    )
    .await?;
    Ok(())
}
