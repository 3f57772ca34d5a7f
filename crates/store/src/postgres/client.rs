//! A connection within a transaction. Statements that nobody waits for are
//! queued and sent together with the next one, in order (pipelining).

use std::{
    future::poll_fn,
    iter::{empty, once},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use deadpool_postgres::Object;
use kernel::{BoxFuture, Error, Result};
use tokio_postgres::{Statement, types::ToSql};

use super::convert::row;
use crate::{Param, Row, failure::DbError, uow::Rows};

/// How long one exchange with the server may take for a person or a program: a
/// little longer than the server's own limit for their reads, whose answer spares
/// the connection.
const SOMEBODY: Duration = Duration::from_secs(35);
/// The same for the platform's own work, which looks at whole tables.
const SYSTEM: Duration = Duration::from_mins(10);

pub(super) fn failed(error: tokio_postgres::Error) -> Error {
    DbError::from(error).into_error()
}

/// What is sent with the next statement.
enum Queued {
    /// Statements without parameters.
    Text(String),
    Statement(Arc<str>, Vec<Param<'static>>, Rows),
}

/// A connection within a transaction. Dropped before its end (a request that
/// was abandoned), the connection is closed, which rolls back.
pub(crate) struct Client {
    object: Option<Object>,
    /// The platform's own role: row-level security makes other plans for it, so
    /// its statements are prepared apart.
    system: bool,
    /// How long an exchange may take; then the connection is given up.
    limit: Duration,
    queue: Vec<Queued>,
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }
}

enum Done {
    Rows(Vec<Row>),
    Count(u64),
}

/// A statement on its way; the queued ones answer nothing.
type Sent<'a> = BoxFuture<'a, Result<Option<Done>>>;
/// A statement with its parameters, ready to be sent.
type Ready<'a, 'p> = (Statement, &'a [Param<'p>]);

impl Client {
    /// Begins with these statements, which are sent with the first one.
    pub(super) fn new(object: Object, system: bool, begin: String) -> Self {
        Self {
            object: Some(object),
            system,
            limit: if system { SYSTEM } else { SOMEBODY },
            queue: vec![Queued::Text(begin)],
        }
    }

    fn get(&self) -> Result<&Object> {
        self.object
            .as_ref()
            .ok_or_else(|| Error::internal("the unit of work has ended"))
    }

    /// One exchange with the server: sends what is queued and these statements.
    /// A server that says nothing for too long costs the connection.
    async fn exchange<'a, 'p: 'a>(
        &mut self,
        statements: impl Iterator<Item = (&'a str, &'a [Param<'p>])>,
        rows: bool,
    ) -> Result<Vec<Done>> {
        let limit = self.limit;
        let exchange = async {
            let ready = self.ready(statements).await?;
            self.send(&ready, rows).await
        };
        if let Ok(done) = tokio::time::timeout(limit, exchange).await {
            return done;
        }
        self.leave(false);
        Err(super::unavailable(format!("no answer within {limit:?}")))
    }

    async fn prepare(&self, sql: &str) -> Result<Statement> {
        let object = self.get()?;
        let prepared = match self.system {
            true => object.prepare_cached(&format!("{sql} -- system")).await,
            false => object.prepare_cached(sql).await,
        };
        prepared.map_err(failed)
    }

    /// Sends this with the next statement.
    pub(crate) fn queue(&mut self, sql: Arc<str>, params: Vec<Param<'static>>, rows: Rows) {
        self.queue.push(Queued::Statement(sql, params, rows));
    }

    /// Sends what is queued and then these statements, without waiting in
    /// between. The first failure counts; what follows it in the transaction
    /// only fails because of it.
    async fn send(&mut self, now: &[Ready<'_, '_>], rows: bool) -> Result<Vec<Done>> {
        let queue = std::mem::take(&mut self.queue);
        let mut prepared = Vec::with_capacity(queue.len());
        for queued in &queue {
            prepared.push(match queued {
                Queued::Statement(sql, _, _) => Some(self.prepare(sql).await?),
                Queued::Text(_) => None,
            });
        }
        let object = self.get()?;
        let mut sent: Vec<Sent<'_>> = Vec::with_capacity(queue.len() + now.len());
        for (queued, statement) in queue.iter().zip(&prepared) {
            sent.push(match (queued, statement) {
                (Queued::Statement(_, params, rows), Some(statement)) => Box::pin(async move {
                    rows.check(execute(object, statement, params).await?)?;
                    Ok(None)
                }),
                (Queued::Text(text), _) => Box::pin(async move {
                    object.batch_execute(text).await.map_err(failed)?;
                    Ok(None)
                }),
                _ => continue,
            });
        }
        for (statement, params) in now {
            sent.push(Box::pin(async move {
                if rows {
                    return query(object, statement, params)
                        .await
                        .map(|rows| Some(Done::Rows(rows)));
                }
                let count = execute(object, statement, params).await?;
                Ok(Some(Done::Count(count)))
            }));
        }
        let mut done = Vec::with_capacity(now.len());
        for result in in_order(sent).await {
            done.extend(result?);
        }
        Ok(done)
    }

    pub(crate) async fn query(&mut self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>> {
        let mut done = self.exchange(once((sql, params)), true).await?;
        Ok(done.pop().map_or_else(Vec::new, Done::rows))
    }

    pub(crate) async fn execute(&mut self, sql: &str, params: &[Param<'_>]) -> Result<u64> {
        let mut done = self.exchange(once((sql, params)), false).await?;
        Ok(done.pop().map_or(0, Done::count))
    }

    /// Like [`Self::execute_all`], with rows.
    pub(crate) async fn query_all<'a, 'p: 'a>(
        &'a mut self,
        statements: impl Iterator<Item = (&'a str, &'a [Param<'p>])>,
    ) -> Result<Vec<Vec<Row>>> {
        let done = self.exchange(statements, true).await?;
        Ok(done.into_iter().map(Done::rows).collect())
    }

    /// Statements sent together.
    pub(crate) async fn execute_all<'a, 'p: 'a>(
        &'a mut self,
        statements: impl Iterator<Item = (&'a str, &'a [Param<'p>])>,
    ) -> Result<Vec<u64>> {
        let done = self.exchange(statements, false).await?;
        Ok(done.into_iter().map(Done::count).collect())
    }

    async fn ready<'a, 'p: 'a>(
        &self,
        statements: impl Iterator<Item = (&'a str, &'a [Param<'p>])>,
    ) -> Result<Vec<Ready<'a, 'p>>> {
        let mut ready = Vec::new();
        for (sql, params) in statements {
            ready.push((self.prepare(sql).await?, params));
        }
        Ok(ready)
    }

    /// Sends what is still queued, then `COMMIT`, and gives the connection back.
    /// A failure among them was no commit: PostgreSQL has undone everything.
    pub(super) async fn commit(&mut self) -> Result<()> {
        let counted = |queued: &Queued| matches!(queued, Queued::Statement(_, _, Rows::One));
        // Only we know how many rows must be touched: looked at before the commit is sent.
        if self.queue.iter().any(counted)
            && let Err(error) = self.exchange(empty(), false).await
        {
            self.rollback().await;
            return Err(error);
        }
        self.queue.push(Queued::Text("COMMIT".to_owned()));
        let result = self.exchange(empty(), false).await.map(drop);
        self.leave(result.is_ok());
        result
    }

    /// Undoes everything and gives the connection back.
    pub(super) async fn rollback(&mut self) {
        // Nothing was sent yet: nothing has begun.
        let clean = match (self.untouched(), self.get()) {
            (true, _) => true,
            (false, Ok(object)) => {
                let undone = tokio::time::timeout(self.limit, object.batch_execute("ROLLBACK"));
                matches!(undone.await, Ok(Ok(())))
            }
            (false, Err(_)) => false,
        };
        self.leave(clean);
    }

    fn untouched(&self) -> bool {
        matches!(self.queue.first(), Some(Queued::Text(_)))
    }

    /// A connection that is in an unknown state does not go back to the pool.
    fn leave(&mut self, clean: bool) {
        if let Some(object) = self.object.take()
            && !clean
        {
            drop(Object::take(object));
        }
    }
}

impl Done {
    fn rows(self) -> Vec<Row> {
        match self {
            Self::Rows(rows) => rows,
            Self::Count(_) => Vec::new(),
        }
    }

    fn count(self) -> u64 {
        match self {
            Self::Rows(rows) => rows.len() as u64,
            Self::Count(count) => count,
        }
    }
}

/// Waits for all of them. A connection sends in the order in which its futures
/// are polled first, so these are polled in theirs.
async fn in_order(mut sent: Vec<Sent<'_>>) -> Vec<Result<Option<Done>>> {
    let mut results: Vec<Option<_>> = sent.iter().map(|_| None).collect();
    poll_fn(|task| {
        let mut open = false;
        for (future, result) in sent.iter_mut().zip(&mut results) {
            if result.is_none() {
                match future.as_mut().poll(task) {
                    Poll::Ready(done) => *result = Some(done),
                    Poll::Pending => open = true,
                }
            }
        }
        match open {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    })
    .await;
    results.into_iter().flatten().collect()
}

async fn execute(object: &Object, statement: &Statement, params: &[Param<'_>]) -> Result<u64> {
    let bound: Vec<&(dyn ToSql + Sync)> = params.iter().map(|p| p as _).collect();
    object.execute(statement, &bound).await.map_err(failed)
}

async fn query(object: &Object, statement: &Statement, params: &[Param<'_>]) -> Result<Vec<Row>> {
    let bound: Vec<&(dyn ToSql + Sync)> = params.iter().map(|p| p as _).collect();
    let rows = object.query(statement, &bound).await.map_err(failed)?;
    rows.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::codes;

    /// With a real server only: one that answers later than the limit.
    #[tokio::test]
    async fn a_server_that_says_nothing_costs_the_connection() {
        let Some(url) = testkit::postgres_server() else {
            return;
        };
        let manager = deadpool_postgres::Manager::new(url.parse().unwrap(), tokio_postgres::NoTls);
        let pool = deadpool_postgres::Pool::builder(manager)
            .max_size(1)
            .build()
            .unwrap();
        let mut client = Client::new(pool.get().await.unwrap(), false, "BEGIN".to_owned());
        client.limit = Duration::from_millis(200);
        let silent = client.query("SELECT CAST(pg_sleep(600) AS text)", &[]);
        let silent = tokio::time::timeout(Duration::from_secs(20), silent).await;
        let error = silent.unwrap().unwrap_err();
        assert!(error.is(codes::DATABASE_UNAVAILABLE), "{error:?}");
        assert!(error.retry().is_some());
        client.rollback().await;
        // Its place in the pool is free for another one.
        assert_eq!(pool.status().size, 0);
        drop(pool.get().await.unwrap());
    }
}
