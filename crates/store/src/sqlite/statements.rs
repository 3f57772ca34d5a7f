//! One statement on a SQLite connection: its parameters bound, its rows taken
//! over. Nothing here knows of threads or transactions.

use kernel::Result;
use rusqlite::{Connection, types::ValueRef};

use crate::{Param, Row, Value, failure::DbError};

struct Bound<'a>(&'a Param<'a>);

impl rusqlite::ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, Value as Owned};
        Ok(match self.0 {
            Param::Null => ToSqlOutput::Owned(Owned::Null),
            Param::Bool(value) => ToSqlOutput::Owned(Owned::Integer((*value).into())),
            Param::Int(value) => ToSqlOutput::Owned(Owned::Integer(*value)),
            Param::Float(value) => ToSqlOutput::Owned(Owned::Real(*value)),
            Param::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Param::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Param::Uuid(uuid) => ToSqlOutput::Borrowed(ValueRef::Blob(uuid.as_bytes())),
            Param::Time(time) => ToSqlOutput::Owned(Owned::Integer(time.as_microsecond())),
            Param::Json(json) => ToSqlOutput::Owned(Owned::Text(json.to_string())),
        })
    }
}

pub(crate) fn execute(connection: &Connection, sql: &str, params: &[Param<'_>]) -> Result<u64> {
    let run = || {
        let mut statement = connection.prepare_cached(sql)?;
        let params = rusqlite::params_from_iter(params.iter().map(Bound));
        // A statement with RETURNING is allowed too: its rows are passed over.
        if statement.column_count() > 0 {
            let mut rows = statement.query(params)?;
            let mut count = 0;
            while rows.next()?.is_some() {
                count += 1;
            }
            return Ok(count);
        }
        statement.execute(params).map(|count| count as u64)
    };
    run().map_err(|error: rusqlite::Error| DbError::from(error).into_error())
}

pub(crate) fn query(connection: &Connection, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>> {
    let run = || {
        let mut statement = connection.prepare_cached(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query(rusqlite::params_from_iter(params.iter().map(Bound)))?;
        let mut result = Vec::new();
        while let Some(row) = rows.next()? {
            let mut values = Vec::with_capacity(columns);
            for column in 0..columns {
                values.push(match row.get_ref(column)? {
                    ValueRef::Null => Value::Null,
                    ValueRef::Integer(n) => Value::Int(n),
                    ValueRef::Real(f) => Value::Float(f),
                    ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
                    ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
                });
            }
            result.push(Row(values));
        }
        Ok(result)
    };
    run().map_err(|error: rusqlite::Error| DbError::from(error).into_error())
}
