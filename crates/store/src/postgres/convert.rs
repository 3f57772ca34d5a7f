//! Values between our types and PostgreSQL's.

use kernel::{Error, Result};
use tokio_postgres::types::{IsNull, ToSql, Type, private::BytesMut, to_sql_checked};

use super::client::failed;
use crate::{Param, Row, Value};

impl ToSql for Param<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Param::Null => Ok(IsNull::Yes),
            Param::Bool(value) => value.to_sql(ty, out),
            Param::Int(value) => match *ty {
                Type::INT2 => i16::try_from(*value)?.to_sql(ty, out),
                Type::INT4 => i32::try_from(*value)?.to_sql(ty, out),
                Type::FLOAT8 => Err("a whole number for a measurement; cast it".into()),
                _ => value.to_sql(ty, out),
            },
            Param::Float(value) => value.to_sql(ty, out),
            Param::Text(text) => text.as_ref().to_sql(ty, out),
            Param::Bytes(bytes) => bytes.as_ref().to_sql(ty, out),
            Param::Uuid(uuid) => uuid.to_sql(ty, out),
            Param::Time(time) => time.to_sql(ty, out),
            Param::Json(json) => json.as_ref().to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        // Each value checks for itself: a wrong type is refused by the server.
        true
    }

    to_sql_checked!();
}

pub(super) fn row(row: &tokio_postgres::Row) -> Result<Row> {
    let mut values = Vec::with_capacity(row.len());
    for (n, column) in row.columns().iter().enumerate() {
        macro_rules! read {
            ($type:ty, $convert:expr) => {
                row.try_get::<_, Option<$type>>(n)
                    .map_err(failed)?
                    .map_or(Value::Null, $convert)
            };
        }
        values.push(match *column.type_() {
            Type::BOOL => read!(bool, Value::Bool),
            Type::INT2 => read!(i16, |v| Value::Int(v.into())),
            Type::INT4 => read!(i32, |v| Value::Int(v.into())),
            Type::INT8 => read!(i64, Value::Int),
            Type::FLOAT4 => read!(f32, |v| Value::Float(v.into())),
            Type::FLOAT8 => read!(f64, Value::Float),
            Type::TEXT | Type::VARCHAR | Type::NAME | Type::BPCHAR => read!(String, Value::Text),
            Type::BYTEA => read!(Vec<u8>, Value::Bytes),
            Type::UUID => read!(uuid::Uuid, Value::Uuid),
            Type::TIMESTAMPTZ => read!(jiff::Timestamp, Value::Time),
            Type::JSON | Type::JSONB => read!(serde_json::Value, Value::Json),
            Type::VOID => Value::Null,
            ref other => {
                return Err(Error::internal(format!("column of type {other}: cast it")));
            }
        });
    }
    Ok(Row(values))
}
