//! PostgreSQL: pooled connections, each write a transaction with retry, the
//! tenant and the role set at its beginning so that row-level security holds.

mod client;
mod convert;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use kernel::{BoxFuture, Context, Error, Result, codes, fault};
use tokio_postgres::{NoTls, config::SslMode};
use tokio_util::task::TaskTracker;

pub(crate) use client::Client;

use crate::{
    DbClass, Durability, Env, Reads, Uow, db_class, dialect::Translations, failure::DbError,
    params, uow::Backend,
};

/// How often a transaction that lost against another one is run again.
const ATTEMPTS: u32 = 10;

const READ: &str = "ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// The same for a person or a program: an abandoned read holds its connection
/// until it ends, so a statement takes 30 s at most. The platform's own (checks
/// of the whole ledger) take as long as they need.
const READ_FOR_SOMEBODY: &str =
    "ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 30000";

#[derive(Clone)]
pub(crate) struct Postgres {
    pool: Pool,
    env: Env,
    translations: Arc<Translations>,
    /// Units of work that have begun: each runs to its end, also when whoever
    /// asked for it has gone, so that what follows a commit is never skipped and
    /// an abandoned read gives its connection back.
    begun: TaskTracker,
    /// The last write could not be stored.
    failing: Arc<AtomicBool>,
}

impl Postgres {
    pub(crate) fn open(url: &str, connections: usize, env: &Env) -> Result<Self> {
        let mut config = configuration(url)?;
        // Statements are prepared once and used often, and none of ours needs another plan for other
        // values (the search plans for itself): planning each time took a sixth of the statements' time.
        // What is durable does not depend on how the server commits by itself; the URL may say otherwise.
        let options = config.get_options().unwrap_or_default();
        config.options(format!(
            "-c synchronous_commit=on {options} -c plan_cache_mode=force_generic_plan"
        ));
        let manager = Manager::from_config(
            config,
            NoTls,
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let pool = Pool::builder(manager)
            .max_size(connections.max(2))
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .wait_timeout(Some(Duration::from_secs(10)))
            .create_timeout(Some(Duration::from_secs(10)))
            .build()
            .map_err(Error::internal)?;
        Ok(Self {
            pool,
            env: env.clone(),
            translations: Arc::default(),
            begun: TaskTracker::new(),
            failing: Arc::default(),
        })
    }

    /// A connection as the owner of the tables, for migrations.
    pub(crate) async fn owner(&self) -> Result<Object> {
        self.pool
            .get()
            .await
            .map_err(|error| unavailable(whole(&error)))
    }

    async fn begin(&self, client: Object, ctx: &Context, mode: &str) -> Result<Uow> {
        let role = if ctx.is_system() {
            "tertulia_system"
        } else {
            "tertulia_app"
        };
        let begin = format!(
            "BEGIN {mode}; SET LOCAL ROLE {role}; SET LOCAL tertulia.tenant = '{}'",
            ctx.tenant()
        );
        let client = Client::new(client, ctx.is_system(), begin);
        let mut uow = Uow::new(
            Backend::Postgres(client),
            self.env.clone(),
            Arc::clone(&self.translations),
        );
        uow.reads.ctx = Some(ctx.clone());
        Ok(uow)
    }

    pub(crate) async fn write<A, T, F>(
        &self,
        ctx: &Context,
        durability: Durability,
        args: A,
        f: F,
        on_emit: impl Fn() + Send + Sync + 'static,
    ) -> Result<T>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'a> Fn(&'a mut Uow, &'a A) -> BoxFuture<'a, Result<T>> + Send + Sync + 'static,
    {
        let (this, ctx) = (self.clone(), ctx.clone());
        self.to_its_end(async move {
            let result = this.transact(&ctx, durability, &args, &f, &on_emit).await;
            match result.as_ref().map_err(db_class) {
                Ok(_) => this.failing.store(false, Ordering::Relaxed),
                Err(Some(DbClass::Unavailable | DbClass::Lost)) => {
                    this.failing.store(true, Ordering::Relaxed);
                }
                Err(_) => {}
            }
            result
        })
        .await
    }

    /// Whether it can write, as far as the last write tells; after one that failed another is tried,
    /// which leaves nothing behind.
    pub(crate) async fn ping(&self, ctx: &Context) -> Result<()> {
        if !self.failing.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.write(
            ctx,
            Durability::Durable,
            (),
            |uow, ()| {
                Box::pin(async move {
                    let (tenant, key, now) =
                        (uow.tenant()?, uow.id::<kernel::RequestId>(), uow.now());
                    uow.execute(
                        "INSERT INTO idempotency_keys
                           (tenant_id, holder, idempotency_key, fingerprint, answer, created_at)
                         VALUES ($1, 'store:trial', $2, $3, '', $4)",
                        params![tenant, key.to_string(), &[0_u8; 65536][..], now],
                    )
                    .await?;
                    uow.execute(
                        "DELETE FROM idempotency_keys
                         WHERE tenant_id = $1 AND holder = 'store:trial' AND idempotency_key = $2",
                        params![tenant, key.to_string()],
                    )
                    .await
                    .map(drop)
                })
            },
            || {},
        )
        .await
    }

    /// Goes on also when nobody waits for it any more.
    async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        match self.begun.spawn(work).await {
            Ok(result) => result,
            Err(error) => Err(Error::internal(match error.try_into_panic() {
                Ok(panic) => crate::panic_text(&*panic),
                Err(error) => error.to_string(),
            })),
        }
    }

    async fn transact<A, T, F>(
        &self,
        ctx: &Context,
        durability: Durability,
        args: &A,
        f: &F,
        on_emit: &(dyn Fn() + Send + Sync),
    ) -> Result<T>
    where
        A: Send + Sync,
        T: Send,
        F: for<'a> Fn(&'a mut Uow, &'a A) -> BoxFuture<'a, Result<T>> + Send + Sync,
    {
        let mode = match durability {
            Durability::Durable => "",
            Durability::Fast => "; SET LOCAL synchronous_commit = off",
        };
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut uow = self.begin(self.owner().await?, ctx, mode).await?;
            let result = f(&mut uow, args).await;
            let mut lost = false;
            let result = match result.and_then(|value| uow.whole().map(|()| value)) {
                Ok(value) => {
                    fault::point("store.commit.before");
                    let committed = uow.backend()?.commit().await;
                    fault::point("store.commit.after");
                    committed.map(|()| value)
                }
                Err(error) => {
                    uow.backend()?.rollback().await;
                    // No commit was sent, so nothing is done.
                    lost = self.is_lost(&error);
                    Err(error)
                }
            };
            match result {
                Ok(value) => {
                    for hook in uow.hooks.drain(..) {
                        // It is committed, whatever becomes of a hook.
                        let _ = catch_unwind(AssertUnwindSafe(hook));
                    }
                    if uow.emitted {
                        on_emit();
                    }
                    return Ok(value);
                }
                Err(_) if attempt < ATTEMPTS && lost => {}
                Err(error) if attempt < ATTEMPTS && is_retry(&error) => {
                    let wait = Duration::from_millis(2_u64.saturating_pow(attempt.min(6)));
                    tokio::time::sleep(wait).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) async fn read<A, T, F>(&self, ctx: &Context, args: A, f: F) -> Result<T>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'a> Fn(&'a mut Reads, &'a A) -> BoxFuture<'a, Result<T>> + Send + 'static,
    {
        // One that is abandoned while it waits for a connection never begins.
        let mut client = self.owner().await?;
        let (this, ctx) = (self.clone(), ctx.clone());
        self.to_its_end(async move {
            let mode = if ctx.is_system() {
                READ
            } else {
                READ_FOR_SOMEBODY
            };
            let mut attempt = 0;
            loop {
                attempt += 1;
                let mut uow = this.begin(client, &ctx, mode).await?;
                let result = f(&mut uow.reads, &args).await;
                // Nobody waits for the end of a transaction that changed nothing.
                this.begun.spawn(async move {
                    if let Ok(client) = uow.backend() {
                        client.rollback().await;
                    }
                });
                match result {
                    Err(error) if attempt < ATTEMPTS && this.is_lost(&error) => {
                        client = this.owner().await?;
                    }
                    result => return result,
                }
            }
        })
        .await
    }

    /// Whether the connection has ended under the unit of work. The others in the pool are as old
    /// and most likely as dead (the server was restarted): none of them is used again.
    fn is_lost(&self, error: &Error) -> bool {
        let lost = db_class(error) == Some(DbClass::Lost);
        if lost {
            self.pool.retain(|_, _| false);
        }
        lost
    }

    /// Waits for the units of work that have begun.
    pub(crate) async fn close(&self) {
        self.begun.close();
        self.begun.wait().await;
        self.pool.close();
    }
}

/// The connections' settings. One that hangs without dying (failover, a network
/// that swallows packets) is found dead within half a minute.
pub(crate) fn configuration(url: &str) -> Result<tokio_postgres::Config> {
    // Its own words about a garbled URL may repeat the password: they are left out.
    let mut config = tokio_postgres::Config::from_str(url).map_err(|_| {
        let sentence =
            "database.url is not a PostgreSQL URL (postgres://user:password@host/database).";
        Error::new(codes::DATABASE_UNAVAILABLE, sentence)
    })?;
    if config.get_ssl_mode() == SslMode::Require {
        let sentence = "database.url asks for TLS (sslmode=require), which is not built in: reach \
            PostgreSQL over a private network or a tunnel, and leave sslmode out.";
        return Err(Error::new(codes::DATABASE_UNAVAILABLE, sentence));
    }
    config
        .application_name("tertulia")
        .connect_timeout(Duration::from_secs(5))
        .keepalives(true)
        .keepalives_idle(Duration::from_secs(10))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3)
        .tcp_user_timeout(Duration::from_secs(15));
    Ok(config)
}

/// The database cannot be reached; what it says of that is for the log.
fn unavailable(message: String) -> Error {
    DbError {
        class: DbClass::Unavailable,
        message,
    }
    .into_error()
}

/// An error with everything beneath it: the outer one says only that it failed.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string().trim_end().to_owned();
    let mut inner = error.source();
    while let Some(error) = inner {
        let more = error.to_string();
        // Some repeat their cause in their own words.
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        inner = error.source();
    }
    text
}

/// Two transactions contradicted each other, or met at a unique key: the loser
/// runs again and then sees what the winner wrote.
fn is_retry(error: &Error) -> bool {
    db_class(error) == Some(DbClass::Retry) || error.cause::<crate::once::Raced>().is_some()
}

impl Uow {
    fn backend(&mut self) -> Result<&mut Client> {
        match &mut self.reads.backend {
            Backend::Postgres(client) => Ok(client),
            Backend::Sqlite(_) => Err(Error::internal("not PostgreSQL")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{Clock, Ids, Random};

    async fn said(url: &str) -> String {
        let clock = Clock::system();
        let ids = Ids::new(clock.clone(), Random::system());
        let error = match Postgres::open(url, 2, &Env { clock, ids }) {
            Ok(postgres) => postgres.owner().await.map(drop).unwrap_err(),
            Err(error) => error,
        };
        assert!(error.is(codes::DATABASE_UNAVAILABLE));
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        format!("{} {}", error.detail(), cause.unwrap_or_default())
    }

    #[tokio::test]
    async fn what_is_wrong_with_the_url_is_said() {
        let garbled = said("postgres://me:secret@host:notaport/db").await;
        assert!(garbled.contains("database.url"), "{garbled}");
        assert!(!garbled.contains("secret"), "{garbled}");
        let tls = said("postgres://me@127.0.0.1/db?sslmode=require").await;
        assert!(tls.contains("sslmode=require"), "{tls}");
        let refused = said("postgres://me@127.0.0.1:1/db").await;
        assert!(refused.contains("refused"), "{refused}");
        let unknown = said("postgres://me@nowhere.invalid/db").await;
        assert!(unknown.contains("lookup"), "{unknown}");
        if let Some(url) = testkit::postgres_server() {
            let (server, _) = url.rsplit_once('/').unwrap();
            let missing = said(&format!("{server}/not_there")).await;
            assert!(missing.contains("not_there"), "{missing}");
        }
    }

    #[test]
    fn a_connection_that_hangs_is_found_dead() {
        let config = configuration("postgres://me@host/db").unwrap();
        assert!(config.get_keepalives());
        assert_eq!(config.get_keepalives_idle(), Duration::from_secs(10));
        assert_eq!(
            config.get_tcp_user_timeout(),
            Some(&Duration::from_secs(15))
        );
    }
}
