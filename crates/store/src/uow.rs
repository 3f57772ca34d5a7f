//! The unit of work: what a closure sees of the database, one type for both.

use std::sync::Arc;

use kernel::{Clock, Context, DomainEvent, Error, Ids, Result, TenantId};

use crate::{Dialect, Param, Row, dialect::Translations, postgres, sqlite};

/// What runs after the commit: waking waiters, feeding caches. Must not block.
pub(crate) type Hook = Box<dyn FnOnce() + Send>;

pub(crate) enum Backend {
    Sqlite(rusqlite::Connection),
    Postgres(postgres::Client),
}

/// Reads within one consistent view of the data.
///
/// Every statement names its tenant (`tenant_id = $1`); on PostgreSQL row-level
/// security stands behind that.
pub struct Reads {
    pub(crate) backend: Backend,
    pub(crate) translations: Arc<Translations>,
    pub(crate) ctx: Option<Context>,
    pub(crate) env: Env,
    /// A statement failed; PostgreSQL takes nothing more from this transaction.
    pub(crate) failed: bool,
}

/// How many rows a statement must touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Exactly one; anything else is a bug, and the unit of work fails.
    One,
    /// However many; also for an INSERT that adds one or fails. Spares a round
    /// trip before the commit.
    Any,
}

impl Rows {
    pub(crate) fn check(self, touched: u64) -> Result<()> {
        match self {
            Self::One if touched != 1 => Err(Error::internal(format!(
                "a statement touched {touched} rows instead of one"
            ))),
            _ => Ok(()),
        }
    }
}

/// The time and the ids of a store, as values.
#[derive(Clone, Debug)]
pub struct Env {
    /// The time.
    pub clock: Clock,
    /// New ids.
    pub ids: Ids,
}

impl Reads {
    /// Who asks.
    ///
    /// # Errors
    /// Outside of a door of the store, which cannot happen.
    pub fn context(&self) -> Result<Context> {
        self.ctx
            .clone()
            .ok_or_else(|| Error::internal("a unit of work without a context"))
    }

    /// The tenant everything here is bound to.
    ///
    /// # Errors
    /// As [`Self::context`].
    pub fn tenant(&self) -> Result<TenantId> {
        self.context().map(|ctx| ctx.tenant())
    }

    /// The time, by the platform's clock.
    #[must_use]
    pub fn now(&self) -> kernel::Timestamp {
        self.env.clock.now()
    }

    /// A new id.
    #[must_use]
    pub fn id<K>(&self) -> kernel::Id<K> {
        self.env.ids.next()
    }

    /// Which database this is; for the few statements that differ.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        match self.backend {
            Backend::Sqlite(_) => Dialect::Sqlite,
            Backend::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Every row of the result.
    ///
    /// # Errors
    /// When the database fails or the statement is wrong.
    pub async fn query(&mut self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>> {
        let dialect = self.dialect();
        let sql = self.translations.get(dialect, sql);
        let result = match &mut self.backend {
            Backend::Sqlite(connection) => sqlite::query(connection, &sql, params),
            Backend::Postgres(client) => client.query(&sql, params).await,
        };
        self.failed |= result.is_err();
        result
    }

    /// Whether every statement succeeded. PostgreSQL answers the commit of a
    /// transaction in which one failed as if it were one, and keeps nothing; so
    /// nobody may go on after a failure, on either database.
    pub(crate) fn whole(&self) -> Result<()> {
        if self.failed {
            return Err(Error::internal(
                "a unit of work went on after a statement had failed",
            ));
        }
        Ok(())
    }

    /// Every row of several statements, run in order; on PostgreSQL in one round
    /// trip. A later statement sees what an earlier one waited for (`FOR UPDATE`).
    ///
    /// # Errors
    /// As [`Self::query`]; the first failure counts.
    pub async fn query_all(
        &mut self,
        statements: &[(&str, &[Param<'_>])],
    ) -> Result<Vec<Vec<Row>>> {
        let dialect = self.dialect();
        let texts: Vec<Arc<str>> = statements
            .iter()
            .map(|(sql, _)| self.translations.get(dialect, sql))
            .collect();
        let statements = texts
            .iter()
            .zip(statements)
            .map(|(sql, (_, params))| (&**sql, *params));
        let result = match &mut self.backend {
            Backend::Sqlite(connection) => statements
                .map(|(sql, params)| sqlite::query(connection, sql, params))
                .collect(),
            Backend::Postgres(client) => client.query_all(statements).await,
        };
        self.failed |= result.is_err();
        result
    }

    /// The first row of the result, if there is one.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn query_opt(&mut self, sql: &str, params: &[Param<'_>]) -> Result<Option<Row>> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// The one row that must be there, like that of a count.
    ///
    /// # Errors
    /// As [`Self::query`], and when there is no row.
    pub async fn query_one(&mut self, sql: &str, params: &[Param<'_>]) -> Result<Row> {
        self.query_opt(sql, params)
            .await?
            .ok_or_else(|| Error::internal("expected one row"))
    }
}

/// A unit of work: reads and writes that become true together, or not at all.
pub struct Uow {
    pub(crate) reads: Reads,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) emitted: bool,
}

impl std::ops::Deref for Uow {
    type Target = Reads;
    fn deref(&self) -> &Reads {
        &self.reads
    }
}
impl std::ops::DerefMut for Uow {
    fn deref_mut(&mut self) -> &mut Reads {
        &mut self.reads
    }
}

impl Uow {
    pub(crate) fn new(backend: Backend, env: Env, translations: Arc<Translations>) -> Self {
        let reads = Reads {
            backend,
            translations,
            ctx: None,
            env,
            failed: false,
        };
        Self {
            reads,
            hooks: Vec::new(),
            emitted: false,
        }
    }

    /// Runs a statement; answers how many rows it touched.
    ///
    /// # Errors
    /// When the database fails or refuses (see [`crate::db_class`]).
    pub async fn execute(&mut self, sql: &str, params: &[Param<'_>]) -> Result<u64> {
        let dialect = self.dialect();
        let sql = self.reads.translations.get(dialect, sql);
        let result = match &mut self.reads.backend {
            Backend::Sqlite(connection) => sqlite::execute(connection, &sql, params),
            Backend::Postgres(client) => client.execute(&sql, params).await,
        };
        self.reads.failed |= result.is_err();
        result
    }

    /// Runs statements that do not depend on each other's results, in order;
    /// on PostgreSQL in one round trip. Answers the rows each of them touched.
    ///
    /// # Errors
    /// As [`Self::execute`]; the first failure counts.
    pub async fn execute_all(&mut self, statements: &[(&str, &[Param<'_>])]) -> Result<Vec<u64>> {
        let dialect = self.dialect();
        let texts: Vec<Arc<str>> = statements
            .iter()
            .map(|(sql, _)| self.reads.translations.get(dialect, sql))
            .collect();
        let statements = texts
            .iter()
            .zip(statements)
            .map(|(sql, (_, params))| (&**sql, *params));
        let result = match &mut self.reads.backend {
            Backend::Sqlite(connection) => statements
                .map(|(sql, params)| sqlite::execute(connection, sql, params))
                .collect(),
            Backend::Postgres(client) => client.execute_all(statements).await,
        };
        self.reads.failed |= result.is_err();
        result
    }

    /// Runs a statement whose outcome nobody waits for: on PostgreSQL it is sent
    /// together with the next one that somebody waits for, or with the commit,
    /// always in order; so it costs no round trip. If it fails, or does not touch
    /// as many rows as it must, the whole unit of work fails at its end.
    ///
    /// # Errors
    /// As [`Self::execute`], as far as it is known already.
    pub async fn later(&mut self, rows: Rows, sql: &str, params: &[Param<'_>]) -> Result<()> {
        let dialect = self.dialect();
        let text = self.reads.translations.get(dialect, sql);
        let result = match &mut self.reads.backend {
            Backend::Sqlite(connection) => {
                sqlite::execute(connection, &text, params).and_then(|touched| rows.check(touched))
            }
            Backend::Postgres(client) => {
                client.queue(text, params.iter().map(Param::owned).collect(), rows);
                Ok(())
            }
        };
        self.reads.failed |= result.is_err();
        result
    }

    /// Publishes a fact together with the change: `kind` is `noun.verb` in the
    /// past, events of one `key` keep their order.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub async fn emit(
        &mut self,
        topic: &'static str,
        kind: &str,
        key: &str,
        payload: serde_json::Value,
    ) -> Result<()> {
        let ctx = self.context()?;
        let event = DomainEvent {
            id: self.id(),
            tenant_id: ctx.tenant(),
            topic: topic.to_owned(),
            kind: kind.to_owned(),
            version: 1,
            key: key.to_owned(),
            sequence: 0,
            occurred_at: self.now(),
            trace: ctx.request(),
            payload,
        };
        crate::outbox::append(self, &event).await?;
        self.emitted = true;
        Ok(())
    }

    /// Runs something once the unit of work is committed, and never otherwise.
    pub fn after_commit(&mut self, hook: impl FnOnce() + Send + 'static) {
        self.hooks.push(Box::new(hook));
    }
}
